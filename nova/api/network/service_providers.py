"""Service providers -- /service-providers: what carries the services that Neutron leaves to others."""

from typing import Any

from nova.api.network import app
from nova.api.network.policy import ANY_READER, Rule
from nova.api.network.selection import selected
from strata.rest import Request

LIST = Rule('get_service_provider', ANY_READER, 'List the service providers.')

#: a router is carried by one host; firewalls, load balancers and VPNs by nobody
PROVIDERS = [{'service_type': 'L3_ROUTER_NAT', 'name': 'single_node', 'default': True}]


@app.get('/service-providers', allow=LIST)
def index(req: Request) -> dict[str, Any]:
    """All service providers."""
    return {'service_providers': selected(req, PROVIDERS, PROVIDERS[0].keys())}

"""The network API, v2.0: ``app`` is mounted at ``/v2.0``, ``versions_app`` at ``/``."""

from nova.api.network import fault
from strata.rest import Application

app = Application('network', fault=fault.render)
versions_app = Application('network-versions', fault=fault.render)

from nova.api.network import (  # noqa: E402
    agents,
    extensions,
    floatingips,
    networks,
    ports,
    quotas,
    routers,
    security_groups,
    service_providers,
    subnets,
    tags,
    versions,
)
from nova.api.network.rules import rules  # noqa: E402

__all__ = ['agents', 'app', 'extensions', 'floatingips', 'networks', 'ports', 'quotas', 'routers', 'rules',
           'security_groups', 'service_providers', 'subnets', 'tags', 'versions', 'versions_app']

"""Networks -- /networks."""

from typing import Any

from nova.api.network import app
from nova.api.network.attributes import (
    INTEGER,
    INTEGER_OR_NULL,
    STRING_OR_NULL,
    ZONES,
    Attribute,
    flag,
    shown,
    text,
    whole,
)
from nova.api.network.policy import ADMIN, ANY_READER, MEMBER, Rule
from nova.api.network.resource import Given, Resource
from nova.db import networks as rows
from nova.db.networks import Network
from nova.network import networks
from strata.rest import Request

_PROVIDER = {'create': ADMIN, 'update': ADMIN, 'get': ADMIN}
_GUARDED = {'create': ADMIN, 'update': ADMIN}

NETWORK = Resource('network', 'networks', Network, {
    'name': text(),
    'description': text(),
    'admin_state_up': flag(default=True),
    'status': shown(),
    'subnets': shown(lambda network: [subnet.id for subnet in network.subnets]),
    'shared': flag(default=False, guards=_GUARDED),
    'router:external': flag(key='external', default=False, guards=_GUARDED),
    'is_default': flag(default=False, guards=_GUARDED),
    'mtu': Attribute(schema={**INTEGER, 'minimum': 0}, on='cu', convert=whole),
    'port_security_enabled': flag(default=True),
    'availability_zone_hints': Attribute(schema=ZONES, on='c'),
    'availability_zones': shown(lambda network: ['nova']),
    'ipv4_address_scope': shown(lambda network: None),
    'ipv6_address_scope': shown(lambda network: None),
    'l2_adjacency': shown(lambda network: True),
    'provider:network_type': Attribute(
        schema={'enum': ['local', 'flat', 'vlan', 'vxlan', None], 'type': ['string', 'null']}, on='c',
        key='network_type', guards=_PROVIDER),
    'provider:physical_network': Attribute(schema={**STRING_OR_NULL, 'maxLength': 64}, on='c',
                                           key='physical_network', guards=_PROVIDER),
    'provider:segmentation_id': Attribute(schema=INTEGER_OR_NULL, on='c', key='segmentation_id',
                                          convert=whole,
                                          guards=_PROVIDER),
})

GET = Rule('get_network', ANY_READER, 'See networks.')
CREATE = Rule('create_network', MEMBER, 'Make a network.')
UPDATE = Rule('update_network', MEMBER, 'Change a network.')
DELETE = Rule('delete_network', MEMBER, 'Delete a network.')


@app.get('/networks', allow=GET)
def index(req: Request) -> dict[str, Any]:
    """Networks of the project, and the shared and external ones."""
    with req.wiring.db.reading() as tx:
        return NETWORK.index(req, tx, rows.visible(req.context), rows.whole())


@app.post('/networks', body=NETWORK.creation, allow=CREATE, late=True, status=201)
def create(req: Request, body: Given) -> dict[str, Any]:
    """Make one network, or many at once."""
    return NETWORK.answer(req, body, networks.create(req.wiring, req.context, NETWORK.wishes(req, body)))


@app.get('/networks/{id}', allow=GET)
def show(req: Request, id: str) -> dict[str, Any]:
    """One network."""
    with req.wiring.db.reading() as tx:
        return NETWORK.shown(req, networks.get(tx, req.context, id))


@app.put('/networks/{id}', body=NETWORK.change, allow=UPDATE, late=True)
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a network."""
    with req.wiring.db.reading() as tx:
        changes = NETWORK.changes(req, body, networks.get(tx, req.context, id))
    return NETWORK.shown(req, networks.update(req.wiring, req.context, id, changes, NETWORK.revision(req)))


@app.delete('/networks/{id}', allow=DELETE, late=True, status=204)
def delete(req: Request, id: str) -> None:
    """Delete a network and its subnets."""
    with req.wiring.db.reading() as tx:
        req.enforce({'project_id': networks.get(tx, req.context, id).project_id})
    networks.delete(req.wiring, req.context, id)

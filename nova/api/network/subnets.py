"""Subnets -- /subnets."""

from typing import Any

from nova.api.network import app
from nova.api.network.attributes import (
    IP,
    IP_OR_NULL,
    ROUTES_OR_NULL,
    UUID,
    Attribute,
    boolean,
    flag,
    plain_ip,
    shown,
    text,
)
from nova.api.network.policy import ANY_READER, MEMBER_OR_NETWORK_OWNER, NETWORK_OWNER, Rule
from nova.api.network.resource import Given, Resource
from nova.db import subnets as rows
from nova.db.networks import Network
from nova.db.subnets import Subnet
from nova.network import networks, subnets
from strata import errors
from strata.rest import Request

_POOLS = {'type': ['array', 'null'], 'maxItems': 64, 'items': {
    'type': 'object', 'additionalProperties': False, 'required': ['start', 'end'],
    'properties': {'start': IP, 'end': IP}}}
_MODE = {'enum': ['dhcpv6-stateful', 'dhcpv6-stateless', 'slaac', None], 'type': ['string', 'null']}
_NULL = {'type': 'null'}

SUBNET = Resource('subnet', 'subnets', Subnet, {
    'network_id': Attribute(schema=UUID, on='c', required=True),
    'ip_version': Attribute(schema={'enum': [4, 6, '4', '6'], 'type': ['integer', 'string']}, on='c',
                            required=True,
                            convert=int),
    'cidr': Attribute(schema={'type': 'string', 'format': 'cidr'}, on='c', required=True),
    'name': text(),
    'description': text(),
    'gateway_ip': Attribute(schema=IP_OR_NULL, on='cu', convert=plain_ip),
    'enable_dhcp': flag(default=True),
    'allocation_pools': Attribute(schema=_POOLS, on='cu'),
    'dns_nameservers': Attribute(schema={'type': ['array', 'null'], 'items': IP, 'maxItems': 100}, on='cu'),
    'host_routes': Attribute(schema=ROUTES_OR_NULL, on='cu'),
    'ipv6_ra_mode': Attribute(schema=_MODE, on='c'),
    'ipv6_address_mode': Attribute(schema=_MODE, on='c'),
    'service_types': Attribute(schema={'type': 'array', 'maxItems': 16, 'uniqueItems': True,
                                       'items': {'type': 'string', 'minLength': 1, 'maxLength': 255}}, on='cu'),
    'subnetpool_id': Attribute(schema=_NULL, on='c', key='_', source=lambda subnet: None),
    'segment_id': shown(lambda subnet: None),
    'router:external': shown('external', condition=lambda words: Network.external.in_(boolean(words))),
    'shared': Attribute(shown=False, condition=lambda words: Network.shared.in_(boolean(words))),
})

GET = Rule('get_subnet', ANY_READER, 'See subnets.')
CREATE = Rule('create_subnet', NETWORK_OWNER, 'Make a subnet.')
UPDATE = Rule('update_subnet', MEMBER_OR_NETWORK_OWNER, 'Change a subnet.')
DELETE = Rule('delete_subnet', MEMBER_OR_NETWORK_OWNER, 'Delete a subnet.')


@app.get('/subnets', allow=GET)
def index(req: Request) -> dict[str, Any]:
    """Subnets of the project, and those of shared and external networks."""
    with req.wiring.db.reading() as tx:
        return SUBNET.index(req, tx, rows.visible(req.context), rows.whole())


@app.post('/subnets', body=SUBNET.creation, allow=CREATE, late=True, status=201)
def create(req: Request, body: Given) -> dict[str, Any]:
    """Make one subnet, or many at once."""
    with req.wiring.db.reading() as tx:
        owners = {item['network_id']: networks.get(tx, req.context, item['network_id']).project_id
                  for item in body.items}
    wishes = SUBNET.wishes(req, body, lambda asked: {'network:project_id': owners[asked['network_id']]})
    for wish, item in zip(wishes, body.items, strict=True):
        wish.pop('_', None)
        if not item.get('project_id') and not item.get('tenant_id'):
            wish['project_id'] = owners[item['network_id']]
        if 'gateway_ip' in item and item['gateway_ip'] is None:
            wish['gateway_ip'] = None
    return SUBNET.answer(req, body, subnets.create(req.wiring, req.context, wishes))


@app.get('/subnets/{id}', allow=GET)
def show(req: Request, id: str) -> dict[str, Any]:
    """One subnet."""
    with req.wiring.db.reading() as tx:
        return SUBNET.shown(req, subnets.get(tx, req.context, id))


@app.put('/subnets/{id}', body=SUBNET.change, allow=UPDATE, late=True)
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a subnet."""
    with req.wiring.db.reading() as tx:
        subnet = subnets.get(tx, req.context, id)
        owner = {'network:project_id': subnet.network.project_id}
        changes = SUBNET.changes(req, body, subnet, lambda asked: owner)
    if 'allocation_pools' in body and body['allocation_pools'] is None:
        raise errors.Invalid('Invalid input for allocation_pools. Reason: it cannot be null.')
    return SUBNET.shown(req, subnets.update(req.wiring, req.context, id, changes, SUBNET.revision(req)))


@app.delete('/subnets/{id}', allow=DELETE, late=True, status=204)
def delete(req: Request, id: str) -> None:
    """Delete a subnet."""
    with req.wiring.db.reading() as tx:
        subnet = subnets.get(tx, req.context, id)
        req.enforce({'project_id': subnet.project_id, 'network:project_id': subnet.network.project_id})
    subnets.delete(req.wiring, req.context, id)

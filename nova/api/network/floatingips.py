"""Floating IPs -- /floatingips."""

from typing import Any

from nova.api.network import app
from nova.api.network.attributes import UUID, UUID_OR_NULL, Attribute, plain_ip, shown, text
from nova.api.network.policy import ADMIN, ANY_READER, MEMBER, Rule
from nova.api.network.resource import Given, Resource
from nova.db import floating_ips as rows
from nova.db.floating_ips import FloatingIp
from nova.network import floatingips
from strata.rest import Request

_IPV4_OR_NULL = {'anyOf': [{'type': 'string', 'format': 'ipv4'}, {'type': 'null'}]}

FLOATING_IP = Resource('floatingip', 'floatingips', FloatingIp, {
    'floating_network_id': Attribute(schema=UUID, on='c', required=True),
    'floating_ip_address': Attribute(schema=_IPV4_OR_NULL, on='c', convert=plain_ip,
                                     guards={'create': ADMIN}),
    'subnet_id': Attribute(schema=UUID_OR_NULL, on='c', shown=False),
    'port_id': Attribute(schema=UUID_OR_NULL, on='cu'),
    'fixed_ip_address': Attribute(schema=_IPV4_OR_NULL, on='cu', convert=plain_ip),
    'router_id': shown(),
    'status': shown(),
    'description': text(),
    'port_details': shown('port_details'),
})

GET = Rule('get_floatingip', ANY_READER, 'See floating IPs.')
CREATE = Rule('create_floatingip', MEMBER, 'Take a floating IP.')
UPDATE = Rule('update_floatingip', MEMBER, 'Associate a floating IP.')
DELETE = Rule('delete_floatingip', MEMBER, 'Give a floating IP back.')


@app.get('/floatingips', allow=GET)
def index(req: Request) -> dict[str, Any]:
    """Floating IPs of the project."""
    with req.wiring.db.reading() as tx:
        return FLOATING_IP.index(req, tx, rows.visible(req.context), rows.whole())


@app.post('/floatingips', body=FLOATING_IP.creation, allow=CREATE, late=True, status=201)
def create(req: Request, body: Given) -> dict[str, Any]:
    """Take a floating IP, and associate it if a port is named."""
    wishes = FLOATING_IP.wishes(req, body)
    return FLOATING_IP.answer(req, body, floatingips.create(req.wiring, req.context, wishes))


@app.get('/floatingips/{id}', allow=GET)
def show(req: Request, id: str) -> dict[str, Any]:
    """One floating IP."""
    with req.wiring.db.reading() as tx:
        return FLOATING_IP.shown(req, floatingips.get(tx, req.context, id))


@app.put('/floatingips/{id}', body=FLOATING_IP.change, allow=UPDATE, late=True)
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Associate a floating IP with a port, or with none."""
    with req.wiring.db.reading() as tx:
        changes = FLOATING_IP.changes(req, body, floatingips.get(tx, req.context, id))
    return FLOATING_IP.shown(req, floatingips.update(req.wiring, req.context, id, changes,
                                                     FLOATING_IP.revision(req)))


@app.delete('/floatingips/{id}', allow=DELETE, late=True, status=204)
def delete(req: Request, id: str) -> None:
    """Give a floating IP back."""
    with req.wiring.db.reading() as tx:
        req.enforce({'project_id': floatingips.get(tx, req.context, id).project_id})
    floatingips.delete(req.wiring, req.context, id)

"""The network cards of a server -- /servers/{id}/os-interface."""

from typing import Any

from nova.api.compute import app
from nova.api.policy import READER, rule
from nova.compute import servers
from nova.db import ports
from nova.db.ports import Port
from strata import errors
from strata.rest import Request, View, since

INTERFACE = View(
    port_id='id', net_id='network_id', mac_addr='mac_address', port_state='status',
    fixed_ips=lambda port: [{'ip_address': address.ip_address, 'subnet_id': address.subnet_id}
                            for address in port.addresses],
    tag=since('2.70', 'device_tag'),
)


def _cards(req: Request, id: str) -> list[Port]:
    servers.get(req.wiring, req.context, id)      # type: ignore[arg-type]
    with req.wiring.db.reading() as tx:
        return ports.of_device(tx, [id])[id]


@app.get('/servers/{id}/os-interface', allow=rule('os-attach-interfaces:list', READER))
def index(req: Request, id: str) -> dict[str, Any]:
    """All cards, in the order that the guest sees them in."""
    return {'interfaceAttachments': [INTERFACE(req, port) for port in _cards(req, id)]}


@app.get('/servers/{id}/os-interface/{port_id}', allow=rule('os-attach-interfaces:show', READER))
def show(req: Request, id: str, port_id: str) -> dict[str, Any]:
    """One card, by its port."""
    for port in _cards(req, id):
        if port.id == port_id:
            return {'interfaceAttachment': INTERFACE(req, port)}
    raise errors.NotFound('Instance {id} has no interface with port {port}.', id=id, port=port_id[:80])

"""Addresses of a server -- /servers/{id}/ips."""

from typing import Any

from nova.api.compute import app
from nova.api.compute.server_view import addresses
from nova.api.policy import READER, rule
from nova.db import servers
from nova.network import ports
from strata import errors
from strata.rest import Request


def _addresses(req: Request, id: str) -> dict[str, list[dict[str, Any]]]:
    with req.wiring.db.reading() as tx:
        servers.get(tx, req.context, id)      # type: ignore[arg-type]
        return addresses(ports.info(tx, [id]).get(id, ()), extended=False)


@app.get('/servers/{id}/ips', allow=rule('ips:index', READER))
def index(req: Request, id: str) -> dict[str, Any]:
    """Addresses by network."""
    return {'addresses': _addresses(req, id)}


@app.get('/servers/{id}/ips/{network}', allow=rule('ips:show', READER))
def show(req: Request, id: str, network: str) -> dict[str, Any]:
    """Addresses in one network."""
    found = _addresses(req, id)
    if network not in found:
        raise errors.NotFound('Instance is not a member of specified network')
    return {network: found[network]}

"""The password that a guest posted -- /servers/{id}/os-server-password; its user decrypts it."""

from typing import Any

from nova.api.compute import app
from nova.api.policy import MEMBER, READER, rule
from nova.compute import passwords
from strata.rest import Request

PATH = '/servers/{id}/os-server-password'


@app.get(PATH, allow=rule('os-server-password:show', READER))
def show(req: Request, id: str) -> dict[str, Any]:
    """The password as the guest encrypted it, or nothing."""
    assert req.context is not None
    return {'password': passwords.get(req.wiring, req.context, id)}


@app.delete(PATH, status=204, allow=rule('os-server-password:clear', MEMBER))
def clear(req: Request, id: str) -> None:
    """Forget it."""
    assert req.context is not None
    passwords.clear(req.wiring, req.context, id)

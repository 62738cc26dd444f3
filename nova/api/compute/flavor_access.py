"""Who may use a private flavor -- /flavors/{id}/os-flavor-access, and the actions that change it."""

from collections.abc import Sequence
from typing import Any

from nova.api.compute import app
from nova.api.policy import ADMIN, rule
from nova.compute import flavors
from strata.rest import Body, Request

TENANT = {'tenant': {'type': 'string', 'minLength': 1, 'maxLength': 64, 'format': 'printable'}}


def _list(id: str, projects: Sequence[str]) -> dict[str, Any]:
    return {'flavor_access': [{'flavor_id': id, 'tenant_id': project} for project in projects]}


@app.get('/flavors/{id}/os-flavor-access', allow=rule('os-flavor-access', ADMIN))
def index(req: Request, id: str) -> dict[str, Any]:
    """The projects that may use a private flavor."""
    return _list(id, flavors.accesses(req.wiring, req.context, id))


@app.action('/flavors/{id}', 'addTenantAccess', status=200, body=Body('addTenantAccess', TENANT, ['tenant']),
            allow=rule('os-flavor-access:add_tenant_access', ADMIN))
def add(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Let a project use a flavor; since 2.7 a public one is refused."""
    admitted = flavors.admit(req.wiring, req.context, id, body['tenant'], refuse_public=req.version >= (2, 7))
    return _list(id, admitted)


@app.action('/flavors/{id}', 'removeTenantAccess', status=200,
            body=Body('removeTenantAccess', TENANT, ['tenant']),
            allow=rule('os-flavor-access:remove_tenant_access', ADMIN))
def remove(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Take a flavor away from a project."""
    return _list(id, flavors.expel(req.wiring, req.context, id, body['tenant']))

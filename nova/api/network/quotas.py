"""Quotas -- /quotas."""

from typing import Any

from nova.api.network import app
from nova.api.network.attributes import BOOLEAN, INTEGER, STRING, true
from nova.api.network.policy import ADMIN, Rule
from nova.network import quotas
from strata import errors
from strata.rest import Document, Request

OWN = 'rule:context_is_admin or project_id:%(project_id)s'
GET = Rule('get_quota', OWN, 'See the quotas of a project.')
LIST = Rule('get_quotas', ADMIN, 'See the projects whose quotas differ from the defaults.')
UPDATE = Rule('update_quota', ADMIN, 'Set the quotas of a project.')
DELETE = Rule('delete_quota', ADMIN, 'Go back to the default quotas.')

_LIMIT = {**INTEGER, 'minimum': -1, 'maximum': 2 ** 31 - 1}
#: what clients send along, and what is not counted here
_ACCEPTED = {'check_limit': BOOLEAN, 'force': BOOLEAN, 'tenant_id': STRING, 'project_id': STRING}
CHANGE = Document({'type': 'object', 'additionalProperties': False, 'required': ['quota'], 'properties': {
    'quota': {'type': 'object', 'additionalProperties': False,
              'properties': {**dict.fromkeys(quotas.RESOURCES, _LIMIT), **_ACCEPTED}}}})


@app.get('/quotas', allow=LIST)
def index(req: Request) -> dict[str, Any]:
    """The projects whose limits were set."""
    return {'quotas': [{**limits, 'project_id': id, 'tenant_id': id}
                       for id, limits in quotas.every(req.wiring).items()]}


@app.get('/quotas/{project_id}', allow=GET, late=True)
def show(req: Request, project_id: str) -> dict[str, Any]:
    """The limits of a project."""
    req.enforce({'project_id': project_id})
    with req.wiring.db.reading() as tx:
        return {'quota': quotas.limits(tx, req.wiring, project_id)}


@app.get('/quotas/{project_id}/default', allow=GET, late=True)
def default(req: Request, project_id: str) -> dict[str, Any]:
    """The limits a project has if none were set."""
    req.enforce({'project_id': project_id})
    return {'quota': quotas.defaults(req.wiring)}


@app.get('/quotas/{project_id}/details', allow=GET, late=True)
def details(req: Request, project_id: str) -> dict[str, Any]:
    """The limits of a project and what it uses of them."""
    req.enforce({'project_id': project_id})
    return {'quota': quotas.details(req.wiring, project_id)}


app.get('/quotas/{project_id}/details.json', allow=GET, late=True)(details)


@app.put('/quotas/{project_id}', body=CHANGE, allow=UPDATE)
def update(req: Request, project_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Set limits; ``check_limit`` refuses those below what is used."""
    given = body['quota']
    values = {name: int(value) for name, value in given.items() if name in quotas.RESOURCES}
    if any(value < -1 for value in values.values()):
        raise errors.Invalid('Invalid input for quota. Reason: a limit is -1 or more.')
    check = true(given.get('check_limit', False)) and not true(given.get('force', False))
    return {'quota': quotas.update(req.wiring, project_id, values, check=check)}


@app.delete('/quotas/{project_id}', allow=DELETE, status=204)
def delete(req: Request, project_id: str) -> None:
    """Go back to the defaults."""
    quotas.reset(req.wiring, project_id)

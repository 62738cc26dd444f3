"""Credentials -- /credentials."""

from typing import Any

from keystone import credential
from keystone.api import app, bodies
from keystone.api.checks import ADMIN, READER
from keystone.api.listing import authorized, filtered, page, self_link, split
from keystone.credential import applications, stored
from keystone.db import credentials
from keystone.db.credentials import Credential
from strata.rest import Body, Request, Rule

_MINE = 'user_id:%(target.credential.user_id)s'
GET = Rule('identity:get_credential', f'{READER} or {_MINE}', 'Show a credential.')
LIST = Rule('identity:list_credentials', f'{READER} or {_MINE}', 'List credentials.')
CREATE = Rule('identity:create_credential', f'{ADMIN} or {_MINE}', 'Create a credential.')
UPDATE = Rule('identity:update_credential', f'{ADMIN} or {_MINE}', 'Change a credential.')
DELETE = Rule('identity:delete_credential', f'{ADMIN} or {_MINE}', 'Delete a credential.')

MEMBERS: dict[str, Any] = {'blob': {'type': 'string', 'maxLength': 65535}, 'type': bodies.name(255),
                           'user_id': bodies.ID, 'project_id': bodies.MAYBE_ID}
NEW = Body('credential', MEMBERS, ['blob', 'type'], open=True)
CHANGED = Body('credential', MEMBERS, open=True)


def shown(req: Request, row: Credential) -> dict[str, Any]:
    """A credential in a body, opened."""
    return {**row.extra, 'id': row.id, 'user_id': row.user_id, 'project_id': row.project_id, 'type': row.type,
            'blob': credential.opened(req.wiring, row), 'links': self_link(req, f'/credentials/{row.id}')}


@app.get('/credentials', allow=LIST, late=True)
def index(req: Request) -> dict[str, Any]:
    """List credentials: one's own, or everybody's to those who may see them."""
    assert req.context is not None
    query = filtered(credentials.query(), req, {'user_id': Credential.user_id, 'type': Credential.type})
    if not req.allows(LIST, {}):
        query = query.where(Credential.user_id == req.context.user_id)
    req.enforce({'target.credential.user_id': req.context.user_id})
    with req.wiring.db.reading() as tx:
        rows, links = page(req, tx, query, Credential)
    return {'credentials': [shown(req, row) for row in rows], 'links': links}


@app.post('/credentials', allow=CREATE, late=True, body=NEW, status=201)
def create(req: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Create a credential, one's own if no owner is named."""
    assert req.context is not None
    values, extra = split(body, set(MEMBERS))
    values['user_id'] = values.get('user_id') or req.context.user_id
    req.enforce({'target.credential.user_id': values['user_id']})
    token = req.environ['keystone.token']
    applications.unrestricted(token)
    row = stored.create(req.wiring, extra=extra,
                        application_credential_id=token.payload.application_credential_id, **values)
    return {'credential': shown(req, row)}


def _loaded(req: Request, id: str) -> Credential:
    with req.wiring.db.reading() as tx:
        row = credentials.get(tx, id)
    return authorized(req, row, 'credential', id, 'user_id')      # type: ignore[no-any-return]


@app.get('/credentials/{id}', allow=GET, late=True)
def show(req: Request, id: str) -> dict[str, Any]:
    """Show a credential."""
    return {'credential': shown(req, _loaded(req, id))}


@app.patch('/credentials/{id}', allow=UPDATE, late=True, body=CHANGED)
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a credential."""
    _loaded(req, id)
    applications.unrestricted(req.environ['keystone.token'])
    values, extra = split(body, set(MEMBERS))
    return {'credential': shown(req, stored.update(req.wiring, id, extra=extra, **values))}


@app.delete('/credentials/{id}', allow=DELETE, late=True, status=204)
def delete(req: Request, id: str) -> None:
    """Delete a credential."""
    _loaded(req, id)
    applications.unrestricted(req.environ['keystone.token'])
    stored.delete(req.wiring, id)

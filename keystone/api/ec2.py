"""EC2 keys -- /users/{id}/credentials/OS-EC2 -- and the tokens that their signatures open -- /ec2tokens."""

import secrets
from typing import Any

import orjson

from keystone.api import app, bodies
from keystone.api.checks import ADMIN, READER, SERVICE
from keystone.api.listing import links, self_link
from keystone.auth import ec2
from keystone.credential import applications, stored
from keystone.db import credentials
from keystone.db.credentials import Credential
from keystone.token import tokens
from strata import errors
from strata.rest import Document, Request, Response, Rule

_MINE = 'user_id:%(target.credential.user_id)s'
GET = Rule('identity:ec2_get_credential', f'{READER} or {_MINE}', 'Show an EC2 key.')
LIST = Rule('identity:ec2_list_credentials', f'{READER} or {_MINE}', 'List the EC2 keys of a user.')
CREATE = Rule('identity:ec2_create_credential', f'{ADMIN} or {_MINE}', 'Make an EC2 key.')
DELETE = Rule('identity:ec2_delete_credential', f'{ADMIN} or {_MINE}', 'Delete an EC2 key.')
TOKENS = Rule('identity:ec2_tokens', f'{ADMIN} or {SERVICE}', 'Exchange a signed request for a token.')

NEW = Document({'type': 'object', 'required': ['tenant_id'], 'properties': {'tenant_id': bodies.ID}})
_SIGNED = {'type': 'object', 'required': ['access', 'signature'], 'properties': {
    'access': {'type': 'string', 'minLength': 1, 'maxLength': 255},
    'signature': {'type': 'string', 'maxLength': 512},
    'host': {'type': 'string', 'maxLength': 512}, 'verb': {'type': 'string', 'maxLength': 16},
    'path': {'type': 'string', 'maxLength': 8192},
    'params': {'type': 'object'}, 'headers': {'type': 'object'},
    'body_hash': {'type': ['string', 'null'], 'maxLength': 128}}}
SIGNED = Document({'type': 'object', 'properties': {'credentials': _SIGNED, 'ec2Credentials': _SIGNED}})


def shown(req: Request, row: Credential) -> dict[str, Any]:
    """An EC2 key in a body."""
    keys = stored.keys(req.wiring, row)
    return {'user_id': row.user_id, 'tenant_id': row.project_id, 'access': keys['access'],
            'secret': keys['secret'], 'trust_id': None,
            'links': self_link(req, f'/users/{row.user_id}/credentials/OS-EC2/{keys["access"]}')}


@app.get('/users/{user_id}/credentials/OS-EC2', allow=LIST, late=True)
def index(req: Request, user_id: str) -> dict[str, Any]:
    """List the EC2 keys of a user."""
    req.enforce({'target.credential.user_id': user_id})
    with req.wiring.db.reading() as tx:
        rows = tx.scalars(credentials.query(user_id=user_id, type=stored.EC2).order_by(Credential.id)).all()
    return {'credentials': [shown(req, row) for row in rows], 'links': links(req)}


@app.post('/users/{user_id}/credentials/OS-EC2', allow=CREATE, late=True, body=NEW, status=201)
def create(req: Request, user_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Make an EC2 key for a project."""
    req.enforce({'target.credential.user_id': user_id})
    token = req.environ['keystone.token']
    applications.unrestricted(token)
    blob = {'access': secrets.token_hex(16), 'secret': secrets.token_hex(16), 'trust_id': None}
    row = stored.create(req.wiring, user_id=user_id, type=stored.EC2, blob=orjson.dumps(blob).decode(),
                        project_id=body['tenant_id'],
                        application_credential_id=token.payload.application_credential_id)
    return {'credential': shown(req, row)}


def _loaded(req: Request, user_id: str, access: str) -> Credential:
    req.enforce({'target.credential.user_id': user_id})
    with req.wiring.db.reading() as tx:
        row = credentials.opened_by(tx, access)
    if row is None or row.user_id != user_id:
        raise errors.NotFound('Could not find credential: {id}.', id=access[:80])
    return row


@app.get('/users/{user_id}/credentials/OS-EC2/{access}', allow=GET, late=True)
def show(req: Request, user_id: str, access: str) -> dict[str, Any]:
    """Show an EC2 key."""
    return {'credential': shown(req, _loaded(req, user_id, access))}


@app.delete('/users/{user_id}/credentials/OS-EC2/{access}', allow=DELETE, late=True, status=204)
def delete(req: Request, user_id: str, access: str) -> None:
    """Delete an EC2 key."""
    row = _loaded(req, user_id, access)
    applications.unrestricted(req.environ['keystone.token'])
    stored.delete(req.wiring, row.id)


@app.post('/ec2tokens', allow=TOKENS, body=SIGNED)
def exchange(req: Request, body: dict[str, Any]) -> Response:
    """The token of whoever signed a request; for services, which were sent it."""
    given = body.get('credentials') or body.get('ec2Credentials')
    if given is None:
        raise errors.Invalid("'credentials' or 'ec2Credentials' is a required property")
    token = ec2.authenticate(req.wiring, given)
    return Response(200, tokens.rendered(req.wiring, token), content_type='application/json',
                    headers={'X-Subject-Token': token.id, 'Vary': 'X-Auth-Token'})

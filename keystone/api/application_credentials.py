"""Application credentials -- /users/{id}/application_credentials -- and their access rules."""

from typing import Any

from keystone.api import app, bodies
from keystone.api.checks import ADMIN, OWNER, READER
from keystone.api.listing import filtered, page, self_link
from keystone.credential import applications
from keystone.db import credentials
from keystone.db.credentials import AccessRule, ApplicationCredential
from keystone.db.roles import Role
from strata import errors
from strata.clock import iso_micro
from strata.rest import Body, Request, Rule

GET = Rule('identity:get_application_credential', f'{READER} or {OWNER}', 'Show an application credential.')
LIST = Rule('identity:list_application_credentials', f'{READER} or {OWNER}',
            'List the application credentials of a user.')
CREATE = Rule('identity:create_application_credential', OWNER, 'Make an application credential.')
DELETE = Rule('identity:delete_application_credential', f'{ADMIN} or {OWNER}',
              'Delete an application credential.')
GET_RULE = Rule('identity:get_access_rule', f'{READER} or {OWNER}', 'Show an access rule.')
LIST_RULES = Rule('identity:list_access_rules', f'{READER} or {OWNER}', 'List the access rules of a user.')
DELETE_RULE = Rule('identity:delete_access_rule', f'{ADMIN} or {OWNER}', 'Delete an access rule.')

_ROLE = {'type': 'object', 'minProperties': 1, 'additionalProperties': False,
         'properties': {'id': bodies.ID, 'name': bodies.name(255)}}
_ACCESS = {'type': 'object', 'additionalProperties': False,
           'anyOf': [{'required': ['id']}, {'required': ['service', 'method', 'path']}],
           'properties': {'id': bodies.ID, 'service': bodies.name(255),
                          'path': {'type': 'string', 'minLength': 1, 'maxLength': 128},
                          'method': {'enum': ['POST', 'GET', 'HEAD', 'PATCH', 'PUT', 'DELETE']}}}
NEW = Body('application_credential', {
    'name': bodies.name(255), 'secret': {'type': ['string', 'null'], 'minLength': 1, 'maxLength': 4096},
    'description': bodies.DESCRIPTION, 'expires_at': {'type': ['string', 'null'], 'format': 'date-time'},
    'roles': {'type': ['array', 'null'], 'items': _ROLE, 'maxItems': 100},
    'unrestricted': {'type': ['boolean', 'null']}, 'project_id': bodies.MAYBE_ID,
    'access_rules': {'type': ['array', 'null'], 'items': _ACCESS, 'maxItems': 100}}, ['name'])


def shown(req: Request, row: ApplicationCredential, roles: dict[str, Role]) -> dict[str, Any]:
    """An application credential in a body, without its secret."""
    body = {'id': row.id, 'name': row.name, 'description': row.description, 'project_id': row.project_id,
            'user_id': row.user_id, 'expires_at': iso_micro(row.expires_at), 'unrestricted': row.unrestricted,
            'roles': [{'id': id, 'name': roles[id].name, 'domain_id': roles[id].domain_id}
                      for id in row.role_ids if id in roles],
            'links': self_link(req, f'/users/{row.user_id}/application_credentials/{row.id}')}
    if row.access_rules:
        body['access_rules'] = row.access_rules
    return body


@app.get('/users/{user_id}/application_credentials', allow=LIST, late=True)
def index(req: Request, user_id: str) -> dict[str, Any]:
    """List the application credentials of a user."""
    req.enforce({'user_id': user_id})
    query = filtered(credentials.applications(user_id), req, {'name': ApplicationCredential.name})
    with req.wiring.db.reading() as tx:
        rows, said = page(req, tx, query, ApplicationCredential)
        roles = applications.named_roles(tx, list(rows))
    return {'application_credentials': [shown(req, row, roles) for row in rows], 'links': said}


@app.post('/users/{user_id}/application_credentials', allow=CREATE, late=True, body=NEW, status=201)
def create(req: Request, user_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Make an application credential for the project of the caller's token."""
    req.enforce({'user_id': user_id})
    token = req.environ['keystone.token']
    applications.unrestricted(token)
    body = dict(body)
    if body.pop('project_id', None) not in (None, token.project_id):
        raise errors.Invalid('An application credential is for the project of the token it is made with.')
    row, secret = applications.create(req.wiring, token, role_names=body.pop('roles', None), **body)
    with req.wiring.db.reading() as tx:
        roles = applications.named_roles(tx, [row])
    return {'application_credential': {**shown(req, row, roles), 'secret': secret}}


@app.get('/users/{user_id}/application_credentials/{id}', allow=GET, late=True)
def show(req: Request, user_id: str, id: str) -> dict[str, Any]:
    """Show an application credential."""
    req.enforce({'user_id': user_id})
    with req.wiring.db.reading() as tx:
        row = applications.find(tx, user_id, id)
        return {'application_credential': shown(req, row, applications.named_roles(tx, [row]))}


@app.delete('/users/{user_id}/application_credentials/{id}', allow=DELETE, late=True, status=204)
def delete(req: Request, user_id: str, id: str) -> None:
    """Delete an application credential."""
    req.enforce({'user_id': user_id})
    applications.unrestricted(req.environ['keystone.token'])
    applications.delete(req.wiring, user_id, id)


def _shown_rule(req: Request, row: AccessRule) -> dict[str, Any]:
    return {'id': row.id, 'service': row.service, 'method': row.method, 'path': row.path,
            'links': self_link(req, f'/users/{row.user_id}/access_rules/{row.id}')}


@app.get('/users/{user_id}/access_rules', allow=LIST_RULES, late=True)
def list_rules(req: Request, user_id: str) -> dict[str, Any]:
    """List a user's access rules, whether a credential has them or not."""
    req.enforce({'user_id': user_id})
    query = filtered(credentials.access_rules(user_id), req, {
        'service': AccessRule.service, 'method': AccessRule.method, 'path': AccessRule.path})
    with req.wiring.db.reading() as tx:
        rows, said = page(req, tx, query, AccessRule)
    return {'access_rules': [_shown_rule(req, row) for row in rows], 'links': said}


@app.get('/users/{user_id}/access_rules/{id}', allow=GET_RULE, late=True)
def show_rule(req: Request, user_id: str, id: str) -> dict[str, Any]:
    """Show an access rule."""
    req.enforce({'user_id': user_id})
    with req.wiring.db.reading() as tx:
        return {'access_rule': _shown_rule(req, applications.find_rule(tx, user_id, id))}


@app.delete('/users/{user_id}/access_rules/{id}', allow=DELETE_RULE, late=True, status=204)
def delete_rule(req: Request, user_id: str, id: str) -> None:
    """Delete an access rule that no application credential has."""
    req.enforce({'user_id': user_id})
    applications.unrestricted(req.environ['keystone.token'])
    applications.delete_rule(req.wiring, user_id, id)

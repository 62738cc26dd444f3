"""Users -- /users."""

from typing import Any

from keystone.api import app, bodies
from keystone.api import groups as group_api
from keystone.api import projects as project_api
from keystone.api.checks import ADMIN, READER, within
from keystone.api.listing import asked_domain, authorized, confined, filtered, home, page, self_link, split
from keystone.assignment import scopes
from keystone.db import groups, projects, users
from keystone.db.groups import Group
from keystone.db.projects import Project
from keystone.db.users import User
from keystone.identity import users as domain_functions
from strata.clock import iso_micro
from strata.rest import PUBLIC, Body, Request, Rule

_HOME = 'target.user.domain_id'
_SELF = 'user_id:%(target.user.id)s'
_SEE = f'{READER} or {within("reader", _HOME)} or {_SELF}'
_RUN = f'{ADMIN} or {within("manager", _HOME)}'
GET = Rule('identity:get_user', _SEE, 'Show a user.')
LIST = Rule('identity:list_users', f'{READER} or {within("reader", "target.domain_id")}', 'List users.')
CREATE = Rule('identity:create_user', _RUN, 'Create a user.')
UPDATE = Rule('identity:update_user', _RUN, 'Change a user.')
DELETE = Rule('identity:delete_user', _RUN, 'Delete a user.')
GROUPS = Rule('identity:list_groups_for_user', _SEE, 'List the groups of a user.')
PROJECTS = Rule('identity:list_user_projects', _SEE, 'List the projects of a user.')

_FLAG = {'type': ['boolean', 'null']}
OPTIONS = {'type': 'object', 'additionalProperties': False, 'properties': {
    'ignore_change_password_upon_first_use': _FLAG, 'ignore_password_expiry': _FLAG,
    'ignore_lockout_failure_attempts': _FLAG, 'lock_password': _FLAG, 'ignore_user_inactivity': _FLAG,
    'multi_factor_auth_enabled': _FLAG,
    'multi_factor_auth_rules': {'type': ['array', 'null'], 'maxItems': 32, 'items': {
        'type': 'array', 'maxItems': 8, 'items': {'type': 'string', 'maxLength': 64}}}}}
MEMBERS: dict[str, Any] = {
    'name': bodies.name(255), 'domain_id': bodies.MAYBE_ID, 'enabled': bodies.ENABLED,
    'default_project_id': bodies.MAYBE_ID, 'password': {'type': ['string', 'null']}, 'options': OPTIONS}
NEW = Body('user', {**MEMBERS, 'description': bodies.DESCRIPTION}, ['name'], open=True)
CHANGED = Body('user', {**MEMBERS, 'description': bodies.DESCRIPTION}, open=True)
PASSWORDS = Body('user', {'password': {'type': 'string'}, 'original_password': {'type': 'string'}},
                 ['password', 'original_password'])
FILTERS = {'name': User.name, 'enabled': User.enabled, 'domain_id': User.domain_id, 'id': User.id}


def shown(req: Request, user: User) -> dict[str, Any]:
    """A user in a body: never the password nor its hash."""
    body = {**user.extra, 'id': user.id, 'name': user.name, 'domain_id': user.domain_id,
            'enabled': user.enabled, 'options': user.options,
            'password_expires_at': iso_micro(user.password_expires_at),
            'links': self_link(req, f'/users/{user.id}')}
    if user.default_project_id:
        body['default_project_id'] = user.default_project_id
    return body


@app.get('/users', allow=LIST, late=True)
def index(req: Request) -> dict[str, Any]:
    """List users; with a token for a domain, those of that domain."""
    req.enforce(asked_domain(req))
    query = filtered(confined(req, users.query(), User.domain_id), req, FILTERS)
    with req.wiring.db.reading() as tx:
        rows, links = page(req, tx, query, User)
    return {'users': [shown(req, row) for row in rows], 'links': links}


@app.post('/users', allow=CREATE, late=True, body=NEW, status=201)
def create(req: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Create a user."""
    values, extra = split(body, set(MEMBERS))
    values['domain_id'] = home(req, body)
    req.enforce({_HOME: values['domain_id']})
    return {'user': shown(req, domain_functions.create(req.wiring, extra=_kept(extra), **values))}


def _kept(extra: dict[str, Any]) -> dict[str, Any]:
    """What is kept of the rest: nothing that only looks as if it meant something."""
    return {key: value for key, value in extra.items()
            if key not in ('password_expires_at', 'federated', 'original_password')}


def loaded(req: Request, id: str) -> User:
    """The user, once the endpoint's rule has been asked about them."""
    with req.wiring.db.reading() as tx:
        user = users.get(tx, id)
    return authorized(req, user, 'user', id, 'domain_id')      # type: ignore[no-any-return]


@app.get('/users/{id}', allow=GET, late=True)
def show(req: Request, id: str) -> dict[str, Any]:
    """Show a user."""
    return {'user': shown(req, loaded(req, id))}


@app.patch('/users/{id}', allow=UPDATE, late=True, body=CHANGED)
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a user."""
    loaded(req, id)
    values, extra = split(body, set(MEMBERS))
    return {'user': shown(req, domain_functions.update(req.wiring, id, extra=_kept(extra), **values))}


@app.delete('/users/{id}', allow=DELETE, late=True, status=204)
def delete(req: Request, id: str) -> None:
    """Delete a user."""
    loaded(req, id)
    domain_functions.delete(req.wiring, id)


@app.post('/users/{id}/password', allow=PUBLIC, body=PASSWORDS, status=204)
def change_password(req: Request, id: str, body: dict[str, Any]) -> None:
    """Change one's own password; the original one is the authority, so an expired one can be changed too."""
    domain_functions.change_password(req.wiring, id, **body)


@app.get('/users/{id}/groups', allow=GROUPS, late=True)
def list_groups(req: Request, id: str) -> dict[str, Any]:
    """List the groups that a user is in."""
    loaded(req, id)
    with req.wiring.db.reading() as tx:
        rows, links = page(req, tx, filtered(groups.of_user(id), req, {'name': Group.name}), Group)
    return {'groups': [group_api.shown(req, row) for row in rows], 'links': links}


@app.get('/users/{id}/projects', allow=PROJECTS, late=True)
def list_projects(req: Request, id: str) -> dict[str, Any]:
    """List the projects that a user has a role on."""
    loaded(req, id)
    with req.wiring.db.reading() as tx:
        ids = scopes.project_ids(tx, id)
        return project_api.listed(req, tx, projects.query().where(Project.id.in_(ids)))

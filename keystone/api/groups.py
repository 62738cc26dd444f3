"""Groups -- /groups."""

from typing import Any

from keystone.api import app, bodies
from keystone.api.checks import ADMIN, READER, within
from keystone.api.listing import asked_domain, authorized, confined, filtered, home, page, self_link, split
from keystone.db import groups, users
from keystone.db.groups import Group
from keystone.db.users import User
from keystone.identity import groups as domain_functions
from strata import errors
from strata.rest import Body, Request, Rule

_HOME = 'target.group.domain_id'
_SEE = f'{READER} or {within("reader", _HOME)}'
_RUN = f'{ADMIN} or {within("manager", _HOME)}'
_BOTH = f'{ADMIN} or (role:manager and domain_id:%(target.group.domain_id)s and ' \
    'domain_id:%(target.user.domain_id)s)'
GET = Rule('identity:get_group', _SEE, 'Show a group.')
LIST = Rule('identity:list_groups', f'{READER} or {within("reader", "target.domain_id")}', 'List groups.')
CREATE = Rule('identity:create_group', _RUN, 'Create a group.')
UPDATE = Rule('identity:update_group', _RUN, 'Change a group.')
DELETE = Rule('identity:delete_group', _RUN, 'Delete a group.')
USERS = Rule('identity:list_users_in_group', _SEE, 'List the users in a group.')
CHECK = Rule('identity:check_user_in_group', f'{_SEE} or user_id:%(target.user.id)s',
             'See whether a user is in a group.')
ADD = Rule('identity:add_user_to_group', _BOTH, 'Add a user to a group.')
REMOVE = Rule('identity:remove_user_from_group', _BOTH, 'Remove a user from a group.')

MEMBERS: dict[str, Any] = {'name': bodies.name(64), 'domain_id': bodies.MAYBE_ID,
                           'description': bodies.DESCRIPTION}
NEW = Body('group', MEMBERS, ['name'], open=True)
CHANGED = Body('group', MEMBERS, open=True)
FILTERS = {'name': Group.name, 'domain_id': Group.domain_id, 'id': Group.id}


def shown(req: Request, group: Group) -> dict[str, Any]:
    """A group in a body."""
    return {**group.extra, 'id': group.id, 'name': group.name, 'domain_id': group.domain_id,
            'description': group.description, 'links': self_link(req, f'/groups/{group.id}')}


@app.get('/groups', allow=LIST, late=True)
def index(req: Request) -> dict[str, Any]:
    """List groups; with a token for a domain, those of that domain."""
    req.enforce(asked_domain(req))
    query = filtered(confined(req, groups.query(), Group.domain_id), req, FILTERS)
    with req.wiring.db.reading() as tx:
        rows, links = page(req, tx, query, Group)
    return {'groups': [shown(req, row) for row in rows], 'links': links}


@app.post('/groups', allow=CREATE, late=True, body=NEW, status=201)
def create(req: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Create a group."""
    values, extra = split(body, set(MEMBERS))
    values['domain_id'] = home(req, body)
    req.enforce({_HOME: values['domain_id']})
    return {'group': shown(req, domain_functions.create(req.wiring, extra=extra, **values))}


def loaded(req: Request, id: str) -> Group:
    """The group, once the endpoint's rule has been asked about it."""
    with req.wiring.db.reading() as tx:
        group = groups.get(tx, id)
    return authorized(req, group, 'group', id, 'domain_id')      # type: ignore[no-any-return]


@app.get('/groups/{id}', allow=GET, late=True)
def show(req: Request, id: str) -> dict[str, Any]:
    """Show a group."""
    return {'group': shown(req, loaded(req, id))}


@app.patch('/groups/{id}', allow=UPDATE, late=True, body=CHANGED)
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a group."""
    loaded(req, id)
    values, extra = split(body, set(MEMBERS))
    return {'group': shown(req, domain_functions.update(req.wiring, id, extra=extra, **values))}


@app.delete('/groups/{id}', allow=DELETE, late=True, status=204)
def delete(req: Request, id: str) -> None:
    """Delete a group."""
    loaded(req, id)
    domain_functions.delete(req.wiring, id)


@app.get('/groups/{id}/users', allow=USERS, late=True)
def list_users(req: Request, id: str) -> dict[str, Any]:
    """List the users in a group."""
    from keystone.api import users as user_api  # the two resources show each other
    loaded(req, id)
    with req.wiring.db.reading() as tx:
        rows, links = page(req, tx, filtered(groups.members(id), req, user_api.FILTERS), User)
    return {'users': [user_api.shown(req, row) for row in rows], 'links': links}


def _both(req: Request, id: str, user_id: str) -> None:
    """Enforce a rule about a group and a user; 404 for either that is not there."""
    with req.wiring.db.reading() as tx:
        group, user = groups.get(tx, id), users.get(tx, user_id)
    about = {'target.user.id': user.id, 'target.user.domain_id': user.domain_id} if user else {}
    authorized(req, group, 'group', id, 'domain_id', about=about)
    if user is None:
        raise errors.NotFound('Could not find user: {id}.', id=user_id[:80])


@app.get('/groups/{id}/users/{user_id}', allow=CHECK, late=True, status=204)
def check_user(req: Request, id: str, user_id: str) -> None:
    """204 if the user is in the group; HEAD works too."""
    _both(req, id, user_id)
    with req.wiring.db.reading() as tx:
        if groups.membership(tx, id, user_id) is None:
            raise errors.NotFound('User {user} is not in group {group}.', user=user_id, group=id)


@app.put('/groups/{id}/users/{user_id}', allow=ADD, late=True, status=204)
def add_user(req: Request, id: str, user_id: str) -> None:
    """Add a user to a group."""
    _both(req, id, user_id)
    domain_functions.add_user(req.wiring, id, user_id)


@app.delete('/groups/{id}/users/{user_id}', allow=REMOVE, late=True, status=204)
def remove_user(req: Request, id: str, user_id: str) -> None:
    """Remove a user from a group."""
    _both(req, id, user_id)
    domain_functions.remove_user(req.wiring, id, user_id)

"""Roles -- /roles, and what they imply -- /roles/{id}/implies, /role_inferences."""

from typing import Any

from keystone.api import app, bodies
from keystone.api.checks import ADMIN, READER
from keystone.api.listing import authorized, filtered, page, self_link, split
from keystone.assignment import roles as domain_functions
from keystone.db import roles
from keystone.db.roles import Role
from strata.rest import Body, Request, Rule

_SEE = f'{READER} or role:manager'
_HOME = f'{READER} or (role:reader and domain_id:%(target.role.domain_id)s)'
GET = Rule('identity:get_role', _SEE, 'Show a role.')
LIST = Rule('identity:list_roles', _SEE, 'List the global roles.')
CREATE = Rule('identity:create_role', ADMIN, 'Create a role.')
UPDATE = Rule('identity:update_role', ADMIN, 'Change a role.')
DELETE = Rule('identity:delete_role', ADMIN, 'Delete a role.')
GET_LOCAL = Rule('identity:get_domain_role', _HOME, 'Show a role of a domain.')
LIST_LOCAL = Rule('identity:list_domain_roles',
                  f'{READER} or (role:reader and domain_id:%(target.domain_id)s)',
                  'List the roles of a domain.')
GET_IMPLIED = Rule('identity:get_implied_role', READER, 'Show that a role implies another.')
LIST_IMPLIED = Rule('identity:list_implied_roles', READER, 'List what a role implies.')
CREATE_IMPLIED = Rule('identity:create_implied_role', ADMIN, 'Have a role imply another.')
DELETE_IMPLIED = Rule('identity:delete_implied_role', ADMIN, 'Have a role no longer imply another.')
INFERENCES = Rule('identity:list_role_inference_rules', READER, 'List all implications.')

MEMBERS: dict[str, Any] = {'name': bodies.name(255), 'description': bodies.DESCRIPTION,
                           'domain_id': bodies.MAYBE_ID, 'options': bodies.OPTIONS}
NEW = Body('role', MEMBERS, ['name'], open=True)
CHANGED = Body('role', MEMBERS, open=True)
FILTERS = {'name': Role.name, 'domain_id': Role.domain_id, 'id': Role.id}


def shown(req: Request, role: Role) -> dict[str, Any]:
    """A role in a body."""
    return {**role.extra, 'id': role.id, 'name': role.name, 'domain_id': role.domain_id,
            'description': role.description, 'options': role.options,
            'links': self_link(req, f'/roles/{role.id}')}


@app.get('/roles', allow=LIST, late=True)
def index(req: Request) -> dict[str, Any]:
    """List roles: the global ones, or with ``domain_id`` those of a domain."""
    query = filtered(roles.query(), req, FILTERS)
    domain_id = req.query.get('domain_id', [None])[-1]
    if domain_id:
        req.enforce({'target.domain_id': domain_id}, LIST_LOCAL)
    else:
        req.enforce()
        query = query.where(Role.domain_id.is_(None))
    with req.wiring.db.reading() as tx:
        rows, links = page(req, tx, query, Role)
    return {'roles': [shown(req, row) for row in rows], 'links': links}


@app.post('/roles', allow=CREATE, body=NEW, status=201)
def create(req: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Create a role."""
    values, extra = split(body, set(MEMBERS))
    return {'role': shown(req, domain_functions.create(req.wiring, extra=extra, **values))}


@app.get('/roles/{id}', allow=GET, late=True)
def show(req: Request, id: str) -> dict[str, Any]:
    """Show a role."""
    with req.wiring.db.reading() as tx:
        role = roles.get(tx, id)
    if role is not None and role.domain_id is not None:
        req.enforce({'target.role.domain_id': role.domain_id}, GET_LOCAL)
    else:
        authorized(req, role, 'role', id)
    return {'role': shown(req, role)}      # type: ignore[arg-type]


@app.patch('/roles/{id}', allow=UPDATE, body=CHANGED)
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a role."""
    values, extra = split(body, set(MEMBERS))
    return {'role': shown(req, domain_functions.update(req.wiring, id, extra=extra, **values))}


@app.delete('/roles/{id}', allow=DELETE, status=204)
def delete(req: Request, id: str) -> None:
    """Delete a role."""
    domain_functions.delete(req.wiring, id)


def _brief(req: Request, role: Role) -> dict[str, Any]:
    return {'id': role.id, 'name': role.name, 'description': role.description,
            'links': self_link(req, f'/roles/{role.id}')}


def _inference(req: Request, prior: Role, implied: Role) -> dict[str, Any]:
    return {'role_inference': {'prior_role': _brief(req, prior), 'implies': _brief(req, implied)},
            'links': self_link(req, f'/roles/{prior.id}/implies/{implied.id}')}


@app.get('/roles/{id}/implies', allow=LIST_IMPLIED)
def list_implied(req: Request, id: str) -> dict[str, Any]:
    """List what a role implies, one step."""
    with req.wiring.db.reading() as tx:
        prior, rows = domain_functions.find(tx, id), roles.implied(tx, id)
    return {'role_inference': {'prior_role': _brief(req, prior),
                               'implies': [_brief(req, row) for row in rows]},
            'links': self_link(req, f'/roles/{id}/implies')}


@app.get('/roles/{id}/implies/{implied_id}', allow=GET_IMPLIED)
def show_implied(req: Request, id: str, implied_id: str) -> dict[str, Any]:
    """Show that a role implies another."""
    with req.wiring.db.reading() as tx:
        return _inference(req, *domain_functions.implication(tx, id, implied_id))


@app.head('/roles/{id}/implies/{implied_id}', allow=GET_IMPLIED, status=204)
def check_implied(req: Request, id: str, implied_id: str) -> None:
    """204 if a role implies another."""
    with req.wiring.db.reading() as tx:
        domain_functions.implication(tx, id, implied_id)


@app.put('/roles/{id}/implies/{implied_id}', allow=CREATE_IMPLIED, status=201)
def imply(req: Request, id: str, implied_id: str) -> dict[str, Any]:
    """Have a role imply another."""
    domain_functions.imply(req.wiring, id, implied_id)
    with req.wiring.db.reading() as tx:
        return _inference(req, *domain_functions.implication(tx, id, implied_id))


@app.delete('/roles/{id}/implies/{implied_id}', allow=DELETE_IMPLIED, status=204)
def stop_implying(req: Request, id: str, implied_id: str) -> None:
    """Have a role no longer imply another."""
    domain_functions.stop_implying(req.wiring, id, implied_id)


@app.get('/role_inferences', allow=INFERENCES)
def list_inferences(req: Request) -> dict[str, Any]:
    """List all implications, by the role that implies."""
    with req.wiring.db.reading() as tx:
        names = {role.id: role for role in roles.all_of(tx)}
        rows = roles.implications(tx)
    by_prior: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_prior.setdefault(row.prior_id, []).append(_brief(req, names[row.implied_id]))
    return {'role_inferences': [{'prior_role': _brief(req, names[prior]), 'implies': implied}
                                for prior, implied in by_prior.items()],
            'links': {'self': req.path_url}}

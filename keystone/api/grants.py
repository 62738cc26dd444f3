"""Giving roles -- {projects,domains,system}/.../{users,groups}/{id}/roles/{role_id}.

Each kind of actor on each kind of target, inherited or not, has the same five
routes; they are declared in a loop.
"""

from typing import Any

from sqlalchemy.orm import Session

from keystone.api import app
from keystone.api import roles as role_api
from keystone.api.checks import ADMIN, READER
from keystone.api.listing import links
from keystone.assignment import grants
from keystone.db import assignments, roles
from keystone.db.assignments import DOMAIN, GROUP, PROJECT, SYSTEM, USER, Assignment
from strata import errors
from strata.rest import Request, Rule


def _in_domain(role: str) -> str:
    """Somebody with ``role`` on the domain that both the actor and the target are in."""
    own = f'role:{role} and domain_id:%(target.actor.domain_id)s'
    return f'({own} and domain_id:%(target.project.domain_id)s) or ({own} and domain_id:%(target.domain.id)s)'


#: what a domain's manager may hand on
_HANDED = "('manager':%(target.role.name)s or 'member':%(target.role.name)s or 'reader':%(target.role.name)s)"
_SEE = f'{READER} or {_in_domain("reader")}'
_RUN = f'{ADMIN} or (({_in_domain("manager")}) and {_HANDED})'
CHECK = Rule('identity:check_grant', _SEE, 'See whether somebody was given a role.')
LIST = Rule('identity:list_grants', _SEE, 'List the roles that somebody was given.')
CREATE = Rule('identity:create_grant', _RUN, 'Give somebody a role.')
REVOKE = Rule('identity:revoke_grant', _RUN, 'Take a role from somebody.')
SYSTEM_RULES = {
    kind: {verb: Rule(f'identity:{name}', READER if verb in ('list', 'check') else ADMIN, about)
           for verb, name, about in (
               ('list', f'list_system_grants_for_{kind}', f"List a {kind}'s roles on the system."),
               ('check', f'check_system_grant_for_{kind}', f'See whether a {kind} has a role on the system.'),
               ('create', f'create_system_grant_for_{kind}', f'Give a {kind} a role on the system.'),
               ('revoke', f'revoke_system_grant_for_{kind}', f'Take a role on the system from a {kind}.'))}
    for kind in (USER, GROUP)}
OTHER_RULES = {'list': LIST, 'check': CHECK, 'create': CREATE, 'revoke': REVOKE}


def _target_values(tx: Session, kind: str, id: str) -> dict[str, Any]:
    """What rules may ask about the target; 404 comes later, from the work itself."""
    place = None if kind == SYSTEM else grants.target(tx, kind, id)
    if place is None:
        return {}
    if kind == DOMAIN:
        return {'target.domain.id': place.id}
    return {'target.project.id': place.id, 'target.project.domain_id': place.domain_id}


def _enforce(req: Request, actor_kind: str, actor_id: str, kind: str, target_id: str,
             role_id: str | None = None) -> None:
    with req.wiring.db.reading() as tx:
        about = _target_values(tx, kind, target_id)
        actor = grants.actor(tx, actor_kind, actor_id)
        role = roles.get(tx, role_id) if role_id else None
    if actor is not None:
        about['target.actor.domain_id'] = actor.domain_id
        about[f'target.{actor_kind}.domain_id'] = actor.domain_id
    if role is not None:
        about['target.role.name'] = role.name if role.domain_id is None else ''
    req.enforce(about)
    if actor is None:
        raise errors.NotFound('Could not find {kind}: {id}.', kind=actor_kind, id=actor_id[:80])
    if kind != SYSTEM and len(about) < 3:
        raise errors.NotFound('Could not find {kind}: {id}.', kind=kind, id=target_id[:80])


def declare(path: str, actor_kind: str, kind: str, rules: dict[str, Rule], *,
            inherited: bool = False) -> None:
    """The routes of one kind of actor on one kind of target."""
    single = path.replace('{roles}', 'roles/{role_id}')
    many = path.replace('{roles}', 'roles')

    def key(actor_id: str, role_id: str, target_id: str) -> Assignment:
        return Assignment(actor=actor_kind, actor_id=actor_id, target=kind, target_id=target_id,
                          role_id=role_id, inherited=inherited)

    @app.get(many, allow=rules['list'], late=True)
    def index(req: Request, actor_id: str, target_id: str = assignments.ALL) -> dict[str, Any]:
        """List the roles that somebody was given."""
        _enforce(req, actor_kind, actor_id, kind, target_id)
        with req.wiring.db.reading() as tx:
            rows = grants.listed(tx, actor_kind, actor_id, kind, target_id, inherited=inherited)
        return {'roles': [role_api.shown(req, row) for row in rows], 'links': links(req)}

    @app.get(single, allow=rules['check'], late=True, status=204)
    def check(req: Request, actor_id: str, role_id: str, target_id: str = assignments.ALL) -> None:
        """204 if somebody was given the role."""
        _enforce(req, actor_kind, actor_id, kind, target_id, role_id)
        with req.wiring.db.reading() as tx:
            grants.check(tx, key(actor_id, role_id, target_id))

    @app.put(single, allow=rules['create'], late=True, status=204)
    def create(req: Request, actor_id: str, role_id: str, target_id: str = assignments.ALL) -> None:
        """Give somebody the role."""
        _enforce(req, actor_kind, actor_id, kind, target_id, role_id)
        grants.give(req.wiring, key(actor_id, role_id, target_id))

    @app.delete(single, allow=rules['revoke'], late=True, status=204)
    def revoke(req: Request, actor_id: str, role_id: str, target_id: str = assignments.ALL) -> None:
        """Take the role away."""
        _enforce(req, actor_kind, actor_id, kind, target_id, role_id)
        grants.take(req.wiring, key(actor_id, role_id, target_id))


for _actor in (USER, GROUP):
    declare(f'/system/{_actor}s/{{actor_id}}/{{roles}}', _actor, SYSTEM, SYSTEM_RULES[_actor])
    for _kind in (PROJECT, DOMAIN):
        _path = f'/{_kind}s/{{target_id}}/{_actor}s/{{actor_id}}/{{roles}}'
        declare(_path, _actor, _kind, OTHER_RULES)
        declare(f'/OS-INHERIT{_path}/inherited_to_projects', _actor, _kind, OTHER_RULES, inherited=True)

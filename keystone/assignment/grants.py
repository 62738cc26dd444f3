"""Giving roles and taking them away."""

from sqlalchemy.orm import Session

from keystone import changes
from keystone.db import assignments, groups, projects, roles, users
from keystone.db.assignments import Assignment
from keystone.db.groups import Group
from keystone.db.projects import Project
from keystone.db.roles import Role
from keystone.db.users import User
from keystone.wiring import Wiring
from strata import errors
from strata.db import retried

GETTERS = {assignments.USER: users.get, assignments.GROUP: groups.get}


def actor(tx: Session, kind: str, id: str) -> User | Group | None:
    """The user or group."""
    return GETTERS[kind](tx, id)      # type: ignore[operator, no-any-return]


def target(tx: Session, kind: str, id: str) -> Project | None:
    """The project or domain."""
    return projects.domain(tx, id=id) if kind == assignments.DOMAIN else projects.get(tx, id)


@retried
def give(wiring: Wiring, wanted: Assignment) -> None:
    """Make an assignment; one that is there already stays."""
    with wiring.changing() as tx:
        role: Role = changes.found(roles.get(tx, wanted.role_id), 'role', wanted.role_id)
        changes.found(actor(tx, wanted.actor, wanted.actor_id), wanted.actor, wanted.actor_id)
        if wanted.target != assignments.SYSTEM:
            place = changes.found(target(tx, wanted.target, wanted.target_id), wanted.target,
                                  wanted.target_id)
            if role.domain_id is not None and role.domain_id != (place.domain_id or place.id):
                raise errors.Forbidden('The role {id} only means something in domain {domain}.', id=role.id,
                                       domain=role.domain_id)
        elif role.domain_id is not None:
            raise errors.Invalid('The role {id} only means something in a domain.', id=role.id)
        if assignments.get(tx, wanted) is None:
            tx.add(wanted)


def check(tx: Session, wanted: Assignment) -> None:
    """``errors.NotFound`` if there is no such assignment."""
    if assignments.get(tx, wanted) is None:
        raise errors.NotFound('Could not find role assignment with role: {role}, {actor}: {id}, '
                              '{target}: {where}.', role=wanted.role_id[:80], actor=wanted.actor,
                              id=wanted.actor_id[:80], target=wanted.target, where=wanted.target_id[:80])


@retried
def take(wiring: Wiring, wanted: Assignment) -> None:
    """Remove an assignment; tokens lose the role with the next validation."""
    with wiring.changing() as tx:
        check(tx, wanted)
        tx.delete(assignments.get(tx, wanted))


def listed(tx: Session, actor_kind: str, actor_id: str, kind: str, id: str, *, inherited: bool) -> list[Role]:
    """The roles that somebody was given on a target, groups and inheritance left aside."""
    query = (roles.query().join(Assignment, Assignment.role_id == Role.id)
             .where(Assignment.actor == actor_kind, Assignment.actor_id == actor_id,
                    assignments.aimed([(kind, id, inherited)])).order_by(Role.name, Role.id))
    return list(tx.scalars(query))

"""Roles and what they imply: making, changing and removing them."""

from typing import Any

from sqlalchemy.orm import Session

from keystone import changes
from keystone.assignment import effective
from keystone.db import assignments, projects, roles
from keystone.db.base import new_id, within
from keystone.db.roles import Implication, Role
from keystone.wiring import Wiring
from strata import errors
from strata.db import retried

#: nothing may make an administrator by the back door
NEVER_IMPLIED = 'admin'


@retried
def create(wiring: Wiring, *, name: str, extra: dict[str, Any], domain_id: str | None = None,
           description: str | None = None, options: dict[str, Any] | None = None) -> Role:
    """A new role; with ``domain_id`` one that means something in that domain only."""
    role = Role(id=new_id(), name=name, domain_id=domain_id, within=within(domain_id), extra=extra,
                description=description, options=changes.options({}, options))
    with changes.unique('role', name), wiring.changing() as tx:
        if domain_id is not None:
            changes.found(projects.domain(tx, id=domain_id), 'domain', domain_id)
        tx.add(role)
    return role


def find(tx: Session, id: str) -> Role:
    """The role, or ``errors.NotFound``."""
    role: Role = changes.found(roles.get(tx, id), 'role', id)
    return role


@retried
def update(wiring: Wiring, id: str, *, extra: dict[str, Any], **values: Any) -> Role:
    """Change a role."""
    with changes.unique('role', values.get('name', '')), wiring.changing() as tx:
        role = find(tx, id)
        changes.check_movable(role, 'role', values)
        changes.check_domain(role, values)
        values['options'] = changes.options(role.options, values.get('options'))
        role.extra = changes.merged(role.extra, extra)
        for key, value in values.items():
            setattr(role, key, value)
    return role


@retried
def delete(wiring: Wiring, id: str) -> None:
    """Remove a role, from everybody who has it too."""
    with wiring.changing() as tx:
        role = find(tx, id)
        changes.check_movable(role, 'role')
        assignments.forget_role(tx, id)
        tx.delete(role)


@retried
def imply(wiring: Wiring, prior_id: str, implied_id: str) -> None:
    """From now on who has one role has the other too."""
    with wiring.changing() as tx:
        prior, implied = find(tx, prior_id), find(tx, implied_id)
        if implied.domain_id is None and implied.name == NEVER_IMPLIED:
            raise errors.Forbidden('The role {name} cannot be implied.', name=implied.name)
        if implied.domain_id is not None and prior.domain_id is None:
            raise errors.Forbidden('A role of a domain cannot be implied by a global role.')
        if prior_id in effective.load(tx).closure([implied_id]):
            raise errors.Forbidden('The role {id} implies the other already; they cannot imply each other.',
                                   id=implied_id)
        if roles.implication(tx, prior_id, implied_id) is None:
            tx.add(Implication(prior_id=prior_id, implied_id=implied_id))


def implication(tx: Session, prior_id: str, implied_id: str) -> tuple[Role, Role]:
    """Both roles, if one implies the other; ``errors.NotFound`` otherwise."""
    prior, implied = find(tx, prior_id), find(tx, implied_id)
    changes.found(roles.implication(tx, prior_id, implied_id), 'role inference',
                  f'{prior_id} -> {implied_id}')
    return prior, implied


@retried
def stop_implying(wiring: Wiring, prior_id: str, implied_id: str) -> None:
    """The one role no longer brings the other."""
    with wiring.changing() as tx:
        implication(tx, prior_id, implied_id)
        tx.delete(roles.implication(tx, prior_id, implied_id))

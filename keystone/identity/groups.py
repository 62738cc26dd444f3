"""Groups: what is given to one is given to everybody in it."""

from typing import Any

from sqlalchemy.orm import Session

from keystone import changes
from keystone.db import assignments, groups, projects, users
from keystone.db.base import new_id
from keystone.db.groups import Group, Membership
from keystone.wiring import Wiring
from strata import errors
from strata.db import retried


@retried
def create(wiring: Wiring, *, name: str, domain_id: str, extra: dict[str, Any],
           description: str | None = '') -> Group:
    """A new group."""
    group = Group(id=new_id(), name=name, domain_id=domain_id, description=description or '', extra=extra)
    with changes.unique('group', name), wiring.changing() as tx:
        changes.found(projects.domain(tx, id=domain_id), 'domain', domain_id)
        tx.add(group)
    return group


def find(tx: Session, id: str) -> Group:
    """The group, or ``errors.NotFound``."""
    group: Group = changes.found(groups.get(tx, id), 'group', id)
    return group


@retried
def update(wiring: Wiring, id: str, *, extra: dict[str, Any], **values: Any) -> Group:
    """Change a group."""
    with changes.unique('group', values.get('name', '')), wiring.changing() as tx:
        group = find(tx, id)
        changes.check_domain(group, values)
        group.extra = changes.merged(group.extra, extra)
        for key, value in values.items():
            setattr(group, key, value if key != 'description' else value or '')
    return group


@retried
def delete(wiring: Wiring, id: str) -> None:
    """Remove a group and what it was given."""
    with wiring.changing() as tx:
        group = find(tx, id)
        assignments.forget_actor(tx, assignments.GROUP, id)
        tx.delete(group)


@retried
def add_user(wiring: Wiring, group_id: str, user_id: str) -> None:
    """Have a user in a group; one who is in it already stays."""
    with wiring.changing() as tx:
        find(tx, group_id)
        changes.found(users.get(tx, user_id), 'user', user_id)
        if groups.membership(tx, group_id, user_id) is None:
            tx.add(Membership(group_id=group_id, user_id=user_id))


@retried
def remove_user(wiring: Wiring, group_id: str, user_id: str) -> None:
    """Take a user out of a group; ``errors.NotFound`` if they are not in it."""
    with wiring.changing() as tx:
        row = groups.membership(tx, group_id, user_id)
        if row is None:
            raise errors.NotFound('Could not find user {user} in group {group}.', user=user_id[:80],
                                  group=group_id[:80])
        tx.delete(row)

"""Domains: the roots of the tree of projects, and the homes of users, groups and roles."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from keystone import changes
from keystone.db import assignments, groups, projects, roles, users
from keystone.db.base import NO_DOMAIN, new_id
from keystone.db.projects import Project
from keystone.resource.projects import purge, put_tags
from keystone.token import revoked
from keystone.wiring import Wiring
from strata import errors
from strata.db import retried


@retried
def create(wiring: Wiring, *, name: str, extra: dict[str, Any], description: str | None = '',
           enabled: bool = True, options: dict[str, Any] | None = None, explicit_domain_id: str | None = None,
           tags: list[str] | None = None) -> Project:
    """A new domain; ``errors.Conflict`` if there is one of that name."""
    domain = Project(id=explicit_domain_id or new_id(), name=name, within=NO_DOMAIN, domain_id=None,
                     parent_id=None, is_domain=True, enabled=enabled, description=description, extra=extra,
                     options=changes.options({}, options), tags=[])
    put_tags(domain, tags or [])
    with changes.unique('domain', name), wiring.changing() as tx:
        tx.add(domain)
    return domain


def find(tx: Session, id: str) -> Project:
    """The domain, or ``errors.NotFound``."""
    domain: Project = changes.found(projects.domain(tx, id=id), 'domain', id)
    return domain


@retried
def update(wiring: Wiring, id: str, *, extra: dict[str, Any], **values: Any) -> Project:
    """Change a domain; disabling it ends every token that depends on it."""
    with changes.unique('domain', values.get('name', '')), wiring.changing() as tx:
        domain = find(tx, id)
        changes.check_movable(domain, 'domain', values)
        values['options'] = changes.options(domain.options, values.get('options'))
        if domain.enabled and values.get('enabled') is False:
            revoked.revoke(wiring, tx, domain_id=id)
        if 'tags' in values:
            put_tags(domain, values.pop('tags') or [])
        domain.extra = changes.merged(domain.extra, extra)
        for key, value in values.items():
            setattr(domain, key, value)
    return domain


@retried
def delete(wiring: Wiring, id: str) -> None:
    """Remove a disabled domain with all that is in it."""
    with wiring.changing() as tx:
        domain = find(tx, id)
        changes.check_movable(domain, 'domain')
        if domain.enabled:
            raise errors.Forbidden('Cannot delete a domain that is enabled, please disable it first.')
        if id == wiring.conf.identity.default_domain_id:
            raise errors.Forbidden('The default domain cannot be deleted.')
        _empty(tx, id)
        purge(tx, domain)


def _empty(tx: Session, id: str) -> None:
    for user_id in tx.scalars(sa.select(users.User.id).where(users.User.domain_id == id)).all():
        assignments.forget_actor(tx, assignments.USER, user_id)
    for group_id in tx.scalars(sa.select(groups.Group.id).where(groups.Group.domain_id == id)).all():
        assignments.forget_actor(tx, assignments.GROUP, group_id)
    for role_id in tx.scalars(sa.select(roles.Role.id).where(roles.Role.domain_id == id)).all():
        assignments.forget_role(tx, role_id)
    for model in (users.User, groups.Group, roles.Role):
        tx.execute(sa.delete(model).where(model.domain_id == id))
    for project in reversed(projects.descendants(tx, id)):
        purge(tx, project)

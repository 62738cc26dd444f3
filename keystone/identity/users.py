"""Users: making, changing and removing them."""

from typing import Any

from sqlalchemy.orm import Session

from keystone import changes
from keystone.auth import password as method
from keystone.db import assignments, projects, users
from keystone.db.base import new_id
from keystone.db.users import User
from keystone.identity import passwords
from keystone.token import revoked
from keystone.wiring import Wiring
from strata import errors
from strata.db import retried


def create(wiring: Wiring, *, name: str, domain_id: str, extra: dict[str, Any], password: str | None = None,
           enabled: bool = True, default_project_id: str | None = None,
           options: dict[str, Any] | None = None) -> User:
    """A new user; without a password nobody can log in as them."""
    stored = None if password is None else passwords.hashed(wiring, password)
    user = User(id=new_id(), name=name, domain_id=domain_id, enabled=enabled, extra=extra, failures=0,
                default_project_id=default_project_id, options=changes.options({}, options),
                created_at=wiring.clock.now())
    passwords.put(wiring, user, stored)
    _insert(wiring, user)
    return user


@retried
def _insert(wiring: Wiring, user: User) -> None:
    with changes.unique('user', user.name), wiring.changing() as tx:
        changes.found(projects.domain(tx, id=user.domain_id), 'domain', user.domain_id)
        _check_default(tx, user.default_project_id)
        tx.add(user)


def _check_default(tx: Session, project_id: str | None) -> None:
    """A domain is nobody's default project; one that is not there yet may be."""
    project = projects.get(tx, project_id) if project_id else None
    if project is not None and project.is_domain:
        raise errors.Invalid('The default project of a user cannot be a domain.')


def find(tx: Session, id: str) -> User:
    """The user, or ``errors.NotFound``."""
    user: User = changes.found(users.get(tx, id), 'user', id)
    return user


def update(wiring: Wiring, id: str, *, extra: dict[str, Any], **values: Any) -> User:
    """Change a user; a new password or being disabled ends all their tokens."""
    password = values.pop('password', None)
    stored = None if password is None else passwords.hashed(wiring, password)
    return _change(wiring, id, stored, extra, values)


@retried
def _change(wiring: Wiring, id: str, stored: str | None, extra: dict[str, Any],
            values: dict[str, Any]) -> User:
    values = dict(values)
    with changes.unique('user', values.get('name', '')), wiring.changing() as tx:
        user = find(tx, id)
        changes.check_domain(user, values)
        values['options'] = changes.options(user.options, values.get('options'))
        _check_default(tx, values.get('default_project_id'))
        if stored is not None or (user.enabled and values.get('enabled') is False):
            revoked.revoke(wiring, tx, user_id=id)
        if stored is not None:
            passwords.put(wiring, user, stored)
        user.extra = changes.merged(user.extra, extra)
        for key, value in values.items():
            setattr(user, key, value)
    return user


def change_password(wiring: Wiring, id: str, *, password: str, original_password: str) -> None:
    """What users do themselves; ``errors.Unauthorized`` if the original is not right."""
    wiring.memory.look()
    method.authenticate(wiring, {'user': {'id': id, 'password': original_password}}, None, expired_too=True)
    if password == original_password:
        raise errors.Invalid('The new password must not be the original one.')
    stored = passwords.hashed(wiring, password)
    with wiring.db.reading() as tx:
        user = find(tx, id)
    if user.options.get('lock_password'):
        raise errors.Forbidden('The password of this user is locked.')
    _change(wiring, id, stored, {}, {})


@retried
def delete(wiring: Wiring, id: str) -> None:
    """Remove a user, what they were given, and their credentials."""
    with wiring.changing() as tx:
        user = find(tx, id)
        assignments.forget_actor(tx, assignments.USER, id)
        tx.delete(user)

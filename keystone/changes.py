"""What changing any named thing has in common: clashes of names, options, things that hold still."""

import contextlib
from collections.abc import Iterator
from typing import Any

from strata import db, errors


@contextlib.contextmanager
def unique(kind: str, name: str) -> Iterator[None]:
    """Turn a broken unique constraint into the 409 that names the thing."""
    try:
        yield
    except db.Duplicate as error:
        raise errors.Conflict('Conflict occurred attempting to store {kind} - Duplicate entry found with '
                              'name {name}.', kind=kind, name=name[:255]) from error
    except db.Dangling as error:
        raise errors.Conflict('Conflict occurred attempting to store {kind} - something it refers to is '
                              'gone, or something else still refers to it.', kind=kind) from error


def found(thing: Any, kind: str, id: str) -> Any:
    """``thing``, or ``errors.NotFound`` if it is ``None``."""
    if thing is None:
        raise errors.NotFound('Could not find {kind}: {id}.', kind=kind, id=id[:80])
    return thing


def options(old: dict[str, Any], new: dict[str, Any] | None) -> dict[str, Any]:
    """Options after a change; a null removes one."""
    return {name: value for name, value in {**old, **(new or {})}.items() if value is not None}


def check_movable(thing: Any, kind: str, changes: dict[str, Any] | None = None) -> None:
    """Refuse to change (or, without ``changes``, delete) what is immutable, unless that is what changes."""
    if not thing.options.get('immutable'):
        return
    if changes is not None and 'immutable' in (changes.get('options') or {}) \
            and not changes['options']['immutable']:
        return
    raise errors.Forbidden('The {kind} {id} is immutable; unset its option first.', kind=kind, id=thing.id)


def check_domain(thing: Any, changes: dict[str, Any]) -> None:
    """A thing stays in its domain."""
    if 'domain_id' in changes and changes['domain_id'] != thing.domain_id:
        raise errors.Invalid('Cannot change Domain ID')


def merged(extra: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    """``extra`` with new members; a null removes one."""
    return {name: value for name, value in {**extra, **rest}.items() if value is not None}

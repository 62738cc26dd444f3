"""Which user or domain a client means, remembered between changes."""

from typing import Any

from sqlalchemy.orm import Session

from keystone.db import projects, revisions, users
from keystone.wiring import Wiring
from strata import errors


def domain_id(wiring: Wiring, name: str) -> str | None:
    """The id of the domain of that name."""
    def load(tx: Session) -> str | None:
        found = projects.domain(tx, name=name)
        return found.id if found else None
    return wiring.memory.recall(revisions.STATE, ('domain', name), load)


def find(wiring: Wiring, named: dict[str, Any]) -> users.User | None:
    """The user of ``{"id": ...}`` or ``{"name": ..., "domain": {"id" or "name": ...}}``.

    Raises ``errors.Invalid`` if neither is given.
    """
    memory = wiring.memory
    if named.get('id'):
        id = str(named['id'])
        return memory.recall(revisions.STATE, ('user', id), lambda tx: users.get(tx, id))
    name, home = named.get('name'), named.get('domain') or {}
    if not name or not (home.get('id') or home.get('name')):
        raise errors.Invalid('A user is named by id, or by name and domain.')
    home_id = home.get('id') or domain_id(wiring, home['name'])
    if home_id is None:
        return None
    return memory.recall(revisions.STATE, ('user', name, home_id), lambda tx: users.named(tx, name, home_id))

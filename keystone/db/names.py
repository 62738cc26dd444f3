"""The names behind many ids at once, for lists that show them."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from keystone.db.assignments import DOMAIN, GROUP, PROJECT, USER
from keystone.db.groups import Group
from keystone.db.projects import Project
from keystone.db.roles import Role
from keystone.db.users import User

#: ids per query: databases bound the parameters of one
_BATCH = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Names:
    """(kind, id) -> (name, id of the domain)."""

    known: dict[tuple[str, str], tuple[str, str | None]]

    def shown(self, kind: str, id: str) -> dict[str, Any]:
        """A thing with its name and its domain's; one that is gone keeps its id only."""
        name, domain_id = self.known.get((kind, id), ('', None))
        if kind == DOMAIN:
            return {'id': id, 'name': name}
        body: dict[str, Any] = {'id': id, 'name': name}
        if domain_id is not None:
            body['domain'] = {'id': domain_id, 'name': self.known.get((DOMAIN, domain_id), ('', None))[0]}
        return body


def of(tx: Session, entries: Iterable[Any]) -> Names:
    """The names that a list of ``assignment.listing.Entry`` needs: five queries, however long it is."""
    ids: dict[str, set[str]] = {kind: set() for kind in (USER, GROUP, PROJECT, DOMAIN, 'role')}
    for entry in entries:
        for kind, id in ((USER, entry.user_id), (GROUP, entry.group_id), ('role', entry.role_id),
                         (entry.target, entry.target_id)):
            if id is not None and kind in ids:
                ids[kind].add(id)
    known: dict[tuple[str, str], tuple[str, str | None]] = {}
    for kind, model in ((USER, User), (GROUP, Group), ('role', Role), (PROJECT, Project), (DOMAIN, Project)):
        if kind == DOMAIN:
            ids[DOMAIN] |= {domain_id for _, domain_id in known.values() if domain_id is not None}
        _read(tx, kind, model, ids[kind], known)
    return Names(known)


def _read(tx: Session, kind: str, model: Any, ids: set[str],
          known: dict[tuple[str, str], tuple[str, str | None]]) -> None:
    wanted = sorted(ids)
    for start in range(0, len(wanted), _BATCH):
        rows = tx.execute(sa.select(model.id, model.name, model.domain_id)
                          .where(model.id.in_(wanted[start:start + _BATCH])))
        known.update({(kind, id): (name, domain_id) for id, name, domain_id in rows})

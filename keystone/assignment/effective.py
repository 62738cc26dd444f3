"""Which roles somebody has in effect: given, through groups, inherited from above, implied.

::

    given to the user, or to a group of theirs, on
        a project: the project itself, and inherited from the projects above it and its domain
        a domain:  the domain itself
        the system
    -> and whatever those roles imply, step by step
    -> less the roles that only mean something within a domain
"""

import dataclasses
from collections.abc import Iterable

from sqlalchemy.orm import Session

from keystone.db import assignments, projects, revisions, roles
from keystone.memory import Memory
from keystone.token.payload import DOMAIN, PROJECT, SYSTEM


@dataclasses.dataclass(frozen=True, slots=True)
class Graph:
    """All roles: ``names`` of the global ones by id, and what each role implies, one step."""

    names: dict[str, str]
    implies: dict[str, tuple[str, ...]]

    def closure(self, ids: Iterable[str]) -> dict[str, str]:
        """The given roles and all that they imply: each with the role that brought it in."""
        reached = {id: id for id in ids}
        edge = list(reached)
        while edge:
            prior = edge.pop()
            for id in self.implies.get(prior, ()):
                if id not in reached:
                    reached[id] = prior
                    edge.append(id)
        return reached

    def effective(self, ids: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """(id, name) of the global roles that the given ones amount to, by name."""
        pairs = ((id, self.names[id]) for id in self.closure(ids) if id in self.names)
        return tuple(sorted(pairs, key=lambda pair: pair[1]))


def load(tx: Session) -> Graph:
    """The roles as they stand in a transaction."""
    implies: dict[str, list[str]] = {}
    for row in roles.implications(tx):
        implies.setdefault(row.prior_id, []).append(row.implied_id)
    return Graph({role.id: role.name for role in roles.all_of(tx) if role.domain_id is None},
                 {prior: tuple(ids) for prior, ids in implies.items()})


def graph(memory: Memory) -> Graph:
    """The roles as of the last look."""
    return memory.recall(revisions.STATE, 'roles', load)


def on_project(tx: Session, project: projects.Project) -> list[assignments.Target]:
    """The targets whose assignments count on a project."""
    targets = [(assignments.PROJECT, project.id, False)]
    if project.domain_id is not None:
        targets += [(assignments.PROJECT, above.id, True) for above in projects.ancestors(tx, project)]
        targets.append((assignments.DOMAIN, project.domain_id, True))
    return targets


def given(tx: Session, user_id: str, kind: str, scope_id: str, project: projects.Project | None) -> set[str]:
    """The ids of the roles that a user was given in a scope, before implications.

    ``project`` is the project of a project scope.
    """
    if kind == PROJECT and project is not None:
        return assignments.role_ids(tx, user_id, on_project(tx, project))
    if kind == DOMAIN:
        return assignments.role_ids(tx, user_id, [(assignments.DOMAIN, scope_id, False)])
    if kind == SYSTEM:
        return assignments.role_ids(tx, user_id, [(assignments.SYSTEM, assignments.ALL, False)])
    return set()

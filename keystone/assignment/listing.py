"""The list of role assignments: as they were made, or as they work out.

In effect, a group's assignment is one of each of its users, an inherited one
is one on each project below, and every role brings those that it implies.
"""

import dataclasses
from collections.abc import Iterable, Iterator

import sqlalchemy as sa
from sqlalchemy.orm import Session

from keystone.assignment import effective
from keystone.db import assignments, groups, projects
from keystone.db.assignments import DOMAIN, GROUP, PROJECT, SYSTEM, USER, Assignment
from keystone.db.projects import Project


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """The filters of a list; ``None`` is any."""

    user_id: str | None = None
    group_id: str | None = None
    role_id: str | None = None
    project_id: str | None = None
    domain_id: str | None = None
    system: bool = False
    inherited: bool | None = None
    effective: bool = False
    include_subtree: bool = False
    #: only what is on this domain or a project of it
    confined_to: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list; ``source`` is the assignment that it comes from."""

    source: Assignment
    role_id: str
    user_id: str | None
    group_id: str | None
    target: str
    target_id: str
    inherited: bool
    #: the group through which a user has it
    member_of: str | None = None
    #: the role that implies it
    prior_id: str | None = None


def entries(tx: Session, wanted: Wanted) -> list[Entry]:
    """The list."""
    if not wanted.effective:
        return [_plain(row) for row in tx.scalars(_narrowed(tx, wanted))]
    graph = effective.load(tx)
    places = _places(tx, wanted)
    found = []
    for row in tx.scalars(_narrowed(tx, wanted)).all():
        found += _expanded(tx, row, graph, places)
    return [entry for entry in _with_users(tx, found) if _fits(entry, wanted, places)]


def _plain(row: Assignment) -> Entry:
    return Entry(row, row.role_id, row.actor_id if row.actor == USER else None,
                 row.actor_id if row.actor == GROUP else None, row.target, row.target_id, row.inherited)


def _places(tx: Session, wanted: Wanted) -> set[str] | None:
    """The projects that a list is of, or ``None`` for all."""
    if wanted.project_id is None:
        return None
    below = projects.descendants(tx, wanted.project_id) if wanted.include_subtree else []
    return {wanted.project_id, *(project.id for project in below)}


def _narrowed(tx: Session, wanted: Wanted) -> sa.Select[tuple[Assignment]]:
    """The stored assignments that can matter for the list."""
    query = assignments.query()
    if wanted.user_id is not None:
        own = sa.and_(Assignment.actor == USER, Assignment.actor_id == wanted.user_id)
        query = query.where(assignments.acting(wanted.user_id) if wanted.effective else own)
    if wanted.group_id is not None:
        query = query.where(Assignment.actor == GROUP, Assignment.actor_id == wanted.group_id)
    if wanted.role_id is not None and not wanted.effective:
        query = query.where(Assignment.role_id == wanted.role_id)
    if wanted.inherited is not None:
        query = query.where(Assignment.inherited.is_(wanted.inherited))
    if wanted.system:
        query = query.where(Assignment.target == SYSTEM)
    if wanted.domain_id is not None:
        query = query.where(Assignment.target == DOMAIN, Assignment.target_id == wanted.domain_id)
    if wanted.project_id is not None:
        query = query.where(_on_projects(tx, wanted))
    if wanted.confined_to is not None:
        inside = sa.select(Project.id).where(Project.domain_id == wanted.confined_to)
        query = query.where(sa.or_(
            sa.and_(Assignment.target == DOMAIN, Assignment.target_id == wanted.confined_to),
            sa.and_(Assignment.target == PROJECT, Assignment.target_id.in_(inside))))
    return query


def _on_projects(tx: Session, wanted: Wanted) -> sa.ColumnElement[bool]:
    places = _places(tx, wanted) or set()
    direct = sa.and_(Assignment.target == PROJECT, Assignment.target_id.in_(places))
    project = projects.get(tx, wanted.project_id or '') if wanted.effective else None
    if project is None:
        return direct
    return sa.or_(direct, assignments.aimed(effective.on_project(tx, project)))


def _expanded(tx: Session, row: Assignment, graph: effective.Graph,
              places: set[str] | None) -> Iterator[Entry]:
    """One assignment on all that it reaches, with all that its role implies."""
    spots: Iterable[tuple[str, str]] = [(row.target, row.target_id)]
    if row.inherited:
        below = (projects.in_domain(tx, row.target_id) if row.target == DOMAIN
                 else projects.descendants(tx, row.target_id))
        spots = [(PROJECT, project.id) for project in below if places is None or project.id in places]
    start = _plain(row)
    for target, target_id in spots:
        for role_id, prior_id in graph.closure([row.role_id]).items():
            if role_id in graph.names:      # a domain's own role is only what it implies
                yield dataclasses.replace(start, role_id=role_id, target=target, target_id=target_id,
                                          inherited=False, prior_id=prior_id if prior_id != role_id else None)


def _with_users(tx: Session, found: list[Entry]) -> Iterator[Entry]:
    """Each group's entries as those of its users."""
    ids = {entry.group_id for entry in found if entry.group_id}
    members: dict[str, list[str]] = {}
    for row in groups.memberships(tx, list(ids)) if ids else ():      # type: ignore[arg-type]
        members.setdefault(row.group_id, []).append(row.user_id)
    for entry in found:
        if entry.group_id is None:
            yield entry
        else:
            for user_id in members.get(entry.group_id, ()):
                yield dataclasses.replace(entry, user_id=user_id, group_id=None, member_of=entry.group_id)


def _fits(entry: Entry, wanted: Wanted, places: set[str] | None) -> bool:
    """Whether a line that came out is one that was asked for."""
    return ((wanted.user_id is None or entry.user_id == wanted.user_id)
            and (wanted.role_id is None or entry.role_id == wanted.role_id)
            and (wanted.domain_id is None or (entry.target == DOMAIN and entry.target_id == wanted.domain_id))
            and (places is None or (entry.target == PROJECT and entry.target_id in places)))

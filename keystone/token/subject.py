"""What a token is worth now: its user, its scope, and the roles that are left.

Derived from current users, projects and assignments each time something
changes, so a disabled user, a lost role or a deleted project takes effect at
once on every token there is.
"""

import dataclasses
import datetime

from sqlalchemy.orm import Session

from keystone.assignment import effective
from keystone.db import credentials, projects, revisions, users
from keystone.token.payload import DOMAIN, PROJECT, UNSCOPED
from keystone.wiring import Wiring


class Worthless(Exception):
    """There is no such subject (any more); the text is for the log, never for the client."""


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """A user, project or domain; a domain has no domain."""

    id: str
    name: str
    domain_id: str | None = None
    domain_name: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Application:
    """The application credential that a token was got with."""

    id: str
    name: str
    restricted: bool
    expires_at: datetime.datetime | None
    access_rules: tuple[dict[str, str], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """A user in a scope.  ``roles`` are (id, name), implied ones included."""

    user: Named
    password_expires_at: datetime.datetime | None
    kind: str = UNSCOPED
    scope: Named | None = None
    is_domain: bool = False
    roles: tuple[tuple[str, str], ...] = ()
    application: Application | None = None


def find(wiring: Wiring, user_id: str, kind: str, scope_id: str, application_id: str = '') -> Subject:
    """The subject as of the last look; raises ``Worthless`` if there is none."""
    graph = effective.graph(wiring.memory)

    def load(tx: Session) -> Subject | str:
        try:
            return _load(tx, graph, user_id, kind, scope_id, application_id)
        except Worthless as reason:
            return str(reason)      # remembered too, so that a dead token costs no more than a live one

    key = ('subject', user_id, kind, scope_id, application_id)
    found = wiring.memory.recall(revisions.STATE, key, load)
    if isinstance(found, str):
        raise Worthless(found)
    return found


def _load(tx: Session, graph: effective.Graph, user_id: str, kind: str, scope_id: str,
          application_id: str) -> Subject:
    row = users.with_domain(tx, user_id)
    if row is None or not row[0].enabled or not row[1].enabled:
        raise Worthless(f'user {user_id} is gone or disabled, or their domain is')
    user, home = row
    person = Named(user.id, user.name, home.id, home.name)
    if kind == UNSCOPED:
        return Subject(person, user.password_expires_at)
    scope, project = _scope(tx, kind, scope_id)
    ids = effective.given(tx, user_id, kind, scope_id, project)
    application = None
    if application_id:
        application, ids = _application(tx, graph, application_id, user_id, scope_id, ids)
    roles = graph.effective(ids)
    if not roles:
        raise Worthless(f'user {user_id} has no role on {kind} {scope_id}')
    return Subject(person, user.password_expires_at, kind, scope, project is not None and project.is_domain,
                   roles, application)


def _scope(tx: Session, kind: str, id: str) -> tuple[Named | None, projects.Project | None]:
    if kind == PROJECT:
        found = projects.with_domain(tx, id)
        if found is None or not found[0].enabled or (found[1] is not None and not found[1].enabled):
            raise Worthless(f'project {id} is gone or disabled, or its domain is')
        project, home = found
        home = home or project      # a domain acting as a project is in itself
        return Named(project.id, project.name, home.id, home.name), project
    if kind == DOMAIN:
        domain = projects.domain(tx, id=id)
        if domain is None or not domain.enabled:
            raise Worthless(f'domain {id} is gone or disabled')
        return Named(domain.id, domain.name), None
    return None, None


def _application(tx: Session, graph: effective.Graph, id: str, user_id: str, project_id: str,
                 ids: set[str]) -> tuple[Application, set[str]]:
    """The credential, and its roles; it dies with the first of them that its owner loses."""
    row = credentials.application(tx, id)
    if row is None or row.user_id != user_id or row.project_id != project_id:
        raise Worthless(f'application credential {id} is gone')
    if not set(row.role_ids) <= set(graph.closure(ids)):
        raise Worthless(f'user {user_id} lost a role of application credential {id}')
    return Application(row.id, row.name, not row.unrestricted, row.expires_at,
                       tuple(row.access_rules)), set(row.role_ids)

"""Application credentials: a secret that opens one project with some of its owner's roles."""

import datetime

from sqlalchemy.orm import Session

from keystone import changes
from keystone.db import credentials, roles
from keystone.db.base import new_id
from keystone.db.credentials import AccessRule, ApplicationCredential
from keystone.db.roles import Role
from keystone.identity import passwords
from keystone.token.tokens import Token
from keystone.wiring import Wiring
from strata import clock, crypt, errors
from strata.db import retried


def create(wiring: Wiring, token: Token, *, name: str, secret: str | None = None,
           description: str | None = None, expires_at: str | None = None,
           role_names: list[dict[str, str]] | None = None,
           unrestricted: bool | None = False, access_rules: list[dict[str, str]] | None = None,
           ) -> tuple[ApplicationCredential, str]:
    """A new credential for the project of ``token``, and its secret, which is shown this once.

    ``role_names`` are ``{"id": ...}`` or ``{"name": ...}``, all of the token's
    if there are none.  Raises ``errors.Invalid`` for a role that the token
    has not got.
    """
    if token.project_id is None:
        raise errors.Invalid('An application credential is made with a token for a project.')
    secret = secret or crypt.random_token(64)
    row = ApplicationCredential(
        id=new_id(), name=name, user_id=token.payload.user_id, project_id=token.project_id,
        secret=passwords.hashed(wiring, secret), description=description, unrestricted=bool(unrestricted),
        expires_at=_end(wiring, expires_at), role_ids=_roles(wiring, token, role_names))
    _insert(wiring, row, access_rules or [])
    return row, secret


def _end(wiring: Wiring, text: str | None) -> datetime.datetime | None:
    if text is None:
        return None
    end = clock.parse(text)
    if end <= wiring.clock.now():
        raise errors.Invalid('An application credential cannot expire in the past.')
    return end


def _roles(wiring: Wiring, token: Token, wanted: list[dict[str, str]] | None) -> list[str]:
    """The ids of the roles, each of them one that the token has."""
    mine = dict(token.subject.roles)
    if not wanted:
        return sorted(mine)
    ids = {name: id for id, name in mine.items()}
    chosen = [role.get('id') or ids.get(role.get('name') or '') for role in wanted]
    if any(id not in mine for id in chosen):
        raise errors.Invalid('An application credential has only roles that its owner has on the project.')
    return sorted({id for id in chosen if id})


@retried
def _insert(wiring: Wiring, row: ApplicationCredential, rules: list[dict[str, str]]) -> None:
    with changes.unique('application credential', row.name), wiring.changing() as tx:
        most = wiring.conf.application_credential.user_limit
        if credentials.count(tx, ApplicationCredential, row.user_id) >= most:
            raise errors.Forbidden('A user has at most {most} application credentials.', most=most)
        row.access_rules = [_rule(tx, row.user_id, rule) for rule in rules]
        tx.add(row)


def _rule(tx: Session, user_id: str, wanted: dict[str, str]) -> dict[str, str]:
    """A rule of the user's by id, or with the same words, or a new one."""
    if 'id' in wanted:
        rule = find_rule(tx, user_id, wanted['id'])
    else:
        rule = tx.scalar(credentials.access_rules(user_id, **wanted)) or AccessRule(
            id=new_id(), user_id=user_id, **wanted)
        tx.add(rule)
        tx.flush()
    return {'id': rule.id, 'service': rule.service, 'method': rule.method, 'path': rule.path}


def find_rule(tx: Session, user_id: str, id: str) -> AccessRule:
    """A user's access rule, or ``errors.NotFound``."""
    row = tx.scalar(credentials.access_rules(user_id, id=id))
    return changes.found(row, 'access rule', id)      # type: ignore[no-any-return]


@retried
def delete_rule(wiring: Wiring, user_id: str, id: str) -> None:
    """Remove an access rule; ``errors.Forbidden`` while an application credential has it."""
    with wiring.changing() as tx:
        row = find_rule(tx, user_id, id)
        holders: list[ApplicationCredential] = list(tx.scalars(credentials.applications(user_id)))
        for each in holders:
            if any(rule['id'] == id for rule in each.access_rules):
                raise errors.Forbidden('Access rule {id} is used by application credential {holder}.', id=id,
                                       holder=each.id)
        tx.delete(row)


def find(tx: Session, user_id: str, id: str) -> ApplicationCredential:
    """A user's credential, or ``errors.NotFound``."""
    row = credentials.application(tx, id)
    mine = row if row is not None and row.user_id == user_id else None
    return changes.found(mine, 'application credential', id)      # type: ignore[no-any-return]


@retried
def delete(wiring: Wiring, user_id: str, id: str) -> None:
    """Remove a credential; the tokens got with it end."""
    with wiring.changing() as tx:
        tx.delete(find(tx, user_id, id))


def named_roles(tx: Session, rows: list[ApplicationCredential]) -> dict[str, Role]:
    """The roles of many credentials by id."""
    wanted = {id for row in rows for id in row.role_ids}
    return {role.id: role for role in roles.all_of(tx) if role.id in wanted}


def permits(rules: tuple[dict[str, str], ...], service: str, method: str, path: str) -> bool:
    """Whether access rules let a request to a service pass; without rules everything may."""
    return not rules or any(rule.get('service') == service and rule.get('method') == method
                            and _matches(rule.get('path') or '', path) for rule in rules)


def _matches(pattern: str, path: str) -> bool:
    """``*`` and ``{name}`` stand for one part of a path, ``**`` for all that is left."""
    wanted, given = pattern.strip('/').split('/'), path.strip('/').split('/')
    for place, part in enumerate(wanted):
        if part == '**':
            return True
        if place >= len(given):
            return False
        if part != '*' and not (part.startswith('{') and part.endswith('}')) and part != given[place]:
            return False
    return len(wanted) == len(given)


def unrestricted(token: Token | None) -> None:
    """``errors.Forbidden`` for a token from a restricted credential: it may not make or remove others."""
    application = token.subject.application if token else None
    if application is not None and application.restricted:
        raise errors.Forbidden('This action is not allowed with a restricted application credential.')

"""Issue, validate and revoke tokens.

::

    issue:    proof of identity, scope -> Payload -> Fernet -> text
    validate: text -> Payload -> not over, not revoked -> Subject as of now
"""

import dataclasses
import datetime
import hashlib
import logging
import re
from typing import Any

import orjson

from keystone import catalog
from keystone.db import revisions
from keystone.token import payload as payloads
from keystone.token import revoked, subject
from keystone.token.payload import DOMAIN, PROJECT, SYSTEM, UNSCOPED, Payload
from keystone.wiring import Wiring
from strata import errors
from strata.cache import Cache
from strata.clock import iso_micro
from strata.context import Context
from strata.db import retried

LOG = logging.getLogger(__name__)
#: bodies that are kept as bytes: they are large, and few tokens are asked for again and again
RENDERED = 256
#: ours have about 200 characters; anything much longer is not worth a decryption, and decoders that
#: pass over strange characters would let one token have many spellings
_FORM = re.compile(r'[A-Za-z0-9_-]{50,1024}\Z', re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """A token that is good now."""

    id: str
    payload: Payload
    subject: subject.Subject

    @property
    def project_id(self) -> str | None:
        """The project it is for, if it is for one."""
        return self.payload.scope_id if self.payload.kind == PROJECT else None

    def context(self, request_id: str | None = None) -> Context:
        """Its bearer, as policies and services see them."""
        who, scope = self.subject.user, self.subject.scope
        context = Context(user_id=who.id, user_name=who.name, user_domain_id=who.domain_id,
                          user_domain_name=who.domain_name, token=self.id,
                          roles=tuple(name for _, name in self.subject.roles))
        if request_id:
            context.request_id = request_id
        if self.payload.kind == PROJECT and scope:
            context.project_id, context.project_name = scope.id, scope.name
            context.project_domain_id, context.project_domain_name = scope.domain_id, scope.domain_name
        elif self.payload.kind == DOMAIN and scope:
            context.domain_id, context.domain_name = scope.id, scope.name
        elif self.payload.kind == SYSTEM:
            context.system_scope = 'all'
        return context


def moment(when: datetime.datetime) -> str:
    """A time in a token body: ``2026-11-22T18:00:00.000000Z``."""
    return when.strftime('%Y-%m-%dT%H:%M:%S.%fZ')


def _person(who: subject.Named) -> dict[str, Any]:
    return {'domain': {'id': who.domain_id, 'name': who.domain_name}, 'id': who.id, 'name': who.name}


def body(wiring: Wiring, token: Token, *, with_catalog: bool = True) -> dict[str, Any]:
    """The token as clients and services are shown it."""
    payload, worth = token.payload, token.subject
    expires = worth.password_expires_at
    shown: dict[str, Any] = {
        'methods': list(payload.methods), 'audit_ids': list(payload.audit_ids),
        'expires_at': moment(payload.expires_at), 'issued_at': moment(payload.issued_at),
        'user': {**_person(worth.user), 'password_expires_at': iso_micro(expires)}}
    if payload.kind == UNSCOPED:
        return {'token': shown}
    shown['roles'] = [{'id': id, 'name': name} for id, name in worth.roles]
    if payload.kind == PROJECT and worth.scope:
        shown['project'] = _person(worth.scope)
        shown['is_domain'] = worth.is_domain
    elif payload.kind == DOMAIN and worth.scope:
        shown['domain'] = {'id': worth.scope.id, 'name': worth.scope.name}
    else:
        shown['system'] = {'all': True}
    if worth.application:
        application = {'id': worth.application.id, 'name': worth.application.name,
                       'restricted': worth.application.restricted}
        if worth.application.access_rules:
            application['access_rules'] = list(worth.application.access_rules)
        shown['application_credential'] = application
    if with_catalog:
        shown['catalog'] = catalog.shown(wiring.memory, user_id=payload.user_id, project_id=token.project_id)
    return {'token': shown}


def rendered(wiring: Wiring, token: Token, *, with_catalog: bool = True) -> bytes:
    """``body`` as JSON, remembered while neither the catalog nor anything the token depends on changes."""
    known: Cache[tuple[Any, bytes]] = wiring.memory.lasting.setdefault('rendered', Cache(RENDERED, 300.0))
    key, state = (token.id, with_catalog), (token.subject, wiring.memory.revisions.get(revisions.CATALOG))
    found = known.get(key)
    if found is not None and found[0] == state:
        return found[1]
    raw = orjson.dumps(body(wiring, token, with_catalog=with_catalog))
    known.set(key, (state, raw))
    return raw


def issue(wiring: Wiring, *, user_id: str, methods: tuple[str, ...], kind: str = UNSCOPED, scope_id: str = '',
          application_credential_id: str = '', parent: Payload | None = None) -> Token:
    """A new token.

    One got from a ``parent`` ends when the parent does and is in its chain;
    one got with an application credential, or a key made under it, ends with
    that.  Raises ``subject.Worthless`` if the user has nothing in that scope.
    """
    worth = subject.find(wiring, user_id, kind, scope_id, application_credential_id)
    now = wiring.clock.now()
    ends = now + datetime.timedelta(seconds=wiring.conf.token.expiration)
    audit_ids: tuple[str, ...] = (payloads.new_audit_id(),)
    if parent is not None:
        ends = min(ends, parent.expires_at)
        audit_ids += (parent.chain_id,)
    if worth.application and worth.application.expires_at:
        ends = min(ends, worth.application.expires_at)
    if ends <= now:
        raise subject.Worthless(f'application credential {application_credential_id} has expired')
    payload = Payload(user_id=user_id, methods=methods, issued_at=now, expires_at=ends, audit_ids=audit_ids,
                      kind=kind, scope_id=scope_id, application_credential_id=application_credential_id)
    return Token(wiring.keys.encrypt(payloads.pack(payload)).rstrip(b'=').decode(), payload, worth)


def _open(wiring: Wiring, id: str) -> Payload:
    """The payload of a token, remembered, for decrypting is half of the work."""
    shelf = wiring.memory.lasting.setdefault('payloads', {})
    digest = hashlib.sha256(id.encode()).digest()
    known: Payload | None = shelf.get(digest)
    if known is None:
        known = payloads.unpack(wiring.keys.decrypt((id + '=' * (-len(id) % 4)).encode()))
        wiring.memory.keep(shelf, digest, known)
    return known


def validate(wiring: Wiring, id: str | None, *, allow_expired: bool = False) -> Token:
    """The token as of the last look of the memory, or ``errors.NotFound`` whatever is wrong with it."""
    lost = errors.NotFound('Could not find token.')
    if not id or not _FORM.match(id):
        raise lost
    try:
        payload = _open(wiring, id)
    except errors.Invalid as error:
        raise lost from error
    ends = payload.expires_at
    if allow_expired:
        ends += datetime.timedelta(seconds=wiring.conf.token.allow_expired_window)
    now = wiring.clock.now()
    if now >= ends:
        raise lost
    try:
        worth = subject.find(wiring, payload.user_id, payload.kind, payload.scope_id,
                             payload.application_credential_id)
    except subject.Worthless as reason:
        LOG.debug('Token %s: %s', payload.audit_id, reason)
        raise lost from reason
    if worth.application and worth.application.expires_at and worth.application.expires_at <= now:
        raise lost
    domains = tuple({named.domain_id for named in (worth.user, worth.scope) if named and named.domain_id})
    if revoked.index(wiring).covers(payload, domains):
        raise lost
    return Token(id, payload, worth)


@retried
def revoke(wiring: Wiring, token: Token) -> None:
    """Take one token back; those that it was got from, or that were got from it, stay good."""
    with wiring.db.transaction() as tx:
        revoked.revoke(wiring, tx, audit_id=token.payload.audit_id)

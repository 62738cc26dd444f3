"""Revocation: which tokens were taken back, as this process has heard and as it tells others."""

import datetime
from typing import Any

from sqlalchemy.orm import Session

from keystone.db import revisions, revocations
from keystone.token.payload import DOMAIN, PROJECT, Payload
from keystone.wiring import Wiring

_INDEX = 'index'
#: entries that make a process weed out what has expired
_MANY = 10_000


class Index:
    """The events of a process's memory, by what they name."""

    def __init__(self) -> None:
        self.revision = 0
        self.audit_ids: dict[str, datetime.datetime] = {}
        #: (column, id) -> the latest ``issued_before``
        self.until: dict[tuple[str, str], datetime.datetime] = {}
        self._weed_at = _MANY

    def add(self, event: revocations.Revocation) -> None:
        """Take one more event in."""
        self.revision = max(self.revision, event.revision)
        if event.audit_id is not None:
            self.audit_ids[event.audit_id] = event.expires_at
            return
        for column in ('user_id', 'project_id', 'domain_id'):
            id = getattr(event, column)
            if id is not None:
                key = (column, id)
                self.until[key] = max(self.until.get(key, event.issued_before), event.issued_before)

    def weed(self, now: datetime.datetime) -> None:
        """Forget what no living token can match, once there is much of it."""
        if len(self.audit_ids) > self._weed_at:
            self.audit_ids = {id: end for id, end in self.audit_ids.items() if end > now}
            self._weed_at = max(_MANY, 2 * len(self.audit_ids))

    def covers(self, token: Payload, domain_ids: tuple[str, ...]) -> bool:
        """Whether a token was revoked; ``domain_ids`` are the domains it depends on."""
        if token.audit_id in self.audit_ids:
            return True
        named = [('user_id', token.user_id), *(('domain_id', id) for id in domain_ids)]
        if token.kind == PROJECT:
            named.append(('project_id', token.scope_id))
        elif token.kind == DOMAIN:
            named.append(('domain_id', token.scope_id))
        until = self.until
        return any(until[key] >= token.issued_at for key in named if key in until)


def index(wiring: Wiring) -> Index:
    """What is revoked, as of the last look; only new events are read."""
    memory = wiring.memory
    shelf = memory.shelf(revisions.REVOCATIONS)
    known: Index | None = shelf.get(_INDEX)
    if known is not None:
        return known
    known = wiring.memory.lasting.setdefault(_INDEX, Index())
    with wiring.db.reading() as tx:
        events = revocations.since(tx, known.revision)
    for event in events:
        known.add(event)
    known.weed(wiring.clock.now())
    memory.keep(shelf, _INDEX, known)
    return known


def revoke(wiring: Wiring, tx: Session, **what: Any) -> None:
    """Take back all tokens issued so far that have ``what``: ``audit_id``, ``user_id``, ``project_id``
    or ``domain_id``.  Part of the transaction that gives the reason."""
    now = wiring.clock.now()
    conf = wiring.conf.token
    longest = datetime.timedelta(seconds=conf.expiration + conf.allow_expired_window)
    tx.flush()
    tx.add(revocations.Revocation(revision=revisions.bump(tx, revisions.REVOCATIONS), issued_before=now,
                                  expires_at=now + longest, **what))
    revocations.prune(tx, now)

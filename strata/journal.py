"""The journal: every long operation is a row, written in the transaction that starts it.

::

    open (front side, with the state change)
      |
      v            take: epoch + 1, lease             hand over: lease given up, new topic and host
    waiting -----------------------------> held ----------------------------------> waiting
      ^                                     |
      |  lease ran out (the holder died)    |  finish (with the last state change)
      +-------------------------------------+-------------> finished

Write-ahead: a step is recorded as started before it acts and as done after,
so whoever takes the row next knows what was under way.  Fencing: every write
of a worker goes through ``Lease.hold``, which fails once a successor has taken
the row or somebody has superseded the operation.  Leases are judged by the
database's clock.
"""

import contextlib
import dataclasses
import datetime
import functools
import logging
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.orm.attributes import set_committed_value

from strata import clock, db, errors, green
from strata.context import Context
from strata.db import retried

LOG = logging.getLogger(__name__)

#: how long a holder may be silent before somebody else may take the row, in seconds
LEASE = 60.0
#: outcomes of operations and steps, as os-instance-actions shows them
SUCCESS, ERROR = 'Success', 'Error'


class EntryColumns:
    """The columns of a journal table; a service mixes them into its base."""

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=clock.new_uuid)
    resource_id: Mapped[str] = mapped_column(db.Id, index=True)
    verb: Mapped[str] = mapped_column(sa.String(64))
    arguments: Mapped[dict[str, Any]] = mapped_column(db.Json, default=dict)
    #: who shall carry it out: a kind of worker, and which one (NULL: any)
    topic: Mapped[str] = mapped_column(sa.String(64))
    host: Mapped[str | None] = mapped_column(sa.String(255))
    #: who asked; ``context`` is the whole of it, without the token
    request_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    user_id: Mapped[str | None] = mapped_column(db.Id)
    project_id: Mapped[str | None] = mapped_column(db.Id)
    context: Mapped[dict[str, Any]] = mapped_column(db.Json)
    #: raised by every take; a worker's writes name the epoch they work under
    epoch: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(sa.String(255))
    lease_until: Mapped[datetime.datetime | None] = mapped_column(db.Time)
    #: the step under way or last done, and whether the flow is being unwound
    step: Mapped[str | None] = mapped_column(sa.String(64))
    unwinding: Mapped[bool] = mapped_column(default=False)
    #: not before this time may a sweep pick the row up (a pause between attempts)
    not_before: Mapped[datetime.datetime | None] = mapped_column(db.Time)
    created_at: Mapped[datetime.datetime] = mapped_column(db.Time, default=clock.CLOCK.now)
    updated_at: Mapped[datetime.datetime | None] = mapped_column(db.Time, onupdate=clock.CLOCK.now)
    finished_at: Mapped[datetime.datetime | None] = mapped_column(db.Time, index=True)
    outcome: Mapped[str | None] = mapped_column(sa.String(16))
    message: Mapped[str | None] = mapped_column(sa.Text)


class StepColumns:
    """The columns of the table of steps: what os-instance-actions shows as events."""

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    entry_id: Mapped[str] = mapped_column(db.Id, index=True)
    name: Mapped[str] = mapped_column(sa.String(64))
    host: Mapped[str | None] = mapped_column(sa.String(255))
    epoch: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime.datetime] = mapped_column(db.Time, default=clock.CLOCK.now)
    finished_at: Mapped[datetime.datetime | None] = mapped_column(db.Time)
    outcome: Mapped[str | None] = mapped_column(sa.String(16))
    message: Mapped[str | None] = mapped_column(sa.Text)
    traceback: Mapped[str | None] = mapped_column(sa.Text)


@dataclasses.dataclass
class Journal:
    """The journal of one process.

    ``entry`` and ``step`` are the service's two models.  ``worker`` names the
    process (host and a random part), so that a row says who holds it.
    """

    database: db.Database
    entry: Any
    step: Any
    worker: str
    lease: float = LEASE

    @property
    def db(self) -> db.Database:
        """For ``db.retried``."""
        return self.database

    @retried
    def take(self, id: str, topic: str, host: str | None = None, *, steal: bool = False) -> 'Lease | None':
        """Hold an operation of a topic (and host): raise its epoch and start a lease.

        ``None`` if it is finished, held, or has been handed to somebody else.
        ``steal`` takes it from a holder whose lease still runs: a worker that
        starts does so with the rows of its own host, for its predecessor is dead.
        """
        with self.database.transaction() as tx:
            now = self.database.now(tx)
            whose = {'its_topic': topic, **({'its_host': host} if host is not None else {}),
                     **({} if steal else {'now': now})}
            hit = tx.connection().execute(_take(self.entry, tuple(whose)), {
                'its_id': id, **whose, 'by': self.worker,
                'until': now + datetime.timedelta(seconds=self.lease)})
            if not hit.rowcount:
                return None
            entry = tx.get_one(self.entry, id)
            return Lease(self, entry, entry.epoch)

    def waiting(self, topic: str, host: str | None = None, *, held: bool = False, most: int = 200) -> list[str]:
        """Ids of unfinished operations of a topic (and host) that nobody holds, oldest first.

        ``held`` includes those under somebody's lease.
        """
        with self.database.reading() as tx:
            now = self.database.now(tx)
            model = self.entry
            query = sa.select(model.id).where(model.finished_at.is_(None), model.topic == topic)
            if host is not None:
                query = query.where(model.host == host)
            if not held:
                query = query.where(model.lease_until.is_(None) | (model.lease_until < now),
                                    model.not_before.is_(None) | (model.not_before < now))
            return list(tx.scalars(query.order_by(model.created_at).limit(most)))


@functools.lru_cache(100)
def _take(model: Any, conditions: tuple[str, ...]) -> sa.Update:
    """The statement of ``take``, made once for each model and each choice of conditions."""
    table = model.__table__
    meant = {
        'its_topic': table.c.topic == sa.bindparam('its_topic'), 'its_host': table.c.host == sa.bindparam('its_host'),
        'now': table.c.lease_until.is_(None) | (table.c.lease_until < sa.bindparam('now', type_=db.Time()))}
    return sa.update(table).where(
        table.c.id == sa.bindparam('its_id'), table.c.finished_at.is_(None), *(meant[name] for name in conditions)
    ).values(epoch=table.c.epoch + 1, worker=sa.bindparam('by', type_=table.c.worker.type), not_before=None,
             lease_until=sa.bindparam('until', type_=db.Time()))


def open(tx: Session, model: Any, context: Context, *, resource_id: str, verb: str, topic: str,      # noqa: A001
         host: str | None = None, arguments: Mapping[str, Any] | None = None) -> Any:
    """Write the row of a new operation, in the transaction that changes the resource's state."""
    entry = model(id=clock.new_uuid(), resource_id=resource_id, verb=verb, arguments=dict(arguments or {}),
                  topic=topic, host=host, request_id=context.request_id, user_id=context.user_id,
                  project_id=context.project_id, context=context.to_dict(), epoch=0)
    tx.add(entry)
    return entry


def supersede(tx: Session, model: Any, resource_id: str, message: str) -> None:
    """Finish every open operation of a resource, so that whoever works on one is fenced off."""
    tx.execute(sa.update(model).where(model.resource_id == resource_id, model.finished_at.is_(None)).values(
        epoch=model.epoch + 1, finished_at=clock.CLOCK.now(), outcome=ERROR, message=message, lease_until=None)
        .execution_options(synchronize_session=False))


class Lease:
    """An operation held by this process, under one epoch."""

    def __init__(self, journal: Journal, entry: Any, epoch: int) -> None:
        self.journal, self.entry, self.epoch = journal, entry, epoch
        self.context = Context.from_dict(entry.context)

    @property
    def db(self) -> db.Database:
        """For ``db.retried``."""
        return self.journal.database

    def hold(self, tx: Session, **values: Any) -> None:
        """Prove, inside a transaction, that the row is still ours, and renew the lease.

        Raises ``errors.Fenced``; the transaction's other writes are then rolled
        back with it.  ``values`` are written to the row.
        """
        model, now = self.journal.entry, self.db.now(tx)
        values = {'lease_until': now + datetime.timedelta(seconds=self.journal.lease), **values}
        if not db.change(tx, model, {'id': self.entry.id, 'epoch': self.epoch, 'finished_at': None}, values):
            raise errors.Fenced(id=self.entry.id, epoch=self.epoch)
        for name, value in values.items():
            set_committed_value(self.entry, name, value)

    @retried
    def check(self) -> None:
        """Renew the lease; ``errors.Fenced`` if it is lost."""
        with self.db.transaction() as tx:
            self.hold(tx)

    @contextlib.contextmanager
    def renewed(self) -> Iterator[None]:
        """Keep the lease alive while a long step runs."""
        renewal = green.spawn(self._renew)
        try:
            yield
        finally:
            renewal.kill()

    def _renew(self) -> None:
        while True:
            green.sleep(self.journal.lease / 3)
            try:
                self.check()
            except errors.Fenced:
                LOG.warning('operation %s: the lease is lost', self.entry.id)
                return
            except errors.Error as error:
                LOG.warning('operation %s: could not renew the lease: %s', self.entry.id, error)

    def begin_step(self, tx: Session, name: str, host: str | None = None) -> None:
        """Write ahead that a step acts now."""
        self.hold(tx, step=name)
        tx.connection().execute(db.insertion(self.journal.step), {
            'entry_id': self.entry.id, 'name': name, 'host': host, 'epoch': self.epoch})

    def end_step(self, tx: Session, name: str, error: BaseException | None = None) -> None:
        """Record how a step ended; ``error`` for one that failed."""
        db.change(tx, self.journal.step, {'entry_id': self.entry.id, 'name': name, 'finished_at': None}, {
            'finished_at': clock.CLOCK.now(), 'outcome': ERROR if error else SUCCESS,
            'message': str(error)[:1000] if error else None,
            'traceback': ''.join(traceback.format_exception(error))[-8000:] if error else None})

    def finish(self, tx: Session, outcome: str = SUCCESS, message: str | None = None) -> None:
        """Close the operation, in the transaction of the last state change."""
        self.hold(tx, finished_at=clock.CLOCK.now(), outcome=outcome, message=message and message[:1000],
                  lease_until=None)

    def hand_over(self, tx: Session, *, topic: str, host: str | None, seconds: float = 0, **values: Any) -> None:
        """Give the operation to another worker, or back, ``seconds`` from now at the earliest."""
        after = self.db.now(tx) + datetime.timedelta(seconds=seconds) if seconds else None
        self.hold(tx, topic=topic, host=host, lease_until=None, worker=None, not_before=after, **values)

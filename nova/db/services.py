"""Daemons: one row per binary and host, and when it was last heard of."""

import datetime
import functools
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova.db.base import Base, Stamped
from strata import clock, db, errors


class Service(Base, Stamped):
    """One daemon on one host.  ``seen_at`` is by the database's clock."""

    __tablename__ = 'services'

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(db.Id, unique=True, default=clock.new_uuid)
    binary: Mapped[str] = mapped_column(sa.String(64))
    host: Mapped[str] = mapped_column(sa.String(255))
    availability_zone: Mapped[str] = mapped_column(sa.String(255), default='nova')
    seen_at: Mapped[datetime.datetime | None] = mapped_column(db.Time)
    report_count: Mapped[int] = mapped_column(default=0)
    disabled: Mapped[bool] = mapped_column(default=False)
    disabled_reason: Mapped[str | None] = mapped_column(sa.String(255))
    forced_down: Mapped[bool] = mapped_column(default=False)
    deleted: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (sa.UniqueConstraint('binary', 'host'),)

    def is_up(self, now: datetime.datetime, down_time: float) -> bool:
        """Whether it was heard of within ``down_time`` seconds of ``now``, the database's clock."""
        return is_up(self, now, down_time)


def is_up(service: Any, now: datetime.datetime, down_time: float) -> bool:
    """The same of a row that has ``forced_down`` and ``seen_at``."""
    if service.forced_down or service.seen_at is None:
        return False
    return bool((now - service.seen_at).total_seconds() <= down_time)


def beat(tx: Session, now: datetime.datetime, binary: str, host: str, zone: str) -> None:
    """Record a heartbeat; the first one makes the row (again, if it had been deleted)."""
    hit = tx.execute(sa.update(Service).where(Service.binary == binary, Service.host == host).values(
        seen_at=now, report_count=Service.report_count + 1, updated_at=now, deleted=False)
        .execution_options(synchronize_session=False))
    if not hit.rowcount:      # type: ignore[attr-defined]
        db.insert_absent(tx, Service, id=clock.new_uuid(), binary=binary, host=host, availability_zone=zone,
                         created_at=now, seen_at=now, updated_at=now, report_count=1, disabled=False,
                         forced_down=False, deleted=False)


def every(tx: Session, *, binary: str | None = None, host: str | None = None) -> Sequence[Service]:
    """The daemons, in the order they first reported."""
    query = sa.select(Service).where(Service.deleted.is_(False)).order_by(Service.number)
    if binary is not None:
        query = query.where(Service.binary == binary)
    if host is not None:
        query = query.where(Service.host == host)
    return tx.scalars(query).all()


def heard_of(tx: Session, binary: str) -> Sequence[Any]:
    """What decides whether the daemons of a kind are up, and their zones; for every request that shows a server."""
    return tx.connection().execute(_heard_of(), {'kind': binary}).all()


@functools.cache
def _heard_of() -> sa.Select[Any]:
    service = Service.__table__.c
    return (sa.select(service.host, service.availability_zone, service.disabled, service.forced_down,
                      service.seen_at)
            .where(service.binary == sa.bindparam('kind'), service.deleted.is_(False)).order_by(service.number))


def get(tx: Session, id: str) -> Service:
    """One daemon by its UUID, or ``errors.NotFound``."""
    service = tx.scalar(sa.select(Service).where(Service.id == id, Service.deleted.is_(False)))
    if service is None:
        raise errors.NotFound('Service {id} could not be found.', id=id[:80])
    return service

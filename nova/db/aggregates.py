"""Host aggregates: named sets of compute hosts with metadata, one key of which is their availability zone."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from nova.db.base import Base, Stamped
from strata import clock, db, errors

ZONE = 'availability_zone'


class Aggregate(Stamped, Base):
    """A set of hosts."""

    __tablename__ = 'aggregates'

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(db.Id, unique=True, default=clock.new_uuid)
    name: Mapped[str] = mapped_column(sa.String(255), unique=True)
    meta: Mapped[dict[str, str]] = mapped_column(db.Json, default=dict)

    members: Mapped[list['AggregateHost']] = relationship(lazy='raise', viewonly=True,
                                                          order_by='AggregateHost.host')

    @property
    def hosts(self) -> list[str]:
        """The names of its hosts."""
        return [member.host for member in self.members]

    @property
    def zone(self) -> str | None:
        """The availability zone that its hosts are in because of it."""
        return self.meta.get(ZONE)


class AggregateHost(Base):
    """A host's membership."""

    __tablename__ = 'aggregate_hosts'

    aggregate_id: Mapped[int] = mapped_column(sa.ForeignKey('aggregates.id', ondelete='CASCADE'), primary_key=True)
    host: Mapped[str] = mapped_column(sa.String(255), primary_key=True, index=True)


def _whole() -> sa.Select[tuple[Aggregate]]:
    return sa.select(Aggregate).options(selectinload(Aggregate.members)).execution_options(populate_existing=True)


def every(tx: Session) -> Sequence[Aggregate]:
    """All aggregates with their hosts."""
    return tx.scalars(_whole().order_by(Aggregate.id)).all()


def get(tx: Session, id: int) -> Aggregate:
    """One aggregate, or ``errors.NotFound``."""
    found = tx.scalar(_whole().where(Aggregate.id == id))
    if found is None:
        raise errors.NotFound('Aggregate {id} could not be found.', id=id)
    return found


def of_hosts(tx: Session, hosts: Sequence[str], *, but: int) -> Sequence[Aggregate]:
    """The other aggregates that some hosts are in."""
    mine = sa.select(AggregateHost.aggregate_id).where(AggregateHost.host.in_(list(hosts)))
    return tx.scalars(_whole().where(Aggregate.id.in_(mine), Aggregate.id != but)).all()

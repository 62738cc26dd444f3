"""Revocation events: what tokens are no longer good, beyond what current assignments say."""

import datetime
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from keystone.db.base import Base
from strata import db


class Revocation(Base):
    """One event; a token is revoked if it has all that the event names.

    ``revision`` is the value of the counter that the event raised: who has
    seen that revision has seen the event.
    """

    __tablename__ = 'revocations'

    revision: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    audit_id: Mapped[str | None] = mapped_column(sa.String(32))
    user_id: Mapped[str | None] = mapped_column(db.Id)
    project_id: Mapped[str | None] = mapped_column(db.Id)
    domain_id: Mapped[str | None] = mapped_column(db.Id)
    #: tokens issued until then
    issued_before: Mapped[datetime.datetime] = mapped_column(db.Time)
    #: when no such token can be alive, and the event may go
    expires_at: Mapped[datetime.datetime] = mapped_column(db.Time, index=True)


def since(tx: Session, revision: int) -> Sequence[Revocation]:
    """The events after a revision, oldest first."""
    return tx.scalars(sa.select(Revocation).where(Revocation.revision > revision)
                      .order_by(Revocation.revision)).all()


def prune(tx: Session, now: datetime.datetime) -> None:
    """Remove the events that no living token can match."""
    tx.execute(sa.delete(Revocation).where(Revocation.expires_at < now))

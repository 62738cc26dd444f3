"""The journal's tables: operations on servers (os-instance-actions) and their steps (its events)."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova.db.base import Base
from strata import journal


class Operation(journal.EntryColumns, Base):
    """One operation; ``action`` is its name in os-instance-actions ('create', 'stop' ...)."""

    __tablename__ = 'operations'

    action: Mapped[str | None] = mapped_column(sa.String(64))


class OperationStep(journal.StepColumns, Base):
    """One step of an operation."""

    __tablename__ = 'operation_steps'


def by_request(tx: Session, server_id: str, request_id: str) -> Operation | None:
    """The operation that a request began on a server."""
    return tx.scalar(sa.select(Operation).where(Operation.resource_id == server_id,
                                                Operation.request_id == request_id)
                     .order_by(Operation.created_at.desc()))


def steps_of(tx: Session, entry_id: str) -> Sequence[OperationStep]:
    """The steps of an operation, newest first."""
    return tx.scalars(sa.select(OperationStep).where(OperationStep.entry_id == entry_id)
                      .order_by(OperationStep.id.desc())).all()

"""How the rows of network resources are asked for: the caller's own, whole, as they are now, or held."""

from collections.abc import Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.db.base import Base
from strata.context import Context

Row = TypeVar('Row', bound=Base)


def owned(model: type[Row], context: Context) -> sa.Select[tuple[Row]]:
    """Rows the caller may see where nothing is shared: its project's; all to an admin."""
    query = sa.select(model)
    return query if context.is_admin else query.where(model.project_id == context.project_id)    # type: ignore


def one(tx: Session, query: sa.Select[tuple[Row]], options: Sequence[Any] = ()) -> Row | None:
    """The row that a query finds, as it is now, with what the options load; or ``None``."""
    return tx.scalar(query.options(*options).execution_options(populate_existing=True))


def every(tx: Session, query: sa.Select[tuple[Row]], options: Sequence[Any] = ()) -> Sequence[Row]:
    """All rows that a query finds, as they are now, with what the options load."""
    return tx.scalars(query.options(*options).execution_options(populate_existing=True)).all()


def held(tx: Session, model: type[Row], id: str, options: Sequence[Any] = ()) -> Row | None:
    """One row, as it is now and until the transaction ends: it changes one caller at a time."""
    return one(tx, sa.select(model).where(model.id == id).with_for_update(), options)      # type: ignore

"""Lists of a server's operations, a page at a time."""

import datetime
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.db.operations import Operation
from strata import clock, errors
from strata.db import keyset


def find(tx: Session, server_id: str, *, changes_since: datetime.datetime | None = None,
         changes_before: datetime.datetime | None = None, marker: str | None = None,
         limit: int | None = None) -> Sequence[Operation]:
    """A page of operations, newest first; ``marker`` is a request id, ``errors.Invalid`` if unknown."""
    mine = sa.select(Operation).where(Operation.resource_id == server_id)
    changed = sa.func.coalesce(Operation.finished_at, Operation.updated_at, Operation.created_at)
    query = mine
    if changes_since is not None:
        query = query.where(changed >= changes_since)
    if changes_before is not None:
        query = query.where(changed < clock.next_second(changes_before))
    after = None
    if marker is not None:
        after = tx.scalars(mine.where(Operation.request_id == marker).order_by(Operation.created_at)).first()
        if after is None:
            raise errors.Invalid('marker [{marker}] not found', marker=marker[:80])
    return tx.scalars(keyset(query, [(Operation.created_at, 'desc'), (Operation.id, 'desc')], after=after,
                             limit=limit)).all()

"""Giving up the rows of deleted servers, which the API shows to administrators until then."""

import datetime
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.db.operations import Operation, OperationStep
from nova.db.passwords import ServerPassword
from nova.db.servers import Server, ServerTag
from nova.db.services import Service
from strata.journal import SUCCESS

#: what hangs on a server by its id; the steps of its operations hang on those
BELONGINGS = (Operation.resource_id, ServerPassword.server_id, ServerTag.server_id)
#: how long a host that came back may take to remove the guests of servers that were deleted without it
HOMECOMING = datetime.timedelta(minutes=10)
#: servers looked at in one transaction
PAGE = 100


def doomed(tx: Session, before: datetime.datetime | None, *, after: int, limit: int) -> tuple[list[str], int | None]:
    """Deleted servers whose rows may go, of a page of rows; and the number to go on ``after``, if there are more.

    ``before``: only those deleted before then.  What is under way on a server keeps it, and so does a guest
    that may be left on a host that was down at the delete: the row is all that says it is ours.  The newest
    row of all stays, since a database may give its number, which guests are named by, to the next server.
    """
    unfinished = sa.exists().where(Operation.resource_id == Server.id, Operation.finished_at.is_(None))
    destroyed = sa.exists().where(Operation.resource_id == Server.id, OperationStep.entry_id == Operation.id,
                                  OperationStep.name == 'destroying', OperationStep.outcome == SUCCESS)
    query = sa.select(Server.number, Server.id, Server.host, Server.terminated_at, destroyed).where(
        Server.deleted.is_(True), Server.number > after, ~unfinished,
        Server.number < sa.select(sa.func.max(Server.number)).scalar_subquery())
    if before is not None:
        query = query.where(Server.terminated_at < before)
    rows = tx.execute(query.order_by(Server.number).limit(limit)).all()
    seen = {row.host: row.seen_at for row in tx.execute(sa.select(Service.host, Service.seen_at).where(
        Service.binary == 'nova-compute', Service.deleted.is_(False)))}

    def settled(host: str | None, at: datetime.datetime) -> bool:
        return host not in seen or (seen[host] is not None and seen[host] > at + HOMECOMING)
    ids = [id for _, id, host, at, done in rows if done or settled(host, at)]
    return ids, rows[-1][0] if len(rows) == limit else None


def erase(tx: Session, ids: Sequence[str]) -> dict[str, int]:
    """Remove servers and what hangs on them; how many rows of each table there were."""
    operations = sa.select(Operation.id).where(Operation.resource_id.in_(ids))
    gone = {}
    for column, values in ((OperationStep.entry_id, operations),
                           *((column, ids) for column in BELONGINGS), (Server.id, ids)):
        done = tx.execute(sa.delete(column.class_).where(column.in_(values))
                          .execution_options(synchronize_session=False))
        gone[column.class_.__tablename__] = int(done.rowcount)      # type: ignore[attr-defined]
    return gone

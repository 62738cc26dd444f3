"""What projects used in a span of time: server hours, and what they hold times hours."""

import dataclasses
import datetime
from collections.abc import Sequence

import sqlalchemy as sa

from nova.db.servers import Server
from nova.wiring import Wiring
from strata import errors
from strata.db import keyset


@dataclasses.dataclass(frozen=True)
class Use:
    """One server's share of the span; ``hours`` it was there."""

    server: Server
    hours: float
    uptime: int      # seconds from launch to the span's end, or its own

    @property
    def ram_mb(self) -> int:
        """MiB of memory."""
        return int(self.server.flavor['ram'])

    @property
    def vcpus(self) -> int:
        """Virtual CPUs."""
        return int(self.server.flavor['vcpus'])

    @property
    def disk_gb(self) -> int:
        """GiB of disk, root and ephemeral."""
        return int(self.server.flavor['disk']) + int(self.server.flavor.get('ephemeral') or 0)


def find(wiring: Wiring, start: datetime.datetime, end: datetime.datetime, *, project_id: str | None = None,
         marker: str | None = None, limit: int | None = None) -> Sequence[Use]:
    """The servers that were there between ``start`` and ``end``, by project; a page of them."""
    end = min(end, wiring.clock.now())      # nothing has been used yet of what is to come
    query = sa.select(Server).where(Server.launched_at < end,
                                    Server.terminated_at.is_(None) | (Server.terminated_at > start))
    if project_id is not None:
        query = query.where(Server.project_id == project_id)
    sorts = [(Server.project_id, 'asc'), (Server.number, 'asc')]
    with wiring.db.reading() as tx:
        after = None
        if marker is not None:
            after = tx.scalar(sa.select(Server).where(Server.id == marker))
            if after is None:
                raise errors.Invalid('marker [{marker}] not found', marker=marker[:80])
        found = tx.scalars(keyset(query, sorts, after=after, limit=limit))
        return [_use(server, start, end) for server in found]


def _use(server: Server, start: datetime.datetime, end: datetime.datetime) -> Use:
    assert server.launched_at is not None
    until = min(server.terminated_at or end, end)
    there = (until - max(server.launched_at, start)).total_seconds()
    return Use(server, there / 3600, int((until - server.launched_at).total_seconds()))

"""Servers: the table, their tags, and every query on them that the life of a server needs."""

import datetime
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova.db.base import Base, Stamped
from strata import clock, db, errors
from strata.context import Context


class Server(Base, Stamped):
    """One server.  Rows of deleted servers stay, for administrators and for the journal."""

    __tablename__ = 'servers'

    #: 42 is ``instance-0000002a`` to the hypervisor, unless it was told otherwise
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(db.Id, unique=True, default=clock.new_uuid)
    project_id: Mapped[str] = mapped_column(db.Id, index=True)
    user_id: Mapped[str] = mapped_column(db.Id)
    name: Mapped[str] = mapped_column(sa.String(255))
    description: Mapped[str | None] = mapped_column(sa.String(255))
    hostname: Mapped[str | None] = mapped_column(sa.String(255))
    reservation_id: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    launch_index: Mapped[int] = mapped_column(default=0)

    vm_state: Mapped[str] = mapped_column(sa.String(32), default='building')
    task_state: Mapped[str | None] = mapped_column(sa.String(32))
    power_state: Mapped[int] = mapped_column(default=0)
    progress: Mapped[int] = mapped_column(default=0)
    locked_by: Mapped[str | None] = mapped_column(sa.String(16))      # 'owner' or 'admin'
    locked_reason: Mapped[str | None] = mapped_column(sa.String(255))
    deleted: Mapped[bool] = mapped_column(default=False)
    launched_at: Mapped[datetime.datetime | None] = mapped_column(db.Time)
    terminated_at: Mapped[datetime.datetime | None] = mapped_column(db.Time)

    #: where it runs; NULL until the scheduler claimed
    host: Mapped[str | None] = mapped_column(sa.String(255), index=True)
    node: Mapped[str | None] = mapped_column(sa.String(255))
    availability_zone: Mapped[str | None] = mapped_column(sa.String(255))      # as asked for

    image_id: Mapped[str | None] = mapped_column(db.Id, index=True)      # NULL: boots from a volume
    #: disk_format, min_disk, min_ram, size, os_hash_*, checksum and properties, as at creation
    image: Mapped[dict[str, Any]] = mapped_column(db.Json, default=dict)
    kernel_id: Mapped[str | None] = mapped_column(db.Id)
    ramdisk_id: Mapped[str | None] = mapped_column(db.Id)
    flavor_id: Mapped[str] = mapped_column(sa.String(255), index=True)
    #: the flavor as at creation: name, vcpus, ram, disk, ephemeral, swap, extra_specs, description ...
    flavor: Mapped[dict[str, Any]] = mapped_column(db.Json)

    key_name: Mapped[str | None] = mapped_column(sa.String(255))
    key_data: Mapped[str | None] = mapped_column(sa.Text)
    key_type: Mapped[str | None] = mapped_column(sa.String(16))
    user_data: Mapped[str | None] = mapped_column(sa.Text().with_variant(
        sa.dialects.mysql.MEDIUMTEXT(), 'mysql', 'mariadb'))      # base64, as given
    config_drive: Mapped[bool] = mapped_column(default=False)
    access_ip_v4: Mapped[str | None] = mapped_column(sa.String(39))
    access_ip_v6: Mapped[str | None] = mapped_column(sa.String(39))
    root_device_name: Mapped[str | None] = mapped_column(sa.String(64), default='/dev/vda')
    meta: Mapped[dict[str, str]] = mapped_column(db.Json, default=dict)
    #: what the create request asked for and the build needs: networks, security_groups, hints, avoid ...
    request: Mapped[dict[str, Any]] = mapped_column(db.Json, default=dict)

    fault_code: Mapped[int | None] = mapped_column()
    fault_message: Mapped[str | None] = mapped_column(sa.Text)
    fault_details: Mapped[str | None] = mapped_column(sa.Text)
    fault_at: Mapped[datetime.datetime | None] = mapped_column(db.Time)

    __table_args__ = (sa.Index('ix_servers_project_deleted', 'project_id', 'deleted', 'created_at'),
                      sa.Index('ix_servers_host_deleted', 'host', 'deleted'))


class ServerTag(Base):
    """A tag of a server."""

    __tablename__ = 'server_tags'

    server_id: Mapped[str] = mapped_column(db.Id, sa.ForeignKey('servers.id', ondelete='CASCADE'), primary_key=True)
    tag: Mapped[str] = mapped_column(sa.String(60), primary_key=True)


def visible(context: Context, *, deleted: bool = False) -> sa.Select[Any]:
    """Servers the caller may see: all to an administrator, else its project's."""
    query = sa.select(Server) if deleted else sa.select(Server).where(Server.deleted.is_(False))
    return query if context.is_admin else query.where(Server.project_id == context.project_id)


def get(tx: Session, context: Context, id: str, *, deleted: bool = False) -> Server:
    """One server, or ``errors.NotFound``, the same whether it is absent or somebody else's."""
    server = tx.scalar(visible(context, deleted=deleted).where(Server.id == id))
    if server is None:
        raise errors.NotFound('Instance {id} could not be found.', id=id[:80])
    return server


def is_going(tx: Session, id: str) -> bool:
    """Whether a server is deleted, or being deleted."""
    return tx.connection().execute(_going(), {'whose': id}).first() is not None


@functools.cache
def _going() -> sa.Select[Any]:
    server = Server.__table__.c
    return sa.select(server.id).where(server.id == sa.bindparam('whose'),
                                      server.deleted | (server.task_state == 'deleting'))


def on_host(tx: Session, host: str) -> Sequence[Server]:
    """The servers that live on a host."""
    return tx.scalars(sa.select(Server).where(Server.host == host, Server.deleted.is_(False))).all()


def hosts_of(tx: Session, project_id: str, ids: Sequence[str]) -> frozenset[str]:
    """Where those of some servers live that are a project's, in one query."""
    return frozenset(tx.scalars(sa.select(Server.host).distinct().where(
        Server.project_id == project_id, Server.id.in_(sorted(set(ids))), Server.host.is_not(None),
        Server.deleted.is_(False))))


def swap(tx: Session, server: Server, *, expect: dict[str, Any], **values: Any) -> None:
    """Write ``values`` if the server is still as we ``expect`` it, or raise ``errors.Busy``.

    The only way a server's state changes.  A worker calls ``lease.hold(tx)``
    in the same transaction, so that one which lost its lease changes nothing.
    """
    db.swap(tx, server, expect={'deleted': False, **expect}, kind='Instance',
            updated_at=clock.CLOCK.now(), **values)


def move(tx: Session, id: str, *, expect: dict[str, Any], **values: Any) -> None:
    """As ``swap``, of a server that need not be loaded for it."""
    if not db.change(tx, Server, {'id': id, 'deleted': False, **expect}, {'updated_at': clock.CLOCK.now(), **values}):
        raise errors.Busy(kind='Instance', id=id)


def fault(error: BaseException) -> dict[str, Any]:
    """The values that record a failure on a server; to be given to ``swap``.

    What its owner is not told of a failure, or of what brought it about, are its details, for administrators.
    """
    told = isinstance(error, errors.Error) and error.told
    untold = error.__cause__ if told else error
    return {'fault_code': error.status if told else 500,      # type: ignore[attr-defined]
            'fault_message': errors.told(error)[:255], 'fault_details': str(untold)[:4000] if untold else None,
            'fault_at': clock.CLOCK.now()}


def tags_of(tx: Session, ids: Iterable[str]) -> dict[str, list[str]]:
    """The tags of several servers, sorted, in one query."""
    found: dict[str, list[str]] = {}
    rows = tx.execute(sa.select(ServerTag.server_id, ServerTag.tag).where(ServerTag.server_id.in_(list(ids)))
                      .order_by(ServerTag.tag))
    for id, tag in rows:
        found.setdefault(id, []).append(tag)
    return found

"""Compute hosts and what servers have claimed of them.

A claim is compare-and-swap: the host row carries what is free and a
generation, and one UPDATE takes a share only if it is still there.  "Sum,
check, insert" would oversubscribe at the servers' default isolation.
"""

import functools
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova.db.base import Base, Stamped
from nova.db.services import Service
from strata import clock, db, errors


class ComputeHost(Base, Stamped):
    """One hypervisor.  ``free_*`` are after over-commitment and reservation, less the claims."""

    __tablename__ = 'compute_hosts'

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(db.Id, unique=True, default=clock.new_uuid)
    host: Mapped[str] = mapped_column(sa.String(255), unique=True)
    hypervisor_hostname: Mapped[str] = mapped_column(sa.String(255))
    hypervisor_type: Mapped[str] = mapped_column(sa.String(64))
    hypervisor_version: Mapped[int] = mapped_column(default=0)
    host_ip: Mapped[str | None] = mapped_column(sa.String(39))
    cpu_info: Mapped[dict[str, Any]] = mapped_column(db.Json, default=dict)
    uptime: Mapped[str | None] = mapped_column(sa.String(255))
    #: what the machine has
    vcpus: Mapped[int] = mapped_column()
    ram_mb: Mapped[int] = mapped_column()
    disk_gb: Mapped[int] = mapped_column()
    #: what may be promised: totals times ratio, less what is reserved
    limit_vcpus: Mapped[int] = mapped_column()
    limit_ram_mb: Mapped[int] = mapped_column()
    limit_disk_gb: Mapped[int] = mapped_column()
    free_vcpus: Mapped[int] = mapped_column()
    free_ram_mb: Mapped[int] = mapped_column()
    free_disk_gb: Mapped[int] = mapped_column()
    disk_available_least: Mapped[int | None] = mapped_column()
    running_vms: Mapped[int] = mapped_column(default=0)
    generation: Mapped[int] = mapped_column(default=0)


class Claim(Base):
    """What one server takes of one host.  The key makes claiming and giving back idempotent."""

    __tablename__ = 'claims'

    server_id: Mapped[str] = mapped_column(db.Id, primary_key=True)
    host: Mapped[str] = mapped_column(sa.String(255), index=True)
    vcpus: Mapped[int] = mapped_column()
    ram_mb: Mapped[int] = mapped_column()
    disk_gb: Mapped[int] = mapped_column()


def every(tx: Session) -> Sequence[ComputeHost]:
    """All hosts that ever reported."""
    return tx.scalars(sa.select(ComputeHost).order_by(ComputeHost.number)).all()


def reporting(tx: Session) -> Sequence[Any]:
    """What a scheduler must know of each host whose daemon is known, in one query."""
    return tx.connection().execute(_reporting()).all()


@functools.cache
def _reporting() -> sa.Select[Any]:
    host, service = ComputeHost.__table__.c, Service.__table__.c
    return (sa.select(host.host, host.hypervisor_hostname, host.hypervisor_type, host.cpu_info, host.free_vcpus,
                      host.free_ram_mb, host.free_disk_gb, service.availability_zone, service.disabled,
                      service.forced_down, service.seen_at)
            .join_from(ComputeHost.__table__, Service.__table__, service.host == host.host)
            .where(service.binary == 'nova-compute', service.deleted.is_(False)).order_by(host.number))


def by_host(tx: Session, host: str) -> ComputeHost | None:
    """The row of one host."""
    return tx.scalar(sa.select(ComputeHost).where(ComputeHost.host == host))


def claim(tx: Session, server_id: str, host: str, *, vcpus: int, ram_mb: int, disk_gb: int) -> None:
    """Take a share of a host for a server, or raise ``errors.Conflict`` if it is no longer there."""
    share = {'vcpus': vcpus, 'ram_mb': ram_mb, 'disk_gb': disk_gb}
    if not tx.connection().execute(_claiming(), {
            'whose': host, **{f'of_{name}': amount for name, amount in share.items()}}).rowcount:
        raise errors.Conflict('Host {host} has been filled by others.', host=host)
    tx.connection().execute(db.insertion(Claim), {'server_id': server_id, 'host': host, **share})


@functools.cache
def _claiming() -> sa.Update:
    """The statement that takes a share of a host, made once."""
    table = ComputeHost.__table__
    shares = {f'free_{name}': sa.bindparam(f'of_{name}', type_=sa.Integer)
              for name in ('vcpus', 'ram_mb', 'disk_gb')}
    return sa.update(table).where(      # type: ignore[arg-type]
        table.c.host == sa.bindparam('whose'), *(table.c[name] >= share for name, share in shares.items())
    ).values({name: table.c[name] - share for name, share in shares.items()} | {'generation': table.c.generation + 1})


def unclaim(tx: Session, server_id: str) -> None:
    """Give back what a server had taken; nothing if it had nothing."""
    mine = tx.connection().execute(_claimed(), {'whose': server_id}).first()
    if mine is None:
        return
    gone = tx.execute(sa.delete(Claim).where(Claim.server_id == server_id)
                      .execution_options(synchronize_session=False))
    if gone.rowcount:      # type: ignore[attr-defined]
        _give(tx, mine)


@functools.cache
def _claimed() -> sa.Select[Any]:
    return sa.select(Claim.__table__).where(Claim.__table__.c.server_id == sa.bindparam('whose'))


def _give(tx: Session, mine: Any) -> None:
    tx.execute(sa.update(ComputeHost).where(ComputeHost.host == mine.host).values(
        free_vcpus=ComputeHost.free_vcpus + mine.vcpus, free_ram_mb=ComputeHost.free_ram_mb + mine.ram_mb,
        free_disk_gb=ComputeHost.free_disk_gb + mine.disk_gb, generation=ComputeHost.generation + 1)
        .execution_options(synchronize_session=False))


def report(tx: Session, host: str, limits: dict[str, int], **facts: Any) -> None:
    """Write what a host has.  ``limits`` (vcpus, ram_mb, disk_gb) are what may be promised of it.

    The host row is locked first, so the claims summed here cannot change meanwhile.
    """
    row = by_host(tx, host)
    if row is None:
        zero = {f'{kind}_{name}': 0 for kind in ('limit', 'free') for name in limits}
        db.insert_absent(tx, ComputeHost, id=clock.new_uuid(), host=host, created_at=clock.CLOCK.now(),
                         generation=0, **{'running_vms': 0, **zero, **facts})
    tx.execute(sa.update(ComputeHost).where(ComputeHost.host == host)
               .values(generation=ComputeHost.generation + 1).execution_options(synchronize_session=False))
    taken = tx.execute(sa.select(*(sa.func.coalesce(sa.func.sum(getattr(Claim, name)), 0) for name in limits))
                       .where(Claim.host == host)).one()
    values = {**facts, **{f'limit_{name}': value for name, value in limits.items()},
              **{f'free_{name}': value - int(used) for (name, value), used in zip(limits.items(), taken)}}
    tx.execute(sa.update(ComputeHost).where(ComputeHost.host == host)
               .values(updated_at=clock.CLOCK.now(), **values).execution_options(synchronize_session=False))

"""Compute hosts, as an administrator looks at them."""

import dataclasses
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.compute import instance_names
from nova.db import hosts, server_lists, services
from nova.db.hosts import ComputeHost
from nova.db.services import Service
from nova.wiring import Wiring
from strata import errors
from strata.db import keyset


@dataclasses.dataclass(frozen=True)
class Hypervisor:
    """One host with what is known of it; ``servers`` are (instance name, id), if they were asked for."""

    row: ComputeHost
    service: Service
    up: bool
    servers: Sequence[tuple[str, str]] = ()


def find(wiring: Wiring, *, pattern: str | None = None, with_servers: bool = False, marker: str | None = None,
         by_number: bool = False, limit: int | None = None) -> Sequence[Hypervisor]:
    """A page of hosts; ``pattern`` is part of a name, ``marker`` an id (a number before 2.53).

    Raises ``errors.Invalid`` for an unknown marker, ``NotFound`` if nothing has the pattern.
    """
    with wiring.db.reading() as tx:
        query = sa.select(ComputeHost).where(ComputeHost.host.in_(_alive()))
        if pattern is not None:
            query = query.where(ComputeHost.hypervisor_hostname.contains(pattern, autoescape=True))
        after = _row(tx, marker, by_number) if marker is not None else None
        if marker is not None and after is None:
            raise errors.Invalid('marker [{marker}] not found', marker=marker[:80])
        rows = tx.scalars(keyset(query, [(ComputeHost.number, 'asc')], after=after, limit=limit)).all()
        if pattern is not None and not rows:
            raise errors.NotFound("No hypervisor matching '{pattern}' could be found.", pattern=pattern[:80])
        return _whole(wiring, tx, rows, with_servers)


def get(wiring: Wiring, id: str, *, by_number: bool = False, with_servers: bool = False) -> Hypervisor:
    """One host."""
    with wiring.db.reading() as tx:
        row = _row(tx, id, by_number)
        found = _whole(wiring, tx, [row], with_servers) if row is not None else []
        if not found:
            raise errors.NotFound("Hypervisor with ID '{id}' could not be found.", id=id[:80])
        return found[0]


def exists(wiring: Wiring, name: str) -> bool:
    """Whether a hypervisor goes by this name."""
    with wiring.db.reading() as tx:
        return tx.scalar(sa.select(ComputeHost.id).where(ComputeHost.hypervisor_hostname == name)) is not None


def statistics(wiring: Wiring) -> dict[str, int]:
    """Sums over all hosts."""
    with wiring.db.reading() as tx:
        rows = hosts.every(tx)
        known = services.every(tx, binary='nova-compute')
    alive = {service.host for service in known if not service.disabled}
    rows = [row for row in rows if row.host in alive]
    names = ('vcpus', 'memory_mb', 'local_gb', 'vcpus_used', 'memory_mb_used', 'local_gb_used', 'free_ram_mb',
             'free_disk_gb', 'running_vms', 'current_workload', 'disk_available_least')
    return {'count': len(rows), **{name: sum(capacity(row)[name] for row in rows) for name in names}}


def capacity(row: ComputeHost) -> dict[str, int]:
    """What a host has and what is taken of it, in the API's names; taken means promised to servers."""
    taken = {'vcpus': row.limit_vcpus - row.free_vcpus, 'ram': row.limit_ram_mb - row.free_ram_mb,
             'disk': row.limit_disk_gb - row.free_disk_gb}
    return {'vcpus': row.vcpus, 'vcpus_used': taken['vcpus'], 'memory_mb': row.ram_mb,
            'memory_mb_used': taken['ram'], 'free_ram_mb': row.ram_mb - taken['ram'], 'local_gb': row.disk_gb,
            'local_gb_used': taken['disk'], 'free_disk_gb': row.disk_gb - taken['disk'],
            'running_vms': row.running_vms, 'current_workload': 0,
            'disk_available_least': row.disk_available_least or 0}


def _alive() -> sa.Select[tuple[str]]:
    return sa.select(Service.host).where(Service.binary == 'nova-compute', Service.deleted.is_(False))


def _row(tx: Session, id: str, by_number: bool) -> ComputeHost | None:
    if not by_number:
        return tx.scalar(sa.select(ComputeHost).where(ComputeHost.id == id))
    if not id.isascii() or not id.isdigit() or len(id) > 9:
        return None
    return tx.scalar(sa.select(ComputeHost).where(ComputeHost.number == int(id)))


def _whole(wiring: Wiring, tx: Session, rows: Sequence[ComputeHost], with_servers: bool) -> list[Hypervisor]:
    now = wiring.db.now(tx)
    known = {service.host: service for service in services.every(tx, binary='nova-compute')}
    on = server_lists.on_hosts(tx, [row.host for row in rows]) if with_servers else {}
    return [Hypervisor(row, known[row.host], known[row.host].is_up(now, wiring.conf.service_down_time),
                       [(instance_names.named(wiring, server), server.id) for server in on.get(row.host, ())])
            for row in rows if row.host in known]

"""What a scheduler knows of each host, and of what is asked of it: plain values, one snapshot."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from nova.db import hosts, servers, services
from nova.db.servers import Server
from nova.wiring import Wiring


@dataclasses.dataclass(frozen=True, slots=True)
class HostState:
    """One host at the moment of the snapshot."""

    host: str
    node: str
    hypervisor_type: str
    alive: bool
    disabled: bool
    zone: str
    free_vcpus: int
    free_ram_mb: int
    free_disk_gb: int
    cpu_info: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Spec:
    """What a server needs of a host.

    ``tried`` are hosts that failed to build it; ``beside`` those of which it must
    be on one (``None``: on any), ``apart`` those on which it must not be.
    """

    vcpus: int
    ram_mb: int
    disk_gb: int
    zone: str | None = None
    host: str | None = None
    node: str | None = None
    tried: frozenset[str] = frozenset()
    beside: frozenset[str] | None = None
    apart: frozenset[str] = frozenset()
    image: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def spec(wiring: Wiring, tx: Session, server: Server, tried: list[str]) -> Spec:
    """What a server asks for: its flavor, zone, forced host, image properties and hints."""
    flavor, hints = server.flavor, server.request.get('hints') or {}
    swap_gb = -(-int(flavor.get('swap') or 0) // 1024)
    return Spec(vcpus=flavor['vcpus'], ram_mb=flavor['ram'],
                disk_gb=flavor['disk'] + int(flavor.get('ephemeral') or 0) + swap_gb,
                zone=server.availability_zone or wiring.conf.default_schedule_zone,
                host=server.request.get('host'), node=server.request.get('node'), tried=frozenset(tried),
                beside=_homes(tx, server, hints['same_host']) if hints.get('same_host') else None,
                apart=_homes(tx, server, hints.get('different_host')),
                image=server.image.get('properties') or {})


def _homes(tx: Session, server: Server, ids: str | list[str] | None) -> frozenset[str]:
    """Where others of the same project live, of those that a hint names."""
    if not ids:
        return frozenset()
    return servers.hosts_of(tx, server.project_id, [ids] if isinstance(ids, str) else ids)


def snapshot(wiring: Wiring, tx: Session) -> list[HostState]:
    """Every compute host, in one query."""
    now, down = wiring.db.now(tx), wiring.conf.service_down_time
    return [HostState(
        host=row.host, node=row.hypervisor_hostname, hypervisor_type=row.hypervisor_type,
        alive=services.is_up(row, now, down), disabled=row.disabled, zone=row.availability_zone,
        free_vcpus=row.free_vcpus, free_ram_mb=row.free_ram_mb, free_disk_gb=row.free_disk_gb,
        cpu_info=row.cpu_info or {}) for row in hosts.reporting(tx)]

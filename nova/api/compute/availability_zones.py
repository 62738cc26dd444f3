"""Availability zones -- /os-availability-zone."""

from collections.abc import Sequence
from typing import Any

from nova.api.compute import app
from nova.api.policy import ADMIN, ANYONE, rule
from nova.db import services
from nova.db.services import Service
from strata import clock
from strata.rest import Request

#: the zone that everything but nova-compute is said to be in
INTERNAL = 'internal'


def zone_of(service: Service) -> str:
    """The zone a daemon is in."""
    return service.availability_zone if service.binary == 'nova-compute' else INTERNAL


def _read(req: Request) -> tuple[Sequence[Service], frozenset[str]]:
    with req.wiring.db.reading() as tx:
        now = req.wiring.db.now(tx)
        known = services.every(tx)
    down_time = req.wiring.conf.service_down_time
    return known, frozenset(service.id for service in known if service.is_up(now, down_time))


def _zones(req: Request, *, detailed: bool) -> dict[str, Any]:
    known, up = _read(req)
    zones: dict[str, list[Service]] = {}
    for service in known:
        zones.setdefault(zone_of(service), []).append(service)
    listed = []
    for name in sorted(zones):
        if name == INTERNAL and not detailed:
            continue
        usable = name == INTERNAL or any(not service.disabled for service in zones[name])
        listed.append({'zoneName': name, 'zoneState': {'available': usable},
                       'hosts': _hosts(zones[name], up) if detailed else None})
    return {'availabilityZoneInfo': listed}


def _hosts(members: Sequence[Service], up: frozenset[str]) -> dict[str, Any]:
    hosts: dict[str, dict[str, Any]] = {}
    for service in members:
        hosts.setdefault(service.host, {})[service.binary] = {
            'active': not service.disabled, 'available': service.id in up,
            'updated_at': clock.iso_micro(service.seen_at)}
    return hosts


@app.get('/os-availability-zone', allow=rule('os-availability-zone:list', ANYONE))
def index(req: Request) -> dict[str, Any]:
    """The zones that servers may ask for."""
    return _zones(req, detailed=False)


@app.get('/os-availability-zone/detail', allow=rule('os-availability-zone:detail', ADMIN))
def detail(req: Request) -> dict[str, Any]:
    """Zones with their hosts and daemons."""
    return _zones(req, detailed=True)

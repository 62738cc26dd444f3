"""Compute hosts -- /os-hypervisors: numbers until 2.52, UUIDs since; capacity until 2.87."""

from collections.abc import Sequence
from typing import Any

import orjson

from nova.api.compute import app
from nova.api.fields import STRICT, check_uuid
from nova.api.policy import ADMIN, rule
from nova.compute import hypervisors
from nova.compute.hypervisors import Hypervisor
from strata import errors
from strata.rest import FLAG, INTEGER, TEXT, Choice, Query, Request, View, between, paging, since, until

LIST = Query({'limit': since('2.33', INTEGER), 'marker': since('2.33', TEXT),
              'with_servers': since('2.53', FLAG),
              'hypervisor_hostname_pattern': since('2.53', TEXT)}, unknown=STRICT)
SHOW = Query({'with_servers': since('2.53', FLAG)}, unknown=STRICT)


def _servers(found: Hypervisor) -> list[dict[str, str]]:
    return [{'name': name, 'uuid': id} for name, id in found.servers]


def _capacity(name: str) -> Any:
    return until('2.87', lambda found: hypervisors.capacity(found.row)[name])


BRIEF = View(
    id=Choice(until('2.52', lambda found: found.row.number), since('2.53', lambda found: found.row.id)),
    hypervisor_hostname=lambda found: found.row.hypervisor_hostname,
    state=lambda found: 'up' if found.up else 'down',
    status=lambda found: 'disabled' if found.service.disabled else 'enabled',
)
HYPERVISOR = View({
    **BRIEF.members,
    'service': lambda found: {'host': found.service.host, 'disabled_reason': found.service.disabled_reason},
    'hypervisor_type': lambda found: found.row.hypervisor_type,
    'hypervisor_version': lambda found: found.row.hypervisor_version,
    'host_ip': lambda found: found.row.host_ip,
    'cpu_info': Choice(until('2.27', lambda found: orjson.dumps(found.row.cpu_info).decode()),
                       between('2.28', '2.87', lambda found: found.row.cpu_info)),
    'uptime': since('2.88', lambda found: found.row.uptime or None),
    **{name: _capacity(name) for name in (
        'vcpus', 'vcpus_used', 'memory_mb', 'memory_mb_used', 'free_ram_mb', 'local_gb', 'local_gb_used',
        'free_disk_gb', 'running_vms', 'current_workload', 'disk_available_least')},
})


def _shown(req: Request, found: Hypervisor, *, with_servers: bool, view: View = HYPERVISOR) -> dict[str, Any]:
    shown = view(req, found)
    if 'service' in shown:
        shown['service']['id'] = found.service.id if req.version >= (2, 53) else found.service.number
    if with_servers and (found.servers or req.version >= (2, 75)):
        shown['servers'] = _servers(found)
    return shown


def _listed(req: Request, query: dict[str, Any], view: View) -> dict[str, Any]:
    pattern, with_servers = query.get('hypervisor_hostname_pattern'), query.get('with_servers', False)
    if pattern is not None and ('limit' in query or 'marker' in query):
        raise errors.Invalid('Paging over hypervisors with the hypervisor_hostname_pattern query parameter '
                             'is not supported.')
    size = paging.limit(query.get('limit'), req.wiring.conf.osapi_max_limit)
    found = hypervisors.find(req.wiring, pattern=pattern, with_servers=with_servers,
                             marker=query.get('marker'),
                             by_number=req.version < (2, 53), limit=size)
    listed: dict[str, Any] = {'hypervisors': [_shown(req, each, with_servers=with_servers, view=view)
                                              for each in found]}
    if req.version >= (2, 33) and pattern is None:
        marker = 'number' if req.version < (2, 53) else 'id'
        if following := paging.links(req, [each.row for each in found], size, marker=marker):
            listed['hypervisors_links'] = following
    return listed


def _one(req: Request, id: str, *, with_servers: bool = False) -> Hypervisor:
    if req.version >= (2, 53):
        check_uuid(id)
    return hypervisors.get(req.wiring, id, by_number=req.version < (2, 53), with_servers=with_servers)


@app.get('/os-hypervisors', query=LIST, allow=rule('os-hypervisors:list', ADMIN))
def index(req: Request, query: dict[str, Any]) -> dict[str, Any]:
    """Names and states of hosts."""
    return _listed(req, query, BRIEF)


@app.get('/os-hypervisors/detail', query=LIST, allow=rule('os-hypervisors:list-detail', ADMIN))
def detail(req: Request, query: dict[str, Any]) -> dict[str, Any]:
    """Hosts with all that is known of them."""
    return _listed(req, query, HYPERVISOR)


@app.get('/os-hypervisors/statistics', last='2.87', allow=rule('os-hypervisors:statistics', ADMIN))
def statistics(req: Request) -> dict[str, Any]:
    """Sums over all hosts."""
    return {'hypervisor_statistics': hypervisors.statistics(req.wiring)}


@app.get('/os-hypervisors/{id}', query=SHOW, allow=rule('os-hypervisors:show', ADMIN))
def show(req: Request, id: str, query: dict[str, Any]) -> dict[str, Any]:
    """One host."""
    with_servers = query.get('with_servers', False)
    return {'hypervisor': _shown(req, _one(req, id, with_servers=with_servers), with_servers=with_servers)}


@app.get('/os-hypervisors/{id}/uptime', last='2.87', allow=rule('os-hypervisors:uptime', ADMIN))
def uptime(req: Request, id: str) -> dict[str, Any]:
    """How long a host has been up, as uptime(1) prints it."""
    found = _one(req, id)
    return {'hypervisor': {**BRIEF(req, found), 'uptime': found.row.uptime or ''}}


def _matching(req: Request, pattern: str, *, with_servers: bool) -> Sequence[Hypervisor]:
    return hypervisors.find(req.wiring, pattern=pattern, with_servers=with_servers)


@app.get('/os-hypervisors/{id}/search', last='2.52', allow=rule('os-hypervisors:search', ADMIN))
def search(req: Request, id: str) -> dict[str, Any]:
    """Hosts by part of their name."""
    return {'hypervisors': [BRIEF(req, found) for found in _matching(req, id, with_servers=False)]}


@app.get('/os-hypervisors/{id}/servers', last='2.52', allow=rule('os-hypervisors:servers', ADMIN))
def servers(req: Request, id: str) -> dict[str, Any]:
    """Hosts by part of their name, with their servers."""
    return {'hypervisors': [_shown(req, found, with_servers=True, view=BRIEF)
                            for found in _matching(req, id, with_servers=True)]}

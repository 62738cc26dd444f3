"""Usage of projects -- /os-simple-tenant-usage."""

import datetime
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from nova.api.compute import app
from nova.api.fields import STRICT
from nova.api.policy import ADMIN, READER, rule
from nova.compute import usage
from nova.compute.usage import Use
from strata import clock, errors
from strata.rest import MOMENT, POSITIVE, TEXT, Query, Request, paging, since

_SPAN = {'start': MOMENT, 'end': MOMENT, 'detailed': TEXT, 'limit': since('2.40', POSITIVE),
         'marker': since('2.40', TEXT)}
LIST = Query(_SPAN, unknown=STRICT)


def _span(req: Request, query: dict[str, Any]) -> tuple[datetime.datetime, datetime.datetime]:
    end = query.get('end') or req.wiring.clock.now()
    start = query.get('start') or end - datetime.timedelta(days=28)
    if start >= end:
        raise errors.Invalid('Invalid start time. The start time cannot occur after the end time.')
    return start, end


def _one(use: Use) -> dict[str, Any]:
    server = use.server
    return {'instance_id': server.id, 'name': server.name, 'tenant_id': server.project_id,
            'flavor': server.flavor['name'], 'vcpus': use.vcpus, 'memory_mb': use.ram_mb,
            'local_gb': use.disk_gb,
            'started_at': clock.iso_micro(server.launched_at),
            'ended_at': clock.iso_micro(server.terminated_at),
            'hours': use.hours, 'uptime': use.uptime,
            'state': 'terminated' if server.deleted else server.vm_state}


def _summed(project_id: str, uses: Iterable[Use], start: datetime.datetime, end: datetime.datetime, *,
            detailed: bool) -> dict[str, Any]:
    mine = list(uses)
    shown: dict[str, Any] = {
        'tenant_id': project_id, 'start': clock.iso_micro(start), 'stop': clock.iso_micro(end),
        'total_hours': sum(use.hours for use in mine),
        'total_vcpus_usage': sum(use.hours * use.vcpus for use in mine),
        'total_memory_mb_usage': sum(use.hours * use.ram_mb for use in mine),
        'total_local_gb_usage': sum(use.hours * use.disk_gb for use in mine)}
    if detailed:
        shown['server_usages'] = [_one(use) for use in mine]
    return shown


def _found(req: Request, query: dict[str, Any], span: tuple[datetime.datetime, datetime.datetime],
           project_id: str | None) -> tuple[Sequence[Use], int | None]:
    paged = req.version >= (2, 40)
    size = paging.limit(query.get('limit'), req.wiring.conf.osapi_max_limit) if paged else None
    return usage.find(req.wiring, *span, project_id=project_id, marker=query.get('marker'), limit=size), size


def _links(req: Request, found: Sequence[Use], size: int | None) -> list[dict[str, str]]:
    return paging.links(req, [use.server for use in found], size)


@app.get('/os-simple-tenant-usage', query=LIST, allow=rule('os-simple-tenant-usage:list', ADMIN))
def index(req: Request, query: dict[str, Any]) -> dict[str, Any]:
    """Every project's usage; a project's whose id is empty is nobody's."""
    if req.path.endswith('/'):
        raise errors.NotFound('The resource could not be found.')
    span = _span(req, query)
    found, size = _found(req, query, span, None)
    detailed = query.get('detailed') in ('1', 'True', 'true')
    listed: dict[str, Any] = {'tenant_usages': [
        _summed(project_id, uses, *span, detailed=detailed)
        for project_id, uses in itertools.groupby(found, lambda use: use.server.project_id)]}
    if following := _links(req, found, size):
        listed['tenant_usages_links'] = following
    return listed


@app.get('/os-simple-tenant-usage/{project_id}', query=LIST, late=True,
         allow=rule('os-simple-tenant-usage:show', READER))
def show(req: Request, project_id: str, query: dict[str, Any]) -> dict[str, Any]:
    """One project's usage, server by server."""
    req.enforce({'project_id': project_id})
    span = _span(req, query)
    found, size = _found(req, query, span, project_id)
    summed = _summed(project_id, found, *span, detailed=True) if found else {}
    shown: dict[str, Any] = {'tenant_usage': summed}
    if following := _links(req, found, size):
        shown['tenant_usage_links'] = following
    return shown

"""What was done to a server -- /servers/{id}/os-instance-actions: the journal, as clients see it."""

from collections.abc import Sequence
from typing import Any

from nova.api.compute import app
from nova.api.compute.server_view import host_id
from nova.api.fields import STRICT
from nova.api.policy import ADMIN, READER, rule
from nova.db import operation_lists, operations, servers
from nova.db.operations import Operation, OperationStep
from nova.db.servers import Server
from strata import clock, errors
from strata.rest import MOMENT, POSITIVE, TEXT, Query, Request, View, paging, since

EVENTS = rule('os-instance-actions:events', ADMIN, 'Tracebacks, hosts, and before 2.51 events at all.')
DETAILS = rule('os-instance-actions:events:details', ADMIN, 'Details of events, since 2.84.')
LIST = Query({'limit': since('2.58', POSITIVE), 'marker': since('2.58', TEXT),
              'changes-since': since('2.58', MOMENT), 'changes-before': since('2.66', MOMENT)},
              unknown=STRICT)

ACTION = View(
    action='action', instance_uuid='resource_id', request_id='request_id', user_id='user_id',
    project_id='project_id', message=lambda operation: operation.message,
    start_time=lambda operation: clock.iso_micro(operation.created_at),
    updated_at=since('2.58', lambda operation: clock.iso_micro(
        operation.finished_at or operation.updated_at or operation.created_at)),
)


def _server(req: Request, tx: Any, id: str) -> Server:
    """The server; since 2.21 also a deleted one."""
    assert req.context is not None
    return servers.get(tx, req.context, id, deleted=req.version >= (2, 21))


@app.get('/servers/{id}/os-instance-actions', query=LIST, allow=rule('os-instance-actions:list', READER))
def index(req: Request, id: str, query: dict[str, Any]) -> dict[str, Any]:
    """The operations on a server, newest first."""
    before, after = query.get('changes-before'), query.get('changes-since')
    if before and after and after > before:
        raise errors.Invalid('The value of changes-since must be less than or equal to changes-before.')
    size = paging.limit(query.get('limit'), req.wiring.conf.osapi_max_limit)
    with req.wiring.db.reading() as tx:
        _server(req, tx, id)
        found = operation_lists.find(tx, id, changes_since=after, changes_before=before,
                                     marker=query.get('marker'), limit=size)
    listed: dict[str, Any] = {'instanceActions': [ACTION(req, operation) for operation in found]}
    if req.version >= (2, 58) and (following := paging.links(req, found, size, marker='request_id')):
        listed['links'] = following
    return listed


@app.get('/servers/{id}/os-instance-actions/{request_id}', allow=rule('os-instance-actions:show', READER))
def show(req: Request, id: str, request_id: str) -> dict[str, Any]:
    """The operation that one request began, with its events."""
    with req.wiring.db.reading() as tx:
        server = _server(req, tx, id)
        operation = operations.by_request(tx, id, request_id)
        if operation is None:
            raise errors.NotFound('Action for request_id {id} on instance {server} not found',
                                  id=request_id[:80], server=id)
        steps = operations.steps_of(tx, operation.id)
    shown = ACTION(req, operation)
    trusted = req.allows(EVENTS)
    if trusted or req.version >= (2, 51):
        shown['events'] = _events(req, server, operation, steps, trusted)
    return {'instanceAction': shown}


def _events(req: Request, server: Server, operation: Operation, steps: Sequence[OperationStep],
            trusted: bool) -> list[dict[str, Any]]:
    detailed = req.version >= (2, 84) and req.allows(DETAILS)
    events = []
    for step in steps:
        event = {'event': f'compute_{operation.verb}_{step.name}' if step.name != operation.verb
                 else f'compute_{step.name}_instance',
                 'start_time': clock.iso_micro(step.started_at),
                 'finish_time': clock.iso_micro(step.finished_at),
                 'result': step.outcome}
        if trusted:
            event['traceback'] = step.traceback
        if req.version >= (2, 62):
            event['hostId'] = host_id(server.project_id, step.host)
            if trusted:
                event['host'] = step.host
        if detailed:
            event['details'] = step.message
        events.append(event)
    return events

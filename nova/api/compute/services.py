"""Daemons -- /os-services: by binary and host until 2.52, by UUID since."""

import datetime
from typing import Any

from nova.api.compute import app
from nova.api.compute.availability_zones import zone_of
from nova.api.fields import STRICT, check_uuid
from nova.api.policy import ADMIN, rule
from nova.compute import services
from nova.db.services import Service
from strata import clock, errors
from strata.rest import BOOLEAN, TEXT, Choice, Document, Query, Request, View, since, true, until

UPDATE = rule('os-services:update', ADMIN)
HOST = {'type': 'string', 'minLength': 1, 'maxLength': 255}
REASON = {'type': 'string', 'minLength': 1, 'maxLength': 255, 'format': 'printable'}


def _document(required: list[Any], **properties: Any) -> Document:
    return Document({'type': 'object', 'properties': properties, 'required': required,
                     'additionalProperties': False})


NAMED = _document(['host', 'binary'], host=HOST, binary=HOST)
DISABLED = _document(['host', 'binary', 'disabled_reason'], host=HOST, binary=HOST, disabled_reason=REASON)
DOWN = _document(['host', 'binary', 'forced_down'], host=HOST, binary=HOST, forced_down=BOOLEAN)
BY_ID = _document([], status={'type': 'string', 'enum': ['enabled', 'disabled']}, disabled_reason=REASON,
                  forced_down=BOOLEAN)

SERVICE = View(
    id=Choice(until('2.52', 'number'), since('2.53', 'id')),
    binary='binary', host='host', zone=zone_of, disabled_reason='disabled_reason',
    status=lambda service: 'disabled' if service.disabled else 'enabled',
    updated_at=lambda service: clock.iso_micro(service.seen_at),
    forced_down=since('2.11', 'forced_down'),
)


def _shown(req: Request, service: Service, now: datetime.datetime) -> dict[str, Any]:
    up = service.is_up(now, req.wiring.conf.service_down_time)
    return {**SERVICE(req, service), 'state': 'up' if up else 'down'}


@app.get('/os-services', query=Query({'binary': TEXT, 'host': TEXT}, unknown=STRICT),
         allow=rule('os-services:list', ADMIN))
def index(req: Request, query: dict[str, Any]) -> dict[str, Any]:
    """The daemons, and whether they are heard of."""
    found, now = services.every(req.wiring, binary=query.get('binary'), host=query.get('host'))
    return {'services': [_shown(req, service, now) for service in found]}


@app.put('/os-services/enable', body=NAMED, last='2.52', allow=UPDATE)
def enable(req: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Let a host have servers."""
    services.update(req.wiring, services.find(req.wiring, body['binary'], body['host']), disabled=False)
    return {'service': {**body, 'status': 'enabled'}}


@app.put('/os-services/disable', body=NAMED, last='2.52', allow=UPDATE)
def disable(req: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Give a host no more servers."""
    services.update(req.wiring, services.find(req.wiring, body['binary'], body['host']), disabled=True)
    return {'service': {**body, 'status': 'disabled'}}


@app.put('/os-services/disable-log-reason', body=DISABLED, last='2.52', allow=UPDATE)
def disable_with_reason(req: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Give a host no more servers, and say why."""
    services.update(req.wiring, services.find(req.wiring, body['binary'], body['host']), disabled=True,
                    reason=body['disabled_reason'])
    return {'service': {**body, 'status': 'disabled'}}


@app.put('/os-services/force-down', body=DOWN, first='2.11', last='2.52', allow=UPDATE)
def force_down(req: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Declare a host dead, or alive."""
    down = true(body['forced_down'])
    services.update(req.wiring, services.find(req.wiring, body['binary'], body['host']), forced_down=down)
    return {'service': {**body, 'forced_down': down}}


@app.put('/os-services/{id}', body=BY_ID, first='2.53', allow=UPDATE)
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Enable, disable or declare dead, by UUID."""
    check_uuid(id)
    if not body:
        raise errors.Invalid('No updates were requested. Fields status or forced_down should be specified.')
    if 'disabled_reason' in body and body.get('status') != 'disabled':
        raise errors.Invalid("Specifying disabled_reason requires that status is 'disabled'.")
    service, now = services.update(
        req.wiring, id, disabled=body['status'] == 'disabled' if 'status' in body else None,
        reason=body.get('disabled_reason'),
        forced_down=true(body['forced_down']) if 'forced_down' in body else None)
    return {'service': _shown(req, service, now)}


@app.delete('/os-services/{id}', status=204, allow=rule('os-services:delete', ADMIN))
def delete(req: Request, id: str) -> None:
    """Forget a daemon that is gone."""
    if req.version >= (2, 53):
        check_uuid(id)
    else:
        id = services.by_number(req.wiring, id)
    services.delete(req.wiring, id)

"""Host aggregates -- /os-aggregates."""

from typing import Any

from nova.api.compute import app
from nova.api.fields import META_KEY, NAME
from nova.api.policy import ADMIN, rule
from nova.compute import aggregates
from nova.db.aggregates import ZONE
from strata import clock, errors
from strata.rest import Body, Request, View, since

ZONE_NAME = {'type': ['string', 'null'], 'minLength': 1, 'maxLength': 255, 'pattern': '^[^:]*$'}
HOST = {'host': {'type': 'string', 'minLength': 1, 'maxLength': 255}}
CREATE = Body('aggregate', {'name': NAME, 'availability_zone': ZONE_NAME}, ['name'])
UPDATE = Body('aggregate', {'name': NAME, 'availability_zone': ZONE_NAME}, minProperties=1)
METADATA = Body('set_metadata', {'metadata': {
    'type': 'object', 'additionalProperties': False,
    'patternProperties': {META_KEY: {'type': ['string', 'null'], 'maxLength': 255}}}}, ['metadata'])
PATH = '/os-aggregates/{id}'

MADE = View(
    id='id', name='name', availability_zone='zone', uuid=since('2.41', 'uuid'),
    deleted=lambda aggregate: False, deleted_at=lambda aggregate: None,
    created_at=lambda aggregate: clock.iso_micro(aggregate.created_at),
    updated_at=lambda aggregate: clock.iso_micro(aggregate.updated_at),
)
AGGREGATE = View(also=MADE.members, hosts='hosts', metadata='meta')


def _number(id: str) -> int:
    if not id.isascii() or not id.isdigit() or len(id) > 9:
        raise errors.NotFound('Aggregate {id} could not be found.', id=id[:80])
    return int(id)


@app.get('/os-aggregates', allow=rule('os-aggregates:index', ADMIN))
def index(req: Request) -> dict[str, Any]:
    """All aggregates."""
    return {'aggregates': [AGGREGATE(req, aggregate) for aggregate in aggregates.every(req.wiring)]}


@app.post('/os-aggregates', body=CREATE, allow=rule('os-aggregates:create', ADMIN))
def create(req: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Make an aggregate; hosts are put into it by an action."""
    made = aggregates.create(req.wiring, name=body['name'], zone=body.get('availability_zone'))
    return {'aggregate': MADE(req, made)}


@app.get(PATH, allow=rule('os-aggregates:show', ADMIN))
def show(req: Request, id: str) -> dict[str, Any]:
    """One aggregate."""
    return {'aggregate': AGGREGATE(req, aggregates.get(req.wiring, _number(id)))}


@app.put(PATH, body=UPDATE, allow=rule('os-aggregates:update', ADMIN))
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Rename an aggregate, or move it to another zone."""
    metadata = {ZONE: body['availability_zone']} if 'availability_zone' in body else None
    changed = aggregates.update(req.wiring, _number(id), name=body.get('name'), metadata=metadata)
    return {'aggregate': AGGREGATE(req, changed)}


@app.delete(PATH, allow=rule('os-aggregates:delete', ADMIN))
def delete(req: Request, id: str) -> None:
    """Forget an aggregate that has no hosts."""
    aggregates.delete(req.wiring, _number(id))


@app.action(PATH, 'add_host', status=200, body=Body('add_host', HOST, ['host']),
            allow=rule('os-aggregates:add_host', ADMIN))
def add_host(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Put a host into an aggregate."""
    return {'aggregate': AGGREGATE(req, aggregates.add_host(req.wiring, _number(id), body['host']))}


@app.action(PATH, 'remove_host', status=200, body=Body('remove_host', HOST, ['host']),
            allow=rule('os-aggregates:remove_host', ADMIN))
def remove_host(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Take a host out of an aggregate."""
    return {'aggregate': AGGREGATE(req, aggregates.remove_host(req.wiring, _number(id), body['host']))}


@app.action(PATH, 'set_metadata', status=200, body=METADATA, allow=rule('os-aggregates:set_metadata', ADMIN))
def set_metadata(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change metadata; a value of null removes the key."""
    changed = aggregates.update(req.wiring, _number(id), metadata=body['metadata'])
    return {'aggregate': AGGREGATE(req, changed)}

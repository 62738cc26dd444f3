"""Flavors -- /flavors."""

from collections.abc import Sequence
from typing import Any

from nova.api import links
from nova.api.compute import app
from nova.api.fields import DESCRIPTION, NAME, STRICT, count, whole
from nova.api.policy import ADMIN, ANYONE, READER, rule
from nova.compute import flavors
from nova.db.flavors import SORTS, Flavor
from strata import errors
from strata.rest import (
    BOOLEAN,
    INTEGER,
    TEXT,
    TEXTS,
    Body,
    Choice,
    Linked,
    Query,
    Request,
    View,
    paging,
    since,
    true,
    until,
)

LIST = Query({'limit': INTEGER, 'marker': TEXT, 'is_public': TEXT, 'minRam': TEXT, 'minDisk': TEXT,
              'sort_key': TEXTS, 'sort_dir': TEXTS}, unknown=STRICT)

RXTX = {'type': ['number', 'string'], 'pattern': r'^[0-9]{1,9}(\.[0-9]{1,9})?$', 'minimum': 0,
        'maximum': 3.40282e+38}
CREATE = Body('flavor', {
    'name': NAME,
    'id': {'type': ['string', 'integer', 'null'], 'minimum': 0, 'minLength': 1, 'maxLength': 255,
           'pattern': r'^(?! )[a-zA-Z0-9. _-]*(?<! )$'},
    'ram': count(1), 'vcpus': count(1), 'disk': count(), 'swap': count(),
    'OS-FLV-EXT-DATA:ephemeral': count(),
    'rxtx_factor': RXTX,
    'os-flavor-access:is_public': BOOLEAN,
    'description': since('2.55', DESCRIPTION),
}, required=['name', 'ram', 'vcpus', 'disk'])
UPDATE = Body('flavor', {'description': DESCRIPTION}, required=['description'])

SHOW_SPECS = rule('os-flavor-extra-specs:index', READER)

BRIEF = View(
    id='id', name='name',
    description=since('2.55', 'description'),
    links=Linked(lambda req, flavor: links.links(req, 'flavors', flavor.id)),
)
FLAVOR = View({
    **BRIEF.members,
    'OS-FLV-DISABLED:disabled': 'disabled',
    'OS-FLV-EXT-DATA:ephemeral': 'ephemeral_gb',
    'os-flavor-access:is_public': 'is_public',
    'swap': Choice(until('2.74', lambda flavor: flavor.swap_mb or ''), since('2.75', 'swap_mb')),
}, ram='ram_mb', vcpus='vcpus', disk='root_gb', rxtx_factor='rxtx_factor',
   extra_specs=since('2.61', 'extra_specs'))


def _shown(req: Request, flavor: Flavor) -> dict[str, Any]:
    shown = FLAVOR(req, flavor)
    if 'extra_specs' in shown and not req.allows(SHOW_SPECS):
        del shown['extra_specs']
    return shown


def _is_public(req: Request, asked: str | None) -> bool | None:
    """Which flavors: public ones unless an admin asks for others; a project's own are always in."""
    if not req.context.is_admin:      # type: ignore[union-attr]
        return None
    if asked is None:
        return True
    if asked.lower() == 'none':
        return None
    if asked.lower() not in ('true', 't', '1', 'on', 'yes', 'y', 'false', 'f', '0', 'off', 'no', 'n'):
        raise errors.Invalid('Invalid is_public filter [{asked}]', asked=asked[:80])
    return asked.lower() in ('true', 't', '1', 'on', 'yes', 'y')


def _least(query: dict[str, Any], name: str) -> int:
    value = query.get(name, '0')
    if not value.isascii() or not value.isdigit() or len(value) > 10:
        raise errors.Invalid('Invalid {name} filter [{value}]', name=name, value=value[:80])
    return int(value)


def _page(req: Request, query: dict[str, Any]) -> tuple[Sequence[Flavor], int]:
    size = paging.limit(query.get('limit'), req.wiring.conf.osapi_max_limit)
    sorts = paging.sorts(query.get('sort_key', []), query.get('sort_dir', []), SORTS,
                         default=[('flavorid', 'asc')])
    found = flavors.find(req.wiring, req.context, sorts=sorts, marker=query.get('marker'), limit=size,
                         is_public=_is_public(req, query.get('is_public')),
                         min_ram_mb=_least(query, 'minRam'), min_root_gb=_least(query, 'minDisk'))
    return found, size


def _listed(req: Request, query: dict[str, Any], view: Any) -> dict[str, Any]:
    found, size = _page(req, query)
    listed: dict[str, Any] = {'flavors': [view(req, flavor) for flavor in found]}
    if following := paging.links(req, found, size):
        listed['flavors_links'] = following
    return listed


@app.get('/flavors', query=LIST, allow=rule('flavors:index', ANYONE))
def index(req: Request, query: dict[str, Any]) -> dict[str, Any]:
    """Ids and names of flavors."""
    return _listed(req, query, BRIEF)


@app.get('/flavors/detail', query=LIST, allow=rule('flavors:detail', ANYONE))
def detail(req: Request, query: dict[str, Any]) -> dict[str, Any]:
    """Flavors with all their members."""
    return _listed(req, query, _shown)


@app.get('/flavors/{id}', allow=rule('flavors:show', ANYONE))
def show(req: Request, id: str) -> dict[str, Any]:
    """One flavor."""
    return {'flavor': _shown(req, flavors.get(req.wiring, req.context, id))}


@app.post('/flavors', body=CREATE, allow=rule('os-flavor-manage:create', ADMIN))
def create(req: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Make a flavor; without an id it is given a UUID."""
    factor = float(body.get('rxtx_factor', 1.0))
    if factor <= 0:
        raise errors.Invalid('Invalid input for field/attribute flavor/rxtx_factor. Value: {value}. '
                             'It is not greater than 0', value=factor)
    id = body.get('id')
    flavor = flavors.create(
        req.wiring, req.context, name=body['name'], id=None if id is None else str(id),
        vcpus=whole(body['vcpus'], 'flavor/vcpus', 1), ram_mb=whole(body['ram'], 'flavor/ram', 1),
        root_gb=whole(body['disk'], 'flavor/disk'), swap_mb=whole(body.get('swap', 0), 'flavor/swap'),
        ephemeral_gb=whole(body.get('OS-FLV-EXT-DATA:ephemeral', 0), 'flavor/OS-FLV-EXT-DATA:ephemeral'),
        rxtx_factor=factor, is_public=true(body.get('os-flavor-access:is_public', True)),
        description=body.get('description'))
    return {'flavor': _shown(req, flavor)}


@app.put('/flavors/{id}', body=UPDATE, first='2.55', allow=rule('os-flavor-manage:update', ADMIN))
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a flavor's description."""
    flavor = flavors.describe(req.wiring, req.context, id, description=body['description'])
    return {'flavor': _shown(req, flavor)}


@app.delete('/flavors/{id}', status=202, allow=rule('os-flavor-manage:delete', ADMIN))
def delete(req: Request, id: str) -> None:
    """Remove a flavor; its servers keep the copy they were made from."""
    flavors.delete(req.wiring, req.context, id)

"""Images -- /images."""

import functools
import urllib.parse
from typing import Any

from glance import images
from glance import imports as importing
from glance.api import app, policy
from glance.api.v2 import attributes, filters, patch, views
from glance.registry.interface import Image
from strata import clock, errors
from strata.rest import Request, Response


def _may_show(req: Request, visibility: str, owner: str | None) -> None:
    """Raise ``errors.Forbidden`` unless the caller may make an image this visible."""
    target = {'project_id': owner or '', 'owner': owner or '', 'visibility': visibility}
    if visibility == 'public':
        req.enforce(target, policy.PUBLICIZE)
    elif visibility == 'community':
        req.enforce(target, policy.COMMUNITIZE)


def _may_give(req: Request, owner: str | None) -> None:
    if owner != req.context.project_id and not req.context.is_admin:
        raise errors.Forbidden("You are not permitted to create images owned by '{owner}'.",
                               owner=str(owner)[:80])


@app.post('/images', allow=policy.ADD, late=True, status=201)
def create(req: Request) -> Response:
    """Record an image; its data comes by PUT of its file."""
    document = req.json
    if not isinstance(document, dict):
        raise errors.Invalid("Invalid request body. It is not of type 'object'")
    for name in document:
        attributes.check_name(name, creating=True)
    attributes.check_values(req.wiring.conf, document)
    values, properties = attributes.divided(document)
    owner = values.get('owner', req.context.project_id)
    target = {'project_id': owner or '', 'owner': owner or '',
              'visibility': values.get('visibility', 'shared')}
    if 'owner' in values:
        _may_give(req, owner)
    req.enforce(target)
    _may_show(req, target['visibility'], owner)
    tags = values.pop('tags', [])
    values['id'] = values['id'].lower() if 'id' in values else clock.new_uuid()
    image = images.create(req.wiring, req.context, values=values, properties=properties, tags=tags)
    headers = {'Location': req.url(f'/images/{image.id}')}
    if methods := importing.methods(req.wiring):
        headers['OpenStack-image-import-methods'] = ','.join(methods)
    return Response(201, views.image(image), headers)


@app.get('/images', allow=policy.LIST)
def index(req: Request) -> dict[str, Any]:
    """A page of the images the caller may see."""
    search = filters.search(req)
    found = req.wiring.registry.search(req.context, search)
    # a page has few kinds of image by owner and visibility, and a check costs more than a row
    may = functools.cache(lambda target: req.allows(policy.GET, dict(target)))
    shown = [image for image in found if may(tuple(image.target().items()))]
    first = [(name, value) for name, values in req.query.items() if name != 'marker' for value in values]
    page: dict[str, Any] = {'images': [views.image(image) for image in shown], 'schema': '/v2/schemas/images',
                            'first': '/v2/images' + (first and '?' + urllib.parse.urlencode(first) or '')}
    if found and len(found) == search.limit:
        page['next'] = '/v2/images?' + urllib.parse.urlencode([*first, ('marker', found[-1].id)])
    return page


@app.get('/images/{id}', allow=policy.GET, late=True)
def show(req: Request, id: str) -> dict[str, Any]:
    """One image."""
    return views.image(policy.loaded(req, id))


@app.patch('/images/{id}', allow=policy.MODIFY, late=True)
def update(req: Request, id: str) -> dict[str, Any]:
    """Change an image by a JSON patch."""
    form = patch.media_type(req.header('Content-Type'))
    document = req.json
    image = policy.loaded(req, id)
    wanted = patch.changes(document, form, image)
    attributes.check_values(req.wiring.conf, {**wanted.properties, **wanted.attributes})
    _check_changes(req, image, wanted.attributes)
    tags = wanted.attributes.pop('tags', None)
    left = set(image.properties) - set(wanted.removed) | set(wanted.properties)
    if wanted.properties:
        images.within(req.wiring, properties=len(left))
    if tags is not None:
        images.within(req.wiring, tags=len(set(tags)))
    expect = {'status': 'queued'} if _of_queued(wanted.attributes) else {}
    updated = req.wiring.registry.update(
        req.context, image.id, values=wanted.attributes, properties=wanted.properties, removed=wanted.removed,
        tags=tags, expect=expect, limits=images.limits(req.wiring))
    return views.image(updated)


def _of_queued(values: dict[str, Any]) -> list[str]:
    return [name for name in ('disk_format', 'container_format') if name in values]


def _check_changes(req: Request, image: Image, values: dict[str, Any]) -> None:
    """Raise ``errors.Forbidden`` for a change this caller, or this image's state, does not allow."""
    if 'owner' in values and values['owner'] != image.owner:
        _may_give(req, values['owner'])
        if not req.context.is_admin:
            raise errors.Forbidden("You are not permitted to modify 'owner' on this image.")
    if values.get('visibility', image.visibility) != image.visibility:
        _may_show(req, values['visibility'], image.owner)
    for name in _of_queued(values):
        if values[name] == getattr(image, name):
            del values[name]
        elif image.status != 'queued':
            raise errors.Forbidden('Attribute {name} can be only replaced for a queued image.', name=name)


@app.delete('/images/{id}', allow=policy.DELETE, late=True, status=204)
def delete(req: Request, id: str) -> None:
    """Delete an image and its data."""
    image = policy.loaded(req, id)
    images.delete(req.wiring, req.context, image.id)

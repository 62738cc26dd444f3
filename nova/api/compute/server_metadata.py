"""Metadata of a server -- /servers/{id}/metadata."""

from typing import Any

from nova.api.compute import app
from nova.api.fields import META_KEY, METADATA
from nova.api.policy import MEMBER, READER, rule
from nova.compute import server_metadata, servers
from nova.compute.server_metadata import merged, replaced, without
from strata import errors
from strata.rest import Document, Request

ALL = Document({'type': 'object', 'properties': {'metadata': METADATA}, 'required': ['metadata'],
                'additionalProperties': False})
ONE = Document({'type': 'object', 'properties': {'meta': {
    **METADATA, 'patternProperties': {META_KEY: {'type': 'string', 'maxLength': 255}},
    'minProperties': 1, 'maxProperties': 1}}, 'required': ['meta'], 'additionalProperties': False})
PATH = '/servers/{id}/metadata'


@app.get(PATH, allow=rule('server-metadata:index', READER))
def index(req: Request, id: str) -> dict[str, Any]:
    """All metadata of a server."""
    return {'metadata': servers.get(req.wiring, req.context, id).meta}


@app.post(PATH, body=ALL, allow=rule('server-metadata:create', MEMBER))
def create(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Add items, over those of the same key."""
    return {'metadata': server_metadata.change(req.wiring, req.context, id, merged(body['metadata']))}


@app.put(PATH, body=ALL, allow=rule('server-metadata:update_all', MEMBER))
def update_all(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Replace all metadata."""
    return {'metadata': server_metadata.change(req.wiring, req.context, id, replaced(body['metadata']))}


@app.get(PATH + '/{key}', allow=rule('server-metadata:show', READER))
def show(req: Request, id: str, key: str) -> dict[str, Any]:
    """One item."""
    meta = servers.get(req.wiring, req.context, id).meta
    if key not in meta:
        raise errors.NotFound('Metadata item was not found')
    return {'meta': {key: meta[key]}}


@app.put(PATH + '/{key}', body=ONE, allow=rule('server-metadata:update', MEMBER))
def update(req: Request, id: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    """Set one item."""
    if key not in body['meta']:
        raise errors.Invalid('Request body and URI mismatch')
    server_metadata.change(req.wiring, req.context, id, merged(body['meta']))
    return {'meta': body['meta']}


@app.delete(PATH + '/{key}', status=204, allow=rule('server-metadata:delete', MEMBER))
def delete(req: Request, id: str, key: str) -> None:
    """Remove one item."""
    server_metadata.change(req.wiring, req.context, id, without(key))

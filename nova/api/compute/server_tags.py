"""Tags of a server, since 2.26 -- /servers/{id}/tags."""

from typing import Any

from nova.api import links
from nova.api.compute import app
from nova.api.fields import TAG, TAGS
from nova.api.policy import MEMBER, READER, rule
from nova.compute import server_metadata
from strata import errors
from strata.rest import Document, Request, Response
from strata.rest.schema import refuse

REPLACE = Document({'type': 'object', 'properties': {'tags': TAGS}, 'required': ['tags'],
                    'additionalProperties': False})
_ONE = Document({'type': 'object', 'properties': {'tag': TAG}})
PATH = '/servers/{id}/tags'


@app.get(PATH, first='2.26', allow=rule('os-server-tags:index', READER))
def index(req: Request, id: str) -> dict[str, Any]:
    """All tags of a server."""
    return {'tags': server_metadata.tags(req.wiring, req.context, id)}


@app.put(PATH, body=REPLACE, first='2.26', allow=rule('os-server-tags:update_all', MEMBER))
def update_all(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Replace all tags."""
    return {'tags': server_metadata.replace_tags(req.wiring, req.context, id, body['tags'])}


@app.delete(PATH, status=204, first='2.26', allow=rule('os-server-tags:delete_all', MEMBER))
def delete_all(req: Request, id: str) -> None:
    """Remove all tags."""
    server_metadata.replace_tags(req.wiring, req.context, id, [])


@app.get(PATH + '/{tag}', status=204, first='2.26', allow=rule('os-server-tags:show', READER))
def show(req: Request, id: str, tag: str) -> None:
    """Whether a server has a tag: 204 or 404."""
    if tag not in server_metadata.tags(req.wiring, req.context, id):
        raise errors.NotFound("Server {id} has no tag '{tag}'", id=id, tag=tag[:60])


@app.put(PATH + '/{tag}', status=201, first='2.26', allow=rule('os-server-tags:update', MEMBER))
def update(req: Request, id: str, tag: str) -> Response:
    """Add a tag: 201, or 204 if it was there."""
    refuse(_ONE.validator(req.version), {'tag': tag})
    if not server_metadata.add_tag(req.wiring, req.context, id, tag):
        return Response(204)
    return Response(201, headers={'Location': f'{links.bases(req)[0]}/servers/{id}/tags/{tag}'})


@app.delete(PATH + '/{tag}', status=204, first='2.26', allow=rule('os-server-tags:delete', MEMBER))
def delete(req: Request, id: str, tag: str) -> None:
    """Remove a tag."""
    server_metadata.remove_tag(req.wiring, req.context, id, tag)

"""Tags of projects -- /projects/{id}/tags."""

from typing import Any

from keystone.api import app, bodies
from keystone.api.checks import ADMIN, READER, within
from keystone.api.listing import links
from keystone.api.projects import loaded
from keystone.resource import projects
from strata import errors
from strata.rest import Document, Request, Response, Rule

_HOME = 'target.project.domain_id'
_SEE = f'{READER} or {within("reader", _HOME)} or project_id:%(target.project.id)s'
_CHANGE = f'{ADMIN} or {within("manager", _HOME)}'
GET = Rule('identity:get_project_tag', _SEE, 'See whether a project has a tag.')
LIST = Rule('identity:list_project_tags', _SEE, 'List the tags of a project.')
CREATE = Rule('identity:create_project_tag', _CHANGE, 'Add a tag to a project.')
UPDATE = Rule('identity:update_project_tags', _CHANGE, 'Replace the tags of a project.')
DELETE = Rule('identity:delete_project_tag', _CHANGE, 'Remove a tag from a project.')
DELETE_ALL = Rule('identity:delete_project_tags', _CHANGE, 'Remove all tags from a project.')

ALL = Document({'type': 'object', 'required': ['tags'], 'additionalProperties': False,
                'properties': {'tags': bodies.TAGS}})


@app.get('/projects/{id}/tags', allow=LIST, late=True)
def index(req: Request, id: str) -> dict[str, Any]:
    """List tags."""
    return {'tags': [tag.name for tag in loaded(req, id).tags], 'links': links(req)}


@app.put('/projects/{id}/tags', allow=UPDATE, late=True, body=ALL)
def replace(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Have exactly these tags."""
    loaded(req, id)
    return {'tags': projects.retag(req.wiring, id, names=body['tags']), 'links': links(req)}


@app.delete('/projects/{id}/tags', allow=DELETE_ALL, late=True, status=204)
def clear(req: Request, id: str) -> None:
    """Remove all tags."""
    loaded(req, id)
    projects.retag(req.wiring, id, names=())


@app.get('/projects/{id}/tags/{tag}', allow=GET, late=True, status=204)
def check(req: Request, id: str, tag: str) -> None:
    """204 if the project has the tag."""
    if tag not in [each.name for each in loaded(req, id).tags]:
        raise errors.NotFound('Could not find project tag: {tag}.', tag=tag[:255])


@app.put('/projects/{id}/tags/{tag}', allow=CREATE, late=True, status=201)
def add(req: Request, id: str, tag: str) -> Response:
    """Add a tag."""
    loaded(req, id)
    if not tag or len(tag) > 255 or ',' in tag:
        raise errors.Invalid('A tag has 1 to 255 characters, no comma and no slash.')
    projects.retag(req.wiring, id, add=tag)
    return Response(201, headers={'Location': req.path_url})


@app.delete('/projects/{id}/tags/{tag}', allow=DELETE, late=True, status=204)
def remove(req: Request, id: str, tag: str) -> None:
    """Remove a tag."""
    loaded(req, id)
    projects.retag(req.wiring, id, remove=tag)

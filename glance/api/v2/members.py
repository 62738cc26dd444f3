"""Members of images -- /images/{id}/members."""

from typing import Any

from glance import sharing
from glance.api import app, policy
from glance.api.v2 import views
from glance.api.v2.schemas import MEMBER_STATUSES
from glance.registry.interface import Image
from strata import errors
from strata.rest import Document, Request

CREATE = Document({'type': 'object', 'properties': {
    'member': {'type': 'string', 'minLength': 1, 'maxLength': 255, 'format': 'printable'}},
    'required': ['member'], 'additionalProperties': False})
#: a client may name the member again; the one in the URL counts
UPDATE = Document({'type': 'object', 'properties': {'status': {'type': 'string', 'enum': MEMBER_STATUSES},
                                                    'member': {'type': 'string'}},
                   'required': ['status'], 'additionalProperties': False})


def _visible(req: Request, id: str) -> Image:
    return req.wiring.registry.get(req.context, id.lower())


@app.post('/images/{id}/members', allow=policy.MEMBER_ADD, late=True, body=CREATE)
def create(req: Request, id: str, body: dict[str, str]) -> dict[str, Any]:
    """Share an image with a project."""
    image = policy.loaded(req, id)
    return views.member(sharing.share(req.wiring, req.context, image, body['member']))


@app.get('/images/{id}/members', allow=policy.MEMBER_LIST, late=True)
def index(req: Request, id: str) -> dict[str, Any]:
    """The members of an image; a member sees itself alone."""
    image = policy.loaded(req, id)
    members = sharing.members(req.wiring, req.context, image)
    return {'members': [views.member(member) for member in members], 'schema': '/v2/schemas/members'}


@app.get('/images/{id}/members/{member_id}', allow=policy.MEMBER_GET, late=True)
def show(req: Request, id: str, member_id: str) -> dict[str, Any]:
    """One member of an image."""
    image = policy.loaded(req, id)
    for member in sharing.members(req.wiring, req.context, image):
        if member.member_id == member_id:
            return views.member(member)
    raise errors.NotFound('{member} not found in the member list of the image.', member=member_id[:80])


@app.put('/images/{id}/members/{member_id}', allow=policy.MEMBER_MODIFY, late=True, body=UPDATE)
def update(req: Request, id: str, member_id: str, body: dict[str, str]) -> dict[str, Any]:
    """Accept or reject an image that is shared with the caller's project."""
    image = _visible(req, id)
    req.enforce({**image.target(), 'member_id': member_id})
    return views.member(sharing.answer(req.wiring, req.context, image, member_id, body['status']))


@app.delete('/images/{id}/members/{member_id}', allow=policy.MEMBER_DELETE, late=True, status=204)
def delete(req: Request, id: str, member_id: str) -> None:
    """Share an image with a project no longer."""
    image = policy.loaded(req, id)
    sharing.unshare(req.wiring, req.context, image, member_id)

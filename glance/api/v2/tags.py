"""Tags of images -- /images/{id}/tags/{tag}."""

from glance import images
from glance.api import app, policy
from strata import errors
from strata.rest import Request


@app.put('/images/{id}/tags/{tag:.+}', allow=policy.MODIFY, late=True, status=204)
def add(req: Request, id: str, tag: str) -> None:
    """Tag an image."""
    image = policy.loaded(req, id)
    if len(tag) > 255 or '\0' in tag:
        raise errors.Invalid('Invalid tag: it is at most 255 characters, none of them NUL.')
    req.wiring.registry.add_tag(req.context, image.id, tag, images.limits(req.wiring)['tags'])


@app.delete('/images/{id}/tags/{tag:.+}', allow=policy.MODIFY, late=True, status=204)
def remove(req: Request, id: str, tag: str) -> None:
    """Take a tag off an image."""
    image = policy.loaded(req, id)
    req.wiring.registry.remove_tag(req.context, image.id, tag)

"""Sharing: an owner offers an image to a project, the project accepts or rejects it."""

from glance import images
from glance.registry.interface import Image, Member
from glance.wiring import Wiring
from strata import errors
from strata.context import Context


def share(wiring: Wiring, context: Context, image: Image, project: str) -> Member:
    """Offer an image; ``errors.Forbidden`` unless its visibility is shared."""
    _shared(image)
    return wiring.registry.add_member(context, image.id, project, images.limits(wiring)['members'])


def unshare(wiring: Wiring, context: Context, image: Image, project: str) -> None:
    """Take an offer back."""
    _shared(image)
    wiring.registry.remove_member(context, image.id, project)


def members(wiring: Wiring, context: Context, image: Image) -> list[Member]:
    """All members for the owner; a member sees itself alone.  ``errors.NotFound`` for all others."""
    if not context.is_admin and image.owner != context.project_id:
        if image.member_id is None:
            raise errors.NotFound('Failed to find image {id}', id=image.id)
        return wiring.registry.members(context, image.id, only=image.member_id)
    return wiring.registry.members(context, image.id)


def answer(wiring: Wiring, context: Context, image: Image, project: str, status: str) -> Member:
    """Accept or reject an offer, or leave it open again."""
    return wiring.registry.set_member(context, image.id, project, status)


def _shared(image: Image) -> None:
    if image.visibility != 'shared':
        raise errors.Forbidden('Only shared images have members.')

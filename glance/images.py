"""What can be done to images: the rules between the API and the registry."""

from collections.abc import Mapping, Sequence
from typing import Any

from glance import sweep
from glance.registry.interface import Image
from glance.wiring import Wiring
from strata import errors
from strata.context import Context, background


def create(wiring: Wiring, context: Context, *, values: Mapping[str, Any],
           properties: Mapping[str, str | None], tags: Sequence[str]) -> Image:
    """Record a new image, queued until its data comes; its owner is the caller's project unless said."""
    within(wiring, properties=len(properties), tags=len(set(tags)))
    values = {'owner': context.project_id, 'visibility': 'shared', **values}
    return wiring.registry.create(context, values=values,
                                  properties=properties, tags=list(dict.fromkeys(tags)))


def within(wiring: Wiring, **counts: int) -> None:
    """Raise ``errors.TooLarge`` if an image would have too many ``properties`` or ``tags``."""
    for what, count in counts.items():
        limit = limits(wiring)[what]
        if 0 <= limit < count:
            raise errors.TooLarge('The limit has been exceeded on the number of allowed image {what}. '
                                  'Attempted: {count}, Maximum: {limit}', what=what, count=count, limit=limit)


def limits(wiring: Wiring) -> dict[str, int]:
    """How many properties, tags and members an image may have; negative is no limit."""
    conf = wiring.conf
    return {'properties': conf.image_property_quota, 'tags': conf.image_tag_quota,
            'members': conf.image_member_quota}


def delete(wiring: Wiring, context: Context, id: str) -> None:
    """Delete an image and its data; what cannot be removed now, the sweep removes."""
    wiring.registry.delete(context, id)
    own = background('glance')
    for blob in wiring.registry.doomed(own):
        if blob.image_id == id:
            sweep.remove(wiring, own, blob)


def deactivate(wiring: Wiring, context: Context, image: Image) -> None:
    """Let nobody but administrators have the data; a deactivated image is left as it is."""
    _move(wiring, context, image, 'active', 'deactivated')


def reactivate(wiring: Wiring, context: Context, image: Image) -> None:
    """Give the data out again; an active image is left as it is."""
    _move(wiring, context, image, 'deactivated', 'active')


def _move(wiring: Wiring, context: Context, image: Image, before: str, after: str) -> None:
    if image.status == after:
        return
    if image.status != before:
        raise errors.Forbidden('Image status transition from {status} to {after} is not allowed',
                               status=image.status, after=after)
    wiring.registry.update(context, image.id, values={'status': after}, expect={'status': before})

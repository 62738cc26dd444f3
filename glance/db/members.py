"""Members: the projects that an image is shared with, and every query on them."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from glance.db.images import Member
from strata import errors


def among(tx: Session, image_id: str, *, only: str | None = None) -> list[Member]:
    """The members of an image, oldest first; ``only`` one of them if that is all the caller may see."""
    query = sa.select(Member).where(Member.image_id == image_id).order_by(Member.created_at, Member.member_id)
    if only is not None:
        query = query.where(Member.member_id == only)
    return list(tx.scalars(query))


def get(tx: Session, image_id: str, member_id: str) -> Member:
    """One member, or ``errors.NotFound``."""
    member = tx.get(Member, (image_id, member_id))
    if member is None:
        raise errors.NotFound('{member} not found in the member list of the image {image}.',
                              member=member_id[:80], image=image_id)
    return member

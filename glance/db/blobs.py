"""Blobs: the contents that stores hold for images, written ahead of the store.

::

    writing (lease) ----> stored ----> doomed ----> (row gone: the store has nothing of it any more)
        |                                ^
        +---- failed, or lease ran out --+

A blob's id is its key in the store and is new for every attempt, so an
uploader that stalled and wakes up cannot touch the data of its successor.
The row is there before the first byte, so whatever dies when, somebody knows
what to remove.
"""

import datetime
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from glance.db.base import Base, Stamped
from strata import clock, db, errors

WRITING, STORED, DOOMED = 'writing', 'stored', 'doomed'
#: what an attempt is for: the image's own data, or data staged for an import
DATA, STAGE = 'data', 'stage'


class Blob(Stamped, Base):
    __tablename__ = 'blobs'

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=clock.new_uuid)
    image_id: Mapped[str] = mapped_column(sa.ForeignKey('images.id'), index=True)
    store: Mapped[str] = mapped_column(sa.String(64))
    purpose: Mapped[str] = mapped_column(sa.String(16))
    state: Mapped[str] = mapped_column(sa.String(16), default=WRITING, index=True)
    size: Mapped[int | None] = mapped_column(sa.BigInteger)
    #: by the database's clock; NULL once nobody writes any more
    leased_until: Mapped[datetime.datetime | None] = mapped_column(db.Time)


def get(tx: Session, id: str) -> Blob | None:
    """A blob, or nothing."""
    return tx.get(Blob, id, populate_existing=True)


def several(tx: Session, ids: Sequence[str]) -> dict[str, Blob]:
    """Blobs by their ids."""
    if not ids:
        return {}
    return {blob.id: blob for blob in tx.scalars(sa.select(Blob).where(Blob.id.in_(list(ids))))}


def writing(tx: Session, id: str) -> Blob:
    """A blob that is still being written, or ``errors.Fenced``: somebody took it away from us."""
    blob = get(tx, id)
    if blob is None or blob.state != WRITING:
        raise errors.Fenced(id=id, epoch='the sweep')
    return blob


def of_image(tx: Session, image_id: str, purpose: str, state: str) -> Blob | None:
    """The image's blob of a purpose in a state."""
    return tx.scalar(sa.select(Blob).where(Blob.image_id == image_id, Blob.purpose == purpose,
                                           Blob.state == state))


def doom(tx: Session, image_id: str, *, purpose: str | None = None) -> None:
    """Have all data of an image removed, or all of one purpose."""
    query = sa.update(Blob).where(Blob.image_id == image_id, Blob.state != DOOMED)
    if purpose is not None:
        query = query.where(Blob.purpose == purpose)
    tx.execute(query.values(state=DOOMED, leased_until=None, updated_at=clock.CLOCK.now()))


def expired(tx: Session, now: datetime.datetime) -> list[Blob]:
    """Attempts whose writer has not been heard of for longer than its lease."""
    return list(tx.scalars(sa.select(Blob).where(Blob.state == WRITING, Blob.leased_until < now).limit(100)))


def doomed(tx: Session, limit: int) -> list[Blob]:
    """What stores shall remove, longest waiting first."""
    return list(tx.scalars(sa.select(Blob).where(Blob.state == DOOMED)
                           .order_by(Blob.updated_at).limit(limit)))

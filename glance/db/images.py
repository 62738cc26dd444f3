"""Images with their properties and tags: the tables, and every query on them.

::

    queued ----> saving ----> active <----> deactivated
      |  ^         |            |               |
      |  +---------+            |               |
      |  (failed, lease ran out)|               |
      v                         v               v
    uploading -> importing -> active ...     deleted (from anywhere; the row stays, so that its id
                                             is never used again)

``swap`` is the only way a status changes.  Tenancy lives in ``seen_by`` alone.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from glance.db.base import Base, Stamped
from strata import clock, db, errors
from strata.context import Context

QUEUED, SAVING, UPLOADING, IMPORTING = 'queued', 'saving', 'uploading', 'importing'
ACTIVE, DEACTIVATED, DELETED = 'active', 'deactivated', 'deleted'


class Image(Stamped, Base):
    __tablename__ = 'images'

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=clock.new_uuid)
    name: Mapped[str | None] = mapped_column(sa.String(255), index=True)
    status: Mapped[str] = mapped_column(sa.String(30), default=QUEUED)
    visibility: Mapped[str] = mapped_column(sa.String(16), index=True)
    owner: Mapped[str | None] = mapped_column(sa.String(255), index=True)
    size: Mapped[int | None] = mapped_column(sa.BigInteger)
    virtual_size: Mapped[int | None] = mapped_column(sa.BigInteger)
    disk_format: Mapped[str | None] = mapped_column(sa.String(20))
    container_format: Mapped[str | None] = mapped_column(sa.String(20))
    checksum: Mapped[str | None] = mapped_column(sa.String(32))
    os_hash_algo: Mapped[str | None] = mapped_column(sa.String(64))
    os_hash_value: Mapped[str | None] = mapped_column(sa.String(128))
    min_disk: Mapped[int] = mapped_column(default=0)
    min_ram: Mapped[int] = mapped_column(default=0)
    protected: Mapped[bool] = mapped_column(default=False)
    os_hidden: Mapped[bool] = mapped_column(default=False)
    deleted_at: Mapped[datetime.datetime | None] = mapped_column(db.Time)
    #: the stored content, once there is any
    blob_id: Mapped[str | None] = mapped_column(db.Id)

    properties: Mapped[list['Property']] = relationship(lazy='raise', viewonly=True)
    tags: Mapped[list['Tag']] = relationship(lazy='raise', viewonly=True, order_by='Tag.value')

    __table_args__ = (sa.Index('ix_images_created_at_id', 'created_at', 'id'),)


class Property(Base):
    """One property beyond the published attributes, always text (``None`` where the schema allows it)."""

    __tablename__ = 'image_properties'

    image_id: Mapped[str] = mapped_column(sa.ForeignKey('images.id', ondelete='CASCADE'), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    value: Mapped[str | None] = mapped_column(sa.Text)


class Tag(Base):
    __tablename__ = 'image_tags'

    image_id: Mapped[str] = mapped_column(sa.ForeignKey('images.id', ondelete='CASCADE'), primary_key=True)
    value: Mapped[str] = mapped_column(sa.String(255), primary_key=True, index=True)


class Member(Stamped, Base):
    """A project that an image is shared with, and whether it wants it."""

    __tablename__ = 'image_members'

    image_id: Mapped[str] = mapped_column(sa.ForeignKey('images.id', ondelete='CASCADE'), primary_key=True)
    member_id: Mapped[str] = mapped_column(sa.String(255), primary_key=True, index=True)
    status: Mapped[str] = mapped_column(sa.String(16), default='pending')


def _shared_with(project: str | None, status: str | None = None) -> Any:
    """That a shared image has the project as a member (of one status, or of any)."""
    query = sa.exists().where(Member.image_id == Image.id, Member.member_id == project)
    if status not in (None, 'all'):
        query = query.where(Member.status == status)
    return sa.and_(Image.visibility == 'shared', query)


def _owned_by(context: Context) -> Any:
    return Image.owner == context.project_id if context.project_id else sa.false()


def seen_by(context: Context) -> sa.Select[Any]:
    """The images a caller may know of: an administrator all, others theirs and those offered to them."""
    query = sa.select(Image).where(Image.status != DELETED)
    if context.is_admin:
        return query
    return query.where(sa.or_(Image.visibility.in_(('public', 'community')), _owned_by(context),
                              _shared_with(context.project_id)))


def get(tx: Session, context: Context, id: str) -> Image:
    """The image with properties and tags; ``errors.NotFound`` if the caller may not know of it."""
    image = tx.scalar(_whole(seen_by(context).where(Image.id == id)))
    if image is None:
        raise errors.NotFound('Failed to find image {id}', id=id[:80])
    return image


def _whole(query: Any) -> Any:
    return (query.options(selectinload(Image.properties), selectinload(Image.tags))
            .execution_options(populate_existing=True))


def hold(tx: Session, image: Image, *, expect: Mapping[str, Any], **values: Any) -> None:
    """Swap the image and so hold its row until the transaction ends; ``errors.Busy`` if it moved or went."""
    db.swap(tx, image, expect={'deleted_at': None, **expect}, **{'updated_at': clock.CLOCK.now(), **values})


def insert(tx: Session, values: Mapping[str, Any], properties: Mapping[str, str | None],
           tags: Sequence[str]) -> Image:
    """A new image, queued; ``errors.Conflict`` if its id was ever used."""
    now = clock.CLOCK.now()
    image = Image(**{'status': QUEUED, **values, 'created_at': now, 'updated_at': now})
    tx.add(image)
    try:
        tx.flush()
    except sa.exc.IntegrityError as error:
        raise errors.Conflict('Image ID {id} already exists!', id=values.get('id')) from error
    set_properties(tx, image.id, properties)
    add_tags(tx, image.id, tags)
    return image


def set_properties(tx: Session, id: str, properties: Mapping[str, str | None]) -> None:
    """Write properties, over those of the same name."""
    drop_properties(tx, id, list(properties))
    if properties:
        tx.execute(sa.insert(Property), [{'image_id': id, 'name': name, 'value': value}
                                         for name, value in properties.items()])


def drop_properties(tx: Session, id: str, names: Sequence[str]) -> None:
    """Remove properties; those that are not there are passed over."""
    if names:
        tx.execute(sa.delete(Property).where(Property.image_id == id, Property.name.in_(list(names))))


def add_tags(tx: Session, id: str, tags: Sequence[str]) -> None:
    """Add tags the image has not got."""
    there = set(tx.scalars(sa.select(Tag.value).where(Tag.image_id == id)))
    new = [tag for tag in dict.fromkeys(tags) if tag not in there]
    if new:
        tx.execute(sa.insert(Tag), [{'image_id': id, 'value': tag} for tag in new])


def drop_tags(tx: Session, id: str, tags: Sequence[str] | None = None) -> int:
    """Remove some tags, or all; how many there were."""
    query = sa.delete(Tag).where(Tag.image_id == id)
    if tags is not None:
        query = query.where(Tag.value.in_(list(tags)))
    return tx.execute(query).rowcount      # type: ignore[attr-defined,no-any-return]


def count(tx: Session, model: type[Property] | type[Tag] | type[Member], id: str) -> int:
    """How many rows of a kind an image has; exact while its row is held."""
    return tx.scalar(sa.select(sa.func.count()).select_from(model).where(model.image_id == id)) or 0


def erase(tx: Session, id: str) -> None:
    """What goes with a deleted image: properties, tags and members."""
    for model in (Property, Tag, Member):
        tx.execute(sa.delete(model).where(model.image_id == id))


def memberships(tx: Session, context: Context, ids: Sequence[str]) -> set[str]:
    """Those of the images that are shared with the caller's project."""
    if not context.project_id or not ids:
        return set()
    return set(tx.scalars(sa.select(Member.image_id).where(
        Member.member_id == context.project_id, Member.image_id.in_(list(ids)))))


SORTABLE: dict[str, Any] = {name: getattr(Image, name) for name in (
    'name', 'status', 'visibility', 'owner', 'size', 'virtual_size', 'disk_format', 'container_format',
    'checksum', 'min_disk', 'min_ram', 'protected', 'os_hidden', 'os_hash_algo', 'os_hash_value',
    'created_at', 'updated_at', 'id')}

_COMPARE: dict[str, Any] = {
    'eq': lambda column, value: column.is_(None) if value is None else column == value,
    'neq': lambda column, value: column != value,
    'gt': lambda column, value: column > value, 'gte': lambda column, value: column >= value,
    'lt': lambda column, value: column < value, 'lte': lambda column, value: column <= value,
    'in': lambda column, value: column.in_(value)}


def search(tx: Session, context: Context, *, conditions: Sequence[Sequence[Any]] = (),
           properties: Mapping[str, str] | None = None, tags: Sequence[str] = (),
           visibility: str | None = None, member_status: str = 'accepted',
           sorts: Sequence[Sequence[str]] = (('created_at', 'desc'), ('id', 'desc')),
           marker: str | None = None, limit: int | None = None) -> list[Image]:
    """A page of images, whole.

    ``conditions`` are (attribute, operator, value); ``properties`` and ``tags``
    must all be there.  Raises ``errors.Invalid`` for an unknown marker.
    """
    query = _listed(context, visibility, member_status)
    for name, operator, value in conditions:
        column = SORTABLE[name]
        if name in ('created_at', 'updated_at'):
            value = clock.parse(value)
        query = query.where(_COMPARE[operator](column, value))
    for name, text in (properties or {}).items():
        query = query.where(sa.exists().where(Property.image_id == Image.id, Property.name == name,
                                              Property.value == text))
    for tag in tags:
        query = query.where(sa.exists().where(Tag.image_id == Image.id, Tag.value == tag))
    after = None
    if marker is not None:
        after = tx.scalar(seen_by(context).where(Image.id == marker))
        if after is None:
            raise errors.Invalid('Image {marker} could not be found: it is no marker.', marker=marker[:80])
    order = [(SORTABLE[key], way) for key, way in sorts]
    return list(tx.scalars(_whole(db.keyset(query, order, after=after, limit=limit))))


def _listed(context: Context, visibility: str | None, member_status: str) -> Any:
    """What a list shows: community images and unaccepted shares only to those who ask for them."""
    query = seen_by(context)
    own, shared = _owned_by(context), _shared_with(context.project_id, member_status)
    if visibility == 'all':
        return query
    if visibility == 'shared' and not context.is_admin:
        return query.where(Image.visibility == 'shared', sa.or_(own, shared))
    if visibility is not None:
        return query.where(Image.visibility == visibility)
    if context.is_admin:
        return query
    return query.where(sa.or_(Image.visibility == 'public', own, shared))

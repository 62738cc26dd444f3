"""The registry over a database: every method is one transaction."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from glance.db import blobs, images, members
from glance.db.images import ACTIVE, DELETED, IMPORTING, QUEUED, SAVING, UPLOADING
from glance.registry import interface
from glance.registry.interface import Registry, Search
from strata import clock, db, errors
from strata.context import Context
from strata.db import Database, Duplicate, retried


class Protected(errors.Forbidden):
    message = 'Image {id} is protected and cannot be deleted.'


def _iso(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec='microseconds')


def _image(tx: Session, context: Context, row: images.Image) -> interface.Image:
    """The plain values of a row that was loaded whole."""
    return _images(tx, context, [row])[0]


def _images(tx: Session, context: Context, rows: Sequence[images.Image]) -> list[interface.Image]:
    """As ``_image``, for a page at the cost of one."""
    shared = images.memberships(tx, context, [row.id for row in rows])
    stored = blobs.several(tx, [row.blob_id for row in rows if row.blob_id])
    return [_plain(context, row, shared, stored.get(row.blob_id or '')) for row in rows]


def _plain(context: Context, row: images.Image, shared: set[str], stored: blobs.Blob | None) -> interface.Image:
    return interface.Image(
        **{name: getattr(row, name) for name in (
            'id', 'name', 'status', 'visibility', 'owner', 'size', 'virtual_size', 'disk_format',
            'container_format', 'checksum', 'os_hash_algo', 'os_hash_value', 'min_disk', 'min_ram',
            'protected', 'os_hidden')},
        created_at=_iso(row.created_at), updated_at=_iso(row.updated_at),
        properties={each.name: each.value for each in row.properties}, tags=[tag.value for tag in row.tags],
        member_id=context.project_id if row.id in shared else None,
        blob={'id': stored.id, 'store': stored.store, 'size': stored.size} if stored else None)


def _member(row: images.Member) -> interface.Member:
    return interface.Member(row.image_id, row.member_id, row.status, _iso(row.created_at),
                            _iso(row.updated_at))


def _blob(row: blobs.Blob) -> interface.Blob:
    return interface.Blob(row.id, row.image_id, row.store, row.purpose, row.state, row.size)


#: what an image goes through while data of a purpose is written: (before, during)
_WRITING = {(blobs.DATA, QUEUED): SAVING, (blobs.DATA, UPLOADING): IMPORTING,
            (blobs.STAGE, QUEUED): UPLOADING}
#: where an abandoned attempt leaves the image
_BACK = {SAVING: QUEUED, UPLOADING: QUEUED, IMPORTING: UPLOADING}


class Local(Registry):
    """The metadata in this process's own database."""

    def __init__(self, db: Database) -> None:
        self.db = db

    @retried
    def create(self, context: Context, *, values: Mapping[str, Any], properties: Mapping[str, str | None],
               tags: Sequence[str]) -> interface.Image:
        with self.db.transaction() as tx:
            row = images.insert(tx, values, properties, tags)
            return _image(tx, context, images.get(tx, context.elevated(), row.id))

    def get(self, context: Context, id: str) -> interface.Image:
        with self.db.reading() as tx:
            return _image(tx, context, images.get(tx, context, id))

    def search(self, context: Context, search: Search) -> list[interface.Image]:
        with self.db.reading() as tx:
            return _images(tx, context, images.search(tx, context, **vars(search)))

    @retried
    def update(self, context: Context, id: str, *, values: Mapping[str, Any] = {},
               properties: Mapping[str, str | None] = {}, removed: Sequence[str] = (),
               tags: Sequence[str] | None = None, expect: Mapping[str, Any] = {},
               limits: Mapping[str, int] = {}) -> interface.Image:
        with self.db.transaction() as tx:
            row = images.get(tx, context, id)
            _hold(tx, row, expect, **values)
            images.drop_properties(tx, id, removed)
            images.set_properties(tx, id, properties)
            if tags is not None:
                images.drop_tags(tx, id)
                images.add_tags(tx, id, tags)
            if properties:
                _bounded(images.count(tx, images.Property, id), limits.get('properties', -1), 'properties')
            if tags:
                _bounded(images.count(tx, images.Tag, id), limits.get('tags', -1), 'tags')
            return _image(tx, context, images.get(tx, context.elevated(), id))

    @retried
    def delete(self, context: Context, id: str) -> None:
        with self.db.transaction() as tx:
            row = images.get(tx, context, id)
            if row.protected:
                raise Protected(id=id)
            try:
                images.hold(tx, row, expect={'protected': False, 'status': row.status}, status=DELETED,
                            deleted_at=clock.CLOCK.now(), blob_id=None)
            except errors.Busy as error:
                raise errors.Conflict('Image {id} could not be deleted because it is in use: it just changed '
                                      'its state.', id=id) from error
            blobs.doom(tx, id)
            images.erase(tx, id)

    @retried
    def add_tag(self, context: Context, id: str, tag: str, limit: int) -> None:
        with self.db.transaction() as tx:
            images.hold(tx, images.get(tx, context, id), expect={})
            images.add_tags(tx, id, [tag])
            _bounded(images.count(tx, images.Tag, id), limit, 'tags')

    @retried
    def remove_tag(self, context: Context, id: str, tag: str) -> None:
        with self.db.transaction() as tx:
            images.hold(tx, images.get(tx, context, id), expect={})
            if not images.drop_tags(tx, id, [tag]):
                raise errors.NotFound('Could not find tag {tag} on image {id}.', tag=tag[:255], id=id)

    def members(self, context: Context, id: str, *, only: str | None = None) -> list[interface.Member]:
        with self.db.reading() as tx:
            images.get(tx, context, id)
            return [_member(row) for row in members.among(tx, id, only=only)]

    def member(self, context: Context, id: str, member_id: str) -> interface.Member:
        with self.db.reading() as tx:
            images.get(tx, context, id)
            return _member(members.get(tx, id, member_id))

    @retried
    def add_member(self, context: Context, id: str, member_id: str, limit: int) -> interface.Member:
        try:
            with self.db.transaction() as tx:
                images.hold(tx, images.get(tx, context, id), expect={'visibility': 'shared'})
                row = images.Member(image_id=id, member_id=member_id, status='pending')
                tx.add(row)
                tx.flush()
                _bounded(images.count(tx, images.Member, id), limit, 'members')
                return _member(row)
        except Duplicate as error:
            raise errors.Conflict('Image member {member} already exists for image {id}.',
                                  member=member_id, id=id) from error

    @retried
    def set_member(self, context: Context, id: str, member_id: str, status: str) -> interface.Member:
        with self.db.transaction() as tx:
            images.get(tx, context, id)
            row = members.get(tx, id, member_id)
            row.status = status
            row.updated_at = clock.CLOCK.now()
            tx.flush()
            return _member(row)

    @retried
    def remove_member(self, context: Context, id: str, member_id: str) -> None:
        with self.db.transaction() as tx:
            images.get(tx, context, id)
            tx.delete(members.get(tx, id, member_id))

    @retried
    def begin(self, context: Context, id: str, *, store: str, purpose: str, lease: float,
              size: int | None = None) -> interface.Blob:
        with self.db.transaction() as tx:
            image = images.get(tx, context, id)
            during = _WRITING.get((purpose, image.status))
            if during is None:
                wanted = SAVING if purpose == blobs.DATA else UPLOADING
                raise errors.Conflict('Image status transition from {status} to {wanted} is not allowed',
                                      status=image.status, wanted=wanted)
            values = {'size': size} if size is not None and during != IMPORTING else {}
            images.hold(tx, image, expect={'status': image.status}, status=during, **values)
            row = blobs.Blob(image_id=id, store=store, purpose=purpose, size=size,
                             leased_until=self._until(tx, lease))
            tx.add(row)
            tx.flush()
            return _blob(row)

    def _until(self, tx: Session, lease: float) -> datetime.datetime:
        return self.db.now(tx) + datetime.timedelta(seconds=lease)

    @retried
    def renew(self, context: Context, blob_id: str, lease: float) -> None:
        with self.db.transaction() as tx:
            _swap(tx, blobs.writing(tx, blob_id), leased_until=self._until(tx, lease))

    @retried
    def finish(self, context: Context, blob_id: str, *, size: int,
               values: Mapping[str, Any] = {}) -> interface.Image:
        with self.db.transaction() as tx:
            blob = blobs.writing(tx, blob_id)
            _swap(tx, blob, state=blobs.STORED, size=size, leased_until=None)
            image = images.get(tx, context.elevated(), blob.image_id)
            if blob.purpose == blobs.STAGE:
                images.hold(tx, image, expect={'status': UPLOADING}, size=size)
            else:
                images.hold(tx, image, expect={'status': (SAVING, IMPORTING)}, status=ACTIVE, size=size,
                            blob_id=blob.id, **values)
                blobs.doom(tx, blob.image_id, purpose=blobs.STAGE)
            return _image(tx, context, images.get(tx, context.elevated(), blob.image_id))

    @retried
    def abandon(self, context: Context, blob_id: str, *, fully: bool = False) -> bool:
        with self.db.transaction() as tx:
            blob = blobs.get(tx, blob_id)
            if blob is not None and blob.state == blobs.WRITING:
                _abandon(tx, blob, fully=fully)
            return blob is None or blob.state != blobs.STORED

    def staged(self, context: Context, id: str) -> interface.Blob:
        with self.db.reading() as tx:
            images.get(tx, context, id)
            blob = blobs.of_image(tx, id, blobs.STAGE, blobs.STORED)
            if blob is None:
                raise errors.Conflict('Image {id} has no staged data.', id=id)
            return _blob(blob)

    @retried
    def expire(self, context: Context) -> int:
        with self.db.transaction() as tx:
            late = blobs.expired(tx, self.db.now(tx))
            for blob in late:
                _abandon(tx, blob)
            return len(late)

    def doomed(self, context: Context, limit: int = 100) -> list[interface.Blob]:
        with self.db.reading() as tx:
            return [_blob(row) for row in blobs.doomed(tx, limit)]

    @retried
    def forget(self, context: Context, blob_id: str) -> None:
        with self.db.transaction() as tx:
            blob = blobs.get(tx, blob_id)
            if blob is not None and blob.state == blobs.DOOMED:
                tx.delete(blob)


def _swap(tx: Session, blob: blobs.Blob, **values: Any) -> None:
    """Move a blob that is being written, or raise ``errors.Fenced``."""
    try:
        db.swap(tx, blob, expect={'state': blobs.WRITING}, updated_at=clock.CLOCK.now(), **values)
    except errors.Busy as error:
        raise errors.Fenced(id=blob.id, epoch='the sweep') from error


def _abandon(tx: Session, blob: blobs.Blob, *, fully: bool = False) -> None:
    """Doom an attempt and put the image back to where it was before it; a deleted image stays deleted."""
    _swap(tx, blob, state=blobs.DOOMED, leased_until=None)
    image = tx.get(images.Image, blob.image_id, populate_existing=True)
    if image is None or image.status not in _BACK:
        return
    back = QUEUED if fully else _BACK[image.status]
    images.hold(tx, image, expect={'status': image.status}, status=back,
                **({'size': None} if back == QUEUED else {}))
    if fully:
        blobs.doom(tx, image.id)


def _hold(tx: Session, row: images.Image, expect: Mapping[str, Any], **values: Any) -> None:
    try:
        images.hold(tx, row, expect=expect, **values)
    except errors.Busy as error:
        raise errors.Conflict('Image {id} is {status}: this cannot be changed now.',
                              id=row.id, status=row.status) from error


def _bounded(count: int, limit: int, what: str) -> None:
    if 0 <= limit < count:
        raise errors.TooLarge('The limit has been exceeded on the number of allowed image {what}. '
                              'Attempted: {count}, Maximum: {limit}', what=what, count=count, limit=limit)

"""Data of images, in and out: read, hashed, inspected and stored in one pass.

::

    begin (row, lease) -> read chunk -> inspect -> hash -> store ... -> durable -> finish (active)
            |                                                |
            +------------ anything that goes wrong ----------+-> abandon: queued again, data doomed

The registry's row comes first and the acknowledgement last, so a process that
dies in between leaves only what the sweep (``glance.sweep``) knows about.
"""

import contextlib
import hashlib
import logging
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from glance import sweep
from glance.formats import Inspection
from glance.registry.interface import Blob, Image
from glance.stores.interface import CHUNK
from glance.wiring import Wiring
from strata import errors, green
from strata.context import Context

LOG = logging.getLogger(__name__)
HASH = 'sha512'


class Stream(Protocol):
    """A request body."""

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer at the end."""


class Interrupted(errors.Gone):
    message = 'The image was deleted, or its upload given up, while the data was on its way.'


class TooLarge(errors.TooLarge):
    message = 'Image exceeds the largest size allowed, {most} bytes.'


class WrongSize(errors.Invalid):
    message = 'The data has {given} bytes, {said} were announced.'


def chunks_of(stream: Stream) -> Iterator[bytes]:
    """A request body in large pieces."""
    while chunk := stream.read(CHUNK):
        yield chunk


class _Digest:
    """MD5 and SHA-512 of what passes, computed on a native thread."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha512 = hashlib.sha512()
        self.size = 0

    def through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks, each counted and hashed before it goes on."""
        for chunk in chunks:
            self.size += len(chunk)
            green.native(self._add, chunk)
            yield chunk

    def _add(self, chunk: bytes) -> None:
        self._md5.update(chunk)
        self._sha512.update(chunk)

    def values(self) -> dict[str, str]:
        """The image's attributes that say what its data hashes to."""
        return {'checksum': self._md5.hexdigest(), 'os_hash_algo': HASH,
                'os_hash_value': self._sha512.hexdigest()}


def _bounded(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise TooLarge(most=most)
        yield chunk


class Attempt:
    """One blob being written, under a lease."""

    def __init__(self, wiring: Wiring, context: Context, blob: Blob) -> None:
        self.wiring, self.context, self.blob = wiring, context, blob
        self._lost: errors.Fenced | None = None

    def alive(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks, as long as the attempt is ours; ``errors.Fenced`` once it was taken away."""
        for chunk in chunks:
            if self._lost is not None:
                raise self._lost
            yield chunk
        self.renew()      # what a successor may have removed is not made durable

    def renew(self) -> None:
        """Renew the lease; ``errors.Fenced`` if it was taken away."""
        self.wiring.registry.renew(self.context, self.blob.id, self.wiring.conf.upload_lease)

    def keep(self) -> None:
        """Renew the lease until told to stop: a slow client, or a slow disk, is no dead uploader."""
        while self._lost is None:
            green.sleep(self.wiring.conf.upload_lease / 3)
            try:
                self.renew()
            except errors.Fenced as error:
                self._lost = error
            except errors.Error as error:
                LOG.warning('upload %s: the lease could not be renewed: %s', self.blob.id, error)


def begin(wiring: Wiring, context: Context, id: str, purpose: str, size: int | None,
          store: str | None = None) -> Attempt:
    """Start an attempt; ``errors.Conflict`` if the image's state forbids it.  ``guarded`` goes with it."""
    blob = wiring.registry.begin(context, id, store=store or wiring.conf.glance_store.default_store, purpose=purpose,
                                 lease=wiring.conf.upload_lease, size=size)
    return Attempt(wiring, context, blob)


@contextlib.contextmanager
def guarded(attempt: Attempt) -> Iterator[None]:
    """The attempt's lease is kept; what leaves the block as an exception abandons it and removes its data."""
    keeper = green.spawn(attempt.keep)
    try:
        yield
    except BaseException as error:
        blob = attempt.blob
        why = str(error) or type(error).__name__
        LOG.info('upload %s of image %s is given up: %s', blob.id, blob.image_id, why)
        _give_up(attempt)
        if isinstance(error, errors.Fenced):
            raise Interrupted() from error
        raise
    finally:
        keeper.kill()


def _give_up(attempt: Attempt) -> None:
    wiring, context, blob = attempt.wiring, attempt.context, attempt.blob
    try:
        # an attempt that came through, though its answer was lost on the way, keeps its data
        if wiring.registry.abandon(context, blob.id):
            sweep.remove(wiring, context, blob)
    except errors.Error as error:      # the sweep will do it
        LOG.warning('upload %s: %s', blob.id, error)


def writable(image: Image) -> None:
    """Raise ``errors.Invalid`` unless the image says what format its data will have."""
    if not image.disk_format or not image.container_format:
        missing = [name for name in ('disk_format', 'container_format') if not getattr(image, name)]
        raise errors.Invalid(f'Properties {", ".join(missing)} must be set prior to saving data.')


def pour(attempt: Attempt, image: Image, chunks: Iterable[bytes], announced: int | None) -> dict[str, Any]:
    """Store the data of an image and say what it turned out to be."""
    conf = attempt.wiring.conf
    digest = _Digest()
    inspection = Inspection(iter(_bounded(chunks, conf.image_size_cap)), image.disk_format or '',
                            image.container_format or '', strict=conf.image_format.require_image_format_match)
    stored: dict[str, Any] = {}

    def judged() -> Iterator[bytes]:
        # the verdict falls before the store makes the data durable
        yield from digest.through(attempt.alive(inspection))
        if announced is not None and digest.size != announced:
            raise WrongSize(given=digest.size, said=announced)
        stored['virtual_size'] = inspection.verdict()

    attempt.wiring.stores[attempt.blob.store].write(attempt.blob.id, judged())
    return {**stored, **digest.values(), 'size': digest.size}


def _early(conf: Any, announced: int | None) -> None:
    if announced is not None and announced > conf.image_size_cap:
        raise TooLarge(most=conf.image_size_cap)


def upload(wiring: Wiring, context: Context, image: Image, stream: Stream, *,
           size: int | None = None, store: str | None = None) -> Image:
    """Take an image's data; it is active and durable when this returns.

    ``size`` in bytes is what the client announced, if it did; ``store``: where
    the data goes, if not to the default one.  The image is
    queued again if anything goes wrong: ``formats.Mismatch``, ``WrongSize``,
    ``errors.TooLarge``, ``Interrupted``, a client that goes away.
    """
    writable(image)
    _early(wiring.conf, size)
    attempt = begin(wiring, context, image.id, 'data', size, store)
    with guarded(attempt):
        values = pour(attempt, image, chunks_of(stream), size)
        return wiring.registry.finish(context, attempt.blob.id, size=values.pop('size'), values=values)


def stage(wiring: Wiring, context: Context, image: Image, stream: Stream, *,
          size: int | None = None) -> Image:
    """Take data that an import will look at and make the image's own."""
    _early(wiring.conf, size)
    attempt = begin(wiring, context, image.id, 'stage', size)
    with guarded(attempt):
        given = wiring.store.write(attempt.blob.id, attempt.alive(
            _bounded(chunks_of(stream), wiring.conf.image_size_cap)))
        if size is not None and given != size:
            raise WrongSize(given=given, said=size)
        return wiring.registry.finish(context, attempt.blob.id, size=given)


def download(wiring: Wiring, image: Image, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
    """The bytes of an active image; ``errors.NotFound`` if the store has lost them."""
    if image.blob is None:
        raise errors.NotFound('Image {id} has no data.', id=image.id)
    return wiring.stores[image.blob['store']].read(image.blob['id'], offset, length)

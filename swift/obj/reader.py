"""The body of an object: read, checked, and sent.

A short one is read at once and checked before a byte of it is sent, so that a
corrupt one is simply not there and another replica answers.  A long one is sent
by the kernel; afterwards a native thread reads it again from the kernel's cache
and, if it is corrupt, quarantines it.  That waits a little while others are being
sent: whoever is waiting for bytes comes first.  Parts of an object cannot be checked.
"""

import hashlib
import logging
import os
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from strata import green
from swift.obj.diskfile import DiskFile
from swift.storage import files

LOG = logging.getLogger(__name__)

#: an object up to this size is read and checked before it is sent
SHORT = 256 * 1024
#: sent objects that wait to be checked, one after the other; more wait too, and so do the connections they came by
CHECKS = 8
#: seconds, all in all, that a check lets others be sent first; and how long before it looks again
PATIENCE, LOOK = 2.0, 0.02

_places = green.Semaphore(CHECKS)
_turn = green.Semaphore(1)
#: connections that wait for a place
_pressing: set['Body'] = set()
#: bodies that the kernel is sending now
_sending: weakref.WeakSet['Body'] = weakref.WeakSet()


def whole(file: DiskFile) -> bytes:
    """All of a short object.  Raises ``Quarantined`` if it is not what its metadata says, or ``OSError``."""
    data = os.pread(file.fd, file.size + 1, 0)
    while 0 < len(data) < file.size:
        more = os.pread(file.fd, file.size - len(data), len(data))
        if not more:
            break
        data += more
    _compare(file, len(data), hashlib.md5(data, usedforsecurity=False).hexdigest())
    return data


def check(file: DiskFile) -> None:
    """Read a whole object on a native thread.  Raises ``Quarantined`` if it is corrupt, or ``OSError``."""
    _compare(file, *green.native(_digest, file.fd, file.store.conf.disk_chunk_size))


def _compare(file: DiskFile, size: int, etag: str) -> None:
    said = file.data_metadata.get('ETag', '')
    if size != file.size:
        raise file.quarantine(f'{size} bytes could be read of {file.size}')
    if said != etag:
        raise file.quarantine(f'its MD5 is {etag} and should be {said}')


def _digest(fd: int, chunk: int, patience: float = 0.0) -> tuple[int, str]:
    """Size and MD5 of a file; on a native thread.  ``patience``: seconds that it may wait while bodies are sent."""
    size, digest = 0, hashlib.md5(usedforsecurity=False)
    while data := os.pread(fd, chunk, size):
        while _sending and not _pressing and patience > 0:
            green.sleep_natively(LOOK)
            patience -= LOOK
        digest.update(data)
        size += len(data)
    return size, digest.hexdigest()


class Body:
    """A long object for the server to send: by ``wsgi.file_wrapper``, or piece by piece."""

    def __init__(self, file: DiskFile, *, keep: bool) -> None:
        """Takes the descriptor over.  ``keep``: the object may stay in the kernel's cache."""
        self._file = file
        self._fd = file.take()
        self._keep = keep
        self._start = 0
        self._complete = False
        self._wrapper: Any = None

    def sent_by(self, wrapper: Any) -> Iterable[bytes]:
        """This body in the server's own wrapper; it is checked afterwards."""
        _sending.add(self)
        self._wrapper = wrapper(self, self._file.store.conf.disk_chunk_size)
        return self._wrapper      # type: ignore[no-any-return]

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def tell(self) -> int:
        """Where sending begins."""
        return self._start

    def read(self, size: int) -> bytes:
        """The next piece."""
        data = os.pread(self._fd, size, self._start)
        self._start += len(data)
        return data

    def __iter__(self) -> Iterator[bytes]:
        chunk = self._file.store.conf.disk_chunk_size
        digest = hashlib.md5(usedforsecurity=False)
        while data := self.read(chunk):
            if len(data) >= 1 << 20:
                green.native(digest.update, data)
            else:
                digest.update(data)
            yield data
        self._settle(self._start, digest.hexdigest())

    def ranged(self, start: int, stop: int) -> Iterator[bytes]:
        """A part of it."""
        chunk = self._file.store.conf.disk_chunk_size
        while start < stop and (data := os.pread(self._fd, min(chunk, stop - start), start)):
            start += len(data)
            yield data

    def _settle(self, size: int, etag: str) -> None:
        said = self._file.data_metadata.get('ETag', '')
        if size != self._file.size or etag != said:
            self._file.quarantine(f'{size} bytes with the MD5 {etag} were read; '
                                  f'{self._file.size} with {said} should be')

    def close(self) -> None:
        """Give the descriptor back, after checking what has been sent whole."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        _sending.discard(self)
        wrapper, self._wrapper = self._wrapper, None
        if wrapper is not None and getattr(wrapper, 'sent', 0) >= self._file.size:
            self._take_place(fd)
            green.spawn(self._check, fd)
            return
        self._leave(fd)

    def _take_place(self, fd: int) -> None:
        if _places.acquire(blocking=False):
            return
        _pressing.add(self)
        try:
            _places.acquire()
        except BaseException:
            self._leave(fd)
            raise
        finally:
            _pressing.discard(self)

    def _check(self, fd: int) -> None:
        try:
            with _turn:
                self._settle(*green.native(_digest, fd, self._file.store.conf.disk_chunk_size, PATIENCE))
        except OSError as error:
            LOG.error('%s cannot be checked: %s', self._file.path, error)
        finally:
            _places.release()
            self._leave(fd)

    def _leave(self, fd: int) -> None:
        if not self._keep:
            files.forget(fd)
        os.close(fd)

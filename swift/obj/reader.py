"""The body of an object: read, checked, and sent.

A short one is read at once and checked before a byte of it is sent, so that a
corrupt one is simply not there and another replica answers.  A long one is sent
by the kernel; afterwards a native thread reads it again from the kernel's cache
and, if it is corrupt, quarantines it.  Parts of an object cannot be checked.
"""

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from typing import Any

from strata import green
from swift.obj.diskfile import DiskFile
from swift.storage import files

LOG = logging.getLogger(__name__)

#: an object up to this size is read and checked before it is sent
SHORT = 256 * 1024
#: checks of sent objects at a time; more wait, and so do the connections they came by
CHECKS = 4

_checks = green.Semaphore(CHECKS)


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


def _digest(fd: int, chunk: int) -> tuple[int, str]:
    size, digest = 0, hashlib.md5(usedforsecurity=False)
    while data := os.pread(fd, chunk, size):
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

    def sent_by(self, wrapper: Any, start: int | None = None) -> Iterable[bytes]:
        """This body from ``start`` on in the server's own wrapper; the whole body is checked afterwards."""
        self._start = start or 0
        self._wrapper = wrapper(self, self._file.store.conf.disk_chunk_size)
        if start is not None:
            wrapped, self._wrapper = self._wrapper, None
            return wrapped      # type: ignore[no-any-return]
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
        wrapper, self._wrapper = self._wrapper, None
        if wrapper is not None and getattr(wrapper, 'sent', 0) >= self._file.size:
            if _checks.acquire(blocking=False):
                green.spawn(self._check, fd)
                return
            _checks.acquire()
            self._check(fd)
            return
        self._leave(fd)

    def _check(self, fd: int) -> None:
        try:
            self._settle(*green.native(_digest, fd, self._file.store.conf.disk_chunk_size))
        except OSError as error:
            LOG.error('%s cannot be checked: %s', self._file.path, error)
        finally:
            _checks.release()
            self._leave(fd)

    def _leave(self, fd: int) -> None:
        if not self._keep:
            files.forget(fd)
        os.close(fd)

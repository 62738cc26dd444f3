"""A directory as a store.

::

    <datadir>/incoming/<key>        while it is written
    <datadir>/ab/<key>              durable: fsync of the file, rename, fsync of both directories

A process that dies leaves a file in ``incoming`` whose key the registry
knows as an attempt; the sweep deletes it by that key.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from oslo_config import cfg

from glance.stores.interface import CHUNK, Full, Missing, Store, checked
from strata import errors, green

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FileStore(Store):
    """Images as files of one directory, which several hosts may share over a network file system."""

    description = "Files on this cloud's own disks"

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.root = Path(conf.glance_store.filesystem_store_datadir
                         or os.path.join(conf.state_path, 'glance', 'images'))
        self.mode = int(conf.glance_store.filesystem_store_file_perm or '0640', 8)

    def _incoming(self, key: str) -> Path:
        return self.root / 'incoming' / checked(key)

    def _final(self, key: str) -> Path:
        return self.root / checked(key)[:2] / key

    def write(self, key: str, chunks: Iterable[bytes]) -> int:
        path = self._incoming(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, _NEW, self.mode)
        except OSError as error:
            raise _told(error) from error
        try:
            try:
                size = _fill(file, chunks)
            finally:
                os.close(file)
            self._settle(path, self._final(key))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return size

    def _settle(self, path: Path, final: Path) -> None:
        try:
            if not final.parent.is_dir():
                final.parent.mkdir(exist_ok=True)
                green.native(_sync_directory, self.root)
            os.rename(path, final)
            green.native(_sync_directory, final.parent)
        except OSError as error:
            raise _told(error) from error

    def read(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        try:
            file = os.open(self._final(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise Missing() from error
        except OSError as error:
            raise _told(error) from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise errors.Unavailable(service='The image store')
        return _Reader(file, offset, length)

    def size(self, key: str) -> int:
        try:
            return self._final(key).stat().st_size
        except FileNotFoundError as error:
            raise Missing() from error

    def delete(self, key: str) -> None:
        for path in (self._incoming(key), self._final(key)):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise _told(error) from error


def _fill(file: int, chunks: Iterable[bytes]) -> int:
    size = 0
    for chunk in chunks:
        try:
            green.native(_write, file, chunk)
        except OSError as error:
            raise _told(error) from error
        size += len(chunk)
    try:
        green.native(os.fsync, file)
    except OSError as error:
        raise _told(error) from error
    return size


def _write(file: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(file, rest):]


def _sync_directory(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _told(error: OSError) -> errors.Error:
    """What a client may hear of a failing disk: never a path."""
    if error.errno in _FULL:
        return Full()
    return errors.Unavailable(service='The image store')


class _Reader:
    """A part of an open file, chunk by chunk; it outlives the file's removal."""

    def __init__(self, file: int, offset: int, length: int | None) -> None:
        self._file, self._offset = file, offset
        self._left = os.fstat(file).st_size - offset if length is None else length

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        want = min(CHUNK, self._left)
        try:
            chunk = green.native(os.pread, self._file, want, self._offset) if want > 0 else b''
        except OSError as error:
            raise _told(error) from error
        if not chunk:
            self.close()
            raise StopIteration
        self._offset += len(chunk)
        self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        """Give the file back; WSGI servers call it when the client is gone."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._left = 0

    def __del__(self) -> None:
        self.close()

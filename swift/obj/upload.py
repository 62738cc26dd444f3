"""Writing an object's data: to a file without a name, which gets one when everything about it is known.

The first few MiB are taken piece by piece.  Of what follows, a native thread receives, hashes and writes as much
as comes fast: the MD5 of 256 MiB and the waits for the disk would stop everybody else, and three replicas of
one body keep more than one processor busy.
"""

import errno
import hashlib
import mmap
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self

from strata import green
from strata.wsgi.body import Sized
from swift.obj import metadata as metadatas
from swift.storage import files
from swift.storage.errors import NoSpace
from swift.timestamp import Timestamp

if TYPE_CHECKING:
    from swift.obj.diskfile import DiskFile

#: chunks of this size are hashed and written on a native thread; a hop there costs as much as the MD5 of 128 KiB
LARGE = 1 << 20
#: so much is taken piece by piece before a thread takes what follows, and again after each time the client paused
STRETCH = 4 << 20
#: bytes that the thread receives, hashes and writes at a time
PIECE = 1 << 20
#: after so many bytes the kernel is told to write: the disk works while the client sends, and less is left at the end
EAGER = 16 << 20
#: bodies of at least this size get their space set aside first
ALLOCATE = 1 << 20


class Upload:
    """Data on its way to disk; leaving the context without ``finish`` leaves nothing."""

    __slots__ = ('file', 'size', '_unnamed', '_hash', 'written', '_begun', '_synced', '_every',
                 '_direct', '_piecemeal')

    def __init__(self, file: 'DiskFile', size: int | None) -> None:
        self.file = file
        self.size = size
        #: bytes so far
        self.written = 0
        self._begun = self._synced = self._piecemeal = 0
        #: what would not stay in the kernel's cache need not get there
        self._direct = size is not None and size > file.store.conf.keep_cache_size
        self._every = file.store.conf.mb_per_sync << 20
        self._hash = hashlib.md5(usedforsecurity=False)
        store = file.store
        try:
            store.devices.check_space(file.device_path, size or 0)
            # near its partition: file systems spread directories over the disk, and keep files by them
            self._unnamed = files.Unnamed(file.partition_path, file.tmp)
            if size is not None and size >= ALLOCATE and not store.conf.disable_fallocate:
                self._allocate(size)
        except OSError as error:
            raise file.translated(error) from error

    def _allocate(self, size: int) -> None:
        try:
            files.allocate(self._unnamed.fd, size)
        except OSError:
            self._unnamed.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Give everything back."""
        self._unnamed.close()

    @property
    def etag(self) -> str:
        """MD5 of what was written so far."""
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> int:
        """Write more; returns the bytes so far.  Raises ``NoSpace`` or ``OSError``."""
        try:
            if len(chunk) >= LARGE:
                green.native(self._take, chunk)
            else:
                self._take(chunk)
            self._piecemeal += len(chunk)
            if self._sync_is_due():
                green.native(self._sync, self._unnamed.fd)
        except OSError as error:
            raise self.file.translated(error) from error
        return self.written

    def draw(self, body: Sized) -> int:
        """Let a thread take what comes next of a body, if it is time for that; the bytes so far.

        Raises as ``write``; the file is no good then.
        """
        if self._piecemeal >= STRETCH:
            self._piecemeal = 0
            try:
                body.drawn(_Stretch(self))
            except OSError as error:
                raise self.file.translated(error) from error
        return self.written

    def _take(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self._write(self._unnamed.fd, chunk)

    def _write(self, fd: int, data: bytes | memoryview) -> None:
        files.write_all(fd, data)
        self.written += len(data)
        if self.written - self._begun >= EAGER:
            self._begun = self.written
            files.begin_writing(fd)

    def _sync_is_due(self) -> bool:
        return bool(self._every) and self.written - self._synced >= self._every

    def _sync(self, fd: int) -> None:
        """Keep the amount small that the final sync has to wait for, and the kernel's cache free."""
        os.fdatasync(fd)
        files.forget(fd, self._synced, self.written - self._synced)
        self._synced = self.written

    def finish(self, metadata: Mapping[str, str], linked: Callable[[str], None] | None = None) -> None:
        """Give the object its metadata and its place; it is durable when this returns.

        ``metadata`` has X-Timestamp, Content-Length and ETag; the name is added.  ``linked`` is called when it has
        its place, see ``storage/commit``.
        Raises ``MetadataTooLarge``, ``NoSpace`` or ``OSError``.
        """
        self.install(f'{Timestamp(metadata["X-Timestamp"]).internal}.data', metadata, linked)

    def install(self, filename: str, metadata: Mapping[str, str],
                linked: Callable[[str], None] | None = None) -> None:
        """As ``finish``, under the name that the file has at another replica."""
        file = self.file
        assert file.name is not None
        try:
            metadatas.write(self._unnamed.fd, {**metadata, 'name': file.name}, file.device)
            file.settle(self._unnamed, filename, heavy=self.written >= LARGE, linked=linked)
            if self.written > file.store.conf.keep_cache_size:
                files.forget(self._unnamed.fd)
        except OSError as error:
            raise file.translated(error) from error


class _Stretch:
    """Some of an upload, taken by a native thread; the descriptor is its own: the upload may be closed before."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._fd = os.dup(upload._unnamed.fd)
        self._buffer = memoryview(mmap.mmap(-1, PIECE))      # begins at a page

    def room(self) -> memoryview:
        """What brings the file to a multiple of a block, from where on it can be written directly."""
        return self._buffer[:PIECE - self._upload.written % files.BLOCK]

    def took(self, size: int) -> None:
        """Hash and write it."""
        upload, data = self._upload, self._buffer[:size]
        upload._hash.update(data)
        if upload._direct and not (upload.written | size) % files.BLOCK:
            self._write_directly(data)
        else:
            upload._write(self._fd, data)
        if upload._sync_is_due():
            upload._sync(self._fd)

    def _write_directly(self, data: memoryview) -> None:
        """Past the cache, or not if the file system cannot."""
        upload = self._upload
        try:
            files.set_direct(self._fd, True)
            upload._write(self._fd, data)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            upload._direct = False
        finally:
            files.set_direct(self._fd, False)
        if not upload._direct:
            upload._write(self._fd, data)

    def close(self) -> None:
        """Of no more use."""
        self._buffer.release()
        os.close(self._fd)


__all__ = ['ALLOCATE', 'LARGE', 'STRETCH', 'NoSpace', 'Upload']

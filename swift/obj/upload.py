"""Writing an object's data: to a file without a name, which gets one when everything about it is known."""

import hashlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from strata import green
from swift.obj import metadata as metadatas
from swift.storage import files
from swift.storage.errors import NoSpace
from swift.timestamp import Timestamp

if TYPE_CHECKING:
    from swift.obj.diskfile import DiskFile

#: chunks of this size are hashed and written on a native thread; a hop there costs as much as the MD5 of 128 KiB
LARGE = 1 << 20
#: after so many bytes the kernel is told to write: the disk works while the client sends, and less is left at the end
EAGER = 16 << 20
#: bodies of at least this size get their space set aside first
ALLOCATE = 1 << 20


class Upload:
    """Data on its way to disk; leaving the context without ``finish`` leaves nothing."""

    __slots__ = ('file', 'size', '_unnamed', '_hash', 'written', '_begun', '_synced', '_every')

    def __init__(self, file: 'DiskFile', size: int | None) -> None:
        self.file = file
        self.size = size
        #: bytes so far
        self.written = 0
        self._begun = self._synced = 0
        self._every = file.store.conf.mb_per_sync << 20
        self._hash = hashlib.md5(usedforsecurity=False)
        store = file.store
        try:
            store.devices.check_space(file.device_path, size or 0)
            # near its partition: file systems spread directories over the disk, and keep files by them
            near = os.path.dirname(os.path.dirname(file.path))
            self._unnamed = files.Unnamed(near, file.tmp)
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
            if self._every and self.written - self._synced >= self._every:
                green.native(self._sync)
        except OSError as error:
            raise self.file.translated(error) from error
        return self.written

    def _take(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        files.write_all(self._unnamed.fd, chunk)
        self.written += len(chunk)
        if self.written - self._begun >= EAGER:
            self._begun = self.written
            files.begin_writing(self._unnamed.fd)

    def _sync(self) -> None:
        """Keep the amount small that the final sync has to wait for, and the kernel's cache free."""
        os.fdatasync(self._unnamed.fd)
        files.forget(self._unnamed.fd, self._synced, self.written - self._synced)
        self._synced = self.written

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Give the object its metadata and its place; it is durable when this returns.

        ``metadata`` has X-Timestamp, Content-Length and ETag; the name is added.
        Raises ``MetadataTooLarge``, ``NoSpace`` or ``OSError``.
        """
        self.install(f'{Timestamp(metadata["X-Timestamp"]).internal}.data', metadata)

    def install(self, filename: str, metadata: Mapping[str, str]) -> None:
        """As ``finish``, under the name that the file has at another replica."""
        file = self.file
        assert file.name is not None
        try:
            metadatas.write(self._unnamed.fd, {**metadata, 'name': file.name}, file.device)
            file.settle(self._unnamed, filename, heavy=self.written >= LARGE)
            if self.written > file.store.conf.keep_cache_size:
                files.forget(self._unnamed.fd)
        except OSError as error:
            raise file.translated(error) from error


__all__ = ['ALLOCATE', 'LARGE', 'NoSpace', 'Upload']

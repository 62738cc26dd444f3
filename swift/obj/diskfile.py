"""One object on one disk.

::

    file = store.file(device, partition, account, container, obj, policy)
    with file.open():                       raises Absent, Deleted, Expired, Quarantined, Collision
        file.metadata, file.data_timestamp, file.body() ...
    with file.upload(size) as upload:       raises NoSpace
        upload.write(...)
        upload.finish(metadata)             durable when it returns
    file.write_metadata(metadata)           a POST
    file.delete(timestamp)                  a tombstone

What is found broken is quarantined as soon as it is seen, and is then absent.
"""

import contextlib
import errno
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Self

from strata import green
from swift import timestamp as timestamps
from swift.obj import hashes, ondisk
from swift.obj import metadata as metadatas
from swift.obj.errors import (
    Absent,
    BadMetadata,
    Collision,
    Deleted,
    Expired,
    MetadataTooLarge,
    Quarantined,
)
from swift.obj.upload import Upload
from swift.policies import Policy, datadir
from swift.storage import files, quarantine
from swift.storage.errors import Locked, NoSpace
from swift.timestamp import Timestamp

if TYPE_CHECKING:
    from swift.obj.store import Store

LOG = logging.getLogger(__name__)

#: of the data file, whatever a POST said
KEPT = frozenset({'Content-Length', 'ETag', 'X-Static-Large-Object', 'deleted'})
SYSTEM = 'x-object-sysmeta-'
#: called when a file has got its name, see ``storage/commit``
Linked = Callable[[str], None]
NOTHING: dict[str, str] = {}


class DiskFile:
    """One object on one disk; see the module."""

    __slots__ = ('store', 'device', 'partition', 'policy', 'hash', 'name', 'path', 'suffix_path', 'partition_path',
                 'device_path', 'fd', 'metadata', 'data_metadata', 'meta_metadata', 'found', 'names', 'size',
                 'changed')

    def __init__(self, store: 'Store', device: str, partition: str, policy: Policy, digest: str,
                 name: str | None = None) -> None:
        """``name``: ``/account/container/object`` if it is known.  Raises ``NotMounted``."""
        self.store = store
        self.device = device
        self.partition = partition
        self.policy = policy
        self.hash = digest
        self.name = name
        self.device_path = store.devices.path(device)
        self.partition_path = f'{self.device_path}/{datadir("objects", policy)}/{partition}'
        self.suffix_path = f'{self.partition_path}/{digest[-3:]}'
        self.path = f'{self.suffix_path}/{digest}'
        #: the open data file, or -1
        self.fd = -1
        self.found = ondisk.OnDisk()
        #: the files that were there when it was last opened, unless it was changed since
        self.names: list[str] | None = None
        #: what the object has now, of its data and the newest POST
        self.metadata: dict[str, str] = NOTHING
        self.data_metadata: dict[str, str] = NOTHING
        self.meta_metadata: dict[str, str] = NOTHING
        self.size = 0
        #: when the data file was last written, by the file system
        self.changed = 0.0

    @property
    def tmp(self) -> str:
        """Where files without a place are kept for a moment."""
        return os.path.join(self.device_path, 'tmp')

    # reading

    def open(self, *, expired: bool = False, now: float | None = None) -> Self:
        """Find the newest state and check it; to be closed, or used as a context.

        ``expired``: even if its X-Delete-At has passed.  Raises ``Absent`` or one of its kinds, ``Collision``,
        or ``OSError``.
        """
        try:
            names = self.names = os.listdir(self.path)
        except FileNotFoundError:
            self.names = []
            raise Absent from None
        except NotADirectoryError as error:
            raise self.quarantine('there is a file in the place of its directory') from error
        found = self.found = ondisk.examine(names)
        try:
            if found.data is None:
                raise self._absence()
            self.fd = green.system.open(f'{self.path}/{found.data.name}', os.O_RDONLY | os.O_CLOEXEC)
            self._read_metadata()
            self._check_size()
            if not expired:
                self._check_expiry(now)
        except FileNotFoundError:
            self.close()
            if os.path.isdir(self.path):
                # somebody replaced it between our looks
                return self.open(expired=expired, now=now)
            raise Absent from None
        except BaseException:
            self.close()
            raise
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back; metadata stays.  Safe to call again."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def take(self) -> int:
        """The open descriptor, which is the caller's from now on."""
        fd, self.fd = self.fd, -1
        return fd

    def _absence(self) -> Absent:
        tombstone = self.found.tombstone
        if tombstone is None:
            return Absent()
        try:
            said = metadatas.read(f'{self.path}/{tombstone.name}')
        except BadMetadata as error:
            return self.quarantine(str(error))
        except FileNotFoundError:
            said = {}
        if self.name is None:
            self.name = said.get('name')
        return Deleted(timestamp=tombstone.timestamp, metadata=said)

    def _read_metadata(self) -> None:
        found = self.found
        try:
            said = self.data_metadata = metadatas.read(self.fd)
            if found.meta is None:
                self.metadata = said
            else:
                self._merge(said)
        except BadMetadata as error:
            raise self.quarantine(str(error)) from error
        name = said.get('name')
        if name is None or said.get('X-Timestamp') is None:
            raise self.quarantine('the metadata lacks the name or the time')
        if self.name is None:
            self.name = name
            if self.expected_hash(name) != self.hash:
                raise self.quarantine(f'the hash of {name} is not its place')
        elif self.name != name:
            LOG.error('%s holds %s, not %s', self.path, name, self.name)
            raise Collision(name=name)

    def expected_hash(self, name: str) -> str | None:
        """Where an object of this name belongs; ``None`` if it is no name of one."""
        names = name.split('/', 3)
        if len(names) != 4 or names[0] or not all(names[1:]):
            return None
        return self.store.hashing.hexdigest(*names[1:])

    def _merge(self, data: dict[str, str]) -> None:
        """Metadata of the newest POST over what a POST cannot change."""
        found = self.found
        assert found.meta is not None
        said = self.meta_metadata = metadatas.read(f'{self.path}/{found.meta.name}')
        merged = {**said, **{key: value for key, value in data.items()
                             if key in KEPT or key == 'name' or key.lower().startswith(SYSTEM)}}
        for key in [key for key in said if key.lower().startswith(SYSTEM) and key not in data]:
            del merged[key]
        typed = found.type_meta
        if typed is None:
            merged['Content-Type'] = data.get('Content-Type', '')
            merged.pop('Content-Type-Timestamp', None)
        elif typed is not found.meta:
            other = metadatas.read(f'{self.path}/{typed.name}')
            merged['Content-Type'] = other.get('Content-Type', '')
            merged['Content-Type-Timestamp'] = other.get('Content-Type-Timestamp', '')
        self.metadata = merged

    def _check_size(self) -> None:
        state = os.fstat(self.fd)
        self.size, self.changed = state.st_size, state.st_mtime
        try:
            said = int(self.data_metadata['Content-Length'])
        except (KeyError, ValueError) as error:
            raise self.quarantine('the metadata has no length') from error
        if said != state.st_size:
            raise self.quarantine(f'{state.st_size} bytes are there and {said} should be')

    def _check_expiry(self, now: float | None) -> None:
        value = self.metadata.get('X-Delete-At')
        if value is None:
            return
        try:
            when = int(value)
        except ValueError as error:
            raise self.quarantine(f'X-Delete-At is {value!r}') from error
        if when <= (float(Timestamp.now()) if now is None else now):
            raise Expired(timestamp=self.timestamp, metadata=self.metadata)

    @property
    def timestamp(self) -> Timestamp:
        """Of the newest PUT or POST."""
        return Timestamp(self.metadata['X-Timestamp'])

    @property
    def data_timestamp(self) -> Timestamp:
        """Of the PUT."""
        return self.found.data.timestamp if self.found.data else timestamps.ZERO

    @property
    def type_timestamp(self) -> Timestamp:
        """When the content type was set."""
        value = self.metadata.get('Content-Type-Timestamp')
        return Timestamp(value) if value else self.data_timestamp

    def read_metadata(self, *, expired: bool = False, now: float | None = None) -> dict[str, str]:
        """The metadata, without keeping the file open; raises as ``open``."""
        with self.open(expired=expired, now=now):
            return self.metadata

    def quarantine(self, why: str) -> Quarantined:
        """Move the object out of the way; returns what to raise."""
        LOG.error('%s is corrupt: %s', self.path, why)
        self.close()
        if self.found.data is not None and not os.path.lexists(f'{self.path}/{self.found.data.name}'):
            # replaced or deleted while it was read; what is there now was not found broken
            return Quarantined()
        try:
            quarantine.move(self.device_path, self.path, datadir('objects', self.policy))
            if self.store.metrics is not None:
                self.store.metrics.count('quarantines')
            hashes.invalidate(self.suffix_path)
        except FileNotFoundError:
            pass      # another request was faster
        except OSError as error:
            LOG.error('%s could not be quarantined: %s', self.path, error)
        return Quarantined()

    # writing

    def upload(self, size: int | None = None) -> Upload:
        """Begin to write data, of ``size`` bytes if that is known; a context.

        Raises ``NoSpace``, or ``OSError``.
        """
        return Upload(self, size)

    def check_metadata_fits(self, metadata: Mapping[str, str]) -> None:
        """Raises ``MetadataTooLarge`` if the file system cannot hold it beside a file."""
        if metadatas.roughly(metadata) <= 2048:      # every file system that has attributes at all holds that
            return
        size = len(metadatas.dumps(metadata))
        most = self.store.capacity(self.device)
        if most is not None and size > most:
            LOG.warning('%s of %s is refused: %d bytes of metadata, and files of this device hold %d',
                        self.name, self.device, size, most)
            raise MetadataTooLarge(size=size, most=most, device=self.device)

    def write_metadata(self, metadata: dict[str, str]) -> None:
        """Keep the metadata of a POST; with ``Content-Type-Timestamp`` if it sets the type.

        Raises ``MetadataTooLarge``, ``NoSpace`` or ``OSError``.
        """
        when = Timestamp(metadata['X-Timestamp'])
        typed = metadata.get('Content-Type-Timestamp')
        stem = timestamps.encode(when, Timestamp(typed), explicit=True) if typed else when.internal
        self._write_empty(f'{stem}.meta', metadata)

    def delete(self, timestamp: Timestamp, linked: Linked | None = None) -> None:
        """Keep that the object was deleted.  Raises ``NoSpace`` or ``OSError``."""
        self._write_empty(f'{timestamp.internal}.ts', {'X-Timestamp': timestamp.internal}, linked)

    def install_empty(self, filename: str, metadata: Mapping[str, str]) -> None:
        """Keep a ``.meta`` or ``.ts`` of another replica as it is there.  Raises as ``write_metadata``."""
        self._write_empty(filename, metadata)

    def _write_empty(self, filename: str, metadata: Mapping[str, str], linked: Linked | None = None) -> None:
        assert self.name is not None
        try:
            file = files.Unnamed(self.partition_path, self.tmp)
            try:
                metadatas.write(file.fd, {**metadata, 'name': self.name}, self.device)
                self.settle(file, filename, at_once=True, linked=linked)
            finally:
                file.close()
        except OSError as error:
            raise self.translated(error) from error

    def settle(self, file: files.Unnamed, filename: str, *, heavy: bool = False, at_once: bool = False,
               linked: Linked | None = None) -> None:
        """Put a finished file in its place, durably; remove what it makes obsolete.  Raises ``OSError``.

        ``at_once``: it is but a moment since the object was opened, if it was: what somebody else may have put there
        since is left to whoever next looks for obsolete files.
        """
        noted = False

        def meanwhile(where: str) -> None:
            nonlocal noted
            if linked is not None:
                linked(where)
            with contextlib.suppress(Locked):      # others would have to wait with us
                hashes.invalidate(self.suffix_path, 0)
                noted = True
        known, self.names = self.names, None
        changed = self.store.committer.commit(file, f'{self.path}/{filename}', new=known == [], heavy=heavy,
                                              meanwhile=meanwhile)
        names = [filename]
        if self.suffix_path in changed:
            pass      # the directory is new
        elif at_once and known is not None:
            names += known
        else:
            with contextlib.suppress(FileNotFoundError):      # what is written was obsolete already
                names = os.listdir(self.path)
        if len(names) > 1 or filename.endswith('.ts'):      # a tombstone may be too old to be kept at all
            hashes.clean(self.path, self.store.reclaim_age, names)
        if not noted:
            hashes.invalidate(self.suffix_path)

    def discard(self, names: Iterable[str]) -> None:
        """Remove these files, which are where they belong by now, and what is left empty."""
        for name in names:
            files.remove(f'{self.path}/{name}')
        if files.remove_empty(self.path):
            files.remove_empty(self.suffix_path)
        if files.is_directory(self.partition_path):
            hashes.invalidate(self.suffix_path)

    def translated(self, error: OSError) -> Exception:
        """``NoSpace`` for a disk that is full, else the error itself."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return NoSpace(device=self.device)
        return error

"""Base images on this host: fetched once, verified, never written, and dropped when unused.

    <directory>/<image id>.<format>    the verified image, mode 0444, put there by a rename
    <directory>/<image id>.json        what it was verified against
    <directory>/.fetch-*               a download under way, or what is left of one

An image is hostile until proven otherwise.  It is read as the format it was
declared to be, never as what it looks like; its content must agree; and a
format that can name other files may not do so.  See ``inspect``.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
import re
import struct
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from oslo_utils.imageutils import format_inspector

from nova.virt.driver import ImageRef, Unbuildable
from strata import errors, green

LOG = logging.getLogger(__name__)

#: declared disk format -> (what the driver opens it as, what its content may look like)
FORMATS: dict[str, tuple[str, frozenset[str]]] = {
    'raw': ('raw', frozenset({'raw', 'gpt'})),
    'ami': ('raw', frozenset({'raw', 'gpt'})),
    'aki': ('raw', frozenset({'raw', 'gpt'})),
    'ari': ('raw', frozenset({'raw', 'gpt'})),
    'iso': ('raw', frozenset({'iso', 'gpt'})),
    'qcow2': ('qcow2', frozenset({'qcow2'})),
}

CHUNK = 1 << 20
GIB = 1 << 30
_SAFE_ID = re.compile(r'^[0-9A-Za-z][0-9A-Za-z._-]{0,127}$')


class BadImage(errors.Invalid):
    """The image is not what it says, or is one that no host should open."""

    message = 'Image {id} is unacceptable: {reason}.'


class Damaged(errors.BadGateway):
    """The bytes that came are not those that were stored; fetching again may help."""

    message = 'Image {id} came over damaged: {reason}.'


class TooLarge(errors.Invalid):
    """The disk of the flavor is smaller than the image's."""

    message = "Image {id} needs a root disk of {needed} bytes; the flavor's has {given}."


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """What the image service says of an image."""

    id: str
    format: str                       # disk_format
    size: int | None = None           # bytes of the file
    hash_algo: str | None = None      # os_hash_algo, os_hash_value
    hash_value: str | None = None
    checksum: str | None = None       # md5, used if there is no other hash
    container: str = 'bare'
    min_disk_gb: int = 0
    min_ram_mb: int = 0
    properties: Mapping[str, Any] = dataclasses.field(default_factory=dict)


#: gives the image's bytes; called only when they are needed
Opener = Callable[[], Iterable[bytes]]


def check_fits(image: ImageRef, root_gb: int) -> None:
    """Raises ``TooLarge`` if the image's disk is larger than the root disk; 0 fits all."""
    given = root_gb * GIB
    if given and image.virtual_size > given:
        raise TooLarge(id=image.id, needed=image.virtual_size, given=given)


class Cache:
    """The base images of one host."""

    def __init__(self, directory: str, *, largest_gb: int = 1024, expire_after: float = 86400.0) -> None:
        self._path = pathlib.Path(directory)
        self._largest = largest_gb * GIB
        self._expire_after = expire_after
        self._fetching: dict[str, green.Lock] = {}
        self._held: weakref.WeakKeyDictionary[object, set[str]] = weakref.WeakKeyDictionary()

    def fetch(self, declared: Declared, opener: Opener, *, holder: object | None = None) -> ImageRef:
        """The verified base image, downloaded if it is not here yet.

        Callers who want the same image wait for one download.  It stays at least as
        long as ``holder`` is alive: a guest that is not made yet stands on nothing.  Raises
        ``BadImage``, ``Damaged``, ``Unbuildable`` for want of space, or what ``opener`` raises.
        """
        opened_as, _ = self._check(declared)
        if holder is not None:
            self._held.setdefault(holder, set()).add(declared.id)
        lock = self._fetching.setdefault(declared.id, green.Lock())
        with lock:
            try:
                known = self._known(declared, opened_as)
                size = known if known is not None else self._download(declared, opened_as, opener)
            finally:
                self._fetching.pop(declared.id, None)
        path = self._file(declared.id, opened_as)
        os.utime(path)
        return ImageRef(declared.id, str(path), opened_as, size, declared.min_disk_gb, declared.min_ram_mb,
                        dict(declared.properties))

    def expire(self, in_use: set[str]) -> list[str]:
        """Remove images nobody stands on, holds, or fetched lately; returns their ids.

        ``in_use`` are the paths of ``Driver.images_in_use()``.
        """
        limit, removed = time.time() - self._expire_after, []
        spared = {*self._fetching, *(id for ids in list(self._held.values()) for id in ids)}
        for record in self._path.glob('*.json'):
            base = record.with_suffix('.' + json.loads(record.read_bytes())['format'])
            if str(base) in in_use or record.stem in spared or _modified(base) > limit:
                continue
            base.unlink(missing_ok=True)
            record.unlink(missing_ok=True)
            removed.append(record.stem)
        for leftover in self._path.glob('.fetch-*'):
            if _modified(leftover) < limit:
                leftover.unlink(missing_ok=True)
        return removed

    def tidy(self) -> None:
        """Remove what downloads that were killed left; nobody may be fetching."""
        for leftover in self._path.glob('.fetch-*'):
            leftover.unlink(missing_ok=True)

    def _file(self, id: str, format: str) -> pathlib.Path:
        return self._path / f'{id}.{format}'

    def _check(self, declared: Declared) -> tuple[str, frozenset[str]]:
        if not _SAFE_ID.match(declared.id):
            raise BadImage(id=repr(declared.id), reason='that is no image id')
        if declared.container not in ('bare', 'ami', 'aki', 'ari'):
            raise BadImage(id=declared.id, reason=f'container format {declared.container} is not supported')
        if declared.format not in FORMATS:
            raise BadImage(id=declared.id, reason=f'disk format {declared.format} is not supported here; '
                                                  'convert it to qcow2 or raw')
        if (declared.size or 0) > self._largest:
            raise BadImage(id=declared.id, reason=f'it is larger than {self._largest} bytes')
        return FORMATS[declared.format]

    def _known(self, declared: Declared, format: str) -> int | None:
        """The virtual size of an image that is here and was verified as it is declared now."""
        try:
            record = json.loads((self._path / f'{declared.id}.json').read_bytes())
            there = self._file(declared.id, format).stat().st_size
        except (FileNotFoundError, ValueError):
            return None
        same = (record.get('declared') == _identity(declared) and record.get('size') == there)
        return record['virtual_size'] if same else None

    def _download(self, declared: Declared, format: str, opener: Opener) -> int:
        self._path.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._check_space(declared)
        handle, scratch = tempfile.mkstemp(prefix='.fetch-', dir=self._path)
        try:
            with os.fdopen(handle, 'wb') as file:
                size = _Intake(declared, self._largest).absorb(opener(), file)
                green.native(_settle, file)
            virtual_size = inspect(declared, scratch)
            if virtual_size > self._largest:
                raise BadImage(id=declared.id, reason=f'its disk is larger than {self._largest} bytes')
            self._publish(declared, scratch, format, size, virtual_size)
            return virtual_size
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(scratch)

    def _publish(self, declared: Declared, scratch: str, format: str, size: int, virtual_size: int) -> None:
        record = self._path / f'{declared.id}.json'
        record.unlink(missing_ok=True)      # it must never vouch for another file
        os.replace(scratch, self._file(declared.id, format))
        beside = self._path / f'.fetch-{declared.id}.{os.getpid()}.json'
        beside.write_text(json.dumps({'declared': _identity(declared), 'format': format, 'size': size,
                                      'virtual_size': virtual_size}))
        os.replace(beside, record)

    def _check_space(self, declared: Declared) -> None:
        room = os.statvfs(self._path)
        if declared.size and declared.size > room.f_bavail * room.f_frsize:
            raise Unbuildable(reason=f'no space for an image of {declared.size} bytes')


def _identity(declared: Declared) -> list[Any]:
    return [declared.format, declared.size, declared.hash_algo, declared.hash_value, declared.checksum]


def _modified(path: pathlib.Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fchmod(file.fileno(), 0o444)
    os.fsync(file.fileno())


class _Intake:
    """Takes the bytes of one image in, and holds them against what was declared."""

    def __init__(self, declared: Declared, largest: int) -> None:
        self._declared = declared
        self._limit = declared.size if declared.size is not None else largest
        algorithm, self._wanted = 'md5', declared.checksum
        if declared.hash_algo and declared.hash_value:
            algorithm, self._wanted = declared.hash_algo.lower(), declared.hash_value
        if algorithm not in hashlib.algorithms_guaranteed or algorithm.startswith('shake'):
            raise BadImage(id=declared.id, reason=f'its hash algorithm {algorithm} is unknown')
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self._taken = 0

    def absorb(self, source: Iterable[bytes], file: BinaryIO) -> int:
        """Write all of ``source`` to ``file``; the number of bytes.  Raises ``Damaged``."""
        try:
            for chunk in _large(source):
                self._taken += len(chunk)
                if self._taken > self._limit:
                    raise Damaged(id=self._declared.id, reason=f'more than {self._limit} bytes came')
                green.native(self._keep, chunk, file)
        finally:
            close = getattr(source, 'close', None)
            if close is not None:
                close()
        if self._declared.size is not None and self._taken != self._declared.size:
            raise Damaged(id=self._declared.id,
                          reason=f'{self._taken} of {self._declared.size} bytes came')
        if self._wanted and self._hash.hexdigest() != self._wanted.lower():
            raise Damaged(id=self._declared.id, reason=f'its {self._hash.name} is {self._hash.hexdigest()}')
        return self._taken

    def _keep(self, chunk: bytes, file: BinaryIO) -> None:
        self._hash.update(chunk)
        file.write(chunk)


def _large(source: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks worth a trip to a native thread."""
    held: list[bytes] = []
    length = 0
    for chunk in source:
        held.append(chunk)
        length += len(chunk)
        if length >= CHUNK:
            yield b''.join(held)
            held, length = [], 0
    if held:
        yield b''.join(held)


# -- what is in an image -----------------------------------------------------------------------

def inspect(declared: Declared, path: str) -> int:
    """The virtual size in bytes of an image file that keeps its declaration.

    Raises ``BadImage`` if the content is of another format, or is a qcow2 that
    names a backing or data file, is encrypted, corrupt, or has features unknown to us.
    """
    opened_as, looks = FORMATS[declared.format]
    try:
        found = green.native(_formats, path)
        for inspector in found:
            if inspector.NAME not in looks:
                raise BadImage(id=declared.id, reason=f'it is declared as {declared.format}, '
                                                      f'but its content is {inspector.NAME}')
            if inspector.NAME == 'qcow2':
                inspector.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        reasons = ', '.join(str(reason) for reason in error.failures.values())
        raise BadImage(id=declared.id, reason=f'it is not safe ({reasons})') from error
    except format_inspector.ImageFormatError as error:
        raise BadImage(id=declared.id, reason=str(error)) from error
    if opened_as == 'qcow2':
        return _qcow2_size(declared, path)
    return os.path.getsize(path)


def _formats(path: str) -> list[Any]:
    """What the content looks like, in oslo's inspectors; 'raw' if like nothing in particular."""
    with open(path, 'rb') as file:
        wrapper = format_inspector.InspectWrapper(file)
        while wrapper.read(CHUNK):
            if wrapper.formats is not None:
                break
        wrapper.close()
        return list(wrapper.formats or [])


#: offset, length in bytes and meaning of qcow2 header fields which must be zero here
_QCOW2_ZERO = ((8, 8, 'backing file'), (32, 4, 'encryption'))
_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION = 1, 2, 4, 8


def _qcow2_size(declared: Declared, path: str) -> int:
    """The disk size that a qcow2 header names, the header checked a second time, by ourselves."""
    with open(path, 'rb') as file:
        header = file.read(104).ljust(104, b'\0')
    if header[:4] != b'QFI\xfb':
        raise BadImage(id=declared.id, reason='it is declared as qcow2, but its content is not')
    for offset, length, meaning in _QCOW2_ZERO:
        if any(header[offset:offset + length]):
            raise BadImage(id=declared.id, reason=f'it has {meaning}')
    version, size = struct.unpack('>I', header[4:8])[0], struct.unpack('>Q', header[24:32])[0]
    features = struct.unpack('>Q', header[72:80])[0] if version >= 3 else 0
    if features & ~(_DIRTY | _COMPRESSION):
        raise BadImage(id=declared.id, reason=f'it has qcow2 features {features:#x} that are not supported')
    return int(size)

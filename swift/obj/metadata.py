"""Metadata of an object's files, in their extended attributes.

A pickled dictionary, in ``user.swift.metadata`` and, when it outgrows one
attribute, ``user.swift.metadata1`` and so on; ``user.swift.metadata_checksum``
is the MD5 of it all.  In memory, keys and values are WSGI strings (bytes of
the wire as latin-1) and ``name`` is text.

Two encodings are about.  Python 2 pickled the bytes as they were; Python 3
wrote WSGI strings as UTF-8, so that ``é`` takes four bytes, each wrapped in a
call of ``_codecs.encode``.  Swift 2.38 reads both.  We write the first, which is
half as long: ext4 has 4 KB for all attributes of a file.
"""

import errno
import hashlib
import os
import struct
from collections.abc import Mapping

from swift.http import path as paths
from swift.obj.errors import BadMetadata, MetadataTooLarge
from swift.storage import files, pickles
from swift.storage.errors import Unsafe

KEY = 'user.swift.metadata'
CHECKSUM = 'user.swift.metadata_checksum'
#: the most that Linux lets one attribute hold
PIECE = 65536

File = int | str

#: (device number -> bytes) of metadata that a file can hold; ``None``: any
_capacities: dict[int, int | None] = {}


def dumps(metadata: Mapping[str, str]) -> bytes:
    """The pickle: protocol 2, strings of bytes, nothing shared."""
    pieces = [b'\x80\x02}(']
    for key, value in metadata.items():
        pieces.append(_string(key.encode('latin-1')))
        if key == 'name':
            pieces.append(_string(value.encode('utf-8', 'surrogateescape')))
        else:
            pieces.append(_string(_wire(value)))
    pieces.append(b'u.')
    return b''.join(pieces)


def roughly(metadata: Mapping[str, str]) -> int:
    """At least the bytes that ``dumps`` would make of ASCII metadata, or somewhat more."""
    return sum(map(len, metadata)) + sum(map(len, metadata.values())) + 7 * len(metadata) + 7


def _wire(value: str) -> bytes:
    try:
        return value.encode('latin-1')
    except UnicodeEncodeError:      # text that no client sent as a header
        return paths.text_to_wsgi(value).encode('latin-1')


def _string(data: bytes) -> bytes:
    size = len(data)
    if size < 256:
        return b'U%c%b' % (size, data)
    return b'T' + struct.pack('<i', size) + data


def loads(data: bytes) -> dict[str, str]:
    """The metadata in a pickle of either encoding; raises ``BadMetadata``."""
    try:
        found = pickles.loads(data, 'bytes')
        encoding = 'utf-8' if b'_codecs' in data[:64] else 'latin-1'
        return {_text(key, encoding): _text(value, 'utf-8' if key == b'name' else encoding)
                for key, value in found.items()}
    except (Unsafe, AttributeError, UnicodeError) as error:
        raise BadMetadata(f'unreadable metadata: {error}') from error


def _text(value: object, encoding: str) -> str:
    if isinstance(value, bytes):
        return value.decode(encoding, 'surrogateescape')
    if isinstance(value, (str, int, float)):
        return str(value)
    raise BadMetadata(f'metadata holds a {type(value).__name__}')


def read(file: File) -> dict[str, str]:
    """The metadata of a file (a descriptor or a path).

    Raises ``BadMetadata`` if it is missing, incomplete or broken, and ``OSError``
    for what is no matter of metadata.
    """
    try:
        data = os.getxattr(file, KEY)
    except OSError as error:
        if error.errno == errno.ENODATA:
            raise BadMetadata('there is no metadata') from error
        raise
    checksum = _get(file, CHECKSUM)
    if checksum is None or _digest(data) != checksum:
        number = 1
        while (piece := _get(file, f'{KEY}{number}')) is not None:
            data += piece
            number += 1
        if checksum is not None and _digest(data) != checksum:
            raise BadMetadata('the metadata does not have its checksum')
    return loads(data)


def _get(file: File, key: str) -> bytes | None:
    try:
        return os.getxattr(file, key)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return None
        raise


def _digest(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).hexdigest().encode('ascii')


def write(file: File, metadata: Mapping[str, str], device: str = '') -> None:
    """Give a new file its metadata.  Raises ``MetadataTooLarge``, or ``OSError`` if the disk is full."""
    data = dumps(metadata)
    try:
        # the checksum first: it then fits into the inode, and leaves the block beside it to the rest
        os.setxattr(file, CHECKSUM, _digest(data))
        for number, start in enumerate(range(0, len(data), PIECE)):
            os.setxattr(file, f'{KEY}{number or ""}', data[start:start + PIECE])
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.E2BIG) and len(data) > 2048:
            most = _capacities.get((os.fstat(file) if isinstance(file, int) else os.stat(file)).st_dev)
            if most is not None:
                raise MetadataTooLarge(size=len(data), most=most, device=device) from error
        raise


def capacity(path: str, tmp: str) -> int | None:
    """Bytes of metadata that files of a device can hold, tried once; ``None``: as much as there may be."""
    number = os.stat(path).st_dev
    if number not in _capacities:
        file = files.Unnamed(tmp, tmp)
        try:
            _capacities[number] = _measure(file.fd)
        finally:
            file.close()
    return _capacities[number]


def _measure(fd: int) -> int | None:
    os.setxattr(fd, CHECKSUM, b'0' * 32)

    def fits(size: int) -> bool:
        try:
            os.setxattr(fd, KEY, bytes(size))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.EDQUOT):
                return False
            raise
        return True
    if fits(PIECE):
        return None
    low, high = 0, PIECE
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low

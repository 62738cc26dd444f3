"""SSYNC: files of objects that another replica brings.

::

    SSYNC /device/partition                      {hash: [file, ...]}  ->  {hash: [those that are wanted]}
    SSYNC /device/partition/hash/file            the file             ->  201, 200 if it is there, 422 if it is broken

A replica is the same files with the same names, so what is wanted follows from
the names: those of the sender's that would count beside our own.  A file comes
as the length of its pickled metadata (four bytes, big-endian), the metadata, and
the data.  It is believed when its data have the MD5 and length that its metadata
say, and its name hashes to its place.
"""

import os
import re
import struct
from typing import TYPE_CHECKING, Any

import orjson

from swift.http.request import Request
from swift.http.response import HttpError, Response
from swift.obj import metadata, ondisk
from swift.obj.diskfile import DiskFile
from swift.obj.errors import BadMetadata
from swift.obj.put import receive
from swift.policies import Policy

if TYPE_CHECKING:
    from swift.obj.server import ObjectServer

HASH = re.compile(r'[0-9a-f]{32}\Z')
#: of one comparison: hashes, and bytes of its JSON
MOST = 1000
COMPARISON = 1 << 20
METADATA = 1 << 20
_LENGTH = struct.Struct('>I')
#: of files that are taken
KINDS = frozenset({'.data', '.meta', '.ts'})
_JSON = {'Content-Type': 'application/json'}


def ssync(server: 'ObjectServer', request: Request) -> Response:
    """Compare, or take a file; see the module."""
    from swift.obj.server import check_place
    try:
        device, partition, digest, name = request.split(2, 4)
    except ValueError:
        raise HttpError(400, f'Invalid path: {request.path}') from None
    check_place(device, partition)
    policy = server.policy(request)
    if digest is None:
        return _compare(server, request, device, partition, policy)
    entry = ondisk.parse(name or '')
    if not HASH.match(digest) or entry is None or entry.extension not in KINDS:
        raise HttpError(400, f'Invalid path: {request.path}')
    return _take(server, request, device, partition, digest, entry, policy)


def _compare(server: 'ObjectServer', request: Request, device: str, partition: str, policy: Policy) -> Response:
    try:
        offered: Any = orjson.loads(request.body(COMPARISON))
        valid = len(offered) <= MOST and all(
            HASH.match(digest) and all(ondisk.parse(name) for name in names) for digest, names in offered.items())
    except (ValueError, AttributeError, TypeError):
        valid = False
    if not valid:
        raise HttpError(400, f'The body must be a JSON object of at most {MOST} hashes with names of files')
    path = server.store.partition_path(device, partition, policy)
    answer = {}
    for digest, names in offered.items():
        lacking = wanted(_there(f'{path}/{digest[-3:]}/{digest}'), names)
        if lacking:
            answer[digest] = lacking
    return Response(200, orjson.dumps(answer), _JSON)


def _there(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def counted(found: ondisk.OnDisk) -> list[str]:
    """The names of the files that count."""
    entries = (found.data, found.tombstone, found.meta, found.type_meta, *found.orphans)
    return list(dict.fromkeys(entry.name for entry in entries if entry is not None))


def wanted(ours: list[str], theirs: list[str]) -> list[str]:
    """Those of their files that count beside ours, and that we have not got; data come before their metadata."""
    both = counted(ondisk.examine({*ours, *theirs}))
    return [name for name in both if name in theirs and name not in ours]


def _take(server: 'ObjectServer', request: Request, device: str, partition: str, digest: str, entry: ondisk.Entry,
          policy: Policy) -> Response:
    length = request.message_length()
    if length is None:
        raise HttpError(411)
    file = DiskFile(server.store, device, partition, policy, digest)
    if not wanted(_there(file.path), [entry.name]):
        return Response(200)
    found, taken = _metadata(request)
    size = length - _LENGTH.size - taken
    file.name = found.get('name')
    if not file.name or file.expected_hash(file.name) != digest:
        raise HttpError(422, 'The metadata name another object')
    if entry.extension != '.data':
        if size:
            raise HttpError(422, 'Only data have a body')
        file.install_empty(entry.name, found)
        return Response(201)
    if found.get('Content-Length') != str(size):
        raise HttpError(422, 'The metadata tell another length')
    with file.upload(size) as upload:
        while upload.written < size:
            chunk = receive(request.input, min(server.conf.network_chunk_size, size - upload.written))
            if not chunk:
                raise HttpError(499)
            upload.write(chunk)
        if found.get('ETag', '').lower() != upload.etag:
            raise HttpError(422, 'The metadata tell another MD5')
        upload.install(entry.name, found)
    return Response(201)


def _metadata(request: Request) -> tuple[dict[str, str], int]:
    """Metadata at the head of a body, and how many bytes they took; raises ``HttpError`` 400."""
    size = _LENGTH.unpack(_exactly(request, _LENGTH.size))[0]
    if size > METADATA:
        raise HttpError(400, 'The metadata are too long')
    try:
        return metadata.loads(_exactly(request, size)), size
    except BadMetadata as error:
        raise HttpError(422, str(error)) from error


def _exactly(request: Request, size: int) -> bytes:
    pieces, left = [], size
    while left:
        piece = receive(request.input, left)
        if not piece:
            raise HttpError(400, 'The body ends within the metadata')
        pieces.append(piece)
        left -= len(piece)
    return b''.join(pieces)


def framed(found: dict[str, str]) -> bytes:
    """Metadata as a body begins with them."""
    data = metadata.dumps(found)
    return _LENGTH.pack(len(data)) + data

"""PUT of an object."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from strata.wsgi.body import BodyError, BodyTimeout, Sized
from swift import timestamp as timestamps
from swift.http.headers import header_name, title
from swift.http.request import Request
from swift.http.response import HttpError, Response
from swift.obj import documents
from swift.obj.diskfile import DiskFile
from swift.obj.errors import Absent
from swift.obj.remove import seconds
from swift.timestamp import Timestamp

if TYPE_CHECKING:
    from swift.obj.server import Names, ObjectServer

#: what a filter wants listed in place of the stored values: by the request, or kept with the object
OVERRIDE = 'X-Backend-Container-Update-Override-'
SYSMETA_OVERRIDE = 'X-Object-Sysmeta-Container-Update-Override-'
OVERRIDES = ('HTTP_X_BACKEND_CONTAINER_UPDATE_', 'HTTP_X_OBJECT_SYSMETA_CONTAINER_UPDATE_')


def put(server: 'ObjectServer', request: Request) -> Response:
    """201; 409 if there is a newer one, 412, 422 for another MD5 than the request's, 499 if its client went away."""
    from swift.obj.post import new_expiry
    names = server.names(request)
    when = request.timestamp
    server.constraints.check_object(request, names.obj)
    expiry = new_expiry(request, when)
    size = request.message_length()
    file = server.store.file(names.device, names.partition, *names.triple, names.policy)
    before = _check_present(request, file, when)
    metadata = {'X-Timestamp': when.internal, 'Content-Type': request.environ['CONTENT_TYPE']}
    metadata.update(own_metadata(server, request))
    # 64: the length and the etag to come
    file.check_metadata_fits({**metadata, 'name': file.name or '', 'ETag': '0' * 64})
    sent = documents.of(request, server.conf.network_chunk_size) or _Plain(request, size, server)
    with file.upload(sent.size) as upload:
        for chunk in sent.chunks():
            written = upload.write(chunk)
            if written > server.constraints.max_file_size:
                raise HttpError(413)
            if sent.rest is not None:
                upload.draw(sent.rest)
        if sent.size is not None and upload.written < sent.size:
            raise HttpError(499)
        footers = sent.footers()
        etag = upload.etag
        said = footers.get('Etag') or request.headers.get('Etag')
        if said and said.strip('"').lower() != etag:
            raise HttpError(422)
        metadata.update({'Content-Length': str(upload.written), 'ETag': etag})
        metadata.update({name: value for name, value in footers.items() if server.keeps(name.lower())
                         or name.lower() in server.allowed})
        headers = {'X-Size': metadata['Content-Length'], 'X-Content-Type': metadata['Content-Type'],
                   'X-Timestamp': when.internal, 'X-Etag': etag}
        override(headers, request, footers)
        with server.updates.listing('PUT', names.triple, request, headers, names.device, names.policy) as listing:
            upload.finish(metadata, listing.begin)
            update_queue(server, names, request, before, expiry, upload.written)
            listing.finish()
    return Response(201, b'', {'Content-Type': 'text/html; charset=UTF-8', 'Etag': f'"{etag}"'})


class _Plain:
    """A body that is the object's data."""

    def __init__(self, request: Request, size: int | None, server: 'ObjectServer') -> None:
        self.size = size
        self._input = request.input
        #: of known length, so that it can be taken without reading it piece by piece
        self.rest = self._input if isinstance(self._input, Sized) else None
        self._chunk = server.conf.network_chunk_size

    def chunks(self) -> 'documents.Chunks':
        """The data; raises ``HttpError`` 408 or 499 if it does not come."""
        left = self.size
        while left is None or left > 0:
            chunk = receive(self._input, self._chunk if left is None else min(self._chunk, left))
            if not chunk:
                return
            if left is not None:
                left -= len(chunk)
            yield chunk

    def footers(self) -> dict[str, str]:
        """None."""
        return {}


def receive(stream: object, size: int) -> bytes:
    """More of a body; raises ``HttpError`` 408 or 499 if it does not come, 400 if it is malformed."""
    try:
        return stream.read(size)      # type: ignore
    except BodyTimeout:
        raise HttpError(408) from None
    except BodyError as error:
        raise HttpError(error.status if error.status == 413 else 499) from None


def own_metadata(server: 'ObjectServer', request: Request, *, sysmeta: bool = True) -> dict[str, str]:
    """What of a request's headers is kept with the object."""
    found: dict[str, str] = {}
    known = server.known
    for key, value in request.environ.items():
        name, own = known.get(key) or server.kept(key)
        if name and (value or own) and (sysmeta or not name.startswith('X-Object-Sysmeta-')):
            found[name] = value
    for name in request.headers.get('X-Backend-Replication-Headers', '').split():
        value = request.headers.get(name)
        if value is not None and name.lower() not in ('x-timestamp', 'content-length', 'etag', 'name'):
            found[title(name)] = value
    return found


def _check_present(request: Request, file: DiskFile, when: Timestamp) -> dict[str, str]:
    """The metadata of the object that is there; raises ``HttpError`` if it must not be replaced."""
    # a proxy lets no other condition of this kind through
    must_be_new = request.headers.get('If-None-Match', '').strip() == '*'
    before: dict[str, str] = {}
    try:
        before = file.read_metadata(now=float(when))
        known = file.data_timestamp
        if must_be_new:
            raise HttpError(412)
    except Absent as absent:
        known = absent.timestamp
        before = dict(absent.metadata)
    if known >= when and known != timestamps.ZERO:
        raise HttpError(409, None, {'X-Backend-Timestamp': known.internal})
    return before


def update_queue(server: 'ObjectServer', names: 'Names', request: Request, before: Mapping[str, str], new: int,
                 size: int) -> None:
    """Have the object expire at ``new`` (0: never), and no more when its metadata ``before`` said; ``size``: bytes."""
    old = seconds(before.get('X-Delete-At'))
    if old == new:
        return
    if new:
        server.updates.expiry('PUT', new, names.triple, request, names.device, names.policy, size=size)
    if old:
        server.updates.expiry('DELETE', old, names.triple, request, names.device, names.policy)


def override(headers: dict[str, str], request: Request, kept: Mapping[str, str]) -> None:
    """Let filters have the say on what a listing shows; ``kept``: metadata that came in another way."""
    said = {}
    for key in request.environ:
        if key[:14] in ('HTTP_X_BACKEND', 'HTTP_X_OBJECT_') and key.startswith(OVERRIDES):
            said[header_name(key)] = request.environ[key]
    said.update(kept)
    for prefix in (OVERRIDE, SYSMETA_OVERRIDE) if said else ():
        for name, value in said.items():
            if name.startswith(prefix):
                headers[title('X-' + name[len(prefix):])] = value


def with_swift_bytes(kind: str, original: str) -> str:
    """A content type with the ``swift_bytes`` (the size of a large object) that the original has."""
    if 'swift_bytes=' not in original or 'swift_bytes=' in kind:
        return kind
    size = original.rpartition('swift_bytes=')[2].partition(';')[0].strip()
    return f'{kind};swift_bytes={size}'

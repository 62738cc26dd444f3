"""POST of an object: new metadata, of which the content type has a time of its own."""

from typing import TYPE_CHECKING

from swift.http.request import Request
from swift.http.response import HttpError, Response, error
from swift.obj import put
from swift.obj.download import insists, missing
from swift.obj.errors import Absent
from swift.timestamp import Timestamp, valid_delete_at

if TYPE_CHECKING:
    from swift.obj.diskfile import DiskFile
    from swift.obj.server import Names, ObjectServer


def post(server: 'ObjectServer', request: Request) -> Response:
    """202, 404, or 409 if everything about the object is newer."""
    names = server.names(request)
    when = request.timestamp
    expiry = new_expiry(request, when)
    server.constraints.check_metadata(request, 'Object')
    file = server.store.file(names.device, names.partition, *names.triple, names.policy)
    try:
        before = file.read_metadata(expired=insists(request), now=float(when))
    except Absent as absent:
        return missing(absent)
    kind = request.environ.get('CONTENT_TYPE') or None
    typed = _type_timestamp(request, when) if kind else None
    renewed = file.timestamp < when
    retyped = typed is not None and typed > file.type_timestamp
    if not renewed and not retyped:
        raise HttpError(409, None, {'X-Backend-Timestamp': file.timestamp.internal})
    metadata = _new_metadata(server, request, file, kind if retyped else None, typed, renewed)
    file.check_metadata_fits({**metadata, 'name': file.name or ''})
    if renewed:
        put.update_queue(server, names, request, before, expiry, file.size)
    file.write_metadata(metadata)
    _update_listing(server, names, request, file, metadata)
    said = {'X-Backend-Content-Type': metadata.get('Content-Type', before.get('Content-Type', ''))}
    said.update({name: value for name, value in before.items() if name.lower().startswith('x-object-sysmeta-')})
    return error(202, None, said)


def new_expiry(request: Request, when: Timestamp) -> int:
    """The request's X-Delete-At, 0 if there is none; raises ``HttpError`` 400 for one in the past."""
    value = request.headers.get('X-Delete-At')
    if value is None or value == '':
        return 0
    try:
        seconds = valid_delete_at(int(value))
    except ValueError:
        raise HttpError(400, 'Non-integer X-Delete-At') from None
    if seconds and seconds < int(when) and request.headers.get('X-Backend-Replication') is None:
        raise HttpError(400, 'X-Delete-At in past')
    return seconds


def _type_timestamp(request: Request, when: Timestamp) -> Timestamp:
    value = request.headers.get('Content-Type-Timestamp')
    try:
        return Timestamp(value) if value else when
    except ValueError:
        raise HttpError(400, 'Invalid Content-Type-Timestamp header') from None


def _new_metadata(server: 'ObjectServer', request: Request, file: 'DiskFile', kind: str | None,
                  typed: Timestamp | None, renewed: bool) -> dict[str, str]:
    """What the ``.meta`` file will hold."""
    if renewed:
        metadata = {'X-Timestamp': request.timestamp.internal}
        metadata.update(put.own_metadata(server, request, sysmeta=False))
    else:
        metadata = {name: value for name, value in file.meta_metadata.items() if name != 'name'} \
            or {'X-Timestamp': file.timestamp.internal}
    if kind is not None:
        assert typed is not None
        metadata['Content-Type'] = kind
        metadata['Content-Type-Timestamp'] = typed.internal
    elif file.type_timestamp > file.data_timestamp:
        metadata['Content-Type'] = file.metadata['Content-Type']
        metadata['Content-Type-Timestamp'] = file.type_timestamp.internal
    return metadata


def _update_listing(server: 'ObjectServer', names: 'Names', request: Request, file: 'DiskFile',
                    metadata: dict[str, str]) -> None:
    data = file.data_metadata
    typed = metadata.get('Content-Type-Timestamp') or file.data_timestamp.internal
    kind = metadata.get('Content-Type') or data.get('Content-Type', '')
    kind = put.with_swift_bytes(kind, data.get('Content-Type', ''))
    headers = {'X-Size': data['Content-Length'], 'X-Content-Type': kind, 'X-Timestamp': file.data_timestamp.internal,
               'X-Content-Type-Timestamp': typed, 'X-Meta-Timestamp': metadata['X-Timestamp'], 'X-Etag': data['ETag']}
    put.override(headers, request, data)
    server.updates.listing('PUT', names.triple, request, headers, names.device, names.policy).finish()

"""GET and HEAD of an object."""

from typing import TYPE_CHECKING

from swift import conf as confs
from swift.http import etags
from swift.http.headers import Headers
from swift.http.request import Request
from swift.http.response import Response, error
from swift.obj import reader
from swift.obj.diskfile import DiskFile
from swift.obj.errors import Absent
from swift.timestamp import Timestamp

if TYPE_CHECKING:
    from swift.obj.server import ObjectServer

#: headers that ask for less than the whole object
_CONDITIONS = ('HTTP_RANGE', 'HTTP_IF_NONE_MATCH', 'HTTP_IF_MATCH', 'HTTP_IF_MODIFIED_SINCE',
               'HTTP_IF_UNMODIFIED_SINCE')


def get(server: 'ObjectServer', request: Request) -> Response:
    """The object, or what the request wants of it."""
    try:
        file = _open(server, request)
    except Absent as absent:
        return missing(absent)
    environ = request.environ
    try:
        headers = describe(server, file)
        conditional = any(name in environ for name in _CONDITIONS)
        if file.size <= reader.SHORT and (not conditional or file.size < 65536):
            # so little is not worth forgetting: reading it again costs more than the memory is worth
            response = Response(200, reader.whole(file), headers)
            return _conditioned(request, file, response) if conditional else response
        body = reader.Body(file, keep=server_keeps(server, request, file))
    except Absent as absent:
        return missing(absent)
    finally:
        file.close()
    headers['Content-Length'] = str(file.size)
    response = Response(200, (), headers)
    response.set_stream(body)
    if conditional:
        return _conditioned(request, file, response)
    wrapper = environ.get('wsgi.file_wrapper')
    if wrapper is not None:
        response.set_stream(body.sent_by(wrapper))
    return response


def head(server: 'ObjectServer', request: Request) -> Response:
    """As GET, without the body."""
    try:
        file = _open(server, request)
    except Absent as absent:
        return missing(absent)
    file.close()
    headers = describe(server, file)
    headers['Content-Length'] = str(file.size)
    response = Response(200, (), headers)
    if any(name in request.environ for name in _CONDITIONS[1:]):
        return _conditioned(request, file, response)
    return response


def _open(server: 'ObjectServer', request: Request) -> DiskFile:
    names = server.names(request)
    headers = request.headers
    when = headers.get('X-Timestamp')
    now = float(Timestamp(when)) if when and _is_time(when) else None
    file = server.store.file(names.device, names.partition, *names.triple, names.policy)
    return file.open(expired=insists(request), now=now)


def insists(request: Request) -> bool:
    """Whether an object is wanted although its time is over."""
    headers = request.headers
    return confs.true(headers.get('X-Backend-Replication')) or confs.true(headers.get('X-Backend-Open-Expired'))


def _is_time(value: str) -> bool:
    try:
        Timestamp(value)
    except ValueError:
        return False
    return True


def describe(server: 'ObjectServer', file: DiskFile) -> Headers:
    """The headers of an object that is there, but for Content-Length."""
    metadata = file.metadata
    headers = Headers()
    headers['Content-Type'] = metadata.get('Content-Type', 'application/octet-stream')
    for name, value in metadata.items():
        if server.shown(name):
            headers[name] = value
    when = file.timestamp
    data = file.data_timestamp.internal
    headers['Etag'] = f'"{metadata["ETag"]}"'
    headers['Last-Modified'] = when.last_modified
    headers['X-Timestamp'] = when.normal
    headers['X-Backend-Timestamp'] = when.internal
    headers['X-Backend-Data-Timestamp'] = data
    headers['X-Backend-Durable-Timestamp'] = data
    return headers


def missing(absent: Absent) -> Response:
    """404, with the time the object went if it is known."""
    return error(404, None, {'X-Backend-Timestamp': absent.timestamp.internal} if absent.timestamp else None)


def _conditioned(request: Request, file: DiskFile, response: Response) -> Response:
    environ = request.environ
    ignored = environ.get('HTTP_X_BACKEND_IGNORE_RANGE_IF_METADATA_PRESENT')
    if ignored and 'HTTP_RANGE' in environ:
        names = {name.lower() for name in file.metadata}
        if any(each.strip().lower() in names for each in ignored.split(',')):
            environ = {**environ}
            del environ['HTTP_RANGE']
    return response.conditional(environ, etags.resolve_is_at(request, file.metadata))


def server_keeps(server: 'ObjectServer', request: Request, file: DiskFile) -> bool:
    """Whether the object may stay in the kernel's cache."""
    environ, conf = request.environ, server.conf
    if file.size > conf.keep_cache_size and not (
            conf.keep_cache_slo_manifest and confs.true(file.metadata.get('X-Static-Large-Object'))):
        return False
    return bool(conf.keep_cache_private
                or ('HTTP_X_AUTH_TOKEN' not in environ and 'HTTP_X_STORAGE_TOKEN' not in environ))

"""COPY, and PUT with X-Copy-From: an object made of another within the cluster.

    [filter:copy]
    use = egg:swift#copy

The source is read and the destination written with the client's rights.  The
copy keeps the type and metadata of its source, under those that the request
brings; with ``X-Fresh-Metadata: true`` it has only the latter.  Conditions and
ranges of the request are about the source.  ``?multipart-manifest=get`` copies
the manifest of a large object, not its content; ``?symlink=get`` a link.

The filter stands to the right of those that decide who the client is, and to
the left of all that act on PUT.
"""

from collections.abc import Callable, Iterable
from typing import Any

from swift import conf as confs
from swift import constraints
from swift.http import HttpError, Request, Response, serving
from swift.http import path as paths
from swift.http.subrequest import make_subrequest
from swift.middleware import transfer

OPTIONS = {
    'swift_dir': confs.Option(confs.text, '/etc/swift', 'where swift.conf is'),
}
#: conditions and ranges: of the source, when copying
CONDITIONS = ('If-Match', 'If-None-Match', 'If-Modified-Since', 'If-Unmodified-Since', 'If-Range', 'Range')
#: headers that said how to copy, and are not for the copy
SPENT = ('X-Copy-From', 'X-Copy-From-Account', 'Destination', 'Destination-Account', 'X-Fresh-Metadata', 'Etag',
         'Expect', *CONDITIONS)
LINK = ('X-Symlink-Target', 'X-Symlink-Target-Account', 'X-Symlink-Target-Etag')


class Copy:
    """The filter."""

    def __init__(self, app: Any, conf: Any) -> None:
        self.app = app
        self._max = constraints.load(conf.swift_dir).max_file_size

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = environ['REQUEST_METHOD']
        if method == 'COPY' or (method == 'PUT' and 'HTTP_X_COPY_FROM' in environ) or method == 'OPTIONS':
            return self._serve(environ, start_response)
        return self.app(environ, start_response)

    @serving
    def _serve(self, request: Request) -> Any:
        try:
            version, account, container, name = request.split(4, 4, rest=True)
        except ValueError:
            return self.app
        if request.method == 'OPTIONS':
            return self._options(request)
        if request.method == 'COPY':
            return self._from_here(request, version, account, container, name)
        return self._to_here(request, version, account, container, name)

    def _options(self, request: Request) -> Response:
        response = request.respond(self.app)
        for header in ('Allow', 'Access-Control-Allow-Methods'):
            if 'PUT' in response.headers.get(header, '') and 'COPY' not in response.headers[header]:
                response.headers[header] += ', COPY'
        return response

    def _from_here(self, request: Request, version: str, account: str, container: str, name: str) -> Response:
        if not request.headers.get('Destination'):
            raise HttpError(412, 'Destination header required')
        target_account = _account(request, 'Destination-Account') or account
        target = _names(request, 'Destination')
        request.environ['swift.orig_req_method'] = 'COPY'
        request.method = request.environ['REQUEST_METHOD'] = 'PUT'
        request.path_info = paths.text_to_wsgi(paths.join(version, target_account, *target))
        request.environ['SCRIPT_NAME'] = ''
        return self._copy(request, (version, account, container, name))

    def _to_here(self, request: Request, version: str, account: str, container: str, name: str) -> Response:
        if request.content_length or request.is_chunked:
            raise HttpError(400, 'Copy requests require a zero byte body', {'Content-Type': 'text/plain'})
        if request.headers.get('If-None-Match', '*') != '*':
            raise HttpError(400, 'If-None-Match only supports *', {'Content-Type': 'text/plain'})
        source_account = _account(request, 'X-Copy-From-Account') or account
        return self._copy(request, (version, source_account, *_names(request, 'X-Copy-From')))

    def _copy(self, request: Request, source: tuple[str, str, str, str]) -> Response:
        """``request`` is the PUT to be made; raises ``HttpError``."""
        params = request.params
        manifest = params.get('multipart-manifest') == 'get'
        found = self._read(request, source, params, manifest)
        if not found.is_success:
            return found
        try:
            if found.content_length is None or found.content_length > self._max:
                raise HttpError(413)
            query = {key: value for key, value in params.items() if key not in ('multipart-manifest', 'format',
                                                                                 'version-id', 'symlink')}
            if 'X-Static-Large-Object' in found.headers and manifest:
                query['multipart-manifest'] = 'put'
            elif not manifest and 'multipart-manifest' in params:
                query['multipart-manifest'] = params['multipart-manifest']
            self._dress(request, found, manifest, params.get('symlink') == 'get')
            request.params = query
            transfer.feed(request, found)
            response = request.respond(self.app)
        except BaseException:
            found.close()
            raise
        found.close()
        if response.is_success:
            self._report(request, response, found, source)
        return response

    def _read(self, request: Request, source: tuple[str, str, str, str], params: dict[str, str],
              manifest: bool) -> Response:
        query = [f'{key}={paths.quote(params[key])}' for key in ('version-id', 'symlink') if key in params]
        if manifest:
            query += ['multipart-manifest=get', 'format=raw']
        path = paths.quote(paths.join(*source)) + ('?' + '&'.join(query) if query else '')
        headers = {name: request.headers[name] for name in CONDITIONS if name in request.headers}
        headers['X-Newest'] = 'true'
        return make_subrequest(request.environ, method='GET', path=path, headers=headers, agent='%(orig)s',
                               source='COPY').respond(self.app)

    def _dress(self, request: Request, source: Response, manifest: bool, link: bool) -> None:
        """Give the PUT the headers of its source, where it has none of its own."""
        fresh = confs.true(request.headers.get('X-Fresh-Metadata'))
        given = request.headers
        own_type = 'CONTENT_TYPE' in request.environ and bool(request.environ['CONTENT_TYPE'])
        for name in SPENT:
            given[name] = None
        for name, value in source.headers.items():
            wanted = transfer.is_metadata(name) or name in transfer.CARRIED
            if fresh:
                wanted = name.lower().startswith(('x-object-sysmeta-', 'x-object-transient-sysmeta-')) \
                    and transfer.is_metadata(name) or name == 'Content-Type'
            if name == 'X-Delete-At':
                wanted = wanted and 'X-Delete-After' not in given
            if name == 'X-Object-Manifest':
                wanted = manifest
            if name in LINK:
                wanted = link
            if name == 'Content-Type':
                wanted = not own_type
            if wanted and (name == 'Content-Type' or name not in given):
                given[name] = value

    @staticmethod
    def _report(request: Request, response: Response, source: Response, place: tuple[str, str, str, str]) -> None:
        _, account, container, name = place
        response.headers['X-Copied-From-Account'] = paths.quote(account)
        response.headers['X-Copied-From'] = paths.quote(f'{container}/{name}')
        response.headers['X-Copied-From-Last-Modified'] = source.headers.get('Last-Modified')
        response.headers['X-Copied-From-Version-Id'] = source.headers.get('X-Object-Version-Id')
        for header, value in request.headers.items():
            if header.startswith('X-Object-Meta-') or header == 'X-Delete-At':
                response.headers[header] = value


def _account(request: Request, header: str) -> str | None:
    """The account of a header, as text; ``None`` if there is none."""
    value = request.headers.get(header)
    if not value:
        return None
    name = _text(value)
    if '/' in name:
        raise HttpError(412, 'Account name cannot contain slashes')
    return name


def _names(request: Request, header: str) -> tuple[str, str]:
    """Container and object of a header, as text."""
    path = _text(request.headers[header].lstrip())
    # what follows a question mark is of the source's query (a version's id), never of its name
    container, slash, name = path.lstrip('/').partition('/')
    if not slash or not container or not name:
        raise HttpError(412, f'{header} header must be of the form <container name>/<object name>')
    return container, name


def _text(value: str) -> str:
    try:
        text = paths.unquote(value.encode('latin-1').decode('utf-8'))
    except ValueError:
        raise HttpError(412, 'Invalid UTF8 or contains NULL') from None
    constraints.check_utf8(text)
    return text


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], Copy]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:copy]')
    return lambda app: Copy(app, conf)

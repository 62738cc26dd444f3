"""Dynamic large objects: whatever begins with a prefix, in order, served as one object.

    [filter:dlo]
    use = egg:swift#dlo
    rate_limit_after_segment = 10
    rate_limit_segments_per_sec = 1
    max_get_time = 86400

An object with ``X-Object-Manifest: container/prefix`` is its manifest.  What
the segments are is what the container's listing says at the time: each page is
fetched when the one before it is used up.  With all segments on one page
length and etag are known; else the answer has neither.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from swift import conf as confs
from swift import constraints
from swift.http import HttpError, Request, Response, serving
from swift.http import path as paths
from swift.http.subrequest import make_subrequest
from swift.middleware import listing, peek, segments
from swift.middleware.segments import Segment, Segmented, SegmentError

OPTIONS = {
    'rate_limit_after_segment': confs.Option(confs.count, 10, 'segments that go as fast as they can'),
    'rate_limit_segments_per_sec': confs.Option(confs.number, 1.0, 'segments from then on; 0: no limit'),
    'max_get_time': confs.Option(confs.number, 86400.0, 'seconds for one answer'),
    'swift_dir': confs.Option(confs.text, '/etc/swift', 'where swift.conf is'),
}
HEADER = 'X-Object-Manifest'
MARK = HEADER.lower()
FORM = 'X-Object-Manifest must be in the format container/prefix'
CONDITIONS = ('If-Match', 'If-None-Match', 'If-Modified-Since', 'If-Unmodified-Since', 'If-Range', 'Range')
#: pages that are fetched at most to learn the length of a whole
MAX_PAGES = 10

Entry = dict[str, Any]


class DynamicLargeObjects:
    """The filter."""

    def __init__(self, app: Any, conf: Any) -> None:
        self.app = app
        self._page = constraints.load(conf.swift_dir).container_listing_limit
        self._limits = segments.Limits(conf.max_get_time, conf.rate_limit_after_segment,
                                       conf.rate_limit_segments_per_sec)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = environ['REQUEST_METHOD']
        if method in ('GET', 'HEAD'):
            if peek.is_object(environ) and 'multipart-manifest=get' not in environ.get('QUERY_STRING', ''):
                return self._read(environ, start_response)
        elif method in ('PUT', 'POST') and 'HTTP_X_OBJECT_MANIFEST' in environ and peek.is_object(environ):
            return self._check(environ, start_response)
        return self.app(environ, start_response)

    def _read(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # the application strikes out ``swift.authorize`` once it has said yes to one path; segments are others
        found = peek.ask(self.app, dict(environ), MARK, start_response)
        if not isinstance(found, Response):
            return found
        return peek.answer(lambda: self._found(Request(environ), found), environ, start_response)

    @serving
    def _check(self, request: Request) -> Any:
        """What a client says of its segments."""
        _parse(request.headers[HEADER])
        return self.app

    def _found(self, request: Request, response: Response) -> Response:
        value = response.headers.get(HEADER)
        if not value:
            return response
        try:
            container, prefix = _parse(value)
        except HttpError:
            return response     # of a time when none of it was checked
        return self._whole(request, response, container, prefix)

    def _whole(self, request: Request, response: Response, container: str, prefix: str) -> Response:
        if response.status in (304, 412, 416, 206):
            # the manifest was compared, or cut, and not the whole
            response.drain()
            again = request.copy()
            for name in CONDITIONS:
                again.headers[name] = None
            response = again.respond(self.app)
        if response.status != 200:
            return response
        response.close()
        listed = _Listed(self.app, request, container, prefix, self._page)
        response.headers['Etag'] = response.headers['Content-Length'] = None
        body = Segmented(dict(request.environ), self.app, listed.walk, self._limits, 'DLO')
        response.set_stream(body if request.method == 'GET' else ())
        if listed.is_complete or ('Range' in request.headers and request.method == 'GET' and listed.complete()):
            response.headers['Content-Length'] = str(listed.size)
            response.headers['Etag'] = f'"{listed.etag()}"'
        response.conditional(_one_range(request.environ))
        return segments.begun(response) if request.method == 'GET' else response


class _Listed:
    """The segments, a page of the listing at a time."""

    def __init__(self, app: Any, request: Request, container: str, prefix: str, limit: int) -> None:
        """Fetches the first page; raises ``HttpError`` if there is none."""
        self._app = app
        self._request = request
        _, self._version, self._account, _ = request.path_info.split('/', 3)
        self._container = container
        self._prefix = prefix
        self._limit = limit     # entries of a page
        self._last = False      # whether the page that was fetched last is the end
        self._entries = self._page('')

    @property
    def size(self) -> int:
        """Bytes of all that is listed."""
        return sum(each['bytes'] for each in self._entries)

    def etag(self) -> str:
        """Over the etags of all that is listed."""
        digest = hashlib.md5(usedforsecurity=False)
        for each in self._entries:
            digest.update(each['hash'].encode('utf-8'))
        return digest.hexdigest()

    @property
    def is_complete(self) -> bool:
        """Whether all there is has been fetched."""
        return self._last

    def complete(self) -> bool:
        """Fetch all pages, if they are not too many."""
        for _ in range(MAX_PAGES):
            if self._last:
                break
            self._entries += self._page(self._entries[-1]['name'])
        return self._last

    def _page(self, marker: str) -> list[Entry]:
        query = f'?format=json&limit={self._limit}&prefix={paths.quote(self._prefix, "")}'
        if marker:
            query += f'&marker={paths.quote(marker, "")}'
        path = paths.wsgi_quote(f'/{self._version}/{self._account}') + '/' + paths.quote(self._container)
        response = make_subrequest(self._request.environ, method='GET', path=path + query,
                                   agent='%(orig)s DLO MultipartGET', source='DLO').respond(self._app)
        if not response.is_success:
            response.close()
            raise HttpError(response.status)
        entries = orjson.loads(response.body or b'[]')
        self._last = len(entries) < self._limit
        for each in entries:
            each['hash'] = listing.parameters(each['hash'])[0]
        return entries

    def walk(self, start: int, stop: int | None) -> Iterator[Segment]:
        """The segments between two bytes."""
        place, entries = 0, self._entries
        while entries:
            for each in entries:
                low = max(start - place, 0)
                high = each['bytes'] if stop is None else min(stop - place, each['bytes'])
                place += each['bytes']
                if low < high:
                    yield Segment(self._path(each['name']), each['hash'], each['bytes'], low, high)
                if stop is not None and place >= stop:
                    return
            if self._last:
                return
            try:
                entries = self._page(entries[-1]['name'])
            except HttpError as error:
                raise SegmentError(f'the listing of {self._container} ended with {error.status}',
                                   error.status) from error

    def _path(self, name: str) -> str:
        return paths.wsgi_quote(f'/{self._version}/{self._account}') + paths.quote(f'/{self._container}/{name}')


def _parse(value: str) -> tuple[str, str]:
    """Container and prefix, as text; raises ``HttpError`` 400."""
    container, _, prefix = value.partition('/')
    if not container or not prefix or '?' in value or '&' in value or prefix.startswith('/'):
        raise HttpError(400, FORM)
    try:
        return (paths.unquote(container.encode('latin-1').decode('utf-8')),
                paths.unquote(prefix.encode('latin-1').decode('utf-8')))
    except ValueError:
        raise HttpError(400, FORM) from None


def _one_range(environ: dict[str, Any]) -> dict[str, Any]:
    """The same environ, without a Range of more than one part: that gets the whole."""
    if ',' in environ.get('HTTP_RANGE', ''):
        environ = {key: value for key, value in environ.items() if key != 'HTTP_RANGE'}
    return environ


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], DynamicLargeObjects]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:dlo]')
    return lambda app: DynamicLargeObjects(app, conf)

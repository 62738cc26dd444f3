"""Static large objects: a manifest that names its segments, served as one object.

    [filter:slo]
    use = egg:swift#slo
    max_manifest_segments = 1000
    max_manifest_size = 8388608
    min_segment_size = 1
    rate_limit_after_segment = 10
    rate_limit_segments_per_sec = 1
    rate_limit_under_size = 1048576
    max_get_time = 86400
    concurrency = 2
    delete_concurrency = 2
    yield_frequency = 10
    allow_async_delete = true

::

    writing   PUT ?multipart-manifest=put: manifest.parse, HEAD of every segment, then the manifest as stored
    reading   GET, HEAD: the manifest is fetched, then the segments that the range needs
    deleting  DELETE ?multipart-manifest=delete: segments, then the manifest

It stands to the left of dlo, and sees segments that are large objects as the
client would.  The sums over the segments are system metadata of the manifest:
X-Object-Sysmeta-Slo-Etag and -Size; in listings they follow the etag.
"""

from collections.abc import Callable, Iterable
from typing import Any

from swift import conf as confs
from swift.http import HttpError, Request, Response, info, serving
from swift.http import path as paths
from swift.middleware import bulk, listing, peek, segments
from swift.middleware.bulk.deleting import Limits as DeleteLimits
from swift.middleware.slo import deleting, manifest
from swift.middleware.slo.reading import Reader
from swift.middleware.slo.writing import FLAG, Limits, Writer

OPTIONS = {
    'max_manifest_segments': confs.Option(confs.positive, 1000, 'objects in one manifest'),
    'max_manifest_size': confs.Option(confs.positive, manifest.MAX_SIZE, 'bytes of one manifest'),
    'min_segment_size': confs.Option(confs.positive, 1, 'bytes of every segment but the last'),
    'rate_limit_after_segment': confs.Option(confs.count, 10, 'segments that go as fast as they can'),
    'rate_limit_segments_per_sec': confs.Option(confs.number, 1.0, 'segments from then on; 0: no limit'),
    'rate_limit_under_size': confs.Option(confs.count, 1048576, 'bytes; only smaller segments are slowed'),
    'max_get_time': confs.Option(confs.number, 86400.0, 'seconds for one answer'),
    'concurrency': confs.Option(confs.positive, 2, 'segments looked at together on PUT'),
    'delete_concurrency': confs.Option(confs.positive, 2, 'segments deleted together'),
    'yield_frequency': confs.Option(confs.number, 10.0, 'seconds between signs of life; 0: no heartbeat'),
    'allow_async_delete': confs.Option(confs.boolean, True, 'whether segments may be left to the expirer'),
}


class StaticLargeObjects:
    """The filter."""

    def __init__(self, app: Any, conf: Any) -> None:
        self.app = app
        self._async = conf.allow_async_delete
        self._put = Limits(conf.max_manifest_size, conf.max_manifest_segments, conf.min_segment_size,
                           conf.concurrency, conf.yield_frequency)
        self._get = segments.Limits(conf.max_get_time, conf.rate_limit_after_segment,
                                    conf.rate_limit_segments_per_sec, conf.rate_limit_under_size)
        self._delete = DeleteLimits(deletes=max(bulk.MAX_DELETES, 10 * conf.max_manifest_segments),
                                    concurrency=conf.delete_concurrency, heartbeat=conf.yield_frequency)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = environ['REQUEST_METHOD']
        reads = method in ('GET', 'HEAD')
        if reads and peek.is_object(environ) and 'multipart-manifest' not in environ.get('QUERY_STRING', ''):
            return self._read(environ, start_response)
        if reads or ('multipart-manifest=' in environ.get('QUERY_STRING', '')
                                         and method in ('PUT', 'DELETE')) \
                or (method == 'PUT' and 'HTTP_X_STATIC_LARGE_OBJECT' in environ):
            return self._serve(environ, start_response)
        return self.app(environ, start_response)

    def _read(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        reader = Reader(self.app, self._get, Request(environ))
        found = peek.ask(self.app, reader.asked().environ, FLAG.lower(), start_response)
        if not isinstance(found, Response):
            return found
        return peek.answer(lambda: reader.found(found), environ, start_response)

    @serving
    def _serve(self, request: Request) -> Any:
        pieces = request.path.split('/', 4)
        if len(pieces) < 5 or not all(pieces[1:]) or pieces[0]:
            if request.method == 'GET' and listing.is_container(request):
                return listing.rewrite(request.respond(self.app), b'slo_etag=', _show)
            return self.app
        action = request.params.get('multipart-manifest')
        if request.method in ('GET', 'HEAD'):
            return Reader(self.app, self._get, request).respond()
        if request.method == 'DELETE':
            return deleting.delete(self.app, request, _name(pieces), self._delete, self._async) \
                if action == 'delete' else self.app
        if action == 'put':
            return Writer(self, self.app, self._put, request).put(_name(pieces))
        if FLAG in request.headers and not request.environ.get('swift.slo_override'):
            raise HttpError(400, f'{FLAG} is a reserved header. To create a static large object add query param '
                                 'multipart-manifest=put.')
        return self.app


def _name(pieces: list[str]) -> str:
    """/c/o, as text; raises ``HttpError`` 412."""
    try:
        return paths.wsgi_to_text('/' + '/'.join(pieces[3:]))
    except ValueError:
        raise HttpError(412, 'Invalid UTF8 or contains NULL') from None


def _show(entry: dict[str, Any]) -> None:
    """Tell the etag of a large object beside that of its manifest."""
    etag, more = listing.parameters(entry['hash'])
    tag = more.pop('slo_etag', None)
    if tag is not None:
        entry['hash'] = listing.joined(etag, more)
        entry['slo_etag'] = f'"{tag}"'


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], StaticLargeObjects]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:slo]')
    info.register('slo', max_manifest_segments=conf.max_manifest_segments, max_manifest_size=conf.max_manifest_size,
                  yield_frequency=conf.yield_frequency, min_segment_size=conf.min_segment_size,
                  allow_async_delete=conf.allow_async_delete)
    return lambda app: StaticLargeObjects(app, conf)

"""Many objects in one request: an archive unpacked as it arrives, or a list of names deleted.

    [filter:bulk]
    use = egg:swift#bulk
    max_containers_per_extraction = 10000
    max_failed_extractions = 1000
    max_deletes_per_request = 10000
    max_failed_deletes = 1000
    yield_frequency = 10
    delete_container_retry_count = 0
    delete_concurrency = 2

``PUT /v1/a[/c[/prefix]]?extract-archive=tar|tar.gz|tar.bz2`` and ``POST`` or
``DELETE /v1/a?bulk-delete``, a quoted name a line.  Both answer 200 and tell the
outcome in the body: it is not known before the answer has begun.
"""

from collections.abc import Callable, Iterable
from typing import Any

from swift import conf as confs
from swift import constraints
from swift.http import HttpError, Request, Response, info, serving
from swift.http import path as paths
from swift.middleware import report
from swift.middleware.bulk import archive, deleting, extracting

MAX_DELETES = 10000

OPTIONS = {
    'max_containers_per_extraction': confs.Option(confs.positive, 10000, 'containers that one archive may need'),
    'max_failed_extractions': confs.Option(confs.positive, 1000, 'files that may fail before the rest is left'),
    'max_deletes_per_request': confs.Option(confs.positive, MAX_DELETES, 'names in one request'),
    'max_failed_deletes': confs.Option(confs.positive, 1000, 'names that may fail before the rest is left'),
    'yield_frequency': confs.Option(confs.number, 10.0, 'seconds between signs of life'),
    'delete_container_retry_count': confs.Option(confs.count, 0, 'tries for a container that is not empty yet'),
    'delete_concurrency': confs.Option(confs.positive, 2, 'names that are deleted together'),
    'swift_dir': confs.Option(confs.text, '/etc/swift', 'where swift.conf is'),
}


class Bulk:
    """The filter."""

    def __init__(self, app: Any, conf: Any) -> None:
        self.app = app
        self._constraints = constraints.load(conf.swift_dir)
        self._extracting = extracting.Limits(conf.max_containers_per_extraction, conf.max_failed_extractions,
                                             conf.yield_frequency)
        self._deleting = deleting.Limits(conf.max_deletes_per_request, conf.max_failed_deletes,
                                         conf.delete_concurrency, conf.yield_frequency,
                                         conf.delete_container_retry_count)
        longest = self._constraints.max_object_name_length + self._constraints.max_container_name_length
        self._longest = 3 * (longest + 2)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        query = environ.get('QUERY_STRING')
        if query and ('bulk-delete' in query or 'extract-archive' in query):
            return self._serve(environ, start_response)
        return self.app(environ, start_response)

    @serving
    def _serve(self, request: Request) -> Any:
        params = request.params
        if request.method == 'PUT' and 'extract-archive' in params:
            kind = params['extract-archive'].lower().strip('.')
            if kind not in archive.KINDS:
                raise HttpError(400, 'Unsupported archive format')
            _check_length(request)
            return extracting.Extractor(self.app, request, self._extracting, self._constraints).respond(kind)
        if request.method in ('POST', 'DELETE') and 'bulk-delete' in params:
            return self._delete(request)
        return self.app

    def _delete(self, request: Request) -> Response:
        try:
            request.split(2, 4, rest=True)
        except ValueError:
            raise HttpError(404) from None
        deleter = deleting.Deleter(self.app, request, self._deleting)
        try:
            _check_length(request)
            targets = self._targets(request)
        except HttpError as error:
            kind = report.acceptable(request)
            return deleter.refuse(error, kind)
        return deleter.respond(targets)

    def _targets(self, request: Request) -> list[deleting.Target]:
        """What the body names, objects before containers; raises ``HttpError``."""
        found = []
        for line in self._lines(request):
            name = line.strip().lstrip(b'/')
            if not line.strip():
                continue
            if len(found) >= self._deleting.deletes:
                raise HttpError(413, f'Maximum Bulk Deletes: {self._deleting.deletes} per request')
            found.append(_target(name))
        return sorted(found, key=lambda target: target.is_container)

    def _lines(self, request: Request) -> Iterable[bytes]:
        """Raises ``HttpError`` for one that is too long."""
        rest = b''
        left = request.content_length
        while left is None or left > 0:
            piece = request.input.read(65536 if left is None else min(65536, left))
            if not piece:
                break
            if left is not None:
                left -= len(piece)
            *lines, rest = (rest + piece).split(b'\n')
            for line in lines:
                self._check_line(line)
                yield line
            self._check_line(rest)
        yield rest

    def _check_line(self, line: bytes) -> None:
        if len(line) > self._longest:
            raise HttpError(400, 'Invalid File Name')


def _check_length(request: Request) -> None:
    if request.message_length() is None and not request.is_chunked:
        raise HttpError(411)


def _target(quoted: bytes) -> deleting.Target:
    """What one line names."""
    try:
        name = '/' + paths.unquote(quoted.decode('latin-1'))
    except ValueError:
        return deleting.Target(quoted.decode('latin-1'), refused='412 Precondition Failed', quoted=True)
    if '\0' in name:
        return deleting.Target(name, refused='412 Precondition Failed')
    if not name.strip('/'):
        return deleting.Target('/', refused='403 Forbidden')
    return deleting.Target(name)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], Bulk]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:bulk]')
    info.register('bulk_upload', max_containers_per_extraction=conf.max_containers_per_extraction,
                  max_failed_extractions=conf.max_failed_extractions)
    info.register('bulk_delete', max_deletes_per_request=conf.max_deletes_per_request,
                  max_failed_deletes=conf.max_failed_deletes)
    return lambda app: Bulk(app, conf)

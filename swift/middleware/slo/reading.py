"""GET and HEAD of a static large object.

::

    client -> object server, told that the etag may be the large object's, and to ignore Range on a manifest
           -> no manifest? handed on as it is
           -> 304, 412, HEAD: the sums in its system metadata are enough
           -> 200: the manifest, and from it the segments within the range
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from swift.http import HttpError, Request, Response, etags
from swift.http.subrequest import make_subrequest
from swift.middleware import segments
from swift.middleware.segments import Segment, Segmented, SegmentError, object_path
from swift.middleware.slo import manifest
from swift.middleware.slo.manifest import Entry
from swift.middleware.slo.writing import ETAG, FLAG, SIZE

MAX_DEPTH = 10
#: what follows the type of a stored manifest
SIZE_MARK = ';swift_bytes='
CONDITIONS = ('If-Match', 'If-None-Match', 'If-Modified-Since', 'If-Unmodified-Since', 'If-Range', 'Range')
IGNORE_RANGE = 'X-Backend-Ignore-Range-If-Metadata-Present'


class Reader:
    """One GET or HEAD."""

    def __init__(self, app: Any, limits: segments.Limits, request: Request) -> None:
        self._app = app
        self._limits = limits
        self._request = request

    def respond(self) -> Response:
        """The answer, whatever the object is."""
        request = self._request
        if request.params.get('multipart-manifest') == 'get':
            return self._manifest(request.params.get('format') == 'raw')
        return self.found(self.asked().respond(self._app))

    def asked(self) -> Request:
        """What the application is asked, in an environ of its own.

        For it strikes out ``swift.authorize`` once it has said yes to one path;
        segments are others.
        """
        asked = self._request.copy()
        etags.update_is_at(asked, ETAG)
        ignored = asked.headers.get(IGNORE_RANGE)
        asked.headers[IGNORE_RANGE] = f'{ignored},{FLAG}' if ignored else FLAG
        return asked

    def found(self, response: Response) -> Response:
        """The answer to the client, given the application's."""
        request = self._request
        if not is_slo(response):
            return response
        part = self._part()
        if part is not None and 'Range' in request.headers:
            response.close()
            raise HttpError(400, 'Range requests are not supported with part number queries')
        known = ETAG in response.headers and SIZE in response.headers
        if known and (response.status in (304, 412) or (request.method == 'HEAD' and part is None)):
            return self._summary(response)
        return self._whole(response, part)

    # manifests themselves

    def _manifest(self, raw: bool) -> Response:
        """``?multipart-manifest=get``."""
        if not raw:
            response = self._request.copy().respond(self._app)
            if is_slo(response):
                response.headers['Content-Type'] = 'application/json; charset=utf-8'
            return response
        response = self._again()
        if not is_slo(response) or not response.is_success:
            return response
        entries = load(response)
        response.body = json.dumps([entry.raw() for entry in entries]).encode('ascii')
        response.headers['Etag'] = hashlib.md5(response.body, usedforsecurity=False).hexdigest()
        return response.conditional(self._request.environ)

    # the whole

    @staticmethod
    def _summary(response: Response) -> Response:
        """What the system metadata tell is all that is needed."""
        tag = response.headers[ETAG]
        response.headers['X-Manifest-Etag'] = response.etag
        response.headers['Etag'] = f'"{tag}"'
        if response.status == 200:
            response.headers['Content-Length'] = response.headers[SIZE]
        return response

    def _whole(self, response: Response, part: int | None) -> Response:
        """The large object of a manifest, or the part of it that is wanted."""
        request = self._request
        if response.status != 200 or request.method != 'GET':
            # a server that knows nothing of our headers, or a HEAD that needs the manifest
            response.drain()
            response = self._again()
            if response.status != 200 or not is_slo(response):
                return response
        entries = load(response)
        stored = response.etag
        size, tag = sum(each.length for each in entries), manifest.etag(entries)
        environ = dict(request.environ)
        response.headers.update({'Etag': f'"{tag}"', 'Content-Length': str(size), 'X-Manifest-Etag': stored})
        response.environ = environ
        response.set_stream(Segmented(environ, self._app, lambda start, stop: self._walk(entries, start, stop, 1),
                                      self._limits, 'SLO'))
        if part is not None:
            return self._one_part(response, entries, part, size)
        response.conditional(environ, tag)
        return segments.begun(response) if request.method == 'GET' else response

    def _one_part(self, response: Response, entries: list[Entry], part: int, size: int) -> Response:
        """``?part-number=N``: one segment, counted from 1."""
        response.headers['X-Parts-Count'] = str(len(entries))
        if part > len(entries):
            response.status = 416
            response.body = b'The requested part number is not satisfiable'
            response.headers['Content-Range'] = f'bytes */{size}'
            return response
        start = sum(each.length for each in entries[:part - 1])
        stop = start + entries[part - 1].length
        response.conditional({**self._request.environ, 'REQUEST_METHOD': 'GET'})
        if response.status != 200:
            return response
        response.status = 206
        response.headers['Content-Range'] = f'bytes {start}-{stop - 1}/{size}'
        response.headers['Content-Length'] = str(stop - start)
        response.set_stream(response.app_iter.ranged(start, stop))     # type: ignore[attr-defined]
        return segments.begun(response) if self._request.method == 'GET' else response

    def _part(self) -> int | None:
        value = self._request.params.get('part-number')
        if value is None:
            return None
        if not (value.isascii() and value.isdecimal() and len(value) < 20 and int(value)):
            raise HttpError(400, 'Part number must be an integer greater than 0')
        return int(value)

    def _again(self) -> Response:
        """The manifest, without the conditions and ranges of the client."""
        again = self._request.copy()
        again.method = again.environ['REQUEST_METHOD'] = 'GET'
        for name in (*CONDITIONS, etags.HEADER, IGNORE_RANGE):
            again.headers[name] = None
        return again.respond(self._app)

    # segments

    def _walk(self, entries: list[Entry], start: int, stop: int | None, depth: int) -> Iterator[Segment]:
        """The segments between two bytes, those of large objects within included."""
        place = 0
        for entry in entries:
            low = max(start - place, 0)
            high = entry.length if stop is None else min(stop - place, entry.length)
            place += entry.length
            if low >= high:
                continue
            if entry.data is not None:
                yield Segment('', '', len(entry.data), low, high, entry.data)
            elif entry.sub_slo:
                yield from self._walk(self._sub(entry, depth), entry.first + low, entry.first + high, depth + 1)
            else:
                yield Segment(object_path(self._request.environ, entry.name), entry.etag or '', entry.size or 0,
                              entry.first + low, entry.first + high)

    def _sub(self, entry: Entry, depth: int) -> list[Entry]:
        """The entries of a large object within this one; raises ``SegmentError``."""
        if depth >= MAX_DEPTH:
            raise SegmentError('While processing manifest, max recursion depth was exceeded')
        path = object_path(self._request.environ, entry.name)
        response = make_subrequest(self._request.environ, method='GET', path=f'{path}?multipart-manifest=get',
                                   agent='%(orig)s SLO MultipartGET', source='SLO').respond(self._app)
        if not response.is_success or not is_slo(response):
            response.close()
            raise SegmentError(f'{path} is no manifest any more: {response.status}',
                               503 if response.status >= 500 else 409)
        entries = load(response)
        if entry.etag and manifest.etag(entries) != entry.etag:
            raise SegmentError(f'{path} has changed since it became a segment')
        return entries


def is_slo(response: Response) -> bool:
    """Whether this is an answer about a manifest; its type is then the client's, without the size we put there."""
    if response.headers.get(FLAG, '').lower() != 'true':
        return False
    kind = response.headers.get('Content-Type', '')
    if SIZE_MARK in kind:
        response.headers['Content-Type'] = kind.partition(SIZE_MARK)[0]
    return True


def load(response: Response) -> list[Entry]:
    """The manifest of an answer; raises ``HttpError`` 500 if it cannot be read."""
    try:
        return manifest.load(response.body)
    except ValueError as error:
        raise HttpError(500, 'Unable to load SLO manifest') from error

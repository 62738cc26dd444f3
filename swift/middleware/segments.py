"""The body of a large object: segments fetched one after the other, each checked against what was said of it.

A ``walk`` tells the segments between two bytes of the whole; ``Segmented``
fetches them with the rights of the client.  Before an answer begins its first
segment is there, so that a whole that has changed is refused rather than cut.
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from strata import green
from swift.http import HttpError, Response
from swift.http import path as paths
from swift.http.response import Stream
from swift.http.subrequest import make_subrequest

LOG = logging.getLogger(__name__)

#: the first pieces of multipart/byteranges: the head of a part, then bytes of a segment
HEAD_AND_DATA = 2


class SegmentError(Exception):
    """A segment is missing, refused, or not as it was said to be; ``status`` is for the client, if it can be told."""

    def __init__(self, message: str, status: int = 409) -> None:
        super().__init__(message)
        self.status = status


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """Bytes ``start`` to ``stop`` of an object, or of ``data`` that stands in the manifest."""

    path: str                   # quoted, /v1/a/c/o
    etag: str
    size: int                   # of the whole object
    start: int
    stop: int
    data: bytes | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all of the object is wanted."""
        return self.start == 0 and self.stop == self.size


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How fast segments are fetched, and for how long."""

    seconds: float = 86400          # for one answer
    after: int = 10                 # segments that go as fast as they can
    per_second: float = 1           # segments, from then on; 0: no limit
    under: int = 0                  # just segments of less than this many bytes count; 0: all


Walk = Callable[[int, int | None], Iterable[Segment]]


class Segmented:
    """A body for ``Response``, whole or in ranges."""

    def __init__(self, environ: Mapping[str, Any], app: Any, walk: Walk, limits: Limits, source: str) -> None:
        """``walk(start, stop)`` gives the segments of that part of the whole; ``source``: SLO or DLO, for logs."""
        self._environ = environ
        self._app = app
        self._walk = walk
        self._limits = limits
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        return self.ranged(0, None)

    def ranged(self, start: int, stop: int | None) -> Iterator[bytes]:
        """The bytes between; raises ``SegmentError``."""
        ends = time.monotonic() + self._limits.seconds
        pace = _Pace(self._limits)
        for segment in self._walk(start, stop):
            if time.monotonic() > ends:
                raise SegmentError('While processing manifest, max_get_time exceeded')
            if segment.data is not None:
                yield segment.data[segment.start:segment.stop]
            elif segment.stop > segment.start:
                pace.wait(segment)
                yield from self._fetch(segment)

    def _fetch(self, segment: Segment) -> Iterator[bytes]:
        headers = {} if segment.is_whole else {'Range': f'bytes={segment.start}-{segment.stop - 1}'}
        request = make_subrequest(self._environ, method='GET', path=f'{segment.path}?multipart-manifest=get',
                                  headers=headers, agent=f'%(orig)s {self._source} MultipartGET',
                                  source=self._source)
        response = request.respond(self._app)
        left = segment.stop - segment.start
        try:
            _check(segment, response)
            for piece in response.app_iter:
                if len(piece) > left:
                    raise SegmentError(f'{segment.path} is longer than {segment.size} bytes')
                left -= len(piece)
                if piece:
                    yield piece
            if left:
                raise SegmentError(f'{segment.path} ended {left} bytes early', 503)
        finally:
            response.close()


def _check(segment: Segment, response: Response) -> None:
    """Raise ``SegmentError`` unless this is the segment that was meant."""
    if not response.is_success:
        raise SegmentError(f'got {response.status} while retrieving {segment.path}',
                           503 if response.status >= 500 else 409)
    wanted = segment.stop - segment.start
    length = response.content_length
    if (segment.etag and response.etag != segment.etag) or (length is not None and length != wanted) \
            or response.status != (200 if segment.is_whole else 206):
        raise SegmentError(f'{segment.path} no longer is what the manifest says: {response.etag}, {length} bytes in '
                           f'place of {segment.etag}, {wanted} bytes')


class _Pace:
    """Lets the first segments pass, then a few each second."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._passed = 0
        self._next = 0.0

    def wait(self, segment: Segment) -> None:
        """Until this segment may be fetched."""
        limits = self._limits
        if not limits.per_second or (limits.under and segment.stop - segment.start >= limits.under):
            return
        self._passed += 1
        if self._passed <= limits.after:
            return
        now = time.monotonic()
        if self._next > now:
            green.sleep(self._next - now)
        self._next = max(now, self._next) + 1 / limits.per_second


def begun(response: Response) -> Response:
    """The same answer, of which the first segment is there; raises ``HttpError`` if it cannot be had."""
    if not response.is_success or response.status == 204:
        return response
    several = response.headers.get('Content-Type', '').startswith('multipart/byteranges')
    stream = response.app_iter
    pieces = iter(stream)
    first = []
    try:
        for piece in pieces:
            first.append(piece)
            if len(first) == (HEAD_AND_DATA if several else 1):
                break
    except SegmentError as error:
        response.close()
        LOG.warning('%s', error)
        raise HttpError(error.status) from error
    except HttpError:
        response.close()
        raise
    close = getattr(pieces, 'close', None) or getattr(stream, 'close', None)
    response.set_stream(Stream(chain(first, _logged(pieces)), close))
    return response


def _logged(pieces: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from pieces
    except SegmentError as error:
        LOG.error('a large object broke off: %s', error)
        raise


def object_path(environ: Mapping[str, Any], name: str) -> str:
    """The quoted path of ``/c/o`` (text) in the account of this request."""
    _, version, account, _ = environ['PATH_INFO'].split('/', 3)
    return paths.wsgi_quote(f'/{version}/{account}') + paths.quote('/' + name.lstrip('/'))

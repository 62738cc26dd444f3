"""The body of a large object: its segments in their order, each checked against what was said of it.

A ``walk`` tells the segments between two bytes of the whole; ``Segmented``
fetches them with the rights of the client.  Before an answer begins its first
segment is there, so that a whole that has changed is refused rather than cut.

::

    walk -> _Ahead: short segments are fetched side by side, up to AHEAD bytes before their turn
         -> in order: those, and long segments piece by piece

A long segment is not begun before its turn: its server would wait for a slow client, and give up.
"""

import collections
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

#: bytes, and segments, that are fetched before their turn
AHEAD, MOST_AHEAD = 256 * 1024, 8
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
        ahead = _Ahead(self._paced(start, stop), self._fetch)
        try:
            for segment, pieces in ahead:
                if segment.data is not None:
                    yield segment.data[segment.start:segment.stop]
                else:
                    yield from self._fetch(segment) if pieces is None else pieces
        finally:
            ahead.stop()

    def _paced(self, start: int, stop: int | None) -> Iterator[Segment]:
        """The segments, each when it may be fetched."""
        ends = time.monotonic() + self._limits.seconds
        pace = _Pace(self._limits)
        for segment in self._walk(start, stop):
            if time.monotonic() > ends:
                raise SegmentError('While processing manifest, max_get_time exceeded')
            if segment.stop > segment.start:
                if segment.data is None:
                    pace.wait(segment)
                yield segment

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


class _Ahead:
    """Segments in their order, with the pieces of those that were fetched before their turn.

    A greenlet walks on while a segment is sent, manifests within and pages of listings
    included; failures are raised where they belong in the order.
    """

    def __init__(self, segments: Iterator[Segment], fetch: Callable[[Segment], Iterator[bytes]]) -> None:
        self._segments = segments
        self._fetch = fetch
        #: a segment and who fetches it; or why there is no other one, ``None`` for the end
        self._queue: collections.deque[tuple[Segment, green.Greenlet | None] | Exception | None] = collections.deque()
        self._held = 0
        #: the first one is there: whoever it was refused to is refused the rest, and what it found out is known
        self._begun = False
        self._stopped = False
        self._changed = green.Event()
        green.spawn(self._run)

    def stop(self) -> None:
        """Nobody wants the rest."""
        self._stopped = True
        self._changed.set()

    def __iter__(self) -> Iterator[tuple[Segment, list[bytes] | None]]:
        while True:
            while not self._queue:
                self._wait()
            item = self._queue.popleft()
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            segment, worker = item
            pieces = worker.wait() if worker is not None else None
            if isinstance(pieces, Exception):
                raise pieces
            self._held -= _size(segment)
            self._begun = True
            self._changed.set()
            yield segment, pieces

    def _wait(self) -> None:
        self._changed.clear()
        self._changed.wait()

    def _run(self) -> None:
        last: Exception | None = None
        try:
            for segment in self._segments:
                size = _size(segment)
                while not self._stopped and self._queue and (
                        not self._begun or self._held + size > AHEAD or len(self._queue) >= MOST_AHEAD):
                    self._wait()
                if self._stopped:
                    return
                short = segment.data is None and size <= AHEAD
                self._held += size
                self._put((segment, green.spawn(self._all, segment) if short else None))
        except Exception as error:      # whoever reads has to hear of it
            last = error
        self._put(last)

    def _put(self, item: tuple[Segment, green.Greenlet | None] | Exception | None) -> None:
        self._queue.append(item)
        self._changed.set()

    def _all(self, segment: Segment) -> list[bytes] | Exception:
        """The pieces, or why they cannot be had."""
        try:
            return list(self._fetch(segment))
        except Exception as error:
            return error


def _size(segment: Segment) -> int:
    return segment.stop - segment.start


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

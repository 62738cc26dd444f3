"""An object's body on its way to the client; when its replica dies, another one goes on where it ended.

A body is a list of spans of the object: one for a whole object or a single
range, several for ``multipart/byteranges``, whose parts are read from the
server's document and written into one of our own, so that any replica can
supply the rest.
"""

import contextlib
import logging
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from strata import backend
from strata.backend import Answer
from strata.wsgi.wire import Pipe
from swift.http import ranges
from swift.http.response import part_head

LOG = logging.getLogger(__name__)

#: from this size on the kernel moves a body; a shorter one is not worth a pipe
POURED = 512 * 1024
#: one line of a part's head
LINE = 8192


class Broken(backend.Failed):
    """The body cannot be completed."""

    message = 'The rest of {path} is on no server that answers.'


class Span:
    """Bytes of the object that are still to be sent: from ``start`` up to, not including, ``stop``."""

    __slots__ = ('head', 'start', 'stop')

    def __init__(self, start: int, stop: int, head: bytes = b'') -> None:
        self.start = start
        self.stop = stop
        #: what precedes it in the document, if it is a part of one
        self.head = head


def content_range(value: str | None) -> tuple[int, int, int] | None:
    """(start, stop, length) of ``bytes 0-9/100``; ``None`` for anything else."""
    unit, _, rest = (value or '').partition(' ')
    span, _, length = rest.partition('/')
    first, _, last = span.partition('-')
    if unit != 'bytes' or not (first.isdecimal() and last.isdecimal() and length.isdecimal()):
        return None
    return int(first), int(last) + 1, int(length)


class Resumed:
    """How to get the rest of a body from another replica."""

    def __init__(self, search: Any, answer: Answer) -> None:
        self.search = search
        self.etag = answer.headers.get('etag')
        self.stamp = answer.headers.get('x-backend-timestamp') or answer.headers.get('x-timestamp')

    def next(self, spans: list[Span]) -> Answer | None:
        """An answer that holds these spans of the very same object."""
        search = self.search
        ranges = ','.join(f'{span.start}-{span.stop - 1}' for span in spans)
        headers = {name: value for name, value in search.headers.items()
                   if not name.startswith('If-') and name != 'Range'}
        search.headers = {**headers, 'Range': f'bytes={ranges}'}
        while True:
            source = search.find()
            if source is None:
                return None
            answer = source.answer
            same = answer.headers.get('etag') == self.etag and self.stamp == (
                answer.headers.get('x-backend-timestamp') or answer.headers.get('x-timestamp'))
            if answer.status == 206 and same:
                return answer
            answer.close()


class Body:
    """The pieces of an answer's body, from as many replicas as it takes."""

    def __init__(self, answer: Answer, resumed: Resumed, chunk: int) -> None:
        """Raises ``backend.Failed`` if the server's document makes no sense."""
        self._answer: Answer | None = answer
        self._resumed = resumed
        self._chunk = chunk
        self._document: _Document | None = None
        #: of our document, if it is one; and the bytes of it
        self.boundary = ''
        self.size = 0
        #: the one span that it is, if it is no document
        self._whole: Span | None = None
        one = content_range(answer.headers.get('content-range'))
        length = answer.headers.get('content-length')
        if answer.status == 206 and one is None:
            self._pieces = self._parts(self._planned(_Document(answer)))
        elif one is not None or length is not None:
            self._whole = Span(one[0], one[1]) if one is not None else Span(0, int(length or 0))
            self._pieces = self._span([self._whole], answer)
        else:
            self._pieces = answer.iter(chunk)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    @property
    def pour(self) -> Callable[[Any], Iterator[int]] | None:
        """How it sends itself (to what has ``send(data)`` and ``drain(pipe)``) without passing through this process.

        ``None`` for what is short, for documents, and for bodies of unknown length.
        """
        span = self._whole
        return None if span is None or span.stop - span.start < POURED else self._pour

    def _planned(self, document: '_Document') -> list[Span]:
        """All parts of our document, of the server's first part and what the client asked for."""
        start, stop, total = document.next()
        wanted = ranges.within(ranges.parse(self._resumed.search.headers.get('Range')), total)
        if not wanted or wanted[0] != (start, stop):
            document.fail('sent a part that was not asked for')
        self._document = document
        self.boundary = uuid.uuid4().hex
        spans = [Span(*each, part_head(self.boundary, document.kind, *each, total)) for each in wanted]
        self.size = sum(len(span.head) + span.stop - span.start + 2 for span in spans) + len(self.boundary) + 4
        return spans

    def _parts(self, spans: list[Span]) -> Iterator[bytes]:
        """Our document, part by part."""
        while spans:
            yield spans[0].head
            yield from self._span(spans, self._document or self._answer)
            yield b'\r\n'
            spans.pop(0)
            if spans:
                self._advance(spans)
        yield f'--{self.boundary}--'.encode()
        self.close()

    def _span(self, spans: list[Span], source: Any) -> Iterator[bytes]:
        """The bytes of the first span, which shrinks as they go out; ``source`` has ``piece``."""
        span = spans[0]
        while span.start < span.stop:
            try:
                data = source.piece(span.stop - span.start)
                if not data:
                    raise Broken(path=self._resumed.search.path)
            except backend.Failed as error:
                source = self._resume(spans, error)
                continue
            span.start += len(data)
            yield data

    def _pour(self, target: Any) -> Iterator[int]:
        """The steps of sending it to ``target``, in bytes."""
        span = self._whole
        assert span is not None
        with contextlib.closing(Pipe()) as pipe:
            data = next(self._pieces)
            target.send(data)      # the head goes with it
            yield len(data)
            source = self._document or self._answer
            while span.start < span.stop:
                try:
                    size = source.pour(pipe, target, span.stop - span.start)
                    if not size:
                        raise Broken(path=self._resumed.search.path)
                except backend.Failed as error:
                    source = self._resume([span], error)
                    continue
                span.start += size
                yield size

    def _resume(self, spans: list[Span], error: Exception) -> Any:
        """A source for the spans that are left."""
        search = self._resumed.search
        self.close()
        LOG.warning('%s: %s; another replica goes on', search.path, error)
        while True:
            answer = self._answer = self._resumed.next(spans)
            if answer is None:
                raise Broken(path=search.path) from error
            self._document = None
            if content_range(answer.headers.get('content-range')) is not None:
                return answer
            self._document = _Document(answer)
            with contextlib.suppress(backend.Failed):
                if self._document.next()[:2] == (spans[0].start, spans[0].stop):
                    return self._document
            answer.close()

    def _advance(self, spans: list[Span]) -> None:
        """On to the next part of the server's document."""
        try:
            if self._document is None:
                raise Broken(path=self._resumed.search.path)
            if self._document.next()[:2] != (spans[0].start, spans[0].stop):
                self._document.fail('sent a part that was not asked for')
        except backend.Failed as error:
            self._resume(spans, error)

    def close(self) -> None:
        """Give the connection back, or up."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()


class _Document:
    """A server's multipart/byteranges document, read part by part."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        _, _, boundary = answer.headers.get('content-type', '').partition('boundary=')
        self._mark = b'--' + boundary.strip('"').encode('latin-1')
        self._held = b''
        self._left = 0
        self.kind = 'application/octet-stream'
        self.total = 0

    def fail(self, why: str) -> NoReturn:
        """Close the connection and raise ``Broken``."""
        self._answer.fail(backend.Broken, why)

    def _line(self) -> bytes:
        while b'\r\n' not in self._held:
            data = self._answer.piece(LINE)
            if not data or len(self._held) > LINE:
                self.fail('sent no proper multipart document')
            self._held += data
        line, _, self._held = self._held.partition(b'\r\n')
        return line

    def next(self) -> tuple[int, int, int]:
        """Go to the next part; its start, stop and the length of the object."""
        line = self._line()
        while line != self._mark:
            if line == self._mark + b'--':
                self.fail('sent fewer parts than were asked for')
            line = self._line()
        found = None
        while line := self._line():
            name, _, value = line.decode('latin-1').partition(':')
            if name.lower() == 'content-range':
                found = content_range(value.strip())
            elif name.lower() == 'content-type':
                self.kind = value.strip()
        if found is None:
            self.fail('sent a part without Content-Range')
        self._left, self.total = found[1] - found[0], found[2]
        return found

    def pour(self, pipe: Pipe, target: Any, most: int) -> int:
        """As ``Answer.pour``, without the pipe."""
        data = self.piece(most)
        target.send(data)
        return len(data)

    def piece(self, most: int) -> bytes:
        """Bytes of the part; empty at its end."""
        most = min(most, self._left)
        if not most:
            return b''
        if self._held:
            data, self._held = self._held[:most], self._held[most:]
        else:
            data = self._answer.piece(most)
            if not data:
                self.fail('sent a part that is too short')
        self._left -= len(data)
        return data

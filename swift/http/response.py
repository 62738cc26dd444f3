"""Answers: a status, headers, and a body that is bytes or a stream; and the errors that become answers."""

import html
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import chain
from typing import Any

from swift.http import ranges
from swift.http.headers import Headers

#: title and sentence of an answer without a body of its own
TEXTS: dict[int, tuple[str, str]] = {
    200: ('OK', ''), 201: ('Created', ''), 202: ('Accepted', 'The request is accepted for processing.'),
    204: ('No Content', ''), 206: ('Partial Content', ''),
    300: ('Multiple Choices', 'There are several versions of this resource.'),
    301: ('Moved Permanently', 'The resource has moved for good.'),
    302: ('Found', 'The resource is elsewhere for now.'),
    303: ('See Other', 'The answer is found under another address.'),
    304: ('Not Modified', ''), 307: ('Temporary Redirect', 'The resource is elsewhere for now.'),
    400: ('Bad Request', 'The request is malformed or otherwise wrong.'),
    401: ('Unauthorized', 'Who you are, or that you may see this, could not be verified.'),
    402: ('Payment Required', 'Access is refused for financial reasons.'),
    403: ('Forbidden', 'Access was denied to this resource.'),
    404: ('Not Found', 'The resource could not be found.'),
    405: ('Method Not Allowed', 'The method is not allowed for this resource.'),
    406: ('Not Acceptable', 'The resource is not available in a form that you accept.'),
    408: ('Request Timeout', 'The request took too long to arrive.'),
    409: ('Conflict', 'There was a conflict when trying to complete your request.'),
    410: ('Gone', 'This resource is no longer available.'),
    411: ('Length Required', 'A Content-Length header is required.'),
    412: ('Precondition Failed', 'A precondition of this request was not met.'),
    413: ('Request Entity Too Large', 'The body of the request is too large.'),
    414: ('Request URI Too Long', 'The address is too long.'),
    415: ('Unsupported Media Type', 'The type of the body is not supported.'),
    416: ('Requested Range Not Satisfiable', 'The requested range is not there.'),
    417: ('Expectation Failed', 'What the request expects cannot be met.'),
    422: ('Unprocessable Entity', 'The content does not fit what was said of it.'),
    429: ('Too Many Requests', 'Wait, and try again.'),
    498: ('Rate Limited', 'Too many requests; wait, and try again.'),
    499: ('Client Disconnect', 'The client went away during the request.'),
    500: ('Internal Error', 'The server failed.'),
    501: ('Not Implemented', 'The method is not implemented by this server.'),
    502: ('Bad Gateway', 'The server behind this one failed.'),
    503: ('Service Unavailable', 'The server is unavailable for now; please try again.'),
    504: ('Gateway Timeout', 'The server behind this one did not answer in time.'),
    507: ('Insufficient Storage', 'There is no room to store the resource.'),
    529: ('Too Many Backend Requests', 'The servers behind this one are busy; please try again.'),
}
#: answers that never have a body
BODILESS = frozenset({204, 304})


def status_line(status: int) -> str:
    """``404 Not Found``."""
    line = _LINES.get(status)
    if line is None:
        try:
            line = f'{status} {HTTPStatus(status).phrase}'
        except ValueError:
            line = f'{status} Unknown'
    return line


_LINES = {status: f'{status} {name}' for status, (name, _) in TEXTS.items()}


class Response:
    """An answer; called with an environ and ``start_response`` it is its own WSGI application."""

    __slots__ = ('status', 'headers', 'app_iter', '_body', 'request_method', 'environ')

    def __init__(self, status: int = 200, body: 'bytes | str | Iterable[bytes] | None' = None,
                 headers: 'Mapping[str, Any] | Iterable[tuple[str, str]] | None' = None) -> None:
        """``body``: bytes or text (Content-Length is then set), or a stream, which is closed if it can be."""
        self.status = status
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        #: of the request that this answers, where it is known
        self.environ: dict[str, Any] | None = None
        self.app_iter: Iterable[bytes] = ()
        self._body: bytes | None = None
        if body is None or isinstance(body, (bytes, str)):
            self.body = body or b''
        else:
            self.app_iter = body

    @classmethod
    def of(cls, app: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> 'Response':
        """What an application answers.  Raises what it raises."""
        return cls.begun(*begin(app, environ), environ)

    @classmethod
    def begun(cls, status: str, headers: list[tuple[str, str]], body: Iterable[bytes],
              environ: dict[str, Any]) -> 'Response':
        """An answer of which ``begin`` told the start."""
        response = cls.__new__(cls)
        response.status = int(status[:3])
        response.headers = Headers()
        for name, value in headers:
            if name in response.headers:
                response.headers.add(name, value)
            else:
                response.headers[name] = value
        response.app_iter = body
        response._body = None
        response.environ = environ
        return response

    @property
    def is_success(self) -> bool:
        """2xx."""
        return 200 <= self.status < 300

    @property
    def body(self) -> bytes:
        """The whole body.  A stream is read to its end and closed."""
        if self._body is None:
            try:
                self._body = b''.join(self.app_iter)
            finally:
                self.close()
            self.app_iter = (self._body,)
        return self._body

    @body.setter
    def body(self, value: bytes | str) -> None:
        self._body = value.encode('utf-8') if isinstance(value, str) else value
        self.app_iter = (self._body,)
        self.headers['Content-Length'] = str(len(self._body))

    def set_stream(self, stream: Iterable[bytes]) -> None:
        """Replace the body by a stream; Content-Length stays as it is."""
        self._body = None
        self.app_iter = stream

    @property
    def content_length(self) -> int | None:
        """Bytes of the body, if it is known."""
        value = self.headers.get('Content-Length')
        return int(value) if value is not None else None

    @property
    def etag(self) -> str | None:
        """The entity tag without its quotes."""
        value = self.headers.get('Etag')
        return value.strip('"') if value else value

    def close(self) -> None:
        """Give back what the body holds (files, connections); safe to call again."""
        close = getattr(self.app_iter, 'close', None)
        if close is not None:
            close()

    def drain(self, limit: int = 65536) -> None:
        """Read a short rest so that its connection can be used again, then close."""
        try:
            for piece in self.app_iter:
                limit -= len(piece)
                if limit < 0:
                    break
        finally:
            self.close()

    def conditional(self, environ: Mapping[str, Any], etag: str | None = None) -> 'Response':
        """Apply If-(None-)Match, If-(Un)Modified-Since, If-Range and Range to this whole answer, in place.

        ``etag``: what to compare instead of this answer's (encryption and large
        objects keep the client's elsewhere).  Ranges want a body of known length:
        bytes, or a stream with ``ranged(start, stop)``.
        """
        if not self.is_success or environ['REQUEST_METHOD'] not in ('GET', 'HEAD'):
            return self
        tag = (etag or self.etag or '').strip('"')
        status = _precondition(environ, tag, self.headers.get('Last-Modified'))
        if status:
            self.status = status
            self.close()
            if status == 304:
                self._body, self.app_iter = b'', ()
                del self.headers['Content-Length']
            else:
                self.body = b''
            return self
        if self.status == 200 and environ['REQUEST_METHOD'] == 'GET' and 'HTTP_RANGE' in environ \
                and _if_range(environ, tag, self.headers.get('Last-Modified')):
            self._apply_ranges(ranges.within(ranges.parse(environ['HTTP_RANGE']), self.content_length))
        return self

    def _apply_ranges(self, spans: list[tuple[int, int]] | None) -> None:
        length = self.content_length
        if spans is None or length is None:
            return
        if not spans:
            self.close()
            self.status = 416
            self.body = render(416)
            self.headers['Content-Type'] = 'text/html; charset=UTF-8'
            self.headers['Content-Range'] = f'bytes */{length}'
            return
        whole, stream = self._body, self.app_iter
        cut = (lambda start, stop: (whole[start:stop],)) if whole is not None else stream.ranged  # type: ignore
        self.status = 206
        if len(spans) == 1:
            start, stop = spans[0]
            self.headers['Content-Range'] = f'bytes {start}-{stop - 1}/{length}'
            self.headers['Content-Length'] = str(stop - start)
            self.set_stream(cut(start, stop))
            return
        kind = self.headers.get('Content-Type', 'application/octet-stream')
        boundary = uuid.uuid4().hex
        heads = [part_head(boundary, kind, start, stop, length) for start, stop in spans]
        tail = f'--{boundary}--'.encode('ascii')
        self.headers['Content-Type'] = f'multipart/byteranges;boundary={boundary}'
        self.headers['Content-Length'] = str(sum(map(len, heads)) + sum(stop - start + 2 for start, stop in spans)
                                             + len(tail))

        def parts() -> Iterator[bytes]:
            for head, (start, stop) in zip(heads, spans):
                yield head
                yield from cut(start, stop)
                yield b'\r\n'
            yield tail
        self.set_stream(Stream(parts(), getattr(stream, 'close', None)))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(status_line(self.status), self.headers.pairs())
        if environ['REQUEST_METHOD'] == 'HEAD':
            self.close()
            return ()
        return self.app_iter


def begin(app: Callable[..., Iterable[bytes]],
          environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], Iterable[bytes]]:
    """Run an application until it has said its status line and headers; they, and the body.  Raises what it raises."""
    said: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        said[:] = [status, headers]
        return lambda data: None
    body = app(environ, start_response)
    if not said:    # an application may wait for its first piece
        stream = iter(body)
        first = next(stream, b'')
        body = Stream(chain((first,), stream), getattr(body, 'close', None))
    return said[0], said[1], body


class Stream:
    """An iterator with a ``close`` of its own, called once."""

    __slots__ = ('_pieces', '_close')

    def __init__(self, pieces: Iterable[bytes], close: Callable[[], Any] | None = None) -> None:
        self._pieces = iter(pieces)
        self._close = close

    def __iter__(self) -> 'Stream':
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """End the pieces, then give back what is behind them."""
        ending = getattr(self._pieces, 'close', None)
        close, self._close = self._close, None
        try:
            if ending is not None:
                ending()
        finally:
            if close is not None:
                close()


class HttpError(Exception):
    """An answer that is raised."""

    def __init__(self, status: int, body: bytes | str | None = None,
                 headers: Mapping[str, Any] | None = None) -> None:
        """``body``: plain text, or HTML if ``headers`` say so; default: the published page of the status."""
        super().__init__(status, body)
        self.status = status
        self.headers = headers
        self.body = body

    def __str__(self) -> str:
        return f'{self.status}: {self.body!r}'

    def response(self) -> Response:
        """The answer."""
        return error(self.status, self.body, self.headers)


def render(status: int) -> bytes:
    """The page of a status."""
    name, text = TEXTS.get(status, (status_line(status)[4:], ''))
    return f'<html><h1>{html.escape(name)}</h1><p>{html.escape(text)}</p></html>'.encode()


def error(status: int, body: bytes | str | None = None, headers: Mapping[str, Any] | None = None) -> Response:
    """An answer that says no: with ``body`` as plain text, else with the page of the status."""
    if body is not None:
        response = Response(status, body, {'Content-Type': 'text/plain; charset=UTF-8', **(headers or {})})
    elif status in BODILESS or status < 300:
        response = Response(status, b'', headers)
        if status in BODILESS:
            response.headers['Content-Length'] = '0' if status == 204 else None
    else:
        response = Response(status, render(status), {'Content-Type': 'text/html; charset=UTF-8', **(headers or {})})
    return response


def part_head(boundary: str, kind: str, start: int, stop: int, length: int | str) -> bytes:
    """What precedes one part of a multipart/byteranges body."""
    return (f'--{boundary}\r\nContent-Type: {kind}\r\n'
            f'Content-Range: bytes {start}-{stop - 1}/{length}\r\n\r\n').encode('latin-1')


def matches(header: str, etag: str) -> bool:
    """Whether a list of entity tags, or ``*``, holds this one."""
    wanted = {each.strip().removeprefix('W/').strip('"') for each in header.split(',')}
    return '*' in wanted or etag in wanted


def _seconds(value: str | None) -> float | None:
    """An HTTP date as seconds; ``None`` for what is none."""
    try:
        return parsedate_to_datetime(value).timestamp() if value else None
    except (ValueError, OverflowError, TypeError):
        return None


def _precondition(environ: Mapping[str, Any], etag: str, modified: str | None) -> int | None:
    """304 or 412 if a condition of the request says so (RFC 9110, section 13.2.2)."""
    match = environ.get('HTTP_IF_MATCH')
    if match is not None:
        if not matches(match, etag):
            return 412
    elif 'HTTP_IF_UNMODIFIED_SINCE' in environ:
        since, changed = _seconds(environ['HTTP_IF_UNMODIFIED_SINCE']), _seconds(modified)
        if since is not None and changed is not None and changed > since:
            return 412
    none = environ.get('HTTP_IF_NONE_MATCH')
    if none is not None:
        if matches(none, etag):
            return 304
    elif 'HTTP_IF_MODIFIED_SINCE' in environ:
        since, changed = _seconds(environ['HTTP_IF_MODIFIED_SINCE']), _seconds(modified)
        if since is not None and changed is not None and changed <= since:
            return 304
    return None


def _if_range(environ: Mapping[str, Any], etag: str, modified: str | None) -> bool:
    value = environ.get('HTTP_IF_RANGE')
    if not value:
        return True
    when = _seconds(value)
    return when == _seconds(modified) if when is not None else value.strip().strip('"') == etag

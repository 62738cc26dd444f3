"""A request: a view of its WSGI environ that computes nothing before it is asked."""

import io
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from swift.http import path as paths
from swift.http import ranges
from swift.http.headers import RequestHeaders
from swift.http.response import HttpError, Response
from swift.timestamp import Timestamp, of_header

Environ = dict[str, Any]


class Request:
    """One request.  Strings of the environ are WSGI strings; names out of ``split`` are text."""

    __slots__ = ('acl', 'environ', 'method', 'headers', '_params')

    def __init__(self, environ: Environ) -> None:
        self.environ = environ
        self.method: str = environ['REQUEST_METHOD']
        self.headers = RequestHeaders(environ)
        self._params: dict[str, str] | None = None
        #: the container's, for ``swift.authorize`` to judge by
        self.acl: str | None = None

    @classmethod
    def blank(cls, path: str, *, method: str = 'GET', headers: Mapping[str, Any] | None = None,
              body: bytes | None = None, environ: Mapping[str, Any] | None = None) -> 'Request':
        """A request made here; ``path`` is quoted and may have a query."""
        before, _, query = path.partition('?')
        made: Environ = {
            'REQUEST_METHOD': method, 'SCRIPT_NAME': '', 'PATH_INFO': paths.wsgi_unquote(before),
            'QUERY_STRING': query, 'SERVER_NAME': 'localhost', 'SERVER_PORT': '80', 'HTTP_HOST': 'localhost:80',
            'SERVER_PROTOCOL': 'HTTP/1.0', 'wsgi.version': (1, 0), 'wsgi.url_scheme': 'http',
            'wsgi.input': io.BytesIO(body or b''), 'wsgi.errors': io.StringIO(), 'wsgi.multithread': False,
            'wsgi.multiprocess': False, 'wsgi.run_once': False,
        }
        made.update(environ or {})
        request = cls(made)
        if body is not None:
            made['CONTENT_LENGTH'] = str(len(body))
            made['wsgi.input'] = io.BytesIO(body)
        elif method in ('PUT', 'POST') and 'wsgi.input' not in (environ or {}):
            made.setdefault('CONTENT_LENGTH', '0')
        for name, value in (headers or {}).items():
            request.headers[name] = value
        return request

    @property
    def path(self) -> str:
        """The whole path, unquoted, as a WSGI string."""
        return self.environ.get('SCRIPT_NAME', '') + self.environ['PATH_INFO']

    @property
    def path_info(self) -> str:
        """What is left of the path, as a WSGI string."""
        return self.environ['PATH_INFO']

    @path_info.setter
    def path_info(self, value: str) -> None:
        self.environ['PATH_INFO'] = value

    @property
    def quoted_path(self) -> str:
        """The whole path for the wire."""
        return paths.wsgi_quote(self.path)

    @property
    def query_string(self) -> str:
        """The query, as it came."""
        return self.environ.get('QUERY_STRING', '')

    @query_string.setter
    def query_string(self, value: str) -> None:
        self.environ['QUERY_STRING'] = value
        self._params = None

    @property
    def params(self) -> dict[str, str]:
        """Parameters of the query as text; the last of a name wins.  Raises ``HttpError`` 412 if they are no UTF-8."""
        if self._params is None:
            query = self.query_string
            try:
                self._params = dict(urllib.parse.parse_qsl(
                    query.encode('latin-1').decode('utf-8'), keep_blank_values=True, errors='strict',
                    max_num_fields=1000)) if query else {}
            except ValueError as error:
                raise HttpError(412, 'The query string is not valid UTF-8\n') from error
        return self._params

    @params.setter
    def params(self, values: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        self.query_string = urllib.parse.urlencode(list(values.items() if isinstance(values, Mapping) else values))

    def split(self, least: int = 1, most: int | None = None, rest: bool = False) -> list[Any]:
        """The names of the path, as text.

        Raises ``ValueError`` if it has other pieces, and ``HttpError`` 412 if it is no UTF-8.
        """
        try:
            path = paths.wsgi_to_text(self.path)
        except ValueError as error:
            raise HttpError(412, 'Invalid UTF8 or contains NULL') from error
        return paths.split(path, least, most, rest)

    @property
    def input(self) -> Any:
        """The body, to be read once."""
        return self.environ['wsgi.input']

    @property
    def content_length(self) -> int | None:
        """Bytes of the body if the client said so; raises ``HttpError`` 400 for what is no number."""
        value = self.environ.get('CONTENT_LENGTH')
        if not value:
            return None
        if not (value.isascii() and value.isdecimal()):
            raise HttpError(400, 'Invalid Content-Length')
        return int(value)

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks, its length unknown."""
        return 'chunked' in self.environ.get('HTTP_TRANSFER_ENCODING', '').lower()

    def message_length(self) -> int | None:
        """Bytes of the body; ``None`` if it is chunked.

        Raises ``HttpError`` 400 for a length that is no number and 501 for another transfer encoding.
        """
        coding = self.environ.get('HTTP_TRANSFER_ENCODING')
        if coding:
            if coding.strip().lower() != 'chunked':
                raise HttpError(501, f'Unsupported Transfer-Coding header value: {coding!r}')
            return None
        return self.content_length

    def body(self, limit: int) -> bytes:
        """The whole body, of at most ``limit`` bytes; raises ``HttpError`` 413 for more, 499 if it ends early."""
        length = self.content_length
        if length is not None and length > limit:
            raise HttpError(413)
        pieces, size, stream = [], 0, self.input
        while size <= limit and (length is None or size < length):
            piece = stream.read(min(65536, (limit + 1 if length is None else length) - size))
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
        if size > limit:
            raise HttpError(413)
        if length is not None and size < length:
            raise HttpError(499)
        return b''.join(pieces)

    @property
    def timestamp(self) -> Timestamp:
        """X-Timestamp; raises ``HttpError`` 400 if it is missing or malformed."""
        value = self.environ.get('HTTP_X_TIMESTAMP')
        try:
            return of_header(value)     # type: ignore[arg-type]
        except (ValueError, TypeError) as error:
            raise HttpError(400, 'Missing X-Timestamp header' if value is None else 'Invalid X-Timestamp header',
                            {'Content-Type': 'text/plain'}) from error

    @property
    def trans_id(self) -> str | None:
        """The transaction id that this request goes by in all logs."""
        return self.environ.get('swift.trans_id') or self.environ.get('HTTP_X_TRANS_ID')

    @property
    def ranges(self) -> list[ranges.Span] | None:
        """What Range asks for; ``None`` if there is none that can be understood."""
        return ranges.parse(self.environ.get('HTTP_RANGE'))

    @property
    def remote_addr(self) -> str:
        """Where the request came from, as the connection says."""
        return self.environ.get('REMOTE_ADDR', '')

    @property
    def base_url(self) -> str:
        """Scheme and host as the client wrote them."""
        return f'{self.environ["wsgi.url_scheme"]}://{self.host}'

    @property
    def host(self) -> str:
        """The Host header, or the server's name and port."""
        host = self.environ.get('HTTP_HOST')
        return host or f'{self.environ["SERVER_NAME"]}:{self.environ["SERVER_PORT"]}'

    def copy(self) -> 'Request':
        """The same request in an environ of its own; they share the body and the cache of this request."""
        return Request(dict(self.environ))

    def respond(self, app: Callable[..., Iterable[bytes]]) -> Response:
        """Run an application on this request; its answer, of which the body is not read yet.

        Close it, or return it to the server which does.
        """
        return Response.of(app, self.environ)

    def status(self, app: Callable[..., Iterable[bytes]]) -> int:
        """Run an application on this request for its status alone, be it answered or raised."""
        try:
            response = self.respond(app)
        except HttpError as error:
            return error.status
        response.drain()
        return response.status

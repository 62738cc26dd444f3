"""A request and a response, as thin as they can be over WSGI.

Hot paths read environ; ``req.webob`` is there for the rare header that needs
its parsers (ranges, conditions, content negotiation).
"""

import functools
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import webob

from strata import errors
from strata.context import Context
from strata.rest import schema
from strata.rest.versions import OLDEST, Version

#: most distinct query parameters looked at
MOST_PARAMS = 200


class Request:
    """One HTTP request, with what the application found out about it."""

    def __init__(self, environ: dict[str, Any], wiring: Any = None) -> None:
        self.environ = environ
        self.wiring = wiring
        self.method: str = environ['REQUEST_METHOD']
        self.version: Version = OLDEST
        self.endpoint: Any = None
        self.enforced = False
        #: headers that every response to this request carries, faults included
        self.response_headers: list[tuple[str, str]] = []

    @functools.cached_property
    def path(self) -> str:
        """The path below the mount point; ``errors.Invalid`` if it is not UTF-8."""
        try:
            return self.environ.get('PATH_INFO', '').encode('latin-1').decode('utf-8')
        except UnicodeDecodeError as error:
            raise errors.Invalid('The path is not valid UTF-8.') from error

    @property
    def context(self) -> Context:
        """Who asks; ``None`` only where nobody was identified, and then only PUBLIC endpoints are served."""
        return self.environ.get('strata.context')      # type: ignore[return-value]

    @functools.cached_property
    def query(self) -> dict[str, list[str]]:
        """The query string as lists of values; ``errors.Invalid`` if it is not UTF-8 or absurdly long."""
        try:
            return urllib.parse.parse_qs(self.environ.get('QUERY_STRING', ''), keep_blank_values=True,
                                         errors='strict', max_num_fields=MOST_PARAMS)
        except (UnicodeDecodeError, ValueError) as error:
            raise errors.Invalid('The query string is malformed or has too many parameters.') from error

    def header(self, name: str, default: str | None = None) -> str | None:
        """A request header, by its usual name."""
        key = name.upper().replace('-', '_')
        if key in ('CONTENT_TYPE', 'CONTENT_LENGTH'):
            return self.environ.get(key) or default
        return self.environ.get('HTTP_' + key, default)

    @functools.cached_property
    def body(self) -> bytes:
        """The whole body (bounded by the sizelimit filter); streams use ``environ['wsgi.input']``."""
        length = self.environ.get('CONTENT_LENGTH')
        if not length and 'HTTP_TRANSFER_ENCODING' not in self.environ:
            return b''
        return self.environ['wsgi.input'].read(int(length)) if length else self.environ['wsgi.input'].read()

    @functools.cached_property
    def json(self) -> Any:
        """The body as JSON; ``errors.Invalid`` if it is none, ``UnsupportedMedia`` if it says it is none."""
        kind = (self.header('Content-Type') or 'application/json').partition(';')[0].strip().lower()
        if not (kind == 'application/json' or kind.endswith(('+json', 'json-patch'))):
            raise errors.UnsupportedMedia(type=kind)
        return schema.parse_json(self.body)

    @functools.cached_property
    def webob(self) -> webob.Request:
        """The same request in webob's clothes."""
        return webob.Request(self.environ)

    @property
    def host_url(self) -> str:
        """``scheme://host[:port]`` as the client sees it (forwarding headers are settled before us)."""
        host = self.environ.get('HTTP_HOST') or f"{self.environ['SERVER_NAME']}:{self.environ['SERVER_PORT']}"
        return f"{self.environ['wsgi.url_scheme']}://{host}"

    @property
    def application_url(self) -> str:
        """The URL of the mount point, without a trailing slash."""
        return self.host_url + self.environ.get('strata.script', self.environ.get('SCRIPT_NAME', '')).rstrip('/')

    @property
    def path_url(self) -> str:
        """The URL of this request without its query."""
        return self.host_url + urllib.parse.quote(
            self.environ.get('strata.script', self.environ.get('SCRIPT_NAME', ''))
            + self.environ.get('strata.path', self.path), safe="/:@!$&'()*+,;=~-._")

    def url(self, path: str, **query: Any) -> str:
        """An absolute URL below the mount point."""
        tail = '?' + urllib.parse.urlencode(query) if query else ''
        return f'{self.application_url}{path}{tail}'

    def enforce(self, target: Mapping[str, Any] | None = None, rule: Any = None) -> None:
        """Check the endpoint's rule (or another) against a loaded object, or raise ``errors.Forbidden``."""
        self.enforced = True
        checked = rule or self.endpoint.allow
        self.wiring.policy.check(checked.name, self.context, target)

    def allows(self, rule: Any, target: Mapping[str, Any] | None = None) -> bool:
        """Whether a declared rule lets the caller do more."""
        return self.wiring.policy.allows(rule.name, self.context, target)


class Response:
    """What a handler returns when a dict is not enough.

    ``body`` is JSON if it is a dict or list, else bytes, text, or an iterable
    of bytes that the server streams (with ``length`` if it is known).
    """

    def __init__(self, status: int | None = None, body: Any = None, headers: Mapping[str, str] | None = None,
                 content_type: str | None = None, length: int | None = None) -> None:
        self.status, self.body, self.length = status, body, length
        self.headers = dict(headers or {})
        self.content_type = content_type

    def start(self, status: int, more: Iterable[tuple[str, str]]) -> tuple[str, list[tuple[str, str]], Any]:
        """Status line, headers and body iterable, for WSGI."""
        status = self.status or status
        body, kind = self.body, self.content_type
        if isinstance(body, (dict, list)):
            body, kind = orjson.dumps(body, default=str), kind or 'application/json'
        elif isinstance(body, str):
            body, kind = body.encode(), kind or 'text/plain; charset=UTF-8'
        headers = [*self.headers.items(), *more]
        if body is None:
            body = b''
        if isinstance(body, bytes):
            if status not in (204, 304):
                headers.append(('Content-Length', str(len(body))))
            body = [body] if body else []
        elif self.length is not None:
            headers.append(('Content-Length', str(self.length)))
        if status not in (204, 304) and (kind or self.body is not None):
            headers.append(('Content-Type', kind or 'application/octet-stream'))
        return f'{status} {REASONS.get(status, "Unknown")}', headers, body


REASONS = {
    200: 'OK', 201: 'Created', 202: 'Accepted', 203: 'Non-Authoritative Information', 204: 'No Content',
    206: 'Partial Content', 300: 'Multiple Choices', 301: 'Moved Permanently', 302: 'Found', 303: 'See Other',
    304: 'Not Modified', 307: 'Temporary Redirect', 308: 'Permanent Redirect', 400: 'Bad Request',
    401: 'Unauthorized', 402: 'Payment Required', 403: 'Forbidden', 404: 'Not Found',
    405: 'Method Not Allowed', 406: 'Not Acceptable', 408: 'Request Timeout', 409: 'Conflict', 410: 'Gone',
    411: 'Length Required', 412: 'Precondition Failed', 413: 'Content Too Large', 414: 'URI Too Long',
    415: 'Unsupported Media Type', 416: 'Range Not Satisfiable', 417: 'Expectation Failed',
    422: 'Unprocessable Content', 428: 'Precondition Required', 429: 'Too Many Requests',
    431: 'Request Header Fields Too Large', 499: 'Client Disconnect', 500: 'Internal Server Error',
    501: 'Not Implemented', 502: 'Bad Gateway', 503: 'Service Unavailable', 504: 'Gateway Timeout',
    505: 'HTTP Version Not Supported', 507: 'Insufficient Storage'}

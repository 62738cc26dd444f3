"""The filters every pipeline is made of: request id, sizes, proxies, health.

The functions in lower case are paste filter factories:

    [filter:request_id]
    paste.filter_factory = strata.wsgi.middleware:request_id
"""

import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from strata import context as contexts
from strata import errors
from strata.rest import fault as faults
from strata.rest.request import Request, Response
from strata.wsgi.body import BodyTooLarge

App = Callable[..., Iterable[bytes]]
Environ = dict[str, Any]
#: how a service shows its errors: one of ``strata.rest.fault``
Form = Callable[[Request, errors.Error], Response]

_FORWARDED = ('HTTP_X_FORWARDED_FOR', 'HTTP_X_FORWARDED_PROTO', 'HTTP_X_FORWARDED_HOST',
              'HTTP_X_FORWARDED_PREFIX', 'HTTP_X_FORWARDED_PORT', 'HTTP_X_REAL_IP', 'HTTP_FORWARDED')
_HOST = re.compile(r'[A-Za-z0-9._\-]+(?::[0-9]{1,5})?\Z|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?\Z')
_PREFIX = re.compile(r'(?:/[A-Za-z0-9._~\-]+)+/?\Z')


def answer(start_response: Any, status: str, text: str, headers: Sequence[tuple[str, str]] = (),
           kind: str = 'text/plain; charset=UTF-8') -> list[bytes]:
    """A short answer of a filter's own."""
    body = text.encode()
    start_response(status, [('Content-Type', kind), ('Content-Length', str(len(body))), *headers])
    return [body]


def refuse(environ: Environ, start_response: Any, error: errors.Error, form: Form,
           headers: Sequence[tuple[str, str]] = ()) -> Iterable[bytes]:
    """An error of a filter's own, in the service's form."""
    response = form(Request(environ), error)
    response.headers.update(headers)
    status, said, body = response.start(error.status, [])
    start_response(status, said)
    return body     # type: ignore[no-any-return]


class RequestId:
    """Names the request, makes its ``Context`` and tells the client the name.

    A client's own ``X-OpenStack-Request-ID`` becomes the context's global id.
    ``also`` is a second response header with the id (X-Compute-Request-Id).
    """

    def __init__(self, app: App, *, also: str | None = None) -> None:
        self._app = app
        self._names = ['x-openstack-request-id', *([also] if also else [])]

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        context = contexts.Context(remote_address=environ.get('REMOTE_ADDR') or None)
        theirs = environ.get('HTTP_X_OPENSTACK_REQUEST_ID')
        if theirs and contexts.is_request_id(theirs):
            context.global_request_id = theirs
        environ['strata.request_id'] = environ['openstack.request_id'] = request_id = context.request_id
        environ['strata.context'] = context
        contexts.CURRENT.set(context)
        names = self._names

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            said = {name.lower() for name, _ in headers}
            more = [(name, request_id) for name in names if name.lower() not in said]
            return start_response(status, [*headers, *more], exc_info)
        return self._app(environ, start)


class _Bounded:
    """An input of unknown length that may not grow beyond ``most`` bytes."""

    def __init__(self, stream: Any, most: int) -> None:
        self._stream = stream
        self._most = self._left = most

    def _count(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise BodyTooLarge(most=self._most)
        return data

    def _size(self, size: int | None) -> int:
        return self._left + 1 if size is None or size < 0 else min(size, self._left + 1)

    def read(self, size: int | None = -1) -> bytes:
        """As any file's; raises ``BodyTooLarge``."""
        return self._count(self._stream.read(self._size(size)))

    def readline(self, size: int | None = -1) -> bytes:
        """As any file's; raises ``BodyTooLarge``."""
        return self._count(self._stream.readline(self._size(size)))

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """All lines; raises ``BodyTooLarge``."""
        return list(self)

    def __iter__(self) -> Any:
        return iter(self.readline, b'')


class SizeLimit:
    """Refuses bodies of more than ``most`` bytes, announced or not."""

    def __init__(self, app: App, most: int, form: Form = faults.plain) -> None:
        self._app = app
        self._most = most
        self._form = form

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        length = environ.get('CONTENT_LENGTH')
        if length:
            if int(length) > self._most:
                return refuse(environ, start_response, BodyTooLarge(most=self._most), self._form)
        elif 'HTTP_TRANSFER_ENCODING' in environ:
            environ['wsgi.input'] = _Bounded(environ['wsgi.input'], self._most)
        return self._app(environ, start_response)


class ProxyHeaders:
    """Believes X-Forwarded-{For,Proto,Host,Prefix} of trusted proxies and removes everybody else's.

    ``trusted``: addresses and networks, and ``unix`` for whoever comes by a
    Unix socket.  Of several values the last counts: it was the nearest proxy's.
    """

    def __init__(self, app: App, trusted: Iterable[str]) -> None:
        names = [name.strip() for name in trusted if name.strip()]
        self._app = app
        self._networks = [ipaddress.ip_network(name, strict=False) for name in names if name != 'unix']
        self._unix = 'unix' in names
        self._known: dict[str, bool] = {}

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        said = {}
        for name in _FORWARDED:
            if name in environ:
                said[name] = environ.pop(name)
        if said and self._trusts(environ.get('REMOTE_ADDR', '')):
            self._apply(environ, said)
        return self._app(environ, start_response)

    def _trusts(self, address: str) -> bool:
        known = self._known.get(address)
        if known is None:
            if len(self._known) > 1000:
                self._known.clear()
            known = self._known[address] = self._looks_up(address)
        return known

    def _looks_up(self, address: str) -> bool:
        if not address:
            return self._unix
        try:
            number = ipaddress.ip_address(address.partition('%')[0])
        except ValueError:
            return False
        return any(number in network for network in self._networks)

    def _apply(self, environ: Environ, said: dict[str, str]) -> None:
        proto = _last(said.get('HTTP_X_FORWARDED_PROTO')).lower()
        if proto in ('http', 'https'):
            environ['wsgi.url_scheme'] = proto
        host = _last(said.get('HTTP_X_FORWARDED_HOST'))
        if _HOST.match(host):
            environ['HTTP_HOST'] = host
        prefix = _last(said.get('HTTP_X_FORWARDED_PREFIX'))
        if _PREFIX.match(prefix):
            environ['SCRIPT_NAME'] = prefix.rstrip('/') + environ.get('SCRIPT_NAME', '')
        for address in reversed(said.get('HTTP_X_FORWARDED_FOR', '').split(',')):
            address = address.strip()
            if not _is_address(address):
                break
            environ['REMOTE_ADDR'] = address
            if not self._trusts(address):
                break


def _last(value: str | None) -> str:
    return (value or '').rpartition(',')[2].strip()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class HealthCheck:
    """Answers ``path`` before any authentication; 503 while the file ``disable`` exists."""

    def __init__(self, app: App, *, path: str = '/healthcheck', disable: str | None = None) -> None:
        self._app = app
        self._path = path
        self._disable = disable

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        if environ.get('PATH_INFO') != self._path:
            return self._app(environ, start_response)
        if environ['REQUEST_METHOD'] not in ('GET', 'HEAD'):
            return answer(start_response, '405 Method Not Allowed', 'GET or HEAD', [('Allow', 'GET, HEAD')])
        if self._disable and os.path.exists(self._disable):
            return answer(start_response, '503 Service Unavailable', 'DISABLED BY FILE')
        return answer(start_response, '200 OK', 'OK')


Filter = Callable[[App], App]


def request_id(global_conf: dict[str, str], also: str | None = None, **options: str) -> Filter:
    """paste: ``also = X-Compute-Request-Id``, if the service has a header of its own."""
    return lambda app: RequestId(app, also=also)


def sizelimit(global_conf: dict[str, str], max_request_body_size: str = '114688', fault: str = 'plain',
              **options: str) -> Filter:
    """paste: ``max_request_body_size`` in bytes; ``fault``: the form of the refusal."""
    form = fault_form(fault)
    return lambda app: SizeLimit(app, int(max_request_body_size), form)


def fault_form(name: str) -> Form:
    """The form of errors that a paste file names; ``errors.Invalid`` if there is none of the name."""
    if name not in faults.FORMS:
        raise errors.Invalid('There is no form of errors {name}; there are {known}.', name=name,
                             known=', '.join(sorted(faults.FORMS)))
    return faults.FORMS[name]


def proxy_headers(global_conf: dict[str, str], trusted_proxies: str = '', **options: str) -> Filter:
    """paste: ``trusted_proxies``, networks divided by commas; for a server that does not do it itself."""
    return lambda app: ProxyHeaders(app, trusted_proxies.split(','))


def healthcheck(global_conf: dict[str, str], path: str = '/healthcheck',
                disable_by_file_path: str | None = None, **options: str) -> Filter:
    """paste: ``path``, ``disable_by_file_path``."""
    return lambda app: HealthCheck(app, path=path, disable=disable_by_file_path)

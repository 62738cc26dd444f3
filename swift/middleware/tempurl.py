"""Addresses that carry their own permission: one method on one object, or on all of a prefix, until a time.

    [filter:tempurl]
    use = egg:swift#tempurl
    methods = GET HEAD PUT POST DELETE
    incoming_remove_headers = x-timestamp x-open-expired
    incoming_allow_headers =
    outgoing_remove_headers = x-object-meta-*
    outgoing_allow_headers = x-object-meta-public-*
    allowed_digests = sha256 sha512

The signature is over ``METHOD\\nEXPIRES\\nPATH``; the path is ``prefix:`` and a
path for all below it; ``ip=RANGE\\n`` comes first for an address that serves
clients of that range only.  What a signature of GET, PUT or POST allows, HEAD
may ask about too.
"""

import calendar
import ipaddress
import time
import urllib.parse
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import Any

from swift import conf as confs
from swift.http import info
from swift.http.application import serving
from swift.http.headers import environ_key
from swift.http.request import Request
from swift.http.response import HttpError, Response
from swift.middleware import signatures

USER = '.wsgi.tempurl'
#: headers that would let a signature for one object reach others
FORBIDDEN = ('X-Object-Manifest', 'X-Symlink-Target', 'X-Copy-From')
#: methods whose signature is good for HEAD
LOOKED_AT = ('HEAD', 'GET', 'PUT', 'POST')
#: what of the query the rest of the pipeline sees and logs
KEPT = ('temp_url_sig', 'temp_url_expires', 'temp_url_prefix', 'filename', 'inline')

OPTIONS = {
    'methods': confs.Option(confs.words, ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'], 'that an address may allow'),
    'incoming_remove_headers': confs.Option(confs.words, ['x-timestamp', 'x-open-expired'],
                                            'of requests, taken out; * at the end of a name stands for any rest'),
    'incoming_allow_headers': confs.Option(confs.words, [], 'of requests, kept in spite of that'),
    'outgoing_remove_headers': confs.Option(confs.words, ['x-object-meta-*'], 'of answers, taken out'),
    'outgoing_allow_headers': confs.Option(confs.words, ['x-object-meta-public-*'], 'of answers, kept'),
    'allowed_digests': confs.Option(confs.words, signatures.DEFAULT, 'algorithms of signatures'),
}


class Names:
    """Header names, of which some end in ``*``; ``key`` is how a name is written where it is looked for."""

    def __init__(self, names: Iterable[str], key: Callable[[str], str] = str.lower) -> None:
        names = [name.lower() for name in names]
        self._exact = frozenset(key(name) for name in names if not name.endswith('*'))
        self._starts = tuple(key(name[:-1]) for name in names if name.endswith('*'))

    def __contains__(self, name: str) -> bool:
        return name in self._exact or name.startswith(self._starts)


class TempUrl:
    """The filter."""

    def __init__(self, app: Any, conf: Any) -> None:
        self.app = app
        self._methods = frozenset(method.upper() for method in conf.methods)
        self._digests = frozenset(conf.allowed_digests)
        self._in_removed = Names(conf.incoming_remove_headers, environ_key)
        self._in_allowed = Names(conf.incoming_allow_headers, environ_key)
        self._out_removed = Names(conf.outgoing_remove_headers)
        self._out_allowed = Names(conf.outgoing_allow_headers)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if 'temp_url_' not in environ.get('QUERY_STRING', '') or environ['REQUEST_METHOD'] == 'OPTIONS':
            return self.app(environ, start_response)
        return self._serve(environ, start_response)

    @serving
    def _serve(self, request: Request) -> Any:
        params = request.params
        if 'temp_url_sig' not in params and 'temp_url_expires' not in params:
            return self.app
        if request.method not in self._methods:
            raise refused()
        account, container, name = _names(request)
        expires = expiry(params.get('temp_url_expires', ''))
        if expires is None or expires < time.time():
            raise refused()
        message = self._message(request, params, expires, name)
        self._check(request, params.get('temp_url_sig', ''), message, account, container)
        self._clean(request, params)
        answer = request.respond(self.app)
        self._dress(request, answer, params, expires, name)
        return answer

    def _message(self, request: Request, params: dict[str, str], expires: int, name: str) -> bytes:
        """What the signature must be over, but for the method."""
        path = request.path.encode('latin-1')
        prefix = params.get('temp_url_prefix')
        if prefix is not None:
            if not name.startswith(prefix):
                raise refused()
            path = b'prefix:' + path[:len(path) - len(name.encode('utf-8'))] + prefix.encode('utf-8')
        return b'%d\n%s' % (expires, path)

    def _check(self, request: Request, signature: str, message: bytes, account: str, container: str) -> None:
        """Find the key that signed; the request has its rights then."""
        start = _place(request)
        try:
            algorithm, digest = signatures.parse(signature)
        except ValueError:
            raise refused() from None
        if algorithm not in self._digests:
            raise refused()
        methods = LOOKED_AT if request.method == 'HEAD' else (request.method,)
        key = signatures.signer(signatures.keys(request.environ, self.app),
                                (b'%s%s\n%s' % (start, each.encode('ascii'), message) for each in methods),
                                algorithm, digest)
        if key is None:
            raise refused()
        signatures.authorize(request.environ, USER, account, container if key[1] else None)

    def _clean(self, request: Request, params: dict[str, str]) -> None:
        """Take out of the request what its signature does not cover."""
        for header in FORBIDDEN:
            if header in request.headers:
                raise HttpError(400, f"The header '{header}' is not allowed in this tempurl")
        for key in [key for key in request.environ if key.startswith('HTTP_')]:
            if key in self._in_removed and key not in self._in_allowed:
                del request.environ[key]
        request.query_string = urllib.parse.urlencode({key: params[key] for key in KEPT if key in params})

    def _dress(self, request: Request, answer: Response, params: dict[str, str], expires: int, name: str) -> None:
        """What the client sees: headers that it may, how to show the body, and until when."""
        for header in list(answer.headers):
            key = header.lower()
            if key in self._out_removed and key not in self._out_allowed:
                del answer.headers[header]
        if request.method not in ('GET', 'HEAD') or not answer.is_success:
            return
        filename = params.get('filename')
        if 'inline' in params:
            answer.headers['Content-Disposition'] = disposition('inline', filename) if filename else 'inline'
        elif filename:
            answer.headers['Content-Disposition'] = disposition('attachment', filename)
        elif 'Content-Disposition' not in answer.headers:
            last = name.rstrip('/').rpartition('/')[2]
            answer.headers['Content-Disposition'] = disposition('attachment', last)
        answer.headers['Expires'] = formatdate(expires, usegmt=True)


def refused() -> HttpError:
    """The one answer to whatever is wrong with an address."""
    return HttpError(401, '401 Unauthorized: Temp URL invalid\n', signatures.CHALLENGE)


def _names(request: Request) -> tuple[str, str, str]:
    """Account, container and object."""
    try:
        _, account, container, name = request.split(4, 4, True)
    except ValueError:
        raise refused() from None
    return account, container, name


def _place(request: Request) -> bytes:
    """What the range of allowed clients adds to the message; refuses clients outside of it."""
    given = request.params.get('temp_url_ip_range')
    if given is None:
        return b''
    try:
        inside = ipaddress.ip_address(request.remote_addr) in ipaddress.ip_network(given)
    except ValueError:
        inside = False
    if not inside:
        raise refused()
    return b'ip=%s\n' % given.encode('utf-8')


def expiry(value: str) -> int | None:
    """Seconds since 1970 of ``1700000000`` or ``2023-11-14T22:13:20Z``; ``None`` for anything else."""
    if value.isascii() and value.isdecimal() and len(value) < 12:
        return int(value)
    try:
        return calendar.timegm(time.strptime(value, '%Y-%m-%dT%H:%M:%SZ'))
    except ValueError:
        return None


def disposition(kind: str, filename: str) -> str:
    """A Content-Disposition header, its name percent-encoded so that nothing in it can end the header."""
    plain, exact = (urllib.parse.quote(filename, safe) for safe in (' /', '/'))
    return f"""{kind}; filename="{plain}"; filename*=UTF-8\'\'{exact}"""


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], TempUrl]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:tempurl]')
    conf.allowed_digests = signatures.digests(conf.allowed_digests, '[filter:tempurl]')
    info.register('tempurl', methods=conf.methods, incoming_remove_headers=conf.incoming_remove_headers,
                  incoming_allow_headers=conf.incoming_allow_headers,
                  outgoing_remove_headers=conf.outgoing_remove_headers,
                  outgoing_allow_headers=conf.outgoing_allow_headers, allowed_digests=conf.allowed_digests,
                  deprecated_digests=[name for name in conf.allowed_digests if name in signatures.DEPRECATED])
    return lambda app: TempUrl(app, conf)

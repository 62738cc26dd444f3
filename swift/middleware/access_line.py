"""One line of the access log: which words a template may hold, and what each stands for."""

import functools
import hashlib
import os
import re
import time
from collections.abc import Callable
from typing import Any

from strata import errors
from swift.http import path as paths
from swift.http.headers import header_name

TEMPLATE = ('{client_ip} {remote_addr} {end_time.datetime} {method} {path} {protocol} {status_int} {referer} '
            '{user_agent} {auth_token} {bytes_recvd} {bytes_sent} {client_etag} {transaction_id} {headers} '
            '{request_time} {source} {log_info} {start_time} {end_time} {policy_index} {access_user_id}')

_WORD = re.compile(r'\{([a-z_]+)(?:\.([a-z0-9]+))?\}')
_PLAIN = re.compile(r'[A-Za-z0-9_.~/:-]+\Z')
_SECRET_PARAMETERS = re.compile(r'((?:\A|[&?;])(?:temp_url_sig|x-amz-signature|signature|sig)=)([^&]*)', re.I)
#: headers of which the log shows but the beginning
_SECRET_HEADERS = frozenset({
    'HTTP_X_AUTH_TOKEN', 'HTTP_X_STORAGE_TOKEN', 'HTTP_X_SERVICE_TOKEN', 'HTTP_AUTHORIZATION', 'HTTP_COOKIE',
    'HTTP_X_AUTH_KEY', 'HTTP_X_STORAGE_PASS', 'HTTP_X_CONTAINER_SYNC_KEY', 'HTTP_X_CONTAINER_SYNC_AUTH',
    'HTTP_X_ACCOUNT_META_TEMP_URL_KEY', 'HTTP_X_ACCOUNT_META_TEMP_URL_KEY_2',
    'HTTP_X_CONTAINER_META_TEMP_URL_KEY', 'HTTP_X_CONTAINER_META_TEMP_URL_KEY_2'})
_ANONYMOUS = frozenset({'client_ip', 'remote_addr', 'domain', 'path', 'referer', 'user_agent', 'headers',
                        'client_etag', 'account', 'container', 'object'})
#: how a time may be written; each takes nanoseconds
_TIMES: dict[str, Callable[[int], str]] = {
    'datetime': lambda ns: _moment('%d/%b/%Y/%H/%M/%S', ns // 10 ** 9),
    'iso8601': lambda ns: _moment('%Y-%m-%dT%H:%M:%S', ns // 10 ** 9),
    'asctime': lambda ns: _moment('%a %b %e %H:%M:%S %Y', ns // 10 ** 9),
    's': lambda ns: str(ns // 10 ** 9),
    'ms': lambda ns: str(ns // 10 ** 6 % 10 ** 3),
    'us': lambda ns: str(ns // 10 ** 3 % 10 ** 6),
    'ns': lambda ns: str(ns % 10 ** 9),
}


class Seen:
    """What is known of one request; times in nanoseconds since 1970."""

    __slots__ = ('environ', 'method', 'path', 'query', 'start', 'end', 'first', 'status', 'logged', 'headers',
                 'input', 'sent')

    def __init__(self, environ: dict[str, Any], start: int) -> None:
        self.environ = environ
        # as the client said it: filters further in may rewrite them
        self.method: str = environ['REQUEST_METHOD']
        self.path: str = environ.get('SCRIPT_NAME', '') + environ.get('PATH_INFO', '')
        self.query: str = environ.get('QUERY_STRING', '')
        self.start = self.end = start
        self.first = 0
        self.status = 0
        self.logged = 0
        self.headers: list[tuple[str, str]] = []
        self.input: Any = None
        self.sent = 0

    def began(self) -> None:
        """The first bytes of the body are there."""
        self.first = time.time_ns()

    @property
    def received(self) -> int:
        """Bytes of the request's body."""
        return self.input.size if self.input is not None else 0

    @property
    def status_int(self) -> int:
        """The status, or 499 for a client that went away."""
        return 499 if self.input is not None and self.input.broken and self.status < 400 else \
            self.logged or self.status


@functools.lru_cache(64)
def _moment(form: str, second: int) -> str:
    return time.strftime(form, time.gmtime(second))


@functools.lru_cache(4096)
def _quoted(text: str) -> str:
    return paths.wsgi_quote(text, '/:')


def quoted(value: str | None) -> str:
    """A value as it stands in a line: without white space, ``-`` if there is none."""
    if not value:
        return '-'
    return value if _PLAIN.match(value) else _quoted(value) if len(value) < 256 else paths.wsgi_quote(value, '/:')


class Line:
    """Renders lines by the template of a configuration."""

    def __init__(self, conf: Any) -> None:
        """Raises ``errors.Invalid`` for words that the template may not hold."""
        self._reveal = conf.reveal_sensitive_prefix
        self._with_headers = conf.access_log_headers
        self._only = {'HTTP_' + name.upper().replace('-', '_') for name in conf.access_log_headers_only}
        self._method, self._salt = conf.log_anonymization_method, conf.log_anonymization_salt
        try:
            hashlib.new(self._method.lower(), b'')
        except ValueError:
            raise errors.Invalid(f'[filter:proxy-logging]: log_anonymization_method = {self._method}: no hash') \
                from None
        self._makers: list[Callable[[Seen], str]] = []
        literal = ''
        position = 0
        template = conf.log_msg_template
        for match in _WORD.finditer(template):
            literal += template[position:match.start()].replace('%', '%%') + '%s'
            position = match.end()
            self._makers.append(self._maker(match.group(1), match.group(2)))
        rest = template[position:]
        if '{' in rest or '{' in literal:
            raise errors.Invalid(f'[filter:proxy-logging]: log_msg_template = {template}: stray brace')
        self._format = literal + rest.replace('%', '%%')

    def render(self, seen: Seen) -> str:
        """The line of one request."""
        return self._format % tuple([make(seen) for make in self._makers])

    def _maker(self, word: str, form: str | None) -> Callable[[Seen], str]:
        if word in ('start_time', 'end_time'):
            moment = _start if word == 'start_time' else _end
            if form is None:
                return lambda seen: f'{moment(seen) // 10 ** 9}.{moment(seen) % 10 ** 9:09d}'
            if form in _TIMES:
                write = _TIMES[form]
                return lambda seen: quoted(write(moment(seen)))
        elif word in ('path', 'auth_token', 'headers', 'referer'):
            plain = getattr(self, f'_{word}')
        else:
            plain = _FIELDS.get(word)       # type: ignore[assignment]
            if plain is None:
                raise errors.Invalid(f'[filter:proxy-logging]: log_msg_template: there is no {{{word}}}')
        if word in ('start_time', 'end_time') or form not in (None, 'anonymized') \
                or form and word not in _ANONYMOUS:
            raise errors.Invalid(f'[filter:proxy-logging]: log_msg_template: there is no {{{word}.{form}}}')
        if form == 'anonymized':
            return lambda seen: self._anonymous(plain(seen))
        return lambda seen: quoted(plain(seen))

    def _anonymous(self, value: str | None) -> str:
        if not value:
            return '-'
        hashed = hashlib.new(self._method.lower(), usedforsecurity=False)
        hashed.update((self._salt + value).encode('latin-1', 'replace'))
        return f'{{{"S" if self._salt else ""}{self._method.upper()}}}{hashed.hexdigest()}'

    def obscured(self, value: str | None) -> str | None:
        """The beginning of a secret."""
        if value and len(value) > self._reveal:
            return value[:self._reveal] + '...'
        return value

    def _hide(self, query: str) -> str:
        """A query or an address without its secrets."""
        if 'ig' not in query and 'IG' not in query:
            return query
        return _SECRET_PARAMETERS.sub(lambda match: match.group(1) + (self.obscured(match.group(2)) or ''), query)

    def _path(self, seen: Seen) -> str:
        path = paths.wsgi_quote(seen.path)
        return f'{path}?{self._hide(seen.query)}' if seen.query else path

    def _referer(self, seen: Seen) -> str | None:
        referer = seen.environ.get('HTTP_REFERER')
        return self._hide(referer) if referer else referer

    def _auth_token(self, seen: Seen) -> str | None:
        return self.obscured(seen.environ.get('HTTP_X_AUTH_TOKEN') or seen.environ.get('HTTP_X_STORAGE_TOKEN'))

    def _headers(self, seen: Seen) -> str | None:
        if not self._with_headers:
            return None
        said = []
        for key, value in seen.environ.items():
            if not key.startswith('HTTP_') and key not in ('CONTENT_TYPE', 'CONTENT_LENGTH'):
                continue
            if self._only and key not in self._only and f'HTTP_{key}' not in self._only:
                continue
            shown = self.obscured(value) if key in _SECRET_HEADERS else self._hide(value)
            said.append(f'{header_name(key)}: {shown}')
        return '\n'.join(said)


def _start(seen: Seen) -> int:
    return seen.start


def _end(seen: Seen) -> int:
    return seen.end


def client_ip(environ: dict[str, Any]) -> str:
    """Who asks, as load balancers say, else as the connection says."""
    client = environ.get('HTTP_X_CLUSTER_CLIENT_IP')
    if not client and 'HTTP_X_FORWARDED_FOR' in environ:
        client = environ['HTTP_X_FORWARDED_FOR'].split(',')[0].strip()
    return client or environ.get('REMOTE_ADDR', '')


def _piece(number: int) -> Callable[[Seen], str | None]:
    """account (2), container (3), object (4) of the path."""
    def piece(seen: Seen) -> str | None:
        pieces = seen.path.split('/', 4)
        if len(pieces) <= number or pieces[0] or not pieces[1].startswith('v1'):
            return None
        return pieces[number]
    return piece


def policy_index(seen: Seen) -> str | None:
    """Of an object: as the request or the answer says, or as is known of its container."""
    index = seen.environ.get('HTTP_X_BACKEND_STORAGE_POLICY_INDEX')
    if index is None:
        index = next((value for name, value in seen.headers
                      if name.lower() == 'x-backend-storage-policy-index'), None)
    if index is None:
        pieces = seen.path.split('/', 4)
        known = seen.environ.get('swift.infocache')
        if len(pieces) == 5 and known:
            try:
                container = paths.wsgi_to_text(f'container/{pieces[2]}/{pieces[3]}')
            except ValueError:
                return None
            index = (known.get(container) or {}).get('storage_policy')
    return index


def _domain(seen: Seen) -> str:
    host = seen.environ.get('HTTP_HOST', '')
    return host.rpartition(':')[0] if re.search(r':[0-9]+\Z', host) else host


_FIELDS: dict[str, Callable[[Seen], str | None]] = {
    'client_ip': lambda seen: client_ip(seen.environ),
    'remote_addr': lambda seen: seen.environ.get('REMOTE_ADDR'),
    'domain': _domain,
    'method': lambda seen: seen.method,
    'protocol': lambda seen: seen.environ.get('SERVER_PROTOCOL'),
    'status_int': lambda seen: str(seen.status_int),
    'wire_status_int': lambda seen: str(seen.status),
    'user_agent': lambda seen: seen.environ.get('HTTP_USER_AGENT'),
    'bytes_recvd': lambda seen: str(seen.received) if seen.received else None,
    'bytes_sent': lambda seen: str(seen.sent) if seen.sent else None,
    'client_etag': lambda seen: seen.environ.get('HTTP_ETAG'),
    'transaction_id': lambda seen: seen.environ.get('swift.trans_id'),
    'request_time': lambda seen: f'{(seen.end - seen.start) / 1e9:.4f}',
    'ttfb': lambda seen: str(((seen.first or seen.end) - seen.start) / 1e9),
    'source': lambda seen: seen.environ.get('swift.source'),
    'log_info': lambda seen: ','.join(seen.environ.get('swift.log_info') or ()),
    'policy_index': policy_index,
    'account': _piece(2), 'container': _piece(3), 'object': _piece(4),
    'pid': lambda seen: str(os.getpid()),
    'access_user_id': lambda seen: (seen.environ.get('swift.access_logging') or {}).get('user_id'),
}

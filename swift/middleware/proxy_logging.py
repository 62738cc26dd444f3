"""The access log: a line for each request of a client, in the published form.

    [filter:proxy-logging]
    use = egg:swift#proxy_logging
    access_log_headers = false
    reveal_sensitive_prefix = 16
    log_msg_template = {client_ip} {remote_addr} {end_time.datetime} {method} {path} ...

It stands in the pipeline twice: on the left for requests that a filter
answers, on the right for those that filters make themselves; no request is
logged twice.  Each value is percent-encoded, an empty one is ``-``, so that
lines can be split at white space.  Of secrets in it (tokens, signatures) only
the first characters are shown.

With ``log_statsd_host`` (or ``access_log_statsd_host``; so for each of its options) the times and the bytes
of requests are told by UDP as well::

    proxy-server.<account, container, object or object.policy.N>.<verb>.<status>.timing
                                                                               .xfer
                                                           .GET.<status>.first-byte.timing
"""

import logging
import logging.handlers
import time
from collections.abc import Callable, Iterable
from typing import Any

from strata import errors, green
from strata.wsgi.body import gather
from swift import conf as confs
from swift import statsd
from swift.middleware import access_line
from swift.middleware.access_line import Seen
from swift.middleware.bodies import Body, Watched

OPTIONS = {
    'access_log_name': confs.Option(confs.text, '', 'how the log calls it; default: log_name, or proxy-server'),
    'access_log_route': confs.Option(confs.text, '', 'name of the logger; default: access_log_name'),
    'access_log_level': confs.Option(confs.text, 'INFO', 'INFO; anything above it turns the log off'),
    'access_log_facility': confs.Option(confs.text, '', 'of syslog; only with one of the two below'),
    'access_log_address': confs.Option(confs.text, '', "a syslog's socket; default: where all logs go"),
    'access_log_udp_host': confs.Option(confs.text, '', 'a syslog server'),
    'access_log_udp_port': confs.Option(confs.positive, 514, 'its port'),
    'access_log_headers': confs.Option(confs.boolean, False, "whether to log requests' headers"),
    'access_log_headers_only': confs.Option(confs.commas, [], 'if given, only these'),
    'reveal_sensitive_prefix': confs.Option(confs.count, 16, 'characters of a secret that are shown'),
    'log_msg_template': confs.Option(confs.text, access_line.TEMPLATE, 'the form of a line'),
    'log_anonymization_method': confs.Option(confs.text, 'MD5', 'a hash, for {client_ip.anonymized} and others'),
    'log_anonymization_salt': confs.Option(confs.text, '', 'what is hashed with it'),
    'log_statsd_valid_http_methods': confs.Option(
        confs.commas, ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'COPY', 'OPTIONS'],
        'methods that have metrics of their own; the others are BAD_METHOD'),
    **statsd.OPTIONS,
    'log_name': confs.Option(confs.text, 'proxy-server', "the server's name in logs"),
}
MADE = 'swift.proxy_access_log_made'


class ProxyLogging:
    """The filter."""

    def __init__(self, app: Any, conf: Any) -> None:
        """Raises ``errors.Invalid`` for a template that names unknown fields."""
        self.app = app
        self._metrics = statsd.Metrics(conf, 'proxy-server') if conf.log_statsd_host else None
        self._methods = frozenset(conf.log_statsd_valid_http_methods)
        self._line = access_line.Line(conf)
        self._log = _logger(conf)
        self._level = logging.getLevelName(conf.access_log_level.upper())

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if MADE in environ:
            return self.app(environ, start_response)
        environ[MADE] = True
        environ.setdefault('swift.infocache', {})   # shared, also with filters that go on with a copy
        if self._metrics is None and not self._logs():
            return self.app(environ, start_response)
        seen = Seen(environ, time.time_ns())
        length = environ.get('CONTENT_LENGTH')
        if (length and length != '0') or 'HTTP_TRANSFER_ENCODING' in environ:
            seen.input = environ['wsgi.input'] = _Counted(environ['wsgi.input'])

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            seen.status, seen.headers = int(status[:3]), headers
            return start_response(status, headers, exc_info)
        try:
            body = self.app(environ, start)
            if not seen.status:
                body = Body(body)
        except BaseException as error:
            seen.status = 500 if isinstance(error, Exception) else 499
            self._say(seen, 0)
            raise
        if isinstance(body, (list, tuple)):
            size = 0 if seen.method == 'HEAD' else sum(map(len, body))
            self._say(seen, size)
            return body

        def ended(size: int, whole: bool) -> None:
            if not whole and seen.method != 'HEAD' and seen.status not in (204, 304):
                seen.logged = 499
            self._say(seen, size)
        return Watched(body, ended, seen.began)

    def _say(self, seen: Seen, size: int) -> None:
        seen.sent = size
        seen.end = time.time_ns()
        if self._logs():
            self._log.info(self._line.render(seen))
        if self._metrics is not None:
            self._measure(self._metrics, seen)

    def _measure(self, metrics: statsd.Metrics, seen: Seen) -> None:
        pieces = seen.path.split('/', 4)
        if len(pieces) < 3 or pieces[0] or not pieces[1].startswith('v1') or not pieces[2]:
            return
        kinds = ['object' if len(pieces) == 5 and pieces[4] else 'container' if len(pieces) > 3 and pieces[3] else
                 'account']
        if kinds == ['object'] and (policy := access_line.policy_index(seen)) and str(policy).isdecimal():
            kinds.append(f'object.policy.{policy}')
        method = seen.method if seen.method in self._methods else 'BAD_METHOD'
        for kind in kinds:
            name = f'{kind}.{method}.{seen.status_int}'
            metrics.timing(f'{name}.timing', (seen.end - seen.start) / 1e9)
            if method == 'GET':
                metrics.timing(f'{name}.first-byte.timing', ((seen.first or seen.end) - seen.start) / 1e9)
            metrics.count(f'{name}.xfer', seen.received + seen.sent)

    def _logs(self) -> bool:
        """Whether anybody wants to hear of requests."""
        return bool(self._log.isEnabledFor(logging.INFO) and self._level <= logging.INFO)


class _Counted:
    """A body that counts what is read of it."""

    __slots__ = ('_stream', 'size', 'broken')

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.size = 0
        self.broken = False

    def read(self, *size: int) -> bytes:
        """As the stream's."""
        return self._counted(self._stream.read, *size)

    def readline(self, *size: int) -> bytes:
        """As the stream's."""
        return self._counted(self._stream.readline, *size)

    def gather(self, least: int, most: int) -> bytes:
        """As the stream's."""
        return self._counted(gather, self._stream, least, most)

    def _counted(self, read: Callable[..., bytes], *said: Any) -> bytes:
        try:
            data = read(*said)
        except BaseException:
            self.broken = True
            raise
        self.size += len(data)
        return data

    def __iter__(self) -> Any:
        return iter(self.readline, b'')

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _logger(conf: Any) -> logging.Logger:
    """The access log; of its own only if it goes elsewhere."""
    name = conf.access_log_route or conf.access_log_name or conf.log_name or 'proxy-server'
    log = logging.getLogger(name)
    if isinstance(logging.getLevelName(conf.access_log_level.upper()), str):
        raise errors.Invalid(f'[filter:proxy-logging]: access_log_level = {conf.access_log_level}: no level')
    if not (conf.access_log_udp_host or conf.access_log_address):
        return log
    log = logging.getLogger(f'{name}.access')
    if not log.handlers:
        place: Any = (conf.access_log_udp_host, conf.access_log_udp_port) if conf.access_log_udp_host \
            else conf.access_log_address
        facility = conf.access_log_facility.removeprefix('LOG_').lower() or 'local0'
        codes = logging.handlers.SysLogHandler.facility_names
        if facility not in codes:
            raise errors.Invalid(f'[filter:proxy-logging]: access_log_facility = {facility}: no facility')
        handler = green.nativize(logging.handlers.SysLogHandler(place, codes[facility]))
        handler.setFormatter(logging.Formatter(f'{name}: %(message)s'))
        log.addHandler(handler)
        log.propagate = False
        log.setLevel(logging.INFO)
    return log


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], ProxyLogging]:
    """paste."""
    given = {**global_conf, **local_conf}
    own = {f'log_{name.removeprefix("access_log_")}': value for name, value in given.items()
           if name.startswith('access_log_statsd_')}
    conf = confs.options({**given, **own}, OPTIONS, '[filter:proxy-logging]')
    return lambda app: ProxyLogging(app, conf)

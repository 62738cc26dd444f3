"""One client's connection: request after request, until either side has enough."""

import logging
import re
import time
from typing import Any

from strata import context as contexts
from strata.wsgi.body import EMPTY, Body, Chunked, Sized
from strata.wsgi.exchange import Exchange, FileWrapper
from strata.wsgi.head import HEADERS_TOO_LARGE, Head, Refused, parse
from strata.wsgi.limits import Limits
from strata.wsgi.wire import FIRST, Wire

#: how long, and how much, a client may go on sending after its request was refused
LINGER_TIME, LINGER_BYTES = 2.0, 16 << 20
#: requests of one connection in a row before others get a turn
PIPELINED = 32
#: query values that would be keys to something if the log were read
_SECRET = re.compile(r'(?i)([?&][^=&]*(?:token|signature|_sig|password|secret)[^=&]*=)[^&]*')


class _Errors:
    """``wsgi.errors``: lines for the log."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log

    def write(self, text: str) -> None:
        """Log the text."""
        if text.strip():
            self._log.error('%s', text.rstrip())

    def writelines(self, lines: list[str]) -> None:
        """Log the lines."""
        self.write(''.join(lines))

    def flush(self) -> None:
        """Nothing is held back."""


class Connection:
    """Serves one connected socket; ``stopping()`` tells whether the server wants it to end."""

    def __init__(self, wire: Wire, app: Any, limits: Limits, base: dict[str, Any], *, log: logging.Logger,
                 access_log: bool, peer: str) -> None:
        self.wire = wire
        self._app = app
        self._limits = limits
        self._base = base
        self._log = log
        self._access_log = access_log
        self._peer = peer
        #: no request is under way, so it may be closed at any time
        self.idle = True
        self.stopping = False
        self._exchange: Exchange | None = None

    @property
    def key(self) -> object:
        """The key of the listening socket that the client came in by."""
        return self._base['strata.socket']

    @classmethod
    def base_environ(cls, log: logging.Logger, *, server: tuple[str, str], peer: tuple[str, str],
                     key: object) -> dict[str, Any]:
        """What all requests of a connection have in common."""
        return {'wsgi.version': (1, 0), 'wsgi.url_scheme': 'http', 'wsgi.multithread': True,
                'wsgi.multiprocess': True, 'wsgi.run_once': False, 'wsgi.errors': _Errors(log),
                'wsgi.input_terminated': True, 'wsgi.file_wrapper': FileWrapper, 'SCRIPT_NAME': '',
                'SERVER_NAME': server[0], 'SERVER_PORT': server[1],
                'REMOTE_ADDR': peer[0], 'REMOTE_PORT': peer[1], 'strata.socket': key}

    def serve(self) -> None:
        """Answer until the connection ends; closes it."""
        served, linger = 0, False
        contexts.CURRENT.set(None)
        try:
            while not self.stopping:
                raw = self._read_head(first=not served)
                if not raw:
                    break
                keep, linger = self._answer(raw)
                if not keep:
                    break
                served += 1
                if self.wire.buffer and served % PIPELINED == 0:
                    self.wire.yield_turn()
        except Refused as refusal:
            linger = True
            self._refuse(refusal)
        except OSError:
            pass      # the client is gone
        finally:
            self.idle = False
            if linger:
                self.wire.linger(LINGER_TIME, LINGER_BYTES)
            self.wire.close()

    def _read_head(self, *, first: bool) -> bytes:
        """The bytes of a request's head, taken from the buffer; empty if there is no further request."""
        wire, limits = self.wire, self._limits
        self.idle = not wire.buffer
        if self.idle:
            wire.buffer = wire.receive(limits.header_time if first else limits.idle_time, FIRST)
            if not wire.buffer:
                return b''
        self.idle = False
        deadline = 0.0
        while True:
            if wire.buffer.startswith((b'\r', b'\n')):      # robustness asked for by RFC 9112, 2.2
                wire.buffer = wire.buffer.lstrip(b'\r\n')
            end = wire.buffer.find(b'\r\n\r\n')
            if end >= 0:
                raw, wire.buffer = wire.buffer[:end + 4], wire.buffer[end + 4:]
                return raw
            self._check_unfinished(wire.buffer)
            deadline = deadline or time.monotonic() + limits.header_time
            data = wire.receive_until(deadline)
            if not data:
                if wire.expired:
                    raise Refused('408 Request Timeout', f'no complete request within {limits.header_time} s')
                return b''
            wire.buffer += data

    def _check_unfinished(self, data: bytes) -> None:
        """Refuse early what cannot become a valid head."""
        limits = self._limits
        end = data.find(b'\n')
        if (len(data) if end < 0 else end) > limits.line + 2:
            raise Refused('414 URI Too Long', f'the request line is longer than {limits.line} bytes')
        if data.count(b'\n') != data.count(b'\r\n') or b'\0' in data:
            raise Refused('400 Bad Request', 'a bare line feed or NUL')
        if end >= 0 and len(data) - end > limits.header_bytes + 4:
            raise Refused(HEADERS_TOO_LARGE, f'more than {limits.header_bytes} bytes of headers')

    def _answer(self, raw: bytes) -> tuple[bool, bool]:
        """Run one request; (the connection can go on, the client may still be sending)."""
        began = time.perf_counter()
        head = parse(raw, self._limits)
        environ = head.environ
        environ.update(self._base)
        environ['REQUEST_METHOD'] = head.method
        environ['SERVER_PROTOCOL'] = 'HTTP/1.0' if head.old else 'HTTP/1.1'
        environ['wsgi.input'] = body = self._body(head)
        exchange = Exchange(self.wire, head, self._limits, body,
                            keep_alive=head.keep_alive and not self.stopping)
        self._exchange = exchange
        try:
            exchange.run(self._app, environ)
        finally:
            if self._access_log and self._log.isEnabledFor(logging.INFO):
                self._log_access(head, exchange, time.perf_counter() - began)
            contexts.CURRENT.set(None)
        if body.finished:
            return exchange.keep_alive, False
        clean = body.drain(self._limits.drain if exchange.keep_alive else 0)
        return exchange.keep_alive and clean, not clean

    def _body(self, head: Head) -> Body:
        if head.chunked:
            return Chunked(self.wire, self._limits, expecting=head.expecting)
        if head.length:
            return Sized(self.wire, self._limits, head.length, expecting=head.expecting)
        return EMPTY

    def _refuse(self, refusal: Refused) -> None:
        head = Head()
        head.method, head.target, head.old = '-', '-', False
        exchange = Exchange(self.wire, head, self._limits, EMPTY, keep_alive=False)
        exchange.refuse(refusal.status, refusal.why)
        if self._access_log and self._log.isEnabledFor(logging.INFO):
            self._log_access(head, exchange, 0.0)

    def _log_access(self, head: Head, exchange: Exchange, seconds: float) -> None:
        environ = head.environ
        target = head.target
        if '?' in target:
            target = _SECRET.sub(r'\1***', target)
        peer = environ.get('REMOTE_ADDR', self._peer)
        named = environ.get('strata.request_id', '-')
        # a record made by hand: finding the calling line would cost as much as the request
        self._log.handle(logging.LogRecord(
            self._log.name, logging.INFO, __file__, 0, '%s "%s %s" %d %d %.6f %s',
            (peer, head.method, target, exchange.code, exchange.bytes_sent, seconds, named), None))

    def stop(self) -> None:
        """End after the request under way, or at once if there is none."""
        self.stopping = True
        if self.idle:
            self.wire.expire()
        elif self._exchange is not None:
            self._exchange.keep_alive = False


def peer_text(address: Any) -> tuple[str, str]:
    """(host, port) of a peer's address in the form logs and applications expect; empty for Unix sockets."""
    if not isinstance(address, tuple):
        return '', ''
    host = address[0]
    if host.startswith('::ffff:') and '.' in host:
        host = host[7:]
    return host, str(address[1])

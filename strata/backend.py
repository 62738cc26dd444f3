"""A pooled HTTP/1.1 client on bare sockets, for servers that are asked thousands of times a second.

    pool.request(...)  one request, its answer
    pool.begin(...)    the request is sent; ``.answer()`` later, so that several servers work at once
    pool.open(...)     a request whose body is sent piece by piece: ``.send`` ... ``.end`` ``.answer``

A connection goes back to the pool when its answer has been read to the end,
and is closed when the answer is.  A pooled connection that turns out to be
dead before a byte of an answer came is replaced by a fresh one, once, if
nothing but what can be sent again has been sent.  Waits end at a time-out:
as in the server, a sweeper ends those whose deadline has passed.
"""

import contextlib
import errno
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from strata import errors, green
from strata.reply import Answer, Broken, ConnectFailed, Failed, Fields, TimedOut, parse, where
from strata.wsgi.wire import FIRST, Disconnected, Wire

#: an answer's head must fit
HEAD_BYTES = 128 * 1024
#: bodies up to this size leave together with the head
TOGETHER = 64 * 1024
#: read at a time of a long body
MUCH = 256 * 1024
#: how often the deadlines of waits are looked at, in seconds, and how long without one ends the looking
TICK, IDLE_TICKS = 0.05, 40

__all__ = ['Answer', 'Broken', 'ConnectFailed', 'Exchange', 'Failed', 'Fields', 'Pool', 'TimedOut', 'ready']

Headers = Mapping[str, str]


class _Line(Wire):
    """A connection to a server; its waits are watched by the pool's sweeper."""

    __slots__ = ('_pool', 'since')

    def __init__(self, sock: Any, pool: 'Pool') -> None:
        super().__init__(sock)
        self._pool = pool
        self.since = 0.0

    def _wait(self, ready: Any, deadline: float) -> None:
        pool = self._pool
        pool.waiting.add(self)
        if pool.sweeper is None:
            pool.watch()
        try:
            super()._wait(ready, deadline)
        finally:
            pool.waiting.discard(self)

    @property
    def watch(self) -> green.Watch:
        """To wait for several at once."""
        return self._watch

    def alive(self) -> bool:
        """Whether an idle connection can be used: nothing has come, not even the end, as far as is known."""
        return not self._watch.ready or self._take(1) is None

    def receive_much(self, seconds: float) -> bytes:
        """As ``receive``, for the middle of a long body: more at a time."""
        return self.receive_until(time.monotonic() + seconds, MUCH)

    def peek(self) -> bool:
        """Take what has come into the buffer; whether there is anything, or the end."""
        if not self._watch.ready:
            return False
        data = self._take(FIRST)
        if data is None:
            return False
        self.buffer += data
        return True

    def connect(self, address: Any, seconds: float) -> str | None:
        """Connect; why it failed, or ``None``."""
        code = self._sock.connect_ex(address)
        if code == errno.EINPROGRESS:
            try:
                self.await_writable(seconds)
            except Disconnected:
                return f'was not reached within {seconds} s'
            code = self._sock.getsockopt(green.sockets.SOL_SOCKET, green.sockets.SO_ERROR)
        return os.strerror(code) if code else None


class Pool:
    """Connections to any number of servers, kept alive; at most ``per_host`` idle ones for each of them.

    ``idle``: seconds that an unused connection is kept; ``connect_timeout``: seconds.
    """

    def __init__(self, per_host: int = 64, idle: float = 60.0, connect_timeout: float = 0.5) -> None:
        self.per_host = per_host
        self.idle = idle
        self.connect_timeout = connect_timeout
        #: connections made so far
        self.connects = 0
        self.waiting: set[_Line] = set()
        self.sweeper: green.Greenlet | None = None
        self._janitor: green.Greenlet | None = None
        self._idle: dict[tuple[str, int], list[_Line]] = {}
        self._owner = os.getpid()

    def request(self, ip: str, port: int, method: str, path: str, headers: Headers | None = None,
                body: bytes | None = None, timeout: float = 10.0) -> Answer:
        """Ask, and wait for the head of the answer, at most ``timeout`` seconds between two bytes.

        ``path`` is quoted already and may have a query.  ``headers`` say nothing about the framing.
        Raises ``ConnectFailed``, ``TimedOut`` or ``Broken``.
        """
        return self.begin(ip, port, method, path, headers, body, timeout).answer()

    def has_idle(self, ip: str, port: int) -> bool:
        """Whether a request to this server need not wait for a new connection."""
        return self._owner == os.getpid() and bool(self._idle.get((ip, port)))

    def begin(self, ip: str, port: int, method: str, path: str, headers: Headers | None = None,
              body: bytes | None = None, timeout: float = 10.0) -> 'Exchange':
        """Send a whole request; its answer can be waited for later."""
        if body is not None:
            framing = f'Content-Length: {len(body)}\r\n'
        else:
            framing = 'Content-Length: 0\r\n' if method in ('PUT', 'POST') else ''
        head = _head(ip, port, method, path, headers, framing)
        exchange = Exchange(self, (ip, port), method, head, body or b'', timeout)
        exchange.start()
        return exchange

    def open(self, ip: str, port: int, method: str, path: str, headers: Headers | None = None, *,
             length: int | None = None, expect: bool = False, timeout: float = 10.0) -> 'Exchange':
        """Send a request's head; its body of ``length`` bytes (``None``: chunked) follows by ``send``.

        ``expect``: ask for ``100 Continue``; then ``await_continue`` comes first.
        """
        framing = 'Transfer-Encoding: chunked\r\n' if length is None else f'Content-Length: {length}\r\n'
        if expect:
            framing += 'Expect: 100-continue\r\n'
        head = _head(ip, port, method, path, headers, framing)
        exchange = Exchange(self, (ip, port), method, head, b'', timeout, streamed=True,
                            chunked=length is None)
        exchange.start()
        return exchange

    def take(self, key: tuple[str, int]) -> tuple[_Line, bool]:
        """A connection, and whether it has just been made.  Raises ``ConnectFailed``."""
        if self._owner != os.getpid():      # what the parent had is the parent's
            self._idle, self.waiting = {}, set()
            self.sweeper = self._janitor = None
            self._owner = os.getpid()
        lines = self._idle.get(key)
        while lines:
            line = lines.pop()
            if line.alive():
                return line, False
            line.close()
        return self.connect(key), True

    def connect(self, key: tuple[str, int]) -> _Line:
        """A fresh connection.  Raises ``ConnectFailed``."""
        sockets = green.sockets
        try:
            family, _, _, _, address = green.getaddrinfo(key[0], key[1], 0, sockets.SOCK_STREAM)[0]
            sock = sockets.socket(family, sockets.SOCK_STREAM)
        except OSError as error:
            raise ConnectFailed(where=where(key), why=f'was not reached: {error.strerror}') from error
        line = _Line(sock, self)
        why = line.connect(address, self.connect_timeout)
        if why is not None:
            line.close()
            raise ConnectFailed(where=where(key), why=f'was not reached: {why}')
        sock.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        self.connects += 1
        return line

    def give(self, key: tuple[str, int], line: _Line) -> None:
        """Take a connection back that is ready for the next request."""
        lines = self._idle.get(key)
        if lines is None:
            lines = self._idle[key] = []
        if len(lines) >= self.per_host:
            line.close()
            return
        line.since = time.monotonic()
        lines.append(line)
        if self._janitor is None:
            self._janitor = green.spawn(self._clean)

    def close(self) -> None:
        """Close the idle connections."""
        for lines in self._idle.values():
            while lines:
                lines.pop().close()
        for each in (self.sweeper, self._janitor):
            if each is not None:
                each.kill()
        self.sweeper = self._janitor = None

    def watch(self) -> None:
        """Begin to look at deadlines."""
        self.sweeper = green.spawn(self._sweep)

    def _sweep(self) -> None:
        """End the waits whose time is over, as long as there are any."""
        quiet = 0
        while quiet < IDLE_TICKS:
            green.sleep(TICK)
            now = time.monotonic()
            quiet = 0 if self.waiting else quiet + 1
            for line in [each for each in self.waiting if each.deadline <= now]:
                line.expire()
        self.sweeper = None

    def _clean(self) -> None:
        """Close what has been idle for too long, as long as there is anything."""
        tick = max(0.05, min(5.0, self.idle / 4))
        while self._idle:
            green.sleep(tick)
            oldest = time.monotonic() - self.idle
            for key, lines in list(self._idle.items()):
                while lines and lines[0].since <= oldest:
                    lines.pop(0).close()
                if not lines:
                    self._idle.pop(key, None)
        self._janitor = None


def _head(ip: str, port: int, method: str, path: str, headers: Headers | None, framing: str) -> bytes:
    """The bytes of a request's head; raises ``errors.Invalid`` for what would break it."""
    lines = [f'{method} {path} HTTP/1.1\r\nHost: {where((ip, port))}\r\n{framing}']
    if headers:
        lines += [f'{name}: {value}\r\n' for name, value in headers.items()]
    text = ''.join(lines)
    count = len(lines) + 1 + framing.count('\n')
    if ' ' in path or text.count('\n') != count or text.count('\r') != count or '\0' in text:
        raise errors.Invalid('a request with a line break, a NUL or a blank where none may be')
    try:
        return (text + '\r\n').encode('latin-1')
    except UnicodeEncodeError:
        raise errors.Invalid('a request header with a character beyond latin-1') from None


class Exchange:
    """One request under way."""

    __slots__ = ('_body', '_chunked', '_ended', '_fresh', '_head', '_line', '_pool', '_replayable', '_streamed',
                 'key', 'method', 'timeout')

    def __init__(self, pool: Pool, key: tuple[str, int], method: str, head: bytes, body: bytes,
                 timeout: float, *, streamed: bool = False, chunked: bool = False) -> None:
        self._pool = pool
        self._head = head
        self._body = body
        self._streamed = streamed
        self._chunked = chunked
        self._ended = not streamed
        self._replayable = True
        self._line: _Line | None = None
        self._fresh = False
        self.key = key
        self.method = method
        #: seconds between two bytes
        self.timeout = timeout

    @property
    def watch(self) -> green.Watch | None:
        """Tells when something comes, to wait for several at once."""
        return self._line.watch if self._line is not None else None

    def start(self) -> None:
        """Send the head, and the body if it is known."""
        self._line, self._fresh = self._pool.take(self.key)
        try:
            self._transmit()
        except Disconnected:
            if not self._fresh:
                self._again()
            elif self._line.expired:
                self.fail(TimedOut, f'took nothing for {self.timeout} s')
            # else it may have said why before it hung up: ``answer`` finds out

    def _transmit(self) -> None:
        line, body = self._line, self._body
        assert line is not None
        if len(body) <= TOGETHER:
            line.send(self._head + body if body else self._head, self.timeout)
        else:
            line.send(self._head, self.timeout)
            line.send(body, self.timeout)

    def _again(self) -> None:
        """Send it all once more, on a fresh connection."""
        if self._line is not None:
            self._line.close()
        self._line = None
        self._line, self._fresh = self._pool.connect(self.key), True
        with contextlib.suppress(Disconnected):
            self._transmit()

    def send(self, data: bytes) -> None:
        """Send a piece of the body, not empty.  Raises ``Broken`` or ``TimedOut``."""
        self._replayable = False
        line = self._line
        if line is None:
            self.fail(Broken, 'is closed')
        if self._chunked:
            data = b'%x\r\n%b\r\n' % (len(data), data)
        try:
            line.send(data, self.timeout)
        except Disconnected as error:
            if line.expired:
                self.fail(TimedOut, f'took nothing for {self.timeout} s')
            raise Broken(where=where(self.key), why=f'hung up while it was sent a body: {error}') from error

    def end(self) -> None:
        """The body is complete."""
        if not self._ended:
            self._ended = True
            if self._chunked and self._line is not None:
                with contextlib.suppress(Disconnected):      # ``answer`` finds out
                    self._line.send(b'0\r\n\r\n', self.timeout)

    def await_continue(self, timeout: float | None = None) -> Answer | None:
        """Wait for ``100 Continue`` (``None``), or the final answer that came in its place."""
        status, reason, fields, old = self._read_head(self.timeout if timeout is None else timeout)
        if status == 100:
            return None
        return self._finish(status, reason, fields, old)

    def answer(self, timeout: float | None = None) -> Answer:
        """Wait for the answer, ``timeout`` seconds between two bytes."""
        seconds = self.timeout if timeout is None else timeout
        while True:
            status, reason, fields, old = self._read_head(seconds)
            if status >= 200:
                return self._finish(status, reason, fields, old)

    def _finish(self, status: int, reason: str, fields: Fields, old: bool) -> Answer:
        line, self._line = self._line, None
        assert line is not None
        answer = Answer(self._pool, self.key, line, self.method, status, reason, fields, old, self.timeout)
        answer.keep = answer.keep and self._ended
        answer.ready()
        return answer

    def _read_head(self, seconds: float) -> tuple[int, str, Fields, bool]:
        line = self._line
        if line is None:
            self.fail(Broken, 'is closed')
        while True:
            end = line.buffer.find(b'\r\n\r\n')
            if end >= 0:
                raw, line.buffer = line.buffer[:end], line.buffer[end + 4:]
                self._replayable = False
                try:
                    return parse(raw)
                except ValueError as error:
                    self.fail(Broken, f'answered what is no HTTP: {error}')
            if len(line.buffer) > HEAD_BYTES:
                self.fail(Broken, 'answered with too long a head')
            data = line.receive(seconds, FIRST)
            if not data:
                if line.expired:
                    self.fail(TimedOut, f'did not answer within {seconds} s')
                if line.buffer or self._fresh or not self._replayable:
                    self.fail(Broken, 'hung up before it answered')
                self._again()
                line = self._line
                assert line is not None
                continue
            line.buffer = line.buffer + data if line.buffer else data

    def fail(self, kind: type[Failed], why: str) -> NoReturn:
        """Close the connection and raise."""
        self.close()
        raise kind(where=where(self.key), why=why)

    def arrived(self) -> bool:
        """Whether something of the answer, or the end of the connection, has come; does not wait."""
        return self._line is None or bool(self._line.buffer) or self._line.peek()

    def close(self) -> None:
        """Give the request up; once the answer has begun, it is the answer's to close."""
        if self._line is not None:
            self._line.close()
            self._line = None


def ready(exchanges: Iterable[Exchange], seconds: float) -> list[Exchange]:
    """Those whose answers have begun to come, as soon as there is one, or none after ``seconds``."""
    found = [each for each in exchanges if each.arrived()]
    if found or seconds <= 0:
        return found
    deadline = time.monotonic() + seconds
    watches = [each.watch for each in exchanges if each.watch is not None]
    while not found and green.any_ready(watches, seconds):
        found = [each for each in exchanges if each.arrived()]
        seconds = deadline - time.monotonic()
    return found

"""``wsgi.input``: a request body, read from the connection as the application asks for it.

A body ends where its framing says; what follows stays in the wire's buffer for
the next request.  The errors know their HTTP status and are ``OSError`` too,
as applications from elsewhere expect.
"""

import re
from collections.abc import Iterator
from typing import Any, NoReturn

from strata import errors
from strata.wsgi import burst
from strata.wsgi.burst import Sink
from strata.wsgi.limits import Limits
from strata.wsgi.wire import READ, Wire

CONTINUE = b'HTTP/1.1 100 Continue\r\n'
#: a chunk's size line with its extensions, and all trailers
CHUNK_LINE = 1024
TRAILERS = 8192
_SIZE = re.compile(rb'([0-9a-fA-F]{1,16})(?:[ \t]*;[^\r\n\0]*)?\Z')
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*\Z")


class BodyError(errors.Error, OSError):
    """The body could not be read to its end; the connection closes after the answer."""


class ClientDisconnected(BodyError):
    status, message = 400, 'The client went away before it had sent the whole body.'


class BodyTimeout(BodyError):
    status, message = 408, 'The client sent nothing of the body for {seconds} s.'


class BodySlow(BodyTimeout):
    message = 'The client sends fewer than {rate:g} bytes of the body per second.'


class BodyTooLarge(BodyError):
    status, message = 413, 'The request body is larger than {most} bytes.'


class BodyMalformed(BodyError):
    status, message = 400, 'The chunked request body is malformed: {why}.'


def gather(stream: Any, least: int, most: int) -> bytes:
    """``stream.gather``, or where a filter put a stream of its own in between, what is read of that."""
    found: bytes = stream.gather(least, most) if hasattr(stream, 'gather') else stream.read(least)
    return found


class Body:
    """A stream with ``read``, ``readline`` and iteration; subclasses know the framing."""

    __slots__ = ('_held', '_limits', '_patience', '_wire', 'asked', 'broken', 'continue_headers', 'expecting',
                 'finished')

    def __init__(self, wire: Wire, limits: Limits, *, expecting: bool = False) -> None:
        self._wire = wire
        self._limits = limits
        #: seconds that we wait yet; what comes adds to them, so that a drip cannot hold a connection for ever
        self._patience = limits.body_grace
        self._held = b''      # taken from the wire, not yet from us
        #: the client waits for ``100 Continue``
        self.expecting = expecting
        #: header lines that go with it
        self.continue_headers = b''
        #: the last byte has left the wire
        self.finished = False
        #: the framing is lost: nothing more can be read from this connection
        self.broken = False

    def _next(self) -> bytes:
        """Some bytes of the body, not empty; or empty at its end."""
        raise AssertionError('a framing')      # pragma: no cover

    def _receive(self, most: int = READ) -> bytes:
        """More bytes from the client, or the reason why not."""
        if self.expecting:
            self.expecting = False
            self._wire.send(CONTINUE + self.continue_headers + b'\r\n', self._limits.write_time)
        limits, wire = self._limits, self._wire
        seconds = limits.body_time if self._patience > limits.body_time else self._patience
        waited = wire.waited
        data = wire.receive(seconds, most=most)
        if not data:
            self.broken = True
            if not wire.expired:
                raise ClientDisconnected()
            raise BodyTimeout(seconds=seconds) if seconds == limits.body_time else BodySlow(rate=limits.body_rate)
        if wire.waited != waited or self._patience < limits.body_grace:
            self._spent(wire.waited - waited, len(data))
        return data

    def _spent(self, waited: float, size: int) -> None:
        """Take the seconds that we have waited for ``size`` bytes from our patience."""
        limits = self._limits
        if limits.body_rate:
            self._patience = min(self._patience - waited + size / limits.body_rate, limits.body_grace)

    def read(self, size: int | None = -1) -> bytes:
        """``size`` bytes, fewer only at the end; all that is left if it is negative or ``None``."""
        if size is None or size < 0:
            return b''.join(self._pieces())
        if len(self._held) >= size:
            data, self._held = self._held[:size], self._held[size:]
            return data
        pieces, missing = [self._held] if self._held else [], size - len(self._held)
        self._held = b''
        while missing > 0:
            data = self._next()
            if not data:
                break
            if len(data) > missing:
                data, self._held = data[:missing], data[missing:]
            pieces.append(data)
            missing -= len(data)
        return b''.join(pieces)

    def gather(self, least: int, most: int) -> bytes:
        """As ``read(least)``, with what else has come by then: at most ``most`` bytes."""
        return self.read(least)

    def _pieces(self) -> Iterator[bytes]:
        if self._held:
            held, self._held = self._held, b''
            yield held
        while data := self._next():
            yield data

    def readline(self, size: int | None = -1) -> bytes:
        """The next line with its newline, at most ``size`` bytes of it."""
        most = float('inf') if size is None or size < 0 else size
        pieces: list[bytes] = []
        length = 0
        while length < most:
            data = self._held or self._next()
            self._held = b''
            if not data:
                break
            end = data.find(b'\n') + 1 or len(data)
            if end > most - length:
                end = int(most - length)
            piece, self._held = data[:end], data[end:]
            pieces.append(piece)
            length += end
            if piece.endswith(b'\n'):
                break
        return b''.join(pieces)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """The lines left, until they are more than ``hint`` bytes."""
        lines, length = [], 0
        for line in self:
            lines.append(line)
            length += len(line)
            if hint is not None and 0 < hint <= length:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def close(self) -> None:
        """Nothing to give back: the server reads the rest away."""

    def drain(self, most: int) -> bool:
        """Read the rest away; whether the connection can serve another request."""
        if self.finished:
            return True
        if self.broken or self.expecting or self._wire.expired:
            return False
        try:
            while most > 0:
                data = self._next()
                if not data:
                    return True
                most -= len(data)
        except OSError:
            pass
        return False


class Empty(Body):
    """The body of a request that has none."""

    __slots__ = ()

    def __init__(self) -> None:
        self._held = b''
        self.expecting = self.broken = False
        self.finished = True

    def _next(self) -> bytes:
        return b''


EMPTY = Empty()


class Sized(Body):
    """A body of ``Content-Length`` bytes."""

    __slots__ = ('_left',)

    def __init__(self, wire: Wire, limits: Limits, length: int, *, expecting: bool = False) -> None:
        super().__init__(wire, limits, expecting=expecting)
        self._left = length

    def _next(self, most: int = READ) -> bytes:
        if not self._left:
            return b''
        wire = self._wire
        data = wire.buffer or self._receive(most)
        if len(data) > self._left:
            data, wire.buffer = data[:self._left], data[self._left:]
        else:
            wire.buffer = b''
        self._left -= len(data)
        if not self._left:
            self.finished = True
        return data

    def gather(self, least: int, most: int) -> bytes:
        """As ``Body.gather``."""
        if self._held:
            return self.read(least)
        pieces, size = [], 0
        while size < least and (data := self._next(most - size)):
            pieces.append(data)
            size += len(data)
        return pieces[0] if len(pieces) == 1 else b''.join(pieces)

    def drawn(self, sink: Sink) -> int:
        """Let a native thread put what comes next into ``sink``, as long as it comes fast; the bytes it took.

        None if all threads are busy.  Raises what the sink raises; nothing can be read after that.
        """
        wire = self._wire
        begun = self._held or wire.buffer[:self._left]
        left = self._left + len(self._held)
        if not left or self.broken or self.expecting:
            sink.close()
            return 0
        self.broken = True      # until all that was received is accounted for
        done = burst.drawn(wire, begun, left, sink)
        self.broken = False
        if done is None:
            return 0
        if self._held:
            self._held = b''
        else:
            wire.buffer = wire.buffer[len(begun):]
        size, waited = done
        self._left = left - size
        self.finished = not self._left
        self._spent(waited, size)
        return size

    def drain(self, most: int) -> bool:
        """As ``Body.drain``; a rest larger than ``most`` is not even begun."""
        return self._left <= most and super().drain(most)


class Chunked(Body):
    """A body in chunks; sizes, line ends and trailers are held to the letter, trailers dropped."""

    __slots__ = ('_chunk', '_total')

    def __init__(self, wire: Wire, limits: Limits, *, expecting: bool = False) -> None:
        super().__init__(wire, limits, expecting=expecting)
        self._chunk = 0      # bytes left of the chunk under way
        self._total = 0

    def _next(self) -> bytes:
        if self.finished:
            return b''
        if self.broken:
            raise BodyMalformed(why='it was cut short before')
        if not self._chunk and not self._begin():
            return b''
        wire = self._wire
        data = wire.buffer or self._receive()
        data, wire.buffer = data[:self._chunk], data[self._chunk:]
        self._chunk -= len(data)
        if not self._chunk and self._take(2) != b'\r\n':
            self._malformed('no line end after a chunk')
        return data

    def _begin(self) -> bool:
        """Read a size line; ``False`` after the last chunk and its trailers."""
        match = _SIZE.match(self._line(CHUNK_LINE))
        if not match:
            self._malformed('no valid chunk size')
        self._chunk = int(match[1], 16)
        self._total += self._chunk
        if self._limits.body is not None and self._total > self._limits.body:
            self.broken = True
            raise BodyTooLarge(most=self._limits.body)
        if self._chunk:
            return True
        room = TRAILERS
        while line := self._line(room):
            if not _TRAILER.match(line):
                self._malformed('no valid trailer')
            room -= len(line)
        self.finished = True
        return False

    def _malformed(self, why: str) -> NoReturn:
        self.broken = True
        raise BodyMalformed(why=why)

    def _line(self, most: int) -> bytes:
        wire = self._wire
        while True:
            end = wire.buffer.find(b'\n')
            if end > most or (end < 0 and len(wire.buffer) > most):
                self._malformed('a line is too long')
            if end >= 0:
                line, wire.buffer = wire.buffer[:end + 1], wire.buffer[end + 1:]
                if not line.endswith(b'\r\n'):
                    self._malformed('a bare line feed')
                return line[:-2]
            wire.buffer += self._receive()

    def _take(self, size: int) -> bytes:
        wire = self._wire
        while len(wire.buffer) < size:
            wire.buffer += self._receive()
        data, wire.buffer = wire.buffer[:size], wire.buffer[size:]
        return data

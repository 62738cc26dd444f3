"""A server's answer over a pooled connection: its head, and its body as it is asked for."""

import functools
from collections.abc import Iterator
from typing import Any, NoReturn

from strata import errors

#: a chunk's size line must fit
CHUNK_LINE = 1024
#: from here on a body is long
LONG = 128 * 1024
#: heads below this size are remembered
SHORT = 1024


class Failed(errors.Unavailable):
    """The server could not be asked, or did not answer as it should."""

    message = '{where} {why}.'


class ConnectFailed(Failed):
    """No connection within the time-out, or it was refused."""


class TimedOut(Failed):
    """Nothing came, or nothing was taken, for longer than the time-out."""


class Broken(Failed):
    """The connection ended before the answer did, or what came is no HTTP."""


class Fields(dict[str, str]):
    """An answer's headers: names are kept in lower case and asked for in any; equal names are joined."""

    def __getitem__(self, name: str) -> str:
        return dict.__getitem__(self, name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and dict.__contains__(self, name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or ``default``."""
        return dict.get(self, name.lower(), default)


def where(key: tuple[str, int]) -> str:
    """A server's address as it stands in a Host header."""
    return f'[{key[0]}]:{key[1]}' if ':' in key[0] else f'{key[0]}:{key[1]}'


_LOWER: dict[str, str] = {}


def parse(raw: bytes) -> tuple[int, str, Fields, bool]:
    """Status, reason, headers, and whether it is HTTP/1.0, of an answer's head without its empty line.

    Raises ``ValueError``.
    """
    status, reason, fields, old = _parsed(raw) if len(raw) < SHORT else _parse(raw)
    return status, reason, Fields(fields), old


def _parse(raw: bytes) -> tuple[int, str, Fields, bool]:
    lines = raw.decode('latin-1').split('\r\n')
    first = lines[0]
    if first[:7] != 'HTTP/1.' or first[8:9] != ' ' or not first[9:12].isdigit():
        raise ValueError(first[:40])
    known = _LOWER
    pairs = []
    for number in range(1, len(lines)):
        name, colon, value = lines[number].partition(':')
        pairs.append((known.get(name) or _lower(name, colon), value.strip()))
    fields = Fields(pairs)
    if len(fields) < len(pairs):
        _join(fields, pairs)
    return int(first[9:12]), first[13:], fields, first[7] == '0'


#: replicas answer a write in the same words
_parsed = functools.lru_cache(256)(_parse)


def _join(fields: Fields, pairs: list[tuple[str, str]]) -> None:
    """Equal names become one, with the values in a row; two different lengths are an error."""
    fields.clear()
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif name != 'content-length':
            fields[name] = f'{fields[name]}, {value}'
        elif fields[name] != value:
            raise ValueError('two lengths')


def _lower(name: str, colon: str) -> str:
    if not colon or not name or name != name.strip():
        raise ValueError(f'header {name[:40]!r}')
    lower = name.lower()
    if len(_LOWER) < 2000:
        _LOWER[name] = lower
    return lower


class Answer:
    """An answer's head, and its body as it is asked for; to be read to the end, or closed."""

    __slots__ = ('_chunked', '_key', '_left', '_line', '_pool', '_until_close', 'headers', 'keep', 'reason',
                 'status', 'timeout')

    def __init__(self, pool: Any, key: tuple[str, int], line: Any, method: str, status: int, reason: str,
                 headers: Fields, old: bool, timeout: float) -> None:
        self._pool = pool
        self._key = key
        self._line: Any = line
        self.status = status
        self.reason = reason
        self.headers = headers
        #: seconds between two reads that bring something
        self.timeout = timeout
        said = dict.get(headers, 'connection')
        self.keep = not old and (said is None or 'close' not in said.lower())
        self._chunked = self._until_close = False
        self._left = 0
        if method == 'HEAD' or status in (204, 304):
            return
        if 'transfer-encoding' in headers:
            self._chunked = True
        elif 'content-length' in headers:
            length = dict.__getitem__(headers, 'content-length')
            if not (length.isascii() and length.isdigit()):
                self.fail(Broken, f'answered with the length {length[:40]!r}')
            self._left = int(length)
        else:
            self._until_close, self.keep = True, False

    def ready(self) -> None:
        """The head is complete: without a body, the connection is free."""
        if not (self._left or self._chunked or self._until_close):
            self._release()

    @property
    def ended(self) -> bool:
        """Whether the body has been read to its end, or closed."""
        return self._line is None

    @property
    def server(self) -> str:
        """Who answered."""
        return where(self._key)

    def _release(self) -> None:
        line, self._line = self._line, None
        if line is None:
            return
        if self.keep and not line.buffer:
            self._pool.give(self._key, line)
        else:
            line.close()

    def fail(self, kind: type[Failed], why: str) -> NoReturn:
        """Close the connection and raise."""
        self.close()
        raise kind(where=where(self._key), why=why)

    def _receive(self) -> bytes:
        line = self._line
        data = line.receive(self.timeout) if self._left < LONG else line.receive_much(self.timeout)
        if not data and not (self._until_close and not line.expired):
            self._ended_early(line)
        return data

    def _ended_early(self, line: Any) -> NoReturn:
        if line.expired:
            self.fail(TimedOut, f'sent nothing for {self.timeout} s')
        self.fail(Broken, 'hung up in the middle of its answer')

    def piece(self, most: int = 1 << 30) -> bytes:
        """What there is next, at least a byte and at most ``most``; empty at the end."""
        line = self._line
        if line is None:
            return b''
        if self._until_close:
            data = line.buffer or self._receive()
            line.buffer = b''
            if not data:
                self._release()
            if len(data) > most:
                data, line.buffer = data[:most], data[most:]
            return data
        if self._chunked and not self._left and not self._chunk(line):
            return b''
        data = line.buffer or self._receive()
        most = min(most, self._left)
        if len(data) > most:
            data, line.buffer = data[:most], data[most:]
        else:
            line.buffer = b''
        self._left -= len(data)
        if not self._left:
            if self._chunked:
                if self._text_line(line):
                    self.fail(Broken, 'sent no line end after a chunk')
            else:
                self._release()
        return data

    def pour(self, pipe: Any, target: Any, most: int) -> int:
        """Hand what there is next, as ``piece``, to ``target``; how many bytes, 0 at the end.

        ``target`` has ``send(data)`` and ``drain(pipe)``; the length of the body is known.  Raises what it
        raises, or ``Failed``; the pipe is empty then, but for what ``target`` did not take.
        """
        line = self._line
        if line is None or line.buffer or self._chunked or self._until_close:
            data = self.piece(most)
            if data:
                target.send(data)
            return len(data)
        size: int = line.fill(pipe, min(most, self._left), self.timeout)
        if not size:
            self._ended_early(line)
        self._left -= size
        target.drain(pipe)
        if not self._left:
            self._release()
        return size

    def _chunk(self, line: Any) -> bool:
        """Read a chunk's size; ``False`` at the end of the body."""
        text = self._text_line(line).partition(b';')[0].strip()
        try:
            self._left = int(text, 16)
        except ValueError:
            self.fail(Broken, f'sent the chunk size {text[:40]!r}')
        if self._left < 0 or not text.isalnum():
            self.fail(Broken, f'sent the chunk size {text[:40]!r}')
        if self._left:
            return True
        while self._text_line(line):
            pass      # trailers
        self._release()
        return False

    def _text_line(self, line: Any) -> bytes:
        while True:
            end = line.buffer.find(b'\r\n')
            if end >= 0:
                text, line.buffer = line.buffer[:end], line.buffer[end + 2:]
                return text
            if len(line.buffer) > CHUNK_LINE:
                self.fail(Broken, 'sent too long a chunk header')
            line.buffer += self._receive()

    def read(self, size: int = -1) -> bytes:
        """``size`` bytes, fewer only at the end; all that is left if it is negative."""
        if size < 0:
            return self.body()
        pieces, missing = [], size
        while missing > 0:
            data = self.piece(missing)
            if not data:
                break
            pieces.append(data)
            missing -= len(data)
        return pieces[0] if len(pieces) == 1 else b''.join(pieces)

    def iter(self, chunk: int = 65536) -> Iterator[bytes]:
        """The rest of the body in pieces as they come, at most ``chunk`` bytes each."""
        while data := self.piece(chunk):
            yield data

    def body(self, limit: int | None = None) -> bytes:
        """The whole rest of the body; ``Broken`` if it is longer than ``limit`` bytes."""
        pieces, size = [], 0
        while data := self.piece():
            pieces.append(data)
            size += len(data)
            if limit is not None and size > limit:
                self.fail(Broken, f'answered with more than {limit} bytes')
        return pieces[0] if len(pieces) == 1 else b''.join(pieces)

    def close(self) -> None:
        """Give the rest up.  The connection is kept if the rest has come already, and closed otherwise."""
        line = self._line
        if line is None:
            return
        if not self._chunked and not self._until_close and 0 < self._left <= len(line.buffer):
            line.buffer = line.buffer[self._left:]
            self._left = 0
            self._release()
            return
        self._line = None
        line.close()

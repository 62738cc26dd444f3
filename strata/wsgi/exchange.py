"""One request and its response: runs the application and frames what it answers."""

import email.utils
import http.client
import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from strata.wsgi.body import Body, BodyError
from strata.wsgi.head import Head
from strata.wsgi.limits import Limits
from strata.wsgi.wire import Disconnected, Pipe, Wire

LOG = logging.getLogger(__name__)

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_STATUS = re.compile(r'[2-5][0-9][0-9](?: [\t\x20-\x7e\x80-\xff]*)?\Z')
#: framing is the server's: what an application says of it is passed over
_OURS = frozenset({'connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'te',
                   'trailer'})
_NAMES: dict[str, str] = {}
_DATE = (0, '')


class FileWrapper:
    """``wsgi.file_wrapper``: a file the kernel sends, from where it is positioned."""

    def __init__(self, file: Any, size: int = 1 << 16) -> None:
        self.file = file
        self.size = size
        #: bytes of it that the kernel has taken for the client
        self.sent = 0
        if hasattr(file, 'close'):
            self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        while data := self.file.read(self.size):
            yield data

    def regular(self) -> tuple[int, int, int] | None:
        """(descriptor, offset, bytes left) if the kernel can send it."""
        try:
            fileno = self.file.fileno()
            state = os.fstat(fileno)
            if not stat.S_ISREG(state.st_mode):
                return None
            offset = self.file.tell()
        except (AttributeError, OSError, ValueError):
            return None
        return fileno, offset, max(0, state.st_size - offset)


def http_date() -> str:
    """The Date header's value, made once a second."""
    global _DATE
    now = int(time.time())
    if _DATE[0] != now:
        _DATE = (now, email.utils.formatdate(now, usegmt=True))
    return _DATE[1]


def _reasoned(code: int) -> str:
    """The status with its reason phrase."""
    return f'{code} {http.client.responses.get(code, "")}'


def _lower(name: str) -> str:
    """A checked header name in lower case, remembered for a bounded number of names."""
    if not isinstance(name, str) or not _NAME.match(name):
        raise ValueError(f'{name!r} is no header name')
    lower = name.lower()
    if len(_NAMES) < 1000:
        _NAMES[name] = lower
    return lower


class Exchange:
    """The response to one request; ``start_response`` is handed to the application."""

    __slots__ = ('_bodiless', '_body', '_chunked', '_fields', '_head', '_length', '_limits', '_status',
                 '_wire', 'bytes_sent', 'code', 'keep_alive', 'started')

    def __init__(self, wire: Wire, head: Head, limits: Limits, body: Body, *,
                 keep_alive: bool) -> None:
        self._wire = wire
        self._head = head
        self._limits = limits
        self._body = body
        self.keep_alive = keep_alive
        self._status: str | None = None
        self._fields: list[tuple[str, str]] = []
        self._length: int | None = None
        self._bodiless = False
        self._chunked = False
        #: the head of the response is on its way
        self.started = False
        self.code = 0
        self.bytes_sent = 0

    def start_response(self, status: str, headers: list[tuple[str, str]],
                       exc_info: Any = None) -> Callable[[bytes], None]:
        """PEP 3333's.  Raises ``ValueError`` for a status or a header that would break the framing."""
        if exc_info:
            try:
                if self.started:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._status is not None:
            raise AssertionError('start_response was called twice')
        if not isinstance(status, str) or not _STATUS.match(status):
            raise ValueError(f'{status!r} is no status')
        self._status, self._fields = status, headers
        return self._write

    def run(self, app: Any, environ: dict[str, Any]) -> None:
        """Call the application and send what it returns; its failure is a 500 or a closed connection."""
        result: Any = None
        try:
            result = app(environ, self.start_response)
            self._send(result)
        except Disconnected:
            self.keep_alive = False
        except BodyError as error:
            self._failed(_reasoned(error.status), str(error))
        except Exception as error:
            LOG.exception('%s %s failed', self._head.method, environ['RAW_PATH_INFO'])
            self._failed('500 Internal Server Error', 'The server could not answer.', error)
        finally:
            if hasattr(result, 'close'):
                self._close(result)

    def _close(self, result: Any) -> None:
        try:
            result.close()
        except Exception:
            LOG.exception('closing a response failed')
            self.keep_alive = False

    def _failed(self, status: str, why: str, error: Exception | None = None) -> None:
        self.keep_alive = False
        if self.started:
            return      # the missing end tells the client
        try:
            self._status, self._fields = status, [('Content-Type', 'text/plain; charset=UTF-8')]
            self._length, self._bodiless = None, False
            self._send([(why + '\n').encode()])
        except OSError:
            pass

    def refuse(self, status: str, why: str) -> None:
        """Answer a request that reaches no application; the connection closes."""
        self._failed(status, why)

    def _send(self, result: Iterable[bytes]) -> None:
        if isinstance(result, (list, tuple)):
            self._send_whole(result[0] if len(result) == 1 else b''.join(result))
            return
        if isinstance(result, FileWrapper) and not self.started and (file := result.regular()):
            self._send_file(*file)
            result.sent = self.bytes_sent
            return
        pour = getattr(result, 'pour', None)
        if pour is not None and self._takes_pipes():
            for _ in pour(self):
                pass
            self._finish()
            return
        for data in result:
            if data:
                self._write(data)
                if self._bodiless:
                    break
        self._finish()

    def _send_whole(self, data: bytes) -> None:
        if self.started:      # by the legacy ``write``
            self._write(data)
            self._finish()
            return
        head = self._begin(len(data))
        if self._bodiless:
            self._wire.send(head, self._limits.write_time)
            return
        if self._length is not None and self._length != len(data):
            LOG.error('the application announced %d bytes and made %d', self._length, len(data))
            self.keep_alive = False
            data = data[:self._length]
        self.bytes_sent = len(data)
        self._wire.send(head + data, self._limits.write_time)

    def _send_file(self, fileno: int, offset: int, left: int) -> None:
        head = self._begin(left)
        self._wire.send(head, self._limits.write_time)
        if self._bodiless:
            return
        length = left if self._length is None else self._length
        self.bytes_sent = self._wire.send_file(fileno, offset, min(left, length), self._limits.write_time)
        if self.bytes_sent < length:
            LOG.error('a file ended %d bytes early', length - self.bytes_sent)
            self.keep_alive = False

    def _write(self, data: bytes) -> None:
        """Send a piece of a body whose whole length may not be known."""
        head = b'' if self.started else self._begin(None)
        if self._bodiless:
            data = b''
        elif self._length is not None and self.bytes_sent + len(data) > self._length:
            LOG.error('the application made more than the %d bytes it announced', self._length)
            self.keep_alive = False
            data = data[:self._length - self.bytes_sent]
        self.bytes_sent += len(data)
        if self._chunked and data:
            data = b'%x\r\n%b\r\n' % (len(data), data)
        if head or data:
            self._wire.send(head + data if head else data, self._limits.write_time)

    def _takes_pipes(self) -> bool:
        """Whether a body may send itself: its length is known, and nothing is said before it."""
        return not self.started and self._head.method != 'HEAD' \
            and any((_NAMES.get(name) or _lower(name)) == 'content-length' for name, _ in self._fields)

    def send(self, data: bytes) -> None:
        """For a body that sends itself (``pour``): a piece of it."""
        self._write(data)

    def drain(self, pipe: Pipe) -> None:
        """For a body that sends itself: what a pipe holds of it.  Raises ``ValueError`` if it is too much."""
        if not self.started or self._chunked or self._bodiless or self._length is None \
                or self.bytes_sent + pipe.held > self._length:
            raise ValueError('a pipe holds what may not be sent')
        self.bytes_sent += pipe.held
        try:
            self._wire.drain(pipe, self._limits.write_time)
        finally:
            self.bytes_sent -= pipe.held

    def _finish(self) -> None:
        """After the last piece."""
        if not self.started:
            self._wire.send(self._begin(0), self._limits.write_time)
        if self._bodiless:
            return
        if self._chunked:
            self._wire.send(b'0\r\n\r\n', self._limits.write_time)
        elif self._length is not None and self.bytes_sent < self._length:
            LOG.error('the application made %d bytes fewer than it announced', self._length - self.bytes_sent)
            self.keep_alive = False

    def _begin(self, size: int | None) -> bytes:
        """The head's bytes; ``size`` is the body's, if it is known."""
        if self._status is None:
            raise AssertionError('the application did not call start_response')
        lines = self._lines()
        code, head = self.code, self._head
        self._bodiless = head.method == 'HEAD' or code in (204, 304)
        if self._length is None and code not in (204, 304):
            if size is not None:
                if size or head.method != 'HEAD':
                    self._length = size
                    lines.append(f'Content-Length: {size}\r\n')
            elif not head.old:
                self._chunked = True
                lines.append('Transfer-Encoding: chunked\r\n')
            else:
                self.keep_alive = False
        if self._body.broken or self._body.expecting:
            self._body.expecting = False      # too late for ``100 Continue``
            self.keep_alive = False
        if not self.keep_alive:
            lines.append('Connection: close\r\n')
        elif head.old:
            lines.append('Connection: keep-alive\r\n')
        text = ''.join(lines)
        if text.count('\n') != len(lines) or text.count('\r') != len(lines) or '\0' in text:
            raise ValueError('a response header with a line break or NUL in it')
        data = (text + '\r\n').encode('latin-1')
        self.started = True
        return data

    def _lines(self) -> list[str]:
        """The status line and the application's headers, checked; sets the code and the length."""
        status = self._status or ''
        self.code = code = int(status[:3])
        lines = [f'HTTP/1.1 {status if len(status) > 4 else _reasoned(code)}\r\n']
        dated = False
        for name, value in self._fields:
            lower = _NAMES.get(name) or _lower(name)
            if lower in _OURS:
                if lower == 'connection' and 'close' in value.lower():
                    self.keep_alive = False
                continue
            if lower == 'content-length':
                if not (value.isascii() and value.isdigit()) or self._length not in (None, int(value)):
                    raise ValueError(f'Content-Length {value!r}')
                # RFC 9110 wants none beside 204; the object storage API publishes a 0, and its clients look for it
                if self._length is not None or (code == 204 and int(value)):
                    continue
                self._length = int(value)
            elif lower == 'date':
                dated = True
            lines.append(f'{name}: {value}\r\n')
        if not dated:
            lines.append(f'Date: {http_date()}\r\n')
        return lines

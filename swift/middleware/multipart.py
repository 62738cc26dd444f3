"""A multipart body (a form, or byte ranges), part by part as it arrives; its size does not matter to memory."""

import re
from collections.abc import Iterator
from typing import Any

#: bytes asked of the client at a time
CHUNK = 65536
#: bytes of the headers of one part
HEADERS = 8192

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.I)
_PARAMETER = re.compile(r';\s*([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))', re.A)
_ESCAPED = re.compile(r'\\(["\\])')


class Malformed(ValueError):
    """A body that is no multipart body, or that ends early."""


def boundary(content_type: str) -> bytes | None:
    """What stands between the parts; ``None`` if it is no form or does not say."""
    if content_type.partition(';')[0].strip().lower() != 'multipart/form-data':
        return None
    found = _BOUNDARY.search(content_type)
    return (found[1] or found[2]).encode('latin-1') if found else None


class Part:
    """One part; its body must be read, as far as it is wanted, before the next is asked for."""

    def __init__(self, body: 'Body', headers: dict[str, str], raw: bytes) -> None:
        self._body = body
        #: what stands before its body: boundary and headers
        self.raw = raw
        #: lower-case names, WSGI strings
        self.headers = headers
        disposition = headers.get('content-disposition', '')
        parameters = {match[1].lower(): match[3] if match[2] is None else _ESCAPED.sub(r'\1', match[2])
                      for match in _PARAMETER.finditer(disposition)}
        #: of the form's field
        self.name: str = parameters.get('name', '')
        #: ``None`` for a field that is no file
        self.filename: str | None = parameters.get('filename')

    def read(self, size: int) -> bytes:
        """Some bytes, at most ``size``; none at its end.  Raises ``Malformed``."""
        return self._body.read(size)


class Body:
    """The parts of a body.  Iterate over it once."""

    def __init__(self, stream: Any, mark: bytes) -> None:
        self._stream = stream
        self._mark = b'\r\n--' + mark
        # the first boundary lacks the line end that is part of all others
        self._buffer = b'\r\n'
        self._ended = False
        #: the last boundary, once all parts have been read
        self.tail = b''

    def __iter__(self) -> Iterator[Part]:
        self._fill(len(self._mark))
        if not self._buffer.startswith(self._mark):
            raise Malformed('invalid starting boundary')
        mark = self._mark[2:]
        while True:
            self._buffer = self._buffer[len(self._mark):]
            self._fill(2)
            after, self._buffer = self._buffer[:2], self._buffer[2:]
            if after == b'--':
                self.tail = mark + after + self._buffer
                return
            if after != b'\r\n':
                raise Malformed('invalid boundary')
            head, headers = self._headers()
            yield Part(self, headers, mark + after + head)
            while self.read(CHUNK):
                pass
            mark = self._mark

    def read(self, size: int) -> bytes:
        """Bytes of the present part."""
        if size <= 0:
            return b''
        self._fill(min(size, CHUNK) + len(self._mark))
        end = self._buffer.find(self._mark)
        if end < 0:
            if self._ended:
                raise Malformed('unexpected end')
            # what may be the beginning of a boundary stays
            end = len(self._buffer) - len(self._mark) + 1
        piece, self._buffer = self._buffer[:min(size, end)], self._buffer[min(size, end):]
        return piece

    def _headers(self) -> tuple[bytes, dict[str, str]]:
        self._fill(2)
        if self._buffer.startswith(b'\r\n'):
            self._buffer = self._buffer[2:]
            return b'\r\n', {}
        self._fill(HEADERS)
        head, found, rest = self._buffer.partition(b'\r\n\r\n')
        if not found or len(head) > HEADERS or self._mark in head:
            raise Malformed('invalid headers of a part')
        # the line end goes back: it may begin the boundary of an empty part
        self._buffer = rest if not rest.startswith(self._mark[2:]) else b'\r\n' + rest
        headers = {}
        for line in head.decode('latin-1').split('\r\n'):
            name, colon, value = line.partition(':')
            if colon:
                headers[name.strip().lower()] = value.strip()
        return head + b'\r\n\r\n', headers

    def _fill(self, size: int) -> None:
        """Have ``size`` bytes in the buffer, or all that there are."""
        while len(self._buffer) < size and not self._ended:
            piece = self._stream.read(CHUNK)
            if piece:
                self._buffer += piece
            else:
                self._ended = True

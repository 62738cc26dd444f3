"""A PUT body in two documents (MIME): the data, and metadata that was known only after it.

A filter that encrypts knows the MD5 of what it sends when it has sent it.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from swift import conf as confs
from swift.http import path as paths
from swift.http.headers import title
from swift.http.request import Request
from swift.http.response import HttpError

Chunks = Iterator[bytes]
#: bytes of one document's headers, and of the metadata's JSON
HEADERS, FOOTERS = 8192, 1 << 20
_HEADER = re.compile(rb'([!-9;-~]+):[ \t]*(.*?)[ \t]*\Z')


def of(request: Request, chunk: int) -> 'Documents | None':
    """The documents of a body that is made of them."""
    headers = request.headers
    if not confs.true(headers.get('X-Backend-Obj-Metadata-Footer')):
        return None
    if confs.true(headers.get('X-Backend-Obj-Multiphase-Commit')):
        raise HttpError(400, 'a commit of its own is for erasure coding only')
    boundary = headers.get('X-Backend-Obj-Multipart-Mime-Boundary')
    if not boundary:
        raise HttpError(400, 'no MIME boundary')
    stream = request.input
    if hasattr(stream, 'continue_headers'):
        # the proxy sends no such body to a server that does not say this
        stream.continue_headers = b'X-Obj-Metadata-Footer: yes\r\n'
    return Documents(stream, boundary.encode('latin-1'), chunk, _size(headers.get('X-Backend-Obj-Content-Length')))


def _size(value: str | None) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal()):
        raise HttpError(400, 'Invalid X-Backend-Obj-Content-Length')
    return int(value)


class Documents:
    """The documents of one body, read in their order."""

    #: nothing of it is data alone
    rest = None

    def __init__(self, stream: Any, boundary: bytes, chunk: int, size: int | None) -> None:
        self.size = size
        self._stream = stream
        self._mark = b'\r\n--' + boundary
        self._chunk = chunk
        # the first mark has no line before it
        self._held = b'\r\n'
        self._ended = False

    def chunks(self) -> Chunks:
        """The data; raises ``HttpError`` 400 if the documents are malformed, 499 if they end."""
        self._skip_to_mark()
        self._begin('object body')
        yield from self._pieces()

    def footers(self) -> dict[str, str]:
        """The metadata that follows the data, names in title case; raises ``HttpError`` 400 or 422."""
        headers = self._begin('object metadata')
        data = b''
        for piece in self._pieces():
            data += piece
            if len(data) > FOOTERS:
                raise HttpError(400, 'too much metadata')
        digest = headers.get('content-md5')
        if digest is not None and digest != hashlib.md5(data, usedforsecurity=False).hexdigest():
            raise HttpError(422)
        try:
            said = json.loads(data)
            return {title(paths.text_to_wsgi(str(name))): paths.text_to_wsgi(str(value))
                    for name, value in said.items() if value is not None}
        except (ValueError, AttributeError):
            raise HttpError(400, 'invalid JSON for footer doc') from None

    def _more(self) -> None:
        from swift.obj.put import receive
        data = receive(self._stream, self._chunk)
        if not data:
            raise HttpError(499)
        self._held += data

    def _skip_to_mark(self) -> None:
        while len(self._held) < len(self._mark):
            self._more()
        if not self._held.startswith(self._mark):
            raise HttpError(400, 'invalid starting boundary')
        self._held = self._held[len(self._mark):]

    def _begin(self, name: str) -> dict[str, str]:
        """The headers of the next document, which must be this one."""
        if self._ended:
            raise HttpError(400, f'no {name} document')
        while (end := self._held.find(b'\r\n\r\n')) < 0:
            if len(self._held) > HEADERS:
                raise HttpError(400, 'too long headers of a document')
            self._more()
        head, self._held = self._held[:end], self._held[end + 2:]
        headers: dict[str, str] = {}
        for line in head.split(b'\r\n')[1:]:
            match = _HEADER.match(line)
            if not match:
                raise HttpError(400, 'a malformed header of a document')
            headers[match[1].decode('latin-1').lower()] = match[2].decode('latin-1')
        if headers.get('x-document', '').lower() != name:
            raise HttpError(400, f'couldn\'t find the {name} document')
        return headers

    def _pieces(self) -> Chunks:
        """The content of a document, up to the mark after it."""
        first = True
        while True:
            place = self._held.find(self._mark)
            start = 2 if first else 0      # the line end after the headers
            if place >= 0:
                if place > start:
                    yield self._held[start:place]
                self._held = self._held[place + len(self._mark):]
                break
            # what could be the beginning of the mark stays
            safe = len(self._held) - len(self._mark)
            if safe > start:
                yield self._held[start:safe]
                self._held = self._held[safe:]
                first = False
            self._more()
        while len(self._held) < 2:
            self._more()
        self._ended = self._held.startswith(b'--')

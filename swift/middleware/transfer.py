"""Handing the body of one answer to another request as its own."""

from collections.abc import Iterable
from typing import Any

from swift.http import Response
from swift.http.request import Request

#: of an object's headers, what makes it what it is, beside its metadata
CARRIED = ('Content-Type', 'Content-Encoding', 'Content-Disposition', 'Content-Language', 'Cache-Control', 'Expires',
           'X-Object-Manifest', 'X-Delete-At', 'X-Robots-Tag')
#: system metadata that tells of stored bytes, or of this very object, and so cannot go with others
BOUND = ('x-object-sysmeta-slo-', 'x-object-sysmeta-container-update-override-', 'x-object-sysmeta-symlink-',
         'x-object-sysmeta-versions-symlink', 'x-object-sysmeta-symloop-extend',
         'x-object-sysmeta-allow-reserved-names')
META = ('x-object-meta-', 'x-object-sysmeta-', 'x-object-transient-sysmeta-')


class Input:
    """``wsgi.input`` of a request whose body is a stream."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b''

    def read(self, size: int = -1) -> bytes:
        """``size`` bytes, fewer at the end only; all of them if it is negative."""
        if size is None or size < 0:
            whole = self._rest + b''.join(self._pieces)
            self._rest = b''
            return whole
        found, left = [], size
        while left:
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest = piece
                continue
            found.append(self._rest[:left])
            self._rest = self._rest[left:]
            left -= len(found[-1])
        return b''.join(found)

    def readline(self, size: int = -1) -> bytes:
        """Up to the end of a line."""
        line = b''
        while b'\n' not in self._rest and (size < 0 or len(self._rest) < size):
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._rest += piece
        end = self._rest.find(b'\n') + 1 or len(self._rest)
        if size >= 0:
            end = min(end, size)
        line, self._rest = self._rest[:end], self._rest[end:]
        return line

    def __iter__(self) -> Any:
        return iter(self.readline, b'')


def is_metadata(name: str) -> bool:
    """Whether a header is metadata of an object, the user's or the system's, that goes with its content."""
    name = name.lower()
    return name.startswith(META) and not name.startswith(BOUND)


def feed(request: Request, source: Response) -> None:
    """Make the body of ``source`` the body of ``request``."""
    request.environ['wsgi.input'] = Input(source.app_iter)
    request.environ.pop('HTTP_TRANSFER_ENCODING', None)
    request.environ['CONTENT_LENGTH'] = str(source.content_length)

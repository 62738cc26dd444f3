"""Bodies of answers as filters hand them on: begun, measured, watched to their end.

A body may know how to send itself: ``pour(target)`` makes steps, each the bytes that it has handed to the
client's connection.  ``Measured`` and ``Watched`` count those as they count pieces.  Whoever wants to see or
change the bytes iterates, or hands on a body of his own, which has no ``pour``.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any


class Body:
    """A body of which the first piece has been made, so that its status is known."""

    __slots__ = ('_first', '_rest', '_close')

    def __init__(self, body: Iterable[bytes]) -> None:
        """Raises what making the first piece raises, after giving back what the body holds."""
        self._close: Callable[[], Any] | None = getattr(body, 'close', None)
        self._rest = iter(body)
        try:
            self._first = next(self._rest, b'')
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        if self._first:
            yield self._first
        yield from self._rest

    def close(self) -> None:
        """Give back what the body holds."""
        close, self._close = self._close, None
        if close is not None:
            close()


class BadLength(Exception):
    """A body is not as long as its Content-Length said."""


Pour = Callable[[Any], Iterator[int]]


def poured(body: Any, through: Callable[[Iterator[int]], Iterator[int]]) -> Pour | None:
    """``pour`` of a body around ``body``: its steps go ``through`` the count; ``None`` if it has none."""
    pour: Pour | None = getattr(body, 'pour', None)
    return None if pour is None else lambda target: through(pour(target))


class Measured:
    """A body that must have ``length`` bytes; iterating raises ``BadLength`` if it has not."""

    __slots__ = ('_body', '_length')

    def __init__(self, body: Iterable[bytes], length: int) -> None:
        self._body = body
        self._length = length

    def __iter__(self) -> Iterator[bytes]:
        left = self._length
        for piece in self._body:
            if len(piece) > left:
                if left:
                    yield piece[:left]
                raise BadLength(f'the body goes on after its {self._length} bytes')
            left -= len(piece)
            yield piece
        if left:
            raise BadLength(f'the body ends {left} of {self._length} bytes early')

    @property
    def pour(self) -> Pour | None:
        """The body's, with the same check."""
        return poured(self._body, self._measure)

    def _measure(self, steps: Iterator[int]) -> Iterator[int]:
        left = self._length
        for size in steps:
            left -= size
            yield size
        if left:
            raise BadLength(f'{self._length - left} bytes were sent of {self._length}')

    def close(self) -> None:
        """Give back what the body holds."""
        close = getattr(self._body, 'close', None)
        if close is not None:
            close()


class Watched:
    """A body that tells, once, how it ended: ``ended(bytes, whole)`` when it is closed."""

    __slots__ = ('_body', '_ended', '_size', '_whole', 'began')

    def __init__(self, body: Iterable[bytes], ended: Callable[[int, bool], Any], began: Callable[[], Any]) -> None:
        """``began`` is called when the first bytes are there."""
        self._body = body
        self._ended: Callable[[int, bool], Any] | None = ended
        self.began = began
        self._size = 0
        self._whole = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._body:
            if not self._size:
                self.began()
            self._size += len(piece)
            yield piece
        self._whole = True

    @property
    def pour(self) -> Pour | None:
        """The body's, counted."""
        return poured(self._body, self._watch)

    def _watch(self, steps: Iterator[int]) -> Iterator[int]:
        for size in steps:
            if not self._size:
                self.began()
            self._size += size
            yield size
        self._whole = True

    def close(self) -> None:
        """Give back what the body holds, and tell."""
        ended, self._ended = self._ended, None
        close = getattr(self._body, 'close', None)
        try:
            if close is not None:
                close()
        finally:
            if ended is not None:
                ended(self._size, self._whole)

"""Points in time as the cluster writes them: ten-microsecond ticks, and an offset for what follows without a new time.

::

    normal     1700000000.12345                      what a client sees
    internal   1700000000.12345_0000000000000001     what names a file; the offset only if there is one
    short      1700000000.12345_1                    the same in listings and queues

The forms are those of Swift 2.38.
"""

import functools
import math
import time
from datetime import datetime, timezone
from email.utils import formatdate
from typing import Union

TICKS = 100_000     # in a second
END = 10_000_000_000 * TICKS
HIGHEST_OFFSET = 0xffffffffffffffff

Value = Union['Timestamp', str, bytes, int, float]


def _ticks(seconds: float) -> int:
    if not math.isfinite(seconds):
        raise ValueError(f'not a time: {seconds!r}')
    return round(seconds * TICKS)


@functools.lru_cache(1024)
def _parsed(value: str) -> tuple[int, int]:
    """Ticks and offset; the same time is read again and again on the way of a request."""
    text, mark, tail = value.partition('_')
    return _ticks(float(text)), int(tail, 16) if mark else 0


_http_date = functools.lru_cache(1024)(functools.partial(formatdate, usegmt=True))


@functools.lru_cache(1024)
def of_header(value: str) -> 'Timestamp':
    """The time in a header, which is read again and again on the way of a request; raises ``ValueError``."""
    return Timestamp(value)


@functools.total_ordering
class Timestamp:
    """A time since 1970, in ticks, with an offset that orders what happened at the same time."""

    __slots__ = ('raw', 'offset', '_normal')

    def __init__(self, value: Value, offset: int = 0, delta: int = 0) -> None:
        """``value``: seconds, or any published form; ``offset`` is added to the value's own, ``delta`` is ticks.

        Raises ``ValueError`` for what is no time between 1970 and 2286.
        """
        own = 0
        if isinstance(value, Timestamp):
            raw, own = value.raw, value.offset
        else:
            if isinstance(value, bytes):
                value = value.decode('ascii')
            raw, own = _parsed(value) if isinstance(value, str) else (_ticks(value), 0)
        self.raw = raw + delta
        self.offset = own + offset
        if not 0 <= self.raw < END:
            raise ValueError(f'not a time between 1970 and 2286: {value!r}')
        if not 0 <= self.offset <= HIGHEST_OFFSET:
            raise ValueError(f'the offset {self.offset} is out of range')
        self._normal: str | None = None

    @classmethod
    def now(cls, offset: int = 0, delta: int = 0) -> 'Timestamp':
        """The present, by this machine's clock."""
        return cls(time.time(), offset, delta)

    @property
    def normal(self) -> str:
        """As a client sees it: ten digits, a point, five digits."""
        if self._normal is None:
            self._normal = f'{self.raw // TICKS:010d}.{self.raw % TICKS:05d}'
        return self._normal

    @property
    def internal(self) -> str:
        """As a file is named by it."""
        return f'{self.normal}_{self.offset:016x}' if self.offset else self.normal

    @property
    def short(self) -> str:
        """As listings and queues hold it."""
        return f'{self.normal}_{self.offset:x}' if self.offset else self.normal

    @property
    def isoformat(self) -> str:
        """UTC, with six decimals and without a zone, as in listings."""
        whole, ticks = divmod(self.raw, TICKS)
        return f'{datetime.fromtimestamp(whole, timezone.utc):%Y-%m-%dT%H:%M:%S}.{ticks * 10:06d}'

    @property
    def last_modified(self) -> str:
        """An HTTP date, rounded up to the second."""
        return _http_date(self.ceil())

    def ceil(self) -> int:
        """Seconds, rounded up."""
        return -(-self.raw // TICKS)

    def __float__(self) -> float:
        return self.raw / TICKS

    def __int__(self) -> int:
        return self.raw // TICKS

    def __bool__(self) -> bool:
        return bool(self.raw or self.offset)

    def __repr__(self) -> str:
        return self.internal

    __str__ = __repr__

    def __hash__(self) -> int:
        return hash((self.raw, self.offset))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Timestamp):
            if other is None:
                return False
            try:
                other = Timestamp(other)    # type: ignore[arg-type]
            except (ValueError, TypeError):
                return False
        return self.raw == other.raw and self.offset == other.offset

    def __lt__(self, other: object) -> bool:
        if other is None:
            return False
        if not isinstance(other, Timestamp):
            other = Timestamp(other)    # type: ignore[arg-type]
        return (self.raw, self.offset) < (other.raw, other.offset)

    def __invert__(self) -> 'Timestamp':
        """The latest time before this one, offsets aside."""
        return Timestamp(0, delta=self.raw - 1)


ZERO = Timestamp(0)


def encode(first: Timestamp, second: Timestamp | None = None, third: Timestamp | None = None,
           explicit: bool = False) -> str:
    """Up to three times as one string: the first, then differences in hexadecimal ticks.

    Equal ones are left out unless ``explicit``.  (data, content type, metadata)
    of an object travel so in listings.
    """
    if second is None:
        return first.short
    differences = [second.raw - first.raw]
    if third is not None:
        differences.append(third.raw - second.raw)
    if not explicit and not any(differences):
        return first.short
    return first.short + ''.join(f'{each:+x}' for each in differences)


def decode(text: str, explicit: bool = False) -> tuple[Timestamp, Timestamp | None, Timestamp | None]:
    """The three times of ``encode``; what was left out equals its predecessor, or is ``None`` if ``explicit``.

    Raises ``ValueError``.
    """
    differences: list[int] = []
    end = len(text)
    start = next((place for place, letter in enumerate(text) if letter in '+-'), end)
    first = Timestamp(text[:start])
    while start < end:
        stop = next((place for place in range(start + 1, end) if text[place] in '+-'), end)
        differences.append(int(text[start:stop], 16))
        start = stop
    if len(differences) > 2:
        raise ValueError(f'more than three times in {text!r}')
    times: list[Timestamp | None] = [first]
    for each in differences:
        last = times[-1]
        assert last is not None
        times.append(Timestamp(0, delta=last.raw + each))
    if explicit:
        times += [None] * (3 - len(times))
    elif not differences:
        times = [first] * 3
    elif len(differences) == 1:
        times.append(times[-1])
    return first, times[1], times[2]


def valid_delete_at(value: str | int | float) -> int:
    """Whole seconds of an X-Delete-At, cut to the range that ten digits hold; raises ``ValueError``."""
    try:
        whole = value if isinstance(value, int) else int(float(value))
    except OverflowError as error:
        raise ValueError(f'not a time: {value!r}') from error
    return max(0, min(whole, 9_999_999_999))

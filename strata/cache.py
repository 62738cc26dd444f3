"""A cache bounded in size and in time, in one process's memory."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar('Value')
Default = TypeVar('Default')


class Cache(Generic[Value]):
    """Keeps at most ``size`` values for at most ``ttl`` seconds; the least recently used go first."""

    def __init__(self, size: int, ttl: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.size = size
        self.ttl = ttl
        self._monotonic = monotonic
        self._entries: OrderedDict[Hashable, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable, default: Default | None = None) -> Value | Default | None:
        """The value, or ``default`` if there is none or its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return default
        if entry[0] <= self._monotonic():
            del self._entries[key]
            return default
        self._entries.move_to_end(key)
        return entry[1]

    def set(self, key: Hashable, value: Value, ttl: float | None = None) -> None:
        """Keep a value, for ``ttl`` seconds if that is less than the cache's own."""
        seconds = self.ttl if ttl is None else min(ttl, self.ttl)
        self._entries.pop(key, None)
        if seconds <= 0 or self.size <= 0:
            return
        while len(self._entries) >= self.size:
            self._entries.popitem(last=False)
        self._entries[key] = (self._monotonic() + seconds, value)

    def delete(self, key: Hashable) -> None:
        """Forget one value; one that is not there is no error."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()

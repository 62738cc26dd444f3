"""How fast a daemon may go."""

import time

from strata import green

#: seconds of idleness that may be made up for
BURST = 0.5


class Rate:
    """At most ``per_second`` (of anything) on average; 0: as fast as it goes."""

    __slots__ = ('per_second', '_free')

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        #: when all that was allowed so far is used up
        self._free = 0.0

    def wait(self, amount: float = 1.0) -> None:
        """Wait until ``amount`` more is allowed."""
        delay = self.reserve(amount)
        if delay > 0:
            green.sleep(delay)

    def take(self) -> bool:
        """Take one more if it may be used at once; whether it was."""
        if self.per_second > 0 and self._free > time.monotonic():
            return False
        self.reserve()
        return True

    def reserve(self, amount: float = 1.0) -> float:
        """Take ``amount``; the seconds to wait before it may be used."""
        if self.per_second <= 0:
            return 0.0
        now = time.monotonic()
        self._free = max(self._free, now - BURST)
        delay = self._free - now
        self._free += amount / self.per_second
        return max(0.0, delay)

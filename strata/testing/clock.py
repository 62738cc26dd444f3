"""A clock that moves only when it is told to."""

import datetime

from strata import clock


class FrozenClock(clock.Clock):
    """Stands in for ``strata.clock.CLOCK``; starts at 2026-11-22 12:00 UTC."""

    def __init__(self, now: datetime.datetime | str = '2026-11-22T12:00:00Z') -> None:
        self._now = clock.parse(now) if isinstance(now, str) else now
        self._monotonic = 1000.0

    def now(self) -> datetime.datetime:
        """The time of day it was set to."""
        return self._now

    def monotonic(self) -> float:
        """Seconds, advanced together with the time of day."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += datetime.timedelta(seconds=seconds)
        self._monotonic += seconds

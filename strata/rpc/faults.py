"""Trouble to order: a test tells a bus to drop, double or delay messages.

A rule names a verb, as a shell pattern, and how often it applies; the answers
to calls go by the name ``reply``.  Without rules a send costs one comparison.
"""

import dataclasses
import fnmatch


@dataclasses.dataclass(slots=True)
class _Rule:
    verb: str
    times: int | None       # None: always
    copies: int
    seconds: float


class Faults:
    """The rules of one bus; the first that fits a message is the one that applies."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        #: how many messages were dropped or doubled so far
        self.dropped = 0
        self.doubled = 0

    def drop(self, verb: str = '*', times: int | None = 1) -> None:
        """Lose the next ``times`` messages of this verb; ``None`` loses them all."""
        self._rules.append(_Rule(verb, times, 0, 0))

    def double(self, verb: str = '*', times: int | None = 1) -> None:
        """Deliver the next ``times`` messages of this verb twice."""
        self._rules.append(_Rule(verb, times, 2, 0))

    def delay(self, verb: str = '*', seconds: float = 1, times: int | None = 1) -> None:
        """Deliver the next ``times`` messages of this verb ``seconds`` later, so out of order."""
        self._rules.append(_Rule(verb, times, 1, seconds))

    def clear(self) -> None:
        """Back to a faultless bus."""
        self._rules.clear()

    def fate(self, verb: str) -> tuple[int, float]:
        """How many copies of this message to deliver, and after how many seconds."""
        for rule in self._rules:
            if fnmatch.fnmatchcase(verb, rule.verb):
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times <= 0:
                        self._rules.remove(rule)
                self.dropped += rule.copies == 0
                self.doubled += rule.copies == 2
                return rule.copies, rule.seconds
        return 1, 0

"""What a process remembers of the database, and how it knows that it still holds.

Values are remembered under the revision counter they depend on
(``db.revisions``).  ``look`` reads the counters, one small query, and drops
what they have outdated; a request looks once, at its start.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from keystone.db import revisions
from strata.db import Database

Value = TypeVar('Value')


class Memory:
    """``size`` bounds the entries under one counter; a full one is emptied."""

    def __init__(self, database: Database, size: int) -> None:
        self._db, self._size = database, size
        self.revisions: dict[str, int] = {}
        self._known: dict[str, dict[Any, Any]] = {name: {} for name in revisions.NAMES}
        #: what is kept up to date in place and so outlives the counters
        self.lasting: dict[str, Any] = {}

    def look(self) -> dict[str, int]:
        """The counters as they stand now."""
        with self._db.reading() as tx:
            seen = revisions.read(tx)
        if seen != self.revisions:
            for name, value in seen.items():
                if self.revisions.get(name) != value:
                    # a new dict: whoever is still loading fills the old one, which nobody reads
                    self._known[name] = {}
            self.revisions = seen
        return seen

    def recall(self, counter: str, key: Any, load: Callable[[Session], Value]) -> Value:
        """The value remembered under ``key``, or what ``load(tx)`` finds."""
        known = self._known[counter]
        try:
            return known[key]      # type: ignore[no-any-return]
        except KeyError:
            pass
        with self._db.reading() as tx:
            value = load(tx)
        self.keep(known, key, value)
        return value

    def shelf(self, counter: str) -> dict[Any, Any]:
        """The entries under a counter as of the last look; put into them with ``keep``."""
        return self._known[counter]

    def keep(self, shelf: dict[Any, Any], key: Any, value: Any) -> None:
        """Remember one more."""
        if len(shelf) >= self._size:
            shelf.clear()
        shelf[key] = value

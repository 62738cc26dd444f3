"""What a process remembers of the database, and how it knows that it still holds.

Values are remembered under the revision counter they depend on
(``db.revisions``).  ``look`` reads the counters, one small query, and drops
what they have outdated; a request looks once, at its start.  SQLite tells
even more cheaply whether anybody has written anything at all.
"""

import os
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
        self._watch = Watch(database) if database.dialect == 'sqlite' else None

    def look(self) -> None:
        """Forget what the counters, as they stand now, say is outdated."""
        stamp = self._watch.stamp() if self._watch else None
        if stamp is not None and self._watch and stamp == self._watch.seen:
            return
        seen = revisions.read_fast(self._db)
        for name, value in seen.items():
            if self.revisions.get(name) != value:
                # a new dict: whoever is still loading fills the old one, which nobody reads
                self._known[name] = {}
        self.revisions = seen
        if self._watch:
            self._watch.seen = stamp      # taken before the counters were read, so never too new

    def close(self) -> None:
        """Give back what it holds of the database."""
        if self._watch:
            self._watch.close()

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


class Watch:
    """Whether an SQLite database has changed: ``PRAGMA data_version`` on a connection that never writes.

    It changes with every commit of any other connection, in this process or
    another, and costs a few microseconds.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        self._connection: Any = None
        self._process = 0
        self.seen: int | None = None

    def stamp(self) -> int:
        """A number that is another one after a commit of somebody."""
        if self._process != os.getpid():      # a connection must not be shared over a fork
            self._connection, self._process = self._db.engine.raw_connection(), os.getpid()
            self.seen = None
        return int(self._connection.driver_connection.execute('PRAGMA data_version').fetchone()[0])

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection, self._process = None, 0

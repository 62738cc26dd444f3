"""Connections to many small SQLite files, kept open, at most so many.

A database may be moved aside, replaced or removed by another process at any
time, so a kept connection is used only while its path still leads to the same
file.  SQLite blocks the whole process while it waits, so it waits for moments
only (``BUSY_MS``), and what is still locked is asked again after other
greenlets had their turn.  Nothing switches greenlets inside a transaction.

The journal mode stays DELETE, as Swift's: whoever finds the file finds all of
it.  ``synchronous = EXTRA``: a commit is on disk when it returns; with FULL the
journal's removal is not, and after a power cut would take the commit back.
"""

import collections
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from strata import green
from swift.db.errors import DatabaseBusy, DatabaseMissing
from swift.db.schema import chexor

LOG = logging.getLogger(__name__)
Value = TypeVar('Value')

#: how long SQLite itself may wait for another process, in milliseconds
BUSY_MS = 30
#: how long a request waits for a database that others hold, in seconds
PATIENCE = 15.0

CORRUPT = ('malformed', 'not a database', 'corrupt', 'disk i/o error')


def connect(path: str) -> sqlite3.Connection:
    """Open a database file, made if it is missing; transactions are begun by hand.

    Raises ``sqlite3.OperationalError`` if others hold it.
    """
    connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, cached_statements=128,
                                 check_same_thread=False)
    connection.create_function('chexor', 3, chexor, deterministic=True)
    try:
        for setting in ('synchronous = EXTRA', 'temp_store = MEMORY', 'cache_size = -1024'):
            connection.execute(f'PRAGMA {setting}')
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def is_busy(error: sqlite3.Error) -> bool:
    """Whether others hold the database."""
    return isinstance(error, sqlite3.OperationalError) and 'locked' in str(error)


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken."""
    text = str(error).lower()
    return any(word in text for word in CORRUPT)


class Connections:
    """Open connections by path, the least recently used of more than ``size`` closed."""

    def __init__(self, size: int = 64) -> None:
        self.size = size
        self._open: collections.OrderedDict[str, tuple[sqlite3.Connection, int, int]] = collections.OrderedDict()
        self._owner = os.getpid()

    def get(self, path: str) -> sqlite3.Connection:
        """A connection to the file that is there now; raises ``DatabaseMissing``."""
        if self._owner != os.getpid():      # SQLite's connections must not be carried over a fork
            self._open, self._owner = collections.OrderedDict(), os.getpid()
        try:
            stat = os.stat(path)
        except OSError as error:
            self.forget(path)
            raise DatabaseMissing(path=path) from error
        known = self._open.get(path)
        if known is not None:
            if known[1] == stat.st_ino and known[2] == stat.st_dev:
                self._open.move_to_end(path)
                return known[0]
            self.forget(path)
        connection = connect(path)
        self._open[path] = connection, stat.st_ino, stat.st_dev
        if len(self._open) > self.size:
            self._open.popitem(last=False)[1][0].close()
        return connection

    def forget(self, path: str) -> None:
        """Close the connection to a path, if there is one."""
        known = self._open.pop(path, None)
        if known is not None:
            known[0].close()

    def close(self) -> None:
        """Close all."""
        while self._open:
            self._open.popitem()[1][0].close()

    def __len__(self) -> int:
        return len(self._open)


def read(connections: Connections, path: str, query: Callable[[sqlite3.Connection], Value],
         patience: float = PATIENCE) -> Value:
    """Run queries in one read transaction; raises ``DatabaseBusy``, ``DatabaseMissing`` or what SQLite raises."""
    deadline = time.monotonic() + patience
    while True:
        try:
            connection = connections.get(path)
            with green.no_switch('a read of a database'):
                connection.execute('BEGIN')
                try:
                    return query(connection)
                finally:
                    if connection.in_transaction:
                        connection.execute('COMMIT')
        except sqlite3.OperationalError as error:
            _wait(error, path, deadline)


def write(connections: Connections, path: str, change: Callable[[sqlite3.Connection], Value],
          patience: float = PATIENCE) -> Value:
    """Run changes in one transaction, which is on disk when this returns.

    ``change`` may be called again if others held the database.  Raises as ``read``.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            connection = connections.get(path)
            with green.no_switch('a write to a database'):
                connection.execute('BEGIN IMMEDIATE')
                try:
                    value = change(connection)
                    _commit(connection)
                    return value
                finally:
                    if connection.in_transaction:
                        connection.execute('ROLLBACK')
        except sqlite3.OperationalError as error:
            _wait(error, path, deadline)


def _commit(connection: sqlite3.Connection) -> None:
    """Commit; readers in other processes may hold that up for a moment."""
    for attempt in range(20):
        try:
            connection.execute('COMMIT')
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or attempt == 19:
                raise


def _wait(error: sqlite3.OperationalError, path: str, deadline: float) -> None:
    if not is_busy(error):
        raise error
    if time.monotonic() >= deadline:
        raise DatabaseBusy(path=path) from error
    LOG.debug('%s is held by another process', path)
    green.sleep(0.01)

"""The ``.pending`` file beside a database: rows that wait for their turn, appended in a moment.

    request --> append (under the directory's lock, on disk) --> 201
    reader  --> read all, merge into the database, truncate (under the same lock)

A row is ``:`` and the base64 of a pickled tuple, as Swift 2.38 writes it.  The
pickles are read by a reader that knows plain values only.  A piece that cannot
be read (a write cut short by a crash was never acknowledged) is left out.
"""

import base64
import contextlib
import errno
import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from strata import green
from swift.db.errors import DatabaseBusy
from swift.storage import files, locks, pickles
from swift.storage.errors import Locked

LOG = logging.getLogger(__name__)

#: bytes after which rows go into the database at once
CAP = 131_072
#: seconds after which a sync is worth a thread
SLOW = 0.002
#: rows a sync brings on average from which on waiting for company is worth it, and how often that is tried
ALONE, TRY = 1.2, 16

Row = tuple[Any, ...]


def encode(row: Row) -> bytes:
    """A row as it is appended."""
    return b':' + base64.b64encode(pickles.dumps(row))


def decode(data: bytes, where: str) -> list[Row]:
    """The rows of a file's content, without those that cannot be read."""
    rows = []
    for piece in data.split(b':'):
        if piece.strip():
            try:
                row = pickles.loads(base64.b64decode(piece, validate=True))
                if not isinstance(row, tuple):
                    raise ValueError('not a row')
            except Exception as error:
                LOG.error('%s: a row of %d bytes cannot be read and is left out: %s', where, len(piece), error)
            else:
                rows.append(row)
    return rows


@contextlib.contextmanager
def lock(directory: str, timeout: float) -> Iterator[None]:
    """Be the only one to append to or take from the file; raises ``DatabaseBusy`` after ``timeout`` seconds."""
    try:
        with locks.directory(directory, timeout=timeout):
            yield
    except Locked as error:
        raise DatabaseBusy(path=directory) from error


def size(path: str) -> int:
    """Bytes that wait; 0 if there is no file."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def append(path: str, row: Row) -> int:
    """Add a row; the caller holds the lock.  Returns the open file, for ``Syncs.finish``."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        files.write_all(descriptor, encode(row))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class _Round:
    """One sync, and those who wait for it."""

    __slots__ = ('done', 'error', 'rows')

    def __init__(self) -> None:
        self.done = green.Event()
        self.error: OSError | None = None
        self.rows = 1


class Syncs:
    """Brings appended rows to disk, and those of one file that come at about the same time with one sync.

    The first waits until all greenlets that can run have run, and syncs for
    those who have joined; whether that is worth it is tried now and then.  A
    sync blocks every greenlet, which a fast disk makes not worth avoiding; where
    it is slow it runs on a native thread.
    """

    def __init__(self, slow: float = SLOW) -> None:
        self.slow = slow
        #: how long a sync takes here, and how many rows it brings, averaged over the last ones
        self.pace = 0.0
        self.company = 1.0
        self._turn = 0
        self._next: dict[tuple[int, int], _Round] = {}
        self._running: dict[tuple[int, int], _Round] = {}

    def finish(self, descriptor: int) -> None:
        """Close a file whose content is on disk then; raises ``OSError``."""
        try:
            self._turn += 1
            if self.pace >= self.slow or self.company > ALONE or not self._turn % TRY or self._next:
                self._together(descriptor)
            else:
                self._sync(descriptor)
        finally:
            os.close(descriptor)

    def _sync(self, descriptor: int) -> None:
        began = time.perf_counter()
        if self.pace < self.slow:
            os.fdatasync(descriptor)
        else:
            green.native(os.fdatasync, descriptor)
        self.pace += (time.perf_counter() - began - self.pace) / 16

    def _together(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        key = found.st_dev, found.st_ino
        joined = self._next.get(key)
        if joined is not None:      # it has not begun, so it will bring our row along
            joined.rows += 1
            joined.done.wait()
            if joined.error is not None:
                raise joined.error
            return
        mine = self._next[key] = _Round()
        try:
            green.sleep(0)
            while key in self._running:
                self._running[key].done.wait()
            self._running[key] = self._next.pop(key)
            self._sync(descriptor)
            self.company += (mine.rows - self.company) / 8
        except BaseException as error:
            mine.error = error if isinstance(error, OSError) else OSError(errno.EINTR, 'a sync was given up')
            raise
        finally:
            for rounds in (self._next, self._running):
                if rounds.get(key) is mine:
                    del rounds[key]
            mine.done.set()


def drain(path: str, merge: Callable[[list[Row]], None]) -> int:
    """Hand all rows to ``merge`` and empty the file once that has returned; how many there were.

    The caller holds the lock.
    """
    try:
        with open(path, 'r+b') as file:
            rows = decode(file.read(), path)
            if rows:
                merge(rows)
            file.truncate(0)
            return len(rows)
    except FileNotFoundError:
        return 0

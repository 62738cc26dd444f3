"""The ``.pending`` file beside a database: rows that wait for their turn, appended in a moment.

    request --> append (under the directory's lock, on disk) --> 201
    reader  --> read all, merge into the database, truncate (under the same lock)

A row is ``:`` and the base64 of a pickled tuple, as Swift 2.38 writes it.  The
pickles are read by a reader that knows plain values only.  A piece that cannot
be read (a write cut short by a crash was never acknowledged) is left out.
"""

import base64
import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

from strata import green
from swift.db.errors import DatabaseBusy
from swift.storage import commit, files, locks, pickles, syncs
from swift.storage.errors import Locked

LOG = logging.getLogger(__name__)

#: bytes after which rows go into the database at once
CAP = 131_072

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


def take(directory: str, timeout: float) -> int:
    """As ``lock``, until the descriptor that this returns is closed; ``FileNotFoundError`` without the directory."""
    try:
        return locks.take(directory, timeout, make=False)
    except Locked as error:
        raise DatabaseBusy(path=directory) from error


def size(path: str) -> int:
    """Bytes that wait; 0 if there is no file."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def append(path: str, row: Row) -> tuple[int, syncs.Key] | None:
    """Add a row, unless too many wait; the caller holds the lock.  Returns the open file, for ``finish``."""
    descriptor = green.system.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        found = os.fstat(descriptor)
        if found.st_size > CAP:
            os.close(descriptor)
            return None
        files.write_all(descriptor, encode(row))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, (found.st_dev, found.st_ino)


def _bring(descriptors: list[int], *, device: int, meanwhile: Callable[[], None]) -> None:
    """What files hold is on disk; several are of one file system on which one sync does for all."""
    last = descriptors[-1]
    if len(descriptors) > 1:
        for each in descriptors[:-1]:
            syncs.await_written(each, device)
        os.utime(last)      # a change after the data of all of them, which its sync brings along
    syncs.sync(last, data=len(descriptors) == 1, device=device)


#: one sync for the rows of a file that come together, or of all files of a file system
_ROUNDS = syncs.Rounds(_bring, files.begin_writing)


def finish(descriptor: int, key: syncs.Key) -> None:
    """Close a file whose content is on disk then; raises ``OSError``."""
    try:
        place = key[0], os.fstatvfs(descriptor).f_fsid
        _ROUNDS.join(place if commit.ordered(*place) else key, descriptor, inode=key[1])
    finally:
        os.close(descriptor)


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

"""Locks by name within a process, and by file between the processes of a host.

Neither orders two hosts: that is what ``swap`` in the database is for.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from strata import errors, green


class Names:
    """A lock per name; a name nobody holds takes no memory."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[green.Semaphore, int]] = {}

    @contextlib.contextmanager
    def hold(self, name: str, timeout: float | None = None) -> Iterator[None]:
        """Be the only greenlet in a block of this name.

        Not re-entrant.  Raises ``errors.Timeout`` after ``timeout`` seconds.
        """
        lock, users = self._locks.get(name) or (green.Semaphore(1), 0)
        self._locks[name] = lock, users + 1
        try:
            with green.timeout(timeout, errors.Timeout(what=f'The lock {name}')):
                lock.acquire()
            try:
                yield
            finally:
                lock.release()
        finally:
            users = self._locks[name][1] - 1
            if users:
                self._locks[name] = lock, users
            else:
                del self._locks[name]

    def held(self, name: str) -> bool:
        """Whether somebody holds it or waits for it."""
        return name in self._locks

    def __len__(self) -> int:
        return len(self._locks)


@contextlib.contextmanager
def file(path: str | os.PathLike[str], timeout: float | None = None) -> Iterator[int]:
    """Be the only block of any process of this host that holds ``path``; yields the descriptor.

    The file is made if it is missing and stays.  The kernel lets go when the
    holder dies.  Not re-entrant, and children started meanwhile do not inherit
    it.  Raises ``errors.Timeout`` after ``timeout`` seconds; 0 does not wait.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, path, timeout)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: str | os.PathLike[str], timeout: float | None) -> None:
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = 0.005
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            # a blocking flock would stop every greenlet of the process
            if deadline is not None and time.monotonic() >= deadline:
                raise errors.Timeout(what=f'The lock {os.fspath(path)}') from None
            green.sleep(pause)
            pause = min(pause * 1.5, 0.1)

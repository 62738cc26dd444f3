"""Locks that hold between processes: ``.lock`` files, as Swift's own daemons take them."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator

from strata import green
from swift.storage.errors import Locked

WAIT = 0.01


@contextlib.contextmanager
def directory(path: str, *, timeout: float = 10.0, name: str | None = None) -> Iterator[None]:
    """Be the only one in a directory, which is made if need be.

    ``name``: of several locks in one directory.  Raises ``Locked`` after ``timeout`` seconds.
    """
    fd = take(path, timeout, f'.lock-{name}' if name else '.lock')
    try:
        yield
    finally:
        os.close(fd)


def take(directory: str, timeout: float, name: str = '.lock', *, make: bool = True) -> int:
    """As ``directory``, until the descriptor that this returns is closed.

    Raises ``FileNotFoundError`` for a directory that is not there, unless it is to be made.
    """
    path = f'{directory}/{name}'
    deadline = 0.0
    while True:
        fd = _open(path, make)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(fd, path):
                return fd
            os.close(fd)    # its directory was removed and made again
        except BlockingIOError:
            os.close(fd)
            now = time.monotonic()
            deadline = deadline or now + timeout
            if now >= deadline:
                raise Locked(path=path, seconds=timeout, what=path) from None
            green.sleep(WAIT)
        except BaseException:
            os.close(fd)
            raise


def _open(path: str, make: bool) -> int:
    while True:
        try:
            return int(green.system.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644))
        except OSError as error:
            if error.errno != errno.ENOENT or not make:
                raise
        os.makedirs(os.path.dirname(path), exist_ok=True)


def _is_at(fd: int, path: str) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (there.st_ino, there.st_dev) == (here.st_ino, here.st_dev)

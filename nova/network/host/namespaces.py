"""Network namespaces, in the place where ``ip netns`` looks for them.

Python 3.11 has no ``os.setns``, so the C library is called.  The helper has one thread that matters;
``entered`` moves that thread into a namespace and back, and whatever it makes there (a netlink socket,
a child process, a listening socket) stays there.
"""

import contextlib
import ctypes
import os
import stat
from collections.abc import Iterator

DIRECTORY = '/run/netns'

_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED = 0x1000, 0x4000, 1 << 20
_MNT_DETACH = 2
_OWN = '/proc/thread-self/ns/net'

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f'{name}: {os.strerror(number)}')


def _path(name: str) -> str:
    return f'{DIRECTORY}/{name}'


def _is_mounted(path: str) -> bool:
    """Whether the file is a namespace and not just the empty file an interrupted ``create`` left."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    # the files of nsfs live on a device of their own, and are read-only regular files
    return stat.S_ISREG(there.st_mode) and there.st_dev == os.stat(_OWN).st_dev


def exists(name: str) -> bool:
    return _is_mounted(_path(name))


def inode(name: str) -> int:
    """The number that tells this namespace from every other one alive."""
    return os.stat(_path(name)).st_ino


def create(name: str) -> bool:
    """Make the namespace unless it is there; True if it was made."""
    path = _path(name)
    if _is_mounted(path):
        return False
    _shared_directory()
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
    with _returning():
        _call('unshare', _CLONE_NEWNET)
        _call('mount', _OWN.encode(), path.encode(), b'none', _MS_BIND, None)
    return True


def _shared_directory() -> None:
    """Namespaces mounted here are seen in other mount namespaces too, as ``ip netns`` arranges it."""
    os.makedirs(DIRECTORY, 0o755, exist_ok=True)
    try:
        _call('mount', b'', DIRECTORY.encode(), b'none', _MS_SHARED | _MS_REC, None)
    except OSError:
        _call('mount', DIRECTORY.encode(), DIRECTORY.encode(), b'none', _MS_BIND | _MS_REC, None)
        _call('mount', b'', DIRECTORY.encode(), b'none', _MS_SHARED | _MS_REC, None)


def remove(name: str) -> None:
    """Take the name away; the namespace dies with its last process and socket."""
    path = _path(name)
    while _is_mounted(path):
        _call('umount2', path.encode(), _MNT_DETACH)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


@contextlib.contextmanager
def _returning() -> Iterator[None]:
    home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        try:
            _call('setns', home, _CLONE_NEWNET)
        finally:
            os.close(home)


@contextlib.contextmanager
def entered(name: str) -> Iterator[None]:
    """The calling thread is in the namespace for as long as this lasts.  ``OSError`` if there is none."""
    there = os.open(_path(name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        with _returning():
            _call('setns', there, _CLONE_NEWNET)
            yield
    finally:
        os.close(there)


@contextlib.contextmanager
def descriptor(name: str) -> Iterator[int]:
    """An open file that names the namespace, for netlink messages."""
    there = os.open(_path(name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield there
    finally:
        os.close(there)

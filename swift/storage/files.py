"""Files that are whole or not there at all, and on disk when we say so.

A file is written without a name (O_TMPFILE) and linked into its place when it
is complete, so whoever dies half-way leaves nothing behind.  File systems
without that get a temporary name in the device's ``tmp`` directory and a rename.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import tempfile
import uuid
from collections.abc import Callable
from typing import Any

from strata import green

#: errors that say a file system has no O_TMPFILE
_UNKNOWN = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})
KEEP_SIZE = 1
#: how often a directory is made for a file, when others remove it as being empty
ATTEMPTS = 5
#: what may be written past the kernel's cache is made of such pieces, in bytes
BLOCK = 4096

#: flags of sync_file_range: begin to write; and wait until all of it is written
_WRITE, _WRITTEN = 2, 7


def _library(name: str, *types: Any) -> Callable[..., int] | None:
    """A function of the C library that Python has not got; ``None`` where there is none."""
    try:
        function: Any = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None
    function.argtypes = types
    return function      # type: ignore[no-any-return]


_fallocate = _library('fallocate64', ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_sync_range = _library('sync_file_range', ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


class Unnamed:
    """A file that has no name yet.  Closed without ``link`` it is gone.

    ``near``: the directory to be near to (file systems place a file by its
    directory); it is made if need be.  ``tmp``: where the fallback keeps it.
    """

    __slots__ = ('fd', '_path', '_made', '_tmp')

    #: set to ``False`` where O_TMPFILE is known to be missing
    supported = True

    def __init__(self, near: str, tmp: str, mode: int = 0o644) -> None:
        self._path: str | None = None
        self._tmp = tmp
        #: directories that got an entry for us
        self._made: list[str] = []
        if Unnamed.supported:
            try:
                self.fd = self._in(near, lambda: green.system.open(near, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode))
                return
            except OSError as error:
                if error.errno not in _UNKNOWN:
                    raise
        self.fd, self._path = self._in(tmp, lambda: tempfile.mkstemp(dir=tmp))
        os.fchmod(self.fd, mode)

    def _in(self, path: str, action: Callable[[], Any]) -> Any:
        """``action``, after making the directory if it is missing."""
        try:
            return action()
        except FileNotFoundError:
            self._made += make_directories(path)
            return action()

    def link(self, target: str, *, new: bool = False) -> list[str]:
        """Give it its name, replacing what has it; makes directories if need be.

        ``new``: its directory is not there yet, as far as is known.
        Returns the directories whose entries have changed, to be synced.
        """
        directory = target.rpartition('/')[0]
        for left in reversed(range(ATTEMPTS)):
            if new:
                self._made += make_directories(directory)
            try:
                self._link(target)
                break
            except FileNotFoundError:
                if not left:
                    raise
                new = True
        return [directory, *self._made]

    def _link(self, target: str) -> None:
        if self._path is not None:
            os.rename(self._path, target)
            self._path = None
            return
        try:
            self._named(target)
        except FileExistsError:
            self._replace(target)

    def _replace(self, target: str) -> None:
        """Give it a name elsewhere first: a crash must leave the old file or the new one, not none."""
        self._path = self._in(self._tmp, lambda: self._named(f'{self._tmp}/{uuid.uuid4().hex}'))
        os.rename(self._path, target)
        self._path = None

    def _named(self, path: str) -> str:
        # a descriptor argument makes this linkat with AT_SYMLINK_FOLLOW, which needs no privilege
        os.link(f'/proc/self/fd/{self.fd}', path, src_dir_fd=self.fd, dst_dir_fd=self.fd, follow_symlinks=True)
        return path

    def close(self) -> None:
        """Give the descriptor back, and the space if it has got no name.  Safe to call again."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
        path, self._path = self._path, None
        if path is not None:
            with contextlib.suppress(OSError):
                os.unlink(path)


def make_directories(path: str) -> list[str]:
    """Make a directory and its parents; returns the parents that have got an entry."""
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        return []
    except FileNotFoundError:
        parent = os.path.dirname(path)
        return [*make_directories(path=parent), *make_directories(path)] if parent != path else []
    return [os.path.dirname(path)]


def sync_directory(path: str) -> None:
    """Bring a directory's entries to disk; one that is gone is no error."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace(path: str, data: bytes, tmp: str, *, durable: bool = True) -> None:
    """Make ``data`` the content of a file, whole or not at all."""
    file = Unnamed(tmp, tmp)
    try:
        write_all(file.fd, data)
        if durable:
            os.fsync(file.fd)
        changed = file.link(path)
        if durable:
            for each in changed:
                sync_directory(each)
    finally:
        file.close()


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of it; a file system may take less at a time."""
    written = green.system.write(fd, data)
    while written < len(data):
        data = memoryview(data)[written:]
        written = green.system.write(fd, data)


def allocate(fd: int, size: int) -> None:
    """Set space aside, without changing the file's size.

    Raises ``OSError`` if there is none; where the file system cannot, nothing happens.
    """
    if _fallocate is None or size <= 0:
        return
    if _fallocate(fd, KEEP_SIZE, 0, size):
        code = ctypes.get_errno()
        if code not in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise OSError(code, os.strerror(code))


def set_direct(fd: int, on: bool) -> None:
    """Write past the kernel's cache from now on, or no longer.  ``OSError`` EINVAL where the file system cannot.

    What is written then must begin and end at multiples of ``BLOCK``, in the file and in memory.
    """
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT if on else flags & ~os.O_DIRECT)


def begin_writing(fd: int) -> None:
    """Have the kernel write a file's data out, without waiting for it."""
    if _sync_range is not None:
        _sync_range(fd, 0, 0, _WRITE)


def await_written(fd: int) -> None:
    """Write a file's data out; the disk may still hold it in its cache.  Raises ``OSError``."""
    if _sync_range is None:
        os.fdatasync(fd)
    elif _sync_range(fd, 0, 0, _WRITTEN):
        code = ctypes.get_errno()
        if code not in (errno.ESPIPE, errno.ENOSYS, errno.EINVAL):
            raise OSError(code, os.strerror(code))
        os.fdatasync(fd)


def forget(fd: int, start: int = 0, length: int = 0) -> None:
    """Tell the kernel that this part of a file need not stay in its cache."""
    with contextlib.suppress(OSError, AttributeError):
        os.posix_fadvise(fd, start, length, os.POSIX_FADV_DONTNEED)


def is_directory(path: str) -> bool:
    """Whether there is a directory (a symbolic link is none)."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def remove(path: str) -> None:
    """Unlink a file; one that is gone already is no error."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def remove_empty(path: str) -> bool:
    """Remove a directory if it is empty; whether it is gone."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True

"""Waiting for the disk without holding others up.

    sync(fd)                what a file holds is on disk
    write_out(fd)           its data has left for the disk, which may still hold it in its cache
    Rounds().join(key, fd)  as ``sync``: one for all who come while the one before it is under way

``meanwhile`` is what a caller has to do while the disk works.

Where the disk is slower than it is worth, the kernel is asked to do it (AIO's
FSYNC) and tells an eventfd when it is done, so that no greenlet waits for
another's sync.  Waking a native thread for it would cost four times as much CPU;
that is the way where there is no AIO.
"""

import ctypes
import errno
import os
import platform
import time
from collections.abc import Callable, Iterable
from typing import Any

from strata import green
from swift.storage import files

#: seconds that a sync, and that writing a small file's data out, may block everybody
QUICK, SHORT = 0.0001, 0.001
#: syncs that may be under way
DEPTH = 1024
#: io_setup, io_getevents, io_submit
_NUMBERS = {'x86_64': (206, 208, 209), 'aarch64': (0, 4, 2)}
_FSYNC, _FDSYNC, _TELL = 2, 3, 1

Key = tuple[int, int]


class _Control(ctypes.Structure):
    """``struct iocb``."""

    _fields_ = [('data', ctypes.c_uint64), ('key', ctypes.c_uint32), ('flags', ctypes.c_uint32),
                ('action', ctypes.c_uint16), ('priority', ctypes.c_int16), ('fd', ctypes.c_uint32),
                ('buffer', ctypes.c_uint64), ('size', ctypes.c_uint64), ('offset', ctypes.c_int64),
                ('reserved', ctypes.c_uint64), ('tell', ctypes.c_uint32), ('event', ctypes.c_uint32)]


class _Outcome(ctypes.Structure):
    """``struct io_event``."""

    _fields_ = [('data', ctypes.c_uint64), ('control', ctypes.c_uint64), ('result', ctypes.c_int64),
                ('further', ctypes.c_int64)]


class _Slot:
    """A sync under way, or one to come."""

    __slots__ = ('address', 'control', 'event', 'number', 'result', 'watch')

    def __init__(self, number: int) -> None:
        self.number = number
        self.event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # it tells of every signal, so that the count need not be read back
        self.watch = green.Watch(self.event)
        self.control = _Control(data=number, tell=_TELL, event=self.event)
        self.address = ctypes.c_void_p(ctypes.addressof(self.control))
        #: what the kernel said, 0 or a negative error; ``None`` until then
        self.result: int | None = None


class Kernel:
    """The kernel's asynchronous syncs, for one process.  Raises ``OSError`` where there are none."""

    def __init__(self) -> None:
        numbers = _NUMBERS.get(platform.machine())
        if numbers is None:
            raise OSError(errno.ENOSYS, 'AIO is not known here')
        self.owner = os.getpid()
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._getevents, self._submit = (ctypes.c_long(each) for each in numbers[1:])
        self._context = ctypes.c_ulong()
        if self._call(ctypes.c_long(numbers[0]), ctypes.c_long(DEPTH), ctypes.byref(self._context)):
            raise OSError(ctypes.get_errno(), 'there is no AIO')
        self._outcomes = (_Outcome * 32)()
        self._slots: dict[int, _Slot] = {}
        self._spare: list[_Slot] = []
        self._made = 0

    def sync(self, fd: int, data: bool, meanwhile: Callable[[], None] | None = None) -> bool:
        """Sync a file; ``False`` if the kernel takes no more.  Raises ``OSError`` if it failed."""
        slot = self._spare.pop() if self._spare else self._make()
        control = slot.control
        control.fd, control.action, slot.result = fd, _FDSYNC if data else _FSYNC, None
        watch = slot.watch
        watch.ready = False
        if self._call(self._submit, self._context, ctypes.c_long(1), ctypes.byref(slot.address)) != 1:
            code = ctypes.get_errno()
            self._spare.append(slot)
            if code in (errno.EAGAIN, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                return False
            raise OSError(code, os.strerror(code))
        self._slots[slot.number] = slot
        try:
            if meanwhile is not None:
                meanwhile()
            while slot.result is None:
                watch.read()
                watch.ready = False
                self._hear()
        except BaseException:      # killed: whoever hears of it lets go of it
            watch.close()
            os.close(slot.event)
            raise
        self._spare.append(slot)
        if slot.result < 0:
            raise OSError(-slot.result, os.strerror(-slot.result))
        return True

    def _make(self) -> _Slot:
        self._made += 1
        return _Slot(self._made)

    def _hear(self) -> None:
        """Take what has come, of all."""
        count = self._call(self._getevents, self._context, ctypes.c_long(0), ctypes.c_long(len(self._outcomes)),
                           self._outcomes, None)
        for number in range(count):
            outcome = self._outcomes[number]
            self._slots.pop(outcome.data).result = outcome.result


_kernel: Kernel | None = None
_missing = False


def _aio() -> Kernel | None:
    global _kernel, _missing
    if (_kernel is None or _kernel.owner != os.getpid()) and not _missing:
        try:
            _kernel = Kernel()      # a context is not carried over a fork
        except OSError:
            _kernel, _missing = None, True
    return _kernel


class Pace:
    """Whether something takes more than ``limit`` seconds here; once it did, it is tried again now and then."""

    __slots__ = ('limit', 'seconds')

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.seconds = 0.0

    def slow(self) -> bool:
        """Whether it was, the last times."""
        if self.seconds <= self.limit:
            return False
        self.seconds *= 0.98
        return True

    def took(self, seconds: float) -> None:
        """One more time; a single long one proves nothing."""
        self.seconds += (min(seconds, self.limit * 8) - self.seconds) / 8


_syncing: dict[int, Pace] = {}
_writing: dict[int, Pace] = {}


def sync(fd: int, *, data: bool = False, device: int | None = None,
         meanwhile: Callable[[], None] | None = None) -> None:
    """A file, or a directory, is on disk; ``data``: but for what only tells times.  Raises ``OSError``.

    ``device``: its number, if that is known.  ``meanwhile``: called while the kernel works, or before; not to raise.
    """
    if device is None:
        device = os.fstat(fd).st_dev
    pace = _syncing.get(device) or _syncing.setdefault(device, Pace(QUICK))
    if not pace.slow():
        if meanwhile is not None:
            meanwhile()
        began = time.perf_counter()
        _block(fd, data)
        pace.took(time.perf_counter() - began)
        return
    kernel = _aio()
    if kernel is None or not kernel.sync(fd, data, meanwhile):
        own = os.dup(fd)      # whoever is killed closes his while the thread goes on
        try:
            if meanwhile is not None:
                meanwhile()
            green.native(_block, own, data)
        finally:
            os.close(own)


def _block(fd: int, data: bool) -> None:
    if data:
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def sync_directories(paths: Iterable[str]) -> None:
    """The entries of these are on disk; one that is gone is no error.  Raises ``OSError``."""
    for path in paths:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            sync(fd)
        finally:
            os.close(fd)


def write_out(fd: int, device: int) -> None:
    """The data of a small file has left for the disk, which may hold it in its cache.  Raises ``OSError``.

    Others get a turn meanwhile; when that is over it has left, as a rule.
    """
    files.begin_writing(fd)
    green.turn()
    await_written(fd, device)


def await_written(fd: int, device: int) -> None:
    """As ``write_out``, of a file that was begun to be written: nobody gets a turn where disks are quick."""
    pace = _writing.get(device) or _writing.setdefault(device, Pace(SHORT))
    if pace.slow():
        sync(fd, data=True, device=device)
        return
    began = time.perf_counter()
    files.await_written(fd)
    pace.took(time.perf_counter() - began)


class _Round:
    """One sync, and those who wait for it."""

    __slots__ = ('beginning', 'error', 'files', 'over', 'waiting')

    def __init__(self) -> None:
        #: who has something to do once it has begun, and who waits for its end
        self.beginning: list[list[Any]] = []
        self.waiting: list[list[Any]] = []
        self.error: OSError | None = None
        #: of each file the descriptor of who came last, the last of all at the end; -1 for one that was closed
        self.files: dict[int, int] = {}
        self.over = False


class Rounds:
    """Syncs that do for several; a key is a device's number and what else tells them apart.

    Before a sync begins others get a turn, and may join.
    """

    def __init__(self, action: Callable[..., None] | None = None,
                 prepare: Callable[[int], None] | None = None) -> None:
        """``action(descriptors, device=, meanwhile=)``: done with all files, in place of ``sync`` of the last one.

        ``prepare(descriptor)``: called with a file when another one joins it.
        """
        self._action = action
        self._prepare = prepare
        self._next: dict[Key, _Round] = {}
        self._running: dict[Key, _Round] = {}

    def join(self, key: Key, fd: int, meanwhile: Callable[[], None] | None = None, *, inode: int = 0) -> None:
        """Wait for a sync that begins after this was called.  Raises ``OSError``, or what ``meanwhile`` does.

        Of those with the same ``key`` who come together the last one's file is
        synced, which is to be enough for all of them.  ``meanwhile`` is not to wait: all of them would.
        ``inode`` tells files apart where the action takes all of them.
        """
        joined = self._next.get(key)
        mine = joined or _Round()
        if self._prepare is not None and mine.files and inode not in mine.files:
            last = next(reversed(mine.files.values()))
            if last >= 0:
                self._prepare(last)
        mine.files.pop(inode, None)
        mine.files[inode] = fd
        if joined is None:
            self._next[key] = mine
            self._lead(key, mine, meanwhile)
            return
        try:
            green.pause(joined.waiting if meanwhile is None else joined.beginning)
        except BaseException:
            if joined.files[inode] == fd:
                joined.files[inode] = -1      # ours is about to be closed
            raise
        if meanwhile is not None and joined.error is None:
            meanwhile()
            if not joined.over:
                green.pause(joined.waiting)
        if joined.error is not None:
            raise joined.error

    def _lead(self, key: Key, mine: _Round, meanwhile: Callable[[], None] | None) -> None:
        failures: list[Exception] = []

        def begun() -> None:
            green.resume(mine.beginning)
            if meanwhile is not None:
                try:
                    meanwhile()
                except Exception as error:      # nobody's but ours
                    failures.append(error)
        try:
            green.turn()
            while (before := self._running.get(key)) is not None:
                green.pause(before.waiting)
            self._running[key] = self._next.pop(key)
            descriptors = list(mine.files.values())
            if -1 in descriptors:
                raise OSError(errno.EBADF, 'its file was closed')
            if self._action is not None:
                self._action(descriptors, device=key[0], meanwhile=begun)
            else:
                sync(descriptors[-1], device=key[0], meanwhile=begun)
        except BaseException as error:
            mine.error = error if isinstance(error, OSError) else OSError(errno.EINTR, 'a sync was given up')
            raise
        finally:
            mine.over = True
            for rounds in (self._next, self._running):
                if rounds.get(key) is mine:
                    del rounds[key]
            green.resume(mine.beginning)
            green.resume(mine.waiting)
        if failures:
            raise failures[0]

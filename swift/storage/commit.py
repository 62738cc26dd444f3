"""Putting finished files in their places, durably, and many of them with few waits for the disk.

Anywhere: a file's data, then its name, then the directories that hold it are
brought to disk, in this order.

On file systems with one journal, in which what came first is on disk first (ext4
with a journal, XFS), one sync does for all of it, and for all files before it:

    data of every file written out -> every file linked -> one fsync of the last

The fsync commits the journal up to that file's link; the commit flushes the
disk's cache before it is valid, so no name is ever there without its data.
``tests/functional/test_swift_commit.py`` pulls the plug on both to see it.  The directory two
above each file gets the time of the change on the way, so that is on disk as well: ``obj/hashes``
looks at it.

A sync blocks every greenlet, so files that are finished at about the same time go
together; where the disk is slow they go on a native thread.  A file that comes
alone is done at once: the hop to a thread costs more than the sync of a fast disk.
Whether others are about to finish shows only when they get a turn, so they get one
now and then, and each time once somebody has come.
"""

import contextlib
import errno
import os
import time
from collections.abc import Iterable

from strata import green
from swift.storage import files

#: a batch that takes longer than this (seconds) is worth a thread
SLOW = 0.002
#: of so many commits one looks whether others come
LOOK = 16
#: after others have come, so many give them a turn
COMPANY = 64
#: file systems in which an fsync brings all to disk that happened before it
_ORDERED = frozenset({'xfs', 'tmpfs'})

_known: dict[tuple[int, int], bool] = {}


def ordered(device: int, identity: int) -> bool:
    """Whether a file system has one journal for everything.

    ``device`` is its number and ``identity`` what statvfs calls f_fsid: a disk that was
    replaced has the same number, and may have another file system.
    """
    found = _known.get((device, identity))
    if found is None:
        found = _known[device, identity] = _has_journal(f'{os.major(device)}:{os.minor(device)}')
    return found


def _has_journal(number: str) -> bool:
    try:
        with open('/proc/self/mountinfo', encoding='utf-8', errors='surrogateescape') as file:
            kinds = {line.partition(' - ')[2].split()[0] for line in file if line.split()[2] == number}
    except (OSError, IndexError):
        return False
    if kinds == {'ext4'}:
        # 8 is the inode of a journal within the file system
        name = os.path.basename(os.path.realpath(f'/sys/dev/block/{number}'))
        return os.path.exists(f'/proc/fs/jbd2/{name}-8')
    return bool(kinds) and kinds <= _ORDERED


class _Job:
    __slots__ = ('file', 'target', 'heavy', 'error', 'done', 'finished', 'changed')

    def __init__(self, file: files.Unnamed, target: str, heavy: bool) -> None:
        self.file = file
        self.target = target
        self.heavy = heavy
        self.error: OSError | None = None
        #: it has come to its end, well or not; whoever leads may be killed before
        self.finished = False
        self.changed: list[str] = []
        self.done: green.Event | None = None


class Committer:
    """Commits the files of one process."""

    def __init__(self) -> None:
        self._waiting: list[_Job] = []
        self._leading = False
        self._count = self._company = 0
        #: how long a batch takes here, averaged over the last ones, in seconds
        self.pace = 0.0

    def commit(self, file: files.Unnamed, target: str, *, alone: bool = True, heavy: bool = False) -> list[str]:
        """Give ``file`` the name ``target``; both are on disk when this returns.

        ``alone``: nothing else goes on in this process, so it may block.  ``heavy``: there
        is much data to wait for, so it must not.
        Returns the directories that were given an entry, the file's own first.
        Raises ``OSError`` if that failed; the name may then be there or not.
        """
        job = _Job(file, target, heavy)
        self._count += 1
        if alone and not heavy and not self._leading and not self._company and self._count % LOOK:
            self._measured([job])
        else:
            self._together(job)
        if job.error is not None:
            raise job.error
        if not job.finished:
            raise OSError(errno.EINTR, 'interrupted while it was brought to disk')
        return job.changed

    def _measured(self, jobs: list[_Job]) -> None:
        began = time.perf_counter()
        perform(jobs)
        self.pace += (time.perf_counter() - began - self.pace) / 8

    def _together(self, job: _Job) -> None:
        self._waiting.append(job)
        if self._leading:
            job.done = green.Event()
            job.done.wait()
            return
        self._leading = True
        try:
            green.sleep(0)      # those who are as far as we are join in
            while self._waiting:
                batch, self._waiting = self._waiting, []
                self._lead(batch)
        finally:
            self._leading = False
            for each in self._waiting:      # after a kill: they are told that nothing was done
                if each.done is not None:
                    each.done.set()
            self._waiting = []

    def _lead(self, batch: list[_Job]) -> None:
        self._company = COMPANY if len(batch) > 1 else max(0, self._company - 1)
        try:
            if any(each.heavy for each in batch):
                green.native(perform, batch)
            elif self.pace > SLOW:
                green.native(self._measured, batch)
            else:
                self._measured(batch)
        finally:
            for each in batch:
                if each.done is not None:
                    each.done.set()
        if self._waiting and self.pace <= SLOW:
            green.sleep(0)


def perform(jobs: Iterable[_Job]) -> None:
    """All of it; no greenlet may be touched here, for this may run on a native thread."""
    groups: dict[tuple[int, int], list[_Job]] = {}
    for job in (jobs := list(jobs)):
        fd = job.file.fd
        groups.setdefault((os.fstat(fd).st_dev, os.fstatvfs(fd).f_fsid), []).append(job)
    for (device, identity), group in groups.items():
        if ordered(device, identity):
            _with_journal(group)
        else:
            _one_by_one(group)
    for job in jobs:
        job.finished = True


def _with_journal(jobs: list[_Job]) -> None:
    if len(jobs) > 1:
        for job in jobs:
            files.begin_writing(job.file.fd)
    last = None
    for job in jobs:
        try:
            files.await_written(job.file.fd)
            _link(job)
            last = job
        except OSError as error:
            job.error = error
    if last is None:
        return
    try:
        os.fsync(last.file.fd)
    except OSError as error:
        for job in jobs:
            job.error = job.error or error


def _link(job: _Job) -> None:
    with contextlib.suppress(FileNotFoundError):      # else it is new, and so is its time
        os.utime(os.path.dirname(os.path.dirname(job.target)))
    job.changed = job.file.link(job.target)


def _one_by_one(jobs: list[_Job]) -> None:
    if len(jobs) > 1:
        for job in jobs:
            files.begin_writing(job.file.fd)
    for job in jobs:
        try:
            os.fsync(job.file.fd)
            _link(job)
        except OSError as error:
            job.error = error
    synced: dict[str, OSError | None] = {}
    for job in jobs:
        for path in job.changed:
            if path not in synced:
                synced[path] = _sync(path)
            job.error = job.error or synced[path]


def _sync(path: str) -> OSError | None:
    try:
        files.sync_directory(path)
    except OSError as error:
        return error
    return None

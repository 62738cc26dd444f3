"""Putting finished files in their places, durably, and many of them with few waits for the disk.

A file's data, then its name, then the directories that hold it are brought to
disk, in this order.  One ``fsync`` blocks every greenlet, and waits for the
same journal as the next, so files that are finished at about the same time go
together: the first of a batch leads it, on a native thread, and one commit of
the file system's journal serves them all.  A file that comes alone is done at
once: the hop to a thread costs more than the sync of a fast disk.
"""

import os
import time

from strata import green
from swift.storage import files

#: a batch that takes longer than this (seconds) is worth a thread
SLOW = 0.002


class _Job:
    __slots__ = ('file', 'target', 'error', 'done', 'changed')

    def __init__(self, file: files.Unnamed, target: str) -> None:
        self.file = file
        self.target = target
        self.error: OSError | None = None
        self.changed: list[str] = []
        self.done: green.Event | None = None


class Committer:
    """Commits files of one process; ``slow`` overrides what is measured (tests)."""

    def __init__(self) -> None:
        self._waiting: list[_Job] = []
        self._leading = False
        #: how long a sync takes here, averaged over the last ones, in seconds
        self.pace = 0.0

    def commit(self, file: files.Unnamed, target: str, *, alone: bool = True) -> None:
        """Sync ``file``, give it the name ``target``, and sync the directories.

        ``alone``: nothing else goes on in this process, so it may block.  Raises
        ``OSError`` if that failed; the name may then be there or not.
        """
        job = _Job(file, target)
        if alone and not self._leading:
            self._measured([job])
        else:
            self._together(job)
        if job.error is not None:
            raise job.error

    def _measured(self, jobs: list[_Job]) -> None:
        began = time.perf_counter()
        _perform(jobs)
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
                if self.pace > SLOW:
                    green.native(self._measured, batch)
                else:
                    self._measured(batch)
                for each in batch:
                    if each.done is not None:
                        each.done.set()
                if self._waiting and self.pace <= SLOW:
                    green.sleep(0)
        finally:
            self._leading = False


def _perform(jobs: list[_Job]) -> None:
    """All of it; no greenlet may be touched here, for this runs on a native thread."""
    for job in jobs:
        try:
            os.fsync(job.file.fd)
            job.changed = job.file.link(job.target)
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

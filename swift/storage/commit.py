"""Putting finished files in their places, durably, and many of them with few waits for the disk.

Anywhere: a file's data, then its name, then the directories that hold it are
brought to disk, in this order.

On file systems with one journal, in which what came first is on disk first (ext4
with a journal, XFS), one sync does for all of it, and for all files before it:

    data of the file written out -> the file linked -> one fsync, of the last one linked

The fsync commits the journal up to that file's link; the commit flushes the
disk's cache before it is valid, so no name is ever there without its data.
``tests/functional/test_swift_commit.py`` pulls the plug on both to see it.  The directory two
above each file gets the time of the change on the way, so that is on disk as well: ``obj/hashes``
looks at it.

Replicas of one object, on one host, and what many clients send at once come
together: while his data are on their way to the disk, each gives the others a
turn, in which whatever has arrived is taken as far as he is.
"""

import contextlib
import os
from collections.abc import Callable

from swift.storage import files, syncs

#: file systems in which an fsync brings all to disk that happened before it
_ORDERED = frozenset({'xfs', 'tmpfs'})

#: the header in which servers tell each other what a file system is called
PLACE = 'X-Backend-File-System'

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


def identity(path: str) -> tuple[int, int]:
    """The file system of a path, as ``ordered`` takes it.  Raises ``OSError``."""
    return os.stat(path).st_dev, os.statvfs(path).f_fsid


def _boot() -> str:
    with contextlib.suppress(OSError), open('/proc/sys/kernel/random/boot_id', encoding='ascii') as file:
        return file.read().strip()
    return ''


#: tells kernels apart, also of hosts that look alike
BOOT = _boot()


def named(device: int) -> str:
    """What the file system with this device number is called among processes, empty if the kernel says nothing.

    As long as somebody has a file of it open, no other has this name.
    """
    return f'{BOOT}/{device:x}' if BOOT else ''


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


class Committer:
    """Commits the files of one process."""

    def __init__(self) -> None:
        self._rounds = syncs.Rounds()

    def commit(self, file: files.Unnamed, target: str, *, new: bool = False, heavy: bool = False,
               meanwhile: Callable[[str], None] | None = None) -> list[str]:
        """Give ``file`` the name ``target``; both are on disk when this returns.

        ``new``: its directory is not there yet, as far as is known; ``heavy``: there is much data to wait for.
        ``meanwhile``: called when the name is given, with what the file system is called (``named``) if all that is
        synced there from now on brings the file along; not to wait.
        Returns the directories that were given an entry, the file's own first.
        Raises ``OSError`` if that failed; the name may then be there or not.
        """
        fd = file.fd
        state = os.fstat(fd)
        place = state.st_dev, os.fstatvfs(fd).f_fsid
        if not ordered(*place):
            syncs.sync(fd, device=place[0])
            changed = _link(file, target, new)
            syncs.sync_directories(changed)
            if meanwhile is not None:
                meanwhile('')
            return changed
        if heavy:
            syncs.sync(fd, data=True, device=place[0])
        elif state.st_size:
            syncs.write_out(fd, place[0])
        changed = _link(file, target, new)
        self._rounds.join(place, fd, None if meanwhile is None else lambda: meanwhile(named(place[0])))
        return changed


def _link(file: files.Unnamed, target: str, new: bool) -> list[str]:
    if not new:      # else making the directory sets the time
        with contextlib.suppress(FileNotFoundError):
            os.utime(os.path.dirname(os.path.dirname(target)))
    return file.link(target, new=new)

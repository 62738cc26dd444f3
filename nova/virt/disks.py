"""Disks of guests: made by qemu-img and mkfs, always with explicit formats and under limits.

Each appears under its name whole or not at all, so a build cut short can be
done again.  ``qemu-img`` reads files that strangers made; it gets seconds of
processor time and a bounded address space to do so.
"""

import os
import shutil
from collections.abc import Callable, Sequence

from nova.virt.driver import ImageRef
from strata import errors, shell

#: of one qemu-img that only writes headers
QUICK = shell.Limits(cpu_seconds=30, address_space=1 << 30)
#: of one that copies a whole disk
SLOW = shell.Limits(cpu_seconds=3600, address_space=2 << 30)

#: how prlimit, like a shell, says that there is no such program
_MISSING = 127

_REMEDY = {'qemu-img': 'qemu-utils', 'mkfs.ext4': 'e2fsprogs', 'mkswap': 'util-linux'}


def overlay(path: str, base: ImageRef, size: int) -> None:
    """A qcow2 of ``size`` bytes (0 = as large as the base) at ``path``, standing on ``base``.

    The base is named by its absolute path and its verified format; with the
    size given it is not even opened (``-u``).
    """
    _made(path, lambda new: _run(['qemu-img', 'create', '-q', '-u', '-f', 'qcow2', '-F', base.format, '-b',
                                  os.path.abspath(base.path), new, str(size or base.virtual_size)]))


def blank(path: str, size: int) -> None:
    """An empty qcow2 of ``size`` bytes."""
    _made(path, lambda new: _run(['qemu-img', 'create', '-q', '-f', 'qcow2', new, str(size)]))


def ephemeral(path: str, size: int, label: str = 'ephemeral0') -> None:
    """A raw disk of ``size`` bytes, sparse, with an ext4 file system on the whole of it."""
    _made(path, lambda new: _formatted(new, size, ['mkfs.ext4', '-q', '-F', '-L', label, '-E',
                                                   'lazy_itable_init=1,lazy_journal_init=1']))


def swap(path: str, size: int) -> None:
    """A raw disk of ``size`` bytes, sparse, ready to swap to."""
    _made(path, lambda new: _formatted(new, size, ['mkswap', '-L', 'swap']))


def copy(path: str, source: str) -> None:
    """A copy of a small raw disk, such as a config drive."""
    _made(path, lambda new: shutil.copyfile(source, new))


def flatten(path: str, source: str, format: str = 'qcow2', limits: shell.Limits = SLOW) -> None:
    """``source`` (qcow2, perhaps in use) joined with what it stands on, at ``path``."""
    argv = ['qemu-img', 'convert', '-U', '-q', '-f', 'qcow2', '-O', format, source]
    _made(path, lambda new: _run([*argv, new], limits, timeout=7200))


def direct_io(directory: str) -> bool:
    """Whether files there may be opened past the page cache; tmpfs refuses."""
    probe = os.path.join(directory, f'.direct-{os.getpid()}')
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_RDWR | os.O_DIRECT, 0o600))
        return True
    except OSError:
        return False
    finally:
        if os.path.exists(probe):
            os.unlink(probe)


def _made(path: str, make: Callable[[str], object]) -> None:
    if os.path.exists(path):
        return
    new = f'{path}.new'
    if os.path.exists(new):
        os.unlink(new)
    make(new)
    # while a guest runs, libvirt has given its disks to QEMU's user and group; we are in that group
    os.chmod(new, 0o640)
    os.replace(new, path)


def _formatted(path: str, size: int, argv: Sequence[str]) -> None:
    with open(path, 'wb') as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate(size)
    _run([*argv, path])


def _run(argv: Sequence[str], limits: shell.Limits = QUICK, timeout: float = 60.0) -> None:
    try:
        shell.run(argv, timeout=timeout, limits=limits)
    except shell.CommandFailed as error:
        if error.details['rc'] != _MISSING:
            raise
        raise errors.Unavailable('{program} is missing; remedy: apt-get install {package}.', program=argv[0],
                                 package=_REMEDY[argv[0]]) from error

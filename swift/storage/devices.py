"""Devices: directories under one root, each the mount point of a disk."""

import os
import re

from swift.storage.errors import NoSpace, NotMounted

_NAME = re.compile(r'(?!\.{1,2}\Z)[A-Za-z0-9_.~-]+\Z')


class Devices:
    """The disks of this host.

    ``mount_check``: a device must be a mount point, else an unmounted disk would
    quietly fill the root file system.  ``reserve``: bytes, or per cent if
    ``percent``, that are kept free.
    """

    def __init__(self, root: str, *, mount_check: bool = True, reserve: float = 0,
                 percent: bool = False) -> None:
        self.root = root
        self.mount_check = mount_check
        self.reserve = reserve
        self.percent = percent

    def path(self, device: str) -> str:
        """Where a device is; raises ``NotMounted`` if it is not there, or not mounted."""
        if not _NAME.match(device):
            raise NotMounted(device=device)
        path = f'{self.root}/{device}'
        try:
            found = os.stat(path)
            if self.mount_check and found.st_dev == os.stat(self.root).st_dev \
                    and not os.path.ismount(path) and not os.path.exists(f'{path}/.ismount'):
                raise NotMounted(device=device)
        except OSError as error:
            raise NotMounted(device=device) from error
        if found.st_mode & 0o170000 != 0o040000:
            raise NotMounted(device=device)
        return path

    def names(self) -> list[str]:
        """All devices that are there and mounted, in the order of names."""
        try:
            found = sorted(os.listdir(self.root))
        except OSError:
            return []
        return [name for name in found if self.is_there(name)]

    def is_there(self, device: str) -> bool:
        """Whether the device can be used."""
        try:
            self.path(device)
        except NotMounted:
            return False
        return True

    def check_space(self, path: str, size: int = 0) -> None:
        """Raises ``NoSpace`` if ``size`` bytes more would touch the reserve."""
        state = os.statvfs(path)
        free = state.f_bavail * state.f_frsize - size
        if self.percent:
            short = free * 100 < self.reserve * state.f_blocks * state.f_frsize
        else:
            short = free < self.reserve
        if short or free < 0:
            raise NoSpace(device=os.path.basename(path))


def reserve(value: str) -> tuple[float, bool]:
    """``fallocate_reserve`` as operators write it: ``1%`` or bytes; raises ``ValueError``."""
    text = value.strip()
    percent = text.endswith('%')
    amount = float(text.rstrip('%')) if percent else int(text)
    if amount < 0 or (percent and amount > 100):
        raise ValueError('must be a number of bytes, or from 0% to 100%')
    return amount, percent

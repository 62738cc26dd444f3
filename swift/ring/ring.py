"""The ring as servers use it: a partition for a path, devices for a partition, and handoffs in order."""

import hashlib
import itertools
import logging
import os
import time
from collections.abc import Iterator
from typing import Any

from swift.ring import files
from swift.ring.errors import FileError
from swift.ring.hashing import HashPath

LOG = logging.getLogger(__name__)

#: the tiers of a device, widest first; a handoff differs from the primaries in the widest it can
TIERS = (
    lambda dev: dev['region'],
    lambda dev: (dev['region'], dev['zone']),
    lambda dev: (dev['region'], dev['zone'], dev['ip']),
    lambda dev: dev['id'],
)


class Ring:
    """A ring file that is read again when it changes.

    ``reload_time`` is the number of seconds between looks at the file.  A new
    file that cannot be read is reported and the ring in memory stays in use.
    """

    def __init__(self, path: str, hashing: HashPath, *, name: str | None = None, reload_time: float = 15):
        self.path = os.path.join(path, f'{name}.ring.gz') if name else path
        self.hashing = hashing
        self.reload_time = reload_time
        self.load()

    def load(self) -> None:
        """Read the file; raises ``FileError``."""
        self.next_look = time.monotonic() + self.reload_time
        stamp = self.stamp()
        data = files.read_ring(self.path)
        self.seen = stamp
        self.devs = data.devs
        self.rows = data.rows
        self.part_shift = data.part_shift
        self.version = data.version
        self.next_part_power = data.next_part_power
        self.size = data.size
        used = set().union(*map(set, data.rows))
        self.tier_counts = [len({tier(dev) for dev in data.devs if dev and dev['id'] in used})
                            for tier in TIERS]

    def stamp(self) -> tuple[int, int, int]:
        """What tells one file at the path from another."""
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise FileError(f'Unable to read {self.path}: {error}') from error
        return found.st_mtime_ns, found.st_ino, found.st_size

    def has_changed(self) -> bool:
        """Whether the file is another than the one in memory."""
        return self.stamp() != self.seen

    def refresh(self) -> None:
        """Read the file again if it is time to look and it has changed."""
        if time.monotonic() < self.next_look:
            return
        self.next_look = time.monotonic() + self.reload_time
        try:
            if self.has_changed():
                self.load()
        except FileError as error:
            LOG.warning('the ring in memory stays in use: %s', error)

    @property
    def part_power(self) -> int:
        """Bits of a hash that tell the partition."""
        return 32 - self.part_shift

    @property
    def partition_count(self) -> int:
        """Partitions in the ring."""
        return 1 << self.part_power

    @property
    def replica_count(self) -> float:
        """Replicas of a partition, a fraction where some have one more than others."""
        whole = len(self.rows) - 1 + len(self.rows[-1]) / self.partition_count
        return int(whole) if whole.is_integer() else whole

    def get_part(self, account: str, container: str | None = None, obj: str | None = None) -> int:
        """The partition of an account, a container or an object."""
        digest = self.hashing.digest(account, container, obj)
        self.refresh()
        return int.from_bytes(digest[:4], 'big') >> self.part_shift

    def get_nodes(self, account: str, container: str | None = None,
                  obj: str | None = None) -> tuple[int, list[dict[str, Any]]]:
        """The partition of a path, and its primary devices."""
        part = self.get_part(account, container, obj)
        return part, self.primaries(part)

    def get_part_nodes(self, part: int) -> list[dict[str, Any]]:
        """The primary devices of a partition, each with its ``index`` among them."""
        self.refresh()
        return self.primaries(part)

    def primaries(self, part: int) -> list[dict[str, Any]]:
        """A device that keeps two replicas of a partition is there once."""
        ids = dict.fromkeys(self.assigned(part))
        return [{**(self.devs[each] or {}), 'index': index} for index, each in enumerate(ids)]

    def assigned(self, part: int) -> list[int]:
        """Device ids of a partition, one per replica."""
        return [row[part] for row in self.rows if part < len(row)]

    def get_more_nodes(self, part: int) -> Iterator[dict[str, Any]]:
        """Devices that stand in for the primaries, the best first.

        Starting at a partition that the hash of the number tells, the devices
        of all partitions are passed by once for each tier; one in a tier that
        was not met before is the next handoff.
        """
        self.refresh()
        devs, rows, count = self.devs, self.rows, self.partition_count
        met = [devs[each] for each in self.assigned(part)]
        index = itertools.count()
        for tier, total in zip(TIERS, self.tier_counts):
            seen = {tier(dev) for dev in met}
            for other in self.round(part, count) if len(seen) < total else ():
                for row in rows:
                    dev = devs[row[other]] if other < len(row) else None
                    if dev is not None and tier(dev) not in seen:
                        seen.add(tier(dev))
                        met.append(dev)
                        yield {**dev, 'handoff_index': next(index)}
                if len(seen) >= total:
                    break

    def round(self, part: int, count: int) -> Iterator[int]:
        """Every partition once, in big strides where there are many."""
        digest = hashlib.md5(str(part).encode(), usedforsecurity=False).digest()
        start = int.from_bytes(digest[:4], 'big') >> self.part_shift
        stride = count // 65536 or 1
        return itertools.chain(range(start, count, stride),
                               range(stride - (count - start) % stride, start, stride))

"""The objects of one host: where each is, and what daemons ask about many at once.

    <device>/objects[-N]/<partition>/<suffix>/<hash>/<time>.data
    <device>/async_pending[-N]/<suffix>/<hash>-<time>
    <device>/tmp    <device>/quarantined/objects[-N]/<hash>
"""

import contextlib
import logging
import os
import time
from collections.abc import Collection, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from swift import conf as confs
from swift import statsd
from swift.conf import Option
from swift.obj import hashes, metadata, ondisk
from swift.obj.diskfile import DiskFile
from swift.obj.errors import Absent, BadMetadata
from swift.policies import Policies, Policy, datadir
from swift.ring.hashing import HashPath
from swift.storage import files, locks, pickles, quarantine
from swift.storage.commit import Committer
from swift.storage.devices import Devices, reserve
from swift.timestamp import Timestamp

LOG = logging.getLogger(__name__)

#: options that everything has which stands on a store
OPTIONS = {
    'swift_dir': Option(confs.text, '/etc/swift', 'where swift.conf is'),
    'devices': Option(confs.text, '/srv/node', 'the directory that devices are mounted in'),
    'mount_check': Option(confs.boolean, True, 'whether a device must be a mount point'),
    'disk_chunk_size': Option(confs.positive, 1 << 20, 'bytes that are read from or written to disk at a time'),
    'fallocate_reserve': Option(reserve, (1.0, True), 'space kept free: bytes, or per cent with a %'),
    'disable_fallocate': Option(confs.boolean, False, 'do not set space aside for an upload'),
    'mb_per_sync': Option(confs.count, 512, 'MB of an upload after which it is synced; 0: at its end'),
    'keep_cache_size': Option(confs.count, 5 << 20, "bytes of an object that may stay in the kernel's cache"),
    'reclaim_age': Option(confs.number, float(ondisk.WEEK), 'seconds that a tombstone is kept'),
}


class Location(NamedTuple):
    """Where an object is, for daemons that walk all of them."""

    path: str
    device: str
    partition: str
    policy: Policy

    @property
    def hash(self) -> str:
        """The object's hash."""
        return os.path.basename(self.path)


class Store:
    """The objects on the devices of this host."""

    def __init__(self, conf: SimpleNamespace, hashing: HashPath, policies: Policies) -> None:
        """``conf``: typed values of ``OPTIONS``."""
        self.conf = conf
        self.hashing = hashing
        self.policies = policies
        amount, percent = conf.fallocate_reserve
        self.devices = Devices(conf.devices, mount_check=conf.mount_check, reserve=amount, percent=percent)
        self.committer = Committer()
        self.reclaim_age = conf.reclaim_age
        #: of the server that this is the store of, if anybody takes them
        self.metrics: statsd.Metrics | None = None

    @classmethod
    def load(cls, given: Mapping[str, Any], where: str = '') -> 'Store':
        """By a section of a conf file, and swift.conf beside it."""
        conf = confs.options(given, OPTIONS, where)
        return cls(conf, HashPath.load(os.path.join(conf.swift_dir, 'swift.conf')), Policies.load(conf.swift_dir))

    def file(self, device: str, partition: str, account: str, container: str, obj: str, policy: Policy) -> DiskFile:
        """The object of a name; whether it is there shows when it is opened.  Raises ``NotMounted``."""
        return DiskFile(self, device, partition, policy, self.hashing.hexdigest(account, container, obj),
                        f'/{account}/{container}/{obj}')

    def file_at(self, location: Location) -> DiskFile:
        """The object at a place; its name is known when it is opened."""
        return DiskFile(self, location.device, location.partition, location.policy, location.hash)

    def base(self, device: str, policy: Policy) -> str:
        """The directory of a policy's objects.  Raises ``NotMounted``."""
        return f'{self.devices.path(device)}/{datadir("objects", policy)}'

    def partition_path(self, device: str, partition: str | int, policy: Policy) -> str:
        """The directory of a partition.  Raises ``NotMounted``."""
        return f'{self.base(device, policy)}/{partition}'

    def tmp(self, device: str) -> str:
        """Where files without a place are kept for a moment."""
        return os.path.join(self.devices.path(device), 'tmp')

    # what daemons ask

    def partitions(self, device: str, policy: Policy) -> list[str]:
        """The partitions that a device has objects of, in the order of numbers.  Raises ``NotMounted``."""
        try:
            names = os.listdir(self.base(device, policy))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted((name for name in names if name.isdecimal()), key=int)

    def hashes(self, device: str, partition: str | int, suffixes: Collection[str], policy: Policy, *,
               listing: bool = False) -> tuple[int, dict[str, str]]:
        """How many suffixes were hashed anew, and the hash of every suffix.

        ``suffixes`` are not to be believed; ``listing``: nor is the list of suffixes.  Raises ``NotMounted``.
        """
        path = self.partition_path(device, partition, policy)
        if not files.is_directory(path):
            return 0, {}

        def broken(place: str) -> None:
            quarantine.move(self.devices.path(device), place, datadir('objects', policy))
        hashed, found = hashes.get(path, self.tmp(device), reclaim_age=self.reclaim_age, recalculate=suffixes,
                                   listing=listing, quarantine=broken)
        return hashed, {suffix: digest for suffix, digest in found.items() if digest is not None}

    def locations(self, policy: Policy, devices: Collection[str] | None = None,
                  partitions: Collection[str] | None = None) -> Iterator[Location]:
        """Every object's place, device by device; those that cannot be listed are logged."""
        for device in self.devices.names():
            if devices is not None and device not in devices:
                continue
            yield from self.locations_on(device, policy, partitions)

    def locations_on(self, device: str, policy: Policy,
                     partitions: Collection[str] | None = None) -> Iterator[Location]:
        """As ``locations``, of one device.  Raises ``NotMounted``."""
        base = self.base(device, policy)
        for partition in self.partitions(device, policy):
            if partitions is not None and partition not in partitions:
                continue
            for suffix in hashes.suffixes(f'{base}/{partition}'):
                for digest in hashes.objects(f'{base}/{partition}/{suffix}'):
                    yield Location(f'{base}/{partition}/{suffix}/{digest}', device, partition, policy)

    def remove_partition(self, device: str, partition: str | int, policy: Policy) -> bool:
        """Remove a partition that has no objects left; whether it is gone."""
        path = self.partition_path(device, partition, policy)
        # a change that is noted meanwhile must not be forgotten beside hashes that do not know it
        with locks.directory(path, timeout=hashes.TIMEOUT):
            for suffix in hashes.suffixes(path):
                if not files.remove_empty(f'{path}/{suffix}'):
                    return False
            for name in (hashes.PICKLE, hashes.INVALID, '.lock'):
                files.remove(f'{path}/{name}')
            with contextlib.suppress(OSError):
                return files.remove_empty(path)
        return False

    def clear_tmp(self, device: str) -> None:
        """Remove what somebody who died left in ``tmp``, once it is older than ``reclaim_age``."""
        folder, oldest = self.tmp(device), time.time() - self.reclaim_age
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(folder):
                path = f'{folder}/{name}'
                with contextlib.suppress(OSError):      # a directory of somebody's, or gone by now
                    if os.lstat(path).st_mtime < oldest:
                        os.unlink(path)

    # what a container server could not be told

    def async_path(self, device: str, policy: Policy) -> str:
        """The directory of a policy's pending updates.  Raises ``NotMounted``."""
        return f'{self.devices.path(device)}/{datadir("async_pending", policy)}'

    def save_update(self, device: str, account: str, container: str, obj: str, update: Mapping[str, Any],
                    timestamp: Timestamp, policy: Policy) -> str:
        """Keep a container update until the updater delivers it; on disk when this returns.

        The place is told by the *object* that is listed and by the time, so a
        later update of the same time replaces an earlier one.  Returns the path.
        """
        digest = self.hashing.hexdigest(account, container, obj)
        path = f'{self.async_path(device, policy)}/{digest[-3:]}/{digest}-{timestamp.internal}'
        files.replace(path, pickles.dumps(dict(update)), self.tmp(device))
        return path

    def capacity(self, device: str) -> int | None:
        """Bytes of metadata that a file of the device can hold; ``None``: any."""
        path = self.devices.path(device)
        return metadata.capacity(path, os.path.join(path, 'tmp'))


__all__ = ['OPTIONS', 'Absent', 'BadMetadata', 'Location', 'Store']

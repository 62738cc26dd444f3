"""The object auditor: reads every object again and again, for disks forget.

Two sweeps go on side by side.  ZBF opens each object, which finds missing
metadata and wrong sizes (files that a crash left empty, above all) and is fast;
ALL reads each to its end as well, as slowly as it is told, and finds bits that
have flipped.  What is broken is quarantined; replicas will replace it.
"""

import hashlib
import logging
import os
import time
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, ClassVar

from strata import errors, green
from swift import conf as confs
from swift import daemon, recon
from swift.conf import Option
from swift.obj import hashes, store
from swift.obj.diskfile import DiskFile
from swift.obj.errors import Absent, Deleted, Quarantined
from swift.storage import files
from swift.storage.rate import Rate

LOG = logging.getLogger(__name__)

#: a temporary file of rsync is given this much time (seconds)
RSYNC_TIMEOUT = 86400.0


def _automatic(value: str) -> float:
    return RSYNC_TIMEOUT if value.strip() == 'auto' else confs.number(value)


class Sweep:
    """One pass over objects, and what it has found so far."""

    def __init__(self, auditor: 'ObjectAuditor', mode: str, per_second: float) -> None:
        self.auditor = auditor
        self.mode = mode
        self.files = Rate(per_second)
        self.bytes = Rate(auditor.conf.bytes_per_second)
        self.began = self.reported = time.time()
        self.sizes: dict[str, int] = {}
        self._clear()

    def _clear(self) -> None:
        self.passes = self.quarantined = self.errors = self.read = 0

    def run(self, limits: dict[str, Any], only: Collection[str] | None = None) -> None:
        """Over all policies and devices (``only`` these)."""
        store = self.auditor.store
        for policy in store.policies:
            if limits.get('policies') and str(policy.index) not in limits['policies']:
                continue
            for location in store.locations(policy, only or limits.get('devices'), limits.get('partitions')):
                self.files.wait()
                self.look_at(location)
                if time.time() - self.reported >= self.auditor.conf.log_time:
                    self.report()
        self.report()

    def look_at(self, location: store.Location) -> None:
        """Audit one object; whatever happens, the sweep goes on."""
        self.passes += 1
        try:
            file = self.auditor.store.file_at(location)
            with file.open(expired=True):
                self._count(file.size)
                if self.mode == 'ALL':
                    self._read(file)
            self._tidy(location.path)
        except Quarantined:
            self.quarantined += 1
        except Deleted as gone:
            if float(gone.timestamp) < time.time() - self.auditor.store.reclaim_age:
                # so that the replicator looks at it, and lets it go
                hashes.invalidate(os.path.dirname(location.path))
            self._tidy(location.path)
        except Absent:
            # its files went without a word to the replicator
            if os.path.isdir(location.path):
                hashes.invalidate(os.path.dirname(location.path))
            self._tidy(location.path)
        except (OSError, errors.Error) as error:
            self.errors += 1
            LOG.error('%s cannot be audited: %s', location.path, error)
        except Exception:
            self.errors += 1
            LOG.exception('%s cannot be audited', location.path)

    def _read(self, file: DiskFile) -> None:
        digest, size = hashlib.md5(usedforsecurity=False), 0
        chunk = self.auditor.store.conf.disk_chunk_size

        def more() -> int:
            data = os.pread(file.fd, chunk, size)
            digest.update(data)
            return len(data)
        while taken := green.native(more) if file.size - size >= 1 << 20 else more():
            size += taken
            self.read += taken
            self.bytes.wait(taken)
        if size > file.store.conf.keep_cache_size:
            files.forget(file.fd)
        said = file.data_metadata.get('ETag')
        if size != file.size or digest.hexdigest() != said:
            raise file.quarantine(f'{size} bytes with the MD5 {digest.hexdigest()} are there; '
                                  f'{file.size} with {said} should be')

    def _count(self, size: int) -> None:
        buckets = self.auditor.conf.object_size_stats
        if buckets:
            name = next((str(most) for most in buckets if size <= most), 'OVER')
            self.sizes[name] = self.sizes.get(name, 0) + 1

    def _tidy(self, place: str) -> None:
        """Remove what an interrupted rsync left."""
        oldest = time.time() - self.auditor.conf.rsync_tempfile_timeout
        try:
            names = [name for name in os.listdir(place) if name.startswith('.')]
        except FileNotFoundError:
            return
        for name in names:
            path = f'{place}/{name}'
            try:
                if os.lstat(path).st_mtime < oldest:
                    os.unlink(path)
            except FileNotFoundError:
                continue

    def report(self) -> None:
        """Tell the log and recon, and count anew."""
        now = time.time()
        seconds = max(now - self.reported, 1e-6)
        LOG.info('Object audit (%s): %d passed, %d quarantined, %d errors, %.2f files/s, %.2f bytes/s, %.2f s so far',
                 self.mode, self.passes, self.quarantined, self.errors, self.passes / seconds, self.read / seconds,
                 now - self.began)
        if self.sizes:
            LOG.info('Object audit (%s): sizes %s', self.mode, self.sizes)
        recon.dump(self.auditor.conf.recon_cache_path, 'object', {f'object_auditor_stats_{self.mode}': {
            'errors': self.errors, 'passes': self.passes, 'quarantined': self.quarantined, 'bytes_processed': self.read,
            'start_time': self.reported, 'audit_time': now - self.reported}})
        self.reported = now
        self.auditor.total_quarantined += self.quarantined
        self.auditor.total_errors += self.errors
        self.auditor.measured({'quarantined': self.quarantined, 'errors': self.errors})
        self._clear()


class ObjectAuditor(daemon.Daemon):
    """Read every object, and quarantine those that are broken."""

    SECTION = 'object-auditor'
    INTERVAL = 30
    METRICS = {'quarantined': 'quarantines', 'errors': 'errors'}
    OPTIONS = {
        'files_per_second': Option(confs.number, 20.0, 'objects that are read'),
        'bytes_per_second': Option(confs.number, 10000000.0, 'bytes that are read'),
        'zero_byte_files_per_second': Option(confs.number, 50.0, 'objects that are only opened; 0: none'),
        'concurrency': Option(confs.positive, 1, 'devices that are read at a time'),
        'log_time': Option(confs.number, 3600.0, 'seconds between two reports'),
        'object_size_stats': Option(lambda value: sorted(map(int, confs.words(value))), [],
                                    'sizes up to which objects are counted'),
        'rsync_tempfile_timeout': Option(_automatic, RSYNC_TIMEOUT, 'seconds after which a temporary file is removed'),
    }

    #: only the quick sweep, at this rate; 0: both
    zero_byte_fps: ClassVar[float] = 0

    def __init__(self, conf: Any) -> None:
        super().__init__(conf)
        self.store = store.Store.load(conf, f'[{self.SECTION}]')
        self.total_quarantined = self.total_errors = 0

    def run_once(self, **limits: Any) -> None:
        """Both sweeps over all objects.  ``zero_byte_fps``: only the quick one, at this rate."""
        only = float(limits.pop('zero_byte_fps', self.zero_byte_fps))
        self.total_quarantined = self.total_errors = 0
        for device in self.store.devices.names():
            self.store.clear_tmp(device)
            if not limits.get('devices') or device in limits['devices']:
                self._doubt(device)
        if only:
            Sweep(self, 'ZBF', only).run(limits)
            return
        state = SimpleNamespace(over=green.Event())
        quick = green.spawn(self._quick, limits, state) if self.conf.zero_byte_files_per_second else None
        try:
            self._all(limits)
        finally:
            state.over.set()
            if quick is not None:
                quick.wait()

    def _doubt(self, device: str) -> None:
        """Have hashes computed anew where directories went without a word to the replicator."""
        for policy in self.store.policies:
            try:
                for partition in self.store.partitions(device, policy):
                    path = self.store.partition_path(device, partition, policy)
                    for suffix in hashes.changed(path):
                        hashes.invalidate(f'{path}/{suffix}')
                    green.sleep(0)
            except (OSError, errors.Error) as error:
                LOG.error('hashes on %s cannot be looked at: %s', device, error)

    def _quick(self, limits: dict[str, Any], state: SimpleNamespace) -> None:
        """Quick sweeps, for as long as the slow one goes on."""
        while True:
            Sweep(self, 'ZBF', self.conf.zero_byte_files_per_second).run(limits)
            if state.over.wait(self.conf.interval):
                return

    def _all(self, limits: dict[str, Any]) -> None:
        if self.conf.concurrency == 1:
            Sweep(self, 'ALL', self.conf.files_per_second).run(limits)
            return
        wanted = limits.get('devices')
        devices = [name for name in self.store.devices.names() if not wanted or name in wanted]
        share = self.conf.files_per_second / min(self.conf.concurrency, len(devices) or 1)
        green.Pool(self.conf.concurrency).map(lambda name: Sweep(self, 'ALL', share).run(limits, [name]), devices)

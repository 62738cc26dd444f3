"""Brings objects to where they belong: a sweep over the partitions of this host's devices.

For a partition that is ours, each other primary gets the suffixes that it has
otherwise; what it has and we lack comes when its own replicator runs.  A partition
that is not ours goes to all its primaries, object by object, and each object
leaves when all of them (or ``handoff_delete`` of them) have it.
"""

import collections
import itertools
import logging
import random
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from strata import backend, errors, green
from swift import conf as confs
from swift import recon
from swift.conf import Option
from swift.daemon import Daemon
from swift.obj import sender, store
from swift.obj.sender import Partition
from swift.policies import Policy
from swift.ring.errors import RingError
from swift.ring.ring import Ring
from swift.storage.errors import Locked, NotMounted, PeerFailed
from swift.storage.here import Here, local_devices

LOG = logging.getLogger(__name__)

#: published names of what a sweep counts
COUNTS = ('attempted', 'success', 'failure', 'hashmatch', 'remove', 'rsync', 'suffix_count', 'suffix_hash',
          'suffix_sync')
#: of this many partitions one is listed anew, though its hashes seem complete
LISTED = 10


def _handoff_delete(value: str) -> int:
    """``auto`` (0): all primaries must have it."""
    return 0 if value.strip().lower() == 'auto' else confs.count(value)


class ObjectReplicator(Daemon):
    """Replicate objects to the other devices of their partitions."""

    SECTION = 'object-replicator'
    INTERVAL = 30
    METRICS = {'suffix_hash': 'suffix.hashes', 'suffix_sync': 'suffix.syncs'}
    OPTIONS = {
        **store.OPTIONS,
        'bind_ip': Option(confs.text, '0.0.0.0', 'the address of the server whose devices these are'),
        'bind_port': Option(confs.positive, None, 'its port'),
        'concurrency': Option(confs.positive, 4, 'partitions that are replicated at a time'),
        'conn_timeout': Option(confs.number, 0.5, 'seconds to connect to a peer'),
        'http_timeout': Option(confs.number, 60.0, 'seconds that a peer may be silent'),
        'stats_interval': Option(confs.number, 300.0, 'seconds between two lines of progress in the log'),
        'handoffs_first': Option(confs.boolean, False, 'send away what is not ours before all else'),
        'handoff_delete': Option(_handoff_delete, 0, 'how many primaries must have what leaves; auto: all'),
    }

    def __init__(self, conf: Mapping[str, Any]) -> None:
        super().__init__(conf)
        self.store = store.Store.load(conf, f'[{self.SECTION}]')
        self.pool = backend.Pool(connect_timeout=self.conf.conn_timeout)
        self.here = Here(self.conf.bind_ip, self.conf.bind_port)
        self.counts: collections.Counter[str] = collections.Counter()
        self.failed: collections.Counter[tuple[str, str]] = collections.Counter()
        self._rings: dict[int, Ring] = {}

    def close(self) -> None:
        """Close connections."""
        self.pool.close()

    def ring(self, policy: Policy) -> Ring:
        """The ring of a policy; raises ``RingError``."""
        if policy.index not in self._rings:
            self._rings[policy.index] = Ring(self.conf.swift_dir, self.store.hashing, name=policy.ring_name)
        self._rings[policy.index].refresh()
        return self._rings[policy.index]

    def run_once(self, devices: Collection[str] | None = None, partitions: Collection[str] | None = None,
                 policies: Collection[str] | None = None, **_: Any) -> None:
        """One sweep over all partitions of this host."""
        started, spoke = time.time(), time.monotonic()
        self.counts.clear()
        self.failed.clear()
        jobs = self._jobs(devices, partitions, policies)
        workers = green.Pool(self.conf.concurrency)
        for number, (policy, device, partition) in enumerate(jobs):
            workers.spawn(self._replicate, policy, device, partition)
            if time.monotonic() - spoke > self.conf.stats_interval:
                spoke = time.monotonic()
                LOG.info('%d/%d partitions replicated in %.0f s', number + 1, len(jobs), time.time() - started)
        workers.wait()
        now = time.time()
        nodes: dict[str, dict[str, int]] = {}
        for (ip, device), count in self.failed.items():
            nodes.setdefault(ip, {})[device] = count
        stats = {'start': started, 'failure_nodes': nodes, **{name: self.counts[name] for name in COUNTS}}
        took = now - started
        self.measured(self.counts)
        LOG.info('object replication complete in %.1f s: %s', took, {name: self.counts[name] for name in COUNTS})
        recon.dump(self.conf.recon_cache_path, 'object', {
            'replication_stats': stats, 'replication_time': took / 60, 'replication_last': now,
            'object_replication_time': took / 60, 'object_replication_last': now})

    def _jobs(self, devices: Collection[str] | None, partitions: Collection[str] | None,
              policies: Collection[str] | None) -> list[tuple[Policy, Mapping[str, Any], int]]:
        jobs = []
        for policy in self.store.policies:
            if policies and str(policy.index) not in policies:
                continue
            try:
                ring = self.ring(policy)
            except RingError as error:
                LOG.error('objects of the storage policy %s are not replicated: %s', policy.name, error)
                continue
            for device in local_devices(ring, self.here, devices):
                jobs += [(policy, device, part) for part in self._partitions(device, policy)
                         if not partitions or str(part) in partitions]
        random.shuffle(jobs)    # no two hosts in step
        if self.conf.handoffs_first:
            jobs.sort(key=lambda job: self._is_home(*job))
        return jobs

    def _partitions(self, device: Mapping[str, Any], policy: Policy) -> Iterable[int]:
        try:
            count = self.ring(policy).partition_count
            found = [int(part) for part in self.store.partitions(device['device'], policy)]
        except (NotMounted, OSError) as error:
            LOG.warning('%s; its objects are not replicated', error)
            self.failed[device['ip'], device['device']] += 1
            return []
        for part in (part for part in found if part >= count):
            LOG.error('%s holds partition %d, which the ring has not', device['device'], part)
        return [part for part in found if part < count]

    def _is_home(self, policy: Policy, device: Mapping[str, Any], part: int) -> bool:
        return device['id'] in self.ring(policy).assigned(part)

    def _replicate(self, policy: Policy, device: Mapping[str, Any], part: int) -> None:
        self.counts['attempted'] += 1
        done = False
        try:
            partition = Partition(self.store, self.pool, device['device'], part, policy, self.conf.http_timeout)
            if self._is_home(policy, device, part):
                done = self._update(partition, device)
            else:
                done = self._send_away(partition)
            self.counts['rsync'] += partition.sent
        except (NotMounted, Locked) as error:
            LOG.warning('partition %d of %s is not replicated: %s', part, device['device'], error)
        except Exception:
            LOG.exception('partition %d of %s cannot be replicated', part, device['device'])
        self.counts['success' if done else 'failure'] += 1
        if not done:
            self.failed[device['ip'], device['device']] += 1

    # -- a partition that is ours

    def _update(self, partition: Partition, device: Mapping[str, Any]) -> bool:
        """Bring the other primaries up to date; a handoff stands in for one whose disk is gone."""
        anew, ours = partition.hashes(listing=random.randrange(LISTED) == 0)
        self.counts['suffix_hash'] += anew
        ring = self.ring(partition.policy)
        primaries = [each for each in ring.get_part_nodes(partition.partition) if each['id'] != device['id']]
        handoffs = (each for each in ring.get_more_nodes(partition.partition) if each['id'] != device['id'])
        queue = collections.deque(primaries)
        done = True
        while queue:
            peer = queue.popleft()
            try:
                done = self._update_peer(partition, peer, ours) and done
            except (PeerFailed, backend.Failed, errors.BadGateway) as error:
                done = False
                self._note(partition, peer, error)
                if isinstance(error, PeerFailed) and error.lost_disk:
                    queue.extend(itertools.islice(handoffs, 1))
        self.counts['suffix_count'] += len(ours)
        return done

    def _update_peer(self, partition: Partition, peer: Mapping[str, Any], ours: dict[str, str]) -> bool:
        suffixes = partition.differing(peer, ours)
        if not suffixes:
            self.counts['hashmatch'] += 1
            return True
        self.counts['suffix_sync'] += len(suffixes)
        whole = True
        for states in partition.states(suffixes):
            whole = partition.bring(peer, states) and whole
        return whole

    # -- one that is not

    def _send_away(self, partition: Partition) -> bool:
        """Bring everything to the primaries, and let go of what enough of them have."""
        primaries = self.ring(partition.policy).get_part_nodes(partition.partition)
        if not primaries:       # fewer replicas than partitions: nobody else has it
            return False
        enough = min(self.conf.handoff_delete or len(primaries), len(primaries))
        lost: set[int] = set()
        for states in partition.states():
            having = 0
            for peer in primaries:
                if peer['id'] in lost:
                    continue
                try:
                    having += partition.bring(peer, states)
                except (PeerFailed, backend.Failed, errors.BadGateway) as error:
                    lost.add(peer['id'])
                    self._note(partition, peer, error)
            if having >= enough:
                self.counts['remove'] += partition.let_go(states)
        if len(primaries) - len(lost) >= enough and next(partition.states(), None) is None:
            self.store.remove_partition(partition.device, partition.partition, partition.policy)
        return not lost

    def _note(self, partition: Partition, peer: Mapping[str, Any], error: Exception) -> None:
        self.failed[sender.ip(peer), peer['device']] += 1
        LOG.warning('partition %d of %s was not brought to %s: %s', partition.partition, partition.device,
                    sender.where(peer), error)



"""The sending side of database replication: one sweep over the databases of this host.

For each database, and each other primary of its partition::

    sync ------------> the peer takes over our times and metadata, and answers with its own (we take over)
      same hash: done                       no such database, or far behind: upload the whole file
      else: rows after the peer's sync point, in batches

It only pushes: what a peer has and we lack comes when its own replicator runs.
A database that is no longer ours goes to all primaries and is then removed; a
deleted one is removed when ``reclaim_age`` has passed.
"""

import collections
import logging
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import orjson

from strata import backend, errors, green
from swift import conf as confs
from swift.conf import Option
from swift.db import connections, walk
from swift.db.broker import Broker, Item
from swift.db.errors import DatabaseCorrupt, DatabaseMissing
from swift.storage.devices import Devices
from swift.storage.errors import NotMounted, PeerFailed
from swift.storage.here import Here, local_devices
from swift.timestamp import Timestamp

LOG = logging.getLogger(__name__)

OPTIONS = {
    'bind_ip': Option(confs.text, '0.0.0.0', 'the address of the server whose devices these are'),
    'bind_port': Option(confs.positive, None, 'its port'),
    'concurrency': Option(confs.positive, 8, 'databases that are replicated at a time'),
    'per_diff': Option(confs.positive, 1000, 'rows sent at a time'),
    'max_diffs': Option(confs.positive, 100, 'times per database and sweep that rows are sent'),
    'databases_per_second': Option(confs.number, 50.0, 'how many are looked at; 0: as many as possible'),
    'reclaim_age': Option(confs.number, 604800.0, 'seconds that what was deleted is remembered'),
    'conn_timeout': Option(confs.number, 0.5, 'seconds to connect to a peer'),
    'node_timeout': Option(confs.number, 10.0, 'seconds to wait for its answer'),
    'handoffs_only': Option(confs.boolean, False, 'send away what is not ours, and nothing else'),
}

#: published names of what a sweep counts
COUNTS = ('attempted', 'success', 'failure', 'no_change', 'hashmatch', 'diff', 'ts_repl', 'rsync', 'remote_merge',
          'diff_capped', 'remove', 'empty', 'deferred')
#: those -> what statsd is told
METRICS = {'attempted': 'attempts', 'success': 'successes', 'failure': 'failures', 'no_change': 'no_changes',
           'hashmatch': 'hashmatches', 'diff': 'diffs', 'rsync': 'rsyncs', 'remote_merge': 'remote_merges',
           'diff_capped': 'diff_caps'}
#: a peer with less than half of our rows, that lacks more than one batch, gets the whole file
BEHIND = 0.5
PIECE = 1024 * 1024

Device = Mapping[str, Any]


class Replicator:
    """Pushes databases of one kind to where they belong."""

    def __init__(self, broker: type[Broker], conf: SimpleNamespace, ring: Any) -> None:
        """``conf`` has the options above, ``devices`` and ``mount_check``."""
        self.broker = broker
        self.conf = conf
        self.ring = ring
        self.devices = Devices(conf.devices, mount_check=conf.mount_check)
        self.here = Here(conf.bind_ip, conf.bind_port)
        self.connections = connections.Connections()
        self.pool = backend.Pool(connect_timeout=conf.conn_timeout)
        self.counts: collections.Counter[str] = collections.Counter()
        self.failed_devices: collections.Counter[tuple[str, str]] = collections.Counter()

    def close(self) -> None:
        """Close what is open."""
        self.connections.close()
        self.pool.close()

    def sweep(self, devices: Iterable[str] | None = None, partitions: Iterable[str] | None = None) -> dict[str, Any]:
        """Replicate every database of this host once; what was counted, by published names."""
        started = time.time()
        self.counts.clear()
        self.failed_devices.clear()
        workers = green.Pool(self.conf.concurrency)
        pause = 1 / self.conf.databases_per_second if self.conf.databases_per_second else 0
        for device, part, path in self._found(devices, partitions):
            workers.spawn(self._replicate, device, part, path)
            green.sleep(pause)
        workers.wait()
        return {'start': started, 'failure_nodes': self._failure_nodes(),
                **{name: self.counts[name] for name in COUNTS}}

    def _failure_nodes(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for (ip, device), count in self.failed_devices.items():
            found.setdefault(ip, {})[device] = count
        return found

    def _found(self, devices: Iterable[str] | None,
               partitions: Iterable[str] | None) -> Iterator[tuple[Device, int, str]]:
        for device in local_devices(self.ring, self.here, devices):
            try:
                root = self.devices.path(device['device'])
            except NotMounted as error:
                LOG.warning('%s; its databases are not replicated', error)
                self.failed_devices[device['ip'], device['device']] += 1
                continue
            _clean(os.path.join(root, 'tmp'), self.conf.reclaim_age)
            for part, path in walk.databases(root, self.broker.datadir, partitions):
                yield device, part, path

    def _replicate(self, device: Device, part: int, path: str) -> None:
        self.counts['attempted'] += 1
        try:
            done = self.replicate(device, part, path)
        except DatabaseMissing:
            return
        except DatabaseCorrupt as error:
            LOG.error('%s', error)
            done = False
        except Exception:
            LOG.exception('%s cannot be replicated', path)
            done = False
        self.counts['success' if done else 'failure'] += 1
        if not done:
            self.failed_devices[device['ip'], device['device']] += 1

    def replicate(self, device: Device, part: int, path: str) -> bool:
        """Bring one database to its peers; whether all has been done."""
        broker = self.broker(self.connections, path)
        digest = os.path.basename(path)[:-3]
        belongs = int(digest[:8], 16) >> self.ring.part_shift
        if belongs != part:
            LOG.error('%s should be in partition %d', path, belongs)
            return False
        now = time.time()
        broker.reclaim(Timestamp(max(0.0, now - self.conf.reclaim_age)),
                       Timestamp(max(0.0, now - 2 * self.conf.reclaim_age)))
        info = broker.replication_info()
        if self.is_over(broker, info, Timestamp(max(0.0, now - self.conf.reclaim_age))):
            return self._leave(broker, info)     # unless somebody has just put it again
        primaries = self.ring.get_part_nodes(part)
        at_home = any(each['id'] == device['id'] for each in primaries)
        if at_home and self.conf.handoffs_only:
            self.counts['deferred'] += 1
            return True
        peers = [each for each in primaries if each['id'] != device['id']]
        results = self._push_all(broker, info, part, digest, peers, device)
        if at_home:
            self.settle(broker, info, part)
            return all(results)
        if all(results) and results and self.settle(broker, info, part):
            return self._leave(broker, info)
        return all(results)

    def _push_all(self, broker: Broker, info: Item, part: int, digest: str, peers: list[dict[str, Any]],
                  device: Device) -> list[bool]:
        """Push to each; for one whose disk is gone a handoff stands in, but does not count as done."""
        handoffs = (each for each in self.ring.get_more_nodes(part) if each['id'] != device['id'])
        results, queue = [], collections.deque((peer, True) for peer in peers)
        while queue:
            peer, counts = queue.popleft()
            try:
                done = self._push(broker, info, part, digest, peer)
            except errors.Error as error:
                LOG.warning('%s was not brought to %s: %s', broker.path, _where(peer), error)
                self.failed_devices[peer['ip'], peer['device']] += 1
                done = False
                if isinstance(error, PeerFailed) and error.lost_disk:
                    stand_in = next(handoffs, None)
                    if stand_in is not None:
                        queue.append((stand_in, False))
            if counts:
                results.append(done)
        return results

    # -- one peer

    def _push(self, broker: Broker, info: Item, part: int, digest: str, peer: Device) -> bool:
        path = f'/{peer["device"]}/{part}/{digest}'
        answer = self._ask(peer, path, ['sync', info])
        if answer.status == 404:
            self.counts['rsync'] += 1
            return self._upload(broker, info, path, peer)
        if answer.status != 200:
            raise PeerFailed(peer=_where(peer), answer=answer.status)
        theirs = orjson.loads(answer.body())
        self.absorb(broker, theirs)
        point = int(theirs['point'])
        if theirs['hash'] == info['hash']:
            self.counts['hashmatch' if point < info['max_row'] else 'no_change'] += 1
            if point < info['max_row']:
                self._tell(peer, path, ['syncs', [{'remote_id': info['id'], 'sync_point': info['max_row']},
                                                  *broker.syncs()]])
            return True
        if theirs['max_row'] < info['max_row'] * BEHIND and info['max_row'] - point > self.conf.per_diff:
            self.counts['remote_merge'] += 1
            return self._upload(broker, info, path, peer)
        if point >= info['max_row'] and broker.sync_point(theirs['id']) >= theirs['max_row']:
            # each has been sent all of the other, and yet they differ: something was lost
            point = -1
        self.counts['diff'] += 1
        return self._send_rows(broker, info, path, peer, point)

    def _send_rows(self, broker: Broker, info: Item, path: str, peer: Device, point: int) -> bool:
        for _ in range(self.conf.max_diffs):
            rows = broker.items_since(point, self.conf.per_diff)
            if not rows:
                self._tell(peer, path, ['syncs', broker.syncs()])
                return True
            self._tell(peer, path, ['items', rows, info['id']])
            point = rows[-1]['ROWID']
        self.counts['diff_capped'] += 1
        return False

    def _upload(self, broker: Broker, info: Item, path: str, peer: Device) -> bool:
        """Send a copy of the whole file, consistent in itself."""
        directory = os.path.join(broker.device_root, 'tmp')
        os.makedirs(directory, exist_ok=True)
        copy = os.path.join(directory, f'{uuid.uuid4().hex}.db')
        try:
            _copy(broker, copy)
            size = os.path.getsize(copy)
            exchange = self.pool.open(_ip(peer), _port(peer), 'REPLICATE', f'{path}?upload={info["id"]}', {},
                                      length=size, timeout=self.conf.node_timeout)
            with open(copy, 'rb') as file:
                while data := file.read(PIECE):
                    exchange.send(data)
            exchange.end()
            answer = exchange.answer(timeout=max(60.0, self.conf.node_timeout))
            answer.body()
            if answer.status >= 300:
                raise PeerFailed(peer=_where(peer), answer=answer.status)
            return True
        finally:
            for name in (copy, f'{copy}-journal'):
                if os.path.exists(name):
                    os.unlink(name)

    def _tell(self, peer: Device, path: str, message: list[Any]) -> None:
        answer = self._ask(peer, path, message)
        answer.body()
        if answer.status >= 300:
            raise PeerFailed(peer=_where(peer), answer=answer.status)

    def _ask(self, peer: Device, path: str, message: list[Any]) -> backend.Answer:
        body = orjson.dumps(message)
        answer = self.pool.request(_ip(peer), _port(peer), 'REPLICATE', path, {}, body,
                                   timeout=self.conf.node_timeout)
        if answer.status != 200:
            answer.body()
        return answer

    # -- afterwards

    def absorb(self, broker: Broker, theirs: Item) -> None:
        """Take over what a peer says of the whole."""
        broker.absorb(theirs)

    def settle(self, broker: Broker, info: Item, part: int) -> bool:
        """What a kind still does after a database was pushed; whether it may leave this device."""
        return True

    def is_over(self, broker: Broker, info: Item, age: Timestamp) -> bool:
        """Whether nobody needs to know any more that this was deleted."""
        return broker.deleted(info) and Timestamp(0) < Timestamp(info['delete_timestamp']) < age

    def _leave(self, broker: Broker, info: Item) -> bool:
        """Remove a database that nobody needs here any more, unless something has just changed."""
        if not broker.remove(unless_changed=info):
            return False
        self.counts['remove'] += 1
        return True


def _copy(broker: Broker, path: str) -> None:
    """A snapshot of the database, by SQLite's own means."""
    source = connections.connect(broker.path)
    target = connections.connect(path)
    try:
        green.native(source.backup, target)
    finally:
        target.close()
        source.close()


def _clean(directory: str, age: float) -> None:
    """Remove what crashed processes left in a device's ``tmp``."""
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        path = os.path.join(directory, name)
        try:
            if name.split('.')[0].isalnum() and '.db' in name and os.stat(path).st_mtime < time.time() - age:
                os.unlink(path)
        except OSError:
            continue


def _ip(device: Device) -> str:
    return str(device.get('replication_ip') or device['ip'])


def _port(device: Device) -> int:
    return int(device.get('replication_port') or device['port'])


def _where(device: Device) -> str:
    return f'{_ip(device)}:{_port(device)}/{device["device"]}'

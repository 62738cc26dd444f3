"""Tells accounts what their containers hold now.

A container server tells its account of births and deaths at once, if it can;
counts, and what it could not tell, are left to this sweep.  A container knows
what it last told all of its account's servers (``reported_*``).

Counts bear no time, so that an account cannot tell old ones from new.  Hence only a
container at home speaks: one on a handoff has seen but a part, and its rows come
home by replication.  And what a server missed is told again, to all, until none
has missed it: the replicators of accounts cannot know who is right.  While a server is
away, what only it has missed waits; somebody tries it every ``account_suppression_time``
seconds.
"""

import collections
import logging
import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from strata import backend, errors, green
from swift import conf as confs
from swift import recon
from swift.conf import Option
from swift.container.backend import ContainerBroker
from swift.daemon import Daemon
from swift.db import connections, walk
from swift.db.errors import DatabaseBusy, DatabaseCorrupt, DatabaseMissing
from swift.http.path import quote
from swift.ring.errors import RingError
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring
from swift.storage.devices import Devices
from swift.timestamp import Timestamp

LOG = logging.getLogger(__name__)

REPORTED = ('put_timestamp', 'delete_timestamp', 'object_count', 'bytes_used')


class Missed(NamedTuple):
    """What some of an account's servers have not been told: ``REPORTED``, and their devices' ids."""

    state: tuple[Any, ...]
    nodes: tuple[int, ...]


class ContainerUpdater(Daemon):
    """Tell account servers what has changed in containers."""

    SECTION = 'container-updater'
    OPTIONS = {
        'concurrency': Option(confs.positive, 4, 'containers whose accounts are told at a time'),
        'containers_per_second': Option(confs.number, 50.0, 'how many are looked at; 0: as many as possible'),
        'account_suppression_time': Option(confs.number, 60.0,
                                           'seconds that an account, or a server, that failed is left alone'),
        'conn_timeout': Option(confs.number, 0.5, 'seconds to connect to an account server'),
        'node_timeout': Option(confs.number, 3.0, 'seconds to wait for its answer'),
    }
    INTERVAL = 300
    METRICS = {'success': 'successes', 'failure': 'failures', 'no_change': 'no_changes'}

    def __init__(self, conf: Mapping[str, Any]) -> None:
        super().__init__(conf)
        hashing = HashPath.load(os.path.join(self.conf.swift_dir, 'swift.conf'))
        self.ring = Ring(self.conf.swift_dir, hashing, name='account')
        self.containers = _ring_of_containers(self.conf.swift_dir, hashing)
        self.devices = Devices(self.conf.devices, mount_check=self.conf.mount_check)
        self.connections = connections.Connections()
        self.pool = backend.Pool(connect_timeout=self.conf.conn_timeout)
        self.suppressed: dict[str, float] = {}
        #: account server -> until when it is taken to be away
        self._away: dict[int, float] = {}
        #: database -> what it held when it was told, and who missed that; of this sweep, and of the last one
        self._missed: dict[str, Missed] = {}
        self._missed_before: dict[str, Missed] = {}
        self.counts: collections.Counter[str] = collections.Counter()

    def run_once(self, **limits: Any) -> None:
        """One sweep over all container databases of this host."""
        started = time.time()
        self.counts.clear()
        self._missed_before, self._missed = self._missed, {}
        self.suppressed = {name: until for name, until in self.suppressed.items() if until > started}
        workers = green.Pool(self.conf.concurrency)
        pause = 1 / self.conf.containers_per_second if self.conf.containers_per_second else 0
        for name in self.devices.names():
            if limits.get('devices') and name not in limits['devices']:
                continue
            for part, path in walk.databases(self.devices.path(name), ContainerBroker.datadir,
                                             limits.get('partitions')):
                if self._is_home(name, part):
                    workers.spawn(self._look, path)
                    green.sleep(pause)
        workers.wait()
        elapsed = time.time() - started
        LOG.info('containers told %d, failed %d, unchanged %d, in %.1f s', self.counts['success'],
                 self.counts['failure'], self.counts['no_change'], elapsed)
        self.measured(self.counts)
        recon.dump(self.conf.recon_cache_path, 'container', {'container_updater_sweep': elapsed})

    def _is_home(self, device: str, part: int) -> bool:
        """Whether a container of the partition belongs on a device of that name; true where no ring says."""
        if self.containers is None or part >= self.containers.partition_count:
            return True
        return any(each['device'] == device for each in self.containers.get_part_nodes(part))

    def _look(self, path: str) -> None:
        try:
            self.counts[self.tell(ContainerBroker(self.connections, path))] += 1
        except (DatabaseMissing, DatabaseBusy):
            return
        except DatabaseCorrupt as error:
            LOG.error('%s', error)
            self.counts['failure'] += 1

    def tell(self, broker: ContainerBroker) -> str:
        """Tell a container's account what it does not know.

        ``success``, ``failure``, ``no_change``; ``suppressed`` or ``waiting`` if that failed a moment ago.
        """
        info = broker.info()
        if not Timestamp(info['put_timestamp']) or all(
                info[name] == info[f'reported_{name}'] for name in REPORTED):
            return 'no_change'
        account, state = info['account'], tuple(info[name] for name in REPORTED)
        if self.suppressed.get(account, 0) > time.time():
            return 'suppressed'
        missed = self._missed_before.get(broker.path)
        if missed and missed.state == state and all(self._away.get(node, 0) > time.time() for node in missed.nodes):
            self._missed[broker.path] = missed
            return 'waiting'
        statuses = self._put(info)
        took = {node for node, status in statuses.items() if 200 <= status < 300}
        if ContainerBroker.deleted(info):
            # an account that is gone, or going, need not be told that a container went
            took |= {node for node, status in statuses.items() if status == 404}
        if len(took) <= len(statuses) // 2:
            self.suppressed[account] = time.time() + self.conf.account_suppression_time
            return 'failure'
        if len(took) == len(statuses):
            broker.reported(*(info[name] for name in REPORTED))
        else:
            self._missed[broker.path] = Missed(state, tuple(statuses.keys() - took))
        return 'success'

    def _put(self, info: dict[str, Any]) -> dict[int, int]:
        """The answers of the account's servers, by their devices; 0 for one that gave none."""
        part, nodes = self.ring.get_nodes(info['account'])
        headers = {
            'X-Put-Timestamp': info['put_timestamp'], 'X-Delete-Timestamp': info['delete_timestamp'],
            'X-Object-Count': str(info['object_count']), 'X-Bytes-Used': str(info['bytes_used']),
            'X-Account-Override-Deleted': 'yes',
            'X-Backend-Storage-Policy-Index': str(info['storage_policy_index']), 'User-Agent': 'container-updater'}
        tail = f'{part}/{quote(info["account"])}/{quote(info["container"])}'
        statuses = {node['id']: 0 for node in nodes}
        under_way = []
        for node in nodes:
            try:
                under_way.append((node['id'], self.pool.begin(
                    node['ip'], node['port'], 'PUT', f'/{node["device"]}/{tail}', headers,
                    timeout=self.conf.node_timeout)))
            except errors.Error as error:
                LOG.warning('%s/%s: %s', info['account'], info['container'], error)
        for node_id, exchange in under_way:
            try:
                answer = exchange.answer()
                answer.body()
                statuses[node_id] = answer.status
            except errors.Error as error:
                LOG.warning('%s/%s: %s', info['account'], info['container'], error)
        for node_id, status in statuses.items():
            if 200 <= status < 500:
                self._away.pop(node_id, None)
            else:
                self._away[node_id] = time.time() + self.conf.account_suppression_time
        return statuses

    def close(self) -> None:
        """Close databases and connections."""
        self.connections.close()
        self.pool.close()


def _ring_of_containers(swift_dir: str, hashing: HashPath) -> Ring | None:
    try:
        return Ring(swift_dir, hashing, name='container')
    except RingError as error:
        LOG.warning('every container here is taken to be at home: %s', error)
        return None

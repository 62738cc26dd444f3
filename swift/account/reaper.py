"""Removes what deleted accounts hold: every object of every container, then the containers.

An account that was deleted says so at once, and keeps its list of containers
until the last is gone.  Each primary of the account reaps a share of them,
another share every day, so that one that stays away holds up nothing for long.
"""

import collections
import logging
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from strata import errors, green
from swift import conf as confs
from swift.account.backend import AccountBroker
from swift.conf import Option
from swift.daemon import Daemon
from swift.db import connections, replicator, walk
from swift.db.errors import DatabaseBusy, DatabaseCorrupt, DatabaseMissing
from swift.db.listing import Page
from swift.direct import Direct, Refused
from swift.policies import Policies
from swift.ring.errors import RingError
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring
from swift.storage.devices import Devices
from swift.storage.errors import NotMounted
from swift.storage.here import Here, local_devices
from swift.timestamp import Timestamp

LOG = logging.getLogger(__name__)

PAGE = 1000
DAY = 86_400


class AccountReaper(Daemon):
    """Delete the objects and containers of deleted accounts."""

    SECTION = 'account-reaper'
    OPTIONS = {
        **{name: replicator.OPTIONS[name] for name in ('bind_ip', 'bind_port')},
        'concurrency': Option(confs.positive, 25, 'objects that are deleted at a time'),
        'delay_reaping': Option(confs.number, 0.0, 'seconds that a deleted account is left alone'),
        'reap_warn_after': Option(confs.number, 30.0 * DAY, 'seconds after which one that is still there is reported'),
        'conn_timeout': Option(confs.number, 0.5, 'seconds to connect to a server'),
        'node_timeout': Option(confs.number, 10.0, 'seconds to wait for its answer'),
    }
    INTERVAL = 3600
    METRICS = {f'{what}_{fate}': f'{what}_{fate}' for what in ('containers', 'objects')
               for fate in ('deleted', 'remaining', 'possibly_remaining')}

    def __init__(self, conf: Mapping[str, Any]) -> None:
        super().__init__(conf)
        self.hashing = HashPath.load(os.path.join(self.conf.swift_dir, 'swift.conf'))
        self.devices = Devices(self.conf.devices, mount_check=self.conf.mount_check)
        self.here = Here(self.conf.bind_ip, self.conf.bind_port)
        self.policies = Policies.load(self.conf.swift_dir)
        self.rings = {name: Ring(self.conf.swift_dir, self.hashing, name=name) for name in ('account', 'container')}
        self.connections = connections.Connections(8)
        self.direct = Direct(self.conf.conn_timeout, self.conf.node_timeout, 'account-reaper')
        self.counts: collections.Counter[str] = collections.Counter()

    def run_once(self, **limits: Any) -> None:
        """One sweep over all account databases of this host."""
        started = time.time()
        self.counts.clear()
        for device in local_devices(self.rings['account'], self.here, limits.get('devices')):
            try:
                root = self.devices.path(device['device'])
            except NotMounted as error:
                LOG.warning('%s', error)
                continue
            for part, path in walk.databases(root, AccountBroker.datadir, limits.get('partitions')):
                try:
                    self._look(device, part, path)
                except (DatabaseMissing, DatabaseBusy):
                    continue
                except DatabaseCorrupt as error:
                    LOG.error('%s', error)
        self.measured(self.counts)
        LOG.info('reaped in %.1f s: %s', time.time() - started, dict(self.counts) or 'nothing')

    def _look(self, device: Mapping[str, Any], part: int, path: str) -> None:
        nodes = self.rings['account'].get_part_nodes(part)
        mine = next((node['index'] for node in nodes if node['id'] == device['id']), None)
        if mine is None:
            return
        broker = AccountBroker(self.connections, path)
        info = broker.info()
        dead = time.time() - float(Timestamp(info['delete_timestamp']))
        if info['status'] != 'DELETED' or not info['container_count'] or dead < self.conf.delay_reaping:
            return
        self.reap(broker, info['account'], part, nodes, mine)
        if dead > self.conf.delay_reaping + self.conf.reap_warn_after:
            LOG.warning('account %s was deleted %d days ago and is not reaped yet', info['account'], dead // DAY)

    def reap(self, broker: AccountBroker, account: str, part: int, nodes: list[dict[str, Any]], mine: int) -> None:
        """Delete our share of an account's containers; what cannot be deleted is tried again in the next sweep."""
        today = int(time.time() // DAY)
        for name in _containers(broker):
            if (zlib.crc32(name.encode('utf-8')) + today) % len(nodes) != mine:
                continue
            try:
                self._reap_container(account, part, nodes, name)
            except errors.Error as error:
                self.counts['containers_remaining'] += 1
                LOG.warning('container %s/%s is left for now: %s', account, name, error)

    def _reap_container(self, account: str, account_part: int, account_nodes: list[dict[str, Any]],
                        container: str) -> None:
        part, nodes = self.rings['container'].get_nodes(account, container)
        self._reap_objects(account, container, part, nodes)
        self._delete('containers', nodes, part, (account, container), 'Account', account_part, account_nodes,
                     {'X-Account-Override-Deleted': 'yes'})

    def _delete(self, what: str, nodes: list[dict[str, Any]], part: int, names: tuple[str, ...], above: str,
                above_part: int, above_nodes: list[dict[str, Any]], headers: dict[str, Any]) -> None:
        """Delete on all servers, each of which tells one of those ``above``; counts how it went."""
        stamp, gone = Timestamp.now().internal, 0
        for place, node in enumerate(nodes):
            told = above_nodes[place % len(above_nodes)]
            try:
                self.direct.delete(node, part, *names, headers={
                    'X-Timestamp': stamp, f'X-{above}-Host': f'{told["ip"]}:{told["port"]}',
                    f'X-{above}-Partition': above_part, f'X-{above}-Device': told['device'], **headers})
                gone += 1
            except Refused as error:
                gone += error.code == 404
                if error.code != 404:
                    LOG.warning('%s', error)
            except errors.Error as error:
                LOG.warning('%s', error)
        self.counts[f'{what}_deleted' if gone == len(nodes) else
                    f'{what}_possibly_remaining' if gone else f'{what}_remaining'] += 1

    def _reap_objects(self, account: str, container: str, part: int, nodes: list[dict[str, Any]]) -> None:
        """Delete every object that one of the container's servers lists."""
        marker = ''
        while True:
            found, index = self._objects(account, container, part, nodes, marker)
            if not found:
                return
            workers = green.Pool(self.conf.concurrency)
            for name in found:
                workers.spawn(self._reap_object, account, container, part, nodes, name, index)
            workers.wait()
            marker = found[-1]

    def _objects(self, account: str, container: str, part: int, nodes: list[dict[str, Any]],
                 marker: str) -> tuple[list[str], int]:
        """A page of names and the container's policy, from the first server that answers; raises if none does."""
        refused: errors.Error | None = None
        for node in nodes:
            try:
                fields, entries = self.direct.listing(node, part, account, container, marker=marker, limit=PAGE,
                                                      headers={'X-Backend-Allow-Reserved-Names': 'true'})
                return [entry['name'] for entry in entries], int(fields.get('x-backend-storage-policy-index') or 0)
            except errors.Error as error:
                if not (isinstance(error, Refused) and error.code == 404):
                    refused = error
        if refused is not None:
            raise refused
        return [], 0

    def _reap_object(self, account: str, container: str, container_part: int,
                     container_nodes: list[dict[str, Any]], name: str, index: int) -> None:
        policy = self.policies.get(index)
        if policy is None:
            LOG.error('%s/%s/%s has the storage policy %d, which is not configured', account, container, name, index)
            self.counts['objects_remaining'] += 1
            return
        try:
            ring = self.rings.get(policy.ring_name) or self._ring(policy.ring_name)
        except RingError as error:
            LOG.error('%s', error)
            self.counts['objects_remaining'] += 1
            return
        part, nodes = ring.get_nodes(account, container, name)
        self._delete('objects', nodes, part, (account, container, name), 'Container', container_part,
                     container_nodes, {'X-Backend-Storage-Policy-Index': index})

    def _ring(self, name: str) -> Ring:
        ring = self.rings[name] = Ring(self.conf.swift_dir, self.hashing, name=name)
        return ring

    def close(self) -> None:
        """Close databases and connections."""
        self.connections.close()
        self.direct.close()


def _containers(broker: AccountBroker) -> Iterator[str]:
    """The names of all containers, page by page."""
    marker = ''
    while True:
        rows = broker.list_containers(Page(PAGE, marker=marker, reserved=True))
        if not rows:
            return
        for row in rows:
            yield row[0]
        marker = rows[-1][0]

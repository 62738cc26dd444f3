"""Brings the databases of containers to where they belong, and finds objects in the wrong storage policy.

Two replicas of a container may have been made with different policies while
they could not see each other.  Once one policy has won, objects written to the
other are listed in the queue of the reconciler: containers of the account
``.misplaced_objects``, one an hour, with rows ``policy:/account/container/object``.
"""

import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from strata import errors
from swift import recon
from swift.container.backend import ContainerBroker
from swift.daemon import Daemon
from swift.db import replicator
from swift.db.broker import Broker, Item
from swift.http.path import quote
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring
from swift.timestamp import Timestamp, decode

LOG = logging.getLogger(__name__)

ACCOUNT = '.misplaced_objects'
#: seconds of objects' times that share a container of the queue
HOUR = 3600
BATCH = 1000


class Misplaced:
    """The queue of the reconciler."""

    def __init__(self, owner: 'ContainerDatabases') -> None:
        self._owner = owner

    def put(self, account: str, container: str, row: Item) -> bool:
        """Enqueue one row of a container; whether most of the queue's servers have it."""
        stamp = decode(row['created_at'])[0]
        name = f'{row["storage_policy_index"]}:/{account}/{container}/{row["name"]}'
        queue = str(int(stamp) // HOUR * HOUR)
        part, nodes = self._owner.ring.get_nodes(ACCOUNT, queue)
        headers = {'X-Timestamp': stamp.internal, 'X-Etag': stamp.internal, 'X-Size': '0',
                   'X-Content-Type': 'application/x-delete' if row['deleted'] else 'application/x-put',
                   'User-Agent': 'container-replicator'}
        done = sum(self._tell(node, f'/{node["device"]}/{part}/{ACCOUNT}/{queue}/{quote(name)}', headers)
                   for node in nodes)
        return done > len(nodes) // 2

    def _tell(self, node: Mapping[str, Any], path: str, headers: dict[str, str]) -> bool:
        try:
            answer = self._owner.pool.request(node['ip'], node['port'], 'PUT', path, headers,
                                              timeout=self._owner.conf.node_timeout)
            answer.body()
        except errors.Error as error:
            LOG.warning('a misplaced object cannot be listed: %s', error)
            return False
        return bool(answer.status < 300)


class ContainerDatabases(replicator.Replicator):
    """Replication of containers."""

    def settle(self, broker: Broker, info: Item, part: int) -> bool:
        """Enqueue objects in the wrong policy; whether all are."""
        assert isinstance(broker, ContainerBroker)
        fresh = broker.info()
        if fresh['account'] == ACCOUNT:
            return True
        queue = Misplaced(self)
        start = point = int(fresh['reconciler_sync_point'])
        rows = broker.misplaced_since(point, BATCH)
        done = True
        while rows and done:
            for row in rows:
                done = queue.put(fresh['account'], fresh['container'], row)
                if not done:
                    break
                point = row['ROWID']
            rows = broker.misplaced_since(point, BATCH)
        if point != start:
            broker.set_reconciler_point(point, fresh['storage_policy_index'])
        return done

    def absorb(self, broker: Broker, theirs: Item) -> None:
        """The peer has seen both sides before it chose a policy: its choice is ours."""
        super().absorb(broker, theirs)
        index = int(theirs['storage_policy_index'])
        if isinstance(broker, ContainerBroker) and index != broker.policy_index():
            broker.set_policy_index(index, Timestamp(theirs['status_changed_at']))

    def is_over(self, broker: Broker, info: Item, age: Timestamp) -> bool:
        """As of any database, and the account has been told, and no other policy has rows left."""
        assert isinstance(broker, ContainerBroker)
        return (super().is_over(broker, info, age)
                and Timestamp(info['reported_delete_timestamp']) >= Timestamp(info['delete_timestamp'])
                and not any(count for count, _ in broker.policy_stats().values()))


class ContainerReplicator(Daemon):
    """Replicate container databases to the other devices of their partitions."""

    SECTION = 'container-replicator'
    OPTIONS = replicator.OPTIONS
    INTERVAL = 30
    METRICS = replicator.METRICS

    def __init__(self, conf: Mapping[str, Any]) -> None:
        super().__init__(conf)
        hashing = HashPath.load(os.path.join(self.conf.swift_dir, 'swift.conf'))
        self.replicator = ContainerDatabases(ContainerBroker, self.conf,
                                             Ring(self.conf.swift_dir, hashing, name='container'))

    def run_once(self, **limits: Any) -> None:
        """One sweep over all container databases of this host."""
        started = time.time()
        counted = self.replicator.sweep(limits.get('devices'), limits.get('partitions'))
        self.measured(counted)
        now = time.time()
        recon.dump(self.conf.recon_cache_path, 'container', {
            'replication_stats': counted, 'replication_time': now - started, 'replication_last': now})

    def close(self) -> None:
        """Close databases and connections."""
        self.replicator.close()

"""Brings the databases of accounts to where they belong."""

import os
import time
from collections.abc import Mapping
from typing import Any

from swift import recon
from swift.account.backend import AccountBroker
from swift.daemon import Daemon
from swift.db import replicator
from swift.db.broker import Broker, Item
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring
from swift.timestamp import Timestamp


class AccountDatabases(replicator.Replicator):
    """Replication of accounts."""

    def is_over(self, broker: Broker, info: Item, age: Timestamp) -> bool:
        """As of any database, and the reaper has nothing left to do."""
        return super().is_over(broker, info, age) and not info['container_count']


class AccountReplicator(Daemon):
    """Replicate account databases to the other devices of their partitions."""

    SECTION = 'account-replicator'
    OPTIONS = replicator.OPTIONS
    INTERVAL = 30
    METRICS = replicator.METRICS

    def __init__(self, conf: Mapping[str, Any]) -> None:
        super().__init__(conf)
        hashing = HashPath.load(os.path.join(self.conf.swift_dir, 'swift.conf'))
        self.replicator = AccountDatabases(AccountBroker, self.conf,
                                           Ring(self.conf.swift_dir, hashing, name='account'))

    def run_once(self, **limits: Any) -> None:
        """One sweep over all account databases of this host."""
        started = time.time()
        counted = self.replicator.sweep(limits.get('devices'), limits.get('partitions'))
        self.measured(counted)
        now = time.time()
        recon.dump(self.conf.recon_cache_path, 'account', {
            'replication_stats': counted, 'replication_time': now - started, 'replication_last': now})

    def close(self) -> None:
        """Close databases and connections."""
        self.replicator.close()

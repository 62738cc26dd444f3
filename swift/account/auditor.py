"""Audits the databases of accounts."""

from collections.abc import Mapping
from typing import Any

from swift import conf as confs
from swift.account.backend import AccountBroker
from swift.conf import Option
from swift.daemon import Daemon
from swift.db import auditor


class AccountAuditor(Daemon):
    """Read every account database and check that its sums fit together."""

    SECTION = 'account-auditor'
    OPTIONS = {'accounts_per_second': Option(confs.number, 200.0, 'how many are read; 0: as many as possible')}
    INTERVAL = 1800
    METRICS = auditor.METRICS

    def __init__(self, conf: Mapping[str, Any]) -> None:
        super().__init__(conf)
        self.auditor = auditor.Auditor(AccountBroker, self.conf, self.conf.accounts_per_second, _look)

    def run_once(self, **limits: Any) -> None:
        """One sweep over all account databases of this host."""
        passed, failed = self.auditor.sweep(limits.get('devices'), limits.get('partitions'))
        self.measured({'passed': passed, 'failed': failed})

    def close(self) -> None:
        """Close databases."""
        self.auditor.close()


def _look(broker: AccountBroker, info: dict[str, Any]) -> None:
    """The statistics of policies must add up to those of the account; raises ``Fault``."""
    stats = broker.policy_stats()
    for place, name in enumerate(('container_count', 'object_count', 'bytes_used'), start=1):
        total = sum(row[place] for row in stats)
        if total != info[name]:
            raise auditor.Fault(f'{name} is {info[name]}, but those of its policies add up to {total}')

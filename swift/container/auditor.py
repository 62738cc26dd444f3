"""Audits the databases of containers."""

from collections.abc import Mapping
from typing import Any

from swift import conf as confs
from swift.conf import Option
from swift.container.backend import ContainerBroker
from swift.daemon import Daemon
from swift.db import auditor


class ContainerAuditor(Daemon):
    """Read every container database and check that its counts make sense."""

    SECTION = 'container-auditor'
    OPTIONS = {'containers_per_second': Option(confs.number, 200.0, 'how many are read; 0: as many as possible')}
    INTERVAL = 1800
    METRICS = auditor.METRICS

    def __init__(self, conf: Mapping[str, Any]) -> None:
        super().__init__(conf)
        self.auditor = auditor.Auditor(ContainerBroker, self.conf, self.conf.containers_per_second, _look)

    def run_once(self, **limits: Any) -> None:
        """One sweep over all container databases of this host."""
        passed, failed = self.auditor.sweep(limits.get('devices'), limits.get('partitions'))
        self.measured({'passed': passed, 'failed': failed})

    def close(self) -> None:
        """Close databases."""
        self.auditor.close()


def _look(broker: ContainerBroker, info: dict[str, Any]) -> None:
    """Neither objects nor bytes can be fewer than none; raises ``Fault``."""
    for index, (count, size) in broker.policy_stats().items():
        if count < 0 or size < 0:
            raise auditor.Fault(f'policy {index} has {count} objects of {size} bytes')

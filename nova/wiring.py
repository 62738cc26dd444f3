"""What the parts of one nova process share: configuration, database, bus, clients.

Built once by ``nova/cmd``, handed to every domain function as its first
argument; nothing here is global.
"""

import dataclasses
from typing import Any

from oslo_config import cfg

from strata import conf as configuration
from strata.clock import CLOCK, Clock
from strata.db import Database
from strata.policy import Policy


@dataclasses.dataclass
class Wiring:
    """``bus`` is a ``strata.rpc`` bus; ``identity`` and ``images`` are clients of keystone and glance."""

    conf: cfg.ConfigOpts
    db: Database
    bus: Any
    policy: Policy
    identity: Any = None
    images: Any = None
    clock: Clock = CLOCK

    @property
    def host(self) -> str:
        """The name of this host in the cloud."""
        return configuration.hostname(self.conf)

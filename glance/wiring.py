"""What the parts of one glance process share: configuration, policy, registry, stores.

Built once by ``glance/cmd``, handed to every domain function as its first
argument; nothing here is global.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from oslo_config import cfg

from glance.registry.interface import Registry
from glance.stores.interface import Store
from strata.clock import CLOCK, Clock
from strata.db import Database
from strata.policy import Policy


@dataclasses.dataclass
class Wiring:
    """``db`` is there where the registry is in this process; ``stores`` where image data is handled."""

    conf: cfg.ConfigOpts
    policy: Policy
    registry: Registry
    stores: Mapping[str, Store] = dataclasses.field(default_factory=dict)
    db: Database | None = None
    identity: Any = None
    clock: Clock = CLOCK

    @property
    def store(self) -> Store:
        """The store that uploads go to."""
        return self.stores[self.conf.glance_store.default_store]

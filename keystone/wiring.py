"""What the parts of one keystone process share: configuration, database, policy, tokens.

Built once by ``keystone/cmd``, handed to every domain function as its first
argument; nothing here is global.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator

from oslo_config import cfg
from sqlalchemy.orm import Session

from keystone.db import revisions
from keystone.memory import Memory
from keystone.token.keys import Keys
from strata import conf as configuration
from strata.clock import CLOCK, Clock
from strata.db import Database
from strata.policy import Policy


@dataclasses.dataclass
class Wiring:
    """``keys`` seal tokens, ``credential_keys`` what must be readable again."""

    conf: cfg.ConfigOpts
    db: Database
    policy: Policy
    memory: Memory
    keys: Keys
    credential_keys: Keys
    clock: Clock = CLOCK

    @contextlib.contextmanager
    def changing(self, counter: str = revisions.STATE) -> Iterator[Session]:
        """A write transaction that tells every process to forget what it remembered."""
        with self.db.transaction() as tx:
            yield tx
            tx.flush()
            revisions.bump(tx, counter)

    def close(self) -> None:
        """Close the connections to the database."""
        self.memory.close()
        self.db.dispose()


def build(conf: cfg.ConfigOpts, policy: Policy, clock: Clock = CLOCK) -> Wiring:
    """The wiring of a process; ``errors.Invalid`` names an option that is missing."""
    database = Database(configuration.required(conf, 'database', 'connection'),
                        pool=conf.database.max_pool_size, retries=conf.database.max_retries, clock=clock)
    return Wiring(
        conf=conf, db=database, policy=policy, clock=clock, memory=Memory(database, conf.token.memory),
        keys=Keys(conf.fernet_tokens.key_repository, conf.fernet_tokens.max_active_keys),
        credential_keys=Keys(conf.credential.key_repository))


def beside(conf: cfg.ConfigOpts, name: str) -> str:
    """The path of a file that is named relative to the first configuration file."""
    files = conf.config_file or []
    return os.path.join(os.path.dirname(os.path.abspath(files[0])), name) if files else os.path.abspath(name)

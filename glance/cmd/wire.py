"""Build the wiring of a glance process from its configuration."""

from typing import Any

from oslo_config import cfg

from glance import pipelines, stores
from glance.api import front
from glance.registry import app as registry
from glance.registry.client import Remote
from glance.registry.interface import Registry
from glance.registry.local import Local
from glance.wiring import Wiring
from strata import conf as configuration
from strata.clock import CLOCK, Clock
from strata.db import Database
from strata.identity import Identity
from strata.policy import Policy, Rule

MIGRATIONS = 'glance.db:migrations'


def database(conf: cfg.ConfigOpts) -> Database:
    """The database that the configuration names."""
    return Database(configuration.required(conf, 'database', 'connection'),
                    pool=conf.database.max_pool_size, retries=conf.database.max_retries)


def _policy(conf: cfg.ConfigOpts, rules: list[Rule]) -> Policy:
    return Policy(rules, path=pipelines.beside(conf, conf.oslo_policy.policy_file))


def api(conf: cfg.ConfigOpts, *, identity: Any = None, db: Database | None = None,
        clock: Clock = CLOCK) -> Wiring:
    """The wiring of glance-api; the registry is called in-process unless [registry] url names one.

    ``identity`` validates tokens (default: keystone over HTTP); onestack hands in keystone itself.
    """
    identity = identity or Identity(conf.keystone_authtoken, clock=clock)
    keeper: Registry
    if conf.registry.url:
        keeper, db = Remote(conf.registry.url, identity), None
    else:
        db = db or database(conf)
        keeper = Local(db)
    return Wiring(conf, _policy(conf, front.rules()), keeper, stores.load(conf), db=db, identity=identity,
                  clock=clock)


def registry_api(conf: cfg.ConfigOpts, *, identity: Any = None, db: Database | None = None,
                 clock: Clock = CLOCK) -> Wiring:
    """The wiring of glance-registry."""
    db = db or database(conf)
    return Wiring(conf, _policy(conf, list(registry.app.rules())), Local(db), db=db,
                  identity=identity or Identity(conf.keystone_authtoken, clock=clock), clock=clock)

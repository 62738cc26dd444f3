"""Build the wiring of a glance process from its configuration."""

import os

from oslo_config import cfg

from glance import stores
from glance.api import front
from glance.registry.interface import Registry
from glance.registry.local import Local
from glance.wiring import Wiring
from strata import conf as configuration
from strata.db import Database
from strata.policy import Policy

MIGRATIONS = 'glance.db:migrations'
_TREE = os.path.join(os.path.dirname(__file__), '..', '..', 'etc', 'glance')


def database(conf: cfg.ConfigOpts) -> Database:
    """The database that the configuration names."""
    return Database(configuration.required(conf, 'database', 'connection'),
                    pool=conf.database.max_pool_size, retries=conf.database.max_retries)


def beside(conf: cfg.ConfigOpts, name: str) -> str:
    """The path of a file beside the first configuration file, or else in the source tree."""
    for file in conf.config_file or ():
        path = os.path.join(os.path.dirname(os.path.abspath(file)), name)
        if os.path.exists(path):
            return path
    return os.path.normpath(os.path.join(_TREE, name))


def policies(conf: cfg.ConfigOpts) -> Policy:
    """The rules of the API as the operator may have overridden them."""
    path = conf.oslo_policy.policy_file
    return Policy(front.rules(), path=path if os.path.isabs(path) else beside(conf, path))


def api(conf: cfg.ConfigOpts, db: Database | None = None) -> Wiring:
    """The wiring of glance-api: the registry is called in-process unless [registry] url names one."""
    keeper: Registry
    if conf.registry.url:
        from glance.registry.client import Remote  # HTTP and its credentials are only needed here
        keeper = Remote.configured(conf)
    else:
        db = db or database(conf)
        keeper = Local(db)
    return Wiring(conf, policies(conf), keeper, stores.load(conf), db=db)



"""Where the bytes of images are: a store is named in configuration and chosen from this table."""

import importlib
from collections.abc import Mapping

from oslo_config import cfg

from glance.stores.interface import Store
from strata import errors

#: kinds of store that [glance_store] stores may name
KINDS = {'file': 'glance.stores.file:FileStore', 'swift': 'glance.stores.swift:SwiftStore'}


def load(conf: cfg.ConfigOpts) -> Mapping[str, Store]:
    """The stores that the configuration names; ``errors.Invalid`` for one we have not got."""
    stores: dict[str, Store] = {}
    for name in conf.glance_store.stores:
        if name not in KINDS:
            raise errors.Invalid(f'[glance_store] stores: {name!r} is not one of {", ".join(sorted(KINDS))}.')
        module, _, kind = KINDS[name].partition(':')
        stores[name] = getattr(importlib.import_module(module), kind)(conf)
    if conf.glance_store.default_store not in stores:
        raise errors.Invalid(f'[glance_store] default_store: {conf.glance_store.default_store!r} is not '
                             'among the stores.')
    return stores

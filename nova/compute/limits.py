"""Limits of a project and what it uses of them, in the names of the compute API."""

from collections.abc import Mapping

from nova import conf as options
from nova.db import quotas
from nova.wiring import Wiring
from strata import errors
from strata.db import retried

#: what the compute API calls a quota, and the option (and usage row) behind it
RESOURCES = {
    'instances': 'instances', 'cores': 'cores', 'ram': 'ram', 'metadata_items': 'metadata_items',
    'key_pairs': 'key_pairs', 'server_groups': 'server_groups',
    'server_group_members': 'server_group_members',
    'injected_files': 'injected_files', 'injected_file_content_bytes': 'injected_file_content_bytes',
    'injected_file_path_bytes': 'injected_file_path_length'}


def defaults(wiring: Wiring) -> dict[str, int]:
    """The limits of a project for which nothing else was set."""
    configured = options.quota_defaults(wiring.conf)
    return {name: configured[option] for name, option in RESOURCES.items()}


def show(wiring: Wiring, project_id: str) -> tuple[dict[str, int], dict[str, int]]:
    """A project's limits, and what it uses."""
    configured = options.quota_defaults(wiring.conf)
    with wiring.db.reading() as tx:
        allowed = quotas.limits(tx, project_id, configured)
        used = quotas.usages(tx, project_id)
    return ({name: allowed[option] for name, option in RESOURCES.items()},
            {name: used.get(option, 0) for name, option in RESOURCES.items()})


@retried
def update(wiring: Wiring, project_id: str, values: Mapping[str, int], *, force: bool) -> None:
    """Set limits; ``errors.Invalid`` for one below what is used, unless forced."""
    configured = options.quota_defaults(wiring.conf)
    with wiring.db.transaction() as tx:
        used = quotas.usages(tx, project_id)
        for name, value in values.items():
            if not force and 0 <= value < used.get(RESOURCES[name], 0):
                raise errors.Invalid('Quota limit {value} for {name} must be greater than or equal to '
                                     'already used and reserved {used}.', value=value, name=name,
                                     used=used[RESOURCES[name]])
        quotas.set_limits(tx, project_id, {RESOURCES[name]: value for name, value in values.items()
                                           if RESOURCES[name] in configured})


@retried
def reset(wiring: Wiring, project_id: str) -> None:
    """Back to the defaults."""
    with wiring.db.transaction() as tx:
        quotas.clear_limits(tx, project_id, dict.fromkeys(RESOURCES.values(), 0))

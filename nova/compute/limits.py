"""Limits of a project and what it uses of them, in the names of the compute API."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from nova import conf as options
from nova.db import quotas, server_lists
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

#: those that servers use, of which a user may have a share
SHARED = ('cores', 'instances', 'ram')


def defaults(wiring: Wiring) -> dict[str, int]:
    """The limits of a project for which nothing else was set."""
    configured = options.quota_defaults(wiring.conf)
    return {name: configured[option] for name, option in RESOURCES.items()}


def show(wiring: Wiring, project_id: str, user_id: str | None = None) -> tuple[dict[str, int], dict[str, int]]:
    """A project's limits, and what it uses; or those of one user in it."""
    configured = options.quota_defaults(wiring.conf)
    with wiring.db.reading() as tx:
        allowed = quotas.limits(tx, project_id, configured)
        if user_id is None:
            used = quotas.usages(tx, project_id)
        else:
            allowed, used = share(tx, project_id, user_id, allowed), server_lists.used_by(tx, project_id, user_id)
    return ({name: allowed[option] for name, option in RESOURCES.items()},
            {name: used.get(option, 0) for name, option in RESOURCES.items()})


def share(tx: Session, project_id: str, user_id: str, allowed: Mapping[str, int]) -> dict[str, int]:
    """The limits of a user in a project, for whose own ones ``allowed`` stands in."""
    own = quotas.limits(tx, project_id, quotas.of_user(user_id, allowed))
    return dict(zip(allowed, own.values(), strict=True))


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
def update_share(wiring: Wiring, project_id: str, user_id: str, values: Mapping[str, int], *, force: bool) -> None:
    """Set limits of one user in a project.

    ``errors.Invalid`` for one below what is used, or beyond the project's, unless forced.
    """
    configured = options.quota_defaults(wiring.conf)
    with wiring.db.transaction() as tx:
        quotas.take(tx, project_id, dict.fromkeys(SHARED, 0), {})      # creates and deletes wait for us
        used = server_lists.used_by(tx, project_id, user_id)
        allowed = quotas.limits(tx, project_id, configured)
        for name, value in values.items():
            least, most = used.get(RESOURCES[name], 0), allowed[RESOURCES[name]]
            if not force and 0 <= value < least:
                raise errors.Invalid('Quota limit {value} for {name} must be greater than or equal to '
                                     'already used and reserved {used}.', value=value, name=name, used=least)
            if not force and most >= 0 and not 0 <= value <= most:
                raise errors.Invalid('Quota limit {value} for {name} must be less than or equal to {most}.',
                                     value=value, name=name, most=most)
        quotas.begin(tx, project_id, user_id, used)
        quotas.set_limits(tx, project_id, quotas.of_user(user_id, {
            RESOURCES[name]: value for name, value in values.items()}))


@retried
def reset(wiring: Wiring, project_id: str, user_id: str | None = None) -> None:
    """Back to the defaults; of a user in a project, to the project's."""
    resources = dict.fromkeys(RESOURCES.values(), 0)
    with wiring.db.transaction() as tx:
        if user_id is None:
            quotas.clear_limits(tx, project_id, resources, users=True)
        else:
            quotas.clear_limits(tx, project_id, quotas.of_user(user_id, resources))

"""Quotas of network resources: what a project may have, and the published way of saying no."""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.db import quotas
from nova.db.quotas import QuotaLimit
from nova.network import faults
from nova.wiring import Wiring
from strata import errors
from strata.db import retried

RESOURCES = ('floatingip', 'network', 'port', 'router', 'security_group', 'security_group_rule', 'subnet')


def defaults(wiring: Wiring) -> dict[str, int]:
    """The limits of a project for which nothing else was set; -1 is none."""
    return {name: getattr(wiring.conf.quota, name) for name in RESOURCES}


def limits(tx: Session, wiring: Wiring, project_id: str) -> dict[str, int]:
    """The limits in force for a project."""
    return quotas.limits(tx, project_id, defaults(wiring))


def take(tx: Session, wiring: Wiring, project_id: str, amounts: Mapping[str, int]) -> None:
    """Use more of a project's quota, or raise ``OverQuota``."""
    wanted = {name: amount for name, amount in amounts.items() if amount}
    try:
        quotas.take(tx, project_id, wanted, defaults(wiring))
    except errors.OverQuota as error:
        raise faults.OverQuota(resources=f"['{error.details['resource']}']") from error


def force(tx: Session, project_id: str, amounts: Mapping[str, int]) -> None:
    """Count what is made whatever the limit: the default group with its rules."""
    quotas.take(tx, project_id, amounts, {})


def give(tx: Session, project_id: str, amounts: Mapping[str, int]) -> None:
    """Give back what was used."""
    quotas.give(tx, project_id, {name: amount for name, amount in amounts.items() if amount})


@retried
def update(wiring: Wiring, project_id: str, values: Mapping[str, int], *, check: bool) -> dict[str, int]:
    """Set limits; with ``check`` none may fall below what is used.  The limits then in force."""
    with wiring.db.transaction() as tx:
        if check:
            used = quotas.usages(tx, project_id)
            for name, limit in sorted(values.items()):
                if 0 <= limit < used.get(name, 0):
                    raise errors.Invalid('Quota limit {limit} for {name} must be greater than or equal to '
                                         'already used {used}.', limit=limit, name=name, used=used[name])
        quotas.set_limits(tx, project_id, values)
        return limits(tx, wiring, project_id)


def every(wiring: Wiring) -> dict[str, dict[str, int]]:
    """The limits of each project for which any was set."""
    found: dict[str, dict[str, int]] = {}
    with wiring.db.reading() as tx:
        for row in tx.scalars(sa.select(QuotaLimit).where(QuotaLimit.resource.in_(RESOURCES))
                              .order_by(QuotaLimit.project_id)):
            found.setdefault(row.project_id, defaults(wiring))[row.resource] = row.value
    return found


@retried
def reset(wiring: Wiring, project_id: str) -> None:
    """Back to the defaults."""
    with wiring.db.transaction() as tx:
        quotas.clear_limits(tx, project_id, defaults(wiring))


def details(wiring: Wiring, project_id: str) -> dict[str, dict[str, int]]:
    """Each resource with its limit and what is used of it."""
    with wiring.db.reading() as tx:
        used, allowed = quotas.usages(tx, project_id), limits(tx, wiring, project_id)
    return {name: {'limit': allowed[name], 'used': used.get(name, 0), 'reserved': 0} for name in RESOURCES}


def used(tx: Session, project_id: str) -> dict[str, int]:
    """What a project uses, by resource; absent means nothing."""
    return quotas.usages(tx, project_id)

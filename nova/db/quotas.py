"""Quotas: limits of projects, and what they use, swapped in the transaction that creates the thing.

A limit of -1 is none.  Usage rows count what exists; nothing is reserved and
nothing expires, so nothing can leak: the row moves with the resource or not at all.

A user's share of a project's quota is kept beside it, under names that ``of_user`` gives.
"""

import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova.db.base import Base
from strata import db, errors


class QuotaLimit(Base):
    """What an administrator set for a project in place of the default."""

    __tablename__ = 'quota_limits'

    project_id: Mapped[str] = mapped_column(db.Id, primary_key=True)
    resource: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    value: Mapped[int] = mapped_column()


class QuotaUsage(Base):
    """What a project uses of a resource."""

    __tablename__ = 'quota_usages'

    project_id: Mapped[str] = mapped_column(db.Id, primary_key=True)
    resource: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    used: Mapped[int] = mapped_column(default=0)


def of_user(user_id: str, values: Mapping[str, int]) -> dict[str, int]:
    """The same by what a user's share of a resource is called."""
    digest = hashlib.sha256(user_id.encode()).hexdigest()[:36]      # an id may be too long for the column
    return {f'{resource}@{digest}': value for resource, value in values.items()}


def limits(tx: Session, project_id: str, defaults: Mapping[str, int]) -> dict[str, int]:
    """The limits in force for a project: the defaults, and what was set over them."""
    rows = tx.connection().execute(_of_project(QuotaLimit), {'whose': project_id})
    return {**defaults, **{row.resource: row.value for row in rows if row.resource in defaults}}


@functools.cache
def _of_project(model: Any) -> sa.Select[Any]:
    return sa.select(model.__table__).where(model.__table__.c.project_id == sa.bindparam('whose'))


def usages(tx: Session, project_id: str) -> dict[str, int]:
    """What a project uses, by resource; absent means nothing."""
    rows = tx.connection().execute(_of_project(QuotaUsage), {'whose': project_id})
    return {row.resource: row.used for row in rows}


def take(tx: Session, project_id: str, amounts: Mapping[str, int], defaults: Mapping[str, int]) -> None:
    """Use more of a project's quota, or raise ``errors.OverQuota`` and thereby roll everything back.

    Rows are taken in a fixed order, so that two callers cannot lock each other out.
    """
    allowed = limits(tx, project_id, defaults)
    for resource in sorted(amounts):
        amount, limit = amounts[resource], allowed.get(resource, -1)
        change = _using(limited=limit >= 0)
        values = {'whose': project_id, 'what': resource, 'amount': amount, 'most': limit}
        if tx.connection().execute(change, values).rowcount:
            continue
        db.insert_absent(tx, QuotaUsage, project_id=project_id, resource=resource, used=0)
        if not tx.connection().execute(change, values).rowcount:
            used = tx.scalar(sa.select(QuotaUsage.used).where(
                QuotaUsage.project_id == project_id, QuotaUsage.resource == resource)) or 0
            raise errors.OverQuota(resource=resource.partition('@')[0], requested=amount, used=used, limit=limit)


@functools.cache
def _using(*, limited: bool) -> sa.Update:
    """The statement that uses an amount of a resource, made once."""
    table = QuotaUsage.__table__
    more = table.c.used + sa.bindparam('amount', type_=sa.Integer)
    return sa.update(table).where(      # type: ignore[arg-type]
        table.c.project_id == sa.bindparam('whose'), table.c.resource == sa.bindparam('what'),
        *([more <= sa.bindparam('most', type_=sa.Integer)] if limited else [])).values(used=more)


def give(tx: Session, project_id: str, amounts: Mapping[str, int]) -> None:
    """Give back what a deleted resource used; never below nothing."""
    for resource in sorted(amounts):
        tx.execute(sa.update(QuotaUsage).where(
            QuotaUsage.project_id == project_id, QuotaUsage.resource == resource,
            QuotaUsage.used >= amounts[resource]).values(used=QuotaUsage.used - amounts[resource])
            .execution_options(synchronize_session=False))


def counted(tx: Session, project_id: str, user_id: str) -> bool:
    """Whether a user's share is counted: it is, once it was limited.  The project's rows are to be held."""
    [share] = of_user(user_id, {'instances': 0})
    return share in usages(tx, project_id)


def begin(tx: Session, project_id: str, user_id: str, used: Mapping[str, int]) -> None:
    """Count a user's share from now on, beginning with ``used``; to be called with the project's rows held."""
    for resource, value in sorted(of_user(user_id, used).items()):
        db.insert_absent(tx, QuotaUsage, project_id=project_id, resource=resource, used=value)


def set_limits(tx: Session, project_id: str, values: Mapping[str, int]) -> None:
    """Set limits of a project; others stay as they are."""
    for resource, value in sorted(values.items()):
        db.insert_absent(tx, QuotaLimit, project_id=project_id, resource=resource, value=value)
        tx.execute(sa.update(QuotaLimit).where(
            QuotaLimit.project_id == project_id, QuotaLimit.resource == resource).values(value=value)
            .execution_options(synchronize_session=False))


def clear_limits(tx: Session, project_id: str, resources: Mapping[str, int], *, users: bool = False) -> None:
    """Back to the defaults; ``users``: of every user's share too."""
    named = QuotaLimit.resource.in_(list(resources))
    tx.execute(sa.delete(QuotaLimit).where(QuotaLimit.project_id == project_id,
                                           named | QuotaLimit.resource.contains('@') if users else named)
               .execution_options(synchronize_session=False))

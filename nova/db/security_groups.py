"""Security groups and their rules: the tables, and every query on them."""

import functools
import ipaddress
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from nova.db import rows
from nova.db.base import Base
from nova.db.networks import Revised
from nova.db.tags import Tagged
from strata import db
from strata.clock import new_uuid
from strata.context import Context


class SecurityGroup(Base, Revised, Tagged):
    """A named set of rules.  ``default_of`` is the project whose default group it is: one each."""

    __tablename__ = 'security_groups'

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=new_uuid)
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    name: Mapped[str] = mapped_column(sa.String(255), default='')
    description: Mapped[str] = mapped_column(sa.String(255), default='')
    stateful: Mapped[bool] = mapped_column(default=True)
    default_of: Mapped[str | None] = mapped_column(sa.String(64), unique=True)

    rules: Mapped[list['SecurityGroupRule']] = relationship(
        viewonly=True, lazy='raise', order_by='SecurityGroupRule.created_at',
        foreign_keys='SecurityGroupRule.security_group_id')

    #: no project may share its groups with another here
    shared = False


class SecurityGroupRule(Base, Revised):
    """One thing that is allowed.  ``fingerprint`` spells its meaning, so that none is there twice."""

    __tablename__ = 'security_group_rules'
    __table_args__ = (sa.UniqueConstraint('security_group_id', 'fingerprint'),)

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=new_uuid)
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    security_group_id: Mapped[str] = mapped_column(sa.ForeignKey(SecurityGroup.id, ondelete='CASCADE'))
    direction: Mapped[str] = mapped_column(sa.String(8))
    ethertype: Mapped[str] = mapped_column(sa.String(8), default='IPv4')
    protocol: Mapped[str | None] = mapped_column(sa.String(32))
    port_range_min: Mapped[int | None] = mapped_column()
    port_range_max: Mapped[int | None] = mapped_column()
    remote_group_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey(SecurityGroup.id, ondelete='CASCADE'), index=True)
    remote_ip_prefix: Mapped[str | None] = mapped_column(sa.String(64))
    description: Mapped[str] = mapped_column(sa.String(255), default='')
    fingerprint: Mapped[str] = mapped_column(sa.String(255))

    group: Mapped[SecurityGroup] = relationship(viewonly=True, lazy='raise', foreign_keys=[security_group_id])

    @property
    def normalized_cidr(self) -> str | None:
        """The prefix that takes effect: ``remote_ip_prefix`` as it was given, without its host's bits."""
        prefix = self.remote_ip_prefix
        return str(ipaddress.ip_network(prefix, strict=False)) if prefix else None


def visible(context: Context) -> sa.Select[Any]:
    """Groups the caller may see: its project's; all to an admin."""
    return rows.owned(SecurityGroup, context)


def visible_rules(context: Context) -> sa.Select[Any]:
    """Rules the caller may see: its project's; all to an admin."""
    return rows.owned(SecurityGroupRule, context)


def whole() -> list[Any]:
    """Options that load what a group's body shows."""
    return [selectinload(SecurityGroup.tag_rows), selectinload(SecurityGroup.rules)]


def whole_rule() -> list[Any]:
    """Options that load what a rule's body shows."""
    return [selectinload(SecurityGroupRule.group)]


def find(tx: Session, context: Context, id: str) -> SecurityGroup | None:
    """A visible group with all its body shows, or ``None``."""
    return rows.one(tx, visible(context).where(SecurityGroup.id == id), whole())


def seen(tx: Session, context: Context, ids: Collection[str]) -> set[str]:
    """Those of some groups that are visible."""
    return set(tx.scalars(visible(context).where(SecurityGroup.id.in_(ids)).with_only_columns(
        SecurityGroup.id))) if ids else set()


def find_rule(tx: Session, context: Context, id: str) -> SecurityGroupRule | None:
    """A visible rule, or ``None``."""
    return rows.one(tx, visible_rules(context).where(SecurityGroupRule.id == id), whole_rule())


def some(tx: Session, ids: Collection[str]) -> Sequence[SecurityGroup]:
    """The groups with these ids, whole."""
    return rows.every(tx, sa.select(SecurityGroup).where(SecurityGroup.id.in_(ids)), whole())


def default(tx: Session, project_id: str) -> str | None:
    """The id of a project's default group, if it was made already."""
    found: str | None = tx.connection().execute(_default(), {'whose': project_id}).scalar()
    return found


@functools.cache
def _default() -> sa.Select[Any]:
    group = SecurityGroup.__table__.c
    return sa.select(group.id).where(group.default_of == sa.bindparam('whose'))


def named(tx: Session, project_id: str, words: Collection[str]) -> Sequence[SecurityGroup]:
    """A project's groups whose id or name is one of the words."""
    return tx.scalars(sa.select(SecurityGroup).where(
        SecurityGroup.project_id == project_id,
        SecurityGroup.id.in_(words) | SecurityGroup.name.in_(words))).all()


def rules_of(tx: Session, group_ids: Collection[str]) -> dict[str, list[SecurityGroupRule]]:
    """The rules of some groups."""
    found: dict[str, list[SecurityGroupRule]] = {id: [] for id in group_ids}
    for rule in tx.scalars(sa.select(SecurityGroupRule).where(
            SecurityGroupRule.security_group_id.in_(group_ids)).order_by(SecurityGroupRule.id)):
        found[rule.security_group_id].append(rule)
    return found


def referring(tx: Session, group_ids: Collection[str]) -> set[str]:
    """The groups whose rules name one of these as their remote group."""
    return set(tx.scalars(sa.select(SecurityGroupRule.security_group_id).distinct()
                          .where(SecurityGroupRule.remote_group_id.in_(group_ids))))

"""Roles and what each implies: the tables, and every query on them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from keystone.db.base import NO_DOMAIN, Base, new_id
from strata import db


class Role(Base):
    """``domain_id`` is set for a role that means something in one domain only."""

    __tablename__ = 'roles'
    __table_args__ = (sa.UniqueConstraint('within', 'name'),)

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(sa.String(255))
    within: Mapped[str] = mapped_column(sa.String(64), default=NO_DOMAIN)
    domain_id: Mapped[str | None] = mapped_column(db.Id, sa.ForeignKey('projects.id'))
    description: Mapped[str | None] = mapped_column(sa.Text)
    extra: Mapped[dict[str, Any]] = mapped_column(db.Json, default=dict)
    options: Mapped[dict[str, Any]] = mapped_column(db.Json, default=dict)


class Implication(Base):
    __tablename__ = 'role_implications'

    prior_id: Mapped[str] = mapped_column(db.Id, sa.ForeignKey('roles.id', ondelete='CASCADE'),
                                          primary_key=True)
    implied_id: Mapped[str] = mapped_column(db.Id, sa.ForeignKey('roles.id', ondelete='CASCADE'),
                                            primary_key=True, index=True)


def query() -> sa.Select[tuple[Role]]:
    """All roles."""
    return sa.select(Role)


def get(tx: Session, id: str) -> Role | None:
    """A role by id."""
    return tx.get(Role, id)


def named(tx: Session, name: str, domain_id: str | None = None) -> Role | None:
    """The role of that name in a domain, or among those of none."""
    here = Role.domain_id.is_(None) if domain_id is None else Role.domain_id == domain_id
    return tx.scalar(query().where(Role.name == name, here))


def all_of(tx: Session) -> Sequence[Role]:
    """Every role."""
    return tx.scalars(query()).all()


def implications(tx: Session) -> Sequence[Implication]:
    """Every implication."""
    return tx.scalars(sa.select(Implication)).all()


def implied(tx: Session, prior_id: str) -> Sequence[Role]:
    """What a role implies, one step."""
    return tx.scalars(query().join(Implication, Implication.implied_id == Role.id)
                      .where(Implication.prior_id == prior_id).order_by(Role.name)).all()


def implication(tx: Session, prior_id: str, implied_id: str) -> Implication | None:
    """The row that says one role implies another."""
    return tx.get(Implication, (prior_id, implied_id))

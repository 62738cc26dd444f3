"""Groups and who is in them: the tables, and every query on them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from keystone.db.base import Base, new_id
from keystone.db.users import User
from strata import db


class Group(Base):
    __tablename__ = 'groups'
    __table_args__ = (sa.UniqueConstraint('domain_id', 'name'),)

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=new_id)
    domain_id: Mapped[str] = mapped_column(db.Id, sa.ForeignKey('projects.id'))
    name: Mapped[str] = mapped_column(sa.String(64))
    description: Mapped[str] = mapped_column(sa.Text, default='')
    extra: Mapped[dict[str, Any]] = mapped_column(db.Json, default=dict)


class Membership(Base):
    __tablename__ = 'memberships'

    group_id: Mapped[str] = mapped_column(db.Id, sa.ForeignKey('groups.id', ondelete='CASCADE'),
                                          primary_key=True)
    user_id: Mapped[str] = mapped_column(db.Id, sa.ForeignKey('users.id', ondelete='CASCADE'),
                                         primary_key=True, index=True)


def query() -> sa.Select[tuple[Group]]:
    """All groups."""
    return sa.select(Group)


def get(tx: Session, id: str) -> Group | None:
    """A group by id."""
    return tx.get(Group, id)


def of_user(user_id: str) -> sa.Select[tuple[Group]]:
    """The groups that a user is in."""
    return query().join(Membership, Membership.group_id == Group.id).where(Membership.user_id == user_id)


def ids_of_user(user_id: str) -> sa.Select[tuple[str]]:
    """The ids of those, for use inside other queries."""
    return sa.select(Membership.group_id).where(Membership.user_id == user_id)


def members(group_id: str) -> sa.Select[tuple[User]]:
    """The users in a group."""
    return (sa.select(User).join(Membership, Membership.user_id == User.id)
            .where(Membership.group_id == group_id))


def memberships(tx: Session, group_ids: Sequence[str]) -> Sequence[Membership]:
    """Who is in any of the groups."""
    return tx.scalars(sa.select(Membership).where(Membership.group_id.in_(group_ids))).all()


def membership(tx: Session, group_id: str, user_id: str) -> Membership | None:
    """The row that says a user is in a group."""
    return tx.get(Membership, (group_id, user_id))

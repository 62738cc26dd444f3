"""Role assignments: the table, and every query on it.

An assignment gives a role to a user or group on a project, a domain or the
system.  An inherited one does not count on its target but on all projects
below it.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from keystone.db.base import Base
from keystone.db.groups import ids_of_user
from strata import db

USER, GROUP = 'user', 'group'
PROJECT, DOMAIN, SYSTEM = 'project', 'domain', 'system'
#: the ``target_id`` of the system
ALL = 'all'


class Assignment(Base):
    __tablename__ = 'assignments'

    actor: Mapped[str] = mapped_column(sa.String(8), primary_key=True)
    actor_id: Mapped[str] = mapped_column(db.Id, primary_key=True)
    target: Mapped[str] = mapped_column(sa.String(8), primary_key=True)
    target_id: Mapped[str] = mapped_column(db.Id, primary_key=True, index=True)
    role_id: Mapped[str] = mapped_column(db.Id, sa.ForeignKey('roles.id'), primary_key=True, index=True)
    inherited: Mapped[bool] = mapped_column(primary_key=True, default=False)


Target = tuple[str, str, bool]


def query() -> sa.Select[tuple[Assignment]]:
    """All assignments, in a stable order."""
    return sa.select(Assignment).order_by(Assignment.target, Assignment.target_id, Assignment.actor,
                                          Assignment.actor_id, Assignment.role_id, Assignment.inherited)


def acting(user_id: str) -> sa.ColumnElement[bool]:
    """Whether an assignment counts for a user: their own, or one of a group of theirs."""
    return sa.or_(sa.and_(Assignment.actor == USER, Assignment.actor_id == user_id),
                  sa.and_(Assignment.actor == GROUP, Assignment.actor_id.in_(ids_of_user(user_id))))


def aimed(targets: Sequence[Target]) -> sa.ColumnElement[bool]:
    """Whether an assignment is on one of the targets (kind, id, inherited)."""
    return sa.or_(*(sa.and_(Assignment.target == kind, Assignment.target_id == id,
                            Assignment.inherited.is_(inherited)) for kind, id, inherited in targets))


def role_ids(tx: Session, user_id: str, targets: Sequence[Target]) -> set[str]:
    """The roles that a user was given on any of the targets, themselves or through groups."""
    return set(tx.scalars(sa.select(Assignment.role_id).where(acting(user_id), aimed(targets))))


def of_user(tx: Session, user_id: str) -> Sequence[Assignment]:
    """All assignments that count for a user."""
    return tx.scalars(query().where(acting(user_id))).all()


def get(tx: Session, key: Assignment) -> Assignment | None:
    """The stored row equal to ``key``."""
    return tx.get(Assignment, (key.actor, key.actor_id, key.target, key.target_id, key.role_id,
                               key.inherited))


def forget_actor(tx: Session, actor: str, id: str) -> None:
    """Remove what a user or group was given."""
    tx.execute(sa.delete(Assignment).where(Assignment.actor == actor, Assignment.actor_id == id))


def forget_target(tx: Session, id: str) -> None:
    """Remove what was given on a project or domain."""
    tx.execute(sa.delete(Assignment).where(Assignment.target_id == id, Assignment.target != SYSTEM))


def forget_role(tx: Session, role_id: str) -> None:
    """Take a role from everybody."""
    tx.execute(sa.delete(Assignment).where(Assignment.role_id == role_id))

"""Users: the table, and every query on it."""

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from keystone.db.base import Base, new_id
from keystone.db.projects import Project
from strata import db


class User(Base):
    __tablename__ = 'users'
    __table_args__ = (sa.UniqueConstraint('domain_id', 'name'),)

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=new_id)
    domain_id: Mapped[str] = mapped_column(db.Id, sa.ForeignKey('projects.id'))
    name: Mapped[str] = mapped_column(sa.String(255))
    enabled: Mapped[bool] = mapped_column(default=True)
    default_project_id: Mapped[str | None] = mapped_column(db.Id, index=True)
    #: e-mail address, description, and whatever else a client said
    extra: Mapped[dict[str, Any]] = mapped_column(db.Json, default=dict)
    options: Mapped[dict[str, Any]] = mapped_column(db.Json, default=dict)
    created_at: Mapped[datetime.datetime] = mapped_column(db.Time)
    #: the argon2id hash; NULL: no password opens this account
    password: Mapped[str | None] = mapped_column(sa.String(255))
    password_changed_at: Mapped[datetime.datetime | None] = mapped_column(db.Time)
    password_expires_at: Mapped[datetime.datetime | None] = mapped_column(db.Time)
    #: wrong passwords since the last right one, and when the latest was
    failures: Mapped[int] = mapped_column(default=0)
    failed_at: Mapped[datetime.datetime | None] = mapped_column(db.Time)


def query() -> sa.Select[tuple[User]]:
    """All users."""
    return sa.select(User)


def get(tx: Session, id: str) -> User | None:
    """A user by id."""
    return tx.get(User, id)


def named(tx: Session, name: str, domain_id: str) -> User | None:
    """The user of that name in a domain."""
    return tx.scalar(query().where(User.name == name, User.domain_id == domain_id))


def with_domain(tx: Session, id: str) -> tuple[User, Project] | None:
    """A user and the domain they are in."""
    row = tx.execute(sa.select(User, Project).join(Project, Project.id == User.domain_id)
                     .where(User.id == id)).first()
    return (row[0], row[1]) if row else None


def forget_project(tx: Session, project_id: str) -> None:
    """Nobody's default project is one that is gone."""
    tx.execute(sa.update(User).where(User.default_project_id == project_id).values(default_project_id=None))


def renew_hash(tx: Session, id: str, old: str, new: str) -> None:
    """Another hash of the same password; nothing if the password has been changed meanwhile."""
    tx.execute(sa.update(User).where(User.id == id, User.password == old).values(password=new))


def record_failure(tx: Session, id: str, now: datetime.datetime, since: datetime.datetime) -> None:
    """Count one more wrong password; those before ``since`` no longer count."""
    tx.execute(sa.update(User).where(User.id == id).values(
        failures=sa.case((User.failed_at < since, 1), else_=User.failures + 1), failed_at=now))


def forget_failures(tx: Session, id: str) -> None:
    """A right password wipes the slate clean."""
    tx.execute(sa.update(User).where(User.id == id).values(failures=0, failed_at=None))

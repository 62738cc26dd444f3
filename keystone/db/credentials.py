"""Credentials (EC2 keys and others) and application credentials: the tables, and every query on them."""

import datetime
import hashlib
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from keystone.db.base import Base, new_id
from strata import db


class Credential(Base):
    """``blob`` is encrypted; for type ``ec2`` the id is the SHA-256 of the access key it was made with."""

    __tablename__ = 'credentials'

    id: Mapped[str] = mapped_column(db.Id, primary_key=True)
    user_id: Mapped[str] = mapped_column(db.Id, sa.ForeignKey('users.id', ondelete='CASCADE'), index=True)
    project_id: Mapped[str | None] = mapped_column(db.Id, index=True)
    type: Mapped[str] = mapped_column(sa.String(255))
    blob: Mapped[str] = mapped_column(sa.Text)
    #: the SHA-256 of the access key, for type ``ec2``
    access: Mapped[str | None] = mapped_column(db.Id, unique=True)
    extra: Mapped[dict[str, Any]] = mapped_column(db.Json, default=dict)


class ApplicationCredential(Base):
    """A secret that opens one project with some of its owner's roles."""

    __tablename__ = 'application_credentials'
    __table_args__ = (sa.UniqueConstraint('user_id', 'name'),)

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(sa.String(255))
    user_id: Mapped[str] = mapped_column(db.Id, sa.ForeignKey('users.id', ondelete='CASCADE'))
    project_id: Mapped[str] = mapped_column(db.Id, sa.ForeignKey('projects.id', ondelete='CASCADE'),
                                            index=True)
    secret: Mapped[str] = mapped_column(sa.String(255))
    description: Mapped[str | None] = mapped_column(sa.Text)
    expires_at: Mapped[datetime.datetime | None] = mapped_column(db.Time)
    unrestricted: Mapped[bool] = mapped_column(default=False)
    role_ids: Mapped[list[str]] = mapped_column(db.Json)
    #: ``{id, service, method, path}`` each, copies of ``AccessRule`` rows
    access_rules: Mapped[list[dict[str, str]]] = mapped_column(db.Json, default=list)


class AccessRule(Base):
    """A request that application credentials of a user may be confined to; it outlives them."""

    __tablename__ = 'access_rules'
    __table_args__ = (sa.UniqueConstraint('user_id', 'service', 'method', 'path'),)

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(db.Id, sa.ForeignKey('users.id', ondelete='CASCADE'))
    service: Mapped[str] = mapped_column(sa.String(255))
    method: Mapped[str] = mapped_column(sa.String(16))
    path: Mapped[str] = mapped_column(sa.String(128))


def access_rules(user_id: str, **equal: str) -> sa.Select[tuple[AccessRule]]:
    """A user's access rules with the given column values."""
    return sa.select(AccessRule).filter_by(user_id=user_id, **equal)


def get(tx: Session, id: str) -> Credential | None:
    """A credential by id."""
    return tx.get(Credential, id)


def digest(access: str) -> str:
    """What an access key is found by."""
    return hashlib.sha256(access.encode()).hexdigest()


def opened_by(tx: Session, access: str) -> Credential | None:
    """The EC2 credential with an access key."""
    return tx.scalar(sa.select(Credential).where(Credential.access == digest(access)))


def query(**equal: str | None) -> sa.Select[tuple[Credential]]:
    """Credentials with the given column values."""
    return sa.select(Credential).filter_by(**equal)


def count(tx: Session, model: type[Credential] | type[ApplicationCredential], user_id: str) -> int:
    """How many of them a user has."""
    return tx.scalar(sa.select(sa.func.count()).select_from(model).where(model.user_id == user_id)) or 0


def applications(user_id: str) -> sa.Select[tuple[ApplicationCredential]]:
    """A user's application credentials."""
    return sa.select(ApplicationCredential).where(ApplicationCredential.user_id == user_id)


def application(tx: Session, id: str) -> ApplicationCredential | None:
    """An application credential by id."""
    return tx.get(ApplicationCredential, id)


def application_named(tx: Session, user_id: str, name: str) -> ApplicationCredential | None:
    """A user's application credential by name."""
    return tx.scalar(applications(user_id).where(ApplicationCredential.name == name))


def forget_project(tx: Session, project_id: str) -> None:
    """Remove all credentials for a project."""
    tx.execute(sa.delete(Credential).where(Credential.project_id == project_id))
    tx.execute(sa.delete(ApplicationCredential).where(ApplicationCredential.project_id == project_id))

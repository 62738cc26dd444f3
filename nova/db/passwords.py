"""Passwords that guests post, encrypted by themselves for the user's key: one per server, set once."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova.db.base import Base
from strata import db, errors


class ServerPassword(Base):
    """What one server's guest posted."""

    __tablename__ = 'server_passwords'

    server_id: Mapped[str] = mapped_column(db.Id, primary_key=True)
    password: Mapped[str] = mapped_column(sa.Text)


def get(tx: Session, server_id: str) -> str:
    """The password, or nothing."""
    return tx.scalar(sa.select(ServerPassword.password).where(ServerPassword.server_id == server_id)) or ''


def put(tx: Session, server_id: str, password: str) -> None:
    """Keep a password; ``errors.Conflict`` if there is one already."""
    if get(tx, server_id):
        raise errors.Conflict('The password is set already.')
    clear(tx, server_id)
    tx.add(ServerPassword(server_id=server_id, password=password))


def clear(tx: Session, server_id: str) -> None:
    """Forget it."""
    tx.execute(sa.delete(ServerPassword).where(ServerPassword.server_id == server_id))

"""Key pairs: the table, and every query on it.  They belong to a user, not to a project."""

import hashlib
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova.db import quotas
from nova.db.base import Base, Stamped
from strata import errors
from strata.db import insert_absent, keyset

#: of the quota, and of its usage row, which is the user's
RESOURCE = 'key_pairs'


class KeyPair(Stamped, Base):
    """A public key under a name that is unique for its user."""

    __tablename__ = 'keypairs'
    __table_args__ = (sa.UniqueConstraint('user_id', 'name'),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    user_id: Mapped[str] = mapped_column(sa.String(255))
    name: Mapped[str] = mapped_column(sa.String(255))
    type: Mapped[str] = mapped_column(sa.String(8), default='ssh')
    fingerprint: Mapped[str] = mapped_column(sa.String(255))
    public_key: Mapped[str] = mapped_column(sa.Text)


def get(tx: Session, user_id: str, name: str) -> KeyPair:
    """One key pair of a user; ``errors.NotFound`` names it."""
    pair = tx.scalar(sa.select(KeyPair).where(KeyPair.user_id == user_id, KeyPair.name == name))
    if pair is None:
        raise errors.NotFound('Keypair {name} not found for user {user}', name=name, user=user_id)
    return pair


def find(tx: Session, user_id: str, *, marker: str | None = None,
         limit: int | None = None) -> Sequence[KeyPair]:
    """A page of a user's key pairs by name; ``errors.Invalid`` for an unknown marker."""
    query = sa.select(KeyPair).where(KeyPair.user_id == user_id)
    after = None
    if marker is not None:
        after = tx.scalar(query.where(KeyPair.name == marker))
        if after is None:
            raise errors.Invalid('marker [{marker}] not found', marker=marker[:80])
    return tx.scalars(keyset(query, [(KeyPair.name, 'asc')], after=after, limit=limit)).all()


def count(tx: Session, user_id: str) -> int:
    """How many key pairs a user has."""
    return tx.scalar(sa.select(sa.func.count()).where(KeyPair.user_id == user_id)) or 0


def add(tx: Session, pair: KeyPair, limit: int) -> None:
    """Keep a key pair, or raise ``errors.OverQuota`` if its user has ``limit`` already; -1 is no limit."""
    _counted(tx, pair.user_id)
    quotas.take(tx, _owner(pair.user_id), {RESOURCE: 1}, {RESOURCE: limit})
    tx.add(pair)


def remove(tx: Session, user_id: str, name: str) -> bool:
    """Delete a key pair; whether there was one.  Servers keep their copy of the key."""
    _counted(tx, user_id)
    gone = tx.execute(sa.delete(KeyPair).where(KeyPair.user_id == user_id, KeyPair.name == name))
    if not gone.rowcount:      # type: ignore[attr-defined]
        return False
    quotas.give(tx, _owner(user_id), {RESOURCE: 1})
    return True


def _owner(user_id: str) -> str:
    """The user in the column of quotas that else names a project: a user's id may be longer than that is."""
    return hashlib.sha256(f'user {user_id}'.encode()).hexdigest()


def _counted(tx: Session, user_id: str) -> None:
    """Have a usage row for a user, before anything changes: databases are older than the row.

    Whoever inserts it holds it until they commit, so that others count on from there.
    """
    here = [quotas.QuotaUsage.project_id == _owner(user_id), quotas.QuotaUsage.resource == RESOURCE]
    if tx.scalar(sa.select(quotas.QuotaUsage.used).where(*here)) is None:
        insert_absent(tx, quotas.QuotaUsage, project_id=_owner(user_id), resource=RESOURCE, used=count(tx, user_id))

"""Revision counters: what lets a process trust what it remembers.

Every transaction that changes what tokens or the catalog depend on raises a
counter in itself, so one read of this small table tells whether anything
remembered may be outdated, whichever process changed it.
"""

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.orm import Mapped, Session, mapped_column

from keystone.db.base import Base
from strata import errors
from strata.db import Database

#: users, groups, projects, roles, assignments, credentials
STATE = 'state'
#: regions, services, endpoints
CATALOG = 'catalog'
#: revocation events
REVOCATIONS = 'revocations'
NAMES = (STATE, CATALOG, REVOCATIONS)


class Revision(Base):
    __tablename__ = 'revisions'

    name: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    value: Mapped[int] = mapped_column(sa.BigInteger)


_READ = sa.select(Revision.name, Revision.value)


def read(tx: Session) -> dict[str, int]:
    """All counters by name."""
    return dict(tx.execute(_READ).all())


def read_fast(database: Database) -> dict[str, int]:
    """The same in a transaction of its own, without the ORM's session, for it happens at each request."""
    try:
        try:
            return _read_once(database)
        except exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return _read_once(database)      # the server was restarted, and the pool is new
    except exc.SQLAlchemyError as error:
        raise errors.Unavailable(service='The database') from error


def _read_once(database: Database) -> dict[str, int]:
    with database.engine.connect().execution_options(strata_write=False) as connection:
        return dict(connection.execute(_READ).all())      # type: ignore[arg-type]


def bump(tx: Session, name: str) -> int:
    """Raise a counter and return its new value; other writers wait until this transaction ends."""
    tx.execute(sa.update(Revision).where(Revision.name == name).values(value=Revision.value + 1)
               .execution_options(synchronize_session=False))
    return tx.execute(sa.select(Revision.value).where(Revision.name == name)).scalar_one()

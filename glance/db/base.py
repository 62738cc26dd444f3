"""The declarative base of glance's tables, and what most of them have."""

import datetime

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from strata import clock, db


class Base(DeclarativeBase):
    metadata = db.metadata()


class Stamped:
    """``created_at`` and ``updated_at``, kept by the ORM and by ``swap``."""

    created_at: Mapped[datetime.datetime] = mapped_column(db.Time, default=clock.CLOCK.now)
    updated_at: Mapped[datetime.datetime] = mapped_column(db.Time, default=clock.CLOCK.now,
                                                          onupdate=clock.CLOCK.now)

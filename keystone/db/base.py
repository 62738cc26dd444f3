"""The declarative base of keystone's tables."""

import uuid

from sqlalchemy.orm import DeclarativeBase

from strata import db


class Base(DeclarativeBase):
    metadata = db.metadata()


#: what ``within`` says of a thing that belongs to no domain
NO_DOMAIN = '-'


def new_id() -> str:
    """A random identifier, 32 hexadecimal characters."""
    return uuid.uuid4().hex


def within(domain_id: str | None) -> str:
    """``domain_id`` as a column that unique constraints can use: never NULL."""
    return domain_id or NO_DOMAIN

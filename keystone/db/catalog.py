"""Regions, services and endpoints: the tables, and every query on them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from keystone.db.base import Base, new_id
from strata import db


class Region(Base):
    __tablename__ = 'regions'

    id: Mapped[str] = mapped_column(sa.String(255), primary_key=True, default=new_id)
    parent_region_id: Mapped[str | None] = mapped_column(sa.String(255), sa.ForeignKey('regions.id'))
    description: Mapped[str] = mapped_column(sa.Text, default='')
    extra: Mapped[dict[str, Any]] = mapped_column(db.Json, default=dict)


class Service(Base):
    __tablename__ = 'services'

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=new_id)
    type: Mapped[str] = mapped_column(sa.String(255))
    name: Mapped[str | None] = mapped_column(sa.String(255))
    enabled: Mapped[bool] = mapped_column(default=True)
    extra: Mapped[dict[str, Any]] = mapped_column(db.Json, default=dict)


class Endpoint(Base):
    __tablename__ = 'endpoints'

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=new_id)
    service_id: Mapped[str] = mapped_column(db.Id, sa.ForeignKey('services.id', ondelete='CASCADE'),
                                            index=True)
    region_id: Mapped[str | None] = mapped_column(sa.String(255), sa.ForeignKey('regions.id'), index=True)
    interface: Mapped[str] = mapped_column(sa.String(8))
    url: Mapped[str] = mapped_column(sa.Text)
    enabled: Mapped[bool] = mapped_column(default=True)
    extra: Mapped[dict[str, Any]] = mapped_column(db.Json, default=dict)


def live(tx: Session) -> Sequence[tuple[Service, Endpoint | None]]:
    """Every enabled service with each of its enabled endpoints, or with ``None``."""
    rows = tx.execute(sa.select(Service, Endpoint)
                      .outerjoin(Endpoint, sa.and_(Endpoint.service_id == Service.id, Endpoint.enabled))
                      .where(Service.enabled)
                      .order_by(Service.type, Service.id, Endpoint.interface, Endpoint.id))
    return [(service, endpoint) for service, endpoint in rows]


def subregions(tx: Session, id: str) -> Sequence[Region]:
    """The regions right below one."""
    return tx.scalars(sa.select(Region).where(Region.parent_region_id == id)).all()


def service_of_type(tx: Session, type: str) -> Service | None:
    """The first service of a type."""
    return tx.scalars(sa.select(Service).where(Service.type == type).order_by(Service.id)).first()


def endpoint_of(tx: Session, service_id: str, interface: str, region_id: str) -> Endpoint | None:
    """A service's endpoint in a region."""
    return tx.scalars(sa.select(Endpoint).where(
        Endpoint.service_id == service_id, Endpoint.interface == interface,
        Endpoint.region_id == region_id).order_by(Endpoint.id)).first()

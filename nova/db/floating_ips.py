"""Floating IPs: the table, and every query on it."""

import functools
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from nova.db import rows
from nova.db.base import Base
from nova.db.networks import Network, Revised
from nova.db.ports import Port
from nova.db.routers import Router
from nova.db.tags import Tagged
from strata import db
from strata.clock import new_uuid
from strata.context import Context


class FloatingIp(Base, Revised, Tagged):
    """An external address, held by a port of its own, that may stand for a fixed address of another."""

    __tablename__ = 'floating_ips'
    __table_args__ = (sa.UniqueConstraint('floating_network_id', 'port_id', 'fixed_ip_address'),)

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=new_uuid)
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    description: Mapped[str] = mapped_column(sa.String(255), default='')
    status: Mapped[str] = mapped_column(sa.String(16), default='DOWN')
    floating_network_id: Mapped[str] = mapped_column(sa.ForeignKey(Network.id))
    floating_port_id: Mapped[str] = mapped_column(sa.ForeignKey(Port.id), unique=True)
    floating_ip_address: Mapped[str] = mapped_column(sa.String(64), index=True)
    port_id: Mapped[str | None] = mapped_column(sa.ForeignKey(Port.id), index=True)
    fixed_ip_address: Mapped[str | None] = mapped_column(sa.String(64))
    router_id: Mapped[str | None] = mapped_column(sa.ForeignKey(Router.id), index=True)

    port: Mapped[Port | None] = relationship(viewonly=True, lazy='raise', foreign_keys=[port_id])

    @property
    def port_details(self) -> dict[str, Any] | None:
        """What a body tells of the port behind it."""
        if self.port is None:
            return None
        return {name: getattr(self.port, name) for name in (
            'name', 'network_id', 'mac_address', 'admin_state_up', 'status', 'device_id', 'device_owner')}


def visible(context: Context) -> sa.Select[Any]:
    """Floating IPs the caller may see: its project's; all to an admin."""
    return rows.owned(FloatingIp, context)


def whole() -> list[Any]:
    """Options that load what a floating IP's body shows."""
    return [selectinload(FloatingIp.tag_rows), selectinload(FloatingIp.port)]


def find(tx: Session, context: Context, id: str) -> FloatingIp | None:
    """A visible floating IP with all its body shows, or ``None``."""
    return rows.one(tx, visible(context).where(FloatingIp.id == id), whole())


def locked(tx: Session, id: str) -> FloatingIp | None:
    """A floating IP, whole, held until the transaction ends."""
    return rows.held(tx, FloatingIp, id, whole())


def some(tx: Session, *conditions: Any) -> Sequence[FloatingIp]:
    """The floating IPs that meet all conditions, whole."""
    return rows.every(tx, sa.select(FloatingIp).where(*conditions)
                      .order_by(FloatingIp.created_at, FloatingIp.id), whole())


def standing(tx: Session, port_ids: Collection[str]) -> dict[str, list[Any]]:
    """What stands for each port: rows of floating_ip_address and fixed_ip_address."""
    found: dict[str, list[Any]] = {id: [] for id in port_ids}
    for row in tx.connection().execute(_standing(), {'ids': list(port_ids)}):
        found[row.port_id].append(row)
    return found


@functools.cache
def _standing() -> sa.Select[Any]:
    floating = FloatingIp.__table__.c
    return (sa.select(floating.port_id, floating.floating_ip_address, floating.fixed_ip_address)
            .where(floating.port_id.in_(sa.bindparam('ids', expanding=True)))
            .order_by(floating.floating_ip_address))


def of_routers(tx: Session, router_ids: Collection[str]) -> dict[str, list[FloatingIp]]:
    """The floating IPs each router carries."""
    return _by(tx, FloatingIp.router_id, router_ids)


def of_ports(tx: Session, port_ids: Collection[str]) -> dict[str, list[FloatingIp]]:
    """The floating IPs that stand for each port."""
    return _by(tx, FloatingIp.port_id, port_ids)


def _by(tx: Session, column: Any, ids: Collection[str]) -> dict[str, list[FloatingIp]]:
    found: dict[str, list[FloatingIp]] = {id: [] for id in ids}
    query = sa.select(FloatingIp).where(column.in_(ids)).order_by(FloatingIp.floating_ip_address)
    for floating in rows.every(tx, query):
        found[getattr(floating, column.key)].append(floating)
    return found

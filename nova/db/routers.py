"""Routers: the table, and every query on it."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from nova.db import rows
from nova.db.base import Base
from nova.db.networks import Revised
from nova.db.ports import GATEWAY, INTERFACE, Address, Port
from nova.db.tags import Tagged
from strata import db
from strata.clock import new_uuid
from strata.context import Context


class Router(Base, Revised, Tagged):
    """A router; its feet are ports whose ``device_id`` it is.  ``host`` carries it, once one has taken it."""

    __tablename__ = 'routers'

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=new_uuid)
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    name: Mapped[str] = mapped_column(sa.String(255), default='')
    description: Mapped[str] = mapped_column(sa.String(255), default='')
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    status: Mapped[str] = mapped_column(sa.String(16), default='ACTIVE')
    gateway_port_id: Mapped[str | None] = mapped_column(sa.ForeignKey(Port.id), index=True)
    enable_snat: Mapped[bool] = mapped_column(default=True)
    routes: Mapped[Any] = mapped_column(db.Json, default=list)
    availability_zone_hints: Mapped[Any] = mapped_column(db.Json, default=list)
    host: Mapped[str | None] = mapped_column(sa.String(255), index=True)

    gateway: Mapped[Port | None] = relationship(viewonly=True, lazy='raise')

    @property
    def external_gateway_info(self) -> dict[str, Any] | None:
        """The gateway as a body shows it."""
        if self.gateway is None:
            return None
        return {'network_id': self.gateway.network_id, 'enable_snat': self.enable_snat,
                'external_fixed_ips': self.gateway.fixed_ips}


def visible(context: Context) -> sa.Select[Any]:
    """Routers the caller may see: its project's; all to an admin."""
    return rows.owned(Router, context)


def whole() -> list[Any]:
    """Options that load what a router's body shows."""
    return [selectinload(Router.tag_rows), selectinload(Router.gateway).selectinload(Port.addresses)]


def find(tx: Session, context: Context, id: str) -> Router | None:
    """A visible router with all its body shows, or ``None``."""
    return rows.one(tx, visible(context).where(Router.id == id), whole())


def locked(tx: Session, id: str) -> Router | None:
    """A router, held until the transaction ends: its feet change one caller at a time."""
    return rows.held(tx, Router, id)


def some(tx: Session, *conditions: Any) -> Sequence[Router]:
    """The routers that meet all conditions, whole."""
    return rows.every(tx, sa.select(Router).where(*conditions).order_by(Router.created_at, Router.id), whole())


def feet(tx: Session, router_ids: Collection[str]) -> dict[str, list[Port]]:
    """Each router's interface ports (not its gateway), with addresses and network."""
    found: dict[str, list[Port]] = {id: [] for id in router_ids}
    for port in tx.scalars(sa.select(Port).where(Port.device_id.in_(router_ids),
                                                 Port.device_owner == INTERFACE)
                           .options(selectinload(Port.addresses), selectinload(Port.network))
                           .order_by(Port.created_at, Port.id).execution_options(populate_existing=True)):
        found[port.device_id].append(port)
    return found


def through(tx: Session, subnet_id: str, external_network_id: str) -> Sequence[Router]:
    """The routers that join a subnet with an external network."""
    foot, gateway = sa.orm.aliased(Port), sa.orm.aliased(Port)
    return tx.scalars(
        sa.select(Router).join(foot, foot.device_id == Router.id)
        .join(Address, Address.port_id == foot.id).join(gateway, gateway.id == Router.gateway_port_id)
        .where(foot.device_owner == INTERFACE, Address.subnet_id == subnet_id,
               gateway.network_id == external_network_id, gateway.device_owner == GATEWAY)
        .order_by(Router.created_at)).unique().all()


def of_networks(tx: Session, network_ids: Collection[str]) -> set[str]:
    """The routers that have a foot, or their gateway, in any of the networks."""
    return set(tx.scalars(sa.select(Port.device_id).distinct().where(
        Port.network_id.in_(network_ids), Port.device_owner.in_((INTERFACE, GATEWAY)))))

"""Subnets: the table, and every query on it."""

import functools
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, contains_eager, mapped_column, relationship, selectinload

from nova.db import rows
from nova.db.base import Base
from nova.db.networks import Network, Revised
from nova.db.tags import Tagged
from strata import db
from strata.clock import new_uuid
from strata.context import Context


class Subnet(Base, Revised, Tagged):
    """An address range of a network; pools are ``[[first, last], ...]`` as text."""

    __tablename__ = 'subnets'

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=new_uuid)
    network_id: Mapped[str] = mapped_column(sa.ForeignKey(Network.id), index=True)
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    name: Mapped[str] = mapped_column(sa.String(255), default='')
    description: Mapped[str] = mapped_column(sa.String(255), default='')
    ip_version: Mapped[int] = mapped_column()
    cidr: Mapped[str] = mapped_column(sa.String(64))
    gateway_ip: Mapped[str | None] = mapped_column(sa.String(64))
    enable_dhcp: Mapped[bool] = mapped_column(default=True)
    pools: Mapped[Any] = mapped_column(db.Json, default=list)
    dns_nameservers: Mapped[Any] = mapped_column(db.Json, default=list)
    host_routes: Mapped[Any] = mapped_column(db.Json, default=list)
    service_types: Mapped[Any] = mapped_column(db.Json, default=list)
    ipv6_ra_mode: Mapped[str | None] = mapped_column(sa.String(16))
    ipv6_address_mode: Mapped[str | None] = mapped_column(sa.String(16))

    network: Mapped[Network] = relationship(viewonly=True, lazy='raise')

    @property
    def allocation_pools(self) -> list[dict[str, str]]:
        """The pools as a body shows them."""
        return [{'start': first, 'end': last} for first, last in self.pools]

    @property
    def external(self) -> bool:
        """Whether the subnet is of an external network."""
        return self.network.external

    @property
    def automatic(self) -> bool:
        """Whether guests make their own addresses from router advertisements."""
        return self.ipv6_address_mode in ('slaac', 'dhcpv6-stateless')


def visible(context: Context) -> sa.Select[Any]:
    """Subnets the caller may see: its project's, and those of shared and external networks."""
    query = sa.select(Subnet).join(Subnet.network)
    if context.is_admin:
        return query
    return query.where(sa.or_(Subnet.project_id == context.project_id, Network.shared, Network.external,
                              Network.project_id == context.project_id))


def whole() -> list[Any]:
    """Options that load what a subnet's body shows."""
    return [selectinload(Subnet.tag_rows), contains_eager(Subnet.network)]


def find(tx: Session, context: Context, id: str) -> Subnet | None:
    """A visible subnet with all its body shows, or ``None``."""
    return rows.one(tx, visible(context).where(Subnet.id == id), whole())


def some(tx: Session, ids: Collection[str]) -> Sequence[Subnet]:
    """The subnets with these ids, whole."""
    return rows.every(tx, sa.select(Subnet).join(Subnet.network).where(Subnet.id.in_(ids)), whole())


def shown_by_servers(tx: Session, ids: Collection[str]) -> Sequence[Any]:
    """What servers show of the subnets with these ids, and of their networks (``network``: its name, ``mtu``)."""
    return tx.connection().execute(_shown_by_servers(), {'ids': list(ids)}).all()


@functools.cache
def _shown_by_servers() -> sa.Select[Any]:
    subnet, network = Subnet.__table__.c, Network.__table__.c
    return (sa.select(subnet.id, subnet.network_id, subnet.ip_version, subnet.cidr, subnet.gateway_ip,
                      subnet.dns_nameservers, subnet.host_routes, subnet.enable_dhcp,
                      subnet.ipv6_address_mode, network.mtu, network.name.label('network'))
            .join_from(Subnet.__table__, Network.__table__, network.id == subnet.network_id)
            .where(subnet.id.in_(sa.bindparam('ids', expanding=True))))


def of_networks(tx: Session, network_ids: Collection[str]) -> dict[str, list[Subnet]]:
    """The subnets of some networks, in the order they were made."""
    found: dict[str, list[Subnet]] = {id: [] for id in network_ids}
    for subnet in tx.scalars(sa.select(Subnet).where(Subnet.network_id.in_(network_ids))
                             .order_by(Subnet.created_at, Subnet.id)):
        found[subnet.network_id].append(subnet)
    return found

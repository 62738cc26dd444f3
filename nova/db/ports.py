"""Ports and the addresses they hold: the tables, and every query on them."""

import dataclasses
import functools
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from nova.db import rows
from nova.db.base import Base
from nova.db.networks import Network, Revised
from nova.db.security_groups import SecurityGroup
from nova.db.subnets import Subnet
from nova.db.tags import Tagged
from strata import db
from strata.clock import new_uuid
from strata.context import Context

DHCP = 'network:dhcp'
INTERFACE = 'network:router_interface'
GATEWAY = 'network:router_gateway'
FLOATING = 'network:floatingip'


class Port(Base, Revised, Tagged):
    """A plug in a network: of a server, a router, the DHCP server, or nobody yet (``device_id`` empty).

    ``counted`` says whether it uses up its project's quota (ours for routers and DHCP do not).
    ``made_by_compute``, ``position`` and ``device_tag`` are nova-compute's: whether it goes with its
    server, which of the server's NICs it is, and the word the guest knows it by.
    """

    __tablename__ = 'ports'
    __table_args__ = (sa.UniqueConstraint('network_id', 'mac_address'),
                      sa.Index('ix_ports_device_id_device_owner', 'device_id', 'device_owner'))

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=new_uuid)
    network_id: Mapped[str] = mapped_column(sa.ForeignKey(Network.id))
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    name: Mapped[str] = mapped_column(sa.String(255), default='')
    description: Mapped[str] = mapped_column(sa.String(255), default='')
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    status: Mapped[str] = mapped_column(sa.String(16), default='DOWN')
    mac_address: Mapped[str] = mapped_column(sa.String(32))
    device_id: Mapped[str] = mapped_column(sa.String(255), default='')
    device_owner: Mapped[str] = mapped_column(sa.String(255), default='')
    port_security_enabled: Mapped[bool] = mapped_column(default=True)
    host: Mapped[str] = mapped_column(sa.String(255), default='', index=True)
    vnic_type: Mapped[str] = mapped_column(sa.String(64), default='normal')
    binding_profile: Mapped[Any] = mapped_column(db.Json, default=dict)
    allowed_address_pairs: Mapped[Any] = mapped_column(db.Json, default=list)
    extra_dhcp_opts: Mapped[Any] = mapped_column(db.Json, default=list)
    counted: Mapped[bool] = mapped_column(default=False)
    made_by_compute: Mapped[bool] = mapped_column(default=False)
    position: Mapped[int] = mapped_column(default=0)
    device_tag: Mapped[str | None] = mapped_column(sa.String(60))

    addresses: Mapped[list['Address']] = relationship(viewonly=True, lazy='raise',
                                                      order_by='Address.position')
    memberships: Mapped[list['PortGroup']] = relationship(viewonly=True, lazy='raise')
    network: Mapped[Network] = relationship(viewonly=True, lazy='raise')

    @property
    def fixed_ips(self) -> list[dict[str, str]]:
        """The addresses as a body shows them."""
        return [{'subnet_id': address.subnet_id, 'ip_address': address.ip_address}
                for address in self.addresses]

    @property
    def security_group_ids(self) -> list[str]:
        """The ids of the groups the port is in."""
        return sorted(membership.security_group_id for membership in self.memberships)

    @property
    def device(self) -> str:
        """The name of its tap device on the host."""
        return device_name(self.id)

    @property
    def vif_type(self) -> str:
        """How the port is plugged: ``tap`` once it has a host."""
        return 'tap' if self.host else 'unbound'

    @property
    def vif_details(self) -> dict[str, Any]:
        """What a hypervisor would have to know; our own asks the database."""
        return {'port_filter': self.port_security_enabled} if self.host else {}


class Address(Base):
    """One address, held by one port: the primary key is what keeps it from being given twice."""

    __tablename__ = 'addresses'

    subnet_id: Mapped[str] = mapped_column(sa.ForeignKey(Subnet.id), primary_key=True)
    ip_address: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    port_id: Mapped[str] = mapped_column(sa.ForeignKey(Port.id, ondelete='CASCADE'), index=True)
    network_id: Mapped[str] = mapped_column(db.Id, index=True)
    position: Mapped[int] = mapped_column(default=0)


class PortGroup(Base):
    """A port's membership in a security group."""

    __tablename__ = 'port_security_groups'

    port_id: Mapped[str] = mapped_column(sa.ForeignKey(Port.id, ondelete='CASCADE'), primary_key=True)
    security_group_id: Mapped[str] = mapped_column(sa.ForeignKey(SecurityGroup.id), primary_key=True,
                                                   index=True)


def device_name(id: str) -> str:
    """The name of a port's tap device on its host; Linux takes 15 characters."""
    return 'tap' + id[:11]


def cards(tx: Session, device_id: str, host: str) -> Sequence[Any]:
    """The ports of a device on a host in NIC order: their id, network_id and mac_address."""
    return tx.connection().execute(_cards(), {'whose': device_id, 'where': host}).all()


@functools.cache
def _cards() -> sa.Select[Any]:
    port = Port.__table__.c
    return (sa.select(port.id, port.network_id, port.mac_address)
            .where(port.device_id == sa.bindparam('whose'), port.host == sa.bindparam('where'))
            .order_by(port.position, port.created_at, port.id))


def addressed(tx: Session, device_ids: Collection[str]) -> Sequence[Any]:
    """The addresses of some servers in NIC order, each with its port's id, device_id, mac_address and device_tag."""
    return tx.connection().execute(_addressed(), {'ids': list(device_ids)}).all()


@functools.cache
def _addressed() -> sa.Select[Any]:
    port, address = Port.__table__.c, Address.__table__.c
    return (sa.select(port.id, port.device_id, port.mac_address, port.device_tag, address.subnet_id,
                      address.ip_address)
            .join_from(Port.__table__, Address.__table__, address.port_id == port.id)
            .where(port.device_id.in_(sa.bindparam('ids', expanding=True)), port.device_owner.startswith('compute:'))
            .order_by(port.position, port.created_at, port.id, address.position))


def visible(context: Context) -> sa.Select[Any]:
    """Ports the caller may see: its project's and those on its project's networks; all to an admin."""
    query = sa.select(Port)
    if context.is_admin:
        return query
    mine = sa.select(Network.id).where(Network.project_id == context.project_id)
    return query.where(sa.or_(Port.project_id == context.project_id, Port.network_id.in_(mine)))


def whole() -> list[Any]:
    """Options that load what a port's body shows."""
    return [selectinload(Port.tag_rows), selectinload(Port.addresses), selectinload(Port.memberships)]


def find(tx: Session, context: Context, id: str) -> Port | None:
    """A visible port with all its body shows, or ``None``."""
    return rows.one(tx, visible(context).where(Port.id == id), whole())


def locked(tx: Session, id: str) -> Port | None:
    """A port, whole, held until the transaction ends."""
    return rows.held(tx, Port, id, whole())


def wired() -> list[Any]:
    """Options that load what a port is on the wire: its addresses and its groups."""
    return [selectinload(Port.addresses), selectinload(Port.memberships)]


def carded() -> list[Any]:
    """Options that load what a server's card is made from: the same, and the network."""
    return [*wired(), selectinload(Port.network)]


def some(tx: Session, *conditions: Any, load: Sequence[Any] | None = None) -> Sequence[Port]:
    """The ports that meet all conditions, in the order their servers know them by; whole unless ``load`` says less."""
    return rows.every(tx, sa.select(Port).where(*conditions).order_by(Port.position, Port.created_at, Port.id),
                      whole() if load is None else load)


def of_device(tx: Session, device_ids: Collection[str], load: Sequence[Any] | None = None) -> dict[str, list[Port]]:
    """The ports of some devices, in NIC order."""
    found: dict[str, list[Port]] = {id: [] for id in device_ids}
    for port in some(tx, Port.device_id.in_(device_ids), load=load):
        found[port.device_id].append(port)
    return found


def taken(tx: Session, subnet_id: str) -> set[str]:
    """The addresses of a subnet that somebody holds."""
    return set(tx.connection().execute(_taken(), {'of': subnet_id}).scalars())


@functools.cache
def _taken() -> sa.Select[Any]:
    address = Address.__table__.c
    return sa.select(address.ip_address).where(address.subnet_id == sa.bindparam('of'))


def addresses_of(tx: Session, id: str) -> list['Address']:
    """The addresses of a port, in their order."""
    return list(tx.scalars(sa.select(Address).where(Address.port_id == id).order_by(Address.position)))


def holder(tx: Session, network_id: str, ip_address: str) -> Port | None:
    """The port that holds an address on a network, or ``None``."""
    return tx.scalar(sa.select(Port).join(Address, Address.port_id == Port.id).where(
        Address.network_id == network_id, Address.ip_address == ip_address))


def not_in_status(tx: Session, network_id: str, host: str, status: str) -> set[str]:
    """The ports of a network on a host that are in another status."""
    return set(tx.scalars(sa.select(Port.id).where(Port.network_id == network_id, Port.host == host,
                                                   Port.status != status)))


@dataclasses.dataclass(slots=True)
class Wire:
    """A port as a host has to know it: plain values, for a network may have thousands."""

    id: str
    network_id: str
    mac_address: str
    device_id: str
    device_owner: str
    host: str
    admin_state_up: bool
    port_security_enabled: bool
    allowed_address_pairs: Any
    extra_dhcp_opts: Any
    addresses: list[Any] = dataclasses.field(default_factory=list)
    security_group_ids: list[str] = dataclasses.field(default_factory=list)


_WIRE = [getattr(Port, field.name) for field in dataclasses.fields(Wire)[:10]]


def wires(tx: Session, *conditions: Any) -> list[Wire]:
    """The ports that meet all conditions, as hosts know them, in the order their servers know them by."""
    found = {row.id: Wire(*row) for row in tx.execute(
        sa.select(*_WIRE).where(*conditions).order_by(Port.position, Port.created_at, Port.id))}
    meant = sa.select(Port.id).where(*conditions)
    for row in tx.execute(sa.select(Address.port_id, Address.subnet_id, Address.ip_address)
                          .where(Address.port_id.in_(meant)).order_by(Address.position)):
        if row.port_id in found:
            found[row.port_id].addresses.append(row)
    for row in tx.execute(sa.select(PortGroup.port_id, PortGroup.security_group_id)
                          .where(PortGroup.port_id.in_(meant)).order_by(PortGroup.security_group_id)):
        if row.port_id in found:
            found[row.port_id].security_group_ids.append(row.security_group_id)
    return list(found.values())


def members(tx: Session, group_ids: Collection[str], network_ids: Collection[str] = ()) -> dict[str, list[Wire]]:
    """The ports in each of some security groups, with their addresses; but for those on some networks."""
    found: dict[str, list[Wire]] = {id: [] for id in group_ids}
    for port in wires(tx, Port.network_id.not_in(network_ids), Port.id.in_(sa.select(PortGroup.port_id).where(
            PortGroup.security_group_id.in_(group_ids)))):
        for id in port.security_group_ids:
            if id in found:
                found[id].append(port)
    return found


def networks_of_groups(tx: Session, group_ids: Collection[str], host: str) -> set[str]:
    """The networks where a host has ports in any of the groups."""
    return set(tx.scalars(sa.select(Port.network_id).distinct()
                          .join(PortGroup, PortGroup.port_id == Port.id)
                          .where(PortGroup.security_group_id.in_(group_ids), Port.host == host)))

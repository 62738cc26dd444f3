"""The DHCP server's own port: one for each host that has servers on a network, real rows like any other."""

import uuid

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.db import networks, ports, subnets
from nova.db.ports import DHCP, Port
from nova.db.subnets import Subnet
from nova.network import addresses, faults, ipam, plugs
from nova.network.drivers.state import DHCPV6, NetworkState
from nova.network.plugs import SERVICE
from nova.wiring import Wiring
from strata.context import Context


def device_id(host: str, network_id: str) -> str:
    """What the port's ``device_id`` says: which DHCP server it is of."""
    return f'dhcp{uuid.uuid5(uuid.NAMESPACE_DNS, host)}-{network_id}'


def find(tx: Session, host: str, network_id: str) -> Port | None:
    """The DHCP port of a host on a network, with its addresses."""
    found = ports.some(tx, Port.device_id == device_id(host, network_id), Port.device_owner == DHCP,
                       Port.network_id == network_id, load=ports.wired())
    return found[0] if found else None


def wanted(tx: Session, host: str, network_id: str) -> list[Subnet]:
    """The subnets on which a host should answer DHCP: if it has servers there at all."""
    guests = tx.scalar(sa.select(Port.id).where(
        Port.network_id == network_id, Port.host == host,
        Port.device_owner.not_in((DHCP, *SERVICE))).limit(1))
    if guests is None:
        return []
    return [subnet for subnet in subnets.of_networks(tx, [network_id])[network_id]
            if subnet.enable_dhcp and (subnet.ip_version == 4 or subnet.ipv6_address_mode in DHCPV6)]


def is_settled(state: NetworkState) -> bool:
    """Whether the DHCP port is as ``settle`` would leave it."""
    guests = any(port.tap for port in state.ports)
    served = {subnet.id for subnet in state.subnets if guests and subnet.asks_dhcp}
    held = {subnet.id for subnet in state.subnets if subnet.dhcp_address}
    return held == served and (state.dhcp_mac is None) is not bool(served)


def settle(tx: Session, wiring: Wiring, context: Context, host: str, network_id: str) -> None:
    """Make, complete or remove the DHCP port of a host on a network.

    Raises ``IpAddressGenerationFailure`` if no address is left for it.
    """
    network = networks.locked(tx, network_id)
    if network is None:
        return
    port, here = find(tx, host, network_id), wanted(tx, host, network_id)
    if not here:
        if port is not None:
            plugs.erase(tx, port)
        return
    if port is None:
        port = plugs.make(tx, wiring, context, network_id=network_id, project_id=network.project_id,
                          fixed_ips=[], device_id=device_id(host, network_id), device_owner=DHCP, host=host,
                          port_security_enabled=False, status='ACTIVE')
    keep = {subnet.id for subnet in here}
    held = {address.subnet_id: address.ip_address for address in port.addresses}
    if set(held) - keep:
        addresses.change(tx, port, [{'subnet_id': id, 'ip_address': ip} for id, ip in held.items()
                                    if id in keep])
    for position, subnet in enumerate(here):
        if subnet.id not in held and ipam.pick(tx, subnet, port, position) is None:
            raise faults.IpAddressGenerationFailure(network_id=network_id)

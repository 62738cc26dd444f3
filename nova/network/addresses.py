"""Which addresses a port gets: as asked for, or one of each kind its network offers."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.db import ports, subnets
from nova.db.ports import Address, Port
from nova.db.subnets import Subnet
from nova.network import faults, ipam

#: addresses one port may hold
MOST = 16


def give(tx: Session, port: Port, asked: Sequence[Mapping[str, str]] | None) -> None:
    """Give a new port its addresses; ``asked`` as ``fixed_ips`` has it, ``None`` for the usual ones."""
    here = subnets.of_networks(tx, [port.network_id])[port.network_id]
    if asked is None:
        _usual(tx, port, here)
        return
    _check_number(asked)
    for position, wish in enumerate(asked):
        fulfil(tx, port, here, wish, position)


def _check_number(asked: Sequence[Mapping[str, str]]) -> None:
    if len(asked) > MOST:
        raise faults.InvalidInput(error_message='Exceeded maximum amount of fixed ips per port')


def _usual(tx: Session, port: Port, here: Sequence[Subnet]) -> None:
    """One IPv4 address, one leased IPv6 address, and those the guest makes for itself."""
    offered = [subnet for subnet in here if _serves(subnet, port.device_owner)]
    if here and not offered:
        raise faults.IpAddressGenerationFailure(network_id=port.network_id)
    kinds: dict[Any, list[Subnet]] = {}
    for subnet in offered:
        kinds.setdefault(subnet.id if subnet.automatic else subnet.ip_version, []).append(subnet)
    for position, choices in enumerate(kinds.values()):
        if not any(ipam.pick(tx, subnet, port, position) for subnet in choices):
            raise faults.IpAddressGenerationFailure(network_id=port.network_id)


def _serves(subnet: Subnet, device_owner: str) -> bool:
    """Whether a subnet is for this kind of port (``service_types``: prefixes of device_owner)."""
    return not subnet.service_types or any(device_owner.startswith(kind) for kind in subnet.service_types)


def fulfil(tx: Session, port: Port, here: Iterable[Subnet], wish: Mapping[str, str], position: int) -> str:
    """Give a port one address as asked: on a subnet, a particular one, or both.  Returns it."""
    subnet, address = _chosen(port, here, wish)
    if address is None:
        found = ipam.pick(tx, subnet, port, position)
        if found is None:
            raise faults.IpAddressGenerationFailure(network_id=port.network_id)
        return found
    own = port.device_owner == ports.INTERFACE or not subnet.automatic
    if not own and address != ipam.eui64(subnet.cidr, port.mac_address):
        raise faults.InvalidInput(error_message=(
            f'IPv6 address {address} can not be directly assigned to a port on subnet {subnet.id} as the '
            'subnet is configured for automatic addresses'))
    if not ipam.hold(tx, subnet, port, address, position):
        raise faults.IpAddressAlreadyAllocated(ip=address, subnet_id=subnet.id)
    return address


def _chosen(port: Port, here: Iterable[Subnet], wish: Mapping[str, str]) -> tuple[Subnet, str | None]:
    address = str(ipaddress.ip_address(wish['ip_address'])) if wish.get('ip_address') else None
    if wish.get('subnet_id'):
        subnet = next((each for each in here if each.id == wish['subnet_id']), None)
        if subnet is None:
            raise faults.InvalidInput(error_message=(
                f"Failed to create port on network {port.network_id}, because fixed_ips included invalid "
                f"subnet {wish['subnet_id'][:40]}"))
        if address is not None and not ipam.contains(subnet, address):
            raise faults.InvalidIpForSubnet(ip_address=address)
        return subnet, address
    if address is None:
        raise faults.InvalidInput(error_message='IP allocation requires subnet_id or ip_address')
    subnet = next((each for each in here if ipam.contains(each, address)), None)
    if subnet is None:
        raise faults.InvalidIpForNetwork(ip_address=address)
    return subnet, address


def change(tx: Session, port: Port, asked: Sequence[Mapping[str, str]]) -> set[str]:
    """Make a port's addresses those asked for, keeping what it may; the addresses it lost."""
    _check_number(asked)
    here = subnets.of_networks(tx, [port.network_id])[port.network_id]
    held = {address.ip_address: address.subnet_id for address in port.addresses}
    kept, wishes = set(), []
    for wish in asked:
        match = _kept(held, kept, wish)
        if match:
            kept.add(match)
        else:
            wishes.append(wish)
    lost = set(held) - kept
    if lost:
        tx.execute(sa.delete(Address).where(Address.port_id == port.id, Address.ip_address.in_(lost))
                   .execution_options(synchronize_session='fetch'))
    for position, wish in enumerate(wishes, start=len(kept)):
        fulfil(tx, port, here, wish, position)
    return lost


def _kept(held: Mapping[str, str], kept: set[str], wish: Mapping[str, str]) -> str | None:
    """The address a port holds already that fulfils a wish."""
    wanted = wish.get('ip_address')
    if wanted:
        plain = str(ipaddress.ip_address(wanted))
        fits = plain in held and wish.get('subnet_id') in (None, held[plain])
        return plain if fits and plain not in kept else None
    return next((address for address, subnet_id in held.items()
                 if subnet_id == wish.get('subnet_id') and address not in kept), None)

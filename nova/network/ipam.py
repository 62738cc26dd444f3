"""Addresses: the arithmetic of pools, and handing addresses out so that none is ever given twice.

An address is a primary key.  Whoever inserts the row has it; whoever meets a
duplicate picks another.  So two API processes on any database cannot both
believe they got it, whatever they had read before.
"""

import ipaddress
import itertools
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy.orm import Session

from nova.db import ports as ports_db
from nova.db.ports import Address, Port
from nova.db.subnets import Subnet
from nova.network import faults
from strata import db

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Cidr = ipaddress.IPv4Network | ipaddress.IPv6Network
Pools = list[list[str]]

#: how many free addresses one is picked from: the more, the rarer two callers pick the same
WINDOW = 64
#: how often an address that somebody else got first is made up for
ATTEMPTS = 200


def usable(cidr: Cidr) -> tuple[int, int]:
    """First and last address of a subnet that a port may hold, as numbers."""
    first, last = int(cidr.network_address), int(cidr.broadcast_address)
    if cidr.version == 6:
        return (first + 1, last) if cidr.prefixlen < 127 else (first, last)
    return (first + 1, last - 1) if cidr.prefixlen < 31 else (first, last)


def default_gateway(cidr: Cidr) -> str | None:
    """The first usable address, or ``None`` where a gateway would leave no other."""
    first, last = usable(cidr)
    return str(_address(cidr, first)) if last > first else None


def default_pools(cidr: Cidr, gateway: str | None) -> Pools:
    """All usable addresses but the gateway."""
    first, last = usable(cidr)
    hole = int(ipaddress.ip_address(gateway)) if gateway else None
    if hole is None or not first <= hole <= last:
        spans = [(first, last)]
    else:
        spans = [(low, high) for low, high in ((first, hole - 1), (hole + 1, last)) if low <= high]
    return [[str(_address(cidr, low)), str(_address(cidr, high))] for low, high in spans]


def _address(cidr: Cidr, number: int) -> Ip:
    return ipaddress.IPv4Address(number) if cidr.version == 4 else ipaddress.IPv6Address(number)


def checked_pools(cidr: Cidr, pools: Iterable[dict[str, str]], gateway: str | None) -> Pools:
    """The pools a caller asked for, in order; raises what the API calls each way of getting them wrong."""
    first, last = usable(cidr)
    spans: list[tuple[int, int]] = []
    for pool in pools:
        shown = f"{pool['start']}-{pool['end']}"
        low, high = ipaddress.ip_address(pool['start']), ipaddress.ip_address(pool['end'])
        if low.version != cidr.version or high.version != cidr.version or int(low) > int(high):
            raise faults.InvalidAllocationPool(pool=shown)
        if int(low) < first or int(high) > last:
            raise faults.OutOfBoundsAllocationPool(pool=shown, cidr=str(cidr))
        spans.append((int(low), int(high)))
    spans.sort()
    for (low, high), (after, end) in itertools.pairwise(spans):
        if after <= high:
            raise faults.OverlappingAllocationPools(
                first=f'{_address(cidr, low)}-{_address(cidr, high)}',
                second=f'{_address(cidr, after)}-{_address(cidr, end)}', cidr=str(cidr))
    found = [[str(_address(cidr, low)), str(_address(cidr, high))] for low, high in spans]
    check_gateway(found, gateway)
    return found


def check_gateway(pools: Sequence[Sequence[str]], gateway: str | None) -> None:
    """Raise ``GatewayConflictWithAllocationPools`` if a pool would hand the gateway out."""
    if gateway is None:
        return
    number = int(ipaddress.ip_address(gateway))
    for low, high in pools:
        if int(ipaddress.ip_address(low)) <= number <= int(ipaddress.ip_address(high)):
            raise faults.GatewayConflictWithAllocationPools(ip_address=gateway, pool=f'{low}-{high}')


def free(pools: Sequence[Sequence[str]], taken: Collection[str]) -> Iterator[str]:
    """The addresses of the pools that nobody holds, lowest first."""
    for low, high in pools:
        cidr: Any = ipaddress.ip_address(low)
        kind = type(cidr)
        for number in range(int(cidr), int(ipaddress.ip_address(high)) + 1):
            text = str(kind(number))
            if text not in taken:
                yield text


def eui64(cidr: str, mac: str) -> str:
    """The address a guest with this MAC makes for itself from a router advertisement."""
    octets = bytearray.fromhex(mac.replace(':', ''))
    octets[0] ^= 2
    suffix = int.from_bytes(octets[:3] + b'\xff\xfe' + octets[3:], 'big')
    return str(ipaddress.IPv6Address(int(ipaddress.ip_network(cidr).network_address) + suffix))


def contains(subnet: Subnet, address: str) -> bool:
    """Whether an address may be held on a subnet: in its range, and neither end of it."""
    cidr = ipaddress.ip_network(subnet.cidr)
    ip = ipaddress.ip_address(address)
    first, last = usable(cidr)
    return ip.version == cidr.version and first <= int(ip) <= last


def hold(tx: Session, subnet: Subnet, port: Port, address: str, position: int = 0) -> bool:
    """Take one address for a port; ``False`` if somebody has it already."""
    return db.insert(tx, Address, subnet_id=subnet.id, ip_address=address, port_id=port.id,
                     network_id=subnet.network_id, position=position)


def pick(tx: Session, subnet: Subnet, port: Port, position: int = 0) -> str | None:
    """Take any free address of a subnet's pools for a port; ``None`` if there is none left."""
    if subnet.automatic:
        return _derive(tx, subnet, port, position)
    lost: set[str] = set()
    for _ in range(ATTEMPTS):
        choice = _choice(tx, subnet, lost)
        if choice is None:
            return None
        if hold(tx, subnet, port, choice, position):
            return choice
        lost.add(choice)
    return None


def _choice(tx: Session, subnet: Subnet, lost: set[str]) -> str | None:
    taken = ports_db.taken(tx, subnet.id)
    window = []
    for address in free(subnet.pools, taken | lost):
        window.append(address)
        if len(window) == WINDOW:
            break
    if window:
        return secrets.choice(window)
    # what was lost to a transaction that rolled back since is free again
    again = lost - taken
    lost.clear()
    return secrets.choice(sorted(again)) if again else None


def _derive(tx: Session, subnet: Subnet, port: Port, position: int) -> str | None:
    if port.device_owner == ports_db.INTERFACE and subnet.gateway_ip:
        wanted = subnet.gateway_ip
    else:
        wanted = eui64(subnet.cidr, port.mac_address)
    return wanted if hold(tx, subnet, port, wanted, position) else None

"""Subnets: the address ranges of networks, and what makes one acceptable."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.orm import Session

from nova.db import networks, ports, subnets, tags
from nova.db.networks import Network
from nova.db.ports import Address, Port
from nova.db.subnets import Subnet
from nova.network import faults, gateways, ipam, quotas, revisions
from nova.network.rpc import wake
from nova.wiring import Wiring
from strata.context import Context
from strata.db import retried

#: the smallest MTU that each version of IP allows
LEAST_MTU = {4: networks.LEAST_MTU, 6: 1280}
MOST_NAMESERVERS = 5
MOST_ROUTES = 20


def get(tx: Session, context: Context, id: str) -> Subnet:
    """A visible subnet, or ``SubnetNotFound``."""
    subnet = subnets.find(tx, context, id)
    if subnet is None:
        raise faults.SubnetNotFound(id=id[:80])
    return subnet


def check_mtu(network_id: str, mtu: int, versions: Iterable[int]) -> None:
    """``NetworkMTUSubnetConflict`` if packets of a network would be too small for a version of IP on it."""
    for version in versions:
        if mtu < LEAST_MTU[version]:
            raise faults.NetworkMTUSubnetConflict(id=network_id, mtu=mtu, least=LEAST_MTU[version], version=version)


def _refuse(reason: str) -> faults.InvalidInput:
    return faults.InvalidInput(error_message=reason)


@retried
def create(wiring: Wiring, context: Context, items: Sequence[Mapping[str, Any]]) -> Sequence[Subnet]:
    """Make subnets, all or none."""
    made, touched = [], set()
    with wiring.db.transaction() as tx:
        for item in items:
            network = networks.locked(tx, item['network_id'])
            if network is None:
                raise faults.NetworkNotFound(id=item['network_id'])
            quotas.take(tx, wiring, item['project_id'], {'subnet': 1})
            subnet = _new(tx, network, dict(item))
            tx.add(subnet)
            tx.flush()
            if subnet.automatic:
                _spread(tx, subnet)
            if network.external:
                touched |= gateways.reach(tx, subnet)
            network.revision_number += 1
            made.append(subnet.id)
        tx.flush()
        found = {subnet.id: subnet for subnet in subnets.some(tx, made)}
    wake(wiring, context, networks={subnet.network_id for subnet in found.values()}, routers=touched)
    return [found[id] for id in made]


def _new(tx: Session, network: Network, values: dict[str, Any]) -> Subnet:
    """A subnet from what was asked, with everything that was not asked for worked out."""
    cidr = _cidr(values)
    check_mtu(network.id, network.mtu, [cidr.version])
    _check_overlap(tx, network, cidr)
    if 'gateway_ip' not in values:
        values['gateway_ip'] = ipam.default_gateway(cidr)
    _check_modes(values, cidr)
    _check_gateway(cidr, values['gateway_ip'])
    pools = values.pop('allocation_pools', None)
    values['pools'] = (ipam.default_pools(cidr, values['gateway_ip']) if pools is None
                       else ipam.checked_pools(cidr, pools, values['gateway_ip']))
    values['dns_nameservers'] = _nameservers(values.get('dns_nameservers') or [])
    values['host_routes'] = _routes(values.get('host_routes') or [], cidr.version)
    return Subnet(**values)


def _cidr(values: dict[str, Any]) -> ipam.Cidr:
    """The range that was asked for; bits behind the prefix name a host and are dropped."""
    cidr = ipaddress.ip_network(values['cidr'], strict=False)
    if cidr.version != values['ip_version']:
        raise _refuse(f"Invalid input for cidr. Value {cidr} does not match the ip_version "
                      f"{values['ip_version']}")
    if cidr.is_multicast or cidr.is_loopback or cidr.prefixlen == 0 or cidr.is_link_local:
        raise _refuse(f'{cidr} is not a range that a subnet may have')
    if values.get('enable_dhcp', True) and cidr.version == 4 and cidr.prefixlen > 30:
        raise _refuse('Subnet has a prefix length that is incompatible with DHCP service enabled')
    values['cidr'] = str(cidr)
    return cidr


def _check_overlap(tx: Session, network: Network, cidr: ipam.Cidr) -> None:
    for other in tx.scalars(sa.select(Subnet).where(Subnet.network_id == network.id)):
        range_ = ipaddress.ip_network(other.cidr)
        if range_.version == cidr.version and range_.overlaps(cidr):      # type: ignore[arg-type]
            raise _refuse(f'Requested subnet with cidr: {cidr} for network: {network.id} overlaps with '
                          'another subnet')


def _check_modes(values: dict[str, Any], cidr: ipam.Cidr) -> None:
    """Refuse IPv6 modes that do not go together."""
    ra, address = values.get('ipv6_ra_mode'), values.get('ipv6_address_mode')
    if not ra and not address:
        return
    if cidr.version == 4:
        raise _refuse('ipv6_ra_mode and ipv6_address_mode are not valid in IPv4 subnets')
    if not values.get('enable_dhcp', True):
        raise _refuse('ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False')
    if ra and address and ra != address:
        raise _refuse(f'ipv6_ra_mode set to {ra!r} with ipv6_address_mode set to {address!r} is not valid')
    if cidr.prefixlen != 64 and 'dhcpv6-stateful' not in (ra, address):
        raise _refuse(f'Invalid CIDR {cidr} for IPv6 address mode. OpenStack uses the EUI-64 address format, '
                      'which requires the prefix to be /64')


def _check_gateway(cidr: ipam.Cidr, gateway: str | None) -> None:
    if gateway is None:
        return
    ip = ipaddress.ip_address(gateway)
    first, last = ipam.usable(cidr)
    # one outside of the range is somebody's gateway all the same: what lies between is not ours to know
    if ip.version != cidr.version or (ip in cidr and not first <= int(ip) <= last):
        raise _refuse(f'Gateway {gateway} is not valid on subnet {cidr}')


def _nameservers(servers: Sequence[str]) -> list[str]:
    if len(servers) > MOST_NAMESERVERS:
        raise faults.DNSNameServersExhausted(limit=MOST_NAMESERVERS)
    plain = [str(ipaddress.ip_address(server)) for server in servers]
    if len(set(plain)) < len(plain):
        raise _refuse('dns_nameservers has the same server twice')
    return plain


def _routes(routes: Sequence[Mapping[str, str]], version: int) -> list[dict[str, str]]:
    if len(routes) > MOST_ROUTES:
        raise faults.HostRoutesExhausted(limit=MOST_ROUTES)
    plain = []
    for route in routes:
        destination = ipaddress.ip_network(route['destination'], strict=False)
        nexthop = ipaddress.ip_address(route['nexthop'])
        if {destination.version, nexthop.version} != {version}:
            raise _refuse(f"host route to {route['destination']} is not of IP version {version}")
        plain.append({'destination': str(destination), 'nexthop': str(nexthop)})
    if len({tuple(route.values()) for route in plain}) < len(plain):
        raise _refuse('host_routes has the same route twice')
    return plain


def _spread(tx: Session, subnet: Subnet) -> None:
    """Give ports that are there already the address they will make from the new router advertisements."""
    ours = (ports.DHCP, ports.INTERFACE, ports.GATEWAY, ports.FLOATING)
    for port in tx.scalars(sa.select(Port).where(Port.network_id == subnet.network_id,
                                                 Port.device_owner.not_in(ours))).all():
        ipam.pick(tx, subnet, port, position=100)


@retried
def update(wiring: Wiring, context: Context, id: str, values: Mapping[str, Any],
           revision: int | None = None) -> Subnet:
    """Change a subnet; its range stays."""
    with wiring.db.transaction() as tx:
        subnet = get(tx, context.elevated(), id)
        networks.locked(tx, subnet.network_id)
        subnet = get(tx, context.elevated(), id)
        revisions.check(subnet, revision)
        changed, cidr = dict(values), ipaddress.ip_network(subnet.cidr)
        pools = changed.pop('allocation_pools', None)
        gateway = changed.get('gateway_ip', subnet.gateway_ip)
        if gateway != subnet.gateway_ip:
            _check_gateway(cidr, gateway)
            _check_gateway_free(tx, subnet)
        if pools is not None:
            changed['pools'] = ipam.checked_pools(cidr, pools, gateway)
        elif gateway != subnet.gateway_ip:
            ipam.check_gateway(subnet.pools, gateway)
        if 'enable_dhcp' in changed:
            _check_modes({'ipv6_ra_mode': subnet.ipv6_ra_mode, 'ipv6_address_mode': subnet.ipv6_address_mode,
                          'enable_dhcp': changed['enable_dhcp']}, cidr)
            if not changed['enable_dhcp']:
                _drop_dhcp(tx, subnet)
        if 'dns_nameservers' in changed:
            changed['dns_nameservers'] = _nameservers(changed['dns_nameservers'] or [])
        if 'host_routes' in changed:
            changed['host_routes'] = _routes(changed['host_routes'] or [], cidr.version)
        revisions.revise(subnet, changed)
        tx.flush()
        subnet = get(tx, context.elevated(), id)
    wake(wiring, context, networks=[subnet.network_id])
    return subnet


def _check_gateway_free(tx: Session, subnet: Subnet) -> None:
    """A router that holds the gateway address would lose it: refuse."""
    if subnet.gateway_ip is None:
        return
    holder = ports.holder(tx, subnet.network_id, subnet.gateway_ip)
    if holder is not None and holder.device_owner == ports.INTERFACE:
        raise faults.GatewayIpInUse(ip_address=subnet.gateway_ip, port_id=holder.id)


def _drop_dhcp(tx: Session, subnet: Subnet) -> None:
    """Take the DHCP server's addresses on a subnet, and a DHCP port that has none left."""
    dhcp = tx.scalars(sa.select(Port).join(Address, Address.port_id == Port.id).where(
        Address.subnet_id == subnet.id, Port.device_owner == ports.DHCP)).all()
    for port in dhcp:
        tx.execute(sa.delete(Address).where(Address.subnet_id == subnet.id, Address.port_id == port.id))
        if not tx.scalar(sa.select(Address.port_id).where(Address.port_id == port.id).limit(1)):
            tags.clear(tx, port.id)
            tx.delete(port)
    tx.flush()


@retried
def delete(wiring: Wiring, context: Context, id: str) -> None:
    """Delete a subnet, unless a port that is not the DHCP server's holds one of its addresses."""
    with wiring.db.transaction() as tx:
        subnet = get(tx, context.elevated(), id)
        networks.locked(tx, subnet.network_id)
        using = sa.select(Address.port_id).join(Port,
                                                Port.id == Address.port_id).where(Address.subnet_id == id)
        using = using.where(Port.device_owner == ports.INTERFACE if subnet.automatic
                            else Port.device_owner != ports.DHCP)
        if tx.scalar(using.limit(1)):
            raise faults.SubnetInUse(id=id)
        _drop_dhcp(tx, subnet)
        if subnet.automatic:
            tx.execute(sa.delete(Address).where(Address.subnet_id == id))
        tags.clear(tx, id)
        quotas.give(tx, subnet.project_id, {'subnet': 1})
        tx.execute(sa.update(Network).where(Network.id == subnet.network_id)
                   .values(revision_number=Network.revision_number + 1))
        try:
            tx.execute(sa.delete(Subnet).where(Subnet.id == id))
        except exc.IntegrityError as error:      # somebody took an address since we looked
            raise faults.SubnetInUse(id=id) from error
    wake(wiring, context, networks=[subnet.network_id])

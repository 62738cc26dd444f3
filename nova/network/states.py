"""From rows to what a host should look like; a constant number of queries for any number of networks."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from nova.db import floating_ips, network_hosts, networks, ports, routers, security_groups, subnets
from nova.db.networks import Network
from nova.db.ports import DHCP, FLOATING, INTERFACE, Port, Wire
from nova.db.routers import Router
from nova.db.security_groups import SecurityGroupRule
from nova.db.subnets import Subnet
from nova.network import dhcp
from nova.network.drivers import state as words
from nova.network.plugs import SERVICE
from nova.wiring import Wiring
from strata import errors


def network_states(tx: Session, wiring: Wiring, ids: Collection[str]) -> dict[str, words.NetworkState]:
    """How this host should carry some networks; those it need not carry are left out."""
    host = wiring.host
    wanted = network_hosts.carried(tx, host, ids)
    if not wanted:
        return {}
    ranges = subnets.of_networks(tx, wanted)
    plugged: dict[str, list[Wire]] = {id: [] for id in wanted}
    for port in ports.wires(tx, Port.network_id.in_(wanted), Port.device_owner != FLOATING):
        plugged[port.network_id].append(port)
    rules = _rules(tx, [port for many in plugged.values() for port in many], host)
    peers = network_hosts.peers(tx, wanted, host)
    return {network.id: _network(wiring, network, ranges[network.id], plugged[network.id], rules,
                                 peers[network.id])
            for network in networks.bare(tx, wanted)}


def is_guest(port: Wire, host: str) -> bool:
    """Whether a port has a tap device on a host: everything but our own services."""
    return port.host == host and port.device_owner not in (DHCP, *SERVICE)


def _network(wiring: Wiring, network: Network, ranges: Iterable[Subnet], plugged: Iterable[Wire],
             rules: Mapping[str, tuple[words.SecurityRule, ...]], peers: list[str]) -> words.NetworkState:
    server = next((port for port in plugged if port.device_owner == DHCP
                   and port.device_id == dhcp.device_id(wiring.host, network.id)), None)
    served = {address.subnet_id: address.ip_address for address in server.addresses} if server else {}
    host, owner = wiring.host, wiring.conf.network.tap_owner      # asked once: there may be thousands of ports
    return words.NetworkState(
        id=network.id, host=host, **_medium(wiring, network, peers), mtu=network.link_mtu,
        external=network.external, host_gateway=network.external and network.network_type == 'local',
        admin_state_up=network.admin_state_up, dhcp_mac=server.mac_address if server else None,
        dns_domain=wiring.conf.network.dns_domain,
        subnets=tuple(_subnet(subnet, served.get(subnet.id)) for subnet in ranges),
        ports=tuple(_port(port, rules, host, owner) for port in plugged))


def _medium(wiring: Wiring, network: Network, peers: list[str]) -> dict[str, Any]:
    """How the network leaves this host; ``errors.Conflict`` if the host has no way for it."""
    settings, kind = wiring.conf.network, network.network_type
    if kind == 'vxlan' and settings.local_ip:
        return {'kind': kind, 'segmentation_id': network.segmentation_id, 'local_ip': settings.local_ip,
                'peers': tuple(peers)}
    if kind in ('flat', 'vlan'):
        interface = settings.physical_interfaces.get(network.physical_network)
        if not interface:
            raise errors.Conflict('Host {host} has no interface on physical network {name}; see '
                                  '[network] physical_interfaces.', host=wiring.host,
                                  name=network.physical_network)
        return {'kind': kind, 'segmentation_id': network.segmentation_id, 'physical_interface': interface}
    return {'kind': 'local'}


def _subnet(subnet: Subnet, dhcp_address: str | None) -> words.SubnetState:
    return words.SubnetState(
        id=subnet.id, cidr=subnet.cidr, gateway_ip=subnet.gateway_ip, enable_dhcp=subnet.enable_dhcp,
        dhcp_address=dhcp_address, dns_nameservers=tuple(subnet.dns_nameservers or ()),
        host_routes=_routes(subnet.host_routes), ipv6_ra_mode=subnet.ipv6_ra_mode,
        ipv6_address_mode=subnet.ipv6_address_mode)


def _routes(routes: Any) -> tuple[words.Route, ...]:
    return tuple(words.Route(destination=route['destination'], nexthop=route['nexthop'])
                 for route in routes or ())


def _port(port: Wire, rules: Mapping[str, tuple[words.SecurityRule, ...]], host: str,
          owner: int) -> words.PortState:
    guest = is_guest(port, host)
    return words.PortState(
        id=port.id, mac_address=port.mac_address, host=port.host or None, tap=guest,
        fixed_ips=tuple(words.FixedIp(subnet_id=address.subnet_id, ip_address=address.ip_address)
                        for address in port.addresses),
        owner_uid=owner, admin_state_up=port.admin_state_up,
        port_security_enabled=port.port_security_enabled,
        security_rules=tuple(rule for id in port.security_group_ids for rule in rules[id]) if guest else (),
        allowed_address_pairs=tuple(
            words.AddressPair(ip_address=pair['ip_address'], mac_address=pair['mac_address'])
            for pair in port.allowed_address_pairs or ()) if guest else (),
        dhcp_options=tuple(words.DhcpOption(name=option['opt_name'], value=option['opt_value'],
                                            ip_version=option.get('ip_version', 4))
                           for option in port.extra_dhcp_opts or ()))


def _rules(tx: Session, plugged: Collection[Wire], host: str) -> dict[str, tuple[words.SecurityRule, ...]]:
    """What the groups of a host's guests allow, remote groups expanded to the addresses in them.

    ``plugged`` are all ports of some networks; for those the database need not be asked again.
    """
    groups = {id for port in plugged if is_guest(port, host) for id in port.security_group_ids}
    if not groups:
        return {}
    found = security_groups.rules_of(tx, groups)
    remote = {rule.remote_group_id for rules in found.values() for rule in rules if rule.remote_group_id}
    members = ports.members(tx, remote, {port.network_id for port in plugged}) if remote else {}
    for port in plugged:
        for id in remote.intersection(port.security_group_ids):
            members[id].append(port)
    return {id: tuple(_rule(rule, members) for rule in rules) for id, rules in found.items()}


def _rule(rule: SecurityGroupRule, members: Mapping[str, Iterable[Wire]]) -> words.SecurityRule:
    remote: tuple[str, ...] | None = None
    if rule.remote_group_id:
        remote = tuple(sorted({cidr for port in members[rule.remote_group_id] for cidr in _held(port)
                               if (':' in cidr) == (rule.ethertype == 'IPv6')}))
    elif rule.normalized_cidr:
        remote = (rule.normalized_cidr,)
    return words.SecurityRule(direction=rule.direction, ethertype=rule.ethertype, protocol=rule.protocol,
                              port_range_min=rule.port_range_min, port_range_max=rule.port_range_max,
                              remote_cidrs=remote)


def _held(port: Wire) -> list[str]:
    """The addresses a member of a group may send from, as ranges."""
    texts = [address.ip_address for address in port.addresses]
    texts += [pair['ip_address'] for pair in port.allowed_address_pairs or ()]
    return [text if '/' in text else f'{text}/{128 if ":" in text else 32}' for text in texts]


def router_states(tx: Session, wiring: Wiring, ids: Collection[str]) -> dict[str, words.RouterState]:
    """How this host should carry some routers; those of other hosts are left out."""
    mine = routers.some(tx, Router.id.in_(ids), Router.host == wiring.host)
    if not mine:
        return {}
    kept = [router.id for router in mine]
    feet, floating = routers.feet(tx, kept), floating_ips.of_routers(tx, kept)
    ranges = {subnet.id: subnet for subnet in subnets.some(tx, {
        address.subnet_id for router in mine for port in [*feet[router.id], *_gateway(router)]
        for address in port.addresses})}
    outside = {network.id: network for network in networks.bare(tx, {
        port.network_id for router in mine for port in _gateway(router)})}
    return {router.id: _router(router, feet[router.id], floating[router.id], ranges, outside)
            for router in mine}


def _gateway(router: Router) -> list[Port]:
    return [router.gateway] if router.gateway is not None else []


def _router(router: Router, feet: Iterable[Port], floating: Iterable[floating_ips.FloatingIp],
            ranges: Mapping[str, Subnet], outside: Mapping[str, Network]) -> words.RouterState:
    gateway, nexthops = None, ()
    if router.gateway is not None:
        gateway = _foot(router.gateway, ranges, outside[router.gateway.network_id].link_mtu)
        nexthops = tuple(ranges[address.subnet_id].gateway_ip for address in router.gateway.addresses
                         if ranges[address.subnet_id].gateway_ip)      # type: ignore[assignment]
    return words.RouterState(
        id=router.id, admin_state_up=router.admin_state_up, gateway=gateway, gateway_nexthops=nexthops,
        interfaces=tuple(_foot(port, ranges, port.network.link_mtu) for port in feet if port.admin_state_up),
        enable_snat=router.enable_snat, routes=_routes(router.routes),
        floating_ips=tuple(words.FloatingIp(id=each.id, floating_ip_address=each.floating_ip_address,
                                            fixed_ip_address=str(each.fixed_ip_address))
                           for each in floating if gateway is not None))


def _foot(port: Port, ranges: Mapping[str, Subnet], mtu: int) -> words.RouterInterface:
    return words.RouterInterface(
        port_id=port.id, network_id=port.network_id, mac_address=port.mac_address, mtu=mtu,
        addresses=tuple(f"{address.ip_address}/{ranges[address.subnet_id].cidr.partition('/')[2]}"
                        for address in port.addresses),
        advertised=tuple(words.Advertised(cidr=subnet.cidr, mode=subnet.ipv6_ra_mode,
                                          dns_nameservers=tuple(subnet.dns_nameservers or ()))
                         for subnet in (ranges[address.subnet_id] for address in port.addresses)
                         if subnet.ipv6_ra_mode and port.device_owner == INTERFACE))

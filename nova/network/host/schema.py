"""The gate of the privileged helper: JSON in, checked states out, or ``errors.Invalid`` naming the field.

Whatever reaches a netlink message, an nftables expression, a file of dnsmasq's or a path has passed
one of these checks; nothing is quoted or escaped later because nothing that would need it gets in.
"""

import dataclasses
import functools
import ipaddress
import re
import uuid
from collections.abc import Callable
from typing import Any

from nova.network.drivers import state as states
from strata import errors

Check = Callable[[str, Any], Any]

_MAC = re.compile(r'^[0-9a-f]{2}(:[0-9a-f]{2}){5}$')
_INTERFACE = re.compile(r'^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$')
_HOST = re.compile(states.HOST)
_DOMAIN = re.compile(r'^[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*$')
_OPTION = re.compile(r'^[A-Za-z0-9-]{1,64}$')
#: one line of a dnsmasq file: no control characters, no quotes that could end a value early
_OPTION_VALUE = re.compile(r'^[^\x00-\x1f\x7f"\\]{0,255}$')

PROTOCOLS = {'ah': 51, 'dccp': 33, 'egp': 8, 'esp': 50, 'gre': 47, 'icmp': 1, 'icmpv6': 58, 'igmp': 2,
             'ipip': 4, 'ipv6-encap': 41, 'ipv6-frag': 44, 'ipv6-icmp': 58, 'ipv6-nonxt': 59,
             'ipv6-opts': 60, 'ipv6-route': 43, 'ospf': 89, 'pgm': 113, 'rsvp': 46, 'sctp': 132,
             'tcp': 6, 'udp': 17, 'udplite': 136, 'vrrp': 112}


def _wrong(field: str, what: str) -> errors.Invalid:
    return errors.Invalid(f'{field}: {what}')


def _text(pattern: re.Pattern[str], what: str) -> Check:
    def check(field: str, value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise _wrong(field, f'not {what}')
        return value
    return check


mac = _text(_MAC, 'a MAC address in lower case with colons')
interface = _text(_INTERFACE, 'an interface name')
host = _text(_HOST, 'a host name')
domain = _text(_DOMAIN, 'a domain name')


def identifier(field: str, value: Any) -> str:
    """A UUID in its dashed, lower-case form."""
    try:
        if str(uuid.UUID(value)) == value:
            return value
    except (ValueError, TypeError, AttributeError):
        pass
    raise _wrong(field, 'not a UUID')


def address(field: str, value: Any) -> str:
    """An IPv4 or IPv6 address without a zone, in its usual print."""
    try:
        if isinstance(value, str) and '%' not in value:
            return str(ipaddress.ip_address(value))
    except ValueError:
        pass
    raise _wrong(field, 'not an IP address')


def cidr(field: str, value: Any) -> str:
    """A network such as 10.0.0.0/24; host bits are cut off, a lone address is a network of one."""
    try:
        if isinstance(value, str) and '%' not in value:
            return _range(value)
    except ValueError:
        pass
    raise _wrong(field, 'not a CIDR')


def cidr_v6(field: str, value: Any) -> str:
    """A network of IPv6."""
    found = cidr(field, value)
    if ':' not in found:
        raise _wrong(field, 'not a CIDR of IPv6')
    return found


@functools.lru_cache(maxsize=8192)
def _range(text: str) -> str:
    return str(ipaddress.ip_network(text, strict=False))


def interface_address(field: str, value: Any) -> str:
    """An address with its prefix length: 10.0.0.1/24."""
    try:
        if isinstance(value, str) and '/' in value and '%' not in value:
            return str(ipaddress.ip_interface(value))
    except ValueError:
        pass
    raise _wrong(field, 'not an address with its prefix length')


def protocol(field: str, value: Any) -> str:
    """A protocol's name or number, as a number in text."""
    if isinstance(value, str):
        if value in PROTOCOLS:
            return str(PROTOCOLS[value])
        if value.isascii() and value.isdigit() and int(value) <= 255:
            return str(int(value))
    raise _wrong(field, 'not an IP protocol')


def boolean(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(field, 'not a boolean')
    return value


def integer(low: int, high: int) -> Check:
    def check(field: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise _wrong(field, f'not an integer from {low} to {high}')
        return value
    return check


def one_of(*choices: Any) -> Check:
    def check(field: str, value: Any) -> Any:
        if value not in choices:
            raise _wrong(field, f'not one of {", ".join(map(str, choices))}')
        return value
    return check


def maybe(check: Check) -> Check:
    return lambda field, value: None if value is None else check(field, value)


def many(check: Check, most: int) -> Check:
    def each(field: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) > most:
            raise _wrong(field, f'not a list of at most {most}')
        return tuple(check(f'{field}[{n}]', item) for n, item in enumerate(value))
    return each


def made(state: type, /, **checks: Check) -> Check:
    """A ``state`` from a JSON object; unknown and missing keys are refused."""
    fields = {field.name: field for field in dataclasses.fields(state)}
    assert checks.keys() == fields.keys(), (state, checks.keys() ^ fields.keys())
    needed = {name for name, field in fields.items()
              if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING}

    def check(field: str, value: Any) -> Any:
        if not isinstance(value, dict):
            raise _wrong(field, 'not an object')
        if unknown := value.keys() - fields.keys():
            raise _wrong(field, f'unknown key {sorted(unknown)[0]!r}')
        if missing := needed - value.keys():
            raise _wrong(field, f'lacks {sorted(missing)[0]}')
        return state(**{name: checks[name](f'{field}.{name}', item) for name, item in value.items()})
    return check


_port_number = maybe(integer(0, 65535))
_mtu = integer(68, 65521)
_ipv6_mode = one_of('slaac', *states.DHCPV6)

route = made(states.Route, destination=cidr, nexthop=address)

subnet = made(
    states.SubnetState, id=identifier, cidr=cidr, gateway_ip=maybe(address), enable_dhcp=boolean,
    dhcp_address=maybe(address), dns_nameservers=many(address, 100), host_routes=many(route, 1000),
    ipv6_ra_mode=maybe(_ipv6_mode), ipv6_address_mode=maybe(_ipv6_mode))

rule = made(
    states.SecurityRule, direction=one_of('ingress', 'egress'), ethertype=one_of('IPv4', 'IPv6'),
    protocol=maybe(protocol), port_range_min=_port_number, port_range_max=_port_number,
    remote_cidrs=maybe(many(cidr, 65536)))

rules = many(many(rule, 10000), 65000)


def placed(field: str, value: Any) -> tuple[states.SecurityRule, ...]:
    """Rules that ``network`` has checked and put in the place of their number: JSON has no tuples."""
    if not isinstance(value, tuple):
        raise _wrong(field, 'not the number of a list of rules')
    return value


port = made(
    states.PortState, id=identifier, mac_address=mac,
    fixed_ips=many(made(states.FixedIp, subnet_id=identifier, ip_address=address), 100),
    host=maybe(host), tap=boolean, owner_uid=integer(0, 2 ** 32 - 2), admin_state_up=boolean,
    port_security_enabled=boolean, security_rules=placed,
    allowed_address_pairs=many(made(states.AddressPair, ip_address=cidr, mac_address=maybe(mac)), 1000),
    dhcp_options=many(made(states.DhcpOption, name=_text(_OPTION, 'a DHCP option'),
                           value=_text(_OPTION_VALUE, 'a DHCP option value'),
                           ip_version=one_of(4, 6)), 100),
    dns_name=maybe(domain))

_network = made(
    states.NetworkState, id=identifier, host=host, kind=one_of('local', 'vxlan', 'vlan', 'flat'),
    segmentation_id=maybe(integer(1, 2 ** 24 - 1)), physical_interface=maybe(interface),
    local_ip=maybe(address), peers=many(address, 10000), mtu=_mtu, external=boolean,
    host_gateway=boolean, admin_state_up=boolean, dhcp_mac=maybe(mac), dns_domain=domain,
    subnets=many(subnet, 1000), ports=many(port, 65000))

_foot = made(
    states.RouterInterface, port_id=identifier, network_id=identifier, mac_address=mac,
    addresses=many(interface_address, 100), mtu=_mtu,
    advertised=many(made(states.Advertised, cidr=cidr_v6, mode=_ipv6_mode, dns_nameservers=many(address, 100)),
                    100))

_router = made(
    states.RouterState, id=identifier, admin_state_up=boolean, interfaces=many(_foot, 1000),
    gateway=maybe(_foot), gateway_nexthops=many(address, 10), enable_snat=boolean,
    floating_ips=many(made(states.FloatingIp, id=identifier, floating_ip_address=address,
                           fixed_ip_address=address), 10000),
    routes=many(route, 10000))


def network(values: Any) -> states.NetworkState:
    """A network's state, with what its kind needs."""
    checked = _network('network', _with_rules(values))
    if checked.kind in ('vxlan', 'vlan') and checked.segmentation_id is None:
        raise _wrong('network.segmentation_id', f'needed by a {checked.kind} network')
    if checked.kind == 'vlan' and checked.segmentation_id > 4094:
        raise _wrong('network.segmentation_id', 'not an integer from 1 to 4094')
    if checked.kind in ('vlan', 'flat') and not checked.physical_interface:
        raise _wrong('network.physical_interface', f'needed by a {checked.kind} network')
    if checked.kind == 'vxlan' and not checked.local_ip:
        raise _wrong('network.local_ip', 'needed by a vxlan network')
    for n, one in enumerate(checked.subnets):
        _same_version(f'network.subnets[{n}]', one.cidr, one.gateway_ip, one.dhcp_address)
    taps = [states.tap_name(one.id) for one in checked.ports]
    if len(set(taps)) != len(taps):
        raise _wrong('network.ports', 'two ports share the first eleven characters of their ids')
    return checked


def _with_rules(values: Any) -> Any:
    """The lists of rules, checked once each, in the ports that name them by number; see ``to_dict``."""
    if not isinstance(values, dict):
        return values
    lists, ports = rules('network.security_rules', values.get('security_rules', [])), values.get('ports')
    values = {key: value for key, value in values.items() if key != 'security_rules'}
    if not isinstance(ports, list):
        return values
    whole = []
    for n, one in enumerate(ports):
        if isinstance(one, dict):
            number = integer(0, len(lists) - 1)(f'network.ports[{n}].security_rules', one.get('security_rules'))
            one = {**one, 'security_rules': lists[number]}
        whole.append(one)
    return {**values, 'ports': whole}


def router(values: Any) -> states.RouterState:
    """A router's state."""
    checked = _router('router', values)
    for n, one in enumerate(checked.floating_ips):
        _same_version(f'router.floating_ips[{n}]', one.floating_ip_address, one.fixed_ip_address)
    return checked


def _same_version(field: str, first: str, *others: str | None) -> None:
    version = ipaddress.ip_network(first, strict=False).version
    for other in others:
        if other is not None and ipaddress.ip_address(other).version != version:
            raise _wrong(field, f'{first} and {other} are of different IP versions')

"""What a port may send and receive, as nftables rules; nothing here touches the host.

Three chains stand for a port:

    spoof-<id>   bridge family, as a frame enters: is it the port's own MAC and address?
    out-<id>     inet family, right after: do the egress rules allow it?
    in-<id>      inet family, once the bridge has chosen the port to go out of: the ingress rules

Replies pass by connection tracking, but only replies: what the *originator* of a connection sends is
measured against the rules packet by packet.  So a rule that is taken away ends the connections it had
allowed, and no conntrack entry has to be hunted down (nor can a guest revive one by going on talking).
"""

import ipaddress
from collections.abc import Iterable
from typing import Any

from nova.network.drivers.state import PortState, SecurityRule
from nova.network.host.nftables import ACCEPT, DROP, ct, either, field, match, meta, network
from nova.network.host.schema import PROTOCOLS

Rule = list[dict[str, Any]]

#: IPv6 does not work without neighbour discovery, so no security group can forbid it:
#: multicast listener, router solicitation/advertisement, neighbour solicitation/advertisement
_ND_OUT = [130, 131, 132, 133, 135, 136, 143]
_ND_IN = [130, 131, 132, 134, 135, 136, 143]

_NO_ADDRESS = '0.0.0.0'         # noqa: S104

_WITH_PORTS = {PROTOCOLS[name]: name for name in ('tcp', 'udp', 'udplite', 'sctp', 'dccp')}
_ICMP = {PROTOCOLS['icmp']: 'icmp', PROTOCOLS['icmpv6']: 'icmpv6'}


def _span(low: int | None, high: int | None) -> Any:
    return low if low == high or high is None else {'range': [low, high]}


def _merged(cidrs: Iterable[str]) -> list[str]:
    """The same addresses without overlaps, which an nftables set does not take."""
    networks = [ipaddress.ip_network(cidr, strict=False) for cidr in cidrs]
    merged: list[str] = []
    for version in (4, 6):
        merged += map(str, ipaddress.collapse_addresses(
            one for one in networks if one.version == version))
    return merged


def _l4(protocol: int, name: str) -> dict[str, Any]:
    """A field of the transport header, by the name nft has for it."""
    return field(_WITH_PORTS.get(protocol) or _ICMP[protocol], name)


def _transport(rule: SecurityRule) -> Rule:
    """The matches on protocol, ports, type and code."""
    if rule.protocol is None:
        return []
    number = int(rule.protocol)
    if number == PROTOCOLS['icmp'] and rule.ethertype == 'IPv6':
        number = PROTOCOLS['icmpv6']
    low, high = rule.port_range_min, rule.port_range_max
    found = [match(meta('l4proto'), number)]
    if number in _ICMP:
        if low is not None:
            found.append(match(_l4(number, 'type'), low))
            if high is not None:
                found.append(match(_l4(number, 'code'), high))
    elif number in _WITH_PORTS and low is not None:
        found.append(match(_l4(number, 'dport'), _span(low, high)))
    return found


def allowance(rule: SecurityRule) -> Rule | None:
    """One security group rule; None if it allows nobody."""
    version = 6 if rule.ethertype == 'IPv6' else 4
    found = [match(meta('nfproto'), f'ipv{version}'), *_transport(rule)]
    if rule.remote_cidrs is not None:
        remote = [cidr for cidr in _merged(rule.remote_cidrs)
                  if (':' in cidr) == (version == 6)]
        if not remote:
            return None
        if not any(cidr.endswith('/0') for cidr in remote):
            side = 'saddr' if rule.direction == 'ingress' else 'daddr'
            found.append(match(field('ip6' if version == 6 else 'ip', side),
                               either([network(cidr) for cidr in remote])))
    return [*found, ACCEPT]


def _always(discovery: list[int], source: int, target: int) -> list[Rule]:
    """What no group can take away: neighbour discovery, and DHCP between these two UDP ports."""
    six = (547, 546) if source == 67 else (546, 547)
    return [
        [match(meta('nfproto'), 'ipv6'), match(meta('l4proto'), 58),
         match(field('icmpv6', 'type'), {'set': discovery}), ACCEPT],
        [match(meta('nfproto'), 'ipv4'), match(field('udp', 'sport'), source),
         match(field('udp', 'dport'), target), ACCEPT],
        [match(meta('nfproto'), 'ipv6'), match(field('udp', 'sport'), six[0]),
         match(field('udp', 'dport'), six[1]), ACCEPT],
        [match(ct('state'), 'related', 'in'), ACCEPT],
        [match(ct('state'), 'established', 'in'), match(ct('direction'), 'reply'), ACCEPT],
        [match(ct('state'), 'invalid', 'in'), DROP],
    ]


def ingress(port: PortState) -> list[Rule]:
    """The chain ``in-<id>``."""
    allowed = [allowance(rule) for rule in port.security_rules if rule.direction == 'ingress']
    return [*_always(_ND_IN, 67, 68), *_distinct(allowed), [DROP]]


def egress(port: PortState) -> list[Rule]:
    """The chain ``out-<id>``."""
    allowed = [allowance(rule) for rule in port.security_rules if rule.direction == 'egress']
    return [*_always(_ND_OUT, 68, 67), *_distinct(allowed), [DROP]]


def _distinct(rules: Iterable[Rule | None]) -> list[Rule]:
    found: list[Rule] = []
    for rule in rules:
        if rule is not None and rule not in found:
            found.append(rule)
    return found


def link_local(mac: str) -> str:
    """The link-local IPv6 address that a MAC makes for itself (EUI-64)."""
    octets = [int(octet, 16) for octet in mac.split(':')]
    octets[0] ^= 2
    whole = octets[:3] + [0xff, 0xfe] + octets[3:]
    return str(ipaddress.IPv6Address((0xfe80 << 112) + int.from_bytes(bytes(whole), 'big')))


def own_addresses(port: PortState) -> dict[str, list[str]]:
    """For each MAC the port may use, the addresses it may use with it."""
    own = {port.mac_address: [one.ip_address for one in port.fixed_ips]}
    for pair in port.allowed_address_pairs:
        own.setdefault(pair.mac_address or port.mac_address, []).append(pair.ip_address)
    return {mac: _merged([*addresses, link_local(mac)]) for mac, addresses in own.items()}


def antispoof(port: PortState) -> list[Rule]:
    """The chain ``spoof-<id>``: accepts what is the port's own, drops the rest, VLAN tags and all."""
    own = own_addresses(port)
    rules: list[Rule] = [
        [match(field('ether', 'saddr'), either(list(own)), '!='), DROP],
        # a guest is no DHCP server and no router
        [match(field('ether', 'type'), 'ip'), match(field('udp', 'sport'), 67),
         match(field('udp', 'dport'), 68), DROP],
        [match(field('ether', 'type'), 'ip6'), match(field('udp', 'sport'), 547),
         match(field('udp', 'dport'), 546), DROP],
        [match(field('ether', 'type'), 'ip6'), match(meta('l4proto'), 58),
         match(field('icmpv6', 'type'), {'set': [134, 137]}), DROP],
        # what comes before an address is known: DHCP, address conflict probes, duplicate detection
        [match(field('ether', 'type'), 'ip'), match(field('ip', 'saddr'), _NO_ADDRESS),
         match(field('udp', 'sport'), 68), match(field('udp', 'dport'), 67), ACCEPT],
        [match(field('ether', 'type'), 'ip6'), match(field('ip6', 'saddr'), '::'),
         match(meta('l4proto'), 58), match(field('icmpv6', 'type'), {'set': [131, 133, 135, 143]}), ACCEPT],
    ]
    for mac, addresses in own.items():
        rules += _own(mac, [one for one in addresses if ':' not in one],
                      [one for one in addresses if ':' in one])
    return [*rules, [DROP]]


def _own(mac: str, four: list[str], six: list[str]) -> list[Rule]:
    """What one MAC may send."""
    sender = match(field('ether', 'saddr'), mac)
    speaker = [sender, match(field('ether', 'type'), 'arp'), match(field('arp', 'saddr ether'), mac)]
    rules: list[Rule] = [[*speaker, match(field('arp', 'operation'), 'request'),
                          match(field('arp', 'saddr ip'), _NO_ADDRESS), ACCEPT]]
    if four:
        addresses = either([network(one) for one in four])
        rules += [[*speaker, match(field('arp', 'saddr ip'), addresses), ACCEPT],
                  [sender, match(field('ether', 'type'), 'ip'), match(field('ip', 'saddr'), addresses),
                   ACCEPT]]
    advertised = [_target(one) for one in six]
    if all(advertised):
        rules += [[sender, match(field('ether', 'type'), 'ip6'), match(meta('l4proto'), 58),
                   match(field('icmpv6', 'type'), 136), *one, ACCEPT] for one in advertised if one]
        rules.append([sender, match(field('ether', 'type'), 'ip6'), match(meta('l4proto'), 58),
                      match(field('icmpv6', 'type'), 136), DROP])
    rules.append([sender, match(field('ether', 'type'), 'ip6'),
                  match(field('ip6', 'saddr'), either([network(one) for one in six])), ACCEPT])
    return rules


def _target(cidr: str) -> Rule | None:
    """The match on what a neighbour advertisement advertises; None for a range (left to ``ip6 saddr``).

    nft 1.0.6 has no name for that field: it is the 128 bits behind the first 64 of the ICMPv6 header,
    compared in two halves because JSON's integers end at 64 bits (and libjansson's at 63: in four).
    """
    network_ = ipaddress.IPv6Network(cidr)
    if network_.prefixlen != 128:
        return None
    words = [int.from_bytes(network_.network_address.packed[n:n + 4], 'big') for n in (0, 4, 8, 12)]
    return [match({'payload': {'base': 'th', 'offset': 64 + 32 * n, 'len': 32}}, word)
            for n, word in enumerate(words)]

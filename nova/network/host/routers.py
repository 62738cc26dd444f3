"""One router on this host: a namespace with a foot in each network.

    br-<net a> ── rtr-<port> ═══ qr-<port> ┐
    br-<net b> ── rtr-<port> ═══ qr-<port> ┼ rtr-<id>   routes, SNAT, floating addresses
    br-<public> ─ rtr-<port> ═══ qg-<port> ┘

A floating address is one more address of the external interface, so the router answers ARP for it; the
translation happens before the router would take a packet for its own.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from nova.network.drivers import state as states
from nova.network.drivers.state import FloatingIp, RouterInterface, RouterState
from nova.network.host import conntrack, namespaces, nftables, sockets
from nova.network.host import links as netlinks
from nova.network.host.advertisements import Advertiser
from nova.network.host.links import Link, Links
from nova.network.host.nftables import ACCEPT, DROP, Command, add, ct, either, field, match, meta
from nova.network.host.record import Record, ensure_sysctls
from strata import errors

KIND = 'routers'

TABLE = {'family': 'ip', 'table': 'strata_router'}

_FORWARDING = {
    'net/ipv4/ip_forward': '1', 'net/ipv6/conf/all/forwarding': '1', 'net/ipv6/conf/default/forwarding': '1',
    'net/ipv4/conf/all/rp_filter': '0', 'net/ipv4/conf/default/rp_filter': '0',
    # an address is answered for on its own interface only
    'net/ipv4/conf/all/arp_ignore': '1', 'net/ipv4/conf/all/arp_announce': '2',
    'net/ipv4/conf/all/send_redirects': '0', 'net/ipv4/conf/default/send_redirects': '0',
    'net/ipv6/conf/default/accept_ra': '0', 'net/ipv6/conf/all/accept_ra': '0',
    'net/ipv6/conf/default/accept_dad': '0', 'net/ipv6/conf/all/accept_dad': '0',
}

#: the mark of a packet from inside to a floating address: it must come back through the router
_HAIRPIN = 1


def outer_name(port_id: str) -> str:
    """The end of a router's foot that is on the bridge."""
    return 'rtr-' + port_id[:11]


def inner_name(port_id: str, *, gateway: bool) -> str:
    """The end that is in the router."""
    return ('qg-' if gateway else 'qr-') + port_id[:11]


def _four(addresses: Iterable[str]) -> list[str]:
    return [one for one in addresses if ':' not in one]


class Routers:
    """The routers of the host."""

    def __init__(self, record: Record) -> None:
        self._record = record
        #: what was last written into a namespace: its inode, the generation after, the commands
        self._translated: dict[str, tuple[int, int, list[Command]]] = {}
        self._advertiser = Advertiser()

    def apply(self, state: RouterState) -> None:
        """Make the host carry the router as the state says."""
        if clash := [id for id in self._record.ids(KIND) if id[:12] == state.id[:12] and id != state.id]:
            raise errors.Conflict('Router {id} begins like router {other}, which is on this host.',
                                  id=state.id, other=clash[0])
        feet = [*state.interfaces, *([state.gateway] if state.gateway else [])]
        before, wanted = self._record.intent(KIND, state.id), _intent(state)
        both = {key: sorted({*before.get(key, ()), *ports}) for key, ports in wanted.items()}
        self._record.intend(KIND, state.id, both)
        with netlinks.opened() as host:
            if state.admin_state_up:
                self._hush(state.id, set(both['advertising']) - set(wanted['advertising']))
                for id in set(both['ports']) - set(wanted['ports']):
                    host.remove(outer_name(id))
                self._apply(host, state, feet)
            else:
                self._take_down(host, state.id, both)
        self._record.intend(KIND, state.id, wanted)

    def _apply(self, host: Links, state: RouterState, feet: list[RouterInterface]) -> None:
        namespace = states.router_namespace(state.id)
        bridges = {foot.network_id: host.find(states.bridge_name(foot.network_id)) for foot in feet}
        for id, bridge in bridges.items():
            if bridge is None:
                raise errors.NotFound(kind='Network', id=id)
        if namespaces.create(namespace):
            with namespaces.entered(namespace):
                ensure_sysctls(_FORWARDING)
        self._translate(namespace, state)
        for foot in feet:
            outer = host.ensure_veth(outer_name(foot.port_id), namespace=namespace, mac=foot.mac_address,
                                     peer=inner_name(foot.port_id, gateway=foot is state.gateway))
            ensure_sysctls({f'net/ipv6/conf/{outer.name}/disable_ipv6': '1'})
            host.adjust(host.adjust(outer, mtu=foot.mtu, master=bridges[foot.network_id].index), up=True)
        fresh = []
        with netlinks.opened(namespace) as inside:
            inside.ensure_loopback()
            inner = {foot.port_id: self._address(inside, state, foot, fresh) for foot in feet}
            inside.ensure_routes(self._routes(state, feet, inner))
        for interface, mac, added in fresh:
            sockets.announce(namespace, interface, mac, added)
        for foot in state.interfaces:
            if foot.advertised:
                self._advertiser.ensure(namespace, inner[foot.port_id], foot)

    def _address(self, inside: Links, state: RouterState, foot: RouterInterface,
                 fresh: list[tuple[str, str, list[str]]]) -> Link:
        is_gateway = foot is state.gateway
        link = inside.found(inner_name(foot.port_id, gateway=is_gateway))
        link = inside.adjust(link, mtu=foot.mtu, up=True)
        addresses = list(foot.addresses)
        if is_gateway:
            addresses += [f'{one.floating_ip_address}/32' for one in state.floating_ips]
        added = inside.ensure_addresses(link, dict.fromkeys(addresses))
        fresh.append((link.name, foot.mac_address, added))
        return link

    def _routes(self, state: RouterState, feet: list[RouterInterface],
                inner: dict[str, Link]) -> dict[str, tuple[str, int]]:
        """Destination to (next hop, link index), for the hops that some foot reaches."""
        reach = [(ipaddress.ip_interface(address).network, inner[foot.port_id].index)
                 for foot in feet for address in foot.addresses]
        wanted = [(route.destination, route.nexthop) for route in state.routes]
        if state.gateway:
            wanted += [('::/0' if ':' in hop else '0.0.0.0/0', hop)                     # noqa: S104
                       for hop in state.gateway_nexthops]
        found: dict[str, tuple[str, int]] = {}
        for destination, hop in wanted:
            address = ipaddress.ip_address(hop)
            behind = next((index for network, index in reach if address in network), None)
            if address.is_link_local and state.gateway and destination == '::/0':
                behind = inner[state.gateway.port_id].index
            if behind is not None:
                found.setdefault(destination, (hop, behind))
        return found

    def _translate(self, namespace: str, state: RouterState) -> None:
        """Write the namespace's table if it does not hold what it should."""
        commands, inode = translation(state), namespaces.inode(namespace)
        with namespaces.entered(namespace):
            if self._translated.get(state.id) == (inode, nftables.generation(), commands):
                return
            self._translated.pop(state.id, None)
            nftables.transact(nftables.replaced_table(TABLE['family'], TABLE['table'], commands))
            conntrack.forget_translations(
                {one.floating_ip_address: one.fixed_ip_address for one in state.floating_ips},
                _outward(state.floating_ips), _snat_address(state))
            self._translated[state.id] = (inode, nftables.generation(), commands)

    def remove(self, id: str) -> None:
        """Take the router away."""
        if not self._record.knows(KIND, id):
            return
        with netlinks.opened() as host:
            self._take_down(host, id, self._record.intent(KIND, id))
        self._record.forget(KIND, id)

    def _take_down(self, host: Links, id: str, intent: Mapping[str, Iterable[str]]) -> None:
        self._hush(id, intent.get('advertising', ()))
        for port in intent.get('ports', ()):
            host.remove(outer_name(port))
        namespaces.remove(states.router_namespace(id))
        self._translated.pop(id, None)

    def _hush(self, id: str, ports: Iterable[str]) -> None:
        """These interfaces advertise no more; those that are still there say so."""
        namespace = states.router_namespace(id)
        for port in ports:
            self._advertiser.forget(port)
            if namespaces.exists(namespace):
                with netlinks.opened(namespace) as inside:
                    link = inside.find(inner_name(port, gateway=False))
                if link is not None:
                    self._advertiser.withdraw(namespace, link)


def _intent(state: RouterState) -> dict[str, list[str]]:
    """What is written down of a router before it is made."""
    feet = [*state.interfaces, *([state.gateway] if state.gateway else [])]
    return {'ports': sorted(foot.port_id for foot in feet),
            'advertising': sorted(foot.port_id for foot in state.interfaces if foot.advertised)}


def translation(state: RouterState) -> list[Command]:
    """The body of the router's table."""
    if not state.gateway:
        return []
    outside = inner_name(state.gateway.port_id, gateway=True)
    address = _snat_address(state)
    floating = [one for one in state.floating_ips if ':' not in one.floating_ip_address]
    rules: list[tuple[str, list[dict[str, Any]]]] = []
    if floating:
        rules += _floating(floating, outside, address)
    if state.enable_snat and address:
        rules += [('postrouting', [match(meta('oifname'), outside), {'snat': {'addr': address}}]),
                  # private addresses are nobody's business outside
                  ('forward', [match(meta('iifname'), outside),
                               match(ct('state'), {'set': ['established', 'related']}), ACCEPT]),
                  ('forward', [match(meta('iifname'), outside), match(ct('status'), 'dnat', 'in'), ACCEPT]),
                  ('forward', [match(meta('iifname'), outside), DROP])]
    hooks = (('mangle', 'filter', 'prerouting', -150), ('prerouting', 'nat', 'prerouting', -100),
             ('forward', 'filter', 'forward', 0), ('postrouting', 'nat', 'postrouting', 100))
    chains = [add('chain', **TABLE, name=name, type=kind, hook=hook, prio=priority, policy='accept')
              for name, kind, hook, priority in hooks]
    return chains + [add('rule', **TABLE, chain=chain, expr=expression) for chain, expression in rules]


def _snat_address(state: RouterState) -> str | None:
    """The IPv4 address of the router outside."""
    own = _four(state.gateway.addresses) if state.gateway else []
    return own[0].partition('/')[0] if own else None


def _outward(floating: Iterable[FloatingIp]) -> dict[str, str]:
    """Fixed address to floating one; of several, the first speaks."""
    outward: dict[str, str] = {}
    for one in floating:
        outward.setdefault(one.fixed_ip_address, one.floating_ip_address)
    return outward


def _floating(floating: list[FloatingIp], outside: str,
              address: str | None) -> list[tuple[str, list[dict[str, Any]]]]:
    """The rules of the floating addresses, in both directions and from inside to inside."""
    source, target = field('ip', 'saddr'), field('ip', 'daddr')
    inward = [[one.floating_ip_address, one.fixed_ip_address] for one in floating]
    outward = _outward(floating)
    back = [list(pair) for pair in outward.items()]
    known = match(source, either(list(outward)))
    speak = {'snat': {'addr': {'map': {'key': source, 'data': {'set': back}}}}}
    hairpin = match(meta('mark'), _HAIRPIN)
    rules: list[tuple[str, list[dict[str, Any]]]] = [
        ('mangle', [match(meta('iifname'), outside, '!='),
                    match(target, either([one.floating_ip_address for one in floating])),
                    {'mangle': {'key': meta('mark'), 'value': _HAIRPIN}}]),
        ('prerouting', [match(target, either([one.floating_ip_address for one in floating])),
                        {'dnat': {'addr': {'map': {'key': target, 'data': {'set': inward}}}}}]),
        ('postrouting', [match(meta('oifname'), outside), known, speak]),
        ('postrouting', [hairpin, known, speak]),
    ]
    if address:
        rules.append(('postrouting', [hairpin, {'snat': {'addr': address}}]))
    return rules

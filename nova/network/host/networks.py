"""One network on this host: bridge, way out, namespace with DHCP and metadata, taps, filters.

    host namespace                                      net-<id>
      tap... ┐
      tap... ┼─ br-<id> ── dhc-<id> ═══════════════ ns-<id>  DHCP address, 169.254.169.254
      rtr... ┘    └── vx-<id> | physical                     dnsmasq, metadata's socket

The filters of a port stand before its tap joins the bridge, and stay until the tap is gone.
"""

import hashlib
import ipaddress
from typing import Any

from nova.network.drivers import state as states
from nova.network.drivers.state import METADATA_ADDRESS, NetworkState, PortState
from nova.network.host import dnsmasq, namespaces, nftables
from nova.network.host import links as netlinks
from nova.network.host.filters import Filtered, Filters
from nova.network.host.links import Link, Links
from nova.network.host.nftables import add, field, match, meta
from nova.network.host.record import Record, ensure_sysctls, sysctl
from strata import errors

KIND = 'networks'

#: the host is not to be reached over a tenant's bridge: no addresses, no ARP, no IPv6
_DEAF = {'net/ipv6/conf/{}/disable_ipv6': '1', 'net/ipv4/conf/{}/arp_ignore': '8'}

#: the namespace serves its network and forwards nothing; addresses are usable at once
_QUIET = {'net/ipv4/ip_forward': '0', 'net/ipv6/conf/all/forwarding': '0',
          'net/ipv6/conf/default/accept_ra': '0', 'net/ipv6/conf/all/accept_ra': '0',
          'net/ipv6/conf/default/accept_dad': '0', 'net/ipv6/conf/all/accept_dad': '0'}


def local_mac(seed: str) -> str:
    """A locally administered MAC that is the same every time."""
    octets = bytearray(hashlib.sha256(seed.encode()).digest()[:6])
    octets[0] = (octets[0] & 0xfc) | 2
    return ':'.join(f'{octet:02x}' for octet in octets)


def tap_mac(mac: str) -> str:
    """The host's end of a port: the port's own MAC here would make the bridge keep its frames."""
    return 'fe' + mac[2:] if not mac.startswith('fe') else 'fa' + mac[2:]


def _names(id: str) -> dict[str, str]:
    short = id[:11]
    return {'bridge': states.bridge_name(id), 'namespace': states.network_namespace(id),
            'outer': 'dhc-' + short, 'inner': 'ns-' + short, 'vxlan': 'vx-' + short, 'vlan': 'vl-' + short,
            'masquerade': 'strata_masq_' + short}


class Networks:
    """The networks of the host."""

    def __init__(self, record: Record, filters: Filters, *, dnsmasq_user: str) -> None:
        self._record = record
        self._filters = filters
        self._user = dnsmasq_user
        self._servers: dict[str, dnsmasq.Dnsmasq] = {}

    def apply(self, state: NetworkState) -> None:
        """Make the host carry the network as the state says."""
        if clash := [id for id in self._record.ids(KIND) if id[:11] == state.id[:11] and id != state.id]:
            raise errors.Conflict('Network {id} begins like network {other}, which is on this host.',
                                  id=state.id, other=clash[0])
        local = [port for port in state.ports if port.tap and port.host == state.host]
        before = self._record.intent(KIND, state.id)
        recorded = set(before.get('ports', ()))
        intent = {'ports': sorted(recorded | {port.id for port in local}),
                  'physical': sorted(set(before.get('physical', ())) | set(_physical(state))),
                  'metadata': state.has_metadata}
        self._record.intend(KIND, state.id, intent)
        with netlinks.opened() as host:
            self._apply(host, state, local, intent)
        self._record.intend(KIND, state.id, {**intent, 'ports': sorted(port.id for port in local),
                                             'physical': _physical(state)})

    def _apply(self, host: Links, state: NetworkState, local: list[PortState],
               intent: dict[str, Any]) -> None:
        names = _names(state.id)
        bridge = host.ensure_bridge(names['bridge'], alias=f'strata network {state.id}', mtu=state.mtu,
                                    mac=local_mac(state.id), filtered=True)
        if not state.host_gateway:
            ensure_sysctls({name.format(names['bridge']): value for name, value in _DEAF.items()})
        members = {link.name: link for link in host.members(bridge)}
        wanted = {port.tap_name for port in local}
        gone = {states.tap_name(id) for id in intent['ports']} - wanted
        for name in gone:
            host.remove(name)
        overlay = names['vxlan'] if state.kind == 'vxlan' else None
        self._filters.apply(Filtered(id=state.id, guarded=not state.host_gateway, overlay=overlay,
                                     ports=tuple(local)), gone)
        self._way_out(host, state, bridge, names, intent)
        self._gateway(host, state, bridge, names)
        self._serve(host, state, bridge, names)
        for port in local:
            self._plug(host, state, bridge, port, members.get(port.tap_name))

    def _plug(self, host: Links, state: NetworkState, bridge: Link, port: PortState,
              link: Link | None) -> None:
        if link is None or link.kind == 'tun' and link.details.get('IFLA_TUN_OWNER', 0) != port.owner_uid:
            link = host.ensure_tap(port.tap_name, owner=port.owner_uid)
            ensure_sysctls({f'net/ipv6/conf/{link.name}/disable_ipv6': '1'})
        host.adjust(link, mac=tap_mac(port.mac_address), mtu=state.mtu, alias=f'strata port {port.id}')
        host.adjust(link, master=bridge.index)
        host.adjust(link, up=port.admin_state_up and state.admin_state_up)

    # ---- the way out

    def _way_out(self, host: Links, state: NetworkState, bridge: Link, names: dict[str, str],
                 intent: dict[str, Any]) -> None:
        if state.kind == 'vxlan':
            vxlan = host.ensure_vxlan(names['vxlan'], vni=state.segmentation_id or 0,
                                      local=state.local_ip or '')
            host.adjust(host.adjust(vxlan, mtu=state.mtu, master=bridge.index), up=True)
            ensure_sysctls({f'net/ipv6/conf/{names["vxlan"]}/disable_ipv6': '1'})
            host.ensure_flood(vxlan, (peer for peer in state.peers if peer != state.local_ip))
        else:
            host.remove(names['vxlan'])
        physical = self._physical(host, state) if state.kind in ('flat', 'vlan') else None
        if state.kind == 'vlan' and physical:
            vlan = host.ensure_vlan(names['vlan'], tag=state.segmentation_id or 0, physical=physical)
            host.adjust(physical, up=True)
            host.adjust(host.adjust(vlan, master=bridge.index), up=True)
        else:
            host.remove(names['vlan'])
        if state.kind == 'flat' and physical:
            host.adjust(host.adjust(physical, master=bridge.index), up=True)
        for name in set(intent['physical']) - set(_physical(state)):
            _release(host, name, bridge)

    def _physical(self, host: Links, state: NetworkState) -> Link:
        name = state.physical_interface or ''
        physical = host.find(name)
        if physical is None:
            raise errors.Invalid('The physical interface {name} is not there.', name=name)
        if state.kind == 'flat' and host.addresses(physical):
            raise errors.Invalid('The physical interface {name} carries addresses of the host; '
                                 'give the network an interface of its own.', name=name)
        return physical

    # ---- the host as gateway

    def _gateway(self, host: Links, state: NetworkState, bridge: Link, names: dict[str, str]) -> None:
        ranges = {subnet.gateway_ip: ipaddress.ip_network(subnet.cidr) for subnet in state.subnets
                  if subnet.gateway_ip and ':' not in subnet.cidr} if state.host_gateway else {}
        # a gateway outside of its range would lead the host's own traffic to that address astray
        ranges = {own: one for own, one in ranges.items() if ipaddress.ip_address(own) in one}
        host.ensure_addresses(bridge, [f'{own}/{one.prefixlen}' for own, one in ranges.items()])
        wanted = [add('chain', family='ip', table=names['masquerade'], name='postrouting', type='nat',
                      hook='postrouting', prio=100, policy='accept')] if ranges else []
        for one in ranges.values():
            prefix = nftables.network(str(one))
            wanted.append(add('rule', family='ip', table=names['masquerade'], chain='postrouting', expr=[
                match(field('ip', 'saddr'), prefix), match(field('ip', 'daddr'), prefix, '!='),
                match(meta('oifname'), names['bridge'], '!='), {'masquerade': None}]))
        self._filters.table(names['masquerade'], wanted)
        if ranges:
            self._record.set_sysctl('net/ipv4/ip_forward', '1', along=_changed_by_forwarding)

    # ---- DHCP and metadata

    def _serve(self, host: Links, state: NetworkState, bridge: Link, names: dict[str, str]) -> None:
        home = self._record.home(KIND, state.id)
        server = self._servers.setdefault(state.id, dnsmasq.Dnsmasq(home))
        addresses = [f'{subnet.dhcp_address}/{ipaddress.ip_network(subnet.cidr).prefixlen}'
                     for subnet in state.subnets if subnet.asks_dhcp and subnet.dhcp_address]
        if not addresses:
            server.stop()
            host.remove(names['outer'])
            namespaces.remove(names['namespace'])
            return
        if state.has_metadata:
            addresses.append(METADATA_ADDRESS + '/32')
        if namespaces.create(names['namespace']):
            with namespaces.entered(names['namespace']):
                ensure_sysctls(_QUIET)
        outer = host.ensure_veth(names['outer'], peer=names['inner'], namespace=names['namespace'],
                                 mac=state.dhcp_mac or local_mac(f'{state.host} {state.id}'))
        with netlinks.opened(names['namespace']) as inside:
            inside.ensure_loopback()
            inner = inside.adjust(inside.found(names['inner']), mtu=state.mtu, up=True)
            inside.ensure_addresses(inner, addresses)
        ensure_sysctls({f'net/ipv6/conf/{names["outer"]}/disable_ipv6': '1'})
        host.adjust(host.adjust(outer, mtu=state.mtu, master=bridge.index), up=True)
        if dnsmasq.serves(state):
            server.ensure(state, interface=inner, namespace=names['namespace'], user=self._user)
        else:
            server.stop()

    # ---- taking away

    def remove(self, id: str) -> None:
        """Take the network away with all its ports."""
        intent = self._record.intent(KIND, id)
        if not self._record.knows(KIND, id):
            return
        names, taps = _names(id), [states.tap_name(port) for port in intent.get('ports', ())]
        self._servers.pop(id, dnsmasq.Dnsmasq(self._record.home(KIND, id))).stop()
        with netlinks.opened() as host:
            bridge = host.find(names['bridge'])
            for name in taps:
                host.remove(name)
            for name in intent.get('physical', ()):
                if bridge:
                    _release(host, name, bridge)
            for name in (names['outer'], names['vxlan'], names['vlan'], names['bridge']):
                host.remove(name)
        namespaces.remove(names['namespace'])
        self._filters.remove(id, taps)
        self._filters.table(names['masquerade'], [])
        self._record.forget(KIND, id)

    def remove_port(self, id: str) -> None:
        """Take one port's device and rules away, whichever network it is of."""
        network = self.ports().get(id)
        if network is None:
            return
        tap = states.tap_name(id)
        with netlinks.opened() as host:
            host.remove(tap)
        self._filters.remove_port(tap)
        intent = self._record.intent(KIND, network)
        self._record.intend(KIND, network, {**intent, 'ports': [one for one in intent['ports'] if one != id]})

    def ports(self) -> dict[str, str]:
        """Each port with a device here, and its network."""
        return {port: network for network in self._record.ids(KIND)
                for port in self._record.intent(KIND, network).get('ports', ())}

    def metadata_namespace(self, id: str) -> str:
        """The namespace that has the network's metadata address; ``errors.NotFound`` if none has."""
        if not self._record.intent(KIND, id).get('metadata') or \
                not namespaces.exists(states.network_namespace(id)):
            raise errors.NotFound(kind='Network with a metadata address', id=id)
        return states.network_namespace(id)


def _physical(state: NetworkState) -> list[str]:
    return [state.physical_interface] if state.kind == 'flat' and state.physical_interface else []


def _release(host: Links, name: str, bridge: Link) -> None:
    """Let a physical interface go, if it is still ours to let go."""
    link = host.find(name)
    if link and link.master == bridge.index:
        host.adjust(link, master=0)


def _changed_by_forwarding() -> list[str]:
    """The sysctls that the kernel changes along with ip_forward."""
    with netlinks.opened() as host:
        interfaces = [link.name for link in host.all()]
    return ['net/ipv4/conf/all/accept_redirects', 'net/ipv4/conf/default/forwarding',
            *(f'net/ipv4/conf/{name}/forwarding' for name in interfaces if _has_sysctls(name))]


def _has_sysctls(interface: str) -> bool:
    try:
        sysctl(f'net/ipv4/conf/{interface}/forwarding')
    except FileNotFoundError:
        return False
    return True

"""Links, addresses and routes of one namespace: look first, then change only what differs.

A ``Links`` wraps netlink sockets.  They belong to the namespace they were opened in, so the links of
another namespace are reached without entering it again.
"""

import contextlib
import dataclasses
import errno
import fcntl
import ipaddress
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from nova.network.host import dump, namespaces
from nova.network.host.dump import Link
from strata import errors

#: routes we made carry this origin, so that those of the kernel and the administrator are left alone
_STATIC = 4
_SKIP_STATISTICS = 8

_TUNSETIFF, _TUNSETPERSIST, _TUNSETOWNER = 0x400454ca, 0x400454cb, 0x400454cc
_TAP_WITHOUT_PI = 0x1002


def _link(message: Any) -> Link:
    info = message.get_attr('IFLA_LINKINFO')
    data = info and info.get_attr('IFLA_INFO_DATA')
    return Link(index=message['index'], name=message.get_attr('IFLA_IFNAME'),
                kind=info and info.get_attr('IFLA_INFO_KIND'), master=message.get_attr('IFLA_MASTER'),
                up=bool(message['flags'] & 1), mtu=message.get_attr('IFLA_MTU'),
                mac=message.get_attr('IFLA_ADDRESS') or '', alias=message.get_attr('IFLA_IFALIAS'),
                details=dict(data['attrs']) if data and 'attrs' in data else {})


@contextlib.contextmanager
def opened(namespace: str | None = None) -> Iterator['Links']:
    """The links of a namespace by its name, or of the one the thread is in."""
    with namespaces.entered(namespace) if namespace else contextlib.nullcontext():
        netlink = IPRoute()
        raw = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    try:
        yield Links(netlink, raw)
    finally:
        netlink.close()
        raw.close()


class Links:
    """The links of one namespace."""

    def __init__(self, netlink: IPRoute, raw: socket.socket) -> None:
        self._netlink, self._raw = netlink, raw

    def find(self, name: str) -> Link | None:
        """The link of that name, or None."""
        try:
            return _link(self._netlink.link('get', ifname=name, ext_mask=_SKIP_STATISTICS)[0])
        except NetlinkError as error:
            if error.code == errno.ENODEV:
                return None
            raise

    def all(self) -> list[Link]:
        """Every link, without the details of its kind."""
        return dump.links(self._raw)

    def members(self, bridge: Link) -> list[Link]:
        """The links enslaved to a bridge; of the details of their kinds only a tap's owner."""
        return dump.links(self._raw, bridge.index)

    def remove(self, name: str) -> None:
        """Delete a link; one already gone is a success."""
        link = self.find(name)
        if link:
            self.delete(link)

    def delete(self, link: Link) -> None:
        try:
            self._netlink.link('del', index=link.index)
        except NetlinkError as error:
            if error.code != errno.ENODEV:
                raise

    def adjust(self, link: Link, **wanted: Any) -> Link:
        """Change what differs of ``master`` (an index, 0 for none), ``up``, ``mtu``, ``mac``, ``alias``."""
        present = {'master': link.master or 0, 'up': link.up, 'mtu': link.mtu, 'mac': link.mac,
                   'alias': link.alias}
        change = {key: value for key, value in wanted.items() if present[key] != value}
        if not change:
            return link
        words = {'mac': 'address', 'alias': 'ifalias'}
        request = {words.get(key, key): value for key, value in change.items() if key != 'up'}
        if 'up' in change:
            request['state'] = 'up' if change['up'] else 'down'
        self._netlink.link('set', index=link.index, **request)
        return dataclasses.replace(link, **change)

    def ensure_loopback(self) -> None:
        loopback = self.find('lo')
        if loopback:
            self.adjust(loopback, up=True)

    def ensure_bridge(self, name: str, *, alias: str, mtu: int, mac: str | None, filtered: bool) -> Link:
        """A bridge without spanning tree or snooping; ``filtered`` frames go through the inet hooks.

        The hooks are switched on for this bridge alone: the host-wide sysctls keep their values, and
        with them every other bridge of the host.
        """
        link = self._of_kind(name, 'bridge')
        if link is None:
            self._netlink.link('add', ifname=name, kind='bridge', br_forward_delay=0, br_mcast_snooping=0)
            link = self.found(name)
        for word in ('IPTABLES', 'IP6TABLES'):
            if link.details.get(f'IFLA_BR_NF_CALL_{word}') != int(filtered):
                self._netlink.link('set', index=link.index, kind='bridge',
                                   **{f'br_nf_call_{word.lower()}': int(filtered)})
        wanted: dict[str, Any] = {'alias': alias, 'mtu': mtu, 'up': True}
        if mac:
            wanted['mac'] = mac
        return self.adjust(link, **wanted)

    def ensure_tap(self, name: str, *, owner: int) -> Link:
        """A persistent tap that ``owner`` may open.  A link of that name is taken as it is."""
        link = self.find(name)
        if link is not None:
            if link.kind == 'tun' and link.details.get('IFLA_TUN_OWNER', 0) != owner:
                self.delete(link)
            else:
                return link
        device = os.open('/dev/net/tun', os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(device, _TUNSETIFF, struct.pack('16sH22x', name.encode(), _TAP_WITHOUT_PI))
            fcntl.ioctl(device, _TUNSETOWNER, owner)
            fcntl.ioctl(device, _TUNSETPERSIST, 1)
        finally:
            os.close(device)
        return self.found(name)

    def ensure_veth(self, name: str, *, peer: str, namespace: str, mac: str) -> Link:
        """A pair: ``name`` here, ``peer`` with its MAC in the namespace.  A torn pair is made anew."""
        link = self._of_kind(name, 'veth')
        if link is not None:
            with opened(namespace) as inside:
                other = inside.find(peer)
                if other is not None and other.mac == mac:
                    return link
                if other is not None:
                    inside.delete(other)
            self.remove(name)
        else:
            with opened(namespace) as inside:
                inside.remove(peer)
        with namespaces.descriptor(namespace) as there:
            self._netlink.link('add', ifname=name, kind='veth',
                               peer={'ifname': peer, 'address': mac, 'net_ns_fd': there})
        return self.found(name)

    def ensure_vxlan(self, name: str, *, vni: int, local: str) -> Link:
        """A VXLAN device that learns who is behind which peer."""
        link = self._of_kind(name, 'vxlan')
        word = 'IFLA_VXLAN_LOCAL6' if ':' in local else 'IFLA_VXLAN_LOCAL'
        if link is not None and (link.details.get('IFLA_VXLAN_ID') != vni
                                 or link.details.get(word) != local):
            self.delete(link)
            link = None
        if link is None:
            self._netlink.link('add', ifname=name, kind='vxlan', vxlan_id=vni, vxlan_port=4789,
                               vxlan_learning=1,
                               **{'vxlan_local6' if ':' in local else 'vxlan_local': local})
            link = self.found(name)
        return link

    def ensure_vlan(self, name: str, *, tag: int, physical: Link) -> Link:
        """A VLAN device on a physical interface."""
        link = self._of_kind(name, 'vlan')
        if link is not None and link.details.get('IFLA_VLAN_ID') != tag:
            self.delete(link)
            link = None
        if link is None:
            self._netlink.link('add', ifname=name, kind='vlan', link=physical.index, vlan_id=tag)
            link = self.found(name)
        return link

    def ensure_flood(self, vxlan: Link, peers: Iterable[str]) -> None:
        """Frames for everyone and for strangers go to exactly these peers."""
        zero, wanted = '00:00:00:00:00:00', set(peers)
        present = {entry.get_attr('NDA_DST') for entry in self._netlink.fdb('dump', ifindex=vxlan.index)
                   if entry.get_attr('NDA_LLADDR') == zero and entry['ifindex'] == vxlan.index}
        for peer in wanted - present:
            self._netlink.fdb('append', ifindex=vxlan.index, lladdr=zero, dst=peer)
        for peer in present - wanted:
            self._netlink.fdb('del', ifindex=vxlan.index, lladdr=zero, dst=peer)

    def addresses(self, link: Link) -> set[str]:
        """The link's addresses with their prefix length, but for link-local IPv6."""
        found = set()
        for message in self._netlink.addr('dump', index=link.index):
            local = message.get_attr('IFA_LOCAL') or message.get_attr('IFA_ADDRESS')
            if not local.startswith('fe80:'):
                found.add(f'{local}/{message["prefixlen"]}')
        return found

    def ensure_addresses(self, link: Link, wanted: Iterable[str]) -> list[str]:
        """The link has these addresses and no others; those that were added are returned."""
        wanted, present = list(wanted), self.addresses(link)
        for one in present - set(wanted):
            address, prefix = one.split('/')
            with contextlib.suppress(NetlinkError):     # went with the primary one of its range
                self._netlink.addr('del', index=link.index, address=address, prefixlen=int(prefix))
        if present - set(wanted):
            present = self.addresses(link)
        added = [one for one in wanted if one not in present]
        for one in added:
            address, prefix = one.split('/')
            self._netlink.addr('add', index=link.index, address=address, prefixlen=int(prefix))
        return added

    def ensure_routes(self, wanted: dict[str, tuple[str, int]]) -> None:
        """Exactly these static routes: destination to (next hop, index of the link it is behind).

        A hop the namespace cannot reach is passed over, as the kernel would drop such a route with its link.
        """
        present = {}
        for family in (socket.AF_INET, socket.AF_INET6):
            for message in self._netlink.route('dump', family=family, table=254):
                if message['proto'] == _STATIC:
                    default = '0.0.0.0' if family == socket.AF_INET else '::'     # noqa: S104
                    destination = f'{message.get_attr("RTA_DST") or default}/{message["dst_len"]}'
                    present[destination] = (message.get_attr('RTA_GATEWAY'), message.get_attr('RTA_OIF'))
        for destination in present.keys() - wanted.keys():
            with contextlib.suppress(NetlinkError):
                self._netlink.route('del', dst=destination, gateway=present[destination][0], proto=_STATIC,
                                    family=_family(destination))
        for destination, hop in wanted.items():
            if present.get(destination) != hop:
                self._netlink.route('replace', dst=destination, gateway=hop[0], oif=hop[1], proto=_STATIC,
                                    family=_family(destination))

    def found(self, name: str) -> Link:
        """The link of that name, which must be there."""
        link = self.find(name)
        if link is None:
            raise errors.Error(f'The interface {name} vanished while it was set up.')
        return link

    def _of_kind(self, name: str, kind: str) -> Link | None:
        link = self.find(name)
        if link is not None and link.kind != kind:
            raise errors.Conflict('The interface {name} is there already and is no {kind}.',
                                  name=name, kind=kind)
        return link


def _family(destination: str) -> int:
    return socket.AF_INET6 if ipaddress.ip_network(destination).version == 6 else socket.AF_INET

"""What a server is told about itself: the trees of the metadata service and of the config drive.

::

    gather(server) -> Facts        what it takes, in a few queries
    openstack(facts), ec2(facts)   the trees, every version
    files(server)                  what a config drive holds of them: {path: bytes}
"""

import base64
import dataclasses
import ipaddress
import os
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from nova.db import passwords, server_lists, services
from nova.db.servers import Server
from nova.network import ports
from nova.wiring import Wiring

#: the published versions, and what each brought
GRIZZLY, HAVANA, LIBERTY = '2013-04-04', '2013-10-17', '2015-10-15'
NEWTON, OCATA = '2016-06-30', '2017-02-22'
VENDOR2, VICTORIA = '2016-10-06', '2020-10-14'
OPENSTACK = ('2012-08-10', GRIZZLY, HAVANA, LIBERTY, NEWTON, VENDOR2, OCATA, '2018-08-27', VICTORIA)
EC2 = ('1.0', '2007-01-19', '2007-03-01', '2007-08-29', '2007-10-10', '2007-12-15', '2008-02-01',
       '2008-09-01',
       '2009-04-04')
LATEST = 'latest'


@dataclasses.dataclass(frozen=True)
class Facts:
    """A server, and what is known of it beside its row."""

    server: Server
    addresses: Sequence[Mapping[str, Any]]
    groups: Sequence[str]
    zone: str
    domain: str
    password: str = ''

    @property
    def hostname(self) -> str:
        """Its name with the domain, unless it has one already."""
        name = self.server.hostname or self.server.name
        return name if '.' in name or not self.domain else f'{name}.{self.domain}'

    @property
    def user_data(self) -> bytes | None:
        """User data as the guest gets it."""
        return base64.b64decode(self.server.user_data) if self.server.user_data else None

    def address(self, kind: str) -> str:
        """The first IPv4 address that is 'fixed' or 'floating', or nothing."""
        return next((each['address'] for each in self.addresses
                     if each['type'] == kind and each['version'] == 4), '')


def gather(wiring: Wiring, server: Server) -> Facts:
    """The facts about a server."""
    with wiring.db.reading() as tx:
        hosts = services.every(tx, binary='nova-compute', host=server.host) if server.host else []
        zone = hosts[0].availability_zone if hosts else server.availability_zone
        return Facts(
            server=server, addresses=ports.info(tx, [server.id]).get(server.id, []),
            groups=server_lists.groups_of(tx, [server.id]).get(server.id, []),
            zone=zone or wiring.conf.default_availability_zone, domain=wiring.conf.dhcp_domain,
            password=passwords.get(tx, server.id))


def files(wiring: Wiring, server: Server) -> dict[str, bytes]:
    """What a config drive holds: path -> content."""
    facts = gather(wiring, server)
    held = {path: content for path, content in openstack(facts).items() if not path.endswith('/password')}
    for version in ('2009-04-04', LATEST):
        held[f'ec2/{version}/meta-data.json'] = orjson.dumps(ec2(facts))
        if facts.user_data is not None:
            held[f'ec2/{version}/user-data'] = facts.user_data
    return held


def openstack(facts: Facts) -> dict[str, bytes]:
    """The OpenStack tree, every version of it: ``openstack/latest/meta_data.json`` ..."""
    held: dict[str, bytes] = {}
    seed = base64.b64encode(os.urandom(512)).decode()
    network = orjson.dumps(network_data(facts.addresses))
    for version in (*OPENSTACK, LATEST):
        at = f'openstack/{version}'
        number = '9999' if version == LATEST else version
        held[f'{at}/meta_data.json'] = orjson.dumps(_meta_data(facts, number, seed))
        if facts.user_data is not None:
            held[f'{at}/user_data'] = facts.user_data
        if number >= GRIZZLY:
            held[f'{at}/password'] = facts.password.encode()
        if number >= HAVANA:
            held[f'{at}/vendor_data.json'] = b'{}'
        if number >= LIBERTY:
            held[f'{at}/network_data.json'] = network
        if number >= VENDOR2:
            held[f'{at}/vendor_data2.json'] = b'{}'
    for index, file in enumerate(_personality(facts.server)):
        held[f'openstack/content/{index:04}'] = base64.b64decode(file['contents'])
    return held


def _personality(server: Server) -> Sequence[Mapping[str, str]]:
    return server.request.get('personality') or ()


def _meta_data(facts: Facts, version: str, seed: str) -> dict[str, Any]:
    server = facts.server
    shown: dict[str, Any] = {
        'uuid': server.id, 'name': server.name, 'hostname': facts.hostname,
        'launch_index': server.launch_index,
        'availability_zone': facts.zone}
    if server.meta:
        shown['meta'] = server.meta
    if server.key_name and server.key_data:
        shown['public_keys'] = {server.key_name: server.key_data}
        shown['keys'] = [{'name': server.key_name, 'type': server.key_type or 'ssh', 'data': server.key_data}]
    if _personality(server):
        shown['files'] = [{'content_path': f'/content/{index:04}', 'path': file['path']}
                          for index, file in enumerate(_personality(server))]
    if version >= HAVANA:
        shown['random_seed'] = seed
    if version >= LIBERTY:
        shown['project_id'] = server.project_id
    if version >= NEWTON:
        shown['devices'] = _devices(facts.addresses)
    if version >= VICTORIA:
        shown['dedicated_cpus'] = []
    return shown


def _devices(addresses: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The NICs that were given a tag, by the MAC address the guest sees."""
    tagged = {each['mac']: each['tag'] for each in addresses if each.get('tag')}
    return [{'type': 'nic', 'bus': 'none', 'address': 'none', 'mac': mac, 'tags': [tag]}
            for mac, tag in tagged.items()]


def network_data(addresses: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """``network_data.json``: links by MAC address, and how each address is had."""
    links: dict[str, dict[str, Any]] = {}
    networks: list[dict[str, Any]] = []
    resolvers: list[str] = []
    for each in addresses:
        if each['type'] != 'fixed':
            continue
        links.setdefault(each['port_id'], {
            'id': each['device'], 'vif_id': each['port_id'], 'type': 'tap', 'mtu': each['mtu'],
            'ethernet_mac_address': each['mac']})
        networks.append({'id': f'network{len(networks)}', 'link': each['device'],
                         'network_id': each['network_id'],
                         **_network(each)})
        if not each['dhcp']:
            resolvers += [server for server in each['dns'] if server not in resolvers]
    return {'links': list(links.values()), 'networks': networks,
            'services': [{'type': 'dns', 'address': address} for address in resolvers]}


def _network(address: Mapping[str, Any]) -> dict[str, Any]:
    """One address: had by DHCP or router advertisement, or told in full."""
    family = f'ipv{address["version"]}'
    if address['dhcp'] and address['version'] == 4:
        return {'type': 'ipv4_dhcp'}
    if address['dhcp']:
        return {'type': f'ipv6_{address["mode"] or "dhcp"}'}
    own = ipaddress.ip_network(address['cidr'])
    default = '0.0.0.0/0' if address['version'] == 4 else '::/0'
    routes = [{'destination': default, 'nexthop': address['gateway']}] if address['gateway'] else []
    return {'type': family, 'ip_address': address['address'], 'netmask': str(own.netmask),
            'routes': [_route(route) for route in [*routes, *address['routes']]],
            'services': [{'type': 'dns', 'address': server} for server in address['dns']]}


def _route(route: Mapping[str, str]) -> dict[str, str]:
    to = ipaddress.ip_network(route['destination'], strict=False)
    return {'network': str(to.network_address), 'netmask': str(to.netmask), 'gateway': route['nexthop']}


def ec2(facts: Facts) -> dict[str, Any]:
    """The EC2 metadata as a tree of dicts; a list is a leaf of several lines."""
    server = facts.server
    tree: dict[str, Any] = {
        'ami-id': _ec2_id('ami', server.image_id), 'ami-launch-index': str(server.launch_index),
        'ami-manifest-path': '(unknown)', 'hostname': facts.hostname,
        'local-hostname': facts.hostname, 'public-hostname': facts.hostname, 'instance-action': 'none',
        'instance-id': f'i-{server.number:08x}', 'instance-type': server.flavor['name'],
        'local-ipv4': facts.address('fixed'), 'public-ipv4': facts.address('floating'),
        'reservation-id': server.reservation_id or '', 'security-groups': list(facts.groups),
        'placement': {'availability-zone': facts.zone},
        'block-device-mapping': {'ami': (server.root_device_name or '/dev/vda').removeprefix('/dev/'),
                                 'root': server.root_device_name or '/dev/vda'}}
    if server.kernel_id:
        tree['kernel-id'] = _ec2_id('aki', server.kernel_id)
    if server.ramdisk_id:
        tree['ramdisk-id'] = _ec2_id('ari', server.ramdisk_id)
    if server.key_name and server.key_data:
        tree['public-keys'] = {'0': {'_name': '0=' + server.key_name, 'openssh-key': server.key_data}}
    return tree


def _ec2_id(kind: str, id: str | None) -> str:
    return f'{kind}-{id[:8]}' if id else ''

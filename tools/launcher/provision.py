"""What a fresh cloud is given: accounts, a catalog, flavors, an image, networks.  All of it idempotent."""

import io
import ipaddress
import os
import re
import subprocess
from typing import Any

from launcher.cloud import Cloud
from launcher.settings import Settings, Trouble, checkout

#: type, name, path below the port of which service
CATALOG = (('image', 'glance', 'image', ''), ('compute', 'nova', 'compute', '/v2.1'),
           ('network', 'neutron', 'network', ''),
           ('object-store', 'swift', 'object-store', '/v1/AUTH_%(project_id)s'))
#: what the object store knows beside the usual roles: owns its project's account; owns every account
OBJECT_ROLES = ('swiftoperator', 'ResellerAdmin')
#: name, id, MiB, GiB, vcpus
FLAVORS = (('m1.nano', '42', 192, 1, 1), ('m1.micro', '84', 256, 1, 1), ('m1.tiny', '1', 512, 1, 1),
           ('m1.small', '2', 2048, 20, 1), ('m1.medium', '3', 4096, 40, 2), ('m1.large', '4', 8192, 80, 4))
IMAGE = 'tiny'
#: candidates for the range of the external network; the first that the host does not use
PUBLIC = ('172.24.4.0/24', '172.24.5.0/24', '172.28.14.0/24', '10.244.4.0/24', '192.168.244.0/24')
PRIVATE = '10.0.0.0/26'


def accounts(cloud: Cloud) -> None:
    """The services' users, and a project ``demo`` with its member."""
    for name in OBJECT_ROLES:
        cloud.ensure('identity', '/v3/roles', 'role', {'name': name}, {})
    roles = {role['name']: role['id'] for role in cloud.get('identity', '/v3/roles')['roles']}
    for user, project, names in (('glance', 'service', ('service', 'admin')), ('nova', 'service', ('service', 'admin')),
                                 ('swift', 'service', ('service', 'admin')),
                                 ('demo', 'demo', ('member',)), ('admin', 'demo', ('admin',))):
        home = cloud.ensure('identity', '/v3/projects', 'project', {'name': project, 'domain_id': 'default'}, {})
        if user == 'admin':
            someone = cloud.get('identity', '/v3/users', name='admin', domain_id='default')['users'][0]
        else:
            someone = cloud.ensure('identity', '/v3/users', 'user', {'name': user, 'domain_id': 'default'},
                                   {'password': cloud.settings.secrets[user], 'default_project_id': home['id']})
        for name in names:
            cloud.call('PUT', 'identity', f'/v3/projects/{home["id"]}/users/{someone["id"]}/roles/{roles[name]}')


def catalog(cloud: Cloud) -> None:
    """Services and their endpoints; URLs are brought up to date."""
    for kind, name, service, path in CATALOG:
        entry = cloud.ensure('identity', '/v3/services', 'service', {'type': kind}, {'name': name})
        url = cloud.settings.url(service, path)
        for interface in ('public', 'internal', 'admin'):
            endpoint = cloud.ensure('identity', '/v3/endpoints', 'endpoint',
                                    {'service_id': entry['id'], 'interface': interface},
                                    {'url': url, 'region_id': 'RegionOne'})
            if endpoint['url'] != url:
                cloud.call('PATCH', 'identity', f'/v3/endpoints/{endpoint["id"]}', json={'endpoint': {'url': url}})


def flavors(cloud: Cloud) -> None:
    """The usual sizes."""
    known = {flavor['id'] for flavor in cloud.get('compute', '/v2.1/flavors')['flavors']}
    for name, id, ram, disk, vcpus in FLAVORS:
        if id not in known:
            cloud.post('compute', '/v2.1/flavors', {'flavor': {'name': name, 'id': id, 'ram': ram, 'disk': disk,
                                                               'vcpus': vcpus}})


def guest_image(settings: Settings) -> str:
    """Build the guest image if it is not there; returns its path."""
    path = settings.path('guest', f'{IMAGE}.qcow2')
    if os.path.exists(path):
        return path
    os.makedirs(os.path.dirname(path), exist_ok=True)
    done = subprocess.run([os.path.join(checkout(), 'tools', 'guest-image'), '--output', path],
                          capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Trouble(f'the guest image could not be built: {(done.stderr or done.stdout).strip()[-300:]}',
                      'run tools/guest-image by hand.')
    return path


def image(cloud: Cloud) -> dict[str, Any]:
    """The guest image in the image service, public."""
    found = {one['status']: one for one in cloud.get('image', '/v2/images', name=IMAGE)['images']}
    if 'active' in found:
        return found['active']
    fake = cloud.settings.fake      # nothing will boot from it, so a disk of zeros will do
    entry = found.get('queued') or cloud.post('image', '/v2/images', {      # an "up" that was interrupted
        'name': IMAGE, 'disk_format': 'raw' if fake else 'qcow2', 'container_format': 'bare',
        'visibility': 'public', 'min_ram': 96})
    with io.BytesIO(bytes(1 << 20)) if fake else open(guest_image(cloud.settings), 'rb') as file:
        cloud.call('PUT', 'image', f'/v2/images/{entry["id"]}/file', data=file, timeout=300,
                   headers={'Content-Type': 'application/octet-stream'})
    return entry


def public_network(cloud: Cloud) -> dict[str, Any]:
    """The external network, on a range that the host does not use otherwise."""
    known = cloud.get('network', '/v2.0/networks', name='public')['networks']
    network = known[0] if known else cloud.post('network', '/v2.0/networks', {'network': {
        'name': 'public', 'router:external': True, 'is_default': True}})['network']
    if not cloud.get('network', '/v2.0/subnets', network_id=network['id'])['subnets']:
        cidr = free_range()
        hosts = list(ipaddress.ip_network(cidr).hosts())
        cloud.post('network', '/v2.0/subnets', {'subnet': {
            'name': 'public-subnet', 'network_id': network['id'], 'ip_version': 4, 'cidr': cidr,
            'enable_dhcp': False, 'gateway_ip': str(hosts[0]),
            'allocation_pools': [{'start': str(hosts[1]), 'end': str(hosts[-1])}]}})
    return network


def free_range() -> str:
    """The first candidate that overlaps no route of this host."""
    try:
        said = subprocess.run(['ip', '-4', 'route'], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        said = ''
    used = [ipaddress.ip_network(word, strict=False)
            for word in re.findall(r'^(?:\w+ )?(\d+\.\d+\.\d+\.\d+(?:/\d+)?)', said, re.MULTILINE)]
    for candidate in PUBLIC:
        if not any(ipaddress.ip_network(candidate).overlaps(range_) for range_ in used):
            return candidate
    raise Trouble(f'this host has routes to all of {", ".join(PUBLIC)}.', 'remove one of them.')


def private_network(cloud: Cloud, external: dict[str, Any]) -> dict[str, Any]:
    """A network of the project, behind a router to the outside."""
    network = cloud.ensure('network', '/v2.0/networks', 'network',
                           {'name': 'private', 'project_id': cloud.project_id}, {})
    subnets = cloud.get('network', '/v2.0/subnets', network_id=network['id'])['subnets']
    subnet = subnets[0] if subnets else cloud.post('network', '/v2.0/subnets', {'subnet': {
        'name': 'private-subnet', 'network_id': network['id'], 'ip_version': 4, 'cidr': PRIVATE}})['subnet']
    router = cloud.ensure('network', '/v2.0/routers', 'router', {'name': 'router', 'project_id': cloud.project_id},
                          {'external_gateway_info': {'network_id': external['id']}})
    ports = cloud.get('network', '/v2.0/ports', device_id=router['id'], network_id=network['id'])['ports']
    if not ports:
        cloud.call('PUT', 'network', f'/v2.0/routers/{router["id"]}/add_router_interface',
                   json={'subnet_id': subnet['id']})
    return network


def open_doors(cloud: Cloud) -> None:
    """Let SSH and ping into the project's default security group."""
    [group] = cloud.get('network', '/v2.0/security-groups', name='default', project_id=cloud.project_id)[
        'security_groups']
    for rule in ({'protocol': 'icmp'}, {'protocol': 'tcp', 'port_range_min': 22, 'port_range_max': 22}):
        cloud.call('POST', 'network', '/v2.0/security-group-rules', ok=(409,), json={'security_group_rule': {
            'security_group_id': group['id'], 'direction': 'ingress', 'ethertype': 'IPv4',
            'remote_ip_prefix': '0.0.0.0/0', **rule}})

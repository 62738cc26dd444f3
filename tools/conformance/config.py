"""Tempest's configuration for a cloud: what is there, and what is not."""

import configparser
import os
from typing import Any

from launcher.cloud import Cloud
from launcher.settings import Settings

Sections = dict[str, dict[str, object]]

#: two images of the same bytes under two ids, and two flavors of onestack's, the second not smaller
ALTERNATIVE = 'tiny-alternative'
FLAVORS = ('42', '84')

#: features of servers that this cloud does not have
ABSENT = ('resize', 'shelve', 'cold_migration', 'live_migration', 'rescue', 'snapshot', 'interface_attach',
          'change_password', 'attach_encrypted_volume', 'ide_bus', 'vnc_console')


def images(cloud: Cloud) -> list[str]:
    """The ids of two public images, the second of which is made if need be."""
    first = cloud.get('image', '/v2/images', name='tiny', status='active')['images'][0]
    found = cloud.get('image', '/v2/images', name=ALTERNATIVE, status='active')['images']
    if found:
        return [first['id'], found[0]['id']]
    other = cloud.post('image', '/v2/images', {'name': ALTERNATIVE, 'visibility': 'public', 'min_ram': 96,
                                               'disk_format': first['disk_format'], 'container_format': 'bare'})
    content = cloud.session.get(cloud.settings.url('image', f'/v2/images/{first["id"]}/file'), timeout=60).content
    cloud.call('PUT', 'image', f'/v2/images/{other["id"]}/file', data=content, timeout=300,
               headers={'Content-Type': 'application/octet-stream'})
    return [first['id'], other['id']]


def current(realms: dict[str, Any]) -> tuple[str, str]:
    """The realm and the name that an object store has in it, of all that its ``/info`` tells."""
    return next((realm, name) for realm, told in realms.items() for name, one in told['clusters'].items()
                if one.get('current'))


def sections(settings: Settings, cloud: Cloud, workspace: str) -> Sections:
    """All options that differ from Tempest's defaults."""
    image, other = images(cloud)
    aliases = [one['alias'] for one in cloud.get('network', '/v2.0/extensions')['extensions']]
    info = cloud.get('object-store', '/info')
    realm, cluster = current(info['container_sync']['realms'])
    public = cloud.get('network', '/v2.0/networks', name='public')['networks'][0]
    return {
        'DEFAULT': {'debug': True, 'log_dir': os.path.join(workspace, 'logs'), 'log_file': 'tempest.log',
                    'use_stderr': False},
        'oslo_concurrency': {'lock_path': os.path.join(workspace, 'locks')},
        'auth': {'use_dynamic_credentials': True, 'create_isolated_networks': True, 'tempest_roles': 'member',
                 'admin_username': 'admin', 'admin_password': settings.secrets['admin'],
                 'admin_project_name': 'admin', 'admin_domain_name': 'Default'},
        'identity': {'auth_version': 'v3', 'uri_v3': settings.url('identity', '/v3'), 'region': 'RegionOne',
                     'v3_endpoint_type': 'public'},
        'identity-feature-enabled': {'trust': False, 'access_rules': True, 'security_compliance': False},
        'service_available': {'nova': True, 'glance': True, 'neutron': True, 'cinder': False, 'swift': True,
                              'horizon': False},
        'compute': {'image_ref': image, 'image_ref_alt': other, 'flavor_ref': FLAVORS[0],
                    'flavor_ref_alt': FLAVORS[1], 'build_timeout': 120, 'max_microversion': '2.96',
                    'min_compute_nodes': 1},
        'compute-feature-enabled': {**dict.fromkeys(ABSENT, False), 'hostname_fqdn_sanitization': True,
                                    'metadata_service': not settings.fake},
        # by emulation a guest takes its time
        'validation': {'run_validation': not settings.fake, 'connect_method': 'floating', 'image_ssh_user': 'root',
                       'image_alt_ssh_user': 'root', 'ssh_timeout': 240, 'ping_timeout': 240},
        'network': {'public_network_id': public['id'], 'floating_network_name': 'public',
                    'project_network_cidr': '10.100.0.0/16', 'project_network_mask_bits': 28},
        'network-feature-enabled': {'api_extensions': ','.join(aliases), 'ipv6_subnet_attributes': True,
                                    'port_security': True},
        'object-storage': {'operator_role': 'member', 'reseller_admin_role': 'ResellerAdmin', 'build_timeout': 30,
                           'realm_name': realm, 'cluster_name': cluster},
        'object-storage-feature-enabled': {'discoverable_apis': ','.join(sorted(info)),
                                           'object_versioning': True, 'container_sync': True,
                                           'tempurl_digest_hashlib': 'sha256'},
        'image-feature-enabled': {'import_image': True, 'image_format_enforcement': True},
    }


def write(path: str, options: Sections) -> None:
    """Write an INI file that only its owner may read, for there is a password in it."""
    parser = configparser.RawConfigParser(default_section='')
    parser.read_dict({name: {key: str(value) for key, value in group.items()} for name, group in options.items()})
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w', encoding='utf-8') as file:
        parser.write(file)

"""The object store on one host: three zones on three directories, and the conf files that say so."""

import os
from collections.abc import Mapping

from launcher.settings import Settings, Trouble
from swift.ring import files
from swift.ring.builder import RingBuilder

#: directory and zone of each device
DEVICES = {'d1': 1, 'd2': 2, 'd3': 3}
KINDS = ('account', 'container', 'object')
#: of the hash, 10 bits tell the partition: enough for these devices many times over
PART_POWER = 10
#: the published order
PIPELINE = ('catch_errors gatekeeper healthcheck proxy-logging cache listing_formats container_sync bulk tempurl '
            'ratelimit crossdomain formpost authtoken keystoneauth staticweb copy container-quotas account-quotas slo '
            'dlo versioned_writes symlink proxy-logging')
#: the realm that this cloud is, for itself: containers may follow others of it
REALM, CLUSTER = 'onestack', 'here'
#: seconds between two sweeps of the daemons, and objects or megabytes a second: one host has no hurry
DAEMONS: dict[str, dict[str, object]] = {
    'account-replicator': {'interval': 300}, 'container-replicator': {'interval': 300},
    'object-replicator': {'interval': 300},
    'account-auditor': {'interval': 3600}, 'container-auditor': {'interval': 3600},
    'object-auditor': {'interval': 3600, 'files_per_second': 20, 'bytes_per_second': 10_000_000},
    'account-reaper': {'interval': 600}, 'container-updater': {'interval': 60}, 'container-sync': {'interval': 60},
    'container-reconciler': {'interval': 300}, 'object-updater': {'interval': 60}, 'object-expirer': {'interval': 60},
}

Sections = dict[str, Mapping[str, object]]


def check_attributes(settings: Settings) -> None:
    """Raise ``Trouble`` if the data directory's file system keeps no extended attributes."""
    path = settings.path('objects')
    try:
        os.setxattr(path, 'user.onestack', b'1')
        os.removexattr(path, 'user.onestack')
    except OSError as error:
        raise Trouble(f'{path} is on a file system without extended attributes ({error.strerror}).',
                      'choose a --data-dir on ext4, XFS or btrfs.') from error


def build_rings(settings: Settings, folder: str) -> None:
    """The rings, made once; later only the ports in them may change."""
    for kind in KINDS:
        path = os.path.join(folder, f'{kind}.builder')
        port = settings.port(kind)
        if os.path.exists(path):
            builder = RingBuilder.load(path)
            stale = [dev for dev in builder.live() if dev['port'] != port]
            for dev in stale:
                builder.set_info(dev['id'], {'port': port, 'replication_port': port})
            if not stale and os.path.exists(os.path.join(folder, f'{kind}.ring.gz')):
                continue
        else:
            builder = RingBuilder(PART_POWER, 3, 1)
            for device, zone in DEVICES.items():
                builder.add({'region': 1, 'zone': zone, 'ip': '127.0.0.1', 'port': port, 'device': device,
                             'weight': 100})
            builder.rebalance(seed=1)
        builder.save(path)
        files.write_ring(os.path.join(folder, f'{kind}.ring.gz'), builder.ring_data())


def conf_files(settings: Settings) -> dict[str, Sections]:
    """The conf files by name."""
    folder = settings.path('etc', 'swift')
    common = {'swift_dir': folder, 'devices': settings.path('objects'), 'mount_check': 'false', 'user': '',
              'recon_cache_path': settings.path('objects-recon'), 'log_file': settings.path('log', 'swift.log')}
    found: dict[str, Sections] = {'swift': {
        'swift-hash': {'swift_hash_path_suffix': settings.secrets['swift_hash']},
        'storage-policy:0': {'name': 'Policy-0', 'default': 'yes'}},
        'container-sync-realms': {REALM: {'key': settings.secrets['sync_realm'],
                                          f'cluster_{CLUSTER}': settings.url('object-store', '/v1/')}}}
    for kind in KINDS:
        found[f'{kind}-server'] = {
            'DEFAULT': {**common, 'bind_ip': '127.0.0.1', 'bind_port': settings.port(kind)},
            'pipeline:main': {'pipeline': f'recon {kind}-server'},
            'filter:recon': {'use': 'egg:swift#recon'},
            f'app:{kind}-server': {'use': f'egg:swift#{kind}'},
            **{name: options for name, options in DAEMONS.items() if name.startswith(kind)}}
    found['proxy-server'] = {
        'DEFAULT': {**common, 'bind_port': settings.port('object-store')},
        'pipeline:main': {'pipeline': f'{PIPELINE} proxy-server'},
        'app:proxy-server': {'use': 'egg:swift#proxy', 'account_autocreate': 'true'},
        **_filters(PIPELINE, settings)}
    internal = 'catch_errors cache copy slo dlo versioned_writes symlink'
    found['internal-client'] = {
        'DEFAULT': common, 'pipeline:main': {'pipeline': f'{internal} proxy-server'},
        'app:proxy-server': {'use': 'egg:swift#proxy', 'account_autocreate': 'true'},
        **_filters(internal, settings)}
    return found


def _filters(pipeline: str, settings: Settings) -> Sections:
    identity = settings.url('identity', '/v3')
    told: dict[str, Mapping[str, object]] = {
        'authtoken': {'www_authenticate_uri': identity, 'auth_url': identity, 'username': 'swift',
                      'password': settings.secrets['swift'], 'project_name': 'service',
                      'user_domain_name': 'Default', 'project_domain_name': 'Default', 'region_name': 'RegionOne',
                      'delay_auth_decision': 'true', 'interface': 'internal'},
        'keystoneauth': {'operator_roles': 'admin, member, swiftoperator', 'reseller_admin_role': 'ResellerAdmin',
                         'project_reader_roles': 'reader'},
        'container_sync': {'current': f'//{REALM}/{CLUSTER}'},
        'versioned_writes': {'allow_versioned_writes': 'true', 'allow_object_versioning': 'true'},
    }
    eggs = {'cache': 'memcache'}
    return {f'filter:{name}': {'use': f'egg:swift#{eggs.get(name, name.replace("-", "_"))}', **told.get(name, {})}
            for name in dict.fromkeys(pipeline.split())}

"""The configuration files of this cloud's daemons, and the directories they use."""

import os
import pwd
from collections.abc import Mapping

from launcher import objects
from launcher.settings import DAEMON_USER, Settings, checkout, write

Sections = Mapping[str, Mapping[str, object]]

#: directories below the data directory; guests' disks must be reachable for qemu
FOLDERS = {'etc': 0o750, 'log': 0o755, 'run': 0o755, 'db': 0o750, 'keys': 0o700, 'keys/fernet': 0o700,
           'keys/credential': 0o700, 'images': 0o750, 'instances': 0o755, 'nova': 0o755,
           'etc/swift': 0o750, 'objects': 0o750, 'objects-recon': 0o755,
           **{f'objects/{device}': 0o750 for device in objects.DEVICES}}


def owner(settings: Settings) -> tuple[int, int]:
    """User and group of the daemons: a system user where they face real machines, else ourselves."""
    if os.geteuid() or settings.fake:
        return os.geteuid(), os.getegid()
    entry = pwd.getpwnam(DAEMON_USER)
    return entry.pw_uid, entry.pw_gid


def lay_out(settings: Settings) -> None:
    """Make the directories and write every daemon's configuration."""
    uid, gid = owner(settings)
    os.makedirs(settings.data_dir, mode=0o755, exist_ok=True)
    for name, mode in FOLDERS.items():
        path = settings.path(name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        if not os.geteuid():
            os.chown(path, *((0, 0) if name == 'run' else (uid, gid)))      # the helper gives up overriding modes
    settings.save()
    for name, sections in (('keystone', keystone(settings)), ('glance', glance(settings)), ('nova', nova(settings))):
        write(settings.path('etc', f'{name}.conf'), _ini(sections), mode=0o640, owner=(uid, gid))
    objects.check_attributes(settings)
    for name, sections in objects.conf_files(settings).items():
        write(settings.path('etc', 'swift', f'{name}.conf'), _ini(sections), mode=0o640, owner=(uid, gid))
    objects.build_rings(settings, settings.path('etc', 'swift'))
    for name in os.listdir(settings.path('etc', 'swift')):
        os.chown(settings.path('etc', 'swift', name), uid, gid)


def _ini(sections: Sections) -> str:
    lines = ['# written by onestack at every "up"; change what it is told, not this file']
    for name, options in sections.items():
        lines += ['', f'[{name}]', *(f'{key} = {value}' for key, value in options.items())]
    return '\n'.join(lines) + '\n'


def _database(settings: Settings, name: str) -> dict[str, object]:
    return {'connection': f'sqlite:///{settings.path("db", name + ".sqlite")}'}


def _authtoken(settings: Settings, user: str) -> dict[str, object]:
    return {'auth_url': settings.url('identity', '/v3'), 'username': user, 'password': settings.secrets[user],
            'project_name': 'service', 'region_name': 'RegionOne'}


def _paste(*parts: str) -> str:
    return os.path.join(checkout(), 'etc', *parts)


def keystone(settings: Settings) -> Sections:
    """keystone.conf."""
    return {'DEFAULT': {'log_file': settings.path('log', 'keystone.log')},
            'database': _database(settings, 'keystone'),
            'api': {'port': settings.port('identity'), 'paste_config': _paste('keystone', 'api-paste.ini')},
            'fernet_tokens': {'key_repository': settings.path('keys', 'fernet')},
            'credential': {'key_repository': settings.path('keys', 'credential')}}


def glance(settings: Settings) -> Sections:
    """glance.conf, of API and registry in one process."""
    return {'DEFAULT': {'log_file': settings.path('log', 'glance.log'), 'bind_port': settings.port('image')},
            'database': _database(settings, 'glance'),
            'glance_store': {'stores': 'file, swift', 'default_store': settings.image_store,    # both: images stay put
                             'filesystem_store_datadir': settings.path('images'),
                             'swift_store_create_container_on_put': 'true',
                             'swift_store_endpoint_type': 'internalURL'},
            'registry': {'bind_port': settings.port('registry')},
            'keystone_authtoken': _authtoken(settings, 'glance')}


def nova(settings: Settings) -> Sections:
    """nova.conf, of all of nova in one process."""
    fake = settings.fake
    return {
        'DEFAULT': {'log_file': settings.path('log', 'nova.log'), 'transport_url': 'local://',
                    'state_path': settings.path('nova'), 'api_paste_config': _paste('nova', 'api-paste.ini'),
                    'instance_name_template': settings.instance_names,
                    'osapi_compute_listen_port': settings.port('compute'),
                    'network_listen_port': settings.port('network'),
                    'metadata_listen_port': settings.port('metadata')},
        'database': _database(settings, 'nova'),
        'compute': {'driver': 'fake' if fake else 'libvirt', 'instances_path': settings.path('instances'),
                    **({'fake_state_path': settings.path('nova', 'fake-guests')} if fake else {})},
        'network': {'driver': 'fake' if fake else 'linux', 'helper_socket': settings.path('run', 'net-helper.sock'),
                    **({'fake_state_path': settings.path('nova', 'fake-networks')} if fake else {})},
        'glance': {'endpoint_override': settings.url('image')},
        'keystone_authtoken': _authtoken(settings, 'nova')}

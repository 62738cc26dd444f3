"""clouds.yaml and openrc, in the home of the person who called us, merged with what is there."""

import os
import shlex

import yaml

from launcher.settings import Person, Settings, Trouble, write

CLOUD, ADMIN = 'onestack', 'onestack-admin'
MARK = '# written by onestack'


def _auth(settings: Settings, user: str, project: str) -> dict[str, str]:
    return {'auth_url': settings.url('identity', '/v3'), 'username': user, 'password': settings.secrets[user],
            'project_name': project, 'user_domain_name': 'Default', 'project_domain_name': 'Default'}


def clouds(settings: Settings) -> dict[str, dict[str, object]]:
    """Our entries of clouds.yaml: a member of the project demo, and the administrator."""
    return {name: {'auth': _auth(settings, user, user), 'region_name': 'RegionOne', 'identity_api_version': '3',
                   'interface': 'public'}
            for name, user in ((CLOUD, 'demo'), (ADMIN, 'admin'))}


def write_all(settings: Settings, who: Person) -> tuple[str, str]:
    """Write both files, owned by the person; returns their paths."""
    folder = os.path.join(who.home, '.config', 'openstack')
    _make(folder, who)
    path = os.path.join(folder, 'clouds.yaml')
    write(path, merged(_read(path), clouds(settings)), mode=0o600, owner=(who.uid, who.gid))
    rc = os.path.join(folder, 'openrc')
    write(rc, openrc(settings), mode=0o600, owner=(who.uid, who.gid))
    return path, rc


def remove(who: Person) -> None:
    """Take our entries out again; a file that held nothing else goes."""
    folder = os.path.join(who.home, '.config', 'openstack')
    path, rc = os.path.join(folder, 'clouds.yaml'), os.path.join(folder, 'openrc')
    if os.path.exists(rc) and MARK in _read(rc):
        os.unlink(rc)
    text = _read(path)
    if not text:
        return
    document = _parsed(path, text)
    known = {name: entry for name, entry in (document.get('clouds') or {}).items() if name not in (CLOUD, ADMIN)}
    if not known and set(document) <= {'clouds'}:
        os.unlink(path)
    else:
        document['clouds'] = known
        write(path, yaml.safe_dump(document, sort_keys=False), mode=0o600, owner=(who.uid, who.gid))


def merged(text: str, entries: dict[str, dict[str, object]], path: str = 'clouds.yaml') -> str:
    """The text of clouds.yaml with our entries put in and everything else kept."""
    document = _parsed(path, text)
    document['clouds'] = {**(document.get('clouds') or {}), **entries}
    return yaml.safe_dump(document, sort_keys=False)


def _parsed(path: str, text: str) -> dict[str, dict[str, object]]:
    try:
        document = yaml.safe_load(text) if text.strip() else {}
    except yaml.YAMLError as error:
        raise Trouble(f'{path} is not valid YAML.', 'mend it or move it away, then run "up" again.') from error
    if not isinstance(document, dict):
        raise Trouble(f'{path} does not hold a mapping.', 'move it away, then run "up" again.')
    return document


def openrc(settings: Settings) -> str:
    """A shell script: ``. openrc`` is the member demo, ``. openrc admin`` the administrator."""
    accounts = {user: _auth(settings, user, user) for user in ('demo', 'admin')}
    lines = [f'{MARK}; ". openrc" is the project demo, ". openrc admin" the administrator',
             'export OS_IDENTITY_API_VERSION=3 OS_REGION_NAME=RegionOne OS_INTERFACE=public',
             'export OS_USER_DOMAIN_NAME=Default OS_PROJECT_DOMAIN_NAME=Default',
             f'export OS_AUTH_URL={settings.url("identity", "/v3")}',
             'if [ "${1:-}" = admin ]; then']
    for user, otherwise in (('admin', 'else'), ('demo', 'fi')):
        lines += [f'    export OS_USERNAME={user} OS_PROJECT_NAME={user}',
                  f'    export OS_PASSWORD={shlex.quote(accounts[user]["password"])}', otherwise]
    return '\n'.join(lines) + '\n'


def _read(path: str) -> str:
    try:
        with open(path, encoding='utf-8') as file:
            return file.read()
    except FileNotFoundError:
        return ''


def _make(folder: str, who: Person) -> None:
    """Make a folder below the person's home, theirs all the way."""
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        os.mkdir(path, 0o700)
        os.chown(path, who.uid, who.gid)

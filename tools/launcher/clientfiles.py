"""clouds.yaml and openrc, in the home of the person who called us, merged with what is there."""

import contextlib
import os
import re
import shlex
from typing import Any

import yaml

from launcher.settings import Person, Settings, Trouble, write

CLOUD, ADMIN = 'onestack', 'onestack-admin'
MARK = '# written by onestack'
#: around our entries in clouds.yaml
BEGIN, END = '# onestack wrote this', '# up to here'


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
    path, text = os.path.join(folder, 'clouds.yaml'), _read(os.path.join(folder, 'clouds.yaml'))
    changed = merged(text, clouds(settings), path)
    if changed != text:
        write(_target(path, who), changed, mode=0o600, owner=(who.uid, who.gid))
    rc = os.path.join(folder, 'openrc')
    write(rc, openrc(settings), mode=0o600, owner=(who.uid, who.gid))
    return path, rc


def _target(path: str, who: Person) -> str:
    """Where to write: a link to a file of the person's (in a folder of dot files, say) stays one."""
    real = os.path.realpath(path)
    return real if os.path.exists(real) and os.stat(real).st_uid == who.uid else path


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
    document['clouds'] = {name: entry for name, entry in (document.get('clouds') or {}).items()
                          if name not in (CLOUD, ADMIN)}
    if not document['clouds'] and set(document) <= {'clouds'}:
        os.unlink(path)
    else:
        write(_target(path, who), _edited(_cut(text), document), mode=0o600, owner=(who.uid, who.gid))


def merged(text: str, entries: dict[str, dict[str, object]], path: str = 'clouds.yaml') -> str:
    """The text of clouds.yaml with our entries put in and everything else kept, comments too where that can be."""
    document = _parsed(path, text)
    document['clouds'] = {**(document.get('clouds') or {}), **entries}
    return _edited(_inserted(_cut(text), entries), document)


def _edited(text: str, document: dict[str, Any]) -> str:
    """The edited text if it says what it should, else the document written anew."""
    with contextlib.suppress(yaml.YAMLError):
        said = yaml.safe_load(text)
        if isinstance(said, dict) and {**said, 'clouds': said.get('clouds') or {}} == document:
            return text
    return yaml.safe_dump(document, sort_keys=False)


def _cut(text: str) -> str:
    """The text without the lines between our marks."""
    return re.sub(rf'^ *{re.escape(BEGIN)}\n.*?^ *{re.escape(END)}\n', '', text, flags=re.MULTILINE | re.DOTALL)


def _inserted(text: str, entries: dict[str, dict[str, object]]) -> str:
    """The text with our entries, between marks, at the top of ``clouds:``."""
    head = re.search(r'^clouds: *(#.*)?\n', text, re.MULTILINE)
    if head is None:
        text = f'{text.rstrip()}\nclouds:\n'.lstrip()
        position = len(text)
    else:
        position = head.end()
    first = re.search(r'^( *)[^\s#]', text[position:], re.MULTILINE)
    indent = (first and first[1]) or '  '
    block = [BEGIN, *yaml.safe_dump(entries, sort_keys=False).splitlines(), END]
    return text[:position] + ''.join(f'{indent}{line}\n' for line in block) + text[position:]


def _parsed(path: str, text: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Trouble(f'{path} is not valid YAML.', 'mend it or move it away, then run "up" again.') from error
    document = {} if document is None else document
    if not isinstance(document, dict) or not isinstance(document.get('clouds') or {}, dict):
        raise Trouble(f'{path} does not hold clouds by name.', 'move it away, then run "up" again.')
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

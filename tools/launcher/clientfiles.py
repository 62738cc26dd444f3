"""clouds.yaml and openrc, in the home of the person who called us, merged with what is there."""

import contextlib
import dataclasses
import glob
import os
import re
import shlex
from typing import Any

import yaml

from launcher.settings import Person, Settings, Trouble, write

#: what our first cloud on a host is called; others have more behind it
CLOUD = 'onestack'
MARK = '# written by onestack'
#: around the entries of each cloud of ours in clouds.yaml
BEGIN, END = '# onestack wrote this', '# up to here'
_BLOCK = re.compile(rf'^ *{re.escape(BEGIN)}\n.*?^ *{re.escape(END)}\n', re.MULTILINE | re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Written:
    """Where the entries are: the paths of clouds.yaml and openrc, the member's cloud and the administrator's."""

    clouds: str
    openrc: str
    member: str
    admin: str


def _auth(settings: Settings, user: str, project: str) -> dict[str, str]:
    return {'auth_url': settings.url('identity', '/v3'), 'username': user, 'password': settings.secrets[user],
            'project_name': project, 'user_domain_name': 'Default', 'project_domain_name': 'Default'}


def clouds(settings: Settings, name: str = CLOUD) -> dict[str, dict[str, object]]:
    """Our entries of clouds.yaml: a member of the project demo, and the administrator."""
    return {name: {'auth': _auth(settings, user, user), 'region_name': 'RegionOne', 'identity_api_version': '3',
                   'interface': 'public'}
            for name, user in ((name, 'demo'), (f'{name}-admin', 'admin'))}


def _is_of(settings: Settings, name: str, entry: object) -> bool:
    """Whether an entry is one that this cloud wrote: it has a password of it, or its address."""
    auth = entry.get('auth') if isinstance(entry, dict) else None
    if not name.startswith(CLOUD) or not isinstance(auth, dict) or auth.get('username') not in ('demo', 'admin'):
        return False
    return (auth.get('password') == settings.secrets[auth['username']]
            or auth.get('auth_url') == settings.url('identity', '/v3'))


def _name(settings: Settings, all_entries: dict[str, Any]) -> str:
    """What this cloud is called: as before, or what no other has for a name."""
    ours = {name for name, entry in all_entries.items() if _is_of(settings, name, entry)}
    before = [name for name in ours if f'{name}-admin' in ours]
    if before:
        return min(before)
    folder = re.sub(r'[^A-Za-z0-9.]+', '-', os.path.basename(settings.data_dir)).strip('-')
    others = set(all_entries) - ours
    for name in (CLOUD, f'{CLOUD}-{folder}'):
        if name not in (f'{CLOUD}-', f'{CLOUD}-{CLOUD}') and not {name, f'{name}-admin'} & others:
            return name
    return f'{CLOUD}-{settings.port("identity")}'


def write_all(settings: Settings, who: Person) -> Written:
    """Write both files, owned by the person; the entries of other clouds stay."""
    folder = os.path.join(who.home, '.config', 'openstack')
    _make(folder, who)
    path, text = os.path.join(folder, 'clouds.yaml'), _read(os.path.join(folder, 'clouds.yaml'))
    document = _parsed(path, text)
    name = _name(settings, document.get('clouds') or {})
    entries = clouds(settings, name)
    document['clouds'] = {**_others(settings, document), **entries}
    changed = _edited(_inserted(_cut(text, settings), entries), document)
    if changed != text:
        write(_target(path, who), changed, mode=0o600, owner=(who.uid, who.gid))
    rc = os.path.join(folder, f'openrc{name.removeprefix(CLOUD)}')
    write(rc, openrc(settings), mode=0o600, owner=(who.uid, who.gid))
    return Written(path, rc, *entries)


def _others(settings: Settings, document: dict[str, Any]) -> dict[str, Any]:
    """The entries that are not this cloud's."""
    return {name: entry for name, entry in (document.get('clouds') or {}).items()
            if not _is_of(settings, name, entry)}


def _target(path: str, who: Person) -> str:
    """Where to write: a link to a file of the person's (in a folder of dot files, say) stays one."""
    real = os.path.realpath(path)
    return real if os.path.exists(real) and os.stat(real).st_uid == who.uid else path


def remove(settings: Settings, who: Person) -> None:
    """Take this cloud's entries out again; a file that held nothing else goes."""
    folder = os.path.join(who.home, '.config', 'openstack')
    for rc in glob.glob(os.path.join(glob.escape(folder), 'openrc*')):
        if MARK in (said := _read(rc)) and f'OS_AUTH_URL={settings.url("identity", "/v3")}\n' in said:
            os.unlink(rc)
    path = os.path.join(folder, 'clouds.yaml')
    text = _read(path)
    if not text:
        return
    document = _parsed(path, text)
    document['clouds'] = _others(settings, document)
    if not document['clouds'] and set(document) <= {'clouds'}:
        os.unlink(path)
    else:
        write(_target(path, who), _edited(_cut(text, settings), document), mode=0o600, owner=(who.uid, who.gid))


def _edited(text: str, document: dict[str, Any]) -> str:
    """The edited text if it says what it should, else the document written anew."""
    with contextlib.suppress(yaml.YAMLError):
        said = yaml.safe_load(text)
        if isinstance(said, dict) and {**said, 'clouds': said.get('clouds') or {}} == document:
            return text
    return yaml.safe_dump(document, sort_keys=False)


def _cut(text: str, settings: Settings) -> str:
    """The text without the lines between marks that hold this cloud's entries."""
    def kept(block: re.Match[str]) -> str:
        try:
            entries = yaml.safe_load(block[0])
        except yaml.YAMLError:
            return block[0]
        ours = isinstance(entries, dict) and any(_is_of(settings, *each) for each in entries.items())
        return '' if ours else block[0]
    return _BLOCK.sub(kept, text)


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

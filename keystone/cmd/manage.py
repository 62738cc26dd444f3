"""``keystone-manage``: what an operator does beside the API.

::

    keystone-manage db sync | db version
    keystone-manage fernet setup | fernet rotate
    keystone-manage credential setup | credential rotate
    keystone-manage bootstrap --bootstrap-password SECRET ...

The older spellings with an underscore (``db_sync``) mean the same.
"""

from strata import green

green.patch()

import argparse  # noqa: E402
import grp  # noqa: E402
import os  # noqa: E402
import pwd  # noqa: E402
import sys  # noqa: E402
from collections.abc import Sequence  # noqa: E402

from keystone import conf as options  # noqa: E402
from keystone import credential  # noqa: E402
from keystone.bootstrap import Wishes, bootstrap  # noqa: E402
from keystone.cmd.keystone import wire  # noqa: E402
from keystone.db import tables  # noqa: E402
from keystone.wiring import Wiring  # noqa: E402
from strata import errors, log, migrate  # noqa: E402

INTERFACES = ('public', 'internal', 'admin')


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog='keystone-manage', description='Manage the identity service.')
    top.add_argument('--config-file', action='append', metavar='PATH', help='a configuration file')
    words = top.add_subparsers(dest='noun', required=True, metavar='COMMAND')
    noun = words.add_parser('db', help='the database').add_subparsers(dest='verb', required=True)
    noun.add_parser('sync', help='bring the schema up to date')
    noun.add_parser('version', help='print the version of the schema')
    for name in ('fernet', 'credential'):
        noun = words.add_parser(name, help=f'the {name} keys').add_subparsers(dest='verb', required=True)
        for verb, about in (('setup', 'make the first keys'), ('rotate', 'bring in a new primary key')):
            command = noun.add_parser(verb, help=about)
            command.add_argument('--keystone-user', help='who the files are given to')
            command.add_argument('--keystone-group')
    _add_bootstrap(words.add_parser('bootstrap', help='make the administrator and what a cloud begins with'))
    return top


def _add_bootstrap(command: argparse.ArgumentParser) -> None:
    environ = os.environ
    for name, default in (('username', 'admin'), ('password', None), ('project-name', 'admin'),
                          ('service-name', 'keystone'), ('region-id', 'RegionOne'),
                          *((f'{interface}-url', None) for interface in INTERFACES)):
        variable = 'OS_BOOTSTRAP_' + name.upper().replace('-', '_')
        command.add_argument(f'--bootstrap-{name}', default=environ.get(variable, default),
                             help=f'default: {variable}, or {default or "none"}')


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; returns the exit status."""
    given = _spelled(list(sys.argv[1:] if argv is None else argv))
    asked = parser().parse_args(given)
    try:
        conf = options.load('keystone-manage', [], files=asked.config_file)
        log.setup(debug=conf.debug, path=conf.log_file, form=conf.log_format)
        run(wire(conf), asked)
    except errors.Error as error:
        print(f'keystone-manage: {error}', file=sys.stderr)
        return 1
    except OSError as error:
        print(f'keystone-manage: {error.filename or ""}: {error.strerror}', file=sys.stderr)
        return 1
    return 0


def _spelled(words: list[str]) -> list[str]:
    """The command line with ``db_sync`` as ``db sync``."""
    nouns = ('db', 'fernet', 'credential')
    return [part for word in words for part in
            (word.split('_', 1) if word.partition('_')[0] in nouns and '_' in word else [word])]


def run(wired: Wiring, asked: argparse.Namespace) -> None:
    """Carry out a parsed command on one process's wiring."""
    if asked.noun == 'db' and asked.verb == 'sync':
        tables.upgrade(wired.db)
    elif asked.noun == 'db':
        print(migrate.current(wired.db) or 'empty')
    elif asked.noun == 'bootstrap':
        urls = {interface: getattr(asked, f'bootstrap_{interface}_url') for interface in INTERFACES}
        bootstrap(wired, Wishes(
            password=asked.bootstrap_password, username=asked.bootstrap_username,
            project=asked.bootstrap_project_name, service=asked.bootstrap_service_name,
            region=asked.bootstrap_region_id, urls={name: url for name, url in urls.items() if url}))
    else:
        _keys(wired, asked)


def _keys(wired: Wiring, asked: argparse.Namespace) -> None:
    """Key repositories; setting up the token keys makes the credential keys too if they are missing."""
    owner = _owner(asked)
    if asked.verb == 'setup':
        wired.credential_keys.setup(owner)
        if asked.noun == 'fernet':
            wired.keys.setup(owner)
    elif asked.noun == 'fernet':
        wired.keys.rotate(owner)
    else:
        wired.credential_keys.rotate(owner)
        credential.seal_again(wired)


def _owner(asked: argparse.Namespace) -> tuple[int, int] | None:
    if not asked.keystone_user and not asked.keystone_group:
        return None
    try:
        user = pwd.getpwnam(asked.keystone_user).pw_uid if asked.keystone_user else -1
        return user, grp.getgrnam(asked.keystone_group).gr_gid if asked.keystone_group else -1
    except KeyError as error:
        raise errors.Invalid('There is no such user or group: {name}', name=str(error)) from error


if __name__ == '__main__':
    sys.exit(main())

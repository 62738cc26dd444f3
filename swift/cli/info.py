"""``swift-object-info``, ``swift-account-info``, ``swift-container-info``: what a file on a device is about.

They read the file and the rings, change nothing, and ask no server.
"""

import argparse
import contextlib
import hashlib
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from strata import errors
from swift.cli import get_nodes
from swift.http import path as paths
from swift.obj import metadata as metadata_files
from swift.obj.errors import BadMetadata
from swift.policies import Policies, datadir
from swift.ring.errors import RingError
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring
from swift.timestamp import Timestamp

#: how the names of an object's metadata begin -> the block they are shown in; the last takes what is left
BLOCKS = {'X-Object-Sysmeta-': 'System Metadata', 'X-Object-Transient-Sysmeta-': 'Transient System Metadata',
          'X-Object-Meta-': 'User Metadata', '': 'Other Metadata'}
#: metadata of an object that is not its user's
OWN = ('name', 'Content-Type', 'Content-Length', 'ETag', 'X-Timestamp', 'X-Delete-At')


class Unreadable(Exception):
    """The file is not what it was taken for."""


def moment(value: Any) -> str:
    """A time for people, with the form it is stored in."""
    try:
        return f'{Timestamp(value or 0).isoformat} ({value})'
    except (ValueError, TypeError):
        return f'{value} (no valid time)'


def section(title: str, values: Mapping[str, Any], dropped: str = '') -> list[str]:
    """A block of metadata; names lose the prefix ``dropped``."""
    lines = [f'  {key.removeprefix(dropped)}: {value}' for key, value in sorted(values.items())]
    return [f'{title}:', *(lines or ['  No metadata found'])]


def places(swift_dir: str, ring_name: str, base: str, names: tuple[str | None, ...]) -> list[str]:
    """Where the ring wants it; a line that says why not if there is no ring."""
    try:
        hashing = HashPath.load(os.path.join(swift_dir, 'swift.conf'))
        ring = Ring(swift_dir, hashing, name=ring_name)
    except RingError as error:
        return [f'Where it belongs is not known: {error}']
    account, *rest = names
    assert account is not None
    part = ring.get_part(account, *rest)
    return get_nodes.describe(ring, base, part, hashing.hexdigest(account, *rest), names)


# -- objects -------------------------------------------------------------------------------------

def object_lines(path: str, args: argparse.Namespace) -> Iterator[str]:
    """Everything that an object's file says; raises ``Unreadable``."""
    try:
        found = metadata_files.read(path)
    except (OSError, BadMetadata) as error:
        raise Unreadable(f'{path}: {error}') from error
    name = found.get('name', '')
    try:
        account, container, obj = paths.split(name, 3, 3, True)
    except ValueError as error:
        raise Unreadable(f'{path}: its metadata names no object: {name!r}') from error
    digest = _hash(args.swift_dir, account, container, obj)
    yield from (f'Path: {name}', f'  Account: {account}', f'  Container: {container}', f'  Object: {obj}',
                f'  Object hash: {digest or "not known"}')
    if digest and os.path.basename(os.path.dirname(os.path.abspath(path))) != digest:
        yield '  The file is not in the directory of that hash.'
    yield f'Content-Type: {found.get("Content-Type", "none")}'
    yield f'Timestamp: {moment(found.get("X-Timestamp"))}'
    if 'X-Delete-At' in found:
        yield f'Expires: {moment(found["X-Delete-At"])}'
    groups: dict[str, dict[str, str]] = {prefix: {} for prefix in BLOCKS}
    for key, value in found.items():
        if key not in OWN:
            groups[next(prefix for prefix in BLOCKS if key.startswith(prefix))][key] = value
    for prefix, title in BLOCKS.items():
        yield from section(title, groups[prefix], prefix if args.drop_prefixes else '')
    yield from _content(path, found, args.no_check_etag)
    policy = _policy(path, args)
    yield from places(args.swift_dir, f'object-{policy}' if policy else 'object', datadir('objects', policy),
                      (account, container, obj))


def _content(path: str, found: Mapping[str, str], unchecked: bool) -> Iterator[str]:
    if not path.endswith('.data'):
        yield 'It is a tombstone.' if path.endswith('.ts') else 'It holds metadata only.'
        return
    digest = hashlib.md5(usedforsecurity=False)
    if not unchecked:
        with open(path, 'rb') as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    etag, size = found.get('ETag'), str(os.path.getsize(path))
    verdict = 'not checked' if unchecked else 'valid' if etag == digest.hexdigest() else \
        f'the content has {digest.hexdigest()}'
    yield f'ETag: {etag} ({verdict})'
    length = found.get('Content-Length')
    yield f'Content-Length: {length} ({"valid" if length == size else "the file has " + size})'


def _policy(path: str, args: argparse.Namespace) -> int:
    """The index of the storage policy, from the option or else from the path."""
    if args.policy_name:
        policy = Policies.load(args.swift_dir).named(args.policy_name)
        if policy is None:
            raise Unreadable(f'--policy-name {args.policy_name}: there is no such storage policy')
        return policy.index
    parts = os.path.abspath(path).split(os.sep)
    base = parts[-5] if len(parts) > 5 else ''
    return int(base.partition('-')[2] or 0) if base.startswith('objects-') and base[8:].isdecimal() else 0


def _hash(swift_dir: str, account: str | None, container: str | None = None, obj: str | None = None) -> str | None:
    assert account is not None
    with contextlib.suppress(RingError):
        return HashPath.load(os.path.join(swift_dir, 'swift.conf')).hexdigest(account, container, obj)
    return None


# -- databases -----------------------------------------------------------------------------------

def database_lines(kind: str, path: str, args: argparse.Namespace) -> Iterator[str]:
    """Everything that an account's or a container's database says of the whole; raises ``Unreadable``."""
    info, policies = _database(kind, path)
    account, container = info['account'], info.get('container')
    title = kind.capitalize()
    yield f'Path: /{account}' + (f'/{container}' if container else '')
    yield f'  Account: {account}'
    if container:
        yield f'  Container: {container}'
    yield f'  Deleted: {_deleted(kind, info)}'
    yield f'  {title} Hash: {_hash(args.swift_dir, account, container) or "not known"}'
    yield 'Metadata:'
    for label, key in (('Created at', 'created_at'), ('Put Timestamp', 'put_timestamp'),
                       ('Delete Timestamp', 'delete_timestamp'), ('Status Timestamp', 'status_changed_at')):
        yield f'  {label}: {moment(info[key])}'
    if kind == 'account':
        yield f'  Container Count: {info["container_count"]}'
    yield f'  Object Count: {info["object_count"]}'
    yield f'  Bytes Used: {info["bytes_used"]}'
    named = _policy_names(args.swift_dir)
    if kind == 'container':
        index = info['storage_policy_index']
        yield f'  Storage Policy: {named.get(index, "unknown")} ({index})'
        for label in ('Put Timestamp', 'Delete Timestamp'):
            yield f'  Reported {label}: {moment(info["reported_" + label.lower().replace(" ", "_")])}'
        yield f'  Reported Object Count: {info["reported_object_count"]}'
        yield f'  Reported Bytes Used: {info["reported_bytes_used"]}'
    yield f'  Chexor: {info["hash"]}'
    yield f'  UUID: {info["id"]}'
    if kind == 'container':
        for number in (1, 2):
            yield f'  X-Container-Sync-Point{number}: {info[f"x_container_sync_point{number}"]}'
    for index, counts in sorted(policies.items()):
        told = ', '.join(f'{key} {value}' for key, value in counts.items())
        yield f'  {named.get(index, "unknown")} ({index}): {told}'
    waiting = _waiting(f'{path}.pending')
    if waiting:
        yield f'  Updates that wait in its .pending file, and are not counted here: {waiting}'
    yield from _database_metadata(title, info, args.drop_prefixes)
    yield from places(args.swift_dir, kind, f'{kind}s', (account, container))


def _database(kind: str, path: str) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """The row about the whole, and those about policies."""
    stat = 'container_info' if kind == 'container' else 'account_stat'
    if not os.path.isfile(path):
        raise Unreadable(f'{path}: no such file')
    try:
        address = f'file:{paths.quote(os.path.abspath(path))}?mode=ro'
        with contextlib.closing(sqlite3.connect(address, uri=True)) as base:
            base.row_factory = sqlite3.Row
            tables = {row['name'] for row in base.execute('SELECT name FROM sqlite_master')}
            whole = stat if stat in tables else f'{kind}_stat'
            info = dict(base.execute(f'SELECT * FROM {whole}').fetchone() or {})        # noqa: S608
            if kind == 'container':
                totals = base.execute('SELECT sum(object_count) AS object_count, sum(bytes_used) AS bytes_used '
                                      'FROM policy_stat WHERE storage_policy_index = ?',
                                      (info.get('storage_policy_index', 0),)).fetchone() \
                    if 'policy_stat' in tables else None
                info.update(dict(totals) if totals else {})
            rows = base.execute('SELECT * FROM policy_stat').fetchall() if 'policy_stat' in tables else []
    except sqlite3.Error as error:
        raise Unreadable(f'{path} is no database of this kind: {error}') from error
    if not info.get('account'):
        raise Unreadable(f'{path} holds no {kind}')
    return info, {row['storage_policy_index']: {key: row[key] for key in row.keys()      # noqa: SIM118
                                                if key != 'storage_policy_index'} for row in rows}


def _waiting(path: str) -> int:
    """How many updates a server has taken and not yet brought into the database."""
    try:
        with open(path, 'rb') as file:
            return file.read().count(b':')
    except OSError:
        return 0


def _deleted(kind: str, info: Mapping[str, Any]) -> bool:
    if info.get('status') == 'DELETED':
        return True
    return not (info['container_count'] if kind == 'account' else info['object_count']) and \
        Timestamp(info['delete_timestamp'] or 0) > Timestamp(info['put_timestamp'] or 0)


def _policy_names(swift_dir: str) -> dict[int, str]:
    try:
        return {policy.index: policy.name for policy in Policies.load(swift_dir)}
    except errors.Invalid:
        return {}


def _database_metadata(title: str, info: Mapping[str, Any], drop: bool) -> Iterator[str]:
    try:
        found = json.loads(info.get('metadata') or '{}')
    except ValueError:
        found = {}
    kept = {key: value[0] for key, value in found.items() if value and value[0]}
    own, user = f'X-{title}-Sysmeta-', f'X-{title}-Meta-'
    yield from section('System Metadata', {key: value for key, value in kept.items() if key.startswith(own)},
                       own if drop else '')
    yield from section('User Metadata', {key: value for key, value in kept.items() if not key.startswith(own)},
                       user if drop else '')


# -- commands ------------------------------------------------------------------------------------

def _databases(kind: str) -> Callable[[str, argparse.Namespace], Iterator[str]]:
    return lambda path, args: database_lines(kind, path, args)


def _main(name: str, lines: Callable[[str, argparse.Namespace], Iterator[str]], what: str,
          argv: list[str] | None) -> int:
    parser = argparse.ArgumentParser(prog=name, description=f'Tell what {what} on a device is about.')
    parser.add_argument('path', help=f'the file of {what}')
    parser.add_argument('-d', '--swift-dir', default='/etc/swift', help='where the rings are (%(default)s)')
    parser.add_argument('--drop-prefixes', action='store_true', help='names of metadata without their common prefix')
    if 'object' in name:
        parser.add_argument('-n', '--no-check-etag', action='store_true', help='do not read the content')
        parser.add_argument('-P', '--policy-name', help='its storage policy; default: as the path says')
    args = parser.parse_args(argv)
    try:
        for line in lines(args.path, args):
            sys.stdout.write(line + '\n')
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)    # whoever read this has seen enough
    except (Unreadable, RingError, errors.Error) as error:
        sys.stderr.write(f'{name}: {error}\n')
        return 1
    return 0


def object_info(argv: list[str] | None = None) -> int:
    """``swift-object-info``."""
    return _main('swift-object-info', object_lines, 'an object', argv)


def account_info(argv: list[str] | None = None) -> int:
    """``swift-account-info``."""
    return _main('swift-account-info', _databases('account'), 'an account', argv)


def container_info(argv: list[str] | None = None) -> int:
    """``swift-container-info``."""
    return _main('swift-container-info', _databases('container'), 'a container', argv)

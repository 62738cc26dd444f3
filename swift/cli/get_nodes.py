"""``swift-get-nodes``: where an account, container or object is kept, and where it would go if it could not be."""

import argparse
import itertools
import os
import sys
from typing import Any

from strata import errors
from swift.http import path as paths
from swift.policies import Policies, datadir
from swift.ring.errors import RingError
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring


def parser() -> argparse.ArgumentParser:
    """What may be said."""
    top = argparse.ArgumentParser(
        prog='swift-get-nodes', description='Where an account, a container or an object is kept.',
        epilog='Examples: swift-get-nodes -a /etc/swift/object.ring.gz AUTH_test photos cat.jpg; '
               'swift-get-nodes -P gold AUTH_test/photos/cat.jpg; swift-get-nodes -p 17 object.ring.gz')
    top.add_argument('words', nargs='*', metavar='[RING] ACCOUNT [CONTAINER [OBJECT]]')
    top.add_argument('-a', '--all', action='store_true', help='all handoffs, not as many as there are replicas')
    top.add_argument('-p', '--partition', help='of this partition, in place of a name')
    top.add_argument('-P', '--policy-name', help='the storage policy of the object, in place of a ring')
    top.add_argument('-d', '--swift-dir', default='/etc/swift', help='(%(default)s)')
    top.add_argument('-Q', '--quoted', action='store_true', help='names are percent-encoded')
    return top


def main(argv: list[str] | None = None) -> int:
    """Tell; 1 if it cannot be told."""
    args = parser().parse_args(argv)
    try:
        sys.stdout.write('\n'.join(lines(args)) + '\n')
    except (RingError, errors.Error, ValueError) as error:
        sys.stderr.write(f'swift-get-nodes: {error}\n')
        return 1
    return 0


def lines(args: argparse.Namespace) -> list[str]:
    """What is told; raises ``ValueError``, ``RingError`` or ``errors.Invalid``."""
    words = list(args.words)
    ring_path = words.pop(0) if words and words[0].endswith('.ring.gz') else None
    account, container, obj = names(words, args.quoted)
    if not account and args.partition is None:
        raise ValueError('name an account, a container or an object, or a --partition')
    ring, base = _ring(args, ring_path, container, obj)
    if args.partition is not None:
        if not args.partition.isdecimal() or int(args.partition) >= ring.partition_count:
            raise ValueError(f'--partition {args.partition}: the ring has {ring.partition_count} partitions')
        part, digest = int(args.partition), None
    else:
        part, digest = ring.get_part(account, container, obj), ring.hashing.hexdigest(account, container, obj)
    head = ['', f'Account  \t{account or ""}', f'Container\t{container or ""}', f'Object   \t{obj or ""}', '', '']
    return head + describe(ring, base, part, digest, (account, container, obj), every=args.all)


def names(words: list[str], quoted: bool) -> tuple[str | None, str | None, str | None]:
    """Account, container and object from words, or from one path; raises ``ValueError``."""
    if len(words) == 1 and '/' in words[0].strip('/'):
        words = words[0].strip('/').split('/', 2)
        if words[0] == 'v1' and len(words) > 1:     # a path as clients have it
            words = '/'.join(words[1:]).split('/', 2)
    if len(words) > 3:
        raise ValueError(f'too many names: {" ".join(words)}')
    found = [paths.unquote(word) if quoted else word for word in words]
    account, container, obj = (*found, *[None] * (3 - len(found)))
    return account, container, obj


def _ring(args: argparse.Namespace, path: str | None, container: str | None, obj: str | None) -> tuple[Ring, str]:
    """The ring, and the directory of what it places."""
    hashing = HashPath.load(os.path.join(args.swift_dir, 'swift.conf'))
    if path is not None:
        name = os.path.basename(path).removesuffix('.ring.gz')
        kind, dash, index = name.partition('-')
        return Ring(path, hashing), f'{kind}s{dash}{index}'
    if not obj and args.partition is None:
        kind = 'container' if container else 'account'
        return Ring(args.swift_dir, hashing, name=kind), f'{kind}s'
    policies = Policies.load(args.swift_dir)
    if args.policy_name is None and len(policies) > 1:
        raise ValueError('there are several storage policies: name one with --policy-name, or give a ring')
    policy = policies.named(args.policy_name) if args.policy_name else policies.default
    if policy is None:
        raise ValueError(f'--policy-name {args.policy_name}: there is no such storage policy')
    return Ring(args.swift_dir, hashing, name=policy.ring_name), datadir('objects', policy)


def describe(ring: Ring, base: str, part: int, digest: str | None, names: tuple[str | None, ...], *,
             every: bool = False) -> list[str]:
    """Lines about a partition: its devices and handoffs, and how to ask each; ``base``: ``objects-1``, say."""
    primaries = ring.get_part_nodes(part)
    handoffs = list(itertools.islice(ring.get_more_nodes(part), None if every else len(primaries)))
    told = [f'Partition\t{part}', f'Hash     \t{digest or ""}', '']
    told += [f'Server:Port Device\t{_place(node)}' for node in primaries]
    told += [f'Server:Port Device\t{_place(node)}\t [Handoff]' for node in handoffs]
    path = '/'.join(paths.quote(name, '/' if place == 2 else '') for place, name in enumerate(names) if name)
    told += ['', '']
    for node, mark in _marked(primaries, handoffs):
        told.append(f'curl -g -I -XHEAD "http://{_address(node)}/{node["device"]}/{part}'
                    f'{"/" + path if path else ""}"{_policy_header(base)} --path-as-is{mark}')
    told += ['', '', 'Use your own device location of servers:', 'such as "export DEVICE=/srv/node"']
    for node, mark in _marked(primaries, handoffs):
        place = f'{base}/{part}' + (f'/{digest[-3:]}/{digest}' if digest else '')
        told.append(f'ssh {node["ip"]} "ls -lah ${{DEVICE:-/srv/node*}}/{node["device"]}/{place}"{mark}')
    return told


def _marked(primaries: list[dict[str, Any]], handoffs: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    return [(node, '') for node in primaries] + [(node, ' # [Handoff]') for node in handoffs]


def _address(node: dict[str, Any]) -> str:
    ip = f'[{node["ip"]}]' if ':' in node['ip'] else node['ip']
    return f'{ip}:{node["port"]}'


def _place(node: dict[str, Any]) -> str:
    return f'{_address(node)} {node["device"]}'


def _policy_header(base: str) -> str:
    index = base.partition('-')[2]
    return f' -H "X-Backend-Storage-Policy-Index: {index}"' if index else ''


if __name__ == '__main__':
    sys.exit(main())

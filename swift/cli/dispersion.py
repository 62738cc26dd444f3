"""``swift-dispersion-populate`` and ``swift-dispersion-report``: are all copies where the rings want them?

Populate puts one container and one object into a share of all partitions;
report asks every primary of each whether it has its copy.
"""

import argparse
import collections
import concurrent.futures
import http.client
import itertools
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from strata import errors
from swift import conf as confs
from swift.cli.storage_account import OPTIONS, Account
from swift.conf import Option
from swift.http import path as paths
from swift.policies import Policies, Policy
from swift.ring.errors import RingError
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring

CONF = '/etc/swift/dispersion.conf'
DISPERSION = {
    **OPTIONS,
    'swift_dir': Option(confs.text, '/etc/swift', 'where swift.conf and the rings are'),
    'dispersion_coverage': Option(confs.number, 1.0, 'per cent of the partitions'),
    'concurrency': Option(confs.positive, 25, 'requests at a time'),
    'container_populate': Option(confs.boolean, True, 'whether containers are made'),
    'object_populate': Option(confs.boolean, True, 'whether objects are made'),
    'container_report': Option(confs.boolean, True, 'whether containers are looked for'),
    'object_report': Option(confs.boolean, True, 'whether objects are looked for'),
    'dump_json': Option(confs.boolean, False, 'whether the report is JSON'),
}


class Survey:
    """The account of the samples, and the rings they are compared with."""

    def __init__(self, conf: Any, policy: Policy) -> None:
        self.conf = conf
        self.policy = policy
        self.account = Account(conf)
        self.account.login()
        self.name = paths.unquote(self.account.url.rstrip('/').rpartition('/')[2])
        self.hashing = HashPath.load(os.path.join(conf.swift_dir, 'swift.conf'))

    def ring(self, kind: str) -> Ring:
        """The ring of containers, or of the policy's objects."""
        return Ring(self.conf.swift_dir, self.hashing, name='container' if kind == 'container'
                    else self.policy.ring_name)

    @property
    def container(self) -> str:
        """Where the sample objects are."""
        return 'dispersion_objects' + (f'_{self.policy.name}' if self.policy.index else '')

    def part(self, ring: Ring, kind: str, name: str) -> int:
        """The partition of a sample."""
        return ring.get_part(self.name, name) if kind == 'container' else \
            ring.get_part(self.name, self.container, name)

    def samples(self, kind: str) -> list[str]:
        """Names of the samples that are there."""
        if kind == 'object':
            return list(self.account.names(self.container, 'dispersion_'))
        return [name for name in self.account.names(prefix='dispersion_') if not name.startswith('dispersion_objects')]

    # -- populate ----------------------------------------------------------------------------------

    def populate(self, kind: str, start: int, keep: bool) -> int:
        """Make samples until the wanted share of partitions has one; how many were made."""
        ring = self.ring(kind)
        if kind == 'object':
            self.account.request('PUT', f'/{self.container}', headers={'X-Storage-Policy': self.policy.name})
        wanted = max(1, round(ring.partition_count * self.conf.dispersion_coverage / 100))
        covered = {self.part(ring, kind, name) for name in self.samples(kind)} if keep else set()
        names = []
        for number in itertools.count(start):
            if len(covered) >= wanted:
                break
            name = f'dispersion_{number}' if keep else f'dispersion_{uuid.uuid4().hex}'
            part = self.part(ring, kind, name)
            if part not in covered:
                covered.add(part)
                names.append(name)
        self._each(names, lambda name: self.account.request(
            'PUT', f'/{name}' if kind == 'container' else f'/{self.container}/{name}',
            body=b'' if kind == 'container' else name.encode(),
            headers={} if kind == 'container' else {'Content-Type': 'application/octet-stream'}))
        return len(names)

    def _each(self, names: Iterable[str], function: Callable[[str], Any]) -> list[Any]:
        with concurrent.futures.ThreadPoolExecutor(self.conf.concurrency) as pool:
            return list(pool.map(function, names))

    # -- report ------------------------------------------------------------------------------------

    def report(self, kind: str, say: Callable[[str], Any], only_missing: bool) -> dict[str, Any]:
        """Ask all primaries of all samples."""
        begun = time.monotonic()
        ring = self.ring(kind)
        names = self.samples(kind)
        found = self._each(names, lambda name: self._copies(ring, kind, name, say if only_missing else None))
        parts = {self.part(ring, kind, name) for name in names}
        lacking = collections.Counter(expected - copies for copies, expected in found)
        total = sum(expected for _, expected in found)
        copies = sum(each for each, _ in found)
        result = {'retries': self.account.retried, 'overlapping': len(names) - len(parts),
                  'copies_found': copies, 'copies_expected': total,
                  'pct_found': round(copies * 100 / total, 2) if total else 0.0}
        result.update({f'missing_{count}': number for count, number in sorted(lacking.items()) if count})
        say(f'Queried {len(names)} {kind}s for dispersion reporting, {time.monotonic() - begun:.0f}s, '
            f'{self.account.retried} retries')
        for count, number in sorted(lacking.items()):
            if count:
                say(f'There were {number} partitions missing {count} {"copy" if count == 1 else "copies"}.')
        say(f'{result["pct_found"]:.2f}% of {kind} copies found ({copies} of {total})')
        say(f'Sample represents {len(parts) * 100 / ring.partition_count:.2f}% of the {kind} partition space')
        return result

    def _copies(self, ring: Ring, kind: str, name: str, say: Callable[[str], Any] | None) -> tuple[int, int]:
        """How many primaries have it, of how many."""
        names = (self.name, name) if kind == 'container' else (self.name, self.container, name)
        part, nodes = ring.get_nodes(*names)
        path = '/'.join(paths.quote(each, '') for each in names)
        copies = 0
        for node in nodes:
            if self._has(node, part, path):
                copies += 1
            elif say is not None:
                say(f'{path}: no copy on {node["ip"]}:{node["port"]}/{node["device"]}/{part}')
        return copies, len(nodes)

    def _has(self, node: dict[str, Any], part: int, path: str) -> bool:
        headers = {'X-Backend-Storage-Policy-Index': str(self.policy.index), 'User-Agent': 'dispersion-report'}
        for _ in range(self.conf.retries + 1):
            connection = http.client.HTTPConnection(node['ip'], node['port'], timeout=15)
            try:
                connection.request('HEAD', f'/{node["device"]}/{part}/{path}', headers=headers)
                status = connection.getresponse().status
            except (OSError, http.client.HTTPException):
                status = 0
            finally:
                connection.close()
            if 200 <= status < 300:
                return True
            if status in (404, 507):
                return False
            self.account.retried += 1
        return False


def _parser(name: str, what: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name, description=what)
    parser.add_argument('conf', nargs='?', default=CONF, help='(%(default)s)')
    parser.add_argument('-P', '--policy-name', help='the storage policy of the objects; default: the default one')
    parser.add_argument('--container-only', action='store_true', help='containers only')
    parser.add_argument('--object-only', action='store_true', help='objects only')
    parser.add_argument('--insecure', action='store_true', help='do not check certificates')
    return parser


def _survey(args: argparse.Namespace) -> Survey:
    conf = confs.options(confs.read(args.conf, 'dispersion', required=True), DISPERSION, f'{args.conf}: [dispersion]')
    conf.keystone_api_insecure |= args.insecure
    policies = Policies.load(conf.swift_dir)
    policy = policies.named(args.policy_name) if args.policy_name else policies.default
    if policy is None:
        raise errors.Invalid(f'--policy-name {args.policy_name}: there is no such storage policy')
    return Survey(conf, policy)


def _kinds(args: argparse.Namespace, conf: Any, verb: str) -> list[str]:
    return [kind for kind, other in (('container', args.object_only), ('object', args.container_only))
            if not other and getattr(conf, f'{kind}_{verb}')]


def populate(argv: list[str] | None = None) -> int:
    """``swift-dispersion-populate``; returns the exit status."""
    parser = _parser('swift-dispersion-populate', 'Make a container and an object in a share of all partitions.')
    parser.add_argument('--container-suffix-start', type=int, default=0, help='with --no-overlap: the first number')
    parser.add_argument('--object-suffix-start', type=int, default=0, help='with --no-overlap: the first number')
    parser.add_argument('--no-overlap', action='store_true', help='keep the samples that are there; add what lacks')
    args = parser.parse_args(argv)

    def work() -> int:
        survey = _survey(args)
        for kind in _kinds(args, survey.conf, 'populate'):
            begun = time.monotonic()
            made = survey.populate(kind, getattr(args, f'{kind}_suffix_start'), args.no_overlap)
            sys.stdout.write(f'Created {made} {kind}s for dispersion reporting, {time.monotonic() - begun:.0f}s, '
                             f'{survey.account.retried} retries\n')
        return 0
    return _run('swift-dispersion-populate', work)


def report(argv: list[str] | None = None) -> int:
    """``swift-dispersion-report``; returns the exit status."""
    parser = _parser('swift-dispersion-report', 'Ask every primary whether it has its copy of the samples.')
    parser.add_argument('-j', '--dump-json', action='store_true', help='the report as JSON')
    parser.add_argument('-d', '--debug', action='store_true', help='name every copy that is missing')
    parser.add_argument('-p', '--partitions', action='store_true', help='the same')
    args = parser.parse_args(argv)

    def work() -> int:
        survey = _survey(args)
        as_json = args.dump_json or survey.conf.dump_json

        def say(text: str) -> None:
            if not as_json:
                sys.stdout.write(text + '\n')
        results = {kind: survey.report(kind, say, args.debug or args.partitions)
                   for kind in _kinds(args, survey.conf, 'report')}
        if as_json:
            sys.stdout.write(json.dumps(results) + '\n')
        return 0
    return _run('swift-dispersion-report', work)


def _run(name: str, work: Callable[[], int]) -> int:
    try:
        return work()
    except (RingError, errors.Error, ValueError) as error:
        sys.stderr.write(f'{name}: {error}\n')
        return 1

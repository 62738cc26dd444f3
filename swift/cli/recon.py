"""``swift-recon``: ask the servers of a cluster how they fare, and add their answers up."""

import argparse
import concurrent.futures
import dataclasses
import hashlib
import http.client
import json
import os
import statistics
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any

from strata import errors
from swift.policies import Policies
from swift.ring import files
from swift.ring.errors import RingError

RULE = '=' * 79
Host = tuple[str, int]


@dataclasses.dataclass
class Answer:
    """What one server said; ``None`` with why not."""

    host: Host
    value: Any
    problem: str = ''


class Recon:
    """The hosts of a kind of server, and what is asked of them."""

    def __init__(self, kind: str, hosts: list[Host], args: argparse.Namespace) -> None:
        self.kind = kind
        self.hosts = hosts
        self.args = args
        self.failed = False

    def ask(self, path: str) -> list[Answer]:
        """The JSON of ``/recon/<path>`` from every host; failures are said at once."""
        with concurrent.futures.ThreadPoolExecutor(max_workers=min(32, max(1, len(self.hosts)))) as pool:
            answers = list(pool.map(lambda host: self._one(host, path), self.hosts))
        for answer in answers:
            if answer.problem:
                self.failed = True
                if not self.args.suppress:
                    say(f'-> http://{answer.host[0]}:{answer.host[1]}/recon/{path}: {answer.problem}')
            elif self.args.verbose:
                say(f'-> http://{answer.host[0]}:{answer.host[1]}/recon/{path}: {json.dumps(answer.value)}')
        return answers

    def _one(self, host: Host, path: str) -> Answer:
        address = f'[{host[0]}]' if ':' in host[0] else host[0]
        try:
            with urllib.request.urlopen(f'http://{address}:{host[1]}/recon/{path}',
                                        timeout=self.args.timeout) as reply:
                return Answer(host, json.load(reply))
        except urllib.error.HTTPError as error:
            return Answer(host, None, f'HTTP {error.code}')
        except (OSError, ValueError) as error:
            return Answer(host, None, str(getattr(error, 'reason', error)))

    def values(self, path: str, *keys: str) -> dict[Host, Any]:
        """The part of every answer that is there."""
        found = {}
        for answer in self.ask(path):
            value = answer.value
            for key in keys:
                value = value.get(key) if isinstance(value, dict) else None
            if value is not None:
                found[answer.host] = value
        return found

    def stats(self, name: str, numbers: dict[Host, float]) -> None:
        """One line that sums numbers up."""
        asked, told = len(self.hosts), len(numbers)
        if not numbers:
            say(f'[{name}] - No hosts returned valid data.')
            return
        low, high, total = min(numbers.values()), max(numbers.values()), sum(numbers.values())
        say(f'[{name}] low: {low:g}, high: {high:g}, avg: {statistics.fmean(numbers.values()):.1f}, '
            f'total: {total:g}, Failed: {(asked - told) * 100 / asked:.1f}%, no_result: {asked - told}, '
            f'reported: {told}')

    # -- checks, in the order of the command line ----------------------------------------------------

    def async_pendings(self) -> None:
        """Updates of listings that wait on object servers."""
        begin('Checking async pendings')
        self.stats('async_pending', self.values('async', 'async_pending'))

    def replication(self) -> None:
        """How long the last replication took, and who is behind."""
        begin('Checking on replication')
        path = f'replication/{self.kind}'
        answers = {answer.host: answer.value for answer in self.ask(path) if isinstance(answer.value, dict)}
        times = {host: (value.get('object_replication_time') or 0) * 60 if self.kind == 'object'
                 else value.get('replication_time') or 0 for host, value in answers.items()}
        self.stats('replication_time', times)
        lasts = {host: value.get('object_replication_last' if self.kind == 'object' else 'replication_last') or 0
                 for host, value in answers.items()}
        for count in ('success', 'failure', 'attempted'):
            numbers = {host: (value.get('replication_stats') or {}).get(count) for host, value in answers.items()}
            self.stats(f'replication_{count}', {host: each for host, each in numbers.items() if each is not None})
        if lasts:
            for label, pick in (('Oldest', min), ('Most recent', max)):
                host = pick(lasts, key=lambda each: lasts[each])
                say(f'{label} completion was {_stamp(lasts[host])} by {host[0]}:{host[1]}.')

    def auditors(self) -> None:
        """The last passes of the auditors."""
        begin('Checking auditor stats')
        path = f'auditor/{self.kind}'
        for answer in self.ask(path):
            for name, value in sorted((answer.value or {}).items()):
                if isinstance(value, (int, float)):
                    say(f'{answer.host[0]}:{answer.host[1]} {name}: {value:g}')
                elif isinstance(value, dict):
                    say(f'{answer.host[0]}:{answer.host[1]} {name}: {json.dumps(value, sort_keys=True)}')

    def updaters(self) -> None:
        """How long the last sweep of the updaters took."""
        begin('Checking updater times')
        self.stats('updater_last', self.values(f'updater/{self.kind}', f'{self.kind}_updater_sweep'))

    def expirers(self) -> None:
        """What the expirers did."""
        begin('Checking on expirers')
        for name in ('object_expiration_pass', 'expired_last_pass'):
            self.stats(name, self.values('expirer/object', name))

    def unmounted(self) -> None:
        """Devices that are not mounted."""
        begin('Getting unmounted drives')
        for host, drives in self.values('unmounted').items():
            for drive in drives:
                say(f'Not mounted: {drive.get("device")} on {host[0]}:{host[1]}')

    def disks(self) -> None:
        """How full the devices are."""
        begin('Checking disk usage now')
        shares: list[tuple[float, str]] = []
        used = size = 0
        for host, drives in self.values('diskusage').items():
            for drive in drives:
                if drive.get('mounted') is True and drive.get('size'):
                    used, size = used + drive['used'], size + drive['size']
                    shares.append((100 * drive['used'] / drive['size'], f'{host[0]} {drive["device"]}'))
                elif drive.get('mounted') is not True:
                    say(f'-> {host[0]}:{host[1]} {drive.get("device")}: not mounted')
        if not shares:
            say('No hosts returned valid data.')
            return
        numbers = [share for share, _ in shares]
        shown = readable if self.args.human_readable else str
        say(f'space used: {shown(used)} of {shown(size)}')
        say(f'space free: {shown(size - used)} of {shown(size)}')
        say(f'disk usage: lowest: {min(numbers):.2f}%, highest: {max(numbers):.2f}%, avg: {used * 100 / size:.2f}%')
        for title, count, ordered in (('TOP', self.args.top, sorted(shares, reverse=True)),
                                      ('LOWEST', self.args.lowest, sorted(shares))):
            if count:
                say(f'{title} {count}')
                for share, where in ordered[:count]:
                    say(f'{share:6.2f}%  {where}')

    def loads(self) -> None:
        """Load averages."""
        begin('Checking load averages')
        found = self.values('load')
        for name in ('5m', '15m', '1m'):
            self.stats(f'{name}_load_avg', {host: value[name] for host, value in found.items() if name in value})

    def quarantined(self) -> None:
        """What was put aside as corrupt."""
        begin('Checking quarantine')
        found = self.values('quarantined')
        for name in ('accounts', 'containers', 'objects'):
            self.stats(f'quarantined_{name}', {host: value[name] for host, value in found.items() if name in value})
        policies = sorted({policy for value in found.values() for policy in value.get('policies', {})})
        for policy in policies:
            self.stats(f'quarantined_objects_{policy}', {
                host: value['policies'][policy].get('objects', 0) for host, value in found.items()
                if policy in value.get('policies', {})})

    def sockets(self) -> None:
        """Sockets in use."""
        begin('Checking socket usage')
        found = self.values('sockstat')
        for name in sorted({key for value in found.values() for key in value}):
            self.stats(name, {host: value[name] for host, value in found.items() if name in value})

    def drive_audits(self) -> None:
        """Errors that swift-drive-audit has counted."""
        begin('Checking drive-audit errors')
        self.stats('drive_audit_errors', self.values('driveaudit', 'drive_audit_errors'))

    def servers(self) -> None:
        """Whether the servers are of the kind that the ring says."""
        begin(f"Validating server type '{self.kind}' on {len(self.hosts)} hosts...")
        wrong = 0
        for host in self.hosts:
            connection = http.client.HTTPConnection(host[0], host[1], timeout=self.args.timeout)
            try:
                connection.request('OPTIONS', '/')
                kind = (connection.getresponse().headers.get('Server') or '').partition('/')[0]
            except (OSError, http.client.HTTPException) as error:
                say(f'-> {host[0]}:{host[1]}: {error}')
                wrong += 1
                continue
            finally:
                connection.close()
            if kind != f'{self.kind}-server':
                say(f'-> {host[0]}:{host[1]} is a {kind or "server of an unknown kind"}')
                wrong += 1
        self.failed |= wrong > 0
        say(f'{len(self.hosts) - wrong}/{len(self.hosts)} hosts ok, {wrong} error[s] while checking hosts.')

    def md5(self) -> None:
        """Whether all have the rings and the swift.conf that this host has."""
        for title, path in (('ring md5sums', 'ringmd5'), ('swift.conf md5sum', 'swiftconfmd5')):
            begin(f'Checking {title}')
            matches = wrong = 0
            for answer in self.ask(path):
                if answer.value is None:
                    wrong += 1
                    continue
                differing = [name for name, digest in answer.value.items()
                             if self._concerns(name) and digest != _digest(self._local(name))]
                for name in differing:
                    say(f"!! {answer.host[0]}:{answer.host[1]} ({os.path.basename(name)}={answer.value[name]}) doesn't "
                        f'match on disk md5sum')
                matches += not differing
            self.failed |= matches + wrong < len(self.hosts)
            say(f'{matches}/{len(self.hosts)} hosts matched, {wrong} error[s] while checking hosts.')

    def _concerns(self, name: str) -> bool:
        base = os.path.basename(name)
        return not base.endswith('.ring.gz') or base.startswith(self.kind)

    def _local(self, name: str) -> str:
        return os.path.join(self.args.swiftdir, os.path.basename(name))

    def times(self) -> None:
        """Whether the clocks agree, but for ``--jitter``."""
        begin('Checking time-sync')
        matches = wrong = 0
        for host in self.hosts:
            before = time.time()
            answer = self._one(host, 'time')
            after = time.time()
            if answer.value is None:
                wrong += 1
            elif not before - self.args.jitter <= float(answer.value) <= after + self.args.jitter:
                say(f'!! {host[0]}:{host[1]} current time is {_stamp(float(answer.value))}, but remote is '
                    f'{_stamp(before)}, differs by {float(answer.value) - before:.4f} sec')
            else:
                matches += 1
        self.failed |= matches < len(self.hosts)
        say(f'{matches}/{len(self.hosts)} hosts matched, {wrong} error[s] while checking hosts.')

    def versions(self) -> None:
        """Which versions run."""
        begin('Checking versions')
        found = self.values('version', 'version')
        versions = sorted({str(each) for each in found.values()})
        if len(versions) <= 1:
            say(f'Versions matched ({versions[0] if versions else "none"}), '
                f'{len(self.hosts) - len(found)} error[s] while checking hosts.')
        else:
            self.failed = True
            say(f'Versions not matched ({", ".join(versions)}), '
                f'{len(self.hosts) - len(found)} error[s] while checking hosts.')


#: option -> (short, the check, kinds of server that know it)
CHECKS: dict[str, tuple[str | None, Callable[[Recon], None], tuple[str, ...]]] = {
    'async': ('-a', Recon.async_pendings, ('object',)),
    'replication': ('-r', Recon.replication, ('account', 'container', 'object')),
    'auditor': (None, Recon.auditors, ('account', 'container', 'object')),
    'updater': (None, Recon.updaters, ('container', 'object')),
    'expirer': ('-x', Recon.expirers, ('object',)),
    'unmounted': ('-u', Recon.unmounted, ('account', 'container', 'object')),
    'diskusage': ('-d', Recon.disks, ('account', 'container', 'object')),
    'loadstats': ('-l', Recon.loads, ('account', 'container', 'object')),
    'quarantined': ('-q', Recon.quarantined, ('account', 'container', 'object')),
    'validate-servers': (None, Recon.servers, ('account', 'container', 'object')),
    'md5': (None, Recon.md5, ('account', 'container', 'object')),
    'sockstat': (None, Recon.sockets, ('account', 'container', 'object')),
    'driveaudit': (None, Recon.drive_audits, ('account', 'container', 'object')),
    'time': ('-T', Recon.times, ('account', 'container', 'object')),
    'swift-versions': (None, Recon.versions, ('account', 'container', 'object')),
}


def say(text: str) -> None:
    """A line for the operator."""
    sys.stdout.write(text + '\n')


def begin(text: str) -> None:
    """The headline of a check."""
    say(f'[{_stamp(time.time())}] {text}')


def _stamp(seconds: float) -> str:
    return time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds)) if seconds else 'never'


def readable(size: int) -> str:
    """Bytes in the unit that leaves fewest digits: ``512 B``, ``1.5 GB``."""
    value, units = float(size), iter(('B', 'kB', 'MB', 'GB', 'TB', 'PB'))
    unit = next(units)
    while value >= 1024 and (larger := next(units, None)):
        value, unit = value / 1024, larger
    return f'{value:.4g} {unit}'


def _digest(path: str) -> str | None:
    try:
        with open(path, 'rb') as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError:
        return None


def hosts(kind: str, args: argparse.Namespace) -> list[Host]:
    """Addresses of the servers in the rings, once each; raises ``RingError`` or ``errors.Invalid``."""
    names: Iterable[str] = [kind]
    if kind == 'object':
        policies = Policies.load(args.swiftdir)
        if args.policy is not None:
            policy = policies.named(args.policy) or (policies.get(args.policy) if args.policy.isdecimal() else None)
            if policy is None:
                raise errors.Invalid(f'--policy {args.policy}: there is no such storage policy')
            names = [policy.ring_name]
        else:
            names = [policy.ring_name for policy in policies]
    found: dict[Host, None] = {}
    for name in names:
        for dev in files.read_ring(os.path.join(args.swiftdir, f'{name}.ring.gz')).devs:
            if dev and args.region in (None, dev['region']) and args.zone in (None, dev['zone']):
                found[dev['ip'], dev['port']] = None
    return list(found)


def parser() -> argparse.ArgumentParser:
    """What may be said."""
    top = argparse.ArgumentParser(prog='swift-recon', description='Ask the servers of a cluster how they fare.')
    top.add_argument('kinds', nargs='*', choices=['account', 'container', 'object', []],
                     metavar='account|container|object', help='which servers; default: object')
    top.add_argument('-v', '--verbose', action='store_true', help='every answer')
    top.add_argument('--suppress', action='store_true', help='nothing of servers that cannot be reached')
    for name, (short, check, _) in CHECKS.items():
        top.add_argument(*([short] if short else []), f'--{name}', action='store_true', help=check.__doc__)
    top.add_argument('--all', action='store_true', help='all of these')
    top.add_argument('--top', type=int, default=0, metavar='N', help='with --diskusage: the N fullest devices')
    top.add_argument('--lowest', type=int, default=0, metavar='N', help='with --diskusage: the N emptiest devices')
    top.add_argument('--human-readable', action='store_true', help='with --diskusage: sizes with units')
    top.add_argument('--jitter', type=float, default=1, metavar='SECONDS',
                     help='with --time: how far clocks may be apart (%(default)s)')
    top.add_argument('--region', type=int, help='only servers of this region')
    top.add_argument('-z', '--zone', type=int, help='only servers of this zone')
    top.add_argument('-t', '--timeout', type=float, default=5, metavar='SECONDS', help='(%(default)s)')
    top.add_argument('-p', '--policy', help='only the object servers of this storage policy')
    top.add_argument('--swiftdir', default='/etc/swift', help='where swift.conf and the rings are (%(default)s)')
    return top


def main(argv: list[str] | None = None) -> int:
    """Ask; 1 if a server did not answer, or not as it should."""
    args = parser().parse_args(argv)
    wanted = [name for name in CHECKS if args.all or getattr(args, name.replace('-', '_'))]
    if not wanted:
        parser().print_help()
        return 2
    failed = False
    try:
        for kind in args.kinds or ['object']:
            recon = Recon(kind, hosts(kind, args), args)
            say(f'{RULE}\n--> Starting reconnaissance on {len(recon.hosts)} hosts ({kind})\n{RULE}')
            for name in wanted:
                _, check, kinds = CHECKS[name]
                if kind in kinds:
                    check(recon)
                    say(RULE)
                elif not args.all:
                    sys.stderr.write(f'swift-recon: --{name} is for {", ".join(kinds)} servers\n')
                    failed = True
            failed |= recon.failed
    except (RingError, errors.Error) as error:
        sys.stderr.write(f'swift-recon: {error}\n')
        return 2
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())

"""The object updater: tells containers what object servers could not tell them at the time.

    <device>/async_pending[-N]/<suffix>/<hash>-<time>      a pickled update

A file goes when all primary servers of the container have taken the update; who
has is written into it, so that the next sweep asks only the others.  Of several
updates of one object only the newest counts.

404 of all servers says that the container is gone, or that it has not come to them yet.  The rest of
the sweep does not ask about it again; and an update that was kept for ``reclaim_age`` and is told so
goes if it is a deletion, or if nobody has its object any more: a container that is made
again has nothing to list then.
"""

import logging
import os
import time
from collections.abc import Iterator
from typing import Any

from strata import errors, green
from strata.backend import Pool
from swift import conf as confs
from swift import daemon, recon
from swift.conf import Option
from swift.http import path as paths
from swift.obj import store
from swift.obj.errors import Absent, Quarantined
from swift.policies import Policy, datadir
from swift.ring.errors import RingError
from swift.ring.ring import Ring
from swift.storage import files, pickles, quarantine
from swift.storage.errors import Unsafe
from swift.storage.rate import Rate

LOG = logging.getLogger(__name__)

COUNTS = ('successes', 'failures', 'quarantines', 'unlinks', 'errors', 'deferrals', 'drains', 'skips')


class Stats(dict[str, int]):
    """What became of updates."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(COUNTS, 0))

    def count(self, name: str) -> None:
        """One more."""
        self[name] += 1


class Pending:
    """One file."""

    __slots__ = ('path', 'device', 'policy', 'update')

    def __init__(self, path: str, device: str, policy: Policy, update: dict[str, Any]) -> None:
        self.path = path
        self.device = device
        self.policy = policy
        self.update = update

    @property
    def container(self) -> tuple[str, str]:
        """Account and container that are told."""
        given = self.update.get('container_path')
        if given:
            account, _, container = given.strip('/').partition('/')
            return account, container
        return self.update['account'], self.update['container']


class ObjectUpdater(daemon.Daemon):
    """Deliver pending updates of containers."""

    SECTION = 'object-updater'
    INTERVAL = 300
    METRICS = {name: name for name in ('errors', 'quarantines', 'successes', 'failures', 'unlinks')}
    OPTIONS = {
        'concurrency': Option(confs.positive, 8, 'updates of a device at a time'),
        'updater_workers': Option(confs.positive, 1, 'devices at a time'),
        'objects_per_second': Option(confs.number, 50.0, 'updates of a device'),
        'max_objects_per_container_per_second': Option(confs.number, 0.0, 'updates of one container; 0: any'),
        'max_deferred_updates': Option(confs.count, 10000, 'updates that may wait for their container'),
        'conn_timeout': Option(confs.number, 0.5, 'seconds to reach a container server'),
        'node_timeout': Option(confs.number, 10.0, 'seconds to wait for its answer'),
        'report_interval': Option(confs.number, 300.0, 'seconds between two reports'),
    }

    def __init__(self, conf: Any) -> None:
        super().__init__(conf)
        self.store = store.Store.load(conf, f'[{self.SECTION}]')
        self.pool = Pool(connect_timeout=self.conf.conn_timeout)
        self.stats = Stats()
        self._rings: dict[str, Ring] = {}
        #: containers that all their servers said they do not have, in this sweep
        self._gone: set[tuple[str, str]] = set()
        self._rates: dict[tuple[str, str], Rate] = {}

    def ring(self, name: str) -> Ring:
        """The ring of containers, or of a policy's objects; raises ``RingError``."""
        if name not in self._rings:
            self._rings[name] = Ring(self.conf.swift_dir, self.store.hashing, name=name)
        return self._rings[name]

    def close(self) -> None:
        """Give connections back."""
        self.pool.close()

    def run_once(self, **limits: Any) -> None:
        """Every device once."""
        began = time.time()
        self.stats = Stats()
        wanted = limits.get('devices')
        devices = [name for name in self.store.devices.names() if not wanted or name in wanted]
        green.Pool(self.conf.updater_workers).map(self._sweep, devices)
        self._rates.clear()
        self._gone.clear()
        elapsed = time.time() - began
        LOG.info('Object update sweep: %.2f s, %s', elapsed, dict(self.stats))
        self.measured(self.stats)
        recon.dump(self.conf.recon_cache_path, 'object', {
            'object_updater_sweep': elapsed, 'object_updater_stats': dict(self.stats),
            'object_updater_last': time.time()})

    def _sweep(self, device: str) -> None:
        rate, pool = Rate(self.conf.objects_per_second), green.Pool(self.conf.concurrency)
        until = time.monotonic() + self.conf.interval
        reported = time.monotonic()
        waiting: list[Pending] = []
        for pending in self._pending(device):
            rate.wait()
            if self._must_wait(pending):
                self.stats.count('deferrals')
                waiting.append(pending)
                if len(waiting) > self.conf.max_deferred_updates:
                    waiting.pop(0)
                    self.stats.count('skips')
            else:
                pool.spawn(self._deliver, pending)
            if time.monotonic() - reported >= self.conf.report_interval:
                reported = time.monotonic()
                LOG.info('Object updates of %s so far: %s', device, dict(self.stats))
        self._drain(waiting, pool, until)
        pool.wait()

    def _drain(self, waiting: list[Pending], pool: green.Pool, until: float) -> None:
        """What had to wait for its container, until the next sweep is due."""
        while waiting:
            pending = waiting.pop()
            delay = self._rate(pending).reserve()
            if time.monotonic() + delay > until:
                self.stats.count('skips')
                continue
            green.sleep(delay)
            self.stats.count('drains')
            pool.spawn(self._deliver, pending)

    def _rate(self, pending: Pending) -> Rate:
        found = self._rates.get(pending.container)
        if found is None:
            found = self._rates[pending.container] = Rate(self.conf.max_objects_per_container_per_second)
        return found

    def _must_wait(self, pending: Pending) -> bool:
        if not self.conf.max_objects_per_container_per_second:
            return False
        return not self._rate(pending).take()

    def _pending(self, device: str) -> Iterator[Pending]:
        """The updates of a device that count; those that do not are removed, broken ones quarantined."""
        for policy in self.store.policies:
            try:
                base = self.store.async_path(device, policy)
                prefixes = sorted(os.listdir(base))
            except FileNotFoundError:
                continue
            except (OSError, errors.Error) as error:
                LOG.error('the pending updates of %s cannot be listed: %s', device, error)
                self.stats.count('errors')
                continue
            for prefix in prefixes:
                yield from self._of_prefix(device, policy, f'{base}/{prefix}')

    def _of_prefix(self, device: str, policy: Policy, folder: str) -> Iterator[Pending]:
        last = None
        try:
            names = sorted(os.listdir(folder), reverse=True)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            path, (digest, dash, _) = f'{folder}/{name}', name.partition('-')
            if not dash:
                LOG.error('%s is no update', path)
                self.stats.count('errors')
                continue
            if digest == last:      # the newest comes first
                files.remove(path)
                self.stats.count('unlinks')
                continue
            pending = self._load(path, device, policy)
            if pending is not None:
                last = digest
                yield pending
        files.remove_empty(folder)

    def _load(self, path: str, device: str, policy: Policy) -> Pending | None:
        try:
            with open(path, 'rb') as file:
                update = pickles.loads(file.read())
            if not isinstance(update, dict) or not isinstance(update.get('headers'), dict) \
                    or not all(isinstance(update.get(key), str) for key in ('op', 'account', 'container', 'obj')):
                raise Unsafe(why='it is no update')
            return Pending(path, device, policy, update)
        except FileNotFoundError:
            return None
        except (Unsafe, OSError) as error:
            LOG.error('%s is broken: %s', path, error)
            self.stats.count('quarantines' if isinstance(error, Unsafe) else 'errors')
            if isinstance(error, Unsafe):
                quarantine.move(self.store.devices.path(device), path, datadir('objects', policy))
            return None

    def _deliver(self, pending: Pending) -> None:
        try:
            self._try(pending)
        except (OSError, errors.Error, RingError) as error:
            LOG.error('%s: %s', pending.path, error)
            self.stats.count('errors')
        except Exception:
            LOG.exception('%s cannot be delivered', pending.path)
            self.stats.count('errors')

    def _try(self, pending: Pending) -> None:
        if pending.container in self._gone:
            self._in_vain(pending, 'skips')
            return
        update = pending.update
        account, container = pending.container
        part, nodes = self.ring('container').get_nodes(account, container)
        done = list(update.get('successes') or [])
        headers = {name: str(value) for name, value in update['headers'].items() if value is not None}
        headers.setdefault('X-Backend-Storage-Policy-Index', str(pending.policy.index))
        path = paths.quote(f'/{account}/{container}/{update["obj"]}')
        missing = [node for node in nodes if node['id'] not in done]
        answers = self._ask_all(missing, part, update['op'], path, headers)
        took = [node['id'] for node, status in zip(missing, answers) if 200 <= status < 300]
        if len(took) == len(missing):
            self.stats.count('successes')
            self._forget(pending)
        elif not done and set(answers) == {404}:
            self._gone.add(pending.container)
            self._in_vain(pending, 'failures')
        else:
            self.stats.count('failures')
            if took:
                update['successes'] = done + took
                files.replace(pending.path, pickles.dumps(update), self.store.tmp(pending.device))

    def _in_vain(self, pending: Pending, count: str) -> None:
        """The container is gone: let go of an update that will not count any more, else keep it."""
        if os.stat(pending.path).st_mtime > time.time() - self.store.reclaim_age:
            self.stats.count(count)
        elif pending.update['op'] == 'DELETE' or not self._has_object(pending):
            self._forget(pending)
        else:
            os.utime(pending.path)      # not to be looked at again for as long
            self.stats.count(count)

    def _has_object(self, pending: Pending) -> bool:
        """Whether the object may be on this device, or with any of its servers."""
        update, policy = pending.update, pending.policy
        names = update['account'], update['container'], update['obj']
        part, nodes = self.ring(policy.ring_name).get_nodes(*names)
        try:
            with self.store.file(pending.device, str(part), *names, policy).open(expired=True):
                return True
        except Quarantined:
            return True
        except Absent:
            headers = {'X-Backend-Storage-Policy-Index': str(policy.index)}
            return set(self._ask_all(nodes, part, 'HEAD', paths.quote('/' + '/'.join(names)), headers)) != {404}

    def _forget(self, pending: Pending) -> None:
        self.stats.count('unlinks')
        files.remove(pending.path)
        files.remove_empty(os.path.dirname(pending.path))

    def _ask_all(self, nodes: list[dict[str, Any]], part: int, op: str, path: str,
                 headers: dict[str, str]) -> list[int]:
        """The statuses of the answers, side by side; 0 for none."""
        headers['User-Agent'] = f'object-updater {os.getpid()}'
        workers = [green.spawn(self._ask, node, part, op, path, headers) for node in nodes]
        return [worker.wait() for worker in workers]

    def _ask(self, node: dict[str, Any], part: int, op: str, path: str, headers: dict[str, str]) -> int:
        try:
            answer = self.pool.request(node['ip'], node['port'], op, f'/{node["device"]}/{part}{path}', headers,
                                       timeout=self.conf.node_timeout)
            answer.body()
        except (errors.Error, OSError) as error:
            LOG.warning('%s %s: %s', op, path, error)
            return 0
        if not 200 <= answer.status < 300:
            LOG.warning('%s %s on %s/%s answered %s', op, path, node['ip'], node['device'], answer.status)
        return answer.status

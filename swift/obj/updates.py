"""Telling container servers about objects: at once if they listen, else by a file that the updater delivers.

Updates for the replicas of a container go out side by side while the client
waits for ``container_update_timeout`` at most.  Whatever does not arrive is
kept in ``async_pending`` on the object's device before anything else happens.

A container must not list what is not on disk.  Where its row is on the file system
that the object is on, and that has one journal, whatever brings the row to disk brings the object
along.  So such a container is told while the object's sync is under way::

    object server                         container server
      PUT ... X-Backend-File-System: ?      201 ... X-Backend-File-System: name     now and then
      PUT ... X-Backend-File-System: name   201, or 412: its rows are elsewhere
"""

import logging
import os
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Self

from strata import errors, green
from strata.backend import Exchange, Pool, ready
from swift import conf as confs
from swift.http import path as paths
from swift.http.request import Request
from swift.obj.store import Store
from swift.policies import Policy
from swift.storage import files
from swift.storage.commit import PLACE
from swift.timestamp import Timestamp

LOG = logging.getLogger(__name__)

EMPTY_ETAG = 'd41d8cd98f00b204e9800998ecf8427e'
#: containers of a day in the queue of expiring objects
PER_DAY = 100
#: seconds that a container server is believed that its rows are on a file system
FRESH = 60.0


class Target:
    """A container server that keeps a replica of the container, or an unknown one."""

    __slots__ = ('ip', 'port', 'device')

    def __init__(self, host: str, device: str) -> None:
        """``host``: ``ip:port``; raises ``ValueError``."""
        ip, _, port = host.rpartition(':')
        self.ip = ip.strip('[]')
        self.port = int(port)
        self.device = device

    @property
    def key(self) -> 'Key':
        """Tells it from others."""
        return self.ip, self.port, self.device


Key = tuple[str, int, str]


class Updates:
    """What one object server sends to container servers."""

    def __init__(self, conf: SimpleNamespace, store: Store, pool: Pool) -> None:
        """``conf``: node_timeout, container_update_timeout, expiring_objects_*."""
        self.conf = conf
        self.store = store
        self.pool = pool
        self.agent = f'object-server {os.getpid()}'
        prefix = conf.auto_create_account_prefix
        self.queue = prefix + conf.expiring_objects_account_name
        #: the file systems that rows of container servers are on; empty for what has no name
        self._places: dict[Key, str] = {}
        self._fresh_until = 0.0

    def listing(self, op: str, names: tuple[str, str, str], request: Request, headers: dict[str, str],
                device: str, policy: Policy) -> 'Update':
        """To list an object in its container, or take it off (``op``: PUT or DELETE)."""
        given = request.headers
        hosts, devices = _list(given.get('X-Container-Host')), _list(given.get('X-Container-Device'))
        partition = given.get('X-Container-Partition')
        if partition is None:
            hosts = devices = []
        elif len(hosts) != len(devices):
            LOG.error('X-Container-Host and X-Container-Device do not go together: %s, %s', hosts, devices)
            hosts = devices = []
        headers = {**headers, **self._origin(request), 'X-Backend-Storage-Policy-Index': str(policy.index)}
        container_path = None
        account, container, obj = names
        quoted = given.get('X-Backend-Quoted-Container-Path')
        if quoted or given.get('X-Backend-Container-Path'):
            container_path = paths.unquote(quoted) if quoted else paths.wsgi_to_text(given['X-Backend-Container-Path'])
        update = {'op': op, 'account': account, 'container': container, 'obj': obj, 'headers': headers,
                  'db_state': given.get('X-Container-Root-Db-State')}
        if container_path:
            update['container_path'] = container_path
        return Update(self, update, partition or '', device, policy, request.timestamp, _targets(hosts, devices))

    def expiry(self, op: str, when: int, names: tuple[str, str, str], request: Request, device: str,
               policy: Policy, *, size: int | None = None, content_type_timestamp: str | None = None) -> None:
        """Enter an object into the queue of expiring ones, or take it out.

        What is taken out is left to the updater: nobody waits for it.
        """
        given = request.headers
        if confs.true(given.get('X-Backend-Replication')):
            return
        if op == 'DELETE' and not confs.true(given.get('X-Backend-Clean-Expiring-Object-Queue', 't')):
            return
        account, container, obj = names
        headers = {'X-Timestamp': request.timestamp.internal, **self._origin(request),
                   # the queue itself is kept under the first policy
                   'X-Backend-Storage-Policy-Index': '0'}
        hosts: list[str] = []
        devices: list[str] = []
        partition = None
        queue_container = self.expiry_container(when, account, container, obj)
        if op == 'PUT':
            hosts, devices = _list(given.get('X-Delete-At-Host')), _list(given.get('X-Delete-At-Device'))
            partition = given.get('X-Delete-At-Partition')
            queue_container = given.get('X-Delete-At-Container') or queue_container
            kind = f'text/plain;swift_expirer_bytes={size}' if size is not None else 'text/plain'
            headers |= {'X-Size': '0', 'X-Content-Type': kind, 'X-Etag': EMPTY_ETAG,
                        'X-Content-Type-Timestamp': content_type_timestamp or request.timestamp.internal}
        queue_account = given.get('X-Delete-At-Account') or self.queue if op == 'PUT' else self.queue
        update = {'op': op, 'account': queue_account, 'container': queue_container,
                  'obj': f'{when:010d}-{account}/{container}/{obj}', 'headers': headers, 'db_state': None}
        if len(hosts) != len(devices) or partition is None:
            hosts = devices = []
        entry = Update(self, update, partition or '', device, policy, request.timestamp, _targets(hosts, devices))
        if not hosts:
            self.keep(entry)
            return
        entry.finish()

    def expiry_container(self, when: int, account: str, container: str, obj: str) -> str:
        """The container of the queue that an object's expiry goes to: by time, and spread by the object's hash."""
        divisor = self.conf.expiring_objects_container_divisor
        shift = int.from_bytes(self.store.hashing.digest(account, container, obj), 'big') % PER_DAY
        return f'{max(when // divisor * divisor - shift, 0):010d}'

    def _origin(self, request: Request) -> dict[str, str]:
        environ = request.environ
        return {'X-Trans-Id': environ.get('HTTP_X_TRANS_ID', '-'), 'User-Agent': self.agent,
                'Referer': f'{request.method} {request.base_url}{request.quoted_path}'}

    def place(self, target: Target) -> str | None:
        """The file system of a container server's rows; ``None`` if that is not known of late."""
        now = time.monotonic()
        if now > self._fresh_until:
            self._fresh_until = now + FRESH
            self._places.clear()
        return self._places.get(target.key)

    def learn(self, target: Target, answer: Any) -> None:
        """Take in what an answer says of the place of a container server's rows."""
        if len(self._places) < 10000:
            self._places[target.key] = answer.headers.get(PLACE, '')

    def keep(self, entry: 'Update') -> str:
        """Leave an update to the updater; where it is kept.  Raises ``OSError``."""
        update = entry.update
        if self.store.metrics is not None:
            self.store.metrics.count('async_pendings')
        return self.store.save_update(entry.device, update['account'], update['container'], update['obj'], update,
                                      entry.when, entry.policy)


class Update:
    """One update, and whom it is for; as a context, what is not finished is given up."""

    __slots__ = ('_asked', '_updates', 'device', 'partition', 'policy', 'targets', 'update', 'when')

    def __init__(self, updates: Updates, update: dict[str, Any], partition: str, device: str, policy: Policy,
                 when: Timestamp, targets: list[Target | None]) -> None:
        """``update``: what to tell; ``device``, ``policy`` and ``when``: where it is kept if nobody listens."""
        self._updates = updates
        self.update = update
        self.partition = partition
        self.device = device
        self.policy = policy
        self.when = when
        self.targets = targets
        #: requests under way to those who were told before
        self._asked: dict[Target, Exchange] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for exchange in self._asked.values():
            exchange.close()

    def begin(self, where: str) -> None:
        """Tell those whose rows are on the file system ``where``, on which the object is; it may not be on disk yet.

        Others wait for the caller, so whoever cannot be told without a new connection is told by ``finish``.
        """
        updates = self._updates
        for target in self.targets:
            if where and target is not None and updates.place(target) == where \
                    and updates.pool.has_idle(target.ip, target.port):
                exchange = self._ask(target, where)
                if exchange is not None:
                    self._asked[target] = exchange

    def finish(self) -> None:
        """Tell all others at once; what is not answered in time is kept, and goes on behind the response.

        Raises ``OSError`` if it could not be kept: then nothing may be acknowledged.
        """
        deadline = time.monotonic() + self._updates.conf.container_update_timeout
        asked, self._asked = self._asked, {}
        told = [(target, asked.get(target) or self._ask(target)) if target else (None, None)
                for target in self.targets]
        missed, late = False, []
        for target, exchange in told:
            if target is None or exchange is None:
                missed = True
            elif ready((exchange,), deadline - time.monotonic()):
                missed = not self._hear(target, exchange) or missed
            else:
                late.append((target, exchange))
        if not missed and not late:
            return
        try:
            path = self._updates.keep(self)
        except BaseException:
            for _, exchange in late:
                exchange.close()
            raise
        for target, exchange in late:
            LOG.debug('updates of containers go on behind a response')
            green.spawn(self._hear_late, target, exchange, '' if missed or len(late) > 1 else path)

    def _ask(self, target: Target, where: str | None = None) -> Exchange | None:
        """Send the update, for rows on ``where`` or anywhere; ``None`` if that failed."""
        update, headers = self.update, self.update['headers']
        if where is None and self._updates.place(target) is None:
            where = '?'
        if where is not None:
            headers = {**headers, PLACE: where}
        path = f'/{target.device}/{self.partition}{paths.quote(_path(update))}'
        try:
            return self._updates.pool.begin(target.ip, target.port, update['op'], path, headers,
                                            timeout=self._updates.conf.node_timeout)
        except (errors.Error, OSError) as error:
            LOG.warning('%s %s: %s; kept for the updater', update['op'], path, error)
            return None

    def _hear(self, target: Target, exchange: Exchange) -> bool:
        """Take the answer; whether it is a success.  Whatever else it is, the updater finds out again."""
        what = self.update['op'], _path(self.update), target.ip, target.port
        try:
            answer = exchange.answer()
            answer.body()
            if PLACE in answer.headers or self._updates.place(target) is None:
                self._updates.learn(target, answer)
            if 200 <= answer.status < 300:
                return True
            if answer.status == 412:      # its rows are elsewhere, now that the object is on disk it may have one
                again = self._ask(target)
                return again is not None and 200 <= _status(again) < 300
            LOG.warning('%s %s on %s:%s answered %s; kept for the updater', *what, answer.status)
        except (errors.Error, OSError) as error:
            LOG.warning('%s %s on %s:%s: %s; kept for the updater', *what, error)
        return False

    def _hear_late(self, target: Target, exchange: Exchange, path: str) -> None:
        """As ``_hear``; ``path``: where the update is kept, if it is for this target alone."""
        if self._hear(target, exchange) and path:
            files.remove(path)


def _status(exchange: Exchange) -> int:
    answer = exchange.answer()
    answer.body()
    return answer.status


def _list(value: str | None) -> list[str]:
    return [each.strip() for each in value.split(',') if each.strip()] if value else []


def _targets(hosts: list[str], devices: list[str]) -> list[Target | None]:
    found: list[Target | None] = []
    for host, device in zip(hosts, devices):
        try:
            found.append(Target(host, device))
        except ValueError:
            LOG.error('there is no container server %r', host)
            found.append(None)
    return found


def _path(update: Mapping[str, Any]) -> str:
    """Where the listing entry is, as text."""
    base = update.get('container_path') or f'{update["account"]}/{update["container"]}'
    return f'/{base.strip("/")}/{update["obj"]}'

"""Telling container servers about objects: at once if they listen, else by a file that the updater delivers.

Updates for the replicas of a container go out side by side while the client
waits for ``container_update_timeout`` at most.  Whatever does not arrive is
kept in ``async_pending`` on the object's device before anything else happens.
"""

import logging
import os
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from strata import errors, green
from strata.backend import Exchange, Pool, ready
from swift import conf as confs
from swift.http import path as paths
from swift.http.request import Request
from swift.obj.store import Store
from swift.policies import Policy
from swift.storage import files
from swift.timestamp import Timestamp

LOG = logging.getLogger(__name__)

EMPTY_ETAG = 'd41d8cd98f00b204e9800998ecf8427e'
#: containers of a day in the queue of expiring objects
PER_DAY = 100


class Target:
    """A container server that keeps a replica of the container, or an unknown one."""

    __slots__ = ('ip', 'port', 'device')

    def __init__(self, host: str, device: str) -> None:
        """``host``: ``ip:port``; raises ``ValueError``."""
        ip, _, port = host.rpartition(':')
        self.ip = ip.strip('[]')
        self.port = int(port)
        self.device = device


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

    def container(self, op: str, names: tuple[str, str, str], request: Request, headers: dict[str, str],
                  device: str, policy: Policy) -> None:
        """List an object in its container, or take it off (``op``: PUT or DELETE)."""
        given = request.headers
        hosts, devices = _list(given.get('X-Container-Host')), _list(given.get('X-Container-Device'))
        partition = given.get('X-Container-Partition')
        if partition is None or not hosts:
            return
        if len(hosts) != len(devices):
            LOG.error('X-Container-Host and X-Container-Device do not go together: %s, %s', hosts, devices)
            return
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
        self._send(_Update(update, partition, device, policy, request.timestamp), _targets(hosts, devices))

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
        entry = _Update(update, partition or '', device, policy, request.timestamp)
        if not hosts:
            self._keep(entry)
            return
        self._send(entry, _targets(hosts, devices))

    def expiry_container(self, when: int, account: str, container: str, obj: str) -> str:
        """The container of the queue that an object's expiry goes to: by time, and spread by the object's hash."""
        divisor = self.conf.expiring_objects_container_divisor
        shift = int.from_bytes(self.store.hashing.digest(account, container, obj), 'big') % PER_DAY
        return f'{max(when // divisor * divisor - shift, 0):010d}'

    def _origin(self, request: Request) -> dict[str, str]:
        environ = request.environ
        return {'X-Trans-Id': environ.get('HTTP_X_TRANS_ID', '-'), 'User-Agent': self.agent,
                'Referer': f'{request.method} {request.base_url}{request.quoted_path}'}

    def _send(self, entry: '_Update', targets: list[Target | None]) -> None:
        """Tell all at once; what is not answered in time is kept, and goes on behind the response.

        Raises ``OSError`` if it could not be kept: then nothing may be acknowledged.
        """
        deadline = time.monotonic() + self.conf.container_update_timeout
        told = [(target, self._ask(entry, target)) for target in targets]
        missed, late = False, []
        for target, exchange in told:
            if target is None or exchange is None:
                missed = True
            elif ready((exchange,), deadline - time.monotonic()):
                missed = not self._hear(entry, target, exchange) or missed
            else:
                late.append((target, exchange))
        if not missed and not late:
            return
        try:
            path = self._keep(entry)
        except BaseException:
            for _, exchange in late:
                exchange.close()
            raise
        for target, exchange in late:
            LOG.debug('updates of containers go on behind a response')
            green.spawn(self._hear_late, entry, target, exchange, '' if missed or len(late) > 1 else path)

    def _ask(self, entry: '_Update', target: Target | None) -> Exchange | None:
        """Send the update; ``None`` if that failed."""
        if target is None:
            return None
        update = entry.update
        path = f'/{target.device}/{entry.partition}{paths.quote(_path(update))}'
        try:
            return self.pool.begin(target.ip, target.port, update['op'], path, update['headers'],
                                   timeout=self.conf.node_timeout)
        except (errors.Error, OSError) as error:
            LOG.warning('%s %s: %s; kept for the updater', update['op'], path, error)
            return None

    def _hear(self, entry: '_Update', target: Target, exchange: Exchange) -> bool:
        """Take the answer; whether it is a success.  Whatever else it is, the updater finds out again."""
        what = entry.update['op'], _path(entry.update), target.ip, target.port
        try:
            answer = exchange.answer()
            answer.body()
            if 200 <= answer.status < 300:
                return True
            LOG.warning('%s %s on %s:%s answered %s; kept for the updater', *what, answer.status)
        except (errors.Error, OSError) as error:
            LOG.warning('%s %s on %s:%s: %s; kept for the updater', *what, error)
        return False

    def _hear_late(self, entry: '_Update', target: Target, exchange: Exchange, path: str) -> None:
        """As ``_hear``; ``path``: where the update is kept, if it is for this target alone."""
        if self._hear(entry, target, exchange) and path:
            files.remove(path)

    def _keep(self, entry: '_Update') -> str:
        update = entry.update
        if self.store.metrics is not None:
            self.store.metrics.count('async_pendings')
        return self.store.save_update(entry.device, update['account'], update['container'], update['obj'], update,
                                      entry.when, entry.policy)


class _Update(NamedTuple):
    """What to tell, and what the file is named by if nobody listens."""

    update: dict[str, Any]
    partition: str
    device: str
    policy: Policy
    when: Timestamp


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

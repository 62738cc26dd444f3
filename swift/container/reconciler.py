"""Moves objects that were written under another storage policy than their container has.

The queue is written by the container replicators (see ``replicator``): rows
``policy:/account/container/object`` with the time of the object as etag and, as
content type, whether it was put or deleted.  For each row::

    the container has that policy after all          -> the row goes
    the right policy has something as new            -> the wrong copy goes, then the row
    put:    the copy is read, written where it belongs, deleted where it was, then the row goes
    deleted: so it is where it belongs, and where it was, then the row goes

The moved object gets the time of the old one with a higher offset, so that it
wins over it and loses against whatever a client writes later.  Each step may be
done twice; what fails is done again with the next run.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from strata import errors, green
from swift import conf as confs
from swift import recon
from swift.conf import Option
from swift.container import policy as policies
from swift.container.replicator import ACCOUNT
from swift.daemon import Daemon
from swift.direct import Direct, Refused
from swift.http.response import Response
from swift.internal_client import InternalClient, Unexpected
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring
from swift.timestamp import ZERO, Timestamp

LOG = logging.getLogger(__name__)

#: offsets of what is written: the tombstone of the wrong copy, then the right copy
BURIED, MOVED = 1, 2
POLICY = 'X-Backend-Storage-Policy-Index'
#: filters by which an object would not be moved as it is stored: manifests, links, what is encrypted
ACTIVE = ('copy', 'slo', 'dlo', 'symlink', 'versioned_writes', 'encryption', 'keymaster')
#: headers of an object's answer that are not the object's own
FOREIGN = ('Content-Length', 'Etag', 'Last-Modified', 'X-Timestamp', 'Accept-Ranges', 'Date', 'X-Trans-Id',
           'X-Openstack-Request-Id', 'Connection', 'Transfer-Encoding')


class Row(NamedTuple):
    """One row of the queue."""

    queue: str
    name: str
    policy: int
    account: str
    container: str
    obj: str
    stamp: Timestamp
    deleted: bool


class ContainerReconciler(Daemon):
    """Move objects to the storage policy of their container."""

    SECTION = 'container-reconciler'
    INTERVAL = 30
    OPTIONS = {
        'internal_client_conf_path': Option(confs.text, '', "the pipeline; default: swift_dir's internal-client.conf"),
        'reclaim_age': Option(confs.number, 604800.0, 'seconds after which a row is dropped whose object is nowhere'),
        'request_tries': Option(confs.positive, 3, 'how often a request is tried'),
        'concurrency': Option(confs.positive, 1, 'objects that are moved at a time'),
        'processes': Option(confs.count, 0, 'how many reconcilers share the work; 0: this one does it all'),
        'process': Option(confs.count, 0, 'which of them this is, from 0'),
    }

    def __init__(self, conf: Mapping[str, Any]) -> None:
        super().__init__(conf)
        if self.conf.processes and self.conf.process >= self.conf.processes:
            raise errors.Invalid(f'[{self.SECTION}]: process = {self.conf.process}: must be less than processes, '
                                 f'{self.conf.processes}')
        path = self.conf.internal_client_conf_path or os.path.join(self.conf.swift_dir, 'internal-client.conf')
        self.client = InternalClient(path, 'Swift Container Reconciler', self.conf.request_tries, without=ACTIVE)
        self.direct = Direct(agent='container-reconciler')
        self.hashing = HashPath.load(os.path.join(self.conf.swift_dir, 'swift.conf'))
        self.ring = Ring(self.conf.swift_dir, self.hashing, name='container')
        self.stats: dict[str, int] = {}

    def close(self) -> None:
        """Close connections."""
        self.direct.close()

    def run_once(self, **_: Any) -> None:
        """One pass over the queue."""
        began = time.time()
        self.stats = dict.fromkeys(('considered', 'moved', 'buried', 'dropped', 'retry', 'success'), 0)
        workers = green.Pool(self.conf.concurrency)
        for queue in [entry['name'] for entry in self.client.containers(ACCOUNT)]:
            for row in self._rows(queue):
                workers.spawn(self._attempt, row)
            workers.wait()
            # an old row that comes again could not bring back a container that was deleted since
            if queue.isdecimal() and int(queue) < began - self.conf.reclaim_age:
                self._remove_container(queue)
        LOG.info('reconciled in %.1f s: %s', time.time() - began, self.stats)
        recon.dump(self.conf.recon_cache_path, 'container', {
            'reconciler_time': time.time() - began, 'reconciler_last': time.time(), 'reconciler_stats': self.stats})

    def _rows(self, queue: str) -> Iterator[Row]:
        for entry in self.client.objects(ACCOUNT, queue):
            row = parse(queue, entry)
            if row is None:
                LOG.error('%s/%s/%s is no row of the queue', ACCOUNT, queue, entry.get('name'))
            elif self._is_mine(row):
                yield row

    def _is_mine(self, row: Row) -> bool:
        if not self.conf.processes:
            return True
        digest = int.from_bytes(self.hashing.digest(row.account, row.container, row.obj), 'big')
        return digest % self.conf.processes == self.conf.process

    def _attempt(self, row: Row) -> None:
        self.stats['considered'] += 1
        try:
            done = self.reconcile(row)
        except (errors.Error, OSError) as error:
            LOG.warning('%s is not reconciled yet: %s', row.name, error)
            done = False
        except Exception:
            LOG.exception('%s is not reconciled yet', row.name)
            done = False
        self.stats['success' if done else 'retry'] += 1
        if done:
            self._pop(row)

    def reconcile(self, row: Row) -> bool:
        """Put one object where it belongs; whether its row may go.  Raises ``errors.Error``."""
        right = self.container_policy(row)
        if right is None:
            return False
        if right == row.policy:
            return True
        there = self._stamp(row, right)
        if there >= row.stamp:
            self._bury(row, row.policy, row.stamp)
            return True
        if row.deleted:
            self._delete(row, right, Timestamp(row.stamp, MOVED))
            self._bury(row, row.policy, row.stamp)
            return True
        return self._move(row, right)

    def container_policy(self, row: Row) -> int | None:
        """The policy that the container's replicas agree on; ``None`` if too few of them can be asked."""
        part, nodes = self.ring.get_nodes(row.account, row.container)
        known: list[dict[str, Any]] = []
        for node in nodes:
            try:
                known.append(_info(self.direct.head(node, part, row.account, row.container)))
            except Refused as error:
                if error.code == 404 and error.fields.get('x-backend-storage-policy-index') is not None:
                    known.append(_info(error.fields))
                elif error.code != 404:
                    LOG.warning('%s', error)
            except errors.Error as error:
                LOG.warning('%s', error)
        if len(known) <= len(nodes) // 2:
            return None
        best = known[0]
        for other in known[1:]:
            best = policies.winner(best, other)     # type: ignore[assignment]
        return int(best['storage_policy_index'])

    def _stamp(self, row: Row, policy: int) -> Timestamp:
        """When the object was last put or deleted under a policy; 0 if never."""
        response = self.client.request('HEAD', self.client.path(row.account, row.container, row.obj),
                                       {POLICY: policy, 'X-Newest': 'true'}, (2, 404))
        response.drain()
        return _time_of(response)

    def _move(self, row: Row, right: int) -> bool:
        response = self.client.get_object(row.account, row.container, row.obj,
                                          {POLICY: row.policy, 'X-Newest': 'true'}, (2, 404))
        stamp = _time_of(response)
        if response.status == 404 or stamp < row.stamp:
            response.close()
            if stamp >= row.stamp:      # it was deleted there meanwhile, and that is a row of its own
                return True
            # its servers may be away
            late = float(row.stamp) < time.time() - self.conf.reclaim_age
            self.stats['dropped'] += late
            return late
        try:
            self._write(row, right, response, stamp)
        finally:
            response.close()
        self.stats['moved'] += 1
        self._bury(row, row.policy, stamp)
        return True

    def _write(self, row: Row, right: int, source: Response, stamp: Timestamp) -> None:
        headers = {name: value for name, value in source.headers.items() if name not in FOREIGN
                   and not name.startswith('X-Backend-')}
        headers.update({'X-Timestamp': Timestamp(stamp, MOVED).internal, POLICY: str(right),
                        'Etag': source.etag, 'Content-Length': source.headers.get('Content-Length')})
        try:
            self.client.upload_object(_Once(source), row.account, row.container, row.obj, headers, (2, 409))
        except Unexpected as error:
            raise errors.BadGateway(f'it cannot be written: {error}') from error

    def _delete(self, row: Row, policy: int, stamp: Timestamp) -> None:
        self.client.delete_object(row.account, row.container, row.obj, {
            POLICY: policy, 'X-Timestamp': stamp.internal}, (2, 404, 409))

    def _bury(self, row: Row, policy: int, stamp: Timestamp) -> None:
        """Delete the wrong copy, if nothing newer has come."""
        self._delete(row, policy, Timestamp(stamp, BURIED))
        self.stats['buried'] += 1

    def _pop(self, row: Row) -> None:
        part, nodes = self.ring.get_nodes(ACCOUNT, row.queue)
        headers = {'X-Timestamp': Timestamp(row.stamp, MOVED).internal, POLICY: '0'}
        for node in nodes:
            try:
                self.direct.delete(node, part, ACCOUNT, row.queue, row.name, headers=headers)
            except Refused as error:
                if error.code != 404:
                    LOG.warning('%s', error)
            except errors.Error as error:
                LOG.warning('%s', error)

    def _remove_container(self, queue: str) -> None:
        try:
            self.client.delete_container(ACCOUNT, queue, (2, 404, 409))
        except Unexpected as error:
            LOG.warning('%s', error)


class _Once:
    """The body of an answer, as the body of a request; it can be sent from its beginning only once."""

    def __init__(self, source: Response) -> None:
        self._pieces = iter(source.app_iter)
        self._rest = b''
        self._begun = False

    def seek(self, place: int) -> None:
        """Nothing was read yet, or it cannot be read again; raises ``errors.BadGateway``."""
        if self._begun:
            raise errors.BadGateway('the object cannot be sent a second time; it is read again with the next run')
        self._begun = True

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes more; nothing at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b''
            self._rest = piece
        if size < 0:
            data, self._rest = self._rest + b''.join(self._pieces), b''
        else:
            data, self._rest = self._rest[:size], self._rest[size:]
        return data


def parse(queue: str, entry: Mapping[str, Any]) -> Row | None:
    """The row of a listing's entry; ``None`` if it is none."""
    policy, colon, path = str(entry.get('name', '')).partition(':/')
    names = path.split('/', 2)
    try:
        stamp = Timestamp(entry['hash'])
    except (KeyError, ValueError):
        return None
    if not colon or not policy.isdecimal() or len(names) != 3 or not all(names):
        return None
    account, container, obj = names
    return Row(queue, entry['name'], int(policy), account, container, obj, stamp,
               entry.get('content_type') == 'application/x-delete')


def _time_of(response: Response) -> Timestamp:
    headers = response.headers
    value = headers.get('X-Backend-Data-Timestamp') or headers.get('X-Backend-Timestamp') or headers.get('X-Timestamp')
    try:
        return Timestamp(value or 0)
    except ValueError:
        return ZERO


def _info(headers: Mapping[str, str]) -> dict[str, Any]:
    return {'storage_policy_index': int(headers.get('x-backend-storage-policy-index') or 0),
            'put_timestamp': headers.get('x-backend-put-timestamp') or headers.get('x-put-timestamp') or 0,
            'delete_timestamp': headers.get('x-backend-delete-timestamp') or 0,
            'status_changed_at': headers.get('x-backend-status-changed-at') or 0,
            'object_count': int(headers.get('x-container-object-count') or 0)}

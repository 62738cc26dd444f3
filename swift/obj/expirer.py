"""Deletes objects whose time is over, by the queue that object servers keep.

::

    .expiring_objects/<time>/<time>-<account>/<container>/<object>

Containers are named by the time they begin with, entries by the object's
X-Delete-At.  An object is deleted only if it still has that very X-Delete-At, and
its entry goes when the object has gone; what cannot be deleted now is tried again
with the next run, until ``reclaim_age`` has passed.
"""

import hashlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from strata import errors, green
from swift import conf as confs
from swift import recon
from swift.conf import Option
from swift.daemon import Daemon
from swift.direct import Direct, Refused
from swift.http import path as paths
from swift.internal_client import InternalClient, Unexpected
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring
from swift.timestamp import Timestamp

LOG = logging.getLogger(__name__)

#: content type of entries that say: delete now, whatever X-Delete-At (large objects deleted in the background)
ASYNC_DELETED = 'application/async-deleted'
DELAY = 'delay_reaping_'


class Task(NamedTuple):
    """One entry of the queue."""

    container: str
    name: str
    when: int
    account: str
    target: str
    obj: str
    unconditional: bool


class ObjectExpirer(Daemon):
    """Delete objects whose X-Delete-At has passed."""

    SECTION = 'object-expirer'
    INTERVAL = 300
    METRICS = {'expired': 'objects', 'failed': 'errors'}
    OPTIONS = {
        'auto_create_account_prefix': Option(confs.text, '.', "of accounts that are the cluster's own"),
        'expiring_objects_account_name': Option(confs.text, 'expiring_objects', "the queue's account, without prefix"),
        'internal_client_conf_path': Option(confs.text, '', "the pipeline; default: swift_dir's internal-client.conf"),
        'concurrency': Option(confs.positive, 4, 'objects that are deleted at a time'),
        'processes': Option(confs.count, 0, 'how many expirers share the work; 0: this one does it all'),
        'process': Option(confs.count, 0, 'which of them this is, from 0'),
        'request_tries': Option(confs.positive, 3, 'how often a request is tried'),
        'report_interval': Option(confs.number, 300.0, 'seconds between two lines of progress in the log'),
        'reclaim_age': Option(confs.number, 604800.0, 'seconds after which an entry is dropped that cannot be done'),
        'tasks_per_second': Option(confs.number, 50.0, 'objects deleted in a second; 0: as many as possible'),
    }

    def __init__(self, conf: Mapping[str, Any]) -> None:
        super().__init__(conf)
        if self.conf.processes and self.conf.process >= self.conf.processes:
            raise errors.Invalid(f'[{self.SECTION}]: process = {self.conf.process}: must be less than processes, '
                                 f'{self.conf.processes}')
        self.delays = _delays(conf)
        path = self.conf.internal_client_conf_path or os.path.join(self.conf.swift_dir, 'internal-client.conf')
        self.client = InternalClient(path, 'Swift Object Expirer', self.conf.request_tries)
        self.account = self.conf.auto_create_account_prefix + self.conf.expiring_objects_account_name
        self.direct = Direct(agent='object-expirer')
        hashing = HashPath.load(os.path.join(self.conf.swift_dir, 'swift.conf'))
        self.ring = Ring(self.conf.swift_dir, hashing, name='container')
        self.expired = self.failed = 0

    def close(self) -> None:
        """Close connections."""
        self.direct.close()

    def run_once(self, **_: Any) -> None:
        """Delete everything whose time is over."""
        began = spoke = time.time()
        self.expired = self.failed = 0
        workers = green.Pool(self.conf.concurrency)
        pause = 1 / self.conf.tasks_per_second if self.conf.tasks_per_second else 0
        for container in self._containers(began):
            for task in self._tasks(container, began):
                workers.spawn(self._attempt, task)
                green.sleep(pause)
                if time.time() - spoke > self.conf.report_interval:
                    spoke = time.time()
                    LOG.info('%d objects expired so far', self.expired)
            workers.wait()
            self._remove_container(container)
        took = time.time() - began
        LOG.info('%d objects expired in %.1f s', self.expired, took)
        self.measured({'expired': self.expired, 'failed': self.failed})
        recon.dump(self.conf.recon_cache_path, 'object', {
            'object_expiration_pass': took, 'expired_last_pass': self.expired})

    def _containers(self, now: float) -> Iterator[str]:
        for entry in self.client.containers(self.account):
            name = entry['name']
            if not name.isdecimal():
                LOG.warning('%s/%s is no container of the queue', self.account, name)
                continue
            if int(name) > now:
                return
            yield name

    def _tasks(self, container: str, now: float) -> Iterator[Task]:
        for entry in self.client.objects(self.account, container):
            task = parse(container, entry)
            if task is None:
                LOG.warning('%s/%s/%s is no entry of the queue', self.account, container, entry['name'])
                continue
            if task.when > now:
                return
            if task.when + self._delay(task) <= now and self._is_mine(task):
                yield task

    def _delay(self, task: Task) -> float:
        return self.delays.get((task.account, task.target), self.delays.get((task.account, None), 0.0))

    def _is_mine(self, task: Task) -> bool:
        if not self.conf.processes:
            return True
        digest = hashlib.md5(f'{task.container}/{task.name}'.encode('utf-8', 'surrogateescape'), usedforsecurity=False)
        return int(digest.hexdigest(), 16) % self.conf.processes == self.conf.process

    def _attempt(self, task: Task) -> None:
        try:
            if self._delete(task):
                self._remove(task)
        except Exception:
            self.failed += 1
            LOG.exception('%s/%s/%s cannot be expired; it is tried again', task.account, task.target, task.obj)

    def _delete(self, task: Task) -> bool:
        """Delete the object; whether its entry may go."""
        when = Timestamp(task.when)
        headers = {'X-Timestamp': when.normal}
        if not task.unconditional:
            headers |= {'X-If-Delete-At': when.normal, 'X-Backend-Clean-Expiring-Object-Queue': 'no'}
        try:
            answer = self.client.delete_object(task.account, task.target, task.obj, headers,
                                               (2, 404, 409) if task.unconditional else (2, 409))
        except Unexpected as error:
            # it may be on servers that are away, so only its age tells that it will never come
            if error.code in (404, 412):
                return task.when < time.time() - self.conf.reclaim_age
            raise
        self.expired += answer.status // 100 == 2
        return True

    def _remove(self, task: Task) -> None:
        """Take an entry off the queue, on every replica of the listing."""
        part, nodes = self.ring.get_nodes(self.account, task.container)
        headers = {'X-Timestamp': Timestamp.now().internal, 'X-Backend-Storage-Policy-Index': '0'}
        for node in nodes:
            try:
                self.direct.delete(node, part, self.account, task.container, task.name, headers=headers)
            except Refused as error:
                if error.code != 404:
                    LOG.warning('%s', error)
            except errors.Error as error:
                LOG.warning('%s', error)    # the other replicas tell it

    def _remove_container(self, container: str) -> None:
        try:
            self.client.delete_container(self.account, container, (2, 404, 409))
        except Unexpected as error:
            LOG.warning('%s', error)


def parse(container: str, entry: Mapping[str, Any]) -> Task | None:
    """The task of a listing's entry; ``None`` if it is none."""
    name = entry['name']
    when, dash, path = name.partition('-')
    account, _, rest = path.partition('/')
    target, _, obj = rest.partition('/')
    if not (dash and when.isdecimal() and account and target and obj):
        return None
    kind = str(entry.get('content_type', '')).partition(';')[0]
    return Task(container, name, int(when), account, target, obj, kind == ASYNC_DELETED)


def _delays(conf: Mapping[str, Any]) -> dict[tuple[str, str | None], float]:
    """``delay_reaping_ACCOUNT[/CONTAINER] = SECONDS``; raises ``errors.Invalid``."""
    found: dict[tuple[str, str | None], float] = {}
    for name, value in conf.items():
        if name.startswith(DELAY):
            account, _, container = name[len(DELAY):].partition('/')
            try:
                found[paths.unquote(account), paths.unquote(container) or None] = confs.number(value)
            except ValueError as error:
                raise errors.Invalid(f'[object-expirer]: {name} = {value}: {error}') from error
    return found

"""Carry out the journal's operations: woken by messages, by sweeps, and by starting up.

Whatever wakes it, an operation is taken under a lease first, so a message that
comes twice, late or never makes no difference.  Operations on one resource run
one after the other within a process.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping

from strata import context as contexts
from strata import errors, green
from strata.journal import Journal, Lease

LOG = logging.getLogger(__name__)
Handler = Callable[[Lease], None]


class Performer:
    """Performs the operations of one topic, on one host or (``host=None``) on any.

    ``verbs`` maps an operation's verb to its handler, which finishes or hands
    over the lease it is given.  ``give_up`` is called instead for an operation
    that was taken more than ``attempts`` times.  ``limit`` bounds what runs at once.
    """

    def __init__(self, journal: Journal, topic: str, host: str | None, verbs: Mapping[str, Handler], *,
                 give_up: Handler, attempts: int = 5, limit: int = 64, pause: float = 5.0) -> None:
        self.journal, self.topic, self.host = journal, topic, host
        self.verbs, self.give_up = dict(verbs), give_up
        self.attempts, self.pause = attempts, pause
        #: told the resource whose operation was taken from us while we worked on it
        self.overtaken: Callable[[str], object] = lambda resource_id: None
        self._slots = green.Semaphore(limit)
        #: operations that wait for a slot; a sweep need not bring them again
        self._queued: set[str] = set()
        self._locks: dict[str, tuple[green.Semaphore, int]] = {}

    def perform(self, id: str, *, steal: bool = False) -> None:
        """Carry out one operation if nobody else holds it."""
        self._queued.add(id)
        try:
            self._slots.acquire()
        finally:
            self._queued.discard(id)
        try:
            self._perform(id, steal)
        finally:
            self._slots.release()

    def _perform(self, id: str, steal: bool) -> None:
        lease = self.journal.take(id, self.topic, self.host, steal=steal)
        if lease is None:
            return
        token = contexts.CURRENT.set(lease.context)
        try:
            with lease.renewed(), self._alone(lease.entry.resource_id) as waited:
                self._carry_out(lease, waited)
        finally:
            contexts.CURRENT.reset(token)

    def _carry_out(self, lease: Lease, waited: bool) -> None:
        entry = lease.entry
        try:
            if waited:
                lease.check()      # meanwhile somebody may have superseded it
            if lease.epoch > self.attempts:
                self.give_up(lease)
            else:
                self.verbs[entry.verb](lease)
        except errors.Fenced:
            LOG.info('operation %s (%s) is no longer ours', entry.id, entry.verb)
            self._tell_overtaken(entry.resource_id)
        except Exception:
            LOG.exception('operation %s (%s) broke off; it will be taken up again', entry.id, entry.verb)
            with contextlib.suppress(errors.Error):
                self._put_back(lease)

    def _tell_overtaken(self, resource_id: str) -> None:
        try:
            self.overtaken(resource_id)
        except Exception:
            LOG.exception('what was done too late to %s is left to the reconciler', resource_id)

    def _put_back(self, lease: Lease) -> None:
        def write() -> None:
            with lease.db.transaction() as tx:
                lease.hand_over(tx, topic=lease.entry.topic, host=lease.entry.host,
                                seconds=self.pause * 2 ** min(lease.epoch, 4))
        lease.db.retried(write)

    @contextlib.contextmanager
    def _alone(self, resource_id: str) -> Iterator[bool]:
        lock, users = self._locks.get(resource_id, (None, 0))
        lock = lock or green.Semaphore(1)
        self._locks[resource_id] = lock, users + 1
        try:
            with lock:
                yield users > 0
        finally:
            users = self._locks[resource_id][1]
            if users == 1:
                del self._locks[resource_id]
            else:
                self._locks[resource_id] = lock, users - 1

    def recover(self) -> int:
        """Take up every unfinished operation of this host, whoever holds it; for a worker that starts.

        Returns how many there are.  They run in greenlets of their own.
        """
        ids = self.journal.waiting(self.topic, self.host, held=True, most=10000)
        for id in ids:
            green.spawn(self.perform, id, steal=True)
        return len(ids)

    def sweep(self) -> None:
        """Take up what nobody holds: messages that were lost, holders that died."""
        for id in self.journal.waiting(self.topic, self.host):
            if id not in self._queued:
                green.spawn(self.perform, id)

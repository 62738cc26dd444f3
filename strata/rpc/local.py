"""The bus of one process, which behaves as AMQP does.

Asynchronous, a JSON round trip, bounded queues that exist only while somebody
listens.  Managers of one topic share the topic's queue in turn.  ``drain``
waits for quiet; ``faults`` makes trouble.
"""

import collections
import logging

from strata import errors, green
from strata.rpc import message as wire
from strata.rpc.bus import Bus, Full, Unroutable
from strata.rpc.worker import Worker

LOG = logging.getLogger(__name__)


class _Queue:
    """Messages waiting for one of its listeners, handed to them in turn."""

    def __init__(self, key: str, limit: int) -> None:
        self.key = key
        self.listeners: collections.deque[Worker] = collections.deque()
        self.messages: green.Queue = green.Queue(limit)
        self._in_hand = 0
        self._greenlet = green.spawn(self._deliver)

    def put(self, message: wire.Message) -> None:
        """Add a message, or raise ``Full``."""
        try:
            self.messages.put_nowait(message)
        except green.Full:
            raise Full(service=self.key) from None

    @property
    def waiting(self) -> int:
        """How many messages have no greenlet yet."""
        return int(self.messages.qsize()) + self._in_hand

    def _deliver(self) -> None:
        while True:
            message = self.messages.get()
            self._in_hand = 1
            self._next().take(message)
            self._in_hand = 0

    def _next(self) -> Worker:
        """The listener whose turn it is, passing over those that are full while others are not."""
        for _ in range(len(self.listeners)):
            self.listeners.rotate(-1)
            if self.listeners[-1].has_room:
                break
        return self.listeners[-1]

    def close(self) -> None:
        """Deliver no more; what waits is lost, as with a queue that is deleted."""
        self._greenlet.kill()


class LocalBus(Bus):
    """Queues in this process."""

    def __init__(self, exchange: str = 'local', *, concurrency: int = 64, limit: int = 10_000) -> None:
        super().__init__(exchange, concurrency=concurrency, limit=limit)
        #: the last messages sent, as (key, verb), dropped ones too
        self.log: collections.deque[tuple[str, str]] = collections.deque(maxlen=1000)
        self._queues: dict[str, list[_Queue]] = {}
        self._delayed = 0

    @property
    def pending(self) -> int:
        """How many messages were sent and are not yet dealt with."""
        return (sum(queue.waiting for queues in self._queues.values() for queue in queues)
                + sum(worker.busy for worker in self.workers) + self._delayed)

    def drain(self, timeout: float = 10) -> None:
        """Wait until every message, and those that it led to, has been dealt with.

        Raises ``errors.Timeout``.  A manager's method must not call it, for it
        would wait for itself.
        """
        with green.timeout(timeout, errors.Timeout(what='The bus')):
            while self.pending:
                green.sleep(0.002)

    def _send(self, message: wire.Message) -> None:
        self.log.append((message.key, message.verb))
        super()._send(message)

    def _later(self, message: wire.Message, seconds: float) -> None:
        self._delayed += 1      # drain() waits for delayed messages too

        def deliver() -> None:
            try:
                green.sleep(seconds)
                self._publish(message)
            except errors.Unavailable as error:
                LOG.info('a delayed %s was not delivered: %s', message.verb, error)
            finally:
                self._delayed -= 1
        green.spawn(deliver)

    def _publish(self, message: wire.Message) -> None:
        queues = self._queues.get(message.key)
        if not queues:
            raise Unroutable(service=message.key)
        for queue in list(queues):
            queue.put(message)

    def _reply_to(self) -> str:
        return 'local'

    def _reply(self, message: wire.Message, answer: bytes) -> None:
        self._answers.deliver(message.id, answer)

    def _listen(self, worker: Worker) -> None:
        shared, own, fanout = worker.keys
        for key in (shared, own):
            if key not in self._queues:
                self._queues[key] = [_Queue(key, self.limit)]
            self._queues[key][0].listeners.append(worker)
        queue = _Queue(fanout, self.limit)
        queue.listeners.append(worker)
        self._queues.setdefault(fanout, []).append(queue)

    def _deafen(self) -> None:
        for queues in self._queues.values():
            for queue in queues:
                queue.close()
        self._queues.clear()

"""What both buses have in common: casts, calls, answers, and the life of the workers.

``attach`` managers, ``start``, and messages arrive; ``stop`` takes no more and
lets those under way finish, ``kill`` does not wait for them.
"""

import abc
import logging
from typing import Any

from strata import errors, green
from strata.context import Context
from strata.rpc import message as wire
from strata.rpc.faults import Faults
from strata.rpc.worker import Worker

LOG = logging.getLogger(__name__)


class Unroutable(errors.Unavailable):
    """No worker listens under that key."""

    message = 'No worker listens at {service}.'


class Full(errors.Unavailable):
    """The workers' queue is at its bound."""

    message = 'The queue of {service} is full.'


class Answers:
    """The calls of this process that wait, by message id."""

    def __init__(self) -> None:
        self._waiting: dict[str, green.Queue] = {}

    def expect(self, id: str) -> green.Queue:
        """A place for the answer to this message."""
        place = self._waiting[id] = green.Queue(1)
        return place

    def forget(self, id: str) -> None:
        """The caller waits no more; a late answer is dropped."""
        self._waiting.pop(id, None)

    def deliver(self, id: str, answer: bytes | errors.Error) -> None:
        """Wake the caller; the second answer to a message is dropped."""
        place = self._waiting.pop(id, None)
        if place is None:
            LOG.debug('an answer to %s came too late or twice', id)
        else:
            place.put_nowait(answer)

    def fail(self, error: errors.Error) -> None:
        """Wake all callers with an error."""
        for id in list(self._waiting):
            self.deliver(id, error)


class Bus(abc.ABC):
    """Carries messages between the workers of one service.

    Messages and their answers pass ``faults``, where a test makes trouble.
    """

    def __init__(self, exchange: str, *, concurrency: int = 64, limit: int = 10_000) -> None:
        """``concurrency``: messages a manager works on at a time; ``limit``: messages a queue holds."""
        self.exchange = exchange
        self.concurrency = concurrency
        self.limit = limit
        self.faults = Faults()
        self.workers: list[Worker] = []
        self.running = False
        self._answers = Answers()

    def attach(self, manager: Any, host: str) -> None:
        """Let a manager obey messages for its topic, for ``topic.host``, and the topic's fanout.

        Before ``start`` it is only noted; afterwards it listens at once.
        """
        worker = Worker(manager, host, self.concurrency, self.reply)
        self.workers.append(worker)
        if self.running:
            self._listen(worker)

    def start(self) -> None:
        """Listen with every manager attached so far."""
        if self.running:
            return
        self.running = True
        for worker in self.workers:
            self._listen(worker)

    def stop(self, grace: float = 30) -> None:
        """Take no more messages, give those under way ``grace`` seconds, then kill them."""
        if self.running:
            self.running = False
            self._deafen()
            with_grace = [green.spawn(worker.stop, grace) for worker in self.workers]
            for stopping in with_grace:
                stopping.wait()
        self._close()
        self._answers.fail(errors.Unavailable(service='The message bus'))

    def kill(self) -> None:
        """As ``stop``, without waiting for anything."""
        self.stop(grace=0)

    def cast(self, key: str, verb: str, context: Context, args: dict[str, Any]) -> None:
        """Send and forget.

        Nobody listening, a full queue or a lost broker are logged, never
        raised: the work is in the journal, and whoever sweeps it finds it.
        """
        green.refuse('a cast')
        try:
            self._send(wire.message(key, verb, context, args))
        except Unroutable:
            LOG.debug('nobody listens at %s for %s', key, verb)
        except errors.Unavailable as error:
            LOG.warning('%s was not sent to %s: %s', verb, key, error)

    def call(self, key: str, verb: str, context: Context, args: dict[str, Any], *, timeout: float) -> Any:
        """Send, and wait at most ``timeout`` seconds for the answer.

        Raises what the manager raised; ``errors.Unavailable`` at once if no
        worker listens or the broker is gone; ``errors.Timeout``.
        """
        green.refuse('a call')
        message = wire.message(key, verb, context, args)
        message.seconds = timeout
        late = errors.Timeout(what=f'{verb} at {key}')
        place = self._answers.expect(message.id)
        try:
            with green.timeout(timeout, late):
                message.reply_to = self._reply_to()
                self._send(message)
                answer = place.get()
        finally:
            self._answers.forget(message.id)
        if isinstance(answer, errors.Error):
            raise answer
        return wire.result(answer)

    def reply(self, message: wire.Message, answer: bytes) -> None:
        """Send a worker's answer back; one that cannot be delivered is logged."""
        copies, seconds = self.faults.fate('reply')
        try:
            if seconds:
                green.sleep(seconds)
            for _ in range(copies):
                self._reply(message, answer)
        except errors.Unavailable as error:
            LOG.warning('the answer to %s was not sent: %s', message.verb, error)

    def _send(self, message: wire.Message) -> None:
        copies, seconds = self.faults.fate(message.verb)
        if seconds:
            self._later(message, seconds)
            return
        for _ in range(copies):
            self._publish(message)

    def _later(self, message: wire.Message, seconds: float) -> None:
        def deliver() -> None:
            green.sleep(seconds)
            try:
                self._publish(message)
            except errors.Unavailable as error:
                LOG.info('a delayed %s was not delivered: %s', message.verb, error)
        green.spawn(deliver)

    @abc.abstractmethod
    def _publish(self, message: wire.Message) -> None:
        """Hand over a message; ``Unroutable``, ``Full`` or ``errors.Unavailable`` if it cannot be."""

    @abc.abstractmethod
    def _reply_to(self) -> str:
        """The address for answers to this process, which is listening when this returns."""

    @abc.abstractmethod
    def _reply(self, message: wire.Message, answer: bytes) -> None:
        """Hand over an answer."""

    @abc.abstractmethod
    def _listen(self, worker: Worker) -> None:
        """Begin to hand messages to a worker; when this returns, or very soon, it can be reached."""

    @abc.abstractmethod
    def _deafen(self) -> None:
        """Hand out no more messages."""

    def _close(self) -> None:
        """Let go of all connections; a bus without any has nothing to do."""
        return


def connect(url: str, exchange: str, **options: Any) -> Bus:
    """The bus that a ``transport_url`` means.

    ``local://`` is a new bus of this process each time: a process makes one and
    hands it around.  ``rabbit://`` (or ``amqp://``) connects when first used,
    so it may be made before a fork.  Raises ``errors.Invalid``.
    """
    scheme = url.partition('://')[0]
    if scheme == 'local':
        from strata.rpc.local import LocalBus
        return LocalBus(exchange, **options)
    if scheme in ('rabbit', 'amqp'):
        from strata.rpc.amqp import AmqpBus  # late: kombu is large, and one host does without
        return AmqpBus(url, exchange, **options)
    raise errors.Invalid("transport_url: '{scheme}' is neither local, rabbit nor amqp", scheme=scheme)

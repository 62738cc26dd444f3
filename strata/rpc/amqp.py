"""The bus of many hosts: RabbitMQ through kombu.

The layout is Essex's, so any AMQP tool shows the picture::

    topic exchange ``nova``
      key compute         -> queue compute               any worker of the topic, in turn
      key compute.node1   -> queue compute.node1         the worker of that host
      key compute_fanout  -> queue compute_fanout_<uuid> a queue per worker
    default exchange      -> queue reply_<uuid>          the answers to one process

Worker queues are auto-delete, for a queue that outlives its worker swallows
messages; bounded, and a full one refuses; messages are transient.

- Greenlets must not share a channel, so publishing takes a connection from a small pool.
- Publishing is confirmed, and ``mandatory``: a message nobody listens for comes back before its
  confirmation does.
- Only one greenlet reads a listening connection.  A message is acknowledged when its greenlet
  starts, so that hours of work do not meet the broker's time-out for acknowledgements.
- A lost connection is made again, and what it had declared is declared again.
"""

import contextlib
import dataclasses
import itertools
import logging
import random
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import amqp
import kombu

from strata import clock, errors, green
from strata.rpc import message as wire
from strata.rpc.bus import Bus, Full, Unroutable
from strata.rpc.worker import Worker

LOG = logging.getLogger(__name__)

#: what a lost broker looks like; pyamqp raises AttributeError now and then
LOST = (OSError, amqp.exceptions.AMQPError, AttributeError)

CONNECT = 5.0           # seconds for one attempt to connect
CONFIRM = 10.0          # seconds the broker has to confirm a message
HEARTBEAT = 20          # seconds after which a silent broker is given up
PATIENCE = 5.0          # seconds that a start, and a call, wait for a connection that is being made
LONGEST_PAUSE = 5.0     # seconds between attempts to connect
PUBLISHERS = 4          # connections for publishing
BREATH = 1.0            # seconds that nobody tries to publish after the broker was not there


class Broker:
    """Where the broker is: one address or several of a cluster."""

    def __init__(self, url: str) -> None:
        """``rabbit://user:password@host:port,user:password@host2:port/vhost``.

        Raises ``errors.Invalid``.
        """
        addresses, _, vhost = url.partition('://')[2].partition('?')[0].partition('/')
        self._vhost = urllib.parse.unquote(vhost) or '/'
        self._addresses: list[dict[str, Any]] = []
        for address in addresses.split(','):
            try:
                parts = urllib.parse.urlsplit(f'//{address}')
                self._addresses.append({
                    'hostname': parts.hostname or '127.0.0.1',
                    'port': parts.port or 5672,
                    'userid': urllib.parse.unquote(parts.username or 'guest'),
                    'password': urllib.parse.unquote(parts.password or 'guest')})
            except ValueError as error:
                raise errors.Invalid(f'transport_url: {error}') from None
        random.shuffle(self._addresses)

    def connect(self, *, heartbeat: int = 0, confirm: bool = False) -> kombu.Connection:
        """A new connection to the first address that answers; ``errors.Unavailable``.

        ``heartbeat``: seconds, or 0 for none; ``confirm``: publishing waits for the broker's word.
        """
        options = {'confirm_publish': confirm, 'client_properties': {'product': 'strata'}}
        last: BaseException | None = None
        for address in list(self._addresses):
            link = kombu.Connection(**address, virtual_host=self._vhost, transport='pyamqp',
                                    connect_timeout=CONNECT, heartbeat=heartbeat, transport_options=options)
            try:
                with green.timeout(2 * CONNECT):
                    link.connect()
                return link
            except (*LOST, TimeoutError) as error:
                last = error
                hang_up(link)
                self._addresses.append(self._addresses.pop(0))
            except BaseException:
                hang_up(link)
                raise
        raise errors.Unavailable('The message broker is not available: {reason}', reason=last) from last


def hang_up(link: kombu.Connection, *, politely: bool = False) -> None:
    """Close a connection whatever state it is in."""
    with contextlib.suppress(Exception):
        if politely:
            with green.timeout(1):
                link.release()
    with contextlib.suppress(Exception):
        link.collect(socket_timeout=0.1)


class _Publisher:
    """A connection and its one confirming channel, for one greenlet at a time."""

    def __init__(self, broker: Broker, exchange: str) -> None:
        self.link = broker.connect(confirm=True)
        self._returned = False
        try:
            with green.timeout(CONFIRM):
                self._channel = self.link.channel()
                declare_exchange(self._channel, exchange)
        except BaseException:
            hang_up(self.link)
            raise
        self._channel.events['basic_return'].add(self._came_back)

    def publish(self, exchange: str, key: str, body: bytes, **properties: Any) -> bool:
        """Whether the broker had a queue for it; ``amqp.exceptions.MessageNacked`` if that is full."""
        self._returned = False
        self._channel.basic_publish(amqp.Message(body, **properties), exchange=exchange, routing_key=key,
                                    mandatory=True, confirm_timeout=CONFIRM)
        return not self._returned

    def _came_back(self, *_: Any) -> None:
        self._returned = True


class Publishers:
    """A small pool of connections; as many greenlets publish at a time as it has places."""

    def __init__(self, broker: Broker, exchange: str, size: int = PUBLISHERS) -> None:
        self._broker = broker
        self._exchange = exchange
        self._idle: list[_Publisher] = []
        self._places = green.Semaphore(size)
        self._down_until = 0.0      # monotonic

    def publish(self, exchange: str, key: str, body: bytes, **properties: Any) -> None:
        """Hand a message to the broker.

        A connection that turns out to be stale is replaced, once.  Raises
        ``Unroutable``, ``Full``, or ``errors.Unavailable`` if there is no
        broker; then it does so at once for a second, so that those who wait
        for a place do not each wait for the broker too.
        """
        with self._places:
            while True:
                if time.monotonic() < self._down_until:
                    raise errors.Unavailable(service='The message broker')
                fresh = not self._idle
                try:
                    with self._borrowed() as publisher:
                        routed = publisher.publish(exchange, key, body, **properties)
                except amqp.exceptions.MessageNacked:
                    raise Full(service=key) from None
                except (*LOST, errors.Unavailable) as error:
                    self.close()      # the others are as stale
                    if fresh:
                        self._down_until = time.monotonic() + BREATH
                        raise errors.Unavailable(
                            'The message broker is not available: {reason}', reason=error) from error
                    continue
                if not routed:
                    raise Unroutable(service=key)
                return

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[_Publisher]:
        publisher = self._idle.pop() if self._idle else _Publisher(self._broker, self._exchange)
        whole = False
        try:
            yield publisher
            whole = True
        except amqp.exceptions.MessageNacked:
            whole = True
            raise
        finally:
            # one that was left in mid-sentence (an error, a time-out, a kill) is not used again
            if whole and publisher.link.connected:
                self._idle.append(publisher)
            else:
                hang_up(publisher.link)

    def close(self) -> None:
        """Let go of the connections that are not in use."""
        while self._idle:
            hang_up(self._idle.pop().link, politely=True)


def declare_exchange(channel: Any, exchange: str) -> None:
    """The service's topic exchange; it stays when nobody uses it."""
    channel.exchange_declare(exchange, 'topic', durable=True, auto_delete=False)


@dataclasses.dataclass(slots=True)
class Subscription:
    """One queue, as it is declared anew on every connection."""

    queue: str                  # a name that ends in _ gets a UUID, and is exclusive
    key: str | None             # binding on the service's exchange; None: default exchange only
    limit: int = 0              # messages it holds; 0: not bounded

    def declare(self, channel: Any, exchange: str) -> str:
        """Declare and bind it; returns its name."""
        exclusive = self.queue.endswith('_')
        name = self.queue + clock.new_uuid() if exclusive else self.queue
        arguments = {'x-max-length': self.limit, 'x-overflow': 'reject-publish'} if self.limit else {}
        channel.queue_declare(name, durable=False, exclusive=exclusive, auto_delete=True, arguments=arguments)
        if self.key is not None:
            channel.queue_bind(name, exchange, self.key)
        return name


class Listener:
    """One connection on which messages arrive; made again whenever it is lost."""

    def __init__(self, broker: Broker, exchange: str, subscriptions: list[Subscription],
                 arrived: Callable[[Any, Callable[[], None]], None], *, prefetch: int = 0,
                 lost: Callable[[], None] = lambda: None) -> None:
        """``arrived(message, acknowledge)`` is called for each message, and must not wait.

        ``prefetch`` messages of a queue may be unacknowledged; 0: they are
        never acknowledged.  ``lost()`` is called when the connection is.
        """
        self.ready = green.Event()
        #: the names of the queues, in the order of the subscriptions, while ready
        self.queues: list[str] = []
        self._broker = broker
        self._exchange = exchange
        self._subscriptions = subscriptions
        self._arrived = arrived
        self._prefetch = prefetch
        self._lost = lost
        self._link: kombu.Connection | None = None
        self._greenlet: green.Greenlet | None = None
        # pyamqp of before 5.4 mixes up the frames of two greenlets that write
        self._writing = green.Semaphore(1)

    def start(self) -> None:
        """Begin to connect; ``ready`` tells when it is."""
        if self._greenlet is None:
            self._greenlet = green.spawn(self._run)

    def stop(self) -> None:
        """Hang up for good.  What was not acknowledged goes to other workers, if there are any."""
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.kill()

    def _run(self) -> None:
        for failures in itertools.count():
            begun = time.monotonic()
            try:
                self._listen()
            except Exception as error:
                LOG.warning('%s: lost the message broker: %s', self._exchange, error)
                if not isinstance(error, (*LOST, errors.Error)):
                    LOG.exception('while listening')
            finally:
                self._forget()
            if time.monotonic() - begun > LONGEST_PAUSE:
                pause = 0.0
            else:
                pause = min(LONGEST_PAUSE, 0.1 * 2 ** min(failures, 6))
            green.sleep(pause * random.uniform(0.5, 1))      # noqa: S311

    def _forget(self) -> None:
        link, self._link = self._link, None
        was_ready = self.ready.is_set()
        self.ready.clear()
        if link is not None:
            hang_up(link, politely=self._greenlet is None)
        if was_ready:
            self._lost()

    def _listen(self) -> None:
        link = self._link = self._broker.connect(heartbeat=HEARTBEAT)
        with green.timeout(CONFIRM):
            channel = link.channel()
            declare_exchange(channel, self._exchange)
            channel.basic_qos(0, self._prefetch, False)
            self.queues = [subscription.declare(channel, self._exchange)
                           for subscription in self._subscriptions]
            for name in self.queues:
                channel.basic_consume(name, no_ack=not self._prefetch, callback=self._taker(channel))
        LOG.info('%s: listening at %s', self._exchange, ', '.join(self.queues))
        self.ready.set()
        checked = 0.0
        while True:
            # reading without a limit would never notice that the broker is silent
            with contextlib.suppress(TimeoutError):
                link.drain_events(timeout=HEARTBEAT / 4)
            if time.monotonic() - checked > HEARTBEAT / 4:
                checked = time.monotonic()
                with self._writing:
                    link.heartbeat_check(rate=4)

    def _taker(self, channel: Any) -> Callable[[Any], None]:
        def taker(message: Any) -> None:
            def acknowledge() -> None:
                # on another connection the broker has given the message back already
                with contextlib.suppress(*LOST), self._writing:
                    if channel.connection is not None:
                        channel.basic_ack(message.delivery_tag)
            self._arrived(message, acknowledge)
        return taker


class _Desk:
    """What arrived for one worker and has no greenlet yet; bounded by the prefetch."""

    def __init__(self, bus: 'AmqpBus', worker: Worker) -> None:
        shared, own, fanout = worker.keys
        self._worker = worker
        self._inbox: green.Queue = green.Queue()
        self.listener = Listener(
            bus.broker, bus.exchange,
            [Subscription(shared, shared, bus.limit), Subscription(own, own, bus.limit),
             Subscription(f'{fanout}_', fanout, bus.limit)],
            self._arrived, prefetch=bus.concurrency)
        self._greenlet = green.spawn(self._hand_out)
        self.listener.start()

    def close(self) -> None:
        """Take no more messages."""
        self.listener.stop()
        self._greenlet.kill()

    def _arrived(self, message: Any, acknowledge: Callable[[], None]) -> None:
        self._inbox.put_nowait((message, acknowledge))

    def _hand_out(self) -> None:
        while True:
            raw, acknowledge = self._inbox.get()
            try:
                message = opened(raw)
            except ValueError as error:
                LOG.error('%s', error)
            else:
                self._worker.take(message)
            acknowledge()


def opened(raw: Any) -> wire.Message:
    """A message as it came from the broker; ``ValueError`` if it is none of ours."""
    properties, headers = raw.properties, raw.headers or {}
    try:
        return wire.Message(
            key=raw.delivery_info['routing_key'], verb=headers['verb'],
            context=_bytes(headers['context']), body=_bytes(raw.body),
            id=properties['message_id'], reply_to=properties.get('reply_to'))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'a message that is none of ours: {error!r}') from error


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


class AmqpBus(Bus):
    """RabbitMQ.  It connects when first used, and from then on belongs to this process."""

    def __init__(self, url: str, exchange: str, *, concurrency: int = 64, limit: int = 10_000) -> None:
        super().__init__(exchange, concurrency=concurrency, limit=limit)
        self.broker = Broker(url)
        self._publishers = Publishers(self.broker, exchange)
        self._desks: list[_Desk] = []
        self._replies: Listener | None = None

    def start(self) -> None:
        """Listen; a broker that is not there yet is waited for in the background."""
        super().start()
        deadline = time.monotonic() + PATIENCE
        for desk in self._desks:
            if not desk.listener.ready.wait(max(0, deadline - time.monotonic())):
                LOG.warning('%s: the message broker has not answered yet; going on trying', self.exchange)

    def _listen(self, worker: Worker) -> None:
        self._desks.append(_Desk(self, worker))

    def _deafen(self) -> None:
        while self._desks:
            self._desks.pop().close()

    def _close(self) -> None:
        if self._replies is not None:
            self._replies.stop()
            self._replies = None
        self._publishers.close()

    def _publish(self, message: wire.Message) -> None:
        properties = {'expiration': str(max(1, int(message.seconds * 1000)))} if message.seconds else {}
        if message.reply_to:
            properties.update(reply_to=message.reply_to, correlation_id=message.id)
        self._publishers.publish(
            self.exchange, message.key, message.body, message_id=message.id, type=message.verb,
            content_type='application/json', delivery_mode=1,
            application_headers={'verb': message.verb, 'context': message.context.decode()}, **properties)

    def _reply(self, message: wire.Message, answer: bytes) -> None:
        assert message.reply_to is not None
        with contextlib.suppress(Unroutable):      # the caller is gone
            self._publishers.publish('', message.reply_to, answer, correlation_id=message.id,
                                     content_type='application/json', delivery_mode=1)

    def _reply_to(self) -> str:
        if self._replies is None:
            self._replies = Listener(self.broker, self.exchange, [Subscription('reply_', None)],
                                     self._answered, lost=self._lost_replies)
            self._replies.start()
        if not self._replies.ready.wait(PATIENCE):
            raise errors.Unavailable(service='The message broker')
        return self._replies.queues[0]

    def _answered(self, raw: Any, _: Callable[[], None]) -> None:
        self._answers.deliver(raw.properties.get('correlation_id', ''), _bytes(raw.body))

    def _lost_replies(self) -> None:
        # the queue of answers went with its connection
        self._answers.fail(errors.Unavailable(service='The message broker'))

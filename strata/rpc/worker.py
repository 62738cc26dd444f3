"""Obeys messages on behalf of one manager: a greenlet each, from a bounded pool.

The caller's context is rebuilt and made current, so log lines and outgoing
HTTP calls carry the request id of the API call that began it all.
"""

import logging
from collections.abc import Callable
from typing import Any

from strata import context as contexts
from strata import errors, green
from strata.rpc import message as wire
from strata.rpc.message import Message

LOG = logging.getLogger(__name__)
Reply = Callable[[Message, bytes], None]


class Worker:
    """One manager at its three addresses."""

    def __init__(self, manager: Any, host: str, concurrency: int, reply: Reply) -> None:
        interface = getattr(manager, 'interface', None)
        if interface is None:
            raise TypeError(f'{type(manager).__name__} is not marked with @serves')
        self.manager = manager
        self.topic: str = interface.topic
        self.host = host
        self._verbs = interface.verbs()
        self._reply = reply
        self._pool = green.Pool(concurrency)

    @property
    def keys(self) -> tuple[str, str, str]:
        """The routing keys it listens to: any worker, this host's, all workers."""
        return self.topic, f'{self.topic}.{self.host}', f'{self.topic}_fanout'

    @property
    def busy(self) -> int:
        """How many messages are under way."""
        return len(self._pool)

    @property
    def has_room(self) -> bool:
        """Whether ``take`` would not wait."""
        return len(self._pool) < self._pool.size

    def take(self, message: Message) -> None:
        """Obey a message beside others, after waiting for a place."""
        self._pool.spawn(self._obey, message)

    def stop(self, grace: float) -> None:
        """Give what is under way ``grace`` seconds, then kill it; the journal knows the rest."""
        if grace:
            try:
                with green.timeout(grace):
                    self._pool.wait()
            except TimeoutError:
                LOG.warning('%s.%s: %d messages under way are given up', self.topic, self.host, self.busy)
        self._pool.kill()

    def _obey(self, message: Message) -> None:
        answer = self._answer(message)
        if message.waits:
            self._reply(message, answer)

    def _answer(self, message: Message) -> bytes:
        """The reply to a message.  Whatever the manager raises ends here."""
        try:
            context, args = wire.opened(message)
            contexts.CURRENT.set(context)
            verb = self._verbs.get(message.verb)
            if verb is None:
                raise errors.Unsupported(feature=f'The verb {message.verb} of {self.topic}')
            verb.check(args)
            return wire.answer(message.verb, getattr(self.manager, message.verb)(context, **args))
        except errors.Error as error:
            if not message.waits or error.status >= 500:
                LOG.exception('%s at %s failed', message.verb, message.key)
            return wire.failure(error)
        except Exception as error:
            LOG.exception('%s at %s failed', message.verb, message.key)
            return wire.failure(error)

"""What a worker can be asked: its verbs, declared once.

An ``Interface`` is the client's proxy and the contract that the worker's
manager is checked against::

    class Compute(Interface):
        topic = 'compute'

        build = cast('server_id')
        console_output = call('server_id', 'length')

    Compute(bus).build(context, host='node1', server_id=id)

A client sees ``fn(context, *, host=None, fanout=False, **arguments)``.  With a
host the message goes to that host's worker, else to any worker of the topic;
with ``fanout=True`` (casts only) to all of them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from strata.context import Context

if TYPE_CHECKING:
    from strata.rpc.bus import Bus

Manager = TypeVar('Manager', bound=type)

#: keywords of a client's call that are never a verb's arguments
RESERVED = frozenset({'host', 'fanout', 'timeout'})


class Verb:
    """One verb: its arguments, and whether the caller waits for an answer."""

    name: str = ''

    def __init__(self, *args: str, timeout: float | None = None) -> None:
        """``timeout``: seconds the caller waits for the answer; ``None`` for a cast."""
        if clash := RESERVED.intersection(args):
            raise TypeError(f'{sorted(clash)} cannot be arguments of a verb')
        self.args = args
        self.timeout = timeout

    @property
    def waits(self) -> bool:
        """Whether this is a call."""
        return self.timeout is not None

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, proxy: 'Interface | None', owner: type) -> Any:
        if proxy is None:
            return self
        return self._bound(proxy)

    def _bound(self, proxy: 'Interface') -> Callable[..., Any]:
        def send(context: Context, /, *, host: str | None = None, fanout: bool = False,
                 timeout: float | None = None, **args: Any) -> Any:
            self.check(args)
            if fanout and (self.waits or host):
                raise TypeError(f'{self.name}: only a cast without a host can fan out')
            key = f'{proxy.topic}.{host}' if host else proxy.topic
            if self.timeout is None:
                return proxy.bus.cast(f'{key}_fanout' if fanout else key, self.name, context, args)
            return proxy.bus.call(key, self.name, context, args,
                                  timeout=self.timeout if timeout is None else timeout)
        send.__name__ = self.name
        return send

    def check(self, args: dict[str, Any]) -> None:
        """Raise ``TypeError`` unless these are exactly the verb's arguments."""
        if set(args) != set(self.args):
            raise TypeError(f'{self.name} takes {sorted(self.args)}, not {sorted(args)}')


def cast(*args: str) -> Any:
    """A verb that is sent and forgotten; its effect shows in the database."""
    return Verb(*args)


def call(*args: str, timeout: float = 60) -> Any:
    """A verb whose answer the caller waits for, at most ``timeout`` seconds.

    Raises what the manager raised, ``errors.Unavailable`` at once if no worker
    listens, ``errors.Timeout`` if none answered.
    """
    return Verb(*args, timeout=timeout)


class Interface:
    """The verbs of one kind of worker; an instance is a client on a bus."""

    topic: ClassVar[str]

    def __init__(self, bus: 'Bus') -> None:
        self.bus = bus

    @classmethod
    def verbs(cls) -> dict[str, Verb]:
        """All verbs by name."""
        return {name: verb for base in reversed(cls.__mro__)
                for name, verb in vars(base).items() if isinstance(verb, Verb)}


def serves(interface: type[Interface]) -> Callable[[Manager], Manager]:
    """Class decorator: this manager obeys every verb of the interface, or is refused."""
    def check(manager: Manager) -> Manager:
        missing = set(interface.verbs()) - set(dir(manager))
        if missing:
            raise TypeError(f'{manager.__name__} lacks {sorted(missing)}')
        manager.interface = interface      # type: ignore[attr-defined]
        return manager
    return check

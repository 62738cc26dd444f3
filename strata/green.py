"""Greenlets: the only place (with the WSGI server and the service runner) that knows eventlet.

Everything else is plain blocking code.  Each rule here was a hang, a freeze
or an error when it was missing, so each has a test:

- ``patch()`` runs first, and psycopg only then, else its queries block everyone;
- a forked child calls ``after_fork()`` first, else it shares its parent's epoll and timers;
- log handlers have native locks, else a record from a native thread deadlocks;
- names are resolved on a native thread, else a slow DNS server stops the process;
- nothing switches greenlets inside a transaction of SQLite: see ``no_switch``.
"""

import contextlib
import contextvars
import ctypes
import logging
import os
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self, TypeVar

os.environ['EVENTLET_NO_GREENDNS'] = 'yes'      # names are resolved by getaddrinfo, natively
warnings.filterwarnings('ignore', message=r'\s*Eventlet is deprecated')

import eventlet
import eventlet.event
import eventlet.greenthread
import eventlet.hubs.hub
import eventlet.lock
import eventlet.patcher
import eventlet.queue
import eventlet.semaphore
import eventlet.tpool
import greenlet

from strata import hub as hubs

LOG = logging.getLogger(__name__)
Value = TypeVar('Value')

Semaphore = eventlet.semaphore.Semaphore
Lock = eventlet.lock.Lock
Queue = eventlet.queue.Queue
Empty = eventlet.queue.Empty
Full = eventlet.queue.Full
sleep = eventlet.greenthread.sleep
getcurrent = greenlet.getcurrent
Watch = hubs.Watch
any_ready, readable, writable = hubs.any_ready, hubs.readable, hubs.writable
turn, pause, resume = hubs.turn, hubs.pause, hubs.resume

#: the real ``threading``, whose locks and threads know nothing of greenlets
threads: Any = eventlet.patcher.original('threading')

_native_getaddrinfo = socket.getaddrinfo
_patched = False


def patch() -> None:
    """Make the standard library green; the first statement of every main module.  Idempotent.

    Raises ``RuntimeError`` if psycopg was imported before, for then its waits
    would block the whole process.
    """
    global _patched
    if _patched:
        return
    os.environ['PSYCOPG_WAIT_FUNC'] = 'wait_selector'
    if 'psycopg' in sys.modules:
        raise RuntimeError('strata.green.patch() must run before psycopg is imported')
    eventlet.monkey_patch()
    eventlet.hubs.use_hub(hubs.Hub)
    _nativize_logging()
    _patch_names()
    _share_memory()
    _patched = True


def patched() -> bool:
    """Whether ``patch()`` has run in this process."""
    return _patched


def _share_memory() -> None:
    """One heap for all native threads: of twenty, each would keep 19 MiB after hashing a password."""
    arena_max = -8      # glibc's M_ARENA_MAX; elsewhere there are no arenas to bound
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(arena_max, 1)


def _nativize_logging() -> None:
    # handlers made from now on, and the module's own lock, are native from birth
    logging.threading = threads      # type: ignore[attr-defined]
    logging._lock = threads.RLock()      # type: ignore[attr-defined]
    for reference in list(logging._handlerList):      # type: ignore[attr-defined]
        handler = reference()
        if handler is not None and handler.lock is not None:
            nativize(handler)


def nativize(handler: logging.Handler) -> logging.Handler:
    """Give a log handler a native lock, so that native threads may log too; returns it.

    A handler never switches while it holds the lock, so greenlets need no lock of their own.
    """
    handler.lock = threads.RLock()
    return handler


def _patch_names() -> None:
    import eventlet.green.socket as green_socket
    socket.getaddrinfo = green_socket.getaddrinfo = getaddrinfo


def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
    """``socket.getaddrinfo``; what is not an address nor this host goes to a native thread."""
    if host is None or host in ('', 'localhost', b'localhost') or _is_address(host):
        return _native_getaddrinfo(host, port, *args, **kwargs)
    return native(_native_getaddrinfo, host, port, *args, **kwargs)


def _is_address(host: str | bytes) -> bool:
    text = host.decode('ascii', 'replace') if isinstance(host, bytes) else host
    family = socket.AF_INET6 if ':' in text else socket.AF_INET
    try:
        socket.inet_pton(family, text.partition('%')[0])
    except (OSError, ValueError):
        return False
    return True


def after_fork() -> None:
    """In a forked child, before anything else: a hub and a thread pool of its own.

    Greenlets of the parent do not run in the child.
    """
    local = eventlet.hubs._threadlocal
    old = getattr(local, 'hub', None)
    if old is not None:
        _abandoned.append(old)      # collecting it would throw into its greenlets
        poll = getattr(old, 'poll', None)
        if poll is not None and hasattr(poll, 'close'):
            poll.close()      # the child's copy only: the parent's epoll lives on
    eventlet.hubs.use_hub(hubs.Hub)
    pool = eventlet.tpool
    if pool._setup_already:
        _abandoned.append((pool._reqq, pool._rspq, pool._rsock, pool._wsock, pool._coro, list(pool._threads)))
        pool._threads.clear()
        pool._setup_already = False
    _zones.clear()


_abandoned: list[Any] = []


class Greenlet:
    """A function running beside others; made by ``spawn``."""

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self._call = (function, args, kwargs)
        self._value: Any = None
        self._error: BaseException | None = None
        self._finished: Event | None = None
        self._waiting = 0
        self.dead = False
        self._greenlet = eventlet.greenthread.spawn_n(self._run)
        self._greenlet.gr_context = contextvars.copy_context()

    def _run(self) -> None:
        function, args, kwargs = self._call
        try:
            self._value = function(*args, **kwargs)
        except greenlet.GreenletExit:
            pass
        except BaseException as error:
            self._error = error
            if not self._waiting:
                LOG.exception('%s failed', getattr(function, '__qualname__', function))
        finally:
            self._finish()

    def _finish(self) -> None:
        self.dead = True
        del self._call
        if self._finished is not None:
            self._finished.set()

    def wait(self, timeout: float | None = None) -> Any:
        """The function's result, or its exception; ``None`` if it was killed.

        Raises ``TimeoutError`` after ``timeout`` seconds.
        """
        if not self.dead:
            self._finished = self._finished or Event()
            self._waiting += 1
            try:
                if not self._finished.wait(timeout):
                    raise TimeoutError(f'still running after {timeout} s')
            finally:
                self._waiting -= 1
        if self._error is not None:
            raise self._error
        return self._value

    def join(self) -> None:
        """Wait until it is over, however it ends; its exception is logged, not raised."""
        while not self.dead:
            self._finished = self._finished or Event()
            self._finished.wait()

    def kill(self) -> None:
        """Raise ``GreenletExit`` in it and let it clean up; one that is over is left alone."""
        if self.dead:
            return
        refuse('killing a greenlet')
        started = bool(self._greenlet)
        eventlet.greenthread.kill(self._greenlet)
        if not started:
            self._finish()


def spawn(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Greenlet:
    """Run a function beside the caller, in a copy of its context (request id and all).

    It starts when the caller next waits.  An exception nobody waits for is logged.
    """
    return Greenlet(function, args, kwargs)


class Event:
    """A flag to wait for, as ``threading.Event``; to be set by greenlets, not by native threads."""

    def __init__(self) -> None:
        self._set = False
        self._event = eventlet.event.Event()

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._set

    def set(self) -> None:
        """Wake all who wait, now and later.  Does not switch."""
        if not self._set:
            self._set = True
            self._event.send(True)

    def clear(self) -> None:
        """Make waiters wait again."""
        if self._set:
            self._set = False
            self._event = eventlet.event.Event()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most ``timeout`` seconds; whether it was set."""
        if self._set:
            return True
        event = self._event
        event.wait(timeout=timeout)
        return event.ready()


class Pool:
    """At most ``size`` greenlets at a time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = Semaphore(size)
        self._running: set[Greenlet] = set()

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Greenlet:
        """As ``spawn``, after waiting for a place."""
        self._free.acquire()
        worker: Greenlet

        def run() -> Any:
            try:
                return function(*args, **kwargs)
            finally:
                leave()

        def leave() -> None:
            if worker in self._running:
                self._running.discard(worker)
                self._free.release()

        worker = _Member(run, leave)
        self._running.add(worker)
        return worker

    def map(self, function: Callable[[Any], Value], items: Iterable[Any]) -> list[Value]:
        """The results for all items, in their order; the first failure is raised after all have run."""
        workers = [self.spawn(function, item) for item in items]
        for worker in workers:
            worker._waiting += 1      # its failure is the caller's to hear, not the log's
            worker.join()
        return [worker.wait() for worker in workers]

    def wait(self) -> None:
        """Wait until none is running; their failures have been logged."""
        while self._running:
            next(iter(self._running)).join()

    def kill(self) -> None:
        """Kill all that run."""
        for worker in list(self._running):
            worker.kill()


class _Member(Greenlet):
    """A greenlet of a pool, which gives its place back even if it is killed before it began."""

    def __init__(self, function: Callable[[], Any], leave: Callable[[], None]) -> None:
        self._leave = leave
        super().__init__(function, (), {})

    def _finish(self) -> None:
        self._leave()
        super()._finish()


@contextlib.contextmanager
def timeout(seconds: float | None,
            error: BaseException | type[BaseException] | None = None) -> Iterator[None]:
    """Raise ``error`` (default ``TimeoutError``) in the block once it took ``seconds``; ``None``: never.

    It can only be raised where the block waits.
    """
    if seconds is None:
        yield
        return
    timer = eventlet.Timeout(seconds, error or TimeoutError(f'took more than {seconds} s'))
    try:
        yield
    finally:
        timer.cancel()


def native(function: Callable[..., Value], *args: Any, **kwargs: Any) -> Value:
    """Run ONE blocking C call on a native thread while other greenlets go on.

    The function must not touch greenlets: no green lock, no database, no HTTP.
    A hop costs 270 us, so short calls are better made directly.
    """
    refuse('a native call')
    context = contextvars.copy_context()
    return eventlet.tpool.execute(context.run, function, *args, **kwargs)      # type: ignore[no-any-return]


#: the real ``os``: the green one looks what a file is with every write, and for who may wait with every open
system: Any = eventlet.patcher.original('os')
#: the real ``socket`` and ``subprocess`` modules, for those who do their own waiting
sockets: Any = eventlet.patcher.original('socket')
processes: Any = eventlet.patcher.original('subprocess')
_select: Any = eventlet.patcher.original('select')


def sleep_natively(seconds: float) -> None:
    """On a native thread: sleep."""
    _select.select([], [], [], seconds)


def await_natively(fileno: int, seconds: float) -> float:
    """On a native thread: wait until a descriptor can be read; the seconds it took, at most about ``seconds``."""
    began = time.monotonic()
    poll = _select.poll()
    poll.register(fileno, _select.POLLIN)
    poll.poll(max(0.0, seconds) * 1000)
    return time.monotonic() - began


class SwitchInTransaction(RuntimeError):
    """Something would have let other greenlets run where none may."""


#: greenlet -> the names of the ``no_switch`` blocks it is in; kept in strict mode only
_zones: dict[Any, list[str]] = {}
_strict = False
_hub_switch = hubs.Hub.switch


def strict(on: bool) -> None:
    """Turn the checks of ``no_switch`` on (tests) or off (service)."""
    global _strict
    _strict = on
    hubs.Hub.switch = _checked_switch if on else _hub_switch      # type: ignore[method-assign,assignment]
    if not on:
        _zones.clear()


def _checked_switch(hub: Any) -> Any:
    refuse('waiting')
    return _hub_switch(hub)


def refuse(what: str) -> None:
    """Raise ``SwitchInTransaction`` if the caller is in a ``no_switch`` block and strict mode is on."""
    names = _zones.get(greenlet.getcurrent()) if _zones else None
    if names:
        raise SwitchInTransaction(f'{what} inside {names[-1]}')


class no_switch:
    """A block in which this greenlet must not wait: in strict mode, waiting there raises.

    A greenlet that yields inside a write transaction of SQLite freezes all
    others for the busy time-out.  Blocks may be nested; when strict mode is
    off they cost nothing to speak of.
    """

    __slots__ = ('_entered', '_name')

    def __init__(self, name: str) -> None:
        self._name = name
        self._entered = False

    def __enter__(self) -> Self:
        if _strict:
            _zones.setdefault(greenlet.getcurrent(), []).append(self._name)
            self._entered = True
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._entered:
            self._entered = False
            here = greenlet.getcurrent()
            names = _zones.get(here)
            if names:
                names.pop()
            if not names:
                _zones.pop(here, None)

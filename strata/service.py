"""The life of a daemon: what it runs, how it starts, what signals do, and its children if it forks.

::

    setup      the main module adds servers, managers, periodics, hooks; nothing runs yet
    start      start hooks -> buses -> periodics -> servers; then systemd is told
    (serving)  SIGHUP is harmless; SIGTERM and SIGINT end it; a second one does not wait
    stop       servers finish their requests -> periodics -> buses finish their messages -> stop hooks
    kill       the same without waiting

A daemon with several processes forks them from a parent that has imported
everything, and that never enters the hub nor tpool: see ``Family``.
"""

import contextlib
import ctypes
import dataclasses
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from eventlet import hubs, tpool

from strata import green
from strata.periodic import Periodic
from strata.rpc import Bus

LOG = logging.getLogger(__name__)

ENDING = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG = 1


class Server(Protocol):
    """What a service needs of a WSGI server."""

    def start(self) -> Any:
        """Accept connections from now on; returns at once."""

    def stop(self, grace: float) -> Any:
        """Accept no more, give requests under way ``grace`` seconds."""


class Service:
    """One daemon, in one process or in several alike."""

    def __init__(self, name: str, conf: Any = None, *, grace: float | None = None) -> None:
        """``grace``: seconds for what is under way at the end; default: ``graceful_shutdown_timeout``."""
        self.name = name
        self.conf = conf
        self.grace = grace if grace is not None else getattr(conf, 'graceful_shutdown_timeout', 30)
        self.servers: list[Server] = []
        self.buses: list[Bus] = []
        self.periodics: list[Periodic] = []
        self._starting: list[Callable[[], Any]] = []
        self._stopping: list[Callable[[], Any]] = []

    def add_server(self, server: Server) -> None:
        """Serve HTTP as long as the service runs."""
        self.servers.append(server)

    def add_manager(self, bus: Bus, manager: Any, host: str) -> None:
        """Obey messages as long as the service runs."""
        bus.attach(manager, host)
        self.add_bus(bus)

    def add_bus(self, bus: Bus) -> None:
        """Start and stop a bus with the service; ``add_manager`` does this by itself."""
        if bus not in self.buses:
            self.buses.append(bus)

    def add_periodic(self, function: Callable[[], Any], seconds: float, name: str | None = None,
                     jitter: float = 0.1, first: float = 0) -> Periodic:
        """Run a function every so often; see ``Periodic``."""
        periodic = Periodic(function, seconds, name, jitter=jitter, first=first)
        self.periodics.append(periodic)
        return periodic

    def on_start(self, function: Callable[[], Any]) -> None:
        """Call it before messages and requests come in (recovery of unfinished work, say)."""
        self._starting.append(function)

    def on_stop(self, function: Callable[[], Any]) -> None:
        """Call it when all else has stopped; the last one added comes first."""
        self._stopping.append(function)

    def start(self) -> None:
        """Start everything, or stop again what had started and raise."""
        try:
            for function in self._starting:
                function()
            for parts in (self.buses, self.periodics, self.servers):
                for part in parts:      # type: ignore[attr-defined]
                    part.start()
        except BaseException:
            self.kill()
            raise
        LOG.info('%s is up', self.name)
        notify('READY=1')

    def stop(self) -> None:
        """End gracefully, within about ``grace`` seconds.  What fails is logged; the rest goes on."""
        notify('STOPPING=1')
        self._end(self.grace)
        LOG.info('%s has stopped', self.name)

    def kill(self) -> None:
        """End at once; the journal knows what was under way."""
        self._end(0)

    def _end(self, grace: float) -> None:
        deadline = time.monotonic() + grace
        for parts in (self.servers, self.periodics, self.buses):
            left = max(0, deadline - time.monotonic())
            ending = [green.spawn(_attempt, part.stop, left) for part in parts]
            for one in ending:
                one.wait()
        hooks, self._stopping = self._stopping, []
        for function in reversed(hooks):
            _attempt(function)

    def run(self) -> int:
        """Start, serve until a signal, stop.  Returns the exit status."""
        with _signals() as wait:
            told = green.Event()
            starter = green.spawn(self.start)
            watcher = green.spawn(self._watch, wait, told, starter)
            try:
                starter.wait()
                told.wait()
                self.stop()
            finally:
                watcher.kill()
        return 0

    def _watch(self, wait: Callable[[], int], told: green.Event, starter: green.Greenlet) -> None:
        while True:
            number = wait()
            if number == signal.SIGHUP:
                LOG.info('%s: SIGHUP: there is nothing to reload', self.name)
            elif told.is_set():
                LOG.warning('%s: told again to end, not waiting any longer', self.name)
                _exit(1)
            elif number in ENDING:
                LOG.info('%s: %s, ending', self.name, signal.Signals(number).name)
                told.set()
                starter.kill()      # it may be waiting for a database that is not there

    def prefork(self, count: int, setup: Callable[['Service'], Any] | None = None) -> int:
        """Run in ``count`` processes, or in this one if that is not more than one; returns the exit status.

        ``setup(service)`` runs in each child after the fork: connections and
        greenlets belong there.  Listening sockets are made before, and shared.
        """
        def main() -> int:
            if setup is not None:
                setup(self)
            return self.run()
        if count <= 1:
            return main()
        family = Family(self.name, grace=self.grace + 5)
        for number in range(count):
            family.add(f'{self.name}-{number}', main)
        return family.run()


def _attempt(function: Callable[..., Any], *args: Any) -> None:
    try:
        function(*args)
    except Exception:
        LOG.exception('while stopping')


def _exit(status: int) -> None:
    """Leave at once, but with what was written so far."""
    with contextlib.suppress(Exception):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def notify(state: str) -> None:
    """Tell systemd, if it asked to be told (``Type=notify``)."""
    path = os.environ.get('NOTIFY_SOCKET')
    if path:
        address = '\0' + path[1:] if path.startswith('@') else path
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(state.encode(), address)


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[], int]]:
    """Yields a function that waits for the next signal of ours.

    A Python handler alone does not wake the hub from its poll; the wake-up
    descriptor does.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    watched = (*ENDING, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: None) for number in watched}
    old = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def wait() -> int:
        while True:
            hubs.trampoline(reader, read=True)
            number = os.read(reader, 1)[0]
            if number in watched:
                return number
    try:
        yield wait
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writer)
        os.close(reader)


@dataclasses.dataclass(slots=True)
class Child:
    """One process of a family."""

    name: str
    main: Callable[[], int | None]
    pid: int = 0                  # 0: not running
    started: float = 0            # monotonic
    due: float = 0                # when it is to be started again, monotonic
    restarts: int = 0
    failures: int = 0             # in a row
    last_exit: str | None = None


class Family:
    """Processes forked from one parent, which restarts those that die.

    The parent must not have entered the hub nor used tpool: parent and child
    would share epoll and timers, and tpool would hang in the child.  It waits
    in the kernel, not in the hub.  When the parent dies, its children get SIGTERM.
    """

    #: a child that lived this long, in seconds, is restarted at once
    settled = 10.0
    longest_pause = 30.0

    def __init__(self, name: str, *, grace: float = 30) -> None:
        """``grace``: seconds the children get to end before they are killed."""
        self.name = name
        self.grace = grace
        self.children: list[Child] = []

    def add(self, name: str, main: Callable[[], int | None]) -> Child:
        """Have a child that runs ``main`` and leaves with what that returns."""
        child = Child(name, main)
        self.children.append(child)
        return child

    def run(self) -> int:
        """Start all, restart those that die, until SIGTERM or SIGINT; returns the exit status."""
        refuse_hub()
        watched = {*ENDING, signal.SIGHUP, signal.SIGCHLD}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        gc.collect()
        gc.freeze()      # what the parent imported stays shared
        try:
            while True:
                self._start_due()
                number = _next_signal(watched, self._pause())
                if number in ENDING:
                    LOG.info('%s: %s, ending', self.name, signal.Signals(number).name)
                    return self._end(watched)
                if number == signal.SIGHUP:
                    self._signal(signal.SIGHUP)
                self._reap()
        finally:
            gc.unfreeze()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if not child.pid and child.due <= now:
                child.pid, child.started = fork(child.main), now

    def _pause(self) -> float:
        due = [child.due for child in self.children if not child.pid]
        return max(0, min(due) - time.monotonic()) if due else 60

    def _reap(self) -> None:
        for child in self.children:
            ended = child.pid and os.waitpid(child.pid, os.WNOHANG)
            if ended and ended[0]:
                self._note(child, ended[1])

    def _note(self, child: Child, status: int) -> None:
        now = time.monotonic()
        code = os.waitstatus_to_exitcode(status)
        child.last_exit = f'exit status {code}' if code >= 0 else signal.Signals(-code).name
        child.failures = 0 if now - child.started > self.settled else child.failures + 1
        pause = min(self.longest_pause, 0.1 * 2 ** (child.failures - 1)) if child.failures else 0
        LOG.error('%s (pid %d) ended: %s; starting it again in %.1f s', child.name, child.pid,
                  child.last_exit, pause)
        child.pid, child.due, child.restarts = 0, now + pause, child.restarts + 1

    def _signal(self, number: int) -> None:
        for child in self.children:
            if child.pid:
                os.kill(child.pid, number)

    def _end(self, watched: set[signal.Signals]) -> int:
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + self.grace
        while any(child.pid for child in self.children):
            left = deadline - time.monotonic()
            if left <= 0:
                LOG.warning('%s: killing what did not end in time', self.name)
                self._signal(signal.SIGKILL)
            number = _next_signal(watched, max(0.1, left))
            if number in ENDING:
                self._signal(number)
            for child in self.children:
                if child.pid and os.waitpid(child.pid, os.WNOHANG)[0]:
                    child.pid = 0
        return 0


def _next_signal(watched: set[signal.Signals], seconds: float) -> int | None:
    info = signal.sigtimedwait(watched, seconds)
    return info.si_signo if info else None


def refuse_hub() -> None:
    """Raise ``RuntimeError`` if this process may not fork any more."""
    hub = getattr(hubs._threadlocal, 'hub', None)
    if hub is not None and hub.running:
        raise RuntimeError('this process has run greenlets, so it must not fork')
    if tpool._setup_already:
        raise RuntimeError('this process has used tpool, so it must not fork')


def fork(main: Callable[[], int | None]) -> int:
    """The pid of a child that runs ``main`` in a hub of its own, and never returns here.

    It starts with default signals, and gets SIGTERM when this process dies.
    """
    refuse_hub()
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        green.after_fork()
        _be_a_child_of(parent)
        status = main() or 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        LOG.exception('a child failed')
    finally:
        _exit(status)
    raise AssertionError('a child came back')


def _be_a_child_of(parent: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in (*ENDING, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent:      # it died meanwhile
        _exit(1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*ENDING, signal.SIGHUP, signal.SIGCHLD})

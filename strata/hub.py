"""The hub: who waits for what, and who goes on.

    Watch(fileno)       a connected socket, which the kernel is told to watch once and for all
    any_ready(watches)  the first of several
    readable, writable  any descriptor, told with every wait
    turn()              all others first
    pause, resume       until somebody says so

It is eventlet's, and knows watches and turns beside what eventlet knows.  Others find all of it in ``strata.green``.
"""

import contextlib
import sys
from collections.abc import Iterable
from typing import Any

import eventlet.hubs.epolls
import eventlet.patcher
import greenlet

#: the real ``select``
_select: Any = eventlet.patcher.original('select')
_ENDED = _select.EPOLLRDHUP | _select.EPOLLHUP | _select.EPOLLERR
_READABLE, _WRITABLE = _select.EPOLLIN | _ENDED, _select.EPOLLOUT | _select.EPOLLHUP | _select.EPOLLERR
TWO = 'two greenlets wait for one socket'
_EDGES = _select.EPOLLIN | _select.EPOLLOUT | _select.EPOLLRDHUP | _select.EPOLLET


class Hub(eventlet.hubs.epolls.Hub):      # type: ignore[misc]
    """eventlet's, which tells watches what has happened."""

    def __init__(self, clock: Any = None) -> None:
        super().__init__(clock)
        self.watches: dict[int, Watch] = {}
        #: who gave others a turn; a cell is emptied when its greenlet goes on, or is killed
        self.paused: Cells = []
        #: until when greenlets wait, by the hub's clock; who is not there any more was woken for that
        self.alarms: dict[Any, float] = {}
        #: no alarm is due before
        self._quiet_until = float('inf')
        #: events of what is not watched
        self._found: list[tuple[int, int]] | None = None

    is_available = staticmethod(eventlet.hubs.epolls.is_available)

    def do_poll(self, seconds: float) -> Any:
        found, self._found = self._found, None
        return self.poll.poll(seconds) if found is None else found

    def wait(self, seconds: float | None = None) -> None:
        if self.alarms:
            seconds = self._ring(seconds)
        paused, self.paused = self.paused, []
        if self.watches:
            self._watched(0 if paused else seconds)
        else:
            super().wait(0 if paused else seconds)
        for cell in paused:
            current, cell[0] = cell[0], None
            if current is not None:
                self._go_on(current)

    def _go_on(self, current: Any) -> None:
        try:
            current.switch()
        except self.SYSTEM_EXCEPTIONS:
            raise
        except BaseException:
            self.squelch_generic_exception(sys.exc_info())

    def alarm(self, current: Any, seconds: float) -> None:
        """Wake a greenlet after that time, unless it is taken out of ``alarms`` before."""
        due = self.alarms[current] = self.clock() + seconds
        if due < self._quiet_until:
            self._quiet_until = due

    def _ring(self, seconds: float | None) -> float:
        """Wake whom it is time for; how long to wait for events then, at most ``seconds``."""
        now = self.clock()
        if now >= self._quiet_until:
            for current in [each for each, due in self.alarms.items() if due <= now]:
                if self.alarms.pop(current, None) is not None:      # who was woken may have let another go
                    self._go_on(current)
            self._quiet_until = min(self.alarms.values(), default=float('inf'))
            return 0      # they may have set timers
        left = self._quiet_until - now
        return left if seconds is None else min(left, seconds)

    def _watched(self, seconds: float | None) -> None:
        watches, told, others = self.watches, [], []
        for fileno, event in self.poll.poll(seconds):
            watch = watches.get(fileno)
            if watch is None:
                others.append((fileno, event))
            else:
                told.append((watch, event))
        if others:
            self._found = others
            super().wait(0)
            self._found = None
        for watch, event in told:
            try:
                watch.tell(event)
            except self.SYSTEM_EXCEPTIONS:
                raise
            except BaseException:
                self.squelch_generic_exception(sys.exc_info())

    def switch(self) -> Any:
        """Wait.  As eventlet's, which asks more of each greenlet than one of ours has to tell."""
        current, loop = greenlet.getcurrent(), self.greenlet
        if loop.dead or loop.parent is current or current is loop:
            return super().switch()
        if current.parent is not loop:
            current.parent = loop
        return loop.switch()


Cells = list[list[Any]]


def pause(among: Cells) -> None:
    """Wait until ``resume`` is called for those in this list."""
    cell = [greenlet.getcurrent()]
    among.append(cell)
    try:
        eventlet.hubs.get_hub().switch()
    finally:
        cell[0] = None


def resume(those: Cells) -> None:
    """Let these go on in their order, once the caller waits."""
    eventlet.hubs.get_hub().paused.extend(those)
    those.clear()


def turn() -> None:
    """Let all others run that can, also those for whom something has come by now."""
    pause(eventlet.hubs.get_hub().paused)


class Watch:
    """What is known of a connected socket, which the kernel is told to watch once and for all.

    ``readable`` tells it with every wait, and takes it back: two system calls and a record each, which a
    server makes several times a request.  To be closed before the socket is.  Whoever reads, and finds nothing,
    says so (``ready = False``), else he waits for what he has seen already.
    """

    __slots__ = ('_hub', '_reader', '_writer', 'ended', 'fileno', 'ready')

    def __init__(self, fileno: int) -> None:
        self.fileno = fileno
        #: something may have come since the last look, or the end
        self.ready = True
        #: no more will come, so it stays ready
        self.ended = False
        self._reader: Any = None
        self._writer: Any = None
        self._hub = hub = eventlet.hubs.get_hub()
        hub.watches[fileno] = self
        hub.poll.register(fileno, _EDGES)

    def tell(self, event: int) -> None:
        """The hub's: this has happened."""
        if event & _READABLE:
            self.ready = True
            if event & _ENDED:
                self.ended = True
            reader, self._reader = self._reader, None
            if reader is not None:
                reader.switch()
        if event & _WRITABLE:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.switch()

    def read(self) -> None:
        """Wait until something has come since ``ready`` was unset, or the end."""
        if self.ready:
            return
        if self._reader is not None:
            raise RuntimeError(TWO)
        self._reader = greenlet.getcurrent()
        try:
            self._hub.switch()
        finally:
            self._reader = None

    def write(self) -> None:
        """Wait for room, after there was none."""
        if self._writer is not None:
            raise RuntimeError(TWO)
        self._writer = greenlet.getcurrent()
        try:
            self._hub.switch()
        finally:
            self._writer = None

    def close(self) -> None:
        """Watch no more; safe to call again."""
        hub, fileno = self._hub, self.fileno
        if hub.watches.get(fileno) is self:
            del hub.watches[fileno]
            with contextlib.suppress(OSError, ValueError):
                hub.poll.unregister(fileno)


def any_ready(watches: Iterable[Watch], seconds: float) -> bool:
    """Wait until one of several is ready; ``False`` if none was for ``seconds``."""
    hub, current = eventlet.hubs.get_hub(), greenlet.getcurrent()
    mine = list(watches)
    if any(watch._reader is not None for watch in mine):
        raise RuntimeError(TWO)
    for watch in mine:
        watch._reader = current
    hub.alarm(current, seconds)
    try:
        hub.switch()
    finally:
        in_time = hub.alarms.pop(current, None) is not None
        for watch in mine:
            if watch._reader is current:
                watch._reader = None
    return in_time


def readable(fileno: int) -> None:
    """Wait until a non-blocking descriptor can be read."""
    watch = eventlet.hubs.get_hub().watches.get(fileno)
    if watch is None:
        eventlet.hubs.trampoline(fileno, read=True)
    elif not _can(fileno, _select.POLLIN):
        watch.ready = False
        watch.read()


def writable(fileno: int) -> None:
    """Wait until a non-blocking descriptor can be written."""
    watch = eventlet.hubs.get_hub().watches.get(fileno)
    if watch is None:
        eventlet.hubs.trampoline(fileno, write=True)
    elif not _can(fileno, _select.POLLOUT):
        watch.write()


def _can(fileno: int, what: int) -> bool:
    """Whether it can at this moment: who asks by a number may have tried, or not."""
    look = _select.poll()
    look.register(fileno, what)
    return bool(look.poll(0))

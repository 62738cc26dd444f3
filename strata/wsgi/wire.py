"""One connection's bytes: reading, writing and sending files without blocking other greenlets.

Time-outs cost nothing on the fast path: whoever waits leaves a ``deadline``,
and the server's sweeper calls ``expire`` on those that have passed.
"""

import contextlib
import fcntl
import os
import time
from typing import Any

from strata import green

#: what one greenlet may move before others get a turn
FAIR_SHARE = 1 << 20
READ = 1 << 16
#: bytes asked for where a message begins: its head, and a body of ``READ`` with it
FIRST = READ + (1 << 15)
#: what a pipe holds at most: as much as everybody may ask for
PIPE = 1 << 20
FOREVER = float('inf')
#: SPLICE_F_MOVE and SPLICE_F_NONBLOCK
_SPLICED = 1 | 2


class Disconnected(OSError):
    """The client went away while it was being answered."""


class Pipe:
    """What bytes pass through from one socket to another, without a copy of them being made.  Raises ``OSError``."""

    __slots__ = ('end', 'held', 'mouth')

    def __init__(self) -> None:
        self.end, self.mouth = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        #: bytes in it
        self.held = 0
        with contextlib.suppress(OSError):      # a user may have so many large ones only
            fcntl.fcntl(self.mouth, fcntl.F_SETPIPE_SZ, PIPE)

    def close(self) -> None:
        """Give it back, with what it holds."""
        os.close(self.end)
        os.close(self.mouth)


class Wire:
    """A connected socket; ``buffer`` holds what was received and not yet taken."""

    __slots__ = ('_share', '_sock', '_watch', 'buffer', 'closed', 'deadline', 'expired', 'fileno', 'waited', 'writing')

    def __init__(self, sock: Any) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._share = FAIR_SHARE
        self.fileno: int = sock.fileno()
        self._watch = green.Watch(self.fileno)
        self.buffer = b''
        #: when ``expire`` is due, by the monotonic clock
        self.deadline = FOREVER
        self.expired = False
        #: seconds that were spent waiting for the client
        self.waited = 0.0
        self.writing = False
        self.closed = False

    def receive(self, seconds: float, most: int = READ) -> bytes:
        """The next bytes; empty when the client has finished or ``seconds`` are over (``expired``)."""
        return self.receive_until(time.monotonic() + seconds, most)

    def receive_until(self, deadline: float, most: int = READ) -> bytes:
        """As ``receive``, with the moment by the monotonic clock, and at most so many bytes."""
        watch = self._watch
        while True:
            if not watch.ready:
                self._wait(watch.read, deadline)
            data = self._take(most)
            if data is not None:
                return data

    def _take(self, most: int) -> bytes | None:
        """What has come, empty at the end; ``None`` if that is nothing."""
        watch = self._watch
        try:
            data: bytes = self._sock.recv(most)
        except (BlockingIOError, InterruptedError):
            watch.ready = watch.ended = False
            return None
        except OSError:
            return b''
        if len(data) < most:
            watch.ready = watch.ended      # that was all of it
        self._share -= len(data)
        if self._share <= 0:
            self.yield_turn()
        return data

    def _wait(self, ready: Any, deadline: float) -> None:
        self._share = FAIR_SHARE
        self.deadline = deadline
        began = time.monotonic()
        try:
            ready()
        finally:
            self.deadline = FOREVER
            self.waited += time.monotonic() - began

    def _spend(self, size: int) -> None:
        self._share -= size
        if self._share <= 0:
            self.yield_turn()

    def yield_turn(self) -> None:
        """Let others run: this client is so fast that it never makes us wait."""
        self._share = FAIR_SHARE
        green.sleep(0)

    def send(self, data: bytes, seconds: float) -> None:
        """Send all of it.  Raises ``Disconnected``, also if nothing was taken for ``seconds``."""
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            raise Disconnected(str(error)) from error
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:], seconds)

    def _send_rest(self, rest: memoryview, seconds: float) -> None:
        while rest:
            self.await_writable(seconds)
            try:
                rest = rest[self._sock.send(rest):]
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                raise Disconnected(str(error)) from error

    def await_writable(self, seconds: float) -> None:
        """Wait until the client takes more; ``Disconnected`` after ``seconds``."""
        self.writing = True
        try:
            self._wait(self._watch.write, time.monotonic() + seconds)
        finally:
            self.writing = False
        if self.expired:
            raise Disconnected(f'the client took nothing for {seconds} s')

    def send_file(self, fileno: int, offset: int, count: int, seconds: float) -> int:
        """Send part of a file from the kernel's cache; the bytes sent, fewer if the file is shorter."""
        sent = 0
        while sent < count:
            try:
                step = os.sendfile(self.fileno, fileno, offset + sent, min(count - sent, FAIR_SHARE))
            except (BlockingIOError, InterruptedError):
                self.await_writable(seconds)
                continue
            except OSError as error:
                raise Disconnected(str(error)) from error
            if not step:
                break
            sent += step
            self._spend(step)
        return sent

    def fill(self, pipe: 'Pipe', most: int, seconds: float) -> int:
        """Move what there is, at most ``most`` bytes, into an empty pipe; how many.

        None when the other side has finished, or nothing came for ``seconds`` (``expired``).
        """
        watch = self._watch
        while True:
            if not watch.ready:
                self._wait(watch.read, time.monotonic() + seconds)
            try:
                size = os.splice(self.fileno, pipe.mouth, most, flags=_SPLICED)
            except (BlockingIOError, InterruptedError):
                watch.ready = watch.ended = False
                continue
            except OSError:
                size = 0
            pipe.held = size
            return size

    def drain(self, pipe: 'Pipe', seconds: float) -> None:
        """Send all that a pipe holds.  Raises ``Disconnected``, also if nothing was taken for ``seconds``."""
        while pipe.held:
            try:
                step = os.splice(pipe.end, self.fileno, pipe.held, flags=_SPLICED)
            except (BlockingIOError, InterruptedError):
                self.await_writable(seconds)
                continue
            except OSError as error:
                raise Disconnected(str(error)) from error
            pipe.held -= step
            self._spend(step)

    def expire(self) -> None:
        """End the wait under way: a reader sees the end of the stream, a writer an error."""
        self.expired = True
        self.deadline = FOREVER
        self.shut(green.sockets.SHUT_RDWR if self.writing else green.sockets.SHUT_RD)

    def shut(self, how: int) -> None:
        """Close one direction or both; a connection that is gone already is left alone."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(how)

    def linger(self, seconds: float, most: int) -> None:
        """Close, but let the client read its answer first: a reset would take it away."""
        self.shut(green.sockets.SHUT_WR)
        deadline = time.monotonic() + seconds
        while most > 0:
            data = self.receive_until(deadline)
            if not data:
                break
            most -= len(data)
        self.close()

    def close(self) -> None:
        """Give the socket back."""
        if not self.closed:
            self.closed = True
            self._watch.close()
            self._sock.close()

"""A long request body, received on a native thread as long as it comes fast.

::

    green:   drawn(wire, left, sink)  ............................. waits for the thread
    native:      fill the sink's room -> sink.took(size) -> again      until the client pauses, or all is there

One hop to the thread serves for megabytes.  A client that is slower than ``PAUSE``
allows is left to the hub again, so that it holds no thread; there are ``THREADS``.

The thread has descriptors of its own: whoever waits for it may be killed, and then
its connection is closed, and the numbers go to others, while the thread still runs.
"""

import os
from typing import Protocol

from strata import green
from strata.wsgi.wire import Wire

#: at a time, of one process
THREADS = 8
#: seconds that a client may take to fill the sink's room
PAUSE = 0.2

#: free ones
places = green.Semaphore(THREADS)


class Sink(Protocol):
    """Where the bytes go; called on a native thread, so it must not touch greenlets, nor log."""

    def room(self) -> memoryview:
        """Where to put the next ones; not empty."""

    def took(self, size: int) -> None:
        """So many have been put there.  What it raises ends the burst, and is raised to whoever waits."""

    def close(self) -> None:
        """The thread is done with it."""


class _Burst:
    __slots__ = ('begun', 'fileno', 'left', 'over', 'sink', 'taken', 'waited')

    def __init__(self, fileno: int, begun: bytes, left: int, sink: Sink) -> None:
        self.fileno = fileno
        self.begun = begun
        self.left = left
        self.sink = sink
        self.taken = 0
        self.waited = 0.0
        #: nobody waits for it any more
        self.over = False

    def run(self) -> None:
        """On the native thread."""
        try:
            while self.left and not self.over:
                room = self.sink.room()[:self.left]
                size = self._fill(room)
                if size and not self.over:
                    self.sink.took(size)
                    self.taken += size
                    self.left -= size
                if size < len(room):
                    break
        finally:
            self.sink.close()
            os.close(self.fileno)

    def _fill(self, room: memoryview) -> int:
        """Receive until it is full; the bytes there are, fewer if the client pauses or is gone."""
        size, patience = min(len(self.begun), len(room)), PAUSE
        room[:size], self.begun = self.begun[:size], self.begun[size:]
        while size < len(room):
            try:
                step = os.readv(self.fileno, [room[size:]])
            except (BlockingIOError, InterruptedError):
                waited = green.await_natively(self.fileno, patience)
                self.waited += waited
                patience -= waited
                if patience <= 0:
                    break
                continue
            except OSError:      # whoever reads on will meet it too
                break
            if not step:
                break
            size += step
        return size


def drawn(wire: Wire, begun: bytes, left: int, sink: Sink) -> tuple[int, float] | None:
    """Have a thread take up to ``left`` bytes: those that were received already, and more from the wire.

    Returns how many, no fewer than ``begun`` has, and the seconds spent waiting; ``None`` if no thread is free.
    Raises what the sink raised: what was received then is lost.
    """
    if not places.acquire(blocking=False):
        sink.close()
        return None
    burst = _Burst(os.dup(wire.fileno), begun, left, sink)
    try:
        green.native(burst.run)
    finally:
        burst.over = True
        places.release()
    return burst.taken, burst.waited

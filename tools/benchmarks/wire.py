"""Many HTTP requests over a few kept connections from one thread, with as little work per request as Python allows.

A client that is slower than the server measures itself; this one takes some
60 us of CPU a request.
"""

import selectors
import socket
import time
from collections.abc import Callable, Iterator

from benchmarks.client import Trouble
from benchmarks.load import Timing

#: seconds without any progress before a run is given up
PATIENCE = 60.0


class Exchange:
    """One connection: what is still to be sent, and what has come of the answer."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address, timeout=PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.out = memoryview(b'')
        self.head = bytearray()
        self.left = -1          # bytes of the body to come; -1: the head is not complete
        self.status = 0
        self.begun = 0.0
        self.bodiless = False

    def begin(self, request: bytes) -> None:
        """Send the first bytes of a request."""
        self.out, self.left, self.begun = memoryview(request), -1, time.perf_counter()
        self.bodiless = request.startswith(b'HEAD ')
        self.head.clear()
        self.push()

    def push(self) -> bool:
        """Send what the kernel takes; whether all of it is sent."""
        while self.out:
            try:
                self.out = self.out[self.sock.send(self.out):]
            except BlockingIOError:
                return False
        return True

    def pull(self) -> bool:
        """Receive what is there; whether the answer is complete.  Raises ``Trouble`` if the server hangs up."""
        while True:
            try:
                data = self.sock.recv(262144)
            except BlockingIOError:
                return False
            if not data:
                raise Trouble('The server closed a connection in the middle of an answer.')
            if self.left < 0:
                self.head += data
                end = self.head.find(b'\r\n\r\n')
                if end < 0:
                    continue
                self.left = self._length(bytes(self.head[:end])) - (len(self.head) - end - 4)
            else:
                self.left -= len(data)
            if self.left <= 0:
                return True

    def _length(self, head: bytes) -> int:
        self.status = int(head[9:12])
        if self.bodiless or self.status in (204, 304):
            return 0
        for line in head.split(b'\r\n'):
            name, _, value = line.partition(b':')
            if name.lower() == b'content-length':
                return int(value)
        raise Trouble('The server sends bodies without a Content-Length; the measurement cannot count them.')


def run(address: tuple[str, int], requests: Iterator[bytes], connections: int, seconds: float,
        well: Callable[[int], bool] = lambda status: 200 <= status < 300) -> Timing:
    """Send requests until they or the time are at an end, over so many connections at once."""
    selector = selectors.DefaultSelector()
    times: list[float] = []
    failures = 0
    begun = time.perf_counter()
    busy = 0
    for _ in range(connections):
        request = next(requests, None)
        if request is None:
            break
        exchange = Exchange(address)
        selector.register(exchange.sock, selectors.EVENT_READ, exchange)
        _begin(selector, exchange, request)
        busy += 1
    while busy:
        ready = selector.select(PATIENCE)
        if not ready:
            raise Trouble(f'The server did nothing for {PATIENCE:.0f} s.')
        for key, events in ready:
            exchange = key.data
            if events & selectors.EVENT_WRITE and exchange.push():
                selector.modify(exchange.sock, selectors.EVENT_READ, exchange)
            if not events & selectors.EVENT_READ or not exchange.pull():
                continue
            now = time.perf_counter()
            times.append(now - exchange.begun)
            failures += not well(exchange.status)
            request = next(requests, None) if now - begun < seconds else None
            if request is None:
                selector.unregister(exchange.sock)
                exchange.sock.close()
                busy -= 1
            else:
                _begin(selector, exchange, request)
    return Timing(times, time.perf_counter() - begun, failures)


def _begin(selector: selectors.BaseSelector, exchange: Exchange, request: bytes) -> None:
    exchange.begin(request)
    if exchange.out:
        selector.modify(exchange.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, exchange)

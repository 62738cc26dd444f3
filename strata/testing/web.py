"""A WSGI application on a real port, and a client that sends exactly the bytes it is told to."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from strata.wsgi.server import Server


@contextlib.contextmanager
def serving(app: Any, *, grace: float = 5.0, **options: Any) -> Iterator[Server]:
    """The application on a free port of 127.0.0.1, for as long as the block lasts."""
    server = Server(app, ('127.0.0.1', 0), **options)
    server.start()
    try:
        yield server
    finally:
        server.stop(grace)


class Answer:
    """One response: ``code``, ``headers`` (a list, names in lower case), ``body``."""

    def __init__(self, head: str, body: bytes) -> None:
        self.line, *lines = head.split('\r\n')
        self.code = int(self.line.split(' ')[1])
        self.headers = [(name.lower(), value.strip()) for name, _, value in
                        (line.partition(':') for line in lines)]
        self.body = body

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key == name.lower()), None)


class Raw:
    """A client below HTTP's rules."""

    def __init__(self, server: Server | str, timeout: float = 10.0) -> None:
        """``server``, or the path of a Unix socket."""
        if isinstance(server, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(server)
        else:
            self.sock = socket.create_connection(('127.0.0.1', server.port))
        self.sock.settimeout(timeout)
        self._received = b''

    def __enter__(self) -> 'Raw':
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> 'Raw':
        """Send the bytes as they are."""
        self.sock.sendall(data)
        return self

    def get(self, path: str = '/', *headers: str, method: str = 'GET', body: bytes = b'') -> Answer:
        """A well-formed request and its answer."""
        lines = [f'{method} {path} HTTP/1.1', 'Host: test', *headers]
        if body:
            lines.append(f'Content-Length: {len(body)}')
        self.send('\r\n'.join([*lines, '', '']).encode('latin-1') + body)
        return self.answer(head=method == 'HEAD')

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise EOFError('the server closed the connection')
        self._received += data

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            self._more()
        data, _, self._received = self._received.partition(mark)
        return data

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        data, self._received = self._received[:size], self._received[size:]
        return data

    def answer(self, *, head: bool = False) -> Answer:
        """The next response, final or not; ``head``: it has no body."""
        answer = Answer(self._until(b'\r\n\r\n').decode('latin-1'), b'')
        length = answer.header('Content-Length')
        if head or answer.code in (100, 204, 304):
            pass
        elif answer.header('Transfer-Encoding') == 'chunked':
            answer.body = self._chunks()
        elif length is not None:
            answer.body = self._exactly(int(length))
        else:
            answer.body = self.rest()
        return answer

    def _chunks(self) -> bytes:
        body = b''
        while True:
            size = int(self._until(b'\r\n'), 16)
            body += self._exactly(size)
            assert self._exactly(2) == b'\r\n'
            if not size:
                return body

    def rest(self) -> bytes:
        """Everything until the server closes."""
        with contextlib.suppress(EOFError):
            while True:
                self._more()
        data, self._received = self._received, b''
        return data

    def closed(self) -> bool:
        """Whether the server closes without another byte; waits for it."""
        return self.rest() == b''

"""Long bodies: taken by a native thread, and moved by the kernel alone."""

import contextlib
import fcntl
import os

import pytest

from strata.testing import wait
from strata.testing.web import Raw, serving
from strata.wsgi.wire import Pipe


class _Basin:
    """Where a native thread puts a body, a little at a time."""

    def __init__(self, fails_at=None):
        self.data = b''
        self.closed = 0
        self._buffer = bytearray(1000)
        self._fails_at = fails_at

    def room(self):
        return memoryview(self._buffer)

    def took(self, size):
        self.data += self._buffer[:size]
        if self._fails_at is not None and len(self.data) > self._fails_at:
            raise OSError(28, 'full')

    def close(self):
        self.closed += 1


@pytest.mark.parametrize('first', [0, 1, 999, 5000])
def test_a_native_thread_may_take_a_body_and_the_next_request_is_not_its_business(first):
    basins = []

    def app(environ, start_response):
        body = environ['wsgi.input']
        data = body.read(first)
        basins.append(_Basin())
        while size := body.drawn(basins[-1]):
            data += basins[-1].data[-size:]
        start_response('200 OK', [])
        return [data]

    data = os.urandom(200000)
    with serving(app) as server, Raw(server) as client:
        client.send(b'PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 200000\r\n\r\n' + data
                    + b'PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc')
        assert client.answer().body == data
        assert client.answer().body == b'abc'
    assert all(each.closed for each in basins)


def test_what_a_native_thread_cannot_keep_ends_the_connection():
    def app(environ, start_response):
        with pytest.raises(OSError, match='full'):
            environ['wsgi.input'].drawn(_Basin(fails_at=5000))
        start_response('507 Full', [])
        return [b'full']

    with serving(app) as server, Raw(server) as client:
        client.send(b'PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 200000\r\n\r\n' + bytes(100000))
        answer = client.answer()
        assert (answer.code, answer.body, answer.header('Connection')) == (507, b'full', 'close')


def test_what_has_come_of_a_body_is_gathered_and_no_more_waited_for():
    sizes = []

    def app(environ, start_response):
        while data := environ['wsgi.input'].gather(1000, 100000):
            sizes.append(len(data))
        start_response('200 OK', [])
        return [b'']

    with serving(app) as server, Raw(server) as client:
        client.send(b'PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 300500\r\n\r\n' + bytes(999))
        client.send(bytes(1))
        wait.until(lambda: sizes == [1000])
        client.send(bytes(299500))
        assert client.answer().code == 200
    assert sum(sizes) == 300500
    assert max(sizes) > 65536
    assert all(1000 <= size <= 100000 for size in sizes[:-1])


class _Spring:
    """A body that sends itself through a pipe, in pieces of these sizes."""

    def __init__(self, sizes, iterated=b'iterated'):
        self.sizes = sizes
        self.iterated = iterated
        self.steps = []
        self.closed = 0

    def __iter__(self):
        return iter([self.iterated])

    def pour(self, target):
        with contextlib.closing(Pipe()) as pipe:
            target.send(b'<')
            yield 1
            for number, size in enumerate(self.sizes):
                pipe.held = os.write(pipe.mouth, bytes([97 + number % 26]) * size)
                target.drain(pipe)
                self.steps.append(size)
                yield size

    def close(self):
        self.closed += 1


def springing(body, length, status='200 OK'):
    def app(environ, start_response):
        start_response(status, [] if length is None else [('Content-Length', str(length))])
        return body
    return app


def test_a_body_may_send_itself_through_a_pipe():
    body = _Spring([5, 70000, 1])
    with serving(springing(body, 70007)) as server, Raw(server) as client:
        for _ in range(2):
            assert client.get().body == b'<' + b'a' * 5 + b'b' * 70000 + b'c'
        assert client.get(method='HEAD').body == b''
    assert body.steps == [5, 70000, 1] * 2
    assert body.closed == 3


def test_a_body_does_not_send_itself_where_its_length_is_unknown():
    body = _Spring([5])
    with serving(springing(body, None)) as server, Raw(server) as client:
        assert client.get().body == b'iterated'
    assert not body.steps


@pytest.mark.parametrize('length, came', [(100, 3), (2, 1)])
def test_a_body_that_sends_itself_keeps_what_was_announced(length, came, caplog):
    with serving(springing(_Spring([2]), length)) as server, Raw(server) as client:
        client.send(b'GET / HTTP/1.1\r\nHost: t\r\n\r\n')
        head, _, rest = client.rest().partition(b'\r\n\r\n')
        assert (head[:15], len(rest)) == (b'HTTP/1.1 200 OK', came)
    assert caplog.records


def test_a_client_that_goes_away_ends_a_body_that_sends_itself():
    body = _Spring([60000] * 26 * 100)
    with serving(springing(body, 60000 * 26 * 100 + 1)) as server:
        with Raw(server) as client:
            client.send(b'GET / HTTP/1.1\r\nHost: t\r\n\r\n')
            wait.until(lambda: body.steps)
        wait.until(lambda: server.connections == 0)
    assert body.closed == 1
    assert not [name for name in os.listdir('/proc/self/fd') if os.path.islink(f'/proc/self/fd/{name}')
                and os.readlink(f'/proc/self/fd/{name}').startswith('pipe:')
                and fcntl.fcntl(int(name), fcntl.F_GETPIPE_SZ) >= 1 << 20]

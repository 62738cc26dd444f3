"""The pooled client of storage servers: framing, connections that die, and time-outs."""

import contextlib
import socket
import time

import pytest

from strata import backend, errors, green
from strata.testing.wait import until
from strata.testing.web import serving

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'


@pytest.fixture
def pool():
    pool = backend.Pool(connect_timeout=1)
    yield pool
    pool.close()


class Scripted:
    """A server that does to each connection, in turn, what the next function of its script says."""

    def __init__(self, *script):
        self.script = list(script)
        self.sock = socket.create_server(('127.0.0.1', 0))
        self.port = self.sock.getsockname()[1]
        self.heads, self.greenlets = [], []
        self.greenlets.append(green.spawn(self.accept))

    def accept(self):
        while True:
            sock, _ = self.sock.accept()
            self.greenlets.append(green.spawn(self.serve, sock, self.script.pop(0) if self.script else None))

    def serve(self, sock, act):
        with sock, contextlib.suppress(OSError):
            if act:
                act(Peer(sock, self.heads))

    def close(self):
        for each in self.greenlets:
            each.kill()
        self.sock.close()


class Peer:
    def __init__(self, sock, heads):
        self.sock, self.heads, self.data = sock, heads, b''

    def head(self):
        while b'\r\n\r\n' not in self.data:
            more = self.sock.recv(65536)
            if not more:
                raise OSError('gone')
            self.data += more
        head, _, self.data = self.data.partition(b'\r\n\r\n')
        self.heads.append(head)
        return self

    def say(self, data):
        self.sock.sendall(data)
        return self

    def until(self, mark):
        while mark not in self.data:
            more = self.sock.recv(65536)
            if not more:
                raise OSError('gone')
            self.data += more
        return self

    def wait(self):
        """Until the client hangs up."""
        while self.sock.recv(65536):
            pass


@pytest.fixture
def scripted():
    servers = []

    def scripted(*script):
        servers.append(Scripted(*script))
        return servers[-1]
    yield scripted
    for server in servers:
        server.close()


def echo(environ, start_response):
    body = environ['wsgi.input'].read()
    start_response('201 Created', [('X-Method', environ['REQUEST_METHOD']), ('X-Path', environ['RAW_PATH_INFO']),
                                   ('X-Twice', 'a'), ('X-Twice', 'b'),
                                   ('X-Seen', environ.get('HTTP_X_SEEN', '')),
                                   ('X-Length', environ.get('CONTENT_LENGTH', 'none'))])
    return [body]


def test_a_request_and_its_answer(pool):
    with serving(echo) as server:
        answer = pool.request('127.0.0.1', server.port, 'PUT', '/a%20b', {'X-Seen': 'k\xe4se'}, b'data')
        assert (answer.status, answer.reason) == (201, 'Created')
        assert answer.headers['x-PATH'] == '/a%20b' and 'X-Path' in answer.headers
        assert answer.headers.get('X-Seen') == 'k\xe4se' and answer.headers.get('No') is None
        assert answer.headers['x-twice'] == 'a, b'
        assert answer.body() == b'data' and answer.ended


def test_a_connection_serves_many_requests(pool):
    with serving(echo) as server:
        for method in ('PUT', 'GET', 'HEAD', 'POST', 'DELETE', 'GET'):
            answer = pool.request('127.0.0.1', server.port, method, '/')
            answer.body()
            assert answer.headers['X-Length'] == ('0' if method in ('PUT', 'POST') else 'none')
        assert pool.connects == 1


def test_a_body_goes_out_in_chunks_or_with_its_length(pool):
    with serving(echo) as server:
        for length, expected in ((None, 'none'), (10, '10')):
            exchange = pool.open('127.0.0.1', server.port, 'PUT', '/', length=length)
            exchange.send(b'hello')
            exchange.send(b'world')
            exchange.end()
            answer = exchange.answer()
            assert answer.headers['X-Length'] == expected and answer.read() == b'helloworld'
        assert pool.connects == 1


def test_a_large_body_goes_through_both_ways(pool):
    data = bytes(range(256)) * 40000
    with serving(echo) as server:
        answer = pool.request('127.0.0.1', server.port, 'PUT', '/', None, data)
        assert b''.join(answer.iter(5000)) == data


def test_a_chunked_answer_is_read_to_its_end_and_the_connection_kept(pool):
    def pieces(environ, start_response):
        start_response('200 OK', [])
        return iter([b'one', b'two' * 30000, b'three'])
    with serving(pieces) as server:
        for _ in range(3):
            answer = pool.request('127.0.0.1', server.port, 'GET', '/')
            assert answer.read(2) == b'on'
            assert answer.read(5) == b'etwot'
            assert answer.body() == b'wo' + b'two' * 29998 + b'three'
        assert pool.connects == 1


def test_expect_100_continue_waits_for_the_word(pool):
    with serving(echo) as server:
        exchange = pool.open('127.0.0.1', server.port, 'PUT', '/', length=3, expect=True)
        assert exchange.await_continue() is None
        exchange.send(b'abc')
        exchange.end()
        assert exchange.answer().body() == b'abc'


def test_expect_100_continue_may_be_refused(pool):
    def full(environ, start_response):
        start_response('507 Insufficient Storage', [])
        return [b'full']
    with serving(full) as server:
        exchange = pool.open('127.0.0.1', server.port, 'PUT', '/', length=3, expect=True)
        answer = exchange.await_continue()
        assert answer.status == 507 and answer.body() == b'full'
        assert pool.request('127.0.0.1', server.port, 'GET', '/').status == 507


def test_a_pooled_connection_that_the_server_closed_is_not_used(pool, scripted):
    server = scripted(lambda peer: peer.head().say(OK), lambda peer: peer.head().say(OK).wait())
    assert pool.request('127.0.0.1', server.port, 'GET', '/').body() == b'ok'
    until(lambda: not any(line.alive() for lines in pool._idle.values() for line in lines))
    assert pool.request('127.0.0.1', server.port, 'GET', '/').body() == b'ok'
    assert pool.connects == 2


def test_a_pooled_connection_that_dies_under_a_request_is_replaced_once(pool, scripted):
    server = scripted(lambda peer: (peer.head().say(OK), peer.head()), lambda peer: peer.head().say(OK).wait())
    assert pool.request('127.0.0.1', server.port, 'GET', '/').body() == b'ok'
    assert pool.request('127.0.0.1', server.port, 'PUT', '/', None, b'x').body() == b'ok'
    assert pool.connects == 2 and len(server.heads) == 3


def test_a_fresh_connection_that_dies_is_an_error(pool, scripted):
    server = scripted(lambda peer: peer.head(), lambda peer: peer.head().say(OK))
    with pytest.raises(backend.Broken):
        pool.request('127.0.0.1', server.port, 'GET', '/')
    assert pool.connects == 1


def test_what_was_half_sent_is_not_sent_again(pool, scripted):
    server = scripted(lambda peer: (peer.head().say(OK), peer.head().until(b'abc')), lambda peer: peer.head().say(OK))
    assert pool.request('127.0.0.1', server.port, 'GET', '/').body() == b'ok'
    exchange = pool.open('127.0.0.1', server.port, 'PUT', '/', length=6)
    exchange.send(b'abc')
    with pytest.raises(backend.Failed):
        exchange.answer()
    assert pool.connects == 1


def test_an_answer_half_received_is_not_asked_for_again(pool, scripted):
    server = scripted(lambda peer: (peer.head().say(OK), peer.head().say(b'HTTP/1.1 2')))
    assert pool.request('127.0.0.1', server.port, 'GET', '/').body() == b'ok'
    with pytest.raises(backend.Broken):
        pool.request('127.0.0.1', server.port, 'GET', '/')


def test_an_early_answer_is_heard_though_the_body_was_not_taken(pool, scripted):
    server = scripted(lambda peer: peer.head().say(b'HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n').wait())
    exchange = pool.open('127.0.0.1', server.port, 'PUT', '/', length=100)
    exchange.send(b'abc')
    assert exchange.answer().status == 413
    assert not pool._idle      # the server still waits for the body


@pytest.mark.parametrize('answer', [
    b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc',
    b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
    b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n',
    b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n',
])
def test_a_body_that_ends_early_is_an_error(pool, scripted, answer):
    server = scripted(lambda peer: peer.head().say(answer))
    with pytest.raises(backend.Broken):
        pool.request('127.0.0.1', server.port, 'GET', '/').body()
    assert not pool._idle


@pytest.mark.parametrize('answer', [
    b'ICY 200 OK\r\n\r\n', b'HTTP/1.1 abc\r\n\r\n', b'HTTP/1.1 200 OK\r\nno colon\r\n\r\n',
    b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc',
    b'HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc', b'X' * 200000,
])
def test_what_is_no_http_is_an_error(pool, scripted, answer):
    server = scripted(lambda peer: peer.head().say(answer).wait())
    with pytest.raises(backend.Broken):
        pool.request('127.0.0.1', server.port, 'GET', '/')


def test_a_body_without_a_length_ends_with_the_connection(pool, scripted):
    server = scripted(lambda peer: peer.head().say(b'HTTP/1.0 200 OK\r\n\r\nall of it'))
    assert pool.request('127.0.0.1', server.port, 'GET', '/').body() == b'all of it'
    assert not pool._idle


def test_interim_answers_are_passed_over(pool, scripted):
    server = scripted(lambda peer: peer.head().say(b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Wait\r\n\r\n' + OK))
    assert pool.request('127.0.0.1', server.port, 'GET', '/').body() == b'ok'


@pytest.mark.parametrize('said', [b'', b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'])
def test_a_server_that_stalls_is_given_up(pool, scripted, said):
    server = scripted(lambda peer: peer.head().say(said).wait())
    began = time.monotonic()
    with pytest.raises(backend.TimedOut):
        pool.request('127.0.0.1', server.port, 'GET', '/', timeout=0.2).body()
    assert 0.15 < time.monotonic() - began < 8      # else 10 s


def test_a_server_that_takes_nothing_is_given_up(pool, scripted):
    server = scripted(lambda peer: green.sleep(30))
    with pytest.raises(backend.TimedOut):
        exchange = pool.open('127.0.0.1', server.port, 'PUT', '/', timeout=0.2)
        for _ in range(10000):
            exchange.send(bytes(65536))


def test_nobody_there_is_told_at_once(pool):
    with socket.create_server(('127.0.0.1', 0)) as sock:
        port = sock.getsockname()[1]
    with pytest.raises(backend.ConnectFailed, match='refused'):
        pool.request('127.0.0.1', port, 'GET', '/')


def test_a_connection_that_is_never_made_is_given_up():
    pool = backend.Pool(connect_timeout=0.2)
    with socket.create_server(('127.0.0.1', 0), backlog=0) as sock:      # its queue is full after one or two
        port = sock.getsockname()[1]
        began, held = time.monotonic(), []
        with pytest.raises(backend.ConnectFailed):
            for _ in range(5):
                held.append(pool.connect(('127.0.0.1', port)))
        assert time.monotonic() - began < 30      # the kernel tries for two minutes
        for each in held:
            each.close()
    pool.close()


def test_a_closed_answer_gives_no_half_read_connection_back(pool):
    def large(environ, start_response):
        start_response('200 OK', [('Content-Length', '9000000')])
        return iter([bytes(9000000)])
    with serving(large) as server:
        answer = pool.request('127.0.0.1', server.port, 'GET', '/')
        answer.read(10)
        answer.close()
        assert not pool._idle and answer.read(5) == b''


def test_no_more_connections_are_kept_than_allowed():
    pool = backend.Pool(per_host=2)
    with serving(echo) as server:
        exchanges = [pool.begin('127.0.0.1', server.port, 'GET', '/') for _ in range(6)]
        for exchange in exchanges:
            exchange.answer().body()
        assert pool.connects == 6
        assert sum(map(len, pool._idle.values())) == 2
    pool.close()


def test_an_idle_connection_is_closed_after_a_while():
    pool = backend.Pool(idle=0.1)
    with serving(echo) as server:
        pool.request('127.0.0.1', server.port, 'GET', '/').body()
        until(lambda: not pool._idle)
        until(lambda: not server.connections)
    pool.close()


def test_several_servers_work_at_once_and_the_first_is_seen_first(pool, scripted):
    gates = [green.Event() for _ in range(3)]
    servers = [scripted(lambda peer, gate=gate: (peer.head(), gate.wait(), peer.say(OK).wait())) for gate in gates]
    exchanges = [pool.begin('127.0.0.1', server.port, 'GET', '/') for server in servers]
    assert backend.ready(exchanges, 0.05) == []
    gates[1].set()
    assert backend.ready(exchanges, 5) == [exchanges[1]]
    for gate in gates:
        gate.set()
    assert [each.answer().body() for each in exchanges] == [b'ok'] * 3


@pytest.mark.parametrize('path, headers', [
    ('/a b', {}), ('/a\r\nX: y', {}), ('/', {'X': 'a\r\nY: b'}), ('/', {'X': 'a\nb'}), ('/', {'X\r\nY': 'b'}),
    ('/', {'X': 'a\0'}), ('/', {'X': '\u20ac'}),
])
def test_no_line_is_smuggled_into_a_request(pool, path, headers):
    with serving(echo) as server, pytest.raises(errors.Invalid):
        pool.request('127.0.0.1', server.port, 'GET', path, headers)

"""The server as a well-behaved client sees it."""

import io
import logging
import os
import re
import socket

import pytest

from strata import context as contexts
from strata import errors, green
from strata.testing import wait
from strata.testing.web import Raw, serving
from strata.wsgi.limits import Limits
from strata.wsgi.middleware import RequestId
from strata.wsgi.server import Server

CHUNKED = b'POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n'


def hello(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'hello']


def echo(environ, start_response):
    """The request's body; the environ's method, path and query in headers."""
    body = environ['wsgi.input'].read()
    start_response('200 OK', [('X-Method', environ['REQUEST_METHOD']), ('X-Path', environ['PATH_INFO']),
                              ('X-Query', environ['QUERY_STRING'])])
    return [body]


def answering(*pieces, status='200 OK', headers=()):
    """An application that streams the pieces."""
    def app(environ, start_response):
        start_response(status, list(headers))
        return iter(pieces)
    return app


# -- one request after another

def test_a_connection_serves_many_requests():
    with serving(hello) as server, Raw(server) as client:
        for _ in range(3):
            answer = client.get()
            assert (answer.code, answer.body) == (200, b'hello')
            assert answer.header('Content-Length') == '5'
            assert answer.header('Connection') is None
        assert server.connections == 1


def test_pipelined_requests_are_answered_in_order():
    with serving(echo) as server, Raw(server) as client:
        client.send(b'POST /1 HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\none'
                    b'GET /2 HTTP/1.1\r\nHost: t\r\n\r\n'
                    b'PUT /3 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthree\r\n0\r\n\r\n'
                    b'GET /4 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n')
        seen = [client.answer() for _ in range(4)]
        assert [(a.header('X-Path'), a.body) for a in seen] == [
            ('/1', b'one'), ('/2', b''), ('/3', b'three'), ('/4', b'')]
        assert seen[3].header('Connection') == 'close'
        assert client.closed()


def test_a_request_may_arrive_byte_by_byte():
    with serving(echo) as server, Raw(server) as client:
        for byte in CHUNKED + b'3\r\nabc\r\n0\r\n\r\n':
            client.send(bytes([byte]))
            green.sleep(0)
        assert client.answer().body == b'abc'
        assert client.get('/next').code == 200


def test_many_clients_are_served_at_once():
    inside = []

    def slow(environ, start_response):
        inside.append(environ)
        wait.until(lambda: len(inside) == 50, 30, 'the others')
        return hello(environ, start_response)
    with serving(slow) as server:
        clients = [Raw(server, timeout=60) for _ in range(50)]
        assert {answer.code for answer in green.Pool(50).map(lambda client: client.get(), clients)} == {200}
        for client in clients:
            client.sock.close()


def test_a_fast_pipeliner_does_not_starve_others():
    with serving(hello, access_log=False) as server, Raw(server) as greedy, Raw(server) as modest:
        greedy.send(b'GET / HTTP/1.1\r\nHost: t\r\n\r\n' * 500)
        assert modest.get().code == 200
        assert [greedy.answer().code for _ in range(500)] == [200] * 500


# -- what the application is told

def test_the_environ_describes_the_request():
    seen = {}

    def look(environ, start_response):
        seen.update(environ)
        return hello(environ, start_response)
    with serving(look, key='front') as server, Raw(server) as client:
        client.get('/a%2Fb%C3%A9/c?x=1&y=%20', 'Content-Type: text/x', 'X-Two: a', 'X-Two: b', 'Cookie: a=1',
                   'Cookie: b=2', 'X-Pad:   v \t', body=b'12')
        assert seen['REQUEST_METHOD'] == 'GET'
        assert seen['PATH_INFO'].encode('latin-1') == '/a/bé/c'.encode()
        assert seen['RAW_PATH_INFO'] == '/a%2Fb%C3%A9/c'
        assert seen['QUERY_STRING'] == 'x=1&y=%20'
        assert seen['SCRIPT_NAME'] == ''
        assert seen['SERVER_PROTOCOL'] == 'HTTP/1.1'
        assert (seen['SERVER_NAME'], seen['SERVER_PORT']) == ('127.0.0.1', str(server.port))
        assert seen['REMOTE_ADDR'] == '127.0.0.1'
        assert seen['CONTENT_TYPE'] == 'text/x'
        assert seen['CONTENT_LENGTH'] == '2'
        assert seen['HTTP_X_TWO'] == 'a,b'
        assert seen['HTTP_COOKIE'] == 'a=1; b=2'
        assert seen['HTTP_X_PAD'] == 'v'
        assert seen['strata.socket'] == 'front'
        assert 'HTTP_CONTENT_LENGTH' not in seen


def test_an_absolute_target_names_host_and_path():
    seen = {}

    def look(environ, start_response):
        seen.update(environ)
        return hello(environ, start_response)
    with serving(look) as server, Raw(server) as client:
        client.get('http://other:81/path?q')
        assert (seen['HTTP_HOST'], seen['PATH_INFO'], seen['QUERY_STRING']) == ('other:81', '/path', 'q')
        client.get('http://other')
        assert seen['PATH_INFO'] == '/'
        client.get('*', method='OPTIONS')
        assert seen['PATH_INFO'] == '*'


def test_requests_pass_the_standard_librarys_validator():
    from wsgiref.validate import validator

    def app(environ, start_response):
        environ['wsgi.input'].read(3)
        environ['wsgi.input'].readline(2)
        list(environ['wsgi.input'])
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return [b'fine']
    with serving(validator(app)) as server, Raw(server) as client:
        answer = client.get('/x?y', 'Content-Type: text/plain', method='POST', body=b'abc\ndef\n')
        assert answer.body == b'fine'


# -- responses

def test_a_body_of_unknown_length_is_chunked():
    with serving(answering(b'one', b'', b'two')) as server, Raw(server) as client:
        answer = client.get()
        assert answer.header('Transfer-Encoding') == 'chunked'
        assert answer.body == b'onetwo'
        assert client.get().code == 200


def test_a_streamed_body_with_a_length_is_not_chunked():
    app = answering(b'one', b'two', headers=[('Content-Length', '6')])
    with serving(app) as server, Raw(server) as client:
        answer = client.get()
        assert answer.header('Transfer-Encoding') is None
        assert answer.body == b'onetwo'


def test_the_first_piece_is_sent_before_the_second_is_made():
    gate = green.Event()

    def app(environ, start_response):
        start_response('200 OK', [])
        yield b'first'
        gate.wait()
        yield b'second'
    with serving(app) as server, Raw(server) as client:
        client.send(b'GET / HTTP/1.1\r\nHost: t\r\n\r\n')
        assert client._until(b'first')
        gate.set()
        assert client._until(b'0\r\n\r\n')


@pytest.mark.parametrize('app', [
    hello, answering(b'hello'), answering(b'hello', headers=[('Content-Length', '5')])],
    ids=['list', 'stream', 'sized stream'])
def test_head_has_the_headers_and_no_body(app):
    with serving(app) as server, Raw(server) as client:
        assert client.get(method='HEAD').code == 200
        assert client.get().body == b'hello'      # nothing was left on the wire


@pytest.mark.parametrize('status', ['204 No Content', '304 Not Modified'])
@pytest.mark.parametrize('app', [answering(b'stray'), lambda e, s: (s('204 No Content', []), [b'stray'])[1]])
def test_no_content_has_no_body_whatever_the_application_made(status, app):
    def with_status(environ, start_response):
        return app(environ, lambda _, headers: start_response(status, headers))
    with serving(with_status) as server, Raw(server) as client:
        for _ in range(2):
            answer = client.get()
            assert answer.code == int(status[:3])
            assert answer.header('Transfer-Encoding') is None
            assert answer.header('Content-Length') is None


@pytest.mark.parametrize(('said', 'sent'), [('0', '0'), ('5', None)])
def test_no_content_may_be_said_to_have_no_length_and_no_other(said, sent):
    def app(environ, start_response):
        start_response('204 No Content', [('Content-Length', said)])
        return []
    with serving(app) as server, Raw(server) as client:
        for _ in range(2):
            assert client.get().header('Content-Length') == sent


def test_every_response_has_a_date_and_keeps_the_applications():
    with serving(hello) as server, Raw(server) as client:
        assert client.get().header('Date').endswith(' GMT')
    with serving(answering(headers=[('Date', 'then')])) as server, Raw(server) as client:
        assert [value for name, value in client.get().headers if name == 'date'] == ['then']


def test_an_empty_answer_says_so():
    with serving(answering()) as server, Raw(server) as client:
        answer = client.get()
        assert (answer.header('Content-Length'), answer.body) == ('0', b'')


def test_the_legacy_write_works():
    def app(environ, start_response):
        write = start_response('200 OK', [])
        write(b'one')
        return [b'two']
    with serving(app) as server, Raw(server) as client:
        assert client.get().body == b'onetwo'


def test_the_application_may_change_its_mind_before_the_body():
    def app(environ, start_response):
        start_response('200 OK', [])
        start_response('500 Oops', [], (ValueError, ValueError(), None))
        return [b'x']
    with serving(app) as server, Raw(server) as client:
        assert client.get().code == 500


def test_the_iterable_is_closed_whatever_happens():
    closed = []

    class Body:
        def __init__(self, fail):
            self.fail = fail

        def __iter__(self):
            yield b'x'
            if self.fail:
                raise ValueError('on purpose')

        def close(self):
            closed.append(self.fail)

    def app(environ, start_response):
        start_response('200 OK', [])
        return Body(environ['PATH_INFO'] == '/fail')
    with serving(app) as server:
        with Raw(server) as client:
            assert client.get().body == b'x'
        with Raw(server) as client:
            client.send(b'GET /fail HTTP/1.1\r\nHost: t\r\n\r\n')
            assert not client.rest().endswith(b'0\r\n\r\n')      # the client can tell
    assert closed == [False, True]


def test_an_application_that_fails_is_a_500_without_its_secrets(caplog):
    def app(environ, start_response):
        raise ValueError('the password is swordfish')
    with serving(app) as server, Raw(server) as client:
        answer = client.get()
        assert answer.code == 500
        assert b'swordfish' not in answer.body
        assert client.closed()
    assert 'swordfish' in caplog.text


@pytest.mark.parametrize('made', [b'', b'abc', b'abcdefgh'])
def test_a_wrong_content_length_never_spoils_the_next_response(made):
    def app(environ, start_response):
        start_response('200 OK', [('Content-Length', '5')])
        return [made]
    with serving(app) as server, Raw(server) as client:
        client.send(b'GET / HTTP/1.1\r\nHost: t\r\n\r\n' * 2)
        received = client.rest()
        assert received.count(b'HTTP/1.1') == 1
        assert received.endswith(b'\r\n\r\n' + made[:5])


@pytest.mark.parametrize('header', [
    ('X-A', 'a\r\nX-Evil: 1'), ('X-A', 'a\nX-Evil: 1'), ('X-A', 'a\rb'), ('X-A', 'a\0b'),
    ('X-A\r\nX-Evil', '1'), ('X A', '1'), ('X:A', '1'), ('', '1'), ('X-A', '\u20ac'),
    ('Content-Length', '1\r\n'), ('Content-Length', '-1')])
def test_header_injection_is_refused(header):
    with serving(answering(b'x', headers=[header])) as server, Raw(server) as client:
        client.send(b'GET / HTTP/1.1\r\nHost: t\r\n\r\n')
        received = client.rest()
        assert received.startswith(b'HTTP/1.1 500 ')
        assert b'Evil' not in received


@pytest.mark.parametrize('status', ['200 OK\r\nX-Evil: 1', '99', 'OK', '100 Continue', '2000 OK'])
def test_a_broken_status_is_refused(status):
    with serving(answering(b'x', status=status)) as server, Raw(server) as client:
        assert client.get().code == 500


def test_framing_headers_of_the_application_are_passed_over():
    app = answering(b'abc', headers=[('Transfer-Encoding', 'chunked'), ('Keep-Alive', '1'),
                                     ('Connection', 'close')])
    with serving(app) as server, Raw(server) as client:
        answer = client.get()
        assert [v for n, v in answer.headers if n == 'transfer-encoding'] == ['chunked']
        assert answer.header('Connection') == 'close'
        assert client.closed()


# -- files

def test_a_file_is_sent_by_the_kernel_from_where_it_stands(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(bytes(range(256)) * 20000)
    opened = []

    def app(environ, start_response):
        file = open(path, 'rb')      # noqa: SIM115 -- the server closes it
        opened.append(file)
        file.seek(1000)
        headers = [('Content-Length', environ['QUERY_STRING'])] if environ['QUERY_STRING'] else []
        start_response('200 OK', headers)
        return environ['wsgi.file_wrapper'](file)
    with serving(app) as server, Raw(server) as client:
        assert client.get('/').body == path.read_bytes()[1000:]
        assert client.get('/?500').body == path.read_bytes()[1000:1500]
        assert client.get('/', method='HEAD').header('Content-Length') == str(256 * 20000 - 1000)
        assert client.get('/?1').body == path.read_bytes()[1000:1001]
    assert all(file.closed for file in opened)


def test_a_file_that_shrinks_closes_the_connection(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(b'short')

    def app(environ, start_response):
        start_response('200 OK', [('Content-Length', '100')])
        return environ['wsgi.file_wrapper'](open(path, 'rb'))
    with serving(app) as server, Raw(server) as client:
        client.send(b'GET / HTTP/1.1\r\nHost: t\r\n\r\n')
        assert client.rest().endswith(b'\r\n\r\nshort')


def test_what_is_no_file_is_read_in_pieces():
    def app(environ, start_response):
        start_response('200 OK', [])
        return environ['wsgi.file_wrapper'](io.BytesIO(b'x' * 100000), 1000)
    with serving(app) as server, Raw(server) as client:
        assert client.get().body == b'x' * 100000


# -- HTTP/1.0

def test_http_1_0_closes_unless_it_is_asked_to_stay():
    with serving(hello) as server:
        with Raw(server) as client:
            client.send(b'GET / HTTP/1.0\r\n\r\n')
            assert client.answer().body == b'hello'
            assert client.closed()
        with Raw(server) as client:
            for _ in range(2):
                client.send(b'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
                assert client.answer().header('Connection') == 'keep-alive'


def test_http_1_0_gets_no_chunks():
    with serving(answering(b'one', b'two')) as server, Raw(server) as client:
        client.send(b'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
        answer = client.answer()
        assert answer.header('Transfer-Encoding') is None
        assert answer.body == b'onetwo'


# -- bodies

def test_a_body_streams_while_it_arrives():
    sizes = []

    def app(environ, start_response):
        while data := environ['wsgi.input'].read(4):
            sizes.append(data)
            gate.set()
        start_response('200 OK', [])
        return [b'done']
    gate = green.Event()
    with serving(app) as server, Raw(server) as client:
        client.send(b'PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 8\r\n\r\n1234')
        assert gate.wait(5)
        assert sizes == [b'1234']
        client.send(b'5678')
        assert client.answer().body == b'done'


LINES = b'one\ntwo\n\nlong line\nend'


@pytest.mark.parametrize('head', [
    b'POST / HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%b' % (len(LINES), LINES),
    CHUNKED + b''.join(b'1\r\n%c\r\n' % c for c in LINES) + b'0\r\n\r\n',
    CHUNKED + b'%x;ext="a b"\r\n%b\r\n000\r\nX-Trailer: 1\r\n\r\n' % (len(LINES), LINES)],
    ids=['length', 'small chunks', 'extensions and trailers'])
def test_a_body_reads_as_a_file(head):
    seen = {}

    def app(environ, start_response):
        stream = environ['wsgi.input']
        seen['line'] = stream.readline()
        seen['part'] = stream.readline(2)
        seen['two'] = stream.read(2)
        seen['none'] = stream.read(0)
        seen['rest'] = list(stream)
        seen['end'] = (stream.read(), stream.read(5), stream.readline(), stream.readlines())
        start_response('200 OK', [])
        return []
    with serving(app) as server, Raw(server) as client:
        client.send(head)
        assert client.answer().code == 200
        assert seen == {'line': b'one\n', 'part': b'tw', 'two': b'o\n', 'none': b'',
                        'rest': [b'\n', b'long line\n', b'end'], 'end': (b'', b'', b'', [])}
        assert client.get().code == 200


def test_continue_is_said_when_the_body_is_first_read():
    with serving(echo) as server, Raw(server) as client:
        client.send(b'PUT / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
        assert client.answer().code == 100
        client.send(b'hello')
        assert client.answer().body == b'hello'
        client.send(CHUNKED[:-2] + b'Expect: 100-Continue\r\n\r\n')
        assert client.answer().code == 100
        client.send(b'2\r\nhi\r\n0\r\n\r\n')
        assert client.answer().body == b'hi'


def test_a_body_nobody_wants_is_not_asked_for():
    with serving(hello) as server, Raw(server) as client:
        client.send(b'PUT / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
        answer = client.answer()
        assert (answer.code, answer.header('Connection')) == (200, 'close')
        client.sock.shutdown(socket.SHUT_WR)
        assert client.closed()


def test_a_client_that_does_not_wait_for_continue_is_served_too():
    with serving(echo) as server, Raw(server) as client:
        client.send(b'PUT / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello')
        answer = client.answer()
        assert (client.answer() if answer.code == 100 else answer).body == b'hello'


def test_a_small_body_left_unread_is_drained_and_the_connection_stays():
    with serving(hello) as server, Raw(server) as client:
        client.send(b'PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n' + b'x' * 1000
                    + CHUNKED + b'3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n')
        assert [client.answer().body for _ in range(3)] == [b'hello'] * 3


@pytest.mark.parametrize('head', [b'PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 3000000\r\n\r\n',
                                  CHUNKED + b'2DC6C0\r\n'])
def test_a_large_body_left_unread_ends_the_connection_after_the_answer(head):
    with serving(hello) as server, Raw(server) as client:
        client.send(head + b'x' * 3000000)      # the whole of it is taken, so no reset eats the answer
        assert client.answer().body == b'hello'
        client.sock.shutdown(socket.SHUT_WR)
        assert client.closed()


# -- sockets

def test_a_unix_socket_is_served_and_removed(tmp_path):
    path = str(tmp_path / 'sock')
    server = Server(hello, path)
    server.start()
    with Raw(path) as client:
        assert client.get().body == b'hello'
    server.stop()
    assert not os.path.exists(path)


def test_the_socket_of_a_dead_server_is_taken_over_but_not_that_of_a_live_one(tmp_path):
    path = str(tmp_path / 'sock')
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(path)
    dead.close()
    server = Server(hello, path)
    server.start()
    with pytest.raises(errors.Unavailable, match='listens there'):
        Server(hello, path)
    server.stop()


def test_a_taken_port_is_an_error_that_names_it():
    with serving(hello) as server:
        with pytest.raises(errors.Unavailable, match=f'127.0.0.1:{server.port}'):
            Server(hello, ('127.0.0.1', server.port))


def test_a_listening_socket_may_be_handed_in():
    listener = socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen()
    server = Server(hello, listener)
    server.start()
    assert listener.fileno() == -1      # it is the server's now
    with Raw(server) as client:
        assert client.get().body == b'hello'
    server.stop()


def test_sockets_come_and_go_while_the_server_runs(tmp_path):
    def app(environ, start_response):
        start_response('200 OK', [])
        return [str(environ['strata.socket']).encode()]
    server = Server(app, None)
    server.start()
    one, two = str(tmp_path / 'one'), str(tmp_path / 'two')
    server.listen(one, 'net-1')
    server.listen(two, 'net-2')
    with pytest.raises(errors.Conflict):
        server.listen(('127.0.0.1', 0), 'net-1')
    with Raw(one) as first, Raw(two) as second:
        assert first.get().body == b'net-1'
        assert second.get().body == b'net-2'
        server.unlisten('net-1')
        assert first.closed()
        assert second.get().body == b'net-2'
    with pytest.raises(OSError):
        Raw(one)
    server.unlisten('net-1')      # again is no error
    server.stop()


def test_ipv6_is_served():
    server = Server(hello, ('::1', 0))
    server.start()
    with socket.create_connection(('::1', server.port)) as client:
        client.sendall(b'GET / HTTP/1.0\r\n\r\n')
        assert client.recv(100).startswith(b'HTTP/1.1 200')
    server.stop()


# -- stopping

def test_stopping_finishes_what_runs_and_closes_what_is_idle():
    entered, gate = green.Event(), green.Event()

    def app(environ, start_response):
        entered.set()
        gate.wait()
        return hello(environ, start_response)
    server = Server(app, ('127.0.0.1', 0))
    server.start()
    idle, busy = Raw(server), Raw(server)
    busy.send(b'GET / HTTP/1.1\r\nHost: t\r\n\r\n')
    entered.wait()
    wait.until(lambda: server.connections == 2)
    stopping = green.spawn(server.stop, 10)
    assert idle.closed()
    with pytest.raises(OSError):
        Raw(server)
    assert not stopping.dead
    gate.set()
    answer = busy.answer()
    assert (answer.body, answer.header('Connection')) == (b'hello', 'close')
    assert busy.closed()
    stopping.wait()
    assert server.wait(1)
    assert server.connections == 0


def test_what_does_not_finish_in_time_is_cut_off():
    ended = []

    def app(environ, start_response):
        try:
            green.sleep(60)
        finally:
            ended.append(True)
    server = Server(app, ('127.0.0.1', 0))
    server.start()
    client = Raw(server).send(b'GET / HTTP/1.1\r\nHost: t\r\n\r\n')
    wait.until(lambda: any(not each.idle for each in server._connections))
    server.stop(0.05)
    assert client.closed()
    assert ended == [True]


def test_a_server_can_be_started_again():
    server = Server(hello, None)
    for _ in range(2):
        server.listen(('127.0.0.1', 0))
        server.start()
        with Raw(server) as client:
            assert client.get().body == b'hello'
        server.stop()


# -- the log

def test_the_access_log_has_a_line_per_request_with_its_id(caplog):
    caplog.set_level(logging.INFO)
    with serving(RequestId(hello)) as server, Raw(server) as client:
        answer = client.get('/path?token=secret&x=1&X-Amz-Signature=abc')
    line = next(r for r in caplog.records if r.name == 'strata.wsgi.server.api').getMessage()
    assert re.match(re.escape('127.0.0.1 "GET /path?token=***&x=1&X-Amz-Signature=***" 200 5 ') + r'\d+\.\d', line)
    assert line.endswith(answer.header('x-openstack-request-id'))
    assert answer.header('x-openstack-request-id').startswith('req-')


def test_the_access_log_can_be_turned_off(caplog):
    caplog.set_level(logging.INFO)
    with serving(hello, access_log=False) as server, Raw(server) as client:
        client.get()
    assert '"GET' not in caplog.text


def test_no_request_sees_the_context_of_the_one_before():
    seen = []

    def app(environ, start_response):
        seen.append(contexts.CURRENT.get())
        contexts.CURRENT.set(contexts.Context(user_id='me'))
        return hello(environ, start_response)
    contexts.CURRENT.set(contexts.Context(user_id='the main program'))
    try:
        with serving(app) as server, Raw(server) as client:
            client.get()
            client.get()
    finally:
        contexts.CURRENT.set(None)
    assert seen == [None, None]


# -- load

def test_a_full_server_closes_an_idle_connection_for_a_new_client():
    with serving(hello, limits=Limits(connections=2)) as server:
        old, other = Raw(server), Raw(server)
        old.get()
        other.get()
        with Raw(server) as new:
            assert new.get().body == b'hello'
        assert old.closed() or other.closed()


def test_children_share_a_socket_their_parent_bound():
    def app(environ, start_response):
        start_response('200 OK', [])
        return [str(os.getpid()).encode()]
    server = Server(app, ('127.0.0.1', 0))
    children = []
    for _ in range(2):
        pid = os.fork()
        if not pid:
            try:
                green.after_fork()
                server.start()
                server.wait(30)
            finally:
                os._exit(0)
        children.append(pid)
    try:
        seen = set()
        for _ in range(50):
            with Raw(server) as client:
                seen.add(int(client.get().body))
        assert seen and seen <= set(children)
    finally:
        for pid in children:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        server.stop()

"""The server as hostile, broken and slow clients see it: what could be read in two ways is refused."""

import socket
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strata import errors, green
from strata.testing import wait
from strata.testing.web import Raw, serving
from strata.wsgi.body import ClientDisconnected
from strata.wsgi.limits import Limits

EVIL = b'GET /evil HTTP/1.1\r\nHost: t\r\n\r\n'
START = b'POST / HTTP/1.1\r\nHost: t\r\n'
CHUNKED = START + b'Transfer-Encoding: chunked\r\n\r\n'


@pytest.fixture
def paths():
    return []


@pytest.fixture
def served(paths):
    """An application that reads its body and notes which paths it was asked for."""
    def app(environ, start_response):
        paths.append(environ['PATH_INFO'])
        body = environ['wsgi.input'].read()
        start_response('200 OK', [])
        return [body]
    with serving(app, limits=Limits(line=200, header_bytes=1000, headers=10, body=1000)) as server:
        yield server


def codes(received):
    """The status codes in what a server sent."""
    return [int(line.split(b' ')[1]) for line in received.split(b'\r\n') if line.startswith(b'HTTP/1.1 ')]


SMUGGLING = {
    'CL and TE': START + b'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'TE and CL': START + b'Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n',
    'two lengths': START + b'Content-Length: 0\r\nContent-Length: 30\r\n\r\n',
    'two equal lengths': START + b'Content-Length: 0\r\nContent-Length: 0\r\n\r\n',
    'a list of lengths': START + b'Content-Length: 0, 0\r\n\r\n',
    'a signed length': START + b'Content-Length: +0\r\n\r\n',
    'a negative length': START + b'Content-Length: -1\r\n\r\n',
    'a hexadecimal length': START + b'Content-Length: 0x0\r\n\r\n',
    'an underscored length': START + b'Content-Length: 1_0\r\n\r\n',
    'an empty length': START + b'Content-Length: \r\n\r\n',
    'a length of spaces': START + b'Content-Length: 1 0\r\n\r\n',
    'a length beyond 64 bits': START + b'Content-Length: 18446744073709551616\r\n\r\n',
    'another coding': START + b'Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n',
    'a coding before chunked': START + b'Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    'a coding behind chunked': START + b'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
    'identity': START + b'Transfer-Encoding: identity\r\n\r\n0\r\n\r\n',
    'xchunked': START + b'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
    'chunked twice': START + b'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'chunked and identity':
        START + b'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n',
    'identity and chunked':
        START + b'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'quoted chunked': START + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    'vertical tab': START + b'Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n',
    'form feed': START + b'Transfer-Encoding: chunked\x0c\r\n\r\n0\r\n\r\n',
    'a comma': START + b'Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n',
    'an empty coding': START + b'Transfer-Encoding: \r\n\r\n0\r\n\r\n',
    'a parameter': START + b'Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n',
    'space before the colon': START + b'Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n',
    'space before another colon': START + b'X-A : b\r\n\r\n',
    'tab before the colon': START + b'Content-Length\t: 0\r\n\r\n',
    'a folded line': START + b'X-A: b\r\n c\r\n\r\n',
    'a folded coding': START + b'Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n',
    'a folded first line': b'GET / HTTP/1.1\r\n Host: t\r\n\r\n',
    'bare line feeds': b'GET / HTTP/1.1\nHost: t\n\n',
    'a bare line feed in a header': START + b'X-A: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'a bare carriage return': START + b'X-A: b\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'an end of bare line feeds': START + b'Content-Length: 0\n\n',
    'NUL in a value': START + b'X-A: b\0c\r\n\r\n',
    'NUL in a name': START + b'X-\0A: b\r\n\r\n',
    'NUL in the target': b'GET /\0 HTTP/1.1\r\nHost: t\r\n\r\n',
    'NUL in a length': START + b'Content-Length: 0\x00\r\n\r\n',
    'an empty name': START + b': b\r\n\r\n',
    'no colon': START + b'nonsense\r\n\r\n',
    'a name beyond ASCII': START + b'X-\xe9: b\r\n\r\n',
    'a control character': START + b'X-A: b\x7f\r\n\r\n',
    'a name with a bracket': START + b'X[A]: b\r\n\r\n',
    'two hosts': b'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    'no host': b'GET / HTTP/1.1\r\n\r\n',
    'a host with a path': b'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n',
    'a host with a user': b'GET / HTTP/1.1\r\nHost: a@b\r\n\r\n',
    'two spaces': b'GET  / HTTP/1.1\r\nHost: t\r\n\r\n',
    'a space in the target': b'GET /a b HTTP/1.1\r\nHost: t\r\n\r\n',
    'a space at the end': b'GET / HTTP/1.1 \r\nHost: t\r\n\r\n',
    'a tab in the request line': b'GET\t/ HTTP/1.1\r\nHost: t\r\n\r\n',
    'a space at the start': b' GET / HTTP/1.1\r\nHost: t\r\n\r\n',
    'no path': b'GET evil HTTP/1.1\r\nHost: t\r\n\r\n',
    'a fragment': b'GET /a#b HTTP/1.1\r\nHost: t\r\n\r\n',
    'raw bytes in the target': b'GET /\xc3\xa9 HTTP/1.1\r\nHost: t\r\n\r\n',
    'no version': b'GET /\r\n\r\n',
    'another protocol': b'GET / RTSP/1.0\r\nHost: t\r\n\r\n',
    'chunked in HTTP/1.0': b'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'TLS': b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n',
}


@pytest.mark.parametrize('head', SMUGGLING.values(), ids=SMUGGLING)
def test_an_ambiguous_request_is_refused_and_nothing_behind_it_is_read(served, paths, head):
    with Raw(served) as client:
        received = client.send(head + EVIL).rest()
    assert len(codes(received)) == 1, received
    assert codes(received)[0] in (400, 413, 501, 505)
    assert b'Connection: close' in received
    assert paths == []


CHUNKS = {
    'no size': b'\r\nabc\r\n0\r\n\r\n',
    'not hexadecimal': b'g\r\nabc\r\n0\r\n\r\n',
    'a prefix': b'0x3\r\nabc\r\n0\r\n\r\n',
    'a sign': b'+3\r\nabc\r\n0\r\n\r\n',
    'negative': b'-1\r\nabc\r\n0\r\n\r\n',
    'an underscore': b'0_3\r\nabc\r\n0\r\n\r\n',
    'a leading space': b' 3\r\nabc\r\n0\r\n\r\n',
    'a trailing space': b'3 \r\nabc\r\n0\r\n\r\n',
    'more than 64 bits': b'00000000000000003\r\nabc\r\n0\r\n\r\n',
    'a bare line feed': b'3\nabc\r\n0\r\n\r\n',
    'a bare line feed behind the data': b'3\r\nabc\n0\r\n\r\n',
    'a bare line feed in an extension': b'3;a\nb\r\nabc\r\n0\r\n\r\n',
    'a carriage return in an extension': b'3;a\rb\r\nabc\r\n0\r\n\r\n',
    'NUL in an extension': b'3;a\0b\r\nabc\r\n0\r\n\r\n',
    'too little data': b'4\r\nabc\r\n0\r\n\r\n',
    'too much data': b'2\r\nabc\r\n0\r\n\r\n',
    'an endless size line': b'3;' + b'a' * 5000 + b'\r\nabc\r\n0\r\n\r\n',
    'a trailer without a colon': b'3\r\nabc\r\n0\r\nnonsense\r\n\r\n',
    'a trailer with a bare line feed': b'3\r\nabc\r\n0\r\nX-A: b\n\r\n',
    'endless trailers': b'3\r\nabc\r\n0\r\n' + b'X-A: b\r\n' * 5000 + b'\r\n',
}


@pytest.mark.parametrize('chunks', CHUNKS.values(), ids=CHUNKS)
def test_malformed_chunks_are_refused_and_nothing_behind_them_is_read(served, paths, chunks):
    with Raw(served) as client:
        received = client.send(CHUNKED + chunks + EVIL).rest()
    assert codes(received) == [400]
    assert paths == ['/']


@pytest.mark.parametrize('chunks', CHUNKS.values(), ids=CHUNKS)
def test_malformed_chunks_nobody_reads_end_the_connection_too(chunks):
    paths = []

    def app(environ, start_response):
        paths.append(environ['PATH_INFO'])
        start_response('200 OK', [])
        return [b'unread']
    with serving(app) as server, Raw(server) as client:
        assert codes(client.send(CHUNKED + chunks + EVIL).rest()) == [200]
    assert paths == ['/']


def test_a_header_with_underscores_cannot_pose_as_another():
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        start_response('200 OK', [])
        return []
    with serving(app) as server, Raw(server) as client:
        client.get('/', 'X_User_Id: admin', 'Content_Length: 5', 'X-User_Id: admin')
    assert not any('USER' in key for key in seen)
    assert 'CONTENT_LENGTH' not in seen


def test_empty_lines_before_a_request_are_passed_over(served, paths):
    with Raw(served) as client:
        assert client.send(b'\r\n\r\n').get('/').code == 200
        assert client.send(b'\r\n').get('/').code == 200
    assert paths == ['/', '/']


# -- what cannot be served

@pytest.mark.parametrize('head, code', [
    (b'GET /' + b'a' * 300 + b' HTTP/1.1\r\nHost: t\r\n\r\n', 414),
    (b'GET /' + b'a' * 300, 414),
    (b'GET / HTTP/1.1\r\nHost: t\r\nX-A: ' + b'a' * 1000 + b'\r\n\r\n', 431),
    (b'GET / HTTP/1.1\r\nHost: t\r\nX-A: ' + b'a' * 2000, 431),
    (b'GET / HTTP/1.1\r\nHost: t\r\n' + b'X-A: b\r\n' * 10 + b'\r\n', 431),
    (START + b'Content-Length: 1001\r\n\r\n', 413),
    (CHUNKED + b'3e9\r\n', 413),
    (CHUNKED + b'1f4\r\n' + b'a' * 500 + b'\r\n1f5\r\n', 413),
    (b'POST / HTTP/1.0\r\n\r\n', 411),
    (b'PUT / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', 411),
    (b'FROB / HTTP/1.1\r\nHost: t\r\n\r\n', 501),
    (b'get / HTTP/1.1\r\nHost: t\r\n\r\n', 501),
    (b'CONNECT t:80 HTTP/1.1\r\nHost: t\r\n\r\n', 501),
    (b'GET / HTTP/2.0\r\nHost: t\r\n\r\n', 505),
    (b'GET / HTTP/0.9\r\nHost: t\r\n\r\n', 505),
    (b'GET / HTTP/1.2\r\nHost: t\r\n\r\n', 505),
    (b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505),
    (START + b'Content-Length: 1\r\nExpect: a miracle\r\n\r\n', 417),
])
def test_what_cannot_be_served_is_told_so(served, head, code):
    with Raw(served) as client:
        client.send(head)
        answer = client.answer()
        assert answer.code == code
        assert answer.header('Connection') == 'close'
        assert answer.body.endswith(b'\n')
        client.sock.shutdown(socket.SHUT_WR)
        assert client.closed()


def test_limits_are_inclusive(served):
    with Raw(served) as client:
        assert client.get('/' + 'a' * (200 - len('GET / HTTP/1.1'))).code == 200
        assert client.get('/', *['X-A: b'] * 9).code == 200
        assert client.get('/', method='POST', body=b'x' * 1000).code == 200
        client.send(CHUNKED + b'3e8\r\n' + b'x' * 1000 + b'\r\n0\r\n\r\n')
        assert len(client.answer().body) == 1000


def test_an_offer_to_upgrade_is_passed_over(served):
    with Raw(served) as client:
        for _ in range(2):
            assert client.get('/', 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', method='POST',
                              body=b'abc').body == b'abc'


def test_a_refused_client_that_goes_on_sending_reads_its_answer(served):
    with Raw(served) as client:
        client.send(START + b'Content-Length: 3000000\r\n\r\n' + b'x' * 3000000)
        assert client.answer().code == 413


# -- clients that are slow, or go away

QUICK = Limits(header_time=0.1, idle_time=0.2, body_time=0.1, write_time=0.1)


def reading(environ, start_response):
    body = environ['wsgi.input'].read()
    start_response('200 OK', [])
    return [body]


def test_a_head_that_never_ends_is_a_408():
    with serving(reading, limits=QUICK) as server, Raw(server) as client:
        client.send(b'GET / HTTP/1.1\r\n')      # by itself, Raw waits for 10 s only, not for the usual 30
        assert client.answer().code == 408


def test_a_trickling_head_does_not_extend_its_time():
    with serving(reading, limits=QUICK) as server, Raw(server) as client:
        client.send(b'GET / HTTP/1.1\r\nX-A: ')
        answers = []
        reader = green.spawn(lambda: answers.append(client.answer().code))
        wait.until(lambda: answers or client.send(b'a') is None)
        reader.wait()
        assert answers == [408]


def test_a_body_that_stalls_is_a_408():
    for head in (START + b'Content-Length: 10\r\n\r\nabc', CHUNKED + b'5\r\nabc', CHUNKED + b'5'):
        with serving(reading, limits=QUICK) as server, Raw(server) as client:
            client.send(head)
            answer = client.answer()
            assert (answer.code, answer.header('Connection')) == (408, 'close')
            assert client.closed()


PATIENT = Limits(body_time=1, body_grace=1, body_rate=1000)


def test_a_body_that_drips_is_a_408():
    with serving(reading, limits=PATIENT) as server, Raw(server) as client:
        client.send(START + b'Content-Length: 1000000\r\n\r\n')
        answers = []
        reader = green.spawn(lambda: answers.append(client.answer()))
        wait.until(lambda: answers or client.send(b'a') is None)
        reader.wait()
        assert (answers[0].code, answers[0].header('Connection')) == (408, 'close')


def test_a_long_upload_at_more_than_the_least_rate_is_read_to_its_end():
    read = []

    def app(environ, start_response):
        while data := environ['wsgi.input'].read(1000):
            read.append(len(data))
        start_response('200 OK', [])
        return [str(sum(read)).encode()]
    limits = Limits(body_time=2, body_grace=2, body_rate=1000)
    with serving(app, limits=limits) as server, Raw(server) as client:
        client.send(CHUNKED)
        began, pieces = time.monotonic(), 0
        while time.monotonic() - began < 2 * limits.body_grace:
            client.send(b'3e8\r\n' + b'x' * 1000 + b'\r\n')
            pieces += 1
            wait.until(lambda: len(read) == pieces)      # noqa: B023 -- called at once
        client.send(b'0\r\n\r\n')
        answer = client.answer()
        assert (answer.code, answer.body) == (200, str(1000 * pieces).encode())


def test_what_was_sent_fast_buys_no_time_for_dripping():
    with serving(reading, limits=PATIENT) as server, Raw(server) as client:
        client.send(START + b'Content-Length: 9000000\r\n\r\n' + b'x' * 1_000_000)
        began, answers = time.monotonic(), []
        reader = green.spawn(lambda: answers.append(client.answer()))
        wait.until(lambda: answers or client.send(b'a') is None)
        reader.wait()
        assert answers[0].code == 408 and time.monotonic() - began < 8


def test_an_idle_connection_is_closed_without_a_word():
    with serving(reading, limits=QUICK) as server:
        with Raw(server) as client:
            assert client.closed()
        with Raw(server) as client:
            client.get()
            assert client.closed()
        wait.until(lambda: server.connections == 0)


def test_a_client_that_takes_nothing_is_cut_off():
    outcome = []

    def app(environ, start_response):
        start_response('200 OK', [])
        try:
            while True:
                yield b'x' * 100000
        finally:
            outcome.append('closed')
    with serving(app, limits=QUICK) as server, Raw(server) as client:
        client.send(EVIL)
        wait.until(lambda: outcome)
        wait.until(lambda: server.connections == 0)


def test_a_slow_reader_of_a_file_is_cut_off_too(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(b'x' * 20_000_000)

    def app(environ, start_response):
        start_response('200 OK', [])
        return environ['wsgi.file_wrapper'](open(path, 'rb'))
    with serving(app, limits=QUICK) as server, Raw(server) as client:
        client.send(EVIL)
        wait.until(lambda: server.connections == 1)
        wait.until(lambda: server.connections == 0)


@pytest.mark.parametrize('head', [START + b'Content-Length: 10\r\n\r\nabc', CHUNKED + b'5\r\nabc', CHUNKED])
def test_a_client_that_leaves_mid_body_is_a_clear_error_in_the_application(head):
    seen = []

    def app(environ, start_response):
        try:
            environ['wsgi.input'].read()
        except OSError as error:
            seen.append(error)
            raise
    with serving(app) as server:
        with Raw(server) as client:
            client.send(head)
        wait.until(lambda: seen)
        wait.until(lambda: server.connections == 0)
    assert isinstance(seen[0], ClientDisconnected)
    assert isinstance(seen[0], errors.Error)
    assert seen[0].status == 400


def test_an_application_may_answer_a_body_that_is_too_large_itself():
    def app(environ, start_response):
        try:
            environ['wsgi.input'].read()
        except OSError as error:
            start_response(f'{error.status} Mine', [])
            return [b'mine']
    with serving(app, limits=Limits(body=10)) as server, Raw(server) as client:
        client.send(CHUNKED + b'10\r\n' + b'x' * 16)
        answer = client.answer()
        assert (answer.code, answer.body, answer.header('Connection')) == (413, b'mine', 'close')


def test_a_client_that_leaves_mid_answer_ends_the_application():
    ended = []

    def app(environ, start_response):
        start_response('200 OK', [])
        try:
            while True:
                yield b'x' * 100000
                green.sleep(0)
        finally:
            ended.append(True)
    with serving(app) as server:
        with Raw(server) as client:
            client.send(EVIL)
            client._until(b'xxx')
        wait.until(lambda: ended)


# -- anything at all

@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(data=st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([
    b'GET / HTTP/1.1\r\n', b'POST /x HTTP/1.1\r\n', b'Host: t\r\n', b'\r\n', b'Content-Length: 5\r\n', b'\n',
    b' ', b'Transfer-Encoding: chunked\r\n', b'\r\n\r\n', b'5\r\nabcde\r\n', b'0\r\n\r\n',
    b'Expect: 100-continue\r\n'])),
    max_size=12).map(b''.join))
def test_no_input_hangs_the_server_or_makes_it_fail(served, data):
    with Raw(served) as client:
        client.send(data)
        client.sock.shutdown(socket.SHUT_WR)
        received = client.rest()
    assert all(code < 500 or code in (501, 505) for code in codes(received)), (data, received)
    with Raw(served) as client:
        assert client.get('/alive').code == 200

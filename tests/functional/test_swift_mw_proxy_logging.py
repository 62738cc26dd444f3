"""The access log: one line a request, in the published order, without secrets."""

import io
import logging
import os
import socket

import pytest

from strata import errors
from strata.testing import wait
from swift.http import Response
from swift.middleware import proxy_logging
from tests.functional.swift_filters import Recorder, ask
from tests.functional.swift_proxy import Client
from tests.swift_cluster import Cluster


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, 'proxy-server')
    return lambda: [record.getMessage() for record in caplog.records if record.name == 'proxy-server']


def logged(app, **conf):
    return proxy_logging.filter_factory({}, **conf)(app)


def test_a_line_has_the_published_fields_in_their_order(lines):
    app = Recorder({'/v1/AUTH_a/c/o': Response(200, b'abc')})
    ask(logged(app), '/v1/AUTH_a/c/o%20x', 'PUT', body=b'')
    ask(logged(app), '/v1/AUTH_a/c/o?x=1&y=a%20b', headers={
        'Referer': 'http://a/b c', 'User-Agent': 'curl 7', 'X-Auth-Token': 'AUTH_tk' + '0' * 32, 'Etag': 'abc',
        'X-Backend-Storage-Policy-Index': '1'}, **{'swift.trans_id': 'txabc', 'swift.log_info': ['x:1', 'y'],
                                                   'swift.source': 'SW', 'swift.access_logging': {'user_id': 'a:b'}})
    fields = lines()[1].split()
    assert len(fields) == 22
    assert fields[:2] == ['192.0.2.7', '192.0.2.7']
    assert fields[3:15] == [
        'GET', '/v1/AUTH_a/c/o%3Fx%3D1%26y%3Da%2520b', 'HTTP/1.0', '200', 'http://a/b%20c', 'curl%207',
        'AUTH_tk000000000...', '-', '3', 'abc', 'txabc', '-']
    assert fields[16:18] == ['SW', 'x:1%2Cy']
    assert fields[20:] == ['1', 'a:b']
    assert float(fields[15]) == pytest.approx(float(fields[19]) - float(fields[18]), abs=0.001)
    assert lines()[0].split()[4] == '/v1/AUTH_a/c/o%2520x'


def test_the_client_is_whom_the_load_balancer_names(lines):
    filtered = logged(Recorder())
    ask(filtered, '/v1/a', headers={'X-Forwarded-For': '198.51.100.1, 10.0.0.1'})
    ask(filtered, '/v1/a', headers={'X-Forwarded-For': '198.51.100.1', 'X-Cluster-Client-Ip': '198.51.100.2'})
    assert [line.split()[:2] for line in lines()] == [['198.51.100.1', '192.0.2.7'], ['198.51.100.2', '192.0.2.7']]


def test_where_nobody_hears_of_requests_they_pass_as_they_came(caplog):
    caplog.set_level(logging.WARNING, 'proxy-server')
    bodies, body = [], io.BytesIO(b'12345')

    def app(environ, start_response):
        assert environ['swift.infocache'] == {}
        bodies.append(environ['wsgi.input'])
        start_response('201 Created', [])
        return [b'']
    assert ask(logged(logged(app)), '/v1/a/c/o', 'PUT', headers={'Content-Length': '5'},
               **{'wsgi.input': body}).status == 201
    assert bodies == [body] and not caplog.records


def test_two_filters_log_a_request_once(lines):
    assert ask(logged(logged(Recorder())), '/v1/a').status == 200
    assert len(lines()) == 1


def test_bytes_are_counted_both_ways(lines):
    def app(environ, start_response):
        while environ['wsgi.input'].read(2):
            pass
        start_response('201 Created', [])
        return iter([b'a' * 10, b'b' * 5])
    ask(logged(app), '/v1/a/c/o', 'PUT', body=b'12345')
    assert lines()[0].split()[10:12] == ['5', '15']


def test_a_client_that_goes_away_is_a_499(lines):
    def app(environ, start_response):
        start_response('200 OK', [('Content-Length', '20')])
        return iter([b'a' * 10, b'b' * 10])
    body = logged(app, log_msg_template='{status_int} {wire_status_int} {bytes_sent}')(
        {'REQUEST_METHOD': 'GET', 'PATH_INFO': '/v1/a/c/o'}, lambda *said: None)
    next(iter(body))
    body.close()
    body.close()
    assert lines() == ['499 200 10']


def test_a_request_that_fails_is_logged_as_a_500(lines):
    def app(environ, start_response):
        raise RuntimeError('x')
    with pytest.raises(RuntimeError):
        ask(logged(app), '/v1/a')
    assert lines()[0].split()[6] == '500'


def test_a_broken_upload_is_a_499(lines):
    class Broken(io.BytesIO):
        def read(self, *size):
            raise OSError('gone')

    def app(environ, start_response):
        with pytest.raises(OSError):
            environ['wsgi.input'].read()
        start_response('201 Created', [])
        return [b'']
    ask(logged(app), '/v1/a/c/o', 'PUT', **{'wsgi.input': Broken(), 'CONTENT_LENGTH': '5'})
    assert lines()[0].split()[6] == '499'


SECRET = '0123456789abcdef' * 4


@pytest.mark.parametrize('reveal, shown', [('16', '0123456789abcdef...'), ('0', '...'), ('1000', SECRET)])
def test_of_secrets_only_the_beginning_is_shown(lines, reveal, shown):
    secret = SECRET
    filtered = logged(Recorder(), reveal_sensitive_prefix=reveal, access_log_headers='true',
                      log_msg_template='{path}|{auth_token}|{headers}|{referer}')
    ask(filtered, f'/v1/a/c/o?temp_url_sig={secret}&x=1&X-Amz-Signature={secret}', headers={
        'X-Auth-Token': secret, 'X-Service-Token': secret, 'Authorization': secret, 'X-Auth-Key': secret,
        'X-Account-Meta-Temp-Url-Key': secret, 'Referer': f'http://a/b?temp_url_sig={secret}'})
    line = lines()[0]
    # the referer stands twice: its field, and among the headers
    assert line.count(shown) == (10 if reveal == '16' else line.count(shown))
    assert (secret in line) == (reveal == '1000')


def test_headers_are_logged_where_wanted(lines):
    ask(logged(Recorder(), access_log_headers='true', access_log_headers_only='Host, X-Foo',
               log_msg_template='{headers}'), '/v1/a', headers={'X-Foo': 'b c', 'X-Bar': 'no'})
    assert lines() == ['Host:%20localhost:80%0AX-Foo:%20b%20c']


def test_a_template_may_hold_other_words_and_forms_of_time(lines):
    template = '{account}|{container}|{object}|{domain}|{start_time.iso8601}|' \
        '{end_time.s}|{client_ip.anonymized}|{pid} 100%'
    ask(logged(Recorder(), log_msg_template=template), '/v1/AUTH_a/c/d/e', headers={'Host': 'x.example:8080'})
    fields = lines()[0].split('|')
    assert fields[:4] == ['AUTH_a', 'c', 'd/e', 'x.example']
    assert fields[4][10] == 'T' and fields[5].isdecimal()
    assert fields[6].startswith('%7BMD5%7D') or fields[6].startswith('{MD5}')
    assert '192.0.2.7' not in lines()[0]
    assert fields[7].endswith(' 100%')


@pytest.mark.parametrize('template', ['{nope}', '{end_time.nope}', '{method.anonymized}', '{', '{}'])
def test_a_template_with_unknown_words_is_refused(template):
    with pytest.raises(errors.Invalid):
        logged(Recorder(), log_msg_template=template)


def test_no_line_can_be_forged(lines):
    ask(logged(Recorder()), '/v1/a%0Ab', headers={'User-Agent': 'a\nb', 'Referer': 'x\r\ny'})
    assert '\n' not in lines()[0] and '\r' not in lines()[0] and len(lines()[0].split()) == 22


def test_bytes_that_only_the_kernel_moves_are_counted(lines, tmp_path, caplog):
    big = os.urandom(24 << 20)
    with Cluster(tmp_path, filters='catch_errors gatekeeper proxy_logging cache listing_formats') as store:
        user = Client(store)
        user.put('/c')
        assert user.put('/c/o', big).status_code == 201
        assert user.get('/c/o').content == big
        assert user.get('/c/o', Range='bytes=5-1000004').content == big[5:1000005]
        answers = [line.split() for line in lines() if ' GET ' in line]
        assert [(each[6], each[11]) for each in answers] == [('200', str(len(big))), ('206', '1000000')]
        with socket.create_connection(('127.0.0.1', store.port)) as client:
            client.sendall(f'GET /v1/{user.account}/c/o HTTP/1.1\r\nHost: x\r\n\r\n'.encode())
            assert client.recv(1000).startswith(b'HTTP/1.1 200')
        gone = wait.until(lambda: [line.split() for line in lines() if ' GET ' in line][2:])[0]
        assert gone[6] == '499'
        assert 0 < int(gone[11]) < len(big)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

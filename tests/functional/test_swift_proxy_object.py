"""The proxy: objects."""

import hashlib
import io
import time

import pytest

from strata.testing.web import Raw
from strata.wsgi.limits import Limits
from strata.wsgi.server import Server
from swift.proxy.obj import expiry_queue
from tests.functional.swift_proxy import Client, cluster, proxy_of

DATA = bytes(range(256)) * 4
BIG = bytes(range(251)) * 4000


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp('store'), constraints={'max_file_size': '2000000'}) as store:
        yield store


@pytest.fixture
def user(store):
    user = Client(store)
    user.put('/c')
    return user


@pytest.mark.parametrize('data', [b'', DATA, BIG], ids=['empty', 'small', 'large'])
def test_an_object_is_kept_byte_for_byte(user, data):
    answer = user.put('/c/o', data, Content_Type='text/x', X_Object_Meta_Color='blue')
    assert answer.status_code == 201
    assert answer.headers['Etag'] == hashlib.md5(data).hexdigest() and answer.headers['Last-Modified']
    got = user.get('/c/o')
    assert got.status_code == 200 and got.content == data
    for headers in (got.headers, user.head('/c/o').headers):
        assert headers['Content-Length'] == str(len(data)) and headers['Content-Type'] == 'text/x'
        assert headers['X-Object-Meta-Color'] == 'blue' and headers['Etag'] == hashlib.md5(data).hexdigest()
        assert headers['Accept-Ranges'] == 'bytes' and headers['X-Timestamp']
        assert not any(name.lower().startswith('x-backend') for name in headers)


def test_a_body_may_come_in_chunks(user):
    def pieces():
        for start in range(0, len(BIG), 70000):
            yield BIG[start:start + 70000]
    assert user.put('/c/o', pieces()).status_code == 201
    assert user.get('/c/o').content == BIG
    assert user.put('/c/e', iter([])).status_code == 201
    assert user.get('/c/e').content == b''


def test_all_three_replicas_are_written(user):
    for name, data in (('small', DATA), ('large', BIG)):
        user.put(f'/c/{name}', data)
        digest = user.cluster.hashing.hexdigest(user.account, 'c', name)
        assert sum(digest in path.parts for path in user.cluster.files('.data')) == 3


def test_a_range_is_a_part(user):
    for data in (DATA, BIG):
        user.put('/c/o', data)
        for wanted, part in (('0-9', data[:10]), ('10-', data[10:]), ('-7', data[-7:]),
                             (f'5-{len(data) + 9}', data[5:]), ('100-100', data[100:101])):
            answer = user.get('/c/o', Range=f'bytes={wanted}')
            assert answer.status_code == 206 and answer.content == part
            assert answer.headers['Content-Range'].endswith(f'/{len(data)}')
        answer = user.get('/c/o', Range=f'bytes={len(data)}-')
        assert answer.status_code == 416 and answer.headers['Content-Range'] == f'bytes */{len(data)}'
        assert user.get('/c/o', Range='bytes=x').status_code == 200


@pytest.mark.parametrize('data, spans', [(DATA, [(0, 5), (100, 200)]), (BIG, [(5, 300000), (400000, 900000), (9, 10)])])
def test_several_ranges_come_as_a_document(user, data, spans):
    user.put('/c/o', data, Content_Type='text/x')
    answer = user.get('/c/o', Range='bytes=' + ','.join(f'{start}-{stop - 1}' for start, stop in spans))
    assert answer.status_code == 206 and int(answer.headers['Content-Length']) == len(answer.content)
    kind, _, boundary = answer.headers['Content-Type'].partition(';boundary=')
    assert kind == 'multipart/byteranges'
    expected = b''.join(
        f'--{boundary}\r\nContent-Type: text/x\r\nContent-Range: bytes {start}-{stop - 1}/{len(data)}\r\n\r\n'.encode()
        + data[start:stop] + b'\r\n' for start, stop in spans) + f'--{boundary}--'.encode()
    assert answer.content == expected


def test_conditions_are_heard(user):
    etag = user.put('/c/o', DATA).headers['Etag']
    modified = user.head('/c/o').headers['Last-Modified']
    assert user.get('/c/o', If_Match=etag).status_code == 200
    assert user.get('/c/o', If_Match='x').status_code == 412
    assert user.get('/c/o', If_None_Match=etag).status_code == 304
    assert user.get('/c/o', If_None_Match='x').status_code == 200
    assert user.get('/c/o', If_Modified_Since=modified).status_code == 304
    assert user.get('/c/o', If_Unmodified_Since='Sat, 01 Jan 2000 00:00:00 GMT').status_code == 412
    assert user.get('/c/none', If_Match='*').status_code == 412


def test_what_exists_is_not_overwritten_on_request(user):
    assert user.put('/c/o', DATA, If_None_Match='*').status_code == 201
    for data in (b'other', BIG):
        assert user.put('/c/o', data, If_None_Match='*').status_code == 412
    answer = user.put('/c/o', DATA, If_None_Match='abc')
    assert answer.status_code == 400 and answer.text == 'If-None-Match only supports *'
    assert user.get('/c/o').content == DATA


@pytest.mark.parametrize('data', [DATA, BIG], ids=['small', 'large'])
def test_a_body_that_does_not_fit_its_etag_is_refused(user, data):
    assert user.put('/c/o', data, Etag='0' * 32).status_code == 422
    assert user.put('/c/o', data, Etag=hashlib.md5(data).hexdigest()).status_code == 201


def test_metadata_are_replaced_by_a_post(user):
    user.put('/c/o', DATA, X_Object_Meta_A='1', Content_Type='text/x')
    assert user.post('/c/o', X_Object_Meta_B='2').status_code == 202
    head = user.head('/c/o').headers
    assert head['X-Object-Meta-B'] == '2' and 'X-Object-Meta-A' not in head and head['Content-Type'] == 'text/x'
    assert user.post('/c/none', X_Object_Meta_B='2').status_code == 404
    assert user('POST', '/c/o', None, {'X-Object-Meta-A': 'x' * 257}).status_code == 400


def test_what_is_deleted_is_gone(user):
    user.put('/c/o', DATA)
    assert user.delete('/c/o').status_code == 204
    for method in ('GET', 'HEAD', 'POST', 'DELETE'):
        assert user(method, '/c/o').status_code == 404
    assert user.names() == []


def test_without_a_container_there_is_no_object(user):
    for method in ('GET', 'HEAD', 'POST', 'DELETE', 'PUT'):
        assert user(method, '/none/o').status_code == 404


def test_a_type_is_guessed_where_none_is_given(user):
    for name, given, expected in (('a.txt', {}, 'text/plain'), ('a', {}, 'application/octet-stream'),
                                  ('b.png', {'Content-Type': 'x/y'}, 'x/y'),
                                  ('c.png', {'Content-Type': 'x/y', 'X-Detect-Content-Type': 'true'}, 'image/png')):
        user('PUT', f'/c/{name}', b'x', given)
        assert user.head(f'/c/{name}').headers['Content-Type'] == expected


def test_an_object_is_deleted_at_a_time(user):
    soon = int(time.time()) + 1000
    assert user.put('/c/o', DATA, X_Delete_At=str(soon)).status_code == 201
    assert user.head('/c/o').headers['X-Delete-At'] == str(soon)
    user.put('/c/a', DATA, X_Delete_After='100')
    assert 90 < int(user.head('/c/a').headers['X-Delete-At']) - time.time() < 110
    user.post('/c/a', X_Object_Meta_A='b')
    assert 'X-Delete-At' not in user.head('/c/a').headers
    account, name = expiry_queue(proxy_of(user.cluster), user.account, 'c', 'o', soon)
    assert soon - 86500 < int(name) <= soon
    assert Client(user.cluster, account).names(f'/{name}').count(f'{soon}-{user.account}/c/o') == 1


@pytest.mark.parametrize('headers, why', [
    ({'X-Delete-At': 'soon'}, 'Non-integer X-Delete-At'), ({'X-Delete-At': '100'}, 'X-Delete-At in past'),
    ({'X-Delete-After': '1.5'}, 'Non-integer X-Delete-After'), ({'X-Delete-After': '-1'}, 'X-Delete-After in past'),
])
def test_a_time_that_is_none_is_refused(user, headers, why):
    user.put('/c/p', DATA)
    for method, path in (('PUT', '/c/o'), ('POST', '/c/p')):
        answer = user(method, path, DATA, headers)
        assert answer.status_code == 400 and answer.text == why


def test_too_much_is_refused(user):
    assert user.put('/c/o', bytes(2000001)).status_code == 413
    assert user.put('/c/o', iter([bytes(100000)] * 21)).status_code == 413
    assert user.put('/c/' + 'o' * 1024, b'x').status_code == 201
    assert user.put('/c/' + 'o' * 1025, b'x').status_code == 400
    assert 'o' not in user.names()


def raw(user, *lines):
    client = Raw(user.cluster.proxy)
    client.send('\r\n'.join([f'PUT /v1/{user.account}/c/o HTTP/1.1', 'Host: x', *lines, '', '']).encode())
    return client


def test_a_body_needs_a_length(user):
    with raw(user) as client:
        assert client.answer().code == 411
    with raw(user, 'Content-Length: abc') as client:
        assert client.answer().code == 400


@pytest.mark.parametrize('length', [100, 500000])
def test_a_client_that_goes_away_leaves_nothing(user, length):
    with raw(user, f'Content-Length: {length}') as client:
        client.send(b'x' * 50)
    with raw(user, 'Transfer-Encoding: chunked') as client:
        client.send(b'5\r\nabcde\r\n')
    assert user.get('/c/o').status_code == 404 and user.names() == []


@pytest.mark.parametrize('length', [100, 500000])
def test_a_client_that_stalls_is_given_up(user, length):
    server = Server(user.cluster.app, ('127.0.0.1', 0), Limits(body_time=0.2), name='impatient', access_log=False)
    server.start()
    try:
        with Raw(server) as client:
            client.send(f'PUT /v1/{user.account}/c/o HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n'.encode())
            client.send(b'abc')
            assert client.answer().code == 408
    finally:
        server.stop(0)
    assert user.get('/c/o').status_code == 404


def test_a_body_that_is_no_body_is_refused(user):
    with raw(user, 'Transfer-Encoding: chunked') as client:
        client.send(b'zz\r\nabcde\r\n')
        assert client.answer().code == 400
    assert user.get('/c/o').status_code == 404


def test_a_client_is_told_when_to_send(user):
    with raw(user, f'Content-Length: {len(BIG)}', 'Expect: 100-continue') as client:
        assert client.answer().code == 100
        client.send(BIG)
        assert client.answer().code == 201
    assert user.get('/c/o').content == BIG


def test_a_file_is_sent(user):
    assert user.put('/c/o', io.BytesIO(BIG)).status_code == 201
    assert user.get('/c/o').content == BIG


def test_the_newest_is_found(user):
    user.put('/c/o', DATA)
    stale = user.primaries('c', 'o')[0]
    stale.stop('object')
    user.put('/c/o', b'newer')
    stale.start('object')
    for _ in range(6):
        assert user.get('/c/o', X_Newest='true').content == b'newer'


def test_names_may_hold_anything(user):
    for name in ('a b', 'a/b//c/', '/', '\u4e2d', 'a;b', "it's", '..', '../../etc', 'a%2Fb'):
        path = '/c/' + ''.join(f'%{byte:02X}' for byte in name.encode())
        assert user.put(path, name.encode()).status_code == 201, name
        assert user.get(path).content == name.encode()
    assert len(user.get('/c?format=json').json()) == 9

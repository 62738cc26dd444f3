"""The object server, asked over HTTP as proxies and daemons ask it."""

import hashlib
import json
import os
import pickle
import socket
import urllib.parse

import pytest

from strata.testing import wait
from strata.wsgi.server import Server
from swift.obj import metadata as metadatas
from swift.storage import pickles
from tests.swift_objects import DEVICE, ObjectHttp, later, md5, names, tree


@pytest.fixture
def server(tmp_path):
    server = ObjectHttp(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def make(tmp_path):
    made = []

    def make(**conf):
        made.append(ObjectHttp(tmp_path, **conf))
        return made[-1]
    yield make
    for each in made:
        each.stop()


class Containers:
    """A container server that writes down what it is told and answers as it is bidden."""

    def __init__(self, status='201 Created'):
        self.status = status
        self.told = []
        self.server = Server(self, ('127.0.0.1', 0), name='containers', access_log=False)
        self.server.start()

    def __call__(self, environ, start_response):
        self.told.append((environ['REQUEST_METHOD'], environ['PATH_INFO'],
                          {key[5:].replace('_', '-').title(): value for key, value in environ.items()
                           if key.startswith('HTTP_')}))
        start_response(self.status, [('Content-Length', '0')])
        return []

    @property
    def host(self):
        return f'127.0.0.1:{self.server.port}'

    def headers(self, *hosts):
        return {'X-Container-Host': ','.join(hosts or [self.host]), 'X-Container-Partition': '7',
                'X-Container-Device': ','.join(f'sd{number}' for number in range(len(hosts or [1])))}


@pytest.fixture
def containers():
    made = Containers()
    yield made
    made.server.stop(0)


def pending(server, policy=''):
    folder = server.disk / f'async_pending{policy}'
    return [pickles.loads(path.read_bytes()) for path in sorted(folder.rglob('*')) if path.is_file()]


def test_an_object_is_kept_and_given_back(server):
    when = later()
    put = server.ask('PUT', 'ü', b'hello', {
        'X-Timestamp': when.internal, 'Content-Type': 'text/plain;\xe9'.encode(), 'X-Object-Meta-fOO': 'bär'.encode(),
        'Content-Encoding': 'gzip', 'X-Object-Sysmeta-S': '1', 'X-Object-Transient-Sysmeta-T': '2',
        'X-Delete-At': '9999999999', 'X-Other': 'no', 'X-Object-Meta-': 'nameless'} | {'X-Object-Meta-E': ''})
    assert put.status == 400      # a nameless piece of metadata
    put = server.ask('PUT', 'ü', b'hello', {
        'X-Timestamp': when.internal, 'Content-Type': 'text/plain;\xe9'.encode(), 'X-Object-Meta-fOO': 'bär'.encode(),
        'Content-Encoding': 'gzip', 'X-Object-Sysmeta-S': '1', 'X-Object-Transient-Sysmeta-T': '2',
        'X-Delete-At': '9999999999', 'X-Other': 'no', 'X-Object-Meta-E': ''})
    assert (put.status, put.headers['Etag'], put.body) == (201, f'"{md5(b"hello")}"', b'')
    for method in ('GET', 'HEAD'):
        got = server.ask(method, 'ü')
        assert got.status == 200
        assert got.body == (b'hello' if method == 'GET' else b'')
        headers = dict(got.headers.items())
        headers.pop('Date')
        assert headers == {
            'Content-Type': 'text/plain;\xc3\xa9', 'X-Object-Meta-Foo': 'b\xc3\xa4r', 'X-Object-Meta-E': '',
            'Content-Encoding': 'gzip', 'X-Object-Sysmeta-S': '1', 'X-Object-Transient-Sysmeta-T': '2',
            'X-Delete-At': '9999999999', 'Etag': f'"{md5(b"hello")}"', 'Last-Modified': when.last_modified,
            'Content-Length': '5', 'X-Timestamp': when.normal, 'X-Backend-Timestamp': when.internal,
            'X-Backend-Data-Timestamp': when.internal, 'X-Backend-Durable-Timestamp': when.internal}


@pytest.mark.parametrize('size', [0, 1, 65536, 300000, 3 << 20])
def test_objects_of_all_sizes_come_back_with_and_without_a_length(server, size):
    data = os.urandom(size)
    assert server.ask('PUT', 'sized', data).status == 201
    assert server.ask('PUT', 'chunked', (data[at:at + 100000] for at in range(0, size, 100000))).status == 201
    for name in ('sized', 'chunked'):
        got = server.ask('GET', name)
        assert (got.status, got.headers['Content-Length'], md5(got.body)) == (200, str(size), md5(data))


@pytest.mark.parametrize('size', [1000, 100000, 1 << 20])
def test_parts_of_objects_are_served(server, size):
    data = os.urandom(size)
    server.ask('PUT', body=data)
    middle = server.ask('GET', headers={'Range': 'bytes=10-99'})
    assert (middle.status, middle.headers['Content-Range'], middle.body) == (206, f'bytes 10-99/{size}', data[10:100])
    assert server.ask('GET', headers={'Range': 'bytes=-10'}).body == data[-10:]
    assert server.ask('GET', headers={'Range': 'bytes=900-'}).body == data[900:]
    several = server.ask('GET', headers={'Range': 'bytes=0-1,5-9'})
    assert several.status == 206
    boundary = several.headers['Content-Type'].partition('boundary=')[2]
    assert several.body.count(boundary.encode()) == 3
    assert data[5:10] in several.body
    assert int(several.headers['Content-Length']) == len(several.body)
    beyond = server.ask('GET', headers={'Range': f'bytes={size}-'})
    assert (beyond.status, beyond.headers['Content-Range']) == (416, f'bytes */{size}')
    whole = server.ask('GET', headers={'Range': 'bytes=0-5', 'X-Backend-Ignore-Range-If-Metadata-Present': 'X-A, ETag'})
    assert (whole.status, whole.body) == (200, data)
    assert server.ask('GET', headers={'Range': 'nonsense'}).status == 200


def test_conditions_are_held(server):
    server.ask('PUT', body=b'x', headers={'X-Object-Sysmeta-Real': 'otheretag'})
    etag, modified = f'"{md5(b"x")}"', server.ask('HEAD').headers['Last-Modified']
    for method in ('GET', 'HEAD'):
        for headers, status in [
                ({'If-Match': etag}, 200), ({'If-Match': '"x"'}, 412), ({'If-None-Match': etag}, 304),
                ({'If-None-Match': '*'}, 304), ({'If-None-Match': 'x, y'}, 200), ({'If-Modified-Since': modified}, 304),
                ({'If-Modified-Since': 'Thu, 01 Jan 1970 00:00:01 GMT'}, 200), ({'If-Unmodified-Since': modified}, 200),
                ({'If-Unmodified-Since': 'Thu, 01 Jan 1970 00:00:01 GMT'}, 412),
                ({'If-Match': 'otheretag', 'X-Backend-Etag-Is-At': 'X-None, X-Object-Sysmeta-Real'}, 200),
                ({'If-Match': etag, 'X-Backend-Etag-Is-At': 'X-Object-Sysmeta-Real'}, 412)]:
            assert server.ask(method, headers=headers).status == status, headers


def test_what_is_older_is_refused_with_the_time_of_what_is_there(server):
    old, when = later(), later()
    server.ask('PUT', body=b'x', headers={'X-Timestamp': when.internal})
    for method in ('PUT', 'POST', 'DELETE'):
        for stale in (old, when):
            answer = server.ask(method, body=b'y' if method == 'PUT' else None, headers={'X-Timestamp': stale.internal})
            assert (answer.status, answer.headers['X-Backend-Timestamp']) == (409, when.internal)
    gone = later()
    assert server.ask('DELETE', headers={'X-Timestamp': gone.internal}).status == 204
    answer = server.ask('PUT', body=b'z', headers={'X-Timestamp': when.internal})
    assert (answer.status, answer.headers['X-Backend-Timestamp']) == (409, gone.internal)
    assert server.ask('PUT', body=b'new').status == 201


def test_a_deleted_object_is_not_found_and_tells_when_it_went(server):
    never = server.ask('GET')
    assert (never.status, never.headers['X-Backend-Timestamp']) == (404, None)
    first = later()
    answer = server.ask('DELETE', headers={'X-Timestamp': first.internal})
    assert (answer.status, answer.headers['X-Backend-Timestamp']) == (404, first.internal)
    assert names(server.file()) == [f'{first.internal}.ts']
    server.ask('PUT', body=b'x', headers={'Content-Type': 'a/b'})
    gone = later()
    answer = server.ask('DELETE', headers={'X-Timestamp': gone.internal})
    assert (answer.status, answer.headers['X-Backend-Timestamp']) == (204, gone.internal)
    assert answer.headers['X-Backend-Content-Type'] == 'a/b'
    for method in ('GET', 'HEAD'):
        answer = server.ask(method)
        assert (answer.status, answer.headers['X-Backend-Timestamp']) == (404, gone.internal)
    assert server.ask('POST').status == 404


def test_metadata_is_replaced_by_a_post(server):
    put = later()
    server.ask('PUT', body=b'x', headers={
        'X-Timestamp': put.internal, 'X-Object-Meta-A': '1', 'Content-Encoding': 'gzip', 'X-Object-Sysmeta-S': 's',
        'X-Object-Transient-Sysmeta-T': 't', 'X-Static-Large-Object': 'True'})
    when = later()
    answer = server.ask('POST', headers={'X-Timestamp': when.internal, 'X-Object-Meta-B': '2', 'Content-Language': 'de',
                                         'X-Object-Sysmeta-S': 'other', 'X-Object-Transient-Sysmeta-U': 'u'})
    assert answer.status == 202
    assert answer.headers['X-Backend-Content-Type'] == 'text/plain'
    assert answer.headers['X-Object-Sysmeta-S'] == 's'
    got = server.ask('HEAD').headers
    assert got['X-Object-Meta-B'] == '2'
    assert (got['X-Object-Meta-A'], got['Content-Encoding'], got['X-Object-Transient-Sysmeta-T']) == (None, None, None)
    assert (got['Content-Language'], got['X-Object-Sysmeta-S'], got['X-Object-Transient-Sysmeta-U']) == ('de', 's', 'u')
    assert got['X-Static-Large-Object'] == 'True'
    assert (got['X-Timestamp'], got['X-Backend-Data-Timestamp']) == (when.normal, put.internal)
    assert got['Content-Type'] == 'text/plain'
    typed = server.ask('POST', headers={'Content-Type': 'image/png'})
    assert (typed.status, typed.headers['X-Backend-Content-Type']) == (202, 'image/png')
    assert server.ask('HEAD').headers['Content-Type'] == 'image/png'
    server.ask('POST', headers={'X-Object-Meta-C': '3'})
    assert server.ask('HEAD').headers['Content-Type'] == 'image/png'


def test_a_content_type_may_arrive_later_than_newer_metadata(server):
    server.ask('PUT', body=b'x')
    typed, posted = later(), later()
    server.ask('POST', headers={'X-Timestamp': posted.internal, 'X-Object-Meta-A': '1'})
    answer = server.ask('POST', headers={'X-Timestamp': typed.internal, 'X-Object-Meta-A': 'old',
                                         'Content-Type': 'image/png'})
    assert answer.status == 202
    got = server.ask('HEAD').headers
    assert (got['Content-Type'], got['X-Object-Meta-A'], got['X-Timestamp']) == ('image/png', '1', posted.normal)
    answer = server.ask('POST', headers={'X-Timestamp': typed.internal, 'Content-Type': 'x/y'})
    assert (answer.status, answer.headers['X-Backend-Timestamp']) == (409, posted.internal)


def test_an_object_must_be_new_if_the_request_says_so(server):
    assert server.ask('PUT', body=b'x', headers={'If-None-Match': '*'}).status == 201
    assert server.ask('PUT', body=b'y', headers={'If-None-Match': '*'}).status == 412
    server.ask('DELETE')
    assert server.ask('PUT', body=b'z', headers={'If-None-Match': '*'}).status == 201


@pytest.mark.parametrize('headers, status', [
    ({'X-Timestamp': 'soon'}, 400), ({'X-Timestamp': ''}, 400), ({'Content-Type': ''}, 400), ({'Etag': 'other'}, 422),
    ({'X-Delete-At': '1'}, 400), ({'X-Delete-At': 'soon'}, 400), ({'X-Object-Meta-A': 'x' * 257}, 400),
    ({'X-Object-Meta-' + 'a' * 129: 'x'}, 400), ({'X-Backend-Storage-Policy-Index': '9'}, 503),
    ({'X-Backend-Storage-Policy-Index': 'x'}, 503),
])
def test_a_put_that_is_wrong_leaves_nothing(server, headers, status):
    assert server.ask('PUT', body=b'hello', headers=headers).status == status
    assert tree(server.disk) == []
    assert server.ask('PUT', 'n' * 1025, b'hello').status == 400
    assert tree(server.disk) == []


def test_objects_have_a_greatest_size(make, tmp_path):
    server = make()
    with open(tmp_path / 'etc' / 'swift.conf', 'a') as conf:
        conf.write('[swift-constraints]\nmax_file_size = 1000\n')
    small = make()
    assert server.ask('PUT', 'a', b'x' * 1001).status == 201
    assert small.ask('PUT', 'b', b'x' * 1000).status == 201
    assert small.ask('PUT', 'c', b'x' * 1001).status == 413
    assert small.ask('PUT', 'c', iter([b'x' * 600] * 2)).status == 413
    assert len(tree(server.disk)) == 2


@pytest.mark.parametrize('framing', ['Content-Length: 1000', 'Transfer-Encoding: chunked'])
def test_a_client_that_goes_away_leaves_nothing(server, framing):
    client = socket.create_connection(('127.0.0.1', server.port))
    client.sendall(f'PUT /{DEVICE}/0/a/c/o HTTP/1.1\r\nHost: x\r\nX-Timestamp: {later().internal}\r\n'
                   f'Content-Type: a/b\r\n{framing}\r\n\r\n10\r\n0123456789'.encode())
    client.close()
    wait.until(lambda: server.server.connections == 0)
    assert tree(server.disk) == []
    assert server.ask('GET').status == 404


def test_a_body_without_a_length_is_refused(server):
    client = socket.create_connection(('127.0.0.1', server.port))
    client.sendall(f'PUT /{DEVICE}/0/a/c/o HTTP/1.1\r\nHost: x\r\nX-Timestamp: {later().internal}\r\n'
                   'Content-Type: a/b\r\nConnection: close\r\n\r\n'.encode())
    answer = client.makefile('rb').read()
    client.close()
    assert answer.startswith(b'HTTP/1.1 411')


@pytest.mark.parametrize('path, status', [
    ('/', 400), (f'/{DEVICE}', 400), (f'/{DEVICE}/0/a/c', 400), (f'/{DEVICE}/0/a//o', 400), (f'/{DEVICE}/0//c/o', 400),
    (f'/{DEVICE}/0/a/c/', 400), (f'/{DEVICE}/x/a/c/o', 400), (f'/{DEVICE}/-1/a/c/o', 400),
    (f'/{DEVICE}/../a/c/o', 400), (f'/{DEVICE}/99999999999/a/c/o', 400), ('/../0/a/c/o', 400), ('/./0/a/c/o', 400),
    (f'/{DEVICE}%2f..%2f{DEVICE}/0/a/c/o', 400), ('/nosuch/0/a/c/o', 507), ('/..%2fx/0/a/c/o', 400),
    (f'/{DEVICE}/0/a/%ff/o', 412), (f'/{DEVICE}/0/a/c/o%00x', 400), ('/%c3%a9/0/a/c/o', 507),
    (f'/{DEVICE}/%D9%A1/a/c/o', 400), (f'/{DEVICE}/0/a/c/%00o', 400), (f'/{DEVICE}/0/a/%00c/o', 400),
])
def test_paths_that_are_none_reach_no_disk(server, path, status):
    for method in ('GET', 'HEAD', 'PUT', 'POST', 'DELETE'):
        assert server.ask(method, path=path, body=b'x' if method == 'PUT' else None).status == status
    assert tree(server.root / 'node') == []
    assert os.listdir(server.root / 'node') == [DEVICE]


def test_names_may_hold_anything_else(server):
    for name in ('a/b/../c', '.', '..', '/x', 'x/', 'a b%20c', 'é' * 100, 'x\ny', '\U0001f600'):
        assert server.ask('PUT', name, name.encode()).status == 201
        got = server.ask('GET', name)
        assert (got.status, got.body) == (200, name.encode())
        assert server.file(name).open().name == f'/a/c/{name}'


def test_an_expired_object_is_gone_but_for_those_who_insist(server):
    server.ask('PUT', body=b'x', headers={'X-Timestamp': '1700000000', 'X-Delete-At': '1700000100'})
    for method in ('GET', 'HEAD', 'POST'):
        answer = server.ask(method)
        assert answer.status == 404
    assert server.ask('GET', headers={'X-Backend-Open-Expired': 'true'}).body == b'x'
    assert server.ask('GET', headers={'X-Backend-Replication': 'true'}).status == 200
    assert server.ask('POST', headers={'X-Backend-Open-Expired': 'true', 'X-Delete-At': '1700000100',
                                       'X-Backend-Replication': 'true', 'X-Object-Meta-A': '1'}).status == 202
    assert server.ask('GET', headers={'X-Backend-Open-Expired': 'true'}).headers['X-Object-Meta-A'] == '1'
    assert server.ask('DELETE', headers={'X-If-Delete-At': '1700000100'}).status == 204
    assert server.ask('GET', headers={'X-Backend-Open-Expired': 'true'}).status == 404


def test_the_expirer_removes_only_what_it_was_told_about(server):
    assert server.ask('DELETE', headers={'X-If-Delete-At': '9999999998'}).status == 404
    assert tree(server.disk) == []      # nothing was there, so nothing is remembered
    server.ask('PUT', body=b'x', headers={'X-Delete-At': '9999999999'})
    assert server.ask('DELETE', headers={'X-If-Delete-At': '9999999998'}).status == 412
    assert server.ask('DELETE', headers={'X-If-Delete-At': 'x'}).status == 400
    assert server.ask('DELETE', headers={'X-If-Delete-At': '9999999999', 'X-Timestamp': '1700000000'}).status == 409
    assert server.ask('GET').status == 200
    assert server.ask('DELETE', headers={'X-If-Delete-At': '9999999999'}).status == 204


@pytest.mark.parametrize('size', [10, 1 << 20])
def test_a_corrupt_object_is_quarantined_when_it_is_read(server, size):
    server.ask('PUT', body=b'x' * size)
    file = server.file()
    path = f'{file.path}/{names(file)[0]}'
    with open(path, 'r+b') as data:
        data.write(b'y')
    assert server.ask('HEAD').status == 200
    assert server.ask('GET', headers={'Range': 'bytes=5-'}).status in (206, 404)
    got = server.ask('GET')
    # a short one is read before it is sent
    assert got.status == (404 if size < 100000 else 200)
    wait.until(lambda: not os.path.exists(file.path))
    assert os.listdir(server.disk / 'quarantined' / 'objects') == [file.hash]
    assert server.ask('GET').status == 404
    assert server.ask('PUT', body=b'again').status == 201


def test_an_object_of_another_length_is_quarantined_by_head_too(server):
    server.ask('PUT', body=b'x' * 10)
    file = server.file()
    os.truncate(f'{file.path}/{names(file)[0]}', 9)
    assert server.ask('HEAD').status == 404
    assert os.listdir(server.disk / 'quarantined' / 'objects') == [file.hash]


def test_containers_are_told_of_every_change(server, containers):
    others = Containers()
    when = later()
    both = containers.headers(containers.host, others.host)
    server.ask('PUT', 'ö', b'hello', {**both, 'X-Timestamp': when.internal, 'X-Trans-Id': 'tx1',
                                      'X-Backend-Storage-Policy-Index': '1'})
    for number, each in enumerate((containers, others)):
        (method, path, headers), = each.told
        assert (method, path) == ('PUT', f'/sd{number}/7/a/c/\xc3\xb6')
        told = {name: headers[name] for name in headers if name.startswith('X-') or name in ('Referer', 'User-Agent')}
        assert told == {
            'X-Size': '5', 'X-Content-Type': 'text/plain', 'X-Timestamp': when.internal, 'X-Etag': md5(b'hello'),
            'X-Trans-Id': 'tx1', 'X-Backend-Storage-Policy-Index': '1', 'X-Backend-File-System': '?',
            'Referer': f'PUT http://127.0.0.1:{server.port}/{DEVICE}/0/a/c/{urllib.parse.quote("ö")}',
            'User-Agent': f'object-server {os.getpid()}'}
    others.server.stop(0)
    containers.told.clear()
    posted = later()
    server.ask('POST', 'ö', headers={**containers.headers(), 'X-Timestamp': posted.internal, 'Content-Type': 'x/y'},
               policy=1)
    (method, path, headers), = containers.told
    assert method == 'PUT'
    assert {name: headers[name] for name in ('X-Size', 'X-Content-Type', 'X-Timestamp', 'X-Etag',
                                             'X-Content-Type-Timestamp', 'X-Meta-Timestamp')} == {
        'X-Size': '5', 'X-Content-Type': 'x/y', 'X-Timestamp': when.internal, 'X-Etag': md5(b'hello'),
        'X-Content-Type-Timestamp': posted.internal, 'X-Meta-Timestamp': posted.internal}
    containers.told.clear()
    gone = later()
    server.ask('DELETE', 'ö', headers={**containers.headers(), 'X-Timestamp': gone.internal}, policy=1)
    (method, path, headers), = containers.told
    assert (method, headers['X-Timestamp']) == ('DELETE', gone.internal)
    assert pending(server, '-1') == []


@pytest.mark.parametrize('status', ['500 Internal Server Error', '404 Not Found', '507 Insufficient Storage'])
def test_what_a_container_did_not_take_is_kept_for_the_updater(server, status):
    containers = Containers(status)
    when = later()
    put = server.ask('PUT', 'ö', b'hello', {**containers.headers(), 'X-Timestamp': when.internal,
                                            'X-Container-Root-Db-State': 'unsharded'})
    containers.server.stop(0)
    assert put.status == 201
    update, = pending(server)
    assert {name: update[name] for name in ('op', 'account', 'container', 'obj', 'db_state')} == {
        'op': 'PUT', 'account': 'a', 'container': 'c', 'obj': 'ö', 'db_state': 'unsharded'}
    assert update['headers']['X-Size'] == '5'
    digest = server.store.hashing.hexdigest('a', 'c', 'ö')
    assert (server.disk / 'async_pending' / digest[-3:] / f'{digest}-{when.internal}').exists()


def test_a_container_server_that_is_down_or_silent_does_not_hold_up_the_client(make):
    server = make(node_timeout='0.3', container_update_timeout='0.05')
    with socket.create_server(('127.0.0.1', 0)) as silent:
        host = f'127.0.0.1:{silent.getsockname()[1]}'
        headers = {'X-Container-Partition': '7', 'X-Container-Host': f'127.0.0.1:1,{host}', 'X-Container-Device': 'a,b'}
        assert server.ask('PUT', body=b'x', headers=headers).status == 201
        assert server.ask('DELETE', headers=headers).status == 204
        # both replicas of an update have one file, for the updater tells all of them
        wait.until(lambda: sorted(each['op'] for each in pending(server)) == ['DELETE', 'PUT'])


def test_filters_have_the_say_on_what_is_listed(server, containers):
    server.ask('PUT', body=b'x', headers={
        **containers.headers(), 'X-Backend-Container-Update-Override-Etag': 'one',
        'X-Backend-Container-Update-Override-Size': '100', 'X-Object-Sysmeta-Container-Update-Override-Etag': 'two'})
    headers = containers.told[0][2]
    assert (headers['X-Etag'], headers['X-Size']) == ('two', '100')
    containers.told.clear()
    server.ask('POST', headers=containers.headers())
    assert containers.told[0][2]['X-Etag'] == 'two'
    server.ask('PUT', 'm', b'x', {**containers.headers(), 'Content-Type': 'a/b;swift_bytes=55'})
    containers.told.clear()
    server.ask('POST', 'm', headers={**containers.headers(), 'Content-Type': 'c/d'})
    assert containers.told[0][2]['X-Content-Type'] == 'c/d;swift_bytes=55'


def test_updates_may_go_to_another_container(server, containers):
    server.ask('PUT', 'ö', b'x', {**containers.headers(), 'X-Backend-Quoted-Container-Path': '.shards_a/c%C3%B6'})
    assert containers.told[0][1] == '/sd0/7/.shards_a/c\xc3\xb6/\xc3\xb6'


def test_expiring_objects_are_queued_and_taken_out_again(server, containers):
    queue = {'X-Delete-At-Host': containers.host, 'X-Delete-At-Partition': '9', 'X-Delete-At-Device': 'sdq',
             'X-Delete-At-Container': '9999936000'}
    when = later()
    server.ask('PUT', 'ö', b'hello', {**queue, 'X-Delete-At': '9999999999', 'X-Timestamp': when.internal})
    (method, path, headers), = containers.told
    assert (method, path) == ('PUT', '/sdq/9/.expiring_objects/9999936000/9999999999-a/c/\xc3\xb6')
    assert {name: headers[name] for name in ('X-Size', 'X-Content-Type', 'X-Etag', 'X-Timestamp',
                                             'X-Backend-Storage-Policy-Index')} == {
        'X-Size': '0', 'X-Content-Type': 'text/plain;swift_expirer_bytes=5', 'X-Etag': md5(b''),
        'X-Timestamp': when.internal, 'X-Backend-Storage-Policy-Index': '0'}
    assert pending(server) == []
    containers.told.clear()
    server.ask('POST', 'ö', headers={'X-Object-Meta-A': '1'})
    assert containers.told == []
    update, = pending(server)       # nobody waits for a removal
    assert (update['op'], update['account'], update['obj']) == ('DELETE', '.expiring_objects', '9999999999-a/c/ö')
    shift = int(server.store.hashing.hexdigest('a', 'c', 'ö'), 16) % 100
    assert update['container'] == f'{9999999999 // 86400 * 86400 - shift:010d}'


def test_nothing_is_taken_out_of_the_queue_for_the_expirer_itself(server):
    server.ask('PUT', body=b'x', headers={'X-Delete-At': '9999999999'})
    assert [each['op'] for each in pending(server)] == ['PUT']      # there was no server to tell
    server.ask('DELETE', headers={'X-If-Delete-At': '9999999999', 'X-Backend-Clean-Expiring-Object-Queue': 'no'})
    assert [each['op'] for each in pending(server)] == ['PUT']
    server.ask('PUT', 'r', b'x', {'X-Delete-At': '9999999999', 'X-Backend-Replication': 'true'})
    assert len(pending(server)) == 1


def documents(data, footers, boundary='mark', digest=None):
    text = json.dumps(footers).encode() if isinstance(footers, dict) else footers
    digest = hashlib.md5(text).hexdigest() if digest is None else digest
    return (f'--{boundary}\r\nX-Document: object body\r\n\r\n'.encode() + data +
            f'\r\n--{boundary}\r\nX-Document: object metadata\r\nContent-MD5: {digest}\r\n\r\n'.encode() + text +
            f'\r\n--{boundary}--'.encode())


FOOTERS = {'X-Backend-Obj-Metadata-Footer': 'yes', 'X-Backend-Obj-Multipart-Mime-Boundary': 'mark'}


@pytest.mark.parametrize('size', [0, 1, 70000, 3 << 20])
@pytest.mark.parametrize('piece', [1000, 65536, 1 << 20])
def test_metadata_may_follow_the_data(make, size, piece):
    server = make(network_chunk_size=str(piece))
    data = (b'\r\n--mar\r' + os.urandom(1000)) * (size // 1008) + b'\r' * (size % 1008)
    body = documents(data, {'X-Object-Sysmeta-Ä': 'ö', 'X-Object-Sysmeta-B': 'ö', 'X-Object-Meta-A': '1',
                            'Etag': md5(data), 'X-Other': 'no',
                            'X-Object-Sysmeta-Container-Update-Override-Etag': 'x'})
    put = server.ask('PUT', body=iter([body]), headers={**FOOTERS, 'X-Backend-Obj-Content-Length': str(len(data))})
    assert (put.status, put.headers['Etag']) == (201, f'"{md5(data)}"')
    got = server.ask('GET')
    assert (got.body, got.headers['X-Object-Sysmeta-B']) == (data, '\xc3\xb6')
    metadata = server.file().read_metadata()
    # what is no name of a header is kept, and not shown
    assert metadata['X-Object-Sysmeta-\xc3\x84'] == '\xc3\xb6'
    assert (metadata['X-Object-Meta-A'], metadata['ETag'], metadata.get('X-Other')) == ('1', md5(data), None)


@pytest.mark.parametrize('body, status', [
    (documents(b'data', {'Etag': 'other'}), 422), (documents(b'data', {}, digest='x'), 422),
    (documents(b'data', b'no json'), 400), (documents(b'data', b'[1]'), 400), (documents(b'data', {}, 'other'), 400),
    (documents(b'data', {}).replace(b'object body', b'object tail'), 400), (b'', 499), (b'--mark', 499),
    (documents(b'data', {})[:60], 499), (documents(b'data', {}).replace(b'object metadata', b'put commit'), 400),
    (b'--mark\r\nX-Document: object body\r\n\r\ndata\r\n--mark--', 400), (b'x' * 100000, 400),
    (b'--mark\r\nX-Document: object body\r\n' + b'X: y\r\n' * 10000, 400), (b'--mark\r\nnonsense\r\n\r\n', 400),
])
def test_documents_that_are_wrong_leave_nothing(server, body, status):
    assert server.ask('PUT', body=body, headers=FOOTERS).status == status
    assert tree(server.disk) == []
    assert server.ask('PUT', body=body, headers={'X-Backend-Obj-Metadata-Footer': 'yes'}).status == 400


def test_a_proxy_is_told_that_metadata_may_follow(server):
    body = documents(b'data', {'X-Object-Meta-A': '1'})
    client = socket.create_connection(('127.0.0.1', server.port))
    client.sendall(f'PUT /{DEVICE}/0/a/c/o HTTP/1.1\r\nHost: x\r\nX-Timestamp: {later().internal}\r\n'
                   f'Content-Type: a/b\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n'
                   'X-Backend-Obj-Metadata-Footer: yes\r\n'
                   'X-Backend-Obj-Multipart-Mime-Boundary: mark\r\n\r\n'.encode())
    stream = client.makefile('rb')
    said = [stream.readline() for _ in range(3)]
    assert said == [b'HTTP/1.1 100 Continue\r\n', b'X-Obj-Metadata-Footer: yes\r\n', b'\r\n']
    client.sendall(body)
    assert stream.readline().startswith(b'HTTP/1.1 201')
    stream.close()
    client.close()


def test_hashes_of_a_partition_are_told_in_a_pickle(server):
    assert server.ask('REPLICATE', path=f'/{DEVICE}/0').body == pickle.dumps({}, 2)
    server.ask('PUT', body=b'x')
    suffix = server.file().hash[-3:]
    found = pickles.loads(server.ask('REPLICATE', path=f'/{DEVICE}/0').body)
    assert set(found) == {suffix}
    server.ask('POST', headers={'X-Object-Meta-A': '1'})
    changed = pickles.loads(server.ask('REPLICATE', path=f'/{DEVICE}/0/{suffix}-fff').body)
    assert set(changed) == {suffix}
    assert changed != found
    assert pickles.loads(server.ask('REPLICATE', path=f'/{DEVICE}/0', policy=1).body) == {}
    for path, status in [('/nosuch/0', 507), (f'/{DEVICE}/x', 400), (f'/{DEVICE}', 400), (f'/{DEVICE}/0/..', 400),
                         (f'/{DEVICE}/0/abc-xyz', 400), (f'/{DEVICE}/0/abc/d', 400)]:
        assert server.ask('REPLICATE', path=path).status == status


def test_a_server_says_what_it_does(server, make):
    answer = server.ask('OPTIONS', path='/')
    assert {'DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'REPLICATE'} <= set(answer.headers['Allow'].split(', '))
    assert answer.headers['Server'].startswith('object-server/')
    assert server.ask('PATCH').status == 405
    only = make(replication_server='true')
    assert only.ask('GET').status == 405
    assert only.ask('REPLICATE', path=f'/{DEVICE}/0').status == 200
    other = make(replication_server='false')
    assert other.ask('REPLICATE', path=f'/{DEVICE}/0').status == 405
    assert other.ask('PUT', body=b'x').status == 201


def test_a_full_disk_is_said_to_be_full(make):
    server = make(fallocate_reserve='100%')
    answer = server.ask('PUT', body=b'x')
    assert (answer.status, b'Drive: sda' in answer.body) == (507, True)
    assert tree(server.disk) == []


def test_too_much_metadata_for_the_file_system_is_refused_before_the_body_is_read(server, tmp_path):
    if server.store.capacity(DEVICE) is None:
        pytest.skip('this file system holds any amount')
    much = {f'X-Object-Sysmeta-{number}': 'x' * 250 for number in range(16)}
    client = socket.create_connection(('127.0.0.1', server.port))
    client.sendall(f'PUT /{DEVICE}/0/a/c/o HTTP/1.1\r\nHost: x\r\nX-Timestamp: {later().internal}\r\n'
                   f'Content-Type: a/b\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n'.encode() +
                   ''.join(f'{name}: {value}\r\n' for name, value in much.items()).encode() + b'\r\n')
    stream = client.makefile('rb')
    assert stream.readline().startswith(b'HTTP/1.1 400')
    assert b'the file system' in stream.read()
    stream.close()
    client.close()
    server.ask('PUT', body=b'x')
    assert server.ask('POST', headers={
        f'X-Object-Transient-Sysmeta-{number}': 'x' * 250 for number in range(16)}).status == 400
    assert server.ask('GET').body == b'x'


def test_headers_that_replication_names_are_kept(server):
    server.ask('PUT', body=b'x', headers={'X-Backend-Replication': 'true', 'X-Foo': 'bar', 'X-Timestamp': '1700000000',
                                          'X-Backend-Replication-Headers': 'x-foo x-timestamp content-length',
                                          'X-Delete-At': '1700000001'})
    metadata = server.file().read_metadata(expired=True)
    assert (metadata['X-Foo'], metadata['X-Timestamp'], metadata['X-Delete-At']) == (
        'bar', '1700000000.00000', '1700000001')


def test_many_clients_at_once_are_all_served(server):
    from strata import green

    def client(number):
        data = os.urandom(1000)
        for turn in range(5):
            assert server.ask('PUT', f'{number}', data).status == 201
            assert server.ask('POST', f'{number}', headers={'X-Object-Meta-Turn': str(turn)}).status == 202
            got = server.ask('GET', f'{number}')
            assert (got.body, got.headers['X-Object-Meta-Turn']) == (data, str(turn))
        return server.ask('DELETE', f'{number}').status
    assert green.Pool(16).map(client, range(16)) == [204] * 16
    assert all(name.endswith('.ts') for name in tree(server.disk))
    assert len(tree(server.disk)) == 16


def test_attributes_of_objects_are_as_published(server):
    server.ask('PUT', body=b'x')
    file = server.file()
    path = f'{file.path}/{names(file)[0]}'
    assert set(os.listxattr(path)) == {metadatas.KEY, metadatas.CHECKSUM}
    data = os.getxattr(path, metadatas.KEY)
    assert pickle.loads(data, encoding='bytes')[b'name'] == b'/a/c/o'
    assert os.getxattr(path, metadatas.CHECKSUM) == md5(data).encode()

"""Advisories about Swift that concern objects on disk and their server, and what else could be done to them.

OSSA-2013-022 tombstones beyond need; OSSA-2014-034 limits on metadata.  Pickles
are beside every object and every partition, so each place is tried.
"""

import os
import pickle
import socket

import pytest

from swift.obj import metadata as metadatas
from tests.functional.test_swift_object_daemons import update, write_ring
from tests.functional.test_swift_object_server import Containers
from tests.swift_objects import DEVICE, ObjectHttp, later, names, tree


class Bomb:
    """Makes a file when somebody unpickles it carelessly."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, 'w')


@pytest.fixture
def server(tmp_path):
    server = ObjectHttp(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def bomb(tmp_path):
    path = tmp_path / 'exploded'
    yield Bomb(path)
    assert not path.exists()


def test_ossa_2013_022_deletes_make_no_tombstones_beside_those_needed(server):
    server.ask('PUT', body=b'x')
    for number in range(20):
        assert server.ask('DELETE', headers={'X-Timestamp': f'{1700000000 + number}'}).status == 409
    assert [name.rpartition('.')[2] for name in names(server.file())] == ['data']
    newest = later()
    assert server.ask('DELETE', headers={'X-Timestamp': newest.internal}).status == 204
    for number in range(20):
        server.ask('DELETE', headers={'X-Timestamp': f'{1700000000 + number}'})
    assert names(server.file()) == [f'{newest.internal}.ts']
    for _ in range(20):
        server.ask('DELETE', headers={'X-Timestamp': later().internal})
    assert len(names(server.file())) == 1


@pytest.mark.parametrize('headers', [
    {f'X-Object-Meta-{number}': 'x' for number in range(91)},
    {'X-Object-Meta-A': 'x' * 257},
    {'X-Object-Meta-' + 'a' * 129: 'x'},
    {f'X-Object-Meta-{number}': 'x' * 250 for number in range(17)},
])
def test_ossa_2014_034_limits_on_metadata_hold_on_the_object_server_too(server, headers):
    assert server.ask('PUT', body=b'x', headers=headers).status == 400
    assert tree(server.disk) == []
    server.ask('PUT', body=b'x')
    assert server.ask('POST', headers=headers).status == 400
    assert len(names(server.file())) == 1


@pytest.mark.parametrize('protocol', [0, 2, 4])
def test_metadata_that_would_run_something_is_quarantined_unread(server, bomb, protocol):
    for kind in ('data', 'meta', 'ts'):
        server.ask('PUT', kind, b'x')
        if kind == 'meta':
            server.ask('POST', kind)
        if kind == 'ts':
            server.ask('DELETE', kind)
        file = server.file(kind)
        name = next(name for name in names(file) if name.endswith(kind))
        os.setxattr(f'{file.path}/{name}', metadatas.KEY, pickle.dumps({b'name': bomb}, protocol))
        os.removexattr(f'{file.path}/{name}', metadatas.CHECKSUM)
        for method in ('HEAD', 'GET', 'POST', 'DELETE'):
            assert server.ask(method, kind).status == 404
        assert file.hash in os.listdir(server.disk / 'quarantined' / 'objects')


def test_hashes_that_would_run_something_are_computed_anew(server, bomb):
    server.ask('PUT', body=b'x')
    path = f'/{DEVICE}/0'
    right = server.ask('REPLICATE', path=path).body
    (server.disk / 'objects' / '0' / 'hashes.pkl').write_bytes(pickle.dumps({'valid': bomb, 'abc': bomb}))
    assert server.ask('REPLICATE', path=path).body == right


def test_updates_that_would_run_something_are_quarantined(server, bomb, tmp_path):
    containers = Containers()
    write_ring(tmp_path, [containers] * 3)
    server.ask('PUT', body=b'x', headers={'X-Container-Host': '127.0.0.1:1', 'X-Container-Device': 'a',
                                          'X-Container-Partition': '0'})
    path, = (path for path in (server.disk / 'async_pending').rglob('*') if path.is_file())
    path.write_bytes(pickle.dumps({'op': bomb}))
    assert update(tmp_path) == {'quarantines': 1}
    assert containers.told == []
    containers.server.stop(0)


def test_headers_of_a_client_do_not_become_an_objects_own(server):
    server.ask('PUT', body=b'x', headers={
        'name': '/a/c/other', 'X-Object-Meta-Ok': '1', 'X-Backend-Anything': 'x', 'Content-MD5': 'x',
        'X-Backend-Replication-Headers': 'etag content-length name x-timestamp', 'X-Container-Meta-A': 'x'})
    metadata = server.file().read_metadata()
    assert set(metadata) == {'X-Timestamp', 'Content-Type', 'Content-Length', 'ETag', 'X-Object-Meta-Ok', 'name'}
    assert metadata['name'] == '/a/c/o'


@pytest.mark.parametrize('value', [
    'bytes=' + ','.join(['0-'] * 5000), 'bytes=' + '9' * 8000 + '-', 'bytes=-' + '9' * 8000,
    'bytes=' + ','.join(f'{number}-{number}' for number in range(500, 0, -1))])
def test_absurd_ranges_cost_nothing(server, value):
    server.ask('PUT', body=b'x' * 100000)
    answer = server.ask('GET', headers={'Range': value})
    assert answer.status in (200, 416, 400)
    assert len(answer.body) <= 100000


def test_a_body_that_claims_to_be_huge_takes_no_space(server):
    before = os.statvfs(server.disk).f_bavail
    client = socket.create_connection(('127.0.0.1', server.port))
    client.sendall(f'PUT /{DEVICE}/0/a/c/o HTTP/1.1\r\nHost: x\r\nX-Timestamp: {later().internal}\r\n'
                   f'Content-Type: a/b\r\nContent-Length: {1 << 62}\r\n\r\n'.encode())
    assert b' 413 ' in client.makefile('rb').readline()
    client.close()
    assert tree(server.disk) == []
    assert before - os.statvfs(server.disk).f_bavail < 1 << 18


def test_what_is_put_in_the_place_of_a_device_is_not_followed(server, tmp_path):
    (tmp_path / 'outside').mkdir()
    (server.root / 'node' / 'file').write_text('x')
    assert server.ask('GET', path='/file/0/a/c/o').status == 507
    for name in ('sd%2e%2e', '%2e%2e', '%2e', '..%5c', 'sda%00'):
        assert server.ask('PUT', path=f'/{name}/0/a/c/o', body=b'x').status in (400, 412, 507)
    assert list((tmp_path / 'outside').iterdir()) == []

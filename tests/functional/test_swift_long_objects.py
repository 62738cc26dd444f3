"""Objects that are so long that a native thread takes most of an upload, and checks what was sent."""

import contextlib
import os
import socket

import pytest

from strata import green
from strata.testing import wait
from strata.wsgi import burst
from swift.obj import upload as uploads
from swift.obj.reader import CHECKS
from swift.storage import files
from tests.swift_objects import DEVICE, ObjectHttp, later, md5, names, tree

LONG = uploads.STRETCH + (3 << 20) + 5


@pytest.fixture
def server(tmp_path):
    server = ObjectHttp(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def kept(tmp_path):
    """A server that keeps what it writes in the kernel's cache."""
    server = ObjectHttp(tmp_path, keep_cache_size=str(1 << 30), disable_fallocate='true', mb_per_sync='1')
    yield server
    server.stop()


def begin(server, size, *headers):
    """A client that has said how much it will send."""
    client = socket.create_connection(('127.0.0.1', server.port))
    client.sendall('\r\n'.join([
        f'PUT /{DEVICE}/0/a/c/o HTTP/1.1', 'Host: x', f'X-Timestamp: {later().internal}', 'Content-Type: a/b',
        f'Content-Length: {size}', *headers, '', '']).encode())
    return client


def open_files():
    """Descriptors of sockets and objects; those of the pool of threads come with its first use."""
    green.native(len, '')
    found = []
    for name in os.listdir('/proc/self/fd'):
        with contextlib.suppress(FileNotFoundError):      # the listing's own
            found.append(os.readlink(f'/proc/self/fd/{name}'))
    return sum(each.startswith('socket:') or '/node/' in each for each in found)


def idle():
    return burst.places.balance == burst.THREADS


@pytest.mark.parametrize('which', ['server', 'kept'])
@pytest.mark.parametrize('size', [LONG, LONG + files.BLOCK - 5, 4 * uploads.STRETCH])
def test_a_long_object_is_kept_as_it_was_sent(request, which, size):
    server = request.getfixturevalue(which)
    data = os.urandom(size)
    before = open_files()
    assert server.ask('PUT', body=data, headers={'Etag': md5(data)}).status == 201
    got = server.ask('GET')
    assert (got.status, md5(got.body), got.headers['Etag']) == (200, md5(data), f'"{md5(data)}"')
    assert server.ask('PUT', body=data, headers={'Etag': md5(data[1:])}).status == 422
    wait.until(lambda: server.server.connections == 0)
    assert len(names(server.file())) == 1
    wait.until(lambda: open_files() <= before)


def test_a_client_may_pause_anywhere(server):
    data = os.urandom(4 * uploads.STRETCH + 1)
    with begin(server, len(data)) as client:
        # at odd places, so that what the thread goes on with does not begin at a block
        marks = [0, 1, uploads.STRETCH + 70001, 2 * uploads.STRETCH + 13, 3 * uploads.STRETCH + 6001, len(data)]
        for start, stop in zip(marks, marks[1:]):
            client.sendall(data[start:stop])
            wait.until(idle)
        assert client.recv(65536).startswith(b'HTTP/1.1 201')
    assert server.ask('GET').body == data


@pytest.mark.parametrize('sent', [uploads.STRETCH - 1, uploads.STRETCH + 1, LONG - 1])
def test_a_client_that_goes_away_leaves_nothing(server, sent):
    before = open_files()
    with begin(server, LONG) as client:
        client.sendall(bytes(sent))
    wait.until(lambda: server.server.connections == 0)
    assert tree(server.disk) == []
    assert server.ask('GET').status == 404
    wait.until(lambda: idle() and open_files() <= before)


def test_a_server_that_stops_waits_for_nobody(server):
    with begin(server, LONG) as client:
        client.sendall(bytes(LONG - 1))
        wait.until(lambda: not idle())
        server.server.stop(0)
        wait.until(idle)
    assert tree(server.disk) == []


def test_uploads_go_on_without_a_thread_when_all_are_taken(server):
    for _ in range(burst.THREADS):
        assert burst.places.acquire(blocking=False)
    try:
        data = os.urandom(LONG)
        assert server.ask('PUT', body=data).status == 201
        assert server.ask('GET').body == data
    finally:
        for _ in range(burst.THREADS):
            burst.places.release()


def test_many_long_uploads_at_once_are_all_kept(server):
    def one(number):
        data = bytes([number]) * (LONG + number)
        assert server.ask('PUT', f'{number}', data).status == 201
        assert md5(server.ask('GET', f'{number}').body) == md5(data)
    green.Pool(12).map(one, range(12))
    assert idle()


def test_a_corrupt_object_is_found_though_others_are_being_sent_all_the_time(server):
    server.ask('PUT', 'endless', bytes(24 << 20))
    for number in range(CHECKS + 2):
        server.ask('PUT', f'{number}', bytes(1 << 20))
    with open(f'{server.file("0").path}/{names(server.file("0"))[0]}', 'r+b') as file:
        file.write(b'x')
    with socket.create_connection(('127.0.0.1', server.port)) as slow:
        slow.sendall(f'GET /{DEVICE}/0/a/c/endless HTTP/1.1\r\nHost: x\r\n\r\n'.encode())
        assert slow.recv(1000).startswith(b'HTTP/1.1 200')
        # more than may wait to be checked
        for number in range(CHECKS + 2):
            assert server.ask('GET', f'{number}').status == 200
        wait.until(lambda: server.ask('HEAD', '0').status == 404)
    assert server.ask('GET', '1').status == 200

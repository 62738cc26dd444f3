"""A disk that is really full: uploads are refused with 507 and leave nothing, and all else goes on."""

import contextlib
import http.client
import os
import shutil
import subprocess

import pytest

from tests.swift_objects import DEVICE, ObjectHttp, later, names, settings, tree

pytestmark = pytest.mark.root


@pytest.fixture
def small(tmp_path):
    """An object server whose disk holds 12 MB."""
    if os.geteuid() != 0 or shutil.which('mkfs.ext4') is None:
        pytest.skip('needs root and mkfs.ext4')
    settings(tmp_path)
    image, disk = str(tmp_path / 'image'), str(tmp_path / 'node' / DEVICE)
    with open(image, 'wb') as file:
        file.truncate(16 << 20)
    subprocess.run(['mkfs.ext4', '-q', '-F', '-m', '0', image], check=True)
    done = subprocess.run(['mount', '-o', 'loop', image, disk], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f'cannot mount here: {done.stderr.strip()}')
    server = ObjectHttp(tmp_path, fallocate_reserve='0', mount_check='true')
    yield server
    server.stop()
    subprocess.run(['umount', '-l', disk], check=True)


def test_a_full_disk_refuses_what_it_cannot_hold(small):
    before = []
    for number in range(40):
        answer = small.ask('PUT', f'{number}', b'x' * (1 << 20))
        if answer.status != 201:
            break
        before.append(number)
    assert answer.status == 507
    assert 3 < len(before) < 16
    there = len(tree(small.disk))
    # with a length, without one, and larger than the disk
    assert small.ask('PUT', 'a', b'x' * (1 << 20)).status == 507
    assert small.ask('PUT', 'b', iter([b'x' * 100000] * 20)).status == 507
    assert small.ask('PUT', 'c', b'x', {'Content-Length': str(20 << 20)}).status == 507
    assert len(tree(small.disk)) == there
    for number in before:
        assert small.ask('GET', f'{number}').body == b'x' * (1 << 20)
    # what is deleted makes room, if there is room for a tombstone
    for number in before[:3]:
        assert small.ask('DELETE', f'{number}').status in (204, 507)
    assert small.ask('PUT', 'again', b'x' * 100000).status == 201


def test_a_disk_that_is_unmounted_is_not_written_to(small):
    small.ask('PUT', body=b'x')
    subprocess.run(['umount', '-l', str(small.disk)], check=True)
    for method in ('GET', 'HEAD', 'PUT', 'POST', 'DELETE'):
        assert small.ask(method, body=b'y' if method == 'PUT' else None).status == 507
    assert os.listdir(small.disk) == []
    subprocess.run(['mount', '-o', 'loop', str(small.root / 'image'), str(small.disk)], check=True)
    assert small.ask('GET').body == b'x'
    assert len(names(small.file())) == 1


def test_a_disk_that_fills_up_while_a_thread_writes_refuses_the_upload(small):
    server = ObjectHttp(small.root, fallocate_reserve='0', mount_check='true', disable_fallocate='true')
    try:
        connection = http.client.HTTPConnection('127.0.0.1', server.port, timeout=10)
        connection.putrequest('PUT', f'/{DEVICE}/0/a/c/o')
        for name, value in {'X-Timestamp': later().internal, 'Content-Type': 'a/b', 'Content-Length': 20 << 20}.items():
            connection.putheader(name, str(value))
        filler = shutil.disk_usage(server.disk).free - (6 << 20)
        with open(server.disk / 'filler', 'wb') as file:
            os.posix_fallocate(file.fileno(), 0, filler)
        connection.endheaders()
        with contextlib.suppress(OSError):      # it is refused before all has been sent
            for _ in range(20):
                connection.send(bytes(1 << 20))
        assert connection.getresponse().status == 507
        connection.close()
        assert tree(server.disk) == ['filler']
        os.unlink(server.disk / 'filler')
        assert server.ask('PUT', body=bytes(6 << 20)).status == 201
    finally:
        server.stop()

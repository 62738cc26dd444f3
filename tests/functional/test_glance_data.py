"""Data of images: up, down, hashed, judged, and never left half."""

import hashlib
import os
import signal
import struct
import subprocess
import sys
import time

import pytest

from strata.clock import CLOCK
from strata.testing import wait
from strata.testing.clock import FrozenClock
from tests.functional.glance_cloud import Chunked, Cloud


@pytest.fixture
def cloud(tmp_path):
    return Cloud(tmp_path)


def qcow2(*, backing=b'', data_file=False, size=1 << 30, version=3):
    """The head of a qcow2, as large as inspectors look."""
    offset = 512 if backing else 0
    features = 0b100 if data_file else 0
    head = struct.pack('>4sIQIIQIIQQIIQ', b'QFI\xfb', version, offset, len(backing), 16, size, 0, 1, 196608,
                       65536,
                       1, 0, 0)
    head += struct.pack('>QQQII', features, 0, 0, 4, 112)
    return head.ljust(512, b'\0') + backing.ljust(1024, b'\0') + bytes(1 << 20)


def test_data_is_hashed_as_it_passes_and_comes_back_unchanged(cloud):
    data = os.urandom(2_500_000)
    image = cloud.active(data=data)
    assert image['status'] == 'active' and image['size'] == len(data)
    assert image['checksum'] == hashlib.md5(data).hexdigest()
    assert (image['os_hash_algo'], image['os_hash_value']) == ('sha512', hashlib.sha512(data).hexdigest())
    assert image['virtual_size'] == len(data)
    answer = cloud.get(f'/v2/images/{image["id"]}/file')
    assert (answer.status, answer.body) == (200, data)
    assert answer.headers['content-length'] == str(len(data))
    assert answer.headers['content-type'] == 'application/octet-stream'
    assert answer.headers['content-md5'] == image['checksum']


def test_data_may_come_in_chunks_of_unknown_number(cloud):
    id = cloud.create()['id']
    assert cloud.upload(id, Chunked([b'one ', b'two ', b'three'])).status == 204
    assert cloud.get(f'/v2/images/{id}/file').body == b'one two three'


def test_an_announced_size_that_is_wrong_is_refused(cloud):
    id = cloud.create()['id']
    assert cloud.upload(id, Chunked([b'four']), **{'X-OpenStack-Image-Size': '5'}).status == 400
    assert cloud.upload(id, b'four', **{'X-OpenStack-Image-Size': '5'}).status == 400
    assert cloud.upload(id, b'four', **{'X-OpenStack-Image-Size': 'x'}).status == 400
    assert cloud.show(id)['status'] == 'queued' and cloud.files() == []
    assert cloud.upload(id, Chunked([b'four']), **{'X-OpenStack-Image-Size': '4'}).status == 204


def test_data_is_octets(cloud):
    id = cloud.create()['id']
    answer = cloud.request(cloud.alice, 'PUT', f'/v2/images/{id}/file', b'x',
                           {'Content-Type': 'application/json'})
    assert answer.status == 415 and cloud.show(id)['status'] == 'queued'


def test_data_is_given_once(cloud):
    id = cloud.active()['id']
    assert cloud.upload(id, b'other').status == 409
    assert cloud.get(f'/v2/images/{id}/file').body == b'disk'


def test_an_image_without_formats_takes_no_data(cloud):
    answer = cloud.request(cloud.alice, 'POST', '/v2/images', {'name': 'bare'})
    refused = cloud.upload(answer.json['id'], b'x')
    assert refused.status == 400 and b'disk_format' in refused.body


def test_an_image_without_data_has_nothing_to_download(cloud):
    answer = cloud.get(f'/v2/images/{cloud.create()["id"]}/file')
    assert (answer.status, answer.body) == (204, b'')


def test_an_image_larger_than_the_cap_is_refused(tmp_path):
    cloud = Cloud(tmp_path, image_size_cap=10)
    id = cloud.create()['id']
    assert cloud.upload(id, b'x' * 11).status == 413
    assert cloud.upload(id, Chunked([b'x' * 6, b'y' * 5])).status == 413
    assert cloud.show(id)['status'] == 'queued' and cloud.files() == []
    assert cloud.upload(id, b'x' * 10).status == 204


@pytest.mark.parametrize('failure', [ConnectionResetError(), OSError('gone'), TimeoutError()])
def test_a_client_that_goes_away_leaves_the_image_queued_and_no_file(cloud, failure):
    id = cloud.create()['id']
    try:
        answer = cloud.upload(id, Chunked([b'x' * 1000, failure]))
        assert answer.status >= 400
    except OSError:
        pass
    assert cloud.show(id)['status'] == 'queued' and cloud.files() == []
    assert cloud.upload(id, b'disk').status == 204


@pytest.mark.parametrize('asked, status, body, said', [
    ('bytes=0-3', 206, b'0123', 'bytes 0-3/10'), ('bytes=8-', 206, b'89', 'bytes 8-9/10'),
    ('bytes=-3', 206, b'789', 'bytes 7-9/10'), ('bytes=5-99', 206, b'56789', 'bytes 5-9/10'),
    ('bytes=-99', 206, b'0123456789', 'bytes 0-9/10'), ('bytes=10-', 416, None, 'bytes */10'),
    ('bytes=5-2', 416, None, 'bytes */10'), ('bytes=0-1,4-5', 416, None, 'bytes */10'),
    ('bytes=-0', 416, None, 'bytes */10'), ('bytes=-', 416, None, 'bytes */10'),
    ('lines=1-2', 416, None, 'bytes */10'),
    ('bytes=x-y', 416, None, 'bytes */10')])
def test_a_range_is_given_alone(cloud, asked, status, body, said):
    id = cloud.active(data=b'0123456789')['id']
    answer = cloud.get(f'/v2/images/{id}/file', Range=asked)
    assert (answer.status, answer.headers['content-range']) == (status, said)
    if body is not None:
        assert answer.body == body and 'content-md5' not in answer.headers
        assert answer.headers['content-length'] == str(len(body))


def test_the_older_header_for_ranges_is_understood(cloud):
    id = cloud.active(data=b'0123456789')['id']
    answer = cloud.get(f'/v2/images/{id}/file', **{'Content-Range': 'bytes 2-4/10'})
    assert (answer.status, answer.body) == (206, b'234')
    assert cloud.get(f'/v2/images/{id}/file', **{'Content-Range': 'bytes 20-24/10'}).status == 416


@pytest.mark.parametrize('declared, data, refused', [
    ('raw', b'anything', False), ('raw', b'', False), ('qcow2', qcow2(), False),
    ('qcow2', qcow2(version=2), False),
    ('qcow2', b'no such thing', True), ('qcow2', b'', True), ('raw', qcow2(), True), ('vmdk', qcow2(), True),
    ('aki', b'a kernel', False), ('ami', qcow2(), True), ('iso', b'x' * 100000, True),
    ('vdi', b'x' * 1000, True),
    ('vhdx', b'x' * 1000, True), ('vhd', b'x' * 1000, True), ('qcow2', qcow2()[:80], True),
    ('qcow2', qcow2(backing=b'/etc/passwd'), True), ('qcow2', qcow2(backing=b'json:{"a": 1}'), True),
    ('qcow2', qcow2(data_file=True), True), ('raw', qcow2(backing=b'/etc/passwd'), True)])
def test_content_is_what_it_was_declared_to_be(cloud, declared, data, refused):
    container = declared if declared in ('aki', 'ami') else 'bare'
    id = cloud.create(disk_format=declared, container_format=container)['id']
    answer = cloud.upload(id, data)
    assert answer.status == (415 if refused else 204), answer.body
    image = cloud.show(id)
    assert image['status'] == ('queued' if refused else 'active')
    assert len(cloud.files()) == (0 if refused else 1)
    if refused:
        assert (image['size'], image['checksum']) == (None, None)
    elif declared == 'qcow2':
        assert image['virtual_size'] == 1 << 30


def test_unknown_bytes_may_be_let_through_but_never_a_disguise(tmp_path):
    cloud = Cloud(tmp_path, image_format__require_image_format_match=False)
    cloud.active(disk_format='vhd', data=os.urandom(1024))
    for declared, data in (('vhd', qcow2()), ('qcow2', qcow2(backing=b'/etc/passwd')), ('raw', qcow2())):
        assert cloud.upload(cloud.create(disk_format=declared)['id'], data).status == 415


def test_a_container_is_not_taken_for_a_disk(cloud):
    image = cloud.active(disk_format='qcow2', container_format='ova', data=b'a tar' * 1000)
    assert image['status'] == 'active' and image['virtual_size'] is None
    unsafe = cloud.create(disk_format='qcow2', container_format='ovf')['id']
    assert cloud.upload(unsafe, qcow2(backing=b'/etc/passwd')).status == 415


def test_an_image_deleted_during_its_upload_stays_deleted(cloud):
    id = cloud.create()['id']

    def pieces():
        yield b'x' * 100
        assert cloud.show(id)['status'] == 'saving'
        assert cloud.request(cloud.alice, 'DELETE', f'/v2/images/{id}').status == 204
        yield b'y' * 100
    assert cloud.upload(id, Chunked(pieces())).status == 410
    assert cloud.files() == [] and cloud.get(f'/v2/images/{id}').status == 404
    assert cloud.sweep() == 0


def test_two_uploads_at_once_make_one_image(cloud):
    id = cloud.create()['id']
    answers = []

    def pieces():
        yield b'first'
        answers.append(cloud.upload(id, b'second').status)
        yield b'!'
    answers.append(cloud.upload(id, Chunked(pieces())).status)
    assert answers == [409, 204]
    assert cloud.get(f'/v2/images/{id}/file').body == b'first!'


DYING = """
import os, pathlib, signal, sys
from strata import green
green.patch()
from tests.functional.glance_cloud import Chunked, Cloud
cloud = Cloud(pathlib.Path(sys.argv[1]))
def die():
    yield b'x' * 1000
    if sys.argv[3] == 'late':      # with the data on disk, before the registry hears of it
        from glance.registry.local import Local
        Local.finish = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
    else:
        os.kill(os.getpid(), signal.SIGKILL)
cloud.upload(sys.argv[2], Chunked(die()))
"""


@pytest.mark.parametrize('when', ['early', 'late'])
def test_an_upload_killed_outright_is_queued_again_and_its_file_swept(tmp_path, when):
    clock = FrozenClock(CLOCK.now())
    cloud = Cloud(tmp_path, clock=clock)
    id = cloud.create()['id']
    dead = subprocess.run([sys.executable, '-c', DYING, str(tmp_path), id, when], cwd=os.getcwd(), timeout=60)
    assert dead.returncode == -signal.SIGKILL
    assert cloud.show(id)['status'] == 'saving' and len(cloud.files()) == 1
    assert cloud.sweep() == 0 and cloud.upload(id, b'disk').status == 409
    clock.advance(cloud.conf.upload_lease + 60)
    assert cloud.sweep() == 1
    assert cloud.show(id)['status'] == 'queued' and cloud.files() == []
    assert cloud.upload(id, b'disk').status == 204
    assert cloud.sweep() == 0 and len(cloud.files()) == 1


def test_a_stalled_writer_that_wakes_after_its_successor_changes_nothing(tmp_path):
    clock = FrozenClock(CLOCK.now())
    cloud = Cloud(tmp_path, clock=clock)
    id = cloud.create()['id']

    def pieces():
        yield b'stalled'
        clock.advance(cloud.conf.upload_lease + 60)
        cloud.sweep()
        assert cloud.upload(id, b'successor').status == 204
        yield b'awake'
    assert cloud.upload(id, Chunked(pieces())).status == 410
    assert cloud.get(f'/v2/images/{id}/file').body == b'successor'
    assert cloud.show(id)['status'] == 'active' and len(cloud.files()) == 1


def test_a_client_slower_than_a_lease_is_let_finish(tmp_path):
    cloud = Cloud(tmp_path, upload_lease=3)
    id, began = cloud.create()['id'], time.monotonic()

    def pieces():
        yield b'slow'
        wait.until(lambda: time.monotonic() - began > 4, message='a lease that nobody renewed would be over')
        assert cloud.sweep() == 0
        yield b'ly'
    assert cloud.upload(id, Chunked(pieces())).status == 204
    assert cloud.get(f'/v2/images/{id}/file').body == b'slowly'


def test_data_of_a_deleted_image_that_could_not_be_removed_is_swept_later(cloud):
    id = cloud.active()['id']
    [key] = cloud.files()
    folder = cloud.path / 'glance' / 'images' / key[:2]
    folder.rename(folder.parent / 'elsewhere')
    folder.write_bytes(b'')      # no directory: the file system says no
    assert cloud.request(cloud.alice, 'DELETE', f'/v2/images/{id}').status == 204
    folder.unlink()
    (folder.parent / 'elsewhere').rename(folder)
    assert cloud.files() == [key]
    assert cloud.sweep() == 1 and cloud.files() == []


def test_staged_data_is_imported(cloud):
    id = cloud.create(disk_format='qcow2')['id']
    path = f'/v2/images/{id}'
    assert cloud.request(cloud.alice, 'PUT', path + '/stage', qcow2()).status == 204
    assert cloud.show(id)['status'] == 'uploading'
    assert cloud.get(path + '/file').status == 204
    assert cloud.upload(id, b'x').status in (409, 415)
    answer = cloud.request(cloud.alice, 'POST', path + '/import', {'method': {'name': 'glance-direct'}})
    assert answer.status == 202
    wait.until(lambda: cloud.show(id)['status'] == 'active')
    assert cloud.get(path + '/file').body == qcow2()
    assert cloud.show(id)['virtual_size'] == 1 << 30
    wait.until(lambda: len(cloud.files()) == 1)


def test_a_refused_import_leaves_the_image_queued(cloud):
    id = cloud.create(disk_format='qcow2')['id']
    path = f'/v2/images/{id}'
    assert cloud.request(cloud.alice, 'POST', path + '/import',
                         {'method': {'name': 'glance-direct'}}).status == 409
    cloud.request(cloud.alice, 'PUT', path + '/stage', qcow2(backing=b'/etc/passwd'))
    for body in ({}, {'method': {}}, {'method': {'name': 'web-download', 'uri': 'http://127.0.0.1/'}}, []):
        assert cloud.request(cloud.alice, 'POST', path + '/import', body).status == 400, body
    assert cloud.request(cloud.bob, 'POST', path + '/import',
                         {'method': {'name': 'glance-direct'}}).status == 404
    assert cloud.request(cloud.alice, 'POST', path + '/import',
                         {'method': {'name': 'glance-direct'}}).status == 202
    wait.until(lambda: cloud.show(id)['status'] == 'queued')
    wait.until(lambda: cloud.files() == [])

"""What every store of images promises; a store is added to ``STORES`` and must pass."""

import os
import pathlib

import pytest

from glance.conf import OPTIONS
from glance.stores import KINDS, load
from glance.stores.interface import CHUNK, Full, Missing
from strata import clock, errors
from strata import conf as configuration
from tests.functional.keystone_cloud import keystone_template  # noqa: F401
from tests.swift_cloud import ObjectStore


@pytest.fixture(scope='module')
def object_store(keystone_template, tmp_path_factory):  # noqa: F811
    made = ObjectStore(keystone_template, tmp_path_factory.mktemp('objects'))
    yield made
    made.close()


@pytest.fixture(params=sorted(KINDS))
def store(request, tmp_path):
    options = {'glance_store__stores': [request.param], 'glance_store__default_store': request.param}
    if request.param == 'swift':
        options = request.getfixturevalue('object_store').glance
    conf = configuration.load('glance-api', OPTIONS, [], files=[], state_path=str(tmp_path), **options)
    return load(conf)[request.param]


def read(store, key, *part):
    return b''.join(store.read(key, *part))


def test_what_was_written_is_read(store):
    key, data = clock.new_uuid(), os.urandom(3 * CHUNK + 7)
    assert store.write(key, [data[:5], b'', data[5:CHUNK], data[CHUNK:]]) == len(data)
    assert read(store, key) == data and store.size(key) == len(data)
    assert read(store, key, 3, 10) == data[3:13]
    assert read(store, key, len(data) - 2) == data[-2:]
    assert read(store, key, CHUNK - 1, CHUNK + 2) == data[CHUNK - 1:2 * CHUNK + 1]


def test_nothing_is_data_too(store):
    key = clock.new_uuid()
    assert store.write(key, []) == 0 and read(store, key) == b''


def test_what_is_not_there_is_missing_at_once(store):
    with pytest.raises(Missing):
        store.read(clock.new_uuid())
    with pytest.raises(Missing):
        store.size(clock.new_uuid())


def test_a_write_that_fails_on_the_way_leaves_nothing(store):
    def chunks():
        yield b'some'
        raise ConnectionResetError

    key = clock.new_uuid()
    with pytest.raises(ConnectionResetError):
        store.write(key, chunks())
    with pytest.raises(Missing):
        store.read(key)
    assert store.write(key, [b'again']) == 5


def test_deleting_is_idempotent_and_readers_under_way_finish(store):
    key = clock.new_uuid()
    store.write(key, [b'x' * CHUNK, b'y'])
    reader = store.read(key)
    first = next(iter(reader))
    store.delete(key)
    store.delete(key)
    assert first + b''.join(reader) == b'x' * CHUNK + b'y'
    with pytest.raises(Missing):
        store.read(key)


UUID = '6f0c1f2e-1111-4222-8333-0123456789ab'


@pytest.mark.parametrize('key', ['', '..', '../../etc/passwd', 'a/b', 'A' * 36, '0' * 36, UUID + '\n',
                                 '{' + UUID + '}', UUID.upper()])
def test_a_key_is_never_a_path(store, key):
    for use in (store.read, store.size, store.delete, lambda key: store.write(key, [b'x'])):
        with pytest.raises(ValueError, match='UUID'):
            use(key)


def file_store(tmp_path):
    conf = configuration.load('glance-api', OPTIONS, [], files=[], state_path=str(tmp_path))
    return load(conf)['file']


def test_a_dead_writers_file_goes_with_its_key(tmp_path):
    store, key = file_store(tmp_path), clock.new_uuid()
    partial = pathlib.Path(tmp_path, 'glance', 'images', 'incoming', key)
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b'half')
    with pytest.raises(Missing):
        store.read(key)
    store.delete(key)
    assert not partial.exists()


def test_a_full_disk_is_said_without_a_path(tmp_path, monkeypatch):
    store = file_store(tmp_path)

    def write(file, data):
        raise OSError(28, 'No space left on device', str(tmp_path))
    monkeypatch.setattr(os, 'write', write)
    with pytest.raises(Full) as caught:
        store.write(clock.new_uuid(), [b'x'])
    assert str(tmp_path) not in str(caught.value)


def test_files_are_not_for_everybody_and_links_are_not_followed(tmp_path):
    store, key = file_store(tmp_path), clock.new_uuid()
    store.write(key, [b'x'])
    final = pathlib.Path(tmp_path, 'glance', 'images', key[:2], key)
    assert final.stat().st_mode & 0o777 == 0o640
    final.unlink()
    final.symlink_to('/etc/hostname')
    with pytest.raises(errors.Unavailable):
        store.read(key)


def test_an_unknown_store_is_named_at_the_start(tmp_path):
    conf = configuration.load('glance-api', OPTIONS, [], files=[], glance_store__stores=['tape'])
    with pytest.raises(errors.Invalid, match='tape'):
        load(conf)

"""Objects on disk: written, read, described anew, deleted; and what happens to those that are broken."""

import errno
import os
import pathlib
import pickle
import stat
import tempfile

import pytest

from swift import timestamp as timestamps
from swift.obj import metadata as metadatas
from swift.obj.errors import (
    Absent,
    BadMetadata,
    Collision,
    Deleted,
    Expired,
    MetadataTooLarge,
    Quarantined,
)
from swift.storage import files
from swift.storage.errors import NoSpace, NotMounted
from tests.swift_objects import DEVICE, file_of, later, make_store, md5, names, tree, write


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path)


@pytest.fixture
def disk(tmp_path):
    return tmp_path / 'node' / DEVICE


def content(file):
    with file.open():
        return os.pread(file.fd, 1 << 20, 0)


def quarantined(disk, policy=''):
    folder = disk / 'quarantined' / f'objects{policy}'
    return sorted(each.name for each in folder.iterdir()) if folder.exists() else []


def test_what_is_written_is_read(store, disk):
    file = file_of(store, 'ü/o')
    when = write(file, b'hello', X_Object_Meta_Color='bl\xc3\xa4u')
    digest = store.hashing.hexdigest('a', 'c', 'ü/o')
    assert tree(disk) == [f'objects/0/{digest[-3:]}/{digest}/{when.internal}.data']
    with file.open():
        assert file.metadata == {
            'X-Timestamp': when.internal, 'Content-Type': 'text/plain', 'Content-Length': '5',
            'ETag': md5(b'hello'), 'X-Object-Meta-Color': 'bl\xc3\xa4u', 'name': '/a/c/ü/o'}
        assert (file.size, file.timestamp, file.data_timestamp, file.type_timestamp) == (5, when, when, when)
        assert os.read(file.fd, 10) == b'hello'
    assert file.fd == -1


def test_policies_have_directories_of_their_own(store, disk):
    write(file_of(store, policy=1))
    assert tree(disk)[0].startswith('objects-1/0/')
    with pytest.raises(Absent):
        file_of(store).open()


def test_an_upload_that_is_not_finished_leaves_nothing(store, disk):
    with file_of(store).upload(100) as upload:
        upload.write(b'x' * 50)
    with pytest.raises(RuntimeError), file_of(store).upload() as upload:
        upload.write(b'x')
        raise RuntimeError
    assert tree(disk) == []


def test_a_newer_object_replaces_an_older_one_whichever_comes_first(store):
    file = file_of(store)
    first, second = later(), later()
    write(file, b'new', second)
    write(file, b'old', first)
    assert names(file) == [f'{second.internal}.data']
    assert content(file) == b'new'
    third = write(file, b'newest')
    assert names(file) == [f'{third.internal}.data']


def test_the_same_time_twice_is_the_same_file(store):
    file, when = file_of(store), later()
    write(file, b'one', when)
    write(file, b'two', when)
    assert names(file) == [f'{when.internal}.data']
    assert content(file) == b'two'


def test_offsets_order_what_has_the_same_time(store):
    file, when = file_of(store), later()
    moved = timestamps.Timestamp(when, offset=1)
    write(file, b'moved', moved)
    write(file, b'there', when)
    assert names(file) == [f'{when.normal}_0000000000000001.data']
    with file.open():
        assert file.data_timestamp == moved


def test_a_deleted_object_tells_when_it_went(store):
    file = file_of(store)
    with pytest.raises(Absent) as never:
        file.open()
    assert not never.value.timestamp
    write(file)
    when = later()
    file.delete(when)
    assert names(file) == [f'{when.internal}.ts']
    with pytest.raises(Deleted) as gone:
        file.open()
    assert gone.value.timestamp == when
    assert gone.value.metadata == {'X-Timestamp': when.internal, 'name': '/a/c/o'}


def test_a_late_delete_does_not_remove_a_newer_object(store):
    file, before = file_of(store), later()
    write(file)
    file.delete(before)
    assert content(file) == b'data'
    assert len(names(file)) == 1


def test_an_old_tombstone_is_not_even_kept(store):
    file = file_of(store)
    file.delete(timestamps.Timestamp(1000000000))
    assert names(file) == []


def test_a_post_replaces_the_users_metadata_and_nothing_else(store):
    file = file_of(store)
    when = write(file, X_Object_Meta_A='1', X_Object_Sysmeta_S='2', X_Static_Large_Object='True',
                 X_Delete_At='9999999999')
    posted = later()
    file.write_metadata({'X-Timestamp': posted.internal, 'X-Object-Meta-B': '3', 'X-Object-Sysmeta-S': 'no',
                         'X-Object-Sysmeta-T': 'no', 'Content-Length': '77'})
    with file.open():
        assert file.metadata == {
            'X-Timestamp': posted.internal, 'Content-Type': 'text/plain', 'Content-Length': '4', 'ETag': md5(b'data'),
            'X-Object-Meta-B': '3', 'X-Object-Sysmeta-S': '2', 'X-Static-Large-Object': 'True', 'name': '/a/c/o'}
        assert (file.timestamp, file.data_timestamp, file.type_timestamp) == (posted, when, when)


def test_the_content_type_has_a_time_of_its_own(store):
    file = file_of(store)
    write(file)
    typed, posted = later(), later(0.5)
    file.write_metadata({'X-Timestamp': posted.internal, 'X-Object-Meta-B': '3'})
    file.write_metadata({'X-Timestamp': typed.internal, 'Content-Type': 'image/png',
                         'Content-Type-Timestamp': typed.internal})
    # neither makes the other obsolete
    assert names(file)[1:] == [f'{typed.internal}+0.meta', f'{posted.internal}.meta']
    with file.open():
        assert file.metadata['Content-Type'] == 'image/png'
        assert file.metadata['X-Object-Meta-B'] == '3'
        assert (file.timestamp, file.type_timestamp) == (posted, typed)
    last = later(1)
    file.write_metadata({'X-Timestamp': last.internal, 'Content-Type': 'image/png',
                         'Content-Type-Timestamp': typed.internal})
    assert names(file)[1:] == [f'{last.internal}-{last.raw - typed.raw:x}.meta']
    with file.open():
        assert file.type_timestamp == typed


def test_an_expired_object_is_gone_unless_one_insists(store):
    file = file_of(store)
    when = write(file, X_Delete_At='1700000000')
    with pytest.raises(Expired) as gone:
        file.open()
    assert gone.value.timestamp == when
    assert gone.value.metadata['X-Delete-At'] == '1700000000'
    with file.open(expired=True):
        assert file.size == 4
    with file.open(now=1699999999.5):
        pass
    with pytest.raises(Expired):
        file.open(now=1700000000.0)


@pytest.mark.parametrize('damage', [
    lambda path: os.truncate(path, 3),
    lambda path: os.truncate(path, 5),
    lambda path: os.removexattr(path, metadatas.KEY),
    lambda path: os.setxattr(path, metadatas.KEY, b'nonsense'),
    lambda path: os.setxattr(path, metadatas.CHECKSUM, b'0' * 32),
    lambda path: metadatas.write(path, {'X-Timestamp': '1', 'Content-Length': '4'}),
    lambda path: metadatas.write(path, {'X-Timestamp': '1', 'name': '/a/c/o', 'Content-Length': 'four'}),
    lambda path: metadatas.write(path, {'X-Timestamp': '1', 'name': '/a/c/o'}),
    lambda path: metadatas.write(path, {'name': '/a/c/o', 'Content-Length': '4'}),
    lambda path: metadatas.write(path, {'X-Timestamp': '1', 'name': '/a/c/o', 'Content-Length': '4', 'ETag': 'x',
                                        'X-Delete-At': 'soon'}),
], ids=['short', 'long', 'no metadata', 'no pickle', 'checksum', 'no name', 'bad length', 'no length', 'no time',
        'bad expiry'])
def test_a_corrupt_object_is_quarantined_and_absent(store, disk, damage):
    file = file_of(store)
    when = write(file)
    damage(f'{file.path}/{when.internal}.data')
    with pytest.raises(Quarantined):
        file.open()
    assert quarantined(disk) == [file.hash]
    assert not os.path.exists(file.path)
    with pytest.raises(Absent) as again:
        file.open()
    assert not isinstance(again.value, Quarantined)
    # the hash of the suffix is computed anew
    assert store.hashes(DEVICE, '0', [], store.policies[0]) == (1, {})


def test_what_replaced_a_broken_object_while_it_was_read_stays(store, disk):
    file = file_of(store)
    write(file, b'old')
    with file.open():
        newer = file_of(store)
        newer.delete(later(5))
        write(newer, b'new', when=later(9))
        file.quarantine('its data have another MD5 than its metadata say')
    assert quarantined(disk) == [] and content(file_of(store)) == b'new'


def test_each_quarantined_object_is_kept(store, disk):
    file = file_of(store)
    for _ in range(3):
        os.truncate(f'{file.path}/{write(file).internal}.data', 1)
        with pytest.raises(Quarantined):
            file.open()
    kept = quarantined(disk)
    assert len(kept) == 3
    assert all(name.startswith(file.hash) for name in kept)


def test_a_file_in_the_place_of_a_directory_is_quarantined(store, disk):
    file = file_of(store)
    os.makedirs(os.path.dirname(file.path))
    with open(file.path, 'w') as strange:
        strange.write('?')
    with pytest.raises(Quarantined):
        file.open()
    assert quarantined(disk) == [file.hash]
    write(file)
    assert content(file) == b'data'


def test_corrupt_metadata_of_a_post_or_a_tombstone_is_found(store, disk):
    for number, spoil in enumerate(('meta', 'ts')):
        file = file_of(store, f'o{number}')
        write(file)
        when = later()
        if spoil == 'meta':
            file.write_metadata({'X-Timestamp': when.internal})
        else:
            file.delete(when)
        os.removexattr(f'{file.path}/{when.internal}.{spoil}', metadatas.KEY)
        with pytest.raises(Quarantined):
            file.open()
    assert len(quarantined(disk)) == 2


def test_two_names_with_one_hash_are_a_collision_not_corruption(store, disk):
    file = file_of(store)
    when = write(file)
    metadatas.write(f'{file.path}/{when.internal}.data', {
        'X-Timestamp': when.internal, 'name': '/a/c/other', 'Content-Length': '4', 'ETag': md5(b'data')})
    with pytest.raises(Collision):
        file.open()
    assert quarantined(disk) == []


def test_an_object_at_a_place_that_is_not_its_hash_is_quarantined(store, disk):
    file = file_of(store)
    write(file)
    place = f'{os.path.dirname(file.path)}/{"0" * 29}{file.hash[-3:]}'
    os.rename(file.path, place)
    location, = store.locations(store.policies[0])
    assert location.path == place
    with pytest.raises(Quarantined):
        store.file_at(location).open()
    assert len(quarantined(disk)) == 1


@pytest.fixture
def roomy(tmp_path):
    """A store on a file system that holds any amount of attributes."""
    with tempfile.TemporaryDirectory(dir='/dev/shm' if os.path.isdir('/dev/shm') else tmp_path) as folder:
        store = make_store(pathlib.Path(folder))
        if store.capacity(DEVICE) is not None:
            pytest.skip('no file system here holds more than one attribute')
        yield store


def test_metadata_grows_beyond_one_attribute(roomy):
    file, long = file_of(roomy), {f'X-Object-Meta-{number}': 'x' * 1000 for number in range(150)}
    when = write(file, **long)
    assert metadatas.KEY + '2' in os.listxattr(f'{file.path}/{when.internal}.data')
    with file.open():
        assert file.metadata['X-Object-Meta-149'] == 'x' * 1000
    os.removexattr(f'{file.path}/{when.internal}.data', metadatas.KEY + '1')
    with pytest.raises(Quarantined):
        file.open()


def test_metadata_split_as_old_releases_split_it_is_read(tmp_path):
    path = str(tmp_path / 'file')
    open(path, 'w').close()
    data = pickle.dumps({'name': '/a/c/o', 'X-Object-Meta-X': 'y' * 600}, 2)
    for number, start in enumerate(range(0, len(data), 254)):
        os.setxattr(path, f'{metadatas.KEY}{number or ""}', data[start:start + 254])
    assert metadatas.read(path)['X-Object-Meta-X'] == 'y' * 600     # no checksum: it is older than that


def test_metadata_beyond_the_file_systems_limit_is_refused_in_time(store, caplog):
    file = file_of(store)
    most = store.capacity(DEVICE)
    if most is None:
        pytest.skip('this file system has no such limit')
    assert 3500 < most < 4096
    with pytest.raises(MetadataTooLarge) as refused:
        file.check_metadata_fits({'name': '/a/c/o', 'X-Object-Meta-X': 'x' * most})
    assert refused.value.status == 400
    assert 'files of this device hold' in caplog.text
    fitting = {'name': '/a/c/o', 'X-Timestamp': later().internal}
    fitting['X-Object-Meta-X'] = 'x' * (most - len(metadatas.dumps({**fitting, 'X-Object-Meta-X': ''})) - 3)
    file.check_metadata_fits(fitting)
    file.write_metadata(fitting)
    with pytest.raises(MetadataTooLarge):
        file.write_metadata({**fitting, 'X-Object-Meta-Y': 'x' * 500})


@pytest.mark.parametrize('metadata', [
    {'name': '/a/c/ö', 'X-Object-Meta-\xc3\xb6': 'bl\xc3\xa4u', 'X-Object-Meta-Raw': '\xff\xfe'},
    {'name': '/a/c/o', 'X-Object-Meta-Empty': '', 'X-Object-Meta-Long': 'x' * 300},
])
def test_metadata_of_both_pythons_is_read(metadata):
    assert metadatas.loads(metadatas.dumps(metadata)) == metadata
    # Python 3's: WSGI strings as UTF-8, in calls of _codecs.encode
    theirs = {key.encode('utf-8'): value.encode('utf-8') for key, value in metadata.items()}
    assert metadatas.loads(pickle.dumps(theirs, 2)) == metadata
    assert len(metadatas.dumps(metadata)) < len(pickle.dumps(theirs, 2))


@pytest.mark.parametrize('data', [b'', b'x', pickle.dumps([1], 2), pickle.dumps({'a': [1]}, 2), pickle.dumps(7, 2)])
def test_metadata_that_is_none_is_said_to_be_bad(data):
    with pytest.raises(BadMetadata):
        metadatas.loads(data)


def test_it_works_without_unnamed_files(store, disk, monkeypatch):
    monkeypatch.setattr(files.Unnamed, 'supported', False)
    file = file_of(store)
    write(file, b'one')
    second = write(file, b'two')
    assert content(file) == b'two'
    assert names(file) == [f'{second.internal}.data']
    assert stat.S_IMODE(os.stat(f'{file.path}/{second.internal}.data').st_mode) == 0o644
    with file.upload(3) as upload:
        upload.write(b'abc')
        assert len(os.listdir(disk / 'tmp')) == 1
    assert os.listdir(disk / 'tmp') == []


def test_a_device_with_no_room_is_said_to_be_full(tmp_path):
    store = make_store(tmp_path, fallocate_reserve='100%')
    with pytest.raises(NoSpace) as full:
        file_of(store).upload(1)
    assert full.value.status == 507
    store = make_store(tmp_path, fallocate_reserve='0')
    with pytest.raises(NoSpace):
        file_of(store).upload(1 << 60)


def test_errors_of_a_full_disk_are_told_from_others(store):
    file = file_of(store)
    assert isinstance(file.translated(OSError(errno.ENOSPC, '')), NoSpace)
    assert isinstance(file.translated(OSError(errno.EDQUOT, '')), NoSpace)
    assert isinstance(file.translated(OSError(errno.EIO, '')), OSError)


def test_large_uploads_are_hashed_and_synced_on_the_way(tmp_path):
    store = make_store(tmp_path, mb_per_sync='2', keep_cache_size='0')
    file, piece = file_of(store), os.urandom(1 << 20)
    with file.upload(5 << 20) as upload:
        for _ in range(5):
            upload.write(piece)
        assert upload.written == 5 << 20
        upload.finish({'X-Timestamp': later().internal, 'Content-Length': str(5 << 20), 'ETag': upload.etag})
    with file.open():
        assert file.metadata['ETag'] == md5(piece * 5)
        assert file.size == 5 << 20


def test_discarding_removes_what_was_moved_and_nothing_newer(store, disk):
    file = file_of(store)
    when = write(file)
    file.discard([f'{when.internal}.data'])
    assert tree(disk) == []
    assert not os.path.exists(os.path.dirname(file.path))
    old = write(file)
    new = write(file)
    file.discard([f'{old.internal}.data'])
    assert names(file) == [f'{new.internal}.data']
    gone = later()
    file.delete(gone)
    file.discard([f'{new.internal}.data', f'{gone.internal}.ts'])
    assert names(file) == []


@pytest.mark.parametrize('device', ['.', '..', '', 'a/b', 'a b', 'nosuch', '%00', 'é'])
def test_what_is_no_device_is_not_mounted(store, device):
    with pytest.raises(NotMounted):
        store.file(device, '0', 'a', 'c', 'o', store.policies[0])


def test_a_device_must_be_a_mount_point_if_that_is_checked(tmp_path):
    store = make_store(tmp_path, mount_check='true')
    with pytest.raises(NotMounted):
        file_of(store)
    (tmp_path / 'node' / DEVICE / '.ismount').touch()
    file_of(store)
    (tmp_path / 'node' / 'file').touch()
    with pytest.raises(NotMounted):
        store.devices.path('file')
    assert store.devices.names() == [DEVICE]

"""Hashes of suffixes: right, cheap, and never older than what they stand for."""

import os
import pathlib
import pickle

import pytest

from strata import green
from swift.obj import hashes
from swift.storage import pickles
from tests.swift_objects import DEVICE, file_of, later, make_store, write


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path)


@pytest.fixture
def partition(store):
    return store.partition_path(DEVICE, '0', store.policies[0])


def content(path):
    return pathlib.Path(path).read_bytes()


def ask(store, *suffixes, listing=False):
    return store.hashes(DEVICE, '0', suffixes, store.policies[0], listing=listing)


def test_a_partition_that_is_not_there_has_no_hashes(store, partition):
    assert ask(store, 'abc') == (0, {})
    assert not os.path.exists(partition)


def test_every_change_shows_and_only_what_changed_is_computed(store):
    one, two = file_of(store, '1'), file_of(store, '2')
    write(one)
    write(two)
    hashed, first = ask(store)
    assert hashed == 2
    assert set(first) == {one.hash[-3:], two.hash[-3:]}
    assert ask(store) == (0, first)
    for change in (lambda: write(one), lambda: one.write_metadata({'X-Timestamp': later().internal}),
                   lambda: one.delete(later())):
        change()
        hashed, second = ask(store)
        assert hashed == 1
        assert second[two.hash[-3:]] == first[two.hash[-3:]]
        assert second[one.hash[-3:]] != first[one.hash[-3:]]
        first = second


def test_two_replicas_with_the_same_objects_have_the_same_hashes(tmp_path):
    stores = [make_store(tmp_path / str(number)) for number in range(2)]
    writes = [(f'o{number}', later()) for number in range(10)]
    for store, order in zip(stores, (writes, writes[::-1])):
        for name, when in order:
            write(file_of(store, name), b'x', when)
    assert ask(stores[0])[1] == ask(stores[1])[1]


def test_changes_are_noted_and_merged(store, partition):
    file = file_of(store)
    write(file)
    assert content(f'{partition}/hashes.invalid') == f'{file.hash[-3:]}\n'.encode()
    _, found = ask(store)
    assert content(f'{partition}/hashes.invalid') == b''
    kept = pickle.loads(content(f'{partition}/hashes.pkl'))
    assert kept.pop('valid') is True
    assert isinstance(kept.pop('updated'), float)
    assert kept == found
    write(file)
    merged, valid, _ = hashes.consolidate(partition, store.tmp(DEVICE))
    assert (merged, valid) == ({file.hash[-3:]: None}, True)


def test_suffixes_to_be_hashed_anew_are_named_and_new_ones_found_by_looking(store):
    file = file_of(store)
    write(file)
    _, found = ask(store)
    os.utime(os.path.dirname(file.path), (0, 0))      # else it may be just about to change
    place = f'{os.path.dirname(os.path.dirname(file.path))}/0ff/{"0" * 29}0ff'
    os.makedirs(place)
    open(f'{place}/{later().internal}.ts', 'w').close()
    assert ask(store) == (0, found)
    hashed, more = ask(store, listing=True)
    assert (hashed, set(more)) == (1, {file.hash[-3:], '0ff'})
    os.unlink(f'{place}/{os.listdir(place)[0]}')
    assert ask(store, '0ff') == (1, found)
    assert ask(store, 'nonsense', '../..') == (0, found)


@pytest.mark.parametrize('content', [b'', b'nonsense', pickle.dumps([1]), pickle.dumps({'a': 1, 'valid': True}),
                                     pickle.dumps({'../': 'x', 7: 'y', 'valid': False})])
def test_a_file_of_hashes_that_is_none_is_made_anew(store, partition, content):
    file = file_of(store)
    write(file)
    _, found = ask(store)
    with open(f'{partition}/hashes.pkl', 'wb') as broken:
        broken.write(content)
    assert ask(store, file.hash[-3:])[1] == found


def test_a_change_while_hashes_are_computed_is_not_lost(store, partition, monkeypatch):
    file = file_of(store)
    write(file)
    real = hashes.hash_suffix
    changes = []

    def changing(*args):
        digest = real(*args)
        if not changes:
            changes.append(write(file))
        return digest
    monkeypatch.setattr(hashes, 'hash_suffix', changing)
    ask(store)
    monkeypatch.undo()
    hashed, found = ask(store)
    assert hashed == 1
    assert found == ask(store, file.hash[-3:])[1]


def test_many_writers_and_readers_of_hashes_do_not_trip_over_each_other(store):
    def work(number):
        for _ in range(5):
            write(file_of(store, str(number)))
            ask(store)
    green.Pool(8).map(work, range(8))
    _, found = ask(store)
    assert ask(store, *found) == (len(found), found)


def test_files_in_the_place_of_directories_do_not_stop_it(store, partition):
    write(file_of(store))
    os.makedirs(f'{partition}/0ff')
    open(f'{partition}/0ff/{"0" * 29}0ff', 'w').close()
    open(f'{partition}/0fe', 'w').close()
    _, found = ask(store, listing=True)
    assert len(found) == 1
    assert os.listdir(f'{store.devices.path(DEVICE)}/quarantined/objects') == ['0' * 29 + '0ff']


def test_every_object_has_a_place(store):
    plain, gone = file_of(store, 'plain'), file_of(store, 'gone')
    write(plain)
    gone.delete(later())
    policy = store.policies[0]
    assert {each.hash for each in store.locations(policy)} == {plain.hash, gone.hash}
    assert list(store.locations(policy, devices=['other'])) == []
    assert list(store.locations(policy, partitions=['1'])) == []


def test_an_empty_partition_can_be_removed_and_a_full_one_not(store, partition):
    file = file_of(store)
    when = write(file)
    ask(store)
    assert not store.remove_partition(DEVICE, '0', store.policies[0])
    file.discard([f'{when.internal}.data'])
    assert store.partitions(DEVICE, store.policies[0]) == ['0']
    assert store.remove_partition(DEVICE, '0', store.policies[0])
    assert store.partitions(DEVICE, store.policies[0]) == []
    assert not os.path.exists(partition)
    write(file)


def test_pending_updates_are_pickles_in_a_place_told_by_the_object(store, tmp_path):
    when = later()
    update = {'op': 'PUT', 'account': 'a', 'container': 'c', 'obj': 'ö', 'headers': {'X-Size': '1'}}
    path = store.save_update(DEVICE, 'a', 'c', 'ö', update, when, store.policies[1])
    digest = store.hashing.hexdigest('a', 'c', 'ö')
    assert path == str(tmp_path / f'node/{DEVICE}/async_pending-1/{digest[-3:]}/{digest}-{when.internal}')
    assert pickles.loads(content(path)) == update
    store.save_update(DEVICE, 'a', 'c', 'ö', {**update, 'op': 'DELETE'}, when, store.policies[1])
    assert pickles.loads(content(path))['op'] == 'DELETE'

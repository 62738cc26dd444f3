"""The object auditor and the object updater, run once over real disks."""

import json
import os
import pathlib
import pickle
import subprocess
import sys
import time

import pytest

from strata import errors
from swift.obj.auditor import ObjectAuditor
from swift.obj.updater import ObjectUpdater
from swift.ring import files as ring_files
from swift.ring.builder import RingBuilder
from swift.ring.ring import Ring
from swift.storage import pickles
from swift.storage.rate import Rate
from tests.functional.test_swift_object_server import Containers
from tests.swift_objects import DEVICE, file_of, later, make_store, names, settings, tree, write


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path)


def recon(root):
    return json.loads((root / 'recon' / 'object.recon').read_text())


def audit(root, limits=None, **conf):
    auditor = ObjectAuditor(settings(root, **{
        'files_per_second': '0', 'bytes_per_second': '0', 'zero_byte_files_per_second': '0', **conf}))
    auditor.run_once(**limits or {})
    auditor.close()
    return auditor


def spoil(file, offset=0):
    with open(f'{file.path}/{names(file)[0]}', 'r+b') as data:
        data.seek(offset)
        data.write(b'!')


@pytest.mark.parametrize('policy', [0, 1])
@pytest.mark.parametrize('concurrency', ['1', '3'])
def test_an_auditor_quarantines_what_is_broken_and_nothing_else(store, tmp_path, policy, concurrency):
    files = [file_of(store, str(number), policy, str(number % 3)) for number in range(8)]
    for number, file in enumerate(files):
        write(file, b'x' * number * 300000)
    spoil(files[1])
    spoil(files[7], 7 * 300000 - 1)
    os.truncate(f'{files[2].path}/{names(files[2])[0]}', 0)
    files[3].delete(later())
    files[4].write_metadata({'X-Timestamp': later().internal})
    expired = file_of(store, 'expired', policy)
    write(expired, b'x', X_Delete_At='1700000000')
    auditor = audit(tmp_path, concurrency=concurrency)
    assert (auditor.total_quarantined, auditor.total_errors) == (3, 0)
    folder = tmp_path / 'node' / DEVICE / 'quarantined' / ('objects-1' if policy else 'objects')
    assert sorted(os.listdir(folder)) == sorted(files[number].hash for number in (1, 2, 7))
    assert all(names(file) for number, file in enumerate(files) if number not in (1, 2, 7))
    assert names(expired)
    stats = recon(tmp_path)['object_auditor_stats_ALL']
    assert {'errors', 'passes', 'quarantined', 'bytes_processed', 'start_time', 'audit_time'} == set(stats)


def test_the_quick_sweep_finds_wrong_sizes_but_reads_nothing(store, tmp_path):
    flipped, emptied = file_of(store, 'flipped'), file_of(store, 'emptied')
    for file in (flipped, emptied):
        write(file, b'x' * 100)
    spoil(flipped)
    os.truncate(f'{emptied.path}/{names(emptied)[0]}', 0)
    audit(tmp_path, {'zero_byte_fps': 1000})
    assert (names(emptied), len(names(flipped))) == ([], 1)
    stats = recon(tmp_path)
    assert set(stats) == {'object_auditor_stats_ZBF'}
    assert stats['object_auditor_stats_ZBF']['bytes_processed'] == 0
    audit(tmp_path, zero_byte_files_per_second='1000')
    assert names(flipped) == []
    assert set(recon(tmp_path)) == {'object_auditor_stats_ZBF', 'object_auditor_stats_ALL'}


def test_an_audit_may_be_narrowed_and_counts_sizes(store, tmp_path, caplog):
    caplog.set_level('INFO')
    one, two = file_of(store, '1', 0, '1'), file_of(store, '2', 1, '2')
    for file in (one, two):
        write(file, b'xx')
        spoil(file)
    for limits in ({'devices': ['other']}, {'partitions': ['7']}, {'policies': ['0'], 'partitions': ['2']}):
        audit(tmp_path, limits, object_size_stats='1, 10')
        assert names(one) and names(two)
    audit(tmp_path, {'policies': ['1'], 'devices': [DEVICE], 'partitions': ['2']}, object_size_stats='1, 10')
    assert (len(names(one)), names(two)) == (1, [])
    assert "sizes {'10': 1}" in caplog.text


def test_an_auditor_goes_no_faster_than_it_is_told(store, tmp_path):
    for number in range(10):
        write(file_of(store, str(number)), b'x' * 1000)
    for limit in ({'files_per_second': '10'}, {'bytes_per_second': '10000'}):
        began = time.monotonic()
        audit(tmp_path, **limit)
        # what can be done in half a second is allowed at once
        assert 0.3 < time.monotonic() - began < 5
    rate = Rate(20)
    delays = [rate.reserve() for _ in range(20)]
    assert delays[:10] == [0.0] * 10
    assert delays[19] > 0.3
    assert Rate(0).reserve(1e9) == 0


def test_what_an_interrupted_rsync_left_is_removed_after_a_day(store, tmp_path):
    file = file_of(store)
    write(file)
    for name, age in (('.old.data.abc', 90000), ('.new.data.abc', 10)):
        with open(f'{file.path}/{name}', 'w'):
            pass
        os.utime(f'{file.path}/{name}', (time.time() - age,) * 2)
    audit(tmp_path)
    assert '.old.data.abc' not in names(file)
    assert '.new.data.abc' in names(file)


def test_what_a_server_that_died_left_is_removed_after_a_week(tmp_path):
    make_store(tmp_path)
    folder = tmp_path / 'node' / DEVICE / 'tmp'
    (folder / 'folder').mkdir(parents=True)
    for name, age in (('old', 8 * 86400), ('new', 6 * 86400)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    audit(tmp_path)
    assert sorted(os.listdir(folder)) == ['folder', 'new']


def test_a_tombstone_that_is_too_old_is_given_to_the_replicator(store, tmp_path):
    file = file_of(store)
    when = later()
    file.delete(when)
    store.hashes(DEVICE, '0', [], store.policies[0])
    path = f'{file.path}/{names(file)[0]}'
    old = f'{file.path}/1000000000.00000.ts'
    os.rename(path, old)
    audit(tmp_path)
    noted = (tmp_path / 'node' / DEVICE / 'objects' / '0' / 'hashes.invalid').read_text()
    assert set(noted.split()) == {file.hash[-3:]}
    assert store.hashes(DEVICE, '0', [], store.policies[0])[1] == {}
    assert tree(tmp_path / 'node' / DEVICE) == []


def test_the_auditors_command_knows_the_published_words(tmp_path):
    given = settings(tmp_path)
    conf = tmp_path / 'object.conf'
    conf.write_text('[DEFAULT]\nuser =\n' + ''.join(f'{name} = {value}\n' for name, value in given.items()))
    file = file_of(make_store(tmp_path))
    write(file, b'xx')
    spoil(file)

    def run(*words):
        command = [sys.executable, '-m', 'swift.cmd.object_auditor', *words]
        return subprocess.run(command, capture_output=True).returncode
    assert run(str(conf), '-z', '1000', '--once') == 0
    assert names(file)
    assert run(str(conf), 'once', '-d', DEVICE) == 0
    assert names(file) == []
    assert run('/nosuch.conf', 'once') == 1


# the updater


@pytest.fixture
def three():
    made = [Containers() for _ in range(3)]
    yield made
    for each in made:
        each.server.stop(0)


def write_ring(root, servers):
    builder = RingBuilder(1, 3, 1)
    for number, each in enumerate(servers):
        builder.add({'region': 1, 'zone': number + 1, 'ip': '127.0.0.1', 'port': each.server.port,
                     'device': f'sd{number}', 'weight': 1})
    builder.rebalance(seed=1)
    ring_files.write_ring(str(root / 'etc' / 'container.ring.gz'), builder.ring_data())


def save(store, obj='o', op='PUT', when=None, policy=0, **more):
    when = when or later()
    return store.save_update(DEVICE, 'a', 'c', obj, {
        'op': op, 'account': 'a', 'container': 'c', 'obj': obj, 'db_state': None,
        'headers': {'X-Timestamp': when.internal, 'X-Size': '5', 'X-Trans-Id': 'tx1'}, **more},
        when, store.policies[policy])


def update(root, **conf):
    updater = ObjectUpdater(settings(root, **{'objects_per_second': '0', **conf}))
    updater.run_once()
    updater.close()
    return {name: count for name, count in updater.stats.items() if count}


def test_updates_are_delivered_to_all_replicas_and_then_forgotten(store, tmp_path, three):
    write_ring(tmp_path, three)
    save(store, 'ö', policy=1)
    save(store, 'gone', 'DELETE')
    assert update(tmp_path) == {'successes': 2, 'unlinks': 2}
    for server in three:
        told = sorted((method, path.split('/', 3)[3], headers['X-Backend-Storage-Policy-Index'])
                      for method, path, headers in server.told)
        assert told == [('DELETE', 'a/c/gone', '0'), ('PUT', 'a/c/\xc3\xb6', '1')]
        assert all(headers['User-Agent'] == f'object-updater {os.getpid()}' for _, _, headers in server.told)
    assert tree(tmp_path / 'node' / DEVICE) == []
    assert os.listdir(tmp_path / 'node' / DEVICE / 'async_pending') == []
    stats = recon(tmp_path)
    assert stats['object_updater_sweep'] >= 0
    assert stats['object_updater_stats']['successes'] == 2


def test_only_those_are_asked_again_who_did_not_take_it(store, tmp_path, three):
    write_ring(tmp_path, three)
    path = save(store)
    three[0].status = '503 Service Unavailable'
    three[1].server.stop(0)
    assert update(tmp_path) == {'failures': 1}
    assert len(pickles.loads(pathlib.Path(path).read_bytes())['successes']) == 1
    three[0].status = '201 Created'
    assert update(tmp_path) == {'failures': 1}
    assert (len(three[0].told), len(three[2].told)) == (2, 1)
    revived = Containers()
    three[1].server = revived.server
    write_ring(tmp_path, three)
    assert update(tmp_path) == {'successes': 1, 'unlinks': 1}
    assert (len(three[0].told), len(three[2].told), len(revived.told)) == (2, 1, 1)


def age(path, seconds=8 * 86400):
    os.utime(path, (time.time() - seconds,) * 2)


def test_servers_of_a_container_that_is_gone_are_asked_once_a_sweep(store, tmp_path, three):
    write_ring(tmp_path, three)
    for number in range(20):
        save(store, str(number))
    for each in three:
        each.status = '404 Not Found'
    counts = update(tmp_path, concurrency='1')
    assert counts == {'failures': 1, 'skips': 19}
    assert [len(each.told) for each in three] == [1, 1, 1]
    three[0].status = '201 Created'     # it is there again, on a first one
    assert update(tmp_path) == {'failures': 20}
    three[1].status = three[2].status = '201 Created'
    assert update(tmp_path) == {'successes': 20, 'unlinks': 20}


def test_an_update_of_a_container_that_is_gone_is_kept_for_as_long_as_it_may_count(store, tmp_path, three):
    write_ring(tmp_path, three)
    for each in three:
        each.status = '404 Not Found'
    objects = RingBuilder(1, 1, 1)
    objects.add({'region': 1, 'zone': 1, 'ip': '127.0.0.1', 'port': three[0].server.port, 'device': 'sd0', 'weight': 1})
    objects.rebalance(seed=1)
    ring_files.write_ring(str(tmp_path / 'etc' / 'object.ring.gz'), objects.ring_data())
    paths = {name: save(store, name, op) for name, op in
             (('young', 'PUT'), ('younger', 'DELETE'), ('here', 'PUT'), ('nowhere', 'PUT'), ('gone', 'DELETE'))}
    part = Ring(str(tmp_path / 'etc'), store.hashing, name='object').get_part('a', 'c', 'here')
    write(file_of(store, 'here', partition=str(part)))
    for name in ('here', 'nowhere', 'gone'):
        age(paths[name])
    three[0].status = '503 Service Unavailable'     # whatever it has may count
    update(tmp_path)
    assert all(map(os.path.exists, paths.values()))
    three[0].status = '404 Not Found'
    assert update(tmp_path)['unlinks'] == 2
    assert {name for name, path in paths.items() if os.path.exists(path)} == {'young', 'younger', 'here'}
    for each in three:
        each.told.clear()
        each.status = '201 Created'
    assert update(tmp_path) == {'successes': 3, 'unlinks': 3}


def test_of_several_updates_of_an_object_only_the_newest_counts(store, tmp_path, three):
    write_ring(tmp_path, three)
    for op in ('PUT', 'PUT', 'DELETE'):
        save(store, op=op)
    assert update(tmp_path) == {'successes': 1, 'unlinks': 3}
    assert [each[0] for each in three[0].told] == ['DELETE']


def test_an_update_may_name_another_container(store, tmp_path, three):
    write_ring(tmp_path, three)
    save(store, 'ö', container_path='.shards_a/c-1')
    update(tmp_path)
    assert three[0].told[0][1].endswith('/.shards_a/c-1/\xc3\xb6')


@pytest.mark.parametrize('content', [
    b'', b'junk', pickle.dumps([1], 2), pickle.dumps({'op': 'PUT'}, 2),
    pickle.dumps({'headers': {}, 'op': 1, 'account': 'a', 'container': 'c', 'obj': 'o'}, 2)])
def test_an_update_that_is_none_is_quarantined(store, tmp_path, three, content):
    write_ring(tmp_path, three)
    path = save(store)
    with open(path, 'wb') as file:
        file.write(content)
    assert update(tmp_path) == {'quarantines': 1}
    assert tree(tmp_path / 'node' / DEVICE) == [f'quarantined/objects/{os.path.basename(path)}']
    assert three[0].told == []


def test_updates_of_one_container_may_be_slowed_down(store, tmp_path, three):
    write_ring(tmp_path, three)
    for number in range(5):
        save(store, str(number))
    counts = update(tmp_path, max_objects_per_container_per_second='50')
    assert counts['successes'] == 5
    assert counts.get('deferrals', 0) == counts.get('drains', 0)
    for number in range(5):
        save(store, str(number))
    counts = update(tmp_path, max_objects_per_container_per_second='0.1', interval='0')
    assert counts['skips'] == counts['deferrals'] == 5 - counts.get('successes', 0)
    assert len(tree(tmp_path / 'node' / DEVICE)) == counts['skips']


def test_a_ring_that_is_missing_keeps_the_updates(store, tmp_path):
    save(store)
    assert update(tmp_path) == {'errors': 1}
    assert len(tree(tmp_path / 'node' / DEVICE)) == 1


def test_options_that_are_wrong_are_named(tmp_path):
    for kind in (ObjectAuditor, ObjectUpdater):
        with pytest.raises(errors.Invalid, match='interval'):
            kind(settings(tmp_path, interval='soon'))

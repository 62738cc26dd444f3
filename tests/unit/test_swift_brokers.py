"""Account and container databases: rows merge to the same in any order, and survive what happens to files."""

import itertools
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strata import green
from swift.account.backend import AccountBroker
from swift.container import policy
from swift.container.backend import ContainerBroker, merged
from swift.db import pending
from swift.db.connections import Connections
from swift.db.errors import DatabaseBusy, DatabaseCorrupt, DatabaseExists, DatabaseMissing
from swift.db.listing import Page
from swift.db.schema import NOTHING, chexor
from swift.timestamp import Timestamp, decode, encode

ROW = {'name': 'o', 'size': 1, 'content_type': 't', 'etag': 'e', 'deleted': 0, 'storage_policy_index': 0}


def ts(second):
    return Timestamp(1_700_000_000 + second)


@pytest.fixture
def connections():
    made = Connections()
    yield made
    made.close()


@pytest.fixture
def container(tmp_path, connections):
    broker = place(connections, tmp_path, ContainerBroker, 'a', 'c')
    broker.initialize(ts(1), storage_policy_index=0)
    return broker


@pytest.fixture
def account(tmp_path, connections):
    broker = place(connections, tmp_path, AccountBroker, 'a')
    broker.initialize(ts(1))
    return broker


def place(connections, root, kind, *names):
    digest = 'd' * 32
    return kind(connections, f'{root}/sda1/{kind.datadir}/3/ddd/{digest}/{digest}.db', *names)


def names(broker, index=0):
    return [row[0] for row in broker.list_objects(Page(1000), index)]


# -- rows

STEPS = st.integers(0, 4)


@st.composite
def rows(draw):
    if draw(st.booleans()):
        return {**ROW, 'created_at': ts(draw(STEPS)).internal, 'deleted': 1, 'size': 0,
                'content_type': 'application/deleted', 'etag': 'noetag'}
    data, content, meta = sorted(draw(st.tuples(STEPS, STEPS, STEPS)))
    return {**ROW, 'created_at': encode(ts(data), ts(content), ts(meta)), 'size': data + 10, 'etag': f'e{data}',
            'content_type': f't{content}'}


def fold(items):
    result = None
    for item in items:
        result = item if result is None else merged(result, item) or result
    return {key: value for key, value in result.items() if key != 'ROWID'}


def possible(items):
    """Nobody changes the metadata of what has been deleted."""
    dead = [Timestamp(item['created_at']) for item in items if item['deleted']]
    times = [decode(item['created_at']) for item in items if not item['deleted']]
    return not any(data <= when < meta for data, _, meta in times for when in dead)


@settings(max_examples=300)
@given(items=st.lists(rows(), min_size=1, max_size=4).filter(possible))
def test_rows_of_one_object_merge_to_the_same_in_every_order(items):
    assert len({str(sorted(fold(order).items())) for order in itertools.permutations(items)}) == 1


@settings(max_examples=40)
@given(items=st.lists(rows(), min_size=1, max_size=6).filter(possible), cut=st.integers(0, 6))
def test_a_database_keeps_what_the_rows_come_to_however_they_arrive(tmp_path_factory, items, cut):
    connections = Connections()
    broker = place(connections, tmp_path_factory.mktemp('db'), ContainerBroker, 'a', 'c')
    broker.initialize(ts(1))
    broker.merge_items(items[:cut])
    for item in items[cut:]:
        broker.merge_items([item])
    kept = broker.items_since(-1, 10)
    assert [{key: value for key, value in row.items() if key != 'ROWID'} for row in kept] == [fold(items)]
    info = broker.info()
    assert info['hash'] == chexor(NOTHING, 'o', kept[0]['created_at'])
    assert (info['object_count'], info['bytes_used']) == (1 - kept[0]['deleted'], kept[0]['size'])
    connections.close()


def test_a_row_goes_out_of_the_hash_as_it_came(container):
    assert container.info()['hash'] == NOTHING
    container.put_object('o', ts(2), 1, 't', 'e')
    first = container.info()['hash']
    container.put_object('o', ts(3), 1, 't', 'e')
    assert container.info()['hash'] not in (first, NOTHING)
    container.writing(lambda connection: connection.execute('DELETE FROM object'))
    assert container.info()['hash'] == NOTHING


def test_rows_cannot_be_changed_in_place(container):
    container.put_object('o', ts(2), 1, 't', 'e')
    assert names(container) == ['o']
    with pytest.raises(sqlite3.IntegrityError, match='UPDATE not allowed'):
        container.writing(lambda connection: connection.execute("UPDATE object SET name = 'p'"))


# -- the .pending file

def test_rows_wait_beside_the_database_until_there_are_many(container):
    size = len(pending.encode(('x' * 20, ts(2).internal, 1, 't', 'e', 0, 0, None, None)))
    count = pending.CAP // size + 2
    for number in range(count):
        container.put_object(f'{number:020}', ts(2), 1, 't', 'e')
    assert os.path.getsize(container.pending_path) == 0
    assert container.info()['object_count'] == count


def test_a_row_cut_short_by_a_crash_costs_only_itself(container):
    container.put_object('a', ts(2), 1, 't', 'e')
    with open(container.pending_path, 'ab') as file:
        file.write(pending.encode(('b', ts(2).internal, 1, 't', 'e', 0, 0, None, None))[:-10])
    container.put_object('c', ts(2), 1, 't', 'e')
    assert names(container) == ['a', 'c']


def test_rows_of_older_releases_are_understood(container, account):
    with pending.lock(container.directory, 1):
        os.close(pending.append(container.pending_path, ('old', ts(2).internal, 5, 't', 'e', 0))[0])
        os.close(pending.append(container.pending_path, (
            'new', ts(2).internal, '6', 't', 'e', 0, '1', None, ts(4).internal))[0])
    assert names(container) == ['old'] and names(container, 1) == ['new']
    with pending.lock(account.directory, 1):
        os.close(pending.append(account.pending_path, ('c', ts(2).internal, '0', '3', '30', 0, '1'))[0])
        os.close(pending.append(account.pending_path, ('d', ts(2).internal, '0', 4, 40, 0))[0])
    assert account.policy_stats() == [] and account.info()['object_count'] == 7
    assert account.policy_stats() == [(0, 1, 4, 40), (1, 1, 3, 30)]


def test_on_a_slow_disk_writers_share_syncs_and_each_waits_for_its_own(container, monkeypatch):
    counted = []

    def slowly(descriptor, **how):
        counted.append(os.fstat(descriptor).st_size)
        green.sleep(0.02)
    # what the disk does is not ours: it only gets slower here
    monkeypatch.setattr('swift.storage.syncs.sync', slowly)
    sizes = []

    def write(number):
        container.put_object(f'o{number:03}', ts(2), 1, 't', 'e')
        sizes.append(counted[-1])
    workers = [green.spawn(write, number) for number in range(40)]
    for worker in workers:
        worker.wait(20)
    assert len(counted) < 10
    assert counted[-1] == os.stat(container.pending_path).st_size
    assert len(sizes) == len(names(container)) == 40


def append_many(path, start, count):
    """In a process of its own: rows of numbered names, until killed; each is said once it is acknowledged."""
    program = f"""
import sys
sys.path.insert(0, {str(os.getcwd())!r})
from strata import green
green.patch()
from swift.container.backend import ContainerBroker
from swift.db.connections import Connections
from swift.timestamp import Timestamp
broker = ContainerBroker(Connections(), {path!r})
for number in range({start}, {start + count}):
    broker.put_object(f'{{number:06}}' + 'x' * 200, Timestamp(1700000002), 1, 't', 'e')
    print(number, flush=True)
    if number % 50 == 49:
        broker.info()
"""
    return subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE, text=True)


def test_processes_that_write_and_read_together_lose_nothing(container):
    workers = [append_many(container.path, start, 150) for start in (0, 1000, 2000)]
    while any(worker.poll() is None for worker in workers):
        container.info()
        green.sleep(0.01)
    assert all(worker.returncode == 0 for worker in workers)
    assert container.info()['object_count'] == 450


def test_a_process_killed_at_any_moment_loses_nothing_that_it_acknowledged(container):
    acknowledged = set()
    for turn in range(4):
        worker = append_many(container.path, turn * 10_000, 5000)
        said = []
        while len(said) < 40 + turn * 37:
            said.append(worker.stdout.readline())
        worker.send_signal(signal.SIGKILL)
        rest, _ = worker.communicate()
        acknowledged |= {int(line) for line in [*said, *rest.splitlines()] if line.strip().isdecimal()}
    kept = {int(name[:6]) for name in names(container)} | {
        int(row['name'][:6]) for row in container.items_since(-1, 100_000)}
    assert acknowledged <= kept and len(acknowledged) > 300
    assert container.reading(lambda connection: connection.execute('PRAGMA integrity_check').fetchone()) == ('ok',)


# -- the file

def test_a_database_appears_whole_and_once(container, connections, tmp_path):
    again = place(connections, tmp_path, ContainerBroker, 'a', 'c')
    with pytest.raises(DatabaseExists):
        again.initialize(ts(2))
    assert container.info()['put_timestamp'] == ts(1).internal
    assert os.listdir(f'{tmp_path}/sda1/tmp') == []
    assert sorted(os.listdir(container.directory)) == ['.lock', os.path.basename(container.path)]


def test_a_commit_is_on_disk_with_the_removal_of_its_journal(container):
    settings = [container.reading(lambda connection, name=name: connection.execute(f'PRAGMA {name}').fetchone()[0])
                for name in ('synchronous', 'journal_mode')]
    assert settings == [3, 'delete']


def test_a_database_that_is_gone_says_so(container):
    container.info()
    assert container.remove()
    for act in (container.info, lambda: container.put_object('o', ts(2), 1, 't', 'e'), container.metadata):
        with pytest.raises(DatabaseMissing):
            act()
    assert container.is_deleted()
    assert not os.path.exists(os.path.dirname(container.directory))


def test_a_database_that_was_replaced_is_read_anew(container, connections, tmp_path):
    container.info()
    other = place(connections, tmp_path / 'other', ContainerBroker, 'a', 'other')
    other.initialize(ts(9))
    os.replace(other.path, container.path)
    assert container.info()['container'] == 'other'


@pytest.mark.parametrize('damage', [b'', b'x' * 5000, b'SQLite format 3\0' + b'\xff' * 5000])
def test_a_damaged_database_is_moved_aside(container, connections, damage, tmp_path):
    connections.close()
    with open(container.path, 'wb') as file:
        file.write(damage)
    if damage:
        with pytest.raises(DatabaseCorrupt):
            container.info()
        assert not container.exists
        assert os.listdir(f'{tmp_path}/sda1/quarantined/containers') == ['d' * 32]
    else:       # no table at all is no damage that SQLite knows of, but is none of ours either
        with pytest.raises(DatabaseCorrupt):
            container.info()


def test_what_others_hold_for_too_long_is_given_up(container, monkeypatch):
    monkeypatch.setattr('swift.db.connections.PATIENCE', 0.1)
    holder = sqlite3.connect(container.path, isolation_level=None)
    holder.execute('BEGIN EXCLUSIVE')
    started = time.monotonic()
    from swift.db import connections as module
    with pytest.raises(DatabaseBusy):
        module.write(container.pool, container.path, lambda connection: None, patience=0.1)
    assert time.monotonic() - started < 5
    holder.execute('ROLLBACK')
    holder.close()
    container.set_put_timestamp(ts(5))
    assert container.info()['put_timestamp'] == ts(5).internal


def test_others_run_while_one_waits_for_a_held_database(container):
    holder = sqlite3.connect(container.path, isolation_level=None, check_same_thread=False)
    holder.execute('BEGIN EXCLUSIVE')
    waiting = green.spawn(container.set_put_timestamp, ts(5))
    for _ in range(5):
        green.sleep(0.01)
    holder.execute('ROLLBACK')
    holder.close()
    waiting.wait(10)
    assert container.info()['put_timestamp'] == ts(5).internal


def test_connections_are_kept_within_bounds(tmp_path):
    connections = Connections(3)
    brokers = [place(connections, tmp_path / str(number), ContainerBroker, 'a', str(number)) for number in range(10)]
    for broker in brokers:
        broker.initialize(ts(1))
    for broker in brokers * 2:
        assert broker.info()['container'] == broker.container
    assert len(connections) == 3
    connections.close()


def test_a_fork_gets_connections_of_its_own(container):
    container.info()

    def child(queue):
        green.after_fork()
        container.put_object('child', ts(2), 1, 't', 'e')
        queue.put(container.info()['object_count'])
    context = multiprocessing.get_context('fork')
    queue = context.SimpleQueue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    process.join(30)
    assert queue.get() == 1 and container.info()['object_count'] == 1


# -- life

def test_metadata_merges_by_time(container):
    container.update_metadata({'X-Container-Meta-A': ('1', ts(3).internal),
                               'X-Container-Meta-B': ('b', ts(3).internal)})
    container.update_metadata({'X-Container-Meta-A': ('0', ts(2).internal), 'X-Container-Meta-B': ('', ts(4).internal)})
    assert container.metadata() == {'X-Container-Meta-A': ['1', ts(3).internal],
                                    'X-Container-Meta-B': ['', ts(4).internal]}


def test_what_was_deleted_long_ago_is_forgotten(container):
    container.put_object('kept', ts(2), 1, 't', 'e')
    for name, second in (('old', 3), ('new', 30)):
        container.delete_object(name, ts(second))
    container.update_metadata({'X-Container-Meta-Old': ('', ts(3).internal),
                               'X-Container-Meta-New': ('', ts(30).internal)})
    container.merge_syncs([{'remote_id': 'x', 'sync_point': 3}])
    container.reclaim(ts(10), ts(10))
    assert sorted(row['name'] for row in container.items_since(-1, 9)) == ['kept', 'new']
    assert list(container.metadata()) == ['X-Container-Meta-New']
    assert container.sync_point('x') == 3
    container.reclaim(ts(10), Timestamp.now(delta=10_000_000))
    assert container.sync_point('x') == -1


def test_sync_points_only_move_on(container):
    container.merge_syncs([{'remote_id': 'x', 'sync_point': 5}, {'remote_id': 'y', 'sync_point': 1}])
    container.merge_syncs([{'remote_id': 'x', 'sync_point': 3}])
    container.merge_items([{**ROW, 'ROWID': 9, 'created_at': ts(2).internal}], 'y')
    assert (container.sync_point('x'), container.sync_point('y'), container.sync_point('z')) == (5, 9, -1)
    assert container.sync_point('x', incoming=False) == -1


# -- databases of older releases

OLD_CONTAINER = """
CREATE TABLE outgoing_sync (remote_id TEXT UNIQUE, sync_point INTEGER, updated_at TEXT DEFAULT 0);
CREATE TABLE incoming_sync (remote_id TEXT UNIQUE, sync_point INTEGER, updated_at TEXT DEFAULT 0);
CREATE TABLE object (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, created_at TEXT, size INTEGER,
    content_type TEXT, etag TEXT, deleted INTEGER DEFAULT 0);
CREATE INDEX ix_object_deleted_name ON object (deleted, name);
CREATE TABLE container_stat (account TEXT, container TEXT, created_at TEXT, put_timestamp TEXT DEFAULT '0',
    delete_timestamp TEXT DEFAULT '0', object_count INTEGER, bytes_used INTEGER,
    reported_put_timestamp TEXT DEFAULT '0', reported_delete_timestamp TEXT DEFAULT '0',
    reported_object_count INTEGER DEFAULT 0, reported_bytes_used INTEGER DEFAULT 0,
    hash TEXT default '00000000000000000000000000000000', id TEXT, status TEXT DEFAULT '',
    status_changed_at TEXT DEFAULT '0', metadata TEXT DEFAULT '');
CREATE TRIGGER object_insert AFTER INSERT ON object BEGIN
    UPDATE container_stat SET object_count = object_count + (1 - new.deleted), bytes_used = bytes_used + new.size,
        hash = chexor(hash, new.name, new.created_at); END;
CREATE TRIGGER object_update BEFORE UPDATE ON object BEGIN
    SELECT RAISE(FAIL, 'UPDATE not allowed; DELETE and INSERT'); END;
CREATE TRIGGER object_delete AFTER DELETE ON object BEGIN
    UPDATE container_stat SET object_count = object_count - (1 - old.deleted), bytes_used = bytes_used - old.size,
        hash = chexor(hash, old.name, old.created_at); END;
INSERT INTO container_stat (account, container, created_at, put_timestamp, object_count, bytes_used, id)
    VALUES ('a', 'c', '1300000000.00000', '1300000000.00000', 0, 0, 'old');
INSERT INTO object (name, created_at, size, content_type, etag) VALUES ('o', '1300000001.00000', 7, 't', 'e');
"""


def test_a_container_of_before_storage_policies_comes_along(tmp_path, connections):
    broker = place(connections, tmp_path, ContainerBroker, 'a', 'c')
    os.makedirs(broker.directory)
    made = sqlite3.connect(broker.path)
    made.create_function('chexor', 3, chexor)
    made.executescript(OLD_CONTAINER)
    made.close()
    broker.put_object('p', ts(2), 3, 't', 'e', storage_policy_index=1)
    assert names(broker) == ['o'] and names(broker, 1) == ['p']
    info = broker.info()
    assert (info['object_count'], info['bytes_used'], info['storage_policy_index']) == (1, 7, 0)
    assert info['hash'] == chexor(chexor(NOTHING, 'o', '1300000001.00000'), 'p', ts(2).internal)
    assert broker.policy_stats() == {0: (1, 7), 1: (1, 3)}
    broker.set_policy_index(1, ts(3))
    assert broker.info()['object_count'] == 1 and broker.info()['reconciler_sync_point'] == -1


def test_points_stay_when_what_they_are_about_has_changed(tmp_path, connections):
    broker = place(connections, tmp_path, ContainerBroker, 'a', 'c')
    broker.initialize(ts(1))
    before = broker.info()
    broker.advance_sync_points(before, 7, 3)
    assert [broker.info()[f'x_container_sync_point{number}'] for number in (1, 2)] == [7, 3]
    broker.advance_sync_points(before, 9, 9)       # somebody else went on since
    before = broker.info()
    broker.update_metadata({'X-Container-Sync-To': ['//realm/there/a/c', ts(2).internal]})
    broker.advance_sync_points(before, 9, 9)       # they lead elsewhere by now
    assert [broker.info()[f'x_container_sync_point{number}'] for number in (1, 2)] == [7, 3]
    broker.set_reconciler_point(5, 0)
    broker.set_policy_index(1, ts(3))
    broker.set_reconciler_point(6, 0)              # of rows that are where they belong by now
    assert broker.info()['reconciler_sync_point'] == -1


OLD_ACCOUNT = """
CREATE TABLE outgoing_sync (remote_id TEXT UNIQUE, sync_point INTEGER, updated_at TEXT DEFAULT 0);
CREATE TABLE incoming_sync (remote_id TEXT UNIQUE, sync_point INTEGER, updated_at TEXT DEFAULT 0);
CREATE TABLE container (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, put_timestamp TEXT,
    delete_timestamp TEXT, object_count INTEGER, bytes_used INTEGER, deleted INTEGER DEFAULT 0);
CREATE INDEX ix_container_deleted_name ON container (deleted, name);
CREATE TABLE account_stat (account TEXT, created_at TEXT, put_timestamp TEXT DEFAULT '0',
    delete_timestamp TEXT DEFAULT '0', container_count INTEGER, object_count INTEGER DEFAULT 0,
    bytes_used INTEGER DEFAULT 0, hash TEXT default '00000000000000000000000000000000', id TEXT,
    status TEXT DEFAULT '', status_changed_at TEXT DEFAULT '0', metadata TEXT DEFAULT '');
INSERT INTO container (name, put_timestamp, delete_timestamp, object_count, bytes_used)
    VALUES ('c', '1300000000.00000', '0', 3, 30);
INSERT INTO account_stat (account, created_at, container_count, object_count, bytes_used, id)
    VALUES ('a', '1300000000.00000', 1, 3, 30, 'old');
"""


def test_an_account_of_before_storage_policies_comes_along(tmp_path, connections):
    broker = place(connections, tmp_path, AccountBroker, 'a')
    os.makedirs(broker.directory)
    made = sqlite3.connect(broker.path)
    made.executescript(OLD_ACCOUNT)
    made.close()
    broker.put_container('d', ts(2), Timestamp(0), 4, 40, 1)
    assert [(row[0], row[4]) for row in broker.list_containers(Page(10))] == [('c', 0), ('d', 1)]
    assert broker.policy_stats() == [(0, 1, 3, 30), (1, 1, 4, 40)]


# -- which policy wins

def about(index, changed, put=None, deleted=0, count=0):
    return {'storage_policy_index': index, 'status_changed_at': ts(changed).internal,
            'put_timestamp': ts(changed if put is None else put).internal,
            'delete_timestamp': ts(deleted).internal if deleted else '0', 'object_count': count}


@pytest.mark.parametrize('one, other, index', [
    (about(0, 1), about(1, 2), 0),                          # the first made
    (about(0, 5, deleted=4), about(1, 2), 0),               # the other was deleted since, unseen
    (about(0, 4, put=1, deleted=4), about(1, 5), 1),        # one is deleted
    (about(0, 9, deleted=8), about(1, 5, deleted=4), 0),    # made again later, after a deletion the other missed
    (about(0, 6, deleted=4), about(1, 5, deleted=4), 1),    # both made again after the same deletion
    (about(1, 3), about(0, 3), 0)])
def test_the_policy_that_wins_is_the_same_from_both_sides(one, other, index):
    assert policy.winner(one, other)['storage_policy_index'] == index
    assert policy.winner(other, one)['storage_policy_index'] == index

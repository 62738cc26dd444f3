"""The object store loses nothing: processes are killed and stopped, files spoiled, and everything comes home.

Real processes, four devices in three zones, three replicas.  What the proxy said
yes to is checked byte for byte on every device that should have it, in every
replica of every listing, and for its absence elsewhere.
"""

import contextlib
import itertools
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys

import pytest

from strata import green
from strata.testing import wait
from swift.direct import Refused
from tests.swift_cluster import KINDS, Cluster
from tests.swift_processes import ACCOUNT, LOST, ROOT, Client, Ledger, Processes, open_uploads, side_by_side

pytestmark = [pytest.mark.probe, pytest.mark.timeout(240)]

CLIENTS = 5
ROUNDS = 6
NUMBERS = itertools.count()


@pytest.fixture(scope='module')
def running(tmp_path_factory):
    with Processes(tmp_path_factory.mktemp('swift')) as made:
        made.start()
        yield made


@pytest.fixture
def cluster(running):
    """All servers up."""
    running.start()
    return running


@pytest.fixture
def ledger(cluster):
    """Of a new container."""
    name = f'c{next(NUMBERS)}'
    assert cluster.client.ask('PUT', f'/{name}').status == 201
    return Ledger(name)


def fill(cluster, ledger, count=6, size=3000):
    """Some objects of various sizes."""
    for number in range(count):
        assert ledger.put(cluster.client, f'first {number}', os.urandom(number * size)) == 201


def work(cluster, ledger, tell, rounds=ROUNDS):
    """Clients write, read, delete and list; returns what was answered with 5xx or not at all."""
    failed = []

    def get(client, path, expected=None):
        try:
            said = client.ask('GET', path)
        except LOST as error:
            failed.append(('GET', path, repr(error)))
            return
        if said.status not in (200, 204) or (expected is not None and said.body != expected):
            failed.append(('GET', path, said.status))

    def one(number):
        client = Client(cluster.port)
        chance = random.Random(number)
        for count in range(rounds):
            tell()
            mine = [name for name in ledger.there if name.startswith(f'of {number} ')]
            data = chance.randbytes(chance.choice((0, 100, 20000, 200000)))
            status = ledger.put(client, f'of {number} ü{count}', data)
            if status != 201:
                failed.append(('PUT', count, status))
            for name in mine[:2]:
                get(client, f'/{ledger.container}/{name}', ledger.there[name])
            if count % 3 == 2 and mine:
                status = ledger.delete(client, mine[0])
                if status != 204:
                    failed.append(('DELETE', mine[0], status))
            get(client, f'/{ledger.container}?prefix=of')
            get(client, '?limit=10')
        client.close()
    side_by_side(CLIENTS, one)
    return failed


@pytest.mark.parametrize('kind', ['object', 'container', 'account', 'node'])
def test_a_storage_server_that_is_killed_under_load_fails_no_request_and_catches_up(cluster, ledger, kind):
    fill(cluster, ledger)
    node = cluster.primaries(ACCOUNT, ledger.container)[0]
    victims = cluster.of(node) if kind == 'node' else [f'{kind}{node.number}']
    turns = 0

    def tell():
        nonlocal turns
        turns += 1
        if turns == CLIENTS * ROUNDS // 3:
            cluster.signal(signal.SIGKILL, *victims)
    failed = work(cluster, ledger, tell)
    assert not failed
    assert ledger.delete(cluster.client, 'first 1') == 204
    assert ledger.put(cluster.client, 'first 2', b'again') == 201
    assert cluster.client.ask('PUT', f'/{ledger.container}-more').status == 201
    cluster.begin(*victims)
    cluster.converge(ledger)
    more = Ledger(f'{ledger.container}-more')
    cluster.check(more)


def test_all_servers_killed_at_once_forget_nothing_that_was_acknowledged(cluster, ledger):
    fill(cluster, ledger)
    everything = [*cluster.of(*cluster.nodes)]
    turns = 0

    def tell():
        nonlocal turns
        turns += 1
        if turns == CLIENTS * 3:
            cluster.signal(signal.SIGKILL, *everything)
    work(cluster, ledger, tell, rounds=5)
    cluster.begin(*everything)

    def trusted():
        return cluster.client.ask('HEAD', f'/{ledger.container}').status == 204
    wait.until(trusted, 20, 'servers are trusted again')
    cluster.converge(ledger)


def test_a_download_goes_on_when_its_server_is_killed(cluster, ledger):
    data = random.Random(1).randbytes(24 << 20)
    assert ledger.put(cluster.client, 'large', data) == 201
    for node in cluster.primaries(ACCOUNT, ledger.container, 'large')[:2]:
        client = Client(cluster.port)
        client.connection.request('GET', f'/v1/{ACCOUNT}/{ledger.container}/large')
        answer = client.connection.getresponse()
        got = answer.read(65536)
        cluster.kill(f'object{node.number}')
        got += answer.read()
        assert got == data
        client.close()
        cluster.begin(f'object{node.number}')
    cluster.converge(ledger)


def test_the_auditor_puts_spoiled_objects_aside_and_the_replicator_brings_them_back(cluster, ledger):
    fill(cluster, ledger, count=6)
    cluster.sweep()         # all hashes are known

    def file(number, name):
        folder = cluster.hash_dir(cluster.primaries(ACCOUNT, ledger.container, name)[number], ledger.container, name)
        return next(folder.glob('*.data'))

    def flip(path):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        with open(path, 'r+b') as out:
            out.write(data)
    flip(file(0, 'first 1'))
    os.truncate(file(1, 'first 2'), 100)
    os.setxattr(file(2, 'first 3'), 'user.swift.metadata', b'not a pickle')
    os.removexattr(file(0, 'first 4'), 'user.swift.metadata')
    os.truncate(file(1, 'first 5'), 0)
    cluster.once('object-auditor')
    aside = [path for node in cluster.nodes for path in (node.disk / 'quarantined' / 'objects').glob('*')]
    assert len(aside) >= 5
    cluster.converge(ledger)
    for node in cluster.nodes:
        shutil.rmtree(node.disk / 'quarantined', ignore_errors=True)


def test_a_reader_never_gets_spoiled_bytes_and_what_it_met_is_brought_back(cluster, ledger):
    data = os.urandom(50000)
    ledger.put(cluster.client, 'one', data)
    node = cluster.primaries(ACCOUNT, ledger.container, 'one')[0]
    path = next(cluster.hash_dir(node, ledger.container, 'one').glob('*.data'))
    os.truncate(path, 1000)

    def met():
        said = cluster.client.ask('GET', f'/{ledger.container}/one')
        assert (said.status, said.body) == (200, data)
        return not path.exists()
    for _ in range(60):
        if met():
            break
    assert not path.exists(), 'nobody looked at it'
    cluster.converge(ledger)


def test_removed_files_partitions_and_databases_come_back(cluster, ledger):
    fill(cluster, ledger)
    cluster.sweep()         # all hashes are known
    here = cluster.primaries(ACCOUNT, ledger.container, 'first 1')[0]
    shutil.rmtree(cluster.hash_dir(here, ledger.container, 'first 1').parents[1])     # its partition
    database = cluster.databases('container', ledger.container)
    database[min(database)].unlink()
    next(cluster.hash_dir(cluster.primaries(ACCOUNT, ledger.container, 'first 2')[1],
                          ledger.container, 'first 2').glob('*.data')).unlink()
    shutil.rmtree(cluster.hash_dir(cluster.primaries(ACCOUNT, ledger.container, 'first 3')[2],
                                   ledger.container, 'first 3'))
    cluster.once('object-auditor')
    cluster.converge(ledger)


def test_spoiled_databases_are_put_aside_and_come_back(cluster, ledger):
    fill(cluster, ledger)
    databases = cluster.databases('container', ledger.container)
    first, second = sorted(databases)[:2]
    cluster.kill(f'container{first}', f'container{second}')
    with open(databases[first], 'r+b') as file:
        file.write(b'nonsense' * 500)
    os.truncate(databases[second], 3000)
    account = cluster.databases('account')
    third = sorted(account)[0]
    cluster.kill(f'account{third}')
    with open(account[third], 'r+b') as file:
        file.seek(100)
        file.write(b'\xff' * 3000)
    cluster.begin(f'container{first}', f'container{second}', f'account{third}')
    cluster.once('container-auditor', 'account-auditor')
    assert not (databases[first].exists() and databases[second].exists() and account[third].exists())
    assert any((cluster.nodes[first].disk / 'quarantined').rglob('*.db'))
    cluster.converge(ledger)


def test_an_empty_disk_in_the_place_of_a_full_one_is_filled(cluster, ledger):
    fill(cluster, ledger)
    node = cluster.nodes[1]
    cluster.kill(*cluster.of(node))
    node.wipe()
    cluster.begin(*cluster.of(node))
    assert ledger.put(cluster.client, 'first 1', b'newer') == 201
    assert ledger.delete(cluster.client, 'first 2') == 204
    cluster.converge(ledger)


def test_the_proxy_goes_on_without_a_node_that_hangs(cluster, ledger):
    fill(cluster, ledger, count=3)
    node = cluster.primaries(ACCOUNT, ledger.container)[1]
    cluster.signal(signal.SIGSTOP, *cluster.of(node))
    try:
        for number in range(2):
            with green.timeout(40, AssertionError('no answer in time')):
                assert ledger.put(cluster.client, f'second {number}', os.urandom(5000)) == 201
                said = cluster.client.ask('GET', f'/{ledger.container}/first {number % 3}')
                assert said.body == ledger.there[f'first {number % 3}']
                assert cluster.client.names(ledger.container)
        assert ledger.delete(cluster.client, 'first 0') == 204
    finally:
        cluster.signal(signal.SIGCONT, *cluster.of(node))
    cluster.converge(ledger)


def test_nothing_is_to_be_seen_of_an_upload_whose_proxy_was_killed(cluster, ledger):
    fill(cluster, ledger, count=2)
    before = cluster.files('.data')
    with socket.create_connection(('127.0.0.1', cluster.port)) as sock:
        sock.sendall(f'PUT /v1/{ACCOUNT}/{ledger.container}/half HTTP/1.1\r\nHost: x\r\n'
                     f'Content-Length: 2000000\r\n\r\n'.encode() + bytes(1000000))
        homes = [f'object{node.number}' for node in cluster.primaries(ACCOUNT, ledger.container, 'half')]
        wait.until(lambda: all(open_uploads(cluster.pids[name]) for name in homes), 10, 'they write')
        cluster.kill('proxy')
    wait.until(lambda: not any(open_uploads(cluster.pids[name]) for name in homes), 10, 'they let go')
    cluster.begin('proxy')
    assert cluster.client.ask('GET', f'/{ledger.container}/half').status == 404
    assert cluster.files('.data') == before
    ledger.gone.add('half')
    cluster.converge(ledger)


def test_an_object_server_killed_before_it_told_the_container_leaves_no_gap_in_listings(cluster, ledger):
    listing = cluster.primaries(ACCOUNT, ledger.container)[0]
    for turn in range(3):
        name = f'object {turn}'
        homes = cluster.primaries(ACCOUNT, ledger.container, name)
        victim = homes[turn]
        cluster.signal(signal.SIGSTOP, f'container{listing.number}')
        upload = green.spawn(ledger.put, Client(cluster.port), name, os.urandom(1000))
        wait.until(lambda name=name: len(cluster.holdings(ledger.container, name)) == 3, 10, 'all have the object')
        cluster.kill(f'object{victim.number}')
        assert upload.wait() == 201
        cluster.kill(f'container{listing.number}')      # what it had not read is lost
        cluster.begin(f'object{victim.number}', f'container{listing.number}')
    cluster.converge(ledger)


def test_what_a_container_server_missed_is_kept_through_a_kill_and_delivered_by_the_updater(cluster, ledger):
    listing = cluster.primaries(ACCOUNT, ledger.container)[0]
    cluster.kill(f'container{listing.number}')
    for number in range(4):
        assert ledger.put(cluster.client, f'object {number}', b'x' * number) == 201
    assert ledger.delete(cluster.client, 'object 3') == 204
    wait.until(lambda: sum('/async_pending/' in str(path) for path in cluster.files()) >= 4, 10, 'updates are kept')
    servers = [f'object{node.number}' for node in cluster.nodes]
    cluster.kill(*servers)
    cluster.begin(*servers, f'container{listing.number}')
    cluster.once('object-updater')
    assert not [path for path in cluster.files() if '/async_pending/' in str(path)]
    for node, names in cluster.replicas_of_listing(ledger.container):
        assert names == sorted(ledger.there), node.number
    cluster.converge(ledger)


def test_daemons_can_be_killed_at_any_time(cluster, ledger):
    node = cluster.primaries(ACCOUNT, ledger.container)[0]
    cluster.kill(*cluster.of(node))
    fill(cluster, ledger, count=30, size=500)
    for number in range(0, 30, 3):
        assert ledger.delete(cluster.client, f'first {number}') == 204
    cluster.begin(*cluster.of(node))
    chance = random.Random(5)
    for daemon in ('object_replicator', 'container_replicator', 'object_updater'):
        pids = [cluster.fork(daemon, [each.conf(daemon.partition('_')[0]), 'once'], f'killed{each.number}.log')
                for each in cluster.nodes]
        green.sleep(chance.uniform(0.05, 0.4))       # wherever they are by then
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    cluster.converge(ledger)
    for path in cluster.databases('container', ledger.container).values():
        with contextlib.closing(sqlite3.connect(path)) as database:
            assert database.execute('PRAGMA integrity_check').fetchone() == ('ok',)


# -- disks and networks that only root can spoil

def run(*argv):
    """A command that has to succeed."""
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, (argv, done.stderr)
    return done.stdout


@pytest.fixture
def small_disk(running, tmp_path):
    """The last node's device becomes an XFS of 300 MiB; yields the node."""
    if not shutil.which('mkfs.xfs'):
        pytest.skip('needs mkfs.xfs (package xfsprogs)')
    running.start()
    node = running.nodes[-1]
    image = tmp_path / 'disk'
    with open(image, 'wb') as file:
        file.truncate(300 << 20)
    run('mkfs.xfs', '-q', str(image))
    running.kill(*running.of(node))
    node.wipe()
    run('mount', '-o', 'loop', str(image), str(node.disk))
    try:
        running.start()
        running.sweep()
        yield node
    finally:
        running.kill(*running.of(node))
        run('umount', str(node.disk))
        running.start()


@pytest.mark.root
def test_a_full_disk_is_answered_507_and_what_went_elsewhere_comes_home_when_there_is_room(cluster, small_disk, ledger):
    node = small_disk
    fill(cluster, ledger, count=4)
    found = os.statvfs(node.disk)
    filler = node.disk / 'filler'
    with open(filler, 'wb') as file:
        os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - (1 << 20))
    name = next(name for name in map(str, range(100)) if node in cluster.primaries(ACCOUNT, ledger.container, name))
    part, devices = cluster.ring().get_nodes(ACCOUNT, ledger.container, name)
    device = next(each for each in devices if each['device'] == node.device)
    with pytest.raises(Refused) as refused:
        cluster.direct.put(device, part, ACCOUNT, ledger.container, name, body=b'x',
                           headers={'Content-Type': 'text/plain'})
    assert refused.value.code == 507
    for each in (name, *(f'more {number}' for number in range(6))):
        assert ledger.put(cluster.client, each, os.urandom(70000)) == 201
        assert cluster.client.ask('GET', f'/{ledger.container}/{each}').body == ledger.there[each]
    assert node.number not in cluster.holdings(ledger.container, name)
    assert len(cluster.holdings(ledger.container, name)) == 3, 'a handoff stands in'
    assert ledger.delete(cluster.client, 'first 1') == 204
    filler.unlink()
    cluster.converge(ledger)
    with pytest.raises(Refused) as refused:     # it is not there, and the disk is there again
        cluster.direct.head(device, part, ACCOUNT, ledger.container, 'none')
    assert refused.value.code == 404


@pytest.fixture
def cut(tmp_path):
    """A cluster whose last node is a machine of its own, as the network sees it, and the cable to it."""
    mark = f'{os.getpid() % 100000}'
    space, ours, theirs = f'swift{mark}', f'sw{mark}a', f'sw{mark}b'
    run('ip', 'netns', 'add', space)
    try:
        run('ip', 'link', 'add', ours, 'type', 'veth', 'peer', 'name', theirs, 'netns', space)
        run('ip', 'address', 'add', '198.18.213.1/30', 'dev', ours)
        run('ip', 'link', 'set', ours, 'up')
        run('ip', '-n', space, 'address', 'add', '198.18.213.2/30', 'dev', theirs)
        run('ip', '-n', space, 'link', 'set', theirs, 'up')
        run('ip', '-n', space, 'link', 'set', 'lo', 'up')
        addresses = ['198.18.213.1'] * 3 + ['198.18.213.2']
        with Processes(tmp_path / 'cut', addresses=addresses, networks={3: space}) as made:
            made.start()
            yield made, lambda state: run('ip', '-n', space, 'link', 'set', theirs, state)
    finally:
        run('ip', 'netns', 'del', space)


@pytest.mark.root
def test_a_node_that_is_cut_off_is_done_without_and_catches_up(cut):
    cluster, cable = cut
    assert cluster.client.ask('PUT', '/c').status == 201
    ledger = Ledger('c')
    fill(cluster, ledger, count=4)
    cable('down')
    for number in range(6):
        with green.timeout(40, AssertionError('no answer in time')):
            assert ledger.put(cluster.client, f'second {number}', os.urandom(3000)) == 201
            said = cluster.client.ask('GET', f'/c/first {number % 4}')
            assert (said.status, said.body) == (200, ledger.there[f'first {number % 4}'])
    assert ledger.delete(cluster.client, 'first 0') == 204
    # those that still see each other do what they can, and the one alone does no harm
    cluster.once('object-replicator', 'container-replicator')
    assert set(cluster.client.names('c')) == set(ledger.there)
    cable('up')
    wait.until(lambda: cluster.listens('object3'), 20, 'it can be reached again')
    cluster.converge(ledger)


# -- the command that starts all of it

def test_swift_init_starts_shows_and_stops_every_server_of_a_host(tmp_path):
    host = Cluster(tmp_path / 'host', devices=1, zones=1, replicas=1, start=False)
    for kind in KINDS:
        shutil.copy(host.nodes[0].conf(kind), host.swift_dir / f'{kind}-server.conf')
    folders = ['--swift-dir', str(host.swift_dir), '--run-dir', str(tmp_path / 'run'), '--log-dir', str(tmp_path)]

    def init(*words):
        return subprocess.run([sys.executable, '-m', 'swift.cli.init', *words, *folders], capture_output=True,
                              text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    started = init('main', 'start')
    client = Client(host.port)
    try:
        assert started.returncode == 0, started.stdout + started.stderr

        def stored():
            with contextlib.suppress(*LOST):
                made = client.ask('PUT', '/c').status in (201, 202)
                return made and client.ask('PUT', '/c/o', b'bytes').status == 201
        wait.until(stored, 30, 'the proxy and all servers answer')
        shown = init('main', 'status')
        assert (shown.returncode, shown.stdout.count(' running (')) == (0, 4), shown.stdout
        once = init('object-replicator', 'once')
        assert once.returncode == 0, once.stdout
        again = init('object-server', 'restart')
        assert again.returncode == 0, again.stdout

        def there():
            return client.ask('GET', '/c/o').body == b'bytes'
        wait.until(there, 20, 'it is still there')
    finally:
        stopped = init('main', 'stop', '--kill-after-timeout', '-k', '20')
        client.close()
    assert stopped.returncode == 0, stopped.stdout
    assert init('main', 'status').returncode == 1

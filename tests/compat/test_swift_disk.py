"""Swift 2.38's object server and ours on the same disk: each serves, changes and hashes what the other wrote.

The other Swift is run as operators run it: its server and its daemons, as processes.
"""

import hashlib
import os
import pathlib
import random
import subprocess
import tempfile
import time

import pytest

from strata.testing import ports, wait
from swift.obj import metadata as metadatas
from swift.ring import files as ring_files
from swift.ring.builder import RingBuilder
from swift.storage import pickles
from tests.functional.test_swift_object_server import Containers, documents
from tests.swift_objects import DEVICE, ObjectHttp, later, md5, settings

pytestmark = pytest.mark.slow


#: their programs know one place of swift.conf only
RUN = """
import runpy, sys
import swift.common.utils as utils
utils.SWIFT_CONF_FILE = sys.argv[1]
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


class Theirs(ObjectHttp):
    """The other's object server, asked as ours is."""

    def __init__(self, root, programs):
        self.root = root
        self.disk = root / 'node' / DEVICE
        self.programs = programs
        self._port = ports.free_port()
        self.conf = write_conf(root, self._port)
        self.process = subprocess.Popen(self.command('server'), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait.until(self.answers, timeout=30)

    def command(self, name, *words):
        return [f'{self.programs}/python', '-P', '-c', RUN, str(self.root / 'etc' / 'swift.conf'),
                f'{self.programs}/swift-object-{name}', self.conf, *words]

    @property
    def port(self):
        return self._port

    def answers(self):
        try:
            return self.ask('OPTIONS', path='/').status == 200
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def daemon(self, name):
        done = subprocess.run(self.command(name, 'once', '-v'), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


def write_conf(root, port):
    given = settings(root)
    path = root / 'etc' / f'object-{port}.conf'
    default = ''.join(f'{name} = {value}\n' for name, value in given.items())
    path.write_text(f'[DEFAULT]\n{default}user = {os.environ.get("USER") or "root"}\nbind_ip = 127.0.0.1\n'
                    f'bind_port = {port}\nworkers = 0\nlog_level = ERROR\n'
                    '[pipeline:main]\npipeline = object-server\n[app:object-server]\nuse = egg:swift#object\n'
                    '[object-auditor]\nzero_byte_files_per_second = 1000\n[object-updater]\n')
    return str(path)


@pytest.fixture(scope='module')
def pair(tmp_path_factory, swift_2_38):
    """(theirs, ours), on one disk, of a kind that holds any amount of attributes if there is one."""
    shared = '/dev/shm' if os.path.isdir('/dev/shm') else tmp_path_factory.getbasetemp()
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        servers = Theirs(pathlib.Path(folder), swift_2_38), ObjectHttp(pathlib.Path(folder))
        yield servers
        for each in servers:
            each.stop()


#: what an answer must have in common
SHOWN = ('Content-Type', 'Content-Length', 'Etag', 'Last-Modified', 'X-Timestamp', 'X-Backend-Timestamp',
         'X-Backend-Data-Timestamp', 'X-Backend-Durable-Timestamp', 'X-Delete-At', 'Content-Encoding', 'Content-Range',
         'X-Static-Large-Object')


def seen(server, name, headers=None, method='GET', policy=None):
    answer = server.ask(method, name, headers=headers, policy=policy)
    shown = {header: answer.headers[header] for header in SHOWN}
    shown.update({header: value for header, value in answer.headers.items() if header.startswith('X-Object-')})
    if answer.status >= 300:
        del shown['Content-Length'], shown['Content-Type']
    return answer.status, shown, answer.body if answer.status < 400 else b''


@pytest.mark.parametrize('writer', [0, 1], ids=['theirs', 'ours'])
@pytest.mark.parametrize('policy', [0, 1])
def test_each_serves_what_the_other_wrote(pair, writer, policy):
    write = pair[writer]
    story = f'{writer}{policy}-'
    write.ask('PUT', story + 'plain', b'hello', policy=policy)
    write.ask('PUT', story + 'empty', b'', policy=policy)
    write.ask('PUT', story + 'ünï/\u65e5\u672c\U0001f600', b'x', {
        'X-Object-Meta-Color': 'bläu'.encode(), 'Content-Type': 'text/plain; charset="ü"'.encode(),
        'X-Object-Meta-Empty': '', 'X-Object-Sysmeta-S': 's', 'X-Object-Transient-Sysmeta-T': 't',
        'Content-Encoding': 'gzip', 'X-Delete-At': '9999999999', 'X-Static-Large-Object': 'True'}, policy=policy)
    write.ask('PUT', story + 'large', os.urandom(1 << 20), policy=policy)
    write.ask('PUT', story + 'much', b'x', {
        f'X-Object-Meta-{number}': 'y' * 200 for number in range(15 if writer else 5)}, policy=policy)
    for name in ('posted', 'typed', 'both'):
        write.ask('PUT', story + name, b'x', {'X-Object-Meta-A': '1', 'X-Object-Sysmeta-S': 's'}, policy=policy)
        typed, posted = later(), later(0.1)
        if name != 'posted':
            write.ask('POST', story + name, headers={'X-Timestamp': typed.internal, 'Content-Type': 'image/ü'.encode(),
                                                     'X-Object-Meta-B': '2'}, policy=policy)
        if name != 'typed':
            write.ask('POST', story + name, headers={'X-Timestamp': posted.internal, 'X-Object-Meta-C': 'ü'.encode()},
                      policy=policy)
    write.ask('PUT', story + 'gone', b'x', policy=policy)
    write.ask('DELETE', story + 'gone', policy=policy)
    write.ask('DELETE', story + 'never', policy=policy)
    for name in ('plain', 'empty', 'ünï/\u65e5\u672c\U0001f600', 'large', 'much', 'posted', 'typed', 'both', 'gone',
                 'never'):
        for method in ('GET', 'HEAD'):
            for headers in ({}, {'Range': 'bytes=2-3'}, {'If-None-Match': md5(b'x')}):
                theirs, ours = (seen(each, story + name, headers, method, policy) for each in pair)
                assert theirs == ours, (name, method, headers)
        assert seen(pair[1], story + name, policy=policy)[0] == (404 if name in ('gone', 'never') else 200)


def test_each_continues_what_the_other_began(pair):
    for number, (one, other) in enumerate((pair, pair[::-1])):
        name = f'continued-{number}'
        one.ask('PUT', name, b'one', {'X-Object-Sysmeta-S': 's'})
        assert other.ask('POST', name, headers={'X-Object-Meta-A': 'ü'.encode()}).status == 202
        assert one.ask('POST', name, headers={'Content-Type': 'a/b'}).status == 202
        assert other.ask('POST', name, headers={'X-Object-Meta-B': '2'}).status == 202
        assert seen(one, name) == seen(other, name)
        assert seen(one, name)[1]['Content-Type'] == 'a/b'
        old = later(-10).internal
        for each in (one, other):
            assert each.ask('DELETE', name, headers={'X-Timestamp': old}).status == 409
        assert other.ask('PUT', name, b'two').status == 201
        assert seen(one, name)[2] == b'two'
        assert one.ask('DELETE', name).status == 204
        gone = [each.ask('GET', name).headers['X-Backend-Timestamp'] for each in pair]
        assert gone[0] == gone[1]
        assert other.ask('PUT', name, b'stale', {'X-Timestamp': old}).status == 409


@pytest.mark.parametrize('deleted', [True, False])
def test_metadata_without_data_wait_for_data_that_are_older(pair, deleted):
    for number, server in enumerate(pair):
        name, (began, gone, put, posted) = f'waits-{deleted}-{number}', (later(each) for each in range(-40, 0, 10))
        server.ask('PUT', name, b'first', {'X-Timestamp': began.internal})
        server.ask('POST', name, headers={'X-Timestamp': posted.internal, 'X-Object-Meta-A': '1',
                                          'Content-Type': 'a/b'})
        data, = (server.disk / 'objects').rglob(f'{pair[1].file(name).hash}/*.data')
        data.unlink()       # as where the POST was replicated and the PUT not yet
        if deleted:
            server.ask('DELETE', name, headers={'X-Timestamp': gone.internal})
        assert [seen(each, name)[0] for each in pair] == [404, 404]
        assert server.ask('PUT', name, b'data', {'X-Timestamp': put.internal, 'X-Object-Meta-B': '2'}).status == 201
        theirs, ours = (seen(each, name) for each in pair)
        assert theirs == ours
        assert (ours[1]['X-Object-Meta-A'], ours[1]['Content-Type'], ours[2]) == ('1', 'a/b', b'data')
        assert 'X-Object-Meta-B' not in ours[1]


def test_metadata_after_the_data_is_taken_in_the_same_form(pair):
    for number, server in enumerate(pair):
        name = f'footer-{number}'
        good = documents(b'data', {'X-Object-Sysmeta-A': '1', 'X-Object-Meta-B': '2', 'Etag': md5(b'data')})
        bad = documents(b'data', {'Etag': md5(b'other')})
        headers = {'X-Backend-Obj-Metadata-Footer': 'yes', 'X-Backend-Obj-Multipart-Mime-Boundary': 'mark',
                   'X-Backend-Obj-Content-Length': '4'}
        assert server.ask('PUT', name, iter([bad]), headers).status == 422
        assert server.ask('PUT', name, iter([good]), headers).status == 201
        theirs, ours = (seen(each, name) for each in pair)
        assert theirs == ours
        assert (ours[1]['X-Object-Sysmeta-A'], ours[1]['X-Object-Meta-B'], ours[2]) == ('1', '2', b'data')


def test_metadata_that_fills_several_attributes_is_read_by_the_other(pair, tmp_path):
    ours = pair[1]
    if ours.store.capacity(DEVICE) is not None:
        pytest.skip('this file system holds no more than one attribute')
    for number, one in enumerate(pair):
        # they write eight bytes for this letter, but take fewer headers than we do
        value, count = ('y' * 8000, 20) if number else ('ü'.encode() * 2000, 10)
        much = {f'X-Object-Sysmeta-{each}': value for each in range(count)}
        assert one.ask('PUT', f'split-{number}', b'x', much).status == 201
        path = next((ours.disk / 'objects').rglob(f'{ours.file(f"split-{number}").hash}/*.data'))
        assert f'{metadatas.KEY}1' in os.listxattr(path)
        theirs, mine = (seen(each, f'split-{number}') for each in pair)
        assert theirs == mine
        assert len(mine[1]['X-Object-Sysmeta-9']) == len(value)


def test_hashes_of_suffixes_are_the_same(pair, tmp_path):
    theirs, ours = pair
    rng = random.Random(7)
    base = int(time.time()) - 100
    partitions = range(1000, 1060)
    for partition in partitions:
        for _ in range(rng.randrange(1, 4)):
            digest = hashlib.md5(str(rng.random()).encode()).hexdigest()
            for server in pair:
                place = server.disk / 'objects' / str(partition + 100 * pair.index(server)) / digest[-3:] / digest
                place.mkdir(parents=True)
            for name in random_files(rng, base):
                for index in range(2):
                    (ours.disk / 'objects' / str(partition + 100 * index) / digest[-3:] / digest / name).touch()
    for partition in partitions:
        one, other = (pickles.loads(server.ask('REPLICATE', path=f'/{DEVICE}/{partition + 100 * index}').body)
                      for index, server in enumerate(pair))
        assert one == other, partition
        left = [sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.suffix)
                for folder in (ours.disk / 'objects' / str(partition + 100 * index) for index in range(2))]
        assert [each for each in left[0] if 'hashes' not in each] == [each for each in left[1] if 'hashes' not in each]
        # and of what the other computed
        assert pickles.loads(ours.ask('REPLICATE', path=f'/{DEVICE}/{partition}').body) == one
        assert pickles.loads(theirs.ask('REPLICATE', path=f'/{DEVICE}/{partition + 100}').body) == one


def random_files(rng, base):
    for _ in range(rng.randrange(0, 5)):
        when = base + rng.randrange(5) if rng.random() < 0.9 else 1000000000 + rng.randrange(5)
        stem = f'{when}.00000' + rng.choice(['', '', '', '_0000000000000001'])
        kind = rng.choice(['data', 'ts', 'meta', 'meta', 'junk'])
        if kind == 'meta' and rng.random() < 0.5:
            stem = f'{when}.00000' + rng.choice(['+0', '-186a0', '-30d40', '-493e0', '+5'])
        yield f'{stem}.{kind}'


def test_each_sees_a_change_that_the_other_noted(pair):
    theirs, ours = pair
    for one, other in (pair, pair[::-1]):
        one.ask('PUT', 'noted', b'x')
        path = f'/{DEVICE}/0'
        first = pickles.loads(other.ask('REPLICATE', path=path).body)
        one.ask('POST', 'noted', headers={'X-Object-Meta-A': '1'})
        second = pickles.loads(other.ask('REPLICATE', path=path).body)
        assert first != second
        assert second == pickles.loads(one.ask('REPLICATE', path=path).body)


def test_their_auditor_finds_nothing_wrong_with_our_objects(tmp_path, swift_2_38):
    ours = ObjectHttp(tmp_path)
    for number in range(20):
        ours.ask('PUT', f'ü{number}', os.urandom(number * 1000), {'X-Object-Meta-A': 'ü'.encode()})
    for number in range(5):
        ours.ask('POST', f'ü{number}', headers={'X-Object-Meta-B': '1', 'Content-Type': 'x/y'})
        ours.ask('DELETE', f'ü{number + 5}')
    ours.ask('PUT', 'rotten', b'hello')
    spoilt = ours.file('rotten')
    with open(f'{spoilt.path}/{os.listdir(spoilt.path)[0]}', 'r+b') as data:
        data.write(b'HELLO')
    theirs = Theirs(tmp_path, swift_2_38)
    theirs.daemon('auditor')
    theirs.stop()
    ours.stop()
    assert os.listdir(ours.disk / 'quarantined' / 'objects') == [spoilt.hash]


@pytest.mark.parametrize('writer', [0, 1], ids=['theirs', 'ours'])
def test_pending_updates_are_delivered_by_the_other(tmp_path, swift_2_38, writer):
    from strata import green
    containers = Containers()
    builder = RingBuilder(1, 1, 1)
    builder.add({'region': 1, 'zone': 1, 'ip': '127.0.0.1', 'port': containers.server.port, 'device': 'sdc',
                 'weight': 1})
    builder.rebalance(seed=1)
    settings(tmp_path)
    ring_files.write_ring(str(tmp_path / 'etc' / 'container.ring.gz'), builder.ring_data())
    servers = Theirs(tmp_path, swift_2_38), ObjectHttp(tmp_path)
    down = {'X-Container-Host': '127.0.0.1:1', 'X-Container-Device': 'sdc', 'X-Container-Partition': '0'}
    when, gone = later(), later()
    servers[writer].ask('PUT', 'ö', b'hello', {**down, 'X-Timestamp': when.internal, 'Content-Type': 'x/ü'.encode()})
    servers[writer].ask('PUT', 'o', b'stale', {**down, 'X-Timestamp': when.internal})
    servers[writer].ask('DELETE', 'o', headers={**down, 'X-Timestamp': gone.internal})
    if writer:
        green.native(servers[0].daemon, 'updater')
    else:
        from swift.obj.updater import ObjectUpdater
        updater = ObjectUpdater(settings(tmp_path))
        updater.run_once()
        updater.close()
    for each in (*servers, containers.server):
        each.stop()
    told = sorted(containers.told, key=lambda each: each[2]['X-Timestamp'])
    assert [(method, path.split('/', 3)[3]) for method, path, _ in told] == [
        ('PUT', 'a/c/\xc3\xb6'), ('DELETE', 'a/c/o')]
    headers = told[0][2]
    assert {name: headers[name] for name in ('X-Size', 'X-Content-Type', 'X-Timestamp', 'X-Etag')} == {
        'X-Size': '5', 'X-Content-Type': 'x/\xc3\xbc', 'X-Timestamp': when.internal, 'X-Etag': md5(b'hello')}
    assert told[1][2]['X-Timestamp'] == gone.internal
    assert not [path for path in (servers[1].disk / 'async_pending').rglob('*') if path.is_file()]



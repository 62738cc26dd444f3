"""The floor of all storage servers: pickles that run nothing, locks, files that are whole or not there."""

import collections
import os
import pickle
import subprocess
import sys

import pytest

from strata import green
from swift.storage import commit, devices, files, locks, pickles, quarantine, syncs
from swift.storage.errors import Locked, Unsafe


class Touch:
    """Runs a command when it is unpickled by something careless."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


#: as Swift 2.38 pickles a dictionary of headers (protocol 0)
HEADERS = (b'(dp0\nVheaders\np1\nccopy_reg\n_reconstructor\np2\n(cswift.common.header_key_dict\nHeaderKeyDict\np3\n'
           b'c__builtin__\ndict\np4\n(dp5\nVX-Size\np6\nV5\np7\nstp8\nRp9\ns.')


@pytest.mark.parametrize('value', [None, True, 7, 1.5, 'é', {'a': [1, (2, 'x')], 'b': None}, [b'', b'\xff\x00', {}]])
def test_plain_values_come_back(value):
    for protocol in range(3):
        assert pickles.loads(pickle.dumps(value, protocol)) == value
    assert pickles.loads(pickles.dumps(value)) == value


def test_headers_of_another_swift_come_back_as_a_dictionary():
    assert pickles.loads(HEADERS) == {'headers': {'X-Size': '5'}}


@pytest.mark.parametrize('protocol', range(5))
def test_a_pickle_that_would_run_something_is_refused(tmp_path, protocol):
    for value in (Touch(tmp_path / 'x'), {'a': [Touch(tmp_path / 'x')]}):
        with pytest.raises(Unsafe):
            pickles.loads(pickle.dumps(value, protocol))
    assert not (tmp_path / 'x').exists()


@pytest.mark.parametrize('data', [
    pickle.dumps(collections.OrderedDict()), pickle.dumps(os.path.join), pickle.dumps(Exception('x')),
    b'c_codecs\nencode\n(Vx\nVrot13\ntR.',      # a codec of the reader's
    b'c_codecs\ndecode\n.', b'cbuiltins\neval\n.', b'c__builtin__\ngetattr\n.',
    b'c__builtin__\nbytes\n(I1000000000000\ntR.',
    b'ccopy_reg\n_reconstructor\n(c__builtin__\ndict\nc__builtin__\nobject\nNtR.',
    b'', b'junk', b'\x80\x02', b'\x80\x05\x95\xff\xff\xff\xff\xff\xff\xff\x7f.', b'(' * 100,
    b'I' + b'9' * 5000 + b'\n.',
], ids=range(15))
def test_whatever_is_no_pickle_of_plain_values_is_refused(data):
    with pytest.raises(Unsafe):
        pickles.loads(data)


def test_a_lock_keeps_others_out_until_it_is_left(tmp_path):
    order = []

    def enter(name):
        with locks.directory(str(tmp_path / 'part'), timeout=5):
            order.append(name)
            green.sleep(0.01)
            order.append(name)
    green.Pool(4).map(enter, 'abcd')
    assert order[::2] == order[1::2]
    with locks.directory(str(tmp_path / 'part')):
        with locks.directory(str(tmp_path / 'part'), name='other', timeout=0):
            pass
        with pytest.raises(Locked), locks.directory(str(tmp_path / 'part'), timeout=0.05):
            pass


def test_a_lock_holds_between_processes_and_is_free_when_its_holder_dies(tmp_path):
    code = ('import fcntl, os, sys; fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR); fcntl.flock(fd, fcntl.LOCK_EX);'
            'print("held", flush=True); sys.stdin.read()')
    holder = subprocess.Popen([sys.executable, '-c', code, str(tmp_path / '.lock')], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b'held\n'
    with pytest.raises(Locked), locks.directory(str(tmp_path), timeout=0.05):
        pass
    holder.kill()
    holder.wait()
    with locks.directory(str(tmp_path), timeout=5):
        pass
    holder.stdin.close()
    holder.stdout.close()


def test_a_lock_whose_directory_was_removed_is_taken_in_the_new_one(tmp_path):
    part = tmp_path / 'part'
    entered = []

    def second():
        with locks.directory(str(part), timeout=5):
            entered.append((part / '.lock').exists())
    with locks.directory(str(part)):
        waiting = green.spawn(second)
        green.sleep(0)
        (part / '.lock').unlink()
        part.rmdir()
    waiting.wait(5)
    assert entered == [True]


def test_a_replaced_file_is_whole(tmp_path):
    path = tmp_path / 'a' / 'file'
    for content in (b'one', b'two', b''):
        files.replace(str(path), content, str(tmp_path / 'tmp'))
        assert path.read_bytes() == content
    assert os.listdir(tmp_path / 'tmp') == []


def test_directories_made_are_told_by_what_must_be_synced(tmp_path):
    path = str(tmp_path / 'a' / 'b' / 'c')
    assert files.make_directories(path) == [str(tmp_path), str(tmp_path / 'a'), str(tmp_path / 'a' / 'b')]
    assert files.make_directories(path) == []
    file = files.Unnamed(str(tmp_path / 'x'), str(tmp_path / 'tmp'))
    assert file.link(f'{path}/d/e') == [f'{path}/d', str(tmp_path), path]
    file.close()
    file.close()


def test_space_is_set_aside_without_changing_the_size(tmp_path):
    with open(tmp_path / 'file', 'wb') as file:
        files.allocate(file.fileno(), 1 << 20)
        state = os.fstat(file.fileno())
        assert state.st_size == 0
        assert state.st_blocks * 512 >= 1 << 20
        with pytest.raises(OSError):
            files.allocate(file.fileno(), 1 << 55)


@pytest.fixture(autouse=True)
def writes_at_once(monkeypatch):
    """However slow the disk of these tests is."""
    monkeypatch.setattr(syncs, '_writing', {})
    monkeypatch.setattr(syncs, 'SHORT', 60.0)


@pytest.fixture(params=['at once', 'by the kernel', 'by a thread'])
def way(request, monkeypatch):
    """How a sync is done: a disk that is quick, one that is not, and a kernel that cannot do it by itself."""
    monkeypatch.setattr(syncs, '_syncing', {})
    monkeypatch.setattr(syncs, 'QUICK', 60.0 if request.param == 'at once' else -1.0)
    if request.param == 'by a thread':
        monkeypatch.setattr(syncs, '_aio', lambda: None)
    elif request.param == 'by the kernel' and syncs._aio() is None:
        pytest.skip('this kernel cannot')


@pytest.mark.parametrize('journal', [True, False])
def test_files_that_are_finished_together_are_committed_together(tmp_path, monkeypatch, journal, way):
    monkeypatch.setattr(commit, 'ordered', lambda *device: journal)
    synced = []
    real = syncs.sync
    monkeypatch.setattr(syncs, 'sync', lambda fd, **how: (synced.append(fd), real(fd, **how)))
    committer = commit.Committer()

    def one(number):
        file = files.Unnamed(str(tmp_path), str(tmp_path / 'tmp'))
        files.write_all(file.fd, b'%d' % number)
        assert committer.commit(file, str(tmp_path / f'{number % 3}' / f'{number}'))[0] == \
            str(tmp_path / f'{number % 3}')
        file.close()
    green.Pool(20).map(one, range(20))
    assert all((tmp_path / f'{number % 3}' / f'{number}').read_bytes() == b'%d' % number for number in range(20))
    # without a journal, each file and each directory that has got an entry
    assert len(synced) <= 3 if journal else len(synced) >= 40


@pytest.mark.parametrize('way', ['by the kernel', 'by a thread'], indirect=True)
def test_others_go_on_while_one_waits_for_the_disk(tmp_path, way):
    turns = []
    with open(tmp_path / 'file', 'wb') as file:
        file.write(b'x')
        file.flush()
        green.spawn(turns.append, 1)
        for _ in range(100):      # one that is done at once lets nobody run
            syncs.sync(file.fileno())
        assert turns == [1]


def test_a_sync_that_fails_says_so(tmp_path, way):
    reader, writer = os.pipe()
    try:
        with pytest.raises(OSError):
            syncs.sync(reader)
    finally:
        os.close(reader)
        os.close(writer)
    with pytest.raises(OSError):
        syncs.sync(-1)


def test_a_child_syncs_as_its_parent_did(tmp_path, monkeypatch):
    monkeypatch.setattr(syncs, '_syncing', {})
    monkeypatch.setattr(syncs, 'QUICK', -1.0)
    with open(tmp_path / 'file', 'wb') as file:
        syncs.sync(file.fileno())
        child = os.fork()
        if not child:
            green.after_fork()
            file.write(b'x')
            syncs.sync(file.fileno())
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        syncs.sync(file.fileno())


def test_who_is_slow_once_is_not_called_slow_and_who_was_is_tried_again():
    pace = syncs.Pace(0.001)
    pace.took(10.0)
    assert not pace.slow()
    pace.took(10.0)
    assert pace.slow()
    tries = [pace.slow() for _ in range(100)]
    assert tries[0] and not tries[-1]


def test_whoever_loses_the_leader_of_a_round_is_told(tmp_path):
    green.turn()      # wherever in its round the hub was: from here it begins with those that are spawned
    rounds, outcomes = syncs.Rounds(), []

    def one(number):
        with open(tmp_path / f'{number}', 'wb') as file:
            try:
                rounds.join((os.fstat(file.fileno()).st_dev, 0), file.fileno())
                outcomes.append('done')
            except OSError:
                outcomes.append('told')
    workers = [green.spawn(one, number) for number in range(3)]
    green.turn()      # all of them wait for the first
    workers[0].kill()
    for worker in workers:
        worker.join()
    assert outcomes == ['told', 'told']
    one(9)
    assert outcomes[2:] == ['done']


def test_whoever_loses_the_file_that_was_to_be_synced_is_told(tmp_path):
    green.turn()      # wherever in its round the hub was: from here it begins with those that are spawned
    rounds, outcomes = syncs.Rounds(), []

    def one(number):
        with open(tmp_path / f'{number}', 'wb') as file:
            try:
                rounds.join((os.fstat(file.fileno()).st_dev, 0), file.fileno())
                outcomes.append('done')
            except OSError:
                outcomes.append('told')
    workers = [green.spawn(one, number) for number in range(2)]
    green.turn()
    workers[1].kill()      # its file, the last one, is closed
    workers[0].join()
    assert outcomes == ['told']


def test_what_is_to_be_done_meanwhile_is_done_by_each_before_he_goes_on(tmp_path, way):
    rounds, seen, fails = syncs.Rounds(), [], []

    def one(number):
        def meanwhile():
            seen.append(number)
            if number == fails[-1]:
                raise ValueError(number)
        with open(tmp_path / f'{number}', 'wb') as file:
            try:
                rounds.join((os.fstat(file.fileno()).st_dev, 0), file.fileno(), meanwhile)
                assert number in seen
                seen.append('done')
            except ValueError:
                seen.append('failed')
    for number in range(3):
        seen.clear()
        fails.append(number)
        green.Pool(3).map(one, range(3))
        assert sorted(map(str, seen)) == ['0', '1', '2', 'done', 'done', 'failed']


@pytest.mark.parametrize('journal', [True, False])
def test_a_file_that_cannot_be_committed_does_not_stop_the_others(tmp_path, monkeypatch, journal):
    monkeypatch.setattr(commit, 'ordered', lambda *device: journal)
    (tmp_path / 'file').touch()
    committer = commit.Committer()
    failed = []

    def one(number):
        file = files.Unnamed(str(tmp_path), str(tmp_path / 'tmp'))
        folder = tmp_path / ('file' if number == 2 else 'folder')
        try:
            committer.commit(file, str(folder / str(number)))
        except OSError:
            failed.append(number)
        file.close()
    green.Pool(5).map(one, range(5))
    assert failed == [2]
    assert sorted(os.listdir(tmp_path / 'folder')) == ['0', '1', '3', '4']


def test_what_is_quarantined_never_replaces_what_is_there(tmp_path):
    for number in range(2):
        (tmp_path / 'objects' / 'x').mkdir(parents=True)
        (tmp_path / 'objects' / 'x' / f'{number}').touch()
        quarantine.move(str(tmp_path), str(tmp_path / 'objects' / 'x'), 'objects')
    assert sorted(each.name for each in (tmp_path / 'quarantined').rglob('*') if each.is_file()) == ['0', '1']


@pytest.mark.parametrize('text, expected', [('1%', (1.0, True)), ('0', (0, False)),
                                            ('10737418240', (10737418240, False)), (' 2.5% ', (2.5, True))])
def test_space_kept_free_is_bytes_or_per_cent(text, expected):
    assert devices.reserve(text) == expected


@pytest.mark.parametrize('text', ['x', '-1', '101%', '%', ''])
def test_a_reserve_that_is_none_is_refused(text):
    with pytest.raises(ValueError):
        devices.reserve(text)

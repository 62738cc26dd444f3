"""What was committed is there after a crash: file systems are shut down as if the plug had been pulled.

The shutdown drops what only memory knew of the journal.  (It does not drop what the disk's own cache
holds; that the journal's commit flushes it is the file system's promise.)
"""

import fcntl
import os
import shutil
import struct
import subprocess

import pytest

from strata import green
from swift.db import pending
from swift.obj import hashes
from swift.obj.store import Store
from swift.storage import commit, files, pickles, syncs
from tests.swift_objects import DEVICE, file_of, settings, write

pytestmark = pytest.mark.root

#: ioctl of ext4 and XFS: stop at once, without writing the log
SHUTDOWN, NO_LOG = 0x8004587d, 2
KINDS = {
    'ext4': ['mkfs.ext4', '-q', '-F', '-I', '256'],
    'ext4 without a journal': ['mkfs.ext4', '-q', '-F', '-O', '^has_journal'],
    'xfs': ['mkfs.xfs', '-q'],
}


class Disk:
    """A file system in a file."""

    def __init__(self, root, kind):
        self.image, self.path = str(root / 'image'), str(root / 'mounted')
        self.kind = kind.split()[0]
        os.mkdir(self.path)
        with open(self.image, 'wb') as file:
            file.truncate(320 << 20)
        subprocess.run([*KINDS[kind], self.image], check=True)

    def mount(self):
        done = subprocess.run(['mount', '-o', 'loop', '-t', self.kind, self.image, self.path], capture_output=True,
                              text=True)
        if done.returncode:
            pytest.skip(f'{self.kind} cannot be mounted here: {done.stderr.strip()}')

    def umount(self):
        subprocess.run(['umount', self.path], check=True)

    def crash(self):
        fd = os.open(self.path, os.O_RDONLY)
        fcntl.ioctl(fd, SHUTDOWN, struct.pack('I', NO_LOG))
        os.close(fd)
        self.umount()


@pytest.fixture(params=KINDS)
def disk(request, tmp_path):
    if os.geteuid() != 0:
        pytest.skip('mounting wants root')
    if shutil.which(KINDS[request.param][0]) is None:
        pytest.skip(f'{KINDS[request.param][0]} is not installed')
    disk = Disk(tmp_path, request.param)
    disk.mount()
    yield disk
    disk.umount()


def begin(disk, content):
    file = files.Unnamed(disk.path, f'{disk.path}/tmp')
    files.write_all(file.fd, content)
    os.setxattr(file.fd, 'user.swift.metadata', b'of ' + content[:10])
    return file


def test_which_file_systems_have_one_journal_is_known(disk, request):
    number, identity = os.stat(disk.path).st_dev, os.statvfs(disk.path).f_fsid
    assert commit.ordered(number, identity) == (request.node.callspec.params['disk'] in ('ext4', 'xfs'))
    assert not commit.ordered(1 << 30, 0)


def test_everything_that_was_committed_survives_a_crash(disk, request):
    if 'without' in request.node.callspec.params['disk']:
        pytest.skip('after a crash it wants fsck first')
    committer = commit.Committer()

    def work(number):
        for turn in range(5):
            content = b'%d.%d ' % (number, turn) * (1 + 2000 * turn)
            file = begin(disk, content)
            committer.commit(file, f'{disk.path}/objects/{turn}/{number % 7:03x}/{number}/{turn}.data')
            file.close()
            kept[number, turn] = content
    kept = {}
    green.Pool(10).map(work, range(40))
    alone = begin(disk, b'alone')
    committer.commit(alone, f'{disk.path}/deep/er/still/alone')
    alone.close()
    # what nobody committed shows that the crash is one
    for number in range(50):
        lost = begin(disk, b'lost')
        lost.link(f'{disk.path}/lost/{number}')
        lost.close()
    disk.crash()
    disk.mount()
    for (number, turn), content in kept.items():
        path = f'{disk.path}/objects/{turn}/{number % 7:03x}/{number}/{turn}.data'
        with open(path, 'rb') as file:
            assert file.read() == content
        assert os.getxattr(path, 'user.swift.metadata') == b'of ' + content[:10]
    with open(f'{disk.path}/deep/er/still/alone', 'rb') as file:
        assert file.read() == b'alone'
    assert len(kept) == 200
    assert not os.path.exists(f'{disk.path}/lost')


def test_rows_that_came_together_survive_a_crash_and_what_was_linked_before_them(disk, request):
    if 'without' in request.node.callspec.params['disk']:
        pytest.skip('after a crash it wants fsck first')
    for number in range(7):
        os.makedirs(f'{disk.path}/{number}')
        pending.finish(*pending.append(f'{disk.path}/{number}/x.db.pending', ('first',)))
    os.sync()
    linked = begin(disk, b'linked')
    syncs.write_out(linked.fd, os.fstat(linked.fd).st_dev)
    linked.link(f'{disk.path}/objects/linked')

    def work(number):
        for turn in range(5):
            pending.finish(*pending.append(f'{disk.path}/{number % 7}/x.db.pending', (number, turn)))
    green.Pool(40).map(work, range(40))
    linked.close()
    lost = begin(disk, b'lost')
    lost.link(f'{disk.path}/lost')
    lost.close()
    disk.crash()
    disk.mount()
    rows = []
    for number in range(7):
        pending.drain(f'{disk.path}/{number}/x.db.pending', rows.extend)
    assert sorted(row for row in rows if row != ('first',)) == [
        (number, turn) for number in range(40) for turn in range(5)]
    with open(f'{disk.path}/objects/linked', 'rb') as file:
        assert file.read() == b'linked'
    assert not os.path.exists(f'{disk.path}/lost')


def test_what_replicas_compare_is_not_older_than_the_objects_after_a_crash(disk, request, tmp_path):
    journal = 'without' not in request.node.callspec.params['disk']
    conf = settings(tmp_path)
    os.rmdir(f'{conf["devices"]}/{DEVICE}')
    os.symlink(disk.path, f'{conf["devices"]}/{DEVICE}')
    store = Store.load(conf)
    written = [file_of(store, str(number)) for number in range(5)]
    for file in written:
        write(file, b'old')
    partition = os.path.dirname(os.path.dirname(written[0].path))
    _, before = store.hashes(DEVICE, '0', [], store.policies[0])
    # a quiet year, and a boot, ago
    long_ago = hashes.BOOTED - 86400 * 365
    for file in written:
        os.utime(os.path.dirname(file.path), (long_ago, long_ago))
    files.replace(f'{partition}/{hashes.PICKLE}', pickles.dumps({**before, 'valid': True, 'updated': long_ago + 60}),
                  store.tmp(DEVICE))
    os.sync()
    for file in written[:3]:
        write(file, b'new')
    if journal:
        disk.crash()
        disk.mount()
    else:       # after a crash it wants fsck first, which may leave any of it
        open(f'{partition}/{hashes.INVALID}', 'w').close()
        for file in written:
            os.utime(os.path.dirname(file.path), (long_ago, long_ago))
    assert os.path.getsize(f'{partition}/{hashes.INVALID}') == 0
    hashed, after = store.hashes(DEVICE, '0', [], store.policies[0])
    changed = {file.hash[-3:] for file in written[:3]}
    assert {suffix for suffix in before if after[suffix] != before[suffix]} == changed
    assert hashed == len(changed if journal else before)
    assert store.hashes(DEVICE, '0', [], store.policies[0]) == (0, after)

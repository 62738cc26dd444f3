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
from swift.storage import commit, files

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
            committer.commit(file, f'{disk.path}/objects/{turn}/{number % 7:03x}/{number}/{turn}.data', alone=False)
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

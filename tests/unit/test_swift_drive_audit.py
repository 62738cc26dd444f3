"""swift-drive-audit: which disks fail, by the kernel's log, and what becomes of them."""

import datetime
import json
import re

import pytest

from swift.cli import drive_audit

NOW = datetime.datetime(2026, 1, 2, 12, 0, 0)


@pytest.mark.parametrize('line, when', [
    ('Jan  2 11:59:00 node kernel: x', datetime.datetime(2026, 1, 2, 11, 59)),
    ('Dec 31 23:00:00 node kernel: x', datetime.datetime(2025, 12, 31, 23)),
    ('2026-01-02T11:00:00.123+00:00 node kernel: x', datetime.datetime(2026, 1, 2, 11)),
    ('no time at all', None),
])
def test_a_line_tells_when_it_was_written(line, when):
    assert drive_audit.written(line, NOW) == when


@pytest.fixture
def conf(tmp_path):
    (tmp_path / 'kern.log').write_text(
        'Jan  2 11:58:00 node kernel: end_request: I/O error, dev sdb1, sector 1\n'
        'Jan  2 11:59:00 node kernel: sdb1: rw=0 error\n'
        'Jan  2 09:00:00 node kernel: I/O error, dev sdc1, sector 1\n'
        'Jan  2 11:59:00 node kernel: I/O error, dev sdz1, sector 1\n'
        'Jan  2 11:59:00 node kernel: sdc1: all is well\n')
    (tmp_path / 'mounts').write_text(f'/dev/sdb1 {tmp_path}/node/b xfs rw 0 0\n/dev/sdc1 {tmp_path}/node/c xfs rw 0 0\n'
                                     '/dev/sda1 / ext4 rw 0 0\n')
    (tmp_path / 'fstab').write_text(f'/dev/sdb1 {tmp_path}/node/b xfs noatime 0 0\n'
                                    f'/dev/sdc1 {tmp_path}/node/c xfs noatime 0 0\n')
    path = tmp_path / 'drive-audit.conf'
    path.write_text(f'[drive-audit]\ndevice_dir = {tmp_path}/node\nlog_file_pattern = {tmp_path}/kern.log\n'
                    f'mounts = {tmp_path}/mounts\nfstab = {tmp_path}/fstab\nrecon_cache_path = {tmp_path}/recon\n'
                    'unmount_failed_device = false\n')
    return path


def test_disks_that_fail_now_are_named_and_counted(conf, tmp_path, capsys):
    assert drive_audit.audit(str(conf), NOW) == 0
    assert f'sdb1 ({tmp_path}/node/b) has 2 errors' in capsys.readouterr().err
    assert json.loads((tmp_path / 'recon' / 'drive.recon').read_text()) == {'drive_audit_errors': 2}


def test_own_patterns_replace_the_usual_ones(conf, tmp_path, capsys):
    conf.write_text(conf.read_text() + r'regex_pattern_1 = \b(sdc1): all is' + '\n')
    drive_audit.audit(str(conf), NOW)
    said = capsys.readouterr().err
    assert 'sdc1' in said and 'sdb1' not in said


def test_a_failed_disk_is_not_mounted_again(tmp_path):
    fstab = tmp_path / 'fstab'
    fstab.write_text('/dev/sdb1 /srv/node/b xfs noatime 0 0\n/dev/sdc1 /srv/node/bc xfs noatime 0 0\n')
    drive_audit.comment_out(str(fstab), '/srv/node/b')
    assert fstab.read_text() == '#/dev/sdb1 /srv/node/b xfs noatime 0 0\n/dev/sdc1 /srv/node/bc xfs noatime 0 0\n'


def test_a_pattern_that_is_none_is_refused_in_one_line(conf, capsys):
    conf.write_text(conf.read_text() + 'regex_pattern_1 = (\n')
    assert drive_audit.main([str(conf)]) == 1
    assert re.match(r'swift-drive-audit: .*\n\Z', capsys.readouterr().err)

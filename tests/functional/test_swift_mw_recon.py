"""/recon: how a storage node is."""

import hashlib
import json

import pytest

from swift import recon as caches
from swift.middleware import recon
from tests.functional.swift_filters import Recorder, ask


@pytest.fixture
def node(tmp_path):
    for name in ('srv/sda1', 'srv/sdb1', 'etc', 'cache'):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def get(node):
    filtered = recon.filter_factory({'swift_dir': str(node / 'etc'), 'devices': str(node / 'srv')},
                                    recon_cache_path=str(node / 'cache'))(Recorder())

    def get(path):
        answer = ask(filtered, f'/recon/{path}')
        assert (answer.status, answer.headers['content-type']) == (200, 'application/json')
        return json.loads(answer.body)
    get.app = filtered
    return get


def test_the_machine_is_told_of(get):
    assert get('mem')['MemTotal'].endswith(' kB')
    assert set(get('load')) == {'1m', '5m', '15m', 'tasks', 'processes'}
    assert any(each['path'] == '/' for each in get('mounted'))
    assert {'tcp_in_use', 'orphan', 'time_wait', 'tcp_mem_allocated_bytes'} <= set(get('sockstat'))
    assert get('time') > 1.7e9
    assert set(get('version')) == {'version'}


def test_devices_are_told_of(get, node):
    assert get('devices') == {str(node / 'srv'): ['sda1', 'sdb1']}
    assert get('unmounted') == [{'device': 'sda1', 'mounted': False}, {'device': 'sdb1', 'mounted': False}]
    assert get('diskusage')[0] == {'device': 'sda1', 'mounted': False, 'size': '', 'used': '', 'avail': ''}


def test_what_is_mounted_has_its_size(node):
    filtered = recon.filter_factory({'swift_dir': str(node / 'etc'), 'devices': '/'})(Recorder())
    [proc] = [each for each in json.loads(ask(filtered, '/recon/diskusage').body) if each['device'] == 'proc']
    assert proc['mounted'] is True and isinstance(proc['size'], int)
    assert 'proc' not in [each['device'] for each in json.loads(ask(filtered, '/recon/unmounted').body)]


def test_sums_of_rings_and_conf_follow_the_files(get, node):
    for name in ('account.ring.gz', 'object.ring.gz', 'object-1.ring.gz', 'object.builder', 'swift.conf'):
        (node / 'etc' / name).write_text(name)
    path = str(node / 'etc') + '/'
    sums = get('ringmd5')
    assert list(sums) == [path + each for each in ('account.ring.gz', 'object-1.ring.gz', 'object.ring.gz')]
    assert sums[path + 'account.ring.gz'] == hashlib.md5(b'account.ring.gz').hexdigest()
    assert get('swiftconfmd5') == {path + 'swift.conf': hashlib.md5(b'swift.conf').hexdigest()}
    (node / 'etc' / 'account.ring.gz').write_text('a newer one')
    assert get('ringmd5')[path + 'account.ring.gz'] == hashlib.md5(b'a newer one').hexdigest()


def test_the_quarantined_are_counted_by_policy(get, node):
    for device, kind, count in (('sda1', 'objects', 2), ('sdb1', 'objects-1', 1), ('sda1', 'containers', 1),
                                ('sdb1', 'accounts', 3), ('sda1', 'objects-x', 1)):
        for number in range(count):
            (node / 'srv' / device / 'quarantined' / kind / str(number)).mkdir(parents=True)
    assert get('quarantined') == {'objects': 3, 'containers': 1, 'accounts': 3,
                                  'policies': {'0': {'objects': 2}, '1': {'objects': 1}}}


#: what the published filter told where no daemon has run yet
EMPTY = {
    'async': ['async_pending', 'async_pending_last'], 'driveaudit': ['drive_audit_errors'],
    'expirer/object': ['object_expiration_pass', 'expired_last_pass'],
    'updater/object': ['object_updater_sweep', 'object_updater_stats', 'object_updater_last'],
    'updater/container': ['container_updater_sweep'],
    'auditor/object': ['object_auditor_stats_ALL', 'object_auditor_stats_ZBF'],
    'auditor/container': ['container_audits_passed', 'container_auditor_pass_completed', 'container_audits_since',
                          'container_audits_failed'],
    'auditor/account': ['account_audits_passed', 'account_auditor_pass_completed', 'account_audits_since',
                        'account_audits_failed'],
    'replication': ['replication_time', 'replication_stats', 'replication_last', 'object_replication_time',
                    'object_replication_last'],
    'replication/object': ['replication_time', 'replication_stats', 'replication_last', 'object_replication_time',
                           'object_replication_last'],
    'replication/container': ['replication_time', 'replication_stats', 'replication_last'],
    'replication/account': ['replication_time', 'replication_stats', 'replication_last'],
    'reconstruction/object': ['object_reconstruction_last', 'object_reconstruction_time'],
    'relinker': ['devices', 'workers'], 'sharding': ['sharding_stats', 'sharding_time', 'sharding_last'],
    'sharding/container': ['sharding_stats', 'sharding_time', 'sharding_last']}


@pytest.mark.parametrize('path', EMPTY)
def test_what_no_daemon_has_said_is_null(get, path):
    assert get(path) == dict.fromkeys(EMPTY[path])


def test_what_daemons_said_is_told(get, node):
    caches.dump(str(node / 'cache'), 'object', {'async_pending': 7, 'replication_time': 1.5})
    caches.dump(str(node / 'cache'), 'container', {'container_updater_sweep': 2.5})
    assert get('async') == {'async_pending': 7, 'async_pending_last': None}
    assert get('replication/object')['replication_time'] == 1.5
    assert get('updater/container') == {'container_updater_sweep': 2.5}
    (node / 'cache' / 'object.recon').write_text('{broken')
    assert get('async')['async_pending'] is None


def test_other_paths_and_methods_are_refused(get):
    for path, status in (('/recon', 400), ('/recon/', 404), ('/recon/foo', 404), ('/recon/updater', 404),
                         ('/recon/../etc/passwd', 404)):
        answer = ask(get.app, path)
        assert (answer.status, answer.headers['content-type']) == (status, 'text/plain')
        assert answer.body.decode() == f'Invalid path: {path}'
    for method in ('PUT', 'POST', 'DELETE', 'OPTIONS'):
        assert ask(get.app, '/recon/version', method).status == 405
    assert ask(get.app, '/recon/version/', 'HEAD').status == 200
    assert ask(get.app, '/reconnaissance/1/a').status == 200

"""tools/bench against a real cloud of the fake driver, on a small scale."""

import json
import os
import subprocess
import sys

import pytest

from strata.testing import ports

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

pytestmark = [pytest.mark.probe, pytest.mark.onestack, pytest.mark.timeout(300)]


@pytest.fixture(scope='module')
def cloud(tmp_path_factory):
    """The data directory of a running cloud."""
    data, home = str(tmp_path_factory.mktemp('data')), str(tmp_path_factory.mktemp('home'))
    environ = {**os.environ, 'HOME': home, 'PYTHONPATH': os.pathsep.join([CHECKOUT, os.path.join(CHECKOUT, 'tools')])}
    environ = {key: value for key, value in environ.items() if not key.startswith('SUDO_')}

    def onestack(*words):
        done = subprocess.run([sys.executable, '-m', 'launcher', *words, '--data-dir', data], env=environ,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    try:
        onestack('up', '--driver', 'fake', '--no-server', '--port-base', str(ports.free_row(10)))
        yield data
    finally:
        onestack('reset', '--yes')


def run(*words, **environ):
    return subprocess.run([os.path.join(CHECKOUT, 'tools', 'bench'), '--seconds', '0.3', *words],
                          capture_output=True, text=True, env={'PATH': os.environ['PATH'], **environ})


def bench(data, *words):
    """The rows it prints, by what they are of."""
    return rows_of(run('--data-dir', data, *words))


def rows_of(done):
    assert done.returncode == 0, done.stderr
    lines, _, table = done.stdout.partition('\n\n')
    rows = [json.loads(line) for line in lines.splitlines()]
    assert len(table.splitlines()) == len(rows) + 1
    return {row['what']: row for row in rows}


def test_tokens_are_issued_and_validated(cloud):
    rows = bench(cloud, 'issue', 'validate')
    assert set(rows) == {'token issue, by password', 'token issue, from a token', 'token validate',
                         'token validate, first time'}
    for row in rows.values():
        assert (row['failures'], row['requests'] > 0) == (0, True)
        assert row['p50_ms'] <= row['p95_ms']
    assert rows['token validate']['cpu_ms_by_daemon'].keys() == {'keystone'}


def test_servers_are_booted_listed_and_removed(cloud):
    rows = bench(cloud, 'active', 'detail', '--singles', '2', '--burst', '5', '--servers', '3,6')
    assert rows['server, POST to ACTIVE']['requests'] == 2
    assert rows['servers, a burst of 5 to ACTIVE']['seconds'] > 0
    assert rows['servers, POST until there are 6']['requests'] == 3
    assert rows['GET /servers/detail, 6 servers']['failures'] == 0
    again = bench(cloud, 'detail', '--servers', '1')
    assert again['servers, POST until there are 1']['requests'] == 1
    done = run('--data-dir', cloud, 'active', '--image', 'none such')
    assert (done.returncode, done.stderr) == (1, 'tools/bench: The cloud has no active image none such.\n')


def test_every_process_has_its_memory(cloud):
    rows = bench(cloud, 'memory')
    assert {'memory of onestack', 'memory of keystone', 'memory of glance', 'memory of nova'} < set(rows)
    parts = [row['pss_mb'] for row in rows.values() if 'pid' in row]
    assert rows['memory of all processes']['pss_mb'] == pytest.approx(sum(parts), abs=0.2)


def test_a_cloud_it_knows_nothing_of_is_measured_by_its_url(cloud):
    with open(os.path.join(cloud, 'settings.json')) as file:
        settings = json.load(file)
    url = f'http://127.0.0.1:{settings["port_base"]}/v3'
    person = {'OS_USERNAME': 'admin', 'OS_PASSWORD': settings['secrets']['admin'], 'OS_PROJECT_NAME': 'admin'}
    rows = rows_of(run('--url', url, 'issue', 'active', 'detail', '--singles', '1', '--burst', '3', '--servers', '2',
                       **person))
    assert rows['server, POST to ACTIVE']['requests'] == 1
    assert rows['GET /servers/detail, 2 servers']['failures'] == 0
    assert not [row for row in rows.values() if 'cpu_ms' in row]      # only known of one's own
    done = run('--url', url, 'memory', **person)
    assert (done.returncode, done.stdout) == (1, '')
    assert 'named by --data-dir' in done.stderr

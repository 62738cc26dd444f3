"""Metrics over a real socket: the published names, and nothing that waits for anybody."""

import re
import socket
import time
import urllib.error
import urllib.request

import pytest

from strata import errors
from strata.testing import wait
from swift import statsd
from tests.swift_cluster import AUTHLESS, Cluster

FORM = re.compile(r'([A-Za-z0-9_.-]+):(-?[0-9.]+)\|(c|ms)(?:\|@([0-9.]+))?\Z')


class Daemon:
    """Whoever takes metrics."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.conf = {'log_statsd_host': '127.0.0.1', 'log_statsd_port': str(self.port)}
        self.seen = []

    def taken(self):
        """(name, value, kind) of all that has come so far."""
        while True:
            try:
                text = self.socket.recv(2000).decode()
            except BlockingIOError:
                return self.seen
            name, value, kind, _ = FORM.match(text).groups()
            self.seen.append((name, float(value), kind))

    def names(self):
        return {name for name, _, _ in self.taken()}

    def total(self, name):
        return sum(value for each, value, _ in self.taken() if each == name)


@pytest.fixture
def daemon():
    made = Daemon()
    yield made
    made.socket.close()


@pytest.fixture
def cluster(tmp_path, daemon):
    filters = AUTHLESS.replace('catch_errors', 'catch_errors proxy_logging', 1)
    with Cluster(tmp_path / 'cluster', filters=filters, options={
            'DEFAULT': {**daemon.conf, 'log_statsd_metric_prefix': 'disks'}, 'filter:proxy_logging': {
                'access_log_statsd_host': '127.0.0.1', 'access_log_statsd_port': str(daemon.port)}}) as made:
        yield made


def ask(cluster, method, path, body=None, **headers):
    request = urllib.request.Request(cluster.url + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_requests_are_told_by_their_published_names(cluster, daemon):
    assert ask(cluster, 'PUT', '/c')[0] == 201
    assert ask(cluster, 'PUT', '/c/o', b'x' * 1000)[0] == 201
    assert ask(cluster, 'GET', '/c/o')[1] == b'x' * 1000
    assert ask(cluster, 'GET', '/c/none')[0] == 404
    assert ask(cluster, 'GET', '')[0] == 200
    assert ask(cluster, 'PATCH', '/c/o')[0] == 405
    device = cluster.primaries('AUTH_test', 'c', 'o')[0].device
    expected = {
        'proxy-server.container.PUT.201.timing', 'proxy-server.object.PUT.201.timing',
        'proxy-server.object.policy.0.PUT.201.timing', 'proxy-server.object.GET.200.timing',
        'proxy-server.object.GET.200.first-byte.timing', 'proxy-server.object.policy.0.GET.200.first-byte.timing',
        'proxy-server.object.GET.404.timing', 'proxy-server.account.GET.200.timing',
        'proxy-server.object.BAD_METHOD.405.timing', 'disks.object-server.PUT.timing',
        'disks.object-server.GET.timing', 'disks.container-server.PUT.timing', 'disks.account-server.GET.timing',
        f'disks.object-server.PUT.{device}.timing'}
    wait.until(lambda: expected <= daemon.names(), 10, 'all are there')
    assert daemon.total('proxy-server.object.PUT.201.xfer') == 1000
    assert daemon.total('proxy-server.object.policy.0.GET.200.xfer') == 1000
    assert not [name for name in daemon.names() if 'errors' in name or '/' in name]
    assert {kind for name, _, kind in daemon.taken() if name.endswith('timing')} == {'ms'}


def test_what_goes_wrong_is_told_too(cluster, daemon):
    ask(cluster, 'PUT', '/c')
    ask(cluster, 'PUT', '/c/first', b'')    # from now on the proxy knows the container
    for node in cluster.nodes:
        node.stop('container')
    assert ask(cluster, 'PUT', '/c/o', b'hello')[0] == 201
    for path in cluster.files('.data'):
        path.write_bytes(b'HELLO')
    assert ask(cluster, 'GET', '/c/o')[0] in (404, 503)
    wait.until(lambda: daemon.total('disks.object-server.quarantines') == 3, 10, 'quarantines')
    assert daemon.total('disks.object-server.async_pendings') == 3
    for node in cluster.nodes:
        node.start('container')
        node.disk.rename(node.root / 'away')
    ask(cluster, 'GET', '/c/o')
    wait.until(lambda: 'disks.object-server.GET.errors.timing' in daemon.names(), 10, 'errors')
    for node in cluster.nodes:
        (node.root / 'away').rename(node.disk)
    cluster.run_once('object-updater')
    cluster.run_once('container-updater')
    wait.until(lambda: daemon.total('disks.object-updater.successes') == 3, 10, 'updates')
    assert daemon.total('disks.container-updater.successes') == 3


def test_daemons_tell_what_they_counted(cluster, daemon):
    ask(cluster, 'PUT', '/c')
    ask(cluster, 'PUT', '/c/o', b'hello')
    for name in ('account-replicator', 'container-auditor', 'object-replicator'):
        cluster.run_once(name)
    wait.until(lambda: daemon.total('disks.object-replicator.suffix.hashes') >= 1, 10, 'hashes')
    assert daemon.total('disks.account-replicator.attempts') == 3
    assert daemon.total('disks.container-auditor.passes') == 3


def test_nobody_is_told_unless_somebody_is_named(daemon):
    app = object()
    assert statsd.timed(app, {}, 'object-server') is app
    assert statsd.load({'log_statsd_port': '1'}, 'object-server') is None


def test_a_name_is_looked_up_beside_all_else(daemon):
    metrics = statsd.load({**daemon.conf, 'log_statsd_host': 'localhost'}, 'x')

    def comes():
        metrics.count('y')
        return 'x.y' in daemon.names()
    wait.until(comes, 10, 'it is found')


def test_a_host_that_nobody_knows_or_that_takes_nothing_stops_nobody(daemon):
    unknown = statsd.load({**daemon.conf, 'log_statsd_host': 'no.such.host.invalid'}, 'x')
    deaf = statsd.load({**daemon.conf, 'log_statsd_port': '1'}, 'x')
    for metrics in (unknown, deaf):
        began = time.monotonic()
        for _ in range(1000):
            metrics.timing('y', 1)
        assert time.monotonic() - began < 5


def test_a_share_of_them_is_sent(daemon):
    none = statsd.load({**daemon.conf, 'log_statsd_sample_rate_factor': '0'}, 'x')
    some = statsd.load({**daemon.conf, 'log_statsd_default_sample_rate': '0.5',
                        'log_statsd_sample_rate_factor': '0.5'}, 'z')
    for _ in range(100):
        none.count('y')
        some.count('y', 7)
    texts = []
    wait.until(lambda: texts.append(daemon.socket.recv(2000)) or True, 10, 'one comes')
    assert texts == [b'z.y:7|c|@0.25']
    with pytest.raises(errors.Invalid, match='log_statsd_default_sample_rate'):
        statsd.load({**daemon.conf, 'log_statsd_default_sample_rate': '2'}, 'x')

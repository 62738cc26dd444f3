"""Databases of accounts and containers, handed to and fro between Swift 2.38's servers and ours.

The other Swift is used as operators use it: its servers on its own ports, its
commands, its files.
"""

import contextlib
import http.client
import json
import os
import sqlite3
import subprocess
import time

import pytest

from strata.testing.ports import free_port
from swift.account.auditor import AccountAuditor
from swift.container.auditor import ContainerAuditor
from swift.db.schema import chexor
from tests.swift_node import OBJECT, Node, at, stamp

pytestmark = pytest.mark.slow

#: runs a program of theirs with another swift.conf than /etc/swift's
RUN = """
import sys
import swift.common.utils as utils
utils.SWIFT_CONF_FILE = sys.argv[1]
from runpy import run_path
sys.argv = sys.argv[2:]
run_path(sys.argv[0], run_name='__main__')
"""

CONF = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = root
swift_dir = {etc}
devices = {srv}
mount_check = false
recon_cache_path = {recon}
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
[{kind}-auditor]
"""

A, C = '/sda1/{}/AUTH_a', '/sda1/{}/AUTH_a/c'


class Theirs:
    """The other Swift over the devices of a node of ours."""

    def __init__(self, home, node):
        self.home, self.node = home, node

    def conf(self, kind):
        path = f'{self.node.etc}/their-{kind}.conf'
        self.port = free_port()
        os.makedirs(self.node.recon, exist_ok=True)
        with open(path, 'w') as file:
            file.write(CONF.format(kind=kind, port=self.port, etc=self.node.etc, srv=self.node.srv,
                                   recon=self.node.recon))
        return path

    def command(self, name, *arguments):
        return [f'{self.home}/python', '-P', '-c', RUN, f'{self.node.etc}/swift.conf', f'{self.home}/{name}',
                *arguments]

    def run(self, name, *arguments):
        done = subprocess.run(self.command(name, *arguments), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    @contextlib.contextmanager
    def serving(self, kind):
        """Their server runs; yields a function that asks it."""
        server = subprocess.Popen(self.command(f'swift-{kind}-server', self.conf(kind)),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port, deadline = self.port, time.monotonic() + 30
            while True:
                try:
                    ask(port, 'OPTIONS', '/')
                    break
                except OSError:
                    assert time.monotonic() < deadline and server.poll() is None
                    time.sleep(0.1)
            yield lambda *request: ask(port, *request)
        finally:
            server.terminate()
            server.wait(20)


def ask(port, method, path, headers=None):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=20)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    node.paths = [path.format(int(node.apps['account'].hashing.hexdigest(*names)[:8], 16) >> 30)
                  for path, names in ((A, ('AUTH_a',)), (C, ('AUTH_a', 'c')))]
    yield node
    node.close()


@pytest.fixture
def theirs(swift_2_38, node):
    return Theirs(swift_2_38, node)


def ours(node, kind):
    """A function that asks our server as ``Theirs.serving`` asks theirs."""
    return lambda *request: ask(node.port(kind), *request)


def fill(serve, path, first):
    """Objects of every sort, half of them left in the .pending file."""
    put(serve, f'{path}/plain{first}', {})
    put(serve, f'{path}/gone{first}', {})
    serve('DELETE', f'{path}/gone{first}', at(first + 5))
    put(serve, f'{path}/times{first}', {'X-Content-Type-Timestamp': stamp(first + 3),
                                        'X-Meta-Timestamp': stamp(first + 4)})
    serve('HEAD', path)      # brings them in
    put(serve, f'{path}/caf%C3%A9{first}', {'X-Content-Type': 'text/x;swift_bytes=77'})
    put(serve, f'{path}/wrong{first}', {'X-Backend-Storage-Policy-Index': '1'})
    put(serve, f'{path}/offset{first}', {'X-Timestamp': stamp(first) + '_0000000000000002'})
    put(serve, f'{path}/bound{first}', {})
    serve('DELETE', f'{path}/bound{first}', at(first + 6))


def put(serve, path, more):
    assert serve('PUT', path, {**OBJECT, **at(2), **more})[0] == 201


def pending(node):
    return [name for folder, _, names in os.walk(node.srv) for name in names
            if name.endswith('.pending') and os.path.getsize(f'{folder}/{name}')]


def shown(serve, path):
    """All that a server says of a container, in a form to compare; X-Timestamp and the like too."""
    status, headers, body = serve('GET', path + '?format=json')
    assert status == 200
    ignored = {'date', 'content-length', 'server', 'connection', 'keep-alive'}
    return json.loads(body), {name: value for name, value in headers.items() if name not in ignored}


@pytest.mark.parametrize('first', ['theirs', 'ours'])
def test_a_container_goes_to_and_fro(node, theirs, first):
    path = node.paths[1]
    mine = ours(node, 'container')
    with theirs.serving('container') as other:
        one, two = (other, mine) if first == 'theirs' else (mine, other)
        assert one('PUT', path, {**at(1), 'X-Container-Meta-A': 'caf\xc3\xa9', 'X-Container-Read': '.r:*'})[0] == 201
        fill(one, path, 10)
        assert pending(node)
        after = shown(two, path)
        assert not pending(node)
        assert after == shown(one, path)
        assert [entry['name'] for entry in after[0]] == ['café10', 'offset10', 'plain10', 'times10']
        fill(two, path, 20)
        assert pending(node)
        assert two('POST', path, {**at(30), 'X-Container-Meta-A': '', 'X-Container-Meta-B': '2'})[0] == 204
        assert shown(one, path) == shown(two, path)
        assert len(shown(one, path)[0]) == 8
        for query in ('delimiter=1', 'reverse=on', 'prefix=o', 'marker=p&limit=2', 'delimiter=0&reverse=true'):
            assert one('GET', f'{path}?{query}')[2] == two('GET', f'{path}?{query}')[2]
        assert two('DELETE', path, at(40))[0] == one('DELETE', path, at(40))[0] == 409


@pytest.mark.parametrize('first', ['theirs', 'ours'])
def test_an_account_goes_to_and_fro(node, theirs, first):
    path = node.paths[0]
    mine = ours(node, 'account')

    def tell(serve, name, count, policy, delete='0'):
        return serve('PUT', f'{path}/{name}', {
            'X-Put-Timestamp': stamp(2), 'X-Delete-Timestamp': delete, 'X-Object-Count': str(count),
            'X-Bytes-Used': str(count * 10), 'X-Backend-Storage-Policy-Index': str(policy), **at(3)})[0]

    with theirs.serving('account') as other:
        one, two = (other, mine) if first == 'theirs' else (mine, other)
        assert one('PUT', path, {**at(1), 'X-Account-Meta-A': '1', 'X-Account-Sysmeta-B': '2'})[0] == 201
        for serve, name in ((one, 'c'), (two, 'd')):
            assert tell(serve, name, 3, 0) == tell(serve, name + '-1', 4, 1) == 201
            assert tell(serve, name + '-gone', 0, 0, stamp(5)) == 204
            assert pending(node)
            assert shown(one, path) == shown(two, path)
        assert [entry['name'] for entry in shown(one, path)[0]] == ['c', 'c-1', 'd', 'd-1']
        assert two('DELETE', path, at(9))[0] == 204
        for serve in (one, two):
            status, headers, _ = serve('HEAD', path)
            assert (status, headers['x-account-status']) == (404, 'Deleted')


def schema(path):
    connection = sqlite3.connect(path)
    try:
        return {name: ' '.join(sql.split()) if sql else None
                for name, sql in connection.execute('SELECT name, sql FROM sqlite_master')}
    finally:
        connection.close()


@pytest.mark.parametrize('kind', ['account', 'container'])
def test_both_make_the_same_tables(node, theirs, kind):
    path = node.paths[kind == 'container']
    ours(node, kind)('PUT', path, at(1))
    with theirs.serving(kind) as other:
        assert other('PUT', path + 'x', at(1))[0] == 201
    found = [f'{folder}/{name}' for folder, _, names in os.walk(f'{node.srv}/sda1/{kind}s') for name in names
             if name.endswith('.db')]
    assert len(found) == 2 and schema(found[0]) == schema(found[1])


def test_each_audits_what_the_other_wrote(node, theirs):
    account, container = node.paths
    ours(node, 'account')('PUT', account, at(1))
    ours(node, 'container')('PUT', container, at(1))
    fill(ours(node, 'container'), container, 10)
    ours(node, 'account')('PUT', f'{account}/c', {
        'X-Put-Timestamp': stamp(2), 'X-Delete-Timestamp': '0', 'X-Object-Count': '4', 'X-Bytes-Used': '5', **at(2)})
    for kind in ('account', 'container'):
        theirs.run(f'swift-{kind}-auditor', theirs.conf(kind), 'once')
    assert not os.path.exists(f'{node.srv}/sda1/quarantined')
    with theirs.serving('container') as other:
        other('PUT', container + '2', at(1))
        fill(other, container + '2', 10)
    for daemon in (AccountAuditor, ContainerAuditor):
        made = daemon({**node.conf, 'accounts_per_second': '0', 'containers_per_second': '0'})
        passed, failed = made.auditor.sweep()
        made.close()
        assert passed and not failed
    assert not os.path.exists(f'{node.srv}/sda1/quarantined')


def test_their_commands_read_our_databases(node, theirs):
    for kind, path in zip(('account', 'container'), node.paths):
        ours(node, kind)('PUT', path, {**at(1), f'X-{kind.title()}-Meta-Color': 'blue'})
        file = node.broker(kind, 'sda1', path.split('/')[2], 'AUTH_a', *(['c'] if kind == 'container' else [])).path
        said = theirs.run(f'swift-{kind}-info', file, '-d', node.etc)
        assert 'Account: AUTH_a' in said and 'blue' in said
        assert f'Put Timestamp: 2023-11-14T22:13:21.000000 ({stamp(1)})' in said


@pytest.mark.parametrize('name, when', [('o', '1700000000.00000'), ('café/ü', '1700000000.00001_1+a+0'), ('', '0')])
def test_the_hash_of_rows_is_theirs(swift_2_38, name, when):
    said = subprocess.run([f'{swift_2_38}/python', '-P', '-c',
                           'import sys; from swift.common.db import chexor; print(chexor(*sys.argv[1:]))',
                           'f' * 32, name, when], capture_output=True, text=True, check=True).stdout.strip()
    assert said == chexor('f' * 32, name, when)

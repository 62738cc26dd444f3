"""What looks after accounts and containers: auditors find, the updater tells, the reaper removes."""

import json
import os

import pytest

from strata.wsgi.server import Server
from swift.account.auditor import AccountAuditor
from swift.account.reaper import AccountReaper
from swift.container.auditor import ContainerAuditor
from swift.container.updater import ContainerUpdater
from swift.http import HttpError
from tests.swift_node import OBJECT, Node, at, stamp

DEVICES = ('sda1', 'sdb1')


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path, DEVICES)
    yield node
    node.close()


def run(node, daemon, **options):
    made = daemon({**node.conf, 'accounts_per_second': '0', 'containers_per_second': '0', 'conn_timeout': '2',
                   **options})
    try:
        made.run_once()
    finally:
        made.close()


def part(node, *names):
    return int(node.apps['account'].hashing.hexdigest(*names)[:8], 16) >> 30


def recon(node, kind):
    with open(f'{node.recon}/{kind}.recon') as file:
        return json.load(file)


def make(node, account='AUTH_a', container='c', names=('o',), policy=None):
    """An account with a container that holds objects, on all devices; the account does not know it yet."""
    headers = {'X-Backend-Storage-Policy-Index': policy} if policy else {}
    for device in DEVICES:
        node.account('PUT', f'/{device}/{part(node, account)}/{account}', at(1))
        path = f'/{device}/{part(node, account, container)}/{account}/{container}'
        assert node.container('PUT', path, {**at(1), **headers}).status == 201
        for name in names:
            node.container('PUT', f'{path}/{name}', {**OBJECT, **at(2), **headers})


def account(node, method='HEAD', name='AUTH_a', **headers):
    return [node.account(method, f'/{device}/{part(node, name)}/{name}', headers) for device in DEVICES]


def counts(node):
    return {tuple(answer.headers[f'x-account-{what}'] for what in ('container-count', 'object-count', 'bytes-used'))
            for answer in account(node)}


def test_the_updater_tells_accounts_what_changed_and_only_that(node):
    make(node, names=('a', 'b'), policy='1')
    run(node, ContainerUpdater)
    assert counts(node) == {('1', '2', '2')}
    assert account(node)[0].headers['x-account-storage-policy-silver-object-count'] == '2'
    assert 'container_updater_sweep' in recon(node, 'container')
    app = node.apps['account']
    asked = []
    app.handlers['PUT'] = lambda request: asked.append(request.path) or app.put(request)
    run(node, ContainerUpdater)
    assert asked == []
    node.container('DELETE', f'/sda1/{part(node, "AUTH_a", "c")}/AUTH_a/c/a',
                   {**at(3), 'X-Backend-Storage-Policy-Index': '1'})
    run(node, ContainerUpdater)
    assert len(asked) == 2 and counts(node) == {('1', '1', '1')}


def test_the_updater_tries_again_what_most_servers_did_not_take(node):
    make(node)
    node.servers['account'].stop(0)
    run(node, ContainerUpdater)
    node.servers['account'] = Server(node.apps['account'], ('127.0.0.1', node.servers['account'].port or 0),
                                     access_log=False)
    node.servers['account'].start()
    node.ring('account', 2)
    run(node, ContainerUpdater)
    assert counts(node) == {('1', '1', '1')}


def test_what_only_a_server_that_is_away_missed_waits_for_it(tmp_path):
    node = Node(tmp_path, ('sda1', 'sdb1', 'sdc1'))
    app, asked, down = node.apps['account'], [], ['sdc1']

    def put(request):
        asked.append(request.path)
        return HttpError(507).response() if request.path.split('/')[1] in down else app.put(request)
    for device in node.devices:
        node.account('PUT', f'/{device}/{part(node, "AUTH_a")}/AUTH_a', at(1))
    paths = [f'/sda1/{part(node, "AUTH_a", name)}/AUTH_a/{name}' for name in map(str, range(10))]
    for path in paths:
        node.container('PUT', path, at(1))
        node.container('PUT', f'{path}/o', {**OBJECT, **at(2)})
    app.handlers['PUT'] = put
    updater = ContainerUpdater({**node.conf, 'containers_per_second': '0', 'conn_timeout': '2',
                                'account_suppression_time': '1000'})
    for _ in range(3):
        updater.run_once()
    assert len(asked) == 30
    node.container('PUT', f'{paths[3]}/other', {**OBJECT, **at(3)})     # whoever is there hears of it at once
    updater.run_once()
    assert len(asked) == 33
    assert {node.account('HEAD', f'/{device}/{part(node, "AUTH_a")}/AUTH_a').headers['x-account-object-count']
            for device in ('sda1', 'sdb1')} == {'11'}
    updater.conf.account_suppression_time = 0       # from its next failure on
    node.container('PUT', f'{paths[3]}/third', {**OBJECT, **at(4)})
    updater.run_once()
    down.clear()
    updater.run_once()
    assert {node.account('HEAD', f'/{device}/{part(node, "AUTH_a")}/AUTH_a').headers['x-account-object-count']
            for device in node.devices} == {'12'}
    asked.clear()
    updater.run_once()
    assert asked == []
    updater.close()
    node.close()


def test_the_updater_tells_of_deletions(node):
    make(node, names=())
    run(node, ContainerUpdater)
    for device in DEVICES:
        node.container('DELETE', f'/{device}/{part(node, "AUTH_a", "c")}/AUTH_a/c', at(5))
    run(node, ContainerUpdater)
    assert counts(node) == {('0', '0', '0')}
    broker = node.broker('container', 'sda1', part(node, 'AUTH_a', 'c'), 'AUTH_a', 'c')
    assert broker.info()['reported_delete_timestamp'] == stamp(5)


@pytest.mark.parametrize('kind, daemon', [('account', AccountAuditor), ('container', ContainerAuditor)])
def test_auditors_pass_what_is_sound_and_quarantine_what_is_not(node, kind, daemon):
    make(node)
    run(node, daemon)
    said = recon(node, kind)
    assert (said[f'{kind}_audits_passed'], said[f'{kind}_audits_failed']) == (2, 0)
    assert f'{kind}_auditor_pass_completed' in said
    names = ('AUTH_a',) if kind == 'account' else ('AUTH_a', 'c')
    broker = node.broker(kind, 'sdb1', part(node, *names), *names)
    broker.info()
    node.apps[kind].connections.close()
    with open(broker.path, 'r+b') as file:
        file.seek(4096)
        file.write(os.urandom(20_000))
    run(node, daemon)
    said = recon(node, kind)
    assert (said[f'{kind}_audits_passed'], said[f'{kind}_audits_failed']) == (1, 1)
    assert not broker.exists and os.listdir(f'{node.srv}/sdb1/quarantined/{kind}s')


def test_the_account_auditor_finds_sums_that_do_not_fit(node):
    make(node)
    run(node, ContainerUpdater)
    broker = node.broker('account', 'sda1', part(node, 'AUTH_a'), 'AUTH_a')
    broker.info()
    broker.writing(lambda connection: connection.execute('UPDATE policy_stat SET object_count = 7'))
    run(node, AccountAuditor)
    assert recon(node, 'account')['account_audits_failed'] == 1


def test_a_database_in_the_wrong_place_fails_the_audit(node):
    make(node)
    broker = node.broker('container', 'sda1', part(node, 'AUTH_a', 'c'), 'AUTH_a', 'c')
    broker.writing(lambda connection: connection.execute("UPDATE container_info SET container = 'other'"))
    run(node, ContainerAuditor)
    assert recon(node, 'container')['container_audits_failed'] == 1


class Objects:
    """Object servers of all policies: they tell containers of deletions, as real ones do."""

    def __init__(self, node):
        self.node, self.deleted = node, []
        self.server = Server(self, ('127.0.0.1', 0), access_log=False)
        self.server.start()
        for name in ('object', 'object-1'):
            node.ring(name, len(DEVICES), self.server.port)

    def __call__(self, environ, start_response):
        _, device, number, *names = environ['PATH_INFO'].split('/', 5)
        index = environ['HTTP_X_BACKEND_STORAGE_POLICY_INDEX']
        self.deleted.append((environ['REQUEST_METHOD'], index, '/'.join(names)))
        self.node.container('DELETE', f'/{environ["HTTP_X_CONTAINER_DEVICE"]}/'
                            f'{environ["HTTP_X_CONTAINER_PARTITION"]}/{"/".join(names)}',
                            {'X-Timestamp': environ['HTTP_X_TIMESTAMP'], 'X-Backend-Storage-Policy-Index': index})
        start_response('204 No Content', [])
        return []


@pytest.fixture
def objects(node):
    made = Objects(node)
    yield made
    made.server.stop(0)


def reap(node, times=1, **options):
    for _ in range(times):
        run(node, AccountReaper, bind_port=str(node.port('account')), **options)


def test_the_reaper_empties_a_deleted_account(node, objects):
    make(node, names=('a', 'b'))
    make(node, container='d', names=('x',), policy='1')
    run(node, ContainerUpdater)
    reap(node)
    assert objects.deleted == []        # the account lives
    account(node, 'DELETE', **at(9))
    reap(node, delay_reaping=str(10 ** 10))
    assert objects.deleted == []        # not yet
    reap(node)
    assert set(objects.deleted) == {('DELETE', '0', 'AUTH_a/c/a'), ('DELETE', '0', 'AUTH_a/c/b'),
                                    ('DELETE', '1', 'AUTH_a/d/x')}
    run(node, ContainerUpdater)
    for device in DEVICES:
        broker = node.broker('account', device, part(node, 'AUTH_a'), 'AUTH_a')
        assert broker.info()['container_count'] == 0
        for container in ('c', 'd'):
            path = f'/{device}/{part(node, "AUTH_a", container)}/AUTH_a/{container}'
            assert node.container('HEAD', path).status == 404


def test_the_reaper_leaves_a_container_whose_objects_cannot_be_deleted(node):
    make(node)
    run(node, ContainerUpdater)
    account(node, 'DELETE', **at(9))
    reap(node)
    assert node.container('HEAD', f'/sda1/{part(node, "AUTH_a", "c")}/AUTH_a/c').status == 204

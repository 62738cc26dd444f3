"""Replicas of account and container databases come together again, whatever one of them missed."""

import json
import os
import random
import shutil
import time

import pytest

from swift.account.replicator import AccountReplicator
from swift.container.replicator import ACCOUNT, ContainerReplicator
from swift.timestamp import Timestamp
from tests.swift_node import OBJECT, Node, at, stamp

DEVICES = ('sda1', 'sdb1', 'sdc1')


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path, DEVICES)
    yield node
    node.close()


def part(node, account, container=None):
    return int(node.apps['account'].hashing.hexdigest(account, container)[:8], 16) >> 30


def run(node, kind='container', **options):
    """One sweep of a replicator; what recon then says."""
    daemon = {'container': ContainerReplicator, 'account': AccountReplicator}[kind](
        {**node.conf, 'bind_port': str(node.port(kind)), 'databases_per_second': '0',
         'reclaim_age': str(10 ** 10), **options})
    try:
        daemon.run_once()
    finally:
        daemon.close()
    with open(f'{node.recon}/{kind}.recon') as file:
        return json.load(file)['replication_stats']


class Replicas:
    """One container on all devices, each spoken to by itself."""

    def __init__(self, node, container='c', account='AUTH_a'):
        self.node, self.account, self.container = node, account, container
        self.part = part(node, account, container)

    def ask(self, method, device, name='', **headers):
        path = f'/{device}/{self.part}/{self.account}/{self.container}' + (f'/{name}' if name else '')
        return self.node.container(method, path, headers)

    def make(self, *devices, second=1, **headers):
        for device in devices or DEVICES:
            assert self.ask('PUT', device, **at(second), **headers).status == 201

    def put(self, device, name, second=2, **headers):
        assert self.ask('PUT', device, name, **{**OBJECT, **at(second), **headers}).status == 201

    def delete(self, device, name, second):
        assert self.ask('DELETE', device, name, **at(second)).status == 204

    def names(self, device):
        return self.ask('GET', device).body.decode().split()

    def broker(self, device):
        return self.node.broker('container', device, self.part, self.account, self.container)

    def all_equal(self):
        infos = [self.broker(device).info() for device in DEVICES]
        return len({info['hash'] for info in infos}) == 1 and len({info['object_count'] for info in infos}) == 1


def test_rows_and_deletions_reach_every_replica(node):
    replicas = Replicas(node)
    replicas.make()
    replicas.put('sda1', 'a')
    replicas.put('sdb1', 'b')
    replicas.put('sdc1', 'gone', 2)
    replicas.delete('sda1', 'gone', 3)
    assert run(node)['failure'] == 0
    assert [replicas.names(device) for device in DEVICES] == [['a', 'b']] * 3
    assert replicas.all_equal()
    assert run(node)['diff'] == 0


def test_metadata_and_times_reach_every_replica(node):
    replicas = Replicas(node)
    replicas.make()
    replicas.ask('POST', 'sda1', **at(5, X_Container_Meta_A='new'))
    replicas.ask('POST', 'sdb1', **at(4, X_Container_Meta_A='old', X_Container_Meta_B='b'))
    run(node)
    for device in DEVICES:
        headers = replicas.ask('HEAD', device).headers
        assert (headers['x-container-meta-a'], headers['x-container-meta-b']) == ('new', 'b')
        assert headers['x-put-timestamp'] == stamp(5)


def test_a_lost_replica_is_made_again_whole(node):
    replicas = Replicas(node)
    replicas.make('sda1', 'sdb1')
    replicas.put('sda1', 'a')
    assert run(node)['rsync'] >= 1
    assert replicas.names('sdc1') == ['a']
    ids = {replicas.broker(device).info()['id'] for device in DEVICES}
    assert len(ids) == 3


def test_a_replica_far_behind_gets_the_whole_file_and_keeps_what_it_alone_has(node):
    replicas = Replicas(node)
    replicas.make()
    replicas.put('sdb1', 'alone')
    replicas.broker('sda1').merge_items([
        {'name': f'o{number}', 'created_at': stamp(2), 'size': 1, 'content_type': 't', 'etag': 'e', 'deleted': 0,
         'storage_policy_index': 0} for number in range(50)])
    assert run(node, per_diff='10')['remote_merge'] >= 1
    assert replicas.all_equal() and len(replicas.names('sdc1')) == 51


def test_more_than_may_be_sent_at_once_goes_in_several_sweeps(node):
    replicas = Replicas(node)
    replicas.make()
    for device in DEVICES:
        replicas.put(device, 'x')
    for number in range(8):
        replicas.put('sda1', f'o{number}')
        replicas.put('sdb1', f'p{number}')
    assert run(node, per_diff='3', max_diffs='2')['diff_capped'] >= 1
    for _ in range(4):
        run(node, per_diff='3', max_diffs='2')
    assert replicas.all_equal() and len(replicas.names('sdc1')) == 17


def test_rows_lost_behind_a_sync_point_come_back(node):
    replicas = Replicas(node)
    replicas.make()
    replicas.put('sda1', 'a')
    run(node)
    run(node)
    replicas.broker('sdc1').writing(lambda connection: connection.execute('DELETE FROM object'))
    assert replicas.names('sdc1') == []
    run(node)
    assert replicas.names('sdc1') == ['a'] and replicas.all_equal()


def test_a_deletion_of_the_container_reaches_every_replica(node):
    replicas = Replicas(node)
    replicas.make()
    replicas.ask('DELETE', 'sda1', **at(3))
    run(node)
    assert [replicas.ask('HEAD', device).status for device in DEVICES] == [404] * 3


def test_a_handoff_goes_home_and_leaves(tmp_path):
    node = Node(tmp_path, DEVICES, replicas=2)
    try:
        replicas = Replicas(node)
        from swift.ring.ring import Ring
        home = [each['device'] for each in
                Ring(node.etc, node.apps['account'].hashing, name='container').get_part_nodes(replicas.part)]
        away = next(device for device in DEVICES if device not in home)
        replicas.make(away)
        replicas.put(away, 'a')
        replicas.make(home[0])
        assert run(node)['remove'] == 1
        assert [replicas.names(device) for device in home] == [['a']] * 2
        assert not replicas.broker(away).exists
        assert os.listdir(f'{node.srv}/{away}/containers') == []
    finally:
        node.close()


def test_a_handoff_stays_while_a_primary_lacks_it(tmp_path):
    node = Node(tmp_path, DEVICES, replicas=2)
    try:
        replicas = Replicas(node)
        from swift.ring.ring import Ring
        home = [each['device'] for each in
                Ring(node.etc, node.apps['account'].hashing, name='container').get_part_nodes(replicas.part)]
        away = next(device for device in DEVICES if device not in home)
        replicas.make(away)
        shutil.rmtree(f'{node.srv}/{home[1]}')
        stats = run(node)
        assert stats['remove'] == 0 and stats['failure'] >= 1
        assert replicas.broker(away).exists and replicas.broker(home[0]).exists
    finally:
        node.close()


def test_a_deleted_database_is_removed_when_nobody_needs_to_know(node):
    replicas = Replicas(node)
    replicas.make()
    replicas.put('sda1', 'a')
    replicas.delete('sda1', 'a', 3)
    for device in DEVICES:
        replicas.ask('DELETE', device, **at(4))
    week = {'reclaim_age': '604800'}
    assert run(node, **week)['remove'] == 0      # the account does not know yet
    for device in DEVICES:
        replicas.broker(device).reported(stamp(1), stamp(4), 0, 0)
    assert run(node)['remove'] == 0
    assert run(node, **week)['remove'] == 3
    assert not any(replicas.broker(device).exists for device in DEVICES)


def test_old_tombstones_are_forgotten_and_young_ones_kept(node):
    replicas = Replicas(node)
    replicas.make()
    now = time.time() - 1_700_000_000
    for name, second in (('old', 3), ('young', now - 60)):
        replicas.delete('sda1', name, second)
    run(node, reclaim_age='3600')
    rows = replicas.broker('sda1').items_since(-1, 10)
    assert [row['name'] for row in rows] == ['young']


@pytest.mark.parametrize('older', [0, 1])
def test_of_two_policies_the_one_first_chosen_wins_and_the_rest_is_listed_for_the_reconciler(node, older):
    policy, newer = 'X-Backend-Storage-Policy-Index', 1 - older
    replicas = Replicas(node)
    replicas.make('sda1', 'sdb1', second=5, **{policy: str(newer)})
    replicas.make('sdc1', second=4, **{policy: str(older)})
    replicas.put('sda1', 'wrong', 3600 * 3, **{policy: str(newer)})
    replicas.put('sdc1', 'right', **{policy: str(older)})
    run(node)
    run(node)
    for device in DEVICES:
        assert replicas.ask('HEAD', device).headers[policy.lower()] == str(older)
        assert replicas.names(device) == ['right']
    queue = str(int(Timestamp(stamp(3600 * 3))) // 3600 * 3600)
    listed = Replicas(node, queue, ACCOUNT)
    for device in DEVICES:
        assert listed.names(device) == [f'{newer}:/AUTH_a/c/wrong']
    entry = listed.broker('sda1').items_since(-1, 10)[0]
    assert (entry['content_type'], entry['etag'], entry['size']) == ('application/x-put', stamp(3600 * 3), 0)


def test_a_container_made_again_wins_over_the_one_that_was_deleted(node):
    policy = 'X-Backend-Storage-Policy-Index'
    replicas = Replicas(node)
    replicas.make(second=1, **{policy: '0'})
    for device in ('sda1', 'sdb1'):
        replicas.ask('DELETE', device, **at(2))
        assert replicas.ask('PUT', device, **at(3), **{policy: '1'}).status == 201
    run(node)
    assert [replicas.ask('HEAD', device).headers[policy.lower()] for device in DEVICES] == ['1'] * 3


def test_accounts_too(node):
    where = part(node, 'AUTH_a')

    def ask(method, device, name='', **headers):
        return node.account(method, f'/{device}/{where}/AUTH_a{name}', headers)

    for device in ('sda1', 'sdb1'):
        ask('PUT', device, **at(1))
    ask('PUT', 'sda1', '/c', **{'X-Put-Timestamp': stamp(2), 'X-Delete-Timestamp': '0', 'X-Object-Count': '3',
                               'X-Bytes-Used': '9'})
    ask('POST', 'sdb1', **at(3, X_Account_Meta_A='1'))
    assert run(node, 'account')['failure'] == 0
    for device in DEVICES:
        answer = ask('GET', device)
        assert answer.body == b'c\n' and answer.headers['x-account-bytes-used'] == '9'
        assert answer.headers['x-account-meta-a'] == '1'
    ask('DELETE', 'sdc1', **at(4))
    run(node, 'account')
    assert [ask('HEAD', device).headers['x-account-status'] for device in DEVICES] == ['Deleted'] * 3
    assert run(node, 'account', reclaim_age='604800')['remove'] == 0       # its container is still to be reaped


def test_a_damaged_database_is_replaced_by_a_good_copy(node):
    replicas = Replicas(node)
    replicas.make()
    replicas.put('sda1', 'a')
    run(node)
    broken = replicas.broker('sdb1')
    node.apps['container'].connections.close()
    with open(broken.path, 'r+b') as file:
        file.write(b'nonsense' * 2000)
    run(node)
    run(node)
    assert replicas.names('sdb1') == ['a'] and replicas.all_equal()
    assert os.listdir(f'{node.srv}/sdb1/quarantined/containers')


@pytest.mark.parametrize('path, body, status', [
    ('/sda1/0/' + 'a' * 32, b'["sync", {}]', 404), ('/sda1/0/nothash', b'[]', 400),
    ('/sda1/0/..%2f..%2f..%2fetc', b'[]', 400), ('/nodisk/0/' + 'a' * 32, b'["sync", {}]', 507),
    ('/sda1/0/' + 'a' * 32, b'{', 400), ('/sda1/0/' + 'a' * 32 + '?upload=x', b'no database', 400)])
def test_what_no_replicator_says_is_refused(node, path, body, status):
    assert node.ask('container', 'REPLICATE', path, body=body).status == status
    assert not os.path.exists(f'{node.srv}/sda1/tmp') or os.listdir(f'{node.srv}/sda1/tmp') == []


@pytest.mark.parametrize('message', [['sync', {}], ['sync'], ['items', [{}], 'x'], ['items'], ['word'], ['syncs', 3],
                                     ['items', [{'name': 'n', 'created_at': 'x', 'size': 0}], 'x']])
def test_a_message_without_sense_is_refused_and_changes_nothing(node, message):
    replicas = Replicas(node)
    replicas.make()
    digest = os.path.basename(replicas.broker('sda1').path)[:-3]
    before = replicas.broker('sda1').info()
    answer = node.ask('container', 'REPLICATE', f'/sda1/{replicas.part}/{digest}', body=json.dumps(message).encode())
    assert answer.status == 400 and replicas.broker('sda1').info() == before


def truth(operations):
    """What all replicas must come to: of each name the newest operation."""
    newest = {}
    for second, name, deleted in operations:
        newest[name] = max(newest.get(name, (0, 0)), (second, deleted))
    return sorted(name for name, (_, deleted) in newest.items() if not deleted)


@pytest.mark.parametrize('seed', range(3))
def test_whatever_each_replica_misses_all_end_the_same(node, seed):
    rng = random.Random(seed)
    replicas = Replicas(node)
    replicas.make()
    operations = []
    for step in range(60):
        device, name = rng.choice(DEVICES), f'o{rng.randrange(12)}'
        second, deleted = rng.randrange(2, 1000), rng.random() < 0.4
        if deleted:
            replicas.delete(device, name, second)
        else:
            replicas.put(device, name, second)
        operations.append((second, name, deleted))
        if step % 15 == 14:
            run(node, per_diff=str(rng.choice([2, 5, 1000])), max_diffs=str(rng.choice([1, 100])))
        if step == 40:      # a disk dies after the others have all that it had
            run(node)
            run(node)
            node.apps['container'].connections.close()
            shutil.rmtree(f'{node.srv}/{rng.choice(DEVICES)}/containers')
            run(node)
    for _ in range(3):
        assert run(node)['failure'] == 0
    assert replicas.all_equal()
    assert [replicas.names(device) for device in DEVICES] == [truth(operations)] * 3
    assert run(node)['no_change'] == 6


@pytest.mark.parametrize('seed', range(2))
def test_accounts_told_different_things_end_the_same(node, seed):
    rng = random.Random(seed)
    where = part(node, 'AUTH_a')
    for device in DEVICES:
        node.account('PUT', f'/{device}/{where}/AUTH_a', at(1))
    for step in range(40):
        put, count = rng.randrange(2, 50), rng.randrange(3)
        delete = rng.choice([0, rng.randrange(2, 50)])
        node.account('PUT', f'/{rng.choice(DEVICES)}/{where}/AUTH_a/c{rng.randrange(5)}', {
            'X-Put-Timestamp': stamp(put), 'X-Delete-Timestamp': stamp(delete) if delete else '0',
            'X-Object-Count': str(count), 'X-Bytes-Used': str(count * 10)})
        if step % 10 == 9:
            run(node, 'account')
    for _ in range(4):
        run(node, 'account')
    infos = [node.broker('account', device, where, 'AUTH_a').info() for device in DEVICES]
    assert len({info['hash'] for info in infos}) == 1
    assert len({(info['container_count'], info['object_count']) for info in infos}) == 1

"""Objects come to where they belong, on servers and files that are real: nodes that were away, lost disks, handoffs."""

import urllib.error
import urllib.request

import pytest

from swift.obj import metadata
from tests.swift_cluster import Cluster


@pytest.fixture
def cluster(tmp_path):
    options = {'object-replicator': {'conn_timeout': '0.2', 'http_timeout': '5'}}
    with Cluster(tmp_path / 'cluster', options=options) as made:
        ask(made, 'PUT', '/c')
        yield made


def ask(cluster, method, path, body=None, **headers):
    request = urllib.request.Request(cluster.url + path, body, {
        name.replace('_', '-'): value for name, value in headers.items()}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def holders(cluster, end='.data'):
    """device -> (file name, content, metadata) of the only object there is."""
    found = {}
    for path in cluster.files(end):
        if '/objects' in str(path) and 'quarantined' not in str(path):
            device = path.relative_to(cluster.root).parts[1]
            found[device] = (path.name, path.read_bytes(), metadata.read(str(path)))
    return found


def primaries(cluster, name='o'):
    return {node.device for node in cluster.primaries('AUTH_test', 'c', name)}


def test_a_node_that_was_away_gets_what_it_missed(cluster):
    away = cluster.primaries('AUTH_test', 'c', 'o')[0]
    ask(cluster, 'PUT', '/c/o', b'first', Content_Type='text/plain', X_Object_Meta_Colour='gr\xc3\xbcn')
    away.stop()
    assert ask(cluster, 'PUT', '/c/o', b'second', Content_Type='text/plain', X_Object_Meta_Colour='blau')[0] == 201
    assert ask(cluster, 'POST', '/c/o', b'', X_Object_Meta_Colour='rot')[0] == 202
    away.start()
    cluster.run_once('object-replicator')
    data, meta = holders(cluster), holders(cluster, '.meta')
    assert set(data) == set(meta) == primaries(cluster)
    assert len(set(map(repr, data.values()))) == len(set(map(repr, meta.values()))) == 1
    assert ask(cluster, 'GET', '/c/o')[1] == b'second'


def test_a_disk_that_was_replaced_is_filled_again(cluster):
    for number in range(20):
        ask(cluster, 'PUT', f'/c/o{number}', b'%d' % number)
    lost = cluster.nodes[1]
    before = {path.name for path in lost.disk.rglob('*.data')}
    lost.wipe()
    cluster.run_once('object-replicator')
    assert before and {path.name for path in lost.disk.rglob('*.data')} == before


def test_a_handoff_lets_go_when_all_primaries_have_it(cluster):
    away = cluster.primaries('AUTH_test', 'c', 'o')[1]
    away.stop()
    ask(cluster, 'PUT', '/c/o', b'data')
    [handoff] = set(holders(cluster)) - primaries(cluster)
    cluster.run_once('object-replicator')
    assert handoff in holders(cluster), 'a primary is still away'
    away.start()
    cluster.run_once('object-replicator')
    assert set(holders(cluster)) == primaries(cluster)
    node = next(node for node in cluster.nodes if node.device == handoff)
    assert not list((node.disk / 'objects').iterdir())


def test_what_was_deleted_stays_deleted(cluster):
    ask(cluster, 'PUT', '/c/o', b'data')
    away = cluster.primaries('AUTH_test', 'c', 'o')[2]
    away.stop()
    assert ask(cluster, 'DELETE', '/c/o')[0] == 204
    away.start()
    for _ in range(2):
        cluster.run_once('object-replicator')
    assert not holders(cluster) and set(holders(cluster, '.ts')) == primaries(cluster)
    assert ask(cluster, 'GET', '/c/o')[0] == 404


def test_a_broken_replica_is_not_spread_but_put_aside(cluster):
    ask(cluster, 'PUT', '/c/o', b'data')
    first, second, _ = cluster.primaries('AUTH_test', 'c', 'o')
    [broken] = first.disk.rglob('*.data')
    broken.write_bytes(b'dada')
    second.wipe()
    cluster.daemon('object-replicator', first).run_once()
    assert not list(second.disk.rglob('*.data')) and not list((first.disk / 'objects').rglob('*.data'))
    cluster.run_once('object-replicator')
    assert {content for _, content, _ in holders(cluster).values()} == {b'data'}
    assert set(holders(cluster)) == primaries(cluster)


def test_replicas_that_are_the_same_cost_a_comparison_of_hashes(cluster):
    ask(cluster, 'PUT', '/c/o', b'data')
    cluster.run_once('object-replicator')
    [node, *_] = cluster.primaries('AUTH_test', 'c', 'o')
    daemon = cluster.daemon('object-replicator', node)
    daemon.run_once()
    assert (daemon.counts['hashmatch'], daemon.counts['rsync'], daemon.counts['failure']) == (2, 0, 0)


def test_a_large_object_travels_in_pieces(cluster):
    body = bytes(range(256)) * 4096 * 5
    ask(cluster, 'PUT', '/c/o', body)
    lost = cluster.primaries('AUTH_test', 'c', 'o')[0]
    lost.wipe()
    cluster.run_once('object-replicator')
    assert [path.read_bytes() == body for path in lost.disk.rglob('*.data')] == [True]


@pytest.mark.parametrize('path, body, status', [
    ('', b'[]', 400), ('', b'{"x": ["1.data"]}', 400), ('', b'{', 400), ('/' + 'a' * 32 + '/evil', b'', 400),
    ('/' + 'a' * 32 + '/1700000000.00000.data', b'\0\0\0\xffshort', 400),
    ('/' + 'a' * 32 + '/1700000000.00000.data', b'\0\0\0\x01x', 422), ('/../1700000000.00000.data', b'', 400),
    ('/' + 'a' * 32 + '/1700000000.00000.evil', b'', 400), ('/' + 'a' * 32 + '/5.x%2F..%2Fy', b'', 400),
])
def test_what_is_no_object_is_not_taken(cluster, path, body, status):
    node = cluster.nodes[0]
    url = f'http://127.0.0.1:{node.ports["object"]}/{node.device}/1{path}'
    request = urllib.request.Request(url, body, method='SSYNC')
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == status and not list(node.disk.rglob('*.data'))

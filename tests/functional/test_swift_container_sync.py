"""Containers that follow others: objects and deletions travel, signed, and what is newer there stays."""

import json
import urllib.error
import urllib.request

import pytest

from swift.obj import metadata
from tests.swift_cluster import AUTHLESS, Cluster

# only an owner may say where a container goes
FILTERS = AUTHLESS.replace('listing_formats', 'listing_formats container_sync tempauth')


@pytest.fixture
def cluster(tmp_path):
    with Cluster(tmp_path / 'cluster', filters=FILTERS, start=False) as made:
        (made.swift_dir / 'container-sync-realms.conf').write_text(
            f'[REALM]\nkey = secret of the realm\ncluster_there = {made.base}/v1/\n')
        made.start()
        log_in(made)
        yield made


def log_in(cluster):
    request = urllib.request.Request(cluster.base + '/auth/v1.0', headers={
        'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testing'})
    with urllib.request.urlopen(request, timeout=30) as answer:
        cluster.token = answer.headers['X-Auth-Token']


def ask(cluster, method, path, body=None, **headers):
    request = urllib.request.Request(cluster.url + path, body, {'X-Auth-Token': cluster.token, **{
        name.replace('_', '-'): value for name, value in headers.items()}}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def pair(cluster, to='//realm/there/AUTH_test/copy', key='user key', there='user key'):
    assert ask(cluster, 'PUT', '/copy', X_Container_Sync_Key=there)[0] == 201
    assert ask(cluster, 'PUT', '/c', X_Container_Sync_To=to, X_Container_Sync_Key=key)[0] == 201


def sync(cluster):
    """One run on every node, and what they did."""
    total = {}
    for node in cluster.nodes:
        daemon = cluster.daemon('container-sync', node)
        daemon.run_once()
        for name, count in daemon.counts.items():
            total[name] = total.get(name, 0) + count
        daemon.close()
    return total


def names(cluster, container):
    return sorted(each['name'] for each in json.loads(ask(cluster, 'GET', f'/{container}?format=json')[1]))


def test_objects_and_deletions_come_to_the_other_side(cluster):
    pair(cluster)
    for name in ('a', 'b', '%C3%A9%2Fx'):
        ask(cluster, 'PUT', f'/c/{name}', name.encode(), Content_Type='text/x', X_Object_Meta_Colour='red')
    sync(cluster)
    assert names(cluster, 'copy') == ['a', 'b', 'é/x']
    here, there = (ask(cluster, 'GET', f'/{container}/a') for container in ('c', 'copy'))
    assert there[:2] == here[:2]
    for name in ('X-Timestamp', 'Etag', 'Content-Type', 'X-Object-Meta-Colour', 'Last-Modified'):
        assert there[2][name] == here[2][name]
    ask(cluster, 'DELETE', '/c/a')
    sync(cluster)
    assert names(cluster, 'copy') == ['b', 'é/x']


def test_a_container_may_be_named_by_its_url(cluster):
    pair(cluster, to=f'{cluster.url}/copy')
    ask(cluster, 'PUT', '/c/a', b'data')
    assert sync(cluster)['puts'] == 1
    assert ask(cluster, 'GET', '/copy/a')[1] == b'data'
    ask(cluster, 'DELETE', '/c/a')
    sync(cluster)
    assert names(cluster, 'copy') == []


def test_a_large_object_keeps_its_type(cluster):
    pair(cluster)
    ask(cluster, 'PUT', '/c/part', b'data')
    manifest = json.dumps([{'path': '/c/part', 'size_bytes': 4}]).encode()
    assert ask(cluster, 'PUT', '/c/whole?multipart-manifest=put', manifest, Content_Type='video/x')[0] == 201
    ask(cluster, 'PUT', '/c/dynamic', b'', X_Object_Manifest='c/pa', Content_Type='audio/x')
    sync(cluster)
    kept = [metadata.read(str(path)) for path in cluster.files('.data')]
    types = {each['name'].rpartition('/')[2]: each['Content-Type'] for each in kept if '/copy/' in each['name']}
    assert (types['whole'], types['dynamic']) == ('video/x', 'audio/x')
    assert {each.get('X-Static-Large-Object') for each in kept if each['name'].endswith('/whole')} == {'True'}
    assert {each.get('X-Object-Manifest') for each in kept if each['name'].endswith('/dynamic')} == {'c/pa'}


def test_a_second_run_finds_nothing_to_do(cluster):
    pair(cluster)
    ask(cluster, 'PUT', '/c/a', b'data')
    for _ in range(2):
        sync(cluster)
    assert sync(cluster).get('puts', 0) == 0


def test_a_body_that_the_other_side_has_is_not_sent_again(cluster):
    pair(cluster)
    # the copy is synchronised back, as two clusters do with each other
    ask(cluster, 'POST', '/copy', X_Container_Sync_To='//realm/there/AUTH_test/c')
    ask(cluster, 'PUT', '/c/a', b'data', X_Object_Meta_Colour='red')
    assert sync(cluster)['puts'] == 1
    for _ in range(3):
        counts = sync(cluster)
        assert (counts.get('puts', 0), counts.get('failures', 0)) == (0, 0)
    ask(cluster, 'POST', '/c/a', X_Object_Meta_Colour='blue')     # the same body, and newer here
    sync(cluster)
    assert ask(cluster, 'HEAD', '/copy/a')[2]['X-Object-Meta-Colour'] == 'blue'
    ask(cluster, 'PUT', '/copy/a', b'other')
    sync(cluster)
    assert ask(cluster, 'GET', '/c/a')[1] == b'other'


def test_what_is_newer_there_stays(cluster):
    pair(cluster)
    ask(cluster, 'PUT', '/c/a', b'older')
    ask(cluster, 'PUT', '/copy/a', b'newer')
    assert not sync(cluster).get('failures')
    assert ask(cluster, 'GET', '/copy/a')[1] == b'newer'


def test_another_key_is_refused_and_tried_again(cluster):
    pair(cluster, there='another key')
    ask(cluster, 'PUT', '/c/a', b'data')
    assert sync(cluster)['failures'] > 0 and names(cluster, 'copy') == []
    ask(cluster, 'POST', '/copy', X_Container_Sync_Key='user key')
    for _ in range(3):
        sync(cluster)
    assert names(cluster, 'copy') == ['a']


def test_an_object_that_cannot_be_sent_holds_up_no_other(cluster):
    pair(cluster)
    ask(cluster, 'PUT', '/c/a', b'data')
    for path in cluster.files('.data'):     # the listing has it, and no disk
        path.unlink()
    for name in ('b', 'd'):
        sync(cluster)
        ask(cluster, 'PUT', f'/c/{name}', b'data')
    assert sync(cluster)['failures'] > 0 and names(cluster, 'copy') == ['b', 'd']


@pytest.mark.parametrize('to', ['//nowhere/there/AUTH_test/copy', 'http://evil.example/v1/AUTH_test/copy',
                                'file:///etc/passwd', 'http://127.0.0.1'])
def test_a_target_that_is_not_allowed_is_refused_at_once(cluster, to):
    assert ask(cluster, 'PUT', '/c', X_Container_Sync_To=to, X_Container_Sync_Key='k')[0] == 400


def test_two_clusters_follow_each_other(tmp_path):
    with Cluster(tmp_path / 'one', filters=FILTERS, start=False) as one, \
            Cluster(tmp_path / 'other', filters=FILTERS, start=False) as other:
        realms = f'[WORLD]\nkey = secret\ncluster_one = {one.base}/v1/\ncluster_other = {other.base}/v1/\n'
        for cluster, there in ((one, 'other'), (other, 'one')):
            (cluster.swift_dir / 'container-sync-realms.conf').write_text(realms)
            cluster.start()
            log_in(cluster)
            assert ask(cluster, 'PUT', '/c', X_Container_Sync_Key='user key',
                       X_Container_Sync_To=f'//world/{there}/AUTH_test/c')[0] == 201
        ask(one, 'PUT', '/c/a', b'a' * 100_000, X_Object_Meta_Colour='red')
        ask(other, 'PUT', '/c/b', b'b')
        ask(other, 'PUT', '/c/both', b'older')
        ask(one, 'PUT', '/c/both', b'newer')
        for _ in range(2):
            for cluster in (one, other):
                assert not sync(cluster).get('failures')
        for cluster in (one, other):
            assert names(cluster, 'c') == ['a', 'b', 'both']
            assert ask(cluster, 'GET', '/c/both')[1] == b'newer'
            assert ask(cluster, 'GET', '/c/a')[1] == b'a' * 100_000
            assert sync(cluster).get('puts', 0) == 0
        ask(other, 'DELETE', '/c/a')
        sync(other)
        assert names(one, 'c') == ['b', 'both']

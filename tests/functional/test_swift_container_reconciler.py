"""Objects that were written under the wrong storage policy come to the right one."""

import contextlib
import json
import time
import urllib.error
import urllib.request

import pytest

from swift.direct import Direct, Refused
from swift.obj import metadata
from tests.swift_cluster import Cluster


@pytest.fixture
def cluster(tmp_path):
    with Cluster(tmp_path / 'cluster', policies=('gold', 'silver')) as made:
        yield made


def ask(cluster, method, path, body=None, **headers):
    request = urllib.request.Request(cluster.url + path, body, {
        name.replace('_', '-'): value for name, value in headers.items()}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


#: rows of the queue that are older than ``reclaim_age`` are another story
BEGAN = int(time.time()) - 100


def at(seconds):
    return f'{BEGAN + seconds}.00000'


def split_brain(cluster):
    """A container made as gold on one replica and, a moment later, as silver on the other two."""
    direct = Direct()
    part, nodes = cluster.ring('container').get_nodes('AUTH_test', 'c')
    for node, policy, when in zip(nodes, (0, 1, 1), (at(0), at(1), at(1))):
        direct.put(node, part, 'AUTH_test', 'c', headers={'X-Timestamp': when,
                                                          'X-Backend-Storage-Policy-Index': policy})
    direct.close()
    return nodes


def stray(cluster, name, body=b'data', method='PUT', when=None, **more):
    """An object of the container as if it were silver's."""
    direct = Direct()
    part, nodes = cluster.ring('object-1').get_nodes('AUTH_test', 'c', name)
    listing_part, listings = cluster.ring('container').get_nodes('AUTH_test', 'c')
    for node, listing in zip(nodes, listings):
        # a tombstone for what is not there says 404, and is kept
        with contextlib.suppress(Refused):
            direct.request(node, part, method, 'AUTH_test', 'c', name, body=body if method == 'PUT' else None, headers={
                'X-Timestamp': when or at(2), 'X-Backend-Storage-Policy-Index': 1,
                'Content-Type': 'text/plain', 'X-Object-Meta-Colour': 'red',
                'X-Container-Host': f'{listing["ip"]}:{listing["port"]}', 'X-Container-Device': listing['device'],
                'X-Container-Partition': listing_part,
                **{key.replace('_', '-'): value for key, value in more.items()}}).close()
    direct.close()


def settle(cluster):
    for _ in range(3):
        cluster.run_once('container-replicator')
    cluster.run_once('container-updater')
    daemon = cluster.daemon('container-reconciler', cluster.nodes[0])
    daemon.run_once()
    return daemon.stats


def held(cluster, datadir):
    return [path for path in cluster.files('.data') if f'/{datadir}/' in str(path)]


def test_a_stray_object_is_moved_whole_and_once(cluster):
    split_brain(cluster)
    stray(cluster, 'o')
    stats = settle(cluster)
    assert (stats['moved'], stats['retry']) == (1, 0)
    status, body, headers = ask(cluster, 'GET', '/c/o')
    assert (status, body) == (200, b'data')
    assert (headers['X-Object-Meta-Colour'], headers['Content-Type']) == ('red', 'text/plain')
    assert len(held(cluster, 'objects')) == 3 and not held(cluster, 'objects-1')
    assert settle(cluster)['considered'] == 0
    assert [each['name'] for each in json.loads(ask(cluster, 'GET', '/c?format=json')[1])] == ['o']


@pytest.mark.parametrize('more', [
    {'X_Static_Large_Object': 'True', 'Content_Type': 'video/x;swift_bytes=4', 'X_Object_Sysmeta_Slo_Size': '4'},
    {'X_Object_Manifest': 'c/parts', 'Content_Type': 'video/x'},
    {'X_Object_Sysmeta_Symlink_Target': 'c/target', 'Content_Type': 'application/symlink'}])
def test_manifests_and_links_are_moved_as_they_are(cluster, more):
    split_brain(cluster)
    body = json.dumps([{'name': '/c/part', 'bytes': 4, 'hash': 'x'}]).encode()
    stray(cluster, 'o', body, **more)
    assert settle(cluster)['moved'] == 1
    moved = held(cluster, 'objects')
    assert [path.read_bytes() for path in moved] == [body] * 3
    kept = metadata.read(str(moved[0]))
    assert {name: kept[name.replace('_', '-')] for name in more} == more


def test_what_a_client_wrote_later_stays(cluster):
    split_brain(cluster)
    for _ in range(3):
        cluster.run_once('container-replicator')
    assert ask(cluster, 'PUT', '/c/o', b'newer')[0] == 201
    stray(cluster, 'o', b'older')
    stats = settle(cluster)
    assert (stats['moved'], stats['buried'], stats['retry']) == (0, 1, 0)
    assert ask(cluster, 'GET', '/c/o')[1] == b'newer' and not held(cluster, 'objects-1')


def test_a_deletion_under_the_wrong_policy_counts(cluster):
    split_brain(cluster)
    stray(cluster, 'o', when=at(2))
    settle(cluster)
    assert ask(cluster, 'GET', '/c/o')[0] == 200
    stray(cluster, 'o', method='DELETE', when=at(9))
    stats = settle(cluster)
    assert (stats['buried'], stats['retry']) == (1, 0)
    assert ask(cluster, 'GET', '/c/o')[0] == 404

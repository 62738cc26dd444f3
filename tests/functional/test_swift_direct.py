"""Daemons' ways into the cluster: storage servers asked one by one, and a proxy of one's own."""

import io

import pytest

from strata import backend
from swift.direct import Direct, Refused
from swift.internal_client import InternalClient, Unexpected
from swift.timestamp import Timestamp
from tests.functional.swift_proxy import Client, answering, cluster, misbehaving


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp('store')) as store:
        yield store


@pytest.fixture
def user(store):
    user = Client(store)
    user.put('/c')
    return user


@pytest.fixture
def direct():
    direct = Direct(connect_timeout=1, timeout=5)
    yield direct
    direct.close()


@pytest.fixture
def inner(store):
    return InternalClient(str(store.swift_dir / 'internal-client.conf'), 'test', tries=2)


def test_each_replica_can_be_asked_by_itself(user, direct, store):
    user.put('/c/o', b'data', X_Object_Meta_A='b')
    part, nodes = store.ring('object').get_nodes(user.account, 'c', 'o')
    for node in nodes:
        assert direct.head(node, part, user.account, 'c', 'o')['X-Object-Meta-A'] == 'b'
        headers, answer = direct.get_object(node, part, user.account, 'c', 'o')
        assert answer.body() == b'data' and headers['Content-Length'] == '4'
    part, nodes = store.ring('container').get_nodes(user.account, 'c')
    for node in nodes:
        headers, listing = direct.listing(node, part, user.account, 'c')
        assert [each['name'] for each in listing] == ['o']
        assert direct.head(node, part, user.account, 'c')['X-Container-Object-Count']


def test_listings_are_read_page_by_page(user, direct, store):
    for number in range(7):
        user.put(f'/c/{number}', b'x')
    part, nodes = store.ring('container').get_nodes(user.account, 'c')
    assert [each['name'] for each in direct.entries(nodes[0], part, user.account, 'c', limit=3)] == list('0123456')
    assert [each['name'] for each in direct.entries(nodes[0], part, user.account, 'c', prefix='5')] == ['5']


def test_one_replica_is_written_posted_and_deleted(user, direct, store):
    part, nodes = store.ring('object').get_nodes(user.account, 'c', 'o')
    node = nodes[0]
    made = direct.put(node, part, user.account, 'c', 'o', body=b'data', headers={
        'Content-Type': 'text/x', 'X-Timestamp': Timestamp.now().internal})
    assert made['Etag'].strip('"') == '8d777f385d3dfec8815d20f7496026dc'
    direct.post(node, part, user.account, 'c', 'o', headers={'X-Object-Meta-A': 'b'})
    assert direct.head(node, part, user.account, 'c', 'o')['X-Object-Meta-A'] == 'b'
    direct.delete(node, part, user.account, 'c', 'o')
    with pytest.raises(Refused) as refusal:
        direct.head(node, part, user.account, 'c', 'o')
    assert refusal.value.code == 404 and 'x-backend-timestamp' in refusal.value.fields


def test_a_server_that_is_away_is_told_from_one_that_refuses(user, direct, store):
    part, nodes = store.ring('object').get_nodes(user.account, 'c', 'o')
    node = store.node(nodes[0])
    node.stop('object')
    try:
        with pytest.raises(backend.ConnectFailed):
            direct.head(nodes[0], part, user.account, 'c', 'o')
    finally:
        node.start('object')


def test_suffix_hashes_are_told(user, direct, store):
    user.put('/c/o', b'data')
    part, nodes = store.ring('object').get_nodes(user.account, 'c', 'o')
    suffix = store.hashing.hexdigest(user.account, 'c', 'o')[-3:]
    assert suffix.encode() in direct.suffixes(nodes[0], part) and direct.suffixes(nodes[0], part, [suffix])


def test_a_daemon_uses_the_cluster_as_a_client_does(inner):
    inner.create_container('AUTH_inner', 'c', {'X-Container-Meta-A': 'b'})
    inner.upload_object(b'data', 'AUTH_inner', 'c', 'o 1', {'X-Object-Meta-A': 'b'})
    inner.upload_object(io.BytesIO(b'file' * 100000), 'AUTH_inner', 'c', '\u00e9')
    assert [each['name'] for each in inner.containers('AUTH_inner')] == ['c']
    assert [each['name'] for each in inner.objects('AUTH_inner', 'c')] == ['o 1', '\u00e9']
    assert inner.get_object('AUTH_inner', 'c', '\u00e9').body == b'file' * 100000
    assert inner.metadata('AUTH_inner', 'c', 'o 1')['x-object-meta-a'] == 'b'
    inner.set_metadata({'X-Object-Meta-A': 'c'}, 'AUTH_inner', 'c', 'o 1')
    assert inner.metadata('AUTH_inner', 'c', 'o 1')['x-object-meta-a'] == 'c'
    with pytest.raises(Unexpected) as conflict:
        inner.delete_container('AUTH_inner', 'c')
    assert conflict.value.code == 409
    for name in ('o 1', '\u00e9', 'never'):
        inner.delete_object('AUTH_inner', 'c', name)
    inner.delete_container('AUTH_inner', 'c')
    assert not inner.exists('AUTH_inner', 'c') and inner.exists('AUTH_inner')
    assert list(inner.objects('AUTH_inner', 'c')) == []


def test_a_daemon_says_when_something_happened(inner):
    inner.create_container('AUTH_inner', 'd')
    inner.upload_object(b'x', 'AUTH_inner', 'd', 'o', {'X-Timestamp': '1234567890.00000'})
    assert inner.metadata('AUTH_inner', 'd', 'o')['x-timestamp'] == '1234567890.00000'
    with pytest.raises(Unexpected) as refused:
        inner.delete_object('AUTH_inner', 'd', 'o', headers={'X-Timestamp': '1234567889.00000'})
    assert refused.value.code == 409


def test_what_fails_for_a_moment_is_tried_again(inner, store):
    inner.create_container('AUTH_inner', 'e')
    with misbehaving(*store.nodes, act=answering('503 Service Unavailable')), pytest.raises(Unexpected) as failure:
        inner.upload_object(b'x', 'AUTH_inner', 'e', 'o')
    assert failure.value.code == 503
    left = [3]

    def recovering(app, environ, start_response):
        if left[0] > 0:
            left[0] -= 1
            return answering('503 Service Unavailable')(app, environ, start_response)
        return app(environ, start_response)
    with misbehaving(*store.nodes, act=recovering):
        inner.upload_object(b'x', 'AUTH_inner', 'e', 'o')
    assert inner.get_object('AUTH_inner', 'e', 'o').body == b'x'

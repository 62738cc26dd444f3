"""The proxy when storage servers are dead, slow, full, stale, or die in the middle of a body."""

import hashlib
import socket
import time

import pytest
import requests

from strata import green
from strata.testing import wait
from tests.functional.swift_proxy import Client, answering, cluster, dying_after, misbehaving, proxy_of

BIG = bytes(range(251)) * 8000      # 2 MB: more than sockets hold
DATA = b'data' * 100


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp('store'), devices=6, options={'app:proxy-server': {
            'node_timeout': '3', 'recoverable_node_timeout': '1', 'conn_timeout': '0.5',
            'post_quorum_timeout': '0.2'}}) as store:
        yield store


@pytest.fixture
def user(store):
    proxy_of(store).errors._errors.clear()
    user = Client(store)
    user.put('/c')
    return user


def copies(user, name='o', container='c'):
    digest = user.cluster.hashing.hexdigest(user.account, container, name)
    return [path for path in user.cluster.files('.data') if digest in path.parts]


def hung(app, environ, start_response):
    green.sleep(30)
    raise OSError


def stopped(*nodes, kind='object'):
    """The servers of these nodes, dead for a while."""
    class Stopped:
        def __enter__(self):
            for node in nodes:
                node.stop(kind)

        def __exit__(self, *exc_info):
            for node in nodes:
                node.start(kind)
    return Stopped()


@pytest.mark.parametrize('dead', [1, 2, 3])
@pytest.mark.parametrize('data', [DATA, BIG], ids=['small', 'large'])
def test_a_write_goes_to_handoffs_when_primaries_are_dead(user, dead, data):
    with stopped(*user.primaries('c', 'o')[:dead]):
        assert user.put('/c/o', data).status_code == 201
        assert user.get('/c/o').content == data
    assert len(copies(user)) == 3
    for _ in range(5):
        assert user.get('/c/o').content == data      # some of the primaries have it, or a handoff


def test_reads_go_on_with_the_last_replica(user):
    user.put('/c/o', DATA)
    with stopped(*user.primaries('c', 'o')[1:]):
        for _ in range(6):
            assert user.get('/c/o').content == DATA
            assert user.head('/c/o').status_code == 200


def test_what_may_be_on_a_dead_server_is_not_said_to_be_missing(user):
    user.put('/c/o', DATA)
    user.put('/c/p', DATA)
    with stopped(*user.primaries('c', 'p')[:2]):
        assert user.get('/c/p').status_code == 200
    nodes = user.primaries('c', 'o')
    with stopped(*nodes):
        for _ in range(15):      # more than the errors that suppress a node
            assert user.get('/c/o').status_code == 503


def test_a_delete_counts_what_is_gone_already(user):
    user.put('/c/o', DATA)
    first, *rest = user.primaries('c', 'o')
    with stopped(first):
        assert user.delete('/c/o').status_code == 204
    with stopped(*rest[:1]):
        assert user.get('/c/o', X_Newest='1').status_code == 404
    # the replica that missed the delete does not bring the object back as long as a tombstone is seen first
    assert user.get('/c/o', X_Newest='1').status_code == 404


@pytest.mark.parametrize('data', [DATA, BIG], ids=['small', 'large'])
def test_a_full_disk_is_passed_over_at_once(user, data):
    full = user.primaries('c', 'o')[0]
    with misbehaving(full, act=answering('507 Insufficient Storage')):
        assert user.put('/c/o', data).status_code == 201
        errors = proxy_of(user.cluster).errors
        assert [key[1] for key in errors._errors] == [full.ports['object']]
        assert user.put('/c/o', data).status_code == 201
    assert len(copies(user)) >= 3


@pytest.mark.parametrize('data', [DATA, BIG], ids=['small', 'large'])
def test_full_disks_everywhere_are_a_503(user, data):
    with misbehaving(*user.cluster.nodes, act=answering('507 Insufficient Storage')):
        assert user.put('/c/o', data).status_code == 503


def test_a_server_that_errs_is_replaced(user):
    with misbehaving(user.primaries('c', 'o')[0], act=answering('500 Internal Error')):
        assert user.put('/c/o', DATA).status_code == 201
        for _ in range(4):
            assert user.get('/c/o').content == DATA
        assert user.post('/c/o', X_Object_Meta_A='b').status_code == 202
        assert user.delete('/c/o').status_code == 204


def test_answers_that_differ_have_no_quorum(user):
    one, two, three = user.primaries('c', 'o')
    with misbehaving(one, act=answering('201 Created')), misbehaving(two, act=answering('412 Precondition Failed')), \
            misbehaving(three, *user.others('c', 'o'), act=answering('503 Service Unavailable')):
        assert user.put('/c/o', DATA).status_code == 503


def test_two_good_answers_are_a_quorum(user):
    with misbehaving(user.primaries('c', 'o')[0], act=answering('409 Conflict')):
        assert user.put('/c/o', DATA).status_code == 201


@pytest.mark.parametrize('data', [DATA, BIG], ids=['small', 'large'])
def test_an_older_write_is_accepted_and_forgotten(user, data):
    with misbehaving(*user.primaries('c', 'o')[:2], act=answering('409 Conflict')):
        assert user.put('/c/o', data).status_code == 202


def test_servers_that_computed_different_etags_are_an_error(user):
    with misbehaving(user.primaries('c', 'o')[0], act=answering('201 Created', Etag='"abc"')):
        assert user.put('/c/o', DATA).status_code == 500


def test_a_slow_server_is_not_waited_for_after_the_quorum(user, monkeypatch):
    monkeypatch.setattr(proxy_of(user.cluster).conf, 'node_timeout', 25)
    with misbehaving(user.primaries('c', 'o')[0], act=hung):
        began = time.monotonic()
        assert user.put('/c/o', DATA).status_code == 201
        assert time.monotonic() - began < 15
        assert user.post('/c/o', X_Object_Meta_A='b').status_code == 202
        assert user.delete('/c/o').status_code == 204


def test_a_slow_server_is_replaced_while_a_large_body_waits(user):
    with misbehaving(user.primaries('c', 'o')[0], act=hung):
        assert user.put('/c/o', BIG).status_code == 201
        assert user.get('/c/o').content == BIG
    assert len(copies(user)) == 3


def test_a_slow_read_goes_to_another_replica(user):
    user.put('/c/o', DATA)
    with misbehaving(*user.primaries('c', 'o')[:2], act=hung):
        assert user.get('/c/o').content == DATA


def test_errors_are_counted_and_such_a_node_left_alone(user):
    user.put('/c/o', DATA)
    app, node = proxy_of(user.cluster), user.primaries('c', 'o')[0]

    def counts():
        return {key[1]: count for key, (count, _) in app.errors._errors.items()}
    bound = {node.ports['object']: app.conf.error_suppression_limit + 1}
    with stopped(node):
        # which replica is asked first is a matter of chance
        wait.until(lambda: user.get('/c/o').content == DATA and counts() == bound, 60)
        for _ in range(30):
            assert user.get('/c/o').content == DATA
        assert counts() == bound
    app.errors.interval, before = 0, app.errors.interval
    try:
        for _ in range(3):
            user.get('/c/o')
        assert not app.errors._errors or app.errors.interval == 0
    finally:
        app.errors.interval = before


@pytest.mark.parametrize('after', [0, 1, 100000, 1500000])
def test_a_body_goes_on_at_another_replica(user, after):
    user.put('/c/o', BIG)
    dying = user.primaries('c', 'o')[:2]
    with misbehaving(*dying, act=dying_after(after)):
        for _ in range(4):
            answer = user.get('/c/o')
            assert answer.status_code == 200 and hashlib.md5(answer.content).digest() == hashlib.md5(BIG).digest()


@pytest.mark.parametrize('after', [50, 70000, 400000])
def test_a_range_goes_on_at_another_replica(user, after):
    user.put('/c/o', BIG)
    with misbehaving(*user.primaries('c', 'o')[:2], act=dying_after(after)):
        for _ in range(4):
            answer = user.get('/c/o', Range='bytes=1000-900999')
            assert answer.status_code == 206 and answer.content == BIG[1000:901000]
            assert user.get('/c/o', Range='bytes=-500000').content == BIG[-500000:]


@pytest.mark.parametrize('after', [50, 200, 100000, 300000, 300200, 500100, 650000])
def test_several_ranges_go_on_at_another_replica(user, after):
    user.put('/c/o', BIG, Content_Type='text/x')
    spans = [(0, 300000), (400000, 600000), (700000, 900000)]
    with misbehaving(*user.primaries('c', 'o')[:2], act=dying_after(after)):
        for _ in range(5):
            answer = user.get('/c/o', Range='bytes=' + ','.join(f'{start}-{stop - 1}' for start, stop in spans))
            boundary = answer.headers['Content-Type'].partition('boundary=')[2]
            assert answer.status_code == 206 and answer.content == b''.join(
                f'--{boundary}\r\nContent-Type: text/x\r\nContent-Range: bytes {start}-{stop - 1}/{len(BIG)}'
                f'\r\n\r\n'.encode() + BIG[start:stop] + b'\r\n' for start, stop in spans) + f'--{boundary}--'.encode()


def test_a_body_never_goes_on_with_another_version(user):
    user.put('/c/o', BIG)
    one = user.primaries('c', 'o')[0]
    with stopped(one):
        user.put('/c/o', BIG[::-1])      # on two, three and a handoff
    with misbehaving(one, act=dying_after(100000)):
        for _ in range(8):
            try:
                content = user.get('/c/o').content
            except requests.exceptions.RequestException:
                continue      # cut short, which the client sees
            assert content in (BIG, BIG[::-1])


def test_a_body_that_nobody_can_complete_is_cut_short(user):
    user.put('/c/o', BIG)
    with misbehaving(*user.primaries('c', 'o'), act=dying_after(100000)), \
            pytest.raises(requests.exceptions.RequestException):
        user.get('/c/o')


def test_a_server_that_dies_under_a_large_upload_is_left_out(user):
    def dying(app, environ, start_response):
        if environ['REQUEST_METHOD'] == 'PUT':
            environ['wsgi.input'].read(500000)
            raise OSError('the disk is gone')
        return app(environ, start_response)
    with misbehaving(user.primaries('c', 'o')[0], act=dying):
        assert user.put('/c/o', BIG).status_code == 201
    assert len(copies(user)) == 2
    with misbehaving(*user.primaries('c', 'p')[:2], act=dying):
        assert user.put('/c/p', BIG).status_code == 503
    assert len(copies(user, 'p')) <= 1      # what one server has, none takes back


def test_a_host_that_does_not_answer_to_connections_is_passed_over(user):
    node = user.primaries('c', 'o')[0]
    node.stop('object')
    with socket.create_server(('127.0.0.1', node.ports['object']), backlog=0) as sock:
        held = [socket.socket() for _ in range(3)]
        for each in held:
            each.setblocking(False)
            each.connect_ex(sock.getsockname())
        try:
            assert user.put('/c/o', DATA).status_code == 201
            assert user.get('/c/o').content == DATA
        finally:
            for each in held:
                each.close()
    node.start('object')


def test_containers_do_without_a_dead_server_and_say_so_without_a_quorum(user):
    with stopped(user.primaries('n')[0], kind='container'):
        assert user.put('/n').status_code == 201
        assert user.put('/n/o', DATA).status_code == 201
        assert user.names('/n') == ['o']
    lost = user.primaries('m')
    with stopped(*user.cluster.nodes, kind='container'):
        assert lost and user.put('/m').status_code == 503
        assert user.get('/m').status_code == 503
        assert user.put('/m/o', DATA).status_code == 503


def test_concurrent_gets_give_a_slow_server_company(tmp_path):
    with cluster(tmp_path, options={'app:proxy-server': {
            'concurrent_gets': 'yes', 'concurrency_timeout': '0.1', 'node_timeout': '20',
            'recoverable_node_timeout': '20'}}) as store:
        user = Client(store)
        user.put('/c')
        user.put('/c/o', BIG)
        with misbehaving(*user.primaries('c', 'o')[:2], act=hung):
            for _ in range(4):
                began = time.monotonic()
                assert user.get('/c/o').content == BIG
                assert time.monotonic() - began < 15
        assert user.get('/c/none').status_code == 404
        with misbehaving(*user.primaries('c', 'o')[:2], act=dying_after(300000)):
            for _ in range(4):
                assert user.get('/c/o').content == BIG

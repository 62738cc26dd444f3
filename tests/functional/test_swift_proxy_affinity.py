"""The proxy: policies with places of their own to read from and to write to."""

import pytest

from strata import errors
from strata.testing.wait import until
from swift.proxy.app import app_factory
from tests.functional.swift_proxy import Client, cluster, misbehaving, proxy_of


def with_policy(path, **options):
    """A cluster whose policy 0 has options of its own in the proxy's conf file."""
    store = cluster(path, devices=6, start=False)
    conf = store.swift_dir / 'proxy-server.conf'
    conf.write_text(conf.read_text() + '\n[proxy-server:policy:0]\n' + ''.join(
        f'{name} = {value}\n' for name, value in options.items()))
    store.start()
    return store


def holders(user, name):
    digest = user.cluster.hashing.hexdigest(user.account, 'c', name)
    return [node for node in user.cluster.nodes if any(
        digest in path.parts for path in node.disk.rglob('*.data'))]


def test_writes_stay_near_and_deletes_find_them_there(tmp_path):
    with with_policy(tmp_path, write_affinity='r1z2', write_affinity_node_count='2') as store:
        assert proxy_of(store).sorters[0].options.write_affinity is not None
        user = Client(store)
        user.put('/c')
        for number in range(6):
            for size in (10, 300000):
                name = f'o{number}-{size}'
                assert user.put(f'/c/{name}', b'x' * size).status_code == 201
                found = holders(user, name)
                assert len(found) == 3 and sum(node.zone == 2 for node in found) == 2
                assert user.get(f'/c/{name}').content == b'x' * size
                assert user.delete(f'/c/{name}').status_code == 204
                assert not holders(user, name)
                assert user.get(f'/c/{name}').status_code == 404


def test_reads_ask_the_nearest_first(tmp_path):
    with with_policy(tmp_path, sorting_method='affinity', read_affinity='r1z3=1, r1z1=2') as store:
        user = Client(store)
        user.put('/c')
        user.put('/c/o', b'data')
        asked = []

        def noted(app, environ, start_response):
            if environ['REQUEST_METHOD'] == 'GET':
                asked.append(environ['PATH_INFO'].split('/')[1])
            return app(environ, start_response)
        with misbehaving(*user.primaries('c', 'o'), act=noted):
            for _ in range(5):
                assert user.get('/c/o').content == b'data'
        near = {node.device for node in user.primaries('c', 'o') if node.zone == 3}
        assert len(asked) == 5 and set(asked) <= near


@pytest.mark.parametrize('name, value', [
    ('node_timeout', 'soon'), ('read_affinity', 'here'), ('request_node_count', '0'), ('sorting_method', 'random'),
    ('account_autocreate', 'maybe'), ('error_suppression_limit', '-1'),
])
def test_an_option_that_means_nothing_is_named(tmp_path, name, value):
    store = cluster(tmp_path, start=False)
    with pytest.raises(errors.Invalid, match=f'{name} = {value}'):
        app_factory({'swift_dir': str(store.swift_dir)}, **{name: value})


def test_a_proxy_without_rings_says_so(tmp_path):
    store = cluster(tmp_path, start=False)
    (store.swift_dir / 'container.ring.gz').unlink()
    with pytest.raises(errors.Invalid, match='container.ring.gz'):
        app_factory({'swift_dir': str(store.swift_dir)})


def test_some_hosts_are_not_served(tmp_path):
    with cluster(tmp_path, options={'app:proxy-server': {'deny_host_headers': 'evil.example'}}) as store:
        user = Client(store)
        assert user.get('', Host='evil.example:8080').status_code == 403
        assert user.get('', Host='good.example').status_code == 204


def test_what_has_expired_is_shown_where_that_is_allowed(tmp_path):
    with cluster(tmp_path, options={'app:proxy-server': {'enable_open_expired': 'true'}}) as store:
        user = Client(store)
        user.put('/c')
        user.put('/c/o', b'data', X_Delete_After='1')
        until(lambda: user.get('/c/o').status_code == 404)
        assert user.get('/c/o', X_Open_Expired='true').content == b'data'
        assert user.head('/c/o', X_Open_Expired='true').status_code == 200
        assert user.post('/c/o', X_Object_Meta_A='b').status_code == 404
        assert user.post('/c/o', X_Open_Expired='true', X_Object_Meta_A='b').status_code == 202
        assert user.get('/c/o').status_code == 200

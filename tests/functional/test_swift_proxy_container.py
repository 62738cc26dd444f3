"""The proxy: containers."""

import pytest

from swift.http.request import Request
from tests.functional.swift_proxy import Client, cluster, proxy_of


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp('store'), policies=['gold', 'silver']) as store:
        yield store


@pytest.fixture
def user(store):
    return Client(store)


def test_a_container_comes_and_goes(user):
    assert user.get('/c').status_code == 404
    assert user.put('/c').status_code == 201
    assert user.put('/c').status_code == 202
    assert user.get('/c').status_code == 204
    assert user.delete('/c').status_code == 204
    assert user.head('/c').status_code == 404
    assert user.delete('/c').status_code == 404
    assert user.post('/c').status_code == 404


def test_a_container_that_holds_something_stays(user):
    user.put('/c')
    user.put('/c/o', b'x')
    assert user.delete('/c').status_code == 409
    user.delete('/c/o')
    assert user.delete('/c').status_code == 204


def test_a_listing_is_counted_and_sorted(user):
    user.put('/c')
    for name in ('b', 'a', 'd/x', 'd/y', '\u00e9'):
        assert user.put(f'/c/{name}', b'12345').status_code == 201
    head = user.head('/c').headers
    assert (head['X-Container-Object-Count'], head['X-Container-Bytes-Used']) == ('5', '25')
    assert head['Accept-Ranges'] == 'bytes' and head['Last-Modified'] and 'X-Put-Timestamp' not in head
    assert user.get('/c').content.decode().split('\n')[:-1] == ['a', 'b', 'd/x', 'd/y', '\u00e9']
    assert user.names('/c?delimiter=/&prefix=d/&limit=1') == ['d/x']
    entry = user.get('/c?format=json&prefix=a').json()[0]
    assert entry['bytes'] == 5 and entry['hash'] == '827ccb0eea8a706c4c34a16891f84e7b'


def test_metadata_is_set_replaced_and_removed(user):
    user.put('/c', X_Container_Meta_A='1', X_Container_Meta_B='2')
    assert user.post('/c', X_Container_Meta_B='3', X_Remove_Container_Meta_A='x').status_code == 204
    head = user.head('/c').headers
    assert head['X-Container-Meta-B'] == '3' and 'X-Container-Meta-A' not in head
    assert user.put('/c', X_Container_Meta_B='').status_code == 202
    assert 'X-Container-Meta-B' not in user.head('/c').headers


def test_names_and_metadata_beyond_their_limits_are_refused(user):
    assert user.put('/' + 'c' * 256).status_code == 201
    answer = user.put('/' + 'c' * 257)
    assert answer.status_code == 400 and answer.text == 'Container name length of 257 longer than 256'
    assert user.put('/' + '\u00e9' * 129).status_code == 400
    assert user('PUT', '/c', None, {'X-Container-Meta-' + 'a' * 129: 'x'}).status_code == 400
    assert user.get('/c?limit=10001').status_code == 412


def test_a_container_has_the_policy_it_was_made_with(user):
    assert user.put('/g').status_code == 201
    assert user.put('/s', X_Storage_Policy='SILVER').status_code == 201
    assert user.head('/g').headers['X-Storage-Policy'] == 'gold'
    assert user.head('/s').headers['X-Storage-Policy'] == 'silver'
    assert user.put('/s', X_Storage_Policy='gold').status_code == 409
    assert user.put('/s').status_code == 202
    answer = user.put('/x', X_Storage_Policy='lead')
    assert answer.status_code == 400 and answer.text == "Invalid X-Storage-Policy 'lead'"
    user.put('/s/o', b'data')
    assert user.get('/s/o').content == b'data'
    assert user.cluster.files('.data')[0].parts.count('objects-1') == 1 or any(
        'objects-1' in path.parts for path in user.cluster.files('.data'))
    assert user.get('?format=json').json()[1]['name'] == 's'


def test_a_deprecated_policy_takes_no_new_container(tmp_path):
    with cluster(tmp_path, policies=['gold', 'silver'], start=False) as store:
        path = store.swift_dir / 'swift.conf'
        path.write_text(path.read_text().replace('name = silver', 'name = silver\ndeprecated = yes'))
        store.start()
        answer = Client(store).put('/c', X_Storage_Policy='silver')
        assert answer.status_code == 400 and answer.text == "Storage Policy 'silver' is deprecated"


def test_what_only_owners_may_set_is_dropped(user):
    user.put('/c', X_Container_Read='.r:*', X_Container_Meta_Temp_Url_Key='k', X_Container_Meta_A='b')
    head = user.head('/c').headers
    assert 'X-Container-Read' not in head and head['X-Container-Meta-A'] == 'b'


def test_an_account_holds_no_more_containers_than_allowed(user, store, monkeypatch):
    conf = proxy_of(store).conf
    user.put('/a')
    monkeypatch.setattr(conf, 'max_containers_per_account', 1)
    user.post()      # what is cached of the account is forgotten
    assert user.put('/a').status_code == 202
    answer = user.put('/b')
    assert answer.status_code == 403 and answer.text == 'Reached container limit of 1'
    monkeypatch.setattr(conf, 'max_containers_whitelist', [user.account])
    assert user.put('/b').status_code == 201


def test_accounts_are_not_made_where_that_is_not_wanted(tmp_path):
    with cluster(tmp_path, options={'app:proxy-server': {'account_autocreate': 'false'}}) as store:
        user = Client(store)
        for method in ('GET', 'HEAD', 'POST'):
            assert user(method).status_code == 404
            assert user(method, '/c').status_code == 404
        assert user.put('/c').status_code == 404
        assert user.put('/c/o', b'x').status_code == 404


def test_a_container_is_served_while_one_server_is_away(user):
    user.put('/c')
    node = user.primaries('c')[0]
    node.stop('container')
    try:
        for number in range(4):
            assert user.put(f'/c/{number}', b'x').status_code == 201
            assert user.post('/c', X_Container_Meta_A=str(number)).status_code == 204
            assert user.head('/c', X_Newest='1').headers['X-Container-Meta-A'] == str(number)
    finally:
        node.start('container')


def test_names_may_be_any_text(user):
    for name in ('a b', 'a%25b', 'a?b'.replace('?', '%3F'), '\u00fc\u4e2d', 'a&b=c', "'\"<>", '..', '.'):
        path = f'/{name}'
        request = user.session.prepare_request(__import__('requests').Request('PUT', user.url))
        request.url = user.url + ''.join(each if each.isalnum() and each.isascii() or each in '/%' else
                                         ''.join(f'%{byte:02x}' for byte in each.encode()) for each in path)
        assert user.session.send(request).status_code == 201, name
    assert len(user.names('')) == 8


def test_an_object_is_not_looked_for_in_the_wrong_policy(user, store):
    user.put('/s', X_Storage_Policy='silver')
    user.put('/s/o', b'data')
    for node in store.nodes:
        node.stop('container')
    try:
        answer = Request.blank(f'/v1/{user.account}/s/o').respond(proxy_of(store))      # no cache before it
        assert answer.status == 503
    finally:
        for node in store.nodes:
            node.start('container')

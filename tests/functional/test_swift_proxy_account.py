"""The proxy: accounts."""

import pytest

from tests.functional.swift_proxy import Client, cluster, misbehaving, proxy_of


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp('store'), options={
            'app:proxy-server': {'allow_account_management': 'true'}}) as store:
        yield store


@pytest.fixture
def user(store):
    return Client(store)


def test_an_account_that_is_not_there_yet_looks_empty(user):
    assert user.get().status_code == 204
    head = user.head()
    assert head.status_code in (200, 204) and head.headers['X-Account-Container-Count'] == '0'
    assert user.get('?format=json').json() == []


def test_the_first_container_makes_the_account(user):
    assert user.put('/c').status_code == 201
    assert user.head().headers['X-Account-Container-Count'] == '1'
    assert user.names('') == ['c']


def test_a_listing_takes_marker_limit_prefix_and_delimiter(user):
    for name in ('a', 'b-1', 'b-2', 'c'):
        user.put(f'/{name}')
    assert user.names('?limit=2') == ['a', 'b-1']
    assert user.names('?marker=b-1') == ['b-2', 'c']
    assert user.names('?prefix=b&reverse=on') == ['b-2', 'b-1']
    assert user.names('?delimiter=-') == ['a', 'b-', 'c']
    assert user.get('?limit=10001').status_code == 412
    assert user.get('?prefix=%ff').status_code == 412


def test_metadata_is_set_replaced_and_removed(user):
    assert user.post('', X_Account_Meta_Color='red', X_Account_Meta_Size='9').status_code == 204
    assert user.post('', X_Account_Meta_Size='10').status_code == 204
    headers = user.head().headers
    assert (headers['X-Account-Meta-Color'], headers['X-Account-Meta-Size']) == ('red', '10')
    assert user.post('', X_Remove_Account_Meta_Color='x').status_code == 204
    assert 'X-Account-Meta-Color' not in user.head().headers


@pytest.mark.parametrize('name, value, why', [
    ('a' * 129, 'x', 'too long'), ('a', 'x' * 257, 'longer than 256'), ('a', b'\xff', 'UTF-8'), ('', 'x', 'empty'),
])
def test_metadata_beyond_its_limits_is_refused(user, name, value, why):
    answer = user('POST', '', None, {f'X-Account-Meta-{name}': value})
    assert answer.status_code == 400 and why in answer.text


def test_too_many_metadata_are_refused(user):
    answer = user('POST', '', None, {f'X-Account-Meta-{number}': 'x' for number in range(91)})
    assert answer.status_code == 400 and answer.text == 'Too many metadata items; max 90'


def test_a_name_that_is_too_long_is_refused(store):
    user = Client(store, 'a' * 257)
    for method in ('GET', 'HEAD', 'PUT', 'POST'):
        assert user(method).status_code == 400


def test_an_account_is_made_and_deleted_where_that_is_allowed(user):
    assert user.put().status_code == 201
    assert user.put().status_code == 202
    assert user.delete('?delete-all').status_code == 400
    assert user.delete().status_code == 204
    gone = user.get()
    assert gone.status_code == 410 and 'Gone' in gone.text
    assert user.post('', **{'X-Account-Meta-A': 'b'}).status_code == 404
    assert user.put('/c').status_code == 503      # until the reaper is done


def test_elsewhere_only_daemons_make_and_delete_accounts(user, monkeypatch, store):
    monkeypatch.setattr(proxy_of(store).conf, 'allow_account_management', False)
    for method in ('PUT', 'DELETE'):
        answer = user(method)
        assert answer.status_code == 405 and answer.headers['Allow'] == 'GET, HEAD, OPTIONS, POST'


def test_methods_nobody_knows_are_refused(user):
    answer = user('PATCH')
    assert answer.status_code == 405 and answer.headers['Allow'] == 'DELETE, GET, HEAD, OPTIONS, POST, PUT'
    assert user('OPTIONS').headers['Allow'] == 'DELETE, GET, HEAD, OPTIONS, POST, PUT'


def test_keys_and_acls_are_for_owners(store, user):
    user.post('', X_Account_Meta_Temp_Url_Key='secret', X_Account_Meta_A='b')
    headers = user.head().headers
    assert 'X-Account-Meta-Temp-Url-Key' not in headers and headers['X-Account-Meta-A'] == 'b'


def test_an_account_is_read_and_written_while_one_server_is_away(user):
    user.put('/c')
    node = user.primaries()[0]
    node.stop('account')
    try:
        for _ in range(4):
            assert user.names('') == ['c']
        assert user.post('', X_Account_Meta_A='b').status_code == 204
        assert user.head(X_Newest='true').headers['X-Account-Meta-A'] == 'b'
    finally:
        node.start('account')


def test_without_a_quorum_there_is_no_answer(user):
    user.put('/c')
    nodes = user.primaries()[:2] + user.others()
    for node in nodes:
        node.stop('account')
    try:
        assert user.post('', X_Account_Meta_A='b').status_code == 503
        lost = Client(user.cluster)
        for node in lost.primaries():
            node.stop('account')
        assert lost.get().status_code == 503
    finally:
        for node in user.cluster.nodes:
            node.start('account')


def test_the_newest_answer_is_found_among_stale_ones(user):
    user.put('/c')
    late = user.primaries()[1]

    def stale(app, environ, start_response):
        if environ['REQUEST_METHOD'] == 'POST':
            environ['REQUEST_METHOD'] = 'HEAD'

        def start(status, headers, exc_info=None):
            return start_response('204 No Content', [
                (name, '0000000001.00000' if name.lower() in ('x-timestamp', 'x-put-timestamp') else value)
                for name, value in headers], exc_info)
        return app(environ, start)
    with misbehaving(late, act=stale, kind='account'):
        assert user.post('', X_Account_Meta_A='new').status_code == 204
        for _ in range(4):
            assert user.head(X_Newest='on').headers.get('X-Account-Meta-A') == 'new'


def test_a_request_without_an_account_is_refused(store):
    user = Client(store)
    for path, status in (('/v1', 412), ('/v1/', 412), ('/', 404), ('/v9/a', 400), ('/v1//c', 404), ('/v1.0/a', 204)):
        assert user.session.get(store.base + path).status_code == status

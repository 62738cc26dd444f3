"""The proxy and an authorisation filter: who may do what to containers and objects."""

import pytest

from swift.http.response import HttpError
from tests.functional.swift_proxy import Client, cluster


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp('store'),
                 filters='catch_errors gatekeeper cache listing_formats tempauth copy') as store:
        yield store


def login(store, user, key):
    client = Client(store)
    answer = client.session.get(f'{store.base}/auth/v1.0', headers={'X-Auth-User': user, 'X-Auth-Key': key})
    assert answer.status_code == 200
    client.url = answer.headers['X-Storage-Url']
    client.session.headers['X-Auth-Token'] = answer.headers['X-Auth-Token']
    return client


@pytest.fixture
def owner(store):
    return login(store, 'test:tester', 'testing')


@pytest.fixture
def other(store, owner):
    other = login(store, 'test2:tester2', 'testing2')
    other.url = owner.url
    return other


@pytest.fixture
def nobody(store, owner):
    nobody = Client(store)
    nobody.url = owner.url
    return nobody


def test_an_account_is_its_owners(owner, other, nobody):
    owner.put('/c')
    owner.put('/c/o', b'data')
    for path in ('', '/c', '/c/o', '/none', '/none/o'):
        for method in ('GET', 'HEAD', 'PUT', 'POST', 'DELETE'):
            assert other(method, path).status_code == 403, (method, path)
            assert nobody(method, path).status_code == 401, (method, path)
    assert owner.get('/c/o').content == b'data'


def test_a_container_may_be_shared_for_reading(owner, other, nobody):
    owner.put('/r', X_Container_Read='.r:*,.rlistings')
    owner.put('/r/o', b'data')
    for user in (other, nobody):
        assert user.get('/r/o').content == b'data' and user.names('/r') == ['o']
        assert user.put('/r/o', b'x').status_code in (401, 403)
        assert 'X-Container-Read' not in user.head('/r').headers
    assert owner.head('/r').headers['X-Container-Read'] == '.r:*,.rlistings'
    owner.post('/r', X_Container_Read='.r:*')
    assert other.get('/r').status_code == 403 and other.get('/r/o').status_code == 200


def test_a_container_may_be_shared_for_writing(owner, other, nobody):
    owner.put('/w', X_Container_Write='test2:tester2')
    assert other.put('/w/o', b'data').status_code == 201
    assert other.get('/w/o').status_code == 403
    assert other.post('/w/o', X_Object_Meta_A='b').status_code == 202
    assert other.delete('/w/o').status_code == 204
    assert nobody.put('/w/o', b'data').status_code == 401
    assert other.post('/w', X_Container_Meta_A='b').status_code == 403


def test_an_acl_that_is_none_is_refused(owner):
    answer = owner.put('/bad', X_Container_Read='.r:')
    assert answer.status_code == 400 and 'r:' in answer.text
    assert owner.get('/bad').status_code == 404
    assert owner.put('/bad', X_Container_Write='.r:*').status_code == 400


def test_an_acl_is_removed(owner, other):
    owner.put('/x', X_Container_Read='.r:*')
    owner.put('/x/o', b'data')
    assert other.get('/x/o').status_code == 200
    assert owner.post('/x', X_Remove_Container_Read='x').status_code == 204
    assert other.get('/x/o').status_code == 403
    assert 'X-Container-Read' not in owner.head('/x').headers


def test_a_refusal_of_a_filter_is_passed_on(store):
    """Filters from elsewhere may refuse by an answer of their own."""
    seen = []

    def authorize(request):
        seen.append(request.acl)
        return HttpError(403, 'not you').response() if request.method == 'GET' else None
    from swift.http.request import Request
    from tests.functional.swift_proxy import proxy_of
    proxy = proxy_of(store)
    for method, path, status in (('PUT', '/v1/AUTH_z/c', 201), ('GET', '/v1/AUTH_z/c', 403),
                                 ('PUT', '/v1/AUTH_z/c/o', 201), ('GET', '/v1/AUTH_z/c/o', 403),
                                 ('GET', '/v1/AUTH_z', 403)):
        response = Request.blank(path, method=method, environ={'swift.authorize': authorize}).respond(proxy)
        assert response.status == status
        response.drain()

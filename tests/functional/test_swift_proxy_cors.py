"""The proxy: pages from other origins, and what they may do."""

import pytest

from tests.functional.swift_proxy import Client, cluster, proxy_of


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp('store')) as store:
        yield store


@pytest.fixture
def user(store):
    user = Client(store)
    user('PUT', '/c', None, {'X-Container-Meta-Access-Control-Allow-Origin': 'http://a.example http://b.example',
                             'X-Container-Meta-Access-Control-Expose-Headers': 'X-Special',
                             'X-Container-Meta-Access-Control-Max-Age': '77'})
    user.put('/c/o', b'data', X_Object_Meta_Color='red')
    return user


def preflight(user, path, origin='http://a.example', method='GET', **headers):
    return user('OPTIONS', path, None, {'Origin': origin, 'Access-Control-Request-Method': method, **headers})


def test_a_plain_question_is_answered_with_the_methods(user):
    for path in ('', '/c', '/c/o'):
        answer = user('OPTIONS', path)
        assert answer.status_code == 200
        assert answer.headers['Allow'].removesuffix(', COPY') == 'DELETE, GET, HEAD, OPTIONS, POST, PUT'
        assert 'Access-Control-Allow-Origin' not in answer.headers


@pytest.mark.parametrize('path', ['/c', '/c/o', '/c/none'])
def test_an_allowed_origin_may_do_everything(user, path):
    answer = preflight(user, path, method='PUT', **{'Access-Control-Request-Headers': 'X-Auth-Token, x-a'})
    assert answer.status_code == 200
    assert answer.headers['Access-Control-Allow-Origin'] == 'http://a.example'
    assert 'PUT' in answer.headers['Access-Control-Allow-Methods'].split(', ')
    assert answer.headers['Access-Control-Allow-Headers'] == 'x-a, x-auth-token'
    assert answer.headers['Access-Control-Max-Age'] == '77'
    assert answer.headers['Vary'] == 'Origin, Access-Control-Request-Headers'


@pytest.mark.parametrize('path, origin, method', [
    ('/c', 'http://evil.example', 'GET'), ('/c', 'http://a.example', 'PATCH'), ('/none', 'http://a.example', 'GET'),
    ('/c', 'http://a.example.evil.example', 'GET'),
])
def test_another_origin_or_method_is_refused(user, path, origin, method):
    answer = preflight(user, path, origin, method)
    assert answer.status_code == 401 and 'Access-Control-Allow-Origin' not in answer.headers


def test_answers_to_an_allowed_origin_say_what_it_may_see(user):
    answer = user.get('/c/o', Origin='http://b.example')
    assert answer.headers['Access-Control-Allow-Origin'] == 'http://b.example' and answer.headers['Vary'] == 'Origin'
    exposed = answer.headers['Access-Control-Expose-Headers'].split(', ')
    assert {'etag', 'x-object-meta-color', 'x-special', 'x-trans-id', 'last-modified'} <= set(exposed)
    missing = user.get('/c/none', Origin='http://b.example')
    assert missing.status_code == 404 and missing.headers['Access-Control-Allow-Origin'] == 'http://b.example'


def test_answers_to_another_origin_say_nothing(user):
    for path in ('/c', '/c/o'):
        answer = user.get(path, Origin='http://evil.example')
        assert answer.status_code == 200 and not any(name.startswith('Access-Control') for name in answer.headers
                                                     if 'Meta' not in name)


def test_any_origin_may_be_allowed(user):
    user('POST', '/c', None, {'X-Container-Meta-Access-Control-Allow-Origin': '*'})
    answer = user.get('/c/o', Origin='http://any.example')
    assert answer.headers['Access-Control-Allow-Origin'] == '*' and 'Vary' not in answer.headers
    assert preflight(user, '/c/o', 'http://any.example').headers['Access-Control-Allow-Origin'] == '*'


def test_the_operator_may_allow_origins_everywhere(user, store, monkeypatch):
    conf = proxy_of(store).conf
    monkeypatch.setattr(conf, 'cors_allow_origin', ['http://ops.example'])
    monkeypatch.setattr(conf, 'cors_expose_headers', ['X-Ops'])
    user.put('/d')
    assert preflight(user, '/d', 'http://ops.example').status_code == 200
    answer = user.get('/d', Origin='http://ops.example')
    assert answer.headers['Access-Control-Allow-Origin'] == 'http://ops.example'
    assert 'x-ops' in answer.headers['Access-Control-Expose-Headers']


def test_without_strictness_every_origin_is_told(user, store, monkeypatch):
    monkeypatch.setattr(proxy_of(store).conf, 'strict_cors_mode', False)
    answer = user.get('/c/o', Origin='http://evil.example')
    assert answer.headers['Access-Control-Allow-Origin'] == 'http://evil.example'

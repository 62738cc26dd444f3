"""The proxy: /info, and the facts of accounts and containers that filters ask for."""

import hashlib
import hmac
import time

import pytest

from swift.http import info as registry
from swift.http.request import Request
from swift.proxy import info
from tests.functional.swift_proxy import Client, cluster, proxy_of


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp('store'), policies=['gold', 'silver'], constraints={'max_file_size': '12345'},
                 options={'app:proxy-server': {'admin_key': 'secret'}}) as store:
        yield store


@pytest.fixture
def user(store):
    return Client(store)


def signature(method, expires, key='secret', digest=hashlib.sha256):
    return hmac.new(key.encode(), f'{method}\n{expires}\n/info'.encode(), digest).hexdigest()


def ask(store, query='', method='GET', **headers):
    return Client(store).session.request(method, f'{store.base}/info{query}', headers=headers)


def test_everybody_sees_what_the_cluster_can_do(store):
    answer = ask(store)
    swift = answer.json()['swift']
    assert answer.headers['Content-Type'] == 'application/json; charset=UTF-8'
    assert swift['max_file_size'] == 12345 and swift['container_listing_limit'] == 10000
    assert [policy['name'] for policy in swift['policies']] == ['gold', 'silver'] and swift['policies'][0]['default']
    assert 'valid_api_versions' not in swift and 'admin' not in answer.json()
    assert ask(store, method='HEAD').status_code == 200
    assert ask(store, method='OPTIONS').headers['Allow'] == 'GET, HEAD, OPTIONS'
    assert ask(store, method='PUT').status_code == 405


@pytest.mark.parametrize('digest', [hashlib.sha1, hashlib.sha256, hashlib.sha512])
def test_who_signs_sees_all(store, digest):
    registry.register('hidden', admin=True, value=1)
    expires = int(time.time()) + 100
    answer = ask(store, f'?swiftinfo_sig={signature("GET", expires, digest=digest)}&swiftinfo_expires={expires}')
    assert answer.json()['admin']['hidden'] == {'value': 1}
    assert ask(store, f'?swiftinfo_sig={signature("GET", expires)}&swiftinfo_expires={expires}',
               method='HEAD').status_code == 200


def test_a_wrong_or_old_signature_is_refused(store):
    now = int(time.time())
    for method, expires, key in (('GET', now - 1, 'secret'), ('HEAD', now + 99, 'secret'), ('GET', now + 99, 'other')):
        assert ask(store, f'?swiftinfo_sig={signature(method, expires, key)}&swiftinfo_expires={expires}'
                   ).status_code == 401
    assert ask(store, '?swiftinfo_sig=abc').status_code == 401
    assert ask(store, '?swiftinfo_expires=abc').status_code == 401


def test_what_is_not_exposed_is_refused(store, monkeypatch):
    conf = proxy_of(store).conf
    monkeypatch.setattr(conf, 'disallowed_sections', ['swift.max_file_size', 'tempurl'])
    assert 'max_file_size' not in ask(store).json()['swift']
    monkeypatch.setattr(conf, 'admin_key', '')
    expires = int(time.time()) + 100
    assert ask(store, f'?swiftinfo_sig={signature("GET", expires, "")}&swiftinfo_expires={expires}'
               ).status_code == 403
    monkeypatch.setattr(conf, 'expose_info', False)
    assert ask(store).status_code == 403


class Counting:
    """The proxy, and the requests that reached it."""

    def __init__(self, app):
        self.app, self.seen = app, []

    def __call__(self, environ, start_response):
        self.seen.append((environ['REQUEST_METHOD'], environ['PATH_INFO']))
        return self.app(environ, start_response)


class Cache(dict):
    def set(self, key, value, time=0):
        self[key] = value
        self.times = {**getattr(self, 'times', {}), key: time}

    def delete(self, key):
        self.pop(key, None)


def environ_of(user, path, cache=None):
    made = Request.blank(f'/v1/{user.account}{path}').environ
    if cache is not None:
        made['swift.cache'] = cache
    return made


def test_the_facts_of_a_container(store, user):
    user('PUT', '/c', None, {'X-Container-Meta-Color': 'red', 'X-Storage-Policy': 'silver',
                             'X-Container-Meta-Access-Control-Allow-Origin': 'http://a'})
    user.put('/c/o', b'12345')
    found = info.get_container_info(environ_of(user, '/c/o'), proxy_of(store))
    assert found['status'] == 204 and found['object_count'] == 1 and found['bytes'] == 5
    assert found['storage_policy'] == '1' and found['meta']['color'] == 'red'
    assert found['cors']['allow_origin'] == 'http://a' and found['read_acl'] is None
    account = info.get_account_info(environ_of(user, '/c/o'), proxy_of(store))
    assert account['container_count'] == 1 and account['account_really_exists'] and account['status'] == 204
    thing = info.get_object_info(environ_of(user, '/c/o'), proxy_of(store))
    assert (thing['status'], thing['length'], thing['type']) == (200, '5', 'application/octet-stream')


def test_facts_are_asked_once_a_request_and_then_cached(store, user):
    user.put('/c')
    app, cache = Counting(proxy_of(store)), Cache()
    environ = environ_of(user, '/c/o', cache)
    for _ in range(3):
        info.get_container_info(environ, app)
    assert app.seen == [('HEAD', f'/v1/{user.account}'), ('HEAD', f'/v1/{user.account}/c')]
    assert info.get_container_info(environ_of(user, '/c/o', cache), app)['status'] == 204 and len(app.seen) == 2
    assert cache.times == {f'account/{user.account}': 60, f'container/{user.account}/c': 60}


def test_what_is_missing_is_cached_for_a_short_time(store, user):
    user.put('/c')
    cache = Cache()
    assert info.get_container_info(environ_of(user, '/none', cache), proxy_of(store))['status'] == 404
    assert cache.times[f'container/{user.account}/none'] == 6
    other = Client(store)
    assert not info.get_account_info(environ_of(other, ''), proxy_of(store))['account_really_exists']
    assert info.get_account_info({'PATH_INFO': '/', 'SCRIPT_NAME': ''}, None)['status'] == 0


def test_a_change_is_seen_at_once(user):
    assert user.put('/c/o', b'x').status_code == 404
    user.put('/c')
    assert user.put('/c/o', b'x').status_code == 201
    user.delete('/c/o')
    user.delete('/c')
    assert user.put('/c/o', b'x').status_code == 404


def test_a_container_on_silent_servers_is_not_taken_for_missing(store, user):
    user.put('/c')
    for node in store.nodes:
        node.stop('container')
    try:
        cache = Cache()
        assert info.get_container_info(environ_of(user, '/c', cache), proxy_of(store))['status'] == 503
        assert f'container/{user.account}/c' not in cache
    finally:
        for node in store.nodes:
            node.start('container')

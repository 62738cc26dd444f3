"""What another cluster sends: let in by two keys, kept with its time."""

import pytest

from strata import errors
from swift import realms
from swift.http import Response, info
from swift.middleware import container_sync, slo, symlink
from tests.functional.swift_filters import Recorder, ask

PATH = '/v1/AUTH_a/c/o%20%C3%A9'
STAMP = '1795387357.25867'


@pytest.fixture
def swift_dir(tmp_path):
    (tmp_path / 'container-sync-realms.conf').write_text(
        '[US]\nkey = realm key\nkey2 = old key\ncluster_dfw1 = http://dfw1/v1/\ncluster_us2 = http://us2/v1\n'
        '[EU]\nkey = other\n')
    return str(tmp_path)


@pytest.fixture
def app():
    return Recorder({'HEAD /v1/AUTH_a': 204, 'HEAD /v1/AUTH_a/c': Response(204, b'', {
        'X-Container-Sync-Key': 'user key'}), 'HEAD /v1/AUTH_a/bare': 204})


def syncing(app, swift_dir, **conf):
    return container_sync.filter_factory({'swift_dir': swift_dir}, **conf)(app)


def signed(realm='US', key='realm key', user='user key', method='PUT', path=PATH, nonce='nonce', stamp=STAMP):
    return f'{realm} {nonce} {realms.sign(method, path, stamp, nonce, key, user)}'


def test_the_signature_is_the_published_one():
    # a request that the published filter took
    assert realms.sign('PUT', '/v1/AUTH_sync/c/o', STAMP, 'nonce', 'realmkey', 'userkey') == \
        'bc181fa2435650beee5df1b66c1bd87168b5346b'


@pytest.mark.parametrize('realm, key', [('US', 'realm key'), ('us', 'realm key'), ('US', 'old key')])
def test_a_signed_request_comes_in_with_its_time(app, swift_dir, realm, key):
    headers = {'X-Container-Sync-Auth': signed(realm, key), 'X-Backend-Inbound-X-Timestamp': STAMP}
    assert ask(syncing(app, swift_dir), PATH, 'PUT', headers=headers, body=b'x').status == 200
    assert app.last['HTTP_X_TIMESTAMP'] == STAMP
    assert app.last['swift.authorize_override'] is True and app.last['swift.authorize'](None) is None
    assert app.last['swift.slo_override'] is True
    assert app.last['swift.log_info'] == ['cs:valid']


@pytest.mark.parametrize('path, auth, why', [
    (PATH, signed(key='bad'), 'invalid-sig'), (PATH, signed(user='bad'), 'invalid-sig'),
    (PATH, signed(method='DELETE'), 'invalid-sig'), (PATH, signed(path='/v1/AUTH_a/c/other'), 'invalid-sig'),
    (PATH, signed(stamp='1'), 'invalid-sig'), (PATH, signed('EU'), 'invalid-sig'),
    (PATH, signed('nope'), 'no-local-realm-key'),
    (PATH, 'US nonce', 'not-3-args'), (PATH, 'US nonce sig more', 'not-3-args'), (PATH, 'US nonce \xe9', 'invalid-sig'),
    ('/v1/AUTH_a/bare/o', signed(path='/v1/AUTH_a/bare/o', user=''), 'no-local-user-key')])
def test_another_signature_does_not(app, swift_dir, path, auth, why):
    headers = {'X-Container-Sync-Auth': auth, 'X-Backend-Inbound-X-Timestamp': STAMP}
    info_list = []
    answer = ask(syncing(app, swift_dir), path, 'PUT', headers=headers, body=b'x', **{'swift.log_info': info_list})
    assert (answer.status, answer.headers['www-authenticate']) == (401, 'SwiftContainerSync realm="AUTH_a"')
    assert answer.body == b'X-Container-Sync-Auth header not valid; contact cluster operator for support.'
    assert info_list == [f'cs:{why}']
    assert all(call['REQUEST_METHOD'] == 'HEAD' for call in app.calls)


def test_a_manifest_or_a_link_is_stored_as_it_is_if_another_cluster_sends_it(app, swift_dir):
    guarded = slo.filter_factory({'swift_dir': swift_dir})(symlink.filter_factory({'swift_dir': swift_dir})(app))
    for sent in ({'X-Static-Large-Object': 'True'},
                 {'X-Symlink-Target': 'c/later', 'X-Symlink-Target-Etag': 'abc', 'X-Symlink-Target-Bytes': '7'}):
        headers = {'X-Container-Sync-Auth': signed(), 'X-Backend-Inbound-X-Timestamp': STAMP, **sent}
        assert ask(syncing(guarded, swift_dir), PATH, 'PUT', headers=headers, body=b'').status == 200
        assert [call['REQUEST_METHOD'] for call in app.calls].count('PUT') == 1
        app.calls.clear()
        del headers['X-Container-Sync-Auth']
        app.answers['HEAD /v1/AUTH_a/c/later'] = 404
        assert ask(syncing(guarded, swift_dir), PATH, 'PUT', headers=headers, body=b'').status in (400, 409)
        app.calls.clear()


def test_the_containers_key_alone_keeps_the_time_and_decides_nothing(app, swift_dir):
    for key, stamp in (('user key', STAMP), ('another', None), ('', None)):
        headers = {'X-Container-Sync-Key': key, 'X-Backend-Inbound-X-Timestamp': STAMP}
        assert ask(syncing(app, swift_dir), PATH, 'PUT', headers=headers, body=b'x').status == 200
        assert app.last.get('HTTP_X_TIMESTAMP') == stamp
        assert 'swift.authorize_override' not in app.last


@pytest.mark.parametrize('target, allowed, status', [
    ('http://far/v1/a/c', 'true', 200), ('http://far/v1/a/c', 'false', 400), ('//US/US2/a/c', 'false', 200),
    ('', 'false', 200)])
def test_full_urls_may_be_forbidden(app, swift_dir, target, allowed, status):
    answer = ask(syncing(app, swift_dir, allow_full_urls=allowed), '/v1/AUTH_a/c', 'POST',
                 headers={'X-Container-Sync-To': target})
    assert answer.status == status
    assert status == 200 or b'Full URLs are not allowed' in answer.body


def test_info_tells_of_realms_and_where_we_are(app, swift_dir):
    ask(syncing(app, swift_dir, current='//us/dfw1'), '/info')
    assert info.get()['container_sync'] == {'realms': {
        'US': {'clusters': {'DFW1': {'current': True}, 'US2': {}}}, 'EU': {'clusters': {}}}}


def test_without_realms_nobody_comes_in(app, tmp_path):
    assert ask(syncing(app, str(tmp_path)), PATH, 'PUT', headers={'X-Container-Sync-Auth': signed()}).status == 401
    assert ask(syncing(app, str(tmp_path)), PATH, 'PUT').status == 200


@pytest.mark.parametrize('current', ['US/DFW1', '//US', '//US/a/b', '//'])
def test_where_we_are_is_a_realm_and_a_cluster(swift_dir, current):
    with pytest.raises(errors.Invalid, match='current'):
        syncing(None, swift_dir, current=current)

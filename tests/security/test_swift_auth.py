"""Who may do what in an object store, asked by somebody who should not: the filters that authorise, and what they tell.

OSSA-2014-020 what a client sends is not in a challenge; OSSA-2013-022 the time of
a change is not for clients; OSSA-2015-016 signatures do not leak by the log;
OSSA-2013-016 names do not become markup (account and container, as XML).
"""

import json
import logging
import pickle

import pytest
from lxml import etree

from strata import errors
from swift.http import listings
from swift.middleware import (
    access_line,
    acl,
    container_sync,
    gatekeeper,
    keystoneauth,
    list_endpoints,
    memcached,
    proxy_logging,
    tempauth,
)
from swift.middleware.cache import Local
from tests.functional.swift_filters import Authorizing, Cached, Recorder, ask

USERS = {'user_test_owner': 'testing .admin', 'user_other_owner': 'testing2 .admin', 'user_test_member': 'x'}
HOSTILE = ['%22%3E%3Cscript%3Ealert(1)%3C/script%3E', '%0d%0aX-Evil:%201', 'a%22,%20Basic%20realm=%22b', '%C3%A9%22%00']


def guards(tmp_path):
    return [Cached(tempauth.filter_factory({}, **USERS)(Authorizing())), keystoneauth.filter_factory({})(Authorizing()),
            container_sync.filter_factory({'swift_dir': str(tmp_path)})(Authorizing())]


@pytest.mark.parametrize('name', HOSTILE)
def test_ossa_2014_020_what_a_client_sends_does_not_break_out_of_the_challenge(tmp_path, name):
    for guard in guards(tmp_path):
        answer = ask(guard, f'/v1/{name}/c/o', headers={'X-Container-Sync-Auth': 'a b c'})
        if answer.status == 404 or answer.status == 200:
            continue        # no account, or nobody's
        assert answer.status == 401
        value = answer.headers['www-authenticate']
        assert value.isascii() and value.isprintable() and value.count('"') == 2
        assert '<' not in value and b'<script' not in answer.body


@pytest.mark.parametrize('user', ['"><script>:x', 'a"b:x', '\r\nX-Evil: 1:x', '\xc3\xa9\xff:x'])
def test_ossa_2014_020_nor_does_a_user_name(tmp_path, user):
    answer = ask(guards(tmp_path)[0], '/auth/v1.0', headers={'X-Auth-User': user, 'X-Auth-Key': 'y'})
    assert answer.status == 401
    value = answer.headers['www-authenticate']
    assert value.isascii() and value.isprintable() and value.count('"') == 2 and '<' not in value


def test_ossa_2013_022_the_time_of_a_change_is_not_for_clients():
    app = Recorder()
    ask(gatekeeper.filter_factory({})(app), '/v1/a/c/o', 'PUT', headers={
        'X-Timestamp': '9999999999', 'X-Backend-Timestamp': '1', 'X-Backend-Inbound-X-Timestamp': '9999999999'})
    assert 'HTTP_X_TIMESTAMP' not in app.last and 'HTTP_X_BACKEND_TIMESTAMP' not in app.last


@pytest.mark.parametrize('query', ['temp_url_sig={}', 'a=1&temp_url_sig={}&b=2', 'TEMP_URL_SIG={}',
                                   'X-Amz-Signature={}', 'AWSAccessKeyId=a&Signature={}', 'x=1&sig={}'])
def test_ossa_2015_016_a_signature_does_not_leak_by_the_log(caplog, query):
    caplog.set_level(logging.INFO, 'proxy-server')
    secret = 'deadbeef' * 8
    filtered = proxy_logging.filter_factory({}, access_log_headers='true')(Recorder())
    ask(filtered, f'/v1/a/c/o?{query.format(secret)}', headers={
        'Referer': f'http://x/?{query.format(secret)}', 'X-Auth-Token': secret, 'X-Service-Token': secret,
        'X-Storage-Token': secret, 'X-Auth-Key': secret, 'X-Storage-Pass': secret,
        'Authorization': f'Bearer {secret}',
        'X-Container-Sync-Key': secret, 'X-Container-Sync-Auth': f'a b {secret}', 'Cookie': f'session={secret}',
        **{f'X-{kind}-Meta-Temp-Url-Key{end}': secret for kind in ('Account', 'Container') for end in ('', '-2')}})
    assert secret not in caplog.text and secret[:40] not in caplog.text


@pytest.mark.parametrize('name', ['"><x a="', "'/><x>", ']]>&<!--', '\n<x/>'])
def test_ossa_2013_016_names_do_not_become_markup(name):
    entries = [{'name': name, 'hash': name, 'bytes': 1, 'content_type': name, 'last_modified': name}, {'subdir': name},
               {'name': name, 'count': 1, 'bytes': 1, 'last_modified': name, 'storage_policy': name}]
    for body, tags in ((listings.account_xml(name, entries), ['container', 'subdir', 'container']),
                       (listings.container_xml(name, entries), ['object', 'subdir', 'object'])):
        document = etree.fromstring(body)
        assert document.get('name') == name and [each.tag for each in document] == tags
        assert document[0].findtext('name') == name


def test_a_pickle_in_memcached_runs_nothing(tmp_path):
    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / 'ran'), 'w')
    bomb = pickle.dumps(Bomb())
    reader = memcached._Json()
    assert [reader.deserialize(b'k', bomb, flags) for flags in (0, 1, 2, 3, 255)] == [None] * 5
    assert not (tmp_path / 'ran').exists()


IDENTITY = {'X-Identity-Status': 'Confirmed', 'X-Roles': 'admin,ResellerAdmin', 'X-User-Id': 'u',
            'X-Project-Id': 'test', 'X-Service-Roles': 'service',
            'Remote-User': 'test:owner,test,AUTH_test,.reseller_admin', 'Swift-Owner': 'true',
            'Swift.Authorize_Override': 'true', 'Reseller-Request': 'true'}


def test_nobody_says_himself_who_he_is():
    app = Authorizing({'/v1/AUTH_test/c': ('test:owner', 'test:owner')})
    guard = Cached(tempauth.filter_factory({}, **USERS)(app))
    for method, path in (('GET', '/v1/AUTH_test'), ('GET', '/v1/AUTH_test/c/o'), ('PUT', '/v1/AUTH_test/c/o')):
        assert ask(guard, path, method, headers=IDENTITY).status == 401
    assert 'swift_owner' not in app.last and 'reseller_request' not in app.last


@pytest.mark.parametrize('token', ['', 'AUTH_tk', 'AUTH_tk' + '0' * 32, 'AUTH_tk\xff', '../token',
                                   'AUTH_tk' + 'a' * 100000, '\x00'])
def test_a_token_cannot_be_made_up(token):
    cache = Local()
    guard = Cached(tempauth.filter_factory({}, **USERS)(Authorizing()), cache)
    assert ask(guard, '/auth/v1.0', headers={'X-Auth-User': 'test:owner', 'X-Auth-Key': 'testing'}).status == 200
    assert ask(guard, '/v1/AUTH_test', headers={'X-Auth-Token': token}).status == 401


def test_a_user_whose_groups_changed_gets_another_token():
    cache = Local()
    before = Cached(tempauth.filter_factory({}, user_a_b='key .reseller_admin')(Authorizing()), cache)
    after = Cached(tempauth.filter_factory({}, user_a_b='key')(Authorizing()), cache)
    headers = {'X-Auth-User': 'a:b', 'X-Auth-Key': 'key'}
    first, second = (ask(each, '/auth/v1.0', headers=headers).headers['x-auth-token'] for each in (before, after))
    assert first != second
    assert ask(after, '/v1/AUTH_x', headers={'X-Auth-Token': second}).status == 403


@pytest.mark.parametrize('option, value', [('user64_YSxBVVRIX3Rlc3Q_eA', 'key'), ('user_a_b', 'key x,AUTH_test')])
def test_no_name_holds_several_groups(option, value):
    with pytest.raises(errors.Invalid, match='comma'):
        tempauth.filter_factory({}, **{option: value})


@pytest.mark.parametrize('rule, referrer', [
    ('.r:example.com', 'http://example.com.evil.org/'), ('.r:example.com', 'http://evil.org/example.com'),
    ('.r:example.com', 'http://evil.org#example.com'), ('.r:example.com', 'http://example.com@evil.org/'),
    ('.r:.example.com', 'http://evilexample.com/'), ('.r:example.com', 'example.com'), ('.r:example.com', ''),
    ('.r:*,.r:-.evil.org', 'http://www.evil.org/'), ('.r:unknown2', 'http://[::1'), ('bob', 'http://bob/')])
def test_a_referrer_is_the_host_and_nothing_else(rule, referrer):
    assert not acl.referrer_allowed(referrer, acl.parse_acl(rule)[0])


@pytest.mark.parametrize('value', ['.r:', '.r:-', '.x:y', '.r:.', '.referrers:*', '.R:*'])
def test_what_is_no_rule_is_refused_and_not_passed_over(value):
    with pytest.raises(ValueError):
        acl.clean_acl('X-Container-Read', value)
    with pytest.raises(ValueError):
        acl.clean_acl('X-Container-Write', '.r:*')


def test_a_list_for_writers_makes_no_owner():
    grants = json.dumps({'read-write': ['other']})
    app = Authorizing({'/v1/AUTH_test/c': ('other', 'other')},
                      {'/v1/AUTH_test': {'X-Account-Sysmeta-Core-Access-Control': grants}})
    guard = Cached(tempauth.filter_factory({}, **USERS)(app))
    signed_in = ask(guard, '/auth/v1.0', headers={'X-Auth-User': 'other:owner', 'X-Auth-Key': 'testing2'})
    token = signed_in.headers['x-auth-token']
    for method, path, status in (('PUT', '/v1/AUTH_test/c/o', 200), ('POST', '/v1/AUTH_test', 403),
                                 ('DELETE', '/v1/AUTH_test', 403), ('PUT', '/v1/AUTH_test', 403)):
        headers = {'X-Auth-Token': token, 'X-Account-Access-Control': '{"admin":["other"]}'}
        assert ask(guard, path, method, headers=headers).status == status
        assert 'swift_owner' not in app.last and 'HTTP_X_ACCOUNT_SYSMETA_CORE_ACCESS_CONTROL' not in app.last


@pytest.mark.parametrize('path', ['/endpoints/../../etc/passwd', '/endpoints/v1/..%2f..%2fx', '/endpoints/%00',
                                  '/endpoints/a//b', '/endpoints/' + 'a/' * 5000])
def test_where_things_are_is_told_of_names_only(tmp_path, path):
    class Rings:
        def __getitem__(self, name):
            return self

        def get_nodes(self, *names):
            return 0, []
    app = list_endpoints.ListEndpoints(Recorder(), '/endpoints/', Rings())
    assert ask(app, path).status in (200, 400, 412)


def test_a_huge_line_is_logged_without_ado():
    assert len(access_line.quoted('\xe9' * 100_000)) == 300_000
    assert access_line._quoted.cache_info().maxsize == 4096


def test_headers_of_the_system_do_not_leave_whatever_their_case():
    sent = [('x-ACCOUNT-sysMETA-core-access-control', '{}'), ('X-BACKEND-Status', '1')]

    def app(environ, start_response):
        start_response('200 OK', sent)
        return [b'']
    answer = ask(gatekeeper.filter_factory({})(app), '/v1/a')
    assert not [name for name in answer.headers if 'sysmeta' in name or 'backend' in name]

"""Users from the conf file: tokens, and who may do what."""

import json

import pytest

from strata import errors
from swift.middleware import tempauth
from swift.middleware.cache import Local
from tests.functional.swift_filters import Authorizing, Cached, ask

USERS = {
    'user_admin_admin': 'admin .admin .reseller_admin', 'user_admin_auditor': 'readonly .reseller_reader',
    'user_test_owner': 'testing .admin', 'user_test_member': 'testing3 crew', 'user_other_owner': 'testing2 .admin',
    'user_services_glance': 'glance service', 'user64_dW5kZXJfc2NvcmU_YV9i': 'testing4 .admin https://far/v1/AUTH_x',
    'user_elsewhere_owner': 'testing5 $HOST/v1/other'}
ACCOUNT = '/v1/AUTH_test'


class Cloud:
    """tempauth before an application that authorises as the proxy does."""

    def __init__(self, acls=None, accounts=None, **conf):
        self.app = Authorizing(acls, accounts)
        self.cache = Local()
        self.filter = Cached(tempauth.filter_factory({}, **{**USERS, **conf})(self.app), self.cache)

    def sign_in(self, user, key, path='/auth/v1.0', **headers):
        return ask(self.filter, path, headers={'X-Auth-User': user, 'X-Auth-Key': key, **headers})

    def token(self, user):
        name = 'user_' + user.replace(':', '_')
        return self.sign_in(user, USERS[name].split()[0]).headers['x-auth-token']

    def ask(self, user, method, path, headers=None, **environ):
        who = {'X-Auth-Token': self.token(user)} if user else {}
        return ask(self.filter, path, method, headers={**who, **(headers or {})}, **environ)

    def allows(self, user, method, path, headers=None):
        return self.ask(user, method, path, headers).status


@pytest.fixture
def cloud():
    return Cloud()


def test_a_user_gets_a_token_and_the_address_of_the_account(cloud):
    answer = cloud.sign_in('test:owner', 'testing')
    assert answer.status == 200
    assert answer.headers['x-auth-token'] == answer.headers['x-storage-token']
    assert answer.headers['x-auth-token'].startswith('AUTH_tk') and len(answer.headers['x-auth-token']) == 39
    assert answer.headers['x-storage-url'] == 'http://localhost:80/v1/AUTH_test'
    assert 86390 <= int(answer.headers['x-auth-token-expires']) <= 86400


def test_older_headers_and_paths_work_too(cloud):
    for path, headers in (('/auth/v1.0', {'X-Storage-User': 'test:owner', 'X-Storage-Pass': 'testing'}),
                          ('/auth/v1/test/auth', {'X-Storage-User': 'owner', 'X-Storage-Pass': 'testing'}),
                          ('/auth/v1/test/auth', {'X-Auth-User': 'test:owner', 'X-Auth-Key': 'testing'})):
        assert ask(cloud.filter, path, headers=headers).status == 200, path


@pytest.mark.parametrize('path, method, headers, status', [
    ('/auth/v1.0', 'GET', {}, 401), ('/auth/v1.0', 'GET', {'X-Auth-User': 'test:owner'}, 401),
    ('/auth/v1.0', 'GET', {'X-Auth-User': 'test:owner', 'X-Auth-Key': 'wrong'}, 401),
    ('/auth/v1.0', 'GET', {'X-Auth-User': 'nobody:x', 'X-Auth-Key': 'testing'}, 401),
    ('/auth/v1.0', 'GET', {'X-Auth-User': 'owner', 'X-Auth-Key': 'testing'}, 401),
    ('/auth/v1/other/auth', 'GET', {'X-Auth-User': 'test:owner', 'X-Auth-Key': 'testing'}, 401),
    ('/auth/v2.0', 'GET', {}, 400), ('/auth/x/y/z', 'GET', {}, 400), ('/auth/v1', 'GET', {}, 400),
    ('/auth/', 'GET', {}, 404), ('/auth/v1.0', 'HEAD', {}, 405),
    ('/auth/v1.0', 'PUT', {'X-Auth-User': 'test:owner', 'X-Auth-Key': 'testing'}, 405)])
def test_a_wrong_sign_in_is_refused(cloud, path, method, headers, status):
    assert ask(cloud.filter, path, method, headers=headers).status == status


def test_a_token_is_handed_out_again_until_another_is_wanted(cloud):
    first = cloud.token('test:owner')
    assert cloud.token('test:owner') == first
    new = cloud.sign_in('test:owner', 'testing', **{'X-Auth-New-Token': 'true'}).headers['x-auth-token']
    assert new != first
    assert ask(cloud.filter, ACCOUNT, headers={'X-Auth-Token': first}).status == 200


def test_the_address_may_be_elsewhere(cloud):
    assert cloud.sign_in('under_score:a_b', 'testing4').headers['x-storage-url'] == 'https://far/v1/AUTH_x'
    assert cloud.sign_in('elsewhere:owner', 'testing5').headers['x-storage-url'] == 'http://localhost:80/v1/other'
    behind = Cloud(storage_url_scheme='https')
    assert behind.sign_in('test:owner', 'testing').headers['x-storage-url'] == 'https://localhost:80/v1/AUTH_test'


def test_a_token_ends():
    cloud = Cloud(token_life='60')
    token = cloud.token('test:owner')
    expires, groups = cloud.cache.get(f'AUTH_/token/{token}')
    cloud.cache.set(f'AUTH_/token/{token}', [expires - 61, groups])
    assert ask(cloud.filter, ACCOUNT, headers={'X-Auth-Token': token}).status == 401
    assert cloud.token('test:owner') != token


#: of which the published filter answered, without any access list:
ASKED = (('GET', ACCOUNT), ('POST', ACCOUNT), ('PUT', ACCOUNT), ('GET', ACCOUNT + '/c'), ('PUT', ACCOUNT + '/c/o'),
         ('GET', '/v1/FOO_x'), ('GET', '/v1/SERVICE_test'))
TABLE = {
    None: [401] * 7,
    'test:owner': [200, 200, 403, 200, 200, 403, 403],
    'test:member': [403] * 7,
    'other:owner': [403] * 7,
    'admin:auditor': [200, 403, 403, 200, 403, 403, 200],
    'admin:admin': [200, 200, 200, 200, 200, 403, 200]}


@pytest.mark.parametrize('user', TABLE)
def test_the_published_table_holds(user):
    cloud = Cloud(reseller_prefix='AUTH, SERVICE', SERVICE_require_group='service')
    assert [cloud.allows(user, *asked) for asked in ASKED] == TABLE[user]
    assert cloud.allows(user, 'OPTIONS', ACCOUNT + '/c') == 200
    assert cloud.allows(user, 'GET', '/v1/.hidden/c') == (403 if user else 401)
    assert cloud.allows(user, 'GET', '/v1/AUTH_') == (403 if user else 401)


def test_owners_are_marked_and_readers_are_not(cloud):
    for user, owner, reseller in (('test:owner', True, None), ('admin:admin', True, True),
                                  ('admin:auditor', None, None)):
        cloud.ask(user, 'GET', ACCOUNT)
        assert (cloud.app.last.get('swift_owner'), cloud.app.last.get('reseller_request')) == (owner, reseller)


def test_a_bad_token_of_ours_is_refused_and_anothers_is_nobody(cloud):
    cloud.app.acls[ACCOUNT + '/c'] = ('.r:*', '')
    assert cloud.allows(None, 'GET', ACCOUNT + '/c/o', {'X-Auth-Token': 'AUTH_tkbad'}) == 401
    assert cloud.allows(None, 'OPTIONS', ACCOUNT + '/c/o', {'X-Auth-Token': 'AUTH_tkbad'}) == 401
    assert cloud.allows(None, 'GET', ACCOUNT + '/c/o', {'X-Auth-Token': 'somebody elses'}) == 200
    assert cloud.allows(None, 'GET', ACCOUNT + '/c', {'X-Auth-Token': 'somebody elses'}) == 401


def test_a_refusal_names_the_realm(cloud):
    assert cloud.ask(None, 'GET', ACCOUNT).headers['www-authenticate'] == 'Swift realm="AUTH_test"'
    assert cloud.ask(None, 'GET', '/v1/AUTH_%22%3Cx').headers['www-authenticate'] == 'Swift realm="AUTH_%22%3Cx"'
    assert 'www-authenticate' not in cloud.ask('test:member', 'GET', ACCOUNT).headers


#: a read list -> what (nobody, test:member, other:owner) get for the listing, and for an object
READ = {
    '.r:*': ([401, 403, 403], [200, 200, 200]), '.r:*,.rlistings': ([200] * 3, [200] * 3),
    'other': ([401, 403, 200], [401, 403, 200]), 'other:owner': ([401, 403, 200], [401, 403, 200]),
    'test:member': ([401, 200, 403], [401, 200, 403]), 'test': ([401, 200, 403], [401, 200, 403]),
    'crew': ([401, 200, 403], [401, 200, 403]), 'AUTH_other': ([401, 403, 200], [401, 403, 200]),
    '*:*': ([401, 403, 403], [401, 403, 403])}


@pytest.mark.parametrize('listed', READ)
def test_a_read_list_lets_in_whom_it_names(listed):
    cloud = Cloud({ACCOUNT + '/c': (listed, '')})
    users = (None, 'test:member', 'other:owner')
    assert [cloud.allows(user, 'GET', ACCOUNT + '/c') for user in users] == READ[listed][0]
    assert [cloud.allows(user, 'GET', ACCOUNT + '/c/o') for user in users] == READ[listed][1]
    assert [cloud.allows(user, 'PUT', ACCOUNT + '/c/o') for user in users] == [401, 403, 403]


def test_a_write_list_is_for_objects_only():
    cloud = Cloud({ACCOUNT + '/c': ('', 'other')})
    assert cloud.allows('other:owner', 'PUT', ACCOUNT + '/c/o') == 200
    assert cloud.allows('other:owner', 'POST', ACCOUNT + '/c') == 403
    assert cloud.allows('other:owner', 'GET', ACCOUNT + '/c/o') == 403
    assert 'swift_owner' not in cloud.app.last


#: what an account's list grants -> (read account, write account, read container, write container, upload)
LEVELS = {'admin': [200, 200, 200, 200, 200], 'read-write': [200, 403, 200, 200, 200],
          'read-only': [200, 403, 200, 403, 403]}


@pytest.mark.parametrize('level', LEVELS)
@pytest.mark.parametrize('group', ['other:owner', 'other', 'AUTH_other'])
def test_an_accounts_list_grants_levels(level, group):
    grants = {'X-Account-Sysmeta-Core-Access-Control': json.dumps({level: [group]})}
    cloud = Cloud(accounts={ACCOUNT: grants})
    asked = (('GET', ACCOUNT), ('POST', ACCOUNT), ('GET', ACCOUNT + '/c'), ('PUT', ACCOUNT + '/c'),
             ('PUT', ACCOUNT + '/c/o'))
    assert [cloud.allows('other:owner', *each) for each in asked] == LEVELS[level]
    assert bool(cloud.app.last.get('swift_owner')) == (level == 'admin')
    assert cloud.allows(None, 'GET', ACCOUNT) == 401 and cloud.allows('test:member', 'GET', ACCOUNT) == 403


@pytest.mark.parametrize('stored', ['{"admin": "other"}', '[]', '{', '{"admin": null}', 'null',
                                    '{"x": ["other"]}', '9' * 5000])
def test_a_broken_stored_list_grants_nothing(stored):
    cloud = Cloud(accounts={ACCOUNT: {'X-Account-Sysmeta-Core-Access-Control': stored}})
    assert cloud.allows('other:owner', 'GET', ACCOUNT) == 403


@pytest.mark.parametrize('given, kept', [
    ('{"admin":["a"]}', '{"admin":["a"]}'),
    (' {"read-only": ["b"], "admin": ["a"]} ', '{"admin":["a"],"read-only":["b"]}'),
    ('{}', ''), ('', ''), ('{"admin": ["\\u00e9"]}', '{"admin":["\\u00e9"]}')])
def test_an_owner_sets_the_accounts_list(cloud, given, kept):
    assert cloud.allows('test:owner', 'POST', ACCOUNT, {'X-Account-Access-Control': given}) == 200
    assert cloud.app.last['HTTP_X_ACCOUNT_SYSMETA_CORE_ACCESS_CONTROL'] == kept


@pytest.mark.parametrize('given, why', [
    ('{"foo":["x"]}', 'Key "foo" not recognized'), ('{"admin":"x"}', 'Value for key "admin" must be a list'),
    ('[]', "Syntax error in input ('[]')"), ('x', "Syntax error in input ('x')"),
    ('null', "Syntax error in input ('null')"),
    ('{"admin":[1]}', 'Elements of "admin" list must be strings'), ('[' * 100000, 'Syntax error')])
def test_what_is_no_account_list_is_refused(cloud, given, why):
    answer = cloud.ask('test:owner', 'POST', ACCOUNT, {'X-Account-Access-Control': given})
    assert answer.status == 400 and why in answer.body.decode()


def test_nobody_but_the_owner_sets_the_accounts_list(cloud):
    assert cloud.allows('other:owner', 'POST', ACCOUNT, {'X-Account-Access-Control': '{}'}) == 403
    assert 'HTTP_X_ACCOUNT_SYSMETA_CORE_ACCESS_CONTROL' not in cloud.app.last


def test_a_service_account_opens_to_two_tokens():
    cloud = Cloud(reseller_prefix='AUTH, SERVICE', SERVICE_require_group='service')
    service = cloud.token('services:glance')
    path = '/v1/SERVICE_test'
    assert cloud.allows('test:owner', 'GET', path) == 403
    assert cloud.allows('test:owner', 'GET', path, {'X-Service-Token': service}) == 200
    assert cloud.allows('test:owner', 'GET', path, {'X-Service-Token': 'AUTH_tkbad'}) == 403
    assert cloud.allows('services:glance', 'GET', path) == 403
    assert cloud.allows(None, 'GET', path, {'X-Service-Token': service}) == 401
    assert cloud.allows('test:owner', 'GET', ACCOUNT, {'X-Service-Token': 'AUTH_tkbad'}) == 200


def test_a_list_opens_a_container_of_a_service_account_as_any_other():
    cloud = Cloud({'/v1/SERVICE_test/c': ('.r:*', ''), '/v1/SERVICE_test/d': ('test', '')},
                  reseller_prefix='AUTH, SERVICE', SERVICE_require_group='service')
    users = (None, 'test:member', 'other:owner')
    assert [cloud.allows(user, 'GET', '/v1/SERVICE_test/c/o') for user in users] == [200, 200, 200]
    assert [cloud.allows(user, 'GET', '/v1/SERVICE_test/d/o') for user in users] == [401, 200, 403]


def test_another_cluster_comes_in_with_the_containers_key(cloud):
    path, headers = ACCOUNT + '/c/o', {'X-Container-Sync-Key': 'secret', 'X-Timestamp': '1'}
    assert ask(cloud.filter, path, 'PUT', headers=headers, swift_sync_key='secret').status == 200
    assert ask(cloud.filter, path, 'PUT', headers=headers, swift_sync_key='other').status == 401
    assert ask(cloud.filter, path, 'PUT', headers=headers).status == 401
    assert ask(cloud.filter, path, 'PUT', headers={'X-Container-Sync-Key': ''}, swift_sync_key='').status == 401


def test_filters_before_it_may_decide_unless_forbidden(cloud):
    assert cloud.ask(None, 'GET', ACCOUNT, **{'swift.authorize_override': True}).status == 200
    assert 'swift.authorize' not in cloud.app.last
    strict = Cloud(allow_overrides='false')
    assert strict.ask(None, 'GET', ACCOUNT, **{'swift.authorize_override': True}).status == 401


def test_another_authorisation_keeps_its_accounts(cloud):
    assert cloud.ask(None, 'GET', '/v1/FOO_x', **{'swift.authorize': lambda request: None}).status == 200
    assert cloud.ask(None, 'GET', ACCOUNT, **{'swift.authorize': lambda request: None}).status == 401


def test_an_empty_prefix_takes_all_accounts():
    cloud = Cloud(reseller_prefix="''")
    assert cloud.sign_in('test:owner', 'testing').headers['x-storage-url'].endswith('/v1/test')
    assert cloud.allows('test:owner', 'GET', '/v1/test') == 200
    assert cloud.allows('other:owner', 'GET', '/v1/test') == 403


@pytest.mark.parametrize('name, value', [('user_test', 'x'), ('user_a_b_c', 'x'), ('user_a_b', ''), ('user64_!_x', 'x'),
                                         ('user_a_b', 'http://x'), ('token_life', '-1'), ('storage_url_scheme', 'ftp')])
def test_a_wrong_option_is_refused_by_name(name, value):
    with pytest.raises(errors.Invalid) as caught:
        Cloud(**{name: value})
    assert name.split('!')[0].strip('_') in str(caught.value) or '!' in str(caught.value)

"""Keystone's tokens at the object store's door: a real keystone over HTTP, then who owns which account."""

import shutil

import pytest
import requests

from strata import clock, errors
from strata.testing.web import serving
from swift.middleware import authtoken, keystoneauth
from tests.functional.keystone_cloud import PASSWORD, Keystone, keystone_template  # noqa: F401
from tests.functional.swift_filters import Authorizing, ask
from tests.swift_cluster import Cluster


class Cloud:
    """authtoken and keystoneauth before an application that authorises as the proxy does."""

    def __init__(self, keystone, url, **conf):
        self.keystone, self.app = keystone, Authorizing()
        options = {'auth_url': url, 'www_authenticate_uri': 'http://keystone.example:5000', 'username': 'swift',
                   'password': PASSWORD, 'project_name': 'service', 'user_domain_id': 'default',
                   'project_domain_id': 'default', 'delay_auth_decision': 'true', 'cache': 'swift.cache',
                   'interface': 'internal', 'region_name': 'RegionOne', **conf}
        guard = keystoneauth.filter_factory({}, operator_roles='admin, member', reseller_prefix='AUTH, SERVICE',
                                            SERVICE_service_roles='service')(self.app)
        self.filter = authtoken.filter_factory({}, **options)(guard)

    def ask(self, path, token=None, method='GET', **headers):
        given = {name.replace('_', '-'): value for name, value in headers.items()}
        return ask(self.filter, path, method, headers={**({'X-Auth-Token': token} if token else {}), **given})


@pytest.fixture
def keystone(keystone_template, tmp_path):  # noqa: F811
    shutil.copytree(keystone_template, tmp_path / 'keystone')
    made = Keystone(tmp_path / 'keystone', clock.CLOCK)
    if not any(each['name'] == 'service' for each in made.get('/projects?name=service').json['projects']):
        made.make('project', name='service')
    [service] = made.get('/projects?name=service').json['projects']
    swift = made.user('swift')
    if not made.get('/roles?name=service').json['roles']:
        made.make('role', name='service')
    for role in ('admin', 'service'):
        made.grant(role, on=f'projects/{service["id"]}', user=swift['id'])
    with serving(made.app) as server:
        made.url = f'http://127.0.0.1:{server.port}'
        yield made
    made.wiring.close()


@pytest.fixture
def cloud(keystone):
    return Cloud(keystone, keystone.url)


def test_a_project_owns_the_account_of_its_id(cloud, keystone):
    project, _ = keystone.member('one', 'alice')
    other, _ = keystone.member('two', 'bob')
    token = keystone.login('alice', project='one')
    assert cloud.ask(f'/v1/AUTH_{project["id"]}', token).status == 200
    assert cloud.app.last['swift_owner'] is True
    assert cloud.app.last['swift.access_logging']['user_id']
    assert cloud.ask(f'/v1/AUTH_{other["id"]}', token).status == 403
    assert cloud.ask(f'/v1/SERVICE_{project["id"]}', token).status == 403


def test_without_a_valid_token_one_is_asked_for_one(cloud):
    for token in (None, 'nonsense'):
        answer = cloud.ask('/v1/AUTH_x', token)
        assert answer.status == 401
        assert 'www-authenticate' in answer.headers
    cloud.app.acls['/v1/AUTH_x/c'] = ('.r:*', '')
    assert cloud.ask('/v1/AUTH_x/c/o', 'nonsense').status == 200


def test_who_one_is_cannot_be_said_by_oneself(cloud):
    answer = cloud.ask('/v1/AUTH_p1', X_Identity_Status='Confirmed', X_Roles='admin', X_Project_Id='p1',
                       X_User_Id='u', X_Service_Roles='service')
    assert answer.status == 401


def test_a_service_acts_for_a_user(cloud, keystone):
    project, _ = keystone.member('one', 'alice')
    token, service = keystone.login('alice', project='one'), keystone.login('swift', project='service')
    path = f'/v1/SERVICE_{project["id"]}'
    assert cloud.ask(path, token, X_Service_Token=service).status == 200
    assert cloud.ask(path, token, X_Service_Token='nonsense').status == 401
    assert cloud.ask(path, token, X_Service_Token=token).status == 403
    assert cloud.ask(path, service).status == 403


def test_service_tokens_may_need_a_role(keystone):
    project, _ = keystone.member('one', 'alice')
    token, service = keystone.login('alice', project='one'), keystone.login('swift', project='service')
    strict = Cloud(keystone, keystone.url, service_token_roles_required='true', service_token_roles='service')
    path = f'/v1/AUTH_{project["id"]}'
    assert strict.ask(path, token).status == 200
    assert strict.ask(path, token, X_Service_Token=token).status == 401
    assert strict.ask(path, token, X_Service_Token=service).status == 200


def test_a_grant_by_ids_lets_another_projects_user_in(cloud, keystone):
    owner, _ = keystone.member('one', 'alice')
    other, bob = keystone.member('two', 'bob')
    keystone.member('three', 'carol')
    path = f'/v1/AUTH_{owner["id"]}/c'
    cloud.app.acls[path] = (f'{other["id"]}:{bob["id"]}', '')
    assert cloud.ask(f'{path}/o', keystone.login('bob', project='two')).status == 200
    assert cloud.ask(f'{path}/o', keystone.login('carol', project='three')).status == 403


def test_keystone_out_of_reach_is_a_503(keystone):
    away = Cloud(keystone, 'http://127.0.0.1:9')
    assert away.ask('/v1/AUTH_x', 'token').status == 503
    assert away.ask('/v1/AUTH_x').status == 401


@pytest.mark.parametrize('name, value', [('password', ''), ('auth_type', 'v2'), ('delay_auth_decision', 'perhaps')])
def test_a_wrong_option_is_refused_by_name(name, value):
    with pytest.raises(errors.Invalid, match=name):
        authtoken.filter_factory({}, **{'password': 'x', name: value})


def test_a_whole_store_behind_keystone(keystone, tmp_path):
    alices, _ = keystone.member('one', 'alice')
    bobs, bob = keystone.member('two', 'bob')
    options = {
        'filter:authtoken': {'auth_url': keystone.url, 'username': 'swift', 'password': PASSWORD,
                             'user_domain_id': 'default', 'project_domain_id': 'default',
                             'delay_auth_decision': 'true'},
        'filter:keystoneauth': {'operator_roles': 'admin, member'}}
    filters = 'catch_errors gatekeeper healthcheck proxy_logging cache listing_formats authtoken keystoneauth copy dlo'
    tokens = {name: keystone.login(name, project=project) for name, project in (('alice', 'one'), ('bob', 'two'))}
    with Cluster(tmp_path / 'store', filters=filters, options=options) as cluster:
        base = f'{cluster.base}/v1/AUTH_{alices["id"]}'

        def status(method, path, name=None, **headers):
            given = {key.replace('_', '-'): value for key, value in headers.items()}
            if name:
                given['X-Auth-Token'] = tokens[name]
            with requests.request(method, base + path, headers=given, data=b'', timeout=20) as answer:
                return answer.status_code
        assert status('PUT', '/c', 'alice') == 201 and status('PUT', '/c/o', 'alice') == 201
        assert [status('GET', '/c/o', name) for name in ('alice', 'bob', None)] == [200, 403, 401]
        assert status('POST', '/c', 'alice', X_Container_Read=f'{bobs["id"]}:{bob["id"]}', X_Container_Write='') == 204
        assert [status('GET', '/c/o', name) for name in ('bob', None)] == [200, 401]
        assert status('PUT', '/c/o', 'bob') == 403
        assert status('POST', '/c', 'alice', X_Container_Read='.r:*', X_Container_Write='two:bob') == 204
        assert status('GET', '/c/o') == 200 and status('PUT', '/c/p', 'bob') == 201
        assert status('POST', '', 'alice', X_Account_Meta_Color='red') == 204
        told = requests.head(base, headers={'X-Auth-Token': tokens['alice']}, timeout=20).headers
        assert told['X-Account-Project-Domain-Id'] == 'default'

"""Application credentials, EC2 keys and their signatures, stored credentials."""

import base64
import hashlib
import hmac
import json
import urllib.parse

import pytest

from tests.functional.keystone_cloud import PASSWORD, build, keystone, keystone_template  # noqa: F401

# the fixtures above are used by name
# ruff: noqa: F811


def application(keystone, token, user, **values):
    return keystone.post(f'/users/{user["id"]}/application_credentials',
                         {'application_credential': {'name': 'robot', **values}}, token)


def by_application(keystone, made, scope=None, **more):
    return keystone.tokens({'methods': ['application_credential'], 'application_credential': {
        'id': made['id'], 'secret': made['secret'], **more}}, scope)


@pytest.fixture
def demo(keystone):
    project, user = keystone.member('demo', 'demo', 'manager')
    return project, user, keystone.login('demo', project='demo')


def test_an_application_credential_opens_its_project_with_its_roles(keystone, demo):
    project, user, token = demo
    made = application(keystone, token, user, roles=[{'name': 'reader'}], description='d')
    assert made.status == 201
    credential = made.json['application_credential']
    assert credential['project_id'] == project['id'] and credential['unrestricted'] is False
    answer = by_application(keystone, credential)
    body = answer.json['token']
    assert answer.status == 201
    assert body['project']['id'] == project['id'] and body['methods'] == ['application_credential']
    assert [role['name'] for role in body['roles']] == ['reader']
    assert body['application_credential'] == {'id': credential['id'], 'name': 'robot', 'restricted': True}
    named = keystone.tokens({'methods': ['application_credential'], 'application_credential': {
        'name': 'robot', 'user': {'name': 'demo', 'domain': {'name': 'Default'}}, 'secret': credential['secret']}})
    assert named.status == 201


def test_the_secret_is_shown_once(keystone, demo):
    _, user, token = demo
    made = application(keystone, token, user, secret='my own').json['application_credential']
    assert made['secret'] == 'my own'
    at = f'/users/{user["id"]}/application_credentials'
    assert 'secret' not in keystone.get(f'{at}/{made["id"]}', token).json['application_credential']
    assert 'secret' not in keystone.get(at, token).json['application_credentials'][0]
    assert keystone.get(f'{at}?name=other', token).json['application_credentials'] == []


def test_an_application_credential_has_only_roles_of_its_maker(keystone, demo):
    _, user, token = demo
    assert application(keystone, token, user, roles=[{'name': 'admin'}]).status == 400
    assert application(keystone, token, user, roles=[{'id': keystone.role('admin')}]).status == 400
    assert application(keystone, token, user, roles=[{'name': 'nothing'}]).status == 400


def test_names_are_unique_for_a_user(keystone, demo):
    _, user, token = demo
    assert application(keystone, token, user).status == 201
    assert application(keystone, token, user).status == 409


@pytest.mark.parametrize('values', [{'name': ''}, {'expires_at': 'soon'}, {'expires_at': '2020-01-01T00:00:00Z'},
                                    {'roles': [{}]}, {'strange': 1}, {'secret': ''}, {'project_id': 'f' * 32},
                                    {'access_rules': [{'path': '/x'}]}])
def test_bad_application_credentials_are_refused(keystone, demo, values):
    _, user, token = demo
    assert application(keystone, token, user, **values).status == 400


def test_it_dies_with_a_role_that_its_owner_loses(keystone, demo):
    project, user, token = demo
    made = application(keystone, token, user).json['application_credential']
    got = by_application(keystone, made).headers['x-subject-token']
    keystone.delete(f'/projects/{project["id"]}/users/{user["id"]}/roles/{keystone.role("manager")}')
    keystone.grant('reader', on=f'projects/{project["id"]}', user=user['id'])
    assert keystone.validate(got).status == 404
    assert by_application(keystone, made).status == 401


def test_it_ends_when_it_expires_and_so_do_its_tokens(keystone, demo):
    _, user, token = demo
    made = application(keystone, token, user, expires_at='2026-11-22T12:30:00Z').json['application_credential']
    assert made['expires_at'] == '2026-11-22T12:30:00.000000'
    got = by_application(keystone, made)
    assert got.json['token']['expires_at'] == '2026-11-22T12:30:00.000000Z'
    keystone.clock.advance(1801)
    assert keystone.validate(got.headers['x-subject-token']).status == 404
    assert by_application(keystone, made).status == 401


def test_deleting_it_ends_its_tokens(keystone, demo):
    _, user, token = demo
    made = application(keystone, token, user).json['application_credential']
    got = by_application(keystone, made).headers['x-subject-token']
    assert keystone.delete(f'/users/{user["id"]}/application_credentials/{made["id"]}', token).status == 204
    assert keystone.validate(got).status == 404
    assert by_application(keystone, made).status == 401


def test_its_tokens_keep_to_its_project(keystone, demo):
    project, user, token = demo
    other = keystone.make('project', name='other')
    keystone.grant('member', on=f'projects/{other["id"]}', user=user['id'])
    made = application(keystone, token, user).json['application_credential']
    elsewhere = {'project': {'id': other['id']}}
    assert by_application(keystone, made, elsewhere).status == 401
    got = by_application(keystone, made).headers['x-subject-token']
    again = keystone.tokens({'methods': ['token'], 'token': {'id': got}})
    assert again.json['token']['project']['id'] == project['id']
    assert again.json['token']['application_credential']['id'] == made['id']
    for scope in (elsewhere, 'unscoped'):
        assert keystone.tokens({'methods': ['token'], 'token': {'id': got}}, scope).status == 401


def test_an_unrestricted_one_may_make_others(keystone, demo):
    _, user, token = demo
    made = application(keystone, token, user, unrestricted=True).json['application_credential']
    got = by_application(keystone, made).headers['x-subject-token']
    assert application(keystone, got, user, name='second').status == 201


def test_access_rules_bind_at_keystone_and_hide_tokens_from_services_that_ignore_them(keystone, demo):
    _, user, token = demo
    rules = [{'service': 'identity', 'method': 'GET', 'path': '/v3/users/*/projects'},
             {'service': 'identity', 'method': 'GET', 'path': '/v3/auth/**'}]
    made = application(keystone, token, user, access_rules=rules).json['application_credential']
    got = by_application(keystone, made).headers['x-subject-token']
    assert keystone.get(f'/users/{user["id"]}/projects', got).status == 200
    assert keystone.get('/auth/catalog', got).status == 200
    assert keystone.get(f'/users/{user["id"]}', got).status == 401
    assert keystone.validate(got).status == 404
    said = keystone.call('GET', '/v3/auth/tokens', token=keystone.admin, headers={
        'X-Subject-Token': got, 'OpenStack-Identity-Access-Rules': '1.0'})
    assert len(said.json['token']['application_credential']['access_rules']) == 2
    [first, second] = keystone.get(f'/users/{user["id"]}/access_rules', token).json['access_rules']
    shown = keystone.get(f'/users/{user["id"]}/access_rules/{first["id"]}', token).json['access_rule']
    assert shown['path'] in (rules[0]['path'], rules[1]['path']) and second['id'] != first['id']


def ec2(keystone, user, project, token=None):
    answer = keystone.post(f'/users/{user["id"]}/credentials/OS-EC2', {'tenant_id': project['id']}, token)
    assert answer.status == 201, answer.body
    return answer.json['credential']


def signed_v2(key, **changes):
    params = {'Action': 'DescribeInstances', 'AWSAccessKeyId': key['access'], 'SignatureVersion': '2',
              'SignatureMethod': 'HmacSHA256', 'Timestamp': '2026-11-22T12:00:00Z', 'Filter.1.Name': 'a b+c~',
              **changes}
    query = '&'.join(f'{urllib.parse.quote(k, safe="-_.~")}={urllib.parse.quote(params[k], safe="-_.~")}'
                     for k in sorted(params))
    text = f'GET\nec2.example:8773\n/services/Cloud\n{query}'
    signature = base64.b64encode(hmac.digest(key['secret'].encode(), text.encode(), 'sha256')).decode()
    return {'access': key['access'], 'signature': signature, 'host': 'ec2.example:8773', 'verb': 'GET',
            'path': '/services/Cloud', 'params': params, 'headers': {}, 'body_hash': ''}


def signed_v4(key, when='20261122T120000Z', body=b'Action=DescribeInstances'):
    scope = f'{when[:8]}/RegionOne/ec2/aws4_request'
    body_hash = hashlib.sha256(body).hexdigest()
    canonical = f'POST\n/\n\nhost:ec2.example:8773\nx-amz-date:{when}\n\nhost;x-amz-date\n{body_hash}'
    text = f'AWS4-HMAC-SHA256\n{when}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}'
    secret = b'AWS4' + key['secret'].encode()
    for word in scope.split('/'):
        secret = hmac.digest(secret, word.encode(), 'sha256')
    signature = hmac.digest(secret, text.encode(), 'sha256').hex()
    authorization = (f'AWS4-HMAC-SHA256 Credential={key["access"]}/{scope}, SignedHeaders=host;x-amz-date, '
                     f'Signature={signature}')
    return {'access': key['access'], 'signature': signature, 'host': 'ec2.example:8773', 'verb': 'POST', 'path': '/',
            'params': {}, 'headers': {'X-Amz-Date': when, 'Authorization': authorization}, 'body_hash': body_hash}


@pytest.mark.parametrize('sign', [signed_v2, signed_v4])
@pytest.mark.parametrize('name', ['ec2Credentials', 'credentials'])
def test_a_signature_is_exchanged_for_a_token(keystone, demo, sign, name):
    project, user, token = demo
    key = ec2(keystone, user, project, token)
    answer = keystone.post('/ec2tokens', {name: sign(key)})
    assert answer.status == 200
    assert answer.json['token']['project']['id'] == project['id']
    assert answer.json['token']['user']['id'] == user['id']
    assert keystone.validate(answer.headers['x-subject-token']).status == 200


@pytest.mark.parametrize('sign', [signed_v2, signed_v4])
def test_a_wrong_signature_opens_nothing(keystone, demo, sign):
    project, user, token = demo
    key = ec2(keystone, user, project, token)
    good = sign(key)
    for wrong in ({'signature': 'x'}, {'access': 'nobody'}, {'verb': 'PUT'}, {'path': '/other'},
                  {'host': 'elsewhere'}, {'body_hash': '0' * 64, 'params': {}}):
        assert keystone.post('/ec2tokens', {'credentials': {**good, **wrong}}).status == 401
    assert keystone.post('/ec2tokens', {}).status == 400


def test_ec2_keys_are_listed_shown_and_deleted(keystone, demo):
    project, user, token = demo
    key = ec2(keystone, user, project, token)
    assert set(key) == {'user_id', 'tenant_id', 'access', 'secret', 'trust_id', 'links'}
    at = f'/users/{user["id"]}/credentials/OS-EC2'
    assert keystone.get(at, token).json['credentials'] == [key]
    assert keystone.get(f'{at}/{key["access"]}', token).json['credential'] == key
    assert keystone.get(f'/credentials?type=ec2&user_id={user["id"]}').json['credentials'][0]['id'] == \
        hashlib.sha256(key['access'].encode()).hexdigest()
    assert keystone.delete(f'{at}/{key["access"]}', token).status == 204
    assert keystone.get(f'{at}/{key["access"]}').status == 404
    assert keystone.get(f'{at}/{key["access"]}', token).status == 404
    assert keystone.post('/ec2tokens', {'credentials': signed_v2(key)}).status == 401


def test_an_access_key_that_was_changed_opens_and_the_old_one_does_not(keystone, demo):
    project, user, token = demo
    key = ec2(keystone, user, project, token)
    at = '/credentials/' + hashlib.sha256(key['access'].encode()).hexdigest()
    blob = {'access': 'other', 'secret': 'word', 'trust_id': None}
    changed = keystone.patch(at, {'credential': {'blob': json.dumps(blob)}}).json['credential']
    assert json.loads(changed['blob']) == blob and at.endswith(changed['id'])
    changed = {**key, 'access': 'other', 'secret': 'word'}
    assert keystone.post('/ec2tokens', {'credentials': signed_v2(changed)}).status == 200
    assert keystone.post('/ec2tokens', {'credentials': signed_v2(key)}).status == 401
    taken = ec2(keystone, user, project, token)
    blob['access'] = taken['access']
    assert keystone.patch(at, {'credential': {'blob': json.dumps(blob)}}).status == 409


def test_access_rules_outlive_their_credentials_and_are_deleted_by_hand(keystone, demo):
    project, user, token = demo
    rule = {'path': '/v2.1/servers', 'method': 'GET', 'service': 'compute'}
    made = application(keystone, token, user, access_rules=[rule]).json['application_credential']
    [shown] = made['access_rules']
    again = application(keystone, token, user, name='again', access_rules=[rule]).json['application_credential']
    third = application(keystone, token, user, name='third', access_rules=[{'id': shown['id']}])
    third = third.json['application_credential']
    assert again['access_rules'] == third['access_rules'] == [shown]
    at = f'/users/{user["id"]}/access_rules/{shown["id"]}'
    assert keystone.delete(at, token).status == 403
    for each in (made, again, third):
        keystone.delete(f'/users/{user["id"]}/application_credentials/{each["id"]}', token)
    assert keystone.get(at, token).status == 200
    assert keystone.delete(at, token).status == 204
    assert keystone.get(f'/users/{user["id"]}/access_rules', token).json['access_rules'] == []


def test_credentials_are_stored_sealed(keystone):
    made = keystone.make('credential', type='cert', blob='a secret certificate', user_id=keystone.user('u')['id'])
    assert set(made) == {'id', 'type', 'blob', 'user_id', 'project_id', 'links'}
    at = f'/credentials/{made["id"]}'
    assert keystone.get(at).json['credential'] == made
    assert b'a secret certificate' not in (keystone.path / 'keystone.sqlite').read_bytes() \
        + (keystone.path / 'keystone.sqlite-wal').read_bytes()
    assert keystone.patch(at, {'credential': {'blob': 'new'}}).json['credential']['blob'] == 'new'
    assert keystone.delete(at).status == 204
    assert keystone.get(at).status == 404


@pytest.mark.parametrize('values', [{'type': 'ec2', 'blob': 'no json'}, {'type': 'ec2', 'blob': '{}'},
                                    {'type': 'ec2', 'blob': json.dumps({'access': 'a', 'secret': 's'})},
                                    {'type': 'x'}, {'blob': 'x'}, {'type': '', 'blob': 'x'}])
def test_bad_credentials_are_refused(keystone, values):
    assert keystone.post('/credentials', {'credential': values}).status == 400


def test_a_user_has_a_limited_number_of_each(build):
    keystone = build(credential__user_limit=1, application_credential__user_limit=1)
    project, user = keystone.member('demo', 'demo')
    token = keystone.login('demo', project='demo')
    ec2(keystone, user, project, token)
    again = keystone.post(f'/users/{user["id"]}/credentials/OS-EC2', {'tenant_id': project['id']}, token)
    assert again.status == 403
    assert application(keystone, token, user).status == 201
    assert application(keystone, token, user, name='second').status == 403


def test_wrong_secrets_open_nothing(keystone, demo):
    _, user, token = demo
    made = application(keystone, token, user).json['application_credential']
    assert by_application(keystone, {**made, 'secret': 'wrong'}).status == 401
    assert by_application(keystone, {**made, 'id': 'f' * 32}).status == 401
    assert by_application(keystone, {**made, 'secret': PASSWORD}).status == 401

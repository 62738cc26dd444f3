"""Published weaknesses of identity services, one by one: none of them is ours.

Each test names the advisory that it would have failed.
"""

import json
import time

import pytest

from keystone.token import payload as payloads
from strata import clock
from tests.functional import test_keystone_credentials as credentials
from tests.functional.keystone_cloud import (  # noqa: F401
    DEAR,
    PASSWORD,
    Keystone,
    build,
    keystone,
    keystone_template,
)
from tests.functional.test_keystone_credentials import application, by_application, demo, ec2  # noqa: F401

# the fixtures above are used by name
# ruff: noqa: F811

ADMIN = {'project': {'name': 'admin', 'domain': {'id': 'default'}}}


def by_token(keystone, token, scope=None):
    return keystone.tokens({'methods': ['token'], 'token': {'id': token}}, scope)


def revoke(keystone, token):
    return keystone.call('DELETE', '/v3/auth/tokens', token=token, headers={'X-Subject-Token': token}).status


def test_ossa_2012_002_very_long_passwords_are_refused_before_they_are_hashed(keystone):
    long = 'x' * 100_000
    user = keystone.user('ann')
    began = time.process_time()
    assert keystone.auth('ann', long).status in (400, 401)
    assert keystone.post('/users', {'user': {'name': 'u', 'password': long}}).status == 400
    assert keystone.patch(f'/users/{user["id"]}', {'user': {'password': long}}).status == 400
    assert time.process_time() - began < 1
    assert keystone.auth('ann', PASSWORD).status == 201


def test_ossa_2012_010_and_019_a_token_cannot_outlive_the_first_of_its_chain(keystone):
    token = keystone.admin
    for _ in range(4):
        keystone.clock.advance(800)
        answer = by_token(keystone, token, ADMIN)
        assert answer.json['token']['expires_at'] == '2026-11-22T13:00:00.000000Z'
        token = answer.headers['x-subject-token']
    keystone.clock.advance(800)
    assert by_token(keystone, token, ADMIN).status == 401


def test_ossa_2012_010_a_changed_password_and_a_disabled_user_end_tokens(keystone):
    user = keystone.user('ann')
    for change in ({'password': 'new word'}, {'enabled': False}):
        token = keystone.login('ann', PASSWORD if 'password' in change else 'new word')
        keystone.clock.advance(1)
        keystone.patch(f'/users/{user["id"]}', {'user': change})
        assert keystone.validate(token).status == 404
        keystone.clock.advance(1)


def test_ossa_2012_013_nobody_adds_users_to_projects_without_being_allowed_to(keystone):
    project, user = keystone.member('demo', 'demo')
    token = keystone.login('demo', project='demo')
    other = keystone.make('project', name='other')
    for role in ('member', 'admin'):
        for place in (project, other):
            at = f'/projects/{place["id"]}/users/{user["id"]}/roles/{keystone.role(role)}'
            assert keystone.put(at, token=token).status == 403


def test_ossa_2012_014_a_revoked_role_is_gone_from_existing_tokens(keystone):
    project, user = keystone.member('demo', 'demo', 'admin')
    token = keystone.login('demo', project='demo')
    assert keystone.get('/users', token).status == 200
    keystone.grant('reader', on=f'projects/{project["id"]}', user=user['id'])
    keystone.delete(f'/projects/{project["id"]}/users/{user["id"]}/roles/{keystone.role("admin")}')
    assert keystone.get('/users', token).status == 403


def test_ossa_2012_015_every_route_wants_a_token_but_the_published_ones(keystone):
    from keystone.api import app
    from strata.rest import PUBLIC
    public = set()
    for path, endpoints in app.endpoints.items():
        for endpoint in endpoints:
            if endpoint.allow is PUBLIC:
                public.add((endpoint.method, path))
                continue
            answer = keystone.call(endpoint.method, '/v3' + path.replace('{', '').replace('}', ''),
                                   {'x': 1} if endpoint.body else None, token='forged')
            assert answer.status == 401, (endpoint.method, path)
    assert public == {('GET', '/'), ('POST', '/auth/tokens'), ('POST', '/users/{id}/password')}


def test_ossa_2012_016_a_disabled_project_cannot_be_entered(keystone):
    project, _ = keystone.member('demo', 'demo')
    unscoped = keystone.login('demo')
    keystone.patch(f'/projects/{project["id"]}', {'project': {'enabled': False}})
    scope = {'project': {'id': project['id']}}
    assert keystone.auth('demo', PASSWORD, scope=scope).status == 401
    assert by_token(keystone, unscoped, scope).status == 401


def test_ossa_2012_018_an_ec2_key_is_worthless_once_its_owner_left_the_project(keystone, demo):
    project, user, token = demo
    key = ec2(keystone, user, project, token)
    keystone.delete(f'/projects/{project["id"]}/users/{user["id"]}/roles/{keystone.role("manager")}')
    assert keystone.post('/ec2tokens', {'credentials': credentials.signed_v4(key)}).status == 401


def test_ossa_2013_003_huge_and_many_wrong_tokens_cost_little(keystone):
    began = time.process_time()
    for number in range(200):
        assert keystone.validate('x' * 50_000 + str(number)).status == 404
    assert time.process_time() - began < 5
    assert len(keystone.wiring.memory.lasting['payloads']) <= 2


@pytest.mark.parametrize('kind, name', [('user', 'user'), ('project', 'project')])
def test_ossa_2013_005_an_ec2_key_does_not_work_for_the_disabled(keystone, demo, kind, name):
    project, user, token = demo
    key = ec2(keystone, user, project, token)
    where = {'user': user, 'project': project}[name]
    keystone.patch(f'/{kind}s/{where["id"]}', {kind: {'enabled': False}})
    assert keystone.post('/ec2tokens', {'credentials': credentials.signed_v4(key)}).status == 401


def test_ossa_2013_009_a_revoked_token_is_refused_wherever_it_is_shown(keystone):
    token = keystone.login('admin', project='admin')
    assert revoke(keystone, token) == 204
    assert keystone.validate(token).status == 404
    assert keystone.get('/users', token).status == 401
    assert by_token(keystone, token).status == 401
    restarted = Keystone(keystone.path, keystone.clock)
    assert restarted.get('/users', token).status == 401
    restarted.wiring.close()


def test_ossa_2013_011_a_deleted_users_tokens_end_at_once(keystone):
    _, user = keystone.member('demo', 'demo')
    token = keystone.login('demo', project='demo')
    assert keystone.get('/auth/projects', token).status == 200
    keystone.delete(f'/users/{user["id"]}')
    assert keystone.get('/auth/projects', token).status == 401


def test_ossa_2013_014_an_expired_token_is_refused_even_if_it_was_just_validated(keystone):
    token = keystone.admin
    assert keystone.get('/users', token).status == 200
    keystone.clock.advance(3600)
    assert keystone.get('/users', token).status == 401


def test_ossa_2013_015_an_empty_or_absent_password_opens_nothing(keystone):
    keystone.make('user', name='ann')
    for password in ('', None, False, 0, [], {}):
        answer = keystone.tokens({'methods': ['password'], 'password': {'user': {
            'name': 'ann', 'domain': {'id': 'default'}, 'password': password}}})
        assert answer.status in (400, 401)


def test_ossa_2013_032_an_ec2_token_is_not_a_way_around_its_bounds(keystone, demo):
    project, user, token = demo
    other = keystone.make('project', name='other')
    keystone.grant('admin', on=f'projects/{other["id"]}', user=user['id'])
    made = application(keystone, token, user, unrestricted=True, roles=[{'name': 'reader'}])
    bounded = by_application(keystone, made.json['application_credential']).headers['x-subject-token']
    key = ec2(keystone, user, project, bounded)
    answer = keystone.post('/ec2tokens', {'credentials': credentials.signed_v4(key)})
    assert [role['name'] for role in answer.json['token']['roles']] == ['reader']
    got = answer.headers['x-subject-token']
    assert by_token(keystone, got, {'project': {'id': other['id']}}).status == 401


def test_an_ec2_key_ends_with_the_application_credential_that_it_was_made_under(keystone, demo):
    project, user, token = demo
    made = application(keystone, token, user, unrestricted=True, expires_at='2026-11-22T12:10:00Z')
    bounded = by_application(keystone, made.json['application_credential']).headers['x-subject-token']
    key = ec2(keystone, user, project, bounded)
    got = keystone.post('/ec2tokens', {'credentials': credentials.signed_v4(key)})
    assert got.json['token']['expires_at'] == '2026-11-22T12:10:00.000000Z'
    keystone.clock.advance(601)
    later = credentials.signed_v4(key, '20261122T121001Z')
    assert keystone.post('/ec2tokens', {'credentials': later}).status == 401


def test_ossa_2014_013_a_method_named_a_thousand_times_is_tried_once_or_refused(keystone):
    user = {'user': {'name': 'admin', 'domain': {'id': 'default'}, 'password': 'wrong'}}
    began = time.process_time()
    assert keystone.tokens({'methods': ['password'] * 32, 'password': user}).status == 401
    assert keystone.tokens({'methods': ['password'] * 1000, 'password': user}).status == 400
    assert time.process_time() - began < 1


def test_ossa_2014_015_a_users_id_is_no_groups_id(keystone):
    project, user, group = keystone.make('project', name='p'), keystone.user('u'), keystone.make('group', name='g')
    reader = keystone.role('reader')
    assert keystone.put(f'/projects/{project["id"]}/groups/{user["id"]}/roles/{reader}').status == 404
    assert keystone.put(f'/projects/{project["id"]}/users/{group["id"]}/roles/{reader}').status == 404
    # even a group that by chance had a user's id gives that user nothing
    keystone.wiring.memory.look()
    with keystone.wiring.changing() as tx:
        from keystone.db.assignments import Assignment
        from keystone.db.groups import Group
        tx.add(Group(id=user['id'], name='twin', domain_id='default', description='', extra={}))
        tx.add(Assignment(actor='group', actor_id=user['id'], target='project', target_id=project['id'],
                          role_id=reader, inherited=False))
    assert keystone.auth('u', PASSWORD, scope={'project': {'id': project['id']}}).status == 401


def test_ossa_2014_026_disabling_a_domain_ends_its_tokens_and_revocation_is_to_the_microsecond(keystone):
    domain = keystone.make('domain', name='dom')
    user = keystone.user('u', domain_id=domain['id'])
    keystone.grant('member', on=f'domains/{domain["id"]}', user=user['id'])
    scope = {'domain': {'id': domain['id']}}
    token = keystone.auth('u', PASSWORD, domain=domain['id'], scope=scope).headers['x-subject-token']
    keystone.patch(f'/domains/{domain["id"]}', {'domain': {'enabled': False}})
    assert keystone.validate(token).status == 404
    keystone.patch(f'/domains/{domain["id"]}', {'domain': {'enabled': True}})
    assert keystone.validate(token).status == 404
    keystone.clock.advance(0.000001)
    again = keystone.auth('u', PASSWORD, domain=domain['id'], scope=scope).headers['x-subject-token']
    assert keystone.validate(again).status == 200


@pytest.mark.parametrize('url', ['http://x/%(admin_password)s', 'http://x/$(database.connection)s',
                                 'http://x/%(__class__)s', 'http://x/%(token)s'])
def test_ossa_2014_029_the_catalog_never_shows_configuration(keystone, url):
    service = keystone.make('service', type='x')
    answer = keystone.post('/endpoints', {'endpoint': {'service_id': service['id'], 'interface': 'public',
                                                       'url': url}})
    assert answer.status == 400


def test_ossa_2016_005_a_tampered_token_is_no_token(keystone):
    token = keystone.admin
    for place in (10, len(token) // 2, len(token) - 2):
        other = 'A' if token[place] != 'A' else 'B'
        assert keystone.get('/users', token[:place] + other + token[place + 1:]).status == 401
    assert revoke(keystone, token) == 204
    token = keystone.login('admin', project='admin')
    middle = len(token) // 2
    for spelling in (token + '=', token + '\n', ' ' + token, token[:middle] + '!!!!' + token[middle:],
                     token[:middle] + '\n' * 4 + token[middle:]):
        assert keystone.get('/users', spelling).status == 401


def test_ossa_2016_008_each_token_of_a_chain_has_an_audit_id_of_its_own(keystone):
    first = keystone.login('admin', project='admin')
    children = [by_token(keystone, first, ADMIN) for _ in range(2)]
    ids = {answer.json['token']['audit_ids'][0] for answer in children}
    assert len(ids) == 2
    one, two = (answer.headers['x-subject-token'] for answer in children)
    assert revoke(keystone, one) == 204
    assert keystone.get('/users', one).status == 401
    assert keystone.get('/users', two).status == 200


def test_ossa_2019_006_credentials_of_others_are_not_listed(keystone, demo):
    _, _, token = demo
    keystone.make('credential', type='t', blob='theirs', user_id=keystone.user('other')['id'])
    assert keystone.get('/credentials', token).json['credentials'] == []
    assert keystone.get('/credentials?type=t', token).json['credentials'] == []


def test_ossa_2020_003_an_old_signature_is_not_replayed(keystone, demo):
    project, user, token = demo
    key = ec2(keystone, user, project, token)
    signed = [credentials.signed_v4(key), credentials.signed_v2(key)]
    keystone.clock.advance(14 * 60)
    assert [keystone.post('/ec2tokens', {'credentials': each}).status for each in signed] == [200, 200]
    keystone.clock.advance(2 * 60)
    assert [keystone.post('/ec2tokens', {'credentials': each}).status for each in signed] == [401, 401]
    refreshed = {**signed[1], 'headers': {'X-Amz-Date': '20261122T121600Z'}}
    assert keystone.post('/ec2tokens', {'credentials': refreshed}).status == 401
    ahead = credentials.signed_v4(key, '20261122T140000Z')
    assert keystone.post('/ec2tokens', {'credentials': ahead}).status == 401


def test_ossa_2020_004_a_credential_changes_neither_owner_nor_what_it_is_bound_to(keystone, demo):
    project, user, token = demo
    other = keystone.user('other')
    key = ec2(keystone, user, project, token)
    at = '/credentials/' + keystone.get('/credentials?type=ec2', token).json['credentials'][0]['id']
    blob = {'access': key['access'], 'secret': key['secret'], 'trust_id': None}
    assert keystone.patch(at, {'credential': {'user_id': other['id']}}).status == 400
    for change in ({'access_token_id': 'x'}, {'trust_id': 'x'}, {'app_cred_id': 'x'}):
        changed = {'credential': {'blob': json.dumps({**blob, **change})}}
        assert keystone.patch(at, changed, token).status == 400
    for change in ({'type': 'cert'}, {'project_id': None}, {'project_id': keystone.make('project', name='x')['id']}):
        assert keystone.patch(at, {'credential': change}, token).status == 400


def test_ossa_2021_003_a_lockout_does_not_tell_who_exists(build):
    keystone = build(security_compliance__lockout_failure_attempts=2)
    user = keystone.user('ann')
    answers = set()
    for name in ('ann', 'nobody'):
        for _ in range(4):
            answer = keystone.auth(name, 'wrong')
            answers.add((answer.status, answer.body))
    answers.add((lambda answer: (answer.status, answer.body))(keystone.auth('ann', PASSWORD)))
    assert len(answers) == 1
    [(status, body)] = answers
    assert status == 401 and user['id'].encode() not in body


def test_ossa_2021_003_an_unknown_user_costs_as_much_as_a_wrong_password(build):
    keystone = build(**DEAR)
    keystone.user('ann')
    costs = {'ann': 0.0, 'nobody': 0.0}
    for number in range(6):      # in turn, for the machine may be slow for a while
        for name in costs:
            began = time.process_time()
            keystone.auth(name, f'wrong {number}')
            costs[name] += time.process_time() - began if number else 0
    assert 0.6 < costs['ann'] / costs['nobody'] < 1.7


def test_ossa_2025_002_signatures_are_exchanged_for_services_only(keystone, demo):
    project, user, token = demo
    body = {'credentials': credentials.signed_v4(ec2(keystone, user, project, token))}
    assert keystone.call('POST', '/v3/ec2tokens', body).status == 401
    assert keystone.post('/ec2tokens', body, token).status == 403
    keystone.grant('service', on=f'projects/{project["id"]}', user=user['id'])
    assert keystone.post('/ec2tokens', body, token).status == 200


def test_ossa_2026_001_identity_headers_from_outside_mean_nothing(keystone):
    forged = {'X-User-Id': 'x', 'X-Roles': 'admin', 'X-Project-Id': 'x', 'X-Identity-Status': 'Confirmed',
              'X-Is-Admin-Project': 'True', 'X-User': 'admin', 'X-Tenant-Id': 'x', 'OpenStack-System-Scope': 'all'}
    assert keystone.call('GET', '/v3/users', headers=forged).status == 401
    keystone.member('demo', 'demo')
    assert keystone.call('GET', '/v3/users', token=keystone.login('demo', project='demo'),
                         headers=forged).status == 403


def test_ossa_2026_005_a_restricted_application_credential_makes_no_other_secrets(keystone, demo):
    project, user, token = demo
    made = application(keystone, token, user).json['application_credential']
    key = ec2(keystone, user, project, token)
    bounded = by_application(keystone, made).headers['x-subject-token']
    again = by_token(keystone, bounded).headers['x-subject-token']
    blob = json.dumps({'access': 'a', 'secret': 's'})
    for got in (bounded, again):
        assert application(keystone, got, user, name='second').status == 403
        at = f'/users/{user["id"]}'
        assert keystone.post(f'{at}/credentials/OS-EC2', {'tenant_id': project['id']}, got).status == 403
        assert keystone.delete(f'{at}/credentials/OS-EC2/{key["access"]}', got).status == 403
        assert keystone.delete(f'{at}/application_credentials/{made["id"]}', got).status == 403
        assert keystone.post('/credentials', {'credential': {
            'type': 'ec2', 'blob': blob, 'project_id': project['id']}}, got).status == 403


def test_ossa_2026_007_enabled_is_a_boolean_and_nothing_else(keystone):
    for value in ('False', 'false', 0, 1, 'TRUE', None, []):
        assert keystone.post('/users', {'user': {'name': 'u', 'enabled': value}}).status == 400
    user = keystone.user('u', enabled=False)
    assert user['enabled'] is False
    assert keystone.auth('u', PASSWORD).status == 401


def test_a_token_of_another_key_repository_is_no_token(keystone, tmp_path):
    from keystone.token.keys import Keys
    stranger = Keys(str(tmp_path / 'other'))
    stranger.setup()
    now = keystone.clock.now()
    forged = payloads.Payload(
        user_id=keystone.get('/users').json['users'][0]['id'], methods=('password',), issued_at=now,
        expires_at=clock.parse('2030-01-01'), audit_ids=(payloads.new_audit_id(),), kind='system')
    token = stranger.encrypt(payloads.pack(forged)).rstrip(b'=').decode()
    assert keystone.get('/users', token).status == 401


def test_secrets_do_not_come_back_in_errors_nor_logs(keystone, caplog):
    secret = 'a-word-nobody-may-see'
    caplog.set_level('DEBUG')
    bad = {'auth': {'identity': {'methods': ['password'], 'password': {'user': {
        'name': 5, 'password': secret}}}}}
    answers = [keystone.call('POST', '/v3/auth/tokens', bad), keystone.auth('admin', secret),
               keystone.post('/users', {'user': {'name': 'u', 'password': secret, 'enabled': 'x'}}),
               keystone.post('/users', {'user': {'name': 'u', 'password': [secret]}})]
    for answer in answers:
        assert secret.encode() not in answer.body
    keystone.user('ann')
    token = keystone.login('ann')
    assert secret not in caplog.text and PASSWORD not in caplog.text and token not in caplog.text

"""Users, their passwords, and groups."""

import pytest

from keystone import conf
from keystone.db import users
from tests.functional.keystone_cloud import (  # noqa: F401
    DEAR,
    PASSWORD,
    URL,
    Keystone,
    Queries,
    build,
    keystone,
    keystone_template,
)

# the fixtures above are used by name
# ruff: noqa: F811


USER = {'id', 'name', 'domain_id', 'enabled', 'password_expires_at', 'options', 'links'}


def test_a_user_is_shown_without_any_trace_of_the_password(keystone):
    answer = keystone.post('/users', {'user': {'name': 'ann', 'password': PASSWORD, 'email': 'ann@example.org',
                                               'description': 'd'}})
    user = answer.json['user']
    assert answer.status == 201
    assert set(user) == USER | {'email', 'description'}
    shown = keystone.get(f'/users/{user["id"]}')
    listed = keystone.get('/users?name=ann')
    assert shown.json['user'] == user and listed.json['users'] == [user]
    for each in (answer, shown, listed):
        assert b'argon2' not in each.body and PASSWORD.encode() not in each.body


def test_the_usual_cost_of_a_password_is_the_recommended_one():
    usual = conf.load('keystone', [], files=[]).identity
    assert {f'identity__{name}': usual[name] for name in ('password_hash_memory', 'password_hash_passes')} == DEAR


def test_a_password_costs_what_the_configuration_says(build):
    for cost in (DEAR, {'identity__password_hash_memory': 64, 'identity__password_hash_passes': 3}):
        keystone = build(**cost)
        user = keystone.user('ann')
        with keystone.wiring.db.reading() as tx:
            stored = users.get(tx, user['id']).password
        assert stored.startswith('$argon2id$v=19$m={},t={},p=1$'.format(*cost.values()))
        other = Keystone(keystone.path, keystone.clock, identity__password_hash_memory=128)
        assert other.auth('ann', PASSWORD + 'x').status == 401 and other.auth('bob', PASSWORD).status == 401
        with other.wiring.db.reading() as tx:
            assert users.get(tx, user['id']).password == stored
        assert other.auth('ann', PASSWORD).status == 201
        with other.wiring.db.reading() as tx:
            renewed = users.get(tx, user['id'])
        assert renewed.password.startswith('$argon2id$v=19$m=128,t=1,p=1$')
        assert other.auth('ann', PASSWORD).status == 201 and other.auth('ann', PASSWORD + 'x').status == 401
        with other.wiring.db.reading() as tx:
            assert users.get(tx, user['id']).password == renewed.password
        other.wiring.close()


@pytest.mark.parametrize('values', [
    {}, {'name': ''}, {'name': 'x' * 256}, {'name': 'u', 'password': 5}, {'name': 'u', 'enabled': 'true'},
    {'name': 'u', 'options': {'strange': True}}, {'name': 'u', 'password': 'x' * 5000},
    {'name': 'u', 'default_project_id': 'default'}, {'name': 'u', 'password': ''}])
def test_bad_users_are_refused(keystone, values):
    assert keystone.post('/users', {'user': values}).status == 400
    assert len(keystone.get('/users').json['users']) == 1


def test_user_names_are_unique_in_a_domain_only(keystone):
    keystone.user('ann')
    assert keystone.post('/users', {'user': {'name': 'ann'}}).status == 409
    domain = keystone.make('domain', name='dom')
    keystone.user('ann', domain_id=domain['id'])
    assert keystone.post('/users', {'user': {'name': 'x', 'domain_id': 'f' * 32}}).status == 404


def test_a_user_without_a_password_cannot_log_in(keystone):
    keystone.make('user', name='ann')
    assert keystone.auth('ann', '').status == 401
    assert keystone.auth('ann', 'anything').status == 401


def test_a_user_is_changed(keystone):
    user = keystone.user('ann', email='a@example.org')
    at = f'/users/{user["id"]}'
    changed = keystone.patch(at, {'user': {'name': 'anna', 'email': None, 'phone': '1',
                                           'options': {'lock_password': True}}}).json['user']
    assert changed['name'] == 'anna' and changed['phone'] == '1' and 'email' not in changed
    assert changed['options'] == {'lock_password': True}
    assert keystone.patch(at, {'user': {'options': {'lock_password': None}}}).json['user']['options'] == {}
    assert keystone.patch(at, {'user': {'domain_id': 'elsewhere'}}).status == 400
    assert keystone.patch('/users/nobody', {'user': {'name': 'x'}}).status == 404


def test_an_administrator_sets_a_password_and_old_tokens_end(keystone):
    user = keystone.user('ann')
    token = keystone.login('ann')
    keystone.clock.advance(1)
    assert keystone.patch(f'/users/{user["id"]}', {'user': {'password': 'quite another'}}).status == 200
    assert keystone.auth('ann', PASSWORD).status == 401
    assert keystone.validate(token).status == 404
    keystone.clock.advance(1)
    assert keystone.validate(keystone.login('ann', 'quite another')).status == 200


def change(keystone, user, old, new):
    return keystone.call('POST', f'/v3/users/{user["id"]}/password',
                         {'user': {'original_password': old, 'password': new}})


def test_users_change_their_own_password(keystone):
    user = keystone.user('ann')
    token = keystone.login('ann')
    keystone.clock.advance(1)
    assert change(keystone, user, 'wrong', 'new one').status == 401
    assert change(keystone, user, PASSWORD, PASSWORD).status == 400
    assert change(keystone, user, PASSWORD, 'x' * 5000).status == 400
    assert change(keystone, {'id': 'f' * 32}, PASSWORD, 'new one').status == 401
    assert change(keystone, user, PASSWORD, 'new one').status == 204
    assert keystone.validate(token).status == 404
    assert keystone.auth('ann', PASSWORD).status == 401
    assert keystone.auth('ann', 'new one').status == 201


def test_a_locked_password_is_not_changed(keystone):
    user = keystone.user('ann', options={'lock_password': True})
    assert change(keystone, user, PASSWORD, 'new one').status == 403


def test_passwords_expire_when_that_is_configured(build):
    keystone = build(security_compliance__password_expires_days=30)
    user, forever = keystone.user('ann'), keystone.user('bob', options={'ignore_password_expiry': True})
    assert user['password_expires_at'] == '2026-12-22T12:00:00.000000'
    keystone.clock.advance(31 * 86400)
    assert keystone.auth('ann', PASSWORD).status == 401
    assert keystone.auth('bob', PASSWORD).status == 201
    assert change(keystone, user, PASSWORD, 'new one').status == 204
    assert keystone.auth('ann', 'new one').status == 201
    assert forever['password_expires_at']


def test_wrong_passwords_lock_a_user_out_for_a_while_when_that_is_configured(build):
    keystone = build(security_compliance__lockout_failure_attempts=3, security_compliance__lockout_duration=60)
    keystone.user('ann')
    keystone.user('bob', options={'ignore_lockout_failure_attempts': True})
    for name in ('ann', 'bob'):
        for _ in range(3):
            assert keystone.auth(name, 'wrong').status == 401
    assert keystone.auth('ann', PASSWORD).json == keystone.auth('ann', 'wrong').json
    assert keystone.auth('bob', PASSWORD).status == 201
    keystone.clock.advance(61)
    assert keystone.auth('ann', PASSWORD).status == 201
    for _ in range(2):
        keystone.auth('ann', 'wrong')
    assert keystone.auth('ann', PASSWORD).status == 201      # a right one wipes the slate clean
    for _ in range(2):
        keystone.auth('ann', 'wrong')
    assert keystone.auth('ann', PASSWORD).status == 201


def test_a_user_may_ask_for_more_than_one_factor(keystone):
    user = keystone.user('ann', options={'multi_factor_auth_enabled': True,
                                         'multi_factor_auth_rules': [['password', 'token']]})
    assert keystone.auth('ann', PASSWORD).status == 401
    keystone.patch(f'/users/{user["id"]}', {'user': {'options': {'multi_factor_auth_enabled': False}}})
    assert keystone.auth('ann', PASSWORD).status == 201


def test_a_deleted_user_leaves_nothing_behind(keystone):
    project, user = keystone.member('demo', 'demo')
    group = keystone.make('group', name='g')
    keystone.put(f'/groups/{group["id"]}/users/{user["id"]}')
    assert keystone.delete(f'/users/{user["id"]}').status == 204
    assert keystone.delete(f'/users/{user["id"]}').status == 404
    assert keystone.get(f'/groups/{group["id"]}/users').json['users'] == []
    assert keystone.get(f'/role_assignments?scope.project.id={project["id"]}').json['role_assignments'] == []


def test_groups_are_made_changed_and_deleted(keystone):
    group = keystone.make('group', name='g', description='d')
    assert set(group) == {'id', 'name', 'domain_id', 'description', 'links'}
    at = f'/groups/{group["id"]}'
    assert keystone.get(at).json['group'] == group
    assert keystone.patch(at, {'group': {'name': 'h'}}).json['group']['name'] == 'h'
    assert keystone.get('/groups?name=h').json['groups'][0]['id'] == group['id']
    assert keystone.post('/groups', {'group': {'name': 'h'}}).status == 409
    assert keystone.post('/groups', {'group': {'name': 'x' * 65}}).status == 400
    assert keystone.delete(at).status == 204
    assert keystone.get(at).status == 404


def test_users_join_and_leave_groups(keystone):
    user, group = keystone.user('ann'), keystone.make('group', name='g')
    at = f'/groups/{group["id"]}/users/{user["id"]}'
    assert keystone.get(at).status == 404
    assert keystone.put(at).status == 204
    assert keystone.put(at).status == 204
    assert keystone.get(at).status == 204
    assert keystone.call('HEAD', '/v3' + at, token=keystone.admin).status == 204
    assert [each['name'] for each in keystone.get(f'/groups/{group["id"]}/users').json['users']] == ['ann']
    assert [each['name'] for each in keystone.get(f'/users/{user["id"]}/groups').json['groups']] == ['g']
    assert keystone.delete(at).status == 204
    assert keystone.delete(at).status == 404
    assert keystone.put(f'/groups/{group["id"]}/users/nobody').status == 404
    assert keystone.put(f'/groups/nothing/users/{user["id"]}').status == 404


def test_the_projects_of_a_user_are_all_that_they_have_a_role_on(keystone):
    direct, user = keystone.member('direct', 'ann')
    group, through = keystone.make('group', name='g'), keystone.make('project', name='through')
    keystone.put(f'/groups/{group["id"]}/users/{user["id"]}')
    keystone.grant('reader', on=f'projects/{through["id"]}', group=group['id'])
    below = keystone.make('project', name='below', parent_id=through['id'])
    keystone.make('project', name='none')
    reader = keystone.role('reader')
    keystone.put(f'/OS-INHERIT/projects/{through["id"]}/users/{user["id"]}/roles/{reader}/inherited_to_projects')
    wanted = sorted([direct['id'], through['id'], below['id']])
    listed = keystone.get(f'/users/{user["id"]}/projects').json['projects']
    assert sorted(each['id'] for each in listed) == wanted
    mine = keystone.get('/auth/projects', keystone.login('ann')).json['projects']
    assert sorted(each['id'] for each in mine) == wanted
    keystone.patch(f'/projects/{direct["id"]}', {'project': {'enabled': False}})
    mine = keystone.get('/auth/projects', keystone.login('ann')).json['projects']
    assert sorted(each['id'] for each in mine) == sorted([through['id'], below['id']])


def test_domains_and_the_system_are_offered_to_those_with_a_role_there(keystone):
    user = keystone.user('ann')
    token = keystone.login('ann')
    assert keystone.get('/auth/domains', token).json['domains'] == []
    assert keystone.get('/auth/system', token).json['system'] == []
    keystone.grant('reader', on='domains/default', user=user['id'])
    keystone.grant('reader', on='system', user=user['id'])
    assert [each['id'] for each in keystone.get('/auth/domains', token).json['domains']] == ['default']
    assert keystone.get('/auth/system', token).json['system'] == [{'all': True}]
    assert keystone.get('/auth/catalog', token).status == 403
    scoped = keystone.login('ann', system=True)
    assert keystone.get('/auth/catalog', scoped).json['catalog'][0]['type'] == 'identity'

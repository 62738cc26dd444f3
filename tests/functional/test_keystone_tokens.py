"""Tokens: how they are got, what they show, when they end."""

import contextlib
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystone.db import users
from keystone.token import payload as payloads
from strata import clock, errors
from tests.functional.keystone_cloud import (  # noqa: F401
    PASSWORD,
    Queries,
    build,
    keystone,
    keystone_template,
)

# the fixtures above are used by name
# ruff: noqa: F811

WRONG = {'error': {'code': 401, 'title': 'Unauthorized',
                   'message': 'The request you have made requires authentication.'}}
UNSCOPED = {'methods', 'audit_ids', 'expires_at', 'issued_at', 'user'}
SCOPED = UNSCOPED | {'roles', 'catalog'}
ADMIN = {'project': {'name': 'admin', 'domain': {'id': 'default'}}}


def head(keystone, subject, token=None):
    return keystone.call('HEAD', '/v3/auth/tokens', token=token or keystone.admin,
                         headers={'X-Subject-Token': subject})


def revoke(keystone, subject, token=None):
    return keystone.call('DELETE', '/v3/auth/tokens', token=token or keystone.admin,
                         headers={'X-Subject-Token': subject})


def by_token(keystone, token, scope=None):
    return keystone.tokens({'methods': ['token'], 'token': {'id': token}}, scope)


def test_a_password_opens_an_unscoped_token(keystone):
    answer = keystone.auth('admin', PASSWORD)
    token = answer.json['token']
    assert answer.status == 201
    assert set(token) == UNSCOPED
    assert token['methods'] == ['password']
    assert token['user']['domain'] == {'id': 'default', 'name': 'Default'}
    assert token['user']['password_expires_at'] is None
    assert token['expires_at'] == '2026-11-22T13:00:00.000000Z'
    assert len(token['audit_ids']) == 1
    assert len(answer.headers['x-subject-token']) < 255
    assert answer.headers['vary'] == 'X-Auth-Token'


@pytest.mark.parametrize('scope, more', [
    (ADMIN, {'project', 'is_domain'}),
    ({'project': {'name': 'admin', 'domain': {'name': 'Default'}}}, {'project', 'is_domain'}),
    ({'system': {'all': True}}, {'system'}),
], ids=['project by domain id', 'project by domain name', 'system'])
def test_a_scoped_token_has_roles_and_a_catalog(keystone, scope, more):
    token = keystone.auth('admin', PASSWORD, scope=scope).json['token']
    assert set(token) == SCOPED | more
    assert {role['name'] for role in token['roles']} == {'admin', 'manager', 'member', 'reader'}
    [entry] = token['catalog']
    assert set(entry) == {'endpoints', 'type', 'id', 'name'}
    assert set(entry['endpoints'][0]) == {'id', 'interface', 'region', 'region_id', 'url'}


def test_a_domain_token_names_its_domain(keystone):
    user = keystone.user('boss')
    keystone.grant('manager', on='domains/default', user=user['id'])
    token = keystone.auth('boss', PASSWORD, scope={'domain': {'name': 'Default'}}).json['token']
    assert set(token) == SCOPED | {'domain'}
    assert token['domain'] == {'id': 'default', 'name': 'Default'}


def test_the_catalog_is_left_out_on_request(keystone):
    answer = keystone.call('POST', '/v3/auth/tokens?nocatalog', {'auth': {
        'identity': {'methods': ['password'], 'password': {'user': {
            'name': 'admin', 'domain': {'name': 'Default'}, 'password': PASSWORD}}}, 'scope': ADMIN}})
    assert 'catalog' not in answer.json['token']
    shown = keystone.validate(keystone.admin, query='?nocatalog')
    assert 'catalog' not in shown.json['token']


def test_a_default_project_is_the_scope_of_who_asks_for_none(keystone):
    project, user = keystone.member('demo', 'demo')
    keystone.patch(f'/users/{user["id"]}', {'user': {'default_project_id': project['id']}})
    assert keystone.auth('demo', PASSWORD).json['token']['project']['id'] == project['id']
    assert set(keystone.auth('demo', PASSWORD, scope='unscoped').json['token']) == UNSCOPED
    assert set(keystone.auth('demo', PASSWORD, scope={'unscoped': {}}).json['token']) == UNSCOPED


def test_a_default_project_without_a_role_leaves_the_token_unscoped(keystone):
    project = keystone.make('project', name='demo')
    keystone.user('demo', default_project_id=project['id'])
    assert set(keystone.auth('demo', PASSWORD).json['token']) == UNSCOPED


@pytest.mark.parametrize('identity', [
    {'name': 'admin', 'domain': {'id': 'default'}, 'password': 'wrong'},
    {'name': 'nobody', 'domain': {'id': 'default'}, 'password': PASSWORD},
    {'name': 'admin', 'domain': {'name': 'Nowhere'}, 'password': PASSWORD},
    {'id': 'f' * 32, 'password': PASSWORD},
    {'name': 'admin', 'domain': {'id': 'default'}, 'password': ''},
    {'name': 'admin', 'domain': {'id': 'default'}, 'password': 'x' * 5000},
], ids=['wrong password', 'unknown user', 'unknown domain', 'unknown id', 'no password', 'long password'])
def test_whatever_is_wrong_the_answer_is_the_same(keystone, identity):
    answer = keystone.tokens({'methods': ['password'], 'password': {'user': identity}})
    assert (answer.status, answer.json) == (401, WRONG)
    assert answer.headers['www-authenticate'].startswith('Keystone uri="http')


@pytest.mark.parametrize('body', [
    {}, {'auth': {}}, {'auth': {'identity': {}}}, {'auth': {'identity': {'methods': []}}},
    {'auth': {'identity': {'methods': 'password'}}},
    {'auth': {'identity': {'methods': ['password']}}},
    {'auth': {'identity': {'methods': ['password'], 'password': {}}}},
    {'auth': {'identity': {'methods': ['password'], 'password': {'user': {'name': 'admin'}}}}},
    {'auth': {'identity': {'methods': ['password'], 'password': {'user': {'name': 'admin', 'password': 'x'}}}}},
    {'auth': {'identity': {'methods': ['token'], 'token': {'id': 7}}}},
    {'auth': {'identity': {'methods': ['token'], 'token': {'id': 'x'}}, 'scope': 'everything'}},
    {'auth': {'identity': {'methods': ['token'], 'token': {'id': 'x'}}, 'scope': {'galaxy': {}}}},
    {'auth': {'identity': {'methods': ['token'], 'token': {'id': 'x'}}, 'scope': {'system': {'all': False}}}},
])
def test_a_request_that_makes_no_sense_is_refused(keystone, body):
    answer = keystone.call('POST', '/v3/auth/tokens', body)
    assert answer.status == 400
    assert answer.json['error']['code'] == 400 and answer.json['error']['title'] == 'Bad Request'


def test_two_scopes_at_once_are_refused(keystone):
    scope = {**ADMIN, 'domain': {'id': 'default'}}
    assert keystone.auth('admin', PASSWORD, scope=scope).status == 400


def test_an_unknown_method_is_not_authentication(keystone):
    assert keystone.tokens({'methods': ['guessing'], 'guessing': {}}).status == 401


@pytest.mark.parametrize('scope', [
    {'project': {'id': 'f' * 32}}, {'domain': {'id': 'default'}}, {'domain': {'name': 'Nowhere'}},
    {'project': {'name': 'nothing', 'domain': {'id': 'default'}}}])
def test_a_scope_without_a_role_is_refused(keystone, scope):
    answer = keystone.auth('admin', PASSWORD, scope=scope)
    assert (answer.status, answer.json) == (401, WRONG)


def test_a_token_of_a_token_ends_with_it_and_is_in_its_chain(keystone):
    first = keystone.auth('admin', PASSWORD)
    keystone.clock.advance(1800)
    second = by_token(keystone, first.headers['x-subject-token'], ADMIN)
    third = by_token(keystone, second.headers['x-subject-token'], {'system': {'all': True}})
    bodies = [answer.json['token'] for answer in (first, second, third)]
    assert {body['expires_at'] for body in bodies} == {'2026-11-22T13:00:00.000000Z'}
    assert bodies[1]['issued_at'] == '2026-11-22T12:30:00.000000Z'
    start = bodies[0]['audit_ids'][0]
    assert [len(body['audit_ids']) for body in bodies] == [1, 2, 2]
    assert bodies[1]['audit_ids'][1] == bodies[2]['audit_ids'][1] == start
    assert set(bodies[2]['methods']) == {'token', 'password'}


def test_rescoping_can_be_forbidden_for_scoped_tokens(build):
    keystone = build(token__allow_rescope_scoped_token=False)
    unscoped = keystone.login('admin')
    assert by_token(keystone, unscoped, ADMIN).status == 201
    assert by_token(keystone, keystone.admin, {'system': {'all': True}}).status == 403


def test_a_token_ends_when_its_time_is_over(keystone):
    token = keystone.admin
    keystone.clock.advance(3599)
    assert keystone.validate(token, token).status == 200
    keystone.clock.advance(1)
    assert keystone.validate(token, token).status == 401
    assert by_token(keystone, token).status == 401


def test_services_may_look_at_a_token_for_a_while_after_its_end(keystone):
    old = keystone.login('admin', project='admin')
    keystone.clock.advance(3600 + 100)
    fresh = keystone.login('admin', project='admin')
    assert keystone.validate(old, fresh).status == 404
    assert keystone.validate(old, fresh, '?allow_expired=1').status == 200
    keystone.clock.advance(172800)
    fresh = keystone.login('admin', project='admin')
    assert keystone.validate(old, fresh, '?allow_expired=1').status == 404


def test_a_revoked_token_stays_revoked_after_its_end(keystone):
    old = keystone.login('admin', project='admin')
    assert revoke(keystone, old).status == 204
    keystone.clock.advance(3700)
    fresh = keystone.login('admin', project='admin')
    assert keystone.validate(old, fresh, '?allow_expired=1').status == 404


def test_validation_shows_what_was_issued(keystone):
    issued = keystone.auth('admin', PASSWORD, scope=ADMIN)
    answer = keystone.validate(issued.headers['x-subject-token'])
    assert answer.status == 200
    assert answer.json == issued.json
    assert answer.headers['x-subject-token'] == issued.headers['x-subject-token']
    checked = head(keystone, issued.headers['x-subject-token'])
    assert (checked.status, checked.body) == (200, b'')


@pytest.mark.parametrize('subject', ['', 'nonsense', 'gAAAAA' + 'x' * 200, 'x' * 100_000, 'gAAAAAé'])
def test_what_is_no_token_is_not_found(keystone, subject):
    assert keystone.validate(subject).status == 404
    assert head(keystone, subject).status == 404
    assert revoke(keystone, subject).status == 404


def test_a_caller_without_a_good_token_is_nobody(keystone):
    headers = {'X-Subject-Token': keystone.admin}
    for token in (None, 'nonsense', keystone.admin[:-1]):
        assert keystone.call('GET', '/v3/auth/tokens', token=token, headers=headers).status == 401


def test_everybody_may_look_at_their_own_token_and_services_at_all(keystone):
    project, user = keystone.member('demo', 'demo')
    keystone.member('other', 'other')
    mine, theirs = keystone.login('demo', project='demo'), keystone.login('other', project='other')
    assert keystone.validate(mine, mine).status == 200
    assert keystone.validate(theirs, mine).status == 403
    assert keystone.validate('nonsense', mine).status == 404
    assert revoke(keystone, theirs, mine).status == 403
    another = keystone.login('demo', project='demo')
    assert revoke(keystone, another, mine).status == 204
    assert keystone.validate(another, mine).status == 404      # no longer anybody's
    keystone.grant('service', on=f'projects/{project["id"]}', user=user['id'])
    assert keystone.validate(theirs, mine).status == 200
    assert revoke(keystone, theirs, mine).status == 403


def test_a_revoked_token_is_good_for_nothing_and_others_live_on(keystone):
    first, second = keystone.login('admin', project='admin'), keystone.login('admin', project='admin')
    assert revoke(keystone, first, first).status == 204
    assert keystone.validate(first, second).status == 404
    assert keystone.validate(second, first).status == 401
    assert keystone.validate(second, second).status == 200


def test_a_change_in_one_process_is_seen_by_another_at_once(build):
    here = build()
    there = type(here)(here.path, here.clock)
    project, user = here.member('demo', 'demo')
    token = there.login('demo', project='demo')
    assert there.validate(token, token).status == 200
    here.clock.advance(1)
    revoke(here, token)
    assert there.validate(token, token).status == 401
    token = there.login('demo', project='demo')
    here.delete(f'/projects/{project["id"]}/users/{user["id"]}/roles/{here.role("member")}')
    assert there.validate(token, token).status == 401
    there.wiring.close()


def test_a_lost_role_disappears_from_tokens(keystone):
    project, user = keystone.member('demo', 'demo', 'manager')
    token = keystone.login('demo', project='demo')
    keystone.grant('reader', on=f'projects/{project["id"]}', user=user['id'])
    keystone.delete(f'/projects/{project["id"]}/users/{user["id"]}/roles/{keystone.role("manager")}')
    assert [role['name'] for role in keystone.validate(token).json['token']['roles']] == ['reader']
    keystone.delete(f'/projects/{project["id"]}/users/{user["id"]}/roles/{keystone.role("reader")}')
    assert keystone.validate(token).status == 404


def test_leaving_a_group_ends_what_it_gave(keystone):
    project, user, group = keystone.make('project', name='p'), keystone.user('u'), keystone.make('group', name='g')
    keystone.grant('member', on=f'projects/{project["id"]}', group=group['id'])
    assert keystone.auth('u', PASSWORD, scope={'project': {'id': project['id']}}).status == 401
    keystone.put(f'/groups/{group["id"]}/users/{user["id"]}')
    token = keystone.login('u', project='p')
    keystone.delete(f'/groups/{group["id"]}/users/{user["id"]}')
    assert keystone.validate(token).status == 404


@pytest.mark.parametrize('path, kind', [('/users/{user}', 'user'), ('/projects/{project}', 'project'),
                                        ('/domains/{domain}', 'domain')])
def test_what_is_disabled_ends_tokens_for_good(keystone, path, kind):
    domain = keystone.make('domain', name='dom')
    project = keystone.make('project', name='p', domain_id=domain['id'])
    user = keystone.user('u', domain_id=domain['id'])
    keystone.grant('member', on=f'projects/{project["id"]}', user=user['id'])
    scope = {'project': {'id': project['id']}}
    token = keystone.auth('u', PASSWORD, domain=domain['id'], scope=scope).headers['x-subject-token']
    where = path.format(user=user['id'], project=project['id'], domain=domain['id'])
    keystone.clock.advance(1)
    assert keystone.patch(where, {kind: {'enabled': False}}).status == 200
    assert keystone.validate(token).status == 404
    assert keystone.auth('u', PASSWORD, domain=domain['id'], scope=scope).status == 401
    keystone.clock.advance(1)
    assert keystone.patch(where, {kind: {'enabled': True}}).status == 200
    assert keystone.validate(token).status == 404
    assert keystone.auth('u', PASSWORD, domain=domain['id'], scope=scope).status == 201


def test_what_is_deleted_ends_tokens(keystone):
    project, user = keystone.member('demo', 'demo')
    token = keystone.login('demo', project='demo')
    other = keystone.login('demo')
    keystone.delete(f'/projects/{project["id"]}')
    assert keystone.validate(token).status == 404
    assert keystone.validate(other).status == 200
    keystone.delete(f'/users/{user["id"]}')
    assert keystone.validate(other).status == 404


def test_validating_costs_no_query_when_nothing_was_written_and_one_when_nothing_of_it_changed(keystone):
    token = keystone.admin
    keystone.validate(token)
    with Queries(keystone) as queries:
        assert keystone.validate(token).status == 200
    assert queries.statements == []      # SQLite's own counter told; a server is asked for ours
    keystone.make('service', type='new')
    keystone.validate(token)
    with keystone.wiring.db.transaction() as tx:
        users.record_failure(tx, users.named(tx, 'admin', 'default').id, keystone.clock.now(), keystone.clock.now())
    with Queries(keystone) as queries:
        assert keystone.validate(token).status == 200
    assert len(queries.statements) == 1


def test_validating_after_a_change_costs_a_handful_of_queries(keystone):
    project, _ = keystone.member('demo', 'demo')
    token = keystone.login('demo', project='demo')
    keystone.make('project', name='another')
    with Queries(keystone) as queries:
        assert keystone.validate(token, token).status == 200
    assert len(queries.statements) <= 6, queries.statements


def test_issuing_again_costs_no_query(keystone):
    keystone.auth('admin', PASSWORD, scope=ADMIN)
    with Queries(keystone) as queries:
        assert keystone.auth('admin', PASSWORD, scope=ADMIN).status == 201
    assert queries.statements == []


def test_rotated_keys_still_open_older_tokens_until_they_are_dropped(keystone):
    old = keystone.admin
    keystone.wiring.keys.rotate()
    assert keystone.validate(keystone.login('admin', project='admin')).status == 200
    anew = type(keystone)(keystone.path, keystone.clock)
    assert anew.validate(old, old).status == 200
    for _ in range(3):
        anew.wiring.keys.rotate()
    fresh = type(keystone)(keystone.path, keystone.clock)
    assert fresh.validate(old, old).status == 401
    assert sorted(path.name for path in (keystone.path / 'fernet-keys').iterdir()) == ['0', '4', '5']
    for each in (anew, fresh):
        each.wiring.close()


def test_a_node_with_the_staged_key_reads_tokens_of_one_that_rotated(keystone):
    keystone.validate(keystone.admin)      # has read its keys
    ahead = type(keystone)(keystone.path, keystone.clock)
    ahead.wiring.keys.rotate()
    token = ahead.login('admin', project='admin')
    assert keystone.validate(token, token).status == 200
    ahead.wiring.close()


def test_without_keys_there_are_no_tokens_but_a_reason(build, tmp_path):
    keystone = build(fernet_tokens__key_repository=str(tmp_path / 'nowhere'))
    answer = keystone.auth('admin', PASSWORD)
    assert answer.status == 503 and 'key repository' in answer.error


ids = st.one_of(st.just(''), st.uuids().map(lambda each: each.hex), st.uuids().map(str),
                st.text(min_size=1, max_size=60))
moments = st.datetimes(min_value=datetime.datetime(1990, 1, 1), max_value=datetime.datetime(2100, 1, 1),
                       timezones=st.just(clock.UTC))
audits = st.binary(min_size=16, max_size=16).map(payloads._text)


@given(payload=st.builds(
    payloads.Payload, user_id=ids, issued_at=moments, expires_at=moments, scope_id=ids,
    application_credential_id=ids, kind=st.sampled_from(payloads._KINDS),
    methods=st.lists(st.sampled_from(payloads._METHODS), unique=True).map(
        lambda names: tuple(sorted(names, key=payloads._METHODS.index))),
    audit_ids=st.one_of(st.tuples(audits), st.tuples(audits, audits))))
def test_every_payload_survives_being_packed(payload):
    assert payloads.unpack(payloads.pack(payload)) == payload


@given(data=st.binary(max_size=200))
def test_bytes_that_are_no_payload_are_refused(data):
    with contextlib.suppress(errors.Invalid):
        payloads.unpack(data)

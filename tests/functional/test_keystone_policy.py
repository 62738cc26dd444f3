"""Who may what: the published defaults of secure RBAC, and what an operator overrides."""

import shutil

import pytest

from strata.testing.clock import FrozenClock
from tests.functional.keystone_cloud import Keystone, build, keystone, keystone_template  # noqa: F401

# the fixtures above are used by name
# ruff: noqa: F811


def populate(keystone):
    """Two domains with a project, a user and a group each, and somebody with each kind of role."""
    things = {}
    for name in ('one', 'two'):
        domain = keystone.make('domain', name=name)
        project = keystone.make('project', name='p', domain_id=domain['id'])
        user = keystone.user('u', domain_id=domain['id'])
        group = keystone.make('group', name='g', domain_id=domain['id'])
        things[name] = {'domain': domain['id'], 'project': project['id'], 'user': user['id'], 'group': group['id']}
    one = things['one']
    keystone.grant('member', on=f'projects/{one["project"]}', user=one['user'])
    scope = {'project': {'id': one['project']}}
    tokens = {'member': keystone.auth('u', 'a long and secret word', domain=one['domain'], scope=scope)
              .headers['x-subject-token'], 'admin': keystone.admin, 'nobody': None}
    for name, role, on, more in (('auditor', 'reader', 'system', {'system': True}),
                                 ('domain reader', 'reader', f'domains/{one["domain"]}', {'domain_id': one['domain']}),
                                 ('domain manager', 'manager', f'domains/{one["domain"]}',
                                  {'domain_id': one['domain']})):
        user = keystone.user(name)
        keystone.grant(role, on=on, user=user['id'])
        tokens[name] = keystone.login(name, **more)
    return things, tokens


@pytest.fixture
def world(keystone):
    return populate(keystone)


@pytest.fixture(scope='module')
def gallery(keystone_template, tmp_path_factory):
    """A populated keystone that tests only look at."""
    path = tmp_path_factory.mktemp('gallery') / 'keystone'
    shutil.copytree(keystone_template, path)
    keystone = Keystone(path, FrozenClock())
    yield keystone, *populate(keystone)
    keystone.wiring.close()


WHO = ['admin', 'auditor', 'domain manager', 'domain reader', 'member', 'nobody']


def statuses(keystone, tokens, method, path, body=None):
    return [keystone.call(method, '/v3' + path, body, token=tokens[who]).status for who in WHO]


@pytest.mark.parametrize('path, expected', [
    ('/projects', [200, 200, 200, 200, 403, 401]),
    ('/users', [200, 200, 200, 200, 403, 401]),
    ('/groups', [200, 200, 200, 200, 403, 401]),
    ('/domains', [200, 200, 403, 403, 403, 401]),
    ('/roles', [200, 200, 200, 403, 403, 401]),
    ('/services', [200, 200, 403, 403, 403, 401]),
    ('/endpoints', [200, 200, 403, 403, 403, 401]),
    ('/regions', [200, 200, 200, 200, 200, 401]),
    ('/role_assignments', [200, 200, 200, 200, 403, 401]),
    ('/role_inferences', [200, 200, 403, 403, 403, 401]),
    ('/credentials', [200, 200, 200, 200, 200, 401]),
    ('/auth/projects', [200, 200, 200, 200, 200, 401]),
    ('/projects/{one[project]}', [200, 200, 200, 200, 200, 401]),
    ('/projects/{two[project]}', [200, 200, 403, 403, 403, 401]),
    ('/projects/nothing', [404, 404, 403, 403, 403, 401]),
    ('/users/{one[user]}', [200, 200, 200, 200, 200, 401]),
    ('/users/{two[user]}', [200, 200, 403, 403, 403, 401]),
    ('/users/nobody', [404, 404, 403, 403, 403, 401]),
    ('/groups/{one[group]}', [200, 200, 200, 200, 403, 401]),
    ('/groups/{two[group]}', [200, 200, 403, 403, 403, 401]),
    ('/groups/{two[group]}/users', [200, 200, 403, 403, 403, 401]),
    ('/domains/{one[domain]}', [200, 200, 200, 200, 200, 401]),
    ('/domains/{two[domain]}', [200, 200, 403, 403, 403, 401]),
    ('/users/{one[user]}/projects', [200, 200, 200, 200, 200, 401]),
    ('/users/{two[user]}/projects', [200, 200, 403, 403, 403, 401]),
    ('/users/{one[user]}/application_credentials', [200, 200, 403, 403, 200, 401]),
    ('/users/{one[user]}/credentials/OS-EC2', [200, 200, 403, 403, 200, 401]),
    ('/projects/{one[project]}/users/{one[user]}/roles', [200, 200, 200, 200, 403, 401]),
    ('/projects/{two[project]}/users/{two[user]}/roles', [200, 200, 403, 403, 403, 401]),
    ('/projects/{one[project]}/users/{two[user]}/roles', [200, 200, 403, 403, 403, 401]),
    ('/system/users/{one[user]}/roles', [200, 200, 403, 403, 403, 401]),
])
def test_who_may_look(gallery, path, expected):
    keystone, things, tokens = gallery
    assert statuses(keystone, tokens, 'GET', path.format(**things)) == expected


@pytest.mark.parametrize('method, path, body', [
    ('POST', '/domains', {'domain': {'name': 'x'}}), ('POST', '/services', {'service': {'type': 'x'}}),
    ('POST', '/regions', {'region': {}}), ('POST', '/roles', {'role': {'name': 'x'}}),
    ('PATCH', '/domains/{one[domain]}', {'domain': {'name': 'x'}}),
    ('PUT', '/system/users/{one[user]}/roles/{reader}', None)])
def test_only_the_administrator_changes_what_is_everybodys(keystone, world, method, path, body):
    things, tokens = world
    path = path.format(**things, reader=keystone.role('reader'))
    answers = statuses(keystone, tokens, method, path, body)
    assert answers[1:] == [403, 403, 403, 403, 401] and answers[0] in (200, 201, 204)


@pytest.mark.parametrize('kind, values', [('user', {'name': 'x'}), ('group', {'name': 'x'}),
                                          ('project', {'name': 'x'})])
def test_a_domains_manager_runs_what_is_in_it(keystone, world, kind, values):
    things, tokens = world
    manager, one, two = tokens['domain manager'], things['one'], things['two']
    made = keystone.post(f'/{kind}s', {kind: values}, manager)
    assert made.status == 201 and made.json[kind]['domain_id'] == one['domain']
    at = f'/{kind}s/{made.json[kind]["id"]}'
    assert keystone.patch(at, {kind: {'name': 'y'}}, manager).status == 200
    assert keystone.delete(at, manager).status == 204
    foreign = {kind: {'name': 'z', 'domain_id': two['domain']}}
    assert keystone.post(f'/{kind}s', foreign, manager).status == 403
    assert keystone.patch(f'/{kind}s/{two[kind]}', {kind: {'name': 'y'}}, manager).status == 403
    assert keystone.delete(f'/{kind}s/{two[kind]}', manager).status == 403
    for who in ('domain reader', 'auditor', 'member'):
        assert keystone.post(f'/{kind}s', {kind: values}, tokens[who]).status == 403


def test_a_domains_manager_hands_on_roles_up_to_their_own(keystone, world):
    things, tokens = world
    manager, one, two = tokens['domain manager'], things['one'], things['two']

    def give(role, where, user):
        return keystone.put(f'/{where}/users/{user}/roles/{keystone.role(role)}', token=manager).status

    here = f'projects/{one["project"]}'
    assert [give(role, here, one['user']) for role in ('manager', 'member', 'reader')] == [204, 204, 204]
    assert give('admin', here, one['user']) == 403
    assert give('service', here, one['user']) == 403
    assert give('reader', f'domains/{one["domain"]}', one['user']) == 204
    assert give('reader', here, two['user']) == 403
    assert give('reader', f'projects/{two["project"]}', one['user']) == 403
    assert give('reader', 'system', one['user']) == 403


def test_lists_of_a_domains_reader_hold_that_domain_only(keystone, world):
    things, tokens = world
    reader, one, two = tokens['domain reader'], things['one'], things['two']
    for kind in ('user', 'group', 'project'):
        listed = keystone.get(f'/{kind}s', reader).json[f'{kind}s']
        assert {each['domain_id'] for each in listed} == {one['domain']}
        listed = keystone.get(f'/{kind}s?domain_id={two["domain"]}', reader)
        assert listed.status == 403 or listed.json[f'{kind}s'] == []
    keystone.grant('member', on=f'projects/{two["project"]}', user=two['user'])
    scopes = [entry['scope'] for entry in keystone.get('/role_assignments', reader).json['role_assignments']]
    assert {'project': {'id': one['project']}} in scopes and {'project': {'id': two['project']}} not in scopes


def test_a_user_sees_and_makes_their_own_credentials_only(keystone, world):
    things, tokens = world
    member, one, two = tokens['member'], things['one'], things['two']
    mine = keystone.post('/credentials', {'credential': {'type': 't', 'blob': 'mine'}}, member)
    assert mine.status == 201 and mine.json['credential']['user_id'] == one['user']
    theirs = keystone.make('credential', type='t', blob='theirs', user_id=two['user'])
    assert [each['blob'] for each in keystone.get('/credentials', member).json['credentials']] == ['mine']
    assert len(keystone.get('/credentials').json['credentials']) == 2
    foreign = {'credential': {'type': 't', 'blob': 'x', 'user_id': two['user']}}
    assert keystone.post('/credentials', foreign, member).status == 403
    for method in ('GET', 'DELETE'):
        assert keystone.call(method, f'/v3/credentials/{theirs["id"]}', token=member).status == 403
    assert keystone.patch(f'/credentials/{theirs["id"]}', {'credential': {'blob': 'x'}}, member).status == 403


def test_an_operator_overrides_a_rule(build, tmp_path):
    (tmp_path / 'policy.yaml').write_text('"identity:list_users": "role:reader"\n')
    keystone = build(oslo_policy__policy_file=str(tmp_path / 'policy.yaml'))
    keystone.member('demo', 'demo')
    token = keystone.login('demo', project='demo')
    assert keystone.get('/users', token).status == 200
    assert keystone.get('/groups', token).status == 403

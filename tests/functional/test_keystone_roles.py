"""Roles, what they imply, who has them, and the list of assignments."""

import pytest

from tests.functional.keystone_cloud import PASSWORD, URL, Queries, build, keystone, keystone_template  # noqa: F401

# the fixtures above are used by name
# ruff: noqa: F811

ROLE = {'id', 'name', 'domain_id', 'description', 'options', 'links'}


def names(roles):
    return sorted(role['name'] for role in roles)


def in_effect(keystone, name, project):
    answer = keystone.auth(name, PASSWORD, scope={'project': {'id': project['id']}})
    return names(answer.json['token']['roles']) if answer.status == 201 else []


def test_a_cloud_begins_with_its_roles(keystone):
    assert names(keystone.get('/roles').json['roles']) == ['admin', 'manager', 'member', 'reader', 'service']
    inferences = keystone.get('/role_inferences').json['role_inferences']
    assert {each['prior_role']['name']: names(each['implies']) for each in inferences} == {
        'admin': ['manager'], 'manager': ['member'], 'member': ['reader']}


def test_the_roles_of_a_cloud_are_immutable(keystone):
    at = f'/roles/{keystone.role("member")}'
    assert keystone.patch(at, {'role': {'name': 'guest'}}).status == 403
    assert keystone.delete(at).status == 403


def test_roles_are_made_changed_and_deleted(keystone):
    role = keystone.make('role', name='auditor', description='d')
    assert set(role) == ROLE
    at = f'/roles/{role["id"]}'
    assert keystone.get(at).json['role'] == role
    assert keystone.patch(at, {'role': {'name': 'judge'}}).json['role']['name'] == 'judge'
    assert keystone.post('/roles', {'role': {'name': 'judge'}}).status == 409
    assert keystone.post('/roles', {'role': {}}).status == 400
    project, _ = keystone.member('demo', 'demo', 'judge')
    assert keystone.delete(at).status == 204
    assert keystone.get(at).status == 404
    assert keystone.get(f'/role_assignments?scope.project.id={project["id"]}').json['role_assignments'] == []


def test_a_domain_role_counts_only_for_what_it_implies(keystone):
    domain = keystone.make('domain', name='dom')
    local = keystone.make('role', name='local', domain_id=domain['id'])
    assert 'local' not in names(keystone.get('/roles').json['roles'])
    assert names(keystone.get(f'/roles?domain_id={domain["id"]}').json['roles']) == ['local']
    project = keystone.make('project', name='p', domain_id=domain['id'])
    user = keystone.user('u', domain_id=domain['id'])
    at = f'/projects/{project["id"]}/users/{user["id"]}/roles/{local["id"]}'
    assert keystone.put(at).status == 204
    scope = {'project': {'id': project['id']}}
    assert keystone.auth('u', PASSWORD, domain=domain['id'], scope=scope).status == 401
    keystone.put(f'/roles/{local["id"]}/implies/{keystone.role("member")}')
    token = keystone.auth('u', PASSWORD, domain=domain['id'], scope=scope).json['token']
    assert names(token['roles']) == ['member', 'reader']
    other, stranger = keystone.member('demo', 'demo')
    assert keystone.put(f'/projects/{other["id"]}/users/{stranger["id"]}/roles/{local["id"]}').status == 403


def test_implications_are_made_followed_and_removed(keystone):
    role, member = keystone.make('role', name='tester')['id'], keystone.role('member')
    at = f'/roles/{role}/implies'
    made = keystone.put(f'{at}/{member}')
    assert made.status == 201
    assert made.json['role_inference']['prior_role']['id'] == role
    assert made.json['links']['self'] == f'{URL}{at}/{member}'
    assert keystone.get(f'{at}/{member}').json == made.json
    assert keystone.call('HEAD', f'/v3{at}/{member}', token=keystone.admin).status == 204
    assert names(keystone.get(at).json['role_inference']['implies']) == ['member']
    project, _ = keystone.member('demo', 'demo', 'tester')
    assert in_effect(keystone, 'demo', project) == ['member', 'reader', 'tester']
    assert keystone.delete(f'{at}/{member}').status == 204
    assert keystone.delete(f'{at}/{member}').status == 404
    assert keystone.get(f'{at}/{member}').status == 404
    assert in_effect(keystone, 'demo', project) == ['tester']


def test_a_domain_role_implies_those_of_other_domains_but_no_global_role_implies_one(keystone):
    near, far = (keystone.make('role', name='r', domain_id=keystone.make('domain', name=name)['id'])['id']
                 for name in ('near', 'far'))
    assert keystone.put(f'/roles/{near}/implies/{far}').status == 201
    assert keystone.put(f'/roles/{near}/implies/{keystone.role("reader")}').status == 201
    assert keystone.put(f'/roles/{keystone.role("member")}/implies/{near}').status == 403


def test_nobody_becomes_admin_by_implication_and_circles_are_refused(keystone):
    role = keystone.make('role', name='tester')['id']
    assert keystone.put(f'/roles/{role}/implies/{keystone.role("admin")}').status == 403
    assert keystone.put(f'/roles/{keystone.role("reader")}/implies/{keystone.role("manager")}').status == 403
    assert keystone.put(f'/roles/{role}/implies/{role}').status == 403
    assert keystone.put(f'/roles/{role}/implies/nothing').status == 404


@pytest.mark.parametrize('target, inherited', [('project', False), ('domain', False), ('system', False),
                                               ('project', True), ('domain', True)])
@pytest.mark.parametrize('actor', ['user', 'group'])
def test_roles_are_given_checked_listed_and_taken(keystone, target, actor, inherited):
    place = {'project': lambda: f'/projects/{keystone.make("project", name="p")["id"]}',
             'domain': lambda: '/domains/default', 'system': lambda: '/system'}[target]()
    who = keystone.user('u') if actor == 'user' else keystone.make('group', name='g')
    many = f'{place}/{actor}s/{who["id"]}/roles'
    reader = keystone.role('reader')
    single, tail = f'{many}/{reader}', ''
    if inherited:
        many, single, tail = f'/OS-INHERIT{many}', f'/OS-INHERIT{single}', '/inherited_to_projects'
    assert keystone.get(single + tail).status == 404
    assert keystone.delete(single + tail).status == 404
    assert keystone.put(single + tail).status == 204
    assert keystone.put(single + tail).status == 204
    assert keystone.get(single + tail).status == 204
    assert keystone.call('HEAD', f'/v3{single}{tail}', token=keystone.admin).status == 204
    assert names(keystone.get(many + tail).json['roles']) == ['reader']
    [entry] = keystone.get(f'/role_assignments?{actor}.id={who["id"]}').json['role_assignments']
    assert entry['links']['assignment'] == f'{URL}{single}{tail}'
    assert ('OS-INHERIT:inherited_to' in entry['scope']) == inherited
    assert keystone.delete(single + tail).status == 204
    assert keystone.get(many + tail).json['roles'] == []


def test_giving_what_is_not_there_is_not_found(keystone):
    project, user, role = keystone.make('project', name='p')['id'], keystone.user('u')['id'], keystone.role('reader')
    assert keystone.put(f'/projects/{project}/users/{user}/roles/nothing').status == 404
    assert keystone.put(f'/projects/{project}/users/nobody/roles/{role}').status == 404
    assert keystone.put(f'/projects/nowhere/users/{user}/roles/{role}').status == 404
    assert keystone.put(f'/domains/nowhere/users/{user}/roles/{role}').status == 404
    assert keystone.put(f'/domains/{project}/users/{user}/roles/{role}').status == 404
    assert keystone.put(f'/projects/{project}/groups/{user}/roles/{role}').status == 404


def test_inherited_roles_count_on_all_projects_below(keystone):
    user, reader = keystone.user('u')['id'], keystone.role('reader')
    top = keystone.make('project', name='top')
    middle = keystone.make('project', name='middle', parent_id=top['id'])
    leaf = keystone.make('project', name='leaf', parent_id=middle['id'])
    beside = keystone.make('project', name='beside')
    keystone.put(f'/OS-INHERIT/projects/{top["id"]}/users/{user}/roles/{reader}/inherited_to_projects')
    got = [in_effect(keystone, 'u', project) for project in (top, middle, leaf, beside)]
    assert got == [[], ['reader'], ['reader'], []]
    keystone.put(f'/OS-INHERIT/domains/default/users/{user}/roles/{reader}/inherited_to_projects')
    assert in_effect(keystone, 'u', top) == in_effect(keystone, 'u', beside) == ['reader']
    assert keystone.auth('u', PASSWORD, scope={'domain': {'id': 'default'}}).status == 401


def simple(entries):
    return sorted((entry['role'].get('name', entry['role']['id']), next(iter(entry['scope'])),
                   'membership' in entry['links'], 'prior_role' in entry['links']) for entry in entries)


def test_assignments_in_effect_go_through_groups_trees_and_implications(keystone):
    project, user = keystone.member('demo', 'demo')
    group = keystone.make('group', name='g')
    keystone.put(f'/groups/{group["id"]}/users/{user["id"]}')
    keystone.grant('service', on='domains/default', group=group['id'])
    role = keystone.role('service')
    keystone.put(f'/OS-INHERIT/domains/default/groups/{group["id"]}/roles/{role}/inherited_to_projects')
    plain = keystone.get(f'/role_assignments?user.id={user["id"]}&include_names').json['role_assignments']
    assert simple(plain) == [('member', 'project', False, False)]
    found = keystone.get(f'/role_assignments?user.id={user["id"]}&effective&include_names').json['role_assignments']
    assert simple(found) == [
        ('member', 'project', False, False), ('reader', 'project', False, True),
        ('service', 'domain', True, False), ('service', 'project', True, False),
        ('service', 'project', True, False)]      # demo and admin
    found = keystone.get(f'/role_assignments?effective&scope.project.id={project["id"]}&include_names=True')
    assert simple(found.json['role_assignments']) == [
        ('member', 'project', False, False), ('reader', 'project', False, True), ('service', 'project', True, False)]
    assert all(entry['user']['id'] == user['id'] for entry in found.json['role_assignments'])
    found = keystone.get(f'/role_assignments?effective&role.id={keystone.role("reader")}&user.id={user["id"]}')
    assert len(found.json['role_assignments']) == 1


def test_names_are_shown_with_their_domains(keystone):
    project, user = keystone.member('demo', 'ann')
    [entry] = keystone.get(f'/role_assignments?user.id={user["id"]}&include_names').json['role_assignments']
    home = {'id': 'default', 'name': 'Default'}
    assert entry['user'] == {'id': user['id'], 'name': 'ann', 'domain': home}
    assert entry['scope']['project'] == {'id': project['id'], 'name': 'demo', 'domain': home}
    assert entry['role'] == {'id': keystone.role('member'), 'name': 'member'}


@pytest.mark.parametrize('query, count', [
    ('', 3), ('scope.system=all', 1), ('scope.domain.id=default', 1), ('user.id={user}', 1), ('group.id={group}', 0),
    ('role.id={admin}', 2), ('scope.project.id={project}', 0), ('scope.project.id={project}&include_subtree', 1),
    ('scope.OS-INHERIT:inherited_to=projects', 0)])
def test_the_list_is_filtered(keystone, query, count):
    top = keystone.make('project', name='top')
    leaf = keystone.make('project', name='leaf', parent_id=top['id'])
    user, group = keystone.user('u'), keystone.make('group', name='g')
    keystone.grant('reader', on=f'projects/{leaf["id"]}', user=user['id'])
    query = query.format(user=user['id'], group=group['id'], project=top['id'], admin=keystone.role('admin'))
    if 'domain' in query or not query:
        boss = keystone.user('boss')
        if 'domain' in query:
            keystone.grant('manager', on='domains/default', user=boss['id'])
    assert len(keystone.get(f'/role_assignments?{query}').json['role_assignments']) == count


@pytest.mark.parametrize('query', ['effective&group.id=x', 'user.id=x&group.id=y', 'include_subtree',
                                   'scope.project.id=x&scope.domain.id=y'])
def test_filters_that_make_no_sense_are_refused(keystone, query):
    assert keystone.get(f'/role_assignments?{query}').status == 400


def test_the_list_costs_the_same_number_of_queries_however_long_it_is(keystone):
    counts = []
    for number in range(2):
        for each in range(4):
            keystone.member(f'p{number}-{each}', f'u{number}-{each}')
        keystone.get('/roles')
        with Queries(keystone) as queries:
            keystone.get('/role_assignments?effective&include_names')
        counts.append(len(queries.statements))
    assert counts[0] == counts[1]

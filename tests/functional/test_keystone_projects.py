"""Projects and domains: the tree, its rules, tags."""

import pytest

from tests.functional.keystone_cloud import PASSWORD, URL, Queries, build, keystone, keystone_template  # noqa: F401

# the fixtures above are used by name
# ruff: noqa: F811


PROJECT = {'id', 'name', 'domain_id', 'parent_id', 'is_domain', 'enabled', 'description', 'options', 'tags', 'links'}
DOMAIN = {'id', 'name', 'enabled', 'description', 'options', 'tags', 'links'}


def test_a_new_project_is_right_below_its_domain(keystone):
    project = keystone.make('project', name='demo', description='about')
    assert set(project) == PROJECT
    assert project['domain_id'] == project['parent_id'] == 'default'
    assert project['enabled'] is True and project['is_domain'] is False
    assert project['links'] == {'self': f'{URL}/projects/{project["id"]}'}
    assert keystone.get(f'/projects/{project["id"]}').json == {'project': project}


def test_what_else_a_client_says_is_kept(keystone):
    project = keystone.make('project', name='demo', colour='red')
    assert project['colour'] == 'red'
    changed = keystone.patch(f'/projects/{project["id"]}', {'project': {'colour': None, 'shape': 'round'}})
    assert 'colour' not in changed.json['project'] and changed.json['project']['shape'] == 'round'


def test_names_are_unique_in_a_domain_only(keystone):
    keystone.make('project', name='demo')
    answer = keystone.post('/projects', {'project': {'name': 'demo'}})
    assert answer.status == 409 and 'demo' in answer.error
    domain = keystone.make('domain', name='elsewhere')
    keystone.make('project', name='demo', domain_id=domain['id'])
    assert keystone.post('/domains', {'domain': {'name': 'elsewhere'}}).status == 409
    keystone.make('project', name='elsewhere')


def test_renaming_to_a_name_that_is_taken_conflicts(keystone):
    keystone.make('project', name='a')
    other = keystone.make('project', name='b')
    assert keystone.patch(f'/projects/{other["id"]}', {'project': {'name': 'a'}}).status == 409


@pytest.mark.parametrize('values', [
    {}, {'name': ''}, {'name': '  '}, {'name': 'x' * 65}, {'name': 7}, {'name': 'p', 'enabled': 'yes'},
    {'name': 'p', 'tags': ['a,b']}, {'name': 'p', 'tags': ['a/b']}, {'name': 'p', 'tags': ['a', 'a']},
    {'name': 'p', 'options': {'strange': True}}, {'name': 'p', 'is_domain': True, 'domain_id': 'default'}])
def test_bad_projects_are_refused(keystone, values):
    before = keystone.get('/projects').json['projects']
    assert keystone.post('/projects', {'project': values}).status == 400
    assert keystone.get('/projects').json['projects'] == before


def test_a_project_below_what_is_not_there_is_not_found(keystone):
    assert keystone.post('/projects', {'project': {'name': 'p', 'parent_id': 'f' * 32}}).status == 404
    assert keystone.post('/projects', {'project': {'name': 'p', 'domain_id': 'f' * 32}}).status == 404


def test_a_child_is_in_its_parents_domain(keystone):
    domain = keystone.make('domain', name='dom')
    parent = keystone.make('project', name='p', domain_id=domain['id'])
    child = keystone.make('project', name='c', parent_id=parent['id'])
    assert child['domain_id'] == domain['id']
    wrong = {'name': 'x', 'parent_id': parent['id'], 'domain_id': 'default'}
    assert keystone.post('/projects', {'project': wrong}).status == 400


def tree(keystone, depth):
    made = [keystone.make('project', name='level 1')]
    for level in range(2, depth + 1):
        made.append(keystone.make('project', name=f'level {level}', parent_id=made[-1]['id']))
    return made


def test_the_tree_has_a_limited_depth(keystone):
    made = tree(keystone, 5)
    too_deep = {'name': 'level 6', 'parent_id': made[-1]['id']}
    assert keystone.post('/projects', {'project': too_deep}).status == 403


def test_a_project_shows_what_is_above_and_below(keystone):
    top, middle, leaf = tree(keystone, 3)
    at = f'/projects/{middle["id"]}'
    body = keystone.get(at + '?parents_as_list&subtree_as_list').json['project']
    assert [each['project']['id'] for each in body['parents']] == [top['id']]
    assert [each['project']['id'] for each in body['subtree']] == [leaf['id']]
    body = keystone.get(at + '?parents_as_ids&subtree_as_ids').json['project']
    assert body['parents'] == {top['id']: {'default': None}}
    assert body['subtree'] == {leaf['id']: None}


def test_a_member_is_shown_the_bodies_of_its_own_projects_only(keystone):
    top, middle, leaf = tree(keystone, 3)
    user = keystone.user('ann')
    for project in (middle, leaf):
        keystone.grant('member', on=f'projects/{project["id"]}', user=user['id'])
    token = keystone.login('ann', project='level 2')
    at = f'/projects/{middle["id"]}'
    body = keystone.get(at + '?parents_as_list&subtree_as_list', token).json['project']
    assert body['parents'] == [] and [each['project']['id'] for each in body['subtree']] == [leaf['id']]
    assert keystone.get(at + '?parents_as_ids', token).json['project']['parents'] == {top['id']: {'default': None}}


def test_a_project_with_others_below_it_is_not_deleted(keystone):
    top, leaf = tree(keystone, 2)
    assert keystone.delete(f'/projects/{top["id"]}').status == 403
    assert keystone.delete(f'/projects/{leaf["id"]}').status == 204
    assert keystone.delete(f'/projects/{top["id"]}').status == 204
    assert keystone.get(f'/projects/{top["id"]}').status == 404


def test_enabled_projects_are_not_below_disabled_ones(keystone):
    top, leaf = tree(keystone, 2)

    def switch(project, on):
        return keystone.patch(f'/projects/{project["id"]}', {'project': {'enabled': on}}).status

    assert switch(top, False) == 403
    assert switch(leaf, False) == 200
    assert switch(top, False) == 200
    assert switch(leaf, True) == 403
    assert switch(top, True) == 200
    assert switch(leaf, True) == 200


def test_a_project_keeps_its_place(keystone):
    project, other = keystone.make('project', name='p'), keystone.make('project', name='q')
    domain = keystone.make('domain', name='dom')
    at = f'/projects/{project["id"]}'
    assert keystone.patch(at, {'project': {'parent_id': other['id']}}).status == 403
    assert keystone.patch(at, {'project': {'domain_id': domain['id']}}).status == 400
    assert keystone.patch(at, {'project': {'is_domain': True}}).status == 400


def test_what_is_immutable_holds_still_until_that_is_unset(keystone):
    project = keystone.make('project', name='p', options={'immutable': True})
    at = f'/projects/{project["id"]}'
    assert keystone.patch(at, {'project': {'name': 'q'}}).status == 403
    assert keystone.delete(at).status == 403
    assert keystone.patch(at, {'project': {'options': {'immutable': False}}}).status == 200
    assert keystone.delete(at).status == 204


def test_deleting_a_project_takes_its_assignments_along(keystone):
    project, user = keystone.member('demo', 'demo')
    keystone.patch(f'/users/{user["id"]}', {'user': {'default_project_id': project['id']}})
    keystone.delete(f'/projects/{project["id"]}')
    assert keystone.get(f'/role_assignments?user.id={user["id"]}').json['role_assignments'] == []
    assert 'default_project_id' not in keystone.get(f'/users/{user["id"]}').json['user']


@pytest.mark.parametrize('query, names', [
    ('name=alpha', ['alpha']), ('name__contains=lph', ['alpha']), ('name__startswith=al', ['alpha']),
    ('name__endswith=ta', ['beta']), ('name__icontains=LPH', ['alpha']), ('name__contains=%25', []),
    ('enabled=false', ['gamma']), ('domain_id=default', ['admin', 'alpha', 'beta', 'gamma']),
    ('domain_id=other', []), ('parent_id=default&name=beta', ['beta']), ('unknown=x&name=beta', ['beta']),
    ('is_domain=true', ['Default']), ('tags=red', ['alpha', 'beta']), ('tags=red,round', ['alpha']),
    ('tags-any=round,flat', ['alpha', 'beta']), ('not-tags=red&name__contains=a', ['admin', 'gamma']),
    ('not-tags-any=round,flat&name__contains=a', ['admin', 'gamma'])])
def test_lists_are_filtered(keystone, query, names):
    keystone.make('project', name='alpha', tags=['red', 'round'])
    keystone.make('project', name='beta', tags=['red', 'flat'])
    keystone.make('project', name='gamma', enabled=False)
    found = keystone.get(f'/projects?{query}').json['projects']
    assert sorted(project['name'] for project in found) == names


def test_pages_end_and_hold_everything_once(keystone):
    for number in range(7):
        keystone.make('project', name=f'p{number}')
    url, seen = '/v3/projects?limit=3', []
    for _ in range(10):
        body = keystone.call('GET', url, token=keystone.admin).json
        seen += [project['name'] for project in body['projects']]
        if body['links']['next'] is None:
            break
        assert len(body['projects']) == 3
        url = body['links']['next'].removeprefix(URL[:-3])
    assert sorted(seen) == ['admin', *(f'p{number}' for number in range(7))]
    assert set(body['links']) == {'next', 'previous', 'self'}
    assert keystone.get('/projects?limit=none').status == 400


def test_a_list_costs_the_same_number_of_queries_however_long_it_is(keystone):
    counts = []
    for number in range(2):
        for each in range(5):
            keystone.make('project', name=f'p{number}-{each}', tags=['t'])
        keystone.get('/projects')
        with Queries(keystone) as queries:
            keystone.get('/projects')
        counts.append(len(queries.statements))
    assert counts[0] == counts[1] <= 3


def test_tags_are_set_added_and_removed(keystone):
    project = keystone.make('project', name='p')
    at = f'/projects/{project["id"]}/tags'
    assert keystone.put(at, {'tags': ['b', 'a']}).json['tags'] == ['a', 'b']
    assert keystone.put(f'{at}/c').status == 201
    assert keystone.get(f'{at}/c').status == 204
    assert keystone.call('HEAD', f'/v3{at}/c', token=keystone.admin).status == 204
    assert keystone.delete(f'{at}/a').status == 204
    assert keystone.delete(f'{at}/a').status == 404
    assert keystone.get(f'{at}/a').status == 404
    assert keystone.get(at).json['tags'] == ['b', 'c']
    assert keystone.get(f'/projects/{project["id"]}').json['project']['tags'] == ['b', 'c']
    assert keystone.delete(at).status == 204
    assert keystone.get(at).json['tags'] == []
    assert keystone.put(at, {'tags': [f't{number}' for number in range(81)]}).status == 400
    assert keystone.put(f'{at}/a,b').status == 400


def test_a_domain_is_made_changed_and_deleted_once_disabled(keystone):
    domain = keystone.make('domain', name='dom', description='d')
    assert set(domain) == DOMAIN
    at = f'/domains/{domain["id"]}'
    assert keystone.get(at).json['domain'] == domain
    assert keystone.delete(at).status == 403
    assert keystone.patch(at, {'domain': {'enabled': False, 'name': 'dam'}}).json['domain']['name'] == 'dam'
    assert keystone.delete(at).status == 204
    assert keystone.get(at).status == 404
    assert keystone.patch(at, {'domain': {'name': 'x'}}).status == 404


def test_a_domain_goes_with_all_that_is_in_it(keystone):
    domain = keystone.make('domain', name='dom')
    top = keystone.make('project', name='top', domain_id=domain['id'])
    keystone.make('project', name='leaf', parent_id=top['id'])
    user, group = keystone.user('u', domain_id=domain['id']), keystone.make('group', name='g', domain_id=domain['id'])
    local = keystone.make('role', name='local', domain_id=domain['id'])
    keystone.put(f'/projects/{top["id"]}/users/{user["id"]}/roles/{local["id"]}')
    keystone.grant('member', on=f'projects/{top["id"]}', group=group['id'])
    keystone.grant('member', on=f'domains/{domain["id"]}', user=user['id'])
    before = keystone.get('/role_assignments').json['role_assignments']
    keystone.patch(f'/domains/{domain["id"]}', {'domain': {'enabled': False}})
    assert keystone.delete(f'/domains/{domain["id"]}').status == 204
    after = keystone.get('/role_assignments').json['role_assignments']
    assert len(before) - len(after) == 3
    for path in (f'/projects/{top["id"]}', f'/users/{user["id"]}', f'/groups/{group["id"]}',
                 f'/roles/{local["id"]}'):
        assert keystone.get(path).status == 404


def test_the_default_domain_stays(keystone):
    keystone.make('project', name='p')
    assert keystone.delete('/domains/default').status == 403


def test_a_domain_may_be_made_as_a_project(keystone):
    made = keystone.make('project', name='dom', is_domain=True)
    assert made['is_domain'] is True and made['domain_id'] is None and made['parent_id'] is None
    assert keystone.get(f'/domains/{made["id"]}').json['domain']['name'] == 'dom'
    assert 'dom' in [domain['name'] for domain in keystone.get('/domains').json['domains']]


def test_a_name_is_no_id(keystone):
    assert keystone.get('/projects/admin').status == 404
    assert keystone.get('/domains/Default').status == 404

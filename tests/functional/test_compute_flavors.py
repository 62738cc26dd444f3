"""Flavors, their extra specs and access lists."""

import pytest

from tests.functional.nova_cloud import Cloud


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    yield made
    made.close()


def names(answer):
    return [flavor['name'] for flavor in answer['flavors']]


def test_a_flavor_without_an_id_is_given_one(cloud):
    answer = cloud.admin('POST', '/flavors', {'flavor': {
        'id': None, 'ram': 512, 'OS-FLV-EXT-DATA:ephemeral': 0, 'os-flavor-access:is_public': True, 'swap': 0,
        'vcpus': 1, 'name': 'f1', 'disk': 1}}, version='2.61')
    assert answer.status == 200
    assert len(answer.json['flavor']['id']) == 36


@pytest.mark.parametrize('version, has, lacks', [
    ('2.1', {'swap'}, {'description', 'extra_specs'}),
    ('2.55', {'description'}, {'extra_specs'}),
    ('2.61', {'description', 'extra_specs'}, set()),
])
def test_members_appear_at_their_version(cloud, version, has, lacks):
    id = cloud.flavor()
    shown = cloud.get(f'/flavors/{id}', version=version)['flavor']
    assert has <= set(shown) and not lacks & set(shown)
    assert shown['swap'] == ''
    assert cloud.get(f'/flavors/{id}', version='2.75')['flavor']['swap'] == 0


@pytest.mark.parametrize('change, field', [
    ({'ram': 0}, 'ram'), ({'vcpus': 'many'}, 'vcpus'), ({'disk': -1}, 'disk'), ({'name': ''}, 'name'),
    ({'name': 'x' * 256}, 'name'), ({'id': ' a'}, 'id'), ({'ram': 2 ** 31}, 'ram'), ({'ram': '9999999999'}, 'ram'),
    ({'rxtx_factor': 0}, 'rxtx_factor'), ({'os-flavor-access:is_public': 'perhaps'}, 'is_public'),
    ({'colour': 'red'}, 'colour'), ({'description': 'too early'}, 'description'),
])
def test_bad_input_is_named_and_changes_nothing(cloud, change, field):
    body = {'flavor': {'name': 'f', 'id': '7', 'ram': 512, 'vcpus': 1, 'disk': 1, **change}}
    answer = cloud.admin('POST', '/flavors', body)
    assert answer.status == 400
    assert field in answer.message
    assert cloud.get('/flavors')['flavors'] == []


def test_a_taken_name_or_id_is_a_conflict(cloud):
    cloud.flavor('a', '1')
    for name, id in (('a', '2'), ('b', '1')):
        answer = cloud.admin('POST', '/flavors', {'flavor': {'name': name, 'id': id, 'ram': 1, 'vcpus': 1, 'disk': 0}})
        assert answer.status == 409


def test_a_member_may_look_but_not_touch(cloud):
    cloud.flavor()
    body = {'flavor': {'name': 'f', 'ram': 512, 'vcpus': 1, 'disk': 1}}
    assert cloud.call('POST', '/flavors', body).status == 403
    assert cloud.call('DELETE', '/flavors/1').status == 403
    assert cloud.call('POST', '/flavors/1/os-extra_specs', {'extra_specs': {'a': 'b'}}).status == 403
    assert cloud.call('GET', '/flavors/1/os-flavor-access').status == 403
    assert len(cloud.get('/flavors')['flavors']) == 1


def test_lists_are_filtered_sorted_and_paged(cloud):
    for number, ram in enumerate((512, 2048, 1024), 1):
        cloud.flavor(f'f{number}', str(number), ram=ram)
    assert names(cloud.get('/flavors?minRam=1024')) == ['f2', 'f3']
    assert names(cloud.get('/flavors?sort_key=memory_mb&sort_dir=desc')) == ['f2', 'f3', 'f1']
    page = cloud.get('/flavors/detail?limit=2')
    assert names(page) == ['f1', 'f2']
    [link] = page['flavors_links']
    assert link['rel'] == 'next'
    rest = cloud.get(link['href'].partition('/v2.1')[2])
    assert names(rest) == ['f3'] and 'flavors_links' not in rest
    assert names(cloud.get('/flavors?limit=1&marker=3')) == []


@pytest.mark.parametrize('query', ['marker=none', 'limit=-1', 'limit=x', 'minRam=x', 'minDisk=-1', 'sort_key=secret',
                                   'sort_dir=up', 'sort_key=name&sort_dir=sideways'])
def test_a_query_that_makes_no_sense_is_refused(cloud, query):
    assert cloud.call('GET', f'/flavors?{query}').status == 400


def test_unknown_query_keys_are_refused_from_2_75(cloud):
    assert cloud.call('GET', '/flavors?colour=red', version='2.74').status == 200
    assert cloud.call('GET', '/flavors?colour=red', version='2.75').status == 400


def test_a_private_flavor_is_for_those_who_were_admitted(cloud):
    cloud.flavor('secret', '9', **{'os-flavor-access:is_public': False})
    cloud.flavor('open', '1')
    assert names(cloud.get('/flavors')) == ['open']
    assert cloud.call('GET', '/flavors/9').status == 404
    assert cloud.admin('GET', '/flavors/9/os-flavor-access').json['flavor_access'] == []
    answer = cloud.admin('POST', '/flavors/9/action', {'addTenantAccess': {'tenant': 'demo'}})
    assert answer.status == 200
    assert answer.json['flavor_access'] == [{'flavor_id': '9', 'tenant_id': 'demo'}]
    assert names(cloud.get('/flavors')) == ['open', 'secret']
    assert cloud.admin('POST', '/flavors/9/action', {'addTenantAccess': {'tenant': 'demo'}}).status == 409
    assert cloud.admin('POST', '/flavors/9/action', {'removeTenantAccess': {'tenant': 'demo'}}).status == 200
    assert cloud.admin('POST', '/flavors/9/action', {'removeTenantAccess': {'tenant': 'demo'}}).status == 404
    assert cloud.call('GET', '/flavors/9').status == 404


def test_admins_choose_which_flavors_they_see(cloud):
    cloud.flavor('secret', '9', **{'os-flavor-access:is_public': False})
    cloud.flavor('open', '1')
    assert names(cloud.admin('GET', '/flavors').json) == ['open']
    assert names(cloud.admin('GET', '/flavors?is_public=False').json) == ['secret']
    assert names(cloud.admin('GET', '/flavors/detail?is_public=None').json) == ['open', 'secret']
    assert cloud.admin('GET', '/flavors?is_public=maybe').status == 400


def test_access_to_a_public_flavor(cloud):
    cloud.flavor()
    assert cloud.admin('GET', '/flavors/1/os-flavor-access').status == 404
    add = {'addTenantAccess': {'tenant': 'demo'}}
    assert cloud.admin('POST', '/flavors/1/action', add, version='2.7').status == 409
    assert cloud.admin('POST', '/flavors/1/action', add, version='2.6').status == 200


def test_extra_specs_come_and_go(cloud):
    id, path = cloud.flavor(), '/flavors/1/os-extra_specs'
    answer = cloud.admin('POST', path, {'extra_specs': {'hw:cpu_policy': 'shared', 'hw:numa_nodes': '1'}})
    assert answer.json == {'extra_specs': {'hw:cpu_policy': 'shared', 'hw:numa_nodes': '1'}}
    assert cloud.admin('PUT', path + '/hw:numa_nodes', {'hw:numa_nodes': '2'}).json == {'hw:numa_nodes': '2'}
    assert cloud.get(path)['extra_specs'] == {'hw:cpu_policy': 'shared', 'hw:numa_nodes': '2'}
    assert cloud.get(f'/flavors/{id}', version='2.61')['flavor']['extra_specs'] == {
        'hw:cpu_policy': 'shared', 'hw:numa_nodes': '2'}
    assert cloud.admin('DELETE', path + '/hw:numa_nodes').status == 200
    assert cloud.call('GET', path + '/hw:numa_nodes').status == 404
    assert cloud.admin('PUT', path + '/a', {'b': '2'}).status == 400
    assert cloud.admin('POST', path, {'extra_specs': {'bad/key': '2'}}).status == 400
    assert cloud.get(path)['extra_specs'] == {'hw:cpu_policy': 'shared'}


def test_a_description_changes_from_2_55(cloud):
    cloud.flavor()
    change = {'flavor': {'description': 'small'}}
    assert cloud.admin('PUT', '/flavors/1', change, version='2.54').status == 405
    assert cloud.admin('PUT', '/flavors/1', change, version='2.55').json['flavor']['description'] == 'small'
    assert cloud.get('/flavors', version='2.55')['flavors'][0]['description'] == 'small'


def test_a_deleted_flavor_is_gone_with_what_hangs_on_it(cloud):
    cloud.flavor('secret', '9', **{'os-flavor-access:is_public': False})
    cloud.admin('POST', '/flavors/9/os-extra_specs', {'extra_specs': {'a': 'b'}})
    assert cloud.admin('DELETE', '/flavors/9').status == 202
    assert cloud.admin('GET', '/flavors/9').status == 404
    assert cloud.admin('DELETE', '/flavors/9').status == 404
    cloud.flavor('secret', '9')
    assert cloud.get('/flavors/9/os-extra_specs')['extra_specs'] == {}

"""Security groups in the compute API's old words, and those of a server."""

import pytest

from tests.functional.nova_cloud import Cloud


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path).start()
    made.flavor()
    made.network()
    yield made
    made.close()


def group(cloud, name='web', description='d', **options):
    body = {'security_group': {'name': name, 'description': description}}
    return cloud.post('/os-security-groups', body, **options)['security_group']


def test_groups_are_made_listed_changed_and_deleted(cloud):
    made = group(cloud, ' web ')
    assert set(made) == {'id', 'name', 'description', 'rules', 'tenant_id'} and made['name'] == ' web '
    assert cloud.get(f'/os-security-groups/{made["id"]}')['security_group'] == made
    listed = cloud.get('/os-security-groups')['security_groups']
    assert made in listed and 'default' in [each['name'] for each in listed]
    for page, expected in (('limit=1&offset=1', listed[1:2]), ('limit=1', listed[:1]), ('offset=1', listed[1:]),
                           ('limit=0', []), ('offset=9', [])):
        assert cloud.get(f'/os-security-groups?{page}')['security_groups'] == expected
    changed = cloud.call('PUT', f'/os-security-groups/{made["id"]}', {'security_group': {
        'name': 'other', 'description': 'e'}})
    assert changed.status == 200 and changed.json['security_group']['name'] == 'other'
    assert cloud.call('DELETE', f'/os-security-groups/{made["id"]}').status == 202
    assert cloud.call('GET', f'/os-security-groups/{made["id"]}').status == 404


def test_an_administrator_without_a_project_has_none_of_his_own_but_sees_all(cloud):
    made = group(cloud)
    nobody = {'who': 'admin', 'user': 'root', 'project': ''}
    listed = cloud.get('/os-security-groups?all_tenants=1', **nobody)['security_groups']
    assert made['id'] in [each['id'] for each in listed]
    for answer in (cloud.call('GET', '/os-security-groups', **nobody),
                   cloud.call('POST', '/os-security-groups', {'security_group': {'name': 'n', 'description': ''}},
                              **nobody)):
        assert answer.status == 403 and 'project' in answer.message


def test_from_2_36_on_they_belong_to_the_network_api(cloud):
    assert cloud.call('GET', '/os-security-groups', version='2.35').status == 200
    assert cloud.call('GET', '/os-security-groups', version='2.36').status == 404
    assert cloud.call('POST', '/os-security-group-rules', {}, version='2.36').status == 404


def test_the_default_group_stays_and_others_see_none_of_it(cloud):
    [default] = [each for each in cloud.get('/os-security-groups')['security_groups'] if each['name'] == 'default']
    assert cloud.call('DELETE', f'/os-security-groups/{default["id"]}').status == 400
    assert cloud.call('GET', f'/os-security-groups/{default["id"]}', project='elsewhere').status == 404
    assert cloud.call('DELETE', '/os-security-groups/nothing').status == 404
    assert cloud.call('DELETE', '/os-security-groups/').status == 404      # an empty id, not a wrong method
    assert cloud.call('DELETE', '/os-security-groups').status == 405
    assert {each['cidr'] for each in (rule['ip_range'] for rule in default['rules']) if each} == set()
    assert default['rules'][0]['group'] == {'name': 'default', 'tenant_id': 'demo'}


def rule(cloud, parent, status=200, **values):
    return cloud.post('/os-security-group-rules', {'security_group_rule': {'parent_group_id': parent['id'], **values}},
                      status)


def test_rules_are_made_shown_and_deleted(cloud):
    made, other = group(cloud), group(cloud, 'other')
    tcp = rule(cloud, made, ip_protocol='tcp', from_port=22, to_port='22', cidr='10.0.0.0/24')['security_group_rule']
    assert tcp == {'id': tcp['id'], 'parent_group_id': made['id'], 'ip_protocol': 'tcp', 'from_port': 22,
                   'to_port': 22, 'group': {}, 'ip_range': {'cidr': '10.0.0.0/24'}}
    ping = rule(cloud, made, ip_protocol='icmp', from_port=-1, to_port=-1)['security_group_rule']
    assert ping['from_port'] == ping['to_port'] == -1 and ping['ip_range'] == {'cidr': '0.0.0.0/0'}
    friend = rule(cloud, made, group_id=other['id'])['security_group_rule']
    assert friend['group'] == {'name': 'other', 'tenant_id': 'demo'} and friend['ip_range'] == {}
    shown = cloud.get(f'/os-security-groups/{made["id"]}')['security_group']['rules']
    assert sorted(each['id'] for each in shown) == sorted(each['id'] for each in (tcp, ping, friend))
    assert cloud.call('DELETE', f'/os-security-group-rules/{tcp["id"]}').status == 202
    assert cloud.call('DELETE', f'/os-security-group-rules/{tcp["id"]}').status == 404


@pytest.mark.parametrize('values', [
    {'ip_protocol': 'tcp'}, {'ip_protocol': 'tcp', 'from_port': 2, 'to_port': 1}, {},
    {'ip_protocol': 'tcp', 'from_port': 1, 'to_port': 70000}, {'ip_protocol': 'smoke', 'from_port': 1, 'to_port': 1},
    {'ip_protocol': 'tcp', 'from_port': 1, 'to_port': 1, 'cidr': '10.0.0.0/99'}])
def test_rules_that_mean_nothing_are_refused(cloud, values):
    rule(cloud, group(cloud), 400, **values)


def test_a_rule_twice_is_refused_and_one_for_no_group_is_not_found(cloud):
    made, values = group(cloud), {'ip_protocol': 'tcp', 'from_port': 1, 'to_port': 2}
    rule(cloud, made, **values)
    rule(cloud, made, 400, **values)
    rule(cloud, {'id': '11111111-1111-1111-1111-111111111111'}, 404, **values)
    rule(cloud, {'id': 'nothing'}, 400, **values)


def test_a_server_is_put_into_groups_and_taken_out(cloud):
    made = group(cloud)
    id = cloud.server()
    cloud.await_status(id, 'ACTIVE')
    cloud.act(id, 'addSecurityGroup', {'name': 'web'})
    cloud.act(id, 'addSecurityGroup', {'name': made['id']}, version='2.96')      # again, by its id
    at = f'/servers/{id}/os-security-groups'
    names = sorted(each['name'] for each in cloud.get(at, version='2.96')['security_groups'])
    assert names == ['default', 'web']
    assert sorted(each['name'] for each in cloud.show(id)['security_groups']) == names
    assert cloud.call('DELETE', f'/os-security-groups/{made["id"]}').status == 400
    cloud.act(id, 'removeSecurityGroup', {'name': 'web'})
    cloud.act(id, 'removeSecurityGroup', {'name': 'web'}, 404)
    cloud.act(id, 'addSecurityGroup', {'name': 'nothing'}, 404)
    assert [each['name'] for each in cloud.get(at)['security_groups']] == ['default']
    group(cloud)
    cloud.act(id, 'addSecurityGroup', {'name': 'web'}, 409)      # which of the two?
    assert cloud.call('GET', at, project='elsewhere').status == 404

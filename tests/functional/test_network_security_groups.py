"""Security groups and rules through the front door."""

import pytest

from tests.functional.network_cloud import Cloud


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    yield made
    made.close()


GROUP = {'created_at', 'description', 'id', 'name', 'project_id', 'revision_number', 'security_group_rules',
         'shared',
         'stateful', 'tags', 'tenant_id', 'updated_at'}
RULE = {'belongs_to_default_sg', 'created_at', 'description', 'direction', 'ethertype', 'id',
        'normalized_cidr',
        'port_range_max', 'port_range_min', 'project_id', 'protocol', 'remote_address_group_id',
        'remote_group_id',
        'remote_ip_prefix', 'revision_number', 'security_group_id', 'tenant_id', 'updated_at'}


def rule(cloud, group, **values):
    return cloud.request(cloud.alice, 'POST', '/security-group-rules', {'security_group_rule': {
        'security_group_id': group['id'], 'direction': 'ingress', **values}})


def test_every_project_has_its_default_group_with_the_published_rules(cloud):
    [group] = cloud.ask(cloud.alice, 'GET', '/security-groups')['security_groups']
    assert set(group) == GROUP and group['name'] == 'default'
    rules = group['security_group_rules']
    assert {(each['direction'], each['ethertype'], each['remote_group_id']) for each in rules} == {
        ('egress', 'IPv4', None), ('egress', 'IPv6', None), ('ingress', 'IPv4', group['id']),
        ('ingress', 'IPv6', group['id'])}
    assert set(rules[0]) == RULE
    [again] = cloud.ask(cloud.alice, 'GET', '/security-groups?name=default')['security_groups']
    assert again['id'] == group['id']
    answer = cloud.request(cloud.alice, 'POST', '/security-groups', {'security_group': {'name': 'default'}})
    assert answer.fault == 'SecurityGroupDefaultAlreadyExists'
    path = f"/security-groups/{group['id']}"
    assert cloud.request(cloud.alice, 'DELETE', path).fault == 'SecurityGroupCannotRemoveDefault'
    assert cloud.request(cloud.alice, 'PUT', path, {'security_group': {'name': 'x'}}).fault == (
        'SecurityGroupCannotUpdateDefault')
    assert cloud.request(cloud.bob, 'GET', path).status == 404
    cloud.ask(cloud.root, 'DELETE', path, status=204)
    used = cloud.ask(cloud.alice, 'GET', '/quotas/alice/details')['quota']
    assert used['security_group']['used'] == used['security_group_rule']['used'] == 0


def test_no_other_group_is_renamed_to_default(cloud):
    made = cloud.make(cloud.alice, 'security_group', name='web')
    answer = cloud.request(cloud.alice, 'PUT', f"/security-groups/{made['id']}",
                           {'security_group': {'name': 'default'}})
    assert (answer.status, answer.fault) == (409, 'SecurityGroupDefaultAlreadyExists')


def test_a_group_lets_everything_out_and_nothing_in(cloud):
    made = cloud.make(cloud.alice, 'security_group', name='web', description='d')
    assert {(each['direction'], each['ethertype']) for each in made['security_group_rules']} == {
        ('egress', 'IPv4'), ('egress', 'IPv6')}
    changed = cloud.ask(cloud.alice, 'PUT', f"/security-groups/{made['id']}",
                        {'security_group': {'name': 'new'}})
    assert changed['security_group']['name'] == 'new'
    cloud.ask(cloud.alice, 'DELETE', f"/security-groups/{made['id']}", status=204)


def test_a_rule_is_there_once(cloud):
    group = cloud.make(cloud.alice, 'security_group', name='web')
    made = rule(cloud, group, protocol='tcp', port_range_min=22, port_range_max=22,
                remote_ip_prefix='0.0.0.0/0')
    assert made.status == 201 and set(made.json['security_group_rule']) == RULE
    same = rule(cloud, group, protocol='6', port_range_min='22', port_range_max='22', ethertype='IPv4')
    assert (same.status, same.fault) == (409, 'SecurityGroupRuleExists')
    assert made.json['security_group_rule']['id'] in same.json['NeutronError']['message']
    found = cloud.ask(cloud.alice, 'GET',
                      f"/security-group-rules?security_group_id={group['id']}&protocol=tcp")
    assert len(found['security_group_rules']) == 1
    cloud.ask(cloud.alice, 'DELETE', f"/security-group-rules/{made.json['security_group_rule']['id']}",
              status=204)
    assert rule(cloud, group, protocol='tcp', port_range_min=22, port_range_max=22).status == 201


@pytest.mark.parametrize('values, fault', [
    ({'protocol': 'tcp', 'port_range_min': 5, 'port_range_max': 4}, 'SecurityGroupInvalidPortRange'),
    ({'protocol': 'tcp', 'port_range_min': 5}, 'SecurityGroupInvalidPortRange'),
    ({'protocol': 'udp', 'port_range_min': 1, 'port_range_max': 65536}, 'SecurityGroupInvalidPortValue'),
    ({'port_range_min': 1, 'port_range_max': 2}, 'SecurityGroupProtocolRequiredWithPorts'),
    ({'protocol': 'gre', 'port_range_min': 1, 'port_range_max': 2}, 'SecurityGroupInvalidProtocolForPort'),
    ({'protocol': 'icmp', 'port_range_max': 2}, 'SecurityGroupMissingIcmpType'),
    ({'protocol': 'icmp', 'port_range_min': 256}, 'SecurityGroupInvalidIcmpValue'),
    ({'protocol': 'bogus'}, 'SecurityGroupRuleInvalidProtocol'),
    ({'protocol': '256'}, 'SecurityGroupRuleInvalidProtocol'),
    ({'protocol': 'icmpv6', 'ethertype': 'IPv4'}, 'SecurityGroupEthertypeConflictWithProtocol'),
    ({'protocol': 'ipv6-encap', 'ethertype': 'IPv4'}, 'SecurityGroupEthertypeConflictWithProtocol'),
    ({'protocol': '41', 'ethertype': 'IPv4'}, 'SecurityGroupEthertypeConflictWithProtocol'),
    ({'remote_ip_prefix': '2001:db8::/64'}, 'SecurityGroupRuleParameterConflict'),
    ({'remote_ip_prefix': 'nonsense'}, 'HTTPBadRequest'),
    ({'direction': 'sideways'}, 'HTTPBadRequest'),
    ({'ethertype': 'IPv5'}, 'HTTPBadRequest'),
    ({'remote_group_id': '11111111-1111-1111-1111-111111111111'}, 'SecurityGroupNotFound'),
    ({'remote_group_id': 'nothing'}, 'SecurityGroupNotFound'),
])
def test_a_rule_that_makes_no_sense_is_refused_by_name(cloud, values, fault):
    group = cloud.make(cloud.alice, 'security_group', name='web')
    answer = rule(cloud, group, **values)
    assert 400 <= answer.status < 410 and answer.fault == fault


def test_a_prefix_is_shown_as_it_was_given_and_as_it_takes_effect(cloud):
    group = cloud.make(cloud.alice, 'security_group', name='web')
    made = rule(cloud, group, protocol='tcp', port_range_min=1, port_range_max=2, remote_ip_prefix='10.0.0.7/24')
    shown = made.json['security_group_rule']
    assert shown['remote_ip_prefix'] == '10.0.0.7/24' and shown['normalized_cidr'] == '10.0.0.0/24'
    again = rule(cloud, group, protocol='tcp', port_range_min=1, port_range_max=2, remote_ip_prefix='10.0.0.9/24')
    assert again.fault == 'SecurityGroupRuleExists'


def test_a_prefix_and_a_remote_group_exclude_each_other(cloud):
    group = cloud.make(cloud.alice, 'security_group', name='web')
    answer = rule(cloud, group, remote_group_id=group['id'], remote_ip_prefix='10.0.0.0/8')
    assert answer.fault == 'SecurityGroupRemoteGroupAndRemoteIpPrefix'


def test_a_group_in_use_stays(cloud):
    network, _ = cloud.network(cloud.alice)
    group = cloud.make(cloud.alice, 'security_group', name='web')
    port = cloud.make(cloud.alice, 'port', network_id=network['id'], security_groups=[group['id']])
    assert cloud.request(cloud.alice, 'DELETE',
                         f"/security-groups/{group['id']}").fault == 'SecurityGroupInUse'
    assert [each['id'] for each in cloud.ask(cloud.alice, 'GET',
                                             f"/ports?security_groups={group['id']}")['ports']] == [
        port['id']]


def test_rules_are_added_many_at_once_and_counted(cloud):
    group = cloud.make(cloud.alice, 'security_group', name='web')
    wanted = [{'security_group_id': group['id'], 'direction': 'ingress', 'protocol': 'tcp',
               'port_range_min': port,
               'port_range_max': port} for port in (80, 443)]
    made = cloud.ask(cloud.alice, 'POST', '/security-group-rules', {'security_group_rules': wanted}, 201)
    assert len(made['security_group_rules']) == 2
    cloud.ask(cloud.root, 'PUT', '/quotas/alice', {'quota': {'security_group_rule': 8}})
    answer = rule(cloud, group, protocol='udp')
    assert (answer.status, answer.fault) == (409, 'OverQuota')


def test_foreign_groups_take_no_rules(cloud):
    group = cloud.make(cloud.bob, 'security_group', name='web')
    assert rule(cloud, group).fault == 'SecurityGroupNotFound'
    assert cloud.request(cloud.alice, 'DELETE',
                         f"/security-group-rules/{group['security_group_rules'][0]['id']}"
                         ).fault == 'SecurityGroupRuleNotFound'


def test_many_groups_at_once_may_each_stand_in_an_object_of_their_own(cloud):
    for items in ([{'name': 'a'}, {'name': 'b'}], [{'security_group': {'name': 'a'}}, {'name': 'b'}]):
        answer = cloud.request(cloud.alice, 'POST', '/security-groups', {'security_groups': items})
        assert answer.status == 201
        assert [each['name'] for each in answer.json['security_groups']] == ['a', 'b']
    for bad in ([{'security_group': 'a'}], [{'security_group': {'name': 'a'}, 'name': 'b'}], 'ab', {'a': 'b'}, [1]):
        assert cloud.request(cloud.alice, 'POST', '/security-groups', {'security_groups': bad}).status == 400


def test_a_quota_of_one_group_allows_the_first_beside_the_default_one(cloud):
    cloud.ask(cloud.root, 'PUT', '/quotas/alice', {'quota': {'security_group': 1}})
    cloud.make(cloud.alice, 'security_group', name='first')
    second = cloud.request(cloud.alice, 'POST', '/security-groups', {'security_group': {'name': 'x'}})
    assert second.fault == 'OverQuota'
    found = cloud.ask(cloud.alice, 'GET', '/security-groups')['security_groups']
    assert {each['name'] for each in found} == {'default', 'first'}


def test_a_port_without_an_address_is_in_the_groups_that_it_is_put_in(cloud):
    network = cloud.make(cloud.alice, 'network')
    group = cloud.make(cloud.alice, 'security_group', name='web')
    port = cloud.make(cloud.alice, 'port', network_id=network['id'])
    assert port['fixed_ips'] == []
    path = f"/ports/{port['id']}"
    answer = cloud.request(cloud.alice, 'PUT', path, {'port': {
        'security_groups': ['11111111-1111-1111-1111-111111111111']}})
    assert answer.fault == 'SecurityGroupNotFound'
    changed = cloud.ask(cloud.alice, 'PUT', path, {'port': {'security_groups': [group['id']]}})['port']
    assert changed['security_groups'] == [group['id']]
    assert changed['revision_number'] > port['revision_number']
    assert cloud.request(cloud.alice, 'DELETE', f"/security-groups/{group['id']}").fault == 'SecurityGroupInUse'

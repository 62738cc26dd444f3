"""Ports through the front door: addresses, groups, what is whose."""

import pytest

from tests.functional.network_cloud import Cloud


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    yield made
    made.close()


PORT = {
    'admin_state_up', 'allowed_address_pairs', 'binding:vnic_type', 'created_at', 'description', 'device_id',
    'device_owner', 'extra_dhcp_opts', 'fixed_ips', 'id', 'ip_allocation', 'mac_address', 'name',
    'network_id',
    'port_security_enabled', 'project_id', 'revision_number', 'security_groups', 'status', 'tags',
    'tenant_id',
    'updated_at'}
BINDING = {'binding:host_id', 'binding:profile', 'binding:vif_type', 'binding:vif_details'}


def port(cloud, who, network, **values):
    return cloud.make(who, 'port', network_id=network['id'], **values)


def refused(cloud, who, network, **values):
    answer = cloud.request(who, 'POST', '/ports', {'port': {'network_id': network['id'], **values}})
    assert answer.status >= 400, answer.body
    return answer.status, answer.fault


def test_a_port_shows_what_is_published(cloud):
    network, subnet = cloud.network(cloud.alice)
    made = port(cloud, cloud.alice, network, name='p')
    assert set(made) == PORT
    assert made['status'] == 'DOWN' and made['mac_address'].startswith('fa:16:3e:')
    [group] = cloud.ask(cloud.alice, 'GET', '/security-groups')['security_groups']
    assert made['security_groups'] == [group['id']] and group['name'] == 'default'
    shown = cloud.ask(cloud.root, 'GET', f"/ports/{made['id']}")['port']
    assert set(shown) == PORT | BINDING and shown['binding:vif_type'] == 'unbound'


def test_addresses_are_given_as_asked(cloud):
    network, subnet = cloud.network(cloud.alice)
    other = cloud.make(cloud.alice, 'subnet', network_id=network['id'], ip_version=4, cidr='10.1.0.0/24')
    one = port(cloud, cloud.alice, network, fixed_ips=[{'ip_address': '10.0.0.77'}])
    assert one['fixed_ips'] == [{'subnet_id': subnet['id'], 'ip_address': '10.0.0.77'}]
    two = port(cloud, cloud.alice, network, fixed_ips=[{'subnet_id': other['id']},
                                                       {'subnet_id': subnet['id']}])
    assert [each['subnet_id'] for each in two['fixed_ips']] == [other['id'], subnet['id']]
    assert port(cloud, cloud.alice, network, fixed_ips=[])['fixed_ips'] == []
    assert len(port(cloud, cloud.alice, network)['fixed_ips']) == 1
    assert refused(cloud, cloud.alice, network, fixed_ips=[{'ip_address': '10.0.0.77'}]) == (
        409, 'IpAddressAlreadyAllocated')
    assert refused(cloud, cloud.alice, network, fixed_ips=[{'ip_address': '10.7.0.1'}]) == (400,
                                                                                            'InvalidIpForNetwork')
    assert refused(cloud, cloud.alice, network, fixed_ips=[
        {'subnet_id': other['id'], 'ip_address': '10.0.0.9'}]) == (400, 'InvalidIpForSubnet')
    assert refused(cloud, cloud.alice, network, fixed_ips=[{}]) == (400, 'InvalidInput')


def test_a_full_subnet_says_so(cloud):
    network, _ = cloud.network(cloud.alice, '10.0.0.0/29')
    for _ in range(5):
        port(cloud, cloud.alice, network)
    assert refused(cloud, cloud.alice, network) == (409, 'IpAddressGenerationFailure')


def test_ipv6_addresses_are_leased_or_made_from_the_mac(cloud):
    network, _ = cloud.network(cloud.alice)
    early = port(cloud, cloud.alice, network)
    cloud.make(cloud.alice, 'subnet', network_id=network['id'], ip_version=6, cidr='2001:db8::/64',
               ipv6_ra_mode='slaac', ipv6_address_mode='slaac')
    made = port(cloud, cloud.alice, network, mac_address='FA:16:3E:00:00:01')
    assert made['mac_address'] == 'fa:16:3e:00:00:01'
    assert [each['ip_address'] for each in made['fixed_ips']][1] == '2001:db8::f816:3eff:fe00:1'
    assert len(cloud.ask(cloud.alice, 'GET', f"/ports/{early['id']}")['port']['fixed_ips']) == 2
    stateful, _ = cloud.network(cloud.alice, None)
    cloud.make(cloud.alice, 'subnet', network_id=stateful['id'], ip_version=6, cidr='2001:db8:1::/64',
               ipv6_address_mode='dhcpv6-stateful')
    [leased] = port(cloud, cloud.alice, stateful)['fixed_ips']
    assert leased['ip_address'].startswith('2001:db8:1::')


def test_a_mac_address_is_there_once_in_a_network(cloud):
    network, _ = cloud.network(cloud.alice)
    other, _ = cloud.network(cloud.alice)
    port(cloud, cloud.alice, network, mac_address='fa:16:3e:00:00:02')
    assert refused(cloud, cloud.alice, network, mac_address='fa:16:3e:00:00:02') == (409, 'MacAddressInUse')
    port(cloud, cloud.alice, other, mac_address='fa:16:3e:00:00:02')


@pytest.mark.parametrize('query, expected', [
    ('fixed_ips=ip_address=10.0.0.5', 'a'), ('fixed_ips=ip_address=10.0.0.5&fixed_ips=ip_address=10.0.0.6',
                                             'ab'),
    ('fixed_ips=ip_address_substr=.0.0.', 'ab'), ('fixed_ips=ip_address=10.9.9.9', ''), ('name=a&name=b',
                                                                                         'ab'),
    ('device_id=', 'abc'), ('mac_address=FA:16:3E:00:00:0A', 'a'), ('status=ACTIVE', ''),
    ('admin_state_up=True', 'abc'),
    ('binding:host_id=node1', ''), ('device_owner=network:dhcp', '')])
def test_ports_are_searched_by_every_attribute(cloud, query, expected):
    network, subnet = cloud.network(cloud.alice)
    port(cloud, cloud.alice, network, name='a', fixed_ips=[{'ip_address': '10.0.0.5'}],
         mac_address='fa:16:3e:00:00:0a')
    port(cloud, cloud.alice, network, name='b', fixed_ips=[{'ip_address': '10.0.0.6'}])
    port(cloud, cloud.alice, network, name='c', fixed_ips=[])
    found = cloud.ask(cloud.alice, 'GET', f'/ports?sort_key=name&{query}')['ports']
    assert ''.join(each['name'] for each in found) == expected
    by_subnet = cloud.ask(cloud.alice, 'GET', f"/ports?fixed_ips=subnet_id={subnet['id']}")['ports']
    assert len(by_subnet) == 2
    assert cloud.request(cloud.alice, 'GET', '/ports?fixed_ips=nonsense').status == 400


def test_a_port_is_updated(cloud):
    network, subnet = cloud.network(cloud.alice)
    made = port(cloud, cloud.alice, network, fixed_ips=[{'ip_address': '10.0.0.5'}])
    path = f"/ports/{made['id']}"

    def change(**values):
        return cloud.ask(cloud.alice, 'PUT', path, {'port': values})['port']
    assert change(name='x', device_id='d', device_owner='compute:me')['device_id'] == 'd'
    both = change(fixed_ips=[{'ip_address': '10.0.0.5'}, {'ip_address': '10.0.0.6'}])['fixed_ips']
    assert sorted(each['ip_address'] for each in both) == ['10.0.0.5', '10.0.0.6']
    assert [each['ip_address']
            for each in change(fixed_ips=[{'ip_address': '10.0.0.6'}])['fixed_ips']] == ['10.0.0.6']
    port(cloud, cloud.alice, network, fixed_ips=[{'ip_address': '10.0.0.5'}])      # free again
    group = cloud.make(cloud.alice, 'security_group', name='g')
    assert change(security_groups=[group['id']])['security_groups'] == [group['id']]
    assert change(security_groups=[])['security_groups'] == []
    assert change(mac_address='fa:16:3e:00:00:03')['mac_address'] == 'fa:16:3e:00:00:03'
    options = change(extra_dhcp_opts=[{'opt_name': 'mtu', 'opt_value': '1400'}])['extra_dhcp_opts']
    assert options == [{'opt_name': 'mtu', 'opt_value': '1400', 'ip_version': 4}]
    assert change(extra_dhcp_opts=[{'opt_name': 'mtu', 'opt_value': None}])['extra_dhcp_opts'] == []
    assert change(admin_state_up=False)['admin_state_up'] is False


def test_address_pairs_and_port_security_go_together(cloud):
    network, _ = cloud.network(cloud.alice)
    made = port(cloud, cloud.alice, network, allowed_address_pairs=[{'ip_address': '10.0.0.200'}])
    assert made['allowed_address_pairs'] == [{'ip_address': '10.0.0.200', 'mac_address': made['mac_address']}]
    path = f"/ports/{made['id']}"
    off = {'port_security_enabled': False}
    assert cloud.request(cloud.alice, 'PUT', path, {'port': off}).fault == 'PortSecurityPortHasSecurityGroup'
    assert cloud.request(cloud.alice, 'PUT', path, {'port': {**off, 'security_groups': []}}).fault == (
        'AddressPairAndPortSecurityRequired')
    done = cloud.ask(cloud.alice, 'PUT', path, {'port': {**off, 'security_groups': [],
                                                         'allowed_address_pairs': []}})
    assert done['port']['port_security_enabled'] is False
    pair = {'ip_address': '10.0.0.9'}
    assert refused(cloud, cloud.alice, network, allowed_address_pairs=[pair, pair]) == (
        400, 'DuplicateAddressPairInRequest')
    assert refused(cloud, cloud.alice, network, allowed_address_pairs=[
        {'ip_address': f'10.0.0.{n}'} for n in range(11)]) == (400, 'AllowedAddressPairExhausted')
    assert refused(cloud, cloud.alice, network, port_security_enabled=False, security_groups=[
        made['security_groups'][0]])[1] == 'PortSecurityAndIPRequiredForSecurityGroups'


def test_a_port_without_an_address_has_security_groups_all_the_same(cloud):
    network, _ = cloud.network(cloud.alice, None)
    group = cloud.make(cloud.alice, 'security_group', name='g')
    assert port(cloud, cloud.alice, network, security_groups=[group['id']])['security_groups'] == [group['id']]
    bare = port(cloud, cloud.alice, network)
    assert bare['fixed_ips'] == [] and len(bare['security_groups']) == 1


def test_the_host_of_a_port_is_one_that_the_helper_would_take(cloud):
    network, _ = cloud.network(cloud.alice)
    made = port(cloud, cloud.alice, network)
    for wrong in ('node 1', 'node1\n', '../node1', 'n' * 256, 'nöde'):
        answer = cloud.request(cloud.root, 'PUT', f"/ports/{made['id']}", {'port': {'binding:host_id': wrong}})
        assert answer.status == 400 and b'binding:host_id' in answer.body, wrong
    for right in ('node1.example', 'fe80::1', '', None):
        answer = cloud.request(cloud.root, 'PUT', f"/ports/{made['id']}", {'port': {'binding:host_id': right}})
        assert (answer.status, answer.json['port']['binding:host_id']) == (200, right or '')


def test_on_a_shared_network_a_guest_takes_what_it_is_given(cloud):
    network, subnet = cloud.network(cloud.root, shared=True)
    made = port(cloud, cloud.bob, network)
    assert made['project_id'] == 'bob'
    for values in ({'mac_address': 'fa:16:3e:00:00:04'}, {'fixed_ips': [{'ip_address': '10.0.0.209'}]},
                   {'port_security_enabled': False}, {'allowed_address_pairs': [{'ip_address': '10.0.0.1'}]},
                   {'device_owner': 'network:dhcp'}, {'binding:host_id': 'node1'}):
        assert refused(cloud, cloud.bob, network, **values)[0] == 403, values
        assert cloud.request(cloud.bob, 'PUT', f"/ports/{made['id']}", {'port': values}).status == 403, values
    assert port(cloud, cloud.bob, network, fixed_ips=[{'subnet_id': subnet['id']}])['fixed_ips']
    assert cloud.request(cloud.alice, 'GET', f"/ports/{made['id']}").status == 404
    assert len(cloud.ask(cloud.root, 'GET', f"/ports?network_id={network['id']}")['ports']) == 2


def test_the_owner_of_a_network_sees_and_removes_ports_on_it(cloud):
    network, _ = cloud.network(cloud.root, shared=True, tenant_id='alice')
    made = port(cloud, cloud.bob, network)
    assert cloud.ask(cloud.alice, 'GET', f"/ports/{made['id']}")['port']['project_id'] == 'bob'
    cloud.ask(cloud.alice, 'DELETE', f"/ports/{made['id']}", status=204)


def test_foreign_networks_groups_and_subnets_are_not_found(cloud):
    network, _ = cloud.network(cloud.alice)
    own, _ = cloud.network(cloud.bob)
    group = cloud.make(cloud.alice, 'security_group', name='g')
    assert refused(cloud, cloud.bob, network) == (404, 'NetworkNotFound')
    assert refused(cloud, cloud.bob, own, security_groups=[group['id']]) == (404, 'SecurityGroupNotFound')
    assert cloud.request(cloud.bob, 'POST', '/subnets', {'subnet': {
        'network_id': network['id'], 'ip_version': 4, 'cidr': '10.5.0.0/24'}}).fault == 'NetworkNotFound'


def test_nobody_but_its_owner_puts_ports_on_an_external_network(cloud):
    public, _ = cloud.public()
    assert refused(cloud, cloud.alice, public)[0] == 403
    port(cloud, cloud.root, public)


def test_ports_are_made_many_at_once_and_counted(cloud):
    network, _ = cloud.network(cloud.alice)
    body = {'ports': [{'network_id': network['id'], 'name': name} for name in 'ab']}
    made = cloud.ask(cloud.alice, 'POST', '/ports', body, 201)['ports']
    assert [each['name'] for each in made] == ['a', 'b']
    cloud.ask(cloud.root, 'PUT', '/quotas/alice', {'quota': {'port': 3}})
    assert cloud.request(cloud.alice, 'POST', '/ports', body).fault == 'OverQuota'
    assert len(cloud.ask(cloud.alice, 'GET', '/ports')['ports']) == 2
    assert cloud.ask(cloud.alice, 'GET', '/quotas/alice/details')['quota']['port']['used'] == 2

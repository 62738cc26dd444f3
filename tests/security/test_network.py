"""What went wrong in clouds of this family before must not happen here: networks.

Each test names the advisory it keeps from coming back.
"""

import pytest
import sqlalchemy as sa

from nova.network import ports
from nova.network.drivers.fake import FakeDriver
from nova.network.manager import NetworkManager
from strata import errors
from strata.context import background
from tests.functional.network_cloud import Cloud

ADMIN = background('tests')


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    made.driver = FakeDriver()
    made.manager = NetworkManager(made.wiring, made.driver)
    yield made
    made.close()


def test_ossa_2012_005_rules_count_against_a_quota(cloud):
    group = cloud.make(cloud.alice, 'security_group', name='g')
    cloud.ask(cloud.root, 'PUT', '/quotas/alice', {'quota': {'security_group_rule': 7}})
    body = {'security_group_id': group['id'], 'direction': 'ingress', 'protocol': 'tcp'}
    cloud.make(cloud.alice, 'security_group_rule', **body, port_range_min=1, port_range_max=1)
    answer = cloud.request(cloud.alice, 'POST', '/security-group-rules', {'security_group_rule': {
        **body, 'port_range_min': 2, 'port_range_max': 2}})
    assert (answer.status, answer.fault) == (409, 'OverQuota')


def test_ossa_2012_007_a_protocol_means_the_same_in_capitals(cloud):
    network, _ = cloud.network(cloud.alice)
    group = cloud.make(cloud.alice, 'security_group', name='g')
    cloud.make(cloud.alice, 'security_group_rule', security_group_id=group['id'], direction='ingress',
               protocol='TCP',
               port_range_min=22, port_range_max=22)
    port = boot(cloud, cloud.alice, network)
    cloud.ask(cloud.alice, 'PUT', f"/ports/{port['id']}", {'port': {'security_groups': [group['id']]}})
    cloud.manager.reconcile()
    [rule] = [rule for rule in tap(cloud, network, port).security_rules if rule.direction == 'ingress']
    assert (rule.protocol, rule.port_range_min) == ('6', 22)


def test_ossa_2013_008_a_project_cannot_take_all_addresses(cloud):
    network, _ = cloud.network(cloud.root, shared=True)
    cloud.ask(cloud.root, 'PUT', '/quotas/bob', {'quota': {'port': 2}})
    for _ in range(2):
        cloud.make(cloud.bob, 'port', network_id=network['id'])
    body = {'port': {'network_id': network['id']}}
    assert cloud.request(cloud.bob, 'POST', '/ports', body).fault == 'OverQuota'
    with pytest.raises(errors.Forbidden):
        ports.validate(cloud.wiring, cloud.bob, [{'uuid': network['id']}])


def test_ossa_2013_020_large_source_groups_cost_a_constant_number_of_queries(cloud):
    network, _ = cloud.network(cloud.alice)
    port, counts = boot(cloud, cloud.alice, network), [0]

    def count(*args):
        counts[-1] += 1
    sa.event.listen(cloud.db.engine, 'before_cursor_execute', count)
    for more in (1, 30):
        for _ in range(more):
            cloud.make(cloud.alice, 'port', network_id=network['id'])
        counts.append(0)
        cloud.manager.reconciler.network(network['id'])
        counts.append(0)
    assert counts[1] == counts[3]
    [rule] = [rule for rule in tap(cloud, network, port).security_rules if rule.remote_cidrs]
    assert len(rule.remote_cidrs) == 32


def test_ossa_2015_021_a_change_of_rules_reaches_running_servers(cloud):
    cloud.bus.attach(cloud.manager, 'node1')
    cloud.bus.start()
    network, _ = cloud.network(cloud.alice)
    port = boot(cloud, cloud.alice, network)
    made = cloud.make(cloud.alice, 'security_group_rule', security_group_id=port['security_groups'][0],
                      direction='ingress', protocol='udp')
    cloud.bus.drain()
    assert '17' in {rule.protocol for rule in tap(cloud, network, port).security_rules}
    cloud.ask(cloud.alice, 'DELETE', f"/security-group-rules/{made['id']}")
    cloud.bus.drain()
    assert '17' not in {rule.protocol for rule in tap(cloud, network, port).security_rules}
    cloud.bus.stop()


def test_ossa_2013_033_an_address_means_a_server_only_within_its_own_network(cloud):
    mine, _ = cloud.network(cloud.alice)
    other, _ = cloud.network(cloud.bob)
    for who, network, server in ((cloud.alice, mine, 'a'), (cloud.bob, other, 'b')):
        cloud.make(who, 'port', network_id=network['id'], device_id=server, device_owner='compute:nova',
                   fixed_ips=[{'ip_address': '10.0.0.9'}])
    with cloud.db.reading() as tx:
        assert ports.at_address(tx, mine['id'], '10.0.0.9') == 'a'
        assert ports.at_address(tx, other['id'], '10.0.0.9') == 'b'
        assert ports.at_address(tx, mine['id'], '10.0.0.1') is None


def test_ossa_2014_008_nobody_plugs_into_the_router_of_another(cloud):
    router = cloud.make(cloud.alice, 'router')
    network, subnet = cloud.network(cloud.bob, '10.66.0.0/24')
    body = {'network_id': network['id'], 'device_id': router['id'],
            'device_owner': 'network:router_interface'}
    answer = cloud.request(cloud.bob, 'POST', '/ports', {'port': body})
    assert (answer.status, answer.fault) == (409, 'DeviceIDNotOwnedByTenant')
    port = cloud.make(cloud.bob, 'port', network_id=network['id'])
    del body['network_id']
    assert cloud.request(cloud.bob, 'PUT', f"/ports/{port['id']}", {'port': body}).status == 409
    path = f"/routers/{router['id']}/add_router_interface"
    assert cloud.request(cloud.bob, 'PUT', path, {'port_id': port['id']}).status == 404
    assert cloud.request(cloud.alice, 'PUT', path, {'port_id': port['id']}).status == 404
    assert cloud.request(cloud.alice, 'PUT', path, {'subnet_id': subnet['id']}).status == 404


@pytest.mark.parametrize('prefix', ['10.0.0.0/33', '10.0.0.0/-1', '10.0.0/24', '/24', '0x0a000000/8',
                                    '10.0.0.1/24 ',
                                    '10.0.0.0/24\n', '::/129'])
def test_ossa_2014_014_a_rule_with_an_invalid_range_is_refused(cloud, prefix):
    group = cloud.make(cloud.alice, 'security_group', name='g')
    answer = cloud.request(cloud.alice, 'POST', '/security-group-rules', {'security_group_rule': {
        'security_group_id': group['id'], 'direction': 'ingress', 'remote_ip_prefix': prefix}})
    assert answer.status == 400


def test_ossa_2014_025_address_pairs_are_limited(cloud):
    network, _ = cloud.network(cloud.alice)
    pairs = [{'ip_address': f'10.0.0.{number}'} for number in range(1, 101)]
    answer = cloud.request(cloud.alice, 'POST', '/ports', {'port': {
        'network_id': network['id'], 'allowed_address_pairs': pairs}})
    assert (answer.status, answer.fault) == (400, 'AllowedAddressPairExhausted')


def test_ossa_2014_031_what_is_the_admins_stays_when_a_member_updates(cloud):
    network = cloud.make(cloud.root, 'network', tenant_id='alice', shared=True, **{'router:external': True})
    path = f"/networks/{network['id']}"
    for values in ({'shared': False}, {'router:external': False}, {'name': 'x', 'shared': False}):
        assert cloud.request(cloud.alice, 'PUT', path, {'network': values}).status == 403
    cloud.ask(cloud.alice, 'PUT', path, {'network': {'name': 'x'}})
    shown = cloud.ask(cloud.root, 'GET', path)['network']
    assert shown['shared'] and shown['router:external'] and shown['name'] == 'x'


@pytest.mark.parametrize('server', ['', 'example.org', '8.8.8.8\nserver=/x/6.6.6.6', '8.8.8', '8.8.8.8/24'])
def test_ossa_2014_039_a_nameserver_is_an_address(cloud, server):
    network, _ = cloud.network(cloud.alice, None)
    answer = cloud.request(cloud.alice, 'POST', '/subnets', {'subnet': {
        'network_id': network['id'], 'ip_version': 4, 'cidr': '10.0.0.0/24', 'dns_nameservers': [server]}})
    assert answer.status == 400


def boot(cloud, who, network):
    """A port of a server, bound to this host and plugged."""
    port = cloud.make(who, 'port', network_id=network['id'], device_id='server', device_owner='compute:nova')
    cloud.ask(cloud.root, 'PUT', f"/ports/{port['id']}", {'port': {'binding:host_id': 'node1'}})
    cloud.manager.reconcile()
    return port


def tap(cloud, network, port):
    return next(each for each in cloud.driver.network(network['id']).ports if each.id == port['id'])


@pytest.mark.parametrize('owner', ['network:anything', 'network:dhcp', 'network:router_interface',
                                   'neutron:LOADBALANCER'])
def test_ossa_2015_018_and_2016_009_no_device_owner_opens_the_firewall(cloud, owner):
    shared, _ = cloud.network(cloud.root, shared=True)
    port = boot(cloud, cloud.bob, shared)
    answer = cloud.request(cloud.bob, 'PUT', f"/ports/{port['id']}", {'port': {'device_owner': owner}})
    assert answer.status in (403, 409) or not owner.startswith('network:')
    own, _ = cloud.network(cloud.alice, '10.1.0.0/24')
    mine = boot(cloud, cloud.alice, own)
    cloud.request(cloud.alice, 'PUT', f"/ports/{mine['id']}", {'port': {'device_owner': owner}})
    cloud.manager.reconcile()
    for network, each in ((shared, port), (own, mine)):
        state = cloud.driver.network(network['id'])
        found = next((one for one in state.ports if one.id == each['id']), None) if state else None
        assert found is None or not found.tap or (found.port_security_enabled and found.security_rules)


@pytest.mark.parametrize('protocol', ['vrrp', 'gre', '47', 'esp', 'ospf'])
def test_ossa_2019_001_ports_are_refused_for_protocols_without(cloud, protocol):
    group = cloud.make(cloud.alice, 'security_group', name='g')
    answer = cloud.request(cloud.alice, 'POST', '/security-group-rules', {'security_group_rule': {
        'security_group_id': group['id'], 'direction': 'ingress', 'protocol': protocol, 'port_range_min': 1,
        'port_range_max': 2}})
    assert (answer.status, answer.fault) == (400, 'SecurityGroupInvalidProtocolForPort')


def test_ossa_2019_002_overlapping_rules_live_side_by_side(cloud):
    network, _ = cloud.network(cloud.alice)
    group = cloud.make(cloud.alice, 'security_group', name='g')
    other = cloud.make(cloud.alice, 'security_group', name='h')
    for where, prefix in ((group, '10.0.0.0/8'), (group, '10.0.0.0/16'), (other, '10.0.0.0/8')):
        cloud.make(cloud.alice, 'security_group_rule', security_group_id=where['id'], direction='ingress',
                   remote_ip_prefix=prefix)
    port = boot(cloud, cloud.alice, network)
    cloud.ask(cloud.alice, 'PUT', f"/ports/{port['id']}", {'port': {'security_groups': [group['id'],
                                                                                        other['id']]}})
    cloud.manager.reconcile()
    ranges = [rule.remote_cidrs for rule in tap(cloud, network, port).security_rules
              if rule.direction == 'ingress']
    assert sorted(ranges) == [('10.0.0.0/16',), ('10.0.0.0/8',), ('10.0.0.0/8',)]


@pytest.mark.parametrize('option', [
    {'opt_name': 'mtu', 'opt_value': '1400\nconf-file=/etc/shadow'}, {'opt_name': 'mtu\nx', 'opt_value': '1'},
    {'opt_name': 'mtu', 'opt_value': '1\r2'}, {'opt_name': 'a b', 'opt_value': '1'}, {'opt_name': '',
                                                                                      'opt_value': '1'},
    {'opt_name': 'x' * 65, 'opt_value': '1'}, {'opt_name': 'mtu', 'opt_value': '\x00'},
    {'opt_name': 'mtu\n', 'opt_value': '1'}, {'opt_name': 'boot_file', 'opt_value': '1'},
    {'opt_name': 'bootfile-name', 'opt_value': '"x'}, {'opt_name': 'bootfile-name', 'opt_value': 'a\\b'},
    {'opt_name': 'mtu', 'opt_value': '1400', 'ip_version': 5}])
def test_ossa_2021_005_dhcp_options_cannot_smuggle_configuration(cloud, option):
    network, _ = cloud.network(cloud.alice)
    port = cloud.make(cloud.alice, 'port', network_id=network['id'])
    for method, path, body in (('POST', '/ports', {'network_id': network['id'], 'extra_dhcp_opts': [option]}),
                               ('PUT', f"/ports/{port['id']}", {'extra_dhcp_opts': [option]})):
        assert cloud.request(cloud.alice, method, path, {'port': body}).status == 400


def test_nobody_uses_up_the_quota_of_another_project(cloud):
    network, _ = cloud.network(cloud.bob, None)
    body = {'network_id': network['id'], 'ip_version': 4, 'cidr': '10.0.0.0/24'}
    for name in ('project_id', 'tenant_id'):
        answer = cloud.request(cloud.bob, 'POST', '/subnets', {'subnet': {**body, name: 'alice'}})
        assert answer.status == 400 and 'project_id' in answer.json['NeutronError']['message']
    assert cloud.ask(cloud.root, 'GET', '/quotas/alice/details')['quota']['subnet']['used'] == 0
    assert cloud.make(cloud.root, 'subnet', **{**body, 'project_id': 'alice'})['project_id'] == 'alice'


def test_nobody_stops_a_shared_network_with_what_its_host_would_refuse(cloud):
    """The host takes a network whole or not at all, so whatever the API lets through the host must take."""
    shared, _ = cloud.network(cloud.root, shared=True)
    port = boot(cloud, cloud.bob, shared)
    group = cloud.make(cloud.bob, 'security_group', name='g')
    rule = {'security_group_id': group['id'], 'direction': 'ingress', 'ethertype': 'IPv6'}
    for prefix in ('2001:db8::%x/64', '2001:db8::1%x'):
        answer = cloud.request(cloud.bob, 'POST', '/security-group-rules',
                               {'security_group_rule': {**rule, 'remote_ip_prefix': prefix}})
        assert answer.status == 400
    path, status = f"/ports/{port['id']}", 200
    for start in range(0, 128, 32):
        options = [{'opt_name': f'{number}', 'opt_value': 'x'} for number in range(start, start + 32)]
        status = cloud.request(cloud.bob, 'PUT', path, {'port': {'extra_dhcp_opts': options}}).status
    assert status == 400
    other = boot(cloud, cloud.alice, shared)
    assert tap(cloud, shared, other).fixed_ips and len(tap(cloud, shared, port).dhcp_options) == 64


def test_ossa_2021_006_unknown_paths_leave_nothing_behind(cloud):
    from nova.api.network import app
    before = len(app.mapper.matchlist), len(app.endpoints)
    for number in range(50):
        assert cloud.request(cloud.alice, 'GET', f'/nonsense{number}/x').status == 404
    assert (len(app.mapper.matchlist), len(app.endpoints)) == before


def test_ossa_2024_005_tags_are_hung_by_the_owner_only(cloud):
    network = cloud.make(cloud.root, 'network', shared=True)
    path = f"/networks/{network['id']}/tags"
    assert cloud.request(cloud.bob, 'PUT', path, {'tags': ['x']}).status == 403
    assert cloud.request(cloud.bob, 'PUT', path + '/x').status == 403
    assert cloud.request(cloud.bob, 'DELETE', path).status == 403
    assert cloud.ask(cloud.root, 'GET', path) == {'tags': []}
    own = cloud.make(cloud.alice, 'network')
    assert cloud.request(cloud.bob, 'PUT', f"/networks/{own['id']}/tags", {'tags': ['x']}).status == 404
    assert cloud.request(cloud.reader, 'PUT', f"/networks/{own['id']}/tags", {'tags': ['x']}).status == 403

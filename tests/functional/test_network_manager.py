"""What nova-network makes of the database on its host, seen through the fake driver."""

import types

import pytest

from nova.db.ports import Port
from nova.network import ports, rpc
from nova.network.drivers.fake import FakeDriver
from nova.network.drivers.state import Advertised
from nova.network.manager import NetworkManager
from nova.network.rpc import Network
from strata import errors
from strata.clock import new_uuid
from strata.context import background
from tests.functional.network_cloud import Cloud

ADMIN = background('tests')


class Sockets:
    """What stands in for the metadata server: it remembers which networks it listens in."""

    def __init__(self):
        self.open = {}

    def listen(self, sock, key=None):
        assert key not in self.open
        self.open[key] = sock

    def unlisten(self, key=None):
        self.open.pop(key).close()


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    made.driver = FakeDriver()
    made.sockets = Sockets()
    made.manager = NetworkManager(made.wiring, made.driver, made.sockets)
    made.bus.attach(made.manager, 'node1')
    made.bus.start()
    made.manager.start()
    yield made
    made.bus.stop()
    made.close()


def server(project='alice', host='node1', **request):
    """A server row as far as the network knows one."""
    return types.SimpleNamespace(id=new_uuid(), project_id=project, host=host, availability_zone=None,
                                 request={'security_groups': [], **request})


def boot(cloud, network, **more):
    """A server with one card on a network, plugged."""
    made = server(**more)
    ports.allocate(cloud.wiring, ADMIN, made, [{'uuid': network['id']}])
    devices = Network(cloud.bus).plug(ADMIN, host='node1', server_id=made.id)
    return made, devices


def test_plugging_a_server_makes_its_tap_with_the_rules_of_the_default_group(cloud):
    network, subnet = cloud.network(cloud.alice)
    made, [device] = boot(cloud, network)
    state = cloud.driver.network(network['id'])
    [tap] = [port for port in state.ports if port.tap]
    assert tap.tap_name == device['device'] and tap.mac_address == device['mac']
    assert {(rule.direction, rule.ethertype) for rule in tap.security_rules} == {
        ('ingress', 'IPv4'), ('ingress', 'IPv6'), ('egress', 'IPv4'), ('egress', 'IPv6')}
    [inside] = [rule for rule in tap.security_rules if (rule.direction, rule.ethertype) == ('ingress',
                                                                                            'IPv4')]
    assert inside.remote_cidrs == (f'{tap.fixed_ips[0].ip_address}/32',)
    [port] = cloud.ask(cloud.alice, 'GET', f'/ports?device_id={made.id}')['ports']
    assert port['status'] == 'ACTIVE' and port['device_owner'] == 'compute:nova'


def test_the_dhcp_server_has_a_port_of_its_own_and_the_metadata_server_a_socket(cloud):
    network, subnet = cloud.network(cloud.alice)
    boot(cloud, network)
    [dhcp] = cloud.ask(cloud.alice, 'GET',
                       f"/ports?network_id={network['id']}&device_owner=network:dhcp")['ports']
    [state] = cloud.driver.network(network['id']).subnets
    assert state.dhcp_address == dhcp['fixed_ips'][0]['ip_address']
    assert cloud.driver.network(network['id']).dhcp_mac == dhcp['mac_address']
    assert set(cloud.sockets.open) == {network['id']}


def test_a_network_nobody_uses_leaves_the_host_with_its_dhcp_port(cloud):
    network, _ = cloud.network(cloud.alice)
    made, _ = boot(cloud, network)
    ports.release(cloud.wiring, ADMIN, made.id)
    cloud.bus.drain()
    assert cloud.driver.present().networks == frozenset()
    assert cloud.sockets.open == {}
    assert cloud.ask(cloud.alice, 'GET', '/ports')['ports'] == []
    cloud.ask(cloud.alice, 'DELETE', f"/networks/{network['id']}", status=204)
    assert cloud.ask(cloud.alice, 'GET', '/quotas/alice/details.json')['quota']['port']['used'] == 0


@pytest.mark.parametrize('mode, serves', [('slaac', False), ('dhcpv6-stateless', True), ('dhcpv6-stateful', True)])
def test_a_router_advertises_ipv6_subnets_and_the_dhcp_server_serves_those_that_ask_it(cloud, mode, serves):
    network, _ = cloud.network(cloud.alice)
    six = cloud.make(cloud.alice, 'subnet', network_id=network['id'], ip_version=6, cidr='2001:db8::/64',
                     ipv6_ra_mode=mode, ipv6_address_mode=mode, dns_nameservers=['2001:db8::53'])
    boot(cloud, network)
    router = cloud.make(cloud.alice, 'router')
    cloud.ask(cloud.alice, 'PUT', f"/routers/{router['id']}/add_router_interface", {'subnet_id': six['id']})
    cloud.bus.drain()
    [foot] = cloud.driver.router(router['id']).interfaces
    assert foot.addresses == ('2001:db8::1/64',)
    assert foot.advertised == (Advertised(cidr='2001:db8::/64', mode=mode, dns_nameservers=('2001:db8::53',)),)
    [dhcp] = cloud.ask(cloud.alice, 'GET',
                       f"/ports?network_id={network['id']}&device_owner=network:dhcp")['ports']
    held = {each['subnet_id']: each['ip_address'] for each in dhcp['fixed_ips']}
    assert (six['id'] in held) is serves
    [state] = [each for each in cloud.driver.network(network['id']).subnets if each.id == six['id']]
    assert state.dhcp_address == held.get(six['id'])


@pytest.mark.parametrize('modes', [{}, {'ipv6_address_mode': 'slaac'}])
def test_a_router_does_not_advertise_what_it_is_not_told_to(cloud, modes):
    network, _ = cloud.network(cloud.alice, None)
    six = cloud.make(cloud.alice, 'subnet', network_id=network['id'], ip_version=6, cidr='2001:db8::/64', **modes)
    router = cloud.make(cloud.alice, 'router')
    cloud.ask(cloud.alice, 'PUT', f"/routers/{router['id']}/add_router_interface", {'subnet_id': six['id']})
    cloud.bus.drain()
    [foot] = cloud.driver.router(router['id']).interfaces
    assert foot.addresses == ('2001:db8::1/64',) and foot.advertised == ()


def test_a_network_of_ipv6_alone_has_no_metadata_address(cloud):
    network, _ = cloud.network(cloud.alice, None)
    cloud.make(cloud.alice, 'subnet', network_id=network['id'], ip_version=6, cidr='2001:db8::/64',
               ipv6_address_mode='dhcpv6-stateful')
    made, _ = boot(cloud, network)
    [port] = cloud.ask(cloud.alice, 'GET', f'/ports?device_id={made.id}')['ports']
    assert port['status'] == 'ACTIVE' and cloud.sockets.open == {}


def story(cloud):
    """A server behind a router with a floating IP; what was made."""
    network, subnet = cloud.network(cloud.alice)
    public, outside = cloud.public()
    made, _ = boot(cloud, network)
    router = cloud.make(cloud.alice, 'router', name='r', external_gateway_info={'network_id': public['id']})
    cloud.ask(cloud.alice, 'PUT', f"/routers/{router['id']}/add_router_interface",
              {'subnet_id': subnet['id']})
    [port] = cloud.ask(cloud.alice, 'GET', f'/ports?device_id={made.id}')['ports']
    floating = cloud.make(cloud.alice, 'floatingip', floating_network_id=public['id'], port_id=port['id'])
    return types.SimpleNamespace(network=network, subnet=subnet, public=public, outside=outside, server=made,
                                 router=router, port=port, floating=floating)


def test_a_router_with_a_floating_ip_is_applied_after_its_networks(cloud):
    made = story(cloud)
    cloud.bus.drain()
    state = cloud.driver.router(made.router['id'])
    assert [foot.addresses for foot in state.interfaces] == [('10.0.0.1/24',)]
    assert state.gateway.addresses[0].endswith('/24') and state.gateway_nexthops == ('203.0.113.1',)
    assert [each.floating_ip_address for each in state.floating_ips] == [made.floating['floating_ip_address']]
    assert cloud.driver.network(made.public['id']).host_gateway
    shown = cloud.ask(cloud.alice, 'GET', f"/floatingips/{made.floating['id']}")['floatingip']
    assert shown['status'] == 'ACTIVE' and shown['port_details']['status'] == 'ACTIVE'
    interface = cloud.ask(cloud.root, 'GET', f"/ports?device_id={made.router['id']}")['ports']
    assert {port['status'] for port in interface} == {'ACTIVE'}
    assert {port['binding:host_id'] for port in interface} == {'node1'}


def test_the_first_server_after_the_last_one_finds_the_metadata_service_again(cloud):
    made = story(cloud)
    cloud.bus.drain()
    before = cloud.sockets.open[made.network['id']]
    ports.release(cloud.wiring, ADMIN, made.server.id)
    cloud.bus.drain()
    assert made.network['id'] in cloud.driver.present().networks    # for the router's sake, without DHCP
    assert cloud.sockets.open == {}
    boot(cloud, made.network)
    assert cloud.sockets.open[made.network['id']] is not before


def test_a_router_that_is_switched_off_keeps_its_ports_up(cloud):
    network, subnet = cloud.network(cloud.alice)
    router = cloud.make(cloud.alice, 'router', admin_state_up=False)
    cloud.ask(cloud.alice, 'PUT', f"/routers/{router['id']}/add_router_interface", {'subnet_id': subnet['id']})
    cloud.bus.drain()
    [foot] = cloud.ask(cloud.alice, 'GET', f"/ports?device_id={router['id']}")['ports']
    assert foot['status'] == 'ACTIVE' and not cloud.driver.router(router['id']).admin_state_up


def test_only_operators_see_agents(cloud):
    assert cloud.ask(cloud.alice, 'GET', '/agents')['agents'] == []
    [agent] = cloud.ask(cloud.root, 'GET', '/agents')['agents']
    assert cloud.request(cloud.alice, 'GET', f"/agents/{agent['id']}").status == 404


@pytest.mark.parametrize('trouble', ['drop', 'double'])
def test_messages_lost_or_doubled_end_in_the_same_host(cloud, trouble):
    network, subnet = cloud.network(cloud.alice)
    public, _ = cloud.public()
    getattr(cloud.bus.faults, trouble)(times=None)
    router = cloud.make(cloud.alice, 'router', external_gateway_info={'network_id': public['id']})
    cloud.ask(cloud.alice, 'PUT', f"/routers/{router['id']}/add_router_interface",
              {'subnet_id': subnet['id']})
    cloud.bus.drain()
    cloud.bus.faults.clear()
    cloud.manager.reconcile()
    assert cloud.driver.present().networks == {network['id'], public['id']}
    assert [foot.network_id for foot in cloud.driver.router(router['id']).interfaces] == [network['id']]


def test_the_reconciler_removes_what_the_database_does_not_know(cloud):
    made = story(cloud)
    cloud.bus.drain()
    cloud.bus.faults.drop(times=None)      # as if the host had been away while all this was deleted
    cloud.ask(cloud.alice, 'DELETE', f"/floatingips/{made.floating['id']}")
    ports.release(cloud.wiring, ADMIN, made.server.id)
    cloud.ask(cloud.alice, 'PUT', f"/routers/{made.router['id']}/remove_router_interface",
              {'subnet_id': made.subnet['id']})
    cloud.ask(cloud.alice, 'DELETE', f"/routers/{made.router['id']}")
    assert cloud.driver.present().routers
    cloud.manager.reconcile()
    assert cloud.driver.present().routers == cloud.driver.present().networks == frozenset()


def test_a_driver_that_fails_once_is_made_good_by_the_next_run(cloud):
    network, _ = cloud.network(cloud.alice)
    made = server()
    ports.allocate(cloud.wiring, ADMIN, made, [{'uuid': network['id']}])
    cloud.bus.drain()
    cloud.driver.remove_network(network['id'])
    cloud.driver.fail('apply_network', errors.Conflict('no room'))
    with pytest.raises(errors.Conflict):
        Network(cloud.bus).plug(ADMIN, host='node1', server_id=made.id)
    cloud.manager.reconcile()
    assert cloud.driver.network(network['id']) is not None


def test_fifty_servers_plugged_at_once_share_a_few_runs_of_the_driver(cloud):
    from strata import green
    network, _ = cloud.network(cloud.alice)
    made = [server() for _ in range(50)]
    for each in made:
        ports.allocate(cloud.wiring, ADMIN, each, [{'uuid': network['id']}])
    cloud.bus.drain()
    cloud.driver.delay('apply_network', 0.02)
    cloud.driver._sleep = green.sleep
    cloud.driver.calls.clear()
    workers = [green.spawn(Network(cloud.bus).plug, ADMIN, host='node1', server_id=each.id) for each in made]
    assert all(len(worker.wait(20)) == 1 for worker in workers)
    assert 0 < sum(verb == 'apply_network' for verb, _ in cloud.driver.calls) < 10


def looks(cloud):
    """The networks that were applied since ``calls`` was cleared, once for each time."""
    cloud.bus.drain()
    return [subject for verb, subject in cloud.driver.calls if verb == 'apply_network']


def test_many_wake_ups_at_once_are_one_run(cloud):
    network, _ = cloud.network(cloud.alice)
    boot(cloud, network)
    cloud.bus.drain()
    cloud.driver.calls.clear()
    for _ in range(20):
        rpc.wake(cloud.wiring, ADMIN, networks=[network['id']])
    assert looks(cloud) == [network['id']]


@pytest.mark.parametrize('plugging, runs', [('node1', 0), ('node2', 1), (None, 1)])
def test_a_wake_up_leaves_a_network_to_the_plug_that_follows_on_this_host(cloud, plugging, runs):
    network, _ = cloud.network(cloud.alice)
    boot(cloud, network)
    cloud.bus.drain()
    cloud.driver.calls.clear()
    rpc.wake(cloud.wiring, ADMIN, networks=[network['id']], plugging=plugging)
    assert looks(cloud) == [network['id']] * runs


def test_a_plug_brings_the_other_networks_of_its_groups_up_to_date(cloud):
    first, _ = cloud.network(cloud.alice)
    second, _ = cloud.network(cloud.alice, cidr='10.9.0.0/24')
    boot(cloud, first)
    made = server()
    [card] = ports.allocate(cloud.wiring, ADMIN, made, [{'uuid': second['id']}], plugging=True)
    Network(cloud.bus).plug(ADMIN, host='node1', server_id=made.id)
    cloud.bus.drain()
    [tap] = [port for port in cloud.driver.network(first['id']).ports if port.tap]
    allowed = {cidr for rule in tap.security_rules for cidr in rule.remote_cidrs or ()}
    assert f'{card.addresses[0]}/32' in allowed


def test_a_rule_about_a_remote_group_follows_its_members(cloud):
    network, _ = cloud.network(cloud.alice)
    web = cloud.make(cloud.alice, 'security_group', name='web')
    db = cloud.make(cloud.alice, 'security_group', name='db')
    cloud.make(cloud.alice, 'security_group_rule', security_group_id=db['id'], direction='ingress',
               protocol='tcp',
               port_range_min=3306, port_range_max=3306, remote_group_id=web['id'])
    store = server(security_groups=['db'])
    ports.allocate(cloud.wiring, ADMIN, store, [{'uuid': network['id']}])
    cloud.bus.drain()

    def allowed():
        [tap] = [port for port in cloud.driver.network(network['id']).ports if port.tap]
        [rule] = [rule for rule in tap.security_rules if rule.port_range_min == 3306]
        return rule.remote_cidrs
    assert allowed() == ()
    other, _ = cloud.network(cloud.alice, '10.9.0.0/24')
    port = cloud.make(cloud.alice, 'port', network_id=other['id'], security_groups=[web['id']])
    cloud.bus.drain()
    assert allowed() == (f"{port['fixed_ips'][0]['ip_address']}/32",)
    cloud.ask(cloud.alice, 'PUT', f"/ports/{port['id']}", {'port': {'security_groups': []}})
    cloud.bus.drain()
    assert allowed() == ()


def test_a_router_moves_from_a_host_that_is_down(cloud):
    made = story(cloud)
    cloud.bus.drain()
    with cloud.db.transaction() as tx:
        from nova.db.routers import Router
        tx.get(Router, made.router['id']).host = 'dead'
        for port in tx.query(Port).filter(Port.device_id == made.router['id']):
            port.host = 'dead'
    cloud.driver.reset()
    cloud.manager.reconcile()
    assert cloud.driver.router(made.router['id']) is not None
    interface = cloud.ask(cloud.root, 'GET', f"/ports?device_id={made.router['id']}")['ports']
    assert {port['binding:host_id'] for port in interface} == {'node1'}


def test_allocating_twice_gives_the_same_ports_and_releasing_twice_is_harmless(cloud):
    network, _ = cloud.network(cloud.alice)
    own = cloud.make(cloud.alice, 'port', network_id=network['id'])
    made = server()
    first = ports.allocate(cloud.wiring, ADMIN, made, [{'uuid': network['id'], 'tag': 'a'},
                                                       {'port': own['id']}])
    assert ports.allocate(cloud.wiring, ADMIN, made, [{'uuid': network['id']}]) == first
    assert [nic.port_id for nic in first][1] == own['id'] and first[0].tag == 'a'
    with cloud.db.reading() as tx:
        entries = ports.info(tx, [made.id])[made.id]
    assert [entry['port_id'] for entry in entries] == [nic.port_id for nic in first]
    for _ in range(2):
        ports.release(cloud.wiring, ADMIN, made.id)
    cloud.bus.drain()
    [kept] = cloud.ask(cloud.alice, 'GET', '/ports')['ports']
    assert kept['id'] == own['id'] and kept['device_id'] == '' and kept['status'] == 'DOWN'

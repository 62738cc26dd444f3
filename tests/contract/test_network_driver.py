"""What every network driver promises, on the fake ones and on the real one in a host of its own."""

import dataclasses
import os
import socket

import pytest

from nova.network import drivers
from nova.network.drivers import state as states
from nova.network.drivers.fake import FakeDriver
from strata import errors
from tests import sandbox
from tests.sandbox import network, new_id, new_mac, port, subnet

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason='needs root')


@pytest.fixture(scope='module')
def host():
    with sandbox.Sandbox() as here:
        yield here


@pytest.fixture(params=['memory', 'files', pytest.param('linux', marks=[pytest.mark.root, NEEDS_ROOT])])
def driver(request, tmp_path):
    if request.param == 'memory':
        yield FakeDriver()
    elif request.param == 'files':
        yield drivers.load('fake', directory=str(tmp_path))
    else:
        real = request.getfixturevalue('host').driver
        yield real
        real.reset()


def foot(net, *addresses):
    return states.RouterInterface(port_id=new_id(), network_id=net.id, mac_address=new_mac(),
                                  addresses=addresses, mtu=net.mtu)


def a_network(count=1):
    one = subnet()
    return network(one, ports=[port(f'10.211.1.{10 + n}', subnets=[one]) for n in range(count)])


def test_an_empty_host_has_nothing(driver):
    assert driver.present() == states.Present()


def test_an_applied_network_is_present_with_its_ports(driver):
    net = a_network(2)
    driver.apply_network(net)
    found = driver.present()
    assert found.networks == {net.id}
    assert found.ports == {one.id: net.id for one in net.ports}


def test_applying_twice_is_applying_once(driver):
    net = a_network()
    driver.apply_network(net)
    driver.apply_network(net)
    assert driver.present().ports == {net.ports[0].id: net.id}


def test_a_port_of_another_host_has_no_device_here(driver):
    one = subnet()
    net = network(one, ports=[port('10.211.1.9', subnets=[one], host='elsewhere'),
                              port('10.211.1.2', subnets=[one], tap=False)])
    driver.apply_network(net)
    assert driver.present().ports == {}


def test_a_port_the_state_no_longer_names_goes(driver):
    net = a_network(2)
    driver.apply_network(net)
    driver.apply_network(dataclasses.replace(net, ports=net.ports[:1]))
    assert driver.present().ports == {net.ports[0].id: net.id}


def test_removing_a_port_leaves_the_others(driver):
    net = a_network(2)
    driver.apply_network(net)
    driver.remove_port(net.ports[0].id)
    assert driver.present().ports == {net.ports[1].id: net.id}


def test_removing_a_network_takes_its_ports_along(driver):
    net, other = a_network(2), a_network()
    driver.apply_network(net)
    driver.apply_network(other)
    driver.remove_network(net.id)
    assert driver.present() == states.Present(networks=frozenset({other.id}),
                                              ports={other.ports[0].id: other.id})


def test_removing_what_is_not_there_is_a_success(driver):
    driver.remove_network(new_id())
    driver.remove_router(new_id())
    driver.remove_port(new_id())


def test_a_router_comes_and_goes(driver):
    net = a_network()
    driver.apply_network(net)
    router = states.RouterState(id=new_id(), interfaces=(foot(net, '10.211.1.1/24'),))
    driver.apply_router(router)
    driver.apply_router(router)
    assert driver.present().routers == {router.id}
    driver.remove_router(router.id)
    assert driver.present().routers == set()


def test_a_router_needs_the_networks_it_names(driver):
    net = a_network()
    with pytest.raises(errors.NotFound, match=net.id):
        driver.apply_router(states.RouterState(id=new_id(), interfaces=(foot(net, '10.211.1.1/24'),)))


def test_the_metadata_socket_listens(driver):
    net = a_network()
    driver.apply_network(net)
    with driver.metadata_socket(net.id) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def test_a_second_metadata_socket_may_be_had(driver):
    net = a_network()
    driver.apply_network(net)
    with driver.metadata_socket(net.id), driver.metadata_socket(net.id) as second:
        assert second.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


@pytest.mark.parametrize('net', [None, network(subnet(enable_dhcp=False)), network(subnet(dhcp_address=None))],
                         ids=['unknown', 'without DHCP', 'without a DHCP address'])
def test_no_metadata_socket_without_a_metadata_address(driver, net):
    if net:
        driver.apply_network(net)
    with pytest.raises(errors.NotFound):
        driver.metadata_socket(net.id if net else new_id())


def test_reset_leaves_nothing(driver):
    net = a_network()
    driver.apply_network(net)
    driver.apply_router(states.RouterState(id=new_id(), interfaces=(foot(net, '10.211.1.1/24'),)))
    driver.reset()
    assert driver.present() == states.Present()


@pytest.mark.parametrize('field, value', [
    ('id', 'not-a-uuid'), ('id', '../../etc'), ('host', 'a b'), ('mtu', 1), ('mtu', '1500'),
    ('kind', 'gre'), ('physical_interface', 'eth0; reboot'), ('dns_domain', 'a\nlog-dhcp'),
    ('dhcp_mac', 'FA:16:3E:00:00:01'), ('segmentation_id', -1), ('peers', ('10.0.0.1 ',)),
])
def test_a_malformed_network_is_refused_whole(driver, field, value):
    with pytest.raises(errors.Invalid, match=field):
        driver.apply_network(dataclasses.replace(a_network(), **{field: value}))
    assert driver.present().networks == set()


@pytest.mark.parametrize('field, value', [
    ('id', '1' * 36), ('mac_address', 'fa:16:3e:00:00'), ('owner_uid', -1),
    ('dns_name', 'web,set:evil'), ('fixed_ips', (states.FixedIp(subnet_id=new_id(), ip_address='10.0.0'),)),
    ('security_rules', (states.SecurityRule(direction='sideways'),)),
    ('security_rules', (states.SecurityRule(direction='ingress', protocol='tcp; drop'),)),
    ('security_rules', (states.SecurityRule(direction='ingress', remote_cidrs=('10.0.0.0/33',)),)),
    ('security_rules', (states.SecurityRule(direction='ingress', port_range_min=65536),)),
    ('dhcp_options', (states.DhcpOption(name='mtu', value='1\ndhcp-script=/bin/sh'),)),
    ('dhcp_options', (states.DhcpOption(name='mtu,6', value='1'),)),
    ('allowed_address_pairs', (states.AddressPair(ip_address='anywhere'),)),
])
def test_a_malformed_port_is_refused_whole(driver, field, value):
    bad = dataclasses.replace(port(), **{field: value})
    with pytest.raises(errors.Invalid, match=field):
        driver.apply_network(network(subnet(), ports=[bad]))
    assert driver.present().networks == set()


# ---- the fake's own

def test_states_in_files_outlive_the_driver(tmp_path):
    one = subnet()
    net = network(one, ports=[port('10.211.1.9', subnets=[one], rules=sandbox.EGRESS)])
    FakeDriver(str(tmp_path)).apply_network(net)
    assert FakeDriver(str(tmp_path)).present().ports == {net.ports[0].id: net.id}
    assert FakeDriver(str(tmp_path)).network(net.id) == net


def test_the_fake_fails_to_order():
    driver, net = FakeDriver(), a_network()
    driver.fail('apply_network', errors.Unavailable(service='nft'), times=2)
    for _ in range(2):
        with pytest.raises(errors.Unavailable):
            driver.apply_network(net)
    driver.apply_network(net)
    assert driver.calls == [('apply_network', net.id)] * 3


def test_the_fake_takes_its_time_to_order():
    slept = []
    driver = FakeDriver(sleep=slept.append)
    driver.delay('remove_network', 0.5)
    driver.remove_network(new_id())
    assert slept == [0.5]

"""One network on two hosts, joined by VXLAN; and a port's real tap with a reader behind it."""

import dataclasses
import fcntl
import os
import select
import struct

import pytest

from nova.network.drivers import state as states
from tests import sandbox
from tests.sandbox import EGRESS, PING, network, port, subnet

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason='needs root')]


@pytest.fixture(scope='module')
def hosts():
    """Two hosts on one cable."""
    with sandbox.Sandbox() as one, sandbox.Sandbox() as two:
        one.run('ip', 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable', 'netns',
                str(two.pid))
        for host, address in ((one, '192.0.2.11'), (two, '192.0.2.12')):
            host.run('ip', 'addr', 'add', f'{address}/24', 'dev', 'cable')
            host.run('ip', 'link', 'set', 'cable', 'up')
        yield one, two


def spread(ports, sub, **more):
    """The two hosts' states of one network."""
    base = network(sub, kind='vxlan', segmentation_id=4242, local_ip='192.0.2.11', mtu=1450,
                   peers=('192.0.2.11', '192.0.2.12'), ports=ports, host='one', **more)
    other = (dataclasses.replace(sub, dhcp_address='10.211.1.3'),) if sub.dhcp_address else (sub,)
    return base, dataclasses.replace(base, host='two', local_ip='192.0.2.12', subnets=other)


def test_a_network_spans_hosts(hosts):
    sub = subnet()
    ports = [port(f'10.211.1.{n}', subnets=[sub], host=host) for n, host in ((5, 'one'), (6, 'two'))]
    states_ = spread(ports, sub)
    guests = [host.guest(each) for host, each in zip(hosts, ports, strict=True)]
    try:
        for host, state in zip(hosts, states_, strict=True):
            host.driver.apply_network(state)
            host.driver.apply_network(state)
        # each host answers for its own port, under its own DHCP address
        assert guests[0].dhcp()['routes'].startswith('169.254.169.254/32 10.211.1.2 ')
        assert guests[1].dhcp()['routes'].startswith('169.254.169.254/32 10.211.1.3 ')
        for guest in guests:
            guest.configure()
        assert guests[0].pings('10.211.1.6')
        assert guests[1].pings('10.211.1.5')
        hosts[0].driver.apply_network(dataclasses.replace(states_[0], peers=('192.0.2.11',)))
        guests[0].run('ip', 'neigh', 'flush', 'all')
        flood = hosts[0].run('bridge', 'fdb', 'show', 'dev', 'vx-' + states_[0].id[:11])
        assert '00:00:00:00:00:00 dst' not in flood
    finally:
        for host in hosts:
            host.clear()


def test_security_groups_hold_across_hosts(hosts):
    sub = subnet()
    ports = [port('10.211.1.5', subnets=[sub], host='one', rules=EGRESS),
             port('10.211.1.6', subnets=[sub], host='two', rules=(*EGRESS, PING))]
    guests = [host.guest(each).configure() for host, each in zip(hosts, ports, strict=True)]
    try:
        for host, state in zip(hosts, spread(ports, sub), strict=True):
            host.driver.apply_network(state)
        assert guests[0].pings('10.211.1.6')
        assert guests[1].misses('10.211.1.5')
    finally:
        for host in hosts:
            host.clear()


def opened_tap(name):
    """What a hypervisor does with a persistent tap: opens it by name."""
    device = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, 0x400454ca, struct.pack('16sH22x', name.encode(), 0x1002))
    return device


def test_a_hypervisor_may_open_the_tap_and_speak(hosts):
    """A DHCP request written into the real tap is answered out of it."""
    host, sub = hosts[0], subnet()
    net = network(sub, ports=[port('10.211.1.5', subnets=[sub])])
    host.driver.apply_network(net)
    mac = bytes.fromhex(net.ports[0].mac_address.replace(':', ''))
    bootp = struct.pack('>BBBBIHH16s16s192xI', 1, 1, 6, 0, 0x1234, 0, 0x8000, b'', mac, 0x63825363) + \
        b'\x35\x01\x01\xff'
    udp = struct.pack('>HHHH', 68, 67, 8 + len(bootp), 0) + bootp
    head = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, b'\0' * 4, b'\xff' * 4)
    total = sum(struct.unpack('>10H', head))
    total = (total & 0xffff) + (total >> 16)
    head = head[:10] + struct.pack('>H', ~total & 0xffff) + head[12:]
    home = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
    there = os.open(f'/proc/{host.pid}/ns/net', os.O_RDONLY)
    from nova.network.host import namespaces
    try:
        namespaces._call('setns', there, 0x40000000)
        device = opened_tap(net.ports[0].tap_name)
    finally:
        namespaces._call('setns', home, 0x40000000)
        os.close(home)
        os.close(there)
    try:
        def offered():
            os.write(device, b'\xff' * 6 + mac + b'\x08\0' + head + udp)
            while select.select([device], [], [], 0.3)[0]:
                frame = os.read(device, 2000)
                if frame[12:14] == b'\x08\0' and frame[34:38] == b'\0C\0D':
                    return frame[58:62] == bytes([10, 211, 1, 5])
            return False
        assert sandbox.within(20, offered)
    finally:
        os.close(device)
        host.clear()


def test_the_state_of_a_network_knows_its_names():
    assert states.tap_name('1b4e28ba-2fa1-11d2-883f-0016d3cca427') == 'tap1b4e28ba-2f'
    assert all(len(make('1b4e28ba-2fa1-11d2-883f-0016d3cca427')) <= states.LONGEST_NAME
               for make in (states.tap_name, states.bridge_name))

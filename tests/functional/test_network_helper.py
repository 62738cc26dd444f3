"""The privileged helper as a process: whom it obeys, what it refuses, and how it dies."""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading

import pytest

from nova.network import wire
from nova.network.drivers import state as states
from strata import errors, green
from strata.testing import wait
from tests import sandbox
from tests.sandbox import EGRESS, network, new_id, new_mac, port, subnet

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason='needs root')]


@pytest.fixture
def host(shared):
    yield shared
    if shared.helper is None:
        shared.start_helper()
    shared.clear()


def a_network(count=2):
    one = subnet()
    return network(one, ports=[port(f'10.211.1.{5 + n}', subnets=[one]) for n in range(count)])


def say(host, payload):
    """What the helper answers to these bytes; None if it hangs up."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(15)
        sock.connect(host.socket)
        sock.sendall(payload)
        sock.shutdown(socket.SHUT_WR)
        try:
            return wire.receive(sock, 15)[0]
        except EOFError:
            return None


def framed(body):
    return struct.pack('>I', len(body)) + body


def asked_by(uid, host):
    """What the driver gets to hear in a process of that user."""
    script = ('import os, sys; sys.path.insert(0, sys.argv[2]); '
              'from nova.network.drivers.linux import LinuxDriver; os.setuid(int(sys.argv[3]))\n'
              'try: print(LinuxDriver(sys.argv[1]).present())\n'
              'except Exception as error: print(error)')
    return subprocess.run([sys.executable, '-c', script, host.socket, sandbox.ROOT, str(uid)], text=True,
                          capture_output=True, timeout=20, check=False).stdout


@pytest.mark.parametrize('body', [
    b'', b'{', b'[]', b'"present"', b'{}', b'{"verb": "present"}', b'{"verb": "present", "arguments": {}}',
    b'{"verb": "present", "arguments": [1]}', b'{"verb": "__init__", "arguments": ["/tmp"]}',
    b'{"verb": ["present"], "arguments": []}', b'{"verb": "remove_port", "arguments": ["../../x"]}',
    b'{"verb": "remove_network", "arguments": [null]}', b'{"verb": "present", "arguments": [], "more": 1}',
    b'\xff\xfe', b'[' * 100000,
], ids=lambda body: body[:24].decode('latin-1'))
def test_what_is_no_request_is_refused(host, body):
    assert say(host, framed(body))['error']['type'] == 'Invalid'


@pytest.mark.parametrize('payload', [b'', b'\0', b'\0\0\0\x09{', struct.pack('>I', wire.LONGEST + 1)],
                         ids=['nothing', 'half a length', 'half a message', 'too long'])
def test_a_broken_message_harms_nobody(host, payload):
    answer = say(host, payload)
    assert answer is None or answer['error']['type'] == 'Invalid'
    assert host.driver.present() == states.Present()


def test_only_root_and_the_named_user_are_obeyed(host):
    os.chmod(host.socket, 0o666)
    assert 'User 65534 is not obeyed here' in asked_by(65534, host)


def test_the_socket_belongs_to_the_named_user(host):
    host.kill_helper(signal.SIGTERM)
    host.start_helper('--user', 'nobody')
    there = os.stat(host.socket)
    assert there.st_uid == 65534
    assert there.st_mode & 0o777 == 0o660
    assert asked_by(65534, host).startswith('Present(')


def test_it_keeps_no_more_capabilities_than_it_needs(host):
    text = host.run('cat', f'/proc/{host.helper.pid}/status')
    held = dict(line.split(':\t') for line in text.splitlines() if line.startswith('Cap'))
    assert held['CapEff'] == held['CapPrm'] == held['CapBnd'] == f'{0x2034e1:016x}'


def test_a_second_helper_does_not_start(host):
    assert not host.succeeds('env', f'PYTHONPATH={sandbox.ROOT}', sys.executable, '-m',
                             'nova.cmd.net_helper', '--socket', f'{host.directory}/other.sock',
                             '--state-dir', f'{host.directory}/state')
    assert host.driver.present() == states.Present()


def test_it_ends_when_told_and_leaves_the_network_as_it_is(host):
    net = a_network()
    guests = [host.guest(one).configure() for one in net.ports]
    host.driver.apply_network(net)
    assert host.kill_helper(signal.SIGTERM) == 0
    assert guests[0].pings('10.211.1.6')
    assert guests[0].dhcp()['ip'] == '10.211.1.5'


def test_without_a_helper_the_driver_says_so(host):
    host.kill_helper()
    with pytest.raises(errors.Unavailable, match=r'helper\.sock is not available'):
        host.driver.present()


def test_no_zombies_are_left(host):
    net = a_network()
    for _ in range(3):
        host.driver.apply_network(net)
        host.driver.remove_network(net.id)
    assert host.run('ps', '--ppid', str(host.helper.pid), '-o', 'pid=', check=False) == ''


def test_greenlets_may_ask_side_by_side(host):
    nets = [a_network(1) for _ in range(6)]
    crowd = [green.spawn(host.driver.apply_network, net) for net in nets]
    for one in crowd:
        one.wait()
    assert host.driver.present().networks == {net.id for net in nets}


def test_a_slow_caller_does_not_hold_up_a_driver_for_long(host):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(host.socket)
        sock.sendall(b'\0')
        assert host.driver.present() == states.Present()


# ---- kill -9

def everything():
    """An external network, a tenant's network with two ports, and a router between them."""
    public = network(subnet('172.31.202.0/24', dhcp_address=None, enable_dhcp=False), external=True,
                     host_gateway=True)
    one = subnet()
    net = network(one, ports=[port(f'10.211.1.{n}', subnets=[one]) for n in (5, 6)])
    feet = [states.RouterInterface(port_id=new_id(), network_id=of.id, mac_address=new_mac(), mtu=of.mtu,
                                   addresses=(address,))
            for of, address in ((net, '10.211.1.1/24'), (public, '172.31.202.10/24'))]
    floating = states.FloatingIp(id=new_id(), floating_ip_address='172.31.202.50',
                                 fixed_ip_address='10.211.1.5')
    return public, net, states.RouterState(id=new_id(), interfaces=(feet[0],), gateway=feet[1],
                                           gateway_nexthops=('172.31.202.1',), floating_ips=(floating,))


def killed_amid(host, work, delay):
    """Begin the work and kill the helper so many seconds later."""
    begun = threading.Event()

    def run():
        begun.set()
        with contextlib.suppress(errors.Error):
            work()
    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    green.sleep(delay)
    host.kill_helper()
    thread.join()
    host.start_helper()


@pytest.mark.parametrize('delay', [0.001, 0.012, 0.025, 0.04, 0.06, 0.08, 0.11, 0.15])
def test_whenever_it_is_killed_the_next_apply_makes_everything_right(host, delay):
    public, net, router = everything()

    def make():
        host.driver.apply_network(public)
        host.driver.apply_network(net)
        host.driver.apply_router(router)
    before = host.snapshot()
    killed_amid(host, make, delay)
    make()
    guests = [host.guest(one).configure(gateway='10.211.1.1') for one in net.ports]
    host.driver.apply_network(net)
    assert guests[0].pings('10.211.1.6')
    assert guests[1].dhcp()['ip'] == '10.211.1.6'
    assert host.pings('172.31.202.50')
    killed_amid(host, host.driver.reset, delay)
    host.driver.reset()
    after = host.snapshot()
    for what in set(before) - {'namespaces'}:
        assert after[what] == before[what], what
    assert not [line for line in after['namespaces'] if line.startswith(('net-', 'rtr-'))]


def test_what_was_begun_before_a_kill_is_known_after_it(host):
    public, net, _ = everything()
    host.driver.apply_network(net)
    host.kill_helper()
    host.start_helper()
    assert host.driver.present().ports == {one.id: net.id for one in net.ports}
    host.driver.remove_network(net.id)
    assert states.bridge_name(net.id) not in host.run('ip', '-o', 'link')


def test_rules_are_not_torn_down_by_a_restart(host):
    """A port's number is read from the kernel again, and no packet slips through meanwhile."""
    one = subnet()
    net = network(one, ports=[port(f'10.211.1.{n}', subnets=[one], rules=EGRESS) for n in (5, 6)])
    guests = [host.guest(each).configure() for each in net.ports]
    host.driver.apply_network(net)
    numbers = host.run('nft', '-j', 'list', 'map', 'bridge', 'strata_ports', 'sources')
    host.kill_helper()
    host.start_helper()
    assert guests[0].misses('10.211.1.6')
    host.driver.apply_network(net)
    again = host.run('nft', '-j', 'list', 'map', 'bridge', 'strata_ports', 'sources')
    assert json.loads(again)['nftables'][1:] == json.loads(numbers)['nftables'][1:]
    assert guests[0].misses('10.211.1.6')


def test_reset_needs_no_running_helper(host):
    before = host.snapshot()
    public, net, router = everything()
    host.driver.apply_network(public)
    host.driver.apply_network(net)
    host.driver.apply_router(router)
    host.kill_helper()
    host.run('env', f'PYTHONPATH={sandbox.ROOT}', sys.executable, '-m', 'nova.cmd.net_helper',
             '--state-dir', f'{host.directory}/state', '--reset')
    assert host.snapshot() == before
    host.start_helper()
    assert wait.until(lambda: host.driver.present() == states.Present(), timeout=5)

"""From the API to the packet: rows, states, the helper and guests, on a host of the test's own."""

import os
import sys

import pytest

from nova.network import states
from nova.network.manager import NetworkManager
from strata.wsgi.server import Server
from tests import sandbox
from tests.functional.network_cloud import Cloud

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason='needs root')]


FETCH = ("import urllib.request; "
         "print(urllib.request.urlopen('http://169.254.169.254/', timeout=5).read().decode())")


def asked(environ, start):
    """What the metadata service knows of a request, as its answer."""
    body = f"{environ['strata.socket']} {environ['REMOTE_ADDR']}".encode()
    start('200 OK', [('Content-Length', str(len(body)))])
    return [body]


@pytest.fixture
def cloud(tmp_path):
    with sandbox.Sandbox() as host:
        made = Cloud(tmp_path)
        made.sandbox = host
        made.metadata = Server(asked, None, name='metadata')
        made.manager = NetworkManager(made.wiring, host.driver, made.metadata)
        made.bus.attach(made.manager, 'node1')
        made.bus.start()
        made.manager.start()
        made.metadata.start()
        yield made
        made.bus.stop()
        made.metadata.stop(1)
        made.close()


def boot(cloud, who, network, address, device):
    """A port of a server on this host, and a guest behind it."""
    port = cloud.make(who, 'port', network_id=network['id'], device_id=device, device_owner='compute:nova',
                      fixed_ips=[{'ip_address': address}])
    cloud.ask(cloud.root, 'PUT', f"/ports/{port['id']}", {'port': {'binding:host_id': 'node1'}})
    cloud.bus.drain()
    with cloud.db.reading() as tx:
        state = states.network_states(tx, cloud.wiring, [network['id']])[network['id']]
    guest = cloud.sandbox.guest(next(each for each in state.ports if each.id == port['id']))
    cloud.manager.reconcile()
    return port, guest


def test_a_project_goes_from_nothing_to_a_guest_that_the_world_reaches(cloud):
    public, _ = cloud.public('172.31.240.0/24')
    network, subnet = cloud.network(cloud.alice)
    router = cloud.make(cloud.alice, 'router', external_gateway_info={'network_id': public['id']})
    cloud.ask(cloud.alice, 'PUT', f"/routers/{router['id']}/add_router_interface", {'subnet_id': subnet['id']})
    port, guest = boot(cloud, cloud.alice, network, '10.0.0.200', 'server')
    floating = cloud.make(cloud.alice, 'floatingip', floating_network_id=public['id'], port_id=port['id'])
    cloud.bus.drain()

    lease = guest.dhcp()
    assert lease['ip'] == '10.0.0.200' and lease['router'] == '10.0.0.1'
    guest.configure(gateway='10.0.0.1')
    assert guest.pings('172.31.240.1'), 'no way out'
    outside = floating['floating_ip_address']
    assert cloud.sandbox.misses(outside), 'the default group lets strangers in'
    cloud.make(cloud.alice, 'security_group_rule', security_group_id=port['security_groups'][0],
               direction='ingress', protocol='icmp')
    cloud.bus.drain()
    assert cloud.sandbox.pings(outside)
    assert cloud.ask(cloud.alice, 'GET', f"/floatingips/{floating['id']}")['floatingip']['status'] == 'ACTIVE'

    cloud.ask(cloud.alice, 'PUT', f"/floatingips/{floating['id']}", {'floatingip': {'port_id': None}})
    cloud.bus.drain()
    assert cloud.sandbox.misses(outside)


def test_two_projects_with_the_same_range_do_not_meet_and_share_a_metadata_address(cloud):
    mine, _ = cloud.network(cloud.alice)
    other, _ = cloud.network(cloud.bob)
    _, guest = boot(cloud, cloud.alice, mine, '10.0.0.200', 'a')
    _, stranger = boot(cloud, cloud.bob, other, '10.0.0.201', 'b')
    _, friend = boot(cloud, cloud.alice, mine, '10.0.0.201', 'c')
    for each in (guest, stranger, friend):
        each.configure()
    assert guest.pings('10.0.0.201')
    assert friend.pings('10.0.0.200')
    assert stranger.misses('10.0.0.200')
    for each, network, address in ((guest, mine, '10.0.0.200'), (stranger, other, '10.0.0.201')):
        [via] = [word for word in each.dhcp()['routes'].split() if word.startswith('10.0.0.')][:1]
        each.run('ip', 'route', 'replace', '169.254.169.254', 'via', via)
        assert each.run(sys.executable, '-c', FETCH).strip() == f"{network['id']} {address}"

"""Routers on a real host: SNAT, floating addresses, and the way to the world outside."""

import dataclasses
import os

import pytest

from nova.network.drivers import state as states
from tests import sandbox
from tests.sandbox import EGRESS, PING, network, new_id, new_mac, port, subnet, tcp

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason='needs root')]

OUTSIDE = '192.0.2.254'


@pytest.fixture(scope='module')
def shared():
    """A host with an interface to a world outside, which knows no way to the cloud's addresses."""
    with sandbox.Sandbox() as here:
        here.run('ip', 'netns', 'add', 'outside')
        here.run('ip', 'link', 'add', 'wan0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'outside')
        here.run('ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'wan0')
        here.run('ip', 'link', 'set', 'wan0', 'up')
        here.run('ip', 'route', 'add', 'default', 'via', OUTSIDE)
        here.run('ip', 'addr', 'add', f'{OUTSIDE}/24', 'dev', 'eth0', namespace='outside')
        here.run('ip', 'link', 'set', 'eth0', 'up', namespace='outside')
        yield here


@pytest.fixture
def public(host):
    net = network(subnet('172.31.201.0/24', gateway_ip='172.31.201.1', dhcp_address=None, enable_dhcp=False),
                  external=True, host_gateway=True)
    host.driver.apply_network(net)
    return net


def foot(net, *addresses):
    return states.RouterInterface(port_id=new_id(), network_id=net.id, mac_address=new_mac(),
                                  addresses=addresses, mtu=net.mtu)


def tenant(host, base='10.211.1', rules=(*EGRESS, PING)):
    """A network with guests at .5 and .6 whose default route is .1."""
    one = subnet(f'{base}.0/24')
    net = network(one, ports=[port(f'{base}.{n}', subnets=[one], rules=rules) for n in (5, 6)])
    guests = [host.guest(each).configure(gateway=f'{base}.1') for each in net.ports]
    host.driver.apply_network(net)
    return net, guests


def router(*nets, public=None, address='172.31.201.10/24', floating=(), **more):
    """A router with .1 in each network, and a gateway."""
    feet = tuple(foot(net, net.subnets[0].gateway_ip + '/24') for net in nets)
    gateway = {'gateway': foot(public, address), 'gateway_nexthops': ('172.31.201.1',)} if public else {}
    ips = tuple(states.FloatingIp(id=new_id(), floating_ip_address=outer, fixed_ip_address=inner)
                for outer, inner in floating)
    return states.RouterState(**{'id': new_id(), 'interfaces': feet, 'floating_ips': ips, **gateway, **more})


def test_a_router_joins_two_networks(host):
    left, (guest, _) = tenant(host)
    right, (other, _) = tenant(host, '10.211.2')
    assert guest.misses('10.211.2.5')
    host.driver.apply_router(router(left, right))
    assert guest.pings('10.211.2.5')
    assert other.pings('10.211.1.5')
    assert guest.pings('10.211.1.1')


def test_security_groups_hold_for_what_a_router_brings(host):
    left, (guest, _) = tenant(host)
    right, (other, _) = tenant(host, '10.211.2', rules=(*EGRESS, tcp(22, '10.211.1.5/32')))
    host.driver.apply_router(router(left, right))
    other.listens(22)
    assert guest.reaches('10.211.2.5', 22)
    assert guest.misses('10.211.2.5')
    assert other.pings('10.211.1.5')


def test_guests_reach_the_outside_under_the_host_s_address(host, public):
    net, (guest, _) = tenant(host)
    host.driver.apply_router(router(net, public=public))
    assert guest.pings('172.31.201.1')
    assert guest.pings(OUTSIDE)
    server = host.start('python3', '-c', 'import socket; s = socket.create_server(("", 8080)); '
                        'print("ready", flush=True); print(s.accept()[1][0])', namespace='outside')
    assert server.stdout.readline() == 'ready\n'
    assert guest.reaches(OUTSIDE, 8080)
    assert server.stdout.read() == '192.0.2.1\n'


def test_without_snat_private_addresses_stay_what_they_are(host, public):
    net, (guest, _) = tenant(host)
    made = router(net, public=public, enable_snat=False)
    host.driver.apply_router(made)
    assert guest.misses(OUTSIDE)
    host.driver.apply_router(dataclasses.replace(made, enable_snat=True))
    assert guest.pings(OUTSIDE)


def test_a_floating_address_leads_in_and_out(host, public):
    net, (guest, _) = tenant(host, rules=(*EGRESS, PING, tcp(22)))
    host.driver.apply_router(router(net, public=public, floating=[('172.31.201.50', '10.211.1.5')]))
    assert host.pings('172.31.201.50')
    guest.listens(22)
    assert host.run('python3', sandbox.GUEST, 'talk', '172.31.201.50', '22').startswith('connected')
    server = host.start('python3', '-c', 'import socket; s = socket.create_server(("172.31.201.1", 8080)); '
                        'print("ready", flush=True); print(s.accept()[1][0])')
    assert server.stdout.readline() == 'ready\n'
    assert guest.reaches('172.31.201.1', 8080)
    assert server.stdout.read() == '172.31.201.50\n'


def test_security_groups_hold_for_a_floating_address(host, public):
    net, (guest, _) = tenant(host, rules=(*EGRESS, tcp(22)))
    host.driver.apply_router(router(net, public=public, floating=[('172.31.201.50', '10.211.1.5')]))
    assert host.misses('172.31.201.50')


def test_a_floating_address_is_reached_from_inside_too(host, public):
    net, (guest, other) = tenant(host)
    host.driver.apply_router(router(net, public=public, floating=[('172.31.201.50', '10.211.1.5')]))
    assert other.pings('172.31.201.50')
    assert guest.pings('172.31.201.50')


def test_a_floating_address_moves_at_once_with_its_connections(host, public):
    net, (guest, other) = tenant(host, rules=(*EGRESS, PING, tcp(22)))
    made = router(net, public=public, floating=[('172.31.201.50', '10.211.1.5')])
    host.driver.apply_router(made)
    guest.listens(22)
    other.listens(22)
    talk = sandbox.Conversation(host.start('python3', sandbox.GUEST, 'talk', '172.31.201.50', '22'))
    assert talk.say('one') == 'heard one'
    moved = dataclasses.replace(made.floating_ips[0], fixed_ip_address='10.211.1.6')
    host.driver.apply_router(dataclasses.replace(made, floating_ips=(moved,)))
    assert talk.say('two') != 'heard two'
    guest.run('ip', 'link', 'set', 'eth0', 'down')
    assert host.run('python3', sandbox.GUEST, 'talk', '172.31.201.50', '22').startswith('connected')


def test_a_floating_address_taken_away_is_gone(host, public):
    net, _ = tenant(host)
    made = router(net, public=public, floating=[('172.31.201.50', '10.211.1.5')])
    host.driver.apply_router(made)
    assert host.pings('172.31.201.50')
    host.driver.apply_router(dataclasses.replace(made, floating_ips=()))
    assert host.misses('172.31.201.50')


def test_a_floating_address_moves_between_routers_by_announcement(host, public):
    """The host's neighbour entry still names the first router when the second one announces itself."""
    first, _ = tenant(host)
    second, _ = tenant(host, '10.211.2')
    made = router(first, public=public, floating=[('172.31.201.50', '10.211.1.5')])
    heir = router(second, public=public, address='172.31.201.11/24',
                  floating=[('172.31.201.50', '10.211.2.5')])
    host.driver.apply_router(made)
    assert host.pings('172.31.201.50')
    host.driver.apply_router(dataclasses.replace(made, floating_ips=()))
    host.driver.apply_router(heir)
    assert heir.gateway.mac_address in host.run('ip', 'neigh', 'show', '172.31.201.50')
    assert host.pings('172.31.201.50')


def test_tenants_of_the_same_range_live_side_by_side(host, public):
    """Each reaches the outside and has a floating address; neither reaches the other's private ones."""
    one, (guest, _) = tenant(host)
    two, (other, _) = tenant(host)
    host.driver.apply_router(router(one, public=public, floating=[('172.31.201.51', '10.211.1.5')]))
    host.driver.apply_router(router(two, public=public, address='172.31.201.11/24',
                                    floating=[('172.31.201.52', '10.211.1.5')]))
    assert guest.pings(OUTSIDE) and other.pings(OUTSIDE)
    assert guest.pings('172.31.201.52') and other.pings('172.31.201.51')
    other.run('ip', 'link', 'set', 'eth0', 'down')
    assert guest.pings('10.211.1.5')                    # itself
    assert guest.misses('172.31.201.52')


def test_nobody_outside_reaches_private_addresses_through_the_router(host, public):
    net, (guest, _) = tenant(host)
    made = router(net, public=public)
    host.driver.apply_router(made)
    assert guest.pings(OUTSIDE)
    host.run('ip', 'route', 'add', '10.211.1.0/24', 'via', '172.31.201.10')
    try:
        assert host.misses('10.211.1.5')
    finally:
        host.run('ip', 'route', 'del', '10.211.1.0/24', check=False)


def test_static_routes_lead_on(host):
    left, (guest, _) = tenant(host)
    right, (other, via) = tenant(host, '10.211.2')
    made = router(left, right)
    host.driver.apply_router(made)
    via.run('ip', 'addr', 'add', '10.77.0.1/32', 'dev', 'lo')
    pairs = (states.AddressPair(ip_address='10.77.0.0/16'),)
    host.driver.apply_network(dataclasses.replace(
        right, ports=(right.ports[0], dataclasses.replace(right.ports[1], allowed_address_pairs=pairs))))
    assert guest.misses('10.77.0.1')
    routes = (states.Route(destination='10.77.0.0/16', nexthop='10.211.2.6'),)
    host.driver.apply_router(dataclasses.replace(made, routes=routes))
    assert guest.pings('10.77.0.1')
    host.driver.apply_router(made)
    assert guest.misses('10.77.0.1')


def test_an_interface_can_be_taken_off_a_router(host):
    left, (guest, _) = tenant(host)
    right, _ = tenant(host, '10.211.2')
    made = router(left, right)
    host.driver.apply_router(made)
    assert guest.pings('10.211.2.5')
    host.driver.apply_router(dataclasses.replace(made, interfaces=made.interfaces[:1]))
    assert guest.misses('10.211.2.5')
    assert guest.pings('10.211.1.1')


def test_a_router_that_is_down_routes_nothing(host, public):
    net, (guest, _) = tenant(host)
    made = router(net, public=public)
    host.driver.apply_router(dataclasses.replace(made, admin_state_up=False))
    assert guest.misses(OUTSIDE)
    assert host.driver.present().routers == {made.id}
    host.driver.apply_router(made)
    assert guest.pings(OUTSIDE)


def test_a_router_somebody_broke_is_mended(host, public):
    net, (guest, _) = tenant(host)
    made = router(net, public=public, floating=[('172.31.201.50', '10.211.1.5')])
    host.driver.apply_router(made)
    inside = states.router_namespace(made.id)
    host.run('nft', 'flush', 'ruleset', namespace=inside)
    host.run('ip', 'route', 'del', 'default', namespace=inside)
    host.run('ip', 'link', 'del', 'qr-' + made.interfaces[0].port_id[:11], namespace=inside)
    host.driver.apply_router(made)
    assert guest.pings(OUTSIDE)
    assert host.pings('172.31.201.50')
    host.run('ip', 'netns', 'del', inside)
    host.driver.apply_router(made)
    assert guest.pings(OUTSIDE)


def test_security_groups_hold_for_a_port_on_the_public_network_itself(host, public):
    """Whether the host itself or the world behind it comes in: both are routed, not bridged, to the port."""
    one = public.subnets[0]
    shut, ajar = (port(f'172.31.201.{n}', subnets=[one], rules=rules)
                  for n, rules in ((77, EGRESS), (78, (*EGRESS, PING))))
    guests = [host.guest(each).configure(gateway='172.31.201.1') for each in (shut, ajar)]
    host.driver.apply_network(dataclasses.replace(public, ports=(shut, ajar)))
    host.run('ip', 'route', 'replace', '172.31.201.0/24', 'via', '192.0.2.1', namespace='outside')
    try:
        for source in (None, 'outside'):
            assert host.pings('172.31.201.78', namespace=source)
            assert host.misses('172.31.201.77', namespace=source)
        assert all(guest.pings(OUTSIDE) and guest.pings('172.31.201.1') for guest in guests)
        moved = dataclasses.replace(ajar, fixed_ips=shut.fixed_ips)
        guests[0].run('ip', 'link', 'set', 'eth0', 'down')
        guests[1].run('ip', 'addr', 'replace', '172.31.201.77/24', 'dev', 'eth0')
        host.driver.apply_network(dataclasses.replace(public, ports=(moved,)))
        host.run('ip', 'neigh', 'flush', 'to', '172.31.201.77')
        assert host.pings('172.31.201.77')
    finally:
        host.run('ip', 'route', 'del', '172.31.201.0/24', namespace='outside')


@pytest.mark.parametrize('hardened', [False, True])
def test_reset_gives_everything_back(host, hardened):
    """Also where an administrator had set what forwarding changes along."""
    host.run('sysctl', '-qw', f'net.ipv4.conf.all.accept_redirects={int(not hardened)}',
             f'net.ipv4.conf.wan0.forwarding={int(hardened)}')
    sandbox.within(3, lambda: 'tentative' not in host.run('ip', 'addr'))
    before = host.snapshot()
    public = network(subnet('172.31.201.0/24', dhcp_address=None, enable_dhcp=False),
                     external=True, host_gateway=True)
    host.driver.apply_network(public)
    net = network(one := subnet(), ports=[port('10.211.1.5', subnets=[one])])
    host.driver.apply_network(net)
    host.driver.apply_router(router(net, public=public, floating=[('172.31.201.50', '10.211.1.5')]))
    assert host.run('sysctl', '-n', 'net.ipv4.ip_forward').strip() == '1'
    assert host.snapshot()['rules'] != before['rules']
    host.driver.reset()
    after = host.snapshot()
    for what in before:
        assert after[what] == before[what], what

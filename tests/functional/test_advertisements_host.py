"""IPv6 on a real host: routers advertise themselves and their ranges, DHCPv6 does the rest."""

import dataclasses
import os
import struct

import pytest

from nova.network.drivers import state as states
from tests.sandbox import EGRESS, network, new_id, new_mac, port, subnet, within

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason='needs root')]

PING6 = states.SecurityRule(direction='ingress', ethertype='IPv6', protocol='icmpv6', port_range_min=128,
                            port_range_max=0)


def foot(net, *, mac=None, servers=()):
    """A router's interface that advertises all ranges of a network."""
    return states.RouterInterface(
        port_id=new_id(), network_id=net.id, mac_address=mac or new_mac(), mtu=net.mtu,
        addresses=tuple(f'{one.gateway_ip}/64' for one in net.subnets),
        advertised=tuple(states.Advertised(cidr=one.cidr, mode=one.ipv6_ra_mode, dns_nameservers=servers)
                         for one in net.subnets))


def router(*nets, **more):
    return states.RouterState(id=new_id(), interfaces=tuple(foot(net, **more) for net in nets))


def slaac(mac, cidr):
    """The address that a guest makes for itself."""
    octets = bytearray.fromhex(mac.replace(':', ''))
    octets[0] ^= 2
    whole = bytes(octets[:3]) + b'\xff\xfe' + bytes(octets[3:])
    return cidr.removesuffix('::/64') + ''.join(f':{int.from_bytes(whole[n:n + 2], "big"):x}' for n in (0, 2, 4, 6))


def tenant(host, cidr='fd00:211:0:1::/64', mode='slaac', rules=(*EGRESS, PING6), **more):
    """A network of two guests that have no address but what they are told."""
    base = cidr.removesuffix('::/64')
    leased = {'dhcp_address': f'{base}::2'} if mode != 'slaac' else {}
    one = subnet(cidr, gateway_ip=f'{base}::1', ipv6_ra_mode=mode, ipv6_address_mode=mode, **leased, **more)
    macs = [new_mac(), new_mac()]
    own = [f'{base}::5', f'{base}::6'] if mode == 'dhcpv6-stateful' else [slaac(mac, cidr) for mac in macs]
    net = network(one, ports=[port(address, subnets=[one], rules=rules, mac_address=mac)
                              for address, mac in zip(own, macs, strict=True)])
    guests = [host.guest(each) for each in net.ports]
    host.driver.apply_network(net)
    return net, guests


def has(guest, address=None):
    """Whether a guest comes to have its address."""
    return within(8, lambda: f'{address or guest.address}/64' in guest.run('ip', '-6', 'addr', 'show', 'dev', 'eth0'))


def default_routes(guest):
    return [line.split()[2] for line in guest.run('ip', '-6', 'route', 'show', 'default').splitlines()]


def link_local(mac):
    return slaac(mac, 'fe80::/64').replace('fe80:', 'fe80::')


def heard(guest, made):
    """The advertisements a guest hears while something is made, as frames."""
    sniffer = guest.starts('sniff', '2.5')
    assert sniffer.stdout.readline() == 'ready\n'
    made()
    frames = [bytes.fromhex(line) for line in sniffer.stdout.read().splitlines()]
    return [frame for frame in frames if frame[12:14] == b'\x86\xdd' and frame[20] == 58 and frame[54] == 134]


def parsed(frame):
    """An advertisement's fields, and its options by type."""
    flags, lifetime = struct.unpack_from('>xBH', frame, 58)
    found, rest = {}, frame[70:]
    while rest:
        found.setdefault(rest[0], []).append(rest[:rest[1] * 8])
        rest = rest[rest[1] * 8:]
    return flags, lifetime, found


def test_guests_make_addresses_from_what_the_router_says(host):
    left, (guest, neighbour) = tenant(host)
    right, (other, _) = tenant(host, 'fd00:211:0:2::/64')
    made = router(left, right)
    host.driver.apply_router(made)
    assert has(guest) and has(neighbour) and has(other)
    assert default_routes(guest) == [link_local(made.interfaces[0].mac_address)]
    assert guest.run('cat', '/proc/sys/net/ipv6/conf/eth0/mtu').strip() == '1450'
    assert guest.pings(neighbour.address) and guest.pings('fd00:211:0:1::1')
    assert guest.pings(other.address) and other.pings(guest.address)


def test_a_guest_that_comes_later_is_answered(host):
    """It asks; the next unasked advertisement may be far."""
    net, (guest, neighbour) = tenant(host)
    host.driver.apply_router(router(net))
    assert has(guest) and has(neighbour)
    guest.run('ip', 'link', 'set', 'eth0', 'down')
    assert guest.run('ip', '-6', 'addr', 'show', 'dev', 'eth0', 'scope', 'global') == ''
    guest.run('ip', 'link', 'set', 'eth0', 'up')
    assert has(guest)


def test_a_thousand_questions_are_one_answer(host):
    net, (guest, other) = tenant(host)
    host.driver.apply_router(router(net))
    assert has(guest) and has(other)
    answers = heard(other, lambda: guest.does('solicit', '1000'))
    assert 1 <= len(answers) <= 2


@pytest.mark.parametrize('mode, flags, prefix', [('slaac', 0x00, 0xc0), ('dhcpv6-stateless', 0x40, 0xc0),
                                                 ('dhcpv6-stateful', 0xc0, 0x80)])
def test_an_advertisement_says_how_addresses_are_had(host, mode, flags, prefix):
    net, (guest, _) = tenant(host, mode=mode)
    made = router(net, servers=('2001:db8::53', '192.0.2.53'))
    first = heard(guest, lambda: host.driver.apply_router(made))[0]
    mac = bytes.fromhex(made.interfaces[0].mac_address.replace(':', ''))
    assert (first[6:12], first[21]) == (mac, 255)
    said, lifetime, options = parsed(first)
    assert (said, lifetime) == (flags, 1800)
    assert options[1] == [b'\1\1' + mac]
    assert options[5] == [struct.pack('>BBHI', 5, 1, 0, 1450)]
    [range_] = options[3]
    assert (range_[2], range_[3], range_[16:]) == (64, prefix, bytes.fromhex('fd00021100000001') + b'\0' * 8)
    assert options[25] == [struct.pack('>BBHI', 25, 3, 0, 1800) + bytes.fromhex('20010db8') + b'\0' * 10 + b'\0\x53']


def test_all_ranges_of_an_interface_are_in_one_advertisement(host):
    ranges = [subnet(f'fd00:211:0:{n}::/64', gateway_ip=f'fd00:211:0:{n}::1', ipv6_ra_mode='slaac',
                     ipv6_address_mode='slaac') for n in (1, 2)]
    mac = new_mac()
    net = network(*ranges, ports=[port(*(slaac(mac, one.cidr) for one in ranges), subnets=ranges, mac_address=mac)])
    guest = host.guest(net.ports[0])
    host.driver.apply_network(net)
    host.driver.apply_router(router(net))
    assert all(has(guest, one.ip_address) for one in net.ports[0].fixed_ips)
    assert len(default_routes(guest)) == 1
    assert guest.pings('fd00:211:0:1::1') and guest.pings('fd00:211:0:2::1')


def test_an_interface_that_goes_is_no_default_route_any_more(host):
    net, (guest, _) = tenant(host)
    made = router(net)
    for going in (lambda: host.driver.apply_router(dataclasses.replace(made, interfaces=())),
                  lambda: host.driver.apply_router(dataclasses.replace(made, admin_state_up=False)),
                  lambda: host.driver.remove_router(made.id)):
        host.driver.apply_router(made)
        assert within(8, lambda: default_routes(guest))
        going()
        assert within(3, lambda: default_routes(guest) == [])


def test_a_router_that_does_not_advertise_is_not_heard(host):
    net, (guest, _) = tenant(host)
    made = router(net)
    quiet = dataclasses.replace(made, interfaces=(dataclasses.replace(made.interfaces[0], advertised=()),))
    assert heard(guest, lambda: host.driver.apply_router(quiet)) == []
    assert heard(guest, lambda: host.driver.apply_router(made)) != []
    *_, last = heard(guest, lambda: host.driver.apply_router(quiet))
    assert parsed(last) == (0, 0, {})


def test_a_helper_that_dies_leaves_guests_what_they_have_and_its_heir_goes_on(host):
    net, (guest, late) = tenant(host)
    made = router(net)
    late.run('ip', 'link', 'set', 'eth0', 'down')
    host.driver.apply_router(made)
    assert has(guest)
    host.kill_helper()
    host.start_helper()
    assert default_routes(guest) and guest.pings('fd00:211:0:1::1')
    host.driver.apply_network(net)
    host.driver.apply_router(made)
    late.run('ip', 'link', 'set', 'eth0', 'up')
    assert has(late)


def test_an_heir_takes_back_what_its_predecessor_advertised(host):
    net, (guest, _) = tenant(host)
    made = router(net)
    host.driver.apply_router(made)
    assert has(guest)
    host.kill_helper()
    host.start_helper()
    host.driver.remove_router(made.id)
    assert within(3, lambda: default_routes(guest) == [])


def test_an_interface_somebody_broke_advertises_again(host):
    net, (guest, _) = tenant(host)
    made = router(net)
    host.driver.apply_router(made)
    assert has(guest)
    inside, inner = states.router_namespace(made.id), 'qr-' + made.interfaces[0].port_id[:11]
    for breaking in (('ip', 'netns', 'del', inside), ('ip', '-n', inside, 'link', 'del', inner)):
        host.run(*breaking)
        assert heard(guest, lambda: host.driver.apply_router(made)) != []


def test_a_guest_s_advertisement_reaches_nobody(host):
    net, (guest, other) = tenant(host)
    made = router(net)
    host.driver.apply_router(made)
    assert has(other)
    guest.does('advertise')
    assert guest.pings('fd00:211:0:1::1') and other.pings('fd00:211:0:1::1')
    assert default_routes(other) == [link_local(made.interfaces[0].mac_address)]


def test_advertisements_come_whatever_the_security_groups_say(host):
    net, (guest, _) = tenant(host, rules=())
    host.driver.apply_router(router(net))
    assert has(guest)


def test_a_stateful_address_comes_by_dhcp(host):
    net, (guest, other) = tenant(host, mode='dhcpv6-stateful', dns_nameservers=('2001:db8::53',), rules=())
    host.driver.apply_router(router(net))
    assert within(8, lambda: default_routes(guest))
    assert guest.does('dhcp6', 'address') == ['address fd00:211:0:1::5', 'dns 2001:db8::53']
    assert other.does('dhcp6', 'address') == ['address fd00:211:0:1::6', 'dns 2001:db8::53']
    assert guest.run('ip', '-6', 'addr', 'show', 'dev', 'eth0', 'scope', 'global') == ''    # none of its own making


def test_a_leased_address_passes_to_the_next_port_at_once(host):
    net, (guest, _) = tenant(host, mode='dhcpv6-stateful')
    assert guest.does('dhcp6', 'address')[0] == 'address fd00:211:0:1::5'
    heir = dataclasses.replace(net.ports[0], id=new_id(), mac_address=new_mac())
    other = host.guest(heir)
    host.driver.apply_network(dataclasses.replace(net, ports=(heir,)))
    assert other.does('dhcp6', 'address')[0] == 'address fd00:211:0:1::5'


def test_settings_come_by_dhcp_where_addresses_do_not(host):
    net, (guest, _) = tenant(host, mode='dhcpv6-stateless', dns_nameservers=('2001:db8::53',))
    host.driver.apply_router(router(net))
    assert has(guest)
    assert guest.does('dhcp6', 'settings') == ['dns 2001:db8::53']


def test_nobody_answers_dhcp_where_there_is_none(host):
    _, (guest, _) = tenant(host)
    assert guest.does('dhcp6', 'address') == ['silent']
    assert host.snapshot()['processes'] == []


def test_a_guest_cannot_take_another_address(host):
    net, (guest, other) = tenant(host)
    host.driver.apply_router(router(net))
    assert has(guest) and has(other)
    assert other.pings(guest.address)
    guest.run('ip', 'addr', 'add', 'fd00:211:0:1::99/64', 'dev', 'eth0', 'nodad')
    assert other.misses('fd00:211:0:1::99')
    assert ' 0% packet loss' not in guest.run('ping', '-c', '1', '-W', '1', '-I', 'fd00:211:0:1::99', other.address,
                                              check=False)
    assert other.pings(guest.address)


def test_reset_gives_everything_back(host):
    within(3, lambda: 'tentative' not in host.run('ip', 'addr'))
    before = host.snapshot()
    net, guests = tenant(host, mode='dhcpv6-stateful')
    host.driver.apply_router(router(net))
    assert within(8, lambda: default_routes(guests[0]))
    host.driver.reset()
    host.forget_guests()
    after = host.snapshot()
    for what in before:
        assert after[what] == before[what], what

"""Networks on a real host: namespaces play the guests, the real helper makes the network."""

import contextlib
import dataclasses
import os
import threading

import pytest

from nova.network.drivers import state as states
from strata import errors
from tests import sandbox
from tests.sandbox import EGRESS, PING, network, new_id, new_mac, port, subnet, tcp

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason='needs root')]


def plugged(host, net):
    """The network applied, with a guest in each of its ports."""
    guests = [host.guest(one).configure() for one in net.ports]
    host.driver.apply_network(net)
    return guests


def pair(cidr='10.211.1.0/24', *, rules=(*EGRESS, PING), second=None, **more):
    """A network of two ports, .5 and .6."""
    one, base = subnet(cidr), cidr.rpartition('.')[0]
    return network(one, ports=[port(f'{base}.5', subnets=[one], rules=rules, **more),
                               port(f'{base}.6', subnets=[one], rules=second or rules, **more)])


def with_rules(net, number, *rules):
    """The same network, with other rules on one port."""
    ports = list(net.ports)
    ports[number] = dataclasses.replace(ports[number], security_rules=tuple(rules))
    return dataclasses.replace(net, ports=tuple(ports))


# ---- DHCP and metadata

def test_a_guest_gets_its_own_address_with_all_that_goes_with_it(host):
    one = subnet(dns_nameservers=('9.9.9.9',),
                 host_routes=(states.Route(destination='10.9.0.0/16', nexthop='10.211.1.9'),))
    net = network(one, ports=[port('10.211.1.77', subnets=[one], dns_name='web')])
    guest = host.guest(net.ports[0])
    host.driver.apply_network(net)
    assert guest.dhcp() == {
        'ip': '10.211.1.77', 'router': '10.211.1.1', 'mtu': '1450', 'dns': '9.9.9.9', 'hostname': 'web',
        'domain': 'openstacklocal',
        'routes': '169.254.169.254/32 10.211.1.2 10.9.0.0/16 10.211.1.9 0.0.0.0/0 10.211.1.1'}


def test_a_port_has_dhcp_options_of_its_own(host):
    one = subnet()
    option = states.DhcpOption(name='mtu', value='1234')
    net = network(one, ports=[port('10.211.1.5', subnets=[one], dhcp_options=(option,)),
                              port('10.211.1.6', subnets=[one])])
    first, second = plugged(host, net)
    assert (first.dhcp()['mtu'], second.dhcp()['mtu']) == ('1234', '1450')


def test_a_stranger_gets_no_address(host):
    net = pair()
    guest = host.guest(net.ports[0])
    host.driver.apply_network(dataclasses.replace(net, ports=(
        dataclasses.replace(net.ports[0], fixed_ips=()), net.ports[1])))
    assert guest.dhcp(patience=3) is None


def test_a_port_added_later_is_served_too(host):
    net = pair()
    first = host.guest(net.ports[0])
    host.driver.apply_network(dataclasses.replace(net, ports=net.ports[:1]))
    assert first.dhcp()['ip'] == '10.211.1.5'
    second = host.guest(net.ports[1])
    host.driver.apply_network(net)
    assert second.dhcp()['ip'] == '10.211.1.6'


def test_an_address_passes_to_the_next_port_at_once(host):
    net = pair()
    first = host.guest(net.ports[0])
    host.driver.apply_network(dataclasses.replace(net, ports=net.ports[:1]))
    assert first.dhcp()['ip'] == '10.211.1.5'
    heir = dataclasses.replace(net.ports[1], fixed_ips=net.ports[0].fixed_ips)
    second = host.guest(heir)
    host.driver.apply_network(dataclasses.replace(net, ports=(heir,)))
    assert second.dhcp()['ip'] == '10.211.1.5'


def test_a_dead_dhcp_server_is_started_again(host):
    net = pair()
    guest, _ = plugged(host, net)
    with open(f'{host.directory}/state/networks/{net.id}/pid') as file:
        host.run('kill', '-9', file.read().strip())
    host.driver.apply_network(net)
    assert guest.dhcp()['ip'] == '10.211.1.5'


def test_a_pid_file_that_names_a_stranger_harms_nobody(host):
    net = pair()
    guest, _ = plugged(host, net)
    stranger = host.start('sleep', '60')
    with open(f'{host.directory}/state/networks/{net.id}/pid', 'w') as file:
        file.write(str(stranger.pid))
    host.driver.remove_network(net.id)
    assert stranger.poll() is None
    assert host.snapshot()['processes'] == []


def test_dhcp_works_whatever_the_security_groups_say(host):
    net = pair(rules=())
    guest, _ = plugged(host, net)
    assert guest.dhcp()['ip'] == '10.211.1.5'


@contextlib.contextmanager
def callers(sock):
    """The addresses of those who call, in a list that fills."""
    found = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, address = sock.accept()
                found.append(address[0])
                connection.close()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield found
    sock.close()


def test_metadata_is_asked_for_by_network_and_address(host):
    """Two networks of the same range: who calls is known by the socket, not by the address alone."""
    nets = [pair(), pair()]
    guests = [plugged(host, net)[0] for net in nets]
    for guest in guests:
        guest.run('ip', 'route', 'add', '169.254.169.254', 'via', '10.211.1.2')
    with callers(host.driver.metadata_socket(nets[0].id)) as first, \
            callers(host.driver.metadata_socket(nets[1].id)) as second:
        assert guests[0].reaches('169.254.169.254', 80)
        assert (first, second) == (['10.211.1.5'], [])
        assert guests[1].reaches('169.254.169.254', 80)
        assert (first, second) == (['10.211.1.5'], ['10.211.1.5'])


# ---- isolation

def test_guests_of_one_network_reach_each_other(host):
    first, second = plugged(host, pair())
    assert first.pings('10.211.1.6')
    assert second.pings('10.211.1.5')


def test_networks_of_the_same_range_do_not_meet(host):
    first, second = plugged(host, pair())
    one = subnet()
    other = network(one, ports=[port('10.211.1.5', subnets=[one]), port('10.211.1.7', subnets=[one])])
    third, fourth = plugged(host, other)
    assert first.pings('10.211.1.6') and third.pings('10.211.1.7')
    assert first.misses('10.211.1.7')
    assert third.misses('10.211.1.6')


def test_a_guest_cannot_reach_the_host_through_its_bridge(host):
    net = pair()
    guest, _ = plugged(host, net)
    host.run('ip', 'addr', 'add', '192.0.2.1/32', 'dev', 'lo')
    try:
        bridge = states.bridge_name(net.id)
        mac = host.run('ip', '-o', 'link', 'show', bridge).split('link/ether ')[1].split()[0]
        guest.run('ip', 'route', 'add', '192.0.2.1', 'dev', 'eth0')
        guest.run('ip', 'neigh', 'add', '192.0.2.1', 'lladdr', mac, 'dev', 'eth0')
        assert guest.misses('192.0.2.1')
        guest.run('ip', 'neigh', 'flush', 'all')
        guest.run('ip', 'neigh', 'del', '192.0.2.1', 'dev', 'eth0', check=False)
        assert 'Received 0' in guest.run('busybox', 'arping', '-I', 'eth0', '-c', '1', '-w', '1',
                                         '192.0.2.1', check=False)
    finally:
        host.run('ip', 'addr', 'del', '192.0.2.1/32', 'dev', 'lo')


# ---- security groups

def test_what_no_rule_allows_does_not_come_in(host):
    first, second = plugged(host, pair(rules=EGRESS, second=(*EGRESS, tcp(22))))
    second.listens(22)
    second.listens(80)
    assert first.misses('10.211.1.6')
    assert first.reaches('10.211.1.6', 22)
    assert not first.reaches('10.211.1.6', 80)


def test_replies_come_in_though_nothing_else_does(host):
    first, second = plugged(host, pair(rules=EGRESS, second=(*EGRESS, PING, tcp(22))))
    second.listens(22)
    assert first.pings('10.211.1.6')
    assert first.connects('10.211.1.6', 22).say('hello') == 'heard hello'
    assert second.misses('10.211.1.5')


def test_what_no_egress_rule_allows_does_not_get_out(host):
    only = states.SecurityRule(direction='egress', protocol='tcp', port_range_min=22, port_range_max=22)
    first, second = plugged(host, pair(rules=(only, PING), second=(*EGRESS, PING, tcp(22), tcp(80))))
    second.listens(22)
    second.listens(80)
    assert first.reaches('10.211.1.6', 22)
    assert not first.reaches('10.211.1.6', 80)
    assert first.misses('10.211.1.6')
    assert second.pings('10.211.1.5')       # the echo's reply may leave


def test_a_rule_counts_for_its_remote_addresses_only(host):
    net = pair(rules=EGRESS, second=(*EGRESS, tcp(22, '10.211.1.5/32', '10.211.1.4/31')))
    one = net.subnets[0]
    net = dataclasses.replace(net, ports=(*net.ports, port('10.211.1.7', subnets=[one])))
    first, second, third = plugged(host, net)
    second.listens(22)
    assert first.reaches('10.211.1.6', 22)
    assert not third.reaches('10.211.1.6', 22)


def test_a_remote_group_without_members_allows_nobody(host):
    nobody = states.SecurityRule(direction='ingress', protocol='tcp', remote_cidrs=())
    first, second = plugged(host, pair(rules=(*EGRESS, nobody)))
    second.listens(22)
    assert not first.reaches('10.211.1.6', 22)


def test_a_connection_ends_with_the_rule_that_allowed_it(host):
    net = pair(rules=EGRESS, second=(*EGRESS, tcp(22)))
    first, second = plugged(host, net)
    second.listens(22)
    talk = first.connects('10.211.1.6', 22)
    assert talk.say('one') == 'heard one'
    host.driver.apply_network(with_rules(net, 1, *EGRESS))
    assert talk.say('two') == 'silent'


def test_a_connection_outlives_a_change_that_does_not_concern_it(host):
    net = pair(rules=EGRESS, second=(*EGRESS, tcp(22), tcp(80)))
    first, second = plugged(host, net)
    second.listens(22)
    talk = first.connects('10.211.1.6', 22)
    assert talk.say('one') == 'heard one'
    host.driver.apply_network(with_rules(net, 1, *EGRESS, PING, tcp(22)))
    assert talk.say('two') == 'heard two'


def test_a_port_without_security_takes_and_sends_everything(host):
    net = pair(rules=(), port_security_enabled=False)
    first, second = plugged(host, net)
    assert first.pings('10.211.1.6')
    first.run('ip', 'addr', 'add', '10.211.1.99/24', 'dev', 'eth0')
    assert second.pings('10.211.1.99')


def test_security_can_be_taken_off_and_put_back(host):
    net = pair(rules=EGRESS)
    first, _ = plugged(host, net)
    unguarded = tuple(dataclasses.replace(one, port_security_enabled=False) for one in net.ports)
    assert first.misses('10.211.1.6')
    host.driver.apply_network(dataclasses.replace(net, ports=unguarded))
    assert first.pings('10.211.1.6')
    host.driver.apply_network(net)
    assert first.misses('10.211.1.6')


def test_ipv6_has_rules_of_its_own_and_neighbours_always(host):
    six = subnet('fd00:211::/64', gateway_ip=None, enable_dhcp=False)
    echo = states.SecurityRule(direction='ingress', ethertype='IPv6', protocol='icmpv6', port_range_min=128,
                               port_range_max=0)
    net = network(six, ports=[port('fd00:211::5', subnets=[six], rules=EGRESS),
                              port('fd00:211::6', subnets=[six], rules=(*EGRESS, echo))])
    guests = [host.guest(one) for one in net.ports]
    host.driver.apply_network(net)
    for guest in guests:
        guest.configure(64)
    assert guests[0].pings('fd00:211::6')
    assert guests[1].misses('fd00:211::5')


def test_somebody_who_flushes_all_rules_is_repaired(host):
    net = pair(rules=EGRESS)
    first, _ = plugged(host, net)
    host.run('nft', 'flush', 'ruleset')
    assert first.pings('10.211.1.6')
    host.driver.apply_network(net)
    assert first.misses('10.211.1.6')


def test_a_stranger_s_chain_that_would_drop_our_frames_is_reported(host):
    assert host.driver.check() == []
    host.run('nft', 'add table ip filter; '
             'add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }')
    try:
        (complaint,) = host.driver.check()
        assert 'ip filter FORWARD' in complaint
    finally:
        host.run('nft', 'delete', 'table', 'ip', 'filter')


def test_a_directory_dnsmasq_cannot_read_is_reported(host):
    os.chmod(host.directory, 0o700)
    try:
        (complaint,) = host.driver.check()
        assert f'chmod o+x {host.directory}.' in complaint
    finally:
        os.chmod(host.directory, 0o755)


def test_other_rules_of_the_host_stay_as_they_are(host):
    host.run('nft', 'add table inet mine; add chain inet mine forward { type filter hook forward priority 0; }; '
             'add rule inet mine forward counter')
    try:
        before = host.run('nft', '-s', 'list', 'table', 'inet', 'mine')
        net = pair()
        plugged(host, net)
        host.driver.remove_network(net.id)
        assert host.run('nft', '-s', 'list', 'table', 'inet', 'mine') == before
        host.driver.reset()
        assert host.run('nft', '-s', 'list', 'ruleset').strip() == before.strip()
    finally:
        host.run('nft', 'delete', 'table', 'inet', 'mine')


def test_translations_of_the_host_s_own_leave_guests_alone(host):
    """Bridged frames pass the host's NAT hooks too; a rule meant for the host's own traffic must not take them."""
    net = pair(rules=(*EGRESS, tcp(22)))
    first, second = plugged(host, net)
    second.listens(22)
    host.run('nft', 'add table ip mine; add chain ip mine out { type nat hook postrouting priority 100; }; '
             'add chain ip mine in { type nat hook prerouting priority -100; }; '
             'add rule ip mine out ip saddr 10.211.1.0/24 counter snat to 192.0.2.7; '
             'add rule ip mine in tcp dport 22 counter dnat to 192.0.2.8')
    try:
        assert first.connects('10.211.1.6', 22).say('hello') == 'heard hello'
        assert host.run('nft', 'list', 'table', 'ip', 'mine').count('packets 0 bytes 0') == 2
    finally:
        host.run('nft', 'delete', 'table', 'ip', 'mine')


# ---- anti-spoofing

def test_a_guest_cannot_take_another_address(host):
    first, second = plugged(host, pair())
    first.run('ip', 'addr', 'add', '10.211.1.99/24', 'dev', 'eth0')
    assert second.pings('10.211.1.5')
    assert second.misses('10.211.1.99')
    assert not first.run('ping', '-c', '1', '-W', '1', '-I', '10.211.1.99', '10.211.1.6',
                         check=False).count(' 0% packet loss')


def test_a_guest_cannot_take_another_mac(host):
    net = pair()
    first = host.guest(net.ports[0], mac=new_mac()).configure()
    second = host.guest(net.ports[1]).configure()
    host.driver.apply_network(net)
    assert second.misses('10.211.1.5')
    assert first.dhcp(patience=3) is None


@pytest.mark.parametrize('guarded', [True, False])
def test_a_guest_cannot_claim_another_s_address_by_arp(host, guarded):
    net = pair()
    net = dataclasses.replace(net, ports=(
        dataclasses.replace(net.ports[0], port_security_enabled=guarded), net.ports[1]))
    first, second = plugged(host, net)
    assert second.pings('10.211.1.2')
    honest = second.run('ip', 'neigh', 'show', '10.211.1.2')
    own, everyone = net.ports[0].mac_address.replace(':', ''), 'f' * 12
    server = '0ad30102'                             # 10.211.1.2, answering a question nobody asked
    victim = net.ports[1].mac_address.replace(':', '')
    first.does('frame',
               victim + own + '0806' + '00010800060400020' [:16] + own + server + victim + '0ad30106')
    first.does('frame', everyone + own + '0806' + '0001080006040001' + own + server + '0' * 12 + server)
    taken = sandbox.within(0.5 if guarded else 10, lambda: own in second.run(
        'ip', 'neigh', 'show', '10.211.1.2').replace(':', ''))
    assert taken is not guarded, honest


@pytest.mark.parametrize('guarded', [True, False])
def test_a_guest_is_no_dhcp_server_and_no_router(host, guarded):
    net = pair(port_security_enabled=guarded)
    net = with_rules(net, 1, *EGRESS, states.SecurityRule(direction='ingress'),
                     states.SecurityRule(direction='ingress', ethertype='IPv6'))
    first, second = plugged(host, net)
    sniffer = second.starts('sniff')
    assert sniffer.stdout.readline() == 'ready\n'
    first.does('send', '67', '255.255.255.255', '68')
    first.does('advertise')
    first.does('send', '1067', '255.255.255.255', '1068')
    frames = [bytes.fromhex(line) for line in sniffer.stdout.read().splitlines()]
    kinds = {'dhcp': any(frame[12:14] == b'\x08\0' and frame[34:38] == b'\0C\0D' for frame in frames),
             'ra': any(frame[12:14] == b'\x86\xdd' and frame[54:55] == b'\x86' for frame in frames),
             'other': any(frame[12:14] == b'\x08\0' and frame[34:38] == b'\x04+\x04,' for frame in frames)}
    assert kinds == {'dhcp': not guarded, 'ra': not guarded, 'other': True}


def test_address_pairs_that_overlap_or_hold_everything_stop_no_network(host):
    """OSSA-2015-012: one port's pairs kept the rules of all others from being written."""
    every = tuple(states.AddressPair(ip_address=address) for address in (
        '0.0.0.0/0', '10.0.0.0/8', '10.211.1.0/24', '10.211.1.96/28', '::/0', 'fe80::/64'))
    net = pair()
    net = dataclasses.replace(net, ports=(
        dataclasses.replace(net.ports[0], allowed_address_pairs=every), net.ports[1]))
    first, second = plugged(host, net)
    assert first.pings('10.211.1.6') and second.pings('10.211.1.5')
    first.run('ip', 'address', 'add', '10.211.1.77/24', 'dev', 'eth0')
    assert second.pings('10.211.1.77')
    second.run('ip', 'address', 'add', '10.211.1.78/24', 'dev', 'eth0')
    assert first.misses('10.211.1.78'), 'its neighbour has no pairs'


def test_an_allowed_address_pair_may_be_used(host):
    net = pair(allowed_address_pairs=(states.AddressPair(ip_address='10.211.1.96/28'),))
    first, second = plugged(host, net)
    first.run('ip', 'addr', 'add', '10.211.1.99/24', 'dev', 'eth0')
    assert second.pings('10.211.1.99')


def test_a_tagged_frame_does_not_pass(host):
    net = pair()
    first, second = plugged(host, net)
    sniffer = second.starts('sniff', '1')
    assert sniffer.stdout.readline() == 'ready\n'
    own = net.ports[0].mac_address.replace(':', '')
    first.does('frame', 'f' * 12 + own + '81000005' + '0800' + '45' + '00' * 45)
    assert all(line[24:28] != '8100' for line in sniffer.stdout.read().splitlines())


# ---- devices

def test_the_tap_belongs_to_the_hypervisor_s_user(host):
    one = subnet()
    net = network(one, ports=[port('10.211.1.5', subnets=[one], owner_uid=1234)])
    host.driver.apply_network(net)
    assert 'persist on user 1234' in host.run('ip', '-d', 'link', 'show', net.ports[0].tap_name)
    host.driver.apply_network(dataclasses.replace(
        net, ports=(dataclasses.replace(net.ports[0], owner_uid=4321),)))
    assert 'persist on user 4321' in host.run('ip', '-d', 'link', 'show', net.ports[0].tap_name)


def test_a_port_that_is_down_hears_nothing(host):
    net = pair()
    first, _ = plugged(host, net)
    down = dataclasses.replace(net.ports[1], admin_state_up=False)
    host.driver.apply_network(dataclasses.replace(net, ports=(net.ports[0], down)))
    assert first.misses('10.211.1.6')
    host.driver.apply_network(net)
    assert first.pings('10.211.1.6')


def test_what_somebody_broke_is_mended(host):
    net = pair()
    first, second = plugged(host, net)
    host.run('ip', 'link', 'set', net.ports[1].tap_name, 'nomaster')
    host.run('ip', 'link', 'set', 'dhc-' + net.id[:11], 'down')
    host.run('ip', 'link', 'del', 'ns-' + net.id[:11], namespace='net-' + net.id[:12])
    assert first.misses('10.211.1.6')
    host.driver.apply_network(net)
    assert first.pings('10.211.1.6')
    assert second.dhcp()['ip'] == '10.211.1.6'


def test_a_namespace_that_was_deleted_is_made_again(host):
    net = pair()
    first, _ = plugged(host, net)
    host.run('ip', 'netns', 'del', 'net-' + net.id[:12])
    host.driver.apply_network(net)
    assert first.dhcp()['ip'] == '10.211.1.5'
    assert len(host.snapshot()['processes']) == 1


def test_a_physical_interface_with_addresses_is_not_taken(host):
    host.run('ip', 'link', 'add', 'phys0', 'type', 'veth', 'peer', 'name', 'phys1')
    try:
        host.run('ip', 'addr', 'add', '192.0.2.9/24', 'dev', 'phys0')
        net = network(subnet(), kind='flat', physical_interface='phys0')
        with pytest.raises(errors.Invalid, match='phys0 carries addresses'):
            host.driver.apply_network(net)
        host.run('ip', 'addr', 'flush', 'dev', 'phys0')
        host.driver.apply_network(net)
        assert states.bridge_name(net.id) in host.run('ip', '-o', 'link', 'show', 'phys0')
        host.driver.remove_network(net.id)
        assert 'master' not in host.run('ip', '-o', 'link', 'show', 'phys0')
    finally:
        host.run('ip', 'link', 'del', 'phys0')


def test_removing_a_port_takes_its_device_and_rules(host):
    net = pair()
    host.driver.apply_network(net)
    host.driver.remove_port(net.ports[0].id)
    assert net.ports[0].tap_name not in host.run('ip', '-o', 'link')
    assert net.ports[0].id[:11] not in host.run('nft', 'list', 'ruleset')
    assert net.ports[1].id[:11] in host.run('nft', 'list', 'ruleset')


def test_two_networks_whose_ids_begin_alike_do_not_share_a_bridge(host):
    net = pair()
    host.driver.apply_network(net)
    with pytest.raises(errors.Conflict):
        host.driver.apply_network(dataclasses.replace(pair(), id=net.id[:-4] + '0000'))
    assert new_id() not in host.driver.present().networks

"""No address is given twice: on every database, by many greenlets at once; and the arithmetic below that."""

import dataclasses
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova.network import faults, ipam, ports, routers, security_groups
from nova.network.networks import create as create_networks
from nova.network.subnets import create as create_subnets
from strata import errors, green
from tests.functional.network_cloud import Cloud


@pytest.fixture
def cloud(tmp_path, database_url):
    made = Cloud(tmp_path, database_url)
    yield made
    made.close()


def subnet(cloud, cidr):
    [network] = create_networks(cloud.wiring, cloud.alice, [{'project_id': 'alice'}])
    return create_subnets(cloud.wiring, cloud.alice, [{
        'project_id': 'alice', 'network_id': network.id, 'ip_version': 4, 'cidr': cidr}])[0]


def attempt(cloud, here, **values):
    """One port, or the name of the refusal."""
    try:
        [port] = ports.create(cloud.wiring, cloud.alice, [{
            'project_id': 'alice', 'network_id': here.network_id, **values}])
    except errors.Error as error:
        return type(error).__name__
    return port.fixed_ips[0]['ip_address'] if port.fixed_ips else 'no subnet any more'


def together(function, count):
    workers = [green.spawn(function) for _ in range(count)]
    return [worker.wait(100) for worker in workers]


def test_seventy_callers_share_a_range_of_sixty_one_without_a_clash(cloud):
    here = subnet(cloud, '10.0.0.0/26')
    got = together(lambda: attempt(cloud, here), 70)
    addresses = [each for each in got if '.' in each]
    assert len(addresses) == len(set(addresses)) == 61
    assert [each for each in got if '.' not in each] == ['IpAddressGenerationFailure'] * 9
    assert {ipaddress.ip_address(each)
            for each in addresses} == set(ipaddress.ip_network(here.cidr).hosts()) - {
        ipaddress.ip_address('10.0.0.1')}
    assert used(cloud, 'port') == 61


def used(cloud, resource):
    return cloud.ask(cloud.alice, 'GET', '/quotas/alice/details')['quota'][resource]['used']


def test_an_address_that_many_ask_for_goes_to_one(cloud):
    here = subnet(cloud, '10.0.0.0/24')
    got = together(lambda: attempt(cloud, here, fixed_ips=[{'ip_address': '10.0.0.9'}]), 12)
    assert sorted(got) == ['10.0.0.9'] + ['IpAddressAlreadyAllocated'] * 11
    assert used(cloud, 'port') == 1


def test_a_mac_address_that_many_ask_for_goes_to_one(cloud):
    here = subnet(cloud, '10.0.0.0/24')
    got = together(lambda: attempt(cloud, here, mac_address='fa:16:3e:00:00:01'), 8)
    assert sorted(got)[1:] == ['MacAddressInUse'] * 7


def test_the_last_of_a_quota_goes_to_one(cloud):
    here = subnet(cloud, '10.0.0.0/24')
    cloud.ask(cloud.root, 'PUT', '/quotas/alice', {'quota': {'port': 5}})
    got = together(lambda: attempt(cloud, here), 12)
    assert got.count('OverQuota') == 7 and used(cloud, 'port') == 5


def test_a_project_gets_one_default_group_however_many_ask(cloud):
    together(lambda: security_groups.default(cloud.wiring, 'bob'), 10)
    [group] = cloud.ask(cloud.bob, 'GET', '/security-groups')['security_groups']
    assert len(group['security_group_rules']) == 4


def test_two_routers_cannot_both_be_the_gateway_of_a_subnet(cloud):
    here = subnet(cloud, '10.0.0.0/24')
    made = [cloud.make(cloud.alice, 'router') for _ in range(4)]

    def join(router):
        try:
            routers.add_interface(cloud.wiring, cloud.alice, router['id'], subnet_id=here.id)
        except errors.Conflict as error:
            return type(error).__name__
        return 'joined'
    workers = [green.spawn(join, router) for router in made]
    got = sorted(worker.wait(60) for worker in workers)
    assert got.count('joined') == 1


def test_gateways_have_an_address_of_a_subnet_that_is_made_meanwhile(cloud):
    public = cloud.make(cloud.root, 'network', **{'router:external': True})
    workers = [green.spawn(cloud.make, cloud.root, 'router', external_gateway_info={'network_id': public['id']})
               for _ in range(8)]
    workers.insert(4, green.spawn(cloud.make, cloud.root, 'subnet', network_id=public['id'], ip_version=4,
                                  cidr='203.0.113.0/24'))
    for worker in workers:
        worker.wait(60)
    infos = [router['external_gateway_info'] for router in cloud.ask(cloud.root, 'GET', '/routers')['routers']]
    held = [address['ip_address'] for info in infos for address in info['external_fixed_ips']]
    assert len(infos) == len(held) == len(set(held)) == 8


def test_deleting_a_subnet_while_addresses_are_taken_leaves_no_orphan(cloud):
    here = subnet(cloud, '10.0.0.0/24')
    workers = [green.spawn(attempt, cloud, here) for _ in range(10)]
    answer = cloud.request(cloud.alice, 'DELETE', f'/subnets/{here.id}')
    for worker in workers:
        worker.wait(60)
    left = cloud.ask(cloud.alice, 'GET', '/subnets')['subnets']
    held = [each for port in cloud.ask(cloud.alice, 'GET', '/ports')['ports'] for each in port['fixed_ips']]
    assert (answer.status == 204 and not left and not held) or (answer.status == 409 and left)


# -- arithmetic -----------------------------------------------------------------------------

RANGES = st.one_of(
    st.builds(lambda number, bits: ipaddress.ip_network((number >> (32 - bits) << (32 - bits), bits)),
              st.integers(1 << 24, (223 << 24) - 1), st.integers(16, 30)),
    st.builds(lambda number,
              bits: ipaddress.ip_network(((0x2001 << 112 | number) >> (128 - bits) << (128 - bits), bits)),
              st.integers(0, 2 ** 100), st.integers(112, 126)))


def members(pools):
    return {text for low, high in pools for text in ipam.free([[low, high]], ())}


@given(RANGES.filter(lambda cidr: cidr.num_addresses <= 1024), st.data())
def test_default_pools_are_everything_usable_but_the_gateway(cidr, data):
    first, last = ipam.usable(cidr)
    kind = type(cidr.network_address)
    gateway = data.draw(st.one_of(st.none(), st.integers(first, last).map(lambda number: str(kind(number)))))
    pools = ipam.default_pools(cidr, gateway)
    expected = {str(kind(number)) for number in range(first, last + 1)} - {gateway}
    assert members(pools) == expected
    ipam.check_gateway(pools, gateway)
    asked = [{'start': low, 'end': high} for low, high in pools]
    assert ipam.checked_pools(cidr, asked, gateway) == pools


@given(RANGES, st.data())
def test_pools_are_taken_only_if_they_fit_and_do_not_overlap(cidr, data):
    low, high = int(cidr.network_address) - 2, int(cidr.broadcast_address) + 2
    kind = type(cidr.network_address)
    spans = data.draw(st.lists(st.tuples(st.integers(low, high), st.integers(low, high)), min_size=1,
                               max_size=4))
    asked = [{'start': str(kind(one)), 'end': str(kind(other))} for one, other in spans]
    first, last = ipam.usable(cidr)
    good = all(first <= one <= other <= last for one, other in spans)
    disjoint = all(not (a[0] <= b[1] and b[0] <= a[1]) for i, a in enumerate(spans) for b in spans[:i])
    try:
        pools = ipam.checked_pools(cidr, asked, None)
    except (faults.InvalidAllocationPool, faults.OutOfBoundsAllocationPool,
            faults.OverlappingAllocationPools):
        assert not (good and disjoint)
    else:
        assert good and disjoint and pools == sorted(pools,
                                                     key=lambda pool: int(ipaddress.ip_address(pool[0])))


@given(st.binary(min_size=6, max_size=6))
def test_an_eui64_address_is_in_its_range_and_tells_the_mac(octets):
    mac = ':'.join(f'{octet:02x}' for octet in octets)
    address = ipaddress.ip_address(ipam.eui64('2001:db8::/64', mac))
    assert address in ipaddress.ip_network('2001:db8::/64')
    suffix = bytearray(address.packed[8:])
    suffix[0] ^= 2
    assert bytes(suffix[:3] + suffix[5:]) == octets and suffix[3:5] == b'\xff\xfe'


@dataclasses.dataclass
class Range:
    cidr: str


@given(RANGES)
def test_neither_end_of_a_range_is_held(cidr):
    here = Range(str(cidr))
    assert ipam.contains(here, str(cidr[1])) or cidr.num_addresses < 4
    assert not ipam.contains(here, str(cidr.network_address))
    if cidr.version == 4:
        assert not ipam.contains(here, str(cidr.broadcast_address))

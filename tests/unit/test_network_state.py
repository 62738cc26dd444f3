"""What a host is told of its networks stays small, however many ports share a security group."""

import json

import pytest

from nova.network.drivers import state as states
from nova.network.host import schema
from strata import errors
from strata.clock import new_uuid


def a_network(count):
    """A network whose ports share one group that lets its members in."""
    members = tuple(f'10.0.{n // 250}.{n % 250 + 2}/32' for n in range(count))
    rules = (states.SecurityRule(direction='egress'), states.SecurityRule(direction='ingress', remote_cidrs=members))
    subnet = states.SubnetState(id=new_uuid(), cidr='10.0.0.0/16', gateway_ip='10.0.0.1')
    return states.NetworkState(id=new_uuid(), host='one', subnets=(subnet,), ports=tuple(
        states.PortState(id=new_uuid(), mac_address=f'fa:16:3e:00:{n // 256:02x}:{n % 256:02x}',
                         host='one', security_rules=rules,
                         fixed_ips=(states.FixedIp(subnet_id=subnet.id, ip_address=member.partition('/')[0]),))
        for n, member in enumerate(members)))


def wire(state):
    """The state as the helper receives it."""
    return json.loads(json.dumps(states.to_dict(state)))


def test_a_state_survives_the_trip():
    network = a_network(3)
    assert schema.network(wire(network)) == network


def test_ten_times_the_ports_are_ten_times_the_message():
    few, many = len(json.dumps(wire(a_network(10)))), len(json.dumps(wire(a_network(100))))
    assert many < few * 12


def test_ports_with_equal_rules_share_them():
    checked = schema.network(wire(a_network(5)))
    assert len({id(port.security_rules) for port in checked.ports}) == 1


def test_a_router_survives_the_trip_too():
    foot = states.RouterInterface(
        port_id=new_uuid(), network_id=new_uuid(), mac_address='fa:16:3e:00:00:01', addresses=('fd00::1/64',),
        advertised=(states.Advertised(cidr='fd00::/64', mode='slaac', dns_nameservers=('fd00::53',)),))
    router = states.RouterState(id=new_uuid(), interfaces=(foot,))
    assert schema.router(wire(router)) == router


@pytest.mark.parametrize('wrong', [{'cidr': '10.0.0.0/24'}, {'mode': 'static'}, {'mode': None}])
def test_what_cannot_be_advertised_is_refused(wrong):
    foot = states.RouterInterface(
        port_id=new_uuid(), network_id=new_uuid(), mac_address='fa:16:3e:00:00:01',
        advertised=(states.Advertised(**{'cidr': 'fd00::/64', 'mode': 'slaac', **wrong}),))
    with pytest.raises(errors.Invalid, match=f'router.interfaces.0..advertised.0..{next(iter(wrong))}'):
        schema.router(wire(states.RouterState(id=new_uuid(), interfaces=(foot,))))

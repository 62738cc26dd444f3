"""Routers and floating IPs through the front door."""

import pytest

from tests.functional.network_cloud import Cloud


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    yield made
    made.close()


ROUTER = {
    'admin_state_up', 'availability_zone_hints', 'availability_zones', 'created_at', 'description',
    'external_gateway_info', 'flavor_id', 'id', 'name', 'project_id', 'revision_number', 'routes', 'status',
    'tags',
    'tenant_id', 'updated_at'}
FLOATING = {
    'created_at', 'description', 'fixed_ip_address', 'floating_ip_address', 'floating_network_id', 'id',
    'port_details',
    'port_id', 'project_id', 'revision_number', 'router_id', 'status', 'tags', 'tenant_id', 'updated_at'}


def act(cloud, who, router, verb, /, **body):
    return cloud.request(who, 'PUT', f"/routers/{router['id']}/{verb}", body)


def test_a_router_shows_what_is_published(cloud):
    made = cloud.make(cloud.alice, 'router', name='r')
    assert set(made) == ROUTER and made['external_gateway_info'] is None and made['status'] == 'ACTIVE'
    shown = cloud.ask(cloud.root, 'GET', f"/routers/{made['id']}")['router']
    assert set(shown) == ROUTER | {'distributed', 'ha'}


def test_a_gateway_is_set_changed_and_cleared(cloud):
    public, subnet = cloud.public()
    router = cloud.make(cloud.alice, 'router', name='r')
    path = f"/routers/{router['id']}"
    info = cloud.ask(cloud.alice, 'PUT', path,
                     {'router': {'external_gateway_info': {'network_id': public['id']}}})
    info = info['router']['external_gateway_info']
    assert info['enable_snat'] is True and info['external_fixed_ips'][0]['subnet_id'] == subnet['id']
    ports = cloud.ask(cloud.root, 'GET', '/ports?device_owner=network:router_gateway')['ports']
    assert [port['device_id'] for port in ports] == [router['id']] and ports[0]['project_id'] == ''
    off = {'network_id': public['id'], 'enable_snat': False}
    assert cloud.request(cloud.alice, 'PUT', path, {'router': {'external_gateway_info': off}}).status == 403
    done = cloud.ask(cloud.root, 'PUT', path, {'router': {'external_gateway_info': off}})['router']
    assert done['external_gateway_info']['enable_snat'] is False
    for nothing in ({}, None):
        done = cloud.ask(cloud.alice, 'PUT', path, {'router': {'external_gateway_info': nothing}})['router']
        assert done['external_gateway_info'] is None
    assert cloud.ask(cloud.root, 'GET', '/ports')['ports'] == []


def test_a_gateway_waits_for_the_first_subnet_of_its_network(cloud):
    public, _ = cloud.network(cloud.root, None, **{'router:external': True})
    router = cloud.make(cloud.alice, 'router', external_gateway_info={'network_id': public['id']})
    assert router['external_gateway_info']['external_fixed_ips'] == []
    inner, subnet = cloud.network(cloud.alice, '10.8.0.0/24')
    act(cloud, cloud.alice, router, 'add_router_interface', subnet_id=subnet['id'])

    def gateway():
        shown = cloud.ask(cloud.alice, 'GET', f"/routers/{router['id']}")['router']
        return [each['subnet_id'] for each in shown['external_gateway_info']['external_fixed_ips']]
    cidrs = {'10.8.0.0/16': 4, '203.0.113.0/25': 4, '203.0.113.128/25': 4, '2001:db8::/64': 6}
    made = []
    for number, (cidr, version) in enumerate(cidrs.items()):
        one = cloud.make(cloud.root, 'subnet', network_id=public['id'], ip_version=version, cidr=cidr)
        if number == 0:      # the router is inside on that range
            assert gateway() == []
            cloud.ask(cloud.root, 'DELETE', f"/subnets/{one['id']}", status=204)
        made.append(one['id'])
    assert gateway() == [made[1], made[3]]


def test_a_gateway_must_be_an_external_network(cloud):
    inner, _ = cloud.network(cloud.alice)
    for id, status in ((inner['id'], 400), ('11111111-1111-1111-1111-111111111111', 404), ('x', 400)):
        answer = cloud.request(cloud.alice, 'POST', '/routers',
                               {'router': {'external_gateway_info': {'network_id': id}}})
        assert answer.status == status
    assert cloud.ask(cloud.alice, 'GET', '/routers')['routers'] == []


def test_interfaces_come_by_subnet_and_by_port(cloud):
    one, subnet = cloud.network(cloud.alice)
    two, other = cloud.network(cloud.alice, '10.1.0.0/24')
    router = cloud.make(cloud.alice, 'router')
    joined = act(cloud, cloud.alice, router, 'add_router_interface', subnet_id=subnet['id'])
    assert joined.status == 200
    assert set(joined.json) == {'id', 'tenant_id', 'project_id', 'port_id', 'network_id', 'subnet_id',
                                'subnet_ids', 'tags'}
    port = cloud.ask(cloud.alice, 'GET', f"/ports/{joined.json['port_id']}")['port']
    assert port['device_owner'] == 'network:router_interface' and port['fixed_ips'][0]['ip_address'] == '10.0.0.1'
    own = cloud.make(cloud.alice, 'port', network_id=two['id'])
    assert act(cloud, cloud.alice, router, 'add_router_interface',
               port_id=own['id']).json['subnet_id'] == other['id']
    assert cloud.request(cloud.alice, 'DELETE', f"/ports/{own['id']}").fault == 'ServicePortInUse'
    assert cloud.request(cloud.alice, 'PUT', f"/ports/{own['id']}",
                         {'port': {'device_id': 'x'}}).status == 409
    assert cloud.request(cloud.alice, 'DELETE', f"/routers/{router['id']}").fault == 'RouterInUse'
    assert cloud.request(cloud.alice, 'DELETE', f"/subnets/{subnet['id']}").fault == 'SubnetInUse'
    assert cloud.request(cloud.alice, 'PUT', f"/subnets/{subnet['id']}", {
        'subnet': {'gateway_ip': '10.0.0.254', 'allocation_pools': []}}).fault == 'GatewayIpInUse'
    assert act(cloud, cloud.alice, router, 'remove_router_interface', port_id=own['id']).status == 200
    assert act(cloud, cloud.alice, router, 'remove_router_interface', subnet_id=subnet['id']).status == 200
    assert cloud.ask(cloud.alice, 'GET', '/ports')['ports'] == []
    cloud.ask(cloud.alice, 'DELETE', f"/routers/{router['id']}", status=204)
    used = cloud.ask(cloud.alice, 'GET', '/quotas/alice/details.json')['quota']
    assert used['port']['used'] == used['router']['used'] == 0


def test_interfaces_that_make_no_sense_are_refused_by_name(cloud):
    one, subnet = cloud.network(cloud.alice)
    _, same = cloud.network(cloud.alice, '10.0.0.128/25')
    router, other = cloud.make(cloud.alice, 'router'), cloud.make(cloud.alice, 'router')

    def fault(**body):
        return act(cloud, cloud.alice, router, 'add_router_interface', **body).fault
    assert fault() == 'BadRequest'
    assert fault(subnet_id=subnet['id'], port_id=subnet['id']) == 'BadRequest'
    assert fault(subnet_id='11111111-1111-1111-1111-111111111111') == 'SubnetNotFound'
    assert fault(port_id='11111111-1111-1111-1111-111111111111') == 'PortNotFound'
    assert act(cloud, cloud.alice, router, 'add_router_interface', subnet_id=subnet['id']).status == 200
    assert fault(subnet_id=subnet['id']) == 'BadRequest'
    assert fault(subnet_id=same['id']) == 'BadRequest'
    assert act(cloud, cloud.alice, other, 'add_router_interface',
               subnet_id=subnet['id']).fault == 'IpAddressInUse'
    used = cloud.make(cloud.alice, 'port', network_id=one['id'], device_id='server')
    assert act(cloud, cloud.alice, other, 'add_router_interface', port_id=used['id']).fault == 'PortInUse'
    assert act(cloud, cloud.alice, router, 'remove_router_interface', subnet_id=same['id']).fault == (
        'RouterInterfaceNotFoundForSubnet')
    assert act(cloud, cloud.alice, router, 'remove_router_interface', port_id=used['id']).fault == (
        'RouterInterfaceNotFound')
    assert act(cloud, cloud.bob, router, 'add_router_interface',
               subnet_id=subnet['id']).fault == 'RouterNotFound'


def test_routes_need_a_next_hop_nearby(cloud):
    _, subnet = cloud.network(cloud.alice)
    router = cloud.make(cloud.alice, 'router')
    act(cloud, cloud.alice, router, 'add_router_interface', subnet_id=subnet['id'])
    path, near = f"/routers/{router['id']}", {'destination': '10.9.0.0/16', 'nexthop': '10.0.0.9'}
    far = {'destination': '10.8.0.0/16', 'nexthop': '10.2.0.9'}
    assert cloud.ask(cloud.alice, 'PUT', path, {'router': {'routes': [near]}})['router']['routes'] == [near]
    assert cloud.request(cloud.alice, 'PUT', path, {'router': {'routes': [far]}}).fault == 'InvalidRoutes'
    answer = act(cloud, cloud.alice, router, 'remove_router_interface', subnet_id=subnet['id'])
    assert answer.fault == 'RouterInterfaceInUseByRoute'
    more = {'destination': '10.7.0.0/16', 'nexthop': '10.0.0.7'}
    added = act(cloud, cloud.alice, router, 'add_extraroutes', router={'routes': [more]})
    assert added.json['router']['routes'] == [near, more]
    left = act(cloud, cloud.alice, router, 'remove_extraroutes', router={'routes': [near]})
    assert left.json['router']['routes'] == [more]


@pytest.fixture
def story(cloud):
    """A port behind a router with a gateway."""
    cloud.public_network, cloud.public_subnet = cloud.public()
    cloud.inner, cloud.subnet = cloud.network(cloud.alice)
    cloud.router = cloud.make(cloud.alice, 'router',
                              external_gateway_info={'network_id': cloud.public_network['id']})
    act(cloud, cloud.alice, cloud.router, 'add_router_interface', subnet_id=cloud.subnet['id'])
    cloud.port = cloud.make(cloud.alice, 'port', network_id=cloud.inner['id'])
    return cloud


def take(cloud, who=None, **values):
    return cloud.make(who or cloud.alice, 'floatingip', floating_network_id=cloud.public_network['id'],
                      **values)


def test_a_floating_ip_is_taken_associated_moved_and_given_back(story):
    cloud, made = story, take(story)
    assert set(made) == FLOATING and made['status'] == 'DOWN' and made['port_id'] is None
    path = f"/floatingips/{made['id']}"
    there = cloud.ask(cloud.alice, 'PUT', path, {'floatingip': {'port_id': cloud.port['id']}})['floatingip']
    assert there['fixed_ip_address'] == cloud.port['fixed_ips'][0]['ip_address']
    assert there['router_id'] == cloud.router['id'] and there['port_details']['network_id'] == cloud.inner['id']
    same = cloud.ask(cloud.alice, 'PUT', path, {'floatingip': {'description': 'new'}})['floatingip']
    assert (same['description'], same['port_id']) == ('new', cloud.port['id'])
    blank = cloud.ask(cloud.alice, 'PUT', path, {'floatingip': {}})['floatingip']
    assert blank['port_id'] is None and blank['description'] == 'new'
    cloud.ask(cloud.alice, 'PUT', path, {'floatingip': {'port_id': cloud.port['id']}})
    gone = cloud.ask(cloud.alice, 'PUT', path, {'floatingip': {'port_id': None}})['floatingip']
    assert gone['port_id'] is gone['router_id'] is gone['fixed_ip_address'] is gone['port_details'] is None
    cloud.ask(cloud.alice, 'DELETE', path, status=204)
    assert cloud.ask(cloud.alice, 'GET', '/floatingips')['floatingips'] == []
    assert cloud.ask(cloud.root, 'GET', '/ports?device_owner=network:floatingip')['ports'] == []
    assert cloud.ask(cloud.alice, 'GET', '/quotas/alice/details')['quota']['floatingip']['used'] == 0


def test_what_a_floating_ip_needs_stays(story):
    cloud = story
    take(cloud, port_id=cloud.port['id'])
    answer = act(cloud, cloud.alice, cloud.router, 'remove_router_interface', subnet_id=cloud.subnet['id'])
    assert answer.fault == 'RouterInterfaceInUseByFloatingIP'
    answer = cloud.request(cloud.alice, 'PUT', f"/routers/{cloud.router['id']}",
                           {'router': {'external_gateway_info': {}}})
    assert answer.fault == 'RouterExternalGatewayInUseByFloatingIp'
    answer = cloud.request(cloud.alice, 'POST', '/floatingips', {'floatingip': {
        'floating_network_id': cloud.public_network['id'], 'port_id': cloud.port['id']}})
    assert answer.fault == 'FloatingIPPortAlreadyAssociated' and answer.status == 409
    assert cloud.request(cloud.root, 'PUT', f"/networks/{cloud.public_network['id']}", {
        'network': {'router:external': False}}).fault == 'ExternalNetworkInUse'


def test_an_external_network_goes_with_the_floating_ips_that_stand_for_nothing(story):
    cloud, (other, _) = story, story.public()
    there = cloud.make(cloud.alice, 'floatingip', floating_network_id=other['id'])
    inner = take(cloud, port_id=cloud.port['id'])
    cloud.ask(cloud.root, 'DELETE', f"/networks/{other['id']}", status=204)
    assert cloud.request(cloud.alice, 'GET', f"/floatingips/{there['id']}").status == 404
    assert cloud.ask(cloud.alice, 'GET', '/quotas/alice/details')['quota']['floatingip']['used'] == 1
    assert cloud.request(cloud.root, 'DELETE', f"/networks/{cloud.public_network['id']}").fault == 'NetworkInUse'
    assert cloud.request(cloud.alice, 'GET', f"/floatingips/{inner['id']}").status == 200


def test_deleting_the_port_frees_its_floating_ip(story):
    cloud, made = story, take(story, port_id=story.port['id'])
    cloud.ask(cloud.alice, 'DELETE', f"/ports/{cloud.port['id']}", status=204)
    left = cloud.ask(cloud.alice, 'GET', f"/floatingips/{made['id']}")['floatingip']
    assert left['port_id'] is None and left['status'] == 'DOWN'


def test_floating_ips_that_make_no_sense_are_refused_by_name(story):
    cloud = story
    island, _ = cloud.network(cloud.alice, '10.5.0.0/24')
    lonely = cloud.make(cloud.alice, 'port', network_id=island['id'])
    bare = cloud.make(cloud.alice, 'port', network_id=cloud.inner['id'], fixed_ips=[])
    subnet = cloud.port['fixed_ips'][0]['subnet_id']
    two = cloud.make(cloud.alice, 'port', network_id=cloud.inner['id'], fixed_ips=[{'subnet_id': subnet}] * 2)
    second = two['fixed_ips'][1]['ip_address']

    def fault(who=None, **values):
        answer = cloud.request(who or cloud.alice, 'POST', '/floatingips', {'floatingip': {
            'floating_network_id': cloud.public_network['id'], **values}})
        return answer.status, answer.fault
    assert fault(port_id=lonely['id']) == (404, 'ExternalGatewayForFloatingIPNotFound')
    foreign = cloud.make(cloud.root, 'port', network_id=cloud.inner['id'], project_id='bob')
    assert fault(port_id=foreign['id']) == (400, 'BadRequest')
    assert fault(port_id=bare['id']) == fault(port_id=two['id']) == (400, 'BadRequest')
    assert fault(port_id=two['id'], fixed_ip_address='10.0.99.99') == (400, 'BadRequest')
    assert fault(floating_network_id=cloud.inner['id']) == (400, 'BadRequest')
    assert fault(floating_network_id='11111111-1111-1111-1111-111111111111') == (404, 'NetworkNotFound')
    taken = {address['ip_address'] for port in cloud.ask(cloud.root, 'GET', '/ports')['ports']
             for address in port['fixed_ips']}
    wish = '203.0.113.9' if '203.0.113.9' not in taken else '203.0.113.10'      # the router's is anyone
    assert fault(floating_ip_address=wish)[0] == 403
    assert fault(who=cloud.bob, port_id=cloud.port['id']) == (404, 'PortNotFound')
    assert cloud.ask(cloud.alice, 'GET', '/floatingips')['floatingips'] == []
    assert take(cloud, cloud.root, floating_ip_address=wish)['floating_ip_address'] == wish
    assert take(cloud, port_id=two['id'], fixed_ip_address=second)['fixed_ip_address'] == second
    assert fault(who=cloud.root, floating_ip_address=wish) == (409, 'IpAddressAlreadyAllocated')

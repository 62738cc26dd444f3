"""Networks and subnets through the front door."""

import urllib.parse

import pytest

from tests.functional.network_cloud import Cloud


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    yield made
    made.close()


NETWORK = {
    'admin_state_up', 'availability_zone_hints', 'availability_zones', 'created_at', 'description', 'id',
    'ipv4_address_scope', 'ipv6_address_scope', 'is_default', 'l2_adjacency', 'mtu', 'name',
    'port_security_enabled',
    'project_id', 'revision_number', 'router:external', 'shared', 'status', 'subnets', 'tags', 'tenant_id',
    'updated_at'}
PROVIDER = {'provider:network_type', 'provider:physical_network', 'provider:segmentation_id'}
SUBNET = {
    'allocation_pools', 'cidr', 'created_at', 'description', 'dns_nameservers', 'enable_dhcp', 'gateway_ip',
    'host_routes', 'id', 'ip_version', 'ipv6_address_mode', 'ipv6_ra_mode', 'name', 'network_id',
    'project_id',
    'revision_number', 'router:external', 'segment_id', 'service_types', 'subnetpool_id', 'tags', 'tenant_id',
    'updated_at'}


def names(found):
    return [each['name'] for each in found]


def test_only_v2_0_is_offered_and_it_lists_its_resources(cloud):
    answer = cloud.request(None, 'GET', '/')
    [version] = answer.json['versions']
    assert answer.status == 200 and version['id'] == 'v2.0' and version['status'] == 'CURRENT'
    assert cloud.request(None, 'GET', '/v2.0/').status == 401
    resources = cloud.ask(cloud.alice, 'GET', '/v2.0/')['resources']
    assert {'network', 'subnet', 'port'} <= {each['name'] for each in resources}
    described = cloud.request(None, 'GET', '/openapi.json').json
    assert described['servers'] == [{'url': 'http://cloud:9696/v2.0'}]
    assert set(described['paths']['/networks/{id}']) == {'get', 'put', 'delete'}


def test_a_network_shows_what_is_published_and_the_segment_only_to_the_admin(cloud):
    made = cloud.make(cloud.alice, 'network', name='n')
    assert set(made) == NETWORK
    assert made['tenant_id'] == made['project_id'] == 'alice' and made['status'] == 'ACTIVE'
    assert set(cloud.ask(cloud.root, 'GET', f"/networks/{made['id']}")['network']) == NETWORK | PROVIDER
    assert cloud.ask(cloud.alice, 'GET', f"/networks/{made['id']}?fields=id&fields=name")['network'] == {
        'id': made['id'], 'name': 'n'}


def test_a_subnet_shows_what_is_published(cloud):
    network, subnet = cloud.network(cloud.alice)
    assert set(subnet) == SUBNET
    assert subnet['gateway_ip'] == '10.0.0.1'
    assert subnet['allocation_pools'] == [{'start': '10.0.0.2', 'end': '10.0.0.254'}]
    assert cloud.ask(cloud.alice, 'GET', f"/networks/{network['id']}")['network']['subnets'] == [subnet['id']]


def test_many_networks_are_made_at_once_or_none(cloud):
    made = cloud.ask(cloud.alice, 'POST', '/networks', {'networks': [{'name': 'a'}, {'name': 'b'}]},
                     201)['networks']
    assert names(made) == ['a', 'b']
    cloud.ask(cloud.root, 'PUT', '/quotas/alice', {'quota': {'network': 3}})
    answer = cloud.request(cloud.alice, 'POST', '/networks', {'networks': [{'name': 'c'}, {'name': 'd'}]})
    assert (answer.status, answer.fault) == (409, 'OverQuota')
    assert len(cloud.ask(cloud.alice, 'GET', '/networks')['networks']) == 2


def test_an_update_counts_the_revision_and_may_insist_on_one(cloud):
    made = cloud.make(cloud.alice, 'network', name='n')
    path = f"/networks/{made['id']}"
    changed = cloud.ask(cloud.alice, 'PUT', path, {'network': {'name': 'm',
                                                               'admin_state_up': 'false'}})['network']
    assert changed['name'] == 'm' and changed['admin_state_up'] is False and changed['revision_number'] == 2
    answer = cloud.request(cloud.alice, 'PUT', path, {'network': {'name': 'x'}},
                           {'If-Match': 'revision_number=1'})
    assert (answer.status, answer.fault) == (412, 'RevisionNumberConstraintFailed')


def test_others_see_shared_and_external_networks_only(cloud):
    cloud.make(cloud.alice, 'network', name='own')
    cloud.make(cloud.root, 'network', name='shared', shared=True)
    cloud.make(cloud.root, 'network', name='out', **{'router:external': True})
    cloud.make(cloud.root, 'network', name='hidden')
    assert sorted(names(cloud.ask(cloud.alice, 'GET', '/networks')['networks'])) == ['out', 'own', 'shared']
    assert sorted(names(cloud.ask(cloud.bob, 'GET', '/networks')['networks'])) == ['out', 'shared']
    assert len(cloud.ask(cloud.root, 'GET', '/networks')['networks']) == 4


@pytest.mark.parametrize('attribute', [
    {'shared': True}, {'router:external': True}, {'provider:network_type': 'vlan'}, {'is_default': True}])
def test_what_is_the_admins_is_refused_to_a_member(cloud, attribute):
    answer = cloud.request(cloud.alice, 'POST', '/networks', {'network': attribute})
    assert (answer.status, answer.fault) == (403, 'PolicyNotAuthorized')
    assert cloud.request(cloud.alice, 'POST', '/networks', {'network': {'tenant_id': 'bob'}}).status == 400
    assert cloud.request(cloud.reader, 'POST', '/networks', {'network': {}}).status == 403


def test_a_shared_network_is_changed_by_its_owner_only_and_a_foreign_one_is_not_found(cloud):
    shared = cloud.make(cloud.root, 'network', shared=True)
    own = cloud.make(cloud.alice, 'network')
    assert cloud.request(cloud.bob, 'PUT', f"/networks/{shared['id']}",
                         {'network': {'name': 'x'}}).status == 403
    assert cloud.request(cloud.bob, 'DELETE', f"/networks/{shared['id']}").status == 403
    for method, body in (('GET', None), ('PUT', {'network': {'name': 'x'}}), ('DELETE', None)):
        answer = cloud.request(cloud.bob, method, f"/networks/{own['id']}", body)
        assert (answer.status, answer.fault) == (404, 'NetworkNotFound')


@pytest.mark.parametrize('body', [
    {'network': {'nonsense': 1}}, {'network': {'name': 'x' * 256}}, {'network': {'mtu': 'big'}},
    {'network': {'mtu': 90000}}, {'network': {'mtu': '-5'}},
    {'network': {'id': 'x'}}, {'network': {'admin_state_up': 'perhaps'}}, {'network': {'tags': ['a']}},
    {'net': {}}, {},
    {'network': []}, [], {'networks': []}])
def test_bad_bodies_are_refused(cloud, body):
    assert cloud.request(cloud.alice, 'POST', '/networks', body).status == 400


def test_lists_are_filtered_sorted_and_paged(cloud):
    for name in 'dbca':
        cloud.make(cloud.alice, 'network', name=name)
    found = cloud.ask(cloud.alice, 'GET', '/networks?name=a&name=b&sort_key=name&sort_dir=desc')['networks']
    assert names(found) == ['b', 'a']
    page = cloud.ask(cloud.alice, 'GET', '/networks?limit=3&sort_key=name&fields=id&fields=name')
    assert names(page['networks']) == ['a', 'b', 'c']
    link = {each['rel']: each['href'] for each in page['networks_links']}['next']
    url = urllib.parse.urlsplit(link)
    rest = cloud.ask(cloud.alice, 'GET', f'{url.path}?{url.query}')
    assert names(rest['networks']) == ['d']
    link = {each['rel']: each['href'] for each in rest['networks_links']}['previous']
    url = urllib.parse.urlsplit(link)
    assert names(cloud.ask(cloud.alice, 'GET', f'{url.path}?{url.query}')['networks']) == ['a', 'b', 'c']
    assert cloud.ask(cloud.alice, 'GET', '/networks?admin_state_up=False')['networks'] == []
    assert cloud.ask(cloud.alice, 'GET', '/networks?provider:network_type=local')['networks'] == []
    for bad in ('?limit=-1', '?limit=x', '?sort_key=nonsense', '?sort_key=name&sort_dir=up', '?nonsense=1',
                '?shared=maybe', '?sort_dir=asc'):
        assert cloud.request(cloud.alice, 'GET', '/networks' + bad).status == 400, bad
    assert cloud.request(cloud.alice, 'GET', '/networks?marker=nobody').status == 404


def test_a_page_beyond_the_end_links_back_and_all_pages_can_be_walked_either_way(cloud):
    for name in 'abc':
        cloud.make(cloud.alice, 'network', name=name)

    def walk(path, way):
        seen = []
        while True:
            page = cloud.ask(cloud.alice, 'GET', path)
            seen += names(page['networks'])
            links = {each['rel']: each['href'] for each in page.get('networks_links', ())}
            if way not in links:
                return seen, links
            url = urllib.parse.urlsplit(links[way])
            path = f'{url.path}?{url.query}'
    seen, links = walk('/networks?limit=1&sort_key=name', 'next')
    assert seen == ['a', 'b', 'c'] and set(links) == {'previous'}
    url = urllib.parse.urlsplit(links['previous'])
    assert walk(f'{url.path}?{url.query}', 'previous')[0] == ['c', 'b', 'a']
    assert 'networks_links' not in cloud.ask(cloud.bob, 'GET', '/networks?limit=1')


def test_subnets_are_searched_by_whether_their_network_is_shared(cloud):
    shared, common = cloud.network(cloud.root, shared=True)
    _, own = cloud.network(cloud.alice)
    for who in (cloud.alice, cloud.root):
        for asked, there in ((True, common), (False, own)):
            found = cloud.ask(who, 'GET', f'/subnets?shared={asked}')['subnets']
            assert [each['id'] for each in found] == [there['id']]
            assert 'shared' not in found[0]
    assert cloud.request(cloud.alice, 'GET', '/subnets?shared=perhaps').status == 400


@pytest.mark.parametrize('version, cidr, least', [(4, '10.0.0.0/24', 68), (6, '2001:db8::/64', 1280)])
def test_packets_that_are_too_small_for_a_subnet_are_refused(cloud, version, cidr, least):
    small = cloud.make(cloud.alice, 'network', mtu=least - 1)
    subnet = {'ip_version': version, 'cidr': cidr}
    answer = cloud.request(cloud.alice, 'POST', '/subnets', {'subnet': {'network_id': small['id'], **subnet}})
    assert (answer.status, answer.fault) == (409, 'NetworkMTUSubnetConflict')
    path = f"/networks/{small['id']}"
    cloud.ask(cloud.alice, 'PUT', path, {'network': {'mtu': least}})
    cloud.make(cloud.alice, 'subnet', network_id=small['id'], **subnet)
    answer = cloud.request(cloud.alice, 'PUT', path, {'network': {'mtu': least - 1}})
    assert (answer.status, answer.fault) == (409, 'NetworkMTUSubnetConflict')
    assert cloud.ask(cloud.alice, 'GET', path)['network']['mtu'] == least


def test_a_subnet_may_be_for_any_kind_of_device(cloud):
    network = cloud.make(cloud.alice, 'network')
    for number, kind in ((1, 'rack:one'), (2, 'rack:two')):
        cloud.make(cloud.alice, 'subnet', network_id=network['id'], ip_version=4, cidr=f'10.0.{number}.0/24',
                   service_types=[kind])
        port = cloud.make(cloud.alice, 'port', network_id=network['id'], device_owner=kind)
        assert [each['ip_address'].startswith(f'10.0.{number}.') for each in port['fixed_ips']] == [True]


def test_tags_are_hung_listed_searched_and_taken(cloud):
    one, two = cloud.make(cloud.alice, 'network', name='1'), cloud.make(cloud.alice, 'network', name='2')
    path = f"/networks/{one['id']}/tags"
    assert cloud.ask(cloud.alice, 'PUT', path, {'tags': ['red', 'blue']}) == {'tags': ['red', 'blue']}
    cloud.ask(cloud.alice, 'PUT', f"/networks/{two['id']}/tags/red", status=201)
    assert cloud.ask(cloud.alice, 'GET', path) == {'tags': ['blue', 'red']}
    for query, expected in (('tags=red', '12'), ('tags=red,blue', '1'), ('tags-any=blue,green', '1'),
                            ('not-tags=red,blue', '2'), ('not-tags-any=blue', '2')):
        found = cloud.ask(cloud.alice, 'GET', f'/networks?sort_key=name&{query}')['networks']
        assert ''.join(names(found)) == expected, query
    assert cloud.request(cloud.alice, 'GET', path + '/red').status == 204
    assert cloud.ask(cloud.alice, 'POST', path, {'tags': ['red', 'green']}, status=201) == {
        'tags': ['red', 'green']}
    assert cloud.ask(cloud.alice, 'GET', path) == {'tags': ['blue', 'green', 'red']}
    assert cloud.request(cloud.bob, 'POST', path, {'tags': ['mine']}).status == 404
    assert cloud.request(cloud.reader, 'POST', path, {'tags': ['mine']}).status == 403
    cloud.ask(cloud.alice, 'DELETE', path + '/red', status=204)
    assert cloud.request(cloud.alice, 'GET', path + '/red').fault == 'TagNotFound'
    cloud.ask(cloud.alice, 'DELETE', path, status=204)
    assert cloud.ask(cloud.alice, 'GET', f"/networks/{one['id']}")['network']['tags'] == []


@pytest.mark.parametrize('values, fault', [
    ({'cidr': '10.0.0.0/33'}, 'HTTPBadRequest'),
    ({'cidr': '2001:db8::/64'}, 'InvalidInput'),
    ({'cidr': '224.0.0.0/24'}, 'InvalidInput'),
    ({'cidr': '10.0.0.0/31'}, 'InvalidInput'),
    ({'cidr': '0.0.0.0/0'}, 'InvalidInput'),
    ({'gateway_ip': 'fe80::1'}, 'InvalidInput'),
    ({'gateway_ip': '10.0.0.0'}, 'InvalidInput'),
    ({'gateway_ip': '10.0.0.255'}, 'InvalidInput'),
    ({'gateway_ip': '10.0.0.50', 'allocation_pools': [{'start': '10.0.0.2', 'end': '10.0.0.60'}]},
     'GatewayConflictWithAllocationPools'),
    ({'allocation_pools': [{'start': '10.0.0.60', 'end': '10.0.0.2'}]}, 'InvalidAllocationPool'),
    ({'allocation_pools': [{'start': '10.0.0.2', 'end': '10.0.1.2'}]}, 'OutOfBoundsAllocationPool'),
    ({'allocation_pools': [{'start': '10.0.0.2', 'end': '10.0.0.9'}, {'start': '10.0.0.9',
                                                                      'end': '10.0.0.12'}]},
     'OverlappingAllocationPools'),
    ({'dns_nameservers': [f'9.9.9.{n}' for n in range(6)]}, 'DNSNameServersExhausted'),
    ({'dns_nameservers': ['9.9.9.9', '9.9.9.9']}, 'InvalidInput'),
    ({'host_routes': [{'destination': '::/0', 'nexthop': '10.0.0.9'}]}, 'InvalidInput'),
    ({'ipv6_ra_mode': 'slaac'}, 'InvalidInput'),
    ({'network_id': '11111111-1111-1111-1111-111111111111'}, 'NetworkNotFound'),
    ({'subnetpool_id': '11111111-1111-1111-1111-111111111111'}, 'HTTPBadRequest'),
])
def test_a_subnet_that_makes_no_sense_is_refused_by_name(cloud, values, fault):
    network, _ = cloud.network(cloud.alice, None)
    body = {'network_id': network['id'], 'ip_version': 4, 'cidr': '10.0.0.0/24', **values}
    answer = cloud.request(cloud.alice, 'POST', '/subnets', {'subnet': body})
    assert answer.fault == fault and 400 <= answer.status < 410
    assert cloud.ask(cloud.alice, 'GET', '/subnets')['subnets'] == []


@pytest.mark.parametrize('version, asked, cidr', [
    (4, '10.99.99.0/16', '10.99.0.0/16'), (4, '10.0.0.5/24', '10.0.0.0/24'),
    (6, '2001:DB8::9/64', '2001:db8::/64')])
def test_bits_of_a_range_behind_its_prefix_are_dropped(cloud, version, asked, cidr):
    network, _ = cloud.network(cloud.alice, None)
    made = cloud.make(cloud.alice, 'subnet', network_id=network['id'], ip_version=version, cidr=asked)
    assert made['cidr'] == cidr


def test_a_gateway_may_be_outside_of_the_range(cloud):
    network, _ = cloud.network(cloud.alice, None)
    made = cloud.make(cloud.alice, 'subnet', network_id=network['id'], ip_version=4, cidr='10.0.0.0/24',
                      gateway_ip='10.0.1.1')
    assert made['gateway_ip'] == '10.0.1.1'
    assert made['allocation_pools'] == [{'start': '10.0.0.1', 'end': '10.0.0.254'}]
    done = cloud.ask(cloud.alice, 'PUT', f"/subnets/{made['id']}", {'subnet': {'gateway_ip': '10.10.11.1'}})
    assert done['subnet']['gateway_ip'] == '10.10.11.1'
    router = cloud.make(cloud.alice, 'router')
    path = f"/routers/{router['id']}/add_router_interface"
    assert cloud.request(cloud.alice, 'PUT', path, {'subnet_id': made['id']}).status == 400


def test_subnets_of_one_network_do_not_overlap_and_those_of_two_may(cloud):
    network, _ = cloud.network(cloud.alice)
    cloud.network(cloud.alice)
    body = {'network_id': network['id'], 'ip_version': 4, 'cidr': '10.0.0.128/25'}
    assert cloud.request(cloud.alice, 'POST', '/subnets', {'subnet': body}).fault == 'InvalidInput'


def test_a_subnet_without_gateway_and_dhcp(cloud):
    network, _ = cloud.network(cloud.alice, None)
    made = cloud.make(cloud.alice, 'subnet', network_id=network['id'], ip_version=4, cidr='10.0.0.0/30',
                      gateway_ip=None, enable_dhcp=False)
    assert made['gateway_ip'] is None and made['enable_dhcp'] is False
    assert made['allocation_pools'] == [{'start': '10.0.0.1', 'end': '10.0.0.2'}]


def test_a_subnet_is_updated(cloud):
    _, subnet = cloud.network(cloud.alice)
    path = f"/subnets/{subnet['id']}"
    changed = cloud.ask(cloud.alice, 'PUT', path, {'subnet': {
        'name': 's', 'dns_nameservers': ['9.9.9.9'], 'enable_dhcp': False,
        'host_routes': [{'destination': '10.9.0.0/16', 'nexthop': '10.0.0.9'}],
        'allocation_pools': [{'start': '10.0.0.10', 'end': '10.0.0.20'}]}})['subnet']
    assert changed['dns_nameservers'] == ['9.9.9.9'] and changed['enable_dhcp'] is False
    assert changed['allocation_pools'] == [{'start': '10.0.0.10', 'end': '10.0.0.20'}]
    assert cloud.ask(cloud.alice, 'PUT', path,
                     {'subnet': {'gateway_ip': None}})['subnet']['gateway_ip'] is None
    assert cloud.request(cloud.alice, 'PUT', path, {'subnet': {'gateway_ip': '10.0.0.15'}}).status == 409
    assert cloud.request(cloud.alice, 'PUT', path, {'subnet': {'cidr': '10.1.0.0/24'}}).status == 400


def test_a_network_in_use_stays_and_an_empty_one_goes_with_its_subnets(cloud):
    network, subnet = cloud.network(cloud.alice)
    port = cloud.make(cloud.alice, 'port', network_id=network['id'])
    answer = cloud.request(cloud.alice, 'DELETE', f"/networks/{network['id']}")
    assert (answer.status, answer.fault) == (409,
                                             'NetworkInUse') and port['id'] in answer.json['NeutronError']['message']
    assert cloud.request(cloud.alice, 'DELETE', f"/subnets/{subnet['id']}").fault == 'SubnetInUse'
    cloud.ask(cloud.alice, 'DELETE', f"/ports/{port['id']}", status=204)
    cloud.ask(cloud.alice, 'DELETE', f"/networks/{network['id']}", status=204)
    assert cloud.ask(cloud.alice, 'GET', '/subnets')['subnets'] == []
    used = cloud.ask(cloud.alice, 'GET', '/quotas/alice/details.json')['quota']
    assert [used[name]['used'] for name in ('network', 'subnet', 'port')] == [0, 0, 0]


def test_unsharing_a_network_that_others_use_is_refused(cloud):
    network, _ = cloud.network(cloud.root, shared=True)
    cloud.make(cloud.bob, 'port', network_id=network['id'])
    answer = cloud.request(cloud.root, 'PUT', f"/networks/{network['id']}", {'network': {'shared': False}})
    assert (answer.status, answer.fault) == (409, 'InvalidSharedSetting')


def test_segments_are_given_once(cloud):
    values = {'provider:network_type': 'vlan', 'provider:physical_network': 'p1',
              'provider:segmentation_id': '7'}
    made = cloud.make(cloud.root, 'network', **values)
    assert made['provider:segmentation_id'] == 7
    assert cloud.request(cloud.root, 'POST', '/networks', {'network': values}).fault == 'VlanIdInUse'
    assert cloud.make(cloud.root, 'network', **{**values, 'provider:physical_network': 'p2'})
    flat = {'provider:network_type': 'flat', 'provider:physical_network': 'p1'}
    cloud.make(cloud.root, 'network', **flat)
    assert cloud.request(cloud.root, 'POST', '/networks', {'network': flat}).fault == 'FlatNetworkInUse'
    assert cloud.request(cloud.root, 'POST', '/networks',
                         {'network': {'provider:network_type': 'flat'}}).status == 400
    tunnel = cloud.make(cloud.root, 'network', **{'provider:network_type': 'vxlan'})
    assert tunnel['provider:segmentation_id'] > 0 and tunnel['mtu'] == 1450


def test_quotas_are_the_admins_to_set_and_the_projects_to_see(cloud):
    assert cloud.ask(cloud.alice, 'GET', '/quotas/alice')['quota']['network'] == 100
    assert cloud.request(cloud.bob, 'GET', '/quotas/alice').status == 403
    assert cloud.request(cloud.alice, 'PUT', '/quotas/alice', {'quota': {'network': 5}}).status == 403
    changed = cloud.ask(cloud.root, 'PUT', '/quotas/alice', {'quota': {'network': '5',
                                                                       'check_limit': True}})['quota']
    assert changed['network'] == 5
    assert [each['project_id'] for each in cloud.ask(cloud.root, 'GET', '/quotas')['quotas']] == ['alice']
    cloud.make(cloud.alice, 'network')
    assert cloud.request(cloud.root, 'PUT', '/quotas/alice', {'quota': {'network': 0,
                                                                        'check_limit': True}}).status == 400
    cloud.ask(cloud.root, 'PUT', '/quotas/alice', {'quota': {'network': 0}})
    cloud.ask(cloud.root, 'DELETE', '/quotas/alice', status=204)
    assert cloud.ask(cloud.alice, 'GET', '/quotas/alice/default')['quota']['network'] == 100
    assert cloud.request(cloud.root, 'PUT', '/quotas/alice', {'quota': {'nonsense': 1}}).status == 400


def test_extensions_are_listed_and_a_missing_one_is_not_found(cloud):
    found = cloud.ask(cloud.alice, 'GET', '/extensions')['extensions']
    assert {'router', 'security-group', 'provider', 'project-id', 'availability_zone'} <= {e['alias']
                                                                                           for e in found}
    assert 'trunk' not in {each['alias'] for each in found}
    assert cloud.ask(cloud.alice, 'GET', '/extensions/router')['extension']['alias'] == 'router'
    assert cloud.request(cloud.alice, 'GET', '/extensions/trunk').status == 404
    assert [each['name'] for each in found if each['alias'] == 'availability_zone'] == ['Availability Zone']


def test_routes_that_are_not_there_are_404_and_methods_405(cloud):
    assert cloud.request(cloud.alice, 'GET', '/trunks').status == 404
    answer = cloud.request(cloud.alice, 'PATCH', '/networks')
    assert answer.status == 405 and answer.headers['Allow'] == 'GET, POST'
    assert cloud.request(cloud.alice, 'POST', '/networks', b'{"network": ').status == 400


def test_service_providers_are_listed_and_filtered(cloud):
    [router] = cloud.ask(cloud.alice, 'GET', '/service-providers')['service_providers']
    assert router == {'service_type': 'L3_ROUTER_NAT', 'name': 'single_node', 'default': True}
    listed = cloud.ask(cloud.alice, 'GET', '/service-providers?service_type=VPN')
    assert listed == {'service_providers': []}
    assert cloud.request(cloud.alice, 'GET', '/service-providers?nonsense=1').status == 400

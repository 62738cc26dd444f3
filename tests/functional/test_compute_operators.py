"""What operators look at and set: services, hosts, zones, limits, quotas, usage."""

import pytest
import sqlalchemy as sa

from nova import conf
from nova.db.servers import Server
from strata import errors
from strata.testing import wait
from tests.functional.nova_cloud import Cloud, running

ADMIN = {'who': 'admin', 'user': 'root', 'project': 'admin'}


@pytest.fixture
def cloud(tmp_path):
    with running(tmp_path) as made:
        yield made


def services(cloud, version='2.53', query='?binary=nova-compute'):
    return cloud.get(f'/os-services{query}', version=version, **ADMIN)['services']


@pytest.mark.parametrize('path', ['/os-services', '/os-hypervisors', '/os-hypervisors/detail',
                                  '/os-hypervisors/statistics', '/os-availability-zone/detail',
                                  '/os-simple-tenant-usage', '/os-simple-tenant-usage/other',
                                  '/os-quota-sets/other', '/limits?tenant_id=other'])
def test_a_member_is_refused_what_is_the_admins(cloud, path):
    assert cloud.call('GET', path).status == 403
    assert cloud.admin('GET', path).status == 200


def test_services_are_listed_with_their_state(cloud):
    [compute] = services(cloud, '2.1')
    assert compute['state'] == 'up' and compute['status'] == 'enabled' and isinstance(compute['id'], int)
    assert 'forced_down' not in compute
    assert {service['binary'] for service in services(cloud, query='')} >= {'nova-compute', 'nova-scheduler'}
    assert services(cloud, query='?host=nowhere') == []


def test_a_host_is_disabled_by_name_until_2_52(cloud):
    body = {'host': 'node1', 'binary': 'nova-compute'}
    answer = cloud.admin('PUT', '/os-services/disable-log-reason', {**body, 'disabled_reason': 'repair'})
    assert answer.json == {'service': {**body, 'disabled_reason': 'repair', 'status': 'disabled'}}
    assert services(cloud)[0]['disabled_reason'] == 'repair'
    id = cloud.server()
    assert 'disabled' in cloud.await_status(id, 'ERROR')['fault']['message']
    assert cloud.admin('PUT', '/os-services/enable', body).json['service']['status'] == 'enabled'
    cloud.server(wait_for='ACTIVE')
    assert cloud.admin('PUT', '/os-services/disable', body, version='2.53').status == 404
    down = {**body, 'forced_down': True}
    assert cloud.admin('PUT', '/os-services/force-down', down, version='2.10').status == 404
    assert cloud.admin('PUT', '/os-services/force-down', down, version='2.11').status == 200
    assert services(cloud)[0]['state'] == 'down'
    assert cloud.call('PUT', '/os-services/enable', body).status == 403
    assert cloud.admin('PUT', '/os-services/enable', {**body, 'host': 'nowhere'}).status == 404


def test_a_service_is_changed_by_uuid_since_2_53(cloud):
    id = services(cloud)[0]['id']

    def put(body):
        return cloud.admin('PUT', f'/os-services/{id}', body, version='2.53')
    assert put({'status': 'disabled', 'disabled_reason': 'x'}).json['service']['status'] == 'disabled'
    assert put({'status': 'enabled'}).json['service']['disabled_reason'] is None
    assert put({'forced_down': True}).json['service']['state'] == 'down'
    assert put({'forced_down': False}).json['service']['state'] == 'up'
    for body in ({}, {'disabled_reason': 'x'}, {'status': 'enabled', 'disabled_reason': 'x'}, {'colour': 'red'}):
        assert put(body).status == 400
    assert cloud.admin('PUT', '/os-services/1', {'status': 'enabled'}, version='2.53').status == 400
    scheduler = next(each for each in services(cloud, query='') if each['binary'] == 'nova-scheduler')
    assert cloud.admin('PUT', f"/os-services/{scheduler['id']}", {'status': 'disabled'}, version='2.53').status == 400


def test_a_host_with_servers_is_not_forgotten(cloud):
    id = services(cloud)[0]['id']
    cloud.server(wait_for='ACTIVE')
    assert cloud.admin('DELETE', f'/os-services/{id}', version='2.53').status == 409
    assert len(services(cloud)) == 1


def test_hypervisors_at_their_versions(cloud):
    id = cloud.server(wait_for='ACTIVE')
    [old] = cloud.get('/os-hypervisors/detail', **ADMIN)['hypervisors']
    assert isinstance(old['cpu_info'], str) and isinstance(old['id'], int)
    assert old['vcpus_used'] == 1 and old['memory_mb_used'] == 512
    [new] = cloud.get('/os-hypervisors/detail?with_servers=true', version='2.96', **ADMIN)['hypervisors']
    assert new['servers'][0]['uuid'] == id and 'vcpus' not in new and 'uptime' in new
    assert cloud.get(f"/os-hypervisors/{old['id']}", **ADMIN)['hypervisor']['id'] == old['id']
    assert cloud.get(f"/os-hypervisors/{new['id']}", version='2.96', **ADMIN)['hypervisor']['id'] == new['id']
    assert cloud.admin('GET', f"/os-hypervisors/{old['id']}", version='2.53').status == 400
    assert cloud.admin('GET', '/os-hypervisors/99').status == 404
    assert cloud.get('/os-hypervisors/node/search', **ADMIN)['hypervisors'][0]['id'] == old['id']
    assert cloud.get('/os-hypervisors/node/servers', **ADMIN)['hypervisors'][0]['servers'][0]['uuid'] == id
    assert cloud.admin('GET', '/os-hypervisors/elsewhere/search').status == 404
    assert cloud.get('/os-hypervisors/statistics', **ADMIN)['hypervisor_statistics']['count'] == 1
    assert cloud.admin('GET', '/os-hypervisors/statistics', version='2.88').status == 404
    assert 'uptime' in cloud.get(f"/os-hypervisors/{old['id']}/uptime", **ADMIN)['hypervisor']
    pattern = '/os-hypervisors?hypervisor_hostname_pattern='
    assert len(cloud.get(pattern + 'node', version='2.53', **ADMIN)['hypervisors']) == 1
    assert cloud.admin('GET', pattern + 'other', version='2.53').status == 404


def test_zones_are_those_of_hosts(cloud):
    assert cloud.get('/os-availability-zone') == {'availabilityZoneInfo': [
        {'zoneName': 'nova', 'zoneState': {'available': True}, 'hosts': None}]}
    internal, nova = cloud.get('/os-availability-zone/detail', **ADMIN)['availabilityZoneInfo']
    assert internal['zoneName'] == 'internal'
    assert nova['hosts']['node1']['nova-compute']['available'] is True


def test_limits_count_what_is_used(cloud):
    cloud.server(wait_for='ACTIVE')
    absolute = cloud.get('/limits?reserved=False')['limits']['absolute']
    assert (absolute['totalInstancesUsed'], absolute['totalRAMUsed'], absolute['totalCoresUsed']) == (1, 512, 1)
    assert absolute['maxTotalInstances'] == 10
    assert 'maxPersonality' not in cloud.get('/limits', version='2.57')['limits']['absolute']


def test_what_cannot_be_taken_over_from_a_lost_host_keeps_nothing_else_from_it(cloud):
    ids = [cloud.server(name, wait_for='ACTIVE') for name in ('first', 'second')]
    cloud.wiring.bus.faults.drop('perform', times=None)
    for id in ids:
        assert cloud.call('DELETE', f'/servers/{id}').status == 204
    with cloud.db.transaction() as tx:
        tx.execute(sa.update(Server).where(Server.id == ids[0]).values(flavor={'name': 'torn'}))
    body = {'host': 'node1', 'binary': 'nova-compute', 'forced_down': True}
    assert cloud.admin('PUT', '/os-services/force-down', body, version='2.11').status == 200
    cloud.scheduler.sweep()
    assert [server['id'] for server in cloud.get('/servers')['servers']] == [ids[0]]


@pytest.mark.parametrize('template, name', [
    ('instance-%08x', 'instance-00000001'), ('a-%d', 'a-1'), ('%(hostname)s-%(id)04d', 'web-0001'), ('%(uuid)s', None)])
def test_the_hypervisor_calls_servers_by_the_template(tmp_path, template, name):
    cloud = Cloud(tmp_path, instance_name_template=template).start()
    cloud.flavor()
    id = cloud.server(wait_for='ACTIVE')
    assert cloud.show(id, **ADMIN)['OS-EXT-SRV-ATTR:instance_name'] == (name or id)
    [host] = cloud.get('/os-hypervisors/detail?with_servers=true', version='2.96', **ADMIN)['hypervisors']
    assert host['servers'] == [{'name': name or id, 'uuid': id}]
    cloud.close()


@pytest.mark.parametrize('template', ['instance', '%(hostname)s', '%(colour)s', '%d-%d', '%s%', 'a/%d'])
def test_a_template_that_cannot_name_servers_is_refused_at_once(tmp_path, template):
    path = tmp_path / 'nova.conf'
    path.write_text(f'[DEFAULT]\ninstance_name_template = {template}\n')
    with pytest.raises(errors.Invalid, match='instance_name_template'):
        conf.load('nova', [], files=[str(path)])


def test_a_user_has_a_share_of_the_quota(cloud):
    path, mine = '/os-quota-sets/demo', '/os-quota-sets/demo?user_id=alice'

    def shown(path):
        return cloud.get(path)['quota_set']['instances']

    def create(user='alice', **more):
        body = {'server': {'name': 's', 'imageRef': next(iter(cloud.images.records)), 'flavorRef': '1', **more}}
        return cloud.call('POST', '/servers', body, user=user)
    first = cloud.server(wait_for='ACTIVE')      # before anybody counted
    assert shown(mine) == 10
    assert cloud.admin('PUT', mine, {'quota_set': {'instances': 11}}).status == 400
    assert cloud.admin('PUT', mine, {'quota_set': {'instances': 0}}).status == 400
    assert cloud.admin('PUT', mine, {'quota_set': {'instances': 3}}).json['quota_set']['instances'] == 3
    assert (shown(path), shown(mine), shown(f'{path}?user_id=bob')) == (10, 3, 10)
    assert create(min_count=1, max_count=5).status == 202
    detail = '/os-quota-sets/demo/detail?user_id='
    assert shown(detail + 'alice') == {'limit': 3, 'in_use': 3, 'reserved': 0}
    assert shown(detail + 'bob') == {'limit': 10, 'in_use': 0, 'reserved': 0}
    refused = create()
    assert refused.status == 403 and 'instances' in refused.message and '@' not in refused.message
    assert create('bob').status == 202
    assert cloud.call('DELETE', f'/servers/{first}').status == 204
    wait.until(lambda: shown(detail + 'alice')['in_use'] == 2)
    assert create().status == 202 and create().status == 403
    assert cloud.admin('DELETE', mine).status == 202
    assert (shown(mine), create().status) == (10, 202)
    assert cloud.admin('PUT', mine, {'quota_set': {'instances': 1, 'force': True}}).status == 200
    assert cloud.admin('DELETE', path).status == 202
    assert shown(mine) == 10 and shown('/os-quota-sets/demo/detail')['in_use'] == 5


def test_quotas_are_set_and_kept(cloud):
    path = '/os-quota-sets/demo'
    assert cloud.get(path)['quota_set']['instances'] == 10
    assert cloud.admin('PUT', path, {'quota_set': {'instances': 1, 'cores': '-1'}}).json['quota_set']['cores'] == -1
    cloud.server(wait_for='ACTIVE')
    image = next(iter(cloud.images.records))
    body = {'server': {'name': 'second', 'imageRef': image, 'flavorRef': '1'}}
    answer = cloud.call('POST', '/servers', body)
    assert answer.status == 403 and 'instances' in answer.message
    assert cloud.get(path + '/detail')['quota_set']['instances'] == {'limit': 1, 'in_use': 1, 'reserved': 0}
    assert cloud.admin('PUT', path, {'quota_set': {'instances': 0}}).status == 400
    assert cloud.admin('PUT', path, {'quota_set': {'instances': 0, 'force': True}}).status == 200
    assert cloud.call('PUT', path, {'quota_set': {'instances': 100}}).status == 403
    for wrong in (-2, '-2', '9999999999'):
        answer = cloud.admin('PUT', path, {'quota_set': {'instances': wrong}})
        assert answer.status == 400 and 'instances' in answer.message
    assert cloud.admin('PUT', path, {'quota_set': {'colour': 1}}).status == 400
    assert cloud.admin('DELETE', path).status == 202
    assert cloud.get(path, version='2.57')['quota_set'] == cloud.get(path + '/defaults', version='2.57')['quota_set']


def test_usage_is_counted_from_the_launch(cloud):
    cloud.server('web', wait_for='ACTIVE')
    shown = cloud.get('/os-simple-tenant-usage/demo')['tenant_usage']
    [server] = shown['server_usages']
    assert server['name'] == 'web' and server['memory_mb'] == 512 and server['state'] == 'active'
    assert server['hours'] < 0.1 and server['uptime'] < 360
    future = cloud.get('/os-simple-tenant-usage/demo?end=2999-01-01T00:00:00')['tenant_usage']
    assert future['total_hours'] < 0.1
    [usage] = cloud.get('/os-simple-tenant-usage?detailed=1', **ADMIN)['tenant_usages']
    assert usage['tenant_id'] == 'demo' and usage['total_hours'] >= 0
    assert cloud.get('/os-simple-tenant-usage/demo?start=2001-01-01T00:00:00&end=2001-01-02T00:00:00') == {
        'tenant_usage': {}}
    assert cloud.call('GET', '/os-simple-tenant-usage/demo?start=2001-01-02&end=2001-01-01').status == 400
    assert cloud.call('GET', '/os-simple-tenant-usage/demo?start=then').status == 400


def test_the_list_of_extensions_is_what_there_is(cloud):
    listed = {extension['alias'] for extension in cloud.get('/extensions')['extensions']}
    assert 'os-keypairs' in listed and 'os-cells' not in listed
    assert cloud.get('/extensions/os-keypairs')['extension']['name'] == 'Keypairs'
    assert cloud.call('GET', '/extensions/os-cells').status == 404


def aggregate(cloud, action=None, id=None, **body):
    path = '/os-aggregates' + (f'/{id}' if id else '') + ('/action' if action else '')
    return cloud.admin('POST', path, {action or 'aggregate': body}, version='2.81')


def test_an_aggregate_puts_its_hosts_into_a_zone(cloud):
    id = aggregate(cloud, name='racks', availability_zone='london').json['aggregate']['id']
    assert aggregate(cloud, 'add_host', id, host='node1').json['aggregate']['hosts'] == ['node1']
    assert services(cloud)[0]['zone'] == 'london'
    assert [zone['zoneName'] for zone in cloud.get('/os-availability-zone')['availabilityZoneInfo']] == ['london']
    server = cloud.server(availability_zone='london', wait_for='ACTIVE')
    assert cloud.show(server)['OS-EXT-AZ:availability_zone'] == 'london'
    assert aggregate(cloud, 'remove_host', id, host='node1').status == 409
    assert aggregate(cloud, 'set_metadata', id, metadata={'availability_zone': 'paris'}).status == 409
    assert aggregate(cloud, 'set_metadata', id, metadata={'fast': 'yes'}).status == 200
    assert services(cloud)[0]['zone'] == 'london'


def test_aggregates_come_and_go(cloud):
    id = aggregate(cloud, name='a', availability_zone='london').json['aggregate']['id']
    other = aggregate(cloud, name='b', availability_zone='paris').json['aggregate']['id']
    aggregate(cloud, 'add_host', id, host='node1')
    assert aggregate(cloud, 'add_host', id, host='node1').status == 409
    assert aggregate(cloud, 'add_host', other, host='node1').status == 409
    assert aggregate(cloud, 'add_host', id, host='node9').status == 404
    assert cloud.admin('DELETE', f'/os-aggregates/{id}').status == 400
    shown = cloud.admin('PUT', f'/os-aggregates/{id}', {'aggregate': {'name': 'c', 'availability_zone': 'rome'}})
    assert shown.json['aggregate']['metadata'] == {'availability_zone': 'rome'}
    assert services(cloud)[0]['zone'] == 'rome'
    assert aggregate(cloud, 'set_metadata', id, metadata={'availability_zone': None}).status == 200
    assert services(cloud)[0]['zone'] == 'nova'
    assert aggregate(cloud, 'remove_host', id, host='node1').json['aggregate']['hosts'] == []
    assert aggregate(cloud, 'remove_host', id, host='node1').status == 404
    assert cloud.admin('DELETE', f'/os-aggregates/{id}').status == 200
    assert cloud.admin('GET', f'/os-aggregates/{id}').status == 404
    assert [each['name'] for each in cloud.get('/os-aggregates', **ADMIN)['aggregates']] == ['b']


@pytest.mark.parametrize('body', [{}, {'name': ''}, {'name': 'a', 'colour': 'red'}, {'name': 'a' * 256},
                                  {'name': 'a', 'availability_zone': 'x:y'}, {'name': 'a', 'availability_zone': ''}])
def test_a_bad_aggregate_is_refused(cloud, body):
    assert aggregate(cloud, **body).status == 400
    assert cloud.get('/os-aggregates', **ADMIN)['aggregates'] == []
    assert cloud.call('POST', '/os-aggregates', {'aggregate': {'name': 'a'}}).status == 403


def test_a_guests_counters_are_shown_to_admins(cloud):
    id = cloud.server(wait_for='ACTIVE')
    assert cloud.call('GET', f'/servers/{id}/diagnostics').status == 403
    shown = cloud.get(f'/servers/{id}/diagnostics', version='2.48', who='admin')
    assert shown['state'] == 'running' and shown['num_cpus'] == 1
    assert cloud.get(f'/servers/{id}/diagnostics', who='admin')['memory'] == 512 * 1024

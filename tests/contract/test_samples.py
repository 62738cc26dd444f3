"""Bodies of the compute API have the members of the recorded samples, at 2.1 and wherever a version changes them.

``nova_shapes.json`` holds the shapes of the published samples: members of
objects, the first item of lists, '' for a scalar, '*' for what the user made
up.  ``WAYS`` says how each is asked for here.
"""

import json
import pathlib

import pytest

from tests.functional.nova_cloud import Cloud, ask

SHAPES = json.loads((pathlib.Path(__file__).parent / 'nova_shapes.json').read_text())
KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl alice@laptop'
ADMIN = {'who': 'admin', 'user': 'root'}


@pytest.fixture(scope='module')
def cloud(tmp_path_factory):
    made = Cloud(tmp_path_factory.mktemp('cloud'), quota__key_pairs=1000, quota__instances=1000,
                 quota__cores=-1, quota__ram=-1)
    made.flavor()
    made.flavor('m1.private', '10', **{'os-flavor-access:is_public': False})
    made.admin('POST', '/flavors/10/action', {'addTenantAccess': {'tenant': 'demo'}})
    made.post('/os-keypairs', {'keypair': {'name': 'first', 'public_key': KEY}})
    made.admin('POST', '/flavors/1/os-extra_specs', {'extra_specs': {'hw:numa_nodes': '1'}})
    made.start()
    made.subject = made.server('the-subject', networks=[{'uuid': made.network()}],
                               metadata={'My Server Name': 'Apache1'}, wait_for='ACTIVE')
    made.request = made.act(made.subject, 'os-stop').headers['x-compute-request-id']
    made.await_status(made.subject, 'SHUTOFF')
    made.act(made.subject, 'os-start')
    made.await_status(made.subject, 'ACTIVE')
    made.call('PUT', f'/servers/{made.subject}/tags/tag1', version='2.26')
    made.count = 0
    yield made
    made.close()


def later(version, than):
    return [int(part) for part in version.split('.')] >= [int(part) for part in than.split('.')]


def get(path, **options):
    """A GET; with ``limit=1`` if the sample has a link to the next page."""
    def way(cloud, version, shape):
        paged = any(name.endswith('links') for name in shape)
        full = path.format(id=cloud.subject, request=cloud.request)
        if paged:
            full += ('&' if '?' in full else '?') + 'limit=1'
        return cloud.call('GET', full, version=version, **options)
    return way


def seen(path):
    """A GET by the administrator, or by a member from 2.90, where the samples were recorded so."""
    def way(cloud, version, shape):
        return get(path, **({} if later(version, '2.90') else ADMIN))(cloud, version, shape)
    return way


def update(cloud, version, shape):
    who = {} if later(version, '2.90') else ADMIN
    return cloud.call('PUT', f'/servers/{cloud.subject}', {'server': {'name': 'the-subject'}}, version=version, **who)


def create(cloud, version, shape, **more):
    image = next(iter(cloud.images.records))
    return cloud.call('POST', '/servers', {'server': {
        'name': 'new', 'imageRef': image, 'flavorRef': '1', **({'networks': 'none'} if later(version, '2.37') else {}),
        **more}}, version=version)


def make_flavor(cloud, version, shape):
    cloud.count += 1
    return cloud.admin('POST', '/flavors', {'flavor': {'name': f'f{cloud.count}', 'ram': 1, 'vcpus': 1, 'disk': 0}},
                       version=version)


def make_key(**more):
    def way(cloud, version, shape):
        cloud.count += 1
        return cloud.call('POST', '/os-keypairs', {'keypair': {'name': f'k{cloud.count}', **more}}, version=version)
    return way


def put_service(action, body):
    def way(cloud, version, shape):
        if later(version, '2.53'):
            [service] = cloud.admin('GET', '/os-services?binary=nova-compute', version=version).json['services']
            new = {'disable': {'status': 'disabled'}, 'enable': {'status': 'enabled'},
                   'disable-log-reason': {'status': 'disabled', 'disabled_reason': 'x'},
                   'force-down': {'forced_down': False}}[action]
            return cloud.admin('PUT', f"/os-services/{service['id']}", new, version=version)
        return cloud.admin('PUT', f'/os-services/{action}', {'host': 'node1', 'binary': 'nova-compute', **body},
                           version=version)
    return way


def one_hypervisor(tail=''):
    def way(cloud, version, shape):
        [found] = cloud.admin('GET', '/os-hypervisors', version=version).json['hypervisors']
        return cloud.admin('GET', f"/os-hypervisors/{found['id']}{tail}", version=version)
    return way


def matching(tail, query):
    def way(cloud, version, shape):
        if later(version, '2.53'):
            return cloud.admin('GET', f'/os-hypervisors?hypervisor_hostname_pattern=node&{query}', version=version)
        return cloud.admin('GET', f'/os-hypervisors/node/{tail}', version=version)
    return way


def admin(method, path, body=None):
    return lambda cloud, version, shape: cloud.admin(method, path.format(id=cloud.subject), body, version=version)


def member(method, path, body=None):
    return lambda cloud, version, shape: cloud.call(method, path.format(id=cloud.subject), body, version=version)


def rule_of_a_new_group(cloud, version, shape):
    group = make_group(cloud, version, shape).json['security_group']['id']
    return cloud.call('POST', '/os-security-group-rules', {'security_group_rule': {
        'parent_group_id': group, 'ip_protocol': 'tcp', 'from_port': 22, 'to_port': 22, 'cidr': '10.0.0.0/24'}})


def make_group(cloud, version, shape):
    cloud.count += 1
    return cloud.call('POST', '/os-security-groups', {'security_group': {
        'name': f'g{cloud.count}', 'description': 'default'}})


def show_group(cloud, version, shape):
    group = make_group(cloud, version, shape).json['security_group']['id']
    return cloud.call('GET', f'/os-security-groups/{group}')


def one_interface(cloud, version, shape):
    [port] = cloud.call('GET', f'/servers/{cloud.subject}/os-interface').json['interfaceAttachments']
    return cloud.call('GET', f"/servers/{cloud.subject}/os-interface/{port['port_id']}", version=version)


def make_aggregate(cloud, version, shape):
    cloud.count += 1
    return cloud.admin('POST', '/os-aggregates', {'aggregate': {'name': f'a{cloud.count}'}}, version=version)


def on_aggregate(action):
    """An action on an aggregate of its own, which has the host already if it is to lose it."""
    def way(cloud, version, shape):
        id = make_aggregate(cloud, version, shape).json['aggregate']['id']
        if 'remove_host' in action:
            cloud.admin('POST', f'/os-aggregates/{id}/action', {'add_host': {'host': 'node1'}}, version=version)
        return cloud.admin('POST', f'/os-aggregates/{id}/action', action, version=version)
    return way


def document(path):
    return lambda cloud, version, shape: ask(cloud.apis['compute'], 'GET', path)


WAYS = {
    'servers/server-get-resp': seen('/servers/{id}'),
    'servers/servers-details-resp': seen('/servers/detail?name=%5Ethe-subject$'),
    'servers/servers-list-resp': get('/servers'),
    'servers/server-create-resp': create,
    'servers/server-update-resp': update,
    'servers/server-put-resp': update,
    'servers/servers-list-with-changes-before': get('/servers?changes-before=2999-01-01T00:00:00Z'),
    'servers/servers-details-with-changes-before': get(
        '/servers/detail?changes-before=2999-01-01T00:00:00Z&name=%5Ethe-subject$&all_tenants=1', **ADMIN),
    'flavors/flavor-get-resp': get('/flavors/1'),
    'flavors/flavors-detail-resp': get('/flavors/detail'),
    'flavors/flavors-list-resp': get('/flavors'),
    'flavor-manage/flavor-create-post-resp': make_flavor,
    'flavor-manage/flavor-update-resp': admin('PUT', '/flavors/1', {'flavor': {'description': 'new'}}),
    'flavor-access/flavor-access-list-resp': admin('GET', '/flavors/10/os-flavor-access'),
    'flavor-access/flavor-access-add-tenant-resp': admin(
        'POST', '/flavors/10/action', {'addTenantAccess': {'tenant': 'fake_tenant'}}),
    'flavor-access/flavor-access-remove-tenant-resp': admin(
        'POST', '/flavors/10/action', {'removeTenantAccess': {'tenant': 'fake_tenant'}}),
    'flavor-extra-specs/flavor-extra-specs-list-resp': member('GET', '/flavors/1/os-extra_specs'),
    'flavor-extra-specs/flavor-extra-specs-create-resp': admin(
        'POST', '/flavors/1/os-extra_specs', {'extra_specs': {'hw:numa_nodes': '1'}}),
    'flavor-extra-specs/flavor-extra-specs-get-resp': member('GET', '/flavors/1/os-extra_specs/hw:numa_nodes'),
    'flavor-extra-specs/flavor-extra-specs-update-resp': admin(
        'PUT', '/flavors/1/os-extra_specs/hw:numa_nodes', {'hw:numa_nodes': '2'}),
    'os-keypairs/keypairs-get-resp': get('/os-keypairs/first'),
    'os-keypairs/keypairs-import-post-resp': make_key(public_key=KEY),
    'os-keypairs/keypairs-list-resp': get('/os-keypairs'),
    'os-keypairs/keypairs-post-resp': make_key(),
    'limits/limit-get-resp': get('/limits'),
    'versions/versions-get-resp': document('/'),
    'versions/v21-version-get-resp': document('/v2.1/'),
    'versions/v2-version-get-resp': document('/v2/'),
    'os-availability-zone/availability-zone-detail-resp': admin('GET', '/os-availability-zone/detail'),
    'os-availability-zone/availability-zone-list-resp': get('/os-availability-zone'),
    'os-services/services-list-get-resp': admin('GET', '/os-services'),
    'os-services/service-disable-put-resp': put_service('disable', {}),
    'os-services/service-disable-log-put-resp': put_service('disable-log-reason', {'disabled_reason': 'x'}),
    'os-services/service-enable-put-resp': put_service('enable', {}),
    'os-services/service-force-down-put-resp': put_service('force-down', {'forced_down': False}),
    'os-hypervisors/hypervisors-detail-resp': get('/os-hypervisors/detail', **ADMIN),
    'os-hypervisors/hypervisors-list-resp': get('/os-hypervisors', **ADMIN),
    'os-hypervisors/hypervisors-search-resp': matching('search', ''),
    'os-hypervisors/hypervisors-show-resp': one_hypervisor(),
    'os-hypervisors/hypervisors-statistics-resp': admin('GET', '/os-hypervisors/statistics'),
    'os-hypervisors/hypervisors-uptime-resp': one_hypervisor('/uptime'),
    'os-hypervisors/hypervisors-with-servers-resp': matching('servers', 'with_servers=true'),
    'os-hypervisors/hypervisors-detail-with-servers-resp': admin('GET', '/os-hypervisors/detail?with_servers=1'),
    'os-hypervisors/hypervisors-show-with-servers-resp': one_hypervisor('?with_servers=1'),
    'os-instance-actions/instance-action-get-resp': get('/servers/{id}/os-instance-actions/{request}', **ADMIN),
    'os-instance-actions/instance-action-get-non-admin-resp': get('/servers/{id}/os-instance-actions/{request}'),
    'os-instance-actions/instance-actions-list-resp': get('/servers/{id}/os-instance-actions'),
    'server-metadata/server-metadata-all-resp': member('GET', '/servers/{id}/metadata'),
    'server-metadata/server-metadata-resp': member('GET', '/servers/{id}/metadata/My Server Name'),
    'os-server-tags/server-tags-index-resp': member('GET', '/servers/{id}/tags'),
    'os-server-tags/server-tags-put-all-resp': member('PUT', '/servers/{id}/tags', {'tags': ['tag1']}),
    'server-ips/server-ips-resp': member('GET', '/servers/{id}/ips'),
    'server-ips/server-ips-network-resp': member('GET', '/servers/{id}/ips/private'),
    'os-console-output/console-output-post-resp': member('POST', '/servers/{id}/action', {'os-getConsoleOutput': {}}),
    'os-multiple-create/multiple-create-post-resp': lambda *a: create(*a, return_reservation_id=True, max_count=2),
    'os-multiple-create/multiple-create-no-resv-post-resp': lambda *a: create(*a, max_count=2),
    'os-simple-tenant-usage/simple-tenant-usage-get-detail': get('/os-simple-tenant-usage?detailed=1', **ADMIN),
    'os-simple-tenant-usage/simple-tenant-usage-get-specific': get('/os-simple-tenant-usage/demo'),
    'os-simple-tenant-usage/simple-tenant-usage-get': get('/os-simple-tenant-usage', **ADMIN),
    'os-quota-sets/quotas-show-defaults-get-resp': get('/os-quota-sets/demo/defaults'),
    'os-quota-sets/quotas-show-detail-get-resp': get('/os-quota-sets/demo/detail'),
    'os-quota-sets/quotas-show-get-resp': get('/os-quota-sets/demo'),
    'os-quota-sets/quotas-update-post-resp': admin('PUT', '/os-quota-sets/other', {'quota_set': {'instances': 5}}),
    'os-aggregates/aggregate-post-resp': make_aggregate,
    'os-aggregates/aggregate-update-post-resp': admin('PUT', '/os-aggregates/1', {'aggregate': {'name': 'new'}}),
    'os-aggregates/aggregates-add-host-post-resp': on_aggregate({'add_host': {'host': 'node1'}}),
    'os-aggregates/aggregates-get-resp': admin('GET', '/os-aggregates/1'),
    'os-aggregates/aggregates-list-get-resp': admin('GET', '/os-aggregates'),
    'os-aggregates/aggregates-metadata-post-resp': on_aggregate({'set_metadata': {'metadata': {'key': 'value'}}}),
    'os-aggregates/aggregates-remove-host-post-resp': on_aggregate({'remove_host': {'host': 'node1'}}),
    'os-server-diagnostics/server-diagnostics-get-resp': admin('GET', '/servers/{id}/diagnostics'),
    'os-attach-interfaces/attach-interfaces-list-resp': get('/servers/{id}/os-interface'),
    'os-attach-interfaces/attach-interfaces-show-resp': one_interface,
    'os-security-groups/security-groups-list-get-resp': get('/os-security-groups'),
    'os-security-groups/security-groups-get-resp': show_group,
    'os-security-groups/security-groups-create-resp': make_group,
    'os-security-groups/security-group-rules-post-resp': rule_of_a_new_group,
    'os-security-groups/server-security-groups-list-resp': get('/servers/{id}/os-security-groups'),
    'os-server-password/get-password-resp': get('/servers/{id}/os-server-password'),
    'os-quota-sets/quotas-update-force-post-resp': admin(
        'PUT', '/os-quota-sets/other', {'quota_set': {'force': True, 'instances': 5}}),
    'os-quota-sets/user-quotas-show-get-resp': admin('GET', '/os-quota-sets/other?user_id=alice'),
    'os-instance-actions/instance-actions-list-with-limit-resp': get('/servers/{id}/os-instance-actions'),
    'os-keypairs/keypairs-list-user1-resp': get('/os-keypairs?user_id=alice', **ADMIN),
    'os-simple-tenant-usage/simple-tenant-usage-get-all': get('/os-simple-tenant-usage?detailed=1', **ADMIN),
    'os-server-tags/servers-tags-details-resp': get('/servers/detail?tags=tag1'),
    'servers/servers-list-status-resp': get('/servers?status=active'),
    'extension-info/extensions-list-resp': get('/extensions'),
    'extension-info/extensions-get-resp': get('/extensions/os-keypairs'),
}


#: lists that have nothing in them here: of what is not built, and the hosts of an aggregate that was just made
EMPTY = {'os-extended-volumes:volumes_attached', 'trusted_image_certificates', 'server_groups', 'hosts'}


def differences(ours, shape, at='body'):
    """What of a body is not as the sample's shape has it."""
    if shape == '*':
        return []
    if isinstance(shape, dict):
        if not isinstance(ours, dict):
            return [f'{at} is no object']
        if '*' in shape:
            return [line for key, value in ours.items() for line in differences(value, shape['*'], f'{at}.{key}')]
        lines = [f'{at}.{key} is missing' for key in sorted(set(shape) - set(ours))]
        lines += [f'{at}.{key} is too much' for key in sorted(set(ours) - set(shape))]
        return lines + [line for key in set(shape) & set(ours)
                        for line in differences(ours[key], shape[key], f'{at}.{key}')]
    if isinstance(shape, list):
        if ours is not None and not isinstance(ours, list):
            return [f'{at} is no list']
        if shape and not ours:
            return [] if at.rpartition('.')[2] in EMPTY else [f'{at} is empty']
        return differences(ours[0], shape[0], f'{at}[0]') if shape else []
    return [f'{at} is no scalar'] if isinstance(ours, (dict, list)) else []


@pytest.mark.parametrize('name, version', [(name, version) for name, versions in SHAPES.items()
                                           for version in versions])
def test_a_body_has_the_members_of_its_sample(cloud, name, version):
    shape = SHAPES[name][version]
    answer = WAYS[name](cloud, version, shape)
    assert answer.status < 300, answer.body
    assert differences(answer.json, shape) == []

"""Servers through the front door: created, listed, shown, changed, deleted."""

import base64

import pytest

from strata.testing import wait
from tests.functional.nova_cloud import running


@pytest.fixture
def cloud(tmp_path):
    with running(tmp_path) as made:
        yield made


@pytest.fixture(scope='module')
def empty(tmp_path_factory):
    """A cloud for requests that must change nothing."""
    with running(tmp_path_factory.mktemp('empty')) as made:
        made.images.add()
        yield made


def test_a_server_becomes_active_with_an_address(cloud):
    network = cloud.network()
    id = cloud.server(networks=[{'uuid': network}], wait_for='ACTIVE')
    shown = cloud.show(id)
    [address] = shown['addresses']['private']
    assert address['OS-EXT-IPS:type'] == 'fixed' and address['version'] == 4
    assert shown['security_groups'] == [{'name': 'default'}]
    assert shown['OS-EXT-STS:power_state'] == 1 and shown['hostId']
    assert cloud.get(f'/servers/{id}/ips')['addresses'] == {'private': [{'addr': address['addr'], 'version': 4}]}
    assert cloud.get(f'/servers/{id}/ips/private')['private'][0]['addr'] == address['addr']
    assert cloud.call('GET', f'/servers/{id}/ips/other').status == 404


def test_a_deleted_server_is_gone_with_its_port(cloud):
    id = cloud.server(networks=[{'uuid': cloud.network()}], wait_for='ACTIVE')
    assert cloud.call('DELETE', f'/servers/{id}').status == 204
    wait.until(lambda: cloud.call('GET', f'/servers/{id}').status == 404, message='gone')
    assert cloud.get('/servers')['servers'] == []
    assert cloud.call('DELETE', f'/servers/{id}').status == 404


def bad(cloud, change, version='2.96', **options):
    """The refusal of a create with something wrong; nothing may have come of it."""
    image = next(iter(cloud.images.records), None) or cloud.images.add()
    body = {'name': 'web', 'imageRef': image, 'flavorRef': '1', 'networks': 'none', **change}
    body = {name: value for name, value in body.items() if value is not ...}
    answer = cloud.call('POST', '/servers', {'server': body}, version=version, **options)
    assert cloud.admin('GET', '/servers?all_tenants=1').json['servers'] == []
    assert cloud.get('/limits')['limits']['absolute']['totalInstancesUsed'] == 0
    return answer


@pytest.mark.parametrize('change, field', [
    ({'name': ''}, 'name'), ({'name': 'x' * 256}, 'name'), ({'name': 7}, 'name'), ({'name': 'a\x00b'}, 'name'),
    ({'name': ' web'}, 'name'), ({'name': ...}, 'name'), ({'flavorRef': ...}, 'flavorRef'),
    ({'imageRef': 'debian'}, 'imageRef'), ({'imageRef': ''}, 'imageRef'), ({'imageRef': ...}, 'imageRef'),
    ({'imageRef': '70a599e0-31e7-49b7-b260-868f441e862b'}, 'mage'),
    ({'flavorRef': 'no-such'}, 'Flavor'), ({'networks': ...}, 'networks'), ({'networks': 'some'}, 'networks'),
    ({'networks': [{'uuid': 'x'}]}, 'networks'), ({'networks': [{}]}, 'networks/0'),
    ({'networks': [{'uuid': '70a599e0-31e7-49b7-b260-868f441e862b'}]}, 'etwork'),
    ({'networks': [{'port': '70a599e0-31e7-49b7-b260-868f441e862b'}]}, 'Port'),
    ({'networks': [{'uuid': '70a599e0-31e7-49b7-b260-868f441e862b', 'fixed_ip': '10.0.0'}]}, 'networks'),
    ({'user_data': 'not base64!'}, 'user_data'), ({'user_data': 'A' * 65536}, 'user_data'),
    ({'key_name': 'missing'}, 'key_name'), ({'config_drive': 'perhaps'}, 'config_drive'),
    ({'metadata': {'k': 7}}, 'metadata'), ({'metadata': {'k' * 256: 'v'}}, 'metadata'),
    ({'metadata': {'k': 'v' * 256}}, 'metadata'), ({'metadata': ['k']}, 'metadata'),
    ({'tags': ['a,b']}, 'tags'), ({'tags': ['t' * 61]}, 'tags'), ({'tags': [str(n) for n in range(51)]}, 'tags'),
    ({'min_count': 0}, 'min_count'), ({'min_count': 3, 'max_count': 2}, 'min_count'),
    ({'max_count': 'many'}, 'max_count'), ({'accessIPv4': 'fe80::1'}, 'accessIPv4'),
    ({'accessIPv6': '10.0.0.1'}, 'accessIPv6'), ({'description': 'x' * 256}, 'description'),
    ({'hostname': '-web'}, 'hostname'), ({'hostname': 'web\n'}, 'hostname'), ({'metadata': {'k\n': 'v'}}, 'metadata'),
    ({'accessIPv6': 'fe80::1%eth0'}, 'accessIPv6'), ({'hostname': 'a_b'}, 'hostname'),
    ({'security_groups': [{'name': 'no-such'}], 'networks': 'none'}, 'ecurity group'),
    ({'security_groups': 'default'}, 'security_groups'), ({'availability_zone': 'moon'}, 'zone'),
    ({'OS-DCF:diskConfig': 'SOMETIMES'}, 'diskConfig'), ({'personality': []}, 'personality'),
    ({'colour': 'red'}, 'colour'),
    ({'block_device_mapping_v2': [{'source_type': 'tape', 'uuid': 'x'}]}, 'source_type'),
    ({'block_device_mapping_v2': [{'source_type': 'image', 'destination_type': 'local', 'boot_index': 0,
                                   'uuid': '70a599e0-31e7-49b7-b260-868f441e862b'}]}, 'block_device_mapping_v2/0'),
])
def test_a_create_that_is_wrong_names_the_field_and_changes_nothing(empty, change, field):
    answer = bad(empty, change)
    assert answer.status == 400, answer.body
    assert field in answer.message


@pytest.mark.parametrize('body', [
    b'', b'{', b'[]', b'"x"', b'null', b'{"server": null}', b'{"server": []}', b'{"server": {"name": "\xff"}}',
    b'{"server": {}} trailing', b'[' * 10000, b'{"server":' * 2000 + b'1' + b'}' * 2000, b'{"servers": {}}',
    b'{"server": {"name": "\\ud800"}}',
])
def test_a_body_that_is_no_document_is_refused(empty, body):
    answer = empty.call('POST', '/servers', body, version='2.96')
    assert answer.status == 400
    assert 'badRequest' in answer.json
    assert empty.get('/servers')['servers'] == []


@pytest.mark.parametrize('change, field', [
    ({'imageRef': '', 'block_device_mapping_v2': [{'source_type': 'volume', 'destination_type': 'volume',
                                                   'uuid': 'v', 'boot_index': 0}]}, 'block_device_mapping_v2/0'),
    ({'block_device_mapping': [{'volume_id': 'v'}]}, 'block_device_mapping'),
    ({'trusted_image_certificates': ['c']}, 'trusted_image_certificates'),
])
def test_what_is_not_built_is_501_and_named(empty, change, field):
    answer = bad(empty, change)
    assert answer.status == 501
    assert field in answer.message


def test_a_promise_of_the_scheduler_that_is_not_built_is_501(empty):
    body = {'name': 'web', 'imageRef': next(iter(empty.images.records)), 'flavorRef': '1'}
    for hints in ('os:scheduler_hints', 'OS-SCH-HNT:scheduler_hints'):
        answer = empty.call('POST', '/servers', {'server': body, hints: {'group': 'g'}})
        assert answer.status == 501 and 'group' in answer.message
    assert empty.get('/servers')['servers'] == []


def test_an_image_or_flavor_that_cannot_fit_is_refused(cloud):
    cloud.images.add(min_ram=1024)
    assert 'memory' in bad(cloud, {}).message
    assert bad(cloud, {'imageRef': cloud.images.add(min_disk=10)}).status == 400
    assert bad(cloud, {'imageRef': cloud.images.add(status='queued')}).status == 400


@pytest.mark.parametrize('name', ['kernel_id', 'ramdisk_id'])
def test_an_image_does_not_bring_the_private_image_of_another_project_in(cloud, name):
    foreign = cloud.images.add(visibility='private', owner='theirs', disk_format='ari')
    image = cloud.images.add(**{name: foreign})
    refused = bad(cloud, {'imageRef': image})
    assert refused.status == 400 and name in refused.message
    cloud.images.records[foreign]['owner'] = 'demo'
    assert cloud.show(cloud.server(imageRef=image))['image']['id'] == image


def test_clients_name_the_image_as_block_device_and_reference(cloud):
    image = cloud.images.add()
    device = {'uuid': image, 'boot_index': 0, 'source_type': 'image', 'destination_type': 'local',
              'delete_on_termination': True}
    for reference in (image, ''):
        id = cloud.server(version='2.96', imageRef=reference, block_device_mapping_v2=[device])
        assert cloud.show(id)['image']['id'] == image


def test_a_create_answers_as_published(cloud):
    cloud.images.add()
    body = {'server': {'name': 'web', 'imageRef': next(iter(cloud.images.records)), 'flavorRef': 1}}
    answer = cloud.call('POST', '/servers', body)
    assert answer.status == 202
    made = answer.json['server']
    assert set(made) == {'id', 'links', 'adminPass', 'OS-DCF:diskConfig', 'security_groups'}
    assert answer.headers['location'] == made['links'][0]['href']
    action = cloud.get(f"/servers/{made['id']}/os-instance-actions/{answer.headers['x-compute-request-id']}")
    assert action['instanceAction']['action'] == 'create'
    body['server']['adminPass'] = 'mine'
    assert cloud.call('POST', '/servers', body).json['server']['adminPass'] == 'mine'


def test_many_servers_come_of_one_request(cloud):
    cloud.images.add()
    body = {'name': 'web', 'imageRef': next(iter(cloud.images.records)), 'flavorRef': '1', 'min_count': '2',
            'max_count': 3, 'return_reservation_id': 'True'}
    reservation = cloud.post('/servers', {'server': body}, 202)['reservation_id']
    found = cloud.get(f'/servers?reservation_id={reservation}&sort_key=display_name&sort_dir=asc')['servers']
    assert [server['name'] for server in found] == ['web-1', 'web-2', 'web-3']


def test_many_servers_have_room_for_their_numbers_in_a_long_name(cloud):
    cloud.server('n' * 255, version='2.90', hostname='h' * 63, min_count=2)
    found = cloud.get('/servers/detail?sort_key=display_name&sort_dir=asc', version='2.90')['servers']
    assert [server['name'] for server in found] == ['n' * 253 + '-1', 'n' * 253 + '-2']
    assert [server['OS-EXT-SRV-ATTR:hostname'] for server in found] == ['h' * 61 + '-1', 'h' * 61 + '-2']


def test_what_was_asked_for_is_what_is_shown(cloud):
    cloud.post('/os-keypairs', {'keypair': {'name': 'k'}})
    data = base64.b64encode(b'#!/bin/sh\n').decode()
    id = cloud.server(version='2.96', key_name='k', user_data=data, config_drive=True, metadata={'a': 'b'},
                      tags=['x', 'y'], description='mine', hostname='own', accessIPv4='192.0.2.1',
                      accessIPv6='0000:0::babe:220.12.22.2',
                      availability_zone='nova', **{'OS-DCF:diskConfig': 'AUTO'})
    shown = cloud.show(id, '2.96', who='admin')
    assert shown['key_name'] == 'k' and shown['OS-EXT-SRV-ATTR:user_data'] == data
    assert shown['config_drive'] == 'True' and shown['metadata'] == {'a': 'b'} and shown['tags'] == ['x', 'y']
    assert shown['description'] == 'mine' and shown['OS-EXT-SRV-ATTR:hostname'] == 'own'
    assert shown['accessIPv4'] == '192.0.2.1' and shown['accessIPv6'] == '::babe:dc0c:1602'
    assert shown['pinned_availability_zone'] == 'nova' and shown['OS-DCF:diskConfig'] == 'AUTO'
    assert shown['flavor']['original_name'] == 'm1.tiny' and shown['OS-EXT-AZ:availability_zone'] == 'nova'


def test_only_admins_choose_the_host(cloud):
    cloud.images.add()
    for change in ({'availability_zone': 'nova:node1'}, {'host': 'node1'}, {'hypervisor_hostname': 'node1'}):
        assert bad(cloud, change).status == 403
        elsewhere = {name: value.replace('node1', 'node9') for name, value in change.items()}
        assert bad(cloud, elsewhere, who='admin').status == 400
    id = cloud.server(version='2.96', who='admin', availability_zone='nova:node1:node1')
    assert cloud.await_status(id, 'ACTIVE', who='admin')['OS-EXT-SRV-ATTR:host'] == 'node1'


def test_a_reader_may_look_but_not_touch(cloud):
    id = cloud.server(wait_for='ACTIVE')
    assert cloud.call('GET', f'/servers/{id}', who='reader').status == 200
    image = next(iter(cloud.images.records))
    body = {'server': {'name': 'web', 'imageRef': image, 'flavorRef': '1'}}
    assert cloud.call('POST', '/servers', body, who='reader').status == 403
    assert cloud.call('PUT', f'/servers/{id}', {'server': {'name': 'x'}}, who='reader').status == 403
    assert cloud.call('DELETE', f'/servers/{id}', who='reader').status == 403
    assert cloud.call('POST', f'/servers/{id}/action', {'os-stop': None}, who='reader').status == 403
    assert cloud.show(id)['name'] == 'web'


def test_another_projects_server_does_not_exist(cloud):
    id = cloud.server(wait_for='ACTIVE')
    other = {'project': 'theirs', 'user': 'mallory'}
    assert cloud.call('GET', f'/servers/{id}', **other).status == 404
    assert cloud.call('DELETE', f'/servers/{id}', **other).status == 404
    assert cloud.call('PUT', f'/servers/{id}', {'server': {'name': 'x'}}, **other).status == 404
    assert cloud.call('POST', f'/servers/{id}/action', {'os-stop': None}, **other).status == 404
    assert cloud.call('GET', f'/servers/{id}/metadata', **other).status == 404
    assert cloud.call('GET', '/servers', **other).json['servers'] == []
    assert cloud.show(id)['status'] == 'ACTIVE'


def test_names_of_servers_are_not_ids(cloud):
    cloud.server('web')
    assert cloud.call('GET', '/servers/web').status == 404


@pytest.mark.parametrize('version, change, status', [
    ('2.1', {'name': 'new'}, 200), ('2.1', {'description': 'd'}, 400), ('2.19', {'description': 'd'}, 200),
    ('2.19', {'description': None}, 200), ('2.89', {'hostname': 'abc'}, 400), ('2.90', {'hostname': 'abc'}, 200),
    ('2.90', {'hostname': 'a.bc'}, 400), ('2.94', {'hostname': 'a.bc'}, 200), ('2.1', {'accessIPv4': '1.2.3.4'}, 200),
    ('2.1', {'accessIPv4': ''}, 200), ('2.1', {'accessIPv4': 'x'}, 400), ('2.1', {'status': 'ACTIVE'}, 400),
    ('2.1', {'name': ''}, 400), ('2.1', {'OS-DCF:diskConfig': 'AUTO'}, 200),
])
def test_update_at_version(cloud, version, change, status):
    id = cloud.server(wait_for='ACTIVE')
    before = cloud.show(id, '2.96')
    answer = cloud.call('PUT', f'/servers/{id}', {'server': change}, version=version)
    assert answer.status == status, answer.body
    after = cloud.show(id, '2.96')
    if status == 400:
        assert after == before
    elif 'OS-DCF:diskConfig' in change:
        assert after['OS-DCF:diskConfig'] == 'AUTO' != before['OS-DCF:diskConfig']
    elif 'name' in change:
        assert after['name'] == 'new' and answer.json['server']['name'] == 'new'


def test_a_list_takes_the_same_number_of_queries_whatever_its_length(cloud):
    import sqlalchemy as sa
    network = cloud.network()
    said = []
    sa.event.listen(cloud.db.engine, 'before_cursor_execute', lambda *arguments: said.append(arguments[2]))

    def queries():
        wait.until(lambda: all(server['status'] == 'ACTIVE' for server in cloud.get('/servers/detail')['servers']))
        cloud.wiring.bus.drain(10)
        said.clear()
        cloud.get('/servers/detail', version='2.96', who='admin', user='root')
        return len(said)
    cloud.server(networks=[{'uuid': network}])
    one = queries()
    cloud.server(networks=[{'uuid': network}], max_count=5)
    assert queries() == one

"""The metadata service, as a guest asks it, and the same tree on a config drive."""

import base64
import json
import sqlite3

import pytest
import sqlalchemy as sa

from nova.compute import metadata_tree
from nova.db import passwords, servers
from strata.context import background
from strata.testing import wait
from tests.functional.nova_cloud import Cloud, ask

USER_DATA = b'#!/bin/sh\necho \xff\n'


class Guest:
    """A server on a network, and its way to ask."""

    def __init__(self, cloud):
        cloud.flavor()
        cloud.start()
        cloud.post('/os-keypairs', {'keypair': {'name': 'k'}})
        self.cloud, self.network = cloud, cloud.network(cidr='10.0.0.0/24')
        self.id = cloud.server(
            'web', version='2.96', networks=[{'uuid': self.network, 'tag': 'front'}], key_name='k',
            user_data=base64.b64encode(USER_DATA).decode(), metadata={'role': 'web'}, wait_for='ACTIVE')
        [self.address] = [each['addr'] for each in cloud.show(self.id)['addresses']['private']]

    def ask(self, path, method='GET', body=None, network=None, address=None):
        return ask(self.cloud.apis['metadata'], method, path, body,
                   **{'strata.socket': network or self.network, 'REMOTE_ADDR': address or self.address})

    def text(self, path):
        answer = self.ask(path)
        assert answer.status == 200, path
        return answer.body.decode()


@pytest.fixture(scope='module')
def guest(tmp_path_factory):
    cloud = Cloud(tmp_path_factory.mktemp('cloud'))
    yield Guest(cloud)
    cloud.close()


def test_the_openstack_tree_says_who_the_server_is(guest):
    meta = json.loads(guest.text('/openstack/latest/meta_data.json'))
    shown = guest.cloud.show(guest.id, '2.90', who='admin')
    assert meta['uuid'] == guest.id and meta['name'] == 'web' and meta['hostname'] == 'web.novalocal'
    assert meta['meta'] == {'role': 'web'} and meta['project_id'] == 'demo' and meta['launch_index'] == 0
    assert meta['public_keys']['k'].startswith('ssh-rsa ') and meta['keys'][0]['type'] == 'ssh'
    assert meta['availability_zone'] == 'nova' == shown['OS-EXT-AZ:availability_zone']
    assert len(base64.b64decode(meta['random_seed'])) == 512
    [device] = meta['devices']
    assert device['tags'] == ['front']


@pytest.mark.parametrize('version, lists', [
    ('2012-08-10', {'meta_data.json', 'user_data'}),
    ('2013-04-04', {'meta_data.json', 'user_data', 'password'}),
    ('2013-10-17', {'meta_data.json', 'user_data', 'password', 'vendor_data.json'}),
    ('2015-10-15', {'meta_data.json', 'user_data', 'password', 'vendor_data.json', 'network_data.json'}),
    ('latest', {'meta_data.json', 'user_data', 'password', 'vendor_data.json', 'network_data.json',
                'vendor_data2.json'}),
])
def test_each_version_lists_what_it_has(guest, version, lists):
    assert version in guest.text('/openstack').split('\n')
    for path in (f'/openstack/{version}', f'/openstack/{version}/'):
        assert set(guest.text(path).split('\n')) == lists
    meta = json.loads(guest.text(f'/openstack/{version}/meta_data.json'))
    assert ('project_id' in meta) == (version >= '2015-10-15')


def test_the_network_is_told_as_it_is(guest):
    data = json.loads(guest.text('/openstack/latest/network_data.json'))
    [link], [network] = data['links'], data['networks']
    [address] = guest.cloud.show(guest.id)['addresses']['private']
    assert link['ethernet_mac_address'] == address['OS-EXT-IPS-MAC:mac_addr'] and link['mtu'] >= 1280
    assert network == {'id': 'network0', 'link': link['id'], 'network_id': guest.network, 'type': 'ipv4_dhcp'}


def test_an_address_that_nobody_hands_out_is_told_in_full():
    base = {'type': 'fixed', 'port_id': 'p', 'device': 'tap1', 'mtu': 1450, 'mac': 'fa:16:3e:00:00:01',
            'network_id': 'n', 'dhcp': False, 'routes': [{'destination': '10.9.0.0/16', 'nexthop': '10.0.0.9'}],
            'dns': ['192.0.2.53']}
    data = metadata_tree.network_data([
        {**base, 'address': '10.0.0.5', 'version': 4, 'cidr': '10.0.0.0/24', 'gateway': '10.0.0.1'},
        {**base, 'address': 'fd00::5', 'version': 6, 'cidr': 'fd00::/64', 'gateway': None, 'routes': []}])
    four, six = data['networks']
    assert (four['type'], four['ip_address'], four['netmask']) == ('ipv4', '10.0.0.5', '255.255.255.0')
    assert four['routes'] == [{'network': '0.0.0.0', 'netmask': '0.0.0.0', 'gateway': '10.0.0.1'},
                              {'network': '10.9.0.0', 'netmask': '255.255.0.0', 'gateway': '10.0.0.9'}]
    assert (six['type'], six['netmask'], six['routes']) == ('ipv6', 'ffff:ffff:ffff:ffff::', [])
    assert data['services'] == [{'type': 'dns', 'address': '192.0.2.53'}] and len(data['links']) == 1


@pytest.mark.parametrize('mode, told', [
    ('slaac', 'ipv6_slaac'), ('dhcpv6-stateless', 'ipv6_dhcpv6-stateless'),
    ('dhcpv6-stateful', 'ipv6_dhcpv6-stateful'), (None, 'ipv6_dhcp')])
def test_how_an_ipv6_address_is_had_is_told(mode, told):
    data = metadata_tree.network_data([{
        'type': 'fixed', 'port_id': 'p', 'device': 'tap1', 'mtu': 1450, 'mac': 'fa:16:3e:00:00:01',
        'network_id': 'n', 'dhcp': True, 'mode': mode, 'address': 'fd00::5', 'version': 6, 'cidr': 'fd00::/64',
        'gateway': 'fd00::1', 'routes': [], 'dns': []}])
    assert data['networks'] == [{'id': 'network0', 'link': 'tap1', 'network_id': 'n', 'type': told}]


def test_user_data_comes_byte_for_byte(guest):
    for path in ('/openstack/latest/user_data', '/latest/user-data', '/2009-04-04/user-data'):
        assert guest.ask(path).body == USER_DATA


def test_the_ec2_tree_lists_and_tells(guest):
    assert guest.text('/').split('\n')[-2:] == ['2009-04-04', 'latest']
    assert guest.text('/latest/').split('\n') == ['meta-data/', 'user-data']
    listed = guest.text('/latest/meta-data/').split('\n')
    assert {'ami-id', 'instance-id', 'public-keys/', 'placement/', 'block-device-mapping/', 'local-ipv4'} <= set(listed)
    assert guest.text('/latest/meta-data/local-ipv4') == guest.address
    assert guest.text('/latest/meta-data/instance-id') == 'i-00000001'
    assert guest.text('/latest/meta-data/instance-type') == 'm1.tiny'
    assert guest.text('/latest/meta-data/security-groups') == 'default'
    assert guest.text('/latest/meta-data/placement/availability-zone') == 'nova'
    assert guest.text('/latest/meta-data/public-keys') == '0=k'
    assert guest.text('/latest/meta-data/public-keys/0/') == 'openssh-key'
    assert guest.text('/latest/meta-data/public-keys/0/openssh-key').startswith('ssh-rsa ')
    assert guest.text('/latest/meta-data/block-device-mapping/root') == '/dev/vda'


@pytest.mark.parametrize('path', ['/openstack/2099-01-01', '/openstack/latest/secrets', '/latest/meta-data/nothing',
                                  '/2001-01-01', '/latest/meta-data/ami-id/more', '/openstack/latest/../..',
                                  '/latest/meta-data/public-keys/0/_name', '/openstack/content/0000'])
def test_what_is_not_there_is_404(guest, path):
    assert guest.ask(path).status == 404


def test_nobody_else_is_told(guest):
    other = guest.cloud.network('other', '10.0.0.0/24')
    path = '/latest/meta-data/instance-id'
    assert guest.ask(path, address='10.0.0.250').status == 404
    assert guest.ask(path, network=other).status == 404
    assert ask(guest.cloud.apis['metadata'], 'GET', path, REMOTE_ADDR=guest.address).status == 404
    headers = {'X-Instance-ID': guest.id, 'X-Forwarded-For': guest.address, 'X-Tenant-ID': 'demo'}
    assert ask(guest.cloud.apis['metadata'], 'GET', path, headers=headers).status == 404


def test_ossa_2013_033_nobody_poses_as_a_server_of_another_project(guest):
    network = guest.cloud.network('spy', '10.0.0.0/24', project='spies')

    def change(method, path, **values):
        return ask(guest.cloud.apis['network'], method, f'/v2.0/{path}', {'port': values},
                   token='member:mallory:spies', host='cloud.example:9696')
    made = change('POST', 'ports', network_id=network).json['port']
    pose = {'device_id': guest.id, 'device_owner': 'compute:nova'}
    for refused in (change('PUT', f'ports/{made["id"]}', **pose),
                    change('POST', 'ports', network_id=network, **pose)):
        assert (refused.status, refused.json['NeutronError']['type']) == (409, 'DeviceIDNotOwnedByTenant')
    [fixed] = made['fixed_ips']
    assert guest.ask('/latest/user-data', network=network, address=fixed['ip_address']).status == 404
    assert list(guest.cloud.show(guest.id)['addresses']) == ['private']


def test_a_guest_posts_its_password_once(guest):
    path = '/openstack/latest/password'
    assert guest.text(path) == ''
    assert guest.ask(path, 'POST', b'x' * 2000).status == 400
    assert guest.ask(path, 'POST', b'encrypted').status == 200
    assert guest.text(path) == 'encrypted'
    assert guest.ask(path, 'POST', b'another').status == 409
    assert guest.text(path) == 'encrypted'
    assert guest.cloud.get(f'/servers/{guest.id}/os-server-password') == {'password': 'encrypted'}
    assert guest.cloud.call('DELETE', f'/servers/{guest.id}/os-server-password').status == 204
    assert guest.text(path) == ''
    assert guest.ask('/openstack/latest/meta_data.json', 'POST', b'x').status == 405


@pytest.fixture
def deadlocks(guest):
    """The next statements that begin with these words meet a deadlock, once each."""
    words = []

    def refuse(connection, cursor, statement, parameters, context, many):
        for word in words:
            if statement.startswith(word):
                words.remove(word)
                raise sa.exc.OperationalError(statement, parameters, sqlite3.OperationalError('database is locked'))
    sa.event.listen(guest.cloud.db.engine, 'before_cursor_execute', refuse)
    yield words
    sa.event.remove(guest.cloud.db.engine, 'before_cursor_execute', refuse)


def test_a_password_is_kept_and_forgotten_through_deadlocks(guest, deadlocks):
    path = '/openstack/latest/password'
    deadlocks[:] = ['INSERT INTO server_passwords']
    assert guest.ask(path, 'POST', b'encrypted').status == 200 and not deadlocks
    assert guest.text(path) == 'encrypted'
    deadlocks[:] = ['DELETE FROM server_passwords']
    assert guest.cloud.call('DELETE', f'/servers/{guest.id}/os-server-password').status == 204 and not deadlocks
    assert guest.text(path) == ''


def test_a_password_goes_with_its_server(guest):
    cloud, id = guest.cloud, guest.cloud.server(
        'brief', networks=[{'uuid': guest.network}], wait_for='ACTIVE')
    with cloud.db.transaction() as tx:
        passwords.put(tx, id, 'encrypted')
    assert cloud.call('DELETE', f'/servers/{id}').status == 204
    wait.until(lambda: cloud.call('GET', f'/servers/{id}').status == 404)
    with cloud.db.reading() as tx:
        assert passwords.get(tx, id) == ''


def test_a_config_drive_holds_the_same(guest):
    with guest.cloud.db.reading() as tx:
        server = servers.get(tx, background('test'), guest.id)
    files = metadata_tree.files(guest.cloud.wiring, server)
    meta = json.loads(files['openstack/latest/meta_data.json'])
    told = json.loads(guest.text('/openstack/latest/meta_data.json'))
    assert {**meta, 'random_seed': ''} == {**told, 'random_seed': ''}
    assert files['openstack/latest/user_data'] == files['ec2/latest/user-data'] == USER_DATA
    assert json.loads(files['ec2/latest/meta-data.json'])['instance-id'] == 'i-00000001'
    assert not any(path.endswith('password') for path in files)


def test_personality_files_are_told_to_old_clients_servers(guest):
    contents = base64.b64encode(b'Welcome').decode()
    id = guest.cloud.server('old', version='2.56', networks=[{'uuid': guest.network}],
                            personality=[{'path': '/etc/motd', 'contents': contents}], wait_for='ACTIVE')
    [address] = [each['addr'] for each in guest.cloud.show(id)['addresses']['private']]
    meta = guest.ask('/openstack/latest/meta_data.json', address=address).json
    assert meta['files'] == [{'content_path': '/content/0000', 'path': '/etc/motd'}]
    assert guest.ask('/openstack/content/0000', address=address).body == b'Welcome'

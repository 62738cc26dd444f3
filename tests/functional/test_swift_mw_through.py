"""The filters before a whole object store: users, access lists, listings, where things are, other clusters."""

import http.client
import json
import logging
import time
import urllib.parse

import pytest

from swift import realms
from tests.swift_cluster import Cluster

FILTERS = ('catch_errors gatekeeper healthcheck proxy_logging cache list_endpoints domain_remap listing_formats '
           'container_sync name_check ratelimit read_only tempauth copy dlo proxy_logging')
OPTIONS = {'filter:tempauth': {'user_test_tester': 'testing .admin', 'user_test2_tester2': 'testing2 .admin',
                               'user_test_tester3': 'testing3', 'user_admin_admin': 'admin .admin .reseller_admin'},
           'filter:container_sync': {'current': '//US/HERE'}}


class Client:
    """A user of the store; ``ask`` gives status, headers and body."""

    def __init__(self, cluster, user=None, key=None):
        self.host = urllib.parse.urlsplit(cluster.base).netloc
        self.token = None
        if user:
            _, headers, _ = self.ask('GET', '/auth/v1.0', headers={'X-Auth-User': user, 'X-Auth-Key': key})
            self.token = headers['x-auth-token']

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.host, timeout=20)
        who = {'X-Auth-Token': self.token} if self.token else {}
        try:
            connection.request(method, path, body, {**who, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def status(self, *args, **more):
        return self.ask(*args, **more)[0]


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp('store'), filters=FILTERS, options=OPTIONS, start=False) as made:
        (made.swift_dir / 'container-sync-realms.conf').write_text(
            '[US]\nkey = realm key\ncluster_here = http://127.0.0.1/v1/\ncluster_there = http://127.0.0.2/v1/\n')
        made.start()
        yield made


@pytest.fixture(scope='module')
def owner(cluster):
    client = Client(cluster, 'test:tester', 'testing')
    assert client.status('PUT', '/v1/AUTH_test/c') in (201, 202)
    assert client.status('PUT', '/v1/AUTH_test/c/d/o%20%C3%A9', b'abc') == 201
    return client


@pytest.fixture(scope='module')
def other(cluster):
    return Client(cluster, 'test2:tester2', 'testing2')


@pytest.fixture(scope='module')
def nobody(cluster):
    return Client(cluster)


PATH = '/v1/AUTH_test/c/d/o%20%C3%A9'


def test_an_answer_carries_its_transaction_id_and_nothing_of_the_systems(owner):
    status, headers, body = owner.ask('GET', PATH)
    assert (status, body) == (200, b'abc')
    assert headers['x-trans-id'].startswith('tx') and headers['x-trans-id'] == headers['x-openstack-request-id']
    assert not [name for name in headers if name.startswith(('x-backend', 'x-object-sysmeta'))]


def test_access_lists_open_a_container(owner, other, nobody):
    assert [each.status('GET', PATH) for each in (other, nobody)] == [403, 401]
    assert owner.status('POST', '/v1/AUTH_test/c', headers={'X-Container-Read': '.referrer : *, .rlistings'}) == 204
    assert owner.ask('HEAD', '/v1/AUTH_test/c')[1]['x-container-read'] == '.r:*,.rlistings'
    assert [each.status('GET', PATH) for each in (other, nobody)] == [200, 200]
    assert [each.status('GET', '/v1/AUTH_test/c') for each in (other, nobody)] == [200, 200]
    assert 'x-container-read' not in other.ask('HEAD', '/v1/AUTH_test/c')[1]
    assert [each.status('PUT', PATH, b'') for each in (other, nobody)] == [403, 401]
    assert owner.status('POST', '/v1/AUTH_test/c', headers={
        'X-Container-Read': 'test2:tester2', 'X-Container-Write': 'test2'}) == 204
    assert other.status('PUT', '/v1/AUTH_test/c/theirs', b'x') == 201
    assert other.status('DELETE', '/v1/AUTH_test/c/theirs') == 204
    assert [each.status('GET', PATH) for each in (other, nobody)] == [200, 401]
    status, _, body = owner.ask('POST', '/v1/AUTH_test/c', headers={'X-Container-Write': '.r:*'})
    assert status == 400 and b'Referrers not allowed in write ACL' in body
    assert owner.status('POST', '/v1/AUTH_test/c', headers={'X-Container-Read': '', 'X-Container-Write': ''}) == 204
    assert [each.status('GET', PATH) for each in (other, nobody)] == [403, 401]


def test_an_accounts_list_is_kept_and_shown_to_owners(owner, other):
    grants = {'X-Account-Access-Control': '{"read-only": ["test2:tester2"]}'}
    assert owner.status('POST', '/v1/AUTH_test', headers=grants) == 204
    assert owner.ask('HEAD', '/v1/AUTH_test')[1]['x-account-access-control'] == '{"read-only":["test2:tester2"]}'
    assert other.status('GET', PATH) == 200 and other.status('GET', '/v1/AUTH_test/c') == 200
    assert 'x-account-access-control' not in other.ask('HEAD', '/v1/AUTH_test')[1]
    assert other.status('PUT', PATH, b'') == 403 and other.status('POST', '/v1/AUTH_test') == 403
    assert owner.status('POST', '/v1/AUTH_test', headers={'X-Account-Access-Control': 'x'}) == 400
    assert owner.status('POST', '/v1/AUTH_test', headers={'X-Account-Access-Control': ''}) == 204
    assert 'x-account-access-control' not in owner.ask('HEAD', '/v1/AUTH_test')[1]
    assert other.status('GET', PATH) == 403


def test_listings_come_in_three_forms(owner):
    for path, names in (('/v1/AUTH_test', ['c']), ('/v1/AUTH_test/c', ['d/o é'])):
        status, headers, body = owner.ask('GET', path)
        assert (status, headers['content-type'], headers['vary']) == (200, 'text/plain; charset=utf-8', 'Accept')
        assert set(names) <= set(body.decode().splitlines())
        assert {each['name'] for each in json.loads(owner.ask('GET', path + '?format=json')[2])} >= set(names)
        status, headers, body = owner.ask('GET', path, headers={'Accept': 'application/xml'})
        assert headers['content-type'] == 'application/xml; charset=utf-8'
        assert all(f'<name>{name}</name>' in body.decode() for name in names)
    assert owner.status('GET', '/v1/AUTH_test/c', headers={'Accept': 'image/png'}) == 406
    assert owner.status('GET', '/v1/AUTH_test/c?prefix=nothing') == 204
    assert owner.ask('HEAD', '/v1/AUTH_test/c?format=xml')[1]['content-type'] == 'application/xml; charset=utf-8'
    assert owner.ask('GET', '/v1/AUTH_test/c?delimiter=/')[2] == b'd/\n'


def test_where_an_object_is_can_be_asked(cluster, nobody):
    status, _, body = nobody.ask('GET', '/endpoints/v2/AUTH_test/c/d/o%20%C3%A9')
    told = json.loads(body)
    assert status == 200 and told['headers'] == {'X-Backend-Storage-Policy-Index': '0'}
    expected = {node.ports['object'] for node in cluster.primaries('AUTH_test', 'c', 'd/o é')}
    assert {urllib.parse.urlsplit(url).port for url in told['endpoints']} == expected
    for url in told['endpoints']:
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=10)
        connection.request('GET', urllib.parse.urlsplit(url).path)
        assert connection.getresponse().read() == b'abc'
        connection.close()
    assert len(json.loads(nobody.ask('GET', '/endpoints/AUTH_test/c')[2])) == 3
    assert json.loads(nobody.ask('GET', '/endpoints/v1/AUTH_test')[2])[0].endswith('/AUTH_test')
    for path, status in (('/endpoints/', 400), ('/endpoints/v3/a', 400), ('/endpoints/v1', 400),
                         ('/endpoints/v1//c', 400), ('/endpoints/%FF', 412), ('/endpoints', 412)):
        assert nobody.status('GET', path) == status, path
    assert [nobody.status(method, '/endpoints/AUTH_test/c') for method in ('PUT', 'HEAD')] == [405, 405]


def test_a_host_name_leads_to_a_container(owner):
    host = {'Host': 'c.auth-test.example.com'}
    assert owner.ask('GET', '/d/o%20%C3%A9', headers=host)[2] == b'abc'
    assert owner.ask('GET', '/', headers=host)[2] == 'd/o é\n'.encode()


def test_another_cluster_sends_an_object_with_its_time(owner, nobody):
    assert owner.status('POST', '/v1/AUTH_test/c', headers={'X-Container-Sync-Key': 'user key'}) == 204
    stamp = f'{time.time() - 1000:016.5f}'
    path = '/v1/AUTH_test/c/sent%20%C3%A9'

    def send(key):
        signature = realms.sign('PUT', path, stamp, 'once', key, 'user key')
        headers = {'X-Container-Sync-Auth': f'US once {signature}', 'X-Timestamp': stamp}
        return nobody.status('PUT', path, b'sent', headers)
    assert send('another key') == 401
    assert send('realm key') == 201
    status, headers, body = owner.ask('GET', path)
    assert (status, headers['x-timestamp'], body) == (200, stamp, b'sent')
    assert owner.ask('PUT', path, b'newer', {'X-Timestamp': '1'})[0] == 201
    assert owner.ask('GET', path)[2] == b'newer'
    assert owner.status('DELETE', path) == 204
    for target, status in (('//US/THERE/AUTH_x/c', 204), ('//US/NOWHERE/AUTH_x/c', 400), ('', 204)):
        headers = {'X-Container-Sync-To': target, 'X-Container-Sync-Key': 'user key' if target else ''}
        assert owner.status('POST', '/v1/AUTH_test/c', headers=headers) == status


def test_info_tells_of_the_filters(nobody):
    told = json.loads(nobody.ask('GET', '/info')[2])
    assert told['tempauth'] == {'account_acls': True}
    assert told['container_sync']['realms']['US']['clusters'] == {'HERE': {'current': True}, 'THERE': {}}
    assert {'ratelimit', 'name_check', 'domain_remap', 'swift'} <= set(told)


def test_a_request_is_logged_once(owner, caplog):
    caplog.set_level(logging.INFO, 'proxy-server')
    owner.ask('GET', PATH + '?x=1')
    lines = [record.getMessage() for record in caplog.records if record.name == 'proxy-server']
    assert [line.split()[4] for line in lines] == ['/v1/AUTH_test/c/d/o%2520%25C3%25A9%3Fx%3D1']
    fields = lines[0].split()
    assert (fields[6], fields[11], fields[20], fields[21]) == ('200', '3', '0', 'test:tester')

"""Lists of servers: filters, sorts, pages."""

import urllib.parse

import pytest

from strata.testing import wait
from tests.functional.nova_cloud import Cloud


@pytest.fixture
def cloud(tmp_path):
    made = small_cloud(tmp_path)
    yield made
    made.close()


def names(cloud, query='', version='2.96', path='/servers', **options):
    quoted = urllib.parse.quote(query, safe='=&')
    return [server['name'] for server in cloud.get(f'{path}?{quoted}', version=version, **options)['servers']]


def make_three(cloud):
    """web-1 and web-2 (tagged, stopped), and db on the larger flavor."""
    ids = {name: cloud.server(name, version='2.96', wait_for='ACTIVE', **more) for name, more in {
        'web-1': {'tags': ['a', 'b'], 'key_name': None}, 'web-2': {'tags': ['b', 'c']},
        'db': {'flavorRef': '2', 'description': 'data', 'config_drive': True}}.items()}
    cloud.act(ids['web-2'], 'os-stop')
    cloud.await_status(ids['web-2'], 'SHUTOFF')
    return ids


def small_cloud(path, url=None):
    """A running cloud with two flavors."""
    made = Cloud(path, url)
    made.flavor()
    made.flavor('m1.small', '2')
    return made.start()


@pytest.fixture
def three(cloud):
    return make_three(cloud)


@pytest.fixture(scope='module')
def shelf(tmp_path_factory):
    """A cloud with the three, for tests that only look."""
    made = small_cloud(tmp_path_factory.mktemp('shelf'))
    made.ids = make_three(made)
    yield made
    made.close()


#: what a list of the three servers is, by query; also asked of every database in tests/contract
FILTERS = [
    ('', ['db', 'web-2', 'web-1']),
    ('name=web', ['web-2', 'web-1']), ('name=^web-1$', ['web-1']), ('name=b', ['db', 'web-2', 'web-1']),
    ('name=web-[2-9]', ['web-2']), ('name=^(db|web-1)$', ['db', 'web-1']), ('name=WEB', []),
    ('status=active', ['db', 'web-1']), ('status=SHUTOFF', ['web-2']), ('status=ERROR', []),
    ('status=ACTIVE&status=SHUTOFF', ['db', 'web-2', 'web-1']),
    ('flavor=2', ['db']), ('flavor=none', []),
    ('tags=b', ['web-2', 'web-1']), ('tags=a,b', ['web-1']), ('tags-any=a,c', ['web-2', 'web-1']),
    ('not-tags=b', ['db']), ('not-tags=a,b', ['db', 'web-2']), ('not-tags-any=a,c', ['db']),
    ('vm_state=stopped', ['web-2']), ('power_state=4', ['web-2']), ('config_drive=true', ['db']),
    ('user_id=bob', []), ('user_id=alice&name=db', ['db']), ('locked=false', ['db', 'web-2', 'web-1']),
    ('locked=true', []), ('deleted=False', ['db', 'web-2', 'web-1']), ('deleted=True', ['db', 'web-2', 'web-1']),
    ('changes-since=2001-01-01T00:00:00Z&changes-before=2001-01-02', []),
    ('sort_key=display_name&sort_dir=asc', ['db', 'web-1', 'web-2']),
    ('sort_key=vm_state&sort_key=display_name&sort_dir=desc&sort_dir=asc', ['web-2', 'db', 'web-1']),
    ('host=elsewhere', ['db', 'web-2', 'web-1']), ('limit=0', []),
]


@pytest.mark.parametrize('query, found', FILTERS)
def test_filters_and_sorts(shelf, query, found):
    assert names(shelf, query) == found


@pytest.mark.parametrize('query, version', [
    ('limit=-1', '2.1'), ('limit=x', '2.1'), ('marker=none', '2.1'), ('changes-since=yesterday', '2.1'),
    ('name=(a+)+$', '2.1'), ('name=[', '2.1'), ('name=*', '2.1'), ('name=' + 'a' * 256, '2.1'),
    ('ip=(', '2.1'), ('sort_key=user_data', '2.1'), ('sort_dir=up', '2.1'), ('all_tenants=maybe', '2.1'),
    ('status=nonsense', '2.38'), ('colour=red', '2.75'), ('power_state=x', '2.83'), ('power_state=' + '9' * 30, '2.83'),
    ('changes-since=0001-01-01T00:00:00%2B23:59', '2.1'), ('locked=perhaps', '2.73'),
    ('changes-since=2020-01-02&changes-before=2020-01-01', '2.66'),
])
def test_a_query_that_makes_no_sense_is_refused(shelf, query, version):
    answer = shelf.call('GET', '/servers?' + urllib.parse.quote(query, safe='=&'), version=version)
    assert answer.status == 400, answer.body
    detail = shelf.call('GET', '/servers/detail?' + urllib.parse.quote(query, safe='=&'), version=version)
    assert detail.status == 400


def test_what_later_versions_refuse_earlier_ones_ignore(shelf):
    assert shelf.get('/servers?status=nonsense', version='2.37')['servers'] == []
    assert len(shelf.get('/servers?colour=red', version='2.74')['servers']) == 3
    assert len(shelf.get('/servers?changes-before=never', version='2.65')['servers']) == 3


def test_addresses_are_searched(cloud):
    network = cloud.network(cidr='10.1.2.0/24')
    id = cloud.server('web', networks=[{'uuid': network, 'fixed_ip': '10.1.2.33'}], wait_for='ACTIVE')
    cloud.server('db', wait_for='ACTIVE', version='2.96')
    assert cloud.show(id)['addresses']['private'][0]['addr'] == '10.1.2.33'
    assert names(cloud, 'ip=^10.1.2.33$') == ['web']
    assert names(cloud, 'ip=10.1') == ['web']
    assert names(cloud, 'ip=10.2') == []
    assert names(cloud, 'ip6=fe80') == []


def test_pages_end_and_join_into_the_whole(shelf):
    cloud, three = shelf, shelf.ids
    found, path = [], '/servers/detail?limit=2'
    while path:
        page = cloud.get(path)
        found += [server['name'] for server in page['servers']]
        path = page['servers_links'][0]['href'].partition('/v2.1')[2] if 'servers_links' in page else ''
    assert found == ['db', 'web-2', 'web-1']
    assert names(cloud, f'marker={three["web-1"]}') == []
    assert names(cloud, f'sort_key=display_name&sort_dir=asc&marker={three["web-1"]}') == ['web-2']


def test_all_tenants_is_for_admins(shelf):
    cloud = shelf
    assert cloud.call('GET', '/servers?all_tenants=1').status == 403
    assert cloud.call('GET', '/servers/detail?all_tenants=True').status == 403
    assert names(cloud, 'all_tenants=0') == ['db', 'web-2', 'web-1']
    admin = {'who': 'admin', 'project': 'admin', 'user': 'root'}
    assert names(cloud, '', **admin) == []
    assert names(cloud, 'all_tenants=True', **admin) == ['db', 'web-2', 'web-1']
    assert names(cloud, 'project_id=demo', **admin) == []      # as published: not without all_tenants
    assert names(cloud, 'all_tenants=1&project_id=other', **admin) == []
    assert names(cloud, 'all_tenants=1&host=node1', **admin) == ['db', 'web-2', 'web-1']
    assert names(cloud, 'all_tenants=1&host=node2', **admin) == []
    assert cloud.call('GET', '/servers?sort_key=host').status == 403


def test_deleted_servers_are_listed_to_admins_and_by_changes(cloud, three):
    assert cloud.call('DELETE', f'/servers/{three["db"]}').status == 204
    wait.until(lambda: cloud.call('GET', f'/servers/{three["db"]}').status == 404)
    assert names(cloud) == ['web-2', 'web-1']
    assert names(cloud, 'changes-since=2001-01-01T00:00:00Z') == ['db', 'web-2', 'web-1']
    assert names(cloud, 'deleted=true') == ['web-2', 'web-1']
    admin = {'who': 'admin'}
    assert names(cloud, 'deleted=true', **admin) == ['db']
    assert names(cloud, 'status=DELETED', **admin) == ['db']
    assert cloud.call('GET', '/servers?status=DELETED').status == 403
    [gone] = cloud.get('/servers/detail?deleted=true', who='admin')['servers']
    assert gone['status'] == 'DELETED' and gone['OS-SRV-USG:terminated_at']


def test_a_server_has_changed_before_the_second_that_it_shows(three, cloud):
    shown = {server['name']: server['updated']
             for server in cloud.get('/servers/detail', version='2.66')['servers']}
    for name, updated in shown.items():
        assert name in names(cloud, f'changes-since={updated}&changes-before={updated}', version='2.66')
        second = int(updated[17:19])
        if second:
            assert name not in names(cloud, f'changes-before={updated[:17]}{second - 1:02}Z', version='2.66')
    actions = f"/servers/{three['web-1']}/os-instance-actions"
    [action] = cloud.get(actions, version='2.66')['instanceActions']
    at = f"?changes-since={action['updated_at']}&changes-before={action['updated_at']}"
    assert cloud.get(actions + at, version='2.66')['instanceActions'] == [action]

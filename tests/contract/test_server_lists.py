"""Lists of servers mean the same on every database: filters, regular expressions, sorts, pages."""

import pytest

from strata import green
from tests.functional.test_compute_lists import FILTERS, make_three, names, small_cloud


@pytest.fixture
def cloud(tmp_path, database_url):
    made = small_cloud(tmp_path, database_url)
    yield made
    made.close()


def test_every_filter_finds_the_same(cloud):
    ids = make_three(cloud)
    wrong = {query: (found, expected) for query, expected in FILTERS
             if (found := names(cloud, query)) != expected}
    assert wrong == {}
    for key in ('task_state', 'key_name', 'display_description', 'created_at', 'launched_at', 'config_drive'):
        whole = names(cloud, f'sort_key={key}&sort_dir=asc')
        assert sorted(whole) == ['db', 'web-1', 'web-2']
        at = {name: ids[name] for name in whole}
        assert names(cloud, f'sort_key={key}&sort_dir=asc&marker={at[whole[0]]}') == whole[1:]
        assert names(cloud, f'sort_key={key}&sort_dir=asc&limit=1&marker={at[whole[1]]}') == whole[2:]


def test_addresses_are_searched_everywhere(cloud):
    network = cloud.network(cidr='10.1.2.0/24')
    cloud.server('web', networks=[{'uuid': network, 'fixed_ip': '10.1.2.33'}], wait_for='ACTIVE')
    assert names(cloud, 'ip=^10.1.2.33$') == ['web']
    assert names(cloud, 'ip=^10.1.3') == [] == names(cloud, 'ip6=.')


def test_metadata_changed_at_once_is_kept_everywhere(cloud):
    id = cloud.server('web', wait_for='ACTIVE')
    workers = [green.spawn(cloud.post, f'/servers/{id}/metadata', {'metadata': {f'k{n}': 'v'}}) for n in range(10)]
    for worker in workers:
        worker.wait()
    assert len(cloud.get(f'/servers/{id}/metadata')['metadata']) == 10


def test_flavors_and_keys_are_unique_everywhere(cloud):
    for name, id in (('m1.tiny', '8'), ('m1.other', '1')):
        answer = cloud.admin('POST', '/flavors', {'flavor': {'name': name, 'id': id, 'ram': 1, 'vcpus': 1, 'disk': 0}})
        assert answer.status == 409 and (name if id == '8' else id) in answer.message
    assert cloud.call('POST', '/os-keypairs', {'keypair': {'name': 'k'}}).status == 200
    assert cloud.call('POST', '/os-keypairs', {'keypair': {'name': 'k'}}).status == 409
    assert cloud.admin('POST', '/flavors/1/os-extra_specs', {'extra_specs': {'a': '1'}}).status == 200
    assert cloud.admin('POST', '/flavors/1/os-extra_specs', {'extra_specs': {'a': '2'}}).status == 200
    assert cloud.admin('DELETE', '/flavors/1').status == 202

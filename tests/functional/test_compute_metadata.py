"""Metadata and tags of servers."""

import pytest

from strata import green
from tests.functional.nova_cloud import running


@pytest.fixture
def cloud(tmp_path):
    with running(tmp_path) as made:
        yield made


@pytest.fixture
def id(cloud):
    return cloud.server(metadata={'a': '1'}, wait_for='ACTIVE')


def test_items_come_and_go(cloud, id):
    path = f'/servers/{id}/metadata'
    assert cloud.get(path) == {'metadata': {'a': '1'}}
    assert cloud.post(path, {'metadata': {'b': '2'}}) == {'metadata': {'a': '1', 'b': '2'}}
    assert cloud.call('PUT', path + '/b', {'meta': {'b': '3'}}).json == {'meta': {'b': '3'}}
    assert cloud.get(path + '/b') == {'meta': {'b': '3'}}
    assert cloud.call('DELETE', path + '/a').status == 204
    assert cloud.call('DELETE', path + '/a').status == 404
    assert cloud.call('GET', path + '/a').status == 404
    assert cloud.call('PUT', path, {'metadata': {'z': ''}}).json == {'metadata': {'z': ''}}
    assert cloud.show(id)['metadata'] == {'z': ''}


@pytest.mark.parametrize('method, tail, body, status', [
    ('POST', '', {'metadata': {'k': 7}}, 400), ('POST', '', {'metadata': {'': 'v'}}, 400),
    ('POST', '', {'metadata': {'k/': 'v'}}, 400), ('POST', '', {'metadata': {'k': 'v' * 256}}, 400),
    ('POST', '', {'meta': {}}, 400), ('PUT', '', {'metadata': None}, 400), ('PUT', '/a', {'meta': {}}, 400),
    ('PUT', '/a', {'meta': {'b': '1'}}, 400), ('PUT', '/a', {'meta': {'a': '1', 'b': '2'}}, 400),
    ('POST', '', {'metadata': {f'k{n}': 'v' for n in range(129)}}, 403),
])
def test_bad_metadata_changes_nothing(cloud, id, method, tail, body, status):
    assert cloud.call(method, f'/servers/{id}/metadata{tail}', body).status == status
    assert cloud.get(f'/servers/{id}/metadata') == {'metadata': {'a': '1'}}


def test_changes_at_the_same_time_are_all_kept(cloud, id):
    workers = [green.spawn(cloud.post, f'/servers/{id}/metadata', {'metadata': {f'k{n}': 'v'}}) for n in range(20)]
    for worker in workers:
        worker.wait()
    assert len(cloud.get(f'/servers/{id}/metadata')['metadata']) == 21


def test_tags_come_and_go(cloud, id):
    path, at = f'/servers/{id}/tags', {'version': '2.26'}
    assert cloud.call('GET', path, version='2.25').status == 404
    answer = cloud.call('PUT', path + '/one', **at)
    assert answer.status == 201
    assert answer.headers['location'] == f'http://cloud.example:8774/v2.1{path}/one'
    assert cloud.call('PUT', path + '/one', **at).status == 204
    assert cloud.call('GET', path + '/one', **at).status == 204
    assert cloud.call('GET', path + '/two', **at).status == 404
    assert cloud.call('PUT', path, {'tags': ['x', 'y', 'x']}, **at).json == {'tags': ['x', 'y']}
    assert cloud.show(id, '2.26')['tags'] == ['x', 'y']
    assert cloud.call('DELETE', path + '/x', **at).status == 204
    assert cloud.call('DELETE', path + '/x', **at).status == 404
    assert cloud.call('DELETE', path, **at).status == 204
    assert cloud.get(path, **at) == {'tags': []}


def test_tags_are_bounded(cloud, id):
    path, at = f'/servers/{id}/tags', {'version': '2.26'}
    assert cloud.call('PUT', path, {'tags': [str(n) for n in range(51)]}, **at).status == 400
    assert cloud.call('PUT', path, {'tags': ['a,b']}, **at).status == 400
    assert cloud.call('PUT', path + '/' + 'x' * 61, **at).status == 400
    assert cloud.get(path, **at) == {'tags': []}
    cloud.call('PUT', path, {'tags': [str(n) for n in range(50)]}, **at)
    assert cloud.call('PUT', path + '/more', **at).status == 400

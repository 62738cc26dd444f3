"""How the compute API says and hears its versions."""

import pytest

from tests.functional.nova_cloud import Cloud, ask


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    yield made
    made.close()


def test_the_root_lists_both_versions_without_a_token(cloud):
    shown = ask(cloud.apis['compute'], 'GET', '/')
    assert shown.status == 200
    old, new = shown.json['versions']
    assert (old['id'], new['id'], new['version'], new['min_version']) == ('v2.0', 'v2.1', '2.96', '2.1')
    assert new['links'] == [{'rel': 'self', 'href': 'http://cloud.example:8774/v2.1/'}]


@pytest.mark.parametrize('path, id', [('/v2.1', 'v2.1'), ('/v2.1/', 'v2.1'), ('/v2', 'v2.0'), ('/v2/', 'v2.0')])
def test_each_version_shows_itself_without_a_token(cloud, path, id):
    shown = ask(cloud.apis['compute'], 'GET', path)
    assert shown.status == 200
    assert shown.json['version']['id'] == id
    assert shown.json['version']['links'][0]['href'] == f'http://cloud.example:8774/{path.split("/")[1]}/'


@pytest.mark.parametrize('headers, said', [
    ({}, '2.1'),
    ({'OpenStack-API-Version': 'compute 2.53'}, '2.53'),
    ({'X-OpenStack-Nova-API-Version': '2.53'}, '2.53'),
    ({'OpenStack-API-Version': 'compute 2.60', 'X-OpenStack-Nova-API-Version': '2.53'}, '2.60'),
    ({'OpenStack-API-Version': 'volume 3.1, compute 2.60'}, '2.60'),
    ({'OpenStack-API-Version': 'compute latest'}, '2.96'),
])
def test_either_header_chooses_the_version_and_both_say_it(cloud, headers, said):
    answer = cloud.call('GET', '/flavors', headers=headers)
    assert answer.status == 200
    assert answer.headers['openstack-api-version'] == f'compute {said}'
    assert answer.headers['x-openstack-nova-api-version'] == said
    assert answer.headers['vary'] == 'OpenStack-API-Version, X-OpenStack-Nova-API-Version'


@pytest.mark.parametrize('version, status', [('2.97', 406), ('2.0', 406), ('3.1', 406), ('2.100', 406),
                                             ('2', 400), ('2.01', 400), ('two', 400), ('2.1.1', 400)])
def test_a_version_we_lack_or_cannot_read_is_refused(cloud, version, status):
    answer = cloud.call('GET', '/flavors', version=version)
    assert answer.status == status
    if status == 406:
        assert '2.1' in answer.message and '2.96' in answer.message


def test_a_project_in_the_url_is_the_callers_and_comes_back_in_links(cloud):
    cloud.flavor()
    [flavor] = cloud.get('/demo/flavors')['flavors']
    assert flavor['links'][0]['href'] == 'http://cloud.example:8774/v2.1/demo/flavors/1'
    assert flavor['links'][1]['href'] == 'http://cloud.example:8774/demo/flavors/1'
    assert cloud.call('GET', '/another/flavors').status == 400
    [flavor] = cloud.get('/flavors')['flavors']
    assert flavor['links'][0]['href'] == 'http://cloud.example:8774/v2.1/flavors/1'


def test_every_answer_names_the_request_in_both_headers(cloud):
    for path in ('/flavors', '/flavors/none', '/nowhere'):
        answer = cloud.call('GET', path)
        assert answer.headers['x-compute-request-id'] == answer.headers['x-openstack-request-id']
        assert answer.headers['x-compute-request-id'].startswith('req-')


def test_without_a_token_only_the_documents_answer(cloud):
    assert cloud.call('GET', '/flavors', who='').status == 401
    assert cloud.call('POST', '/servers', {}, who='').status == 401
    described = cloud.call('GET', '/openapi.json', who='', prefix='').json
    assert described['servers'][0]['url'].endswith('/v2.1')
    assert set(described['paths']['/servers/{id}']) == {'get', 'put', 'delete'}


def test_routes_that_are_not_built_are_404_and_methods_405(cloud):
    assert cloud.call('GET', '/os-cells').status == 404
    answer = cloud.call('PATCH', '/flavors')
    assert answer.status == 405
    assert answer.headers['allow'] == 'GET, POST'


def test_under_v2_the_oldest_version_answers_whatever_is_asked(cloud):
    cloud.flavor()
    [flavor] = cloud.get('/flavors', prefix='/v2', version='2.96')['flavors']
    assert 'description' not in flavor

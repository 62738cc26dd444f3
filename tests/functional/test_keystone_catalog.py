"""Regions, services, endpoints, and the catalog that is made of them; version documents."""

import pytest

from tests.functional.keystone_cloud import HOST, URL, build, keystone, keystone_template  # noqa: F401

# the fixtures above are used by name
# ruff: noqa: F811


def endpoint(keystone, url, **values):
    service = keystone.make('service', type='compute', name='nova', description='d')
    return keystone.make('endpoint', service_id=service['id'], interface='public', url=url, region_id='RegionOne',
                         **values)


def urls(token, kind='compute'):
    return [each['url'] for entry in token['catalog'] if entry['type'] == kind for each in entry['endpoints']]


@pytest.mark.parametrize('form', ['%(project_id)s', '$(project_id)s', '%(tenant_id)s', '$(tenant_id)s'])
def test_urls_are_filled_in_for_the_project(keystone, form):
    endpoint(keystone, f'http://nova/v2.1/{form}')
    project, _ = keystone.member('demo', 'demo')
    token = keystone.validate(keystone.login('demo', project='demo')).json['token']
    assert urls(token) == [f'http://nova/v2.1/{project["id"]}']
    [shown] = [each for each in keystone.get('/endpoints').json['endpoints'] if 'nova' in each['url']]
    assert shown['url'] == f'http://nova/v2.1/{form}'


def test_outside_a_project_endpoints_that_need_one_are_left_out(keystone):
    endpoint(keystone, 'http://nova/v2.1/%(project_id)s')
    token = keystone.validate(keystone.login('admin', system=True)).json['token']
    assert urls(token) == [] and 'compute' in [entry['type'] for entry in token['catalog']]


def test_what_is_disabled_is_not_in_the_catalog_and_changes_show_at_once(keystone):
    made = endpoint(keystone, 'http://nova/')

    def now():
        return urls(keystone.validate(keystone.admin).json['token'])

    assert now() == ['http://nova/']
    keystone.patch(f'/endpoints/{made["id"]}', {'endpoint': {'url': 'http://other/'}})
    assert now() == ['http://other/']
    keystone.patch(f'/endpoints/{made["id"]}', {'endpoint': {'enabled': False}})
    assert now() == []
    keystone.patch(f'/endpoints/{made["id"]}', {'endpoint': {'enabled': True}})
    keystone.patch(f'/services/{made["service_id"]}', {'service': {'enabled': False}})
    assert now() == []


@pytest.mark.parametrize('values', [
    {'url': 'http://x/%(admin_token)s'}, {'url': 'http://x/$(password)s'}, {'url': 'http://x/%(project_id)d'},
    {'url': 'nova'}, {'url': ''}, {'interface': 'private'}, {'service_id': 'f' * 32}, {'region_id': 'nowhere'},
    {'enabled': 'yes'}])
def test_bad_endpoints_are_refused(keystone, values):
    service = keystone.make('service', type='compute')
    good = {'service_id': service['id'], 'interface': 'public', 'url': 'http://x/'}
    assert keystone.post('/endpoints', {'endpoint': {**good, **values}}).status == 400
    assert keystone.post('/endpoints', {'endpoint': good}).status == 201


def test_endpoints_are_filtered_changed_and_deleted(keystone):
    made = endpoint(keystone, 'http://nova/')
    assert set(made) == {'id', 'service_id', 'interface', 'url', 'region', 'region_id', 'enabled', 'links'}
    for query in (f'service_id={made["service_id"]}', 'interface=public&region_id=RegionOne'):
        assert made['id'] in [each['id'] for each in keystone.get(f'/endpoints?{query}').json['endpoints']]
    assert keystone.get('/endpoints?interface=admin&service_id=' + made['service_id']).json['endpoints'] == []
    at = f'/endpoints/{made["id"]}'
    assert keystone.get(at).json['endpoint'] == made
    assert keystone.patch(at, {'endpoint': {'region_id': 'nowhere'}}).status == 400
    assert keystone.get('/regions/somewhere').status == 404
    assert keystone.patch(at, {'endpoint': {'region': 'somewhere'}}).json['endpoint']['region_id'] == 'somewhere'
    assert keystone.get('/regions/somewhere').status == 200      # the older word makes what it names
    assert keystone.delete(at).status == 204
    assert keystone.get(at).status == 404


def test_a_service_goes_with_its_endpoints(keystone):
    made = endpoint(keystone, 'http://nova/')
    service = keystone.get(f'/services/{made["service_id"]}').json['service']
    assert set(service) == {'id', 'name', 'type', 'enabled', 'description', 'links'}
    assert keystone.get('/services?type=compute').json['services'] == [service]
    assert keystone.get('/services?name=nova').json['services'] == [service]
    changed = keystone.patch(f'/services/{service["id"]}', {'service': {'description': 'e', 'type': 'computer'}})
    assert changed.json['service']['type'] == 'computer'
    assert keystone.delete(f'/services/{service["id"]}').status == 204
    assert keystone.get(f'/endpoints/{made["id"]}').status == 404
    assert keystone.post('/services', {'service': {'name': 'x'}}).status == 400


def test_regions_are_made_under_chosen_ids_and_nested(keystone):
    north = keystone.make('region', id='north', description='d')
    assert set(north) == {'id', 'description', 'parent_region_id', 'links'}
    sub = keystone.make('region', parent_region_id='north')
    assert len(sub['id']) == 32
    assert keystone.put('/regions/south', {'region': {}}).status == 201
    assert keystone.post('/regions', {'region': {'id': 'north'}}).status == 409
    assert keystone.post('/regions', {'region': {'id': 'x', 'parent_region_id': 'nowhere'}}).status == 404
    assert keystone.patch('/regions/north', {'region': {'parent_region_id': sub['id']}}).status == 400
    assert [each['id'] for each in keystone.get('/regions?parent_region_id=north').json['regions']] == [sub['id']]
    assert keystone.delete('/regions/north').status == 403
    assert keystone.delete('/regions/RegionOne').status == 403
    assert keystone.delete(f'/regions/{sub["id"]}').status == 204
    assert keystone.delete('/regions/north').status == 204
    assert keystone.get('/regions/north').status == 404


def test_version_documents_honour_the_host_that_was_used(keystone):
    root = keystone.call('GET', '/')
    assert root.status == 300
    [version] = root.json['versions']['values']
    assert version['links'] == [{'rel': 'self', 'href': f'{URL}/'}]
    for path in ('/v3', '/v3/'):
        answer = keystone.call('GET', path, headers={'Host': 'elsewhere:1'})
        assert answer.status == 200
        assert answer.json['version']['id'].startswith('v3.')
        assert answer.json['version']['links'][0]['href'] == 'http://elsewhere:1/v3/'
    assert HOST in root.json['versions']['values'][0]['links'][0]['href']


def test_paths_that_are_none_are_not_found_in_the_services_own_words(keystone):
    for path in ('/v3/nothing', '/v2.0', '/nothing'):
        answer = keystone.call('GET', path, token=keystone.admin)
        assert answer.status == 404 and answer.json['error']['title'] == 'Not Found'
    assert keystone.call('PUT', '/v3/projects', token=keystone.admin).status == 405


def test_health_is_told_without_a_token(keystone):
    assert keystone.call('GET', '/healthcheck').status == 200


def test_the_api_describes_itself(keystone):
    document = keystone.call('GET', '/openapi.json').json
    assert document['openapi'] == '3.1.0'
    assert {'/auth/tokens', '/projects', '/users/{id}'} <= set(document['paths'])


@pytest.mark.parametrize('raw', [b'{', b'\xff\xfe', b'[' * 10000, b'"text"', b'[]', b'null'])
def test_bodies_that_are_no_objects_are_refused(keystone, raw):
    assert keystone.call('POST', '/v3/projects', token=keystone.admin, raw=raw).status == 400

"""Images through the front door: create, show, change, delete, and who may."""

import pytest

from tests.functional.glance_cloud import Cloud


@pytest.fixture
def cloud(tmp_path):
    return Cloud(tmp_path)


ID = 'b2173dd3-7ad6-4362-baa6-a68bce3565cb'
KEYS = {'status', 'name', 'tags', 'container_format', 'created_at', 'size', 'disk_format', 'updated_at',
        'visibility',
        'self', 'min_disk', 'protected', 'id', 'file', 'checksum', 'os_hash_algo', 'os_hash_value',
        'os_hidden',
        'owner', 'virtual_size', 'min_ram', 'schema'}


def test_an_image_is_created_queued_and_says_where_it_is(cloud):
    answer = cloud.request(cloud.alice, 'POST', '/v2/images', {
        'container_format': 'bare', 'disk_format': 'raw', 'name': 'Ubuntu', 'id': ID})
    assert answer.status == 201
    assert answer.headers['location'] == f'http://images.test:9292/v2/images/{ID}'
    assert answer.headers['openstack-image-import-methods'] == 'glance-direct'
    image = answer.json
    assert set(image) == KEYS
    assert image['self'] == f'/v2/images/{ID}' and image['file'] == f'/v2/images/{ID}/file'
    assert (image['status'], image['visibility'], image['owner'], image['size'], image['tags']) == (
        'queued', 'shared', 'alice', None, [])
    assert image['created_at'].endswith('Z') and len(image['created_at']) == 20


def test_properties_stand_beside_attributes(cloud):
    image = cloud.create(hw_disk_bus='virtio', kernel_id=None, **{'owner_specified.openstack.md5': ''})
    assert image['hw_disk_bus'] == 'virtio' and image['kernel_id'] is None
    assert cloud.show(image['id'])['owner_specified.openstack.md5'] == ''


@pytest.mark.parametrize('body, status', [
    ({'name': 'x' * 256}, 400), ({'name': 5}, 400), ({'disk_format': 'floppy'}, 400),
    ({'container_format': 'box'}, 400), ({'id': 'no-uuid'}, 400), ({'id': f'{ID}\n'}, 400),
    ({'min_ram': -1}, 400),
    ({'min_disk': 1 << 40}, 400), ({'min_ram': '1'}, 400), ({'protected': 'yes'}, 400),
    ({'tags': ['x' * 256]}, 400),
    ({'tags': 'x'}, 400), ({'visibility': 'secret'}, 400), ({'hw': 5}, 400), ({'hw': None}, 400),
    ({'hw': {'a': 'b'}}, 400), ({'x' * 256: 'y'}, 400), ({'': 'y'}, 400), ({'name': 'a\0b'}, 400),
    ({'a\0': 'b'}, 400),
    ({'kernel_id': 'vmlinuz'}, 400), ([], 400), ('text', 400),
    ({'status': 'active'}, 403), ({'checksum': 'x'}, 403), ({'size': 5}, 403), ({'created_at': 'x'}, 403),
    ({'deleted': True}, 403), ({'locations': []}, 403), ({'os_glance_import_task': 'x'}, 403),
    ({'owner': 'bob'}, 403), ({'visibility': 'public'}, 403), ({'self': '/'}, 403),
    ({'os_hash_value': 'x'}, 403)])
def test_what_cannot_be_an_image_is_refused_and_nothing_is_kept(cloud, body, status):
    answer = cloud.request(cloud.alice, 'POST', '/v2/images', body)
    assert answer.status == status, answer.body
    assert answer.headers['content-type'].startswith('text/html')
    assert cloud.names('os_hidden=false', cloud.root) == []


@pytest.mark.parametrize('raw', [b'{', b'\xff\xfe', b'[' * 100000, b'{"name": "\xff"}', b''])
def test_a_broken_body_is_refused(cloud, raw):
    import io
    answer = cloud.request(cloud.alice, 'POST', '/v2/images', io.BytesIO(raw).read(),
                           {'Content-Type': 'application/json'})
    assert answer.status == 400


def test_a_foreign_content_type_is_refused(cloud):
    assert cloud.request(cloud.alice, 'POST', '/v2/images', b'{}', {'Content-Type': 'text/xml'}).status == 415


def test_too_many_properties_and_tags_are_refused(tmp_path):
    cloud = Cloud(tmp_path, image_property_quota=2, image_tag_quota=1)
    for extra in ({'a': '1', 'b': '2', 'c': '3'}, {'tags': ['a', 'b']}):
        assert cloud.request(cloud.alice, 'POST', '/v2/images', extra).status == 413
    id = cloud.create(a='1', b='2', tags=['a'])['id']
    assert cloud.patch(id, [{'op': 'add', 'path': '/c', 'value': '3'}]).status == 413
    assert cloud.patch(id, [{'op': 'replace', 'path': '/tags', 'value': ['a', 'b']}]).status == 413
    assert cloud.request(cloud.alice, 'PUT', f'/v2/images/{id}/tags/b').status == 413
    assert cloud.patch(id, [{'op': 'replace', 'path': '/b', 'value': '3'}]).status == 200


def test_an_id_is_never_given_twice(cloud):
    id = cloud.create(id=ID)['id']
    assert cloud.request(cloud.bob, 'POST', '/v2/images', {'id': id}).status == 409
    cloud.request(cloud.alice, 'DELETE', f'/v2/images/{id}')
    assert cloud.request(cloud.alice, 'POST', '/v2/images', {'id': id.upper()}).status == 409


def test_a_reader_looks_and_does_not_touch(cloud):
    image = cloud.active()
    assert cloud.show(image['id'], cloud.reader)['id'] == image['id']
    assert cloud.request(cloud.reader, 'POST', '/v2/images', {'name': 'x'}).status == 403
    assert cloud.patch(image['id'], [{'op': 'add', 'path': '/a', 'value': 'b'}], cloud.reader).status == 403
    assert cloud.request(cloud.reader, 'DELETE', f'/v2/images/{image["id"]}').status == 403


def test_nobody_is_told_nothing(cloud):
    assert cloud.request(None, 'GET', '/v2/images').status == 401


@pytest.mark.parametrize('visibility, show, touch', [
    ('private', 404, 404), ('shared', 404, 404), ('community', 200, 403), ('public', 200, 403)])
def test_foreign_images_are_invisible_or_untouchable(cloud, visibility, show, touch):
    image = cloud.active(cloud.root, visibility=visibility, name='theirs')
    path = f'/v2/images/{image["id"]}'
    assert cloud.get(path, cloud.bob).status == show
    assert cloud.get(path + '/file', cloud.bob).status == show
    changes = [{'op': 'replace', 'path': '/name', 'value': 'mine'}]
    assert cloud.patch(image['id'], changes, cloud.bob).status == touch
    for method, tail in (('DELETE', ''), ('PUT', '/tags/x'), ('DELETE', '/tags/x'),
                         ('POST', '/actions/deactivate'),
                         ('POST', '/actions/reactivate')):
        assert cloud.request(cloud.bob, method, path + tail).status == touch, (method, tail)
    assert cloud.upload(image['id'], b'mine', cloud.bob).status == touch
    assert cloud.request(cloud.bob, 'POST', path + '/members', {'member': 'bob'}).status == touch
    assert cloud.show(image['id'], cloud.root)['name'] == 'theirs'


def test_only_an_administrator_makes_images_public(cloud):
    image = cloud.create()
    public = [{'op': 'replace', 'path': '/visibility', 'value': 'public'}]
    assert cloud.patch(image['id'], public).status == 403
    assert cloud.patch(image['id'], public, cloud.root).json['visibility'] == 'public'
    community = [{'op': 'replace', 'path': '/visibility', 'value': 'community'}]
    assert cloud.patch(image['id'], community).json['visibility'] == 'community'


def test_only_an_administrator_gives_images_away(cloud):
    image = cloud.create()
    gift = [{'op': 'replace', 'path': '/owner', 'value': 'bob'}]
    assert cloud.patch(image['id'], gift).status == 403
    assert cloud.patch(image['id'], [{'op': 'replace', 'path': '/owner', 'value': 'alice'}]).status == 200
    assert cloud.patch(image['id'], gift, cloud.root).json['owner'] == 'bob'
    assert cloud.get(f'/v2/images/{image["id"]}').status == 404
    assert cloud.create(cloud.root, owner='bob')['owner'] == 'bob'


def test_a_patch_changes_attributes_properties_and_tags_at_once(cloud):
    id = cloud.create(old='1', stay='2', tags=['a'])['id']
    answer = cloud.patch(id, [
        {'op': 'replace', 'path': '/name', 'value': 'Fedora 17'},
        {'op': 'replace', 'path': '/tags', 'value': ['fedora', 'beefy', 'beefy']},
        {'op': 'add', 'path': '/new~1key~0', 'value': '3'}, {'op': 'remove', 'path': '/old'},
        {'op': 'add', 'path': '/min_ram', 'value': 512}, {'op': 'add', 'path': '/os_hidden', 'value': True}])
    image = answer.json
    assert answer.status == 200 and set(image) == KEYS | {'new/key~', 'stay'}
    assert (image['name'], image['tags'], image['min_ram'], image['os_hidden']) == (
        'Fedora 17', ['beefy', 'fedora'], 512, True)
    assert image == cloud.show(id)


def test_the_older_patch_media_type_is_understood(cloud):
    id = cloud.create(old='1')['id']
    media = 'application/openstack-images-v2.0-json-patch'
    answer = cloud.patch(id,
                         [{'replace': '/name', 'value': 'x'}, {'remove': '/old'},
                          {'add': '/a', 'value': 'b'}],
                         media=media)
    assert answer.status == 200 and answer.json['name'] == 'x' and 'old' not in answer.json
    assert answer.json['a'] == 'b'
    assert cloud.patch(id, [{'replace': '/name', 'add': '/name', 'value': 'x'}], media=media).status == 400


@pytest.mark.parametrize('change, status', [
    ({'op': 'replace', 'path': '/id', 'value': ID}, 403),
    ({'op': 'replace', 'path': '/status', 'value': 'x'}, 403),
    ({'op': 'remove', 'path': '/checksum'}, 403), ({'op': 'add', 'path': '/deleted_at', 'value': 'x'}, 403),
    ({'op': 'add', 'path': '/locations/-', 'value': {}}, 403),
    ({'op': 'remove', 'path': '/locations/0'}, 403),
    ({'op': 'add', 'path': '/os_glance_x', 'value': 'x'}, 403), ({'op': 'remove', 'path': '/name'}, 403),
    ({'op': 'replace', 'path': '/absent', 'value': 'x'}, 409), ({'op': 'remove', 'path': '/absent'}, 409),
    ({'op': 'move', 'path': '/name', 'value': 'x'}, 400), ({'op': 'add', 'path': 'name', 'value': 'x'}, 400),
    ({'op': 'add', 'path': '/tags/-', 'value': 'x'}, 400), ({'op': 'add', 'path': '/', 'value': 'x'}, 400),
    ({'op': 'add', 'path': '/a~2', 'value': 'x'}, 400), ({'op': 'add', 'path': '/a'}, 400),
    ({'op': 'add', 'path': 7, 'value': 'x'}, 400), ({'op': ['add'], 'path': '/a', 'value': 'x'}, 400),
    ({'op': 'add', 'path': '/name', 'value': 7}, 400), ({'op': 'add', 'path': '/a', 'value': 7}, 400),
    ('x', 400),
    ({'op': 'replace', 'path': '/min_ram', 'value': 'x'}, 400)])
def test_a_patch_that_is_wrong_changes_nothing(cloud, change, status):
    image = cloud.create()
    answer = cloud.patch(image['id'], [{'op': 'replace', 'path': '/name', 'value': 'changed'}, change])
    assert answer.status == status, answer.body
    assert cloud.show(image['id']) == image


def test_a_patch_has_its_own_media_types(cloud):
    answer = cloud.patch(cloud.create()['id'], [], media='application/json')
    assert answer.status == 415 and 'v2.1-json-patch' in answer.headers['accept-patch']
    assert cloud.patch(cloud.create()['id'], {}).status == 400


def test_formats_are_settled_once_there_is_data(cloud):
    image = cloud.create()
    change = [{'op': 'replace', 'path': '/disk_format', 'value': 'qcow2'}]
    assert cloud.patch(image['id'], change).json['disk_format'] == 'qcow2'
    active = cloud.active()
    assert cloud.patch(active['id'], change).status == 403
    assert cloud.patch(active['id'],
                       [{'op': 'replace', 'path': '/disk_format', 'value': 'raw'}]).status == 200


def test_a_deleted_image_is_gone_with_its_data(cloud):
    image = cloud.active()
    assert len(cloud.files()) == 1
    assert cloud.request(cloud.alice, 'DELETE', f'/v2/images/{image["id"]}').status == 204
    for method, tail in (('GET', ''), ('DELETE', ''), ('GET', '/file'), ('PUT', '/tags/x')):
        assert cloud.request(cloud.alice, method, f'/v2/images/{image["id"]}{tail}').status == 404
    assert cloud.files() == [] and cloud.names(who=cloud.root) == []


def test_a_protected_image_stays_until_it_is_released(cloud):
    id = cloud.active(protected=True)['id']
    assert cloud.request(cloud.alice, 'DELETE', f'/v2/images/{id}').status == 403
    assert cloud.request(cloud.root, 'DELETE', f'/v2/images/{id}').status == 403
    cloud.patch(id, [{'op': 'replace', 'path': '/protected', 'value': False}])
    assert cloud.request(cloud.alice, 'DELETE', f'/v2/images/{id}').status == 204


def test_tags_come_and_go(cloud):
    id = cloud.create()['id']
    for tag in ('web', 'web', 'zwölf', 'a/b'):
        assert cloud.request(cloud.alice, 'PUT', f'/v2/images/{id}/tags/{tag}').status == 204
    assert cloud.show(id)['tags'] == ['a/b', 'web', 'zwölf']
    assert cloud.request(cloud.alice, 'DELETE', f'/v2/images/{id}/tags/zwölf').status == 204
    assert cloud.request(cloud.alice, 'DELETE', f'/v2/images/{id}/tags/zwölf').status == 404
    assert cloud.request(cloud.alice, 'PUT', f'/v2/images/{id}/tags/{"x" * 256}').status == 400
    assert cloud.request(cloud.alice, 'PUT', f'/v2/images/{ID}/tags/x').status == 404


def test_names_are_no_ids(cloud):
    cloud.create(name='cirros')
    for name in ('cirros', 'None', '%00', '!@#'):
        assert cloud.get(f'/v2/images/{name}').status == 404


def test_version_documents_name_the_host_the_client_used(cloud):
    choices, versions = cloud.request(None, 'GET', '/'), cloud.request(None, 'GET', '/versions')
    assert (choices.status, versions.status) == (300, 200) and choices.json == versions.json
    current = versions.json['versions'][0]
    assert current['status'] == 'CURRENT'
    assert current['links'] == [{'rel': 'self', 'href': 'http://images.test:9292/v2/'}]


def test_schemas_describe_what_is_shown(cloud):
    import jsonschema
    shown = cloud.active(hw='x', kernel_id=None, tags=['a'])
    schema = cloud.get('/v2/schemas/image').json
    jsonschema.validate(shown, schema)
    assert set(KEYS) <= set(schema['properties'])
    listed = cloud.get('/v2/images').json
    jsonschema.validate(listed, cloud.get('/v2/schemas/images').json)
    for name in ('member', 'members'):
        assert cloud.get(f'/v2/schemas/{name}').json['name'] == name
    assert cloud.get('/v2/schemas/metadefs/namespace').status == 404


def test_an_empty_id_is_nobodys(cloud):
    cloud.create()
    for method in ('GET', 'DELETE', 'PATCH'):
        assert cloud.request(cloud.alice, method, '/v2/images/').status == 404


def test_the_api_describes_itself(cloud):
    described = cloud.request(None, 'GET', '/openapi.json').json
    assert described['openapi'] == '3.1.0'
    assert set(described['paths']['/images/{id}']) == {'get', 'patch', 'delete'}


def test_discovery_says_what_is_on_offer(cloud, tmp_path):
    assert cloud.get('/v2/info/import').json['import-methods']['value'] == ['glance-direct']
    [store] = cloud.get('/v2/info/stores').json['stores']
    assert store['id'] == 'file' and store['default'] == 'true' and str(tmp_path) not in str(store)
    bare = Cloud(tmp_path / 'bare', enabled_import_methods=[])
    assert bare.get('/v2/info/import').json['import-methods']['value'] == []
    answer = bare.request(bare.alice, 'POST', '/v2/images', {'name': 'x'})
    assert 'openstack-image-import-methods' not in answer.headers

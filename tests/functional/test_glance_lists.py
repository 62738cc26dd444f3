"""Lists of images: filters, order and pages, as published."""

import pytest

from tests.functional.glance_cloud import Cloud


@pytest.fixture(scope='module')
def shelf(tmp_path_factory):
    """A cloud with images of several kinds, which no test changes; all alice's unless said otherwise."""
    cloud = Cloud(tmp_path_factory.mktemp('shelf'))
    cloud.active(name='raw', data=b'x' * 10, tags=['os', 'web'], hw_disk_bus='virtio')
    cloud.active(name='ami', data=b'x' * 20, disk_format='ami', container_format='ami', tags=['os'])
    cloud.create(name='queued', disk_format='iso', protected=True)
    cloud.create(name='hidden', os_hidden=True)
    cloud.active(cloud.root, name='public', visibility='public', data=b'x' * 30)
    cloud.create(cloud.bob, name='community', visibility='community')
    cloud.create(cloud.bob, name='private', visibility='private')
    return cloud


@pytest.mark.parametrize('query, names', [
    ('', {'raw', 'ami', 'queued', 'public'}),
    ('name=raw', {'raw'}), ('name=in:raw,ami,nothing', {'raw', 'ami'}), ('name=in:"raw","a,b"', {'raw'}),
    ('name=neq:raw', {'ami', 'queued', 'public'}), ('name=RAW', set()),
    ('status=active', {'raw', 'ami', 'public'}), ('status=in:queued,saving', {'queued'}),
    ('visibility=public', {'public'}), ('visibility=private', set()), ('visibility=community', {'community'}),
    ('visibility=shared', {'raw', 'ami', 'queued'}),
    ('visibility=all', {'raw', 'ami', 'queued', 'public', 'community'}),
    ('owner=admin', {'public'}), ('owner=bob', set()), ('owner=bob&visibility=community', {'community'}),
    ('os_hidden=true', {'hidden'}), ('os_hidden=false', {'raw', 'ami', 'queued', 'public'}),
    ('protected=true', {'queued'}), ('protected=False&status=queued', set()),
    ('tag=os', {'raw', 'ami'}), ('tag=os&tag=web', {'raw'}), ('tag=absent', set()),
    ('size_min=20', {'ami', 'public'}), ('size_max=20', {'raw', 'ami'}), ('size_min=11&size_max=29', {'ami'}),
    ('size=10', {'raw'}), ('disk_format=in:ami,iso', {'ami', 'queued'}), ('container_format=ami', {'ami'}),
    ('hw_disk_bus=virtio', {'raw'}), ('hw_disk_bus=scsi', set()), ('absent=1', set()),
    ('created_at=gt:2001-01-01T00:00:00Z', {'raw', 'ami', 'queued', 'public'}),
    ('created_at=lt:2001-01-01T00:00:00Z', set()),
    ('updated_at=gte:2001-01-01', {'raw', 'ami', 'queued', 'public'}),
    ('created_at=neq:2001-01-01T00:00:00', {'raw', 'ami', 'queued', 'public'}),
    ('created_at=2001-01-01T00:00:00Z', set()), ('checksum=absent', set()), ('min_ram=0&name=raw', {'raw'})])
def test_filters_keep_what_they_say(shelf, query, names):
    assert set(shelf.names(query)) == names


def test_an_administrator_sees_all(shelf):
    assert set(shelf.names('', shelf.root)) == {'raw', 'ami', 'queued', 'public', 'community', 'private'}
    assert set(shelf.names('visibility=private', shelf.root)) == {'private'}


def test_ids_are_found_by_the_list_form(shelf):
    ids = {image['name']: image['id'] for image in shelf.get('/v2/images').json['images']}
    assert set(shelf.names(f'id=in:{ids["raw"]},{ids["ami"]},absent')) == {'raw', 'ami'}
    assert shelf.names(f'id={ids["raw"]}') == ['raw']
    theirs = shelf.get('/v2/images?name=private', shelf.bob).json['images'][0]['id']
    assert shelf.names(f'id=in:{theirs}') == []


@pytest.mark.parametrize('query', [
    'limit=-1', 'limit=x', 'limit=1e3', 'marker=absent', 'sort_key=secret', 'sort_dir=up', 'sort=name:up',
    'sort=secret:asc', 'sort=name:asc&sort_key=name', 'sort_key=name&sort_dir=asc&sort_dir=desc',
    'size_min=x',
    'size_max=-1', 'visibility=secret', 'member_status=maybe', 'protected=perhaps', 'os_hidden=2',
    'created_at=gt:yesterday', 'created_at=near:2001-01-01', 'name=in:"raw', 'size_min=99999999999999999999',
    'a%00=b', 'name=%FF', f'tag={"x" * 256}'])
def test_a_filter_that_makes_no_sense_is_refused(shelf, query):
    answer = shelf.get('/v2/images?' + query)
    assert answer.status == 400, answer.body


@pytest.mark.parametrize('query, names', [
    ('sort_key=name&sort_dir=asc', ['ami', 'public', 'queued', 'raw']),
    ('sort=name', ['raw', 'queued', 'public', 'ami']),
    ('sort=status:desc,name:asc', ['queued', 'ami', 'public', 'raw']),
    ('sort_key=status&sort_key=name&sort_dir=asc&sort_dir=desc', ['raw', 'public', 'ami', 'queued']),
    ('sort_key=status&sort_key=name&sort_dir=asc', ['ami', 'public', 'raw', 'queued']),
    ('sort=size:asc', ['queued', 'raw', 'ami', 'public']),
    ('sort=size:desc', ['public', 'ami', 'raw', 'queued']),
    ('', ['public', 'queued', 'ami', 'raw'])])
def test_lists_are_in_the_order_asked_for(shelf, query, names):
    assert shelf.names(query) == names


@pytest.mark.parametrize('order', ['sort=size:asc', 'sort=size:desc', 'sort_key=status', '', 'sort=name:asc'])
def test_following_next_sees_every_image_once(shelf, order):
    whole = shelf.names(order)
    seen, path = [], f'/v2/images?limit=1&{order}'
    while path:
        page = shelf.get(path).json
        assert page['first'].startswith('/v2/images?limit=1') and 'marker' not in page['first']
        seen += [image['name'] for image in page['images']]
        path = page.get('next')
    assert seen == whole


def test_a_page_has_the_size_asked_for_and_never_more_than_the_most(tmp_path):
    cloud = Cloud(tmp_path, limit_param_default=2, api_limit_max=3)
    for number in range(5):
        cloud.create(name=str(number))
    assert [len(cloud.names(query)) for query in ('', 'limit=1', 'limit=9', 'limit=0')] == [2, 1, 3, 0]
    page = cloud.get('/v2/images').json
    assert page['first'] == '/v2/images' and page['schema'] == '/v2/schemas/images'
    assert set(page) == {'images', 'first', 'next', 'schema'}
    assert set(cloud.get('/v2/images?limit=0').json) == {'images', 'first', 'schema'}


def test_a_marker_that_the_caller_may_not_see_is_no_marker(shelf):
    theirs = shelf.get('/v2/images?name=private', shelf.bob).json['images'][0]['id']
    assert shelf.get(f'/v2/images?marker={theirs}').status == 400

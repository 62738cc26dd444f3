"""Images in an object store: in segments where they are large, all of them or nothing, through our own keystone."""

import hashlib
import os

import pytest
import requests

from glance.conf import OPTIONS
from glance.stores import load
from glance.stores.interface import CHUNK, Full, Missing
from strata import clock, errors
from strata import conf as configuration
from strata.testing import wait
from strata.testing.web import serving
from tests.functional.glance_cloud import Chunked, Cloud
from tests.functional.keystone_cloud import PASSWORD, keystone_template  # noqa: F401
from tests.swift_cloud import FILTERS, ObjectStore

# the fixture above is used by name
# ruff: noqa: F811

MIB = 1024 * 1024
SIZES = {'glance_store__swift_store_large_object_size': 2, 'glance_store__swift_store_large_object_chunk_size': 3}


@pytest.fixture(scope='module')
def object_store(keystone_template, tmp_path_factory):
    made = ObjectStore(keystone_template, tmp_path_factory.mktemp('objects'))
    yield made
    made.close()


@pytest.fixture
def build(object_store):
    """Makes a store of images with other options."""
    def build(**more):
        conf = configuration.load('glance-api', OPTIONS, [], files=[], **{**object_store.glance, **SIZES, **more})
        return load(conf)['swift']
    return build


@pytest.fixture
def store(build):
    return build()


@pytest.fixture
def names(object_store):
    """What is in the container, by name, with sizes."""
    def names(container='glance'):
        url = f'{object_store.account}/{container}?format=json'
        found = requests.get(url, headers=object_store.token(), timeout=20)
        return {each['name']: each['bytes'] for each in found.json()} if found.status_code == 200 else {}
    return names


def pieces(data, size=CHUNK):
    return (data[start:start + size] for start in range(0, len(data), size))


def read(store, key, *part):
    return b''.join(store.read(key, *part))


def test_a_large_image_is_kept_in_segments_and_goes_with_them(store, names, object_store):
    key, data = clock.new_uuid(), os.urandom(12 * MIB + 7)
    files = len(object_store.cluster.files('.data'))
    assert store.write(key, pieces(data, 700_001)) == store.size(key) == len(data)
    assert {name: size for name, size in names().items() if name.startswith(key)} == {
        key: len(data), f'{key}-00001': 2 * MIB, f'{key}-00002': 3 * MIB, f'{key}-00003': 3 * MIB,
        f'{key}-00004': 3 * MIB, f'{key}-00005': MIB + 7}
    assert read(store, key) == data
    assert read(store, key, 2 * MIB - 3, 3 * MIB + 9) == data[2 * MIB - 3:5 * MIB + 6]
    assert read(store, key, len(data) - 5) == data[-5:]
    assert read(store, key, len(data)) == read(store, key, 3, 0) == b''
    store.delete(key)
    assert not [name for name in names() if name.startswith(key)]
    assert len(object_store.cluster.files('.data')) == files
    with pytest.raises(Missing):
        store.size(key)


def test_a_small_image_is_one_object(store, names):
    key, data = clock.new_uuid(), os.urandom(8 * MIB)
    store.write(key, pieces(data))
    assert {name: size for name, size in names().items() if name.startswith(key)} == {key: 8 * MIB}
    store.delete(key)


def test_a_large_upload_that_fails_leaves_no_segment(store, names):
    key = clock.new_uuid()

    def chunks():
        yield from pieces(bytes(11 * MIB))
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        store.write(key, chunks())
    assert not [name for name in names() if name.startswith(key)]
    with pytest.raises(Missing):
        store.read(key)


def test_segments_of_a_dead_writer_go_with_its_key(store, names, object_store):
    key, other = clock.new_uuid(), clock.new_uuid()
    store.write(other, [b'x'])
    for number in (1, 2):
        requests.put(f'{object_store.account}/glance/{key}-0000{number}', data=b'half', timeout=20,
                     headers=object_store.token())
    store.delete(key)
    assert not [name for name in names() if name.startswith(key)]
    assert read(store, other) == b'x'


def test_images_can_be_spread_over_containers(build, names):
    store, key = build(glance_store__swift_store_multiple_containers_seed=2), clock.new_uuid()
    store.write(key, [b'x'])
    assert list(names(f'glance_{key[:2]}')) == [key] and read(store, key) == b'x'
    store.delete(key)


def test_a_container_is_made_only_if_that_was_asked_for(build, names):
    store = build(glance_store__swift_store_container='none', glance_store__swift_store_create_container_on_put=False)
    with pytest.raises(errors.Unavailable):
        store.write(clock.new_uuid(), [b'x'])
    assert not names('none')


def test_who_glance_is_may_stand_in_a_file(build, object_store, tmp_path):
    file = tmp_path / 'swift.conf'
    address = object_store.glance['glance_store__swift_store_auth_address']
    file.write_text(f'[ref1]\nuser = nobody:x\nkey = y\nauth_address = http://127.0.0.1:1\n'
                    f'[mine]\nuser = images:glance\nkey = {PASSWORD}\nauth_version = 3\n'
                    f'auth_address = {address}/v3\nuser_domain_id = default\n')
    given = {'glance_store__swift_store_config_file': str(file), 'glance_store__default_swift_reference': 'mine',
             'glance_store__swift_store_user': 'wrong:user'}
    store, key = build(**given), clock.new_uuid()
    store.write(key, [b'x'])
    assert read(store, key) == b'x'


def test_without_credentials_of_its_own_it_is_glance_itself(build, object_store):
    address = object_store.glance['glance_store__swift_store_auth_address']
    store, key = build(glance_store__swift_store_auth_address=None, keystone_authtoken__auth_url=address,
                       keystone_authtoken__username='glance', keystone_authtoken__password=PASSWORD,
                       keystone_authtoken__project_name='images'), clock.new_uuid()
    store.write(key, [b'x'])
    assert read(store, key) == b'x'


@pytest.mark.parametrize(('options', 'said'), [
    ({'swift_store_multi_tenant': True}, 'multi_tenant'),
    ({'swift_store_auth_version': '2'}, 'auth_version'),
    ({'swift_store_user': 'glance'}, 'project:user'),
    ({'swift_store_config_file': '/does/not/exist'}, 'cannot be read'),
    ({'swift_store_config_file': __file__}, 'cannot be read'),
])
def test_options_that_do_not_go_together_are_named(build, options, said):
    with pytest.raises(errors.Invalid, match=said) as error:
        build(**{f'glance_store__{name}': value for name, value in options.items()})
    assert PASSWORD not in str(error.value)


class Elsewhere:
    """An object store that does what a test says: ``answers`` of (status, headers, body), one a request."""

    def __init__(self, *answers):
        self.answers, self.seen = list(answers), []

    def __call__(self, environ, start_response):
        environ['wsgi.input'].read()
        self.seen.append((environ['REQUEST_METHOD'], environ['PATH_INFO'], environ.get('HTTP_RANGE')))
        status, headers, body = self.answers.pop(0)
        start_response(f'{status} x', [('Content-Length', str(len(body))), *headers.items()])
        return [body]


@pytest.fixture
def elsewhere(build):
    """A store of images in an ``Elsewhere``."""
    servers = []

    def elsewhere(app, **more):
        server = serving(app)
        servers.append(server)
        url = f'http://127.0.0.1:{server.__enter__().port}/v1/account'
        return build(glance_store__swift_store_endpoint=url, **more)
    yield elsewhere
    for server in servers:
        server.__exit__(None, None, None)


@pytest.mark.parametrize(('status', 'error'), [(413, Full), (507, Full), (403, errors.Unavailable),
                                               (500, errors.Error), (503, errors.Unavailable)])
def test_refusals_say_neither_where_nor_who(elsewhere, status, error):
    none = (404, {}, b'')
    app = Elsewhere((204, {}, b''), (status, {}, b'secret'), none, (200, {}, b'[]'))
    store = elsewhere(app)
    with pytest.raises(error) as caught:
        store.write(clock.new_uuid(), [b'x'])
    for secret in ('127.0.0.1', 'glance', PASSWORD, 'secret'):
        assert secret not in str(caught.value)


def test_a_token_that_is_refused_is_replaced(elsewhere):
    app = Elsewhere((401, {}, b''), (200, {'Etag': 'x'}, b'data'))
    assert read(elsewhere(app), clock.new_uuid()) == b'data'


def test_an_object_store_that_stores_something_else_is_not_believed(elsewhere):
    app = Elsewhere((204, {}, b''), (201, {'Etag': '"00"'}, b''), (404, {}, b''), (200, {}, b'[]'))
    with pytest.raises(errors.Unavailable):
        elsewhere(app).write(clock.new_uuid(), [b'x'])
    assert [method for method, *_ in app.seen] == ['HEAD', 'PUT', 'HEAD', 'GET']


class Counting:
    """Takes everything, and counts it."""

    def __init__(self):
        self.received = 0

    def __call__(self, environ, start_response):
        digest = hashlib.md5()
        while piece := environ['wsgi.input'].read(65536):
            digest.update(piece)
            self.received += len(piece) if environ['QUERY_STRING'] == '' else 0
        start_response('200 x', [('Etag', digest.hexdigest()), ('X-Static-Large-Object', 'True'),
                                 ('Content-Length', str(self.received if environ['REQUEST_METHOD'] == 'HEAD' else 0))])
        return []


def test_an_image_is_not_held_in_memory(elsewhere):
    app, ahead = Counting(), []

    def chunks():
        for number in range(64):
            ahead.append(number * MIB - app.received)
            yield bytes(MIB)
    assert elsewhere(app, glance_store__swift_store_large_object_size=30).write(clock.new_uuid(), chunks()) == 64 * MIB
    assert max(ahead) < 24 * MIB      # the first 8 MiB, and what is in buffers of the kernel


class Breaking(Elsewhere):
    """Breaks off every answer after some bytes."""

    def __init__(self, data, steps):
        super().__init__()
        self.data, self.steps = data, list(steps)

    def __call__(self, environ, start_response):
        given = environ.get('HTTP_RANGE', 'bytes=0-')
        self.seen.append(given)
        start = int(given[6:].partition('-')[0])
        body = self.data[start:]
        status = '206 x' if 'HTTP_RANGE' in environ else '200 x'
        start_response(status, [('Content-Length', str(len(body))), ('Etag', 'e')])
        step = self.steps.pop(0)
        yield body[:step]
        if step < len(body):
            raise ConnectionError


def test_a_download_that_breaks_off_is_taken_up_again(elsewhere):
    data = os.urandom(3 * MIB)
    app = Breaking(data, [MIB + 5, 10, 1 << 30])
    assert read(elsewhere(app, glance_store__swift_store_retry_get_count=5), clock.new_uuid()) == data
    assert len(app.seen) == 3
    with pytest.raises(errors.Unavailable):
        read(elsewhere(Breaking(data, [MIB, 10, 10])), clock.new_uuid())


def test_an_object_store_without_large_objects_gets_no_half_image(keystone_template, tmp_path):
    object_store = ObjectStore(keystone_template, tmp_path, FILTERS.replace(' slo', ''))
    try:
        conf = configuration.load('glance-api', OPTIONS, [], files=[], **{**object_store.glance, **SIZES})
        store, key = load(conf)['swift'], clock.new_uuid()
        with pytest.raises(errors.Unavailable):
            store.write(key, pieces(bytes(9 * MIB)))
        with pytest.raises(Missing):
            store.read(key)
        assert not object_store.cluster.files('.data')
    finally:
        object_store.close()


def test_an_image_goes_in_and_out_through_the_api(object_store, tmp_path, names):
    cloud = Cloud(tmp_path / 'glance', **{**object_store.glance, **SIZES})
    data = os.urandom(10 * MIB)
    before = set(names())
    image = cloud.active(data=data)
    assert cloud.get(f'/v2/images/{image["id"]}/file').body == data
    part = cloud.get(f'/v2/images/{image["id"]}/file', range='bytes=2097150-2097160')
    assert (part.status, part.body) == (206, data[2097150:2097161])
    [store] = cloud.get('/v2/info/stores').json['stores']
    assert store['id'] == 'swift' and '127.0.0.1' not in str(store)
    kept = set(names())
    broken = cloud.create()
    with pytest.raises(ConnectionResetError):
        cloud.upload(broken['id'], Chunked([bytes(9 * MIB), ConnectionResetError()]))
    assert cloud.get(f'/v2/images/{broken["id"]}').json['status'] == 'queued'
    assert set(names()) == kept
    assert cloud.request(cloud.alice, 'DELETE', f'/v2/images/{image["id"]}').status == 204
    cloud.sweep()
    assert set(names()) == before


def test_data_goes_to_the_store_that_is_asked_for_and_never_to_a_guess(object_store, tmp_path, names):
    options = {**object_store.glance, 'glance_store__stores': 'file,swift', 'glance_store__default_store': 'file'}
    cloud = Cloud(tmp_path / 'glance', **options)
    before = set(names())

    def imported(**where):
        id = cloud.create()['id']
        assert cloud.request(cloud.alice, 'PUT', f'/v2/images/{id}/stage', b'staged').status == 204
        return id, cloud.request(cloud.alice, 'POST', f'/v2/images/{id}/import',
                                 {'method': {'name': 'glance-direct'}, **where})
    first = cloud.create()['id']
    assert cloud.upload(first, b'sent', **{'X-Image-Meta-Store': 'swift'}).status == 204
    second, answer = imported(stores=['swift'])
    assert answer.status == 202
    wait.until(lambda: cloud.show(second)['status'] == 'active')
    assert [cloud.show(id)['stores'] for id in (first, second)] == ['swift', 'swift']
    assert [cloud.get(f'/v2/images/{id}/file').body for id in (first, second)] == [b'sent', b'staged']
    assert cloud.active()['stores'] == 'file' and len(set(names()) - before) == 2
    third = cloud.create()['id']
    refused = cloud.upload(third, b'sent', **{'X-Image-Meta-Store': 'tape'})
    assert refused.status == 400 and b'X-Image-Meta-Store' in refused.body
    for where, status in (({'stores': ['tape']}, 409), ({'stores': ['file', 'swift']}, 400),
                          ({'all_stores': True}, 400)):
        id, answer = imported(**where)
        assert answer.status == status and cloud.show(id)['status'] == 'uploading', where


def test_an_upload_that_loses_the_object_store_can_be_swept_when_it_is_back(object_store, build, names):
    store, key = build(), clock.new_uuid()
    nodes = object_store.cluster.nodes

    def chunks():
        yield from pieces(bytes(10 * MIB))
        for node in nodes:
            node.stop('object')
        yield from pieces(bytes(10 * MIB))
    try:
        with pytest.raises(errors.Unavailable) as caught:
            store.write(key, chunks())
        assert '127.0.0.1' not in str(caught.value)
    finally:
        for node in nodes:
            node.start()
    with pytest.raises(Missing):
        store.read(key)
    # the proxy avoids servers that failed for a while
    wait.until(lambda: not swept(store, names, key), 30)


def swept(store, names, key):
    """What is still there after another try to remove it."""
    try:
        store.delete(key)
    except errors.Error:
        return [key]
    return [name for name in names() if name.startswith(key)]

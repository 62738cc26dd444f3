"""Dynamic large objects: what a prefix names, served as one."""

import hashlib
import json

import pytest

from swift.conf import options
from swift.http import Response
from swift.middleware.dlo import OPTIONS, DynamicLargeObjects
from swift.middleware.segments import MOST_AHEAD, SegmentError
from tests.swift_store import Store


def md5(text):
    return hashlib.md5(text if isinstance(text, bytes) else text.encode()).hexdigest()


PARTS = [b'a' * 10, b'b' * 20, b'c' * 5]
WHOLE = b''.join(PARTS)
ETAG = f'"{md5("".join(map(md5, PARTS)))}"'


class Cloud:
    """The filter in front of a store with three segments."""

    def __init__(self, **conf):
        self.store = Store()
        self.app = DynamicLargeObjects(self.store, options({'swift_dir': '/nonexistent', **conf}, OPTIONS))
        for name in ('c', 'segs'):
            self.ask('PUT', f'/v1/a/{name}')
        for number, part in enumerate(PARTS):
            self.ask('PUT', f'/v1/a/segs/p%20{number}', body=part)
        self.ask('PUT', '/v1/a/segs/q', body=b'other')
        self.ask('PUT', '/v1/a/c/m', {'X-Object-Manifest': 'segs/p%20', 'Content-Type': 'x/y'}, b'hi')

    def ask(self, *args, **more):
        return self.store.ask(*args, app=self.app, **more)


@pytest.fixture
def cloud():
    return Cloud()


def test_the_segments_are_served_in_order(cloud):
    for method, body in (('GET', WHOLE), ('HEAD', b'')):
        answer = cloud.ask(method, '/v1/a/c/m')
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers['Content-Length'] == '35'
        assert answer.headers['Etag'] == ETAG
        assert answer.headers['X-Object-Manifest'] == 'segs/p%20'
        assert answer.headers['Content-Type'] == 'x/y'


@pytest.mark.parametrize('wanted, status, body', [
    ('bytes=3-14', 206, WHOLE[3:15]), ('bytes=-3', 206, WHOLE[-3:]), ('bytes=30-', 206, WHOLE[30:]),
    ('bytes=99-', 416, None), ('bytes=1-2,5-6', 200, WHOLE), ('nonsense', 200, WHOLE),
])
def test_ranges_are_of_the_whole(cloud, wanted, status, body):
    answer = cloud.ask('GET', '/v1/a/c/m', {'Range': wanted})
    assert answer.status == status
    if body is not None:
        assert answer.body == body
    if status == 206:
        assert answer.headers['Content-Range'].endswith('/35')


@pytest.mark.parametrize('headers, status', [
    ({'If-None-Match': ETAG}, 304), ({'If-None-Match': f'"{md5(b"hi")}"'}, 200), ({'If-Match': ETAG}, 200),
    ({'If-Match': 'x'}, 412), ({'If-Match': f'"{md5(b"hi")}"'}, 412),
])
@pytest.mark.parametrize('method', ['GET', 'HEAD'])
def test_conditions_are_about_the_whole(cloud, method, headers, status):
    answer = cloud.ask(method, '/v1/a/c/m', headers)
    assert (answer.status, answer.headers['Etag']) == (status, ETAG)


def test_the_manifest_itself_can_be_read(cloud):
    assert cloud.ask('GET', '/v1/a/c/m?multipart-manifest=get').body == b'hi'


@pytest.mark.parametrize('value', ['segs', 'segs/', '/segs/x', 'segs//x', 'segs/x?y', 'segs/a&b', '', 'segs/%ff'])
@pytest.mark.parametrize('method', ['PUT', 'POST'])
def test_a_manifest_names_a_container_and_a_prefix(cloud, method, value):
    answer = cloud.ask(method, '/v1/a/c/m', {'X-Object-Manifest': value}, b'')
    assert (answer.status, answer.body) == (400, b'X-Object-Manifest must be in the format container/prefix')


def test_more_segments_than_a_page_of_the_listing(tmp_path):
    (tmp_path / 'swift.conf').write_text('[swift-constraints]\ncontainer_listing_limit = 2\n')
    cloud = Cloud(swift_dir=str(tmp_path))
    answer = cloud.ask('GET', '/v1/a/c/m')
    assert answer.body == WHOLE
    assert 'Content-Length' not in answer.headers and 'Etag' not in answer.headers
    answer = cloud.ask('GET', '/v1/a/c/m', {'Range': 'bytes=28-32'})
    assert (answer.status, answer.body) == (206, WHOLE[28:33])
    assert answer.headers['Content-Range'] == 'bytes 28-32/35'


def test_no_segments_make_an_empty_whole(cloud):
    cloud.ask('PUT', '/v1/a/c/m', {'X-Object-Manifest': 'segs/none'}, b'hi')
    answer = cloud.ask('GET', '/v1/a/c/m')
    assert (answer.status, answer.body, answer.headers['Etag']) == (200, b'', f'"{md5("")}"')


def test_a_container_that_is_not_there_is_not_found(cloud):
    cloud.ask('PUT', '/v1/a/c/m', {'X-Object-Manifest': 'none/x'}, b'hi')
    assert cloud.ask('GET', '/v1/a/c/m').status == 404


def test_listing_and_segments_need_the_client_s_rights(cloud):
    def refuse(what):
        return {'swift.authorize': lambda request: Response(403) if what(request) else None}
    assert cloud.ask('GET', '/v1/a/c/m', **refuse(lambda each: each.path == '/v1/a/segs')).status == 403
    assert cloud.ask('GET', '/v1/a/c/m', **refuse(lambda each: each.path.startswith('/v1/a/segs/'))).status == 409


def test_a_whole_that_loses_a_segment_is_not_begun_or_broken_off(cloud):
    cloud.store.failing['GET', '/v1/a/segs/p 0'] = 404
    assert cloud.ask('GET', '/v1/a/c/m').status == 409
    cloud.store.failing = {('GET', '/v1/a/segs/p 1'): 404}
    with pytest.raises(SegmentError):
        cloud.ask('GET', '/v1/a/c/m')


def test_a_page_that_fails_breaks_the_whole_off(tmp_path):
    (tmp_path / 'swift.conf').write_text('[swift-constraints]\ncontainer_listing_limit = 3\n')
    cloud = Cloud(swift_dir=str(tmp_path))
    for number in range(2 * MOST_AHEAD):
        cloud.ask('PUT', f'/v1/a/segs/p%20x{number}', body=b'x')
    cloud.ask('PUT', '/v1/a/c/m', {'X-Object-Manifest': 'segs/p%20', 'Content-Type': 'x/y'}, b'hi')
    answer = Response.of(cloud.app, dict(cloud.store.requests[-1], REQUEST_METHOD='GET'))
    cloud.store.failing['GET', '/v1/a/segs'] = 503
    with pytest.raises(SegmentError):
        assert answer.body


def test_a_whole_takes_no_longer_than_it_may():
    cloud = Cloud(max_get_time='0')
    assert cloud.ask('GET', '/v1/a/c/m').status == 409


def test_ordinary_objects_and_listings_pass_through(cloud):
    assert cloud.ask('GET', '/v1/a/segs/q').body == b'other'
    assert json.loads(cloud.ask('GET', '/v1/a/c?format=json').body)[0]['bytes'] == 2

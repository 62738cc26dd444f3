"""Static large objects: what a manifest may be, what is read through it, and what becomes of its segments."""

import base64
import hashlib
import json
import time

import pytest

from strata.testing import wait
from swift.conf import options
from swift.http import Request, Response
from swift.middleware.segments import AHEAD, MOST_AHEAD, SegmentError
from swift.middleware.slo import OPTIONS, StaticLargeObjects
from tests.swift_store import Store


def md5(data):
    return hashlib.md5(data if isinstance(data, bytes) else data.encode()).hexdigest()


A, B = b'a' * 10, b'b' * 20
PUT = '?multipart-manifest=put'


class Cloud:
    """The filter in front of a store, with two segments."""

    def __init__(self, **conf):
        self.store = Store()
        self.app = StaticLargeObjects(self.store, options({'yield_frequency': '0.02', **conf}, OPTIONS))
        for name in ('c', 'segs'):
            self.ask('PUT', f'/v1/a/{name}')
        self.ask('PUT', '/v1/a/segs/a', body=A)
        self.ask('PUT', '/v1/a/segs/b', {'Content-Type': 'text/x'}, B)

    def ask(self, *args, **more):
        return self.store.ask(*args, app=self.app, **more)

    def put(self, entries, name='/v1/a/c/slo', query=PUT, headers=None, **more):
        body = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
        return self.ask('PUT', name + query, headers, body, **more)


@pytest.fixture
def cloud():
    return Cloud()


WHOLE = [{'path': '/segs/a', 'size_bytes': 10, 'etag': md5(A)}, {'path': 'segs/b', 'range': '2-5'},
         {'data': base64.b64encode(b'xyz').decode()}, {'path': '/segs/b'}]
CONTENT = A + B[2:6] + b'xyz' + B
ETAG = md5(md5(A) + md5(B) + ':2-5;' + md5(b'xyz') + md5(B))


def test_a_manifest_is_kept_as_published(cloud):
    answer = cloud.put(WHOLE, headers={'Content-Type': 'i/mage;swift_bytes=5;a=b', 'X-Object-Meta-Color': 'red'})
    assert (answer.status, answer.headers['Etag']) == (201, f'"{ETAG}"')
    kept = cloud.store.thing('/v1/a/c/slo')
    assert kept.kind == 'i/mage;a=b;swift_bytes=37'
    assert kept.headers == {
        'X-Object-Meta-Color': 'red', 'X-Static-Large-Object': 'True', 'X-Object-Sysmeta-Slo-Etag': ETAG,
        'X-Object-Sysmeta-Slo-Size': '37',
        'X-Object-Sysmeta-Container-Update-Override-Etag': f'{kept.etag}; slo_etag={ETAG}'}
    entries = json.loads(kept.data)
    assert entries[0] == {'name': '/segs/a', 'bytes': 10, 'hash': md5(A), 'content_type': 'application/octet-stream',
                          'last_modified': entries[0]['last_modified']}
    assert entries[1]['range'] == '2-5'
    assert entries[2] == {'data': 'eHl6'}


@pytest.mark.parametrize('given, stored', [('5-', '5-9'), ('-5', '5-9'), ('5-600', '5-9'), ('0-0', '0-0'),
                                           ('-500', None), ('0-', None)])
def test_a_range_is_kept_as_what_it_comes_to(cloud, given, stored):
    answer = cloud.put([{'path': '/segs/a', 'range': given}])
    assert answer.status == 201
    assert json.loads(cloud.store.thing('/v1/a/c/slo').data)[0].get('range') == stored
    assert answer.headers['Etag'] == '"' + md5(md5(A) + (f':{stored};' if stored else '')) + '"'


@pytest.mark.parametrize('entries, said', [
    (b'not json', 'Manifest must be valid JSON.\n'),
    (b'\xff\xfe', 'Manifest must be valid JSON.\n'),
    (b'[' * 100000, 'Manifest must be valid JSON.\n'),
    (b'{}', 'Manifest must be a list.\n'),
    ([1], 'Index 0: not a JSON object\n'),
    ([{}], 'Index 0: expected keys to include one of "path" or "data"\n'),
    ([{'path': '/segs/a', 'foo': 1}], 'Index 0: extraneous keys "foo"\n'),
    ([{'path': '/segs'}],
     'Index 0: path does not refer to an object. Path must be of the form /container/object.\n'),
    ([{'path': 5}], 'Index 0: "path" must be a string\n'),
    ([{'path': '/segs/\ud800'}], 'Index 0: "path" must be valid UTF-8\n'),
    ([{'path': '/segs/a', 'etag': 5}], 'Index 0: "etag" must be a string or null (if provided)\n'),
    ([{'path': '/segs/a', 'size_bytes': 'x'}], 'Index 0: invalid size_bytes\n'),
    (b'[{"path": "/segs/a", "size_bytes": 1e999}]', 'Index 0: invalid size_bytes\n'),
    (b'[{"path": "/segs/a", "size_bytes": %s}]' % (b'9' * 5000), 'Manifest must be valid JSON.\n'),
    ([{'path': '/segs/a', 'size_bytes': 0}, {'path': '/segs/a'}],
     'Index 0: too small; each segment must be at least 1 byte.\n'),
    ([{'path': '/segs/a', 'range': 'x'}], 'Index 0: invalid range\n'),
    ([{'path': '/segs/a', 'range': 5}], 'Index 0: invalid range\n'),
    ([{'path': '/segs/a', 'range': '1-2,3-4'}], 'Index 0: multiple ranges (only one allowed)\n'),
    ([{'path': '/segs/a', 'size_bytes': 3, 'range': '99-'}], 'Index 0: unsatisfiable range\n'),
    ([{'path': '/c/slo'}], 'Index 0: manifest must not include itself as a segment\n'),
    ([{'data': 'AA'}, {'path': '/segs/a'}], 'Index 0: data must be valid base64\n'),
    ([{'data': ''}, {'path': '/segs/a'}], 'Index 0: too small; each segment must be at least 1 byte.\n'),
    ([{'data': 'AAAA'}], 'Inline data segments require at least one object-backed segment.\n'),
    ([{'data': 'AAAA', 'path': '/x/y'}],
     'Index 0: extraneous keys "path"\nInline data segments require at least one object-backed segment.\n'),
    ([{'path': 1}, {'path': '/segs/a'}, {'path': '/x'}],
     'Index 0: "path" must be a string\nIndex 2: path does not refer to an object. Path must be of the form '
     '/container/object.\n'),
])
def test_what_is_no_manifest_is_refused_with_all_that_is_wrong(cloud, entries, said):
    answer = cloud.put(entries)
    assert (answer.status, answer.body.decode()) == (400, said)
    assert 'slo' not in cloud.store.accounts['a']['c'].objects


@pytest.mark.parametrize('entry, said', [
    ({'path': '/segs/none'}, '/segs/none, 404 Not Found'),
    ({'path': '/segs/ü ?'}, '/segs/%C3%BC%20%3F, 404 Not Found'),
    ({'path': '/segs/\x00'}, '/segs/%00, 412 Precondition Failed'),
    ({'path': '/segs/a', 'size_bytes': 11}, '/segs/a, Size Mismatch'),
    ({'path': '/segs/a', 'size_bytes': -1}, '/segs/a, Size Mismatch'),
    ({'path': '/segs/a', 'size_bytes': 0}, '/segs/a, Size Mismatch'),
    ({'path': '/segs/a', 'etag': 'x'}, '/segs/a, Etag Mismatch'),
    ({'path': '/segs/a', 'range': '500-600'}, '/segs/a, Unsatisfiable Range'),
    ({'path': '/segs/a', 'etag': 'x', 'size_bytes': 300, 'range': '99-'},
     '/segs/a, Size Mismatch\n/segs/a, Etag Mismatch\n/segs/a, Unsatisfiable Range'),
])
def test_segments_must_be_what_is_said_of_them(cloud, entry, said):
    answer = cloud.put([{'path': '/segs/b'}, entry])
    assert (answer.status, answer.body.decode()) == (400, f'Errors:\n{said}\n')
    assert answer.headers['Content-Type'] == 'text/plain'


def test_errors_are_told_in_json_and_xml(cloud):
    answer = cloud.put([{'path': '/segs/<'}], headers={'Accept': 'application/json'})
    assert json.loads(answer.body) == {'Errors': [['/segs/%3C', '404 Not Found']]}
    answer = cloud.put([{'path': '/segs/none'}], headers={'Accept': 'text/xml'})
    assert answer.body == (b'<upload>\n<errors>\n<object><name>/segs/none</name><status>404 Not Found</status>'
                           b'</object>\n</errors>\n</upload>\n')


def test_every_segment_but_the_last_has_a_least_size():
    cloud = Cloud(min_segment_size='5')
    cloud.ask('PUT', '/v1/a/segs/tiny', body=b'xy')
    assert cloud.put([{'path': '/segs/a'}, {'path': '/segs/tiny'}]).status == 201
    answer = cloud.put([{'path': '/segs/tiny'}, {'path': '/segs/a'}])
    assert answer.body == b'Errors:\n/segs/tiny, Too small; each segment must be at least 5 bytes.\n'
    assert cloud.put([{'path': '/segs/a', 'range': '0-1'}, {'path': '/segs/a'}]).status == 400


def test_there_are_limits_to_a_manifest():
    cloud = Cloud(max_manifest_segments='2', max_manifest_size='200')
    assert cloud.put([{'path': '/segs/a'}] * 3).status == 413
    assert cloud.put([{'path': '/segs/a'}, {'data': 'AAAA'}, {'path': '/segs/a'}]).status == 201
    answer = cloud.put(b' ' * 201)
    assert (answer.status, answer.body) == (413, b'Manifest File > 200 bytes')
    assert cloud.ask('PUT', '/v1/a/c/slo' + PUT, {'Content-Length': None}).status == 411


def test_the_etag_of_the_request_is_that_of_the_whole(cloud):
    assert cloud.put(WHOLE, headers={'Etag': 'deadbeef'}).status == 422
    assert cloud.put(WHOLE, headers={'Etag': f'"{ETAG}"'}).status == 201


def test_the_header_is_reserved(cloud):
    assert cloud.ask('PUT', '/v1/a/c/o', {'X-Static-Large-Object': 'True'}, b'[]').status == 400


def test_a_heartbeat_comes_before_the_outcome(cloud):
    answer = cloud.put(WHOLE, query=PUT + '&heartbeat=on', headers={'Accept': 'application/json'})
    assert answer.status == 202
    spaces, document = answer.body.split(b'\r\n\r\n')
    assert spaces.strip(b' ') == b'' and spaces
    outcome = json.loads(document)
    assert (outcome['Response Status'], outcome['Etag'], outcome['Errors']) == ('201 Created', f'"{ETAG}"', [])
    answer = cloud.put([{'path': '/segs/none'}], query=PUT + '&heartbeat=on')
    assert b'Response Status: 400 Bad Request\nErrors:\n/segs/none, 404 Not Found\n' in answer.body
    answer = cloud.put(WHOLE, query=PUT + '&heartbeat=on', headers={'Etag': 'x'})
    assert b'Response Status: 422 Unprocessable Entity' in answer.body


def test_the_whole_is_read_through_its_manifest(cloud):
    cloud.put(WHOLE)
    for method, body in (('GET', CONTENT), ('HEAD', b'')):
        answer = cloud.ask(method, '/v1/a/c/slo')
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers['Content-Length'] == '37'
        assert answer.headers['Etag'] == f'"{ETAG}"'
        assert answer.headers['X-Static-Large-Object'] == 'True'
        assert answer.headers['Content-Type'] == 'application/octet-stream'
        assert answer.headers['X-Manifest-Etag'] == cloud.store.thing('/v1/a/c/slo').etag


@pytest.mark.parametrize('wanted, status, body', [
    ('bytes=0-4', 206, CONTENT[:5]), ('bytes=5-15', 206, CONTENT[5:16]), ('bytes=-5', 206, CONTENT[-5:]),
    ('bytes=12-', 206, CONTENT[12:]), ('bytes=99-', 416, None), ('bytes=x', 200, CONTENT), ('bytes=36-99', 206, b'b'),
])
def test_a_range_takes_just_the_segments_it_needs(cloud, wanted, status, body):
    cloud.put(WHOLE)
    cloud.store.asked.clear()
    answer = cloud.ask('GET', '/v1/a/c/slo', {'Range': wanted})
    assert answer.status == status
    if body is not None:
        assert answer.body == body
    if wanted == 'bytes=0-4':
        assert [path for _, path in cloud.store.asked] == ['/v1/a/c/slo', '/v1/a/segs/a?multipart-manifest=get']
        assert answer.headers['Content-Range'] == 'bytes 0-4/37'
    if status == 416:
        assert answer.headers['Content-Range'] == 'bytes */37'


def test_several_ranges_come_in_parts(cloud):
    cloud.put(WHOLE)
    answer = cloud.ask('GET', '/v1/a/c/slo', {'Range': 'bytes=5-15,20-25'})
    boundary = answer.headers['Content-Type'].removeprefix('multipart/byteranges;boundary=')
    parts = answer.body.split(f'--{boundary}'.encode())
    assert parts[1].endswith(b'Content-Range: bytes 5-15/37\r\n\r\n' + CONTENT[5:16] + b'\r\n')
    assert parts[2].endswith(b'Content-Range: bytes 20-25/37\r\n\r\n' + CONTENT[20:26] + b'\r\n')
    assert answer.headers['Content-Length'] == str(len(answer.body))


@pytest.mark.parametrize('headers, status', [
    ({'If-None-Match': f'"{ETAG}"'}, 304), ({'If-None-Match': 'other'}, 200), ({'If-Match': ETAG}, 200),
    ({'If-Match': 'other'}, 412), ({'Range': 'bytes=0-1', 'If-Range': f'"{ETAG}"'}, 206),
    ({'Range': 'bytes=0-1', 'If-Range': '"other"'}, 200),
])
def test_conditions_are_about_the_whole(cloud, headers, status):
    cloud.put(WHOLE)
    answer = cloud.ask('GET', '/v1/a/c/slo', headers)
    assert answer.status == status
    assert answer.headers['Etag'] == f'"{ETAG}"'


def test_the_manifest_itself_can_be_read(cloud):
    cloud.put(WHOLE)
    answer = cloud.ask('GET', '/v1/a/c/slo?multipart-manifest=get')
    assert answer.headers['Content-Type'] == 'application/json; charset=utf-8'
    assert answer.headers['Etag'] == md5(answer.body)
    assert [each.get('name') for each in json.loads(answer.body)] == ['/segs/a', '/segs/b', None, '/segs/b']


def test_the_raw_manifest_can_be_put_again(cloud):
    cloud.put(WHOLE)
    answer = cloud.ask('GET', '/v1/a/c/slo?multipart-manifest=get&format=raw')
    assert json.loads(answer.body)[1] == {'etag': md5(B), 'path': '/segs/b', 'range': '2-5', 'size_bytes': 20}
    assert answer.headers['Etag'] == md5(answer.body)
    assert cloud.put(answer.body, '/v1/a/c/again').headers['Etag'] == f'"{ETAG}"'


@pytest.mark.parametrize('part, status, body', [
    ('1', 206, A), ('2', 206, B[2:6]), ('3', 206, b'xyz'), ('4', 206, B),
    ('5', 416, b'The requested part number is not satisfiable'),
    ('0', 400, b'Part number must be an integer greater than 0'),
    ('-1', 400, b'Part number must be an integer greater than 0'),
    ('x', 400, b'Part number must be an integer greater than 0'),
    ('9' * 40, 400, b'Part number must be an integer greater than 0'),
])
def test_a_part_is_a_segment(cloud, part, status, body):
    cloud.put(WHOLE)
    answer = cloud.ask('GET', f'/v1/a/c/slo?part-number={part}')
    assert (answer.status, answer.body) == (status, body)
    if status != 400:
        assert answer.headers['X-Parts-Count'] == '4'
    head = cloud.ask('HEAD', f'/v1/a/c/slo?part-number={part}')
    assert head.status == status
    if status == 206:
        assert head.headers['Content-Length'] == str(len(body))


def test_a_part_has_no_range(cloud):
    cloud.put(WHOLE)
    assert cloud.ask('GET', '/v1/a/c/slo?part-number=1', {'Range': 'bytes=1-2'}).status == 400


def test_a_large_object_may_be_a_segment(cloud):
    cloud.put(WHOLE)
    answer = cloud.put([{'path': '/c/slo', 'range': '3-20'}, {'path': '/segs/a'}], '/v1/a/c/upper')
    assert answer.headers['Etag'] == '"' + md5(f'{ETAG}:3-20;{md5(A)}') + '"'
    assert json.loads(cloud.store.thing('/v1/a/c/upper').data)[0]['sub_slo'] is True
    assert cloud.ask('GET', '/v1/a/c/upper').body == CONTENT[3:21] + A
    assert cloud.ask('GET', '/v1/a/c/upper', {'Range': 'bytes=2-19'}).body == (CONTENT[3:21] + A)[2:20]


def test_large_objects_nest_ten_deep(cloud):
    for depth in range(12):
        cloud.put([{'path': f'/c/n{depth - 1}' if depth else '/segs/a'}], f'/v1/a/c/n{depth}')
    assert cloud.ask('GET', '/v1/a/c/n9').body == A
    assert cloud.ask('GET', '/v1/a/c/n10').status == 409


@pytest.mark.parametrize('change', ['content', 'gone', 'size', 'refused'])
def test_a_whole_whose_first_segment_has_changed_is_not_begun(cloud, change):
    cloud.put(WHOLE)
    if change == 'gone':
        cloud.ask('DELETE', '/v1/a/segs/a')
    elif change == 'refused':
        cloud.store.failing['GET', '/v1/a/segs/a'] = 403
    else:
        cloud.ask('PUT', '/v1/a/segs/a', body=b'z' * (10 if change == 'content' else 5))
    assert cloud.ask('GET', '/v1/a/c/slo').status == 409


def test_a_whole_that_changes_later_on_is_broken_off(cloud):
    cloud.put(WHOLE)
    cloud.ask('DELETE', '/v1/a/segs/b')
    with pytest.raises(SegmentError):
        cloud.ask('GET', '/v1/a/c/slo')


class Together:
    """In front of the store: answers for segments only once so many others are asked for at the same time."""

    def __init__(self, store, number):
        self.store, self.number, self.asked = store, number, 0

    def __call__(self, environ, start_response):
        if not environ['PATH_INFO'].startswith('/v1/a/segs/'):
            return self.store(environ, start_response)
        self.asked += 1
        if self.asked > 1:      # the first one goes alone
            wait.until(lambda: self.asked > self.number, 5, 'others are asked for')
        return self.store(environ, start_response)


def test_short_segments_are_fetched_while_others_are_sent():
    cloud = Cloud(rate_limit_segments_per_sec='0')
    cloud.put([{'path': '/segs/a'}, {'path': '/segs/b', 'range': '3-7'}] * 20)
    app = StaticLargeObjects(Together(cloud.store, 4), options({'rate_limit_segments_per_sec': '0'}, OPTIONS))
    assert cloud.store.ask('GET', '/v1/a/c/slo', app=app).body == (A + B[3:8]) * 20
    app.app = Together(cloud.store, 4)
    assert cloud.store.ask('GET', '/v1/a/c/slo', {'Range': 'bytes=12-211'}, app=app).body == \
        ((A + B[3:8]) * 20)[12:212]


@pytest.mark.parametrize('size, most', [(10, MOST_AHEAD + 2), (AHEAD // 4, 4 + 2), (AHEAD + 1, 1)])
def test_no_more_than_so_much_is_fetched_before_its_turn(size, most):
    cloud = Cloud(rate_limit_segments_per_sec='0')
    for number in range(20):
        cloud.ask('PUT', f'/v1/a/segs/{number}', body=b'x' * size)
    cloud.put([{'path': f'/segs/{number}'} for number in range(20)])
    cloud.store.asked.clear()
    response = Request.blank('/v1/a/c/slo').respond(cloud.app)
    pieces = iter(response.app_iter)
    assert next(pieces) == b'x' * size
    asked = [path for method, path in cloud.store.asked if '/segs/' in path]
    assert len(asked) <= most
    response.close()
    with pytest.raises(StopIteration):
        next(pieces)
    assert len([path for method, path in cloud.store.asked if '/segs/' in path]) <= most


def test_segments_are_read_with_the_client_s_rights(cloud):
    cloud.put(WHOLE)
    refuse = lambda request: Response(403) if '/segs/' in request.path else None    # noqa: E731
    assert cloud.ask('GET', '/v1/a/c/slo', **{'swift.authorize': refuse}).status == 409
    assert cloud.put([{'path': '/segs/a'}], **{'swift.authorize': refuse}).body == \
        b'Errors:\n/segs/a, 403 Forbidden\n'


def test_a_manifest_of_old_has_no_sums_of_its_own(cloud):
    cloud.put(WHOLE)
    kept = cloud.store.thing('/v1/a/c/slo')
    for name in [name for name in kept.headers if 'Sysmeta' in name]:
        del kept.headers[name]
    assert cloud.ask('HEAD', '/v1/a/c/slo').headers['Etag'] == f'"{ETAG}"'
    assert cloud.ask('GET', '/v1/a/c/slo').body == CONTENT
    assert cloud.ask('GET', '/v1/a/c/slo', {'If-None-Match': ETAG}).status == 304


def test_an_ordinary_object_goes_through(cloud):
    cloud.store.asked.clear()
    answer = cloud.ask('GET', '/v1/a/segs/a', {'Range': 'bytes=0-2'})
    assert (answer.status, answer.body) == (206, b'aaa')
    assert len(cloud.store.asked) == 1
    assert cloud.ask('GET', '/v1/a/segs/a?part-number=1').body == A


def test_a_listing_tells_the_etag_of_the_whole(cloud):
    cloud.put(WHOLE)
    entry, = json.loads(cloud.ask('GET', '/v1/a/c?format=json').body)
    assert entry['slo_etag'] == f'"{ETAG}"'
    assert (entry['hash'], entry['bytes']) == (cloud.store.thing('/v1/a/c/slo').etag, 37)


def test_deleting_takes_the_segments_along(cloud):
    cloud.put(WHOLE)
    cloud.put([{'path': '/c/slo'}], '/v1/a/c/upper')
    answer = cloud.ask('DELETE', '/v1/a/c/upper?multipart-manifest=delete', {'Accept': 'application/json'})
    assert answer.status == 200
    assert json.loads(answer.body) == {'Response Status': '200 OK', 'Response Body': '', 'Number Deleted': 4,
                                       'Number Not Found': 0, 'Errors': []}
    assert not cloud.store.accounts['a']['c'].objects
    assert not cloud.store.accounts['a']['segs'].objects


def test_what_is_no_manifest_is_not_deleted_as_one(cloud):
    answer = cloud.ask('DELETE', '/v1/a/segs/a?multipart-manifest=delete')
    assert answer.body == (b'Number Deleted: 0\nNumber Not Found: 0\nResponse Body: \nResponse Status: '
                           b'400 Bad Request\nErrors:\n/segs/a, Not an SLO manifest\n')
    assert cloud.ask('DELETE', '/v1/a/segs/none?multipart-manifest=delete').body.startswith(
        b'Number Deleted: 0\nNumber Not Found: 1\n')
    assert cloud.ask('HEAD', '/v1/a/segs/a').status == 200


def test_segments_may_be_left_to_the_expirer(cloud):
    cloud.put([{'path': '/segs/a'}, {'path': '/segs/b'}])
    assert cloud.ask('DELETE', '/v1/a/c/slo?multipart-manifest=delete&async=on').status == 204
    assert not cloud.store.accounts['a']['c'].objects
    posts = [environ for environ in cloud.store.requests if environ['REQUEST_METHOD'] == 'POST']
    assert sorted(each['PATH_INFO'] for each in posts) == ['/v1/a/segs/a', '/v1/a/segs/b']
    assert {each['HTTP_X_DELETE_AFTER'] for each in posts} == {'1'}


def test_not_every_manifest_can_be_left_to_the_expirer(cloud):
    query = '?multipart-manifest=delete&async=on'
    assert cloud.ask('DELETE', '/v1/a/segs/a' + query).body == b'Not an SLO manifest'
    cloud.put(WHOLE)
    cloud.put([{'path': '/c/slo'}], '/v1/a/c/upper')
    assert cloud.ask('DELETE', '/v1/a/c/upper' + query).body == b'No segments may be large objects.'
    cloud.ask('PUT', '/v1/a/c/o', body=A)
    cloud.put([{'path': '/c/o'}, {'path': '/segs/a'}], '/v1/a/c/two')
    answer = cloud.ask('DELETE', '/v1/a/c/two' + query)
    assert (answer.status, answer.body) == \
        (400, b'All segments must be in one container. Found segments in "c", "segs"')


def test_a_stored_manifest_that_is_none_is_an_error_of_the_server(cloud):
    cloud.ask('PUT', '/v1/a/c/o', body=b'[{"name": 1}]')
    cloud.store.thing('/v1/a/c/o').headers['X-Static-Large-Object'] = 'True'
    assert cloud.ask('GET', '/v1/a/c/o').status == 500


def test_many_small_segments_are_slowed_down():
    def seconds(**conf):
        cloud = Cloud(**{'rate_limit_after_segment': '2', 'rate_limit_segments_per_sec': '20', **conf})
        cloud.put([{'path': '/segs/a'}] * 6)
        before = time.monotonic()
        assert cloud.ask('GET', '/v1/a/c/slo').body == A * 6
        return time.monotonic() - before
    # two go at once, and the other four a twentieth of a second apart
    assert seconds() > 0.14
    assert seconds(rate_limit_under_size='5', rate_limit_segments_per_sec='0.1') < 30


def test_an_answer_takes_no_longer_than_it_may():
    cloud = Cloud(max_get_time='0')
    cloud.put(WHOLE)
    assert cloud.ask('GET', '/v1/a/c/slo').status == 409

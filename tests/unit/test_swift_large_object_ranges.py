"""Whatever segments, ranges of them and large objects within a large object there are: a range of it is that slice."""

import base64
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swift.conf import options
from swift.middleware.dlo import OPTIONS as DLO_OPTIONS
from swift.middleware.dlo import DynamicLargeObjects
from swift.middleware.slo import OPTIONS, StaticLargeObjects
from tests.swift_store import Store

DATA = [bytes([number]) * 3 + b'%d' % number * 9 for number in range(4)]
PUT = '?multipart-manifest=put'

inline = st.binary(min_size=1, max_size=6).map(lambda data: (data, {'data': base64.b64encode(data).decode()}))


@st.composite
def backed(draw, objects):
    """(bytes, entry) of an object, or a part of it."""
    name, data = draw(st.sampled_from(objects))
    if not draw(st.booleans()):
        return data, {'path': f'/c/{name}', 'size_bytes': len(data)}
    first = draw(st.integers(0, len(data) - 1))
    last = draw(st.integers(first, len(data) + 3))
    return data[first:last + 1], {'path': f'/c/{name}', 'range': f'{first}-{last}'}


def manifests(objects):
    return st.tuples(backed(objects), st.lists(st.one_of(inline, backed(objects)), max_size=5)) \
        .map(lambda drawn: [drawn[0], *drawn[1]])


ranges = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted), min_size=1, max_size=3)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_range_of_a_large_object_is_a_slice_of_it(data):
    store = Store()
    app = StaticLargeObjects(store, options({'rate_limit_segments_per_sec': '0'}, OPTIONS))
    store.ask('PUT', '/v1/a/c')
    objects = [(str(number), content) for number, content in enumerate(DATA)]
    for name, content in objects:
        store.ask('PUT', f'/v1/a/c/{name}', {}, content)
    for level in range(3):
        drawn = data.draw(manifests(objects))
        whole = b''.join(content for content, _ in drawn)
        answer = store.ask('PUT', f'/v1/a/c/slo{level}{PUT}', {}, json.dumps([each for _, each in drawn]).encode(),
                           app=app)
        assert answer.status == 201, answer.body
        objects.append((f'slo{level}', whole))
        check(store, app, f'/v1/a/c/slo{level}', whole, data.draw(ranges))


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.lists(st.binary(max_size=9), min_size=1, max_size=6), ranges)
def test_a_range_of_a_prefix_is_a_slice_of_it(parts, wanted):
    store = Store()
    app = DynamicLargeObjects(store, options({'swift_dir': '/nonexistent', 'rate_limit_segments_per_sec': '0'},
                                             DLO_OPTIONS))
    store.ask('PUT', '/v1/a/c')
    for number, part in enumerate(parts):
        store.ask('PUT', f'/v1/a/c/p{number}', {}, part)
    store.ask('PUT', '/v1/a/c/m', {'X-Object-Manifest': 'c/p'}, b'', app=app)
    check(store, app, '/v1/a/c/m', b''.join(parts), wanted[:1])


def check(store, app, path, whole, wanted):
    assert store.ask('GET', path, app=app).body == whole
    assert store.ask('HEAD', path, app=app).headers['Content-Length'] == str(len(whole))
    header = 'bytes=' + ','.join(f'{first}-{last}' for first, last in wanted)
    answer = store.ask('GET', path, {'Range': header}, app=app)
    slices = [whole[first:last + 1] for first, last in wanted if first < len(whole)]
    if not slices:
        assert answer.status == 416
    elif len(slices) == 1:
        assert (answer.status, answer.body) == (206, slices[0])
        first, last = next(each for each in wanted if each[0] < len(whole))
        assert answer.headers['Content-Range'] == f'bytes {first}-{min(last, len(whole) - 1)}/{len(whole)}'
    else:
        boundary = answer.headers['Content-Type'].partition('boundary=')[2].encode()
        parts = [part.partition(b'\r\n\r\n')[2][:-2] for part in answer.body.split(b'--' + boundary)[1:-1]]
        assert (answer.status, parts) == (206, slices)
        assert answer.headers['Content-Length'] == str(len(answer.body))

"""Copies within the store: COPY, and PUT with X-Copy-From."""

import pytest

from swift.conf import options
from swift.http import Response
from swift.middleware.copy import OPTIONS, Copy
from swift.middleware.transfer import Input
from tests.swift_store import Store

SOURCE = '/v1/a/c/o%20%C3%BC'


@pytest.fixture
def store():
    store = Store()
    for name in ('c', 'd'):
        store.ask('PUT', f'/v1/a/{name}')
    store.ask('PUT', '/v1/b/other')
    store.ask('PUT', SOURCE, {'Content-Type': 'text/x', 'X-Object-Meta-A': 'a', 'X-Object-Meta-B': 'b',
                              'Content-Encoding': 'gzip', 'X-Object-Sysmeta-Own': 'x'}, b'0123456789')
    return store


@pytest.fixture
def ask(store):
    app = Copy(store, options({'swift_dir': '/nonexistent'}, OPTIONS))
    return lambda *args, **more: store.ask(*args, app=app, **more)


def test_a_copy_has_content_type_and_metadata_of_its_source(ask, store):
    answer = ask('COPY', SOURCE, {'Destination': 'd/new', 'X-Object-Meta-B': 'mine'})
    assert answer.status == 201
    assert answer.headers['X-Copied-From'] == 'c/o%20%C3%BC'
    assert answer.headers['X-Copied-From-Account'] == 'a'
    assert 'X-Copied-From-Last-Modified' in answer.headers
    assert answer.headers['X-Object-Meta-A'] == 'a'
    copied = store.thing('/v1/a/d/new')
    assert (copied.data, copied.kind) == (b'0123456789', 'text/x')
    assert copied.headers['X-Object-Meta-A'] == 'a'
    assert copied.headers['X-Object-Meta-B'] == 'mine'
    assert copied.headers['Content-Encoding'] == 'gzip'
    assert copied.headers['X-Object-Sysmeta-Own'] == 'x'


def test_a_put_may_say_where_to_copy_from(ask, store):
    answer = ask('PUT', '/v1/b/other/new', {'X-Copy-From': '/c/o%20%C3%BC', 'X-Copy-From-Account': 'a'})
    assert answer.status == 201
    assert store.thing('/v1/b/other/new').data == b'0123456789'


def test_a_copy_may_go_to_another_account(ask, store):
    assert ask('COPY', SOURCE, {'Destination': '/other/n%C3%BC', 'Destination-Account': 'b'}).status == 201
    assert store.thing('/v1/b/other/nü').data == b'0123456789'


def test_fresh_metadata_leaves_the_source_s_behind(ask, store):
    ask('COPY', SOURCE, {'Destination': 'd/new', 'X-Fresh-Metadata': 'true', 'X-Object-Meta-C': 'c'})
    copied = store.thing('/v1/a/d/new')
    assert copied.kind == 'text/x'
    assert [key for key in copied.headers if key.startswith('X-Object-Meta')] == ['X-Object-Meta-C']
    assert 'Content-Encoding' not in copied.headers


def test_the_type_may_be_another(ask, store):
    ask('COPY', SOURCE, {'Destination': 'd/new', 'Content-Type': 'q/r'})
    assert store.thing('/v1/a/d/new').kind == 'q/r'


def test_a_range_copies_that_part(ask, store):
    assert ask('COPY', SOURCE, {'Destination': 'd/new', 'Range': 'bytes=2-4'}).status == 201
    assert store.thing('/v1/a/d/new').data == b'234'


def test_an_object_can_be_copied_onto_itself(ask, store):
    assert ask('COPY', SOURCE, {'Destination': 'c/o%20%C3%BC', 'X-Object-Meta-New': '1'}).status == 201
    assert store.thing('/v1/a/c/o ü').headers['X-Object-Meta-New'] == '1'


@pytest.mark.parametrize('headers, status', [
    ({'If-Match': 'other'}, 412),
    ({'If-None-Match': '*'}, 304),
    ({'If-Unmodified-Since': 'Sat, 01 Jan 2000 00:00:00 GMT'}, 412),
    ({'Range': 'bytes=99-'}, 416),
])
def test_conditions_are_about_the_source(ask, store, headers, status):
    assert ask('COPY', SOURCE, {'Destination': 'd/new', **headers}).status == status
    assert 'new' not in store.accounts['a']['d'].objects


@pytest.mark.parametrize('headers, body', [
    ({}, b'Destination header required'),
    ({'Destination': 'd'}, b'Destination header must be of the form <container name>/<object name>'),
    ({'Destination': '/'}, b'Destination header must be of the form <container name>/<object name>'),
    ({'Destination': 'd/'}, b'Destination header must be of the form <container name>/<object name>'),
    ({'Destination': 'd/%ff'}, b'Invalid UTF8 or contains NULL'),
    ({'Destination': 'd/%00'}, b'Invalid UTF8 or contains NULL'),
    ({'Destination': 'd/x', 'Destination-Account': 'a/b'}, b'Account name cannot contain slashes'),
])
def test_a_destination_that_is_none_is_refused(ask, headers, body):
    answer = ask('COPY', SOURCE, headers)
    assert (answer.status, answer.body) == (412, body)


@pytest.mark.parametrize('headers, status', [
    ({'X-Copy-From': 'c'}, 412),
    ({'X-Copy-From': 'c/none'}, 404),
    ({'X-Copy-From': 'none/none'}, 404),
    ({'X-Copy-From': 'c/%00'}, 412),
    ({'X-Copy-From': 'c/\xff'}, 412),
    ({'X-Copy-From': 'c/o', 'X-Copy-From-Account': 'a/b'}, 412),
])
def test_a_source_that_is_none_is_refused(ask, headers, status):
    assert ask('PUT', '/v1/a/d/new', headers).status == status


def test_a_copy_brings_no_body_of_its_own(ask):
    answer = ask('PUT', '/v1/a/d/new', {'X-Copy-From': 'c/o'}, b'body')
    assert (answer.status, answer.body) == (400, b'Copy requests require a zero byte body')


def test_reading_and_writing_need_the_client_s_rights(ask, store):
    def refuse(method):
        return lambda request: Response(403) if request.method == method else None
    for method in ('GET', 'PUT'):
        answer = ask('COPY', SOURCE, {'Destination': 'd/new'}, **{'swift.authorize': refuse(method)})
        assert answer.status == 403
    assert 'new' not in store.accounts['a']['d'].objects


def test_copies_are_named_among_the_methods(store):
    class Proxy:
        def __call__(self, environ, start_response):
            return Response(200, b'', {'Allow': 'GET, PUT'})(environ, start_response)
    app = Copy(Proxy(), options({'swift_dir': '/nonexistent'}, OPTIONS))
    assert store.ask('OPTIONS', '/v1/a/c/o', app=app).headers['Allow'] == 'GET, PUT, COPY'


def test_containers_are_not_copied(ask, store):
    store.asked.clear()
    ask('COPY', '/v1/a/c', {'Destination': 'd/x'})
    assert store.asked == [('COPY', '/v1/a/c')]


def test_a_body_of_many_pieces_is_read_as_one():
    pieces = Input([b'ab', b'', b'c', b'def\ngh', b'i'])
    assert [pieces.read(3), pieces.read(2), pieces.readline(), pieces.read(5), pieces.read(1)] == \
        [b'abc', b'de', b'f\n', b'ghi', b'']
    assert Input([b'a\nb', b'c\n', b'd']).read(-1) == b'a\nbc\nd'
    assert list(Input([b'a\nb', b'c\n', b'd'])) == [b'a\n', b'bc\n', b'd']

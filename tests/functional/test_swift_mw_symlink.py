"""Symbolic links, dynamic and static."""

import hashlib
import json

import pytest

from swift.conf import options
from swift.http import Response
from swift.middleware.copy import OPTIONS as COPY_OPTIONS
from swift.middleware.copy import Copy
from swift.middleware.symlink import OPTIONS, Symlink
from tests.swift_store import Store

DATA = b'0123456789'
TAG = hashlib.md5(DATA).hexdigest()


class Cloud:
    """Links in front of a store, and copies in front of links."""

    def __init__(self):
        self.store = Store()
        self.app = Copy(Symlink(self.store, options({}, OPTIONS)),
                        options({'swift_dir': '/nonexistent'}, COPY_OPTIONS))
        for name in ('a/c', 'a/t', 'b/t'):
            self.ask('PUT', f'/v1/{name}')
        self.ask('PUT', '/v1/a/t/o', {'Content-Type': 't/x', 'X-Object-Meta-A': '1'}, DATA)

    def ask(self, *args, **more):
        return self.store.ask(*args, app=self.app, **more)

    def link(self, name='l', target='t/o', **headers):
        return self.ask('PUT', f'/v1/a/c/{name}', {'X-Symlink-Target': target,
                                                   **{k.replace('_', '-'): v for k, v in headers.items()}})


@pytest.fixture
def cloud():
    return Cloud()


def test_a_link_is_kept_as_published(cloud):
    assert cloud.link().status == 201
    kept = cloud.store.thing('/v1/a/c/l')
    assert (kept.data, kept.kind) == (b'', 'application/symlink')
    assert kept.headers == {
        'X-Object-Sysmeta-Symlink-Target': 't/o',
        'X-Object-Sysmeta-Container-Update-Override-Etag': 'd41d8cd98f00b204e9800998ecf8427e; symlink_target=t/o'}


@pytest.mark.parametrize('method, body', [('GET', DATA), ('HEAD', b'')])
def test_a_link_shows_its_target(cloud, method, body):
    cloud.link()
    answer = cloud.ask(method, '/v1/a/c/l')
    assert (answer.status, answer.body, answer.headers['Etag']) == (200, body, TAG)
    assert answer.headers['X-Object-Meta-A'] == '1'
    assert answer.headers['Content-Location'] == '/v1/a/t/o'
    assert 'X-Symlink-Target' not in answer.headers


@pytest.mark.parametrize('headers, status', [
    ({'Range': 'bytes=1-2'}, 206), ({'If-None-Match': TAG}, 304), ({'If-Match': TAG}, 200), ({'If-Match': 'x'}, 412),
    ({'If-None-Match': 'd41d8cd98f00b204e9800998ecf8427e'}, 200),
])
def test_conditions_and_ranges_are_of_the_target(cloud, headers, status):
    cloud.link()
    assert cloud.ask('GET', '/v1/a/c/l', headers).status == status


def test_the_link_itself_can_be_shown(cloud):
    cloud.link(X_Symlink_Target_Account='b')
    answer = cloud.ask('HEAD', '/v1/a/c/l?symlink=get')
    assert (answer.headers['X-Symlink-Target'], answer.headers['X-Symlink-Target-Account']) == ('t/o', 'b')
    assert answer.headers['Content-Length'] == '0'


@pytest.mark.parametrize('target', ['t', '/t/o', 't/', '', 't/%ff', 't/%00'])
def test_a_target_is_a_container_and_an_object(cloud, target):
    assert cloud.link(target=target).status == 412


@pytest.mark.parametrize('headers, body, status', [
    ({'X-Symlink-Target': 'c/l'}, None, 400),
    ({'X-Symlink-Target': 't/o'}, b'body', 400),
    ({'X-Symlink-Target': 't/o', 'X-Symlink-Target-Account': 'a/b'}, None, 412),
    ({'X-Symlink-Target': 't/o', 'X-Symlink-Target-Etag': '"a;b"'}, None, 400),
    ({'X-Symlink-Target': 't/o', 'X-Symlink-Target-Etag': 'bad'}, None, 409),
    ({'X-Symlink-Target': 't/none', 'X-Symlink-Target-Etag': 'bad'}, None, 409),
])
def test_a_link_that_cannot_be_is_refused(cloud, headers, body, status):
    assert cloud.ask('PUT', '/v1/a/c/l', headers, body).status == status
    assert not cloud.store.accounts['a']['c'].objects


def test_a_static_link_stands_for_one_content(cloud):
    assert cloud.link(X_Symlink_Target_Etag=f'"{TAG}"').status == 201
    kept = cloud.store.thing('/v1/a/c/l')
    assert kept.kind == 't/x'
    assert kept.headers['X-Object-Sysmeta-Container-Update-Override-Etag'] == (
        f'd41d8cd98f00b204e9800998ecf8427e; symlink_target=t/o; symlink_target_etag={TAG}; symlink_target_bytes=10')
    assert cloud.ask('GET', '/v1/a/c/l').body == DATA
    assert cloud.ask('GET', '/v1/a/c/l', {'Range': 'bytes=0-1'}).status == 206
    cloud.ask('PUT', '/v1/a/t/o', body=b'other')
    answer = cloud.ask('GET', '/v1/a/c/l')
    assert (answer.status, answer.headers['Content-Location']) == (409, '/v1/a/t/o')
    assert cloud.ask('GET', '/v1/a/c/l?symlink=get').headers['X-Symlink-Target-Etag'] == TAG


def test_a_listing_tells_where_links_lead(cloud):
    cloud.link('dynamic', X_Symlink_Target_Account='b')
    cloud.link('static', X_Symlink_Target_Etag=TAG)
    dynamic, static = json.loads(cloud.ask('GET', '/v1/a/c?format=json').body)
    assert (dynamic['hash'], dynamic['symlink_path']) == ('d41d8cd98f00b204e9800998ecf8427e', '/v1/b/t/o')
    assert (static['symlink_path'], static['symlink_etag'], static['symlink_bytes']) == ('/v1/a/t/o', TAG, 10)


def test_a_post_is_applied_and_sent_on(cloud):
    cloud.link()
    answer = cloud.ask('POST', '/v1/a/c/l', {'X-Object-Meta-B': '2'})
    assert (answer.status, answer.headers['Location']) == (307, '/v1/a/t/o')
    assert cloud.store.thing('/v1/a/c/l').headers['X-Object-Meta-B'] == '2'
    assert cloud.ask('POST', '/v1/a/c/l', {'X-Symlink-Target': 't/o'}).status == 400
    assert cloud.ask('POST', '/v1/a/t/o', {'X-Object-Meta-B': '2'}).status == 202


def test_links_may_lead_to_links_but_not_for_ever(cloud):
    cloud.link('l1')
    cloud.link('l2', 'c/l1')
    cloud.link('l3', 'c/l2')
    assert cloud.ask('GET', '/v1/a/c/l2').body == DATA
    answer = cloud.ask('GET', '/v1/a/c/l3')
    assert (answer.status, answer.body) == (409, b'Too many levels of symbolic links, maximum allowed is 2')
    cloud.link('x', 'c/y')
    cloud.link('y', 'c/x')
    assert cloud.ask('GET', '/v1/a/c/x').status == 409


def test_what_is_not_there_is_not_found(cloud):
    cloud.link(target='t/none')
    answer = cloud.ask('GET', '/v1/a/c/l')
    assert (answer.status, answer.headers['Content-Location']) == (404, '/v1/a/t/none')


def test_a_target_is_read_with_the_client_s_rights(cloud):
    cloud.ask('PUT', '/v1/b/t/o', body=b'secret')
    cloud.link(X_Symlink_Target_Account='b')
    refuse = lambda request: Response(403) if request.path.startswith('/v1/b/') else None   # noqa: E731
    assert cloud.ask('GET', '/v1/a/c/l', **{'swift.authorize': refuse}).status == 403
    answer = cloud.ask('PUT', '/v1/a/c/s', {'X-Symlink-Target': 't/o', 'X-Symlink-Target-Account': 'b',
                                            'X-Symlink-Target-Etag': 'guess'}, **{'swift.authorize': refuse})
    assert (answer.status, b'guess' in answer.body) == (403, False)


def test_a_link_of_the_system_s_own_does_not_count_and_opens_its_target(cloud):
    cloud.store.ask('PUT', '/v1/a/%00v%00', {'X-Backend-Allow-Reserved-Names': 'true'})
    cloud.store.ask('PUT', '/v1/a/%00v%00/%00o', {'X-Backend-Allow-Reserved-Names': 'true'}, b'hidden')
    cloud.ask('PUT', '/v1/a/c/s', {'X-Object-Sysmeta-Symlink-Target': '%00v%00/%00o',
                                   'X-Object-Sysmeta-Symloop-Extend': 'true',
                                   'X-Object-Sysmeta-Allow-Reserved-Names': 'true'})
    cloud.link('l1', 'c/s')
    cloud.link('l2', 'c/l1')
    refuse = lambda request: Response(403) if '\0' in request.path else None   # noqa: E731
    assert cloud.ask('GET', '/v1/a/c/l2', **{'swift.authorize': refuse}).body == b'hidden'
    cloud.ask('PUT', '/v1/a/c/mine', {'X-Object-Sysmeta-Symlink-Target': '%00v%00/%00o'})
    assert cloud.ask('GET', '/v1/a/c/mine').status == 412


def test_a_copy_is_of_the_target_or_of_the_link(cloud):
    cloud.link(X_Symlink_Target_Etag=TAG)
    assert cloud.ask('COPY', '/v1/a/c/l', {'Destination': 'c/copy'}).status == 201
    assert cloud.store.thing('/v1/a/c/copy').data == DATA
    assert cloud.ask('COPY', '/v1/a/c/l?symlink=get', {'Destination': 'c/copy'}).status == 201
    assert cloud.store.thing('/v1/a/c/copy').headers == cloud.store.thing('/v1/a/c/l').headers


def test_deleting_a_link_leaves_its_target(cloud):
    cloud.link()
    assert cloud.ask('DELETE', '/v1/a/c/l').status == 204
    assert cloud.ask('GET', '/v1/a/t/o').status == 200

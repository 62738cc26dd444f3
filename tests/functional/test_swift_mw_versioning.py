"""Versions of objects, both kinds: stacks and histories of the user's own, and object versioning."""

import json

import pytest

from swift.conf import options
from swift.constraints import Constraints
from swift.http import Response
from swift.middleware.copy import OPTIONS as COPY_OPTIONS
from swift.middleware.copy import Copy
from swift.middleware.listing_formats import ListingFormats
from swift.middleware.slo import OPTIONS as SLO_OPTIONS
from swift.middleware.slo import StaticLargeObjects
from swift.middleware.symlink import OPTIONS as LINK_OPTIONS
from swift.middleware.symlink import Symlink
from swift.middleware.versioned_writes import OPTIONS, VersionedWrites
from tests.swift_store import Store

MARKER = 'application/x-deleted;swift_versions_deleted=1'


class Cloud:
    """The filters about versioning, in their order, in front of a store."""

    def __init__(self, **conf):
        self.store = Store()
        app = Symlink(self.store, options({}, LINK_OPTIONS))
        app = VersionedWrites(app, options({'allow_versioned_writes': 'true', 'allow_object_versioning': 'true',
                                            **conf}, OPTIONS), Constraints())
        app = StaticLargeObjects(app, options({'yield_frequency': '0'}, SLO_OPTIONS))
        app = Copy(app, options({'swift_dir': '/nonexistent'}, COPY_OPTIONS))
        self.app = ListingFormats(app, Constraints())
        self.store.ask('PUT', '/v1/a')

    def ask(self, *args, **more):
        return self.store.ask(*args, app=self.app, **more)

    def put(self, name, body, **headers):
        answer = self.ask('PUT', f'/v1/a/{name}', {key.replace('_', '-'): value for key, value in headers.items()},
                          body)
        assert answer.status == 201, answer.body
        return answer.headers.get('X-Object-Version-Id')

    def get(self, name):
        answer = self.ask('GET', f'/v1/a/{name}')
        return answer.body if answer.status == 200 else answer.status

    def names(self, container):
        return [each['name'] for each in json.loads(self.ask('GET', f'/v1/a/{container}?format=json').body)]

    def versions(self, query='', container='v'):
        answer = self.ask('GET', f'/v1/a/{container}?versions{query}')
        assert answer.status == 200, answer.body
        return [(each['name'], each['version_id'], each['is_latest'], each['bytes'])
                if 'name' in each else each['subdir'] for each in json.loads(answer.body)]


@pytest.fixture
def cloud():
    cloud = Cloud()
    cloud.ask('PUT', '/v1/a/v', {'X-Versions-Enabled': 'true'})
    return cloud


# object versioning


def test_a_container_says_that_it_is_versioned(cloud):
    assert cloud.ask('HEAD', '/v1/a/v').headers['X-Versions-Enabled'] == 'True'
    headers = cloud.store.accounts['a']['v'].headers
    assert headers == {'X-Container-Sysmeta-Versions-Enabled': 'True',
                       'X-Container-Sysmeta-Versions-Container': '%00versions%00v'}
    assert '\0versions\0v' in cloud.store.accounts['a']
    cloud.ask('POST', '/v1/a/v', {'X-Versions-Enabled': 'false'})
    assert cloud.ask('HEAD', '/v1/a/v').headers['X-Versions-Enabled'] == 'False'


def test_every_put_makes_a_version(cloud):
    first = cloud.put('v/o', b'one', Content_Type='t/x', X_Object_Meta_A='1')
    second = cloud.put('v/o', b'two!')
    assert first < second
    answer = cloud.ask('GET', '/v1/a/v/o')
    assert (answer.body, answer.headers['X-Object-Version-Id']) == (b'two!', second)
    assert answer.headers['Content-Location'] == f'/v1/a/v/o?version-id={second}'
    old = cloud.ask('GET', f'/v1/a/v/o?version-id={first}')
    assert (old.body, old.headers['Content-Type'], old.headers['X-Object-Meta-A']) == (b'one', 't/x', '1')
    assert old.headers['X-Object-Version-Id'] == first
    assert cloud.versions() == [('o', second, True, 4), ('o', first, False, 3)]


def test_a_link_is_kept_as_published(cloud):
    version = cloud.put('v/o', b'one', Content_Type='t/x')
    kept = cloud.store.thing('/v1/a/v/o')
    seconds, ticks = divmod(10 ** 15 - 1 - int(version.replace('.', '')), 100000)
    inverted = f'{seconds:010d}.{ticks:05d}'
    target = f'%00versions%00v/%00o%00{inverted}'
    assert kept.timestamp.internal == version + '_0000000000000001'
    tag = 'f97c5d29941bfb1b2fdab0874906ab82'
    assert kept.kind == 't/x'
    assert kept.headers == {
        'X-Object-Sysmeta-Symlink-Target': target, 'X-Object-Sysmeta-Symlink-Target-Etag': tag,
        'X-Object-Sysmeta-Symlink-Target-Bytes': '3', 'X-Object-Sysmeta-Versions-Symlink': 'true',
        'X-Object-Sysmeta-Symloop-Extend': 'true', 'X-Object-Sysmeta-Allow-Reserved-Names': 'true',
        'X-Object-Sysmeta-Container-Update-Override-Etag':
            f'd41d8cd98f00b204e9800998ecf8427e; symlink_target={target}; symlink_target_etag={tag}; '
            'symlink_target_bytes=3'}


def test_a_listing_shows_what_links_stand_for(cloud):
    version = cloud.put('v/o', b'one')
    entry, = json.loads(cloud.ask('GET', '/v1/a/v?format=json').body)
    assert (entry['bytes'], entry['hash']) == (3, 'f97c5d29941bfb1b2fdab0874906ab82')
    assert (entry['symlink_path'], entry['version_symlink']) == (f'/v1/a/v/o?version-id={version}', True)
    assert cloud.ask('HEAD', '/v1/a/v').headers['X-Container-Bytes-Used'] == '3'


def test_a_delete_leaves_a_marker(cloud):
    first = cloud.put('v/o', b'one')
    answer = cloud.ask('DELETE', '/v1/a/v/o')
    marker = answer.headers['X-Object-Version-Id']
    assert answer.status == 204
    assert cloud.get('v/o') == 404
    assert cloud.ask('HEAD', '/v1/a/v/o').headers['X-Object-Version-Id'] == 'null'
    assert cloud.versions() == [('o', marker, True, 0), ('o', first, False, 3)]
    shown = cloud.ask('GET', f'/v1/a/v/o?version-id={marker}')
    assert (shown.status, shown.headers['Content-Type']) == (404, MARKER)
    assert cloud.ask('DELETE', '/v1/a/v/none').status == 404


def test_a_version_can_be_made_current_again(cloud):
    first, second = cloud.put('v/o', b'one', Content_Type='t/x'), cloud.put('v/o', b'two!')
    answer = cloud.ask('PUT', f'/v1/a/v/o?version-id={first}')
    assert (answer.status, answer.headers['X-Object-Version-Id']) == (201, first)
    assert cloud.get('v/o') == b'one'
    assert cloud.versions() == [('o', second, False, 4), ('o', first, True, 3)]


def test_a_version_can_be_deleted_for_good(cloud):
    first, second = cloud.put('v/o', b'one'), cloud.put('v/o', b'two!')
    answer = cloud.ask('DELETE', f'/v1/a/v/o?version-id={first}')
    assert (answer.status, answer.headers['X-Object-Current-Version-Id']) == (204, second)
    assert cloud.get(f'v/o?version-id={first}') == 404
    answer = cloud.ask('DELETE', f'/v1/a/v/o?version-id={second}')
    assert (answer.headers['X-Object-Version-Id'], answer.headers['X-Object-Current-Version-Id']) == (second, 'null')
    assert cloud.get('v/o') == 404
    assert cloud.versions() == []
    assert cloud.ask('DELETE', f'/v1/a/v/o?version-id={second}').status == 404


@pytest.mark.parametrize('method, query, status', [
    ('GET', 'junk', 400), ('GET', '1700000000.00000', 404), ('GET', 'null', 404), ('GET', 'inf', 400),
    ('GET', '1e400', 400), ('GET', '9' * 500, 400), ('GET', '-1', 400), ('GET', '1700000000_zz', 400),
    ('PUT', 'null', 400), ('PUT', 'junk', 400), ('PUT', '1700000000.00000', 404), ('DELETE', 'junk', 400),
    ('DELETE', 'null', 404), ('POST', '1700000000.00000', 400),
])
def test_ids_that_are_none_are_refused(cloud, method, query, status):
    cloud.put('v/o', b'one')
    assert cloud.ask(method, f'/v1/a/v/o?version-id={query}').status == status
    assert cloud.get('v/o') == b'one'


def test_restoring_brings_no_body(cloud):
    version = cloud.put('v/o', b'one')
    assert cloud.ask('PUT', f'/v1/a/v/o?version-id={version}', {}, b'x').status == 400


def test_a_container_without_versions_has_no_ids(cloud):
    cloud.ask('PUT', '/v1/a/n')
    cloud.put('n/o', b'x')
    answer = cloud.ask('GET', '/v1/a/n/o?version-id=1700000000.00000')
    assert (answer.status, answer.body) == (400, b'version-aware operations require that the container is versioned')
    assert cloud.get('n/o?version-id=null') == b'x'
    assert cloud.versions(container='n') == [('o', 'null', True, 1)]
    assert cloud.ask('DELETE', '/v1/a/n/o?version-id=null').status == 204


def test_what_was_there_before_becomes_a_version():
    cloud = Cloud()
    cloud.ask('PUT', '/v1/a/v')
    cloud.put('v/o', b'null', X_Object_Meta_A='1')
    cloud.put('v/p', b'plain')
    cloud.ask('POST', '/v1/a/v', {'X-Versions-Enabled': 'true'})
    assert cloud.versions() == [('o', 'null', True, 4), ('p', 'null', True, 5)]
    assert cloud.get('v/p?version-id=null') == b'plain'
    second = cloud.put('v/o', b'two')
    (_, latest, _, _), (_, old, is_latest, size), _ = cloud.versions()
    assert (latest, is_latest, size) == (second, False, 4)
    kept = cloud.ask('GET', f'/v1/a/v/o?version-id={old}')
    assert (kept.body, kept.headers['X-Object-Meta-A']) == (b'null', '1')
    cloud.ask('DELETE', '/v1/a/v/p')
    assert [each[3] for each in cloud.versions('&prefix=p')] == [0, 5]


def test_suspended_versioning_keeps_the_versions_there_are(cloud):
    version = cloud.put('v/o', b'one')
    cloud.ask('POST', '/v1/a/v', {'X-Versions-Enabled': 'false'})
    assert cloud.put('v/o', b'null') is None
    assert cloud.versions() == [('o', 'null', True, 4), ('o', version, False, 3)]
    cloud.ask('DELETE', '/v1/a/v/o')
    assert cloud.versions() == [('o', version, False, 3)]
    assert cloud.ask('PUT', f'/v1/a/v/o?version-id={version}').status == 201
    assert cloud.get('v/o') == b'one'


def test_a_container_goes_when_its_versions_are_gone(cloud):
    version = cloud.put('v/o', b'one')
    marker = cloud.ask('DELETE', '/v1/a/v/o').headers['X-Object-Version-Id']
    answer = cloud.ask('DELETE', '/v1/a/v')
    assert (answer.status, answer.body) == (409, b'Delete all versions before deleting container.')
    for each in (version, marker):
        cloud.ask('DELETE', f'/v1/a/v/o?version-id={each}')
    assert cloud.ask('DELETE', '/v1/a/v').status == 204
    assert not cloud.store.accounts['a']


def test_versions_are_listed_in_pages(cloud):
    ids = {name: [cloud.put(f'v/{name}', b'x' * size) for size in (1, 2, 3)] for name in ('a', 'b', 'c/d')}
    whole = [(name, each) for name in ('a', 'b', 'c/d') for each in reversed(ids[name])]
    pairs = lambda query='': [each[:2] for each in cloud.versions(query)]   # noqa: E731
    assert pairs() == whole
    assert pairs('&reverse=true') == whole[::-1]
    assert pairs('&limit=2') == whole[:2]
    assert pairs('&marker=a') == whole[3:]
    assert pairs(f'&marker=a&version_marker={ids["a"][1]}') == whole[2:]
    assert pairs(f'&marker=a&version_marker={ids["a"][1]}&limit=2') == whole[2:4]
    assert pairs(f'&reverse=on&marker=b&version_marker={ids["b"][1]}') == whole[:4][::-1]
    assert pairs('&end_marker=b') == whole[:3]
    assert pairs('&reverse=on&end_marker=b') == whole[6:][::-1]
    assert pairs('&prefix=c') == whole[6:]
    assert cloud.versions('&delimiter=/')[-1] == 'c/'
    assert pairs('&delimiter=.') == whole
    latest = [each for each in cloud.versions(f'&marker=a&version_marker={ids["a"][2]}') if each[2]]
    assert [each[0] for each in latest] == ['b', 'c/d']
    for query, status in (('&version_marker=1', 400), ('&marker=a&version_marker=junk', 400), ('&limit=x', 412)):
        assert cloud.ask('GET', f'/v1/a/v?versions{query}').status == status


def test_a_put_that_fails_changes_nothing(cloud):
    cloud.put('v/o', b'one')
    assert cloud.ask('PUT', '/v1/a/v/o', {'Etag': 'bad'}, b'two').status == 422
    assert cloud.ask('PUT', '/v1/a/v/o', {'If-None-Match': '*'}, b'two').status == 412
    assert (cloud.get('v/o'), len(cloud.versions())) == (b'one', 1)
    cloud.store.failing['PUT', '/v1/a/v/o'] = 503
    assert cloud.ask('PUT', '/v1/a/v/o', {}, b'two').status == 503
    # the link may have come to some servers, and must not lead nowhere: the version stays
    assert (cloud.get('v/o'), len(cloud.versions())) == (b'one', 2)


def test_metadata_are_of_the_version_that_is_current(cloud):
    version = cloud.put('v/o', b'one')
    assert cloud.ask('POST', '/v1/a/v/o', {'X-Object-Meta-A': '1', 'Content-Type': 'q/r'}).status == 202
    for path in ('/v1/a/v/o', f'/v1/a/v/o?version-id={version}'):
        shown = cloud.ask('HEAD', path)
        assert (shown.headers['X-Object-Meta-A'], shown.headers['Content-Type']) == ('1', 'q/r')


def test_what_expires_is_the_link(cloud):
    version = cloud.put('v/o', b'one', X_Delete_After='1000')
    assert 'X-Delete-At' in cloud.store.thing('/v1/a/v/o').headers
    assert 'X-Delete-At' not in cloud.ask('HEAD', f'/v1/a/v/o?version-id={version}').headers
    assert cloud.ask('PUT', '/v1/a/v/o', {'X-Delete-At': 'x'}, b'x').status == 400


def test_versions_are_told_in_json_alone(cloud):
    cloud.put('v/o', b'one')
    assert cloud.ask('GET', '/v1/a/v?versions&format=xml').status == 406
    assert cloud.ask('GET', '/v1/a/v?versions', {'Accept': 'text/plain'}).headers['Content-Type'] == \
        'application/json; charset=utf-8'


def test_a_version_can_be_copied(cloud):
    first = cloud.put('v/o', b'one', Content_Type='t/x')
    cloud.put('v/o', b'two')
    answer = cloud.ask('COPY', f'/v1/a/v/o?version-id={first}', {'Destination': 'v/c'})
    assert (answer.status, answer.headers['X-Copied-From-Version-Id']) == (201, first)
    assert cloud.get('v/c') == b'one'
    assert cloud.store.thing('/v1/a/v/c').kind == 't/x'


def test_large_objects_are_versioned_as_manifests(cloud):
    cloud.ask('PUT', '/v1/a/s')
    cloud.put('s/1', b'a' * 10)
    answer = cloud.ask('PUT', '/v1/a/v/slo?multipart-manifest=put', {}, b'[{"path": "/s/1"}]')
    assert answer.status == 201
    assert cloud.get('v/slo') == b'a' * 10
    entry, = json.loads(cloud.ask('GET', '/v1/a/v?format=json').body)
    assert (entry['bytes'], entry['slo_etag']) == (10, answer.headers['Etag'])
    version, = json.loads(cloud.ask('GET', '/v1/a/v?versions').body)
    assert (version['bytes'], version['slo_etag']) == (10, answer.headers['Etag'])
    assert json.loads(cloud.get('v/slo?multipart-manifest=get'))[0]['name'] == '/s/1'
    assert cloud.get(f'v/slo?version-id={version["version_id"]}') == b'a' * 10


def test_links_are_versioned_as_links(cloud):
    cloud.ask('PUT', '/v1/a/t')
    cloud.put('t/o', b'target')
    version = cloud.put('v/l', None, X_Symlink_Target='t/o')
    assert cloud.get('v/l') == b'target'
    shown = cloud.ask('GET', '/v1/a/v/l?symlink=get')
    assert shown.headers['X-Symlink-Target'] == f'v/l?version-id={version}'
    secret = lambda request: Response(403) if request.path.startswith('/v1/a/t') else None      # noqa: E731
    assert cloud.ask('GET', f'/v1/a/v/l?version-id={version}', **{'swift.authorize': secret}).status == 403
    assert cloud.ask('GET', '/v1/a/v/l', **{'swift.authorize': secret}).status == 403


def test_readers_see_what_is_current_and_owners_the_versions(cloud):
    version = cloud.put('v/o', b'one')
    headers = cloud.store.accounts['a']['v'].headers

    def member(request):
        acl = headers.get('X-Container-Write' if request.method in ('PUT', 'DELETE') else 'X-Container-Read')
        return None if request.path.startswith('/v1/a/v/') and acl and request.acl in (acl, None) \
            and (request.acl or not strict) else Response(403)
    strict = False
    headers['X-Container-Read'] = 'all'
    assert cloud.ask('GET', '/v1/a/v/o', **{'swift.authorize': member}).body == b'one'
    strict = True
    for method in ('GET', 'HEAD', 'DELETE', 'PUT'):
        assert cloud.ask(method, f'/v1/a/v/o?version-id={version}', **{'swift.authorize': member}).status == 403
    headers['X-Container-Write'] = 'all'
    assert cloud.ask('PUT', f'/v1/a/v/o?version-id={version}', **{'swift.authorize': member}).status == 201
    assert cloud.ask('DELETE', f'/v1/a/v/o?version-id={version}', **{'swift.authorize': member}).status == 403
    assert len(cloud.versions()) == 1


def test_the_hidden_is_not_for_clients(cloud):
    cloud.put('v/o', b'one')
    assert cloud.ask('GET', '/v1/a/%00versions%00v').status == 412
    assert [each['name'] for each in json.loads(cloud.ask('GET', '/v1/a?format=json').body)] == ['v']


def test_an_account_counts_the_bytes_of_versions_to_their_container(cloud):
    cloud.ask('PUT', '/v1/a/w')
    cloud.put('v/o', b'one')
    cloud.put('v/o', b'three')
    for query in ('', '&limit=1', '&reverse=on', '&prefix=v'):
        listed = json.loads(cloud.ask('GET', f'/v1/a?format=json{query}').body)
        assert {each['name']: each['bytes'] for each in listed}.get('v', 8) == 8


@pytest.mark.parametrize('headers', [{'X-Versions-Location': 'x'}, {'X-Container-Sync-To': 'x'}])
def test_object_versioning_does_not_go_with_everything(headers):
    cloud = Cloud()
    assert cloud.ask('PUT', '/v1/a/v', {'X-Versions-Enabled': 'true', **headers}).status == 400
    cloud.ask('PUT', '/v1/a/v', {'X-Versions-Enabled': 'true'})
    if 'X-Versions-Location' in headers:
        assert cloud.ask('POST', '/v1/a/v', headers).status == 400


def test_what_is_not_allowed_cannot_be_turned_on():
    cloud = Cloud(allow_versioned_writes='false', allow_object_versioning='false')
    assert cloud.ask('PUT', '/v1/a/v', {'X-Versions-Enabled': 'true'}).status == 400
    assert cloud.ask('PUT', '/v1/a/v', {'X-Versions-Location': 'x'}).status == 412


# the legacy kind


@pytest.fixture
def legacy():
    cloud = Cloud()
    cloud.ask('PUT', '/v1/a/old')
    cloud.ask('PUT', '/v1/a/stack', {'X-Versions-Location': 'old'})
    cloud.ask('PUT', '/v1/a/history', {'X-History-Location': 'old'})
    return cloud


def test_a_container_tells_where_versions_go(legacy):
    assert legacy.ask('HEAD', '/v1/a/stack').headers['X-Versions-Location'] == 'old'
    assert legacy.ask('HEAD', '/v1/a/history').headers['X-History-Location'] == 'old'
    legacy.ask('POST', '/v1/a/stack', {'X-Remove-Versions-Location': 'x'})
    legacy.ask('POST', '/v1/a/history', {'X-History-Location': ''})
    for name in ('stack', 'history'):
        assert not {'X-Versions-Location', 'X-History-Location'} & set(legacy.ask('HEAD', f'/v1/a/{name}').headers)


@pytest.mark.parametrize('headers, status', [
    ({'X-Versions-Location': 'x', 'X-History-Location': 'x'}, 400), ({'X-Versions-Location': 'a/b'}, 412),
    ({'X-Versions-Location': 'a%2Fb'}, 412), ({'X-Versions-Location': '%ff'}, 412),
    ({'X-History-Location': '%00versions%00v'}, 412),
])
def test_a_place_for_versions_that_is_none_is_refused(legacy, headers, status):
    assert legacy.ask('PUT', '/v1/a/new', headers).status == status


def test_a_stack_gives_back_what_was_put_on_it(legacy):
    legacy.put('stack/o', b'1', Content_Type='a/1',
               X_Object_Meta_A='1')
    legacy.put('stack/o', b'2')
    legacy.put('stack/o', b'3')
    assert [name.partition('/')[0] for name in legacy.names('old')] == ['001o', '001o']
    for left in (b'2', b'1'):
        assert legacy.ask('DELETE', '/v1/a/stack/o').status == 204
        assert legacy.get('stack/o') == left
    shown = legacy.ask('HEAD', '/v1/a/stack/o')
    assert (shown.headers['Content-Type'], shown.headers['X-Object-Meta-A']) == ('a/1', '1')
    assert legacy.names('old') == []
    assert legacy.ask('DELETE', '/v1/a/stack/o').status == 204
    assert legacy.ask('DELETE', '/v1/a/stack/o').status == 404


def test_a_history_forgets_nothing(legacy):
    legacy.put('history/o', b'1')
    legacy.put('history/o', b'2')
    assert legacy.ask('DELETE', '/v1/a/history/o').status == 204
    assert legacy.get('history/o') == 404
    kept = json.loads(legacy.ask('GET', '/v1/a/old?format=json').body)
    assert [each['content_type'] for each in kept] == ['application/octet-stream'] * 2 + [MARKER]
    assert legacy.ask('DELETE', '/v1/a/history/o').status == 404
    assert len(legacy.names('old')) == 4


def test_a_stack_on_a_history_stops_at_markers(legacy):
    legacy.put('history/o', b'1')
    legacy.put('history/o', b'2')
    legacy.ask('DELETE', '/v1/a/history/o')
    legacy.ask('POST', '/v1/a/history', {'X-Versions-Location': 'old'})
    assert legacy.ask('DELETE', '/v1/a/history/o').status == 204
    assert legacy.get('history/o') == b'2'
    assert len(legacy.names('old')) == 1


def test_names_of_versions_count_bytes(legacy):
    for body in (b'1', b'2'):
        legacy.put('stack/%C3%BC', body)
    assert legacy.names('old')[0].startswith('002ü/')


def test_a_write_waits_for_its_version(legacy):
    legacy.ask('POST', '/v1/a/stack', {'X-Versions-Location': 'none'})
    legacy.put('stack/o', b'1')
    assert legacy.ask('PUT', '/v1/a/stack/o', {}, b'2').status == 412
    legacy.store.failing['GET', '/v1/a/stack/o'] = 503
    assert legacy.ask('PUT', '/v1/a/stack/o', {}, b'2').status == 503
    legacy.store.failing.clear()
    assert legacy.get('stack/o') == b'1'


@pytest.mark.parametrize('container', ['stack', 'history'])
@pytest.mark.parametrize('method', ['PUT', 'DELETE'])
def test_nothing_is_done_for_who_may_not_write(legacy, container, method):
    legacy.put(f'{container}/o', b'1')
    legacy.put(f'{container}/o', b'2')
    before = legacy.names('old')
    refuse = lambda request: Response(403) if request.method == method else None     # noqa: E731
    assert legacy.ask(method, f'/v1/a/{container}/o', {}, b'x', **{'swift.authorize': refuse}).status == 403
    assert (legacy.get(f'{container}/o'), legacy.names('old')) == (b'2', before)

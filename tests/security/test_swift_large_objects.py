"""Large objects, copies, links, versions, archives: ways around the rights of others, and ways to wear the cluster out.

OSSA-2013-016 names in XML reports; OSSA-2014-034 limits on metadata hold for
copies and archives; OSSA-2015-006 deleting from a container with versions needs
leave; OSSA-2015-016 leave for one path is not leave for its segments;
OSSA-2016-004 a client that goes away leaves no connection open.
"""

import io
import json
import tarfile

import pytest
import requests
from lxml import etree

from swift.conf import options
from swift.constraints import Constraints
from swift.http import Request, Response
from swift.middleware import bulk, dlo, slo, symlink, versioned_writes
from swift.middleware import copy as copies
from tests.swift_cluster import Cluster
from tests.swift_store import Store

FILTERS = ('catch_errors gatekeeper cache listing_formats bulk tempauth copy container_quotas account_quotas slo dlo '
           'versioned_writes symlink')
HIDDEN = '%00versions%00v'


class Watched(Store):
    """A store that knows which of its bodies are still open."""

    def __init__(self):
        super().__init__()
        self.open = 0

    def __call__(self, environ, start_response):
        body = super().__call__(environ, start_response)
        if environ['REQUEST_METHOD'] != 'GET':
            return body
        return Body(self, [piece[place:place + 4] for piece in body for place in range(0, len(piece), 4)])


class Body:
    def __init__(self, store, pieces):
        self.store, self.pieces = store, iter(pieces)
        self.store.open += 1

    def __iter__(self):
        return self.pieces

    def close(self):
        if self.pieces is not None:
            self.pieces = None
            self.store.open -= 1


def filters(store):
    app = symlink.Symlink(store, options({}, symlink.OPTIONS))
    app = versioned_writes.VersionedWrites(app, options(
        {'allow_versioned_writes': 'on', 'allow_object_versioning': 'on'}, versioned_writes.OPTIONS), Constraints())
    app = dlo.DynamicLargeObjects(app, options({'swift_dir': '/nonexistent'}, dlo.OPTIONS))
    app = slo.StaticLargeObjects(app, options({'yield_frequency': '0'}, slo.OPTIONS))
    app = copies.Copy(app, options({'swift_dir': '/nonexistent'}, copies.OPTIONS))
    return bulk.Bulk(app, options({'swift_dir': '/nonexistent'}, bulk.OPTIONS))


@pytest.fixture
def store():
    store = Watched()
    for name in ('c', 'segs'):
        store.ask('PUT', f'/v1/a/{name}')
    for name in 'ab':
        store.ask('PUT', f'/v1/a/segs/{name}', {}, name.encode() * 10)
    return store


@pytest.fixture
def ask(store):
    app = filters(store)
    store.ask('PUT', '/v1/a/c/slo?multipart-manifest=put', {}, json.dumps(
        [{'path': '/segs/a'}, {'path': '/segs/b'}]).encode(), app=app)
    store.ask('PUT', '/v1/a/c/dlo', {'X-Object-Manifest': 'segs/a'}, b'', app=app)
    store.ask('PUT', '/v1/a/c/link', {'X-Symlink-Target': 'segs/a'}, app=app)
    return lambda *args, **more: store.ask(*args, app=app, **more)


# OSSA-2016-004


@pytest.mark.parametrize('path', ['slo', 'dlo', 'link'])
@pytest.mark.parametrize('wanted', [None, 'bytes=2-8', 'bytes=0-1,4-5', 'bytes=99-'])
@pytest.mark.parametrize('pieces', [0, 1, 2])
def test_ossa_2016_004_a_client_that_goes_away_leaves_nothing_open(ask, store, path, wanted, pieces):
    store.open = 0
    request = Request.blank(f'/v1/a/c/{path}', headers={'Range': wanted})
    response = request.respond(filters(store))
    body = iter(response.app_iter)
    for _ in range(pieces):
        next(body, None)
    response.close()
    assert store.open == 0


def test_ossa_2016_004_nor_does_a_request_that_fails(ask, store):
    store.open = 0
    store.failing['PUT', '/v1/a/c/new'] = 503
    store.failing['GET', '/v1/a/segs/b'] = 503
    assert ask('COPY', '/v1/a/segs/a', {'Destination': 'c/new'}).status == 503
    store.failing['GET', '/v1/a/segs/a'] = 403
    assert ask('GET', '/v1/a/c/slo').status == 409
    for headers in ({'If-Match': 'x'}, {'If-None-Match': '*'}):
        ask('GET', '/v1/a/c/slo', headers)
        ask('GET', '/v1/a/c/dlo', headers)
    ask('DELETE', '/v1/a/segs/b?multipart-manifest=delete')
    assert store.open == 0


# OSSA-2015-006


@pytest.mark.parametrize('headers', [{'X-Versions-Location': 'segs'}, {'X-History-Location': 'segs'},
                                     {'X-Versions-Enabled': 'true'}])
@pytest.mark.parametrize('method, headers_of', [('DELETE', {}), ('PUT', {}), ('PUT', {'X-Copy-From': 'segs/a'})])
def test_ossa_2015_006_nothing_is_done_in_a_container_with_versions_without_leave(ask, store, headers, method,
                                                                                   headers_of):
    ask('PUT', '/v1/a/v', headers)
    for body in (b'1', b'2'):
        ask('PUT', '/v1/a/v/o', {}, body)
    before = {(container, name): thing.etag for container, each in store.accounts['a'].items()
              for name, thing in each.objects.items()}

    def refuse(request):
        return Response(403) if request.method in ('PUT', 'DELETE', 'POST') else None
    answer = ask(method, '/v1/a/v/o', headers_of, None if headers_of else b'', **{'swift.authorize': refuse})
    assert answer.status == 403
    assert before == {(container, name): thing.etag for container, each in store.accounts['a'].items()
                      for name, thing in each.objects.items()}


# OSSA-2015-016


@pytest.mark.parametrize('override', [False, True])
def test_ossa_2015_016_leave_for_one_path_is_not_leave_for_its_segments(ask, override):
    def only_c(request):
        return None if request.path.startswith('/v1/a/c/') else Response(401)
    leave = {'swift.authorize': only_c, **({'swift.authorize_override': True} if override else {})}
    assert ask('GET', '/v1/a/c/slo', **leave).status == 409
    assert ask('GET', '/v1/a/c/dlo', **leave).status == 401
    assert ask('GET', '/v1/a/c/link', **leave).status == 401
    assert ask('COPY', '/v1/a/c/slo', {'Destination': 'c/x'}, **leave).status == 409
    assert ask('COPY', '/v1/a/segs/a', {'Destination': 'c/x'}, **leave).status == 401
    assert b'401 Unauthorized' in ask('DELETE', '/v1/a/c/slo?multipart-manifest=delete', **leave).body
    assert b'401 Unauthorized' in ask('PUT', '/v1/a/c/x?multipart-manifest=put', {},
                                      b'[{"path": "/segs/a"}]', **leave).body


# OSSA-2013-016


@pytest.mark.parametrize('name', ['<x>&amp;"\'', ']]>', '<!ENTITY x SYSTEM "file:///etc/passwd">'])
def test_ossa_2013_016_names_in_reports_are_text(ask, name):
    answer = ask('PUT', '/v1/a/c/x?multipart-manifest=put', {'Accept': 'application/xml'},
                 json.dumps([{'path': f'/segs/{name}'}]).encode())
    found = etree.fromstring(answer.body).findtext('errors/object/name')
    assert requests.utils.unquote(found) == f'/segs/{name}'
    answer = ask('POST', '/v1/a?bulk-delete', {'Accept': 'text/xml'}, f'/{name}%ff'.encode())
    assert etree.fromstring(answer.body).find('errors/object/status') is not None


# ways to wear the cluster out


def test_manifests_that_hold_each_other_come_to_an_end(ask, store):
    for name, other in (('x', 'segs/a'), ('y', 'c/x'), ('x', 'c/y'), ('y', 'c/x')):
        assert ask('PUT', f'/v1/a/c/{name}?multipart-manifest=put', {}, json.dumps(
            [{'path': other}] * 3).encode()).status == 201
    assert ask('GET', '/v1/a/c/x').status == 409
    store.asked.clear()
    assert ask('DELETE', '/v1/a/c/x?multipart-manifest=delete').status == 200
    assert len(store.asked) < 20


def test_ranges_by_the_thousand_are_refused_before_segments_are_fetched(ask, store):
    store.asked.clear()
    answer = ask('GET', '/v1/a/c/slo', {'Range': 'bytes=' + ','.join(f'{n}-{n + 1}' for n in range(1000))})
    assert answer.status in (200, 416)
    assert len(store.asked) <= 3


HOSTILE = ['%00', '%ff', '..', '%2e%2e/%2e%2e/etc', 'a%0d%0aX-Evil:%201', '%f0%28%8c%28', 'x' * 5000, '%', '%zz',
           '?', '#']


@pytest.mark.parametrize('value', HOSTILE)
@pytest.mark.parametrize('method, header', [
    ('COPY', 'Destination'), ('COPY', 'Destination-Account'), ('PUT', 'X-Copy-From'), ('PUT', 'X-Copy-From-Account'),
    ('PUT', 'X-Symlink-Target'), ('PUT', 'X-Symlink-Target-Account'), ('PUT', 'X-Symlink-Target-Etag'),
    ('PUT', 'X-Object-Manifest'),
])
def test_hostile_headers_are_errors_of_the_client(ask, method, header, value):
    base = {'Destination-Account': {'Destination': 'c/x'}, 'X-Copy-From-Account': {'X-Copy-From': 'segs/a'},
            'X-Symlink-Target-Account': {'X-Symlink-Target': 'segs/a'},
            'X-Symlink-Target-Etag': {'X-Symlink-Target': 'segs/a'}}.get(header, {})
    for prefix in ('', 'c/', '/c/'):
        answer = ask(method, '/v1/a/segs/a' if method == 'COPY' else '/v1/a/c/new', {**base, header: prefix + value})
        assert answer.status < 500
        assert all('\n' not in text for _, text in answer.headers.pairs())


@pytest.mark.parametrize('value', HOSTILE)
@pytest.mark.parametrize('query', ['version-id={}', 'part-number={}', 'multipart-manifest={}', 'symlink={}',
                                   'versions&marker={}', 'versions&prefix={}', 'versions&delimiter={}',
                                   'extract-archive={}', 'versions&marker=a&version_marker={}', 'versions&limit={}'])
def test_hostile_parameters_are_errors_of_the_client(ask, query, value):
    ask('PUT', '/v1/a/v', {'X-Versions-Enabled': 'true'})
    ask('PUT', '/v1/a/v/o', {}, b'x')
    for path in ('/v1/a/v', '/v1/a/v/o', '/v1/a/c/slo'):
        for method in ('GET', 'HEAD', 'PUT', 'DELETE', 'POST'):
            assert ask(method, f'{path}?{query.format(value)}').status < 500, (method, path)


# through a whole cluster


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp('cluster'), devices=2, zones=2, replicas=1, filters=FILTERS) as cluster:
        yield cluster


@pytest.fixture(scope='module')
def owner(cluster):
    answer = requests.get(f'{cluster.base}/auth/v1.0', headers={'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testing'},
                          timeout=20)
    token = {'X-Auth-Token': answer.headers['X-Auth-Token']}

    def ask(method, path, headers=None, data=None):
        return requests.request(method, cluster.url + path, headers={**token, **(headers or {})}, data=data, timeout=30)
    assert ask('PUT', '/c').status_code == ask('PUT', '/v', {'X-Versions-Enabled': 'true'}).status_code == 201
    assert ask('PUT', '/v/o', data=b'secret').status_code == 201
    return ask


@pytest.mark.parametrize('headers', [
    {'X-Object-Sysmeta-Symlink-Target': f'{HIDDEN}/%00o%00x', 'X-Object-Sysmeta-Allow-Reserved-Names': 'true'},
    {'X-Object-Sysmeta-Slo-Etag': 'x', 'X-Object-Sysmeta-Slo-Size': '999'},
    {'X-Object-Sysmeta-Container-Update-Override-Etag': 'x; slo_etag=y',
     'X-Backend-Container-Update-Override-Size': '9'},
    {'Content-Type': 'a/b;swift_bytes=99999'}, {'Content-Type': 'application/x-deleted;swift_versions_deleted=1'},
])
def test_nobody_writes_what_is_the_cluster_s_own(owner, headers):
    answer = owner('PUT', '/c/forged', headers, b'x')
    if answer.status_code == 400:
        return
    shown = owner('GET', '/c/forged')
    assert (shown.content, shown.headers['Content-Length']) == (b'x', '1')
    entry, = owner('GET', '/c?format=json&prefix=forged').json()
    assert (entry['bytes'], entry['hash']) == (1, '9dd4e461268c8034f5c8564e155c67a6')
    assert 'slo_etag' not in entry and 'symlink_path' not in entry


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'])
@pytest.mark.parametrize('path', [f'/{HIDDEN}', f'/{HIDDEN}/%00o%00x', '/v/%00o%00x'])
def test_nobody_reaches_the_hidden_container(owner, method, path):
    assert owner(method, path, {'X-Backend-Allow-Reserved-Names': 'true'}).status_code == 412
    assert HIDDEN not in owner('GET', '').text


def test_nobody_is_led_to_the_hidden_container(owner):
    assert owner('PUT', '/c/l', {'X-Symlink-Target': f'{HIDDEN}/%00o%00x'}).status_code == 412
    assert owner('PUT', '/c/x', {'X-Copy-From': f'{HIDDEN}/%00o%00x'}).status_code == 412
    assert owner('COPY', '/c/x', {'Destination': f'{HIDDEN}/x'}).status_code == 412
    answer = owner('PUT', '/c/x?multipart-manifest=put', data=json.dumps([{'path': '/\0versions\0v/\0o\0x'}]))
    assert (answer.status_code, b'412' in answer.content) == (400, True)
    assert owner('PUT', '/c/m', {'X-Object-Manifest': f'{HIDDEN}/%00o'}).status_code in (201, 400, 412)
    assert owner('GET', '/c/m').status_code in (404, 412)
    assert owner('PUT', '/c2', {'X-Versions-Location': HIDDEN}).status_code == 412


def test_ossa_2014_034_limits_on_metadata_hold_for_copies_and_archives(owner):
    full = {f'X-Object-Meta-{number}': 'x' for number in range(90)}
    assert owner('PUT', '/c/full', full, b'x').status_code == 201
    assert owner('COPY', '/c/full', {'Destination': 'c/more', 'X-Object-Meta-More': 'x'}).status_code == 400
    assert owner('PUT', '/c/more', {'X-Copy-From': 'c/full', 'X-Object-Meta-More': 'x'}).status_code == 400
    assert owner('HEAD', '/c/more').status_code == 404
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w') as made:
        member = tarfile.TarInfo('c/tarred')
        member.pax_headers = {f'SCHILY.xattr.user.meta.{number}': 'x' * 200 for number in range(91)}
        made.addfile(member)
    answer = owner('PUT', '?extract-archive=tar', {'Accept': 'application/json'}, stream.getvalue())
    assert [status for _, status in answer.json()['Errors']] == ['400 Bad Request']
    assert owner('HEAD', '/c/tarred').status_code == 404

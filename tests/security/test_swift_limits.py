"""Every limit that /info tells is enforced with its published status; what is hostile gets 4xx and reaches no disk."""

import hmac
import io
import json
import tarfile
import time

import pytest

from strata.testing.web import Raw, serving
from swift import server
from swift.conf import options
from tests.functional.swift_proxy import Client
from tests.swift_cluster import Cluster

FILTERS = ('catch_errors gatekeeper healthcheck cache listing_formats bulk tempurl formpost name_check staticweb copy '
           'container_quotas account_quotas slo dlo versioned_writes symlink')
LIMITS = {'max_file_size': 100000, 'max_meta_name_length': 20, 'max_meta_value_length': 64, 'max_meta_count': 8,
          'max_meta_overall_size': 200, 'max_header_size': 500, 'max_object_name_length': 60,
          'max_container_name_length': 40, 'max_account_name_length': 30, 'container_listing_limit': 5,
          'account_listing_limit': 4, 'extra_header_count': 5}
OPTIONS = {
    'app:proxy-server': {'allow_account_management': 'true'},
    'filter:bulk': {'max_containers_per_extraction': '2', 'max_failed_extractions': '2',
                    'max_deletes_per_request': '3', 'max_failed_deletes': '2'},
    'filter:slo': {'max_manifest_segments': '3', 'max_manifest_size': '2000', 'min_segment_size': '10'},
    'filter:tempurl': {'methods': 'GET HEAD PUT', 'allowed_digests': 'sha256'},
    'filter:formpost': {'allowed_digests': 'sha256'},
    'filter:symlink': {'symloop_max': '2'},
    'filter:name_check': {'maximum_length': '200', 'forbidden_chars': '`', 'forbidden_regexp': '/never/'},
}
#: the numbers of /info, by section; each has a test here
TOLD = {('swift', name) for name in LIMITS} | {
    ('bulk_upload', 'max_containers_per_extraction'), ('bulk_upload', 'max_failed_extractions'),
    ('bulk_delete', 'max_deletes_per_request'), ('bulk_delete', 'max_failed_deletes'),
    ('slo', 'max_manifest_segments'), ('slo', 'max_manifest_size'), ('slo', 'min_segment_size'),
    ('symlink', 'symloop_max'), ('name_check', 'maximum_length')}


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    limits = {name: str(value) for name, value in LIMITS.items()}
    with Cluster(tmp_path_factory.mktemp('store'), filters=FILTERS, constraints=limits, options=OPTIONS) as store:
        store.told = Client(store).session.get(f'{store.base}/info', timeout=10).json()
        yield store


@pytest.fixture
def user(store):
    user = Client(store)
    assert user.put('/c').status_code == 201
    return user


def test_every_number_that_is_told_has_a_test_here(store):
    sections = [name for name in ('swift', *FILTERS.split(), 'bulk_upload', 'bulk_delete') if name in store.told]
    numbers = {(section, name) for section in sections for name, value in store.told[section].items()
               if isinstance(value, int) and not isinstance(value, bool)}
    assert numbers - {('slo', 'yield_frequency')} == TOLD
    assert {name: store.told['swift'][name] for name in LIMITS} == LIMITS


def test_an_object_is_as_large_as_it_may_be_and_no_larger(user):
    most = LIMITS['max_file_size']
    assert user.put('/c/o', bytes(most)).status_code == 201
    assert user.put('/c/p', bytes(most + 1)).status_code == 413
    assert user.put('/c/p', (bytes(1000) for _ in range(most // 1000 + 1))).status_code == 413
    assert user('COPY', '/c/o', headers={'Destination': 'c/q'}).status_code == 201
    assert user.get('/c/p').status_code == 404 and user.names() == ['o', 'q']


def headers_of(kind, *entries):
    return {f'X-{kind}-Meta-{name}': value for name, value in entries}


@pytest.mark.parametrize(('method', 'path', 'kind'), [
    ('POST', '', 'Account'), ('PUT', '', 'Account'), ('PUT', '/c', 'Container'), ('PUT', '/new', 'Container'),
    ('POST', '/c', 'Container'), ('PUT', '/c/o', 'Object'), ('POST', '/c/o', 'Object')])
def test_metadata_are_as_long_and_as_many_as_they_may_be_and_no_more(user, method, path, kind):
    if path == '/c/o':
        user.put(path, b'x')
    fitting = [[('n' * 20, 'x')], [('A', 'v' * 64)], [(f'N{number}', 'x') for number in range(8)],
               [(f'N{number}', 'v' * 64) for number in range(3)] + [('A', 'x')]]
    beyond = [[('n' * 21, 'x')], [('A', 'v' * 65)], [(f'N{number}', 'x') for number in range(9)],
              [(f'N{number}', 'v' * 64) for number in range(4)]]
    for entries in beyond:
        assert user(method, path, b'', headers_of(kind, *entries)).status_code == 400
    for entries in fitting:
        assert user(method, path, b'', headers_of(kind, *entries)).status_code in (201, 202, 204)
        user(method, path, b'', headers_of(kind, *((name, '') for name, _ in entries)))


@pytest.mark.parametrize(('method', 'path'), [('POST', ''), ('PUT', '/c'), ('POST', '/c'), ('PUT', '/c/o')])
@pytest.mark.parametrize('name', ['X-Anything', 'X-Object-Manifest', 'Content-Disposition', 'X-Container-Read'])
def test_no_header_is_longer_than_headers_may_be(user, method, path, name):
    assert user(method, path, b'', {name: 'a/' + 'b' * LIMITS['max_header_size']}).status_code == 400


def test_a_client_of_the_proxy_sends_so_many_headers_and_no_more(store):
    given = options({'swift_dir': str(store.swift_dir)}, server.OPTIONS)
    most = server.limits(given).headers
    assert most == 32 + LIMITS['max_meta_count'] + LIMITS['extra_header_count']
    with serving(store.app, limits=server.limits(given)) as proxy:
        for count, code in ((most, 200), (most + 1, 431)):
            with Raw(proxy) as client:
                assert client.get('/info', *(f'X-{number}: x' for number in range(count - 1))).code == code


def test_names_are_as_long_as_they_may_be_and_no_longer(user):
    for most, path in ((60, '/c/'), (40, '/')):
        for name, size in (('n', 1), ('%C3%A9', 2)):
            count = most // size
            assert user.put(path + name * count, b'').status_code == 201
            assert user.put(path + name * count + 'n', b'').status_code == 400
    for method in ('PUT', 'POST', 'HEAD', 'GET', 'DELETE'):
        assert Client(user.cluster, 'AUTH_' + 'a' * 26)(method).status_code in (400, 404)
    assert Client(user.cluster, 'AUTH_' + 'a' * 26).put().status_code == 400
    assert Client(user.cluster, 'AUTH_' + 'a' * 25).put().status_code == 201
    assert user('COPY', '/c/' + 'n' * 60, headers={'Destination': 'c/' + 'n' * 61}).status_code == 400


def test_listings_are_as_long_as_they_may_be_and_no_longer(user):
    for number in range(7):
        user.put(f'/c/o{number}', b'')
        user.put(f'/c{number}')
    for path, most in (('/c', 5), ('', 4)):
        assert len(user.names(path)) == most == len(user.names(f'{path}?limit={most}'))
        assert user.get(f'{path}?limit={most + 1}').status_code == 412
        assert user.get(f'{path}?limit={"9" * 30}').status_code == 412


def test_no_other_version_of_the_api_is_spoken(user):
    for version in ('v2', 'v1.1', 'V1', 'v', 'v1.0.0', 'v01'):
        answer = user.session.get(f'{user.cluster.base}/{version}/{user.account}/c', timeout=10)
        assert answer.status_code == 400
    assert user.session.get(f'{user.cluster.base}/v1.0/{user.account}/c', timeout=10).status_code < 300


def archive(*names):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w') as made:
        for name in names:
            made.addfile(tarfile.TarInfo(name), io.BytesIO())
    return file.getvalue()


def reported(answer):
    assert answer.status_code == 200
    return answer.json()['Response Status']


def test_archives_make_so_many_containers_and_failures_and_no_more(user):
    def extract(*names):
        return reported(user.put('?extract-archive=tar', archive(*names), Accept='application/json'))
    assert extract('a/o', 'b/o') == '201 Created'
    assert extract('d/o', 'e/o', 'f/o').startswith('400')
    long = [f'c/{letter * 70}' for letter in 'abcd']
    assert extract(*long).startswith('400')
    assert user.get('/f').status_code == 404 and user.names('/c') == []


def test_so_many_names_are_deleted_together_and_no_more(user):
    def delete(*names):
        return reported(user.post('?bulk-delete', '\n'.join(names), Accept='application/json',
                                  Content_Type='text/plain'))
    user.put('/c/o', b'')
    assert delete('c/a', 'c/b', 'c/d') == '200 OK'
    assert delete('c/a', 'c/b', 'c/d', 'c/o').startswith('413')
    assert user.get('/c/o').status_code == 200
    assert delete('c', 'c', 'c').startswith('400')        # it is not empty


def test_manifests_have_so_many_segments_and_bytes_and_no_more(user):
    user.put('/c/s', b'0123456789')
    user.put('/c/tiny', b'012')

    def manifest(*segments, pad=0):
        body = json.dumps(segments) + ' ' * pad
        return user.put('/c/m?multipart-manifest=put', body).status_code
    segment, tiny = {'path': '/c/s'}, {'path': '/c/tiny'}
    assert manifest(segment, segment, segment) == 201
    assert manifest(segment, segment, segment, segment) == 413
    assert manifest(segment, pad=2000) == 413
    assert manifest(segment, tiny) == 201       # the last may be shorter
    assert manifest(tiny, segment) == 400


def signed(user, method, path, digest='sha256', key='k', **more):
    soon = int(time.time()) + 60
    signature = hmac.new(key.encode(), f'{method}\n{soon}\n/v1/{user.account}{path}'.encode(), digest).hexdigest()
    return user(method, f'{path}?temp_url_sig={signature}&temp_url_expires={soon}', **more)


def test_addresses_are_signed_by_the_told_digests_for_the_told_methods(user):
    user.post('', X_Account_Meta_Temp_URL_Key='k')
    user.put('/c/o', b'x')
    assert user.cluster.told['tempurl']['methods'] == ['GET', 'HEAD', 'PUT']
    assert signed(user, 'GET', '/c/o').status_code == 200
    for method in ('DELETE', 'POST'):
        assert signed(user, method, '/c/o').status_code == 401
    for digest in ('sha1', 'sha512'):
        assert signed(user, 'GET', '/c/o', digest).status_code == 401
    assert signed(user, 'PUT', '/c/p', data=b'', headers={'X-Timestamp': '1.0'}).status_code == 201
    assert user.head('/c/p').headers['X-Timestamp'] > '1.0'
    assert user.get('/c/o').status_code == 200


def test_forms_are_signed_by_the_told_digests(user):
    user.post('', X_Account_Meta_Temp_URL_Key='k')

    def post(digest, size=10):
        soon = int(time.time()) + 60
        message = f'/v1/{user.account}/c\n\n{size}\n1\n{soon}'
        fields = {'redirect': '', 'max_file_size': size, 'max_file_count': 1, 'expires': soon,
                  'signature': hmac.new(b'k', message.encode(), digest).hexdigest()}
        files = [*((name, (None, str(value))) for name, value in fields.items()), ('file', ('f', b'0123456789'))]
        return user('POST', '/c', files=files).status_code
    assert user.cluster.told['formpost']['allowed_digests'] == ['sha256']
    assert [post('sha1'), post('sha512'), post('sha256', 9)] == [401, 401, 400]
    assert user.names() == []
    assert post('sha256') == 201


def test_so_many_links_are_followed_and_no_more(user):
    user.put('/c/o', b'x')
    for link, target in (('one', 'o'), ('two', 'one'), ('three', 'two'), ('there', 'back'), ('back', 'there')):
        assert user.put(f'/c/{link}', b'', X_Symlink_Target=f'c/{target}').status_code == 201
    assert [user.get(f'/c/{name}').status_code for name in ('one', 'two', 'three', 'back')] == [200, 200, 409, 409]


def test_names_that_the_operator_forbids_are_refused(user):
    for path in ('/c/`', '/c/never/o', '/c/' + 'n' * 200):
        assert user.put(path, b'').status_code == 400


def test_quotas_are_kept(user):
    user.post('/c', X_Container_Meta_Quota_Bytes='5')
    assert user.put('/c/o', b'123456').status_code == 413 and user.put('/c/o', b'12345').status_code == 201
    for value in ('x', '-1', '1e3', '9' * 70):
        assert user.post('/c', X_Container_Meta_Quota_Bytes=value).status_code == 400


# -- what nobody with good intentions sends -------------------------------------------------------

NUMBERS = ['-1', '-0', '1e3', '0x10', '1.5', '', '+1', '%20', '9' * 300, '%D9%A3', 'NaN', '%00']
A = '/v1/{account}'
BAD_NAMES = ['/%00', '/c/o%00', '/c%FF', '/c/%C0%AF', '/c/%ED%A0%80', '/%F4%90%80%80/o']
MANIFESTS = [b'', b'{}', b'null', b'[null]', b'[[]]', b'[1]', b'"x"', b'[{}]', b'[{"path": 5}]', b'{"a"', b'\xff',
             b'[{"path": "/c"}]', b'[{"path": "c/none"}]', b'[{"path": "/c/o", "range": "5-1"}]', b'[' * 900,
             b'[{"path": "/c/o", "size_bytes": "x"}]', b'[{"path": "/c/o", "size_bytes": -1}]',
             b'[{"path": "/c/o", "size_bytes": 1e400}]', b'[{"path": "/c/\\u0000"}]', b'[{"path": "/c/\\ud800"}]',
             b'[{"path": "/c/o", "etag": []}]', b'[{"path": "/c/o", "more": 1}]', b'[{"data": "!"}]', b'[{"data": 1}]',
             b'[{"path": "/../../etc/passwd"}]', b'[{"path": "/c/o", "range": "0-' + b'9' * 300 + b'", "etag": "x"}]']


def target(path):
    return A + path


HOSTILE = [
    *[(method, target(path), [], b'') for path in BAD_NAMES for method in ('PUT', 'GET', 'POST', 'DELETE', 'HEAD')],
    *[('GET', target(f'{path}?limit={number}'), [], b'') for path in ('', '/c') for number in ('9' * 30, '11')],
    *[('GET', target(f'{path}?{name}=%FF'), [], b'') for path in ('', '/c')
      for name in ('prefix', 'marker', 'end_marker', 'delimiter', 'path', 'format', 'limit')],
    *[('PUT', target('/c/m?multipart-manifest=put'), [], body) for body in MANIFESTS],
    ('PUT', target('?extract-archive=zip'), [], b'x'), ('PUT', target('?extract-archive='), [], b'x'),
    ('PUT', target('/c/o2'), ['X-Delete-At: -1'], b'x'), ('PUT', target('/c/o2'), ['X-Delete-After: 0'], b'x'),
    ('PUT', target('/c/o2'), ['X-Delete-After: 1e9'], b'x'), ('PUT', target('/c/o2'), ['X-Delete-At: \xb2'], b'x'),
    ('PUT', target('/c/o2'), ['Etag: ' + 'f' * 32], b'x'), ('PUT', target('/c/o2'), ['X-Copy-From: /'], b''),
    ('PUT', target('/c/o2'), ['X-Copy-From: c/%00'], b''), ('PUT', target('/c/o2'), ['X-Copy-From: c/o'], b'body'),
    ('PUT', target('/c/o2'), ['X-Copy-From: c/o', 'X-Copy-From-Account: a/b'], b''),
    ('COPY', target('/c/o'), [], b''), ('COPY', target('/c/o'), ['Destination: c'], b''),
    ('COPY', target('/c/o'), ['Destination: c/%00'], b''), ('COPY', target('/c/o'), ['Destination: c/%FF'], b''),
    ('COPY', target('/c/o'), ['Destination: c/x', 'Destination-Account: /'], b''), ('COPY', target('/c'), [], b''),
    ('PUT', target('/c/o2'), ['X-Object-Manifest: c'], b''),
    ('PUT', target('/c/o2'), ['X-Object-Manifest: c/a?b'], b''),
    ('PUT', target('/c/o2'), ['X-Symlink-Target: c'], b''), ('PUT', target('/c/o2'), ['X-Symlink-Target: c/%00'], b''),
    ('PUT', target('/c/o2'), ['X-Symlink-Target: c/o2'], b'body'),
    ('PUT', target('/c/o2'), ['X-Symlink-Target: c/none', 'X-Symlink-Target-Etag: x'], b''),
    ('PUT', target('/c2'), ['X-Storage-Policy: ../..'], b''), ('PUT', target('/c2'), ['X-Storage-Policy: \xff'], b''),
    ('PUT', target('/c2'), ['X-Versions-Enabled: true', 'X-Versions-Location: c'], b''),
    ('PUT', target('/c2'), ['X-Versions-Location: a/b'], b''),
    ('PUT', target('/c2'), ['X-Container-Meta-\xff: x'], b''),
    ('PUT', target('/c2'), ['X-Container-Meta-A: \xff'], b''),
    ('PUT', target('/c/o2'), ['Content-Type: \xff'], b'x'), ('PUT', target('/c/o2'), ['X-Object-Meta-A: \xff'], b'x'),
    ('PUT', target('/c/o2'), ['Content-Length: 1', 'Content-Length: 2'], b''),
    ('PUT', target('/c/o2'), ['Content-Length: -1'], b''), ('PUT', target('/c/o2'), ['Content-Length: 1,1'], b''),
    ('PUT', target('/c/o2'), ['Content-Length: 1', 'Transfer-Encoding: chunked'], b''),
    ('PUT', target('/c/o2'), ['Transfer-Encoding: gzip'], b''), ('PUT', target('/c/o2'), [], None),
    ('PUT', target('/c/o2'), ['Transfer-Encoding: chunked, chunked'], b''),
    ('PUT', target('/c/o2'), ['If-None-Match: "x"'], b'x'), ('POST', target('/c/none'), [], b''),
    ('GET', target('/c?' + 'a' * 100000), [], b''), ('GET', '/v1/' + 'a' * 3000, [], b''),
    ('GET', target('/c?' + '&'.join(['limit=1'] * 30000)), [], b''),
    ('PUT', '/v1', [], b''), ('PUT', '/', [], b''), ('PUT', '/v1/../../etc/x', [], b''), ('PUT', '//', [], b''),
    ('PUT', '/v1//c/o', [], b'x'), ('PUT', '/v9/a/c/o', [], b'x'), ('PUT', target('/' + 'c' * 41), [], b''),
    ('POST', '/v1/AUTH_fresh', ['X-Account-Meta-' + 'n' * 21 + ': x'], b''),
    ('PUT', '/v1/AUTH_fresh/c', ['X-Container-Meta-A: ' + 'v' * 65], b''),
    ('PUT', '/v1/AUTH_fresh/c/o', [], b'x'), ('DELETE', '/v1/AUTH_fresh', [], b''), ('PATCH', target('/c/o'), [], b'x'),
    ('TRACE', target('/c/o'), [], b''), ('REPLICATE', target('/c/o'), [], b''), ('SSYNC', target('/c'), [], b''),
    ('GET', target('/c/o'), ['Range: bytes=10-'], b''), ('LINK', target('/c/o'), [], b''),
]


@pytest.fixture(scope='module')
def victim(store):
    user = Client(store)
    user.put('/c')
    user.put('/c/o', b'0123456789')
    return user


@pytest.mark.parametrize(('method', 'path', 'headers', 'body'), HOSTILE,
                         ids=[f'{number}-{each[0]}' for number, each in enumerate(HOSTILE)])
def test_what_is_hostile_is_refused_and_reaches_no_disk(victim, method, path, headers, body):
    before = contents(victim.cluster)
    lines = [f'{method} {path.format(account=victim.account)} HTTP/1.1', 'Host: x', *headers]
    if body is not None and not any(line.startswith(('Content-Length', 'Transfer-Encoding')) for line in headers):
        lines.append(f'Content-Length: {len(body)}')
    with Raw(victim.cluster.proxy) as client:
        client.send('\r\n'.join([*lines, '', '']).encode('latin-1') + (body or b''))
        answer = client.answer(head=method == 'HEAD')
    assert 400 <= answer.code < 500, answer.body
    assert b'Traceback' not in answer.body and b'/sd' not in answer.body
    assert contents(victim.cluster) == before


def contents(cluster):
    found = ((path, path.stat()) for path in cluster.files() if not path.name.endswith('.lock'))
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in found}


@pytest.mark.parametrize('name', ['limit', 'marker', 'end_marker', 'prefix', 'delimiter', 'path', 'reverse', 'format',
                                  'versions', 'version_marker', 'version-id', 'multipart-manifest', 'symlink',
                                  'part-number', 'temp_url_expires', 'temp_url_sig', 'bulk-delete', 'states',
                                  'extract-archive', 'ignore-range-header', 'swiftinfo_expires'])
def test_no_number_in_a_query_is_a_servers_error(victim, name):
    for number in [*NUMBERS, '0', '-' + '9' * 40, '2147483648', '18446744073709551616']:
        for path in (target(''), target('/c'), target('/c/o'), '/info'):
            with Raw(victim.cluster.proxy) as client:
                answer = client.get(f'{path.format(account=victim.account)}?{name}={number}')
            assert answer.code < 500, (path, number, answer.body)


@pytest.mark.parametrize('value', ['0-', '-', '5-1', '0-0,' * 200 + '1-1', '-' + '9' * 400, '0-' + '9' * 400,
                                   '\xb2-\xb3', '1-2-3', '--1', ' 0 - 1', '0-1;q=1', '*'])
def test_no_range_is_a_servers_error(victim, value):
    for unit in ('bytes', 'BYTES', 'items', ''):
        with Raw(victim.cluster.proxy) as client:
            answer = client.get(f'/v1/{victim.account}/c/o', f'Range: {unit}={value}')
        assert answer.code in (200, 206, 400, 416) and len(answer.body) < 100000


@pytest.mark.parametrize('body', [b'\xff', b'%FF', b'c/%00', b'/' * 500, b'..\n../..', b'c/' + b'x' * 3000,
                                  b'\n' * 5000])
def test_no_list_of_names_to_delete_is_a_servers_error(victim, body):
    before = contents(victim.cluster)
    answer = victim.post('?bulk-delete', body, Content_Type='text/plain', Accept='application/json')
    assert answer.status_code < 500 and not answer.json()['Response Status'].startswith('5')
    assert contents(victim.cluster) == before


@pytest.mark.parametrize('body', [b'', b'x' * 512, bytes(1024), b'\xff' * 3000, archive('../../etc/x')[:700],
                                  archive('/..'), archive('c/\x01'), archive('.'), archive('x' * 90 + '/o')])
def test_no_archive_is_a_servers_error(victim, body):
    before = contents(victim.cluster)
    for kind in ('tar', 'tar.gz', 'tar.bz2'):
        answer = victim.put(f'?extract-archive={kind}', body, Accept='application/json')
        assert answer.status_code < 500 and not answer.json()['Response Status'].startswith('5')
    assert not [path for path in contents(victim.cluster) if path not in before and 'objects' not in path
                and 'containers' not in path]

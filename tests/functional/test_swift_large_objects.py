"""Large objects, copies, links, versions and archives through a whole cluster, with users and their rights."""

import gzip
import io
import json
import tarfile

import pytest
import requests

from tests.swift_cluster import Cluster

FILTERS = ('catch_errors gatekeeper proxy_logging cache listing_formats bulk tempauth etag_quoter copy '
           'container_quotas account_quotas slo dlo versioned_writes symlink')
BIG = bytes(range(256)) * 4096 * 3      # 3 MiB


class User:
    """Somebody with a token."""

    def __init__(self, cluster, name, key, account='AUTH_test'):
        answer = requests.get(f'{cluster.base}/auth/v1.0', timeout=20,
                              headers={'X-Auth-User': name, 'X-Auth-Key': key})
        self.session = requests.Session()
        self.session.headers['X-Auth-Token'] = answer.headers['X-Auth-Token']
        self.base, self.account = f'{cluster.base}/v1', account

    def __call__(self, method, path, data=None, **headers):
        path = path if path.startswith('/AUTH_') else f'/{self.account}{path}'
        return self.session.request(method, self.base + path, data=data, timeout=60, allow_redirects=False,
                                    headers={name.replace('_', '-'): value for name, value in headers.items()})

    def put(self, path, data=b'', **headers):
        answer = self('PUT', path, data, **headers)
        assert answer.status_code in (201, 202), (path, answer.status_code, answer.text)
        return answer


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp('cluster'), filters=FILTERS) as cluster:
        yield cluster


@pytest.fixture(scope='module')
def owner(cluster):
    return User(cluster, 'test:tester', 'testing')


@pytest.fixture(scope='module')
def member(cluster):
    return User(cluster, 'test:tester3', 'testing3')


@pytest.fixture(scope='module')
def stranger(cluster):
    return User(cluster, 'test2:tester2', 'testing2')


def manifest(*entries):
    return json.dumps(entries).encode()


@pytest.fixture(scope='module')
def segments(owner):
    owner.put('/segs')
    third = len(BIG) // 3
    for number in range(3):
        owner.put(f'/segs/{number}', BIG[number * third:(number + 1) * third])
    return [{'path': f'/segs/{number}', 'size_bytes': third} for number in range(3)]


def test_a_large_object_is_one_object(owner, segments):
    owner.put('/slo')
    answer = owner.put('/slo/o?multipart-manifest=put', manifest(*segments), Content_Type='x/y')
    whole = owner('GET', '/slo/o')
    assert whole.content == BIG
    assert (whole.headers['Etag'], whole.headers['Content-Type']) == (answer.headers['Etag'], 'x/y')
    part = owner('GET', '/slo/o', Range='bytes=1048570-2097160')
    assert (part.status_code, part.content) == (206, BIG[1048570:2097161])
    entry, = owner('GET', '/slo?format=json').json()
    assert (entry['bytes'], entry['slo_etag']) == (len(BIG), answer.headers['Etag'])
    assert owner('GET', '/slo/o', If_None_Match=answer.headers['Etag']).status_code == 304
    assert owner('POST', '/slo/o', X_Object_Meta_A='1').status_code == 202
    assert owner('GET', '/slo/o').content == BIG


def test_a_prefix_is_one_object(owner, segments):
    owner.put('/dlo')
    owner.put('/dlo/o', X_Object_Manifest='segs/0')
    assert owner('GET', '/dlo/o').content == BIG[:len(BIG) // 3]
    assert owner('HEAD', '/dlo/o').headers['Content-Length'] == str(len(BIG) // 3)


def test_copies_are_made_within_the_cluster(owner, stranger, segments):
    owner.put('/copies')
    assert owner('COPY', '/segs/1', Destination='copies/one', X_Object_Meta_A='1').status_code == 201
    assert owner('HEAD', '/copies/one').headers['X-Object-Meta-A'] == '1'
    owner.put('/slo')
    owner.put('/slo/c?multipart-manifest=put', manifest(*segments))
    assert owner('COPY', '/slo/c', Destination='copies/flat').status_code == 201
    assert owner('GET', '/copies/flat').content == BIG
    assert 'X-Static-Large-Object' not in owner('HEAD', '/copies/flat').headers
    assert owner('COPY', '/slo/c?multipart-manifest=get', Destination='copies/again').status_code == 201
    assert owner('HEAD', '/copies/again').headers['X-Static-Large-Object'] == 'True'
    assert stranger('PUT', '/AUTH_test2/mine').status_code == 201
    for give in ('/AUTH_test/copies/one', '/AUTH_test/slo/c'):
        answer = stranger('PUT', '/AUTH_test2/mine/o', X_Copy_From_Account='AUTH_test',
                          X_Copy_From=give.removeprefix('/AUTH_test/'))
        assert answer.status_code == 403
    answer = owner('COPY', '/copies/one', Destination='mine/o', Destination_Account='AUTH_test2')
    assert answer.status_code == 403


def test_every_segment_is_read_with_the_rights_of_the_reader(owner, member, stranger, segments):
    owner.put('/shared', X_Container_Read='test:tester3', X_Container_Write='test:tester3')
    owner.put('/shared/slo?multipart-manifest=put', manifest(*segments))
    owner.put('/shared/dlo', X_Object_Manifest='segs/0')
    owner.put('/shared/link', X_Symlink_Target='segs/0')
    assert member('GET', '/shared/slo').status_code == 409
    assert member('GET', '/shared/dlo').status_code == member('GET', '/shared/link').status_code == 403
    assert b'/segs/0, 403 Forbidden' in member('PUT', '/shared/x?multipart-manifest=put', manifest(*segments)).content
    answer = member('DELETE', '/shared/slo?multipart-manifest=delete')
    assert answer.content.count(b'403 Forbidden') == 3
    assert owner('GET', '/segs/0').status_code == 200
    owner.put('/shared/slo?multipart-manifest=put', manifest(*segments))
    owner('POST', '/segs', X_Container_Read='test:tester3,.rlistings')
    assert member('GET', '/shared/slo').content == BIG
    assert member('GET', '/shared/dlo').status_code == member('GET', '/shared/link').status_code == 200
    stranger.put('/AUTH_test2/links')
    stranger.put('/AUTH_test2/links/l', X_Symlink_Target='segs/0', X_Symlink_Target_Account='AUTH_test')
    assert stranger('GET', '/AUTH_test2/links/l').status_code == 403


def test_versions_stay_until_they_are_deleted(owner, member):
    owner.put('/v', X_Versions_Enabled='true', X_Container_Read='test:tester3')
    ids = [owner.put('/v/d\u00e9', str(number).encode(), Content_Type=f'a/{number}').headers['X-Object-Version-Id']
           for number in range(3)]
    assert owner('GET', '/v/d\u00e9').content == b'2'
    assert [each['version_id'] for each in owner('GET', '/v?versions').json()] == ids[::-1]
    assert owner('GET', f'/v/d\u00e9?version-id={ids[0]}').content == b'0'
    assert member('GET', '/v/d\u00e9').content == b'2'
    for method in ('GET', 'DELETE', 'PUT'):
        assert member(method, f'/v/d\u00e9?version-id={ids[0]}').status_code == 403
    assert owner('POST', '/v/d\u00e9', X_Object_Meta_A='1').status_code == 202
    assert owner('HEAD', f'/v/d\u00e9?version-id={ids[2]}').headers['X-Object-Meta-A'] == '1'
    assert owner('DELETE', '/v/d\u00e9').status_code == 204
    assert owner('GET', '/v/d\u00e9').status_code == 404
    assert owner('PUT', f'/v/d\u00e9?version-id={ids[1]}').status_code == 201
    assert owner('GET', '/v/d\u00e9').content == b'1'
    assert owner('DELETE', '/v').status_code == 409
    for each in owner('GET', '/v?versions').json():
        assert owner('DELETE', f'/v/d\u00e9?version-id={each["version_id"]}').status_code == 204
    assert owner('GET', '/v?versions').json() == []
    assert owner('DELETE', '/v').status_code == 204
    assert owner('HEAD', '/v').status_code == 404


def test_names_of_any_length_have_versions(owner):
    owner.put('/vlong', X_Versions_Enabled='true')
    owner.put('/vlong/' + 'n' * 1024, b'1')
    assert owner('GET', '/vlong/' + 'n' * 1024).content == b'1'
    assert owner('PUT', '/vlong/' + 'n' * 1025, b'1').status_code == 400


def test_a_stack_of_versions(owner):
    owner.put('/old')
    owner.put('/stack', X_Versions_Location='old')
    for body in (b'1', b'22', b'333'):
        owner.put('/stack/o', body)
    for left in (b'22', b'1'):
        assert owner('DELETE', '/stack/o').status_code == 204
        assert owner('GET', '/stack/o').content == left
    assert owner('GET', '/old').status_code == 204


def test_an_archive_of_some_size(owner):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w') as made:
        for number in range(20):
            member = tarfile.TarInfo(f'arc/{number:02}')
            member.size = 100_000
            made.addfile(member, io.BytesIO(bytes([number]) * 100_000))
    answer = owner('PUT', '/?extract-archive=tar.gz', gzip.compress(stream.getvalue()), Accept='application/json')
    assert answer.json()['Number Files Created'] == 20
    assert owner('GET', '/arc/07').content == bytes([7]) * 100_000
    names = owner('GET', '/arc').text.split()
    body = ''.join(f'/arc/{name}\n' for name in names) + '/arc\n'
    assert owner('POST', '/?bulk-delete', body, Accept='application/json').json()['Number Deleted'] == 21


def test_what_the_expirer_is_left_is_gone_at_once(owner):
    owner.put('/later')
    owner.put('/later/1', b'1')
    owner.put('/later/slo?multipart-manifest=put', manifest({'path': '/later/1'}))
    assert owner('DELETE', '/later/slo?multipart-manifest=delete&async=on').status_code == 204
    assert owner('GET', '/later/slo').status_code == 404
    assert owner('GET', '/later/1').headers.get('X-Delete-At') or owner('GET', '/later/1').status_code == 404


def test_info_tells_the_limits(cluster):
    info = requests.get(f'{cluster.base}/info', timeout=20).json()
    assert info['slo']['max_manifest_segments'] == 1000
    assert info['symlink'] == {'symloop_max': 2, 'static_links': True}
    assert info['bulk_delete'] == {'max_deletes_per_request': 10000, 'max_failed_deletes': 1000}
    assert {'object_versioning', 'container_quotas', 'account_quotas', 'versioned_writes'} <= set(info)

"""Signed addresses, forms, web sites and encryption, all in one pipeline before a whole cluster."""

import hashlib
import hmac
import json
import socket
import time

import pytest
import requests

from strata.testing import wait
from tests.swift_cluster import Cluster

FILTERS = ('catch_errors gatekeeper healthcheck proxy_logging cache listing_formats tempurl formpost tempauth '
           'staticweb copy slo dlo versioned_writes symlink keymaster encryption proxy_logging')
SECRET = 'MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE='


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp('cluster'), filters=FILTERS,
                 options={'filter:keymaster': {'encryption_root_secret': SECRET}}) as cluster:
        yield cluster


class User:
    def __init__(self, cluster):
        self.cluster, self.url = cluster, cluster.url
        answer = requests.get(f'{cluster.base}/auth/v1.0', timeout=20,
                              headers={'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testing'})
        self.token = {'X-Auth-Token': answer.headers['X-Auth-Token']}

    def ask(self, method, path='', *, headers=None, **more):
        return requests.request(method, self.url + path, headers={**self.token, **(headers or {})}, timeout=20, **more)

    def anonymous(self, method, path, **more):
        return requests.request(method, self.url + path, timeout=20, allow_redirects=False, **more)

    def signed(self, method, path, key='akey', prefix=None, headers=None, data=None, **params):
        soon = int(time.time()) + 60
        signed = f'prefix:/v1/AUTH_test/{prefix}' if prefix is not None else f'/v1/AUTH_test{path}'
        params = {'temp_url_sig': hmac.new(key.encode(), f'{method}\n{soon}\n{signed}'.encode(), 'sha256').hexdigest(),
                  'temp_url_expires': str(soon), **params}
        if prefix is not None:
            params['temp_url_prefix'] = prefix.partition('/')[2]
        return self.anonymous(method, path, params=params, headers=headers, data=data)


@pytest.fixture(scope='module')
def user(cluster):
    user = User(cluster)
    assert user.ask('POST', headers={'X-Account-Meta-Temp-URL-Key': 'akey'}).status_code < 300
    for name, headers in (('/c', {'X-Container-Meta-Temp-URL-Key': 'ckey'}), ('/segments', {}),
                          ('/site', {'X-Container-Read': '.r:*,.rlistings', 'X-Container-Meta-Web-Index': 'index.html',
                                     'X-Container-Meta-Web-Error': 'err.html',
                                     'X-Container-Meta-Web-Listings': 'true'})):
        assert user.ask('PUT', name, headers=headers).status_code == 201
    return user


def form(user, path, files, key='akey', redirect='', max_size=1000, **more):
    soon = int(time.time()) + 60
    message = f'/v1/AUTH_test{path}\n{redirect}\n{max_size}\n5\n{soon}'
    fields = {'redirect': redirect, 'max_file_size': max_size, 'max_file_count': 5, 'expires': soon,
              'signature': hmac.new(key.encode(), message.encode(), 'sha256').hexdigest(), **more}
    parts = [(name, (None, str(value))) for name, value in fields.items()]
    return user.anonymous('POST', path, files=[*parts, *(('file', (name, data)) for name, data in files)])


def test_a_signed_address_writes_and_reads(user):
    assert user.signed('PUT', '/c/o', data=b'hello').status_code == 201
    answer = user.signed('GET', '/c/o')
    assert (answer.status_code, answer.content) == (200, b'hello')
    assert user.signed('GET', '/c/o', key='ckey').content == b'hello'
    assert user.signed('HEAD', '/c/o').headers['Content-Length'] == '5'
    assert user.signed('GET', '/c/o', key='wrong').status_code == user.anonymous('GET', '/c/o').status_code == 401
    assert user.signed('DELETE', '/c/o').status_code == 204
    assert user.signed('GET', '/c/o').status_code == 404


def test_a_changed_key_ends_its_addresses(user):
    user.ask('PUT', '/changing', headers={'X-Container-Meta-Temp-URL-Key': 'old'})
    user.ask('PUT', '/changing/o', data=b'x')
    assert user.signed('GET', '/changing/o', key='old').status_code == 200
    user.ask('POST', '/changing', headers={'X-Container-Meta-Temp-URL-Key': 'new'})
    assert user.signed('GET', '/changing/o', key='old').status_code == 401
    assert user.signed('GET', '/changing/o', key='new').status_code == 200


def test_large_objects_come_by_a_signed_address_as_far_as_its_key_goes(user):
    user.ask('PUT', '/segments/big/1', data=b'one,')
    user.ask('PUT', '/segments/big/2', data=b'two')
    assert user.ask('PUT', '/c/dlo', headers={'X-Object-Manifest': 'segments/big/'}).status_code == 201
    manifest = [{'path': '/segments/big/1'}, {'path': '/segments/big/2'}]
    assert user.ask('PUT', '/c/slo?multipart-manifest=put', data=json.dumps(manifest)).status_code == 201
    for name in ('/c/dlo', '/c/slo'):
        assert user.ask('GET', name).content == b'one,two'
        assert user.signed('GET', name).content == b'one,two'
        assert b'one' not in user.signed('GET', name, key='ckey').content
    assert user.signed('GET', '/c/slo', **{'multipart-manifest': 'get'}).content == b'one,two'


def test_a_form_uploads(user):
    body = bytes(range(256)) * 1000
    answer = form(user, '/c/up/', [('a.bin', body), ('b', b'')], redirect='http://h/done', max_size=len(body))
    assert (answer.status_code, answer.headers['Location']) == (303, 'http://h/done?status=201&message=')
    assert user.ask('GET', '/c/up/a.bin').content == body
    assert user.ask('GET', '/c/up/b').content == b''


def test_a_form_with_too_large_a_file_leaves_nothing_anywhere(user, cluster):
    before = len(cluster.files('.data'))
    assert form(user, '/c/large/', [('a', b'x' * 500_000)], max_size=400_000).status_code == 400
    assert user.ask('GET', '/c/large/a').status_code == 404
    wait.until(lambda: len(cluster.files('.data')) == before)


def test_a_client_that_goes_away_in_a_form_stores_nothing(user, cluster, caplog):
    before = len(cluster.files('.data'))
    mark = b'--m\r\nContent-Disposition: form-data; name="a"\r\n\r\nsome'
    with socket.create_connection(('127.0.0.1', cluster.proxy.port)) as sock:
        sock.sendall(b'POST /v1/AUTH_test/c/gone/ HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n'
                     b'Content-Type: multipart/form-data; boundary=m\r\n\r\n' + mark)
        sock.shutdown(socket.SHUT_WR)
        assert b' 4' in sock.makefile('rb').readline()
    assert len(cluster.files('.data')) == before
    assert 'Traceback' not in caplog.text


def test_a_web_site_is_served(user):
    for name, body in (('index.html', b'INDEX'), ('404err.html', b'GONE'), ('d/<x>.txt', b'x')):
        user.ask('PUT', f'/site/{name}', data=body, headers={'Content-Type': 'text/html'})
    assert user.anonymous('GET', '/site').headers['Location'] == f'{user.url}/site/'
    assert user.anonymous('GET', '/site/').content == b'INDEX'
    assert user.anonymous('GET', '/site/d').status_code == 301
    listing = user.anonymous('GET', '/site/d/')
    assert listing.status_code == 200 and '&lt;x&gt;.txt' in listing.text
    user.ask('PUT', '/json', headers={'X-Container-Read': '.r:*,.rlistings', 'X-Container-Meta-Web-Index': 'i'})
    user.ask('PUT', '/json/i', data=b'no listing', headers={'Content-Type': 'application/json'})
    assert user.anonymous('GET', '/json/').content == b'no listing'
    missing = user.anonymous('GET', '/site/nope')
    assert (missing.status_code, missing.content) == (404, b'GONE')
    assert user.anonymous('HEAD', '/site/nope').status_code == 404
    assert user.ask('GET', '/site/').text.splitlines()[0] == '404err.html'


def test_a_container_that_is_not_public_is_listed_by_a_signed_prefix(user):
    user.ask('PUT', '/hidden', headers={'X-Container-Meta-Web-Listings': 'true'})
    for name in ('d/a', 'd/e/b', 'other'):
        user.ask('PUT', f'/hidden/{name}', data=b'x')
    assert user.anonymous('GET', '/hidden/d/').status_code == 401
    page = user.signed('GET', '/hidden/d/', prefix='hidden/d/').text
    assert 'temp_url_sig=' in page and '>a</a>' in page and 'other' not in page


def test_what_is_encrypted_is_read_and_listed_and_not_on_any_disk(user, cluster):
    body = b'attack at dawn ' * 30_000
    md5 = hashlib.md5(body).hexdigest()
    answer = user.ask('PUT', '/c/secret', data=body, headers={'X-Object-Meta-Plan': 'reddish', 'Etag': md5})
    assert (answer.status_code, answer.headers['Etag']) == (201, md5)
    assert user.ask('PUT', '/c/secret', data=iter([b'other', b'']), headers={'Etag': md5}).status_code == 422
    got = user.ask('GET', '/c/secret', headers={'If-Match': md5})
    assert (got.content, got.headers['Etag'], got.headers['X-Object-Meta-Plan']) == (body, md5, 'reddish')
    assert user.ask('GET', '/c/secret', headers={'Range': 'bytes=100001-100050'}).content == body[100001:100051]
    several = user.ask('GET', '/c/secret', headers={'Range': 'bytes=1-20,70000-70100'})
    assert several.status_code == 206 and body[70000:70101] in several.content
    assert user.ask('GET', '/c/secret', headers={'If-None-Match': md5}).status_code == 304
    listed = {entry['name']: entry['hash'] for entry in user.ask('GET', '/c?format=json').json()}
    assert listed['secret'] == md5
    copied = user.ask('PUT', '/c/copied', headers={'X-Copy-From': 'c/secret', 'X-Object-Meta-New': 'bluish'})
    assert (copied.status_code, copied.headers['X-Object-Meta-Plan'], copied.headers['X-Object-Meta-New']) == (
        201, 'reddish', 'bluish')
    metadata = user.ask('HEAD', '/c/copied').headers
    assert (metadata['X-Object-Meta-Plan'], metadata['X-Object-Meta-New']) == ('reddish', 'bluish')
    assert user.ask('GET', '/c/copied').content == body
    assert not [path for path in cluster.files('.data') if b'attack' in path.read_bytes()]


def test_chunked_uploads_are_encrypted(user):
    pieces = [b'x' * 70_000, b'y' * 3, b'z' * 200_000]
    assert user.ask('PUT', '/c/chunked', data=iter(pieces)).status_code == 201
    assert user.ask('GET', '/c/chunked').content == b''.join(pieces)
    assert user.ask('PUT', '/c/nothing', data=iter([])).status_code == 201
    assert user.ask('GET', '/c/nothing').content == b''


def test_links_to_encrypted_objects_are_read(user):
    user.ask('PUT', '/c/target', data=b'target')
    md5 = hashlib.md5(b'target').hexdigest()
    assert user.ask('PUT', '/c/link', headers={'X-Symlink-Target': 'c/target'}).status_code == 201
    assert user.ask('PUT', '/c/hard', headers={'X-Symlink-Target': 'c/target',
                                               'X-Symlink-Target-Etag': md5}).status_code == 201
    for name in ('/c/link', '/c/hard'):
        answer = user.ask('GET', name, headers={'If-Match': md5})
        assert (answer.status_code, answer.content) == (200, b'target')
    listed = {entry['name']: entry for entry in user.ask('GET', '/c?format=json').json()}
    assert listed['hard']['symlink_etag'] == md5 and listed['link']['symlink_path'].endswith('/c/target')


def test_a_version_of_the_api_that_is_none_is_refused_before_old_objects_are_kept(user):
    for name, headers in (('/kept', {}), ('/keeps', {'X-Versions-Location': 'kept'})):
        assert user.ask('PUT', name, headers=headers).status_code == 201
    assert user.ask('PUT', '/keeps/o', data=b'first').status_code == 201
    for method in ('PUT', 'DELETE', 'GET', 'POST'):
        answer = requests.request(method, user.url.replace('/v1/', '/v7/') + '/keeps/o', headers=user.token, timeout=20)
        assert answer.status_code == 400, (method, answer.text)
    assert user.ask('GET', '/keeps/o').content == b'first' and not user.ask('GET', '/kept').content


def test_versions_are_encrypted_and_found_again(user):
    assert user.ask('PUT', '/versioned', headers={'X-Versions-Enabled': 'true'}).status_code == 201
    for body in (b'first', b'second'):
        assert user.ask('PUT', '/versioned/o', data=body).status_code == 201
    assert user.ask('GET', '/versioned/o').content == b'second'
    versions = user.ask('GET', '/versioned?versions&format=json').json()
    assert [entry['hash'] for entry in versions] == [hashlib.md5(body).hexdigest() for body in (b'second', b'first')]
    assert user.ask('GET', f'/versioned/o?version-id={versions[1]["version_id"]}').content == b'first'
    assert user.ask('PUT', '/stack').status_code == user.ask('PUT', '/top', headers={
        'X-Versions-Location': 'stack'}).status_code == 201
    for body in (b'first', b'second'):
        user.ask('PUT', '/top/o', data=body)
    user.ask('DELETE', '/top/o')
    assert user.ask('GET', '/top/o').content == b'first'


def test_large_objects_are_encrypted_and_found_in_listings(user):
    for number, body in enumerate((b'a' * 70_000, b'b' * 30)):
        user.ask('PUT', f'/segments/enc/{number}', data=body)
    whole = b'a' * 70_000 + b'b' * 30
    manifest = [{'path': f'/segments/enc/{number}', 'etag': hashlib.md5(body).hexdigest(), 'size_bytes': len(body)}
                for number, body in enumerate((whole[:70_000], whole[70_000:]))]
    made = user.ask('PUT', '/c/encslo?multipart-manifest=put', data=json.dumps(manifest))
    assert made.status_code == 201
    assert user.ask('GET', '/c/encslo', headers={'If-Match': made.headers['Etag']}).content == whole
    assert user.ask('GET', '/c/encslo', headers={'Range': 'bytes=69990-70005'}).content == whole[69990:70006]
    assert user.ask('GET', '/c/encslo', headers={'If-None-Match': made.headers['Etag']}).status_code == 304
    [entry] = user.ask('GET', '/c?format=json&prefix=encslo').json()
    assert (entry['bytes'], entry['slo_etag']) == (len(whole), made.headers['Etag'])
    got = user.ask('GET', '/c/encslo?multipart-manifest=get').json()
    assert [each['hash'] for each in got] == [each['etag'] for each in manifest]

"""Addresses that carry their own permission, before a store that lets nobody else in."""

import base64
import hmac
import time

import pytest

from strata import errors
from swift.http import Request
from swift.http import info as capabilities
from swift.http.path import quote
from swift.middleware import tempurl
from tests.swift_shelf import Shelf, denied

PATH = '/v1/AUTH_test/c/photos/o é'
QUOTED = '/v1/AUTH_test/c/photos/o%20%C3%A9'
#: hours away: the tests are gathered long before the last of them runs
SOON = int(time.time()) + 36000


def sign(method, path, expires=SOON, key='akey', algorithm='sha256', place=None):
    message = (f'ip={place}\n' if place else '') + f'{method}\n{expires}\n{path}'
    return hmac.new(key.encode(), message.encode(), algorithm).hexdigest()


class Cloud:
    def __init__(self, **options):
        self.shelf = Shelf()
        self.app = tempurl.filter_factory({}, **options)(self._anonymous)
        self.ask('POST', '/v1/AUTH_test', {'X-Account-Meta-Temp-URL-Key': 'akey',
                                           'X-Account-Meta-Temp-Url-Key-2': 'akey2'}, free=True)
        self.ask('PUT', '/v1/AUTH_test/c', {'X-Container-Meta-Temp-URL-Key': 'ckey'}, free=True)
        self.ask('PUT', '/v1/AUTH_test/other', {'X-Container-Meta-Temp-URL-Key-2': 'okey'}, free=True)
        self.ask('PUT', QUOTED, {'X-Object-Meta-Secret': '1', 'X-Object-Meta-Public-B': '2'}, b'hello', free=True)
        self.shelf.seen.clear()

    def _anonymous(self, environ, start_response):
        if not environ.get('swift.authorize_override'):
            environ['swift.authorize'] = denied
        self.passed = environ
        return self.shelf(environ, start_response)

    def ask(self, method, path, headers=None, body=None, *, free=False, address='192.0.2.7', **params):
        request = Request.blank(path, method=method, headers=headers, body=body, environ={'REMOTE_ADDR': address})
        if params:
            request.params = params
        return request.respond(self.shelf if free else self.app)

    def signed(self, method='GET', path=PATH, *, by=None, expires=SOON, params=None, headers=None,
               body=None, **how):
        return self.ask(method, quote(path), headers, body,
                        temp_url_sig=sign(by or method, path, expires, **how), temp_url_expires=str(expires),
                        **(params or {}))


@pytest.fixture
def cloud():
    return Cloud()


def test_a_signature_opens_an_object_until_its_time(cloud):
    answer = cloud.signed()
    assert (answer.status, answer.body) == (200, b'hello')
    assert answer.headers['Expires'].endswith('GMT')
    assert cloud.signed(expires=int(time.time()) - 1).status == 401


def test_without_a_signature_the_rest_of_the_pipeline_decides(cloud):
    assert cloud.ask('GET', QUOTED).status == 401
    assert cloud.ask('GET', QUOTED, filename='x').status == 401
    assert cloud.ask('OPTIONS', QUOTED, temp_url_sig='x').status == 200


@pytest.mark.parametrize('key', ['akey', 'akey2', 'ckey'])
@pytest.mark.parametrize('algorithm', ['sha256', 'sha512'])
def test_all_keys_and_algorithms_serve(cloud, key, algorithm):
    assert cloud.signed(key=key, algorithm=algorithm).status == 200


@pytest.mark.parametrize('key', ['okey', 'other', ''])
def test_other_keys_do_not(cloud, key):
    answer = cloud.signed(key=key)
    assert (answer.status, answer.body) == (401, b'401 Unauthorized: Temp URL invalid\n')
    assert answer.headers['Www-Authenticate'] == 'Swift realm="unknown"'


def test_sha1_is_refused_unless_the_operator_allows_it(cloud):
    assert cloud.signed(algorithm='sha1').status == 401
    assert Cloud(allowed_digests='sha1 sha256').signed(algorithm='sha1').status == 200


def test_an_unknown_algorithm_is_a_mistake_of_the_operator():
    with pytest.raises(errors.Invalid, match='md5'):
        Cloud(allowed_digests='md5')


@pytest.mark.parametrize('urlsafe', [True, False])
def test_a_signature_may_be_base64_after_its_algorithm(cloud, urlsafe):
    digest = bytes.fromhex(sign('GET', PATH, algorithm='sha512'))
    text = base64.urlsafe_b64encode(digest).rstrip(b'=') if urlsafe else base64.b64encode(digest)
    answer = cloud.ask('GET', QUOTED, temp_url_sig='sha512:' + text.decode(), temp_url_expires=str(SOON))
    assert answer.status == 200


@pytest.mark.parametrize('signature', ['', 'zz', '0' * 64, 'sha256:', 'sha256:!', 'sha1:AA', 'md5:AAAA', 'é' * 64])
def test_nonsense_is_refused(cloud, signature):
    assert cloud.ask('GET', QUOTED, temp_url_sig=signature, temp_url_expires=str(SOON)).status == 401


@pytest.mark.parametrize('expires', ['', 'soon', '1e9', '-1', f'{SOON}.0', '9' * 400, '2030-01-01', '٢٠٣٠'])
def test_an_expiry_that_is_no_time_is_refused(cloud, expires):
    answer = cloud.ask('GET', QUOTED, temp_url_sig=sign('GET', PATH, expires), temp_url_expires=expires)
    assert answer.status == 401


def test_an_expiry_may_be_written_as_a_date(cloud):
    date = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(SOON))
    assert cloud.ask('GET', QUOTED, temp_url_sig=sign('GET', PATH), temp_url_expires=date).status == 200


def test_a_signature_is_for_one_method_and_one_path(cloud):
    assert cloud.signed('PUT', by='GET', body=b'').status == 401
    assert cloud.signed('DELETE', by='GET').status == 401
    assert cloud.ask('GET', QUOTED + 'x', temp_url_sig=sign('GET', PATH), temp_url_expires=str(SOON)).status == 401
    assert cloud.signed(path='/v1/AUTH_test/c').status == 401


@pytest.mark.parametrize(('by', 'status'), [('HEAD', 200), ('GET', 200), ('PUT', 200), ('POST', 200), ('DELETE', 401)])
def test_head_is_allowed_by_what_allows_more(cloud, by, status):
    assert cloud.signed('HEAD', by=by).status == status


def test_methods_can_be_cut_down():
    cloud = Cloud(methods='GET HEAD')
    assert cloud.signed().status == 200
    assert cloud.signed('PUT', body=b'x').status == 401


def test_a_put_writes_and_a_delete_removes(cloud):
    path = '/v1/AUTH_test/c/new'
    assert cloud.signed('PUT', path, body=b'fresh', headers={'X-Timestamp': '1'}).status == 201
    assert 'HTTP_X_TIMESTAMP' not in cloud.passed
    assert cloud.signed('GET', path).body == b'fresh'
    assert cloud.signed('DELETE', path).status == 204


def test_a_prefix_opens_what_is_below_it(cloud):
    def ask(prefix, path=QUOTED):
        return cloud.ask('GET', path, temp_url_prefix=prefix, temp_url_expires=str(SOON),
                         temp_url_sig=sign('GET', f'prefix:/v1/AUTH_test/c/{prefix}')).status
    assert [ask('photos/'), ask('pho'), ask('photos/o é'), ask('')] == [200] * 4
    assert ask('videos/') == ask('c') == 401
    assert ask('photos/', '/v1/AUTH_test/other/photos/o') == 401
    assert cloud.ask('GET', QUOTED, temp_url_sig=sign('GET', PATH), temp_url_expires=str(SOON),
                     temp_url_prefix='photos/').status == 401


@pytest.mark.parametrize(('place', 'status'), [
    ('192.0.2.0/24', 200), ('192.0.2.7', 200), ('192.0.2.8', 401), ('192.0.2.7/24', 401), ('2001:db8::/32', 401),
    ('nowhere', 401)])
def test_a_range_of_clients_is_held_to(cloud, place, status):
    assert cloud.signed(place=place, params={'temp_url_ip_range': place}).status == status


def test_the_range_is_part_of_the_signature(cloud):
    assert cloud.signed(params={'temp_url_ip_range': '192.0.2.0/24'}).status == 401
    assert cloud.signed(place='192.0.2.0/24').status == 401


@pytest.mark.parametrize(('params', 'said'), [
    ({}, """attachment; filename="o %C3%A9"; filename*=UTF-8''o%20%C3%A9"""),
    ({'filename': 'x/y"z é'}, """attachment; filename="x/y%22z %C3%A9"; filename*=UTF-8''x/y%22z%20%C3%A9"""),
    ({'inline': ''}, 'inline'),
    ({'inline': '', 'filename': 'a\r\nb'}, """inline; filename="a%0D%0Ab"; filename*=UTF-8''a%0D%0Ab"""),
])
def test_how_a_browser_shows_the_body(cloud, params, said):
    assert cloud.signed(params=params).headers['Content-Disposition'] == said


def test_the_objects_own_disposition_stays(cloud):
    path = '/v1/AUTH_test/c/d'
    cloud.ask('PUT', path, {'Content-Disposition': 'attachment; filename=foo'}, b'', free=True)
    assert cloud.signed(path=path).headers['Content-Disposition'] == 'attachment; filename=foo'


def test_metadata_is_not_shown_unless_it_is_public(cloud):
    answer = cloud.signed()
    assert 'X-Object-Meta-Secret' not in answer.headers
    assert answer.headers['X-Object-Meta-Public-B'] == '2'
    answer = Cloud(outgoing_remove_headers='etag').signed()
    assert answer.headers['X-Object-Meta-Secret'] == '1' and 'Etag' not in answer.headers


def test_incoming_headers_can_be_taken_out():
    cloud = Cloud(incoming_remove_headers='x-object-meta-*', incoming_allow_headers='x-object-meta-a')
    path = '/v1/AUTH_test/c/new'
    cloud.signed('PUT', path, body=b'', headers={'X-Object-Meta-A': '1', 'X-Object-Meta-B': '2'})
    kept = cloud.shelf.objects['AUTH_test', 'c', 'new'].headers
    assert 'X-Object-Meta-A' in kept and 'X-Object-Meta-B' not in kept


def test_the_keys_owner_gives_no_more_than_the_key_says(cloud):
    """What filters further in ask for on behalf of the request stays in the container, or the account, of the key."""
    def may(path):
        return cloud.passed['swift.authorize'](Request.blank(path)) is None
    cloud.signed(key='ckey')
    assert [may('/v1/AUTH_test/c/segments/1'), may('/v1/AUTH_test/other/x'), may('/v1/AUTH_else/c/x'),
            may('/v1/AUTH_test')] == [True, False, False, False]
    cloud.signed(key='akey')
    assert [may('/v1/AUTH_test/c/segments/1'), may('/v1/AUTH_test/other/x'), may('/v1/AUTH_else/c/x'),
            may('/')] == [True, True, False, False]


@pytest.mark.parametrize('header', ['X-Object-Manifest', 'X-Symlink-Target', 'X-Copy-From'])
def test_headers_that_reach_other_objects_are_refused(cloud, header):
    answer = cloud.signed('PUT', body=b'', headers={header: 'other/x'})
    assert (answer.status, header in answer.body.decode()) == (400, True)
    assert cloud.shelf.objects['AUTH_test', 'c', 'photos/o é'].body == b'hello'


def test_ranges_go_through(cloud):
    answer = cloud.signed(headers={'Range': 'bytes=1-2'})
    assert (answer.status, answer.body) == (206, b'el')


def test_what_it_can_do_is_told(cloud):
    told = capabilities.get()['tempurl']
    assert told['methods'] == ['GET', 'HEAD', 'PUT', 'POST', 'DELETE']
    assert told['allowed_digests'] == ['sha256', 'sha512'] and told['deprecated_digests'] == []
    assert told['outgoing_allow_headers'] == ['x-object-meta-public-*']

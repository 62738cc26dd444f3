"""Encryption before a store that keeps what it is given: nothing of a user's is readable there, all of it here."""

import base64
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from strata import errors
from swift.http import HttpError, Request
from swift.middleware import crypto
from swift.middleware.crypto import ciphers, keymaster
from tests.swift_shelf import Shelf

SECRET = base64.b64encode(b'0' * 32).decode()
OTHER = base64.b64encode(b'1' * 40).decode()
PATH = '/v1/AUTH_test/c/o'
TEXT = b'attack at dawn, or a little later if it rains'
MD5 = hashlib.md5(TEXT).hexdigest()


class Cloud:
    def __init__(self, shelf=None, keys=None, **options):
        self.shelf = shelf or Shelf()
        encrypted = crypto.filter_factory({}, **options)(self.shelf)
        self.app = keymaster.filter_factory({}, **(keys or {'encryption_root_secret': SECRET}))(encrypted)
        self.ask('PUT', '/v1/AUTH_test/c')

    def ask(self, method, path=PATH, body=None, environ=None, **headers):
        given = {name.replace('_', '-'): value for name, value in headers.items()}
        request = Request.blank(path, method=method, headers=given, body=body, environ=environ)
        answer = request.respond(self.app)
        assert isinstance(answer.body, bytes)
        return answer

    @property
    def kept(self):
        return self.shelf.objects['AUTH_test', 'c', 'o']

    def listed(self):
        return [entry['hash'] for entry in json.loads(self.ask('GET', '/v1/AUTH_test/c?format=json').body)]


@pytest.fixture
def cloud():
    cloud = Cloud()
    answer = cloud.ask('PUT', body=TEXT, X_Object_Meta_Color='reddish', X_Object_Meta_Empty='')
    assert (answer.status, answer.headers['Etag']) == (201, MD5)
    return cloud


def test_what_is_written_comes_back(cloud):
    answer = cloud.ask('GET')
    assert (answer.status, answer.body, answer.headers['Etag']) == (200, TEXT, MD5)
    assert answer.headers['X-Object-Meta-Color'] == 'reddish'
    assert cloud.listed() == [MD5]
    head = cloud.ask('HEAD')
    assert (head.headers['Etag'], head.headers['Content-Length']) == (MD5, str(len(TEXT)))


def test_nothing_of_it_is_kept_as_it_was(cloud):
    assert len(cloud.kept.body) == len(TEXT) and cloud.kept.body != TEXT
    kept = repr(cloud.kept.headers) + cloud.kept.listed
    assert MD5 not in kept and 'reddish' not in kept and base64.b64encode(b'reddish').decode() not in kept


def test_nothing_of_the_cipher_is_shown(cloud):
    for answer in (cloud.ask('GET'), cloud.ask('HEAD'), cloud.ask('GET', If_None_Match=MD5)):
        assert not [name for name in answer.headers if 'Crypto' in name]


def test_the_same_twice_does_not_look_the_same(cloud):
    first = cloud.kept.body
    cloud.ask('PUT', body=TEXT)
    assert cloud.kept.body != first and cloud.ask('GET').body == TEXT


@settings(max_examples=60)
@given(some.integers(0, 44), some.integers(0, 44))
def test_every_range_is_readable(start, stop):
    cloud = Cloud()
    cloud.ask('PUT', body=TEXT)
    start, stop = min(start, stop), max(start, stop)
    answer = cloud.ask('GET', Range=f'bytes={start}-{stop}')
    assert (answer.status, answer.body) == (206, TEXT[start:stop + 1])
    assert cloud.ask('GET', Range=f'bytes=-{stop + 1}').body == TEXT[-stop - 1:]


def test_several_ranges_are_readable(cloud):
    answer = cloud.ask('GET', Range='bytes=0-5,17-20,-3')
    assert answer.status == 206 and int(answer.headers['Content-Length']) == len(answer.body)
    for piece in (TEXT[:6], TEXT[17:21], TEXT[-3:]):
        assert b'\r\n\r\n' + piece + b'\r\n--' in answer.body
    assert answer.body.endswith(b'--')
    beyond = cloud.ask('GET', Range='bytes=1000-')
    assert beyond.status == 416 and b'not there' in beyond.body


@pytest.mark.parametrize(('header', 'value', 'status'), [
    ('If-Match', MD5, 200), ('If-Match', f'"x", "{MD5}"', 200), ('If-Match', 'x', 412), ('If-Match', '*', 200),
    ('If-None-Match', f'"{MD5}"', 304), ('If-None-Match', f'W/"{MD5}"', 304), ('If-None-Match', 'x', 200),
    ('If-None-Match', '*', 304)])
def test_conditions_are_about_what_the_client_sent(cloud, header, value, status):
    answer = cloud.ask('GET', **{header: value})
    assert (answer.status, answer.headers['Etag']) == (status, MD5)


def test_a_wrong_etag_is_refused_and_a_right_one_taken(cloud):
    assert cloud.ask('PUT', body=TEXT, Etag=f'"{MD5}"').status == 201
    assert cloud.ask('PUT', body=b'other', Etag=MD5).status == 422
    assert cloud.ask('GET').body == TEXT


def test_metadata_can_be_replaced(cloud):
    cloud.ask('POST', X_Object_Meta_Shape='\xc3\xa9toile')
    answer = cloud.ask('GET')
    assert answer.headers['X-Object-Meta-Shape'] == '\xc3\xa9toile' and 'X-Object-Meta-Color' not in answer.headers
    assert answer.body == TEXT
    assert cloud.ask('POST', **{'X-Object-Meta-': 'x'}).status == 400


@pytest.mark.parametrize('metadata', [{'X-Object-Meta-A': 'x' * 257}, {f'X-Object-Meta-{"a" * 129}': 'x'},
                                      {f'X-Object-Meta-A{number}': 'x' for number in range(91)},
                                      {'X-Object-Meta-A': '\xff'}])
def test_limits_of_metadata_hold_although_they_are_encrypted(cloud, metadata):
    for method, body in (('PUT', b'other'), ('POST', None)):
        assert cloud.ask(method, body=body, **metadata).status == 400
    assert cloud.ask('GET').headers['X-Object-Meta-Color'] == 'reddish'


def test_an_empty_object_has_nothing_to_hide(cloud):
    answer = cloud.ask('PUT', body=b'', X_Object_Meta_A='secret')
    nothing = hashlib.md5(b'').hexdigest()
    assert answer.headers['Etag'] == cloud.kept.headers['Etag'] == nothing
    assert ciphers.BODY_META not in cloud.kept.headers
    answer = cloud.ask('GET', If_Match=nothing)
    assert (answer.status, answer.body, answer.headers['X-Object-Meta-A']) == (200, b'', 'secret')
    assert cloud.listed() == [nothing]


def test_what_other_filters_say_of_the_listing_is_encrypted_too(cloud):
    cloud.ask('PUT', body=TEXT, **{ciphers.OVERRIDE: 'abc; slo_etag=def'})
    assert 'slo_etag' not in cloud.kept.listed
    assert cloud.listed() == ['abc; slo_etag=def']

    def footers(late):
        late['X-Object-Sysmeta-Container-Update-Override-Etag'] = 'fed; symlink_target=x'
        late['Etag'] = MD5
    cloud.ask('PUT', body=TEXT, environ={'swift.callback.update_footers': footers})
    assert cloud.listed() == ['fed; symlink_target=x']
    assert cloud.ask('HEAD').headers[ciphers.OVERRIDE] == 'fed; symlink_target=x'


def test_a_footers_wrong_etag_is_refused(cloud):
    assert cloud.ask('PUT', body=b'other', environ={
        'swift.callback.update_footers': lambda late: late.update(Etag=MD5)}).status == 422


def test_it_can_be_switched_off_for_what_is_new(cloud):
    plain = Cloud(cloud.shelf, disable_encryption='true')
    assert plain.ask('GET').body == TEXT
    plain.ask('PUT', '/v1/AUTH_test/c/plain', b'plain', X_Object_Meta_A='1')
    kept = cloud.shelf.objects['AUTH_test', 'c', 'plain']
    assert kept.body == b'plain' and kept.headers['X-Object-Meta-A'] == '1'
    assert cloud.ask('GET', '/v1/AUTH_test/c/plain').body == b'plain'
    assert cloud.ask('GET', '/v1/AUTH_test/c/plain', If_Match=hashlib.md5(b'plain').hexdigest()).status == 200
    assert sorted(cloud.listed()) == sorted([MD5, hashlib.md5(b'plain').hexdigest()])


def test_secrets_can_be_followed_by_others(cloud):
    both = {'encryption_root_secret': SECRET, 'encryption_root_secret_2026': OTHER, 'active_root_secret_id': '2026'}
    later = Cloud(cloud.shelf, both)
    answer = later.ask('GET', If_Match=MD5)
    assert (answer.status, answer.body, answer.headers['X-Object-Meta-Color']) == (200, TEXT, 'reddish')
    later.ask('POST', X_Object_Meta_Color='blue')       # by the new secret, beside a body by the old
    assert later.ask('GET').headers['X-Object-Meta-Color'] == 'blue'
    later.ask('PUT', '/v1/AUTH_test/c/new', b'new')
    assert '2026' in cloud.shelf.objects['AUTH_test', 'c', 'new'].headers[ciphers.BODY_META]
    assert later.ask('GET', '/v1/AUTH_test/c/new').body == b'new'
    assert cloud.ask('GET', '/v1/AUTH_test/c/new').status == 500
    assert '<unknown>' in cloud.listed() and '<unknown>' not in later.listed()


@pytest.mark.parametrize('version', ['1', '2', '3'])
@pytest.mark.parametrize('name', ['o', '%2Fslash', 'd/%C3%A9', '/x'])
def test_keys_of_all_versions_are_found_again(version, name):
    keys = {'encryption_root_secret': SECRET, 'meta_version_to_write': version}
    cloud, path = Cloud(keys=keys), f'/v1/AUTH_test/c/{name}'
    cloud.ask('PUT', path, TEXT, X_Object_Meta_A='1')
    answer = Cloud(cloud.shelf).ask('GET', path)
    assert (answer.body, answer.headers['X-Object-Meta-A'], answer.headers['Etag']) == (TEXT, '1', MD5)
    assert Cloud(cloud.shelf).listed() == [MD5]


def test_what_was_moved_as_it_is_stays_readable(cloud):
    cloud.ask('PUT', '/v1/AUTH_test/elsewhere')
    cloud.shelf.objects['AUTH_test', 'elsewhere', 'p'] = cloud.kept
    assert cloud.ask('GET', '/v1/AUTH_test/elsewhere/p').body == TEXT


@pytest.mark.parametrize('damage', ['', '%7B', 'null', '%7B%22cipher%22%3A%22AES_CTR_256%22%7D',
                                    '%7B%22cipher%22%3A%22ROT13%22%7D'])
def test_a_damaged_description_is_an_error_not_a_wrong_body(cloud, damage):
    cloud.kept.headers[ciphers.BODY_META] = damage or 'x'
    answer = cloud.ask('GET')
    assert (answer.status, answer.body) == (500, b'Error decrypting object')


def test_without_a_keymaster_nothing_is_written_or_read(cloud):
    alone = crypto.filter_factory({})(cloud.shelf)
    for method, body in (('PUT', b'x'), ('GET', None)):
        assert Request.blank(PATH, method=method, body=body).respond(alone).status == 500
    assert cloud.ask('GET').body == TEXT


def test_what_the_cors_header_shows_has_its_plain_name(cloud):
    cloud.kept.headers['Access-Control-Expose-Headers'] = (
        'etag, x-object-transient-sysmeta-crypto-meta-color, X-Object-Sysmeta-Crypto-Etag')
    assert cloud.ask('GET').headers['Access-Control-Expose-Headers'] == 'etag, x-object-meta-color'


def test_an_error_is_handed_on_as_it_is(cloud):
    assert cloud.ask('GET', PATH + 'x').status == 404
    with pytest.raises(ZeroDivisionError):
        Request.blank(PATH).respond(crypto.filter_factory({})(lambda environ, start: 1 // 0))


@pytest.mark.parametrize(('conf', 'said'), [
    ({}, 'encryption_root_secret must be set'),
    ({'encryption_root_secret': 'short'}, 'base64 of at least 32'),
    ({'encryption_root_secret': SECRET[:-8]}, 'base64 of at least 32'),
    ({'encryption_root_secret_a': SECRET}, 'no encryption_root_secret, which'),
    ({'encryption_root_secret': SECRET, 'active_root_secret_id': 'a'}, 'no encryption_root_secret_a'),
    ({'encryption_root_secret': SECRET, 'meta_version_to_write': '9'}, 'meta_version_to_write'),
    ({'encryption_root_secret': SECRET, 'keymaster_config_path': '/x'}, 'beside keymaster_config_path'),
    ({'keymaster_config_path': '/does/not/exist'}, 'cannot be read'),
])
def test_mistakes_of_the_operator_are_named_without_the_secret(conf, said):
    with pytest.raises(errors.Invalid, match=said) as error:
        keymaster.filter_factory({}, **conf)
    assert SECRET[:-8] not in str(error.value)


def test_secrets_may_be_in_a_file_of_their_own(cloud, tmp_path):
    file = tmp_path / 'keymaster.conf'
    file.write_text(f'[keymaster]\nencryption_root_secret = {SECRET}\nencryption_root_secret_b = {OTHER}\n')
    assert Cloud(cloud.shelf, {'keymaster_config_path': str(file)}).ask('GET').body == TEXT


def test_a_client_that_breaks_off_leaves_nothing(cloud):
    class Broken:
        def read(self, size=-1):
            raise HttpError(499)
    answer = cloud.ask('PUT', PATH + 'x', environ={'wsgi.input': Broken(), 'CONTENT_LENGTH': '9'})
    assert answer.status == 499 and len(cloud.shelf.objects) == 1

"""Published weaknesses of object stores, as far as signed addresses, forms and web sites go: none of them is ours."""

import time

import pytest

from swift.http import Request
from swift.middleware import signatures
from tests.functional.test_swift_mw_cluster import cluster, form, user  # noqa: F401
from tests.functional.test_swift_mw_formpost import Cloud as Forms
from tests.functional.test_swift_mw_formpost import file
from tests.functional.test_swift_mw_tempurl import Cloud as Addresses

# the fixtures above are used by name
# ruff: noqa: F811


def quickest(*digests):
    """The least nanoseconds of each of them; they take turns, for the machine may be slow for a while."""
    best = [1 << 62] * len(digests)
    for _ in range(4000):
        for number, digest in enumerate(digests):
            began = time.perf_counter_ns()
            signatures.signer([(b'key', False)], [b'message'], 'sha256', digest)
            best[number] = min(best[number], time.perf_counter_ns() - began)
    return best


def test_ossa_2014_002_a_signature_that_begins_right_takes_no_longer_than_one_that_does_not():
    right = signatures.sign(b'key', b'message', 'sha256')
    other = {letter: ('0' if letter != '0' else '1') for letter in '0123456789abcdef'}
    first, last = other[right[0]] + right[1:], right[:-1] + other[right[-1]]
    assert signatures.signer([(b'key', False)], [b'message'], 'sha256', right)
    times = sorted(quickest(first, last))
    assert times[1] < times[0] * 1.2


def test_ossa_2014_002_all_keys_are_tried_whichever_signed():
    asked = []

    def keys():
        for number in range(4):
            asked.append(number)
            yield f'key{number}'.encode(), False
    right = signatures.sign(b'key0', b'message', 'sha256')
    assert signatures.signer(keys(), [b'message'], 'sha256', right) == (b'key0', False)
    assert asked == [0, 1, 2, 3]


@pytest.mark.parametrize('path', ['/v1/"><script>', '/v1/AUTH_test"%0d%0aSet-Cookie:x/c/o', '/v1/AUTH_test/c/"<b>'])
def test_ossa_2014_020_what_a_client_sent_is_not_in_the_challenge(path):
    addresses, forms = Addresses(), Forms()
    answers = [addresses.ask('GET', path, temp_url_sig='"><script>', temp_url_expires='1')]
    request = Request.blank(path, method='POST', headers={'Content-Type': 'multipart/form-data; boundary=x'},
                            body=b'--x\r\nContent-Disposition: form-data; name="f"; filename="<a>"\r\n\r\n\r\n--x--')
    answers.append(request.respond(forms.app))
    for answer in answers:
        assert answer.status == 401
        assert answer.headers['Www-Authenticate'] == 'Swift realm="unknown"'
        assert b'<' not in answer.body


@pytest.mark.parametrize('header', ['X-Object-Manifest', 'X-Symlink-Target', 'X-Copy-From'])
@pytest.mark.parametrize('method', ['PUT', 'POST'])
def test_ossa_2015_016_a_signed_upload_cannot_point_at_other_objects(user, header, method):
    user.ask('PUT', '/segments/private', data=b'private')
    user.ask('PUT', '/c/pointer', data=b'mine')
    answer = user.signed(method, '/c/pointer', data=b'', headers={header: 'segments/private'})
    assert answer.status_code == 400
    assert b'private' not in user.signed('GET', '/c/pointer').content
    assert 'X-Object-Manifest' not in user.ask('HEAD', '/c/pointer').headers


def test_ossa_2015_016_a_containers_key_does_not_open_other_containers_through_a_large_object(user):
    user.ask('PUT', '/segments/leak/1', data=b'private')
    user.ask('PUT', '/c/leak', headers={'X-Object-Manifest': 'segments/leak/'})
    assert user.signed('GET', '/c/leak', key='akey').content == b'private'
    assert b'private' not in user.signed('GET', '/c/leak', key='ckey').content


def test_ossa_2015_016_a_form_cannot_make_manifests(user):
    user.ask('PUT', '/segments/private', data=b'private')
    answer = form(user, '/c/form/', [('x', b'')], **{'x-object-manifest': 'segments/private',
                                                    'x_object_manifest': 'segments/private'})
    assert answer.status_code == 201
    assert user.ask('GET', '/c/form/x').content == b''


def test_a_form_whose_fields_never_end_is_refused():
    class Endless:
        taken = 0

        def __init__(self, head):
            self.head = head

        def read(self, size):
            Endless.taken += size
            if self.head:
                piece, self.head = self.head, b''
                return piece
            if Endless.taken > 200_000_000:
                return b''
            return b'x' * size
    app = Forms().app
    for head in (b'', b'--m\r\n', b'--m\r\nContent-Disposition: form-data; name="a"\r\n\r\n'):
        Endless.taken = 0
        request = Request.blank('/v1/AUTH_test/c', method='POST',
                                headers={'Content-Type': 'multipart/form-data; boundary=m'})
        request.environ['wsgi.input'] = Endless(head)
        assert request.respond(app).status == 400


def test_a_file_is_refused_as_soon_as_it_is_too_large():
    forms = Forms()
    answer = forms.post(file('a', b'x' * 1_000_000), max_file_size='10')
    assert answer.status == 400 and not forms.shelf.objects


def test_secrets_are_shown_to_the_owner_only(user):
    headers = user.ask('HEAD', '/c').headers
    assert headers['X-Container-Meta-Temp-Url-Key'] == 'ckey'
    user.ask('PUT', '/open', headers={'X-Container-Read': '.r:*,.rlistings', 'X-Container-Meta-Temp-URL-Key': 'okey'})
    seen = user.anonymous('GET', '/open')
    assert seen.status_code in (200, 204) and 'okey' not in str(seen.headers)

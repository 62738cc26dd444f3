"""Uploads from a web page's form, before a store that lets nobody else in."""

import hmac
import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from swift.http import Request
from swift.http import info as capabilities
from swift.middleware import formpost, multipart
from tests.swift_shelf import Shelf, denied

#: hours away: the tests are gathered long before the last of them runs
SOON = int(time.time()) + 36000
PATH = '/v1/AUTH_test/c/up/'
MARK = '----x'


def field(name, value):
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value


def file(name, data, more=''):
    head = f'Content-Disposition: form-data; name="f"; filename="{name}"\r\n{more}\r\n'
    return head.encode() + data


def joined(parts, mark=MARK):
    begin = f'--{mark}\r\n'.encode()
    return b''.join(begin + part + b'\r\n' for part in parts) + f'--{mark}--\r\n'.encode()


class Dribble(io.BytesIO):
    """A client that sends little at a time."""

    def __init__(self, data, size):
        super().__init__(data)
        self.size = size

    def read(self, size=-1):
        return super().read(min(size, self.size) if size >= 0 else self.size)


class Cloud:
    def __init__(self, **options):
        self.shelf = Shelf()
        self.app = formpost.filter_factory({}, **options)(self._anonymous)
        for method, path, headers in (('POST', '/v1/AUTH_test', {'X-Account-Meta-Temp-URL-Key': 'akey'}),
                                      ('PUT', '/v1/AUTH_test/c', {'X-Container-Meta-Temp-URL-Key': 'ckey'})):
            Request.blank(path, method=method, headers=headers).respond(self.shelf)

    def _anonymous(self, environ, start_response):
        if not environ.get('swift.authorize_override'):
            environ['swift.authorize'] = denied
        self.passed = environ
        return self.shelf(environ, start_response)

    def post(self, *files, path=PATH, key='akey', algorithm='sha256', without=(), body=None, dribble=65536, **more):
        given = {'redirect': '', 'max_file_size': '100', 'max_file_count': '2', 'expires': str(SOON), **more}
        message = '\n'.join([path, *(given[name] for name in ('redirect', 'max_file_size', 'max_file_count',
                                                              'expires'))])
        given.setdefault('signature', hmac.new(key.encode(), message.encode(), algorithm).hexdigest())
        parts = [field(name, value.encode()) for name, value in given.items() if name not in without]
        body = joined([*parts, *files]) if body is None else body
        request = Request.blank(path, method='POST', headers={
            'Content-Type': f'multipart/form-data; boundary={MARK}', 'Content-Length': str(len(body))})
        request.environ['wsgi.input'] = Dribble(body, dribble)
        return request.respond(self.app)

    def kept(self, name):
        found = self.shelf.objects.get(('AUTH_test', 'c', name))
        return found and found.body


@pytest.fixture
def cloud():
    return Cloud()


@pytest.mark.parametrize('dribble', [1, 7, 65536])
def test_files_of_a_form_are_stored_below_its_prefix(cloud, dribble):
    answer = cloud.post(file('a.txt', b'aaa', 'Content-Type: text/x-a\r\n'),
                        file('é "b"'.replace('"', '\\"'), b'\r\n--' + b'b' * 50, 'Content-Encoding: gzip\r\n'),
                        dribble=dribble)
    assert (answer.status, answer.body) == (201, b'201 Created')
    assert cloud.kept('up/a.txt') == b'aaa' and cloud.kept('up/é "b"') == b'\r\n--' + b'b' * 50
    headers = [cloud.shelf.objects['AUTH_test', 'c', name].headers for name in ('up/a.txt', 'up/é "b"')]
    assert headers[0]['Content-Type'] == 'text/x-a' and headers[1]['Content-Encoding'] == 'gzip'


@pytest.mark.parametrize('key', ['akey', 'ckey'])
@pytest.mark.parametrize('algorithm', ['sha1', 'sha256', 'sha512'])
def test_keys_of_account_and_container_serve(cloud, key, algorithm):
    assert cloud.post(file('a', b''), key=key, algorithm=algorithm).status == 201


@pytest.mark.parametrize(('how', 'status', 'said'), [
    ({'key': 'other'}, 401, 'Invalid Signature'),
    ({'signature': '0' * 64}, 401, 'Invalid Signature'),
    ({'signature': 'zz'}, 401, 'Invalid Signature'),
    ({'without': ['signature']}, 401, 'Invalid Signature'),
    ({'without': ['max_file_size']}, 401, 'Invalid Signature'),
    ({'without': ['expires']}, 401, 'Form Expired'),
    ({'expires': '12'}, 401, 'Form Expired'),
    ({'expires': 'soon'}, 400, 'expired not an integer'),
    ({'max_file_size': 'zz'}, 400, 'max_file_size not an integer'),
    ({'max_file_count': 'zz'}, 400, 'max_file_count not an integer'),
    ({'max_file_count': '0'}, 400, 'Max File Count Exceeded'),
    ({'max_file_size': '-1'}, 400, 'max_file_size exceeded'),
    ({'max_file_size': '2'}, 400, 'max_file_size exceeded'),
    ({'x_delete_at': 'zz'}, 400, 'x_delete_at not an integer: Unix timestamp required.'),
    ({'x_delete_after': '1' * 30}, 400, 'x_delete_after not an integer: Number of seconds required.'),
    ({'path': '/v1/AUTH_test'}, 401, 'Invalid Signature'),
    ({'path': '/v1/AUTH_test/none/'}, 404, '404 Not Found'),
])
def test_a_form_that_is_wrong_stores_nothing(cloud, how, status, said):
    answer = cloud.post(file('a', b'aaa'), **how)
    assert answer.status == status and said in answer.body.decode()
    assert not cloud.shelf.objects


def test_algorithms_are_those_that_the_operator_allows():
    assert Cloud(allowed_digests='sha256').post(file('a', b''), algorithm='sha1').status == 401


def test_a_redirection_tells_the_outcome(cloud):
    assert cloud.post(file('a', b''), redirect='/done').headers['Location'] == '/done?status=201&message='
    answer = cloud.post(file('a', b''), file('b', b''), redirect='http://h/x?y="<z>', max_file_count='1')
    assert answer.status == 303
    assert answer.headers['Location'] == (
        'http://h/x?y="<z>&status=400&message=FormPost%3A%20Max%20File%20Count%20Exceeded')
    assert b'"<z>' not in answer.body
    assert cloud.kept('up/a') == b'' and cloud.kept('up/b') is None


def test_a_redirection_is_followed_only_if_it_is_signed(cloud):
    assert cloud.post(redirect='http://evil/').status == 400
    assert cloud.post(file('a', b''), redirect='http://evil/', signature='0' * 64).status == 401
    assert cloud.post(file('a', b''), redirect='http://h/\r\nSet-Cookie: x=y').status == 400


def test_files_can_be_made_to_expire(cloud):
    cloud.post(file('a', b''), x_delete_at='2000000000')
    assert cloud.shelf.objects['AUTH_test', 'c', 'up/a'].headers['X-Delete-At'] == '2000000000'
    cloud.post(file('b', b''), x_delete_after='60')
    assert cloud.shelf.objects['AUTH_test', 'c', 'up/b'].headers['X-Delete-After'] == '60'


def test_fields_may_say_the_type_of_all_files_and_nothing_else_of_them(cloud):
    fields = {'content-type': 'text/field', 'content-encoding': 'zip', 'x-object-manifest': 'c/x',
              'x-object-meta-a': '1'}
    cloud.post(file('a', b'', 'X-Object-Manifest: c/y\r\nX-Object-Meta-B: 1\r\n'), **fields)
    headers = cloud.shelf.objects['AUTH_test', 'c', 'up/a'].headers
    assert (headers['Content-Type'], headers['Content-Encoding']) == ('text/field', 'zip')
    assert not [name for name in headers if name.startswith('X-Object')]


def test_files_without_a_name_are_no_files_and_later_fields_say_nothing(cloud):
    assert b'No Files To Process' in cloud.post().body
    assert b'No Files To Process' in cloud.post(file('', b'')).body
    assert cloud.post(file('', b''), file('a', b'x'), field('x_delete_after', b'5')).status == 201
    assert 'X-Delete-After' not in cloud.shelf.objects['AUTH_test', 'c', 'up/a'].headers


def test_the_forms_address_may_be_a_container(cloud):
    cloud.post(file('a', b'1'), path='/v1/AUTH_test/c')
    cloud.post(file('b', b'2'), path='/v1/AUTH_test/c/')
    cloud.post(file('c', b'3'), path='/v1/AUTH_test/c/pre-')
    assert [cloud.kept('a'), cloud.kept('b'), cloud.kept('pre-c')] == [b'1', b'2', b'3']


def test_its_rights_end_at_its_container(cloud):
    cloud.post(file('a', b'1'), key='ckey')
    assert cloud.passed['swift.authorize'](Request.blank('/v1/AUTH_test/other/x')).status == 401


@pytest.mark.parametrize('body', [
    b'', b'xx', b'--', b'--' + MARK.encode(), b'--' + MARK.encode() + b'zz', b'--' + MARK.encode() + b'\r\nno end',
    b'--' + MARK.encode() + b'\r\n' + b'x' * 20000, joined([b'A: b\r\n\r\n' + b'x' * 20000])[:-12],
    joined([field(str(number), b'') for number in range(200)]),
])
def test_a_body_that_is_no_form_is_refused(cloud, body):
    assert cloud.post(body=body).status == 400


def test_a_file_that_ends_early_is_not_stored(cloud):
    good = hmac.new(b'akey', f'{PATH}\n\n100\n2\n{SOON}'.encode(), 'sha256').hexdigest()
    whole = joined([field('max_file_size', b'100'), field('max_file_count', b'2'), field('signature', good.encode()),
                    field('expires', str(SOON).encode()), file('a', b'x' * 50)])
    assert cloud.post(body=whole[:-20]).status == 400
    assert not cloud.shelf.objects


def test_other_posts_go_by(cloud):
    for kind in ('text/plain', 'multipart/form-data'):
        request = Request.blank('/v1/AUTH_test', method='POST', headers={'Content-Type': kind}, body=b'')
        assert request.respond(cloud.app).status == 401
        assert cloud.passed is request.environ


def test_what_it_can_do_is_told(cloud):
    assert capabilities.get()['formpost'] == {'allowed_digests': ['sha1', 'sha256', 'sha512'],
                                              'deprecated_digests': ['sha1']}


@settings(max_examples=60)
@given(some.lists(some.lists(some.sampled_from([b'\r\n', b'--', b'----x', b'a', b'\r', b'-', b'\n']), max_size=12),
                  min_size=1, max_size=4), some.integers(1, 40), some.integers(1, 40))
def test_parts_come_out_as_they_went_in_however_they_are_cut(pieces, dribble, size):
    bodies = [b''.join(each) for each in pieces]
    bodies = [body for body in bodies if b'\r\n----' + MARK.encode() not in b'\r\n' + body + b'\r\n']
    mark = 'boundary' + '-' * 5
    sent = joined([file('x', body) for body in bodies] or [file('x', b'')], mark)
    found = []
    for part in multipart.Body(Dribble(sent, dribble), mark.encode()):
        data = b''
        while piece := part.read(size):
            data += piece
        found.append(data)
    assert found == (bodies or [b''])

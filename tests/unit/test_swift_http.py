"""The thin requests and answers of the storage system: paths, headers, conditions, ranges, subrequests."""

import pytest

from swift.http import Headers, HttpError, Request, Response, path, serving
from swift.http.ranges import parse, within
from swift.http.response import Stream
from swift.http.subrequest import make_pre_authed_subrequest, make_subrequest


@pytest.mark.parametrize('text, least, most, rest, pieces', [
    ('/v1/a/c/o/p', 1, 4, True, ['v1', 'a', 'c', 'o/p']),
    ('/v1/a/c/o/', 1, 4, True, ['v1', 'a', 'c', 'o/']),
    ('/v1/a/c//', 1, 4, True, ['v1', 'a', 'c', '/']),
    ('/v1/a/c/', 1, 4, True, ['v1', 'a', 'c', None]),
    ('/v1/a', 2, 4, True, ['v1', 'a', None, None]),
    ('/d/p/a/', 3, 3, False, ['d', 'p', 'a']),
])
def test_a_path_is_cut(text, least, most, rest, pieces):
    assert path.split(text, least, most, rest) == pieces


@pytest.mark.parametrize('text, least, most, rest', [
    ('', 1, 1, False), ('a', 1, 1, False), ('/', 1, 1, False), ('/a/b', 1, 1, False), ('//b', 1, 2, True),
    ('/v1/a//o', 1, 4, True), ('/a', 2, 3, True)])
def test_a_path_with_other_pieces_is_refused(text, least, most, rest):
    with pytest.raises(ValueError):
        path.split(text, least, most, rest)


@pytest.mark.parametrize('header, length, spans', [
    ('bytes=0-4', 10, [(0, 5)]), ('bytes=5-', 10, [(5, 10)]), ('bytes=-3', 10, [(7, 10)]),
    ('bytes=-30', 10, [(0, 10)]),
    ('bytes=0-99', 10, [(0, 10)]), ('bytes=10-', 10, []), ('bytes=-0', 10, []),
    ('bytes=0-1, 4-5', 10, [(0, 2), (4, 6)]),
    ('bytes=5-4', 10, None), ('bytes=', 10, None), ('bytes=a-b', 10, None), ('lines=1-2', 10, None), ('0-4', 10, None),
    ('bytes=' + '9' * 5000 + '-', 10, None), ('bytes=0-0', 0, []),
    ('bytes=' + ','.join('0-9' for _ in range(5)), 10, []),
    ('bytes=' + ','.join(f'{n}-{n}' for n in range(51)), 99, []),
])
def test_a_range_header_says_which_bytes(header, length, spans):
    assert within(parse(header), length) == spans


def get(response, **headers):
    environ = Request.blank('/', headers={name.replace('_', '-'): value for name, value in headers.items()}).environ
    answer = response.conditional(environ)
    return answer.status, answer.body


def whole():
    return Response(200, b'0123456789', {'ETag': 'abc', 'Last-Modified': 'Fri, 13 Feb 2009 23:31:31 GMT'})


@pytest.mark.parametrize('headers, status', [
    ({'If_Match': '"abc"'}, 200), ({'If_Match': 'x, y'}, 412), ({'If_Match': '*'}, 200),
    ({'If_None_Match': 'abc'}, 304), ({'If_None_Match': '*'}, 304), ({'If_None_Match': 'x'}, 200),
    ({'If_Modified_Since': 'Fri, 13 Feb 2009 23:31:31 GMT'}, 304),
    ({'If_Modified_Since': 'Fri, 13 Feb 2009 23:31:30 GMT'}, 200), ({'If_Modified_Since': 'rubbish'}, 200),
    ({'If_Unmodified_Since': 'Fri, 13 Feb 2009 23:31:30 GMT'}, 412),
    ({'If_Unmodified_Since': 'Fri, 13 Feb 2009 23:31:31 GMT'}, 200),
    ({'Range': 'bytes=2-3', 'If_Range': '"abc"'}, 206), ({'Range': 'bytes=2-3', 'If_Range': '"old"'}, 200),
    ({'Range': 'bytes=99-'}, 416),
])
def test_conditions_decide_the_status(headers, status):
    assert get(whole(), **headers)[0] == status


def test_one_range_is_a_piece_and_several_are_parts():
    assert get(whole(), Range='bytes=2-4') == (206, b'234')
    answer = whole().conditional(Request.blank('/', headers={'Range': 'bytes=0-1,8-'}).environ)
    body = answer.body
    assert int(answer.headers['Content-Length']) == len(body)
    assert answer.headers['Content-Type'].startswith('multipart/byteranges;boundary=')
    assert b'Content-Range: bytes 0-1/10\r\n\r\n01\r\n' in body and b'bytes 8-9/10\r\n\r\n89\r\n' in body


def test_headers_ignore_case_and_keep_their_order():
    headers = Headers([('etag', 'x'), ('X-object-META-color', 1)])
    headers.add('set-cookie', 'a=1')
    headers['ETAG'] = 'y'
    assert headers.pairs() == [('Etag', 'y'), ('X-Object-Meta-Color', '1'), ('Set-Cookie', 'a=1')]


def test_request_headers_are_a_view_of_the_environ():
    request = Request.blank('/v1/a?x=1&x=2&y=%C3%A9', headers={'X-Foo': 'bar', 'Content-Type': 'text/plain'})
    request.headers['X-Foo'] = None
    request.headers['X-Bar'] = 'b'
    assert dict(request.headers) == {'Content-Type': 'text/plain', 'Host': 'localhost:80', 'X-Bar': 'b'}
    assert request.params == {'x': '2', 'y': 'é'}


@pytest.mark.parametrize('quoted', ['/v1/%ff', '/v1/a?x=%ff'])
def test_names_that_are_no_utf8_are_refused(quoted):
    request = Request.blank(quoted)
    with pytest.raises(HttpError) as error:
        request.split(1, 2) and request.params
    assert error.value.status == 412


def test_a_raised_answer_is_an_answer_and_head_has_no_body():
    class App:
        @serving
        def __call__(self, request):
            raise HttpError(404)
    answer = Request.blank('/').respond(App())
    assert (answer.status, answer.body[:25]) == (404, b'<html><h1>Not Found</h1><')
    assert Request.blank('/', method='HEAD').respond(App()).body == b''


def test_a_subrequest_has_the_rights_but_not_the_conditions_of_the_first():
    first = Request.blank('/v1/a/c/o', method='PUT', body=b'data', headers={
        'X-Auth-Token': 't', 'If-None-Match': '*', 'Range': 'bytes=1-2', 'User-Agent': 'me', 'X-Object-Meta-A': 'b'})
    sub = make_subrequest(first.environ, method='GET', path='/v1/a/c/%C3%A9?q=1', agent='%(orig)s SLO', source='SLO')
    assert sub.split(4, 4) == ['v1', 'a', 'c', 'é']
    assert dict(sub.headers) == {'Host': 'localhost:80', 'X-Auth-Token': 't', 'User-Agent': 'me SLO'}
    assert sub.input.read() == b'' and sub.params == {'q': '1'}
    assert sub.environ['swift.infocache'] is first.environ['swift.infocache']
    authed = make_pre_authed_subrequest(first.environ, path='/v1/a', body=b'xyz', method='POST')
    assert authed.environ['swift.authorize'](authed) is None and authed.body(10) == b'xyz'


def test_a_stream_gives_back_what_is_behind_it_once():
    closed = []
    stream = Stream([b'a', b'b'], lambda: closed.append(1))
    assert next(stream) == b'a'
    stream.close()
    stream.close()
    assert closed == [1]

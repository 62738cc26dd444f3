"""Containers as web sites, before a store that shows strangers what is public."""

import hashlib
import hmac
import re
import time

import pytest

from swift.http import Request
from swift.http import info as capabilities
from swift.http.path import quote, text_to_wsgi
from swift.middleware import staticweb, tempurl
from tests.swift_shelf import Shelf, denied

PUBLIC = '.r:*,.rlistings'


class Cloud:
    def __init__(self, **options):
        self.shelf = Shelf()
        web = staticweb.filter_factory({}, **options)(self.shelf)

        def known(environ, start_response):
            if 'HTTP_X_AUTH_TOKEN' in environ:
                environ['REMOTE_USER'] = 'tester'
            elif not environ.get('swift.authorize_override'):
                environ['swift.authorize'] = denied
            return web(environ, start_response)
        self.app = tempurl.filter_factory({})(known)
        self._own('POST', '/v1/A', {'X-Account-Meta-Temp-URL-Key': 'key'})

    def _own(self, method, path, headers=None, body=None):
        answer = Request.blank(quote(path), method=method, headers=headers, body=body).respond(self.shelf)
        assert answer.is_success, answer.status

    def site(self, name, read=PUBLIC, **meta):
        headers = {f'X-Container-Meta-Web-{key.replace("_", "-")}': text_to_wsgi(value) for key, value in meta.items()}
        self._own('PUT', f'/v1/A/{name}', {'X-Container-Read': read, **headers})

    def put(self, path, body=b'', kind='text/html', **headers):
        self._own('PUT', f'/v1/A/{path}', {'Content-Type': kind, **headers}, body)

    def get(self, path, method='GET', **headers):
        given = {name.replace('_', '-'): value for name, value in headers.items()}
        return Request.blank(quote(f'/v1/A/{path}'), method=method, headers=given).respond(self.app)

    def shared(self, path, prefix, **params):
        soon = int(time.time()) + 60
        request = Request.blank(quote(f'/v1/A/{path}'))
        container = path.partition('/')[0]
        request.params = {'temp_url_prefix': prefix, 'temp_url_expires': str(soon), 'temp_url_sig': hmac.new(
            b'key', f'GET\n{soon}\nprefix:/v1/A/{container}/{prefix}'.encode(), hashlib.sha256).hexdigest(), **params}
        return request.respond(self.app)


@pytest.fixture
def cloud():
    cloud = Cloud()
    cloud.site('w', Index='index.html', Error='err.html', Listings='true')
    cloud.put('w/index.html', b'INDEX')
    cloud.put('w/sub/x.txt', b'X' * 2000, 'text/plain')
    cloud.put('w/sub/<b>&é:.txt', b'X', 'text/plain; charset=utf-8')
    cloud.put('w/sub/deep/er/y.png', b'', 'image/png')
    cloud.put('w/idx/index.html', b'INDEX2')
    cloud.put('w/404err.html', b'GONE')
    cloud.put('w/401err.html', b'WHO')
    cloud.put('w/marker', b'', 'application/directory')
    return cloud


@pytest.mark.parametrize('method', ['GET', 'HEAD'])
@pytest.mark.parametrize(('path', 'status', 'body'), [
    ('w/', 200, b'INDEX'), ('w/index.html', 200, b'INDEX'), ('w/idx/', 200, b'INDEX2'), ('w/nope', 404, b'GONE'),
    ('w/sub/nope/', 404, b'GONE'), ('w/marker', 404, b'GONE'), ('w/marker/', 404, b'GONE'), ('w//', 404, b'GONE'),
    ('w/sub/x.txt', 200, b'X' * 2000)])
def test_a_site_shows_its_pages(cloud, path, status, body, method):
    answer = cloud.get(path, method)
    assert answer.status == status
    assert method == 'HEAD' or answer.body == body


@pytest.mark.parametrize('path', ['w', 'w/idx', 'w/sub', 'w/sub/deep'])
def test_a_directory_without_its_slash_is_redirected(cloud, path):
    answer = cloud.get(path)
    assert (answer.status, answer.headers['Location']) == (301, f'http://localhost:80/v1/A/{path}/')


@pytest.mark.parametrize(('base', 'location'), [
    ('https:', 'https://localhost:80/v1/A/w/'), ('//www.example.com', 'http://www.example.com/v1/A/w/'),
    ('https://www.example.com', 'https://www.example.com/v1/A/w/')])
def test_redirections_go_where_the_operator_says(base, location):
    cloud = Cloud(url_base=base)
    cloud.site('w', Index='index.html')
    assert cloud.get('w').headers['Location'] == location


def test_a_listing_escapes_what_it_shows(cloud):
    page = cloud.get('w/sub/').body.decode()
    assert 'href="./%3Cb%3E%26%C3%A9%3A.txt">&lt;b&gt;&amp;é:.txt</a>' in page
    assert '<b>' not in page
    assert page.index('deep/') < page.index('x.txt')
    assert '<title>Listing of /v1/A/w/sub/</title>' in page
    assert '<tr class="item type-text type-plain">' in page and '<td class="colsize">2Ki</td>' in page
    assert 'href="../"' in page
    assert re.search(r'<td class="coldate">\d{4}-\d\d-\d\d \d\d:\d\d:\d\d</td>', page)


@pytest.mark.parametrize(('css', 'link'), [
    ('l.css', '../../l.css'), ('/x/y.css', '/x/y.css'), ('https://h/y.css', 'https://h/y.css'),
    ('a"b', '../../a%22b')])
def test_a_listing_has_the_style_and_the_label_that_the_owner_chose(cloud, css, link):
    cloud.site('l', Listings='yes', Listings_CSS=css, Listings_Label='My <Sité>')
    cloud.put('l/d/e/a.txt')
    page = cloud.get('l/d/e/').body.decode()
    assert f'<link rel="stylesheet" type="text/css" href="{link}" />' in page
    assert '<h1 id="title">Listing of My &lt;Sité&gt;/d/e/</h1>' in page
    assert 'href="../"' not in cloud.get('l/').body.decode()
    assert cloud.get('l/nope/').status == cloud.get('l/nope').status == 404


def test_without_listings_there_is_a_page_that_says_so(cloud):
    cloud.site('i', Index='home.html')
    cloud.put('i/d/b')
    answer = cloud.get('i/')
    assert answer.status == 404 and b'Web Listing Disabled' in answer.body and b'home.html' in answer.body
    assert cloud.get('i/d').status == 301 and cloud.get('i/d/').status == 404
    cloud.site('i', Index='home.html', Error='e.html')
    cloud.put('i/404e.html', b'OWN')
    assert cloud.get('i/').body == cloud.get('i/d/').body == b'OWN'


def test_what_is_not_public_stays_so(cloud):
    cloud.site('p', '', Index='index.html', Error='e.html', Listings='true')
    cloud.put('p/index.html', b'I')
    cloud.put('p/401e.html', b'E')
    assert [cloud.get(path).status for path in ('p', 'p/', 'p/index.html', 'p/x')] == [401] * 4
    assert cloud.get('p/').body != b'E'


def test_pages_may_be_public_and_listings_not(cloud):
    cloud.site('n', '.r:*', Index='index.html', Error='e.html', Listings='true')
    cloud.put('n/index.html', b'I')
    cloud.put('n/d/index.html', b'D')
    cloud.put('n/e/x')
    cloud.put('n/401e.html', b'WHO')
    assert [(answer.status, answer.body) for answer in map(cloud.get, ('n', 'n/', 'n/e/'))] == [(401, b'WHO')] * 3
    assert cloud.get('n/d').status == 301 and cloud.get('n/d/').body == b'D'
    assert cloud.get('n/e').status == 404


def test_who_has_a_token_sees_the_api(cloud):
    assert cloud.get('w/', X_Auth_Token='t').body.startswith(b'401err.html\n')
    assert cloud.get('w/nope', X_Auth_Token='t').body != b'GONE'
    assert cloud.get('w/', X_Auth_Token='t', X_Web_Mode='true').body == b'INDEX'
    assert cloud.get('w/nope', X_Auth_Token='t', X_Web_Mode='t').body == b'GONE'


def test_a_container_that_is_no_site_is_served_as_ever(cloud):
    cloud.site('plain')
    cloud.put('plain/a', b'1')
    assert cloud.get('plain').body == cloud.get('plain/').body == b'a\n'
    assert cloud.get('plain/a/').status == 404


def test_the_owner_chooses_what_marks_a_directory(cloud):
    cloud.site('d', Listings='true', Directory_Type='text/directory')
    cloud.put('d/m', b'', 'text/directory')
    cloud.put('d/m/x')
    cloud.put('d/n', b'', 'application/directory')
    cloud.put('d/full', b'full', 'text/directory')
    assert cloud.get('d/m').status == 301 and cloud.get('d/m/').status == 200
    assert cloud.get('d/n').status == 200 and cloud.get('d/full').body == b'full'


def test_conditions_and_ranges_apply_to_an_index_page(cloud):
    answer = cloud.get('w/', Range='bytes=0-1')
    assert (answer.status, answer.body) == (206, b'IN')
    tag = cloud.get('w/').headers['Etag']
    assert cloud.get('w/', If_None_Match=tag).status == 304


def test_a_temporary_address_of_a_prefix_lists_it(cloud):
    cloud.site('pv', '', Listings='true', Index='index.html')
    for name in ('d/a.txt', 'd/e/b.txt', 'i/index.html', 'other'):
        cloud.put(f'pv/{name}', name.encode())
    page = cloud.shared('pv/d/', 'd/')
    text = page.body.decode()
    assert page.status == 200 and page.headers['Content-Disposition'] == 'inline'
    assert re.search(r'href="\./e/\?temp_url_prefix=d%2F&amp;temp_url_expires=\d+&amp;temp_url_sig=\w+"', text)
    assert 'other' not in text and 'href="../' not in text
    assert 'href="../?temp_url_prefix=' in cloud.shared('pv/d/e/', 'd/').body.decode()
    assert cloud.shared('pv/i/', 'i').body == b'i/index.html'
    assert 'temp_url_sig=' in cloud.shared('pv/d', 'd').headers['Location']
    assert cloud.shared('pv/other', 'd/').status == 401


def test_what_it_can_do_is_told(cloud):
    assert capabilities.get()['staticweb'] == {}

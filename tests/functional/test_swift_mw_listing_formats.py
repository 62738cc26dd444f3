"""Listings in three forms, as the published filter writes them."""

import json

import pytest
from lxml import etree

from swift.http import Response
from swift.middleware import listing_formats
from tests.functional.swift_filters import Recorder, ask

OBJECTS = [{'subdir': 'd/'}, {'name': 'é<&"x', 'hash': 'abc', 'bytes': 3, 'content_type': 'text/plain',
                              'last_modified': '2026-11-22T22:10:41.868280'}]
CONTAINERS = [{'name': 'c', 'count': 1, 'bytes': 2, 'last_modified': '2026-11-22T22:10:41.828930',
               'storage_policy': 'gold'}, {'subdir': 'd"'}]
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
XML_OBJECTS = (DECLARATION + '<container name="c &amp;&quot;"><subdir name="d/"><name>d/</name></subdir><object>'
               '<name>é&lt;&amp;"x</name><hash>abc</hash><bytes>3</bytes><content_type>text/plain</content_type>'
               '<last_modified>2026-11-22T22:10:41.868280</last_modified></object></container>')
XML_CONTAINERS = (DECLARATION + '<account name="AUTH_a">\n<container><name>c</name><count>1</count><bytes>2</bytes>'
                  '<last_modified>2026-11-22T22:10:41.828930</last_modified><storage_policy>gold</storage_policy>'
                  '</container>\n<subdir name="d&quot;" />\n</account>')


def listing(entries, status=200):
    return Response(status, json.dumps(entries) if status == 200 else b'',
                    {'Content-Type': 'application/json; charset=utf-8', 'X-Container-Object-Count': '5'})


@pytest.fixture
def app():
    return Recorder({'/v1/AUTH_a': listing(CONTAINERS), '/v1/AUTH_a/c &"': listing(OBJECTS),
                     '/v1/AUTH_a/none': listing([]), '/v1/AUTH_none': listing([]), '/v1/AUTH_a/gone': 404})


@pytest.fixture
def filtered(app):
    return listing_formats.filter_factory({'swift_dir': '/nowhere'})(app)


CONTAINER = '/v1/AUTH_a/c%20%26%22'


def test_a_container_in_three_forms(filtered, app):
    plain, as_json, xml = (ask(filtered, CONTAINER + query) for query in ('', '?format=json', '?format=xml&limit=5'))
    assert (plain.body.decode(), plain.headers['content-type']) == ('d/\né<&"x\n', 'text/plain; charset=utf-8')
    assert json.loads(as_json.body) == OBJECTS and as_json.headers['content-type'] == 'application/json; charset=utf-8'
    assert (xml.body.decode(), xml.headers['content-type']) == (XML_OBJECTS, 'application/xml; charset=utf-8')
    for answer in (plain, as_json, xml):
        assert answer.headers['content-length'] == str(len(answer.body))
        assert answer.headers['x-container-object-count'] == '5'
    assert app.last['QUERY_STRING'] == 'limit=5&format=json'


def test_an_account_in_three_forms(filtered):
    assert ask(filtered, '/v1/AUTH_a').body == b'c\nd"\n'
    assert json.loads(ask(filtered, '/v1/AUTH_a?format=json').body) == CONTAINERS
    assert ask(filtered, '/v1/AUTH_a?format=xml').body.decode() == XML_CONTAINERS


@pytest.mark.parametrize('query, status, body', [
    ('', 204, ''), ('?format=json', 200, '[]'), ('?format=xml', 200, DECLARATION + '<container name="none" />')])
def test_an_empty_container(filtered, query, status, body):
    answer = ask(filtered, '/v1/AUTH_a/none' + query)
    assert (answer.status, answer.body.decode()) == (status, body)


def test_an_empty_account(filtered):
    assert ask(filtered, '/v1/AUTH_none').status == 204
    assert ask(filtered, '/v1/AUTH_none?format=xml').body.decode() == \
        DECLARATION + '<account name="AUTH_none">\n</account>'


#: Accept -> what the published filter chose
ACCEPT = {
    None: 'text/plain', '': 'text/plain', '*/*': 'text/plain', 'text/*': 'text/plain', 'text/xml': 'text/xml',
    'application/json': 'application/json', 'application/*': 'application/json',
    'application/xml, application/json': 'application/xml', 'application/json, application/xml': 'application/json',
    'text/xml, text/plain': 'text/xml', '*/*, text/xml': 'text/xml', 'application/xml,*/*;q=0.5': 'application/xml',
    'application/xml;q=0.5,text/plain;q=0.9': 'text/plain', 'text/*;q=0.3,application/xml;q=0.3': 'application/xml',
    'text/xml;foo=bar': 'text/xml', 'text/xml; q=0.5; foo=bar, application/json;q=0.4': 'text/xml',
    'text/html, application/xhtml+xml, */*;q=0.1': 'text/plain', 'image/png': 406, 'a/b;q=1, text/css': 406,
    'foo': 400, '*': 400, 'text/xml;q=x': 400, 'text/xml,,application/json': 400, 'text /xml': 400, ';': 400}


@pytest.mark.parametrize('accept', ACCEPT)
def test_the_form_is_negotiated(filtered, accept):
    answer = ask(filtered, CONTAINER, headers={'Accept': accept} if accept is not None else {})
    expected = ACCEPT[accept]
    if isinstance(expected, int):
        assert answer.status == expected
    else:
        assert (answer.status, answer.headers['content-type']) == (200, f'{expected}; charset=utf-8')
        assert answer.headers['vary'] == 'Accept'


def test_the_parameter_wins_over_accept(filtered):
    for query, kind in (('json', 'application/json'), ('JSON', 'application/json'), ('foo', 'text/plain'),
                        ('json&format=xml', 'application/xml')):
        answer = ask(filtered, f'{CONTAINER}?format={query}', headers={'Accept': 'image/png'})
        assert answer.headers['content-type'] == f'{kind}; charset=utf-8'
        assert 'vary' not in answer.headers


def test_a_head_says_which_form_a_get_would_have(filtered, app):
    app.answers['HEAD /v1/AUTH_a/c'] = Response(204, b'', {'Content-Type': 'application/json; charset=utf-8'})
    answer = ask(filtered, '/v1/AUTH_a/c?format=xml', 'HEAD')
    assert (answer.status, answer.headers['content-type']) == (204, 'application/xml; charset=utf-8')
    assert ask(filtered, '/v1/AUTH_a/c', 'HEAD', headers={'Accept': 'image/png'}).status == 406


def test_only_listings_are_touched(filtered, app):
    for method, path in (('PUT', '/v1/AUTH_a/c'), ('GET', '/v1/AUTH_a/c/o'), ('GET', '/info'), ('GET', '/v1'),
                         ('GET', '/v2/AUTH_a'), ('GET', '/v1//c')):
        ask(filtered, path + '?format=xml', method)
        assert app.last['QUERY_STRING'] == 'format=xml'
    assert ask(filtered, '/v1/AUTH_a/gone?format=xml').status == 404


def test_names_of_the_system_are_hidden(filtered, app):
    hidden = [{'name': '\x00versions\x00c', 'count': 1, 'bytes': 1}, {'subdir': '\x00x'}]
    app.answers['/v1/AUTH_a'] = listing([*hidden, *CONTAINERS])
    for form in ('json', 'xml', 'plain'):
        assert b'versions' not in ask(filtered, f'/v1/AUTH_a?format={form}').body
    shown = ask(filtered, '/v1/AUTH_a?format=json', headers={'X-Backend-Allow-Reserved-Names': 'true'})
    assert len(json.loads(shown.body)) == 4


def test_no_name_can_break_out_of_the_document(filtered, app):
    container, name = '"><evil a="\'<container>&amp;\n', '"></container>&amp;'
    app.answers['/v1/AUTH_a/' + container] = listing([{'name': name, 'hash': name, 'bytes': 1, 'content_type': name,
                                                  'last_modified': 'x'}, {'subdir': name}])
    body = ask(filtered, '/v1/AUTH_a/%22%3E%3Cevil%20a%3D%22%27%3Ccontainer%3E%26amp%3B%0A?format=xml').body
    document = etree.fromstring(body)
    assert document.get('name') == container
    assert [each.tag for each in document] == ['object', 'subdir']
    assert document.findtext('object/name') == name and document.find('subdir').get('name') == name


def test_what_xml_cannot_say_is_replaced(filtered, app):
    name = 'a\x01b\uffff'
    app.answers['/v1/AUTH_a'] = listing([{'name': name, 'count': 0, 'bytes': 0}, {'subdir': name}])
    document = etree.fromstring(ask(filtered, '/v1/AUTH_a?format=xml').body)
    assert (document.findtext('container/name'), document.find('subdir').get('name')) == ('a\ufffdb\ufffd',) * 2
    assert ask(filtered, '/v1/AUTH_a').body.decode() == f'{name}\n' * 2


def test_a_query_that_is_no_utf8_is_refused(filtered, app):
    assert ask(filtered, CONTAINER + '?prefix=%ff').status == 412

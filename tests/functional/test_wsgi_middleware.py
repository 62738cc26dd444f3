"""The filters, and the pipelines that paste builds of them."""

import types

import pytest

from strata import context as contexts
from strata import errors
from strata.testing.web import Raw, serving
from strata.wsgi import middleware, pipeline

INI = """
[pipeline:main]
pipeline = healthcheck proxy_headers request_id sizelimit app

[pipeline:broken]
pipeline = absent app

[filter:healthcheck]
paste.filter_factory = strata.wsgi.middleware:healthcheck
disable_by_file_path = %(here)s/disabled

[filter:proxy_headers]
paste.filter_factory = strata.wsgi.middleware:proxy_headers
trusted_proxies = 127.0.0.0/8, 10.0.0.1

[filter:request_id]
paste.filter_factory = strata.wsgi.middleware:request_id
also = X-Compute-Request-Id

[filter:sizelimit]
paste.filter_factory = strata.wsgi.middleware:sizelimit
max_request_body_size = 10

[app:app]
paste.app_factory = tests_pipeline_app:factory
"""


@pytest.fixture
def seen():
    return {}


@pytest.fixture
def ini(tmp_path, monkeypatch, seen):
    """A paste file whose application notes its environ and answers with the request's body."""
    def app(environ, start_response):
        seen.update(environ, current=contexts.CURRENT.get())
        body = environ['wsgi.input'].read()
        start_response('200 OK', [])
        return [body]

    def factory(global_conf, **options):
        seen['wiring'] = pipeline.current()
        return app
    module = types.ModuleType('tests_pipeline_app')
    module.factory = factory
    monkeypatch.setitem(__import__('sys').modules, 'tests_pipeline_app', module)
    path = tmp_path / 'api-paste.ini'
    path.write_text(INI)
    return path


def test_a_pipeline_is_built_with_the_wiring_of_its_process(ini, seen):
    wiring = object()
    with serving(pipeline.load(str(ini), 'main', wiring)) as server, Raw(server) as client:
        assert client.get().code == 200
    assert seen['wiring'] is wiring
    with pytest.raises(RuntimeError):
        pipeline.current()


@pytest.mark.parametrize('name, path', [('main', 'nowhere.ini'), ('no-such', 'api-paste.ini'),
                                        ('broken', 'api-paste.ini')])
def test_what_is_wrong_with_a_pipeline_is_said(ini, name, path):
    with pytest.raises(errors.Invalid, match=path):
        pipeline.load(str(ini.parent / path), name, object())


@pytest.fixture
def client(ini):
    app = pipeline.load(str(ini), 'main', object())
    with serving(app, trusted_proxies=None) as server, Raw(server) as client:
        yield client


def test_each_request_has_an_id_that_the_client_is_told(client, seen):
    first, second = client.get(), client.get()
    assert first.header('x-openstack-request-id') == first.header('X-Compute-Request-Id')
    assert first.header('x-openstack-request-id') != second.header('x-openstack-request-id')
    assert seen['strata.request_id'] == second.header('x-openstack-request-id')
    assert seen['strata.context'] is seen['current']
    assert seen['current'].request_id == seen['strata.request_id']
    assert seen['current'].remote_address == '127.0.0.1'


def test_a_callers_own_id_becomes_the_global_one_if_it_is_well_formed(client, seen):
    theirs = contexts.new_request_id()
    answer = client.get('/', f'X-OpenStack-Request-ID: {theirs}')
    assert seen['current'].global_request_id == theirs
    assert answer.header('x-openstack-request-id') != theirs
    client.get('/', 'X-OpenStack-Request-ID: req-<script>')
    assert seen['current'].global_request_id is None


def test_bodies_are_bounded_announced_or_not(client):
    assert client.get(method='POST', body=b'x' * 10).code == 200
    assert client.get(method='POST', body=b'x' * 11).code == 413
    chunked = b'POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n'
    assert client.send(chunked + b'a\r\n' + b'x' * 10 + b'\r\n0\r\n\r\n').answer().body == b'x' * 10
    client.send(chunked + b'6\r\n' + b'x' * 6 + b'\r\n5\r\n' + b'x' * 5 + b'\r\n0\r\n\r\n')
    assert client.answer().code == 413


def test_health_is_told_without_a_request_id(client, ini):
    answer = client.get('/healthcheck')
    assert (answer.code, answer.body) == (200, b'OK')
    assert client.get('/healthcheck', method='HEAD').code == 200
    assert client.get('/healthcheck', method='POST').code == 405
    (ini.parent / 'disabled').touch()
    assert client.get('/healthcheck').code == 503
    assert client.get('/').code == 200


FORWARDED = ('X-Forwarded-For: 198.51.100.7, 10.0.0.1', 'X-Forwarded-Proto: https',
             'X-Forwarded-Host: cloud.example:8443', 'X-Forwarded-Prefix: /compute/')


def test_a_trusted_proxy_is_believed(client, seen):
    client.get('/path', *FORWARDED)
    assert seen['REMOTE_ADDR'] == '198.51.100.7'      # the last one that is not a proxy
    assert seen['wsgi.url_scheme'] == 'https'
    assert seen['HTTP_HOST'] == 'cloud.example:8443'
    assert seen['SCRIPT_NAME'] == '/compute'
    assert seen['current'].remote_address == '198.51.100.7'
    assert not any('FORWARDED' in key for key in seen)


def test_what_one_request_was_told_does_not_stick_to_the_connection(client, seen):
    client.get('/path', *FORWARDED)
    client.get('/path')
    assert (seen['REMOTE_ADDR'], seen['wsgi.url_scheme'], seen['SCRIPT_NAME']) == ('127.0.0.1', 'http', '')


@pytest.mark.parametrize('header, key, value', [
    ('X-Forwarded-Proto: javascript', 'wsgi.url_scheme', 'http'),
    ('X-Forwarded-Host: evil/path', 'HTTP_HOST', 'test'),
    ('X-Forwarded-Host: a b', 'HTTP_HOST', 'test'),
    ('X-Forwarded-Prefix: //evil.example', 'SCRIPT_NAME', ''),
    ('X-Forwarded-Prefix: relative', 'SCRIPT_NAME', ''),
    ('X-Forwarded-For: unknown', 'REMOTE_ADDR', '127.0.0.1'),
    ('X-Forwarded-Host: spoofed, real', 'HTTP_HOST', 'real'),
])
def test_nonsense_is_not_believed_even_of_a_trusted_proxy(client, seen, header, key, value):
    client.get('/', header)
    assert seen[key] == value


def test_a_stranger_is_not_believed(seen):
    def app(environ, start_response):
        seen.update(environ)
        start_response('200 OK', [])
        return []
    for trusted in ((), ('10.0.0.0/8', '::1', 'unix')):
        with serving(app, trusted_proxies=trusted) as server, Raw(server) as client:
            client.get('/', *FORWARDED, 'Forwarded: for=1.2.3.4', 'X-Real-IP: 1.2.3.4')
        assert (seen['REMOTE_ADDR'], seen['wsgi.url_scheme']) == ('127.0.0.1', 'http')
        assert seen['HTTP_HOST'] == 'test'
        assert not any('FORWARDED' in key or 'REAL_IP' in key for key in seen)


def test_a_proxy_on_a_unix_socket_can_be_trusted(tmp_path, seen):
    def app(environ, start_response):
        seen.update(environ)
        start_response('200 OK', [])
        return []
    path = str(tmp_path / 'sock')
    with serving(app, trusted_proxies=['unix']) as server:
        server.listen(path, 'local')
        with Raw(path) as client:
            client.get('/', *FORWARDED)
    assert seen['REMOTE_ADDR'] == '10.0.0.1'


def test_the_input_of_another_server_is_bounded_too():
    import io

    def app(environ, start_response):
        stream = environ['wsgi.input']
        return [stream.readline(), b''.join(stream.readlines()), stream.read(1)]
    bounded = middleware.SizeLimit(app, 10)
    environ = {'HTTP_TRANSFER_ENCODING': 'chunked', 'wsgi.input': io.BytesIO(b'one\ntwo\n')}
    assert bounded(environ, None) == [b'one\n', b'two\n', b'']
    environ['wsgi.input'] = io.BytesIO(b'one\n' + b'x' * 7)
    with pytest.raises(errors.Error, match='10 bytes'):
        bounded(environ, None)

"""glance-api over real HTTP: its paste pipeline, tokens, chunked bodies, a client that hangs up."""

import datetime
import http.client
import json
import pathlib
import socket

import pytest

from glance import pipelines
from glance.cmd import api, wire
from glance.conf import OPTIONS
from strata import clock, errors, migrate
from strata import conf as configuration
from strata.testing import wait
from strata.wsgi.server import Server

ETC = pathlib.Path(__file__).parents[2] / 'etc' / 'glance'


class Tokens:
    """An identity service that knows two people by their tokens."""

    auth_uri = 'http://identity.test/v3'

    def validate(self, token):
        if token not in ('alice', 'bob'):
            raise errors.Unauthorized()
        expires = clock.CLOCK.now() + datetime.timedelta(hours=1)
        domain = {'id': 'default', 'name': 'Default'}
        return {'user': {'id': token, 'name': token, 'domain': domain}, 'expires_at': clock.iso(expires),
                'project': {'id': f'{token}-project', 'name': token, 'domain': domain},
                'roles': [{'id': name, 'name': name} for name in ('member', 'reader')]}


@pytest.fixture(params=['paste', 'standard'])
def served(request, tmp_path):
    """(wiring, port) of a glance-api."""
    files = []
    if request.param == 'paste':
        (tmp_path / 'glance.conf').write_text('[DEFAULT]\n')
        (tmp_path / 'api-paste.ini').write_text((ETC / 'api-paste.ini').read_text())
        files = [str(tmp_path / 'glance.conf')]
    conf = configuration.load('glance-api', OPTIONS, [], files=files, state_path=str(tmp_path),
                              database__connection=f'sqlite:///{tmp_path}/glance.sqlite')
    wiring = wire.api(conf, identity=Tokens())
    migrate.upgrade(wiring.db, wire.MIGRATIONS)
    server = Server(api.application(conf, wiring), ('127.0.0.1', 0), access_log=False)
    server.start()
    yield wiring, server.port
    server.stop(0)


def ask(port, method, path, body=None, token='alice', **headers):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=20)
    try:
        chunked = body is not None and not isinstance(body, (bytes, str))
        connection.request(method, path, body, {'X-Auth-Token': token, **headers}, encode_chunked=chunked)
        response = connection.getresponse()
        return response.status, dict(response.headers.items()), response.read()
    finally:
        connection.close()


def new(port):
    status, headers, body = ask(port, 'POST', '/v2/images', json.dumps({
        'name': 'disk', 'disk_format': 'raw', 'container_format': 'bare'}),
        **{'Content-Type': 'application/json'})
    assert status == 201
    assert headers['Location'].startswith(f'http://127.0.0.1:{port}/v2/images/')
    return f'/v2/images/{json.loads(body)["id"]}'


OCTETS = {'Content-Type': 'application/octet-stream'}


def test_a_chunked_upload_is_downloaded_whole_and_in_part(served):
    _, port = served
    path = new(port)
    data = bytes(range(256)) * 8192
    pieces = (data[start:start + 65537] for start in range(0, len(data), 65537))
    assert ask(port, 'PUT', path + '/file', pieces, **OCTETS, **{'Transfer-Encoding': 'chunked'})[0] == 204
    status, headers, body = ask(port, 'GET', path + '/file')
    assert (status, body) == (200, data) and headers['Content-Length'] == str(len(data))
    status, headers, body = ask(port, 'GET', path + '/file', Range='bytes=1000-1999')
    assert (status, body) == (206, data[1000:2000])
    assert headers['x-openstack-request-id'].startswith('req-')
    assert ask(port, 'HEAD', path + '/file')[2] == b''


def test_a_token_is_needed_but_not_for_the_version_documents(served):
    _, port = served
    path = new(port)
    status, headers, _ = ask(port, 'GET', path, token='nobody')
    assert status == 401 and 'Keystone uri=' in headers['WWW-Authenticate']
    assert ask(port, 'GET', path, token='bob')[0] == 404
    assert ask(port, 'GET', '/', token='')[0] == 300
    assert ask(port, 'GET', '/versions', token='')[0] == 200
    assert ask(port, 'GET', '/healthcheck', token='')[0] == 200


def test_a_document_without_end_is_cut_off(served):
    _, port = served
    status, _, _ = ask(port, 'POST', '/v2/images', b' ' * (5 << 20), **{'Content-Type': 'application/json'})
    assert status == 413


def test_a_client_that_hangs_up_leaves_the_image_queued(served):
    wiring, port = served
    path = new(port)
    head = (f'PUT {path}/file HTTP/1.1\r\nHost: x\r\nX-Auth-Token: alice\r\n'
            'Content-Type: application/octet-stream\r\n'
            'Content-Length: 1000000\r\n\r\n')
    with socket.create_connection(('127.0.0.1', port)) as raw:
        raw.sendall(head.encode() + b'x' * 1000)
        wait.until(lambda: json.loads(ask(port, 'GET', path)[2])['status'] == 'saving')
    wait.until(lambda: json.loads(ask(port, 'GET', path)[2])['status'] == 'queued')
    root = pathlib.Path(wiring.conf.state_path, 'glance', 'images')
    wait.until(lambda: [file for file in root.rglob('*') if file.is_file()] == [])
    assert ask(port, 'PUT', path + '/file', b'disk', **OCTETS)[0] == 204


def test_the_paste_file_of_the_tree_is_the_standard_pipeline():
    assert pipelines.beside(configuration.load('glance-api', OPTIONS, [], files=[]), 'api-paste.ini') is None
    for name in ('glance-api', 'glance-registry'):
        assert f':{name}]' in (ETC / 'api-paste.ini').read_text()

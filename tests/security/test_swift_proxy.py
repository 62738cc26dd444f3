"""What went wrong with Swift's proxy elsewhere, by the number of its advisory, and hostile requests of all kinds.

The advisories about filters (OSSA-2014-002, OSSA-2014-020, OSSA-2015-006,
OSSA-2015-016) are tested with those; OSSA-2023-001 is about S3's XML, which is
not spoken.
"""

import json
import os
import random
import socket

import pytest
from lxml import etree

from strata.testing.wait import until
from strata.testing.web import Raw
from tests.functional.swift_proxy import Client, cluster, proxy_of

BIG = bytes(4000000)


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp('store'), constraints={'max_meta_count': '60'},
                 filters='catch_errors gatekeeper cache listing_formats copy slo dlo') as store:
        yield store


@pytest.fixture
def user(store):
    user = Client(store)
    user.put('/c')
    return user


def test_ossa_2013_016_names_are_escaped_in_xml(user):
    name = '</name></object><object><name>evil&"\''
    path = '/c/' + ''.join(f'%{byte:02X}' for byte in name.encode())
    assert user.put(path, b'x', Content_Type='<evil/>').status_code == 201
    document = etree.fromstring(user.get('/c?format=xml').content)
    assert [each.text for each in document.iter('name')] == [name]
    assert [each.text for each in document.iter('content_type')] == ['<evil/>']
    answer = user.get('/c?format=xml&delimiter=%3C&prefix=%3C/name%3E')
    assert etree.fromstring(answer.content) is not None


def test_ossa_2013_022_clients_do_not_choose_timestamps(user):
    user.put('/c/o', b'x')
    for stamp in ('1.0', '1000.0', '9999999998.0'):
        user.delete('/c/o', X_Timestamp=stamp)
        user.delete('/c/never', X_Timestamp=stamp)
    assert len(user.cluster.files('.ts')) <= 6      # one of each on each primary
    assert not any(path.name.startswith(('0000000001', '0000001000', '9999999998'))
                   for path in user.cluster.files('.ts'))
    assert user.put('/c/o', b'x').status_code == 201 and user.get('/c/o').content == b'x'


def test_ossa_2014_034_limits_hold_for_all_metadata_together(user):
    for path, kind in (('', 'Account'), ('/c', 'Container')):
        codes = [user('POST', path, None, {f'X-{kind}-Meta-{start + number}': 'x' for number in range(30)}).status_code
                 for start in (0, 100, 200, 300)]
        assert codes[:2] == [204, 204] and set(codes[2:]) == {400}
        names = [name for name in user.head(path).headers if name.startswith(f'X-{kind}-Meta-')]
        assert len(names) == 60
        codes = [user('POST', path, None, {f'X-{kind}-Meta-{number}': 'x' * 256}).status_code for number in range(45)]
        assert 400 in codes
        size = sum(len(name) + len(value) for name, value in user.head(path).headers.items()
                   if name.startswith(f'X-{kind}-Meta-'))
        assert size <= 4096 + 60 * len(f'X-{kind}-Meta-')


@pytest.mark.parametrize('name', ['plain', 'segmented'])
def test_ossa_2016_004_a_client_that_hangs_up_leaves_no_connection_behind(user, name):
    user.put('/c/segment', BIG)
    user.put('/c/plain', BIG)
    manifest = json.dumps([{'path': '/c/segment'}] * 2)
    assert user.put('/c/segmented?multipart-manifest=put', manifest).status_code == 201
    servers = [node.servers['object'] for node in user.cluster.nodes]
    for _ in range(20):
        with Raw(user.cluster.proxy) as client:
            client.send(f'GET /v1/{user.account}/c/{name} HTTP/1.1\r\nHost: x\r\n\r\n'.encode())
            client._until(b'\r\n\r\n')
    until(lambda: sum(server.connections for server in servers) <= 12, message='connections are given back')
    idle = sum(len(lines) for lines in proxy_of(user.cluster).pool._idle.values())
    until(lambda: user.cluster.proxy.connections <= 2)
    assert idle <= 40 and user.get(f'/c/{name}').status_code == 200


def ask(user, target, *headers, method='GET', body=b''):
    with Raw(user.cluster.proxy) as client:
        return client.get(target, *headers, method=method, body=body).code


@pytest.mark.parametrize('target', [
    '/v1/AUTH_a/c%ff/o', '/v1/AUTH_a/%c0%af/o', '/v1/AUTH_%ed%a0%80/c', '/v1/AUTH_a/c/o%00x', '/v1/%00/c',
    '/v1/AUTH_a/c?prefix=%ff', '/v1/AUTH_a?marker=%c0%80', '/v1/AUTH_a/c?limit=-1', '/v1/AUTH_a/c?limit=abc',
    '/v1/AUTH_a/c?delimiter=%ff', '/v1/AUTH_a/c/o?a=%ff', '//v1/AUTH_a', '/v1//', '/v1/AUTH_a//o', '/v2/AUTH_a/c',
    '/v1/AUTH_a/c%0d%0aX-Evil:%20y', '/v1/AUTH_a/c?end_marker=%0d%0aX-Evil:%20y', '/%2e%2e/etc/passwd', '/v1/../..',
    '/v1/' + 'a' * 5000, '/v1/AUTH_a/c?' + '&'.join(f'a{number}=' for number in range(1500)),
])
@pytest.mark.parametrize('method', ['GET', 'PUT', 'DELETE', 'POST'])
def test_a_hostile_path_is_no_servers_error(user, target, method):
    assert ask(user, target, 'Content-Length: 0', method=method) < 500


@pytest.mark.parametrize('name', ['..', '../../../../etc/passwd', '....//', '.', '%2e%2e', 'a/../../b', '/etc/passwd'])
def test_names_are_never_paths_on_a_disk(user, name):
    path = '/c/' + ''.join(f'%{byte:02X}' for byte in name.encode())
    assert user.put(path, b'mine').status_code == 201 and user.get(path).content == b'mine'
    container = '/' + ''.join(f'%{byte:02X}' for byte in name.replace('/', '_').encode())
    assert user.put(container).status_code in (201, 202)
    for node in user.cluster.nodes:
        assert set(os.listdir(node.root)) == {node.device}
        assert set(os.listdir(node.disk)) <= {'accounts', 'containers', 'objects', 'tmp', 'async_pending',
                                              'quarantined'}


@pytest.mark.parametrize('value', [
    'bytes=' + ','.join(f'{number}-{number}' for number in range(0, 4000, 2)), 'bytes=0-' + '9' * 400,
    'bytes=' + '9' * 400 + '-', 'bytes=-' + '9' * 4000, 'bytes=-0', 'bytes=5-1', 'bytes=' + '0-,' * 200, 'bytes=a-b',
    'bytes=-', 'bytes=', '=', 'items=0-1', 'bytes=0-0,' * 60, 'bytes=1-2-3', 'bytes=\xb2-\xb3', 'bytes=+1-+2',
])
def test_a_hostile_range_is_no_servers_error(user, value):
    user.put('/c/o', b'0123456789')
    code = user('GET', '/c/o', headers={'Range': value.encode('latin-1')}).status_code
    assert code in (200, 206, 400, 416)


@pytest.mark.parametrize('headers', [
    {'Content-Type': b'\xff'}, {'X-Object-Meta-A': b'\xff\xfe'}, {b'X-Object-Meta-\xc3\xa9': 'x'},
    {'X-Delete-At': '9' * 400}, {'X-Delete-At': '1e400'}, {'X-Delete-At': '-1'}, {'X-Delete-After': '9' * 400},
    {'X-Delete-After': 'nan'}, {'X-Delete-At': '\u0663'.encode()}, {'X-Timestamp': 'nan'}, {'X-Timestamp': '9' * 400},
    {'X-Storage-Policy': '../..'}, {'X-Storage-Policy': b'\xff'}, {'X-Backend-Storage-Policy-Index': '9'},
    {'X-Backend-Storage-Policy-Index': 'x'}, {'X-Container-Host': '127.0.0.1:1', 'X-Container-Device': '../../x'},
    {'Etag': b'\xff'}, {'Etag': 'x' * 4000}, {'If-None-Match': '"' * 100}, {'If-Modified-Since': '9' * 400},
    {'If-Unmodified-Since': b'\xff'}, {'Content-Length': '-5'}, {'Content-Length': '5, 5'}, {'Expect': 'pizza'},
    {'X-Object-Manifest': '../../'}, {'X-Copy-From': '//'}, {'X-Copy-From': '%ff'}, {'Origin': b'\xff\x0b'},
    {'X-Newest': b'\xff'}, {'X-Object-Sysmeta-A': 'x'}, {'X-Object-Transient-Sysmeta-A': 'x'},
    {'X-Container-Read': b'\xff'}, {'X-Object-Meta-' + 'a' * 3000: 'x'}, {'X-Object-Meta-A': 'x' * 7000},
    {'X-Backend-Obj-Metadata-Footer': 'yes', 'X-Backend-Obj-Multipart-Mime-Boundary': 'x'},
    {'X-Backend-Obj-Content-Length': '99999'}, {'X-Backend-Replication': 'true'}, {'X-Trans-Id-Extra': b'\xff' * 50},
])
def test_hostile_headers_are_no_servers_error(user, headers):
    given = {name if isinstance(name, bytes) else name.encode(): value if isinstance(value, bytes) else value.encode()
             for name, value in headers.items()}
    for method, path in (('PUT', '/c/o'), ('GET', '/c/o'), ('POST', '/c/o'), ('PUT', '/c'), ('POST', '/c'),
                         ('HEAD', ''), ('DELETE', '/c/o'), ('OPTIONS', '/c/o')):
        lines = b''.join(name + b': ' + value + b'\r\n' for name, value in given.items())
        if method in ('PUT', 'POST') and 'Content-Length' not in headers:
            lines += b'Content-Length: 0\r\n'
        with Raw(user.cluster.proxy) as client:
            client.send(f'{method} /v1/{user.account}{path} HTTP/1.1\r\nHost: x\r\n'.encode() + lines + b'\r\n')
            answer = client.answer(head=method == 'HEAD')
        assert answer.code < 500, (method, path, answer.body)
        assert not any(name.startswith(('x-backend', 'x-object-sysmeta', 'x-object-transient'))
                       for name, _ in answer.headers)


def test_what_only_filters_may_say_is_not_believed_of_clients(user):
    user.put('/c/o', b'x', X_Object_Sysmeta_Evil='1', X_Object_Transient_Sysmeta_Evil='1')
    for path in user.cluster.files('.data'):
        assert b'Evil' not in os.getxattr(path, 'user.swift.metadata')
    assert user.put('/%00secret', X_Backend_Allow_Reserved_Names='true').status_code == 412


@pytest.mark.parametrize('kind', ['Container', 'Delete-At'])
def test_clients_do_not_say_whom_object_servers_tell(user, kind):
    with socket.create_server(('127.0.0.1', 0)) as elsewhere:
        elsewhere.setblocking(False)
        headers = {f'X-{kind}-Host': f'127.0.0.1:{elsewhere.getsockname()[1]}', f'X-{kind}-Partition': '1',
                   f'X-{kind}-Device': 'sda/1/AUTH_victim/c/forged?', 'X-Delete-At-Account': 'AUTH_victim',
                   'X-Delete-At-Container': 'c', 'X-Delete-At': '9000000000'}
        for method, body in (('PUT', b'x'), ('POST', b''), ('DELETE', b'')):
            assert user(method, '/c/told', body, headers).status_code < 300
            with pytest.raises(BlockingIOError):
                elsewhere.accept()


def test_clients_do_not_say_when_a_type_was_set(user):
    user.put('/c/typed', b'x', Content_Type='a/a')
    for kind in ('b/b', 'c/c'):
        user.post('/c/typed', Content_Type=kind, Content_Type_Timestamp='9000000000.00000')
        assert user.head('/c/typed').headers['Content-Type'] == kind


@pytest.mark.parametrize('target', ['/c/o?multipart-manifest=put', '/c/o'])
def test_a_malformed_body_is_no_servers_error(user, target):
    with Raw(user.cluster.proxy) as client:
        client.send(f'PUT /v1/{user.account}{target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
                    '5\r\nshortzz\r\n'.encode())
        assert client.answer().code == 400


def test_random_requests_are_no_servers_error(user):
    rng = random.Random(7)
    names = ['c', 'o', '', '.', '..', '%00', '%ff', 'é', ' ', '%2F', 'a' * 300, "'", '"', '\\', '*', ';', '?x=1', '#']
    for _ in range(150):
        target = '/v1/' + user.account + ''.join('/' + rng.choice(names) for _ in range(rng.randrange(4)))
        headers = rng.sample(['Range: bytes=0-1', 'If-Match: *', 'X-Newest: 1', 'Expect: 100-continue', 'Accept: x/y',
                              'X-Delete-After: 1', 'Transfer-Encoding: chunked', 'Content-Length: 3'], 2)
        method = rng.choice(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'COPY'])
        with Raw(user.cluster.proxy, timeout=20) as client:
            client.send('\r\n'.join([f'{method} {target.replace(" ", "%20")} HTTP/1.1', 'Host: x', *headers, '', ''])
                        .encode('utf-8', 'replace') + b'3\r\nabc\r\n0\r\n\r\n')
            answer = client.answer(head=method == 'HEAD')
            assert answer.code < 500, (method, target, headers, answer.body)

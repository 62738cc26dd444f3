"""Large objects, copies, links, versions, archives and quotas: the same requests to our proxy and to Swift 2.38's.

Both proxies stand before the same storage servers, each script runs through
each in an account of its own, and the answers are compared.  Then each shows
what was written through the other.  Where we differ on purpose, ``DIFFERENT`` says why.
"""

import contextlib
import io
import json
import os
import re
import subprocess
import tarfile

import pytest
import requests

from strata.testing import ports
from strata.testing.wait import until
from tests.swift_cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FILTERS = ('catch_errors gatekeeper listing_formats bulk copy container_quotas account_quotas slo dlo '
           'versioned_writes symlink')
OPTIONS = {'versioned_writes': 'allow_versioned_writes = true\nallow_object_versioning = true\n',
           'slo': 'yield_frequency = 1\n'}
#: their servers read swift.conf from a fixed place, unless they are told otherwise before they start
RUN = """
import runpy, sys
import swift.common.utils as utils
utils.SWIFT_CONF_FILE = sys.argv[1]
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""
#: headers that are of the moment, or of no consequence
IGNORED = {'date', 'x-trans-id', 'x-openstack-request-id', 'last-modified', 'x-timestamp', 'connection',
           'content-length', 'transfer-encoding', 'vary', 'accept-ranges', 'x-copied-from-last-modified',
           'x-manifest-etag', 'keep-alive', 'allow', 'server'}

A, B = '/segs/a', '/segs/b'
PUT = '?multipart-manifest=put'
GET = '?multipart-manifest=get'
SETUP = [('PUT', '/c'), ('PUT', '/segs'), ('PUT', A, {}, b'a' * 10),
         ('PUT', B, {'Content-Type': 'text/x', 'X-Object-Meta-Color': 'red'}, b'b' * 20)]


def manifest(*entries):
    return json.dumps(entries).encode()


def tar(*files, mode='w'):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as made:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return stream.getvalue()


WHOLE = manifest({'path': A, 'size_bytes': 10}, {'path': B[1:], 'range': '2-5'}, {'data': 'AAAA'}, {'path': B})

SCRIPTS = {
    'slo': [
        ('PUT', '/c/slo' + PUT, {'X-Object-Meta-Foo': 'bar'}, WHOLE),
        ('GET', '/c/slo'), ('HEAD', '/c/slo'), ('GET', '/c/slo' + GET + '&format=raw'),
        ('GET', '/c?format=json'),
        *(('GET', f'/c/slo?part-number={part}') for part in (0, 1, 4, 5, 'x')),
        ('HEAD', '/c/slo?part-number=2'),
        *(('GET', '/c/slo', {'Range': f'bytes={each}'}) for each in ('5-15', '-5', '500-', '0-0,3-4')),
        ('PUT', '/c/sub' + PUT, {}, manifest({'path': '/c/slo', 'range': '3-20'}, {'path': A})),
        ('GET', '/c/sub'), ('GET', '/c/sub', {'If-None-Match': '*'}), ('GET', '/c/sub', {'If-Match': 'x'}),
        ('PUT', '/c/none' + PUT, {'Accept': 'application/json'}, manifest({'path': '/segs/none'})),
        ('PUT', '/c/none' + PUT, {}, manifest({'path': A, 'etag': 'x', 'size_bytes': 1, 'range': '90-'})),
        ('PUT', '/c/beat' + PUT + '&heartbeat=on', {}, manifest({'path': A})),
        ('PUT', '/c/tag' + PUT, {'Etag': 'wrong'}, manifest({'path': A})),
        ('PUT', '/c/bad', {'X-Static-Large-Object': 'True'}, b'[]'),
        ('PUT', A, {}, b'z' * 10), ('GET', '/c/slo'), ('GET', '/c/slo', {'Range': 'bytes=14-'}),
        ('DELETE', '/c/sub?multipart-manifest=delete'), ('GET', '/c'), ('GET', '/segs'),
        ('DELETE', '/c/beat?multipart-manifest=delete'),
    ],
    'manifests': [('PUT', '/c/x' + PUT, {}, body) for body in (
        b'no', b'{}', b'[]', manifest({'path': A, 'foo': 1}), manifest({'path': '/segs'}), manifest({'path': 5}),
        manifest({'path': A, 'size_bytes': 'x'}), manifest({'path': A, 'etag': 5}), manifest({'path': A, 'range': 'x'}),
        manifest({'path': A, 'range': '1-2,3-4'}), manifest({'path': '/c/x'}), manifest({'data': 'AA'}),
        manifest({'data': 'AAAA'}), manifest({'data': ''}, {'path': A}), manifest({'path': A}, None),
        manifest({'path': A, 'range': '5-'}), manifest({'path': '/segs/ü ?'}), manifest(*[{'path': A}] * 1001))],
    'dlo': [
        ('PUT', '/c/m', {'X-Object-Manifest': 'segs/', 'Content-Type': 'x/y'}, b''),
        ('PUT', '/c/m', {'X-Object-Manifest': 'segs/a', 'Content-Type': 'x/y'}, b'hi'),
        ('PUT', '/segs/a2', {}, b'22'), ('GET', '/c/m'), ('HEAD', '/c/m'), ('GET', '/c/m' + GET),
        ('GET', '/c/m', {'Range': 'bytes=8-10'}), ('GET', '/c/m', {'Range': 'bytes=1-2,4-5'}),
        ('PUT', '/c/n', {'X-Object-Manifest': 'none/a'}, b''), ('GET', '/c/n'), ('HEAD', '/c/n'),
        *(('PUT', '/c/w', {'X-Object-Manifest': each}, b'') for each in ('segs', '/segs/x', 'segs//x', 'a/b?c', '')),
        ('POST', '/c/m', {'X-Object-Meta-A': '1'}), ('GET', '/c/m'),
    ],
    'copy': [
        ('COPY', B, {'Destination': 'c/1'}), ('GET', '/c/1'),
        ('PUT', '/c/2', {'X-Copy-From': B, 'X-Object-Meta-Size': '9'}), ('HEAD', '/c/2'),
        ('COPY', B, {'Destination': 'c/3', 'X-Fresh-Metadata': 'true', 'X-Object-Meta-C': 'c'}), ('HEAD', '/c/3'),
        ('COPY', B, {'Destination': 'c/4', 'Range': 'bytes=2-4', 'Content-Type': 'q/r'}), ('GET', '/c/4'),
        ('COPY', B), ('COPY', B, {'Destination': 'c'}), ('COPY', B, {'Destination': 'c/x', 'If-None-Match': '*'}),
        ('COPY', B, {'Destination': 'none/x'}), ('COPY', '/segs/none', {'Destination': 'c/x'}),
        ('PUT', '/c/x', {'X-Copy-From': B}, b'body'), ('PUT', '/c/x', {'X-Copy-From': 'segs'}),
        ('COPY', B, {'Destination': 'c/x', 'Destination-Account': 'a/b'}),
        ('PUT', '/c/slo' + PUT, {}, WHOLE), ('COPY', '/c/slo', {'Destination': 'c/flat'}), ('GET', '/c/flat'),
        ('COPY', '/c/slo' + GET, {'Destination': 'c/again'}), ('GET', '/c/again'), ('GET', '/c?format=json'),
    ],
    'symlink': [
        ('PUT', '/c/l', {'X-Symlink-Target': 'segs/b'}), ('GET', '/c/l'), ('HEAD', '/c/l?symlink=get'),
        ('GET', '/c/l', {'Range': 'bytes=1-2'}),
        ('PUT', '/c/s', {'X-Symlink-Target': 'segs/b', 'X-Symlink-Target-Etag': '085a8cdaee82caf894e995cd72b220bb'}),
        ('PUT', '/c/w', {'X-Symlink-Target': 'segs/b', 'X-Symlink-Target-Etag': 'wrong'}),
        ('PUT', '/c/w', {'X-Symlink-Target': 'segs'}), ('PUT', '/c/w', {'X-Symlink-Target': 'c/w'}),
        ('PUT', '/c/l2', {'X-Symlink-Target': 'c/l'}), ('PUT', '/c/l3', {'X-Symlink-Target': 'c/l2'}),
        ('GET', '/c/l2'), ('GET', '/c/l3'), ('POST', '/c/l', {'X-Object-Meta-A': '1'}), ('GET', '/c?format=json'),
        ('COPY', '/c/s?symlink=get', {'Destination': 'c/s2'}), ('HEAD', '/c/s2?symlink=get'),
        ('PUT', B, {}, b'changed'), ('GET', '/c/s'), ('GET', '/c/l'),
    ],
    'versions': [
        ('PUT', '/v', {'X-Versions-Enabled': 'true'}), ('HEAD', '/v'), ('PUT', '/v/o', {'Content-Type': 't/x'}, b'one'),
        ('PUT', '/v/o', {}, b'two!'), ('GET', '/v/o'), ('GET', '/v?format=json'), ('GET', '/v?versions'),
        ('GET', '/v/o?version-id=null'), ('GET', '/v/o?version-id=junk'), ('DELETE', '/v/o'), ('GET', '/v/o'),
        ('GET', '/v?versions'), ('GET', '/v?versions&limit=1'), ('GET', '/v?versions&marker=o'),
        ('GET', '/v?versions&reverse=true'), ('DELETE', '/v'), ('POST', '/v', {'X-Versions-Enabled': 'false'}),
        ('PUT', '/v/o', {}, b'null'), ('GET', '/v?versions'), ('GET', '/v/o?version-id=null'),
        ('PUT', '/v/s' + PUT, {}, WHOLE), ('GET', '/v/s'), ('GET', '/c/x?version-id=1700000000.00000'),
    ],
    'legacy': [
        ('PUT', '/old'), ('PUT', '/st', {'X-Versions-Location': 'old'}), ('PUT', '/h', {'X-History-Location': 'old'}),
        ('HEAD', '/st'), ('HEAD', '/h'), ('PUT', '/st/o', {'Content-Type': 'a/1'}, b'1'), ('PUT', '/st/o', {}, b'2'),
        ('DELETE', '/st/o'), ('GET', '/st/o'), ('DELETE', '/st/o'), ('DELETE', '/st/o'), ('PUT', '/h/o', {}, b'1'),
        ('PUT', '/h/o', {}, b'2'), ('DELETE', '/h/o'), ('DELETE', '/h/o'), ('GET', '/h/o'),
        ('PUT', '/x', {'X-History-Location': 'a', 'X-Versions-Location': 'b'}),
        ('PUT', '/x', {'X-Versions-Location': 'a/b'}), ('POST', '/st', {'X-Remove-Versions-Location': 'x'}),
        ('HEAD', '/st'),
    ],
    'bulk': [
        ('PUT', '?extract-archive=tar', {'Accept': 'application/json'},
         tar(('n/o', b'one'), ('n/d/p', b'two'), ('top', b'x'))),
        ('PUT', '/up/pre?extract-archive=tar.gz', {}, tar(('a/b', b'one'), mode='w:gz')), ('GET', '/n'), ('GET', '/up'),
        ('PUT', '?extract-archive=zip', {}, b'x'), ('PUT', '?extract-archive=tar', {}, b'garbage'),
        ('PUT', '?extract-archive=tar', {}, b''), ('PUT', '?extract-archive=tar.gz', {}, b'garbage'),
        ('POST', '?bulk-delete', {'Accept': 'application/json'}, b'/n/o\nn/d%2Fp\n/n/none\n/none/x\n'),
        ('DELETE', '?bulk-delete', {'Accept': 'text/xml'}, b'/n\n'), ('POST', '?bulk-delete', {}, b''),
        ('POST', '?bulk-delete', {}, b'/' + b'a' * 4000), ('POST', '?bulk-delete', {'Accept': 'a/b'}, b'/x/y'),
    ],
    'quotas': [
        ('PUT', '/q', {'X-Container-Meta-Quota-Bytes': '10', 'X-Container-Meta-Quota-Count': '2'}),
        ('PUT', '/q/a', {}, b'x' * 11), ('PUT', '/q/a', {}, b'x' * 9),
        ('POST', '/q', {'X-Container-Meta-Quota-Bytes': 'x'}), ('POST', '/q', {'X-Container-Meta-Quota-Count': '-1'}),
        ('POST', '', {'X-Account-Meta-Quota-Bytes': '9'}),
    ],
}
#: (script, number of the request) -> why we answer otherwise
DIFFERENT = {
    ('slo', 13): 'a page that says no is HTML, whatever the object is',
    ('slo', 27): 'each object is deleted once, however often it is a segment',
}


class Side:
    """One proxy."""

    def __init__(self, base):
        self.base = base

    def ask(self, account, method, path, headers=None, body=None):
        return requests.request(method, f'{self.base}/v1/{account}{path}', data=body, timeout=60, allow_redirects=False,
                                headers={'Content-Length': '0', **(headers or {})} if body is None else headers)

    def play(self, account, script):
        return [told(self.ask(account, *each), account) for each in SETUP + script]


def told(answer, account):
    """What of an answer is compared."""
    headers = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in IGNORED}
    if headers.get('content-type', '').startswith(('text/html', 'text/plain')):
        del headers['content-type']     # ours says of plain text that it is
    body = answer.content
    if body.startswith(b'<html>') or answer.status_code == 412 or (answer.status_code == 202 and not body):
        body = b'a page'                # the sentences are our own
    with contextlib.suppress(ValueError):
        body = json.dumps(json.loads(body), sort_keys=True).encode()
    text = f'{answer.status_code} {sorted(headers.items())} {body!r}'.replace(account, 'ACCOUNT')
    for pattern, name in ((r'\d{4}-\d\d-\d\dT[\d:.]{15}', 'WHEN'), (r'\b1[78]\d{8}\.\d{5}', 'TIME'),
                          (r'\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT', 'DATE'), (r'boundary=\w+', 'boundary=B'),
                          (r'--[0-9a-f]{32}', '--B'), (r'The server could not comply.*otherwise incorrect', 'SENTENCE'),
                          (r'The request is malformed or otherwise wrong', 'SENTENCE')):
        text = re.sub(pattern, name, text)
    # a manifest holds when its segments were written, so its own etag is never the same twice
    return re.sub(r'"hash": "[0-9a-f]{32}"(?=[^}]*slo_etag)', '"hash": MANIFEST', text)


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp('cluster'), devices=2, zones=2, replicas=1, filters=FILTERS,
                 options={'app:proxy-server': {'allow_account_management': 'true'},
                          'filter:slo': {'yield_frequency': '1'}}) as cluster:
        yield cluster


@pytest.fixture(scope='module')
def sides(cluster, swift_2_38):
    """Our proxy and theirs."""
    port = ports.free_port()
    names = FILTERS.replace('_quotas', '-quotas').split()
    conf = cluster.swift_dir / 'theirs.conf'
    conf.write_text(
        f'[DEFAULT]\nswift_dir = {cluster.swift_dir}\nuser = root\nbind_ip = 127.0.0.1\nbind_port = {port}\n'
        'workers = 0\nlog_udp_host = 127.0.0.1\nlog_udp_port = 9\n'
        f'[pipeline:main]\npipeline = {" ".join(names)} proxy-server\n'
        '[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\nallow_account_management = true\n'
        + ''.join(f'[filter:{name}]\nuse = egg:swift#{name.replace("-", "_")}\n{OPTIONS.get(name, "")}'
                  for name in names))
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    process = subprocess.Popen([f'{swift_2_38}/python', '-P', '-W', 'ignore', '-c', RUN,
                                str(cluster.swift_dir / 'swift.conf'), f'{swift_2_38}/swift-proxy-server', str(conf)],
                               cwd='/', env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    theirs = Side(f'http://127.0.0.1:{port}')

    def answers():
        with contextlib.suppress(requests.exceptions.RequestException):
            return requests.get(f'{theirs.base}/info', timeout=5).status_code == 200
        return False
    try:
        until(answers, timeout=60, message='their proxy', interval=0.1)
        yield Side(cluster.base), theirs
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize('name', SCRIPTS)
def test_both_proxies_answer_alike(sides, name):
    ours, theirs = (side.play(f'AUTH_{name}_{number}', SCRIPTS[name]) for number, side in enumerate(sides))
    requests_ = SETUP + SCRIPTS[name]
    different = [f'{requests_[place][:2]} ({place - len(SETUP)})\n  ours   {one}\n  theirs {other}'
                 for place, (one, other) in enumerate(zip(ours, theirs))
                 if one != other and (name, place - len(SETUP)) not in DIFFERENT]
    assert not different, '\n'.join(different)


WRITTEN = ['/c/slo', '/c/slo' + GET, '/c/sub', '/c/dlo', '/c/link', '/c/static', '/c?format=json',
           '/c/link?symlink=get', '/v/o', '/v/null', '/v?format=json', '/v?versions', '/v/slo', '/st/o',
           '/old?format=json', '/v', '/st', '']


@pytest.mark.parametrize('writer', [0, 1], ids=['ours', 'theirs'])
def test_each_shows_what_was_written_through_the_other(sides, writer):
    account = f'AUTH_shared_{writer}'
    for each in SETUP + [
            ('PUT', '/c/slo' + PUT, {'X-Object-Meta-A': '1'}, WHOLE),
            ('PUT', '/c/sub' + PUT, {}, manifest({'path': '/c/slo', 'range': '3-20'})),
            ('PUT', '/c/dlo', {'X-Object-Manifest': 'segs/a'}, b''),
            ('PUT', '/c/link', {'X-Symlink-Target': 'segs/b'}),
            ('PUT', '/c/static', {'X-Symlink-Target': 'segs/a',
                                  'X-Symlink-Target-Etag': 'e09c80c42fda55f9d992e59ca6b3307d'}),
            ('PUT', '/v'), ('PUT', '/v/null', {}, b'null'), ('POST', '/v', {'X-Versions-Enabled': 'true'}),
            ('PUT', '/v/o', {'Content-Type': 't/x'}, b'one'), ('PUT', '/v/o', {}, b'two'), ('PUT', '/v/x', {}, b'x'),
            ('DELETE', '/v/x'), ('PUT', '/v/slo' + PUT, {}, WHOLE), ('PUT', '/old'),
            ('PUT', '/st', {'X-Versions-Location': 'old'}), ('PUT', '/st/o', {}, b'1'), ('PUT', '/st/o', {}, b'2')]:
        assert sides[writer].ask(account, *each).status_code < 300, each
    for path in WRITTEN:
        for method in ('GET', 'HEAD'):
            one, other = (told(side.ask(account, method, path), account) for side in sides)
            assert one == other, (method, path)
    for version in sides[0].ask(account, 'GET', '/v?versions').json():
        path = f'/v/{version["name"]}?version-id={version["version_id"]}'
        one, other = (told(side.ask(account, 'GET', path), account) for side in sides)
        assert one == other, path
    reader = sides[1 - writer]
    assert reader.ask(account, 'DELETE', '/st/o').status_code == 204
    assert sides[writer].ask(account, 'GET', '/st/o').content == b'1'
    assert reader.ask(account, 'PUT', '/v/o', {}, b'three').status_code == 201
    assert sides[writer].ask(account, 'GET', '/v/o').content == b'three'
    assert b'Response Status: 200 OK' in reader.ask(account, 'DELETE', '/c/sub?multipart-manifest=delete').content
    assert sides[writer].ask(account, 'GET', '/segs').status_code in (200, 204)

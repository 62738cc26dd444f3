"""Swift 2.38 beside ours, on the same rings, conf files and disks: either's proxy over either's storage servers.

The other Swift is used as operators use it: its servers, from an environment of its own.
"""

import contextlib
import hashlib
import os
import subprocess

import pytest
import requests

from strata.testing import ports
from strata.testing.wait import until
from strata.wsgi.limits import Limits
from strata.wsgi.server import Server
from swift import pipeline
from swift.ring import files
from swift.ring.builder import RingBuilder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KINDS = ('account', 'container', 'object')
#: their servers read swift.conf from a fixed place, unless they are told otherwise before they start
RUN = """
import runpy, sys
import swift.common.utils as utils
utils.SWIFT_CONF_FILE = sys.argv[1]
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""
BIG = bytes(range(251)) * 6000


class Site:
    """Conf files, rings and disks that both Swifts can be started on."""

    def __init__(self, root, programs):
        self.root, self.programs = root, programs
        self.ports = {kind: ports.free_port() for kind in (*KINDS, 'proxy')}
        (root / 'swift.conf').write_text(
            '[swift-hash]\nswift_hash_path_prefix = before\nswift_hash_path_suffix = after\n'
            '[storage-policy:0]\nname = gold\ndefault = yes\n[storage-policy:1]\nname = silver\n')
        for name, kind in (('account', 'account'), ('container', 'container'), ('object', 'object'),
                           ('object-1', 'object')):
            builder = RingBuilder(5, 3, 1)
            for number in range(4):
                builder.add({'region': 1, 'zone': number % 3 + 1, 'ip': '127.0.0.1', 'port': self.ports[kind],
                             'device': f'd{number}', 'weight': 100})
                (root / 'srv' / f'd{number}').mkdir(parents=True, exist_ok=True)
            builder.rebalance(1)
            files.write_ring(str(root / f'{name}.ring.gz'), builder.ring_data())
        for kind in KINDS:
            self.write(kind, f'pipeline = {kind}-server', f'[app:{kind}-server]\nuse = egg:swift#{kind}\n')
        self.write('proxy', 'pipeline = catch_errors gatekeeper listing_formats copy dlo proxy-server',
                   '[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n' + ''.join(
                       f'[filter:{name}]\nuse = egg:swift#{name}\n' for name in (
                           'catch_errors', 'gatekeeper', 'listing_formats', 'copy', 'dlo')))

    def write(self, kind, pipe, text):
        (self.root / f'{kind}-server.conf').write_text(
            f'[DEFAULT]\nswift_dir = {self.root}\ndevices = {self.root}/srv\nmount_check = false\nuser = root\n'
            f'bind_ip = 127.0.0.1\nbind_port = {self.ports[kind]}\nworkers = 0\nlog_udp_host = 127.0.0.1\n'
            f'log_udp_port = 9\nrecon_cache_path = {self.root}/recon\n[pipeline:main]\n{pipe}\n{text}')

    @contextlib.contextmanager
    def ours(self, *kinds):
        servers = []
        for kind in kinds:
            app = pipeline.load(str(self.root / f'{kind}-server.conf'))
            servers.append(Server(app, ('127.0.0.1', self.ports[kind]), Limits(header_bytes=262144, headers=512),
                                  name=kind, access_log=False))
            servers[-1].start()
        try:
            yield f'http://127.0.0.1:{self.ports["proxy"]}/v1/AUTH_a'
        finally:
            for server in servers:
                server.stop(0)

    @contextlib.contextmanager
    def others(self, *kinds):
        environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
        running = [subprocess.Popen(
            [f'{self.programs}/python', '-P', '-W', 'ignore', '-c', RUN, f'{self.root}/swift.conf',
             f'{self.programs}/swift-{kind}-server', f'{self.root}/{kind}-server.conf'], cwd='/',
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for kind in kinds]
        try:
            for kind in kinds:
                until(lambda kind=kind: self.answers(kind), timeout=60, message=f'their {kind} server', interval=0.1)
            yield f'http://127.0.0.1:{self.ports["proxy"]}/v1/AUTH_a'
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(30)

    def answers(self, kind):
        """Whatever it answers."""
        try:
            requests.get(f'http://127.0.0.1:{self.ports[kind]}/healthcheck', timeout=5)
        except requests.exceptions.RequestException:
            return False
        return True


@pytest.fixture
def site(tmp_path, swift_2_38):
    return Site(tmp_path, swift_2_38)


def ask(method, url, status, data=None, **headers):
    answer = requests.request(method, url, data=data, timeout=60,
                              headers={name.replace('_', '-'): value for name, value in headers.items()})
    assert answer.status_code == status, (method, url, answer.status_code, answer.text)
    return answer


def write(url, name):
    """All that a client can do to a container, but delete it."""
    container = f'{url}/{name}'
    ask('PUT', container, 201, X_Container_Meta_Color='red')
    ask('PUT', container, 202)
    ask('POST', container, 204, X_Container_Meta_Size='9', X_Remove_Container_Meta_None='x')
    for key, data in (('empty', b''), ('small', b'data'), ('big', BIG), ('d\u00e9/x y', b'text')):
        answer = ask('PUT', f'{container}/{key}', 201, data, X_Object_Meta_Shape='round', Content_Type='text/x')
        assert answer.headers['Etag'].strip('"') == hashlib.md5(data).hexdigest()
    ask('PUT', f'{container}/chunked', 201, iter([b'abc' * 50000, b'def']))
    ask('PUT', f'{container}/small', 412, b'x', If_None_Match='*')
    ask('PUT', f'{container}/small', 422, b'x', Etag='0' * 32)
    ask('POST', f'{container}/small', 202, X_Object_Meta_Late='yes', Content_Type='text/late')
    ask('PUT', f'{container}/later', 201, b'x', X_Delete_After='10000')
    ask('PUT', f'{container}/copy', 201, b'', X_Copy_From=f'{name}/big')
    ask('PUT', f'{container}/gone', 201, BIG)
    ask('DELETE', f'{container}/gone', 204)
    ask('DELETE', f'{container}/gone', 404)
    ask('DELETE', container, 409)
    ask('PUT', f'{url}/{name}-silver', 201, X_Storage_Policy='silver')
    ask('PUT', f'{url}/{name}-silver/o', 201, b'silver')


def read(url, name):
    """Everything that ``write`` wrote is there, and nothing else."""
    container = f'{url}/{name}'
    head = ask('HEAD', container, 204).headers
    assert head['X-Container-Meta-Color'] == 'red' and head['X-Container-Meta-Size'] == '9'
    assert head['X-Container-Object-Count'] == '7' and head['X-Storage-Policy'] == 'gold'
    listing = ask('GET', f'{container}?format=json', 200).json()
    assert [each['name'] for each in listing] == ['big', 'chunked', 'copy', 'd\u00e9/x y', 'empty', 'later', 'small']
    assert listing[0]['hash'] == hashlib.md5(BIG).hexdigest() and listing[0]['bytes'] == len(BIG)
    assert listing[-1]['content_type'] == 'text/late'
    for key, data in (('empty', b''), ('big', BIG), ('copy', BIG), ('d\u00e9/x y', b'text'),
                      ('chunked', b'abc' * 50000 + b'def')):
        answer = ask('GET', f'{container}/{key}', 200)
        assert answer.content == data and answer.headers['Etag'] == hashlib.md5(data).hexdigest()
        if key != 'chunked':
            assert answer.headers['X-Object-Meta-Shape'] == 'round' and answer.headers['Content-Type'] == 'text/x'
    small = ask('GET', f'{container}/small', 200)
    assert small.content == b'data' and small.headers['Content-Type'] == 'text/late'
    assert small.headers['X-Object-Meta-Late'] == 'yes' and 'X-Object-Meta-Shape' not in small.headers
    assert ask('HEAD', f'{container}/later', 200).headers['X-Delete-At']
    assert ask('GET', f'{container}/big', 206, Range='bytes=100-300000').content == BIG[100:300001]
    parts = ask('GET', f'{container}/big', 206, Range='bytes=0-9,700000-1100000')
    assert BIG[700000:1100001] in parts.content and int(parts.headers['Content-Length']) == len(parts.content)
    ask('GET', f'{container}/big', 416, Range='bytes=99999999-')
    ask('GET', f'{container}/big', 304, If_None_Match=hashlib.md5(BIG).hexdigest())
    ask('GET', f'{container}/big', 200, X_Newest='true')
    ask('GET', f'{container}/gone', 404)
    assert ask('GET', f'{url}/{name}-silver/o', 200).content == b'silver'
    assert ask('GET', f'{url}/{name}-silver', 200).text == 'o\n'
    account = ask('GET', f'{url}?format=json', 200).json()
    assert {name, f'{name}-silver'} <= {each['name'] for each in account}


def test_our_proxy_over_their_servers(site):
    with site.others(*KINDS), site.ours('proxy') as url:
        write(url, 'c')
        read(url, 'c')


def test_their_proxy_over_our_servers(site):
    with site.ours(*KINDS), site.others('proxy') as url:
        write(url, 'c')
        read(url, 'c')


def test_each_reads_the_disks_that_the_other_wrote(site):
    with site.ours(*KINDS, 'proxy') as url:
        write(url, 'ours')
    with site.others(*KINDS, 'proxy') as url:
        read(url, 'ours')
        write(url, 'theirs')
    with site.ours(*KINDS, 'proxy') as url:
        read(url, 'ours')
        read(url, 'theirs')
        ask('DELETE', f'{url}/ours/big', 204)
        ask('POST', f'{url}/theirs/big', 202, X_Object_Meta_New='1')
    with site.others(*KINDS, 'proxy') as url:
        ask('GET', f'{url}/ours/big', 404)
        assert ask('HEAD', f'{url}/theirs/big', 200).headers['X-Object-Meta-New'] == '1'

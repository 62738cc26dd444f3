"""What Swift 2.38 encrypted is read by our proxy and the reverse, over the same servers and with the same secret.

The other Swift is run as operators run it; ``SWIFT_2_38`` names an environment
that has it.
"""

import base64
import hashlib
import subprocess
import urllib.parse
from pathlib import Path

import pytest
import requests

from strata.testing import ports, wait
from strata.wsgi.limits import Limits
from strata.wsgi.server import Server
from swift import pipeline
from swift.ring import files
from swift.ring.builder import RingBuilder

pytestmark = pytest.mark.slow

SECRET = base64.b64encode(bytes(range(32))).decode()
NEXT = base64.b64encode(bytes(range(32, 72))).decode()
KINDS = ('account', 'container', 'object')
FILTERS = 'catch_errors gatekeeper listing_formats copy slo dlo keymaster encryption'
#: an operator's command, told where swift.conf is
START = """
import sys
import swift.common.utils
swift.common.utils.SWIFT_CONF_FILE = sys.argv[1]
program, sys.argv = sys.argv[2], sys.argv[2:]
exec(open(program).read())
"""
TEXT = bytes(range(256)) * 1200
OBJECTS = {'plain': b'hello world', 'empty': b'', 'large/ /é"': TEXT, '/slash': b'x' * 17}


class Both:
    """Storage servers and a proxy of Swift 2.38, and a proxy of ours beside it."""

    def __init__(self, programs, root):
        self.programs, self.root = programs, root
        self.ports = {kind: ports.free_port() for kind in (*KINDS, 'proxy')}
        (root / 'srv' / 'd0').mkdir(parents=True)
        (root / 'swift.conf').write_text('[swift-hash]\nswift_hash_path_prefix = a\nswift_hash_path_suffix = b\n')
        for kind in KINDS:
            builder = RingBuilder(4, 1, 1)
            builder.add({'region': 1, 'zone': 1, 'ip': '127.0.0.1', 'port': self.ports[kind], 'device': 'd0',
                         'weight': 100})
            builder.rebalance(seed=1)
            files.write_ring(str(root / f'{kind}.ring.gz'), builder.ring_data())
        self.processes = [self.start(kind) for kind in (*KINDS, 'proxy')]
        self.ours = Server(pipeline.load(self.conf('proxy')), ('127.0.0.1', 0), Limits(), name='proxy',
                           access_log=False)
        self.ours.start()
        self.rotated = Server(pipeline.load(self.conf('proxy', {
            'encryption_root_secret_next': NEXT, 'active_root_secret_id': 'next'}, 'rotated')), ('127.0.0.1', 0),
            Limits(), name='rotated', access_log=False)
        self.rotated.start()
        self.url = {'theirs': self.at(self.ports['proxy']), 'ours': self.at(self.ours.port),
                    'rotated': self.at(self.rotated.port)}
        wait.until(lambda: self._up(self.url['theirs']), 60)
        for who in ('theirs', 'ours', 'rotated'):
            assert requests.put(f'{self.url["theirs"]}/{who}', timeout=20).status_code == 201

    @staticmethod
    def at(port):
        return f'http://127.0.0.1:{port}/v1/AUTH_test'

    @staticmethod
    def _up(url):
        try:
            return requests.get(url, timeout=5).status_code < 300
        except requests.RequestException:
            return False

    def conf(self, kind, keymaster=None, name=None):
        names = FILTERS.split() if kind == 'proxy' else []
        text = (f'[DEFAULT]\nswift_dir = {self.root}\ndevices = {self.root}/srv\nmount_check = false\nuser = root\n'
                f'bind_ip = 127.0.0.1\nbind_port = {self.ports[kind]}\nworkers = 0\ndisable_fallocate = true\n'
                f'[pipeline:main]\npipeline = {" ".join([*names, kind + "-server"])}\n'
                f'[app:{kind}-server]\nuse = egg:swift#{kind}\n')
        if kind == 'proxy':
            text += 'account_autocreate = true\nallow_account_management = true\n'
        for each in names:
            text += f'[filter:{each}]\nuse = egg:swift#{each}\n'
            if each == 'keymaster':
                options = {'encryption_root_secret': SECRET, **(keymaster or {})}
                text += ''.join(f'{option} = {value}\n' for option, value in options.items())
        path = self.root / f'{name or kind}-server.conf'
        path.write_text(text)
        return str(path)

    def start(self, kind, conf=None):
        return subprocess.Popen(
            [f'{self.programs}/python', '-P', '-c', START, str(self.root / 'swift.conf'),
             f'{self.programs}/swift-{kind}-server', conf or self.conf(kind)], cwd='/',
            stdout=(self.root / f'{kind}.log').open('wb'), stderr=subprocess.STDOUT)

    def stop(self):
        self.ours.stop(0)
        self.rotated.stop(0)
        for process in self.processes:
            process.terminate()
            process.wait()


@pytest.fixture(scope='module')
def both(swift_2_38, tmp_path_factory):
    both = Both(swift_2_38, Path(tmp_path_factory.mktemp('both')))
    yield both
    both.stop()


def address(base, container, name):
    return f'{base}/{container}/{urllib.parse.quote(name, safe="/")}'.replace('//slash', '/%2Fslash')


def write(base, container):
    for name, body in OBJECTS.items():
        answer = requests.put(address(base, container, name), data=body, timeout=20, headers={
            'X-Object-Meta-Color': 'r\u00e9d'.encode(), 'Content-Type': 'text/plain'})
        assert (answer.status_code, answer.headers['Etag']) == (201, hashlib.md5(body).hexdigest())
    posted = requests.put(address(base, container, 'posted'), data=b'posted', timeout=20)
    assert posted.status_code == 201
    assert requests.post(address(base, container, 'posted'), timeout=20,
                         headers={'X-Object-Meta-Shape': 'round'}).status_code == 202


def read(base, container):
    for name, body in OBJECTS.items():
        url, md5 = address(base, container, name), hashlib.md5(body).hexdigest()
        answer = requests.get(url, timeout=20, headers={'If-Match': f'"{md5}"'})
        assert (answer.status_code, answer.headers['Etag']) == (200, md5), name
        assert answer.content == body
        assert answer.headers['X-Object-Meta-Color'].encode('latin-1').decode() == 'r\u00e9d'
        assert requests.get(url, timeout=20, headers={'If-None-Match': md5}).status_code == 304
        assert requests.get(url, timeout=20, headers={'If-Match': 'x'}).status_code == 412
        if len(body) > 16:
            some = requests.get(url, timeout=20, headers={'Range': 'bytes=5-16'})
            assert (some.status_code, some.content) == (206, body[5:17])
        if len(body) > 1000:
            several = requests.get(url, timeout=20, headers={'Range': 'bytes=5-40,100000-100300'}).content
            assert body[5:41] in several and body[100000:100301] in several
    posted = requests.get(address(base, container, 'posted'), timeout=20)
    assert (posted.content, posted.headers['X-Object-Meta-Shape']) == (b'posted', 'round')
    listed = requests.get(f'{base}/{container}?format=json', timeout=20).json()
    found = {entry['name']: entry['hash'] for entry in listed}
    assert found == {name: hashlib.md5(body).hexdigest() for name, body in {**OBJECTS, 'posted': b'posted'}.items()}


def test_ours_reads_what_theirs_encrypted(both):
    write(both.url['theirs'], 'theirs')
    read(both.url['theirs'], 'theirs')
    read(both.url['ours'], 'theirs')
    read(both.url['rotated'], 'theirs')


def test_theirs_reads_what_ours_encrypted(both):
    write(both.url['ours'], 'ours')
    read(both.url['ours'], 'ours')
    read(both.url['theirs'], 'ours')


def test_theirs_reads_what_ours_encrypted_by_a_second_secret(both):
    write(both.url['rotated'], 'rotated')
    read(both.url['rotated'], 'rotated')
    process = both.processes.pop()
    process.terminate()
    process.wait()
    both.processes.append(both.start('proxy', both.conf('proxy', {
        'encryption_root_secret_next': NEXT, 'active_root_secret_id': 'next'})))
    wait.until(lambda: both._up(both.url['theirs']), 60)
    read(both.url['theirs'], 'rotated')


def test_nothing_plain_is_on_their_disks(both):
    write(both.url['ours'], 'ours')
    kept = [path.read_bytes() for path in (both.root / 'srv').rglob('*.data')]
    assert kept and not [data for data in kept if b'hello world' in data or bytes(range(64)) in data]

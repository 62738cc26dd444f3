"""The ``swift`` command of python-swiftclient, and its library, do all they offer; by TempAuth and by keystone."""

import json
import os
import subprocess

import pytest
import requests

from tests.compat.client import OpenStack, program
from tests.functional.keystone_cloud import PASSWORD, keystone_template  # noqa: F401
from tests.swift_cloud import ObjectStore
from tests.swift_cluster import DEFAULT, Cluster

BODY = os.urandom(700_000)


class Client:
    """The command with somebody's credentials, in a directory of its own."""

    def __init__(self, folder, account, **environment):
        self.folder, self.account = folder, account
        folder.mkdir()
        self.environment = {'PATH': os.environ['PATH'], 'HOME': str(folder), **environment}

    def __call__(self, *words, ok=True):
        """What it prints."""
        done = subprocess.run([program('swift'), *words], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, timeout=90)
        assert (done.returncode == 0) == ok, f'{words}: {done.stdout}{done.stderr}'
        return done.stdout if ok else done.stdout + done.stderr

    def python(self, script):
        """What a script prints that has ``connection``, of the library, as JSON."""
        text = f'import json, os, swiftclient\n{self.connect}\n{script}'
        done = subprocess.run([program('python'), '-c', text], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def connect(self):
        """How the library gets in."""
        if 'ST_AUTH' in self.environment:
            return 'connection = swiftclient.Connection(*map(os.environ.get, ("ST_AUTH", "ST_USER", "ST_KEY")))'
        return ('connection = swiftclient.Connection('
                '*map(os.environ.get, ("OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD")), auth_version="3", '
                'os_options={"project_name": os.environ["OS_PROJECT_NAME"], '
                '"user_domain_name": "Default", "project_domain_name": "Default"})')


@pytest.fixture(scope='module', params=['tempauth', 'keystone'])
def swift(request, tmp_path_factory, keystone_template):     # noqa: F811
    folder = tmp_path_factory.mktemp('client')
    if request.param == 'tempauth':
        with Cluster(folder / 'store', filters=DEFAULT) as cluster:
            yield Client(folder / 'home', cluster.url, ST_AUTH=f'{cluster.base}/auth/v1.0', ST_USER='test:tester',
                         ST_KEY='testing')
        return
    store = ObjectStore(keystone_template, folder, filters=DEFAULT.replace('tempauth', 'authtoken keystoneauth'))
    yield Client(folder / 'home', store.account, OS_AUTH_URL=f'{store.auth_url}/v3', OS_USERNAME='glance',
                 OS_PASSWORD=PASSWORD, OS_PROJECT_NAME='images', OS_IDENTITY_API_VERSION='3',
                 OS_USER_DOMAIN_NAME='Default', OS_PROJECT_DOMAIN_NAME='Default')
    store.close()


def lines(text):
    return [line.strip() for line in text.splitlines() if line.strip()]


def fields(text):
    """``name: value`` lines."""
    return {name.strip(): value.strip() for name, colon, value in (line.partition(':') for line in text.splitlines())
            if colon}


def test_a_file_goes_up_and_comes_down(swift):
    (swift.folder / 'note é.txt').write_bytes(b'a note')
    assert 'note é.txt' in swift('upload', 'notes', 'note é.txt', '--header', 'X-Object-Meta-Colour: red')
    assert lines(swift('list', 'notes')) == ['note é.txt']
    said = fields(swift('stat', 'notes', 'note é.txt'))
    assert (said['Content Length'], said['Meta Colour']) == ('6', 'red')
    assert swift('download', 'notes', 'note é.txt', '-o', '-') == 'a note'
    assert fields(swift('stat'))['Containers'] == '1' and 'notes' in lines(swift('list'))
    assert '6' in swift('list', 'notes', '--lh')
    swift('delete', 'notes', 'note é.txt')
    assert 'Not Found' in swift('stat', 'notes', 'note é.txt', ok=False)


def test_a_directory_goes_up_with_many_threads(swift):
    tree = swift.folder / 'tree'
    for number in range(12):
        (tree / f'd{number % 3}').mkdir(parents=True, exist_ok=True)
        (tree / f'd{number % 3}' / f'f{number}').write_bytes(b'%d' % number)
    swift('upload', 'trees', 'tree', '--object-threads', '4', '--changed')
    assert len(lines(swift('list', 'trees', '--prefix', 'tree/d1/f'))) == 4
    assert lines(swift('list', 'trees', '--delimiter', '/', '--prefix', 'tree/'))[0] == 'tree/d0/'
    swift('download', 'trees', '--prefix', 'tree/d1', '-D', 'back')
    assert (swift.folder / 'back' / 'tree' / 'd1' / 'f4').read_bytes() == b'4'
    swift('delete', 'trees')
    assert 'trees' not in lines(swift('list'))


@pytest.mark.parametrize('way', ['--use-slo', '--no-use-slo'])
def test_a_large_file_goes_in_segments_and_goes_whole(swift, way):
    name = f'large{way}'
    (swift.folder / name).write_bytes(BODY)
    words = ['upload', 'large', name, '-S', '200000', '--segment-container', 'pieces']
    swift(*words, *([way] if way == '--use-slo' else ['--use-dlo'] if '--use-dlo' in swift('upload', '--help') else []))
    said = fields(swift('stat', 'large', name))
    assert said['Content Length'] == str(len(BODY))
    assert len([line for line in lines(swift('list', 'pieces')) if name in line]) == 4
    swift('download', 'large', name, '-o', 'again')
    assert (swift.folder / 'again').read_bytes() == BODY
    swift('delete', 'large', name)
    assert not [line for line in lines(swift('list', 'pieces')) if name in line]


def test_metadata_and_copies(swift):
    (swift.folder / 'o').write_bytes(b'data')
    swift('upload', 'c', 'o')
    swift('post', 'c', 'o', '-m', 'Season:winter')
    swift('post', 'c', '-m', 'Owner:me', '-r', '.r:*,.rlistings')
    swift('post', '-m', 'Quota-Note:none')
    assert fields(swift('stat', 'c', 'o'))['Meta Season'] == 'winter'
    said = fields(swift('stat', 'c'))
    assert (said['Meta Owner'], said['Read ACL']) == ('me', '.r:*,.rlistings')
    assert fields(swift('stat'))['Meta Quota-Note'] == 'none'
    swift('copy', 'c', 'o', '--destination', '/c2/copy', '-m', 'Year:2026')
    said = fields(swift('stat', 'c2', 'copy'))
    assert (said['Meta Season'], said['Meta Year'], said['Content Length']) == ('winter', '2026', '4')
    assert requests.get(f'{swift.account}/c/o', timeout=30).content == b'data'      # it is public
    assert requests.get(f'{swift.account}/c2/copy', timeout=30).status_code == 401


def test_an_address_for_a_time(swift):
    (swift.folder / 'o').write_bytes(b'secret')
    swift('upload', 'hidden', 'o')
    swift('post', '-m', 'Temp-URL-Key:k3y')
    base, _, path = swift.account.partition('/v1/')
    signed = swift('tempurl', 'GET', '600', f'/v1/{path}/hidden/o', 'k3y').strip()
    assert requests.get(base + signed, timeout=30).content == b'secret'
    assert requests.get((base + signed).replace('sig=', 'sig=0'), timeout=30).status_code == 401


def test_what_the_cluster_can_do(swift):
    said = json.loads(swift('capabilities', '--json'))
    assert {'swift', 'slo', 'tempurl', 'bulk_delete', 'symlink', 'versioned_writes'} <= set(said)
    assert said['swift']['max_file_size'] == 5 * 1024 ** 3 + 2
    assert swift.account in swift('auth')


def test_the_library(swift):
    assert swift.python("""
connection.put_container('lib', {'X-Container-Meta-A': 'b'})
etag = connection.put_object('lib', 'x', contents=iter([b'abc', b'def']), content_type='text/plain')
headers, body = connection.get_object('lib', 'x', headers={'Range': 'bytes=2-4'})
connection.post_object('lib', 'x', {'X-Object-Meta-C': 'd'})
connection.copy_object('lib', 'x', '/lib/y')
listing = [each['name'] for each in connection.get_container('lib', full_listing=True)[1]]
meta = connection.head_object('lib', 'y')['x-object-meta-c']
for name in listing:
    connection.delete_object('lib', name)
connection.delete_container('lib')
try:
    connection.head_container('lib')
    status = None
except swiftclient.ClientException as error:
    status = error.http_status
print(json.dumps([etag, body.decode(), listing, meta, status]))
""") == ['e80b5017098950fc58aad83c8c14978e', 'cde', ['x', 'y'], 'd', 404]




def test_the_openstack_client(keystone_template, tmp_path):     # noqa: F811
    store = ObjectStore(keystone_template, tmp_path)
    home = tmp_path / 'home'
    home.mkdir()
    (home / 'file').write_bytes(b'data')
    cloud = OpenStack(home, f'{store.auth_url}/v3', 'glance', PASSWORD, 'images')
    try:
        cloud('container', 'create', 'box')
        cloud('object', 'create', 'box', 'file', '--name', 'thing')
        cloud.text('object', 'set', 'box', 'thing', '--property', 'colour=red')
        cloud.text('container', 'set', 'box', '--property', 'owner=me')
        cloud.text('object', 'store', 'account', 'set', '--property', 'note=none')
        assert [each['Name'] for each in cloud('object', 'list', 'box')] == ['thing']
        assert cloud('object', 'show', 'box', 'thing')['properties'] == {'Colour': 'red'}
        assert cloud('container', 'show', 'box')['properties'] == {'Owner': 'me'}
        assert cloud('object', 'store', 'account', 'show')['properties'] == {'Note': 'none'}
        cloud.text('object', 'save', 'box', 'thing', '--file', 'back')
        assert (home / 'back').read_bytes() == b'data'
        cloud.text('object', 'unset', 'box', 'thing', '--property', 'colour')
        cloud.text('container', 'unset', 'box', '--property', 'owner')
        cloud.text('object', 'store', 'account', 'unset', '--property', 'note')
        cloud.text('container', 'save', 'box')
        cloud.text('object', 'delete', 'box', 'thing')
        cloud.text('container', 'delete', 'box')
        assert cloud('container', 'list') == []
        assert 'Not Found' in cloud.refused('container', 'show', 'box')
    finally:
        store.close()

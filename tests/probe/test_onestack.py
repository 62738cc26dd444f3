"""The main job: a fresh clone, one command, a virtual machine that answers; and nothing left behind.

One story in order, for each part takes minutes under emulation.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / 'tools'))

from launcher import provision, story  # noqa: E402
from launcher.cloud import Cloud, Refused, wait  # noqa: E402
from launcher.settings import Person, Settings, load  # noqa: E402
from tests.compat import story as first_day  # noqa: E402
from tests.compat.client import OpenStack, program  # noqa: E402

pytestmark = [pytest.mark.probe, pytest.mark.root, pytest.mark.qemu, pytest.mark.timeout(1200)]

#: what changes on a host by itself
RESTLESS = re.compile(r'random|fs\.(dentry|inode|file|quota|aio)|nr_|ns_last|pty\.nr|conntrack_count|perf|hostname|'
                      r'debug|sched|route\.(gc|max)|\.neigh\.|use_tempaddr|stable_secret|tapvirt|veth')


def host() -> dict[str, list[str]]:
    """What a cloud changes on a host, as it is now."""
    def said(*argv: str) -> list[str]:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
    return {'links': sorted(line.split()[0] for line in said('ip', '-br', 'link')),
            'namespaces': said('ip', 'netns'), 'addresses': said('ip', '-br', 'addr'),
            'routes': said('ip', 'route'), 'rules': said('nft', 'list', 'ruleset'),
            'domains': said('virsh', 'list', '--all', '--name'),
            'definitions': sorted(map(str, Path('/etc/libvirt/qemu').glob('*.xml'))),      # where no libvirtd runs
            'users': said('getent', 'passwd', 'onestack'),
            'sysctls': [line for line in said('sysctl', '-a') if not RESTLESS.search(line)]}


class OneStack:
    """The command in a clone, run for a person with a home of their own."""

    def __init__(self, clone: Path, home: Path, data: Path) -> None:
        self.clone, self.home, self.data = clone, home, data

    def __call__(self, *words: str, status: int = 0, timeout: float = 900) -> str:
        environ = {key: value for key, value in os.environ.items()
                   if not key.startswith('SUDO_') and key not in ('PYTHONPATH', 'VIRTUAL_ENV')}
        done = subprocess.run([str(self.clone / 'tools' / 'onestack'), *words, '--data-dir', str(self.data)],
                              env={**environ, 'HOME': str(self.home)}, capture_output=True, text=True, check=False,
                              timeout=timeout, stdin=subprocess.DEVNULL)
        assert done.returncode == status, f'{words}: {done.stdout}\n{done.stderr}\n{self.tails()}'
        return done.stdout + done.stderr

    def tails(self) -> str:
        """The ends of the daemons' logs, for a failure."""
        return '\n'.join(f'== {path.name}\n' + '\n'.join(path.read_text(errors='replace').splitlines()[-25:])
                         for path in sorted((self.data / 'log').glob('*')))

    @property
    def settings(self) -> Settings:
        found = load(str(self.data))
        assert found is not None
        return found

    def ssh(self, address: str, command: str, status: int = 0, key: Path | None = None) -> str:
        done = subprocess.run(
            ['ssh', '-i', str(key or self.home / '.ssh' / 'onestack_ed25519'), '-o', 'StrictHostKeyChecking=no', '-o',
             'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR', '-o', 'ConnectTimeout=20', f'root@{address}',
             command], capture_output=True, text=True, check=False, timeout=90, stdin=subprocess.DEVNULL)
        assert done.returncode == status, f'{command}: {done.stdout}{done.stderr}'
        return done.stdout


@pytest.fixture(scope='module')
def one():
    """A fresh clone, and the command in it; reset whatever happens."""
    base = Path(tempfile.mkdtemp(prefix='onestack-', dir='/var/tmp'))
    base.chmod(0o755)      # the daemons and qemu have users of their own
    clone, home = base / 'clone', base / 'home'
    subprocess.run(['git', 'clone', '-q', str(ROOT), str(clone)], check=True)
    home.mkdir()
    stack = OneStack(clone, home, base / 'data')
    yield stack
    with contextlib.suppress(AssertionError):
        stack('reset', '--yes')
    shutil.rmtree(base, ignore_errors=True)


def second_project(stack: OneStack, admin: Cloud) -> tuple[Cloud, str]:
    """Another project with a network of the same range, and a server in it; its client and floating IP.

    But for the routers nothing has an address that something of the first project has: who answers is to be seen.
    """
    taken = [address['ip_address'] for port in admin.get('network', '/v2.0/ports')['ports']
             if port['device_owner'] != 'network:router_interface' for address in port['fixed_ips']
             if address['ip_address'].startswith('10.0.0.')]
    settings = Settings(**{**vars(stack.settings), 'secrets': {**stack.settings.secrets, 'other': 'another-secret'}})
    role = next(each['id'] for each in admin.get('identity', '/v3/roles')['roles'] if each['name'] == 'member')
    project = admin.ensure('identity', '/v3/projects', 'project', {'name': 'other', 'domain_id': 'default'}, {})
    user = admin.ensure('identity', '/v3/users', 'user', {'name': 'other', 'domain_id': 'default'},
                        {'password': 'another-secret'})
    admin.call('PUT', 'identity', f'/v3/projects/{project["id"]}/users/{user["id"]}/roles/{role}')
    other = Cloud(settings, 'other').login()
    external = other.get('network', '/v2.0/networks', name='public')['networks'][0]
    network = provision.private_network(other, external)
    provision.open_doors(other)
    other.post('network', '/v2.0/ports', {'port': {'network_id': network['id'],
                                                   'fixed_ips': [{'ip_address': each} for each in taken]}})
    story.key_pair(other, Person('root', 0, 0, str(stack.home)))
    image = other.get('image', '/v2/images', name=provision.IMAGE)['images'][0]
    step = quiet()
    server = story.wait_active(other, story.boot(other, image, network), step, 300)
    address = story.floating_ip(other, server, external)
    story.wait_ssh(address, step, 300)
    return other, address


def quiet():
    """A step that nobody watches."""
    class Step:
        def tell(self, state: str) -> None:
            """Say nothing."""
    return Step()


def caller_seen_by_host(stack: OneStack, address: str) -> str:
    """The address under which a server reaches an address of the host that is not on any of its networks."""
    own = next(line.split()[2].partition('/')[0] for line in host()['addresses']
               if not line.startswith(('lo', 'br-', 'tap', 'virbr')) and len(line.split()) > 2)
    with socket.create_server((own, 0)) as listener:
        seen: list[str] = []

        def answer() -> None:
            connection, peer = listener.accept()
            seen.append(peer[0])
            with connection:
                connection.sendall(b'hello\n')
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        listener.settimeout(60)
        assert 'hello' in stack.ssh(address, f'timeout 20 nc {own} {listener.getsockname()[1]} </dev/null')
        thread.join(10)
    return seen[0]


def test_a_fresh_clone_becomes_a_cloud_with_a_server_and_leaves_nothing_behind(one):
    before = host()
    clouds = one.home / '.config' / 'openstack' / 'clouds.yaml'
    clouds.parent.mkdir(parents=True)
    clouds.write_text('clouds:\n  mine:\n    auth: {auth_url: https://elsewhere.example}\n')

    said = one('up')
    assert 'The cloud is up' in said
    address = re.search(r'debian@([0-9.]+)', said)[1]
    assert 'elsewhere.example' in clouds.read_text()
    assert 'onestack-admin' in clouds.read_text()

    # the server is ours: its key, its user data, its name
    assert one.ssh(address, 'hostname').strip() == 'first'
    wait('user data', lambda: 'ran on first' in one.ssh(address, 'cat /root/user-data-ran || true'), 60)
    fixed = one.ssh(address, "ip -4 -o addr show eth0 | awk '{print $4}'").strip()
    assert fixed.startswith('10.0.0.')

    # out through SNAT: the host sees the floating IP, not the private address
    assert caller_seen_by_host(one, address) == address

    # another project, the same range, at the same time, and no way from one to the other
    admin = Cloud(one.settings, 'admin').login()
    other, second = second_project(one, admin)
    theirs = one.ssh(second, "ip -4 -o addr show eth0 | awk '{print $4}'").strip()
    assert theirs.startswith('10.0.0.')
    assert theirs != fixed
    one.ssh(address, f'ping -c 2 -W 2 {theirs.partition("/")[0]}', status=1)
    one.ssh(second, f'ping -c 2 -W 2 {fixed.partition("/")[0]}', status=1)
    assert one.ssh(address, 'hostname').strip() == one.ssh(second, 'hostname').strip() == 'first'
    for server in other.get('compute', '/v2.1/servers')['servers']:
        other.call('DELETE', 'compute', f'/v2.1/servers/{server["id"]}')
    wait('the second server to be gone', lambda: not other.get('compute', '/v2.1/servers')['servers'], 60)

    # kill -9 in the middle of a build: of fetching the image, of booting the guest
    demo = Cloud(one.settings, 'demo').login()
    for step in ('block_device_mapping', 'spawning'):
        a_build_survives_kill(one, demo, admin, step)

    status = one('status')
    assert re.search(r'nova +running', status)
    assert re.search(r'first +ACTIVE', status)
    assert memory_of_control_plane(status) < 350

    # down and up: everything returns, the server and what it wrote too
    one.ssh(address, 'echo kept > /root/kept; sync')
    one('down')
    assert subprocess.run(['virsh', 'list', '--name'], capture_output=True, text=True, check=False).stdout.split() == [
        name for name in before['domains'] if name]
    one('status', status=3)
    again = one('up')
    assert f'debian@{address}' in again
    assert one.ssh(address, 'cat /root/kept').strip() == 'kept'
    assert seconds_to_apis(again) < 10      # 5 on a quiet machine; tools/bench measures it

    one('down')      # so that what is to be removed is asleep
    one('reset', '--yes')
    as_before(before)
    assert not one.data.exists()
    assert clouds.read_text().count('auth_url') == 1


def as_before(before: dict[str, list[str]]) -> None:
    """That a cloud left nothing on its host."""
    after = host()
    for what, state in before.items():
        assert after[what] == state, f'{what} is not as before'


def a_build_survives_kill(one: OneStack, demo: Cloud, admin: Cloud, step: str) -> None:
    """Kill nova while it is in a step of a build; the server settles, and its delete leaves nothing."""
    image = large_image(admin, f'large-{step}')
    network = demo.get('network', '/v2.0/networks', name='private')['networks'][0]
    server = demo.post('compute', '/v2.1/servers', {'server': {
        'name': step, 'imageRef': image, 'flavorRef': '42', 'networks': [{'uuid': network['id']}]}})['server']['id']
    with sqlite3.connect(f'file:{one.data}/db/nova.sqlite?mode=ro', uri=True, timeout=30) as rows:
        wait(f'the step {step}', lambda: rows.execute(
            'SELECT 1 FROM operations WHERE resource_id = ? AND step = ?', (server, step)).fetchone(), 120, pause=0.002)
    os.kill(pid_of(one, 'nova'), signal.SIGKILL)

    def settled() -> str | None:
        with contextlib.suppress(requests.ConnectionError, Refused):
            now = demo.get('compute', f'/v2.1/servers/{server}')['server']
            assert now['status'] != 'ERROR' or now['fault']['message']
            return now['status'] if now['status'] in ('ACTIVE', 'ERROR') else None
        return None
    wait('the server to settle', settled, 180, pause=0.5)
    taps = [f'tap{port["id"][:11]}' for port in demo.get('network', '/v2.0/ports', device_id=server)['ports']]
    demo.call('DELETE', 'compute', f'/v2.1/servers/{server}')
    wait('the server to be gone', lambda: server not in str(demo.get('compute', '/v2.1/servers')), 90)
    assert not demo.get('network', '/v2.0/ports', device_id=server)['ports']
    assert not (one.data / 'instances' / server).exists()
    domains = subprocess.run(['virsh', 'list', '--all', '--uuid'], capture_output=True, text=True, check=True).stdout
    assert server not in domains
    wait('its devices to be gone', lambda: not any(Path('/sys/class/net', tap).exists() for tap in taps), 30)
    with sqlite3.connect(f'file:{one.data}/db/nova.sqlite?mode=ro', uri=True, timeout=30) as rows:
        assert rows.execute('SELECT count(*) FROM claims WHERE server_id = ?', (server,)).fetchone() == (0,)
        assert rows.execute('SELECT count(*) FROM operations WHERE finished_at IS NULL').fetchone() == (0,)


def large_image(admin: Cloud, name: str) -> str:
    """The guest's image as a raw one with 300 MB of nothing behind it, so that fetching it takes a while."""
    found = admin.get('image', '/v2/images', name=provision.IMAGE)['images'][0]
    with tempfile.TemporaryDirectory(dir='/var/tmp') as folder:
        small, raw = Path(folder) / 'small', Path(folder) / 'raw'
        small.write_bytes(admin.session.get(admin.settings.url('image', f'/v2/images/{found["id"]}/file')).content)
        subprocess.run(['qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', str(small), str(raw)], check=True)
        os.truncate(raw, 300 << 20)
        entry = admin.post('image', '/v2/images', {'name': name, 'disk_format': 'raw', 'container_format': 'bare',
                                                   'visibility': 'public'})
        with raw.open('rb') as file:
            admin.call('PUT', 'image', f'/v2/images/{entry["id"]}/file', data=file, timeout=300,
                       headers={'Content-Type': 'application/octet-stream'})
    return str(entry['id'])


def pid_of(one: OneStack, name: str) -> int:
    """The pid of one of the cloud's processes."""
    state = json.loads((one.data / 'run' / 'processes.json').read_text())
    return next(int(each['pid']) for each in state['processes'] if each['name'] == name)


def memory_of_control_plane(status: str) -> int:
    """MB of all our processes together, as ``status`` says."""
    return int(re.search(r'^all +(\d+) MB', status, re.MULTILINE)[1])


def seconds_to_apis(said: str) -> float:
    """How long the APIs took to answer, from the steps that ``up`` printed."""
    steps = re.findall(r'^ +(?:Starting the daemons|Waiting for the \w+ API) +([0-9.]+) s', said, re.MULTILINE)
    return sum(map(float, steps))


def test_a_user_s_first_day_on_real_machines(one, tmp_path):
    program()
    fresh = host()
    one('up', '--no-server')
    before, settings = host()['domains'], one.settings

    def login(user: str, password: str, project: str | None) -> OpenStack:
        return OpenStack(tmp_path, settings.url('identity', '/v3'), user, password, project)

    def run(address: str, key: Path, command: str) -> str:
        """The machine was rebooted a moment ago."""
        wait('the SSH server', lambda: greets(address), 120)
        return one.ssh(address, command, key=key)
    image = Path(settings.path('guest', f'{provision.IMAGE}.qcow2')).read_bytes()
    try:
        first_day.tell(login, settings.secrets['admin'], tmp_path, first_day.Machine(image, 'qcow2', 192, run))
    except AssertionError as error:
        error.add_note(one.tails())
        raise
    assert host()['domains'] == before
    one('reset', '--yes')
    as_before(fresh)


def greets(address: str) -> bool:
    """Whether an SSH server greets at an address."""
    with contextlib.suppress(OSError), socket.create_connection((address, 22), timeout=2) as connection:
        connection.settimeout(5)
        return connection.recv(4) == b'SSH-'
    return False


def test_a_server_boots_from_an_image_that_is_kept_in_the_object_store(one):
    fresh = host()
    said = one('up', '--image-store', 'swift')
    address = re.search(r'debian@([0-9.]+)', said)[1]
    assert one.ssh(address, 'echo here').strip() == 'here'
    size = (one.data / 'guest' / 'tiny.qcow2').stat().st_size
    replicas = [path for path in (one.data / 'objects').rglob('*.data') if path.stat().st_size == size]
    assert len(replicas) == 3 and not list((one.data / 'images').iterdir())
    refused = one('up', '--image-store', 'file', status=1)
    assert 'keeps images in the swift store. Remedy: "onestack down" first' in refused
    assert one.settings.image_store == 'swift'
    one('reset', '--yes')
    as_before(fresh)


def test_what_up_refuses_it_refuses_in_one_line(one, tmp_path):
    with socket.create_server(('0.0.0.0', 0)) as taken:
        port = taken.getsockname()[1]
        said = OneStack(ROOT, tmp_path, tmp_path / 'data')('up', '--driver', 'fake', '--no-server', '--port-base',
                                                           str(port), status=1)
    assert f'port {port} is in use' in said
    assert '--port-base' in said

"""Two object stores of the same shape on this host: ours, and that of a virtualenv with another release of Swift.

Each has three replicas on four devices in three zones, one process per kind of
server, a memcached, the published pipeline, and no background daemons.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from benchmarks.client import Trouble

NAMES = ('ours', 'theirs')
ROOT = Path(__file__).resolve().parents[2]
KINDS = ('account', 'container', 'object')
#: makes a hundred partitions for each of the four devices, as the published advice has it
PART_POWER = '7'
FILTERS = ('catch_errors gatekeeper healthcheck proxy-logging cache listing_formats bulk tempurl tempauth copy '
           'container-quotas account-quotas slo dlo versioned_writes symlink')
#: what a filter is told beside its name
OPTIONS = {'tempauth': {'user_test_tester': 'testing .admin', 'token_life': '864000'},
           'versioned_writes': {'allow_versioned_writes': 'true'}}


def ring_builder(name: str) -> list[str]:
    """How Python runs the ring builder of one of the two."""
    if name == 'ours':
        return ['-m', 'swift.cli.ring_builder']
    return ['-c', 'import sys; from swift.cli.ringbuilder import main; sys.argv[0] = "swift-ring-builder"; main()']


def login(url: str, user: str, key: str) -> tuple[str, str]:
    """Storage URL and token from TempAuth."""
    request = urllib.request.Request(url, headers={'X-Auth-User': user, 'X-Auth-Key': key})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.headers['X-Storage-Url'], answer.headers['X-Auth-Token']


def interpreter(name: str, venv: str) -> str:
    """The Python of one of the two; ours is that of ``tools/test setup``, if it was run."""
    own = ROOT / '.venv' / 'bin' / 'python'
    if name == 'ours':
        return str(own) if own.exists() else sys.executable
    return str(Path(venv) / 'bin' / 'python')


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


class Cluster:
    """One of the two, running as long as the block."""

    def __init__(self, name: str, folder: Path, venv: str) -> None:
        self.name, self.folder = name, folder
        self.python = interpreter(name, venv)
        self.venv = Path(venv)
        self.ports = {kind: free_port() for kind in (*KINDS, 'proxy', 'memcached')}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = folder / 'log'

    def __enter__(self) -> 'Cluster':
        for number in range(4):
            (self.folder / 'devices' / f'sd{number}').mkdir(parents=True)
        self._write()
        try:
            self._rings()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.folder / 'devices', ignore_errors=True)

    def _write(self) -> None:
        (self.folder / 'swift.conf').write_text(
            '[swift-hash]\nswift_hash_path_suffix = bench\n[storage-policy:0]\nname = gold\ndefault = yes\n')
        common = (f'swift_dir = {self.folder}\ndevices = {self.folder}/devices\nmount_check = false\nuser = root\n'
                  f'bind_ip = 127.0.0.1\nworkers = 1\nlog_level = WARNING\nlog_requests = false\n'
                  f'recon_cache_path = {self.folder}/recon\n')
        for kind in KINDS:
            (self.folder / f'{kind}-server.conf').write_text(
                f'[DEFAULT]\n{common}bind_port = {self.ports[kind]}\n[pipeline:main]\npipeline = {kind}-server\n'
                f'[app:{kind}-server]\nuse = egg:swift#{kind}\n')
        text = (f'[DEFAULT]\n{common}bind_port = {self.ports["proxy"]}\n[pipeline:main]\n'
                f'pipeline = {FILTERS} proxy-logging proxy-server\n[app:proxy-server]\nuse = egg:swift#proxy\n'
                'account_autocreate = true\nallow_account_management = true\n')
        told = {**OPTIONS, 'cache': {'memcache_servers': f'127.0.0.1:{self.ports["memcached"]}'}}
        for each in FILTERS.split():
            egg = {'cache': 'memcache'}.get(each, each.replace('-', '_'))
            text += f'[filter:{each}]\nuse = egg:swift#{egg}\n'
            text += ''.join(f'{key} = {value}\n' for key, value in told.get(each, {}).items())
        (self.folder / 'proxy-server.conf').write_text(text)

    def _rings(self) -> None:
        for kind in KINDS:
            builder = [self.python, *ring_builder(self.name), str(self.folder / f'{kind}.builder')]
            devices = [word for number in range(4) for word in
                       (f'r1z{number % 3 + 1}-127.0.0.1:{self.ports[kind]}/sd{number}', '100')]
            for words in (['create', PART_POWER, '3', '1'], ['add', *devices], ['rebalance', '--seed', '1']):
                done = subprocess.run([*builder, *words], capture_output=True, text=True, env=self._environment(),
                                      cwd=self.folder)
                if done.returncode > 1:     # 1 is a warning
                    raise Trouble(f'{self.name}: swift-ring-builder {words[0]}: {done.stdout}{done.stderr}')

    def _environment(self) -> dict[str, str]:
        found = dict(os.environ)
        if self.name == 'ours':
            found['PYTHONPATH'] = str(ROOT)
        return found

    def _start(self) -> None:
        log = self.log.open('wb')
        memcached = shutil.which('memcached')
        if memcached is None:
            raise Trouble('memcached is not installed; both stores get one')
        commands = [[memcached, '-l', '127.0.0.1', '-p', str(self.ports['memcached']), '-u', 'nobody']]
        for kind in (*KINDS, 'proxy'):
            conf = str(self.folder / f'{kind}-server.conf')
            if self.name == 'ours':
                commands.append([self.python, '-m', f'swift.cmd.{kind}_server', conf])
            else:
                commands.append([self.python, str(self.venv / 'bin' / f'swift-{kind}-server'), conf])
        for command in commands:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=self._environment(),
                                                   cwd=self.folder))
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        for port in self.ports.values():
            while True:
                try:
                    socket.create_connection(('127.0.0.1', port), timeout=1).close()
                    break
                except OSError as error:
                    if time.monotonic() > deadline or any(each.poll() is not None for each in self.processes):
                        raise Trouble(f'{self.name} did not start: {self.log.read_text()[-2000:]}') from error
                    time.sleep(0.05)

    def login(self) -> tuple[str, str]:
        """Storage URL and token of its user."""
        return login(f'http://127.0.0.1:{self.ports["proxy"]}/auth/v1.0', 'test:tester', 'testing')

    def pids(self) -> dict[str, int]:
        """Every process, children too."""
        names = dict(zip(('memcached', *KINDS, 'proxy'), (each.pid for each in self.processes)))
        found = dict(names)
        for name, pid in names.items():
            for number, child in enumerate(children(pid)):
                found[f'{name}.{number}'] = child
        return found


def children(pid: int) -> list[int]:
    """Its children, and theirs."""
    found = []
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                fields = Path(f'/proc/{entry}/stat').read_text(errors='replace').rpartition(')')[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found += [int(entry), *children(int(entry))]
    return found

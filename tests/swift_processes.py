"""A whole object store in real processes: every server of every device, and the proxy, there to be killed.

Devices, rings and conf files are those of ``swift_cluster``; servers and daemons are the commands' own ``main``
in processes forked by ``tests/probe/swift_nursery.py``, so that one starts in a tenth of a second.
"""

import contextlib
import hashlib
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from strata import backend, green
from strata.testing import wait
from swift.direct import Direct, Refused
from swift.obj import metadata
from tests.swift_cluster import KINDS, Cluster, Node

ROOT = Path(__file__).parents[1]
ACCOUNT = 'AUTH_test'

#: what a sweep over everything is, in the order of its steps; those of a step run side by side
SWEEP = (('account-replicator', 'container-replicator', 'object-replicator'),
         ('object-updater', 'container-updater'))

#: short waits, so that a node that is away is found out soon, and tried again soon
QUICK: dict[str, dict[str, str]] = {
    'app:proxy-server': {'node_timeout': '3', 'recoverable_node_timeout': '1', 'conn_timeout': '0.5',
                         'error_suppression_interval': '2'},
    'object-server': {'node_timeout': '2', 'container_update_timeout': '1'},
    'object-replicator': {'http_timeout': '5', 'conn_timeout': '0.5'},
    'container-replicator': {'node_timeout': '5', 'databases_per_second': '0'},
    'account-replicator': {'node_timeout': '5', 'databases_per_second': '0'},
    'container-updater': {'containers_per_second': '0', 'account_suppression_time': '1'},
    'object-updater': {'objects_per_second': '1000', 'node_timeout': '2'},
    'object-auditor': {'files_per_second': '0', 'zero_byte_files_per_second': '0', 'bytes_per_second': '0'},
}

#: what a client sees of a proxy that dies or does not answer
LOST = (OSError, http.client.HTTPException)


class Said(NamedTuple):
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """Talks to the proxy on a connection that it keeps."""

    def __init__(self, port: int, timeout: float = 30) -> None:
        self.connection = http.client.HTTPConnection('127.0.0.1', port, timeout=timeout)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Said:
        """One request below the account; raises one of ``LOST``."""
        url = f'/v1/{ACCOUNT}{quote(path, safe="/?=&%")}'
        given = {name.replace('_', '-'): value for name, value in headers.items()}
        try:
            self.connection.request(method, url, body, given)
            answer = self.connection.getresponse()
            text = answer.read()
        except LOST:
            self.connection.close()
            raise
        return Said(answer.status, {name.lower(): value for name, value in answer.getheaders()}, text)

    def names(self, container: str) -> list[str]:
        """The whole listing of a container."""
        found: list[str] = []
        while True:
            said = self.ask('GET', f'/{container}?limit=5000&marker={quote(found[-1]) if found else ""}')
            assert said.status in (200, 204), said
            if not said.body:
                return found
            found += said.body.decode().splitlines()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


class Ledger:
    """What clients were promised: names and bytes that are there, and names that are gone."""

    def __init__(self, container: str) -> None:
        self.container = container
        self.there: dict[str, bytes] = {}
        self.gone: set[str] = set()
        #: what nobody was told about; it may be either way
        self.unsure: dict[str, set[bytes | None]] = {}

    def put(self, client: Client, name: str, data: bytes) -> int:
        """Upload and note; the status, 0 if there was none."""
        return self._note(client, 'PUT', name, data)

    def delete(self, client: Client, name: str) -> int:
        """Delete and note; the status, 0 if there was none."""
        return self._note(client, 'DELETE', name, None)

    def _note(self, client: Client, method: str, name: str, data: bytes | None) -> int:
        try:
            status = client.ask(method, f'/{self.container}/{name}', data).status
        except LOST:
            status = 0
        if 200 <= status < 300:
            self.unsure.pop(name, None)
            self.there.pop(name, None)
            self.gone.discard(name)
            if data is None:
                self.gone.add(name)
            else:
                self.there[name] = data
        elif status != 404:
            self.unsure.setdefault(name, {self.there.get(name)}).add(data)
            self.there.pop(name, None)
            self.gone.discard(name)
        return status


class Processes(Cluster):
    """The cluster, each server a process; ``client`` talks to its proxy."""

    def __init__(self, root: Path, *, options: Mapping[str, Mapping[str, str]] | None = None,
                 networks: Mapping[int, str] | None = None, **more: Any) -> None:
        """``networks``: number of a node -> the network namespace that its processes run in."""
        given = {section: {**QUICK.get(section, {}), **(options or {}).get(section, {})}
                 for section in {*QUICK, *(options or {})}}
        super().__init__(root, options=given, start=False, **more)
        self.networks = dict(networks or {})
        self.logs = root / 'log'
        self.logs.mkdir()
        self.pids: dict[str, int] = {}
        with open(self.logs / 'nursery.log', 'wb') as log:
            self._nursery = subprocess.Popen(
                [sys.executable, str(ROOT / 'tests' / 'probe' / 'swift_nursery.py')], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
                env={**os.environ, 'PYTHONPATH': str(ROOT)})
        self.direct = Direct(timeout=5)
        self.client = Client(self.port)

    # -- processes

    def fork(self, command: str, argv: list[str], log: str, network: str | None = None, status: str = '') -> int:
        """The pid of a command that runs from now on."""
        assert self._nursery.stdin and self._nursery.stdout
        self._nursery.stdin.write(json.dumps({
            'command': command, 'argv': argv, 'log': str(self.logs / log), 'network': network,
            'status': status}) + '\n')
        self._nursery.stdin.flush()
        return int(self._nursery.stdout.readline())

    def begin(self, *names: str) -> None:
        """Start servers (``object0``, ``proxy``) that do not run, and wait until they listen."""
        for name in names:
            if alive(self.pids.get(name, 0)):
                continue
            if name == 'proxy':
                self.pids[name] = self.fork('proxy_server', [str(self.swift_dir / 'proxy-server.conf')], 'proxy.log')
            else:
                kind, node = self.place(name)
                self.pids[name] = self.fork(f'{kind}_server', [node.conf(kind)], f'{name}.log',
                                            self.networks.get(node.number))
        for name in names:
            wait.until(lambda name=name: self.listens(name), 30, f'{name} listens')

    def place(self, name: str) -> tuple[str, Node]:
        """Kind and node of a server's name."""
        return name.rstrip('0123456789'), self.nodes[int(name[-1])]

    def listens(self, name: str) -> bool:
        """Whether a server takes connections."""
        if not alive(self.pids[name]):
            raise RuntimeError(f'{name} ended at its start\n{self.tails()}')
        if name == 'proxy':
            address = ('127.0.0.1', self.port)
        else:
            kind, node = self.place(name)
            address = (node.ip, node.ports[kind])
        with contextlib.suppress(OSError), socket.create_connection(address, 1):
            return True
        return False

    @staticmethod
    def of(*nodes: Node) -> list[str]:
        """The names of all servers of nodes."""
        return [f'{kind}{node.number}' for node in nodes for kind in KINDS]

    def start(self) -> None:
        """Start every server that does not run, and let those go on that were stopped."""
        self.signal(signal.SIGCONT, *self.pids)
        self.begin(*self.of(*self.nodes), 'proxy')

    def signal(self, number: int, *names: str) -> None:
        """Send a signal to servers."""
        for name in names:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pids[name], number)

    def kill(self, *names: str) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL, *names)
        if 'proxy' in names:
            self.client.close()
        for name in names:
            wait.until(lambda name=name: not alive(self.pids[name]), 10, f'{name} is dead')

    def stop(self) -> None:
        """Kill everything."""
        self.kill(*self.pids)
        self.client.close()
        self.direct.close()
        if self._nursery.poll() is None:
            assert self._nursery.stdin and self._nursery.stdout
            self._nursery.stdin.close()
            self._nursery.wait(30)
            self._nursery.stdout.close()

    def once(self, *daemons: str, nodes: Iterable[Node] | None = None, words: Iterable[str] = ()) -> None:
        """``swift-<daemon> CONF once`` on every node, side by side; each must end well."""
        waiting: list[tuple[str, str, int]] = []
        for daemon in daemons:
            kind = daemon.partition('-')[0]
            for node in nodes if nodes is not None else self.nodes:
                status = str(self.logs / f'{daemon}.{secrets.token_hex(4)}.status')
                pid = self.fork(daemon.replace('-', '_'), [node.conf(kind), 'once', *words],
                                f'{daemon}{node.number}.log', self.networks.get(node.number), status)
                waiting.append((f'{daemon} of node {node.number}', status, pid))
        for name, status, pid in waiting:
            wait.until(lambda pid=pid: not alive(pid), 60, f'{name} ended')
            assert Path(status).exists(), f'{name} ended without a word'
            assert Path(status).read_text() == '0', f'{name} failed'
            os.unlink(status)

    def sweep(self, times: int = 1) -> None:
        """All replicators and updaters, once each."""
        for _ in range(times):
            for step in SWEEP:
                self.once(*step)

    def tails(self, lines: int = 30) -> str:
        """The ends of the logs, without the requests."""
        told = []
        for path in sorted(self.logs.glob('*.log')):
            text = [line for line in path.read_text(errors='replace').splitlines() if 'HTTP/1.1" ' not in line]
            told += [f'== {path.name}', *text[-lines:]] if text else []
        return '\n'.join(told)

    # -- what there is on disks

    def hash_dir(self, node: Node, container: str, name: str) -> Path:
        """Where an object's files are on a node."""
        digest = self.hashing.hexdigest(ACCOUNT, container, name)
        part = self.ring().get_nodes(ACCOUNT, container, name)[0]
        return node.disk / 'objects' / str(part) / digest[-3:] / digest

    def holdings(self, container: str, name: str) -> dict[int, list[str]]:
        """Number of a node -> the files it has of an object."""
        found = {}
        for node in self.nodes:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                files = sorted(os.listdir(self.hash_dir(node, container, name)))
                if files:
                    found[node.number] = files
        return found

    def databases(self, kind: str, container: str | None = None) -> dict[int, Path]:
        """Number of a node -> the database it has of a container or of the account."""
        digest = self.hashing.hexdigest(ACCOUNT, container) if container \
            else self.hashing.hexdigest(ACCOUNT)
        part = self.ring(kind).get_nodes(ACCOUNT, container)[0]
        paths = {node.number: node.disk / f'{kind}s' / str(part) / digest[-3:] / digest / f'{digest}.db'
                 for node in self.nodes}
        return {number: path for number, path in paths.items() if path.exists()}

    def replicas_of_listing(self, container: str) -> Iterator[tuple[Node, list[str]]]:
        """Each primary of a container with the listing it keeps."""
        part, devices = self.ring('container').get_nodes(ACCOUNT, container)
        for device in devices:
            try:
                rows = list(self.direct.entries(device, part, ACCOUNT, container))
            except (Refused, backend.Failed) as error:
                raise AssertionError(f'no listing of {container} on {device["device"]}: {error}') from error
            yield self.node(device), [row['name'] for row in rows]

    def check(self, ledger: Ledger) -> None:
        """All is as clients were told, on all the devices that should have it and no other.

        Raises ``AssertionError``.
        """
        container = ledger.container
        listed = self.client.names(container)
        assert listed == sorted(ledger.there, key=lambda name: name.encode()), _difference(listed, ledger.there)
        for name, data in ledger.there.items():
            said = self.client.ask('GET', f'/{container}/{name}')
            assert (said.status, said.body == data) == (200, True), f'{name}: {said.status}'
            self._check_files(container, name, data)
        for name in ledger.gone:
            assert self.client.ask('GET', f'/{container}/{name}').status == 404, f'{name} is back'
            files = self.holdings(container, name)
            assert not [each for held in files.values() for each in held if each.endswith(('.data', '.meta'))], files
        homes = {node.number for node in self.primaries(ACCOUNT, container)}
        assert set(self.databases('container', container)) == homes, 'databases of the container are elsewhere'
        for node, names in self.replicas_of_listing(container):
            assert names == listed, f'node {node.number} lists otherwise: {_difference(names, ledger.there)}'
        self._check_account(container, ledger)

    def settle(self, ledger: Ledger) -> None:
        """Do again what nobody was told about: until then it may be either way, but nothing else."""
        for name, either in sorted(ledger.unsure.items(), key=lambda item: item[0]):
            said = self.client.ask('GET', f'/{ledger.container}/{name}')
            assert said.status in (200, 404), f'{name}: {said.status}'
            found = said.body if said.status == 200 else None
            assert found in either, f'{name} has become something that nobody asked for'
            status = ledger.put(self.client, name, b'asked again')
            assert status == 201, f'{name}: {status}'

    def _check_files(self, container: str, name: str, data: bytes) -> None:
        held = self.holdings(container, name)
        homes = {node.number for node in self.primaries(ACCOUNT, container, name)}
        assert set(held) == homes, f'{name} is on {held}, should be on {homes}'
        for number, files in held.items():
            assert len(files) == 1 and files[0].endswith('.data'), f'{name} on node {number}: {files}'
            path = self.hash_dir(self.nodes[number], container, name) / files[0]
            assert path.read_bytes() == data, f'{name} is not what it was, on node {number}'
            known = metadata.read(str(path))
            assert known['name'] == f'/{ACCOUNT}/{container}/{name}'
            assert known['ETag'] == hashlib.md5(data, usedforsecurity=False).hexdigest()

    def _check_account(self, container: str, ledger: Ledger) -> None:
        part, devices = self.ring('account').get_nodes(ACCOUNT)
        for device in devices:
            rows = {row['name']: row for row in self.direct.entries(device, part, ACCOUNT)}
            assert container in rows, f'the account on {device["device"]} does not list {container}'
            counted = (rows[container]['count'], rows[container]['bytes'])
            expected = (len(ledger.there), sum(map(len, ledger.there.values())))
            assert counted == expected, f'{device["device"]} says {counted} of {container}, not {expected}'

    def converge(self, ledger: Ledger, sweeps: int = 4) -> int:
        """Sweep until all is as clients were told; how many sweeps that took."""
        self.client.close()     # it may have been idle for so long that the proxy has hung up
        self.settle(ledger)
        for count in range(1, sweeps + 1):
            self.sweep()
            try:
                self.check(ledger)
            except AssertionError:
                if count == sweeps:
                    raise
            else:
                return count
        raise AssertionError('no sweep at all')


def alive(pid: int) -> bool:
    """Whether a process is there."""
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def open_uploads(pid: int) -> int:
    """How many files a process writes that have no name yet."""
    count = 0
    with contextlib.suppress(FileNotFoundError):
        for entry in os.listdir(f'/proc/{pid}/fd'):
            with contextlib.suppress(OSError):
                path = os.readlink(f'/proc/{pid}/fd/{entry}')
                count += path.endswith(' (deleted)') and '/#' in path
    return count


def resident(pid: int) -> int:
    """KiB of memory that a process holds, 0 if it is gone."""
    with contextlib.suppress(OSError), open(f'/proc/{pid}/status', encoding='ascii') as file:
        for line in file:
            if line.startswith('VmRSS:'):
                return int(line.split()[1])
    return 0


def side_by_side(count: int, work: Any) -> None:
    """``work(number)`` in that many greenlets; raises what one of them raises."""
    for worker in [green.spawn(work, number) for number in range(count)]:
        worker.wait()


def _difference(listed: list[str], expected: Mapping[str, object]) -> str:
    twice = sorted({name for name in listed if listed.count(name) > 1})
    return (f'lacks {sorted(set(expected) - set(listed))}, '
            f'has {sorted(set(listed) - set(expected))} too much, twice {twice}')

"""A whole object store in this process: rings, devices, storage servers and a proxy, over real HTTP and real files.

Each device is a node of its own: an account, a container and an object server
on ports of their own, so that a test can stop one, or take its disk away.
"""

import importlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from strata.testing import ports
from strata.wsgi.limits import Limits
from strata.wsgi.server import Server
from swift import conf as confs
from swift import pipeline
from swift.ring import files
from swift.ring.builder import RingBuilder
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring

KINDS = ('account', 'container', 'object')

#: filters of the proxy in the published order; ``authless`` lets everybody do everything
DEFAULT = ('catch_errors gatekeeper healthcheck proxy_logging cache listing_formats bulk tempurl ratelimit tempauth '
           'copy container_quotas account_quotas slo dlo versioned_writes symlink proxy_logging')
AUTHLESS = 'catch_errors gatekeeper healthcheck proxy_logging cache listing_formats copy slo dlo'

FILTERS: dict[str, dict[str, str]] = {
    'tempauth': {'user_test_tester': 'testing .admin', 'user_test2_tester2': 'testing2 .admin',
                 'user_test_tester3': 'testing3', 'user_admin_admin': 'admin .admin .reseller_admin'},
    'versioned_writes': {'allow_versioned_writes': 'true', 'allow_object_versioning': 'true'},
    'ratelimit': {},
}


class Node:
    """One device and the three servers that look after it."""

    def __init__(self, cluster: 'Cluster', number: int, zone: int, ip: str = '127.0.0.1') -> None:
        self.cluster = cluster
        self.ip = ip
        self.number = number
        self.zone = zone
        self.device = f'sd{chr(ord("b") + number)}1'
        self.root = cluster.root / f'node{number}'
        self.disk = self.root / self.device
        self.conf_dir = cluster.swift_dir / f'node{number}'
        self.ports = {kind: ports.free_port() for kind in KINDS}
        self.servers: dict[str, Server] = {}
        self.disk.mkdir(parents=True)
        self.conf_dir.mkdir()

    def conf(self, kind: str) -> str:
        """The conf file of a kind of server, and of its daemons."""
        return str(self.conf_dir / f'{kind}-server.conf')

    def write_confs(self, options: Mapping[str, Mapping[str, str]]) -> None:
        """Conf files of the servers and daemons; ``options`` are by section."""
        for kind in KINDS:
            given = {**self.cluster.common, 'devices': str(self.root), 'bind_ip': self.ip,
                     'bind_port': str(self.ports[kind]), **options.get('DEFAULT', {})}
            text = _section('DEFAULT', given)
            text += _section('pipeline:main', {'pipeline': f'{kind}-server'})
            text += _section(f'app:{kind}-server', {'use': f'egg:swift#{kind}', **options.get(f'{kind}-server', {})})
            for name in ('replicator', 'auditor', 'updater', 'reaper', 'sync', 'reconciler', 'expirer'):
                text += _section(f'{kind}-{name}', options.get(f'{kind}-{name}', {}))
            Path(self.conf(kind)).write_text(text)

    def start(self, *kinds: str) -> None:
        """Serve; all three kinds by default."""
        for kind in kinds or KINDS:
            if kind not in self.servers:
                app = pipeline.load(self.conf(kind))
                server = Server(app, (self.ip, self.ports[kind]), Limits(header_bytes=262144, headers=512),
                                name=f'{kind}{self.number}', access_log=False)
                server.start()
                self.servers[kind] = server

    def stop(self, *kinds: str) -> None:
        """Stop serving, as a machine that dies does; all three kinds by default."""
        for kind in kinds or KINDS:
            server = self.servers.pop(kind, None)
            if server is not None:
                server.stop(0)

    def wipe(self) -> None:
        """Replace the disk by an empty one."""
        shutil.rmtree(self.disk)
        self.disk.mkdir()


class Cluster:
    """Four devices in three zones, three replicas, and a proxy at ``url``."""

    def __init__(self, root: Path, *, devices: int = 4, zones: int = 3, replicas: float = 3, part_power: int = 4,
                 policies: Sequence[str] = (), filters: str = AUTHLESS, constraints: Mapping[str, str] | None = None,
                 options: Mapping[str, Mapping[str, str]] | None = None, addresses: Sequence[str] = (),
                 start: bool = True) -> None:
        """``addresses``: of the nodes, those of this host by default.

        ``policies``: names of storage policies from index 0; the first is the default.

        ``filters``: those of the proxy, by name.  ``options``: by section of
        any conf file (``app:proxy-server``, ``filter:tempauth``, ``object-server``, ``object-auditor``).
        """
        self.root = root
        self.swift_dir = root / 'etc'
        self.swift_dir.mkdir(parents=True)
        self.options = {name: dict(given) for name, given in (options or {}).items()}
        self.common = {'swift_dir': str(self.swift_dir), 'mount_check': 'false', 'user': '',
                       'recon_cache_path': str(root / 'recon')}
        self.policies = list(policies) or ['gold']
        self._write_swift_conf(constraints or {})
        self.nodes = [Node(self, number, number % zones + 1, *addresses[number:number + 1])
                      for number in range(devices)]
        self.hashing = HashPath.load(str(self.swift_dir / 'swift.conf'))
        self.build_rings(replicas, part_power)
        for node in self.nodes:
            node.write_confs(self.options)
        self.filters = filters
        self.port = ports.free_port()
        self._write_proxy_conf()
        self.proxy: Server | None = None
        self.app: Any = None
        if start:
            self.start()

    def _write_swift_conf(self, constraints: Mapping[str, str]) -> None:
        text = _section('swift-hash', {'swift_hash_path_prefix': 'before', 'swift_hash_path_suffix': 'after'})
        text += _section('swift-constraints', constraints)
        for index, name in enumerate(self.policies):
            text += _section(f'storage-policy:{index}', {'name': name, 'default': 'no' if index else 'yes'})
        (self.swift_dir / 'swift.conf').write_text(text)

    def _write_proxy_conf(self) -> None:
        for name, tail in (('proxy-server', self.filters), ('internal-client', 'catch_errors cache copy slo dlo')):
            names = tail.split()
            text = _section('DEFAULT', {**self.common, 'bind_ip': '127.0.0.1', 'bind_port': str(self.port)})
            text += _section('pipeline:main', {'pipeline': ' '.join([*names, 'proxy-server'])})
            text += _section('app:proxy-server', {
                'use': 'egg:swift#proxy', 'account_autocreate': 'true', 'conn_timeout': '0.5', 'node_timeout': '5',
                'recoverable_node_timeout': '3', **self.options.get('app:proxy-server', {})})
            for each in dict.fromkeys(names):
                text += _section(f'filter:{each}', {'use': f'egg:swift#{each}', **FILTERS.get(each, {}),
                                                    **self.options.get(f'filter:{each}', {})})
            (self.swift_dir / f'{name}.conf').write_text(text)

    def build_rings(self, replicas: float, part_power: int) -> None:
        """Rings of all kinds and policies over all nodes."""
        rings = [('account', 'account'), ('container', 'container')]
        rings += [(f'object-{index}' if index else 'object', 'object') for index in range(len(self.policies))]
        for name, kind in rings:
            builder = RingBuilder(part_power, replicas, 1)
            for node in self.nodes:
                builder.add({'region': 1, 'zone': node.zone, 'ip': node.ip, 'port': node.ports[kind],
                             'device': node.device, 'weight': 100})
            builder.rebalance(seed=1)
            builder.save(str(self.swift_dir / f'{name}.builder'))
            files.write_ring(str(self.swift_dir / f'{name}.ring.gz'), builder.ring_data())

    def ring(self, name: str = 'object') -> Ring:
        """``account``, ``container``, ``object`` or ``object-N``."""
        return Ring(str(self.swift_dir), self.hashing, name=name)

    def node(self, device: Mapping[str, Any]) -> Node:
        """The node of a ring's device."""
        return next(node for node in self.nodes if node.device == device['device'])

    def primaries(self, account: str, container: str | None = None, obj: str | None = None,
                  policy: int = 0) -> list[Node]:
        """The nodes that should hold it."""
        kind = 'object' if obj else 'container' if container else 'account'
        name = f'object-{policy}' if obj and policy else kind
        return [self.node(device) for device in self.ring(name).get_nodes(account, container, obj)[1]]

    def start(self) -> None:
        """Start every server that does not run."""
        for node in self.nodes:
            node.start()
        if self.proxy is None:
            self.app = pipeline.load(str(self.swift_dir / 'proxy-server.conf'))
            self.proxy = Server(self.app, ('127.0.0.1', self.port), Limits(header_bytes=262144, headers=512),
                                name='proxy', access_log=False)
            self.proxy.start()

    def stop(self) -> None:
        """Stop everything."""
        if self.proxy is not None:
            self.proxy.stop(0)
            self.proxy = None
        for node in self.nodes:
            node.stop()

    def __enter__(self) -> 'Cluster':
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def base(self) -> str:
        """The proxy's address, without a path."""
        return f'http://127.0.0.1:{self.port}'

    @property
    def url(self) -> str:
        """The storage URL of the account AUTH_test."""
        return f'{self.base}/v1/AUTH_test'

    def daemon(self, name: str, node: Node | None = None, **more: str) -> Any:
        """A daemon by its command's name (``object-auditor``), of one node; ``run_once`` is up to the caller."""
        module = importlib.import_module(f'swift.cmd.{name.replace("-", "_")}')
        kind = name.partition('-')[0]
        path = node.conf(kind) if node else str(self.swift_dir / 'proxy-server.conf')
        return module.DAEMON({**confs.read(path, name), **more})

    def run_once(self, name: str, **limits: Any) -> None:
        """One run of a daemon on every node."""
        for node in self.nodes:
            self.daemon(name, node).run_once(**limits)

    def files(self, *ends: str) -> list[Path]:
        """Files on all devices whose names end so."""
        return sorted(Path(folder) / name for node in self.nodes for folder, _, names in os.walk(node.disk)
                      for name in names if not ends or name.endswith(ends))


def _section(name: str, values: Mapping[str, str]) -> str:
    return f'[{name}]\n' + ''.join(f'{key} = {value}\n' for key, value in values.items()) + '\n'

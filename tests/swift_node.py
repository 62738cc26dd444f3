"""One storage node: account and container servers on real HTTP, their devices in a directory of the test."""

import http.client
import json
import os
from types import SimpleNamespace

from strata.wsgi.server import Server
from swift.account.server import AccountServer
from swift.container.server import ContainerServer
from swift.ring import files
from swift.ring.builder import RingBuilder

SWIFT_CONF = """
[swift-hash]
swift_hash_path_suffix = changeme
[storage-policy:0]
name = gold
default = yes
[storage-policy:1]
name = silver
[swift-constraints]
"""


class Node:
    """Servers of both kinds over ``devices`` directories, all in one process."""

    def __init__(self, path, devices=('sda1',), replicas=None):
        self.etc, self.srv = str(path / 'etc'), str(path / 'srv')
        self.recon = str(path / 'recon')
        self.devices = devices
        os.makedirs(self.etc)
        for device in devices:
            os.makedirs(f'{self.srv}/{device}')
        (path / 'etc' / 'swift.conf').write_text(SWIFT_CONF)
        self.conf = {'swift_dir': self.etc, 'devices': self.srv, 'mount_check': 'false', 'fallocate_reserve': '0',
                     'recon_cache_path': self.recon, 'user': ''}
        self.apps = {'account': AccountServer(self.conf), 'container': ContainerServer(self.conf)}
        self.servers = {}
        for kind, app in self.apps.items():
            server = self.servers[kind] = Server(app, ('127.0.0.1', 0), name=kind, access_log=False)
            server.start()
        for kind in ('account', 'container', 'object'):
            self.ring(kind, replicas or len(devices))

    def ring(self, kind, replicas, port=None):
        """Write a ring file over all devices."""
        builder = RingBuilder(2, replicas, 0)
        for number, device in enumerate(self.devices):
            builder.add({'region': 1, 'zone': number + 1, 'ip': '127.0.0.1', 'device': device, 'weight': 1,
                         'port': port or (self.port(kind) if kind in self.servers else 1)})
        builder.rebalance(1)
        files.write_ring(f'{self.etc}/{kind}.ring.gz', builder.ring_data(), 1)

    def port(self, kind):
        return self.servers[kind].port

    def close(self):
        for kind, server in self.servers.items():
            server.stop(0)
            self.apps[kind].close()

    def ask(self, kind, method, path, headers=None, body=None, json_body=False):
        """An answer with ``status``, ``headers`` (lower case), ``body`` and, of JSON, ``json``."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port(kind), timeout=20)
        try:
            connection.request(method, path, body=body, headers={
                name: value if isinstance(value, str) else str(value) for name, value in (headers or {}).items()})
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        found = {name.lower(): value for name, value in answer.getheaders()}
        parsed = json.loads(data) if data and found.get('content-type', '').startswith('application/json') else None
        return SimpleNamespace(status=answer.status, headers=found, body=data, json=parsed)

    def account(self, method, path, headers=None, **more):
        return self.ask('account', method, path, headers, **more)

    def container(self, method, path, headers=None, **more):
        return self.ask('container', method, path, headers, **more)

    def broker(self, kind, device, part, account, container=None):
        """A database, opened by its server's own means."""
        return self.apps[kind].broker(device, str(part), account, container)


def at(second, **more):
    """Headers with a time of the test's own clock."""
    stamp = f'{1_700_000_000 + second:016.5f}'
    return {'X-Timestamp': stamp, **{name.replace('_', '-'): value for name, value in more.items()}}


def stamp(second):
    """The time of ``at``."""
    return at(second)['X-Timestamp']


OBJECT = {'X-Size': '1', 'X-Content-Type': 'text/plain', 'X-Etag': 'd41d8cd98f00b204e9800998ecf8427e'}

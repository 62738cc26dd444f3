"""The cloud of many hosts on one: every daemon a process of its own, RabbitMQ, MariaDB, files from ``etc/``.

What an operator does, an operation each: copy the sample files, set what is
particular to the place, make the databases, bootstrap, start the daemons.
``node1``, ``node2`` ... are hosts: a nova-compute and a nova-network each.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from strata.db import Database
from strata.testing import ports, wait
from tests.probe.embedded import (
    PORTS,
    ROOT,
    SECRETS,
    Client,
    Settings,
    answers,
    provision,
    tails,
    tune,
)

#: a lost host is noticed within seconds, but not because the machine is busy
PACE = {('DEFAULT', 'report_interval'): 1, ('DEFAULT', 'service_down_time'): 8, ('DEFAULT', 'lease_time'): 5,
        ('DEFAULT', 'sweep_interval'): 1, ('DEFAULT', 'graceful_shutdown_timeout'): 3,
        ('compute', 'sync_power_state_interval'): 2, ('compute', 'shutdown_timeout'): 1,
        ('network', 'reconcile_interval'): 2}
#: a daemon: its module, the service whose files it reads, and what answers when it is up
DAEMONS = {'keystone': ('keystone.cmd.keystone', 'keystone', 'identity'),
           'glance-registry': ('glance.cmd.registry', 'glance', 'registry'),
           'glance-api': ('glance.cmd.api', 'glance', 'image'),
           'nova-api': ('nova.cmd.api', 'nova', 'compute'), 'nova-scheduler': ('nova.cmd.scheduler', 'nova', None),
           'nova-compute': ('nova.cmd.compute', 'nova', None), 'nova-network': ('nova.cmd.network', 'nova', None)}


class Distributed:
    """The daemons by name (``nova-compute@node1``), to be started, stopped, killed."""

    def __init__(self, folder: Path, rabbit_url: str, databases: dict[str, str]) -> None:
        self.folder = folder
        words = {account: secrets.token_hex(8) for account in SECRETS}
        self.settings = Settings(str(folder), ports.free_row(len(PORTS)), 'fake', False, words)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.db = Database(databases['nova'])
        (folder / 'log').mkdir(parents=True)
        for service in ('keystone', 'glance', 'nova'):
            shutil.copytree(ROOT / 'etc' / service, folder / 'etc' / service)
        self._configure(rabbit_url, databases)

    # -- as an operator does -----------------------------------------------------------------

    def _configure(self, rabbit_url: str, databases: dict[str, str]) -> None:
        port, url = self.settings.port, self.settings.url
        keys = {(section, 'key_repository'): self._made('keys', section)
                for section in ('fernet_tokens', 'credential')}
        self._tune('keystone', {('database', 'connection'): databases['keystone'], ('api', 'port'): port('identity'),
                                ('api', 'listen'): '127.0.0.1', **keys})
        self._tune('glance', {
            ('database', 'connection'): databases['glance'], ('DEFAULT', 'bind_host'): '127.0.0.1',
            ('DEFAULT', 'bind_port'): port('image'), ('registry', 'url'): url('registry'),
            ('registry', 'bind_port'): port('registry'),
            ('glance_store', 'filesystem_store_datadir'): self._made('images'), **self._account('glance')})
        self._tune('nova', {
            ('database', 'connection'): databases['nova'], ('DEFAULT', 'transport_url'): rabbit_url,
            **{('DEFAULT', f'{name}_listen'): '127.0.0.1' for name in ('osapi_compute', 'network', 'metadata')},
            ('DEFAULT', 'osapi_compute_listen_port'): port('compute'),
            ('DEFAULT', 'network_listen_port'): port('network'),
            ('DEFAULT', 'metadata_listen_port'): port('metadata'),
            ('compute', 'driver'): 'fake', ('network', 'driver'): 'fake', **self._account('nova'), **PACE})

    def _made(self, *names: str) -> Path:
        path = self.folder.joinpath(*names)
        path.mkdir(parents=True, mode=0o700, exist_ok=True)
        return path

    def _account(self, user: str) -> dict[tuple[str, str], object]:
        values = {'auth_url': self.settings.url('identity', '/v3'), 'username': user, 'project_name': 'service',
                  'password': self.settings.secrets[user], 'region_name': 'RegionOne'}
        return {('keystone_authtoken', name): value for name, value in values.items()}

    def _tune(self, service: str, values: dict[tuple[str, str], object]) -> None:
        tune(str(self.folder / 'etc' / service / f'{service}.conf'), values)

    def _files(self, service: str, host: str) -> list[str]:
        """The configuration of a daemon on a host: what all share, and over it what is the host's own."""
        files = [self.folder / 'etc' / service / f'{service}.conf']
        if host:
            own = self.folder / 'etc' / service / f'{host}.conf'
            if not own.exists():
                tune(str(own), {('DEFAULT', 'host'): host, ('DEFAULT', 'state_path'): self._made(host),
                                ('compute', 'fake_state_path'): self._made(host, 'guests'),
                                ('network', 'fake_state_path'): self._made(host, 'networks')})
            files.append(own)
        return [word for path in files for word in ('--config-file', str(path))]

    def manage(self, service: str, *words: str) -> None:
        """Run keystone-manage, glance-manage or nova-manage."""
        done = subprocess.run([sys.executable, '-m', f'{service}.cmd.manage', *self._files(service, ''), *words],
                              env=self._environment(), cwd=ROOT, capture_output=True, text=True, check=False,
                              timeout=90, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f'{service}-manage {words}: {done.stdout}{done.stderr}'

    def _environment(self) -> dict[str, str]:
        return {**os.environ, 'PYTHONPATH': str(ROOT), 'PYTHONUNBUFFERED': '1'}

    def up(self) -> 'Distributed':
        """All of it, furnished with accounts and a catalog."""
        url = self.settings.url('identity', '/v3')
        for words in (('db', 'sync'), ('fernet', 'setup'), ('credential', 'setup')):
            self.manage('keystone', *words)
        urls = [word for name in ('public', 'internal', 'admin') for word in (f'--bootstrap-{name}-url', url)]
        self.manage('keystone', 'bootstrap', '--bootstrap-password', self.settings.secrets['admin'], *urls)
        self.manage('glance', 'db', 'sync')
        self.manage('nova', 'db', 'sync')
        self.start('keystone')
        self.start('glance-registry')
        self.await_answers('keystone')
        self.admin = Client(self.settings, 'admin').login()
        provision.accounts(self.admin)
        provision.catalog(self.admin)
        for name in ('glance-api', 'nova-api', 'nova-scheduler@one', 'nova-scheduler@two', 'nova-network@node1',
                     'nova-compute@node1'):
            self.start(name)
        for name in ('glance-registry', 'glance-api', 'nova-api'):
            self.await_answers(name)
        self.await_host('node1')
        return self

    # -- processes ---------------------------------------------------------------------------

    def start(self, name: str) -> 'subprocess.Popen[bytes]':
        """Start a daemon (``nova-compute@node1``) if it does not run; ``SIGCONT`` makes it run again."""
        daemon, _, host = name.partition('@')
        module, service, _ = DAEMONS[daemon]
        if self.running(name):
            return self.processes[name]
        with open(self.folder / 'log' / f'{name}.log', 'ab') as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, '-m', module, *self._files(service, host)], env=self._environment(), cwd=ROOT,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        return self.processes[name]

    def running(self, name: str) -> bool:
        """Whether a daemon's process is there."""
        return name in self.processes and self.processes[name].poll() is None

    def kill(self, name: str) -> None:
        """kill -9."""
        self.processes[name].kill()
        self.processes[name].wait(30)

    def await_answers(self, name: str) -> None:
        """Wait until a daemon's API answers."""
        def up() -> bool:
            assert self.running(name), f'{name} ended at its start'
            return answers(self.settings, DAEMONS[name][2])
        wait.until(up, 90, f'{name} answers', interval=0.1)

    def await_host(self, host: str) -> None:
        """Wait until a host's nova-compute and nova-network report, and it has something to give."""
        def up() -> bool:
            known = self.admin.get('compute', '/v2.1/os-services', host=host)['services']
            return {'nova-compute', 'nova-network'} <= {one['binary'] for one in known if one['state'] == 'up'} and (
                host in {one['hypervisor_hostname'] for one in
                         self.admin.get('compute', '/v2.1/os-hypervisors')['hypervisors'] if one['state'] == 'up'})
        wait.until(up, 90, f'{host} is up', interval=0.2)

    def await_lost(self, host: str) -> None:
        """Wait until a host's nova-compute counts as down."""
        wait.until(lambda: [one['state'] for one in self.admin.get(
            'compute', '/v2.1/os-services', host=host, binary='nova-compute')['services']] == ['down'], 60,
            f'{host} is down', interval=0.2)

    def down(self) -> None:
        """End everything that was started."""
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(30)
        self.db.dispose()

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """A failure in this block carries the ends of the daemons' logs."""
        try:
            yield
        except BaseException as error:
            error.add_note(self.tails())
            raise

    def tails(self) -> str:
        """The ends of the daemons' logs."""
        return tails(sorted((self.folder / 'log').glob('*.log')), 25)

    # -- hosts -------------------------------------------------------------------------------

    def order(self, host: str, **orders: object) -> None:
        """Tell a host's fake hypervisor how to behave from now on; nothing: as usual."""
        path = self._made(host, 'guests') / 'orders.json'
        beside = path.with_name('orders.mine')
        beside.write_text(json.dumps(orders))
        beside.replace(path)

    def guests(self, host: str) -> set[str]:
        """The ids of a host's guests."""
        folder = self._made(host, 'guests', 'guests')
        return {path.name for path in folder.iterdir()}

    def log(self, name: str) -> str:
        """What a daemon wrote."""
        return (self.folder / 'log' / f'{name}.log').read_text(errors='replace')

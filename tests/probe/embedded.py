"""One host's cloud in real processes, keystone, glance and nova, whose nova is there to be killed.

SQLite, the local bus, the fake hypervisor and the fake networks, each keeping
its state in files, so that whatever a kill leaves behind can be seen.
"""

import configparser
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

ROOT = Path(__file__).parents[2]
if str(ROOT / 'tools') not in sys.path:
    sys.path.insert(0, str(ROOT / 'tools'))

from launcher import configs, provision
from launcher.cloud import Cloud as Client
from launcher.cloud import Refused, answers
from launcher.settings import PORTS, SECRETS, Settings
from nova.db import hosts, quotas
from nova.db.operations import Operation
from nova.db.ports import Address, Port
from strata.db import Database
from strata.testing import kill, ports, wait

__all__ = ['Embedded', 'Refused']

#: what makes a recovery quick, and the background quiet while commits are counted
TUNED = {('DEFAULT', 'report_interval'): 600, ('DEFAULT', 'service_down_time'): 3600,
         ('DEFAULT', 'sweep_interval'): 1, ('DEFAULT', 'lease_time'): 3, ('DEFAULT', 'operation_attempts'): 5,
         ('compute', 'shutdown_timeout'): 1}


def tails(logs: Iterable[Path], lines: int = 40) -> str:
    """The ends of some logs, without the reading requests."""
    told = []
    for path in logs:
        text = [line for line in path.read_text(errors='replace').splitlines() if ' "GET /' not in line]
        told += [f'== {path.name}', *text[-lines:]]
    return '\n'.join(told)


def tune(path: str, values: dict[tuple[str, str], object]) -> None:
    """Set options in a configuration file."""
    text = configparser.ConfigParser(interpolation=None, strict=False, default_section='none')
    text.read(path)
    for (section, name), value in values.items():
        if not text.has_section(section):
            text.add_section(section)
        text.set(section, name, str(value))
    with open(path, 'w', encoding='utf-8') as file:
        text.write(file)


class Embedded:
    """The cloud; ``start`` and ``kill`` its daemons, talk to it through ``admin`` and ``member``."""

    def __init__(self, folder: Path, tuned: dict[tuple[str, str], object] = TUNED) -> None:
        words = {account: secrets.token_hex(8) for account in SECRETS}
        self.settings = Settings(str(folder), ports.free_row(len(PORTS)), 'fake', False, words)
        configs.lay_out(self.settings)
        tune(self.settings.path('etc', 'nova.conf'), tuned)
        self.armed = self.settings.path('armed')
        self.pids: dict[str, int] = {}
        with open(self.settings.path('log', 'nursery.log'), 'wb') as log:
            self._nursery = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name('nursery.py'))], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
                env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT), str(ROOT / 'tools')])})
        self.db = Database(f'sqlite:///{self.settings.path("db", "nova.sqlite")}')

    # -- processes ---------------------------------------------------------------------------

    def begin(self, name: str, **environ: str) -> None:
        """Start a daemon."""
        order = {'run': name, 'data_dir': self.settings.data_dir, 'environ': environ}
        self._nursery.stdin.write(json.dumps(order) + '\n')
        self._nursery.stdin.flush()
        self.pids[name] = int(self._nursery.stdout.readline())

    def alive(self, name: str = 'nova') -> bool:
        """Whether a daemon's process is there."""
        try:
            os.kill(self.pids[name], 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self, name: str = 'nova') -> None:
        """kill -9."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pids[name], signal.SIGKILL)
        wait.until(lambda: not self.alive(name), 10, f'{name} is dead')

    def await_answers(self, name: str, *apis: str) -> None:
        """Wait until a daemon's APIs answer."""
        def up() -> bool:
            if not self.alive(name):
                raise RuntimeError(f'{name} ended at its start')
            return all(answers(self.settings, api) for api in apis)
        wait.until(up, 60, f'{name} answers')

    def start_nova(self, at: str = '', *, armed: bool = False) -> None:
        """Start nova; ``at`` (``'12:before'``) is where it dies once it is armed.

        ``armed`` from the start, it may die before this returns.
        """
        if 'nova' in self.pids:
            self.kill()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.armed)
        if armed:
            self.arm()
        self.begin('nova', **({kill.AT: at, kill.ARMED: self.armed} if at else {}))
        try:
            self.await_answers('nova', 'compute', 'network')
        except RuntimeError:
            if not armed:
                raise

    def arm(self) -> None:
        """Count commits from now on."""
        with open(self.armed, 'w', encoding='ascii') as file:
            file.write('0')

    @property
    def commits(self) -> int:
        """How many were counted."""
        with open(self.armed, encoding='ascii') as file:
            return int(file.read() or 0)

    def up(self) -> 'Embedded':
        """Start everything and furnish it: accounts, catalog, flavors, image, networks."""
        self.begin('keystone')
        self.await_answers('keystone', 'identity')
        self.admin = Client(self.settings, 'admin').login()
        provision.accounts(self.admin)
        provision.catalog(self.admin)
        self.begin('glance')
        self.start_nova()
        self.await_answers('glance', 'image')
        provision.flavors(self.admin)
        self.image = provision.image(self.admin)
        external = provision.public_network(self.admin)
        self.member = Client(self.settings, 'demo').login()
        self.network = provision.private_network(self.member, external)
        return self

    def down(self) -> None:
        """End everything that was started."""
        for name in self.pids:
            self.kill(name)
        self._nursery.stdin.close()
        self._nursery.wait(30)
        self._nursery.stdout.close()
        self.db.dispose()

    @contextlib.contextmanager
    def explained(self, *what: object) -> Iterator[None]:
        """A failure in this block carries the ends of the daemons' logs, and where it was."""
        try:
            yield
        except BaseException as error:
            error.add_note(f'at {what}\n{self.tails()}')
            raise

    def tails(self) -> str:
        """The ends of the daemons' logs."""
        return tails(sorted(Path(self.settings.path('log')).glob('*.log')))

    # -- what there is -----------------------------------------------------------------------

    def holdings(self) -> dict[str, Any]:
        """Everything that servers take, in the database and on the host: nothing of it may leak."""
        with self.db.reading() as tx:
            free = {row.host: (row.free_vcpus, row.free_ram_mb, row.free_disk_gb) for row in hosts.every(tx)}
            used = [(row.project_id, row.resource, row.used) for row in tx.scalars(sa.select(quotas.QuotaUsage))
                    if row.used]
            return {
                'ports': sorted(tx.scalars(sa.select(Port.id))),
                'addresses': sorted((one.port_id, one.ip_address) for one in tx.scalars(sa.select(Address))),
                'claims': sorted(tx.scalars(sa.select(hosts.Claim.server_id))),
                'free': free, 'quota': sorted(used),
                'operations': [(one.verb, one.resource_id, one.step) for one in
                               tx.scalars(sa.select(Operation).where(Operation.finished_at.is_(None)))],
                'guests': sorted(os.listdir(self.settings.path('nova', 'fake-guests', 'guests'))),
                'taps': self._taps(),
                'config drives': self._listed('instances', 'config-drives'),
            }

    def _taps(self) -> list[str]:
        folder = Path(self.settings.path('nova', 'fake-networks', 'networks'))
        return sorted(port['id'] for path in folder.iterdir() if not path.name.endswith('.new')
                      for port in json.loads(path.read_text())['ports'])

    def _listed(self, *names: str) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return sorted(os.listdir(self.settings.path(*names)))
        return []

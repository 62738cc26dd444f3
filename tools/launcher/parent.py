"""The parent of the cloud's processes: imports everything once, forks, restarts what dies.

::

    onestack (parent, root)
      |-- net-helper   exec'd: never patched, stays root
      |-- keystone     |
      |-- glance       | forked: share what the parent imported, run as the daemons' user
      |-- nova         |
      |-- swift        | proxy and storage servers
      '-- swift-sweeps | replicators, auditors, updaters ...

``run/processes.json`` says at any moment what runs, since when, and how the
last one of each ended.
"""

from strata import green

green.patch()

import contextlib  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

from launcher import services  # noqa: E402
from launcher.configs import owner  # noqa: E402
from launcher.settings import Settings, load, write  # noqa: E402
from strata import log  # noqa: E402
from strata.service import Child, Family  # noqa: E402

LOG = logging.getLogger(__name__)


class Processes(Family):
    """A family that writes down what becomes of its children."""

    def __init__(self, settings: Settings) -> None:
        super().__init__('onestack', grace=30)
        self._path = settings.path('run', 'processes.json')

    def _start_due(self) -> None:
        before = [child.pid for child in self.children]
        super()._start_due()
        if before != [child.pid for child in self.children]:
            self._tell()

    def _note(self, child: Child, status: int) -> None:
        super()._note(child, status)
        self._tell()

    def _tell(self) -> None:
        now, wall = time.monotonic(), time.time()
        write(self._path, json.dumps({'parent': os.getpid(), 'processes': [
            {'name': child.name, 'pid': child.pid, 'started': wall - (now - child.started) if child.pid else None,
             'restarts': child.restarts, 'last_exit': child.last_exit} for child in self.children]}))


def main(data_dir: str) -> int:
    """Run the cloud of a data directory until told to stop."""
    settings = load(data_dir)
    if settings is None:
        raise SystemExit(f'onestack: there is no cloud in {data_dir}')
    log.setup(path=settings.path('log', 'onestack.log'))
    family = Processes(settings)
    if not settings.fake:
        family.add('net-helper', lambda: _helper(settings))
    for name, build in (('keystone', services.run_keystone), ('glance', services.run_glance),
                        ('nova', services.run_nova), ('swift', services.run_swift),
                        ('swift-sweeps', services.run_swift_sweeps)):
        family.add(name, _daemon(settings, name, build))
    try:
        return family.run()
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(settings.path('run', 'processes.json'))


def _helper(settings: Settings) -> int:
    uid, _ = owner(settings)
    os.execv(sys.executable, [
        sys.executable, '-m', 'nova.cmd.net_helper', '--socket', settings.path('run', 'net-helper.sock'),
        '--state-dir', settings.path('net-helper'), '--user', str(uid),
        '--log-file', settings.path('log', 'net-helper.log')])


def _daemon(settings: Settings, name: str, build: Callable[[Settings], int]) -> Callable[[], int]:
    def run() -> int:
        _become(settings)
        return build(settings)
    return run


def _become(settings: Settings) -> None:
    """Give up root: the daemons' user, with the groups it is in (libvirt's among them)."""
    uid, gid = owner(settings)
    if uid == os.geteuid():
        return
    os.initgroups(services.DAEMON_USER, gid)
    os.setgid(gid)
    os.setuid(uid)
    os.environ['HOME'] = settings.data_dir
    os.umask(0o022)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))

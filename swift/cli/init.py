"""``swift-init``: start, stop and look at the servers and daemons of this host.

One process per conf file: ``/etc/swift/object-server.conf`` (or ``.conf.d``), or,
where several of a kind run on one host, each file of ``/etc/swift/object-server/``.
The pid is in ``/var/run/swift``; a pid that has become somebody else's is never signalled.
"""

import argparse
import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable

SWIFT_DIR, RUN_DIR, LOG_DIR = '/etc/swift', '/var/run/swift', '/var/log/swift'

MAIN = ('proxy-server', 'account-server', 'container-server', 'object-server')
REST = ('account-auditor', 'account-reaper', 'account-replicator', 'container-auditor', 'container-reconciler',
        'container-replicator', 'container-sync', 'container-updater', 'object-auditor', 'object-expirer',
        'object-replicator', 'object-updater')
GROUPS = {'all': MAIN + REST, 'main': MAIN, 'rest': REST}
#: daemons with a conf file of their own; the others use that of their kind's server
OWN_CONF = ('object-expirer', 'container-reconciler')
#: servers that finish their requests when told to
GRACEFUL = MAIN
#: seconds for a process to end, and between two looks
KILL_WAIT, PAUSE = 15.0, 0.1


@dataclasses.dataclass(frozen=True)
class Host:
    """Where this host keeps conf files, pids and logs."""

    swift_dir: str = SWIFT_DIR
    run_dir: str = RUN_DIR
    log_dir: str = LOG_DIR


class Server:
    """A server or daemon by name, with a process per conf file."""

    def __init__(self, name: str, host: Host, only: str | None = None) -> None:
        """``only``: the number, or the name without ``.conf``, of one conf file among several."""
        self.name = name
        self.host = host
        self.only = only

    @property
    def command(self) -> list[str]:
        """How it is started: the installed script, or the module where nothing is installed."""
        script = os.path.join(os.path.dirname(sys.executable), f'swift-{self.name}')
        found = script if os.access(script, os.X_OK) else shutil.which(f'swift-{self.name}')
        return [found] if found else [sys.executable, '-m', f'swift.cmd.{self.name.replace("-", "_")}']

    def conf_files(self) -> list[str]:
        """Conf files, or directories of them, one per process; empty if there is none."""
        kind = self.name.partition('-')[0] + '-server'
        for base in ([self.name] if self.name in OWN_CONF else []) + [kind]:
            path = os.path.join(self.host.swift_dir, base)
            for single in (f'{path}.conf', f'{path}.conf.d'):
                if os.path.exists(single) and self.only is None:
                    return [single]
            if os.path.isdir(path):
                names = sorted(name for name in os.listdir(path) if name.endswith(('.conf', '.conf.d')))
                chosen = [name for number, name in enumerate(names, 1)
                          if self.only in (None, str(number), name.partition('.')[0])]
                if chosen:
                    return [os.path.join(path, name) for name in chosen]
        return []

    def pid_file(self, conf: str) -> str:
        """Where the pid of the process of a conf file is."""
        relative = os.path.relpath(conf, self.host.swift_dir)
        folder = os.path.dirname(relative)
        stem = os.path.basename(relative).partition('.')[0] if folder else ''
        return os.path.join(self.host.run_dir, self.name, f'{stem}.pid') if folder \
            else os.path.join(self.host.run_dir, f'{self.name}.pid')

    def running(self) -> dict[str, int]:
        """Conf file -> pid of what runs; pid files of what is gone are removed."""
        found = {}
        for conf in self.conf_files():
            path = self.pid_file(conf)
            try:
                with open(path, encoding='ascii') as file:
                    pid = int(file.read().strip())
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                say(f'Removing pid file {path}: {error}')
                _remove(path)
                continue
            if self._is_ours(pid, conf):
                found[conf] = pid
            else:
                say(f'Removing stale pid file {path}')
                _remove(path)
        return found

    def _is_ours(self, pid: int, conf: str) -> bool:
        """Whether the process of that number is still the one we started."""
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as file:
                words = file.read().decode('utf-8', 'surrogateescape').split('\0')
        except OSError:
            return False
        mark = self.name.replace('-', '_')
        return conf in words and any(self.name in word or mark in word for word in words if word != conf)

    def start(self, *, once: bool, foreground: bool, wait: bool) -> int:
        """Start a process for each conf file that has none; how many things went wrong."""
        confs = self.conf_files()
        if not confs:
            say(f'Unable to locate a conf file for {self.name} in {self.host.swift_dir}')
            return 1
        running = self.running()
        wrong = 0
        for conf in confs:
            if conf in running:
                say(f'{self.name} running ({running[conf]} - {conf})')
                say(f'{self.name} already started...')
                wrong += 1
                continue
            say(f'Starting {self.name}...({conf})')
            process = self._spawn(conf, once, foreground)
            if foreground or (once and wait):
                wrong += process.wait() != 0
                _remove(self.pid_file(conf))
            elif not _settles(process):
                say(f'{self.name} ({conf}) failed to start; see {self._log()}')
                _remove(self.pid_file(conf))
                wrong += 1
        return wrong

    def _spawn(self, conf: str, once: bool, foreground: bool) -> 'subprocess.Popen[bytes]':
        words = [*self.command, conf, *(['once'] if once and self.name not in MAIN else [])]
        if foreground:
            process = subprocess.Popen(words)
        else:
            os.makedirs(os.path.dirname(self._log()), exist_ok=True)
            with open(self._log(), 'ab') as log:
                process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           start_new_session=True, cwd='/')
        path = self.pid_file(conf)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='ascii') as file:
            file.write(f'{process.pid}\n')
        return process

    def _log(self) -> str:
        """Where it writes what it does not write to a ``log_file``."""
        folder = self.host.log_dir if os.path.isdir(self.host.log_dir) else self.host.run_dir
        return os.path.join(folder, f'{self.name}.log')

    def signal(self, number: int) -> dict[str, int]:
        """Send a signal to what runs; conf file -> pid."""
        signalled = {}
        for conf, pid in self.running().items():
            say(f'Signal {self.name}  pid: {pid}  signal: {signal.Signals(number).name}')
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            signalled[conf] = pid
        return signalled

    def stop(self, *, kill_wait: float, kill: bool) -> int:
        """End what runs and wait for it; how many did not end."""
        waiting = self.signal(signal.SIGTERM)
        if not waiting:
            say(f'No {self.name} running')
        left = self._await(waiting, kill_wait)
        if left and kill:
            for pid in left.values():
                say(f'Waited {kill_wait:.0f} seconds for {self.name} ({pid}) to end; killing it')
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            left = self._await(left, kill_wait)
        for pid in left.values():
            say(f'{self.name} ({pid}) has not ended after {kill_wait:.0f} seconds')
        return len(left)

    def _await(self, waiting: dict[str, int], seconds: float) -> dict[str, int]:
        deadline = time.monotonic() + seconds
        waiting = dict(waiting)
        while waiting:
            for conf, pid in list(waiting.items()):
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
                if not self._is_ours(pid, conf):
                    say(f'{self.name} ({pid}) appears to have stopped')
                    _remove(self.pid_file(conf))
                    del waiting[conf]
            if not waiting or time.monotonic() > deadline:
                break
            time.sleep(PAUSE)
        return waiting

    def status(self) -> int:
        """Say what runs; 1 if something does not."""
        confs = self.conf_files()
        running = self.running()
        for conf, pid in running.items():
            say(f'{self.name} running ({pid} - {conf})')
        if not running:
            say(f'No {self.name} running')
        return 0 if confs and len(running) == len(confs) else 1


def say(text: str) -> None:
    """A line for the operator."""
    sys.stdout.write(text + '\n')
    sys.stdout.flush()


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _settles(process: 'subprocess.Popen[bytes]', seconds: float = 0.4) -> bool:
    """Whether it is still there after a moment, or has ended well: a wrong option ends it at once."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(seconds) == 0
    return True


def chosen(words: Iterable[str], host: Host, number: str | None) -> list[Server]:
    """The servers that words name (``all``, ``object``, ``object-auditor``, ``proxy.2``); raises ``ValueError``."""
    found: dict[tuple[str, str | None], Server] = {}
    for word in words:
        name, _, only = word.partition('.')
        names = GROUPS.get(name)
        if names is None:
            names = tuple(each for each in MAIN + REST
                          if each in (name, f'{name}-server') or (name.endswith('*') and each.startswith(name[:-1])))
        if not names:
            raise ValueError(f'{word}: there is no such server; there are {", ".join((*GROUPS, *MAIN, *REST))}')
        for each in names:
            found.setdefault((each, only or number), Server(each, host, only or number))
    return list(found.values())


COMMANDS = {
    'start': 'start what does not run', 'stop': 'end what runs', 'restart': 'stop, then start',
    'status': 'say what runs', 'once': 'start daemons for one run', 'no-daemon': 'start in the foreground',
    'no-wait': 'start, and do not wait', 'reload': 'end servers gracefully, then start',
    'force-reload': 'the same', 'shutdown': 'end servers gracefully',
}


def parser() -> argparse.ArgumentParser:
    """What may be said."""
    top = argparse.ArgumentParser(
        prog='swift-init', description='Start, stop and look at the servers and daemons of this host.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='servers: all, main, rest, ' + ', '.join(MAIN + REST) + '\n\ncommands:\n'
               + '\n'.join(f'  {name:14}{text}' for name, text in COMMANDS.items()))
    top.add_argument('servers', nargs='+', metavar='SERVER[.CONFIG]')
    top.add_argument('command', choices=COMMANDS, metavar='COMMAND')
    top.add_argument('-w', '--no-wait', action='store_true', help='do not wait for a single run to end')
    top.add_argument('-o', '--once', action='store_true', help='one run of a daemon')
    top.add_argument('-n', '--no-daemon', action='store_true', help='stay in the foreground')
    top.add_argument('-g', '--graceful', action='store_true', help='let requests finish (they always may)')
    top.add_argument('-c', '--config-num', metavar='N', help='only the N-th conf file of each server')
    top.add_argument('-k', '--kill-wait', type=float, default=KILL_WAIT, metavar='SECONDS',
                     help='how long to wait for a process to end (%(default)s)')
    top.add_argument('--kill-after-timeout', action='store_true', help='kill what has not ended by then')
    top.add_argument('--strict', action='store_const', const=True, help='a server without a conf file is a failure; '
                     'so it is anyway for one that is named')
    top.add_argument('--non-strict', dest='strict', action='store_const', const=False, help='it is none')
    top.add_argument('-r', '--run-dir', default=RUN_DIR, help='where pids are kept (%(default)s)')
    top.add_argument('--swift-dir', default=SWIFT_DIR, help='where conf files are (%(default)s)')
    top.add_argument('--log-dir', default=LOG_DIR, help='where output goes (%(default)s, else the run directory)')
    return top


def main(argv: list[str] | None = None) -> int:
    """Obey; 1 if anything did not go as told."""
    args = parser().parse_args(argv)
    host = Host(os.path.abspath(args.swift_dir), os.path.abspath(args.run_dir), os.path.abspath(args.log_dir))
    try:
        servers = chosen(args.servers, host, args.config_num)
    except ValueError as error:
        sys.stderr.write(f'swift-init: {error}\n')
        return 2
    try:
        return min(1, sum(_obey(server, args) for server in servers))
    except OSError as error:
        sys.stderr.write(f'swift-init: {error}\n')
        return 1


def _obey(server: Server, args: argparse.Namespace) -> int:
    command = args.command
    if command == 'status':
        return server.status()
    wrong = 0
    if command in ('stop', 'shutdown', 'restart', 'reload', 'force-reload'):
        wrong = server.stop(kill_wait=args.kill_wait, kill=args.kill_after_timeout)
    if command in ('stop', 'shutdown'):
        return wrong
    # those of a group that are not set up on this host are no failure, unless told so
    strict = args.servers[0] not in GROUPS if args.strict is None else args.strict
    if not strict and not server.conf_files():
        return wrong
    return wrong + server.start(once=args.once or command == 'once',
                                foreground=args.no_daemon or command == 'no-daemon',
                                wait=not (args.no_wait or command == 'no-wait'))


if __name__ == '__main__':
    sys.exit(main())

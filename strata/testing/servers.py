"""Real servers for tests: a private RabbitMQ, MariaDB and PostgreSQL, each started once when first asked for.

A pytest plug-in (``tests/conftest.py`` names it).  Fixtures, all of them for
the whole session::

    rabbit     RabbitServer: url, kill(), start()       rabbit_url
    mariadb    DatabaseServer: url, fresh()             mariadb_url     an empty database
    postgres   DatabaseServer: url, fresh()             postgres_url    an empty database

Each listens on 127.0.0.1 on a port of its own, keeps its files in a temporary
folder, and is gone when the tests are.  Without its package a test is skipped
with the reason; with ``CI=true`` in the environment that is a failure.
"""

import contextlib
import glob
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from strata.testing.ports import free_port
from strata.testing.wait import until


class Missing(Exception):
    """A server's package is not installed."""


class Server:
    """A process of its own in a folder of its own; ends with the tests, however they end."""

    user = 'root'       # whom to be if we are root: some servers refuse to be it
    patience = 90.0     # seconds to start

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix=f'strata-{type(self).__name__.lower()}-')
        self.process: subprocess.Popen[bytes] | None = None
        self._reapers: dict[int, subprocess.Popen[bytes]] = {}
        self._user = self.user if os.getuid() == 0 else None
        os.chmod(self.folder, 0o755)      # noqa: S103
        if self._user:
            entry = pwd.getpwnam(self._user)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)

    def path(self, *names: str) -> str:
        """A path in the server's folder."""
        return os.path.join(self.folder, *names)

    def popen(self, argv: Sequence[str], **environment: str) -> 'subprocess.Popen[bytes]':
        """Start a program as the server's user; its output goes to ``log`` in the folder."""
        options: dict[str, Any] = {'user': self._user, 'group': pwd.getpwnam(self._user).pw_gid,
                                   'extra_groups': []} if self._user else {}
        with open(self.path('log'), 'ab') as log:
            process = subprocess.Popen(
                list(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder,
                env={'PATH': os.environ.get('PATH', os.defpath), 'HOME': self.folder, 'LC_ALL': 'C.UTF-8',
                     **environment}, start_new_session=True, **options)
        self._reapers[process.pid] = _reaper(process.pid, self.folder)
        return process

    def once(self, argv: Sequence[str]) -> None:
        """Run a program to its end; ``RuntimeError`` with its output if it fails."""
        process = self.popen(argv)
        status = process.wait(self.patience)
        self.end(process)
        if status:
            raise RuntimeError(f'{argv[0]} failed: {self.log()}')

    def end(self, process: 'subprocess.Popen[bytes]') -> None:
        """kill -9 a program started by ``popen``, with all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reaper = self._reapers.pop(process.pid)      # before the number can be another group's
        reaper.kill()
        reaper.communicate()

    def log(self) -> str:
        """The end of what the server wrote."""
        with open(self.path('log'), errors='replace') as text:
            return text.read()[-4000:]

    def await_answer(self) -> None:
        """Wait until ``answers()``; ``RuntimeError`` with the log if the server ends instead."""
        def answers() -> bool:
            if self.process is None or self.process.poll() is not None:
                raise RuntimeError(f'{type(self).__name__} ended: {self.log()}')
            return self.answers()
        until(answers, self.patience, f'{type(self).__name__} answers', interval=0.1)

    def answers(self) -> bool:
        """Whether somebody accepts connections at the port."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(('127.0.0.1', self.port)) == 0

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """A block in which the server's processes are stopped: it is there, and says nothing."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """kill -9, with all it started."""
        if self.process is not None:
            self.end(self.process)
            self.process = None

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _reaper(group: int, folder: str) -> 'subprocess.Popen[bytes]':
    """A process that ends a group, and its folder, when we are gone: its standard input ends, however we do."""
    script = f'cat; kill -INT -{group}; sleep 3; kill -9 -{group}; sleep 1; rm -rf "$0"'
    return subprocess.Popen(['sh', '-c', script, folder], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, start_new_session=True)


def _program(*patterns: str) -> str:
    """The newest program that one of these patterns finds, or ``Missing``."""
    for pattern in patterns:
        found = sorted(glob.glob(pattern)) if '/' in pattern else [shutil.which(pattern) or '']
        if found and found[-1]:
            return found[-1]
    raise Missing(os.path.basename(patterns[0]))


class RabbitServer(Server):
    """RabbitMQ, with an epmd of its own; ``kill`` and ``start`` again keep the port."""

    user = 'rabbitmq'

    def __init__(self) -> None:
        # the wrapper in /usr/sbin insists on the system's node
        self._program = _program('/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server',
                                 '/usr/lib/rabbitmq/bin/rabbitmq-server')
        self._epmd_program = _program('/usr/lib/erlang/erts-*/bin/epmd', 'epmd')
        super().__init__()
        self._epmd_port = free_port()
        self._epmd: subprocess.Popen[bytes] | None = None
        self._dist_port = free_port()
        self.url = f'rabbit://guest:guest@127.0.0.1:{self.port}/'
        with open(self.path('plugins'), 'w') as plugins:
            plugins.write('[].\n')
        with open(self.path('rabbit.conf'), 'w') as conf:
            conf.write(f'listeners.tcp.1 = 127.0.0.1:{self.port}\n'
                       'vm_memory_high_watermark.absolute = 1GB\n'
                       'disk_free_limit.absolute = 50MB\n'
                       'log.console = true\nlog.console.level = warning\nlog.file = false\n')

    @property
    def environment(self) -> dict[str, str]:
        """What RabbitMQ's scripts go by."""
        return {
            'ERL_EPMD_PORT': str(self._epmd_port), 'ERL_EPMD_ADDRESS': '127.0.0.1',
            'RABBITMQ_NODENAME': f'strata{self.port}@localhost', 'RABBITMQ_DIST_PORT': str(self._dist_port),
            'RABBITMQ_MNESIA_BASE': self.path('mnesia'), 'RABBITMQ_LOG_BASE': self.folder,
            'RABBITMQ_CONFIG_FILE': self.path('rabbit.conf'), 'RABBITMQ_CONF_ENV_FILE': '/dev/null',
            'RABBITMQ_ENABLED_PLUGINS_FILE': self.path('plugins'), 'RABBITMQ_PID_FILE': self.path('pid'),
            # idle schedulers that spin would take the cores from the tests
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': '+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2'}

    def start(self) -> None:
        """Start it, or start it again after ``kill``, and wait until it answers."""
        if self._epmd is None:
            self._epmd = self.popen([self._epmd_program, '-port', str(self._epmd_port),
                                     '-address', '127.0.0.1'])
        self.process = self.popen([self._program], **self.environment)
        self.await_answer()

    def answers(self) -> bool:
        """Whether it greets as an AMQP broker does."""
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', self.port), 1) as probe:
            probe.settimeout(5)
            probe.sendall(b'AMQP\x00\x00\x09\x01')
            return probe.recv(1) == b'\x01'
        return False

    def close(self) -> None:
        """End it, its epmd too."""
        self.kill()      # before its epmd, which it would start again
        if self._epmd is not None:
            self.end(self._epmd)
        super().close()


class DatabaseServer(Server):
    """A database server; every ``fresh`` database of it is empty."""

    def fresh(self) -> str:
        """The SQLAlchemy URL of a new, empty database."""
        name = f'strata_{secrets.token_hex(4)}'
        self.create(name)
        return self.url_of(name)

    def create(self, name: str) -> None:
        """Make a database."""
        raise AssertionError('each server has its own way')

    def url_of(self, name: str) -> str:
        """The SQLAlchemy URL of a database."""
        raise AssertionError('each server has its own way')


class MariaServer(DatabaseServer):
    """MariaDB; losing power may lose commits, which no test does."""

    user = 'mysql'

    def __init__(self) -> None:
        self._program = _program('mariadbd', 'mysqld', '/usr/sbin/mariadbd')
        self._install = _program('mariadb-install-db', 'mysql_install_db')
        super().__init__()

    def start(self) -> None:
        """Make the data folder if there is none, start, wait until it answers."""
        if not os.path.exists(self.path('data')):
            self.once([self._install, '--no-defaults', f'--datadir={self.path("data")}',
                       '--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve'])
        self.process = self.popen([
            self._program, '--no-defaults', f'--datadir={self.path("data")}', f'--port={self.port}',
            '--bind-address=127.0.0.1', f'--socket={self.path("socket")}', f'--pid-file={self.path("pid")}',
            '--skip-name-resolve', '--innodb-flush-log-at-trx-commit=0', '--innodb-buffer-pool-size=64M',
            '--max-connections=200'])
        self.await_answer()

    def create(self, name: str) -> None:
        import pymysql
        with pymysql.connect(host='127.0.0.1', port=self.port, user='root') as connection:
            connection.cursor().execute(f'CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin')

    def url_of(self, name: str) -> str:
        return f'mysql+pymysql://root@127.0.0.1:{self.port}/{name}?charset=utf8mb4'


class PostgresServer(DatabaseServer):
    """PostgreSQL; losing power may lose commits, which no test does."""

    user = 'postgres'

    def __init__(self) -> None:
        self._program = _program('/usr/lib/postgresql/*/bin/postgres', 'postgres')
        self._initdb = os.path.join(os.path.dirname(os.path.realpath(self._program)), 'initdb')
        super().__init__()

    def start(self) -> None:
        """Make the data folder if there is none, start, wait until it answers."""
        if not os.path.exists(self.path('data')):
            self.once([self._initdb, '-D', self.path('data'), '-U', 'strata', '-A', 'trust', '-E', 'UTF8',
                       '--locale=C.UTF-8', '--no-sync'])
        self.process = self.popen([
            self._program, '-D', self.path('data'), '-p', str(self.port), '-h', '127.0.0.1',
            '-k', self.folder, '-c', 'fsync=off', '-c', 'synchronous_commit=off',
            '-c', 'max_connections=200', '-c', 'dynamic_shared_memory_type=mmap'])
        self.await_answer()

    def close(self) -> None:
        """End it in its own way: killed, it would leave its shared memory behind."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        super().close()

    def answers(self) -> bool:
        """Whether a session can be opened: it accepts connections before it is ready."""
        import psycopg
        try:
            psycopg.connect(host='127.0.0.1', port=self.port, user='strata', dbname='postgres').close()
        except psycopg.OperationalError:
            return False
        return True

    def create(self, name: str) -> None:
        import psycopg
        with psycopg.connect(host='127.0.0.1', port=self.port, user='strata', dbname='postgres',
                             autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE {name}')

    def url_of(self, name: str) -> str:
        return f'postgresql+psycopg://strata@127.0.0.1:{self.port}/{name}'


def _started(kind: type[Server]) -> Iterator[Any]:
    try:
        server = kind()
    except (Missing, KeyError) as error:
        reason = f'{kind.__name__} needs {error}, which is not installed'
        if os.environ.get('CI') == 'true':
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        server.start()      # type: ignore[attr-defined]
        yield server
    finally:
        server.close()


@pytest.fixture(scope='session')
def rabbit() -> Iterator[RabbitServer]:
    """A RabbitMQ of this test session; a test that kills it starts it again."""
    yield from _started(RabbitServer)


@pytest.fixture(scope='session')
def mariadb() -> Iterator[MariaServer]:
    """A MariaDB of this test session."""
    yield from _started(MariaServer)


@pytest.fixture(scope='session')
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of this test session."""
    yield from _started(PostgresServer)


@pytest.fixture(scope='session')
def rabbit_url(rabbit: RabbitServer) -> str:
    """The ``transport_url`` of a private RabbitMQ."""
    return rabbit.url


@pytest.fixture(scope='session')
def mariadb_url(mariadb: MariaServer) -> str:
    """The URL of an empty database on MariaDB; ``mariadb.fresh()`` makes further ones."""
    return mariadb.fresh()


@pytest.fixture(scope='session')
def postgres_url(postgres: PostgresServer) -> str:
    """The URL of an empty database on PostgreSQL; ``postgres.fresh()`` makes further ones."""
    return postgres.fresh()


_SERVERS = {'rabbit', 'rabbit_url', 'mariadb', 'mariadb_url', 'postgres', 'postgres_url'}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a server, so that the quick tier leaves it out."""
    for item in items:
        if _SERVERS.intersection(getattr(item, 'fixturenames', ())):
            item.add_marker(pytest.mark.server)

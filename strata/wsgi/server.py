"""The WSGI server: a greenlet per connection around llhttp's parser.

    listen --> accept loop --> Connection.serve: head -> Exchange.run(app) -> next request
       (one per socket)             Wire (bytes), Body (wsgi.input)
                      sweeper: ends the waits whose deadline has passed

Several sockets may serve one application and come and go while it runs;
``environ['strata.socket']`` says by which key a request came in.  ``stop``
closes the listening sockets and idle connections, lets running requests
finish, and then closes what is left.
"""

import contextlib
import errno
import logging
import os
import stat
import time
from collections.abc import Callable, Sequence
from typing import Any

from strata import errors, green
from strata.wsgi import middleware
from strata.wsgi.connection import Connection, peer_text
from strata.wsgi.limits import Limits
from strata.wsgi.wire import Wire

LOG = logging.getLogger(__name__)

Address = tuple[str, int] | str
BACKLOG = 1024
#: connections taken from the kernel in a row before others get a turn
ACCEPTS = 16


def bind(address: Address, *, backlog: int = BACKLOG) -> Any:
    """A listening socket for (host, port) or a Unix socket's path; raises ``errors.Unavailable``.

    It enters no hub, so a parent may bind before it forks.
    """
    module = green.sockets
    unix = isinstance(address, str)
    family = module.AF_UNIX if unix else module.AF_INET6 if ':' in address[0] else module.AF_INET
    sock = module.socket(family, module.SOCK_STREAM)
    try:
        if unix:
            _remove_stale(str(address))
        else:
            sock.setsockopt(module.SOL_SOCKET, module.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        where = address if unix else '{}:{}'.format(*address)
        raise errors.Unavailable(f'cannot listen on {where}: {error.strerror}') from error
    return sock


def _remove_stale(path: str) -> None:
    """Remove the socket a dead server left; raises ``OSError`` if somebody listens there."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, 'a file of that name is there')
    except FileNotFoundError:
        return
    with green.sockets.socket(green.sockets.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            os.unlink(path)
            return
    raise OSError(errno.EADDRINUSE, 'another server listens there')


class _Listener:
    """A listening socket, its key and the greenlet that accepts from it."""

    def __init__(self, sock: Any, key: object) -> None:
        if isinstance(sock, (tuple, str)):
            self.path = sock if isinstance(sock, str) else None
            self.sock = bind(sock)
        else:
            self.path = None
            # a native twin of whatever kind of socket it was, which we then own
            self.sock = green.sockets.socket(fileno=os.dup(sock.fileno()))
            sock.close()
        self.sock.setblocking(False)
        self.key = key
        self.owner = os.getpid()
        self.name = self.sock.getsockname()
        self.loop: green.Greenlet | None = None

    def close(self) -> None:
        if self.loop is not None:
            self.loop.kill()
            self.loop = None
        self.sock.close()
        if self.path is not None and self.owner == os.getpid():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)


class Server:
    """Serves a WSGI application on any number of sockets."""

    def __init__(self, app: Callable[..., Any], address: Address | Any | None = None,
                 limits: Limits | None = None, *, name: str = 'api',
                 trusted_proxies: Sequence[str] | None = (), access_log: bool = True,
                 key: object = None) -> None:
        """``address``: (host, port), a Unix socket's path, a listening socket (which is then ours),
        or ``None`` when sockets come later through ``listen``.

        ``trusted_proxies``: networks whose X-Forwarded-* headers are believed; those of all others are
        removed.  ``None`` leaves that to a filter of the application's pipeline.
        """
        self.limits = limits or Limits()
        self.name = name
        self._app = app if trusted_proxies is None else middleware.ProxyHeaders(app, trusted_proxies)
        self._log = logging.getLogger(f'{__name__}.{name}')
        self._access_log = access_log
        self._listeners: dict[object, _Listener] = {}
        self._connections: dict[Connection, green.Greenlet] = {}
        self._sweeper: green.Greenlet | None = None
        self._left = green.Event()      # a connection has ended
        self._stopped = green.Event()
        self._running = False
        if address is not None:
            self.listen(address, key)

    @property
    def port(self) -> int:
        """The TCP port of the first listening socket, 0 if there is none."""
        for listener in self._listeners.values():
            if isinstance(listener.name, tuple):
                return int(listener.name[1])
        return 0

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    def listen(self, sock: Address | Any, key: object = None) -> None:
        """Serve one more socket (or address); at once if the server runs.

        Raises ``errors.Conflict`` if the key is taken, ``errors.Unavailable`` if the address is.
        """
        if key in self._listeners:
            raise errors.Conflict(f'{self.name} listens for {key!r} already')
        listener = self._listeners[key] = _Listener(sock, key)
        if self._running:
            listener.loop = green.spawn(self._accept, listener)

    def unlisten(self, key: object = None) -> None:
        """Close a listening socket; requests that came in by it are finished.  An unknown key is no error."""
        listener = self._listeners.pop(key, None)
        if listener is None:
            return
        listener.close()
        for connection in list(self._connections):
            if connection.key == key:
                connection.stop()

    def start(self) -> None:
        """Begin to accept; returns at once.  In a forked child, after ``green.after_fork``."""
        self._running = True
        self._stopped.clear()
        for listener in self._listeners.values():
            listener.loop = listener.loop or green.spawn(self._accept, listener)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the server has stopped; whether it has."""
        return self._stopped.wait(timeout)

    def stop(self, grace: float = 30.0) -> None:
        """Stop: running requests get ``grace`` seconds to finish."""
        self._running = False
        for key in list(self._listeners):
            self._listeners.pop(key).close()
        for connection in list(self._connections):
            connection.stop()
        deadline = time.monotonic() + grace
        while self._connections and self._await_leaving(deadline - time.monotonic()):
            pass
        for connection, worker in list(self._connections.items()):
            worker.kill()
            connection.wire.close()      # one that had not begun could not close it itself
        self._connections.clear()
        if self._sweeper is not None:
            self._sweeper.kill()
            self._sweeper = None
        self._stopped.set()

    def _await_leaving(self, seconds: float) -> bool:
        """Wait until a connection ends; ``False`` if none did in time."""
        if seconds <= 0:
            return False
        self._left.clear()
        return self._left.wait(seconds)

    def _accept(self, listener: _Listener) -> None:
        fileno = listener.sock.fileno()
        while True:
            self._make_room()
            try:
                for _ in range(ACCEPTS):
                    if len(self._connections) >= self.limits.connections:
                        break
                    self._begin(listener, *listener.sock.accept())
                green.sleep(0)
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                green.readable(fileno)
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                LOG.error('%s cannot accept connections: %s', self.name, error.strerror)
                green.sleep(0.5)

    def _make_room(self) -> None:
        """While all places are taken: close a connection that does nothing, or wait for one to end."""
        while len(self._connections) >= self.limits.connections:
            idle = next((each for each in self._connections if each.idle and not each.stopping), None)
            if idle is not None:
                idle.stop()
            self._await_leaving(1.0)

    def _begin(self, listener: _Listener, sock: Any, address: Any) -> None:
        peer = peer_text(address)
        if isinstance(listener.name, tuple):
            sock.setsockopt(green.sockets.IPPROTO_TCP, green.sockets.TCP_NODELAY, 1)
            host, port = sock.getsockname()[:2]
            server = (host, str(port))
        else:
            server = ('localhost', '80')
        base = Connection.base_environ(self._log, server=server, peer=peer, key=listener.key)
        connection = Connection(Wire(sock), self._app, self.limits, base, log=self._log,
                                access_log=self._access_log, peer=peer[0])
        self._connections[connection] = green.spawn(self._serve, connection)
        if self._sweeper is None:
            self._sweeper = green.spawn(self._sweep)

    def _serve(self, connection: Connection) -> None:
        try:
            connection.serve()
        except Exception:
            self._log.exception('a connection failed')
        finally:
            self._connections.pop(connection, None)
            self._left.set()

    def _sweep(self) -> None:
        """End the waits whose time is over, as long as there are connections."""
        tick = self.limits.tick()
        while self._connections:
            green.sleep(tick)
            now = time.monotonic()
            for connection in list(self._connections):
                if connection.wire.deadline <= now:
                    connection.wire.expire()
        self._sweeper = None

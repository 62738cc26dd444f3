"""The privileged helper: a small process that makes this host's networks, and nothing else.

It is not monkey-patched, knows no database and no bus, and obeys the verbs of ``host.Host`` one at a
time over a Unix socket.  It keeps nothing in memory that it cannot find again on the host or is not told again,
so it may be killed at any moment; what it made goes on working without it (see ``host.advertisements``).
"""

import fcntl
import logging
import os
import selectors
import socket
import struct
import time
from collections.abc import Iterable
from typing import Any

from nova.network import wire
from nova.network.host.host import Host
from strata import errors

LOG = logging.getLogger(__name__)

#: seconds a caller may take to say what it wants, and to take the answer
PATIENCE = 10.0

#: callers that are heard at a time
CROWD = 256


class Helper:
    """The server side.  ``allowed`` are the user ids that are obeyed; root's always is.

    Requests are gathered side by side, so a caller that stammers holds nobody up, and carried out one by one.
    """

    def __init__(self, host: Host, sock: socket.socket, *, allowed: Iterable[int] = ()) -> None:
        self._host = host
        self._sock = sock
        self._allowed = {0, *allowed}
        self._selector = selectors.DefaultSelector()
        self._heard: dict[socket.socket, tuple[float, bytearray]] = {}

    def serve(self) -> None:
        """Obey until the process is told to end."""
        self._sock.setblocking(False)
        self._selector.register(self._sock, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select(PATIENCE if self._heard else None):
                if key.fileobj is self._sock:
                    self._welcome()
                else:
                    self._listen(key.fileobj)
            for connection, (since, _) in list(self._heard.items()):
                if time.monotonic() - since > PATIENCE:
                    self._part(connection).close()

    def _welcome(self) -> None:
        """Hear a caller out, one we do not obey as well: it would not hear the answer otherwise."""
        try:
            connection, _ = self._sock.accept()
        except OSError:
            return
        if len(self._heard) >= CROWD:
            connection.close()
            return
        connection.setblocking(False)
        self._heard[connection] = (time.monotonic(), bytearray())
        self._selector.register(connection, selectors.EVENT_READ)

    def _listen(self, connection: socket.socket) -> None:
        """Take what has come; carry the request out when it is whole."""
        buffer = self._heard[connection][1]
        try:
            piece = connection.recv(262144)
            buffer += piece
            body = wire.complete(buffer)
        except ValueError as error:
            self._send(self._part(connection), _failure(errors.Invalid(f'Not a request: {error}')))
            return
        except OSError:
            piece, body = b'', None
        if body is not None:
            self._obey(self._part(connection), body)
        elif not piece:
            self._part(connection).close()

    def _part(self, connection: socket.socket) -> socket.socket:
        """The connection is no longer listened to."""
        self._selector.unregister(connection)
        del self._heard[connection]
        return connection

    def _obey(self, connection: socket.socket, body: bytes) -> None:
        """One request, one answer."""
        try:
            uid = _caller(connection)
            if uid not in self._allowed:
                LOG.warning('Refused user %d.', uid)
                raise errors.Forbidden('User {uid} is not obeyed here.', uid=uid)
            result = self._carry_out(wire.parse(body))
        except ValueError as error:
            self._send(connection, _failure(errors.Invalid(f'Not a request: {error}')))
        except errors.Error as error:
            self._send(connection, _failure(error))
        else:
            if isinstance(result, socket.socket):
                with result:
                    self._send(connection, {'result': None}, result.fileno())
            else:
                self._send(connection, {'result': result})

    def _send(self, connection: socket.socket, message: Any, descriptor: int | None = None) -> None:
        """Answer, if the caller is still there to hear it, and hang up."""
        with connection:
            connection.settimeout(PATIENCE)
            try:
                wire.send(connection, message, descriptor)
            except OSError as error:
                LOG.info('A caller went away: %s', error)

    def _carry_out(self, request: Any) -> Any:
        if not isinstance(request, dict) or request.keys() != {'verb', 'arguments'} or \
                not isinstance(request['arguments'], list):
            raise errors.Invalid('A request has a verb and a list of arguments.')
        verb = self._host.verbs.get(request['verb']) if isinstance(request['verb'], str) else None
        if verb is None:
            raise errors.Invalid('There is no verb {verb}.', verb=repr(request['verb']))
        if len(request['arguments']) != verb.__code__.co_argcount - 1:
            raise errors.Invalid('The verb {verb} takes other arguments.', verb=request['verb'])
        try:
            return verb(*request['arguments'])
        except errors.Error as error:
            LOG.warning('%s: %s', request['verb'], error)
            raise
        except Exception as error:
            LOG.exception('%s failed', request['verb'])
            raise errors.Error(f'The network helper failed at {request["verb"]}: {error!r}') from error


def _caller(connection: socket.socket) -> int:
    """The user id at the other end, as the kernel says."""
    return struct.unpack('3i', connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]


def _failure(error: errors.Error) -> dict[str, Any]:
    return {'error': {'type': type(error).__name__, 'message': str(error)}}


def listen(path: str, *, uid: int, gid: int, mode: int = 0o660) -> socket.socket:
    """The helper's socket.  Its directory is made if needed; a dead predecessor's file is replaced."""
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    temporary = f'{path}.{os.getpid()}'
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    sock.bind(temporary)
    os.chmod(temporary, mode)
    os.chown(temporary, uid, gid)
    sock.listen(128)
    os.rename(temporary, path)
    return sock


def lock(directory: str) -> int:
    """The only helper of this directory holds the lock.  ``errors.Conflict`` if another lives."""
    os.makedirs(directory, 0o755, exist_ok=True)
    file = os.open(f'{directory}/lock', os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise errors.Conflict('Another helper works in {directory}.', directory=directory) from None
    return file

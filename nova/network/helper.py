"""The privileged helper: a small process that makes this host's networks, and nothing else.

It is not monkey-patched, knows no database and no bus, and obeys the verbs of ``host.Host`` one at a
time over a Unix socket.  It keeps nothing in memory that it cannot find again on the host, so it may be
killed at any moment; what it made goes on working without it.
"""

import fcntl
import logging
import os
import socket
import struct
from collections.abc import Iterable
from typing import Any

from nova.network import wire
from nova.network.host.host import Host
from strata import errors

LOG = logging.getLogger(__name__)

#: seconds a caller may take to say what it wants
PATIENCE = 10.0


class Helper:
    """The server side.  ``allowed`` are the user ids that are obeyed; root's always is."""

    def __init__(self, host: Host, sock: socket.socket, *, allowed: Iterable[int] = ()) -> None:
        self._host = host
        self._sock = sock
        self._allowed = {0, *allowed}

    def serve(self) -> None:
        """Obey until the process is told to end."""
        while True:
            connection, _ = self._sock.accept()
            with connection:
                connection.settimeout(PATIENCE)
                try:
                    self._obey(connection)
                except (OSError, EOFError) as error:
                    LOG.info('A caller went away: %s', error)

    def _obey(self, connection: socket.socket) -> None:
        """One request, one answer."""
        uid = _caller(connection)
        if uid not in self._allowed:
            LOG.warning('Refused user %d.', uid)
            wire.send(connection, _failure(errors.Forbidden('User {uid} is not obeyed here.', uid=uid)))
            return
        descriptor = None
        try:
            request, descriptor = wire.receive(connection, PATIENCE)
            result = self._carry_out(request)
        except ValueError as error:
            wire.send(connection, _failure(errors.Invalid(f'Not a request: {error}')))
        except errors.Error as error:
            wire.send(connection, _failure(error))
        else:
            self._answer(connection, result)
        finally:
            if descriptor is not None:
                os.close(descriptor)

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

    def _answer(self, connection: socket.socket, result: Any) -> None:
        if isinstance(result, socket.socket):
            with result:
                wire.send(connection, {'result': None}, result.fileno())
        else:
            wire.send(connection, {'result': result})


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

"""The connection to libvirtd, for greenlets.

::

    greenlets                            native thread "libvirt events"
    ---------                            ------------------------------
    call(f) -> green.native(f) ----+     virEventRunDefaultImpl() for ever
    reader  <-- pipe <-------------|---- callbacks: write one line, nothing else
                                   v
                               libvirtd

Invariants: each libvirt call goes through ``call`` alone; a callback touches
neither a lock nor a log, for it runs on a native thread; the pipe's lines are
shorter than PIPE_BUF, so they never mix.

When libvirtd goes away the calls under way fail with ``errors.Unavailable``,
the next one connects again, and the listener hears 'connected'.
"""

import contextlib
import logging
import os
from collections.abc import Callable
from typing import Any, TypeVar

import libvirt

from strata import errors, green

LOG = logging.getLogger(__name__)
Value = TypeVar('Value')

#: libvirt's codes for "the daemon or the way to it is gone"
_LOST = frozenset({libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_INVALID_CONN, libvirt.VIR_ERR_RPC})
_FROM_WIRE = frozenset({libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE})

#: seconds between keep-alive messages, and how many may go unanswered
KEEPALIVE = (5, 4)

REMEDY = ('remedy: apt-get install libvirt-daemon-system libvirt-daemon-driver-qemu qemu-system-x86, '
          'and see that virtlogd and libvirtd run')


class Refused(errors.Error):
    """Libvirt would not or could not; ``code`` is its VIR_ERR_*."""

    message = 'libvirt: {reason}'
    told = False

    @property
    def code(self) -> int:
        return int(self.details['code'])


#: told (domain uuid, lifecycle event, detail), or ('', -1, 0) after a reconnection
Listener = Callable[[str, int, int], None]


class Events:
    """libvirt's event loop on a native thread; one per process, started once."""

    _started = False

    @classmethod
    def start(cls) -> None:
        if cls._started:
            return
        libvirt.virEventRegisterDefaultImpl()
        libvirt.registerErrorHandler(lambda _context, _error: None, None)      # errors are raised as well
        thread = green.threads.Thread(target=cls._run, name='libvirt events', daemon=True)
        thread.start()
        cls._started = True

    @staticmethod
    def _run() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()


class Connection:
    """One libvirt URI, opened when first used and again when it was lost."""

    def __init__(self, uri: str, listener: Listener) -> None:
        self.uri = uri
        self._listener = listener
        self._connection: libvirt.virConnect | None = None
        self._opening = green.Lock()
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        self._reader: green.Greenlet | None = None
        self._closed = False

    def open(self) -> None:
        """Connect, and begin to listen; raises ``errors.Unavailable`` with the remedy."""
        Events.start()
        self._get()
        if self._reader is None:
            self._reader = green.spawn(self._listen)

    def close(self) -> None:
        """Let go of the daemon."""
        self._closed = True
        if self._reader is not None:
            self._reader.kill()
            self._reader = None
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                green.native(connection.close)
            except libvirt.libvirtError as error:
                LOG.debug('closing %s: %s', self.uri, error)

    def call(self, function: Callable[..., Value], *args: Any) -> Value:
        """One libvirt call on a native thread.

        Raises ``errors.Unavailable`` if libvirtd is lost, else ``Refused``.
        """
        try:
            return green.native(function, *args)
        except libvirt.libvirtError as error:
            if is_lost(error):
                self._connection = None
                raise errors.Unavailable('libvirt went away: {reason}', reason=str(error)) from error
            raise Refused(reason=str(error)[-500:], code=error.get_error_code()) from error

    def ask(self, method: str, *args: Any) -> Any:
        """A method of the connection itself, by name; connects again first if need be."""
        return self.call(getattr(self._get(), method), *args)

    def _get(self) -> libvirt.virConnect:
        with self._opening:
            known = self._connection
            if known is not None and known.isAlive():      # looks at a flag, asks nobody
                return known
            fresh = known is None and self._reader is None
            try:
                self._connection = green.native(self._connect)
            except libvirt.libvirtError as error:
                self._connection = None
                raise errors.Unavailable('libvirt is not available at {uri}: {reason}; {remedy}.',
                                         uri=self.uri, reason=str(error), remedy=REMEDY) from error
            if not fresh:
                LOG.info('connected to %s again', self.uri)
                os.write(self._write, b'- -1 0\n')      # the reader tells it in its turn
            return self._connection

    def _connect(self) -> libvirt.virConnect:
        connection = libvirt.open(self.uri)
        connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_event, None)
        connection.registerCloseCallback(self._on_close, None)
        # a driver inside this process (test:///) has no wire to keep alive
        with contextlib.suppress(libvirt.libvirtError):
            connection.setKeepAlive(*KEEPALIVE)
        return connection

    # -- on libvirt's thread: a line into the pipe, nothing else -------------------------------

    def _on_event(self, _connection: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        os.write(self._write, f'{domain.UUIDString()} {event} {detail}\n'.encode())

    def _on_close(self, _connection: Any, reason: int, _opaque: Any) -> None:
        os.write(self._write, b'closed 0 0\n')

    # -- in a greenlet ------------------------------------------------------------------------

    def _listen(self) -> None:
        rest = b''
        while True:
            try:
                rest += os.read(self._read, 4096)
            except BlockingIOError:
                green.readable(self._read)
                continue
            *lines, rest = rest.split(b'\n')
            for line in lines:
                id, event, detail = line.decode().split()
                id = id.strip('-')
                if id == 'closed':
                    LOG.warning('lost the connection to %s', self.uri)
                    green.spawn(self._come_back)
                else:
                    self._tell(id, int(event), int(detail))

    def _tell(self, id: str, event: int, detail: int) -> None:
        """Tell the listener, here and not beside: of two changes the later one must be looked at later."""
        try:
            self._listener(id, event, detail)
        except errors.Error as error:
            LOG.warning('a change of guest %s was passed over: %s', id or '(any)', error)

    def _come_back(self) -> None:
        """Connect again without being asked: events are missed until then."""
        wait = 0.5
        while not self._closed:
            try:
                self._get()
                return
            except errors.Unavailable:
                green.sleep(wait)
                wait = min(wait * 2, 10.0)


def is_lost(error: libvirt.libvirtError) -> bool:
    """Whether a call failed because of the way to libvirtd, not because of what was asked."""
    code, domain = error.get_error_code(), error.get_error_domain()
    return code in _LOST or (domain in _FROM_WIRE and code in (libvirt.VIR_ERR_SYSTEM_ERROR,
                                                               libvirt.VIR_ERR_INTERNAL_ERROR))

"""What account and container servers share: from a request to the database it is about, and errors to answers."""

import errno
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

from strata import errors
from strata.backend import Pool
from swift import conf as confs
from swift.conf import Option
from swift.constraints import RESERVED, Constraints, check_reserved
from swift.db import replicate
from swift.db.broker import Broker, TooMuchMetadata
from swift.db.connections import Connections
from swift.http import HttpError, Request, Response
from swift.http.headers import environ_key
from swift.http.path import text_to_wsgi, wsgi_to_text
from swift.policies import Policies
from swift.ring.hashing import HashPath
from swift.storage.devices import Devices, reserve
from swift.timestamp import Timestamp

LOG = logging.getLogger(__name__)

PLAIN = {'Content-Type': 'text/plain; charset=UTF-8'}
#: an answer that says only its status
HTML = {'Content-Type': 'text/html; charset=UTF-8'}

OPTIONS = {
    'swift_dir': Option(confs.text, '/etc/swift', 'where swift.conf and the rings are'),
    'devices': Option(confs.text, '/srv/node', 'the directory that devices are mounted in'),
    'mount_check': Option(confs.boolean, True, 'whether a device must be a mount point'),
    'fallocate_reserve': Option(reserve, (1.0, True), 'bytes, or per cent with %, to keep free on a device'),
    'replication_server': Option(lambda value: None if not value.strip() else confs.boolean(value), None,
                                 'true: serve replication only; false: all but replication; default: both'),
    'conn_timeout': Option(confs.number, 0.5, 'seconds to connect to another server'),
    'node_timeout': Option(confs.number, 3.0, 'seconds to wait for its answer'),
}

Handler = Callable[[Request], Response]


class DatabaseServer:
    """A WSGI application: requests about databases of one kind."""

    #: ``account`` or ``container``
    KIND: ClassVar[str]
    OPTIONS: ClassVar[Mapping[str, Option]] = {}
    #: headers that are kept beside X-<kind>-Meta-* and X-<kind>-Sysmeta-*
    KEPT: ClassVar[tuple[str, ...]] = ()
    BROKER: ClassVar[type[Broker]]

    def __init__(self, conf: Mapping[str, Any]) -> None:
        """``conf``: the section over ``[DEFAULT]``; raises ``errors.Invalid`` naming a wrong option."""
        self.conf: SimpleNamespace = confs.options(conf, {**OPTIONS, **self.OPTIONS}, f'{self.KIND}-server')
        share, percent = self.conf.fallocate_reserve
        self.devices = Devices(self.conf.devices, mount_check=self.conf.mount_check, reserve=share,
                               percent=percent)
        self.hashing = HashPath.load(os.path.join(self.conf.swift_dir, 'swift.conf'))
        self.policies = Policies.load(self.conf.swift_dir)
        self.constraints = Constraints.load(self.conf.swift_dir)
        self.connections = Connections()
        self.pool = Pool(connect_timeout=self.conf.conn_timeout)
        title = f'X-{self.KIND.title()}-'
        self._kept = {environ_key(name): name for name in self.KEPT}
        self._prefixes = tuple(environ_key(f'{title}{kind}-') for kind in ('Meta', 'Sysmeta'))
        self.handlers = self._methods()

    def _methods(self) -> dict[str, Handler]:
        handlers: dict[str, Handler] = {'OPTIONS': self.options}
        if self.conf.replication_server is not False:
            handlers['REPLICATE'] = self.replicate
        if self.conf.replication_server is not True:
            for name in ('DELETE', 'GET', 'HEAD', 'POST', 'PUT'):
                handlers[name] = getattr(self, name.lower())
        return handlers

    def close(self) -> None:
        """Close databases and connections."""
        self.connections.close()
        self.pool.close()

    # -- from WSGI and back

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            answer = self._answer(environ)
        except HttpError as error:
            answer = error.response()
        except errors.Error as error:
            if error.status >= 500:
                LOG.warning('%s %s: %s', environ['REQUEST_METHOD'], environ['PATH_INFO'], error)
            answer = HttpError(error.status).response()
        except (sqlite3.Error, OSError) as error:
            LOG.exception('%s %s failed', environ['REQUEST_METHOD'], environ['PATH_INFO'])
            answer = HttpError(507 if _is_full(error) else 500).response()
        except Exception:
            LOG.exception('%s %s failed', environ['REQUEST_METHOD'], environ['PATH_INFO'])
            answer = HttpError(500).response()
        return answer(environ, start_response)

    def _answer(self, environ: dict[str, Any]) -> Response:
        request = Request(environ)
        handler = self.handlers.get(request.method)
        if handler is None:
            raise HttpError(405, headers={'Allow': ', '.join(sorted(self.handlers))})
        return handler(request)

    def options(self, request: Request) -> Response:
        """Which methods there are."""
        return Response(200, b'', {'Allow': ', '.join(sorted(self.handlers)), **HTML,
                                   'Server': f'{self.KIND}-server'})

    def replicate(self, request: Request) -> Response:
        """A question or an order of another replica's replicator: /device/partition/hash."""
        drive, part, digest = self.pieces(request, 3)
        return replicate.serve(self, request, drive, part, digest)

    # -- what a request is about

    @staticmethod
    def pieces(request: Request, least: int, most: int | None = None, rest: bool = False) -> list[Any]:
        """Device, partition and names of the path; raises ``HttpError`` 400."""
        try:
            found = request.split(least, most, rest)
        except ValueError:
            raise HttpError(400, f'Invalid path: {request.quoted_path}', PLAIN) from None
        if not (found[1].isascii() and found[1].isdecimal() and len(found[1]) <= 10):
            raise HttpError(400, f'Invalid partition: {request.quoted_path}', PLAIN)
        if RESERVED in request.path:
            check_reserved(*found[2:])
        return found

    def path(self, drive: str, part: str, digest: str) -> str:
        """The database file of a hash; raises ``NotMounted``."""
        root = self.devices.path(drive)
        return f'{root}/{self.BROKER.datadir}/{int(part)}/{digest[-3:]}/{digest}/{digest}.db'

    def broker(self, drive: str, part: str, account: str, container: str | None = None) -> Any:
        """The database of an account or container, which may not be there; raises ``NotMounted``."""
        path = self.path(drive, part, self.hashing.hexdigest(account, container))
        return self.BROKER(self.connections, path, account, container)

    def check_space(self, drive: str) -> None:
        """Raises ``NoSpace`` when the device's reserve is reached."""
        self.devices.check_space(self.devices.path(drive))

    # -- metadata

    def metadata_of(self, request: Request, timestamp: Timestamp) -> dict[str, tuple[str, str]]:
        """The metadata that a request sets, as text; raises ``HttpError`` 400 for what is no UTF-8."""
        found = {}
        stamp = timestamp.internal
        for key, value in request.environ.items():
            if key.startswith(self._prefixes) or key in self._kept:
                try:
                    name = wsgi_to_text(key[5:])
                    found['-'.join(word.capitalize() for word in name.split('_'))] = (wsgi_to_text(value), stamp)
                except ValueError:
                    raise HttpError(400, 'Metadata must be valid UTF-8', PLAIN) from None
        return found

    def save_metadata(self, broker: Broker, metadata: dict[str, tuple[str, str]]) -> None:
        """Merge it into the database; raises ``HttpError`` 400 when the user's becomes too much."""
        try:
            broker.update_metadata(metadata, limits=(
                self.constraints.max_meta_count, self.constraints.max_meta_overall_size))
        except TooMuchMetadata as error:
            raise HttpError(400, str(error), PLAIN) from error

    def metadata_headers(self, metadata: Mapping[str, Any]) -> dict[str, str]:
        """What is kept and not removed, as headers."""
        prefixes = (f'x-{self.KIND}-meta-', f'x-{self.KIND}-sysmeta-')
        kept = {name.lower() for name in self.KEPT}
        return {text_to_wsgi(name): text_to_wsgi(value) for name, (value, _) in metadata.items()
                if value and (name.lower().startswith(prefixes) or name.lower() in kept)}


def _is_full(error: Exception) -> bool:
    return getattr(error, 'errno', None) in (errno.ENOSPC, errno.EDQUOT) or 'disk is full' in str(error)

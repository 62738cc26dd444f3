"""Containers that follow others: lets in what another cluster's container-sync sends, signed with keys both know.

    [filter:container_sync]
    use = egg:swift#container_sync
    allow_full_urls = true
    current = //REALM/CLUSTER

A request with ``X-Container-Sync-Auth: realm nonce signature`` is authorised if the
signature is that of a realm's key (container-sync-realms.conf) and of the
container's own (X-Container-Sync-Key).  What comes so keeps the time it was
made at, and is stored as it is, manifests and links included.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from strata import crypt, errors
from swift import conf as confs
from swift import realms
from swift.http import HttpError, Request, serving
from swift.http import info as registry
from swift.http import path as paths
from swift.http.subrequest import allow
from swift.proxy.info import get_container_info

LOG = logging.getLogger(__name__)

OPTIONS = {
    'allow_full_urls': confs.Option(confs.boolean, True, 'whether X-Container-Sync-To may be a URL'),
    'current': confs.Option(confs.text, '', '//REALM/CLUSTER of this cluster, for /info'),
    'swift_dir': confs.Option(confs.text, '/etc/swift', 'where container-sync-realms.conf is'),
    'mtime_check_interval': confs.Option(confs.number, 300.0, 'seconds between looks at that file'),
}
FULL_URL = ('Full URLs are not allowed for X-Container-Sync-To values. Only realm values of the format '
            '//realm/cluster/account/container are allowed.\n')
INVALID = 'X-Container-Sync-Auth header not valid; contact cluster operator for support.'
INBOUND = 'HTTP_X_BACKEND_INBOUND_X_TIMESTAMP'


class ContainerSync:
    """The filter."""

    def __init__(self, app: Any, conf: SimpleNamespace) -> None:
        """Raises ``errors.Invalid`` for a ``current`` that is no realm and cluster."""
        self.app = app
        self._allow_urls = conf.allow_full_urls
        self._dir = conf.swift_dir
        self._interval = conf.mtime_check_interval
        self._current: tuple[str, str] | None = None
        if conf.current:
            pieces = conf.current.strip().removeprefix('//').split('/')
            if len(pieces) != 2 or not all(pieces) or not conf.current.strip().startswith('//'):
                raise errors.Invalid(f'[filter:container_sync]: current = {conf.current}: must be //REALM/CLUSTER')
            self._current = pieces[0].upper(), pieces[1].upper()
        self._stamp: int | None = None
        self._look_again = 0.0
        self._realms = realms.Realms({}, {})
        self._load()

    def _load(self) -> realms.Realms:
        """The realms, read again when their file has changed."""
        now = time.monotonic()
        if now < self._look_again:
            return self._realms
        self._look_again = now + self._interval
        try:
            stamp: int | None = os.stat(os.path.join(self._dir, realms.REALMS)).st_mtime_ns
        except OSError:
            stamp = None
        if stamp != self._stamp:
            self._stamp = stamp
            self._interval = self._own_interval()
            self._realms = realms.Realms.load(self._dir)
            registry.register('container_sync', realms=self._realms.info(self._current))
        return self._realms

    def _own_interval(self) -> float:
        """``mtime_check_interval`` may stand in the realms' own file."""
        path = os.path.join(self._dir, realms.REALMS)
        given = confs.read(path, 'DEFAULT') if os.path.exists(path) else {}
        if 'mtime_check_interval' not in given:
            return self._interval
        declared = {'mtime_check_interval': OPTIONS['mtime_check_interval']}
        return float(confs.options(given, declared, path).mtime_check_interval)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if 'HTTP_X_CONTAINER_SYNC_AUTH' in environ or 'HTTP_X_CONTAINER_SYNC_KEY' in environ \
                or 'HTTP_X_CONTAINER_SYNC_TO' in environ or environ['PATH_INFO'] == '/info':
            return self.handle(environ, start_response)
        return self.app(environ, start_response)

    @serving
    def handle(self, request: Request) -> Any:
        """Check what has to do with container-sync; the rest is the application's."""
        known = self._load()
        try:
            _, account, container, obj = request.split(1, 4, rest=True)
        except ValueError:
            return self.app
        target = request.headers.get('X-Container-Sync-To')
        if container and not obj and target and not self._allow_urls and not target.strip().startswith('//'):
            raise HttpError(400, FULL_URL)
        said = request.headers.get('X-Container-Sync-Auth')
        if said:
            self._admit(request, known, account, said)
        elif obj and INBOUND in request.environ and 'HTTP_X_CONTAINER_SYNC_KEY' in request.environ:
            self._keep_time(request)
        return self.app

    def _admit(self, request: Request, known: realms.Realms, account: str | None, said: str) -> None:
        """Authorise a signed request; raises ``HttpError`` 401."""
        environ = request.environ
        why = self._fault(request, known, said)
        environ.setdefault('swift.log_info', []).append(f'cs:{why}')
        if why != 'valid':
            realm = paths.quote(account or 'unknown')
            raise HttpError(401, INVALID, {'Content-Type': 'text/plain',
                                           'WWW-Authenticate': f'SwiftContainerSync realm="{realm}"'})
        environ['swift.authorize_override'] = True
        environ['swift.authorize'] = allow
        # what is synchronised is stored as it is
        environ['swift.slo_override'] = environ['swift.symlink_override'] = True
        if INBOUND in environ:
            environ['HTTP_X_TIMESTAMP'] = environ.pop(INBOUND)

    def _fault(self, request: Request, known: realms.Realms, said: str) -> str:
        """``valid``, or what is wrong, in the words of the published log."""
        pieces = said.split()
        if len(pieces) != 3:
            return 'not-3-args'
        realm, nonce, signature = pieces
        keys = known.all_keys(realm)
        user_key = get_container_info(request.environ, self.app, swift_source='CS').get('sync_key')
        if not keys:
            return 'no-local-realm-key'
        if not user_key:
            return 'no-local-user-key'
        stamp = request.environ.get(INBOUND) or request.environ.get('HTTP_X_TIMESTAMP', '0')
        made = [realms.sign(request.method, request.quoted_path, stamp, nonce, key, user_key) for key in keys]
        right = [crypt.equal(each, signature) for each in made]     # all of them, whichever is right
        return 'valid' if any(right) else 'invalid-sig'

    def _keep_time(self, request: Request) -> None:
        """An unsigned request with the container's key: the authorisation decides, the time is the sender's."""
        key = get_container_info(request.environ, self.app, swift_source='CS').get('sync_key')
        if key and crypt.equal(key, request.headers['X-Container-Sync-Key']):
            request.environ['HTTP_X_TIMESTAMP'] = request.environ.pop(INBOUND)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], ContainerSync]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:container_sync]')
    registry.register('container_sync', realms={})
    return lambda app: ContainerSync(app, conf)

"""So many requests a second for each device of a storage server; what is beyond gets 529, at once.

    [filter:backend_ratelimit]
    use = egg:swift#backend_ratelimit
    requests_per_device_per_second = 0
    put_requests_per_device_per_second = 0
    requests_per_device_rate_buffer = 1
    backend_ratelimit_conf_path = /etc/swift/backend-ratelimit.conf
    config_reload_interval = 60

A rate of 0 is none.  The options may stand in a file of their own (section
``[backend_ratelimit]``), which is read again while the server runs.  Rates are
those of one worker.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from strata import errors
from swift import conf as confs
from swift.http import HttpError

LOG = logging.getLogger(__name__)

METHODS = ('DELETE', 'GET', 'HEAD', 'POST', 'PUT', 'REPLICATE', 'UPDATE')
SECTION = 'backend_ratelimit'
RATES = {
    'requests_per_device_per_second': confs.Option(confs.number, 0.0, 'of all methods'),
    'requests_per_device_rate_buffer': confs.Option(confs.number, 1.0, 'seconds of unused allowance kept for a burst'),
    **{f'{method.lower()}_requests_per_device_per_second': confs.Option(confs.number, 0.0, f'of {method}')
       for method in METHODS},
}
OPTIONS = {
    'backend_ratelimit_conf_path': confs.Option(confs.text, '/etc/swift/backend-ratelimit.conf', 'the other file'),
    'config_reload_interval': confs.Option(confs.number, 60.0, 'seconds between looks at it; 0: never again'),
}


class Bucket:
    """An allowance that fills at a rate, up to what it can hold."""

    __slots__ = ('_at', '_left', '_most', '_rate')

    def __init__(self, rate: float, buffer: float, now: float) -> None:
        self._rate = rate
        # one request always fits
        self._most = max(1.0, rate * buffer)
        self._left = self._most
        self._at = now

    def allows(self, now: float) -> bool:
        """Whether one more request may come."""
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left >= 1

    def take(self) -> None:
        """One came."""
        self._left -= 1


class BackendRateLimit:
    """The filter."""

    def __init__(self, app: Any, conf: SimpleNamespace, given: Mapping[str, str], *,
                 monotonic: Callable[[], float] = time.monotonic) -> None:
        self.app = app
        self._conf = conf
        self._given = given
        self._monotonic = monotonic
        self._stamp: tuple[int, int] | None = None
        self._rates: dict[str | None, float] = {}
        self._buckets: dict[tuple[str, str | None], Bucket] = {}
        self._buffer = 1.0
        self._set(given)
        self._look_again = 0.0
        self._look(monotonic())

    def _set(self, given: Mapping[str, str]) -> None:
        rates = confs.options(given, RATES, f'[{SECTION}]')
        self._rates = {method: getattr(rates, f'{method.lower()}_requests_per_device_per_second')
                       for method in METHODS}
        self._rates[None] = rates.requests_per_device_per_second
        self._buffer = rates.requests_per_device_rate_buffer
        self._buckets = {}

    def _look(self, now: float) -> None:
        """Read the file of its own if it changed; a bad one is logged and not used."""
        interval = self._conf.config_reload_interval
        self._look_again = now + interval if interval else float('inf')
        path = self._conf.backend_ratelimit_conf_path
        try:
            state = os.stat(path)
        except OSError:
            return
        stamp = (state.st_mtime_ns, state.st_size)
        if stamp == self._stamp:
            return
        try:
            self._set({**self._given, **confs.read(path, SECTION)})
            LOG.info('read %s', path)
        except errors.Invalid as error:
            LOG.error('%s; the rates before it stay', error)
        self._stamp = stamp

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        now = self._monotonic()
        if now >= self._look_again:
            self._look(now)
        if any(self._rates.values()) and not self._allows(environ, now):
            return HttpError(529).response()(environ, start_response)
        return self.app(environ, start_response)

    def _allows(self, environ: dict[str, Any], now: float) -> bool:
        pieces = environ['PATH_INFO'].split('/', 3)
        if len(pieces) < 3 or not pieces[1] or not pieces[2] or pieces[1] == 'recon':
            return True
        buckets = []
        for method in (None, environ['REQUEST_METHOD']):
            rate = self._rates.get(method)
            if not rate:
                continue
            key = (pieces[1], method)
            bucket = self._buckets.get(key)
            if bucket is None:
                if len(self._buckets) > 10_000:     # not devices: somebody makes names up
                    self._buckets.clear()
                bucket = self._buckets[key] = Bucket(rate, self._buffer, now)
            if not bucket.allows(now):
                return False
            buckets.append(bucket)
        for bucket in buckets:
            bucket.take()
        return True


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], BackendRateLimit]:
    """paste."""
    given = {**global_conf, **local_conf}
    conf = confs.options(given, OPTIONS, '[filter:backend_ratelimit]')
    if 'backend_ratelimit_conf_path' not in given:
        conf.backend_ratelimit_conf_path = os.path.join(given.get('swift_dir', '/etc/swift'), 'backend-ratelimit.conf')
    return lambda app: BackendRateLimit(app, conf, given)

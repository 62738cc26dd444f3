"""So many writes a second, and no more, for an account and for a container: requests wait for their turn.

    [filter:ratelimit]
    use = egg:swift#ratelimit
    account_ratelimit = 0
    container_ratelimit_0 = 100
    container_ratelimit_10 = 50
    container_listing_ratelimit_0 = 100

Accounts are limited in making and removing containers, containers in writes
and in listings, the more the more objects they hold: between two given sizes
the rate is interpolated, above the largest it stays.  Who would have to wait
longer than ``max_sleep_time_seconds`` gets 498.  The turns are counted in
``swift.cache``, for all proxies together if that is memcached.  An account may
be exempt (``WHITELIST``), shut out (``BLACKLIST``) or have a rate of its own by its
system metadata X-Account-Sysmeta-Global-Write-Ratelimit.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from strata import errors, green
from swift import conf as confs
from swift.http import HttpError, Request, Response
from swift.http import info as registry
from swift.middleware.memcached import CacheUnavailable
from swift.proxy.info import get_account_info, get_container_info

LOG = logging.getLogger(__name__)

OPTIONS = {
    'account_ratelimit': confs.Option(confs.number, 0.0, 'containers made or removed a second; 0: as many as may be'),
    'max_sleep_time_seconds': confs.Option(confs.number, 60.0, 'seconds that a request waits at most'),
    'log_sleep_time_seconds': confs.Option(confs.number, 0.0, 'waits longer than this are logged; 0: none'),
    'clock_accuracy': confs.Option(confs.positive, 1000, "parts of a second that the proxies' clocks agree to"),
    'rate_buffer_seconds': confs.Option(confs.count, 5, 'seconds that one behind its turns may catch up'),
    'account_whitelist': confs.Option(confs.commas, [], 'accounts without a limit'),
    'account_blacklist': confs.Option(confs.commas, [], 'accounts that are shut out'),
}
WRITES = frozenset({'PUT', 'DELETE', 'POST', 'COPY'})
MAKES = frozenset({'PUT', 'DELETE'})
#: seconds that a request of an account that is shut out takes
PENALTY = 1.0
HANDLED = 'swift.ratelimit.handled'
SETTING = 'global-write-ratelimit'

Rates = list[tuple[int, float]]


class TooLong(Exception):
    """The turn would come too late."""


def rates(conf: Mapping[str, str], prefix: str) -> Rates:
    """(size, rate) pairs of ``prefix<size> = <rate>`` options, by size; raises ``errors.Invalid``."""
    found = []
    for name, value in conf.items():
        if name.startswith(prefix):
            try:
                found.append((confs.count(name[len(prefix):]), confs.number(value)))
            except ValueError as error:
                raise errors.Invalid(f'[filter:ratelimit]: {name} = {value}: {error}') from None
    return sorted(found)


def rate_for(size: int, given: Rates) -> float | None:
    """Requests a second for a container of this size; ``None`` for any number of them."""
    if not given or size < given[0][0]:
        return None
    for (low, fast), (high, slow) in zip(given, given[1:]):
        if size < high:
            return fast + (slow - fast) * (size - low) / (high - low)
    return given[-1][1]


class RateLimit:
    """The filter."""

    def __init__(self, app: Any, conf: SimpleNamespace, writes: Rates, listings: Rates) -> None:
        self.app = app
        self._conf = conf
        self._free = frozenset(conf.account_whitelist)
        self._shut = frozenset(conf.account_blacklist)
        self._writes = writes
        self._listings = listings

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if HANDLED in environ:
            return self.app(environ, start_response)
        try:
            _, account, container, obj = Request(environ).split(2, 4, rest=True)
        except (ValueError, HttpError):
            return self.app(environ, start_response)
        environ[HANDLED] = True
        refused = self._wait(environ, account, container, obj)
        return (refused or self.app)(environ, start_response)

    def _wait(self, environ: dict[str, Any], account: str, container: str | None, obj: str | None) -> Response | None:
        """Let the request have its turn; the answer if it gets none."""
        cache = environ.get('swift.cache')
        if cache is None:
            return None
        setting = None
        if environ['REQUEST_METHOD'] in WRITES or account in self._shut:
            setting = str((get_account_info(environ, self.app, swift_source='RL').get('sysmeta') or {})
                          .get(SETTING, '')).strip()
        if account in self._free or setting == 'WHITELIST':
            return None
        if account in self._shut or setting == 'BLACKLIST':
            LOG.error('the account %s is shut out', account)
            green.sleep(PENALTY)
            return Response(497, 'Your account has been blacklisted', {'Content-Type': 'text/html; charset=UTF-8'})
        for key, rate in self._turns(environ, account, container, obj, setting):
            try:
                pause = self._pause(cache, key, rate)
            except TooLong:
                LOG.error('ratelimit: %s %s gets no turn within %s s', environ['REQUEST_METHOD'], key,
                          self._conf.max_sleep_time_seconds)
                return Response(498, 'Slow down', {'Content-Type': 'text/html; charset=UTF-8'})
            if self._conf.log_sleep_time_seconds and pause > self._conf.log_sleep_time_seconds:
                LOG.warning('ratelimit: %s %s waits %.3f s', environ['REQUEST_METHOD'], key, pause)
            if pause > 0:
                green.sleep(pause)
        return None

    def _turns(self, environ: dict[str, Any], account: str, container: str | None, obj: str | None,
               setting: str | None) -> list[tuple[str, float]]:
        """(key, requests a second) of each limit that the request is under."""
        method = environ['REQUEST_METHOD']
        turns = []
        if container and not obj and method in MAKES and self._conf.account_ratelimit:
            turns.append((f'ratelimit/{account}', self._conf.account_ratelimit))
        if container and obj and method in WRITES and self._writes:
            turns.append((f'ratelimit/{account}/{container}', self._container_rate(environ, self._writes)))
        if container and not obj and method == 'GET' and self._listings:
            turns.append((f'ratelimit_listing/{account}/{container}', self._container_rate(environ, self._listings)))
        if setting and method in WRITES:
            try:
                turns.append((f'ratelimit/global-write/{account}', confs.number(setting)))
            except ValueError:
                LOG.debug('%s of %s is no rate: %r', SETTING, account, setting)
        return [(key, rate) for key, rate in turns if rate]

    def _container_rate(self, environ: dict[str, Any], given: Rates) -> float | None:
        known = get_container_info(environ, self.app, swift_source='RL')
        return rate_for(int(known.get('object_count') or 0), given)

    def _pause(self, cache: Any, key: str, rate: float) -> float:
        """Seconds until this request's turn.  Raises ``TooLong``.

        The cache holds, in ticks, up to when turns are given away.
        """
        conf = self._conf
        ticks = conf.clock_accuracy
        now, each = round(time.time() * ticks), round(ticks / rate)
        try:
            end = cache.incr(key, delta=each)
            if end < now - conf.rate_buffer_seconds * ticks:
                # unused for so long that nothing of it is caught up: turns begin now
                cache.set(key, now + each, serialize=False)
                return 0.0
            pause = max(end - each - now, 0)
            if pause > conf.max_sleep_time_seconds * ticks:
                cache.decr(key, delta=each)     # the turn is not taken
                raise TooLong(key)
        except CacheUnavailable:
            return 0.0
        return pause / ticks


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], RateLimit]:
    """paste."""
    given = {**global_conf, **local_conf}
    conf = confs.options(given, OPTIONS, '[filter:ratelimit]')
    writes, listings = rates(given, 'container_ratelimit_'), rates(given, 'container_listing_ratelimit_')
    registry.register('ratelimit', account_ratelimit=conf.account_ratelimit,
                      max_sleep_time_seconds=conf.max_sleep_time_seconds, container_ratelimits=writes,
                      container_listing_ratelimits=listings)
    return lambda app: RateLimit(app, conf, writes, listings)

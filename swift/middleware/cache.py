"""``swift.cache`` of each request: what the proxies remember for each other, in memcached or in this process.

    [filter:cache]
    use = egg:swift#memcache
    memcache_servers = 10.1.2.3:11211,10.1.2.4:11211

Without servers the cache is this process's own, bounded in entries and in
time: enough for one worker; several need memcached to see each other's tokens.
Options may stand in ``memcache.conf`` (section ``[memcache]``) too.
"""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, Protocol

import orjson

from strata import cache
from swift import conf as confs
from swift.middleware import memcached

LOG = logging.getLogger(__name__)

OPTIONS = {
    'memcache_servers': confs.Option(confs.commas, [], 'host:port, by commas; none: in this process'),
    'memcache_max_connections': confs.Option(confs.positive, 2, 'connections to each server'),
    'connect_timeout': confs.Option(confs.number, 0.3, 'seconds'),
    'pool_timeout': confs.Option(confs.number, 1.0, 'seconds to wait for a connection of the pool'),
    'io_timeout': confs.Option(confs.number, 2.0, 'seconds to wait for an answer'),
    'tries': confs.Option(confs.positive, 3, 'servers asked before the cache is taken to be empty'),
    'error_suppression_interval': confs.Option(confs.number, 60.0, 'seconds that a failing server is left alone'),
    'error_suppression_limit': confs.Option(confs.positive, 10, 'failures before it is'),
    'item_size_warning_threshold': confs.Option(confs.integer, -1, 'bytes of a value worth a warning; -1: never'),
    'local_seconds': confs.Option(confs.number, 0.1, 'seconds a value is believed without asking memcached again'),
    'tls_enabled': confs.Option(confs.boolean, False, 'whether to speak TLS to the servers'),
    'tls_cafile': confs.Option(confs.text, '', 'certificates to trust'),
    'tls_certfile': confs.Option(confs.text, '', 'our certificate'),
    'tls_keyfile': confs.Option(confs.text, '', 'its key'),
    'swift_dir': confs.Option(confs.text, '/etc/swift', 'where memcache.conf is'),
}
#: entries of a cache in this process, and how long one that was set for ever stays, in seconds
ENTRIES = 50_000
LONGEST = 86_400.0


class Cache(Protocol):
    """What filters find in ``environ['swift.cache']``; values are JSON, times are in seconds (0: as long as it can be).

    A cache that cannot be reached is empty; ``incr`` and ``decr`` then raise
    ``memcached.CacheUnavailable``, as do the others with ``raise_on_error``.
    """

    def get(self, key: str, raise_on_error: bool = False) -> Any:
        """The value, or ``None``."""

    def set(self, key: str, value: Any, serialize: bool = True, time: float = 0, min_compress_len: int = 0,
            raise_on_error: bool = False) -> None:
        """Remember a value."""

    def delete(self, key: str, server_key: str | None = None) -> None:
        """Forget a value."""

    def incr(self, key: str, delta: int = 1, time: float = 0) -> int:
        """Add to a number, which starts at 0 and never falls below it; the new one."""

    def decr(self, key: str, delta: int = 1, time: float = 0) -> int:
        """``incr`` downwards."""

    def set_multi(self, mapping: Mapping[str, Any], server_key: str, serialize: bool = True, time: float = 0,
                  min_compress_len: int = 0) -> None:
        """Remember several values, all on the server of ``server_key``."""

    def get_multi(self, keys: Iterable[str], server_key: str) -> list[Any]:
        """The values set so, ``None`` for those that are not there."""


class Local:
    """A cache in this process.  Values are kept as JSON: what one reader changes, no other sees."""

    def __init__(self, size: int = ENTRIES, longest: float = LONGEST) -> None:
        self._entries: cache.Cache[Any] = cache.Cache(size, longest)
        self._longest = longest

    def get(self, key: str, raise_on_error: bool = False) -> Any:
        """See ``Cache``."""
        found = self._entries.get(key)
        return orjson.loads(found) if isinstance(found, bytes) else found

    def set(self, key: str, value: Any, serialize: bool = True, time: float = 0, min_compress_len: int = 0,
            raise_on_error: bool = False) -> None:
        """See ``Cache``."""
        kept = value if isinstance(value, (str, int, bool)) else orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
        self._entries.set(key, kept, time or self._longest)

    def delete(self, key: str, server_key: str | None = None) -> None:
        """See ``Cache``."""
        self._entries.delete(key)

    def incr(self, key: str, delta: int = 1, time: float = 0) -> int:
        """See ``Cache``."""
        found = self._entries.get(key)
        number = max(0, (found if isinstance(found, int) else 0) + int(delta))
        self._entries.set(key, number, time or self._longest)
        return number

    def decr(self, key: str, delta: int = 1, time: float = 0) -> int:
        """See ``Cache``."""
        return self.incr(key, -delta, time)

    def set_multi(self, mapping: Mapping[str, Any], server_key: str, serialize: bool = True, time: float = 0,
                  min_compress_len: int = 0) -> None:
        """See ``Cache``."""
        for key, value in mapping.items():
            self.set(key, value, time=time)

    def get_multi(self, keys: Iterable[str], server_key: str) -> list[Any]:
        """See ``Cache``."""
        return [self.get(key) for key in keys]


class CacheFilter:
    """The filter; all of one process share the cache it makes."""

    def __init__(self, app: Any, conf: SimpleNamespace) -> None:
        """Raises ``errors.Invalid`` for a server that is no address."""
        self.app = app
        self.cache: Cache = memcached.Ring(conf) if conf.memcache_servers else Local()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ['swift.cache'] = self.cache
        return self.app(environ, start_response)


def options(given: Mapping[str, str]) -> SimpleNamespace:
    """The filter's own options over those of memcache.conf; raises ``errors.Invalid``."""
    path = os.path.join(given.get('swift_dir', '/etc/swift'), 'memcache.conf')
    shared = confs.read(path, 'memcache') if os.path.exists(path) else {}
    return confs.options({**shared, **given}, OPTIONS, '[filter:cache]')


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], CacheFilter]:
    """paste."""
    given = {**global_conf, **local_conf}
    conf = options(given)
    if not conf.memcache_servers and given.get('workers', '1').strip() not in ('0', '1'):
        LOG.warning('[filter:cache]: without memcache_servers each of the workers has a cache of its own; '
                    'tokens of tempauth and turns of ratelimit are not shared')
    return lambda app: CacheFilter(app, conf)

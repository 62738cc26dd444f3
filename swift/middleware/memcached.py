"""Several memcached servers as one cache: each key has its server, and others take over while that one fails.

Keys are hashed and values are JSON, both as published, so that proxies of two
kinds can share the servers.  A value in another form (a pickle, say, which
would run code) is not read: it counts as not there.

What has been read is believed for a moment (``local_seconds``) without asking
again: a busy proxy asks for the same token, account and container with every
request.  What this process changes it sees at once; numbers, which others
count up, are always asked for.
"""

import contextlib
import hashlib
import json
import logging
import socket
import ssl
import time as clock
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import orjson
from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheError

from strata import errors, green

LOG = logging.getLogger(__name__)

#: the flag of a value that is JSON
JSON = 2
#: memcached takes a longer time, in seconds, for one since 1970
MONTH = 30 * 24 * 3600
#: values that are believed without asking, at most
RECENT = 2000


class CacheUnavailable(Exception):
    """No server of the cache answers."""


class _Json:
    """How values travel; pymemcache's interface."""

    def serialize(self, key: bytes, value: Any) -> tuple[bytes, int]:
        """The bytes and the flags; a number is written bare, so that memcached can add to it."""
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value).encode('ascii'), 0
        return json.dumps(value).encode('ascii'), JSON

    def deserialize(self, key: bytes, value: bytes, flags: int) -> Any:
        """The value; ``None`` for one that is neither JSON nor a number."""
        try:
            if flags & JSON:
                return json.loads(value)
            return int(value) if flags == 0 else None
        except ValueError:
            return None


class Server:
    """One memcached, with a bounded number of connections, left alone while it fails."""

    def __init__(self, name: str, conf: SimpleNamespace, tls: ssl.SSLContext | None) -> None:
        """``name``: ``host:port``, or ``[v6]:port``; raises ``errors.Invalid``."""
        self.name = name
        self._address = _address(name)
        self._conf = conf
        self._tls = tls
        self._free: list[Client] = []
        self._places = green.Semaphore(conf.memcache_max_connections)
        self._failures: list[float] = []
        self._until = 0.0

    @property
    def limited(self) -> bool:
        """Whether it failed so often that nobody asks it for a while."""
        return clock.monotonic() < self._until

    @contextlib.contextmanager
    def connection(self) -> Iterator[Client]:
        """A connection of the pool; one that fails is not used again.  Raises ``CacheUnavailable``."""
        if not self._places.acquire(timeout=self._conf.pool_timeout):
            raise CacheUnavailable(f'{self.name}: all {self._conf.memcache_max_connections} connections are busy')
        client = self._free.pop() if self._free else self._new()
        try:
            yield client
        except (MemcacheError, OSError, ValueError) as error:
            client.close()
            self._failed(error)
            raise CacheUnavailable(f'{self.name}: {error}') from error
        except BaseException:
            client.close()      # an answer may still be on its way
            raise
        else:
            self._free.append(client)
        finally:
            self._places.release()

    def _new(self) -> Client:
        return Client(self._address, serde=_Json(), connect_timeout=self._conf.connect_timeout,
                      timeout=self._conf.io_timeout, no_delay=True, tls_context=self._tls,
                      default_noreply=False, socket_module=socket)

    def _failed(self, error: Exception) -> None:
        interval, now = self._conf.error_suppression_interval, clock.monotonic()
        LOG.warning('memcached %s: %s', self.name, error)
        self._failures = [when for when in self._failures if when > now - interval] + [now]
        if interval and len(self._failures) > self._conf.error_suppression_limit:
            self._until = now + interval
            self._failures = []
            LOG.error('memcached %s failed too often and is left alone for %d s', self.name, interval)


class Ring:
    """``swift.cache`` over several servers: see ``swift.middleware.cache.Cache``."""

    def __init__(self, conf: SimpleNamespace) -> None:
        """Raises ``errors.Invalid``."""
        tls = _tls(conf) if conf.tls_enabled else None
        self._servers = [Server(name, conf, tls) for name in dict.fromkeys(conf.memcache_servers)]
        self._tries = conf.tries
        self._warning = conf.item_size_warning_threshold
        self._believed = conf.local_seconds
        #: until when a value is believed, and the value as JSON: what one reader changes, no other sees
        self._recent: dict[str, tuple[float, bytes]] = {}
        #: counts what this process has changed
        self._changes = 0

    def get(self, key: str, raise_on_error: bool = False) -> Any:
        """See ``Cache``."""
        known, now = self._recent.get(key), clock.monotonic()
        if known is not None:
            if known[0] > now:
                return orjson.loads(known[1])
            # one asks, and the others of this moment do not
            self._recent[key] = now + self._believed, known[1]
        changes = self._changes
        found = self._ask(key, lambda client, name: client.get(name), raise_on_error)
        # a value that was changed while it was on its way is not kept
        if changes == self._changes:
            self._remember(key, found)
        return found

    def _remember(self, key: str, value: Any) -> None:
        if self._believed <= 0 or not isinstance(value, (dict, list, str)):
            self._recent.pop(key, None)
            return
        if len(self._recent) >= RECENT:
            self._recent.clear()
        with contextlib.suppress(TypeError):      # of text with halves of characters
            self._recent[key] = clock.monotonic() + self._believed, orjson.dumps(value)

    def _change(self, key: str) -> None:
        self._changes += 1
        self._recent.pop(key, None)

    def set(self, key: str, value: Any, serialize: bool = True, time: float = 0, min_compress_len: int = 0,
            raise_on_error: bool = False) -> None:
        """See ``Cache``."""
        if self._warning >= 0:
            size = len(json.dumps(value))
            if size > self._warning:
                LOG.warning('the value of %s in memcached has %d bytes', key.partition('/')[0], size)
        self._change(key)
        try:
            self._ask(key, lambda client, name: client.set(name, value, expire=_expiry(time)), raise_on_error)
        finally:
            self._change(key)      # a reader may have been faster

    def delete(self, key: str, server_key: str | None = None) -> None:
        """See ``Cache``."""
        self._change(key)
        try:
            self._ask(server_key or key, lambda client, _: client.delete(_hashed(key)))
        finally:
            self._change(key)

    def incr(self, key: str, delta: int = 1, time: float = 0) -> int:
        """See ``Cache``."""
        delta = int(delta)

        def add(client: Client, name: str) -> int:
            for _ in range(3):
                number = client.incr(name, delta) if delta >= 0 else client.decr(name, -delta)
                if number is not None:
                    return number
                if client.add(name, max(0, delta), expire=_expiry(time)):
                    return max(0, delta)
            raise MemcacheError('a number comes and goes')
        return self._ask(key, add, True)    # type: ignore[no-any-return]

    def decr(self, key: str, delta: int = 1, time: float = 0) -> int:
        """See ``Cache``."""
        return self.incr(key, -delta, time)

    def set_multi(self, mapping: Mapping[str, Any], server_key: str, serialize: bool = True, time: float = 0,
                  min_compress_len: int = 0) -> None:
        """See ``Cache``."""
        values = {_hashed(key): value for key, value in mapping.items()}
        self._ask(server_key, lambda client, _: client.set_many(values, expire=_expiry(time)))

    def get_multi(self, keys: Iterable[str], server_key: str) -> list[Any]:
        """See ``Cache``."""
        names = [_hashed(key) for key in keys]
        found = self._ask(server_key, lambda client, _: client.get_many(names)) or {}
        return [found.get(name) for name in names]

    def _ask(self, key: str, action: Callable[[Client, str], Any], raises: bool = False) -> Any:
        """Have the key's server act, or the next; ``None`` or ``CacheUnavailable`` if nobody does."""
        name = _hashed(key)
        tried = 0
        for server in self._order(name):
            if server.limited:
                continue
            if tried == self._tries:
                break
            tried += 1
            with contextlib.suppress(CacheUnavailable), server.connection() as client:
                return action(client, name)
        if raises:
            raise CacheUnavailable('no memcached server answers')
        return None

    def _order(self, name: str) -> list[Server]:
        """All servers, in the order this key asks them; each key has an order of its own."""
        if len(self._servers) == 1:
            return self._servers
        return sorted(self._servers, key=lambda server: hashlib.md5(
            f'{server.name}-{name}'.encode(), usedforsecurity=False).digest())


def _hashed(key: str) -> str:
    """As published; keys may be long and hold anything."""
    return hashlib.md5(key.encode('utf-8', 'surrogateescape'), usedforsecurity=False).hexdigest()


def _expiry(seconds: float) -> int:
    whole = int(seconds)
    return whole + int(clock.time()) if whole > MONTH else whole


def _address(name: str) -> tuple[str, int]:
    host, colon, port = name.rpartition(':')
    if not colon or name.endswith(']'):
        host, port = name, '11211'
    host = host.removeprefix('[').removesuffix(']')
    if not host or not port.isdecimal():
        raise errors.Invalid(f'memcache_servers: {name!r} is no host:port')
    return host, int(port)


def _tls(conf: SimpleNamespace) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=conf.tls_cafile or None)
        if conf.tls_certfile:
            context.load_cert_chain(conf.tls_certfile, conf.tls_keyfile or None)
    except OSError as error:
        raise errors.Invalid(f'tls_cafile, tls_certfile: {error}') from error
    return context

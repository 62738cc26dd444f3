"""An account of an object store as a store of images.

::

    <container>/<key>               an image of up to 8 MiB, or the manifest (SLO) of a larger one
    <container>/<key>-00001 ...     its segments: the first of up to swift_store_large_object_size,
                                    the others of swift_store_large_object_chunk_size

The manifest is written last, so nothing can be read under a key before all of
it is there; it holds the segments' sizes and hashes, so a listing that lags
behind changes nothing.  Deleting begins with it.
"""

import json
import logging
from collections.abc import Iterable, Iterator

import requests
from oslo_config import cfg

from glance.stores.interface import CHUNK, Missing, Store, checked
from glance.stores.swift_account import NAME, Account
from strata import errors, http

LOG = logging.getLogger(__name__)

MIB = 1024 * 1024
#: bytes held in memory to see whether an image needs segments
SMALL = 8 * MIB
#: no object is larger, in any object store
LARGEST = 5 * 1024 * MIB
#: segments until they grow, so that an image of 1 TiB needs fewer than the 1,000 that a manifest may have
GROWTH = 100


class SwiftStore(Store):
    """Images as objects of the service's own account."""

    description = 'Objects in the object store'

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        """Raises ``errors.Invalid`` for options that do not go together."""
        options = conf.glance_store
        if options.swift_store_multi_tenant:
            raise errors.Invalid('[glance_store] swift_store_multi_tenant: images are kept in one account only.')
        self._account = Account(conf)
        self._base = options.swift_store_container
        self._seed = options.swift_store_multiple_containers_seed
        self._creates = options.swift_store_create_container_on_put
        self._first = min(options.swift_store_large_object_size * MIB, LARGEST)
        self._further = min(options.swift_store_large_object_chunk_size * MIB, LARGEST)
        self._retries = options.swift_store_retry_get_count
        self._known: set[str] = set()

    def _container(self, key: str) -> str:
        checked(key)
        return f'{self._base}_{key[:self._seed]}' if self._seed else self._base

    def _have(self, container: str) -> None:
        if container in self._known:
            return
        answer = self._account.ask('HEAD', container)
        if answer.status_code == 404:
            if not self._creates:
                LOG.error('the container %s of the image store is not there, and '
                          'swift_store_create_container_on_put is not set', container)
                raise errors.Unavailable(service=NAME)
            self._account.ask('PUT', container)
        self._known.add(container)

    def write(self, key: str, chunks: Iterable[bytes]) -> int:
        container = self._container(key)
        self._have(container)
        source = _Source(chunks)
        try:
            whole = source.small()
            if whole is not None:
                return self._account.upload(container, key, whole)[1]
            return self._segments(container, key, source)
        except BaseException:
            self._known.discard(container)
            self._undo(key)
            raise

    def _segments(self, container: str, key: str, source: '_Source') -> int:
        manifest: list[dict[str, str | int]] = []
        total, size = 0, self._first
        while source.more():
            name = f'{key}-{len(manifest) + 1:05d}'
            etag, stored = self._account.upload(container, name, source.next(size))
            manifest.append({'path': f'/{container}/{name}', 'etag': etag, 'size_bytes': stored})
            total += stored
            size = min(self._further << (len(manifest) // GROWTH), LARGEST)
        self._account.ask('PUT', container, key, params={'multipart-manifest': 'put'},
                          data=json.dumps(manifest).encode('ascii'))
        made = self._account.ask('HEAD', container, key)
        if not _is_manifest(made) or made.headers.get('Content-Length') != str(total):
            LOG.error('the object store makes no static large objects; images of more than %s MiB need them',
                      SMALL // MIB)
            raise errors.Unavailable(service=NAME)
        return total

    def _undo(self, key: str) -> None:
        try:
            self.delete(key)
        except errors.Error as error:       # the sweep will do it
            LOG.warning('what was written of %s cannot be removed yet: %s', key, error)

    def read(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        container = self._container(key)
        if length == 0:
            self.size(key)
            return iter(())
        return _Reader(self._account, container, key, offset, length, self._retries)

    def size(self, key: str) -> int:
        answer = self._account.ask('HEAD', self._container(key), key)
        if answer.status_code != 200:
            raise Missing()
        return int(answer.headers['Content-Length'])

    def delete(self, key: str) -> None:
        container = self._container(key)
        known: set[str] = set()
        answer = self._account.ask('HEAD', container, key)
        if answer.status_code != 404:
            if _is_manifest(answer):
                known = self._listed(container, key)
            self._account.ask('DELETE', container, key)
        # what an attempt left without a manifest is found by its name
        for name in sorted(known | self._found(container, key)):
            self._account.ask('DELETE', container, name)

    def _listed(self, container: str, key: str) -> set[str]:
        """The segments of a manifest."""
        answer = self._account.ask('GET', container, key, params={'multipart-manifest': 'get'})
        if answer.status_code == 404:
            return set()
        start = f'/{container}/{key}-'
        return {each['name'][len(container) + 2:] for each in answer.json() if each.get('name', '').startswith(start)}

    def _found(self, container: str, key: str) -> set[str]:
        """The segments that the container lists."""
        found: set[str] = set()
        marker = ''
        while True:
            answer = self._account.ask('GET', container, params={'format': 'json', 'prefix': f'{key}-',
                                                                 'marker': marker})
            entries = answer.json() if answer.status_code == 200 else []
            if not entries:
                return found
            found |= {each['name'] for each in entries}
            marker = entries[-1]['name']


def _is_manifest(answer: http.Response) -> bool:
    return answer.headers.get('X-Static-Large-Object', '').lower() == 'true'


class _Source:
    """Chunks, cut to the sizes that are asked for."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._ready: list[bytes] = []

    def small(self) -> list[bytes] | None:
        """All of it if that is little; else ``None``, and what was read stays."""
        held = 0
        for chunk in self._chunks:
            self._ready.append(chunk)
            held += len(chunk)
            if held > SMALL:
                return None
        return self._ready

    def more(self) -> bool:
        """Whether there is any left."""
        while not self._ready:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            if chunk:
                self._ready.append(chunk)
        return True

    def next(self, size: int) -> Iterator[bytes]:
        """Chunks of ``size`` bytes together, fewer at the end."""
        while size and self.more():
            chunk = self._ready.pop(0)
            if len(chunk) > size:
                self._ready.insert(0, chunk[size:])
                chunk = chunk[:size]
            size -= len(chunk)
            yield chunk


class _Reader:
    """A part of an object, chunk by chunk; a connection that breaks is made again if that was asked for."""

    def __init__(self, account: Account, container: str, key: str, offset: int, length: int | None,
                 retries: int) -> None:
        self._account, self._container, self._key = account, container, key
        self._offset, self._left, self._retries = offset, length, retries
        self._etag = ''
        self._answer: http.Response | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._open()

    def _open(self) -> None:
        headers = {}
        if self._offset or self._left is not None:
            last = '' if self._left is None else self._offset + self._left - 1
            headers['Range'] = f'bytes={self._offset}-{last}'
        answer = self._account.ask('GET', self._container, self._key, headers=headers, stream=True)
        if answer.status_code == 404 or (self._etag and answer.headers.get('Etag') != self._etag):
            answer.close()
            raise Missing()
        if answer.status_code == 416:
            answer.close()
            return
        if headers and answer.status_code != 206:
            answer.close()
            raise errors.Unavailable(service=NAME)
        self._etag = answer.headers.get('Etag', '')
        self._answer = answer
        self._chunks = answer.iter_content(CHUNK)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while True:
            try:
                chunk = next(self._chunks, b'')
                break
            except requests.RequestException as error:
                LOG.warning('an image broke off on its way from the object store: %s', type(error).__name__)
                self.close()
                if not self._retries:
                    raise errors.Unavailable(service=NAME) from error
                self._retries -= 1
                self._open()
        if not chunk:
            self.close()
            raise StopIteration
        self._offset += len(chunk)
        if self._left is not None:
            self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        """Give the connection back; WSGI servers call it when the client is gone."""
        self._chunks = iter(())
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def __del__(self) -> None:
        self.close()

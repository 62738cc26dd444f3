"""A store of objects in a directory, and an object server in front of one, for tests."""

import hashlib
import http.client
import itertools
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from strata.wsgi.limits import Limits
from strata.wsgi.server import Server
from swift.obj.diskfile import DiskFile
from swift.obj.server import ObjectServer
from swift.obj.store import Store
from swift.timestamp import Timestamp

DEVICE = 'sda'
_ticks = itertools.count()


def later(seconds: float = 0.0) -> Timestamp:
    """A time after all that were given before, ``seconds`` from now."""
    return Timestamp(time.time() + seconds, delta=next(_ticks))


def md5(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.md5(data).hexdigest()


def settings(root: Path, **conf: str) -> dict[str, str]:
    """The options of something that stands on the devices below ``root``."""
    etc = root / 'etc'
    if not etc.exists():
        etc.mkdir(parents=True)
        (etc / 'swift.conf').write_text(
            '[swift-hash]\nswift_hash_path_prefix = pre\nswift_hash_path_suffix = suf\n'
            '[storage-policy:0]\nname = gold\ndefault = yes\n[storage-policy:1]\nname = silver\n')
        (root / 'node' / DEVICE).mkdir(parents=True)
    return {'swift_dir': str(etc), 'devices': str(root / 'node'), 'mount_check': 'false',
            'recon_cache_path': str(root / 'recon'), **conf}


def make_store(root: Path, **conf: str) -> Store:
    """A store with one device."""
    return Store.load(settings(root, **conf))


def file_of(store: Store, name: str = 'o', policy: int = 0, partition: str = '0') -> DiskFile:
    """The object ``/a/c/<name>``."""
    return store.file(DEVICE, partition, 'a', 'c', name, store.policies[policy])


def write(file: DiskFile, data: bytes = b'data', when: Timestamp | None = None, **metadata: str) -> Timestamp:
    """PUT."""
    when = when or later()
    with file.upload(len(data)) as upload:
        if data:
            upload.write(data)
        upload.finish({'X-Timestamp': when.internal, 'Content-Type': 'text/plain', 'Content-Length': str(len(data)),
                       'ETag': upload.etag, **{name.replace('_', '-'): value for name, value in metadata.items()}})
    return when


def names(file: DiskFile) -> list[str]:
    """The files of an object."""
    folder = Path(file.path)
    return sorted(each.name for each in folder.iterdir()) if folder.exists() else []


def tree(root: Path) -> list[str]:
    """All files below a directory but locks, hashes of suffixes and what is temporary."""
    return sorted(str(each.relative_to(root)) for each in root.rglob('*') if each.is_file()
                  and each.name != '.lock' and not each.name.startswith('hashes.'))


class Answer:
    """What a server answered."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()


class ObjectHttp:
    """An object server on a port of its own, and a client of it."""

    def __init__(self, root: Path, **conf: str) -> None:
        self.root = root
        self.disk = root / 'node' / DEVICE
        self.app = ObjectServer(settings(root, **conf))
        self.store = self.app.store
        self.server = Server(self.app, ('127.0.0.1', 0), Limits(header_bytes=262144, headers=512), name='object',
                             access_log=False)
        self.server.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    def stop(self) -> None:
        """Stop it."""
        self.server.stop(0)
        self.app.close()

    def ask(self, method: str, name: str = 'o', body: bytes | Iterator[bytes] | None = None,
            headers: Mapping[str, Any] | None = None, *, path: str | None = None, policy: int | None = None) -> Answer:
        """A request about ``/a/c/<name>`` (or any quoted ``path``), at a time of its own unless one is given."""
        said = {'X-Timestamp': later().internal, **(headers or {})}
        if method == 'PUT':
            said.setdefault('Content-Type', 'text/plain')
        if policy is not None:
            said['X-Backend-Storage-Policy-Index'] = str(policy)
        if method in ('GET', 'HEAD'):
            del said['X-Timestamp']
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=10)
        try:
            connection.request(method, path or f'/{DEVICE}/0/a/c/{urllib.parse.quote(name)}', body, said,
                               encode_chunked=body is not None and not isinstance(body, bytes))
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def file(self, name: str = 'o', policy: int = 0) -> DiskFile:
        """The object on disk."""
        return file_of(self.store, name, policy)

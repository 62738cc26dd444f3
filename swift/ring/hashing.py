"""The hash that turns a path into a place: md5 of the path between the cluster's two secrets."""

import configparser
import dataclasses
import functools
import hashlib

from swift.ring.errors import RingError

CONF = '/etc/swift/swift.conf'


@dataclasses.dataclass(frozen=True)
class HashPath:
    """The secrets of one cluster; changing either loses every object, so they come from one file."""

    prefix: bytes = b''
    suffix: bytes = b''

    @classmethod
    def load(cls, path: str = CONF) -> 'HashPath':
        """From ``[swift-hash]`` of swift.conf; raises ``RingError`` when neither secret is set."""
        parser = configparser.RawConfigParser()
        try:
            # any byte may stand in a secret, and latin-1 gives each back as it was
            with open(path, encoding='latin-1') as file:
                parser.read_file(file)
        except (OSError, configparser.Error) as error:
            raise RingError(f'Unable to read {path}: {error}') from error
        prefix, suffix = (parser.get('swift-hash', f'swift_hash_path_{end}', fallback='').encode('latin-1')
                          for end in ('prefix', 'suffix'))
        if not prefix and not suffix:
            raise RingError(f'[swift-hash]: both swift_hash_path_suffix and swift_hash_path_prefix '
                            f'are missing from {path}')
        return cls(prefix, suffix)

    def digest(self, account: str, container: str | None = None, obj: str | None = None) -> bytes:
        """The sixteen bytes for an account, a container or an object; ``ValueError`` for a gap between."""
        return _digest(self.prefix, self.suffix, account, container, obj)

    def hexdigest(self, account: str, container: str | None = None, obj: str | None = None) -> str:
        """As it stands in directory names on disk."""
        return self.digest(account, container, obj).hex()


@functools.lru_cache(4096)
def _digest(prefix: bytes, suffix: bytes, account: str, container: str | None, obj: str | None) -> bytes:
    """Remembered: replicas of an object, and rows of a container, are asked for one after the other."""
    if obj and not container:
        raise ValueError('container is required if object is provided')
    path = '/' + '/'.join([name for name in (account, container, obj) if name])
    return hashlib.md5(prefix + path.encode('utf-8', 'surrogateescape') + suffix, usedforsecurity=False).digest()

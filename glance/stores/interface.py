"""What glance asks of a store; every implementation passes one contract suite."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from strata import errors

#: bytes handled at a time: large enough that a hop to a native thread costs nothing to speak of
CHUNK = 1024 * 1024
_KEY = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z', re.ASCII)


class Full(errors.TooLarge):
    """The store has no room for the data."""

    message = 'Image storage media is full.'


class Missing(errors.NotFound):
    """The store has nothing under a key; it never says where it looked."""

    message = 'Image data could not be found in the store.'


def checked(key: str) -> str:
    """The key, if it is one of ours: a lower-case UUID, so never a path."""
    if not _KEY.match(key):
        raise ValueError('a key of a store is a UUID')
    return key


class Store(ABC):
    """Bytes under keys, written once.

    A store knows no images, no database and no policy.  Keys are UUIDs that
    glance makes; nothing a client says becomes part of a name in a store.
    """

    #: shown by ``GET /v2/info/stores``; says nothing about where or how data is kept
    description = ''

    @abstractmethod
    def write(self, key: str, chunks: Iterable[bytes]) -> int:
        """Store all chunks and return their number of bytes once they are durable.

        If it raises, or the process dies, nothing can be read under the key.
        Raises ``Full``, or ``errors.Unavailable`` if the store cannot be
        written; an exception of ``chunks`` passes through.
        """

    @abstractmethod
    def read(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes from ``offset`` on; ``Missing`` (at once, not on first use) if there are none."""

    @abstractmethod
    def size(self, key: str) -> int:
        """How many bytes there are; ``Missing`` if there are none."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove all that a key has or an attempt to write it left; nothing there is a success."""

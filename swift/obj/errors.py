"""Why an object cannot be had."""

from collections.abc import Mapping

from strata import errors
from swift import timestamp as timestamps
from swift.timestamp import Timestamp


class Absent(errors.NotFound):
    """There is no such object; ``timestamp`` tells when it went, if that is known."""

    message = 'The object is not there.'

    def __init__(self, message: str | None = None, *, timestamp: Timestamp = timestamps.ZERO,
                 metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.timestamp = timestamp
        #: of the tombstone, or of the object that has expired
        self.metadata = metadata or {}


class Deleted(Absent):
    message = 'The object was deleted.'


class Expired(Absent):
    message = 'The object has expired.'


class Quarantined(Absent):
    """It was found corrupt and has been moved out of the way; other replicas will replace it."""

    message = 'The object was corrupt and has been quarantined.'


class Collision(errors.Conflict):
    """Another name has the same hash."""

    message = 'The place of this object is taken by {name}.'


class MetadataTooLarge(errors.Invalid):
    """More metadata than a file of this file system can hold."""

    message = ('The metadata needs {size} bytes, and the file system of {device} holds {most} '
               'for a file (XFS has no such limit).')


class BadMetadata(ValueError):
    """Metadata that is missing, broken or not what an object has."""

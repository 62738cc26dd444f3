"""What the files in an object's directory mean together.

    <time>.data           the object as it was PUT
    <time>.meta           metadata of a later POST, which replaces that of the PUT
    <time>-<ticks>.meta   the same; its content type was set that much earlier (or, with +, later)
    <time>.ts             a tombstone: there is no object since then

The newest of ``.data`` and ``.ts`` counts, and a ``.meta`` that is newer.  The
content type has a time of its own: where two POSTs crossed, one ``.meta`` may
count for the metadata and an older one for the type.  All other files of these
kinds, and older files of any kind, are obsolete and may be removed by anybody.
"""

import time
from collections.abc import Iterable

from swift import timestamp as timestamps
from swift.timestamp import Timestamp

WEEK = 7 * 24 * 3600


class Entry:
    """One file."""

    __slots__ = ('name', 'timestamp', 'extension', 'type_timestamp')

    def __init__(self, name: str, timestamp: Timestamp, extension: str,
                 type_timestamp: Timestamp | None = None) -> None:
        self.name = name
        self.timestamp = timestamp
        self.extension = extension
        #: when the content type was set that a ``.meta`` holds
        self.type_timestamp = type_timestamp


def parse(name: str) -> Entry | None:
    """The file of a name; ``None`` for one that has no time."""
    stem, _, kind = name.rpartition('.')
    try:
        if kind == 'meta':
            when, typed, _ = timestamps.decode(stem, explicit=True)
            return Entry(name, when, '.meta', typed)
        return Entry(name, Timestamp(stem), '.' + kind)
    except ValueError:
        return None


class OnDisk:
    """The files that count, and those that do not any more."""

    __slots__ = ('data', 'tombstone', 'meta', 'type_meta', 'obsolete', 'orphans')

    def __init__(self) -> None:
        self.data: Entry | None = None
        self.tombstone: Entry | None = None
        #: newer than the data, if there is any
        self.meta: Entry | None = None
        #: holds the newest content type; maybe the same as ``meta``
        self.type_meta: Entry | None = None
        self.obsolete: list[str] = []
        #: newer ``.meta`` files without data; they count for data that may still come, even across a tombstone
        self.orphans: list[Entry] = []

    @property
    def timestamp(self) -> Timestamp:
        """The newest of what counts."""
        newest = self.meta or self.data or self.tombstone
        return newest.timestamp if newest else timestamps.ZERO

    def marks(self) -> list[str]:
        """What a suffix hash is made of: every replica with the same state has the same."""
        data, meta, typed = self.data, self.meta, self.type_meta
        found = [meta.timestamp.internal + '.meta'] if meta else []
        if data is not None:
            found.append(data.timestamp.internal + '.data')
        elif self.tombstone is not None:
            found.append(self.tombstone.timestamp.internal + '.ts')
        if typed is not None and typed.type_timestamp is not None:
            found.append(typed.type_timestamp.internal + '_ctype')
        return found


def examine(names: Iterable[str]) -> OnDisk:
    """What these files of one directory mean."""
    found = OnDisk()
    metas: list[Entry] = []
    others: list[Entry] = []
    for name in names:
        entry = parse(name)
        if entry is None:
            continue
        if entry.extension == '.meta':
            metas.append(entry)
        elif entry.extension == '.data':
            found.data = _newer(found, found.data, entry)
        elif entry.extension == '.ts':
            found.tombstone = _newer(found, found.tombstone, entry)
        elif entry.extension == '.durable':     # of releases that marked an object so
            found.obsolete.append(name)
        else:
            others.append(entry)
    data, tombstone = found.data, found.tombstone
    if data is not None and tombstone is not None:
        loser = data if tombstone.timestamp >= data.timestamp else tombstone
        found.obsolete.append(loser.name)
        if loser is data:
            found.data = None
        else:
            found.tombstone = None
    if metas:
        _choose(found, metas)
    if others:
        base = found.data or found.tombstone
        found.obsolete += [each.name for each in others if base is not None and each.timestamp <= base.timestamp]
    return found


def _newer(found: OnDisk, old: Entry | None, new: Entry) -> Entry:
    if old is None:
        return new
    if new.timestamp > old.timestamp:
        old, new = new, old
    found.obsolete.append(new.name)
    return old


def _choose(found: OnDisk, metas: list[Entry]) -> None:
    """Which ``.meta`` files count."""
    base = found.data or found.tombstone
    newer = []
    for entry in metas:
        if base is not None and entry.timestamp <= base.timestamp:
            found.obsolete.append(entry.name)
        else:
            newer.append(entry)
    if not newer:
        return
    newest = max(newer, key=lambda each: (each.timestamp, each.type_timestamp or timestamps.ZERO))
    typed = max(newer, key=lambda each: (each.type_timestamp or timestamps.ZERO, each.timestamp))
    if typed.type_timestamp is None or (base is not None and typed.type_timestamp <= base.timestamp):
        typed = newest
    kept = [newest] if typed is newest else [newest, typed]
    found.obsolete += [each.name for each in newer if each not in kept]
    if found.data is None:
        found.orphans = kept
        return
    found.meta = newest
    if typed.type_timestamp is not None and typed.type_timestamp > found.data.timestamp:
        found.type_meta = typed


def expire(found: OnDisk, reclaim_age: float, now: float | None = None) -> None:
    """Let go of tombstones, and of metadata without data, that are older than ``reclaim_age`` seconds."""
    if found.data is not None:
        return
    oldest = (time.time() if now is None else now) - reclaim_age
    if found.tombstone is not None and float(found.tombstone.timestamp) < oldest:
        found.obsolete.append(found.tombstone.name)
        found.tombstone = None
    if found.tombstone is None:
        found.obsolete += [each.name for each in found.orphans if float(each.timestamp) < oldest]
        found.orphans = [each for each in found.orphans if float(each.timestamp) >= oldest]

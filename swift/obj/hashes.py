"""Hashes of suffix directories, by which replicas find out cheaply whether they hold the same.

::

    <partition>/hashes.pkl       suffix -> hash, and whether that was ever complete
    <partition>/hashes.invalid   suffixes that have changed since, a line each
    <partition>/.lock            held while either is written

A writer only appends a line.  Whoever wants the hashes merges the two files
(consolidates) and computes what is missing.

A line is not brought to disk, and a power cut may take it.  What is left then is the time of
the suffix directory, which each change sets before it is made (``storage/commit``).  So
hashes that are older than the machine's boot are compared with these times, and
``updated`` is a time by which all that is hashed had been there for a while.  Where the file system does
not keep the order of changes, the time may be lost too: there nothing that old is believed.
"""

import contextlib
import hashlib
import logging
import math
import os
import re
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

from strata import green
from swift.obj import ondisk
from swift.storage import commit, files, locks, pickles
from swift.storage.errors import Unsafe

LOG = logging.getLogger(__name__)

PICKLE = 'hashes.pkl'
INVALID = 'hashes.invalid'
SUFFIX = re.compile(r'[0-9a-f]{3}\Z')
_HASH = re.compile(r'[0-9a-f]{32}\Z')
#: seconds to wait for the lock of a partition
TIMEOUT = 10.0
#: seconds that may pass from the time a change gives its suffix to the change itself, clocks of files included
SLACK = 60.0

Hashes = dict[str, str | None]


def _booted() -> float:
    """When the kernel started, in seconds since 1970; 0 if it does not say."""
    with contextlib.suppress(OSError), open('/proc/stat', encoding='ascii') as file:
        for line in file:
            if line.startswith('btime '):
                return float(line.split()[1])
    return 0.0


BOOTED = _booted()


def invalidate(suffix_directory: str, patience: float = TIMEOUT) -> None:
    """Note that something in a suffix directory has changed.

    Raises ``Locked`` if others hold the partition for ``patience`` seconds, or ``OSError``.
    """
    partition, _, suffix = suffix_directory.rpartition('/')
    lock = locks.take(partition, patience)
    try:
        fd = green.system.open(f'{partition}/{INVALID}', os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            green.system.write(fd, f'{suffix}\n'.encode('ascii'))
        finally:
            os.close(fd)
    finally:
        os.close(lock)


def read(partition: str) -> tuple[Hashes, bool, float]:
    """What ``hashes.pkl`` holds: hashes, whether they are complete, and when it was written."""
    try:
        with open(f'{partition}/{PICKLE}', 'rb') as file:
            found = pickles.loads(file.read())
    except FileNotFoundError:
        return {}, False, -1.0
    except (Unsafe, OSError) as error:
        LOG.warning('%s: the hashes are computed anew: %s', partition, error)
        return {}, False, -1.0
    if not isinstance(found, dict):
        return {}, False, -1.0
    valid = found.pop('valid', True) is not False
    updated = found.pop('updated', -1.0)
    # a file of others may hold anything; only what is a suffix with a hash is believed
    hashes = {str(suffix): value for suffix, value in found.items()
              if isinstance(suffix, str) and SUFFIX.match(suffix) and (value is None or isinstance(value, str))}
    return hashes, valid, updated if isinstance(updated, float) else -1.0


def consolidate(partition: str, tmp: str) -> tuple[Hashes, bool, float]:
    """Merge the noted changes into ``hashes.pkl``; as ``read``.  Changed suffixes have ``None``."""
    if not files.is_directory(partition):
        return {}, False, -1.0
    with locks.directory(partition, timeout=TIMEOUT):
        hashes, valid, updated = read(partition)
        noted = _noted(partition)
        if noted:
            for suffix in noted:
                hashes[suffix] = None
            # another version, which knows no more of what has changed since
            updated = math.nextafter(updated, math.inf)
            _write(partition, tmp, hashes, valid, updated)
            with open(f'{partition}/{INVALID}', 'wb'):
                pass    # empty from now on
        return hashes, valid, updated


def _noted(partition: str) -> list[str]:
    try:
        with open(f'{partition}/{INVALID}', encoding='ascii', errors='replace') as file:
            return [line for line in dict.fromkeys(file.read().split('\n')) if SUFFIX.match(line)]
    except FileNotFoundError:
        return []


def _write(partition: str, tmp: str, hashes: Hashes, valid: bool, updated: float) -> None:
    data: dict[str, Any] = {**hashes, 'valid': valid, 'updated': updated}
    # synced, for a line lost from hashes.invalid with an old hash in hashes.pkl would hide a change for good
    files.replace(f'{partition}/{PICKLE}', pickles.dumps(data), tmp)


def get(partition: str, tmp: str, *, reclaim_age: float, recalculate: Collection[str] = (),
        listing: bool = False, quarantine: Callable[[str], None] | None = None,
        tries: int = 5) -> tuple[int, Hashes]:
    """How many suffixes were hashed anew, and the hashes of all that a partition has.

    ``recalculate``: suffixes not to be believed; ``listing``: look which ones
    there are, and which have changed, even if ``hashes.pkl`` is complete and of this boot.  Obsolete files
    are removed on the way.  ``quarantine`` is called with an object's directory that is a file.
    """
    hashed = 0
    for _ in range(tries):
        began = time.time()
        hashes, valid, updated = consolidate(partition, tmp)
        changed = not valid or updated < BOOTED
        if updated < BOOTED and hashes and not commit.ordered(*commit.identity(partition)):
            hashes = dict.fromkeys(hashes)
        if listing or changed:
            there = suffixes(partition)
            changed = changed or bool(set(there) - set(hashes))
            for suffix in there:
                hashes.setdefault(suffix, None)
            hashes.update(dict.fromkeys(_changed(partition, hashes, updated)))
        for suffix in recalculate:
            if SUFFIX.match(suffix):
                hashes[suffix] = None
        for suffix, known in list(hashes.items()):
            if known is None:
                changed = True
                green.sleep(0)      # a partition may have many, and others are being served
                digest = hash_suffix(f'{partition}/{suffix}', reclaim_age, quarantine)
                hashed += 1
                if digest is None:
                    del hashes[suffix]
                else:
                    hashes[suffix] = digest
        if not changed or not files.is_directory(partition):
            break
        with locks.directory(partition, timeout=TIMEOUT):
            if read(partition)[1:] == (valid, updated):     # nobody wrote it while we computed
                _write(partition, tmp, hashes, True, began - SLACK)
                break
    return hashed, hashes


def changed(partition: str) -> list[str]:
    """Suffixes whose directories have changed, or gone, since their hashes were written."""
    known, _, updated = read(partition)
    return _changed(partition, known, updated)


def _changed(partition: str, known: Hashes, updated: float) -> list[str]:
    found = []
    for suffix, digest in known.items():
        try:
            if digest is not None and os.stat(f'{partition}/{suffix}').st_mtime > updated:
                found.append(suffix)
        except FileNotFoundError:
            found.append(suffix)
    return found


def suffixes(partition: str) -> list[str]:
    """The suffix directories of a partition, sorted."""
    try:
        return sorted(name for name in os.listdir(partition) if SUFFIX.match(name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def objects(suffix_directory: str) -> list[str]:
    """The hashes of a suffix directory, sorted."""
    try:
        return sorted(name for name in os.listdir(suffix_directory) if _HASH.match(name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def hash_suffix(path: str, reclaim_age: float, quarantine: Callable[[str], None] | None = None) -> str | None:
    """The hash of a suffix directory, after removing what is obsolete in it; ``None`` if nothing is left."""
    digest = hashlib.md5(usedforsecurity=False)
    left = False
    for name in objects(path):
        place = f'{path}/{name}'
        try:
            found, names = clean(place, reclaim_age)
        except NotADirectoryError:
            if quarantine is not None:
                quarantine(place)
            continue
        if not names:
            continue
        left = True
        for mark in found.marks():
            digest.update(mark.encode('ascii'))
    if left:
        return digest.hexdigest()
    with contextlib.suppress(OSError):
        files.remove_empty(path)
    return None


def clean(place: str, reclaim_age: float, names: Iterable[str] | None = None) -> tuple[ondisk.OnDisk, list[str]]:
    """Remove an object's obsolete files, and its directory if nothing is left.

    Returns what counts and the names that are still there.  Raises
    ``NotADirectoryError`` if there is a file in the directory's place.
    """
    try:
        there = list(names) if names is not None else os.listdir(place)
    except FileNotFoundError:
        return ondisk.OnDisk(), []
    found = ondisk.examine(there)
    ondisk.expire(found, reclaim_age)
    for name in found.obsolete:
        files.remove(f'{place}/{name}')
    left = [name for name in there if name not in found.obsolete]
    if not left:
        with contextlib.suppress(OSError):
            files.remove_empty(place)
    return found, left

"""The databases that lie on a device."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator

_DIGEST = re.compile(r'[0-9a-f]{32}\Z')


def databases(root: str, datadir: str, partitions: Iterable[str | int] | None = None) -> Iterator[tuple[int, str]]:
    """(partition, path) of each database below a device's directory; empty directories go on the way."""
    wanted = {int(each) for each in partitions} if partitions else None
    top = os.path.join(root, datadir)
    for part in _names(top):
        if not part.isdecimal() or (wanted is not None and int(part) not in wanted):
            continue
        for suffix in _names(os.path.join(top, part)):
            for digest in _names(os.path.join(top, part, suffix)):
                directory = os.path.join(top, part, suffix, digest)
                if not (_DIGEST.match(digest) and digest.endswith(suffix)):
                    continue
                path = os.path.join(directory, f'{digest}.db')
                if os.path.exists(path):
                    yield int(part), path
            _prune(os.path.join(top, part, suffix))
        _prune(os.path.join(top, part))


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _prune(directory: str) -> None:
    with contextlib.suppress(OSError):
        os.rmdir(directory)

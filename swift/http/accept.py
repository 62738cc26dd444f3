"""The Accept header: which of several forms a client likes best."""

import functools
import re

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_RANGE = re.compile(rf'\s*({_WORD})/({_WORD})((?:\s*;\s*{_WORD}\s*=\s*(?:{_WORD}|"[^"]*"))*)\s*\Z')
_QUALITY = re.compile(r';\s*q\s*=\s*([^;]*)', re.I)


@functools.lru_cache(256)
def best(header: str | None, offered: tuple[str, ...]) -> str | None:
    """The media type of ``offered`` that is liked best, the first if nothing is said; ``None`` if none is named.

    Of equal quality a type named outright counts before ``text/*``, and that before ``*/*``; then the order of the
    header, as published.  Raises ``ValueError`` for what is no Accept header.
    """
    if not header:
        return offered[0]
    ranges = []
    for position, piece in enumerate(header.split(',')):
        match = _RANGE.match(piece)
        if match is None:
            raise ValueError('Invalid Accept header')
        kind, sub = match.group(1).lower(), match.group(2).lower()
        quality = _QUALITY.search(match.group(3))
        try:
            weight = float(quality.group(1)) if quality else 1.0
        except ValueError:
            raise ValueError('Invalid Accept header') from None
        ranges.append((-weight, (kind == '*') + (sub == '*'), position, kind, sub))
    for *_, kind, sub in sorted(ranges):
        for each in offered:
            major, _, minor = each.partition('/')
            if kind in ('*', major) and sub in ('*', minor):
                return each
    return None

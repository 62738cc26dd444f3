"""The Accept header: which of several forms a client likes best (RFC 9110, section 12.5.1)."""

import re
from collections.abc import Sequence

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_RANGE = re.compile(rf'\s*({_WORD})/({_WORD})\s*((?:;[^;]*)*)\Z')
_QUALITY = re.compile(r'(?:0(?:\.\d*)?|1(?:\.0*)?)\Z')


def best(header: str | None, offered: Sequence[str]) -> str | None:
    """The media type of ``offered`` that is liked best, the first of equals; ``None`` if none is acceptable.

    A type named outright counts before ``text/*``, and that before ``*/*``.
    Raises ``ValueError`` for what is no Accept header.
    """
    if header is None or not header.strip():
        return offered[0]
    wanted = [_parse(piece) for piece in header.split(',') if piece.strip()]
    liked: list[tuple[float, int, int]] = []
    for place, each in enumerate(offered):
        main, _, sub = each.partition('/')
        fits = [(named, quality) for kind, part, quality, named in wanted
                if kind in ('*', main) and part in ('*', sub)]
        if fits:
            named, quality = max(fits)
            if quality:
                liked.append((quality, named, -place))
    return offered[-max(liked)[2]] if liked else None


def _parse(piece: str) -> tuple[str, str, float, int]:
    """(type, subtype, quality, how closely it names them)."""
    match = _RANGE.match(piece)
    if match is None:
        raise ValueError('Invalid Accept header')
    kind, part, rest = match.groups()
    if kind == '*' and part != '*':
        raise ValueError('Invalid Accept header')
    quality = 1.0
    for parameter in rest.split(';'):
        name, equals, value = parameter.partition('=')
        if name.strip().lower() == 'q':
            if not equals or not _QUALITY.match(value.strip()):
                raise ValueError('Invalid Accept header')
            quality = float(value)
    return kind.lower(), part.lower(), quality, (kind != '*') + (part != '*')

"""Pages of a list: limit, marker, sort keys, and the link to the next one."""

import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from strata import errors
from strata.db import Sort
from strata.rest.request import Request


def limit(asked: int | None, most: int) -> int:
    """How many rows a page has: as asked, at most ``most``; ``None`` asks for the most."""
    return most if asked is None else min(asked, most)


def sorts(keys: Sequence[str], ways: Sequence[str], columns: Mapping[str, Any], *,
          default: Sequence[tuple[str, str]], unique: str = 'id') -> list[Sort]:
    """The order of a list, from repeated ``sort_key`` and ``sort_dir``.

    ``columns`` maps the names clients may use to model columns; ``unique``
    names the column that makes the order total.  Raises ``errors.Invalid``
    for an unknown key or direction, or more directions than keys.
    """
    if len(ways) > len(keys) and keys:
        raise errors.Invalid('Sort direction size exceeds sort key size')
    order: list[tuple[str, str]] = []
    if not keys:
        way = ways[0] if ways else None
        order = [(key, way or usual) for key, usual in default]
    for position, key in enumerate(keys):
        order.append((key, ways[position] if position < len(ways) else (ways[0] if ways else default[0][1])))
    for key, way in order:
        if key not in columns:
            raise errors.Invalid('Invalid input for query parameters sort_key. Value: {key}. '
                                 'It is not one of {known}', key=key[:80], known=', '.join(sorted(columns)))
        if way not in ('asc', 'desc'):
            raise errors.Invalid("Unknown sort direction, must be 'asc' or 'desc'")
    if unique not in [key for key, _ in order]:
        order.append((unique, order[-1][1] if order else 'asc'))
    return [(columns[key], way) for key, way in order]


def next_link(req: Request, rows: Sequence[Any], size: int | None, *, marker: str = 'id') -> str | None:
    """The absolute URL of the next page if this one is full, with the same query and a new marker."""
    if not rows or size is None or len(rows) < size:
        return None
    query = [(name, value) for name, values in req.query.items() if name != 'marker' for value in values]
    query.append(('marker', str(getattr(rows[-1], marker))))
    return f'{req.path_url}?{urllib.parse.urlencode(query)}'


def links(req: Request, rows: Sequence[Any], size: int | None, *, marker: str = 'id') -> list[dict[str, str]]:
    """``[{"rel": "next", "href": ...}]``, or nothing on the last page."""
    href = next_link(req, rows, size, marker=marker)
    return [{'rel': 'next', 'href': href}] if href else []

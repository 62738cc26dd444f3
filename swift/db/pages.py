"""Listings as text, JSON and XML."""

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import orjson

from swift import conf as confs
from swift.db.listing import Page
from swift.http import HttpError, Request
from swift.http.accept import best
from swift.timestamp import Timestamp, decode

FORMATS = {'plain': 'text/plain', 'json': 'application/json', 'xml': 'application/xml'}
OFFERED = ('text/plain', 'application/json', 'application/xml', 'text/xml')

#: what XML 1.0 cannot say at all, escaped or not
_NOT_XML = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]')

Entry = dict[str, Any]


def content_type(request: Request) -> str:
    """The form that is asked for: by ``format``, else by Accept.  Raises ``HttpError`` 400 or 406."""
    wanted = request.params.get('format')
    if wanted:
        return FORMATS.get(wanted.lower(), FORMATS['plain'])
    try:
        found = best(request.headers.get('Accept'), OFFERED)
    except ValueError as error:
        raise HttpError(400, str(error)) from error
    if found is None:
        raise HttpError(406)
    return found


def page(request: Request, most: int, *, paths: bool = True) -> Page:
    """The page that is asked for, of at most ``most`` entries; raises ``HttpError`` 412 for a higher limit.

    ``paths``: whether ``path`` means anything here.
    """
    params = request.params
    limit = most
    given = params.get('limit')
    if given and given.isascii() and given.isdecimal():
        limit = int(given[:20])
        if limit > most:
            raise HttpError(412, f'Maximum limit is {most}')
    return Page(limit, marker=params.get('marker', ''), end_marker=params.get('end_marker', ''),
                prefix=params.get('prefix', ''), delimiter=params.get('delimiter', ''),
                path=params.get('path') if paths else None, reverse=confs.true(params.get('reverse')),
                reserved=confs.true(request.headers.get('X-Backend-Allow-Reserved-Names')))


@functools.lru_cache(10_000)
def _second(second: str) -> str:
    """The beginning of an ISO time; a listing has many rows of few seconds."""
    return Timestamp(second).isoformat[:20]


def iso(stamp: str) -> str:
    """A row's time (the last of several) as listings show it."""
    if len(stamp) == 16:
        return f'{_second(stamp[:10])}{stamp[11:]}0'
    first, _, last = decode(stamp)
    return (last or first).isoformat


def text(entries: Iterable[Entry]) -> bytes:
    """A name a line."""
    return ''.join(f'{entry.get("name") or entry["subdir"]}\n' for entry in entries).encode('utf-8', 'replace')


def json(entries: list[Entry]) -> bytes:
    """An array."""
    return orjson.dumps(entries)


def xml(root: str, name: str, element: str, entries: Iterable[Entry], subdirectory: Callable[[str], str],
        separator: str = '') -> bytes:
    """A document; ``subdirectory`` renders the entry of one."""
    pieces = [f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} name={attribute(name)}>{separator}']
    for entry in entries:
        if 'subdir' in entry:
            pieces.append(subdirectory(entry['subdir']) + separator)
            continue
        inner = ''.join(f'<{key}>{content(value)}</{key}>' for key, value in entry.items())
        pieces.append(f'<{element}>{inner}</{element}>{separator}')
    pieces.append(f'</{root}>')
    return ''.join(pieces).encode('utf-8')


def content(value: Any) -> str:
    """A value between two tags."""
    return escape(_NOT_XML.sub('\ufffd', str(value)))


def attribute(value: str) -> str:
    """A value in its quotes."""
    quoted = quoteattr(_NOT_XML.sub('\ufffd', value), {'"': '&quot;'})
    return quoted if quoted[0] == '"' else f'"{quoted[1:-1]}"'

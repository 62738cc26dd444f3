"""What a listing is to hold, by the request, and its times."""

import functools

from swift import conf as confs
from swift.db.listing import Page
from swift.http import HttpError, Request
from swift.timestamp import Timestamp, decode


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

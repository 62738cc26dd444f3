"""Pages of names: marker, end marker, prefix, delimiter, path, in either direction.

With a delimiter, names that go on behind it are shown as one subdirectory, and
the search jumps behind the last of them, so a page costs what it shows, not
what it hides.
"""

import dataclasses
import sqlite3
from collections.abc import Iterator
from typing import Any

Row = tuple[Any, ...]

#: names of a subdirectory that are passed over one by one before the search jumps
NEAR = 8
HIGHEST = '\U0010ffff'
#: the least name that is not reserved
FIRST = '\x01'


@dataclasses.dataclass(frozen=True)
class Page:
    """What is asked for; ``path`` (not ``None``) asks for what lies right below it, and no subdirectories.

    ``reserved``: names that begin with NUL, the cluster's own, are shown too.
    """

    limit: int
    marker: str = ''
    end_marker: str = ''
    prefix: str = ''
    delimiter: str = ''
    path: str | None = None
    reverse: bool = False
    reserved: bool = False

    def settled(self) -> 'Page':
        """With a path turned into prefix and delimiter."""
        if self.path is None:
            return self
        prefix = self.path.rstrip('/') + '/' if self.path else ''
        return dataclasses.replace(self, prefix=prefix, delimiter='/')


def after(prefix: str) -> str | None:
    """The least text above all that begin with ``prefix``; ``None`` if there is none."""
    while prefix:
        last = prefix[-1]
        if last < HIGHEST:
            # between these two lie the surrogates, which no UTF-8 text has
            following = '\ue000' if last == '\ud7ff' else chr(ord(last) + 1)
            return prefix[:-1] + following
        prefix = prefix[:-1]
    return None


def entries(connection: sqlite3.Connection, select: str, condition: str, values: tuple[Any, ...],
            page: Page) -> list[Row]:
    """Rows of ``select`` (whose first column is the name), and ``(name,)`` for each subdirectory.

    ``condition`` and ``values`` restrict the rows; none of it comes from a request.
    """
    page = page.settled()
    if page.limit <= 0:
        return []
    if not page.delimiter:
        return connection.execute(*_query(select, condition, values, page, _Bounds(page), page.limit)).fetchall()
    found: list[Row] = []
    bounds: _Bounds | None = _Bounds(page)
    while bounds is not None and len(found) < page.limit:
        sql, parameters = _query(select, condition, values, page, bounds, -1)
        cursor = connection.execute(sql, parameters)
        bounds = _collect(cursor, page, bounds, found)
        cursor.close()
    return found


class _Bounds:
    """Between which names the search goes on."""

    __slots__ = ('above', 'above_too', 'below', 'below_too')

    def __init__(self, page: Page) -> None:
        low, high = (page.end_marker, page.marker) if page.reverse else (page.marker, page.end_marker)
        self.above, self.above_too = low, False
        if not page.reserved and low < FIRST:
            self.above, self.above_too = FIRST, True
        if page.prefix and page.prefix > self.above:
            self.above, self.above_too = page.prefix, True
        self.below: str | None = high or None
        if page.prefix:
            end = after(page.prefix)
            if end is not None and (self.below is None or end < self.below):
                self.below = end

    def beyond(self, subdirectory: str, page: Page) -> '_Bounds | None':
        """The rest, without all that begins with ``subdirectory``."""
        rest = _Bounds.__new__(_Bounds)
        rest.above, rest.above_too, rest.below = self.above, self.above_too, self.below
        if page.reverse:
            # below a path, the object that stands for the directory is still to come
            rest.below = subdirectory if page.path is None else subdirectory + '\0'
            return rest
        end = after(subdirectory)
        if end is None:
            return None
        rest.above, rest.above_too = end, True
        return rest


def _query(select: str, condition: str, values: tuple[Any, ...], page: Page, bounds: _Bounds,
           limit: int) -> tuple[str, tuple[Any, ...]]:
    sql, parameters = f'{select} WHERE {condition}', [*values]
    if bounds.above or bounds.above_too:
        sql += ' AND name >= ?' if bounds.above_too else ' AND name > ?'
        parameters.append(bounds.above)
    if bounds.below is not None:
        sql += ' AND name < ?'
        parameters.append(bounds.below)
    sql += ' ORDER BY name DESC' if page.reverse else ' ORDER BY name'
    if limit >= 0:
        sql += ' LIMIT ?'
        parameters.append(limit)
    return sql, tuple(parameters)


def _collect(cursor: Iterator[Row], page: Page, bounds: _Bounds, found: list[Row]) -> _Bounds | None:
    """Take rows until the page is full, the rows end (``None``), or the search had better jump (to these bounds)."""
    start, delimiter, limit, in_path = len(page.prefix), page.delimiter, page.limit, page.path is not None
    # a subdirectory that is itself the marker was the last entry of another page
    shown = {page.marker, page.end_marker} - {''}
    current, passed = '', 0
    for row in cursor:
        name = row[0]
        if current and name.startswith(current) and not (in_path and name == current):
            passed += 1
            if passed > NEAR:
                return bounds.beyond(current, page)
            continue
        place = name.find(delimiter, start)
        if place < 0:
            if not in_path or len(name) > start:
                found.append(row)
        elif in_path and place == len(name) - 1:
            found.append(row)       # the object that stands for a directory
        else:
            current, passed = name[:place + len(delimiter)], 0
            if not in_path and current not in shown:
                found.append((current,))
        if len(found) >= limit:
            break
    return None

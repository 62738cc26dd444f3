"""``?versions``: all versions in a container, of two listings that are merged.

The container's own tells what is current; the hidden one has the versions.
Names come in order, and of each the newest first (or the other way round).
An object that is no link is the version ``null``, which is the current one.
"""

from typing import Any

import orjson

from swift import conf as confs
from swift.http import HttpError, Request, Response
from swift.middleware import listing
from swift.middleware.versioned_writes import names
from swift.timestamp import Timestamp

#: entries of a page, unless the client wants fewer
LIMIT = 10000
#: sorts behind every inverted time of a name
BEHIND = ':'

Entry = dict[str, Any]


class Versions:
    """One page."""

    def __init__(self, app: Any, request: Request, version: str, account: str, container: str) -> None:
        self._app = app
        self._request = request
        self._place = (version, account, container)
        params = dict(request.params)
        self._reverse = confs.true(params.get('reverse'))
        self._limit = _limit(params.get('limit'))
        self._after = _after(params)
        params.pop('versions', None)
        params.pop('version_marker', None)
        self._params = {**params, 'format': 'json'}

    def fetch(self) -> tuple[Response, list[Entry] | None]:
        """The container's answer, and the entries; without them if it is a refusal."""
        params = dict(self._params)
        if self._after is not None and self._reverse:
            params['marker'] += '\x01'      # the current one of that name still follows
        first = self._request.copy()
        first.params = params
        response = first.respond(self._app)
        if not response.is_success:
            return response, None
        current = orjson.loads(response.body or b'[]')
        hidden = response.headers.get('X-Container-Sysmeta-Versions-Container')
        if not hidden:
            return response, [_null(entry) for entry in current][:self._limit]
        return response, self._merge(current, self._hidden(names.text(hidden), self._hidden_params()))

    def _hidden_params(self) -> dict[str, str]:
        params = {key: value for key, value in self._params.items() if key in ('limit', 'delimiter', 'format')}
        given = self._params
        params['prefix'] = names.RESERVED + given.get('prefix', '')
        if self._reverse:
            params['reverse'] = 'true'
        first, last = ('', BEHIND) if self._reverse else (BEHIND, '')
        if given.get('marker'):
            params['marker'] = names.RESERVED + given['marker'] + names.RESERVED + first
            if self._after is not None:
                when = self._after and names.inverted(self._after)
                params['marker'] = names.RESERVED + given['marker'] + names.RESERVED + (when or '')
        if given.get('end_marker'):
            params['end_marker'] = names.RESERVED + given['end_marker'] + (names.RESERVED + last if last else '')
        return params

    def _hidden(self, container: str, params: dict[str, str]) -> list[Entry]:
        path = names.quoted(*self._place[:2], container, query=params)
        response = names.own(self._request, self._app, 'GET', path)
        if response.status == 404:
            response.drain()
            return []
        if not response.is_success:
            response.drain()
            raise HttpError(503)
        found = []
        for entry in orjson.loads(response.body or b'[]'):
            subdir = entry.get('subdir')
            if subdir and subdir.count(names.RESERVED) > 1:
                # the delimiter is in the time of a version
                plain = {key: value for key, value in params.items() if key not in ('delimiter', 'marker')}
                found += self._hidden(container, {**plain, 'prefix': subdir})
            else:
                found.append(entry)
        return found

    def _merge(self, current: list[Entry], hidden: list[Entry]) -> list[Entry]:
        latest: dict[str, str] = {}
        merged: list[tuple[str, int, Entry]] = []
        for entry in current:
            if 'subdir' in entry:
                merged.append((entry['subdir'], -1, entry))
                continue
            linked = _linked(entry)
            latest[entry['name']] = linked or 'null'
            if linked is None:
                merged.append((entry['name'], -1, _null(entry)))
        if self._after is not None and self._params['marker'] not in latest:
            latest[self._params['marker']] = self._current(self._params['marker'])
        known = {entry['subdir'] for entry in current if 'subdir' in entry}
        seen: set[str] = set()
        for order, entry in enumerate(reversed(hidden) if self._reverse else hidden):
            if 'subdir' in entry:
                subdir = entry['subdir'].removeprefix(names.RESERVED)
                if subdir not in known:
                    merged.append((subdir, -1, {'subdir': subdir}))
                continue
            try:
                name, when = names.parse(entry['name'])
            except ValueError:
                continue
            marker = entry['content_type'] == names.MARKER_TYPE
            is_latest = latest[name] == when.internal if latest.get(name) else marker and name not in seen
            seen.add(name)
            entry.update({'name': name, 'is_latest': is_latest, 'version_id': when.internal})
            merged.append((name, order, entry))
        merged.sort(key=lambda each: (each[0].encode('utf-8', 'surrogateescape'), each[1]), reverse=self._reverse)
        return [entry for _, _, entry in merged[:self._limit]]

    def _current(self, name: str) -> str:
        """The current version of an object that is not on this page; empty if there is none."""
        head = names.own(self._request, self._app, 'HEAD',
                         names.quoted(*self._place, name, query={'symlink': 'get'}))
        head.close()
        if not head.is_success:
            return ''
        target = head.headers.get('X-Object-Sysmeta-Symlink-Target', '')
        if 'X-Object-Sysmeta-Versions-Symlink' not in head.headers:
            return 'null'
        return names.parse(names.text(target.partition('/')[2]))[1].internal


def _linked(entry: Entry) -> str | None:
    """The version that an entry of the container links to; ``None`` for an object of its own."""
    path = entry.get('symlink_path', '')
    if '%00versions%00' not in path:
        return None
    try:
        return names.parse(listing.unquote(path.rpartition('/%00')[1] + path.rpartition('/%00')[2])
                           .removeprefix('/'))[1].internal
    except ValueError:
        return None


def _null(entry: Entry) -> Entry:
    return entry if 'subdir' in entry else {**entry, 'version_id': 'null', 'is_latest': True}


def _limit(value: str | None) -> int:
    if not value:
        return LIMIT
    if not (value.isascii() and value.isdecimal() and len(value) < 10):
        raise HttpError(412, 'Value of limit must be a positive integer')
    return int(value)


def _after(params: dict[str, str]) -> Timestamp | str | None:
    """The version that the page begins behind; empty for ``null``."""
    value = params.get('version_marker')
    if value is None:
        return None
    if not params.get('marker'):
        raise HttpError(400, 'version_marker param requires marker')
    if value == 'null':
        return ''
    try:
        return names.version_id(value)
    except HttpError:
        raise HttpError(400, 'invalid version_marker param') from None

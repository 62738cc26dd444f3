"""The legacy kind of versioning: what is replaced is copied to another container.

``X-Versions-Location`` (a stack): DELETE brings the newest version back.
``X-History-Location``: DELETE keeps what it removes, and leaves a marker that says when.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from swift.http import HttpError, Request, Response
from swift.http.subrequest import make_pre_authed_subrequest
from swift.middleware import transfer
from swift.middleware.versioned_writes import names
from swift.timestamp import Timestamp

LOCATION, MODE = 'X-Container-Sysmeta-Versions-Location', 'X-Container-Sysmeta-Versions-Mode'
MODES = {'X-Versions-Location': 'stack', 'X-History-Location': 'history'}
#: what is kept of an object beside its metadata
KEPT = (*transfer.CARRIED, 'X-Static-Large-Object', 'Etag')


def translate(request: Request, allowed: bool) -> None:
    """Turn the client's headers for a container into system metadata; raises ``HttpError``."""
    given = [name for name in MODES if request.headers.get(name)]
    if given and not allowed:
        raise HttpError(412, 'Versioned Writes is disabled')
    if len(given) > 1:
        raise HttpError(400, 'Only one of x-versions-location or x-history-location may be specified',
                        {'Content-Type': 'text/plain'})
    clear = False
    for name in MODES:
        removing = 'X-Remove-' + name.removeprefix('X-')
        clear = clear or (name in request.headers and not request.headers[name]) or removing in request.headers
        request.headers[removing] = None
    if given:
        location = request.headers[given[0]]
        if '/' in names.text(location):
            raise HttpError(412, 'Container name cannot contain slashes')
        if names.RESERVED in names.text(location):
            raise HttpError(412, 'Invalid UTF8 or contains NULL')
        request.headers[LOCATION], request.headers[MODE] = location, MODES[given[0]]
    elif clear:
        request.headers[LOCATION] = request.headers[MODE] = ''
    for name in MODES:
        request.headers[name] = None


def show(response: Response) -> None:
    """Tell the client of a container what he told us."""
    location = response.headers.get(LOCATION)
    if location and response.is_success:
        mode = response.headers.get(MODE)
        name = next((name for name, each in MODES.items() if each == mode), 'X-Versions-Location')
        response.headers[name] = location


class Legacy:
    """A PUT or DELETE in a container that keeps versions elsewhere."""

    def __init__(self, app: Any, request: Request, facts: dict[str, Any], location: str) -> None:
        """``facts``: of the container; ``location``: where versions go."""
        self._app = app
        self._request = request
        self._facts = facts
        self._location = location
        self._version, self._account, self._container, self._name = request.split(4, 4, rest=True)

    def respond(self) -> Response:
        """The answer; raises ``HttpError``."""
        names.authorize(self._request, self._facts.get('write_acl'))
        if self._request.method == 'PUT':
            self._keep()
        elif (self._facts.get('sysmeta') or {}).get('versions-mode') == 'history':
            self._keep()
            self._mark()
        else:
            return self._pop()
        return self._request.respond(self._app)

    def _base(self) -> str:
        return names.quoted(self._version, self._account, self._container, self._name)

    def _kept(self, name: str) -> str:
        return names.quoted(self._version, self._account, self._location, name)

    def _prefix(self) -> str:
        return f'{len(self._name.encode("utf-8")):03x}{self._name}/'

    def _ask(self, method: str, path: str, headers: dict[str, Any] | None = None, source: Response | None = None,
             body: bytes | None = None) -> Response:
        """A request of the system's own, in the user's namespace."""
        request = make_pre_authed_subrequest(self._request.environ, method=method, path=path, headers=headers,
                                             body=body, source='VW')
        if source is not None:
            transfer.feed(request, source)
        return request.respond(self._app)

    def _keep(self) -> None:
        """Copy what is there to where versions go; raises ``HttpError`` if that cannot be done."""
        found = self._ask('GET', self._base() + '?symlink=get', {'X-Newest': 'true'})
        if found.status == 404:
            found.drain()
            return
        if not found.is_success:
            found.drain()
            raise HttpError(503)
        try:
            when = Timestamp(found.headers.get('X-Timestamp') or Timestamp.now()).normal
            self._put(self._kept(self._prefix() + when), found)
        finally:
            found.close()

    def _put(self, path: str, source: Response) -> Response:
        """Make an object of an answer; raises ``HttpError``."""
        if source.content_length is None:
            raise HttpError(503)
        headers = {name: value for name, value in source.headers.items()
                   if name in KEPT or name.lower().startswith(transfer.META)}
        made = self._ask('PUT', path, headers, source)
        made.drain()
        if not made.is_success:
            raise HttpError(412 if made.status < 500 else 503)
        return made

    def _mark(self) -> None:
        """Leave word that it was deleted."""
        made = self._ask('PUT', self._kept(self._prefix() + Timestamp.now().normal),
                         {'Content-Type': names.MARKER_TYPE}, body=b'')
        made.drain()
        if not made.is_success:
            raise HttpError(412 if made.status < 500 else 503)

    def _pop(self) -> Response:
        """DELETE of a stack: the newest version comes back, if there is one."""
        for name, is_marker in self._newest_first():
            path = self._kept(name)
            if is_marker:
                head = self._ask('HEAD', self._base(), {'X-Newest': 'true'})
                head.close()
                if head.is_success:
                    break       # deleting leaves what the marker says
                self._ask('DELETE', path).drain()
                return self._restore_after_marker()
            restored = self._restore(path)
            if restored is not None:
                return restored
        return self._request.respond(self._app)

    def _restore_after_marker(self) -> Response:
        """The object was deleted, and its marker is gone: what was before comes back, unless that was a marker."""
        for name, is_marker in self._newest_first():
            if is_marker:
                break
            restored = self._restore(self._kept(name))
            if restored is not None:
                return restored
        return Response(204)

    def _restore(self, path: str) -> Response | None:
        """Make a version the object, and remove it; ``None`` if it is gone."""
        found = self._ask('GET', path + '?symlink=get', {'X-Newest': 'true'})
        if found.status == 404:
            found.drain()
            return None
        if not found.is_success:
            found.drain()
            raise HttpError(503)
        try:
            self._put(self._base(), found)
        finally:
            found.close()
        response = self._ask('DELETE', path)
        if response.status == 404:
            response.drain()
            return Response(204)
        return response

    def _newest_first(self) -> Iterator[tuple[str, bool]]:
        """(name, whether it is a marker) of the versions."""
        marker = ''
        while True:
            query = {'format': 'json', 'prefix': self._prefix(), 'reverse': 'on'}
            if marker:
                query['marker'] = marker
            response = self._ask('GET', names.quoted(self._version, self._account, self._location, query=query))
            if not response.is_success:
                response.drain()
                if response.status == 404:
                    return
                raise HttpError(503)
            entries = orjson.loads(response.body or b'[]')
            if not entries:
                return
            for entry in entries:
                marker = entry['name']
                yield marker, entry['content_type'] == names.MARKER_TYPE



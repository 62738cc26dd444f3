"""Containers with object versioning: how it is turned on, what they show, the listing of versions."""

from typing import Any

import orjson

from swift import conf as confs
from swift.http import HttpError, Request, Response
from swift.http import path as paths
from swift.http.headers import Headers
from swift.middleware import listing
from swift.middleware.versioned_writes import names
from swift.middleware.versioned_writes.listings import Versions
from swift.proxy.info import clear_info_cache, get_container_info

HEADER = 'X-Versions-Enabled'
ENABLED = 'X-Container-Sysmeta-Versions-Enabled'
CONTAINER = 'X-Container-Sysmeta-Versions-Container'
LEGACY = 'X-Container-Sysmeta-Versions-Location'


class Containers:
    """One request for a container."""

    def __init__(self, app: Any, request: Request, allowed: bool) -> None:
        """``allowed``: whether versioning may be turned on."""
        self._app = app
        self._request = request
        self._allowed = allowed
        self._version, self._account, self._container = request.split(3, 4, rest=True)[:3]

    def respond(self) -> Response:
        """The answer; raises ``HttpError``."""
        request = self._request
        if request.method in ('PUT', 'POST') and HEADER in request.headers:
            self._switch()
        elif request.method in ('PUT', 'POST') and request.headers.get(LEGACY):
            self._refuse_both()
        if request.method == 'DELETE':
            return self._delete()
        if request.method == 'GET' and request.query_string and 'versions' in request.params:
            return self._versions()
        response = request.respond(self._app)
        if request.method in ('GET', 'HEAD') and response.is_success and CONTAINER in response.headers:
            self.show(response.headers)
            if request.method == 'GET':
                base = f'/{self._version}/{self._account}'
                listing.rewrite(response, b'%00versions%00', lambda entry: _shown(entry, base, self._container))
        return response

    # turning it on and off

    def _switch(self) -> None:
        request = self._request
        wanted = confs.true(request.headers.pop(HEADER))
        if not self._allowed:
            raise HttpError(400, 'Object versioning is disabled')
        known = get_container_info(request.environ, self._app, 'OV')
        if wanted:
            self._check(known)
            names.authorize(request, None)
            hidden = self._make_hidden()
            request.headers[CONTAINER] = paths.quote(hidden)
        request.headers[ENABLED] = str(wanted)
        clear_info_cache(request.environ, self._account, self._container)

    def _check(self, known: dict[str, Any]) -> None:
        """Raise ``HttpError`` 400 for what does not go together."""
        sysmeta = known.get('sysmeta') or {}
        given = self._request.headers.get(LEGACY)
        if given or (given is None and sysmeta.get('versions-location')):
            raise HttpError(400, 'Cannot enable object versioning on a container that is already using the legacy '
                                 'versioned writes feature.')
        if known.get('sync_to') or self._request.headers.get('X-Container-Sync-To'):
            raise HttpError(400, 'Cannot enable object versioning on a container configured as source of container '
                                 'syncing.')

    def _refuse_both(self) -> None:
        known = get_container_info(self._request.environ, self._app, 'OV')
        if confs.true((known.get('sysmeta') or {}).get('versions-enabled')):
            raise HttpError(400, 'Cannot enable the legacy versioned writes feature on a container that has object '
                                 'versioning enabled.')

    def _make_hidden(self) -> str:
        """The hidden container, of the same policy."""
        hidden = names.hidden_container(self._container)
        base = names.own(self._request, self._app, 'HEAD', self._path(self._container))
        base.close()
        policy = base.headers.get('X-Storage-Policy') or self._request.headers.get('X-Storage-Policy')
        made = names.own(self._request, self._app, 'PUT', self._path(hidden),
                         {'X-Storage-Policy': policy, 'Content-Length': '0'})
        made.drain()
        if not made.is_success and made.status != 409:
            raise HttpError(made.status if made.status < 500 else 503)
        return hidden

    # showing

    def show(self, headers: Headers) -> None:
        """Say that it is versioned, and count the versions' bytes in."""
        headers[HEADER] = str(confs.true(headers.get(ENABLED)))
        hidden = self._head_hidden(names.text(headers[CONTAINER]))
        if hidden.is_success:
            total = int(headers.get('X-Container-Bytes-Used', 0)) + int(hidden.headers['X-Container-Bytes-Used'])
            headers['X-Container-Bytes-Used'] = str(total)

    def _head_hidden(self, name: str) -> Response:
        response = names.own(self._request, self._app, 'HEAD', self._path(name))
        response.close()
        return response

    def _path(self, container: str) -> str:
        return names.quoted(self._version, self._account, container)

    # the rest

    def _delete(self) -> Response:
        known = get_container_info(self._request.environ, self._app, 'OV')
        hidden = (known.get('sysmeta') or {}).get('versions-container')
        if not hidden:
            return self._request.respond(self._app)
        names.authorize(self._request, None)
        name = names.text(hidden)
        head = self._head_hidden(name)
        if head.is_success and int(head.headers.get('X-Container-Object-Count', 0)):
            raise HttpError(409, 'Delete all versions before deleting container.')
        response = self._request.respond(self._app)
        if response.is_success:
            names.own(self._request, self._app, 'DELETE', self._path(name)).drain()
        return response

    def _versions(self) -> Response:
        # the listing is JSON whatever the client likes: text has no place for it
        self._request.environ['swift.format_listing'] = False
        found = Versions(self._app, self._request, self._version, self._account, self._container)
        response, entries = found.fetch()
        if entries is None:
            return response
        if CONTAINER in response.headers:
            self.show(response.headers)
        response.headers['Content-Type'] = 'application/json; charset=utf-8'
        response.status = 200
        response.body = orjson.dumps(entries)
        return response


def _shown(entry: dict[str, Any], base: str, container: str) -> None:
    """A link to a version, as what it stands for."""
    path = entry.get('symlink_path', '')
    place = '/' + paths.quote(names.hidden_container(container)) + '/'
    if place not in path:
        return
    try:
        name, when = names.parse(listing.unquote(path.partition(place)[2]))
    except ValueError:
        return
    _, more = listing.parameters(entry['hash'])
    entry['hash'] = listing.joined(entry.pop('symlink_etag', entry['hash']), more)
    entry['bytes'] = entry.pop('symlink_bytes', entry['bytes'])
    entry['symlink_path'] = paths.quote(f'{base}/{container}/{name}') + f'?version-id={when.internal}'
    entry['version_symlink'] = True

"""Objects of a container with object versioning.

::

    PUT      current, if it is no link -> hidden; body -> hidden version; link -> object
    DELETE   current, if it is no link -> hidden; delete marker -> hidden; object deleted
    ?version-id=N   GET, HEAD: that version; PUT: the link leads to it; DELETE: it is gone for good

Time gives a version its name; the link is written a tick of the offset later.
Versions by id are the owner's to see and to delete: access lists are about what
is current.  Who may write may make a version current again.
"""

import mimetypes
from collections.abc import Callable
from typing import Any

from swift import conf as confs
from swift import constraints
from swift.http import HttpError, Request, Response
from swift.http import path as paths
from swift.middleware import symlink, transfer
from swift.middleware.versioned_writes import names
from swift.timestamp import Timestamp

ID, CURRENT = 'X-Object-Version-Id', 'X-Object-Current-Version-Id'
LINK = 'X-Object-Sysmeta-Versions-Symlink'
TARGET = symlink.SYSMETA
KEPT = (*transfer.CARRIED, 'X-Static-Large-Object', 'Etag')


class Objects:
    """One request."""

    def __init__(self, app: Any, request: Request, facts: dict[str, Any]) -> None:
        """``facts``: of the container."""
        self._app = app
        self._request = request
        self._facts = facts
        sysmeta = facts.get('sysmeta') or {}
        self._hidden = names.text(sysmeta.get('versions-container') or '')
        self._enabled = confs.true(sysmeta.get('versions-enabled'))
        self._version, self._account, self._container, self._name = request.split(4, 4, rest=True)

    def respond(self) -> Response:
        """The answer; raises ``HttpError``."""
        request = self._request
        version = request.params.get('version-id') if request.query_string else None
        if version is not None:
            request.params = {key: value for key, value in request.params.items() if key != 'version-id'}
        if version:
            return self._of_version(version)
        if request.method in ('GET', 'HEAD'):
            return self._labelled(request.respond(self._app))
        if request.method == 'POST':
            return self._post()
        if self._enabled and request.method == 'PUT':
            return self._put()
        if self._enabled and request.method == 'DELETE':
            return self._delete()
        return request.respond(self._app)

    def _of_version(self, given: str) -> Response:
        method = self._request.method
        if method == 'POST':
            raise HttpError(400, 'POST to a specific version is not allowed')
        null = given == 'null'
        when = None if null else names.version_id(given)
        if null and method == 'PUT':
            raise HttpError(400, 'Invalid version parameter')
        if not null and not self._hidden:
            if self._facts['status'] == 404:
                raise HttpError(404)
            raise HttpError(400, 'version-aware operations require that the container is versioned')
        if when is None:
            return self._null()
        handlers: dict[str, Callable[[Timestamp], Response]] = {
            'GET': self._show, 'HEAD': self._show, 'PUT': self._restore, 'DELETE': self._remove}
        if method not in handlers:
            raise HttpError(405)
        if method != 'PUT':
            names.authorize(self._request, None)
        return handlers[method](when)

    # paths and requests

    def _base(self) -> str:
        return names.quoted(self._version, self._account, self._container, self._name)

    def _kept(self, when: Timestamp) -> str:
        return names.quoted(self._version, self._account, self._hidden, names.hidden_object(self._name, when))

    def _head(self) -> Response:
        """The object itself, link or not."""
        head = names.own(self._request, self._app, 'HEAD', self._base() + '?symlink=get')
        head.close()
        return head

    def _current(self, head: Response) -> str:
        """The id of the version that is current."""
        target = head.headers.get(TARGET, '') if head.is_success and LINK in head.headers else ''
        try:
            return names.parse(names.text(target.partition('/')[2]))[1].internal
        except ValueError:
            return 'null'

    def _opened(self, when: Timestamp) -> Request:
        """The client's request, for a version: what is hidden needs no leave, all else does."""
        opened = self._request.copy()
        opened.path_info = paths.wsgi_unquote(self._kept(when))
        opened.environ['SCRIPT_NAME'] = ''
        opened.headers[names.ALLOW] = 'true'
        decide = self._request.environ.get('swift.authorize')
        hidden = paths.text_to_wsgi(paths.join(self._version, self._account, self._hidden)) + '/'
        if decide is not None:
            opened.environ['swift.authorize'] = \
                lambda request: None if request.path.startswith(hidden) else decide(request)
        return opened

    # reading

    def _labelled(self, response: Response) -> Response:
        """Say which version this is."""
        path = response.headers.get(symlink.HIDDEN)
        target = response.headers.get('X-Symlink-Target')
        if target is not None and LINK in response.headers:
            path = f'{names.quoted(self._version, self._account)}/{target}'
        label = self._version_of(path)
        if label != 'null':
            if target is not None:
                response.headers['X-Symlink-Target'] = \
                    paths.quote(f'{self._container}/{self._name}') + f'?version-id={label}'
            else:
                response.headers['Content-Location'] = f'{self._base()}?version-id={label}'
        response.headers[ID] = label
        return response

    def _version_of(self, path: str | None) -> str:
        """The version of this object that lies at a quoted path; ``null`` if none does."""
        start = names.quoted(self._version, self._account, self._hidden) + '/'
        if not self._hidden or path is None or not path.startswith(start):
            return 'null'
        try:
            name, when = names.parse(names.text(path.removeprefix(start)))
        except ValueError:
            return 'null'
        return when.internal if name == self._name else 'null'

    def _null(self) -> Response:
        head = self._head()
        if head.status == 404 or LINK in head.headers:
            raise HttpError(404)
        response = self._request.respond(self._app)
        if self._request.method != 'DELETE':
            response.headers[ID] = 'null'
        return response

    def _show(self, when: Timestamp) -> Response:
        response = self._opened(when).respond(self._app)
        if response.headers.get('Content-Type') == names.MARKER_TYPE and response.is_success:
            response.close()
            response = HttpError(404, None, {'Content-Type': names.MARKER_TYPE}).response()
        response.headers[ID] = when.internal
        if symlink.HIDDEN in response.headers:
            response.headers['Content-Location'] = None
        return response

    # writing

    def _now(self) -> Timestamp:
        given = self._request.headers.get('X-Timestamp')
        return Timestamp(given) if given else Timestamp.now()

    def _begin(self) -> None:
        """What holds for every write; raises ``HttpError``."""
        names.authorize(self._request, self._facts.get('write_acl'))
        if not 200 <= self._facts['status'] < 300:
            raise HttpError(404 if self._facts['status'] < 500 else 503)

    def _keep(self) -> Response:
        """Copy an object that is no link to where the versions are; a HEAD of what was there."""
        found = names.own(self._request, self._app, 'GET', self._base() + '?symlink=get', {'X-Newest': 'true'})
        if found.status == 404 or LINK in found.headers:
            found.drain()
            return found
        if not found.is_success:
            found.drain()
            raise HttpError(503)
        headers = {name: value for name, value in found.headers.items()
                   if name != 'X-Delete-At' and (name in KEPT or name.lower().startswith(transfer.META))}
        target = names.make_pre_authed_subrequest(
            self._request.environ, method='PUT', source='OV', headers={**headers, names.ALLOW: 'true'},
            path=self._kept(Timestamp(found.headers.get('X-Timestamp') or Timestamp.now())))
        try:
            transfer.feed(target, found)
            made = target.respond(self._app)
        finally:
            found.close()
        made.drain()
        if not made.is_success:
            raise HttpError(503)
        return found

    def _put(self) -> Response:
        request = self._request
        self._begin()
        if request.headers.get('If-None-Match') == '*':
            if self._head().is_success:
                raise HttpError(412)
            request.headers['If-None-Match'] = None
        detect = confs.true(request.headers.pop('X-Detect-Content-Type', None))
        if symlink.TARGET not in request.headers and (detect or not request.environ.get('CONTENT_TYPE')):
            request.environ['CONTENT_TYPE'] = mimetypes.guess_type(self._name)[0] or 'application/octet-stream'
        constraints.check_delete_headers(request)
        # what expires is the link; the version stays
        expires = request.headers.pop('X-Delete-At', None)
        self._keep()
        now = self._now()
        opened = self._opened(now)
        opened.headers['X-Timestamp'] = now.internal
        counted = _Counted(opened.input)
        opened.environ['wsgi.input'] = counted
        response = opened.respond(self._app)
        if not response.is_success:
            return response
        kind = opened.environ.get('CONTENT_TYPE') or 'application/octet-stream'
        size = request.headers.get('X-Object-Sysmeta-Slo-Size', str(counted.taken))
        linked = self._link(now, Timestamp(now, 1), response.etag or '', size, kind, {
            'X-Delete-At': expires, 'slo_etag': request.headers.get('X-Object-Sysmeta-Slo-Etag')})
        if not linked.is_success:
            if linked.status < 500:     # else it may be on some servers, and must lead somewhere when it spreads
                names.own(request, self._app, 'DELETE', self._kept(now)).drain()
            response.close()
            return linked
        response.headers[ID] = now.internal
        return response

    def _link(self, version: Timestamp, when: Timestamp, etag: str, size: str, kind: str,
              more: dict[str, str | None]) -> Response:
        """Make the object a link to a version."""
        hidden = names.hidden_object(self._name, version)
        tag = more.pop('slo_etag', None)
        kind = ';'.join(part for part in kind.split(';') if not part.strip().startswith('swift_bytes='))
        headers: dict[str, Any] = {
            **symlink.link_headers({'': paths.quote(f'{self._hidden}/{hidden}'), '-Etag': etag, '-Bytes': size},
                                   f'; slo_etag={tag}' if tag else ''),
            LINK: 'true', symlink.EXTEND: 'true', symlink.RESERVED: 'true', 'Content-Type': kind,
            'X-Timestamp': when.internal, **more}
        response = names.own(self._request, self._app, 'PUT', self._base(), headers, b'')
        response.drain()
        return response

    def _delete(self) -> Response:
        self._begin()
        self._keep()
        now = self._now()
        made = names.own(self._request, self._app, 'PUT', self._kept(now),
                         {'Content-Type': names.MARKER_TYPE, 'X-Timestamp': now.internal}, b'')
        made.drain()
        if not made.is_success:
            raise HttpError(503)
        self._request.headers['X-Timestamp'] = Timestamp(now, 1).internal
        response = self._request.respond(self._app)
        response.headers[ID] = now.internal
        return response

    def _post(self) -> Response:
        again = self._request.copy()
        response = self._request.respond(self._app)
        target = response.headers.get(TARGET)
        if not response.is_success or LINK not in response.headers or not target:
            return response
        response.drain()
        again.path_info = paths.text_to_wsgi(paths.join(self._version, self._account, names.text(target)))
        again.headers.update({names.ALLOW: 'true', 'X-Timestamp': None})
        again.environ['swift.authorize'] = names.allow
        return again.respond(self._app)

    def _remove(self, when: Timestamp) -> Response:
        """DELETE of one version, for good."""
        head = self._head()
        current = self._current(head)
        if current == when.internal:
            gone = names.own(self._request, self._app, 'DELETE', self._base())
            gone.drain()
            if not gone.is_success and gone.status != 404:
                raise HttpError(503)
            current = 'null'
        response = names.own(self._request, self._app, 'DELETE', self._kept(when))
        response.headers[ID] = when.internal
        response.headers[CURRENT] = current
        return response

    def _restore(self, when: Timestamp) -> Response:
        """PUT of a version's id: it is the current one again."""
        if self._request.content_length or self._request.is_chunked:
            raise HttpError(400, 'PUT version-id requests require a zero byte body', {'Content-Type': 'text/plain'})
        self._begin()
        head = names.own(self._request, self._app, 'HEAD', self._kept(when) + '?symlink=get')
        head.close()
        kind = head.headers.get('Content-Type', 'application/octet-stream')
        if head.status == 404 or kind == names.MARKER_TYPE:
            raise HttpError(404, 'The specified version does not exist', {'Content-Type': 'text/plain'})
        if not head.is_success:
            raise HttpError(503)
        self._keep()
        etag = head.etag or ''
        size = head.headers.get('X-Object-Sysmeta-Slo-Size') or head.headers.get('Content-Length', '0')
        linked = self._link(when, Timestamp(self._now(), 1), etag, size, kind, {
            'slo_etag': head.headers.get('X-Object-Sysmeta-Slo-Etag')})
        if not linked.is_success:
            return linked
        return Response(201, b'', {'Etag': etag, 'Last-Modified': linked.headers.get('Last-Modified'),
                                   ID: when.internal})


class _Counted:
    """An input that knows how many bytes were taken from it."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        """As a file does."""
        piece: bytes = self._source.read(size)
        self.taken += len(piece)
        return piece

    def readline(self, size: int = -1) -> bytes:
        """As a file does."""
        line: bytes = self._source.readline(size)
        self.taken += len(line)
        return line

"""A small object store in dicts, to stand behind one filter: the proxy's answers without its cluster.

It keeps what it is told and answers as the proxy does: listings in JSON,
conditions, ranges, metadata, reserved names, ``swift.authorize``.
"""

import hashlib
import json
from typing import Any

from swift.http import HttpError, Request, Response, serving
from swift.http import path as paths
from swift.http.etags import resolve_is_at
from swift.timestamp import Timestamp

KEPT = ('X-Object-Meta-', 'X-Object-Sysmeta-', 'X-Object-Transient-Sysmeta-')
NAMED = ('Content-Encoding', 'Content-Disposition', 'X-Static-Large-Object', 'X-Object-Manifest', 'X-Delete-At',
         'Cache-Control')
OVERRIDE = 'X-Object-Sysmeta-Container-Update-Override-'


class Thing:
    """One object."""

    def __init__(self, data: bytes, headers: dict[str, str], kind: str, timestamp: Timestamp) -> None:
        self.data, self.headers, self.kind, self.timestamp = data, headers, kind, timestamp
        self.etag = hashlib.md5(data).hexdigest()

    def entry(self, name: str) -> dict[str, Any]:
        """As a listing shows it."""
        kind, _, size = self.kind.partition(';swift_bytes=')
        return {'name': name, 'bytes': int(self.headers.get(OVERRIDE + 'Size', size or len(self.data))),
                'hash': self.headers.get(OVERRIDE + 'Etag', self.etag),
                'content_type': self.headers.get(OVERRIDE + 'Content-Type', kind),
                'last_modified': self.timestamp.isoformat}


class Container:
    """One container."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.objects: dict[str, Thing] = {}


class Store:
    """The application; ``asked`` remembers (method, path and query) of all requests, ``requests`` their environs."""

    def __init__(self, page: int = 10000) -> None:
        self.accounts: dict[str, dict[str, Container]] = {}
        self.account_headers: dict[str, dict[str, str]] = {}
        self.asked: list[tuple[str, str]] = []
        self.requests: list[dict[str, Any]] = []
        self.page = page
        #: (method, path) -> status: what fails
        self.failing: dict[tuple[str, str], int] = {}
        self._last = Timestamp(0)

    @serving
    def __call__(self, request: Request) -> Response:
        query = f'?{request.query_string}' if request.query_string else ''
        self.asked.append((request.method, request.path + query))
        self.requests.append(dict(request.environ))
        failing = self.failing.get((request.method, request.path))
        if failing:
            raise HttpError(failing)
        try:
            _, account, container, name = request.split(2, 4, rest=True)
        except ValueError:
            raise HttpError(404) from None
        allowed = request.headers.get('X-Backend-Allow-Reserved-Names')
        if any(each and '\x00' in each for each in (account, container, name)) and not allowed:
            raise HttpError(412, 'Invalid UTF8 or contains NULL')
        self._authorize(request)
        if name:
            return self._object(request, account, container, name)
        if container:
            return self._container(request, account, container)
        return self._account(request, account)

    def _authorize(self, request: Request) -> None:
        authorize = request.environ.get('swift.authorize')
        if authorize is not None:
            refused = authorize(request)
            if refused is not None:
                raise HttpError(refused.status)
            if not request.environ.get('swift.authorize_override'):
                del request.environ['swift.authorize']      # as the proxy does

    # accounts

    def _account(self, request: Request, account: str) -> Response:
        containers = self.accounts.setdefault(account, {})
        kept = self.account_headers.setdefault(account, {})
        if request.method in ('PUT', 'POST'):
            _merge(kept, request, ('X-Account-Meta-', 'X-Account-Sysmeta-'))
            return Response(204)
        entries = [{'name': name, 'count': len(each.objects), 'bytes': _size(each)}
                   for name, each in sorted(containers.items())]
        visible = [each for each in entries if '\x00' not in each['name']
                   or request.headers.get('X-Backend-Allow-Reserved-Names')]
        headers = {**kept, 'X-Account-Container-Count': len(entries), 'X-Account-Object-Count': 0,
                   'X-Account-Bytes-Used': sum(each['bytes'] for each in entries)}
        return self._listing(request, visible, headers)

    # containers

    def _container(self, request: Request, account: str, name: str) -> Response:
        containers = self.accounts.setdefault(account, {})
        container = containers.get(name)
        if request.method == 'PUT':
            status = 202 if container else 201
            container = containers.setdefault(name, Container())
            _merge(container.headers, request, ('X-Container-', 'X-Versions-', 'X-History-'))
            return Response(status)
        if container is None:
            raise HttpError(404)
        if request.method == 'POST':
            _merge(container.headers, request, ('X-Container-', 'X-Versions-', 'X-History-'))
            return Response(204)
        if request.method == 'DELETE':
            if container.objects:
                raise HttpError(409)
            del containers[name]
            return Response(204)
        entries = [container.objects[each].entry(each) for each in sorted(container.objects, key=str.encode)]
        if '\x00' not in name:
            entries = [each for each in entries if '\x00' not in each['name']]
        headers = {**container.headers, 'X-Container-Object-Count': len(container.objects),
                   'X-Container-Bytes-Used': _size(container), 'X-Storage-Policy': 'gold',
                   'X-Backend-Storage-Policy-Index': '0'}
        return self._listing(request, entries, headers)

    def _listing(self, request: Request, entries: list[dict[str, Any]], headers: dict[str, Any]) -> Response:
        params = request.params
        marker, end, prefix = (params.get(key, '') for key in ('marker', 'end_marker', 'prefix'))
        if 'reverse' in params:
            entries = entries[::-1]
            entries = [each for each in entries if (not marker or each['name'] < marker) and each['name'] > end]
        else:
            entries = [each for each in entries if each['name'] > marker and (not end or each['name'] < end)]
        entries = [each for each in entries if each['name'].startswith(prefix)]
        delimiter = params.get('delimiter')
        if delimiter:
            folded: dict[str, dict[str, Any]] = {}
            for each in entries:
                rest = each['name'][len(prefix):]
                if delimiter in rest:
                    subdir = prefix + rest[:rest.index(delimiter) + len(delimiter)]
                    folded.setdefault(subdir, {'subdir': subdir})
                else:
                    folded[each['name']] = each
            entries = list(folded.values())
        limit = params.get('limit', str(self.page))
        if not limit.isdecimal():
            raise HttpError(412)
        entries = entries[:int(limit)]
        if params.get('format') == 'json':
            body, kind = json.dumps(entries), 'application/json; charset=utf-8'
        else:
            body, kind = ''.join(each.get('name', each.get('subdir')) + '\n' for each in entries), 'text/plain'
        return Response(200, body, {**headers, 'Content-Type': kind})

    # objects

    def _object(self, request: Request, account: str, container_name: str, name: str) -> Response:
        container = self.accounts.get(account, {}).get(container_name)
        if container is None:
            raise HttpError(404)
        found = container.objects.get(name)
        if request.method == 'PUT':
            return self._put(request, container, name, found)
        if found is None:
            raise HttpError(404)
        if request.method == 'DELETE':
            del container.objects[name]
            return Response(204)
        if request.method == 'POST':
            for key in [key for key in found.headers if key.startswith(('X-Object-Meta-', 'X-Object-Manifest',
                                                                        'X-Object-Transient-'))]:
                del found.headers[key]
            found.headers.update({key: value for key, value in _object_headers(request).items()
                                  if not key.startswith('X-Object-Sysmeta-') and key != 'X-Static-Large-Object'})
            if request.environ.get('CONTENT_TYPE'):
                kind, _, size = found.kind.partition(';swift_bytes=')
                found.kind = request.environ['CONTENT_TYPE'] + (f';swift_bytes={size}' if size else '')
            return Response(202, b'', {key: value for key, value in found.headers.items()
                                       if key.startswith('X-Object-Sysmeta-')})
        return _shown(request, found)

    def _put(self, request: Request, container: Container, name: str, found: Thing | None) -> Response:
        if request.headers.get('If-None-Match') == '*' and found:
            raise HttpError(412)
        length = request.content_length
        data = request.input.read(length if length is not None else -1)
        if length is None and not request.is_chunked:
            raise HttpError(411)
        if length is not None and length != len(data):
            raise HttpError(499)
        stamp = Timestamp(request.headers.get('X-Timestamp') or self._now())
        if found and found.timestamp > stamp:
            return Response(202)
        kind = request.environ.get('CONTENT_TYPE') or 'application/octet-stream'
        headers = _object_headers(request)
        footers = request.environ.get('swift.callback.update_footers')
        if footers:
            more: dict[str, str] = {}
            footers(more)
            headers.update(more)
        made = Thing(data, headers, kind, stamp)
        wanted = request.headers.get('Etag')
        if wanted and wanted.strip('"') != made.etag:
            raise HttpError(422)
        container.objects[name] = made
        return Response(201, b'', {'Etag': made.etag, 'Last-Modified': stamp.last_modified})

    def _now(self) -> Timestamp:
        """A time that was not told before."""
        self._last = max(Timestamp.now(), Timestamp(self._last, delta=1))
        return self._last

    # for tests

    def ask(self, method: str, path: str, headers: dict[str, Any] | None = None, body: bytes | None = None,
            app: Any = None, **environ: Any) -> Response:
        """A request to a filter in front of this store; the body of its answer is read."""
        request = Request.blank(path, method=method, headers=headers, body=body, environ=environ)
        response = request.respond(app or self)
        assert isinstance(response.body, bytes)
        return response

    def thing(self, path: str) -> Thing:
        """What is kept at ``/v1/a/c/o``."""
        _, account, container, name = paths.split(path, 4, 4, rest=True)
        return self.accounts[account][container].objects[name]


def _merge(kept: dict[str, str], request: Request, prefixes: tuple[str, ...]) -> None:
    for name, value in request.headers.items():
        if name.startswith(prefixes):
            if value:
                kept[name] = value
            else:
                kept.pop(name, None)


def _object_headers(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name.startswith(KEPT) or name in NAMED}


def _size(container: Container) -> int:
    return sum(each.entry('')['bytes'] for each in container.objects.values())


def _shown(request: Request, found: Thing) -> Response:
    headers = {**found.headers, 'Content-Type': found.kind, 'Etag': found.etag, 'Accept-Ranges': 'bytes',
               'Last-Modified': found.timestamp.last_modified, 'X-Timestamp': found.timestamp.normal,
               'X-Backend-Timestamp': found.timestamp.internal, 'X-Backend-Data-Timestamp': found.timestamp.internal}
    response = Response(200, found.data, headers)
    ignoring = request.headers.get('X-Backend-Ignore-Range-If-Metadata-Present', '').split(',')
    request = request.copy()
    if any(each.strip() and each.strip() in response.headers for each in ignoring):
        request.headers['Range'] = None
    return response.conditional(request.environ, resolve_is_at(request, response.headers))

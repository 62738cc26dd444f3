"""Accounts, containers and objects in memory behind the API's paths: what a filter is put before in its tests.

It asks ``swift.authorize`` as the proxy does, keeps all headers of an object,
takes footers from ``swift.callback.update_footers``, and answers conditions and
ranges.  ``listings`` are JSON only, or as plain names.
"""

import hashlib
import json

from swift.http import HttpError, Response, serving
from swift.http.etags import resolve_is_at
from swift.http.headers import Headers
from swift.timestamp import Timestamp

KEPT = ('X-Object-', 'X-Delete-', 'Content-Type', 'Content-Encoding', 'Content-Disposition')


class Shelf:
    """``accounts``: name -> headers; ``containers``: (account, name) -> headers; ``objects``: three names -> Kept."""

    def __init__(self):
        self.accounts, self.containers, self.objects = {}, {}, {}
        self.seen = []

    @serving
    def __call__(self, request):
        self.seen.append((request.method, request.path, request.query_string))
        names = [name for name in request.split(2, 4, True)[1:] if name]
        if request.method != 'OPTIONS':
            self._authorize(request, names)
        kind = ('account', 'container', 'object')[len(names) - 1]
        return getattr(self, f'_{kind}')(request, *names)

    def _authorize(self, request, names):
        check = request.environ.get('swift.authorize')
        refusal = check(request) if check else None
        if refusal is not None:
            acl = (self.containers.get(tuple(names[:2])) or {}).get('X-Container-Read', '')
            wanted = '.r:*' if len(names) == 3 else '.rlistings'
            if request.method not in ('GET', 'HEAD') or wanted not in acl:
                raise HttpError(refusal.status, headers=refusal.headers)

    def _account(self, request, account):
        headers = self.accounts.setdefault(account, Headers())
        if request.method == 'POST':
            _take(request, headers, 'X-Account-')
        return Response(204, None, headers)

    def _container(self, request, account, container):
        key = account, container
        if request.method == 'PUT':
            self.containers.setdefault(key, Headers())
        if key not in self.containers:
            return HttpError(404).response()
        headers = self.containers[key]
        if request.method in ('PUT', 'POST'):
            _take(request, headers, 'X-Container-')
            return Response(201 if request.method == 'PUT' else 204)
        if request.method == 'HEAD':
            return Response(204, None, headers)
        found = self._listing(account, container, request.params)
        if request.params.get('format') == 'json':
            return Response(200, json.dumps(found), {**headers, 'Content-Type': 'application/json; charset=utf-8'})
        return Response(200, ''.join(each.get('name', each.get('subdir')) + '\n' for each in found),
                        {**headers, 'Content-Type': 'text/plain; charset=utf-8'})

    def _listing(self, account, container, params):
        prefix, delimiter = params.get('prefix', ''), params.get('delimiter')
        found, subdirs = [], set()
        for (_, _, name), kept in sorted(item for item in self.objects.items() if item[0][:2] == (account, container)):
            if not name.startswith(prefix):
                continue
            if delimiter and delimiter in name[len(prefix):]:
                subdir = name[:name.index(delimiter, len(prefix)) + len(delimiter)]
                if subdir not in subdirs:
                    subdirs.add(subdir)
                    found.append({'subdir': subdir})
                continue
            found.append({'name': name, 'bytes': len(kept.body), 'hash': kept.listed,
                          'content_type': kept.headers['Content-Type'], 'last_modified': kept.time.isoformat})
        return found[:int(params.get('limit', 10000))]

    def _object(self, request, account, container, name):
        key = account, container, name
        if (account, container) not in self.containers:
            return HttpError(404).response()
        if request.method == 'PUT':
            kept = self.objects[key] = Kept(request)
            return Response(201, None, {'Etag': kept.headers['Etag'], 'Last-Modified': kept.time.last_modified})
        kept = self.objects.get(key)
        if kept is None:
            return HttpError(404).response()
        if request.method == 'DELETE':
            del self.objects[key]
            return Response(204)
        if request.method == 'POST':
            for header in [each for each in kept.headers
                           if each.startswith(('X-Object-Meta-', 'X-Object-Transient-Sysmeta-'))]:
                del kept.headers[header]
            _take(request, kept.headers, *KEPT)
            return Response(202)
        return kept.answer(request)


class Kept:
    """One object."""

    def __init__(self, request):
        self.headers = Headers({'Content-Type': 'application/octet-stream'})
        _take(request, self.headers, *KEPT)
        length = request.message_length()
        read = request.input.read
        self.body = read() if length is None else read(length)
        if length is not None and len(self.body) != length:
            raise HttpError(499)
        self.time = Timestamp.now()
        footers = Headers()
        callback = request.environ.get('swift.callback.update_footers')
        if callback:
            callback(footers)
        digest = hashlib.md5(self.body, usedforsecurity=False).hexdigest()
        said = footers.get('Etag', request.headers.get('Etag', digest))
        if said != digest:
            raise HttpError(422)
        for header, value in footers.items():
            if header.startswith('X-Object-'):
                self.headers[header] = value
        self.headers['Etag'] = digest
        self.listed = self.headers.get('X-Object-Sysmeta-Container-Update-Override-Etag', digest)

    def answer(self, request):
        response = Response(200, self.body, {**self.headers, 'Last-Modified': self.time.last_modified,
                                             'X-Timestamp': self.time.normal, 'Accept-Ranges': 'bytes'})
        response.headers['Content-Length'] = str(len(self.body))
        return response.conditional(request.environ, resolve_is_at(request, self.headers))


def _take(request, headers, *prefixes):
    for name, value in request.headers.items():
        if name.startswith(prefixes):
            headers[name] = value or None


def denied(request):
    """``swift.authorize`` of somebody unknown: only what is public."""
    return HttpError(401).response()

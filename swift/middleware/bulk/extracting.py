"""Unpacking an archive into objects, and the containers they need."""

import dataclasses
import logging
from typing import Any

from swift.constraints import Constraints
from swift.http import HttpError, Request, Response
from swift.http import path as paths
from swift.http.application import WsgiApp
from swift.http.response import status_line
from swift.http.subrequest import make_subrequest
from swift.middleware import report
from swift.middleware.bulk import archive

LOG = logging.getLogger(__name__)

#: headers of the request that every file gets
SHARED = ('X-Delete-At', 'X-Delete-After', 'X-Detect-Content-Type', 'Content-Encoding')


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may ask for."""

    containers: int = 10000
    failures: int = 1000
    heartbeat: float = 10       # seconds


class Extractor:
    """Unpacks the body of one request."""

    def __init__(self, app: WsgiApp, request: Request, limits: Limits, constraints: Constraints) -> None:
        """Raises ``HttpError`` 404 for a path that is none."""
        self._app = app
        self._request = request
        self._limits = limits
        self._constraints = constraints
        try:
            self._version, self._account, container, prefix = request.split(2, 4, rest=True)
        except ValueError:
            raise HttpError(404) from None
        self._base = '/'.join(filter(None, [container, (prefix or '').strip('/')]))
        self._containers: set[str] = set()
        self.created = 0
        self.errors: list[tuple[str, str]] = []
        self._failed = 400

    def respond(self, kind: str) -> Response:
        """200, and the report when all is done."""
        form = report.acceptable(self._request)

        def work() -> bytes:
            status, body = self._run(kind) if form else (406, '')
            values: dict[str, str | int] = {'Response Status': status_line(status), 'Response Body': body,
                                            'Number Files Created': self.created}
            return report.write(form, values, self.errors, 'extract')
        return Response(200, report.beating(work, self._limits.heartbeat), {'Content-Type': form or 'text/plain'})

    def _run(self, kind: str) -> tuple[int, str]:
        """Status and body of the report."""
        try:
            for member, data in archive.members(self._request.input, kind):
                self._store(member, data)
        except archive.BadArchive as error:
            return 400, f'Invalid Tar File: {error}'
        except HttpError as error:
            return error.status, report.sentence(error) if error.body else ''
        except Exception:
            LOG.exception('unpacking an archive to %s failed', self._request.path)
            return 502, ''
        if self.errors:
            return self._failed, ''
        return (201, '') if self.created else (400, 'Invalid Tar File: No Valid Files')

    def _store(self, member: archive.Member, data: Any) -> None:
        """One file.  Raises ``HttpError`` when no other is to be tried."""
        name = member.name
        while name.startswith('./'):
            name = name[2:]
        name = '/'.join(filter(None, [self._base, name.strip('/')]))
        container, slash, obj = name.partition('/')
        if not container or not obj:
            return None
        quoted = paths.quote(name)
        if any(0xdc80 <= ord(letter) <= 0xdcff for letter in name) or '\0' in name:
            return self._note(quoted, 412)
        if len(obj.encode('utf-8')) > self._constraints.max_object_name_length:
            return self._note(quoted, 400)
        if member.size > self._constraints.max_file_size:
            return self._note(quoted, 413)
        self._make_container(container)
        status = self._put(quoted, member, data)
        if status < 300:
            self.created += 1
            return None
        return self._note(quoted, status)

    def _make_container(self, name: str) -> None:
        if name in self._containers:
            return
        if len(self._containers) >= self._limits.containers:
            raise HttpError(400, f'More than {self._limits.containers} containers to create from tar.')
        self._containers.add(name)
        path = self._path(paths.quote(name))
        status = self._ask('HEAD', path)
        if status == 404:
            status = self._ask('PUT', path)
        if status >= 300:
            self._note(path, status)

    def _put(self, quoted: str, member: archive.Member, data: Any) -> int:
        headers = {name: value for name, value in self._request.headers.items()
                   if name.startswith('X-Object-Meta-') or name in SHARED}
        headers.update(archive.attributes(member))
        headers['Content-Length'] = str(member.size)
        return self._ask('PUT', self._path(quoted), headers, data)

    def _path(self, quoted: str) -> str:
        return paths.quote(f'/{self._version}/{self._account}/') + quoted

    def _ask(self, method: str, path: str, headers: dict[str, str] | None = None, data: Any = None) -> int:
        request = make_subrequest(self._request.environ, method=method, path=path, headers=headers,
                                  agent='%(orig)s BulkExpand', source='EA')
        if data is not None:
            request.environ['wsgi.input'] = data
        elif method == 'PUT':
            request.environ['CONTENT_LENGTH'] = '0'
        return request.status(self._app)

    def _note(self, quoted: str, status: int) -> None:
        self.errors.append((quoted, status_line(status)))
        if status == 401:
            raise HttpError(401)
        if status >= 500:
            self._failed = 502
        if len(self.errors) >= self._limits.failures:
            raise HttpError(400, 'Max extract failures exceeded')

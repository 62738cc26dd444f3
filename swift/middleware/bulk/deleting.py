"""Deleting many objects and containers in one request, a few at a time, and reporting how it went."""

import dataclasses
import logging
from collections.abc import Iterable, Iterator
from itertools import islice

from strata import green
from swift.http import HttpError, Request, Response
from swift.http import path as paths
from swift.http.application import WsgiApp
from swift.http.response import status_line
from swift.http.subrequest import make_subrequest
from swift.middleware import report

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What is to be deleted."""

    name: str                   # /c or /c/o, as text
    version: str | None = None
    refused: str | None = None  # a status line: it is known already that it cannot be done
    quoted: bool = False        # the name is as the client wrote it, for it cannot be unquoted

    @property
    def is_container(self) -> bool:
        """Whether it is no object."""
        return '/' not in self.name.strip('/')


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may ask for."""

    deletes: int = 10000
    failures: int = 1000
    concurrency: int = 2
    heartbeat: float = 10               # seconds between spaces; 0: none
    container_retries: int = 0          # of a container that is not empty yet
    retry_interval: float = 1.5         # seconds before the first retry; doubled each time


class Deleter:
    """Deletes on behalf of a request, with its rights."""

    def __init__(self, app: WsgiApp, request: Request, limits: Limits, agent: str = 'BulkDelete',
                 source: str = 'BD') -> None:
        self._app = app
        self._request = request
        self._limits = limits
        self._agent = f'%(orig)s {agent}'
        self._source = source
        _, version, account, *_ = request.path_info.split('/', 3)
        self._base = paths.wsgi_quote(f'/{version}/{account}')
        self.deleted = 0
        self.missing = 0
        self.errors: list[tuple[str, str]] = []
        self._failed = 400

    def refuse(self, error: HttpError, kind: str | None) -> Response:
        """200, and a report that nothing was done, and why."""
        values = {'Response Status': status_line(error.status if kind else 406),
                  'Response Body': report.sentence(error) if error.body and kind else '',
                  'Number Deleted': 0, 'Number Not Found': 0}
        return Response(200, report.write(kind, values, (), 'delete'), {'Content-Type': kind or 'text/plain'})

    def respond(self, targets: Iterable[Target]) -> Response:
        """200, and the report when all is done.  ``targets`` may raise ``HttpError``."""
        kind = report.acceptable(self._request)

        def work() -> bytes:
            status, body = self._run(iter(targets)) if kind else (406, '')
            values = {'Response Status': status_line(status), 'Response Body': body,
                      'Number Deleted': self.deleted, 'Number Not Found': self.missing}
            return report.write(kind, values, self.errors, 'delete')
        return Response(200, report.beating(work, self._limits.heartbeat), {'Content-Type': kind or 'text/plain'})

    def _run(self, targets: Iterator[Target]) -> tuple[int, str]:
        """Status and body of the report."""
        try:
            pool = green.Pool(self._limits.concurrency)
            asked = 0
            while batch := list(islice(targets, self._limits.concurrency)):
                asked += len(batch)
                if asked > self._limits.deletes:
                    raise HttpError(413, f'Maximum Bulk Deletes: {self._limits.deletes} per request')
                # a container waits for the objects before it
                for kind in (False, True):
                    group = [target for target in batch if target.is_container is kind]
                    for target, status in zip(group, pool.map(self._delete, group)):
                        self._note(target, status)
            if not asked:
                raise HttpError(400, 'Invalid bulk delete.')
        except HttpError as error:
            return error.status, report.sentence(error) if error.body else ''
        except Exception:
            LOG.exception('deleting for %s failed', self._request.path)
            return 502, ''
        return (self._failed, '') if self.errors else (200, '')

    def _delete(self, target: Target) -> str:
        """The status line of its answer."""
        if target.refused:
            return target.refused
        path = self._base + paths.quote(target.name)
        if target.version is not None:
            path += '?version-id=' + paths.quote(target.version, '')
        wait = self._limits.retry_interval
        for attempt in range(self._limits.container_retries + 1):
            if attempt:
                green.sleep(wait)
                wait *= 2
            status = self._ask(path)
            if status != 409 or not target.is_container:
                break
        return status_line(status)

    def _ask(self, path: str) -> int:
        request = make_subrequest(self._request.environ, method='DELETE', path=path, agent=self._agent,
                                  source=self._source)
        return request.status(self._app)

    def _note(self, target: Target, line: str) -> None:
        status = int(line[:3])
        if status < 300:
            self.deleted += 1
            return
        if status == 404:
            self.missing += 1
            return
        name = target.name if target.quoted else paths.quote(target.name)
        self.errors.append((name, line.removeprefix('400 ') if target.refused else line))
        if status == 401:
            raise HttpError(401)
        if status >= 500:
            self._failed = 502
        if len(self.errors) >= self._limits.failures:
            raise HttpError(400, 'Max delete failures exceeded')



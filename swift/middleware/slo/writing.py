"""PUT of a static large object: every segment is looked at before the manifest is kept.

::

    body -> entries (manifest.parse) -> HEAD of each object, a few at a time -> problems? 400 with all of them
         -> the manifest as it is stored -> PUT, with the sums as system metadata

With ``heartbeat=on`` the answer is 202 at once, and the outcome follows in a report.
"""

import dataclasses
import hashlib
import json
import mimetypes
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any

from strata import green
from swift import conf as confs
from swift.http import HttpError, Request, Response, ranges
from swift.http import path as paths
from swift.http.response import status_line
from swift.http.subrequest import make_subrequest
from swift.middleware import report
from swift.middleware.segments import object_path
from swift.middleware.slo import manifest
from swift.middleware.slo.manifest import Entry

ETAG = 'X-Object-Sysmeta-Slo-Etag'
SIZE = 'X-Object-Sysmeta-Slo-Size'
OVERRIDE_ETAG = 'X-Object-Sysmeta-Container-Update-Override-Etag'
FLAG = 'X-Static-Large-Object'

Problems = list[tuple[str, str]]


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What a manifest may be."""

    size: int           # bytes
    segments: int
    least: int          # bytes of every segment but the last
    concurrency: int
    heartbeat: float    # seconds


class Writer:
    """One PUT."""

    def __init__(self, slo: Any, app: Any, limits: Limits, request: Request) -> None:
        """``slo``: the filter, which shows segments that are large objects; ``app``: what is behind it."""
        self._slo = slo
        self._app = app
        self._limits = limits
        self._request = request

    def put(self, target: str) -> Response:
        """Make the object at ``target`` (/c/o, as text).  Raises ``HttpError``."""
        request = self._request
        if 'X-Copy-From' in request.headers:
            raise HttpError(405, 'Multipart Manifest PUTs cannot be COPY requests')
        entries = manifest.parse(self._body(), target, self._limits.least, self._limits.segments)
        if self._limits.heartbeat and confs.true(request.params.get('heartbeat')):
            return self._beating(entries)
        problems = self._look(entries)
        if problems:
            kind = report.acceptable(request) or 'text/plain'
            return Response(400, report.write(kind, {}, problems, 'upload'), {'Content-Type': kind})
        return self._keep(entries)

    def _body(self) -> bytes:
        length = self._request.message_length()
        if length is None and not self._request.is_chunked:
            raise HttpError(411)
        try:
            return self._request.body(self._limits.size)
        except HttpError as error:
            if error.status == 413:
                raise HttpError(413, f'Manifest File > {self._limits.size} bytes') from error
            raise

    # looking at the segments

    def _look(self, entries: list[Entry]) -> Problems:
        """Fill in what the segments are; all that is wrong with them."""
        by_name: dict[str, list[Entry]] = {}
        for entry in entries:
            if entry.data is None:
                by_name.setdefault(entry.name, []).append(entry)
        found = green.Pool(self._limits.concurrency).map(self._head, by_name)
        last = entries[-1] if entries else None
        return [(manifest.quoted(name), problem) for (name, group), head in zip(by_name.items(), found)
                for problem in dict.fromkeys(each for entry in group for each in self._fit(entry, head, last))]

    def _head(self, name: str) -> Response:
        request = make_subrequest(self._request.environ, method='HEAD',
                                  path=object_path(self._request.environ, name),
                                  agent='%(orig)s SLO MultipartPUT', source='SLO')
        try:
            response = request.respond(self._slo)
        except HttpError as error:
            return error.response()
        response.close()
        return response

    def _fit(self, entry: Entry, head: Response, last: Entry | None) -> list[str]:
        """What is wrong with one entry, having seen its object."""
        if not head.is_success:
            return [status_line(head.status)]
        length = head.content_length or 0
        problems = []
        if entry.size is not None and entry.size != length:
            problems.append('Size Mismatch')
        if entry.etag is not None and entry.etag != head.etag:
            problems.append('Etag Mismatch')
        entry.first, entry.stop = 0, length
        if entry.asked is not None:
            within = ranges.within([entry.asked], length)
            if not within:
                return [*problems, 'Unsatisfiable Range']
            entry.first, entry.stop = within[0]
            entry.ranged = within[0] != (0, length)
        if entry.length < self._limits.least and entry is not last:
            text = manifest.too_small(self._limits.least)
            problems.append(text[0].upper() + text[1:])
        entry.size, entry.etag = length, head.etag
        entry.sub_slo = confs.true(head.headers.get(FLAG))
        entry.content_type = _text(head.headers.get('Content-Type', ''))
        entry.last_modified = _iso(head.headers.get('Last-Modified'))
        return problems

    # keeping the manifest

    def _keep(self, entries: list[Entry]) -> Response:
        request = self._request
        tag, size = manifest.etag(entries), sum(entry.length for entry in entries)
        given = request.headers.get('Etag')
        if given and given.strip('"') != tag:
            raise HttpError(422)
        body = json.dumps([entry.stored() for entry in entries]).encode('ascii')
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        request.params = {key: value for key, value in request.params.items()
                          if key not in ('multipart-manifest', 'heartbeat')}
        request.headers.update({
            'Etag': digest, FLAG: 'True', ETAG: tag, SIZE: str(size),
            OVERRIDE_ETAG: f'{digest}; slo_etag={tag}', 'Content-Length': str(len(body)),
            'Content-Type': f'{_kind(request)};swift_bytes={size}'})
        request.headers['Transfer-Encoding'] = None
        request.environ['wsgi.input'] = Request.blank('/', body=body).input
        response = request.respond(self._app)
        if response.is_success:
            response.headers['Etag'] = f'"{tag}"'
        return response

    def _beating(self, entries: list[Entry]) -> Response:
        """202 and spaces while the segments are looked at, then how it went."""
        kind = report.acceptable(self._request) or 'text/plain'

        def work() -> bytes:
            problems: Problems = []
            values: dict[str, str | int] = {}
            try:
                problems = self._look(entries)
                response = self._keep(entries) if not problems else HttpError(400).response()
                text = response.body.decode('utf-8', 'replace') if response.status != 400 or not problems else \
                    report.sentence(HttpError(400))
                values = {'Response Status': status_line(response.status), 'Response Body': text}
                if response.is_success:
                    values.update({'Etag': response.headers.get('Etag', ''), 'Response Body': '',
                                   'Last Modified': response.headers.get('Last-Modified', '')})
            except HttpError as error:
                values = {'Response Status': status_line(error.status), 'Response Body': report.sentence(error)}
            except Exception:
                report.LOG.exception('a PUT of %s failed', self._request.path)
                values = {'Response Status': status_line(500), 'Response Body': report.sentence(HttpError(500))}
            return report.write(kind, values, problems, 'upload')
        return Response(202, report.beating(work, self._limits.heartbeat, at_once=True), {'Content-Type': kind})


def _kind(request: Request) -> str:
    """The Content-Type without a size that a client put there."""
    given = request.environ.get('CONTENT_TYPE') or mimetypes.guess_type(request.path)[0] or 'application/octet-stream'
    return ';'.join(part for part in given.split(';') if not part.strip().lower().startswith('swift_bytes='))


def _iso(date: str | None) -> str:
    """A listing's form of an HTTP date."""
    try:
        when = parsedate_to_datetime(date or '').astimezone(timezone.utc)
    except ValueError:
        return ''
    return when.strftime('%Y-%m-%dT%H:%M:%S.000000')


def _text(value: str) -> str:
    try:
        return paths.wsgi_to_text(value)
    except ValueError:
        return value

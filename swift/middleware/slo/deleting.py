"""DELETE of a static large object with its segments: at once, with a report, or left to the expirer."""

from collections.abc import Iterator
from typing import Any

from strata import green
from swift import conf as confs
from swift.http import HttpError, Request, Response
from swift.http.response import status_line
from swift.http.subrequest import make_subrequest
from swift.middleware.bulk.deleting import Deleter, Limits, Target
from swift.middleware.segments import object_path
from swift.middleware.slo.reading import is_slo, load

AGENT = 'SLO MultipartDELETE'
#: seconds after which segments that are left to the expirer are gone
SOON = '1'


def delete(app: Any, request: Request, name: str, limits: Limits, may_be_async: bool) -> Response:
    """Remove the large object ``name`` (/c/o, as text) and what it is made of.  Raises ``HttpError``."""
    if may_be_async and confs.true(request.params.get('async')):
        return _later(app, request, name, limits)
    deleter = Deleter(app, request, limits, AGENT, 'SLO')
    return deleter.respond(_plan(app, request, name, set(), request.params.get('version-id')))


def _manifest(app: Any, request: Request, name: str, version: str | None = None) -> Response:
    path = object_path(request.environ, name) + '?multipart-manifest=get'
    if version is not None:
        path += f'&version-id={version}'
    return make_subrequest(request.environ, method='GET', path=path, agent=f'%(orig)s {AGENT}',
                           source='SLO').respond(app)


def _plan(app: Any, request: Request, name: str, seen: set[str], version: str | None = None) -> Iterator[Target]:
    """Segments before the manifests that name them, each once."""
    seen.add(name)
    response = _manifest(app, request, name, version)
    if not response.is_success:
        response.drain()
        yield Target(name, refused=status_line(response.status))
        return
    if not is_slo(response):
        response.close()
        yield Target(name, refused='400 Not an SLO manifest')
        return
    for entry in load(response):
        if entry.data is not None or entry.name in seen:
            continue
        if entry.sub_slo:
            yield from _plan(app, request, entry.name, seen)
        else:
            seen.add(entry.name)
            yield Target(entry.name)
    yield Target(name, version)


def _later(app: Any, request: Request, name: str, limits: Limits) -> Response:
    """The manifest goes now, its segments by the expirer.

    Only for a manifest whose segments are objects of one container, which the
    client may write.
    """
    response = _manifest(app, request, name, request.params.get('version-id'))
    if not response.is_success:
        return response
    if not is_slo(response):
        response.close()
        raise HttpError(400, 'Not an SLO manifest')
    entries = [entry for entry in load(response) if entry.data is None]
    if any(entry.sub_slo for entry in entries):
        raise HttpError(400, 'No segments may be large objects.')
    containers = sorted({entry.name.split('/', 2)[1] for entry in entries})
    if len(containers) > 1:
        found = ', '.join(f'"{each}"' for each in containers)
        raise HttpError(400, f'All segments must be in one container. Found segments in {found}')

    def expire(segment: str) -> int:
        return make_subrequest(request.environ, method='POST', path=object_path(request.environ, segment),
                               headers={'X-Delete-After': SOON}, agent=f'%(orig)s {AGENT}', source='SLO').status(app)

    names = list(dict.fromkeys(entry.name for entry in entries))
    for status in green.Pool(limits.concurrency).map(expire, names):
        if status >= 400 and status != 404:
            raise HttpError(status if status in (401, 403) else 503)
    request.params = {key: value for key, value in request.params.items()
                      if key not in ('multipart-manifest', 'async')}
    return request.respond(app)

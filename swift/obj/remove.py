"""DELETE of an object: a tombstone, unless something newer is there."""

from typing import TYPE_CHECKING

from swift.http.request import Request
from swift.http.response import HttpError, Response, error
from swift.obj.errors import Absent, Expired
from swift.timestamp import Timestamp

if TYPE_CHECKING:
    from swift.obj.diskfile import DiskFile
    from swift.obj.server import Names, ObjectServer


def delete(server: 'ObjectServer', request: Request) -> Response:
    """204, 404 if there was none (the tombstone is kept all the same), 409 if there is a newer one."""
    names = server.names(request)
    when = request.timestamp
    file = server.store.file(names.device, names.partition, *names.triple, names.policy)
    metadata: dict[str, str] = {}
    try:
        metadata = file.read_metadata(now=float(when))
        known = file.data_timestamp
        status = 204 if known < when else 409
    except Expired as absent:
        known, metadata, status = absent.timestamp, dict(absent.metadata), 404
    except Absent as absent:
        known, status = absent.timestamp, 404
    expiry = seconds(metadata.get('X-Delete-At'))
    condition = request.headers.get('X-If-Delete-At')
    if condition is not None:
        _check_condition(condition, known, when, expiry)
        status = 204
    if known < when:
        _bury(server, names, file, request, expiry)
    return error(status, None, {'X-Backend-Timestamp': max(known, when).internal,
                                'X-Backend-Content-Type': metadata.get('Content-Type', '')})


def seconds(value: str | None) -> int:
    """A stored X-Delete-At; 0 for none, and for what is no number."""
    try:
        return int(value or 0)
    except ValueError:
        return 0


def _check_condition(condition: str, known: Timestamp, when: Timestamp, expiry: int) -> None:
    """The expirer must not remove an object that was given another life; raises ``HttpError``."""
    try:
        wanted = Timestamp(condition)
    except ValueError:
        raise HttpError(400, 'Bad X-If-Delete-At header value') from None
    if not known:
        raise HttpError(404)
    if known >= when:
        raise HttpError(409)
    if wanted != Timestamp(expiry):
        raise HttpError(412, 'X-If-Delete-At and X-Delete-At do not match')


def _bury(server: 'ObjectServer', names: 'Names', file: 'DiskFile', request: Request, expiry: int) -> None:
    when = request.timestamp
    if expiry:
        server.updates.expiry('DELETE', expiry, names.triple, request, names.device, names.policy)
    with server.updates.listing('DELETE', names.triple, request, {'X-Timestamp': when.internal}, names.device,
                                names.policy) as listing:
        file.delete(when, listing.begin)
        listing.finish()


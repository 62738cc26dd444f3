"""Names of versions, and requests for them.

In the hidden container ``\\0versions\\0<container>`` a version is
``\\0<object>\\0<9999999999.99999 - its time>``, so that the newest comes first.
The legacy kind has ``<length of the name, 3 hexadecimal digits><name>/<time>``.
"""

from collections.abc import Mapping
from typing import Any

from swift.http import HttpError, Request, Response
from swift.http import path as paths
from swift.http.subrequest import allow, make_pre_authed_subrequest
from swift.timestamp import END, TICKS, Timestamp

RESERVED = '\0'
MARKER_TYPE = 'application/x-deleted;swift_versions_deleted=1'
ALLOW = 'X-Backend-Allow-Reserved-Names'


def hidden_container(container: str) -> str:
    """Where the versions of a container lie."""
    return f'{RESERVED}versions{RESERVED}{container}'


def hidden_object(name: str, when: Timestamp) -> str:
    """What a version is called there."""
    return f'{RESERVED}{name}{RESERVED}{inverted(when)}'


def inverted(when: Timestamp) -> str:
    """A time that sorts the other way."""
    return Timestamp(0, delta=END - 1 - when.raw).normal


def parse(hidden: str) -> tuple[str, Timestamp]:
    """Name and time of a version; raises ``ValueError`` for what is none."""
    if hidden.count(RESERVED) != 2 or not hidden.startswith(RESERVED):
        raise ValueError(f'no name of a version: {hidden!r}')
    _, name, when = hidden.split(RESERVED)
    return name, Timestamp(0, delta=END - 1 - Timestamp(when).raw)


def version_id(value: str) -> Timestamp:
    """The time that a version's id is; raises ``HttpError`` 400."""
    if len(value) > 32 or not value.isascii():
        raise HttpError(400, 'Invalid version parameter')
    try:
        found = Timestamp(value)
    except (ValueError, OverflowError):
        raise HttpError(400, 'Invalid version parameter') from None
    if not found or found.raw >= END - TICKS:
        raise HttpError(400, 'Invalid version parameter')
    return found


def text(value: str) -> str:
    """A quoted name of a header."""
    try:
        return paths.unquote(value.encode('latin-1').decode('utf-8'))
    except ValueError:
        raise HttpError(412, 'Invalid UTF8 or contains NULL') from None


def quoted(*names: str, query: Mapping[str, Any] | None = None) -> str:
    """A path for the wire, with a query."""
    path = paths.quote(paths.join(*names))
    if query:
        path += '?' + '&'.join(f'{key}={paths.quote(str(value), "")}' for key, value in query.items())
    return path


def authorize(request: Request, acl: str | None) -> None:
    """Raise ``HttpError`` unless the client may do this to what has this ACL."""
    decide = request.environ.get('swift.authorize')
    if decide is None:
        return
    request.acl = acl
    refused = decide(request)
    if refused is not None:
        raise Refused(refused)


class Refused(HttpError):
    """What ``swift.authorize`` answered in place of leave."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status)
        self._answer = answer

    def response(self) -> Response:
        """As it was answered, with its headers."""
        return self._answer


def own(request: Request, app: Any, method: str, path: str, headers: Mapping[str, Any] | None = None,
        body: bytes | None = None) -> Response:
    """A request of the system's own: it needs no leave, and may see what is hidden."""
    made = make_pre_authed_subrequest(request.environ, method=method, path=path, body=body, source='OV',
                                      headers={ALLOW: 'true', **(headers or {})})
    return made.respond(app)


__all__ = ['Refused', 'allow', 'authorize', 'hidden_container', 'hidden_object', 'inverted',
           'make_pre_authed_subrequest', 'own', 'parse', 'quoted', 'text', 'version_id']

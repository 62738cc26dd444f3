"""How many answers are enough, and which of several stands for them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from swift.http.response import Response, error

#: of a storage server's headers, what its answer to the proxy says and not the resource
HOP = frozenset({'date', 'content-length', 'content-type', 'connection', 'keep-alive', 'transfer-encoding',
                 'x-put-timestamp', 'x-delete-after'})


@dataclass(slots=True)
class Reply:
    """A storage server's answer, body and all; ``headers`` with names in lower case."""

    status: int
    reason: str = ''
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b''


SILENT = Reply(503)


def quorum_size(count: float) -> int:
    """Of ``count`` replicas, how many make a write durable: half of them, rounded up."""
    return int(count + 1) // 2


def decided(statuses: Sequence[int], quorum: int) -> bool:
    """Whether answers of one kind (2xx, 3xx, 4xx) are enough."""
    if len(statuses) < quorum:
        return False
    kinds = [status // 100 for status in statuses]
    return any(kinds.count(kind) >= quorum for kind in (1, 2, 3, 4))


def best(replies: Iterable[Reply], quorum: int, overrides: Mapping[int, int] | None = None) -> Response:
    """The answer of the quorum, or 503.

    ``overrides``: statuses that are as good as others once somebody has given
    one of those: a DELETE that one replica has carried out has found nothing on
    a handoff, or on a replica that missed the object.
    """
    replies = list(replies)
    if overrides and any(each.status in overrides.values() for each in replies):
        replies = [Reply(overrides[each.status]) if each.status in overrides else each for each in replies]
    found = _agreed(replies, quorum)
    return error(503) if found is None else respond(found)


def _agreed(replies: list[Reply], quorum: int) -> Reply | None:
    for kind in (1, 2, 3, 4):
        alike = [each for each in replies if each.status // 100 == kind]
        if len(alike) >= quorum:
            return max(alike, key=lambda each: each.status)
    return None


def respond(reply: Reply) -> Response:
    """A storage server's answer as the client gets it."""
    if reply.status >= 300 and not reply.body:
        response = error(reply.status)
    elif reply.status == 202 and not reply.body:
        response = Response(202, ACCEPTED)
        response.headers['Content-Type'] = 'text/html; charset=UTF-8'
    else:
        response = Response(reply.status, reply.body)
        response.headers['Content-Type'] = reply.headers.get('content-type', 'text/html; charset=UTF-8')
    take_headers(response.headers, reply.headers)
    return response


ACCEPTED = b'<html><h1>Accepted</h1><p>The request is accepted for processing.</p></html>'


def take_headers(headers: Any, given: Mapping[str, str]) -> None:
    """Put the headers of a storage server's answer into the client's."""
    for key, value in given.items():
        if key == 'etag':
            headers[key] = value.replace('"', '')
        elif key not in HOP:
            headers[key] = value

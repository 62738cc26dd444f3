"""Listings on their way to the client: entries whose hash carries parameters, which filters show or act upon.

Several filters keep a value beside the etag that the container is told of an
object: ``<etag>; slo_etag=<etag of the whole>; symlink_target=...``.
"""

from collections.abc import Callable
from typing import Any

import orjson

from swift.http import Request, Response
from swift.http import path as paths

#: bytes of a listing that are read; a page of the largest names is smaller
MAX_BYTES = 64 * 1024 * 1024

Entry = dict[str, Any]


def parameters(hash_: str) -> tuple[str, dict[str, str]]:
    """The etag, and what stands behind it by name."""
    etag, *rest = hash_.split(';')
    found = {}
    for each in rest:
        name, equals, value = each.partition('=')
        if equals:
            found[name.strip()] = value.strip()
    return etag.strip(), found


def joined(etag: str, values: dict[str, str]) -> str:
    """The reverse of ``parameters``."""
    return '; '.join([etag, *(f'{name}={value}' for name, value in values.items())])


def is_container(request: Request) -> bool:
    """Whether the path is of a container."""
    pieces = request.path.split('/', 4)
    return len(pieces) >= 4 and bool(pieces[3]) and (len(pieces) == 4 or not pieces[4])


def rewrite(response: Response, mark: bytes, change: Callable[[Entry], None]) -> Response:
    """Let ``change`` see each entry of a JSON listing in which ``mark`` occurs; others go through as they are."""
    if response.status != 200 or not response.headers.get('Content-Type', '').startswith('application/json'):
        return response
    length = response.content_length
    if length is None or length > MAX_BYTES:
        return response
    body = response.body
    if mark not in body:
        return response
    try:
        entries = orjson.loads(body)
    except ValueError:
        return response
    for entry in entries:
        if isinstance(entry.get('hash'), str):
            change(entry)
    response.body = orjson.dumps(entries)
    return response


def unquote(value: str) -> str:
    """Text of a quoted parameter; as it is if it is no UTF-8."""
    try:
        return paths.unquote(value)
    except ValueError:
        return value

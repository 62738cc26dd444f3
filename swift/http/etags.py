"""Which of several entity tags a condition is about: the stored one, or one that a filter keeps in metadata."""

from collections.abc import Mapping

from swift.http.request import Request

HEADER = 'X-Backend-Etag-Is-At'


def update_is_at(request: Request, name: str) -> None:
    """Tell the object server that the client's etag may be in this metadata; earlier names win."""
    names = [each.strip() for each in request.headers.get(HEADER, '').split(',') if each.strip()]
    request.headers[HEADER] = ','.join([*names, name])


def resolve_is_at(request: Request, metadata: Mapping[str, str]) -> str | None:
    """The first of the named that the object has; ``None`` for the stored etag itself."""
    for name in request.headers.get(HEADER, '').split(','):
        value = metadata.get(name.strip()) if name.strip() else None
        if value is not None:
            return value
    return None

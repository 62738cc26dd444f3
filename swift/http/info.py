"""What ``/info`` tells: each part of the pipeline registers what it can do when it is loaded."""

import copy
from collections.abc import Iterable
from typing import Any

_INFO: dict[str, dict[str, Any]] = {}
_ADMIN_INFO: dict[str, dict[str, Any]] = {}


def register(name: str = 'swift', admin: bool = False, **values: Any) -> None:
    """Add values to a section (``swift`` is the proxy's own); ``admin``: seen only by who signs for it.

    Raises ``ValueError`` for a name that ``disallowed_sections`` could not tell from a path.
    """
    if '.' in name or name in ('admin', 'disallowed_sections') and not admin:
        raise ValueError(f'{name!r} cannot be a section of /info')
    (_ADMIN_INFO if admin else _INFO).setdefault(name, {}).update(values)


def get(admin: bool = False, disallowed: Iterable[str] = ()) -> dict[str, Any]:
    """All that is registered, without the disallowed sections or values (``tempurl``, ``swift.policies``)."""
    info = copy.deepcopy(_INFO)
    for path in disallowed:
        *parents, last = path.split('.')
        place: Any = info
        for each in parents:
            place = place.get(each) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place.pop(last, None)
    if admin:
        info['admin'] = {**copy.deepcopy(_ADMIN_INFO), 'disallowed_sections': list(disallowed)}
    return info

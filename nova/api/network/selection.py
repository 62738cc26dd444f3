"""Lists of what is in no table of ours: filters and fields."""

from collections.abc import Collection
from typing import Any

from strata import errors
from strata.rest import Request


def selected(req: Request, items: list[dict[str, Any]], filters: Collection[str]) -> list[dict[str, Any]]:
    """The items that the query's filters leave, with the fields it asks for; an unknown filter is 400."""
    for name, words in req.query.items():
        if name == 'fields':
            continue
        if name not in filters:
            raise errors.Invalid('[{name}] is invalid attribute for filtering', name=repr(name[:40]))
        wanted = {word.lower() for word in words}
        items = [item for item in items if str(item[name]).lower() in wanted]
    fields = req.query.get('fields')
    return [{key: item[key] for key in item if not fields or key in fields} for item in items]

"""How a resource looks in a response, version by version."""

import functools
from collections.abc import Callable
from typing import Any

from strata.rest.versions import Version, prune

#: the name of an attribute, or what makes the value of (resource) or, as ``Linked``, of (request, resource)
Source = str | Callable[[Any], Any]


class Linked:
    """A member whose value needs the request too: ``links=Linked(self_links)``."""

    def __init__(self, source: Callable[[Any, Any], Any]) -> None:
        self.source = source


class View:
    """The members of a resource that a response shows, with their spans.

    Members whose names are no Python words go into ``also``.  The declaration
    is pruned once for each version asked for.
    """

    def __init__(self, also: dict[str, Any] | None = None, **members: Any) -> None:
        self.members = {**members, **(also or {})}
        self.at = functools.cache(self._at)

    def _at(self, asked: Version) -> list[tuple[str, int, Any]]:
        compiled: list[tuple[str, int, Any]] = []
        for key, source in prune(self.members, asked).items():
            if isinstance(source, Linked):
                compiled.append((key, 2, source.source))
            elif callable(source):
                compiled.append((key, 1, source))
            else:
                compiled.append((key, 0, source))
        return compiled

    def __call__(self, req: Any, resource: Any) -> dict[str, Any]:
        """The resource as the request's version shows it."""
        return {key: getattr(resource, source) if kind == 0
                else source(resource) if kind == 1 else source(req, resource)
                for key, kind, source in self.at(req.version)}

    def keys(self, asked: Version) -> set[str]:
        """The members shown in a version; for tests and for ``fields`` filters."""
        return {key for key, _, _ in self.at(asked)}

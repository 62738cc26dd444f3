"""Microversions: spans of a declaration, and how a request names the version it wants.

The comparison is numeric by component: 2.100 is newer than 2.96.
Source: the microversion specification of the OpenStack API SIG.
"""

import dataclasses
import re
from typing import Any

from strata import errors

Version = tuple[int, int]
OLDEST: Version = (0, 0)
NEWEST: Version = (999, 999)
_FORM = re.compile(r'^([1-9][0-9]*)\.(0|[1-9][0-9]*)$', re.ASCII)


def version(text: str) -> Version:
    """``'2.15'`` as (2, 15); raises ``errors.Invalid`` for anything else."""
    match = _FORM.match(text)
    if not match or len(text) > 12:
        raise errors.Invalid(f'API Version String {text[:40]!r} is of invalid format. '
                             'Must be of format MajorNum.MinorNum.')
    return int(match[1]), int(match[2])


@dataclasses.dataclass(frozen=True)
class Span:
    """A value that exists only in some versions, first and last included."""

    value: Any
    first: Version = OLDEST
    last: Version = NEWEST

    def __contains__(self, asked: object) -> bool:
        return self.first <= asked <= self.last      # type: ignore[operator]


def since(first: str, value: Any = None) -> Span:
    """``value`` from version ``first`` on."""
    return Span(value, first=version(first))


def until(last: str, value: Any = None) -> Span:
    """``value`` up to and including version ``last``."""
    return Span(value, last=version(last))


def between(first: str, last: str, value: Any = None) -> Span:
    """``value`` from ``first`` to ``last``, both included."""
    return Span(value, first=version(first), last=version(last))


class Choice:
    """One of several spans under the same key: ``Choice(until('2.88', A), since('2.89', B))``."""

    def __init__(self, *spans: Span) -> None:
        self.spans = spans

    def at(self, asked: Version) -> Span | None:
        """The span that covers a version, if any does."""
        return next((span for span in self.spans if asked in span), None)


def _alive(node: Any, asked: Version) -> bool:
    if isinstance(node, Span):
        return asked in node
    return not isinstance(node, Choice) or node.at(asked) is not None


def prune(node: Any, asked: Version) -> Any:
    """A copy of a declaration as it stood in one version."""
    if isinstance(node, Choice):
        node = node.at(asked)
    if isinstance(node, Span):
        return prune(node.value, asked)
    if isinstance(node, dict):
        return {key: prune(child, asked) for key, child in node.items() if _alive(child, asked)}
    if isinstance(node, (list, tuple)):
        return [prune(child, asked) for child in node if _alive(child, asked)]
    return node


@dataclasses.dataclass(frozen=True)
class Range:
    """The versions a service speaks, and the headers that name them.

    ``service`` is the word in ``OpenStack-API-Version: <service> X.Y``;
    ``legacy`` the older header that carries the bare version.
    """

    service: str
    minimum: Version
    maximum: Version
    legacy: str | None = None

    def negotiate(self, header: str | None, legacy: str | None) -> Version:
        """The version a request is answered in; the newer header wins over the older.

        Raises ``errors.Invalid`` for a malformed one, ``errors.NotAcceptable``
        outside the range.
        """
        asked = None
        for entry in (header or '').split(','):
            words = entry.split()
            if words[:1] == [self.service] and len(words) == 2:
                asked = words[1]
        asked = asked or (legacy or '').strip() or None
        if asked is None:
            return self.minimum
        if asked == 'latest':
            return self.maximum
        wanted = version(asked)
        if not self.minimum <= wanted <= self.maximum:
            raise errors.NotAcceptable(
                'Version {asked} is not supported by the API. Minimum is {low} and maximum is {high}.',
                asked=asked, low=dotted(self.minimum), high=dotted(self.maximum))
        return wanted

    def headers(self, asked: Version) -> list[tuple[str, str]]:
        """What every response says of the version it is in."""
        names = ['OpenStack-API-Version', *([self.legacy] if self.legacy else [])]
        said = [(names[0], f'{self.service} {dotted(asked)}')]
        if self.legacy:
            said.append((self.legacy, dotted(asked)))
        return [*said, ('Vary', ', '.join(names))]


def dotted(asked: Version) -> str:
    """(2, 15) as ``'2.15'``."""
    return f'{asked[0]}.{asked[1]}'

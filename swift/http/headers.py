"""Headers: those of an answer, and those of a request as they lie in its environ."""

import functools
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

Pairs = Iterable[tuple[str, str]]


@functools.lru_cache(4096)
def title(name: str) -> str:
    """As header names are written: ``X-Object-Meta-Color``, ``Etag``."""
    return '-'.join(word.capitalize() for word in name.split('-'))


@functools.lru_cache(4096)
def environ_key(name: str) -> str:
    """Where a request header lies in the environ."""
    key = name.upper().replace('-', '_')
    return key if key in ('CONTENT_TYPE', 'CONTENT_LENGTH') else 'HTTP_' + key


@functools.lru_cache(4096)
def header_name(key: str) -> str:
    """The header of an environ key."""
    return title(key.removeprefix('HTTP_').replace('_', '-'))


class Headers(MutableMapping[str, Any]):
    """Headers of an answer: case does not matter, order is kept, ``None`` removes.

    One name has one value, but for those given to ``add`` (Set-Cookie, say).
    """

    __slots__ = ('_values', '_more')

    def __init__(self, values: 'Mapping[str, Any] | Pairs | None' = None) -> None:
        self._values: dict[str, str] = {}
        self._more: list[tuple[str, str]] = []
        if values:
            for name, value in values.items() if isinstance(values, Mapping) else values:
                self[name] = value

    def __getitem__(self, name: str) -> str:
        return self._values[title(name)]

    def __setitem__(self, name: str, value: Any) -> None:
        name = title(name)
        if value is None:
            self._values.pop(name, None)
        else:
            self._values[name] = value if isinstance(value, str) else str(value)

    def __delitem__(self, name: str) -> None:
        del self._values[title(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return title(str(name)) in self._values

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or ``default``."""
        return self._values.get(title(name), default)

    def items(self) -> Any:
        """Names in title case, with values."""
        return self._values.items()

    def add(self, name: str, value: str) -> None:
        """One more value of a name; only ``pairs`` shows it."""
        self._more.append((title(name), value))

    def pairs(self) -> list[tuple[str, str]]:
        """For ``start_response``."""
        return [*self._values.items(), *self._more]

    def __repr__(self) -> str:
        return f'Headers({self.pairs()!r})'


class RequestHeaders(MutableMapping[str, Any]):
    """The headers of a request: a view, so setting one changes the environ; ``None`` removes."""

    __slots__ = ('environ',)

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ

    def __getitem__(self, name: str) -> str:
        return self.environ[environ_key(name)]

    def __setitem__(self, name: str, value: Any) -> None:
        if value is None:
            self.environ.pop(environ_key(name), None)
        else:
            self.environ[environ_key(name)] = value if isinstance(value, str) else str(value)

    def __delitem__(self, name: str) -> None:
        del self.environ[environ_key(name)]

    def __contains__(self, name: object) -> bool:
        return environ_key(str(name)) in self.environ

    def __iter__(self) -> Iterator[str]:
        for key in self.environ:
            if key.startswith('HTTP_') or (key in ('CONTENT_TYPE', 'CONTENT_LENGTH') and self.environ[key]):
                yield header_name(key)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or ``default``."""
        return self.environ.get(environ_key(name), default)

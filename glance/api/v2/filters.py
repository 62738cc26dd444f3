"""What a list of images may be asked for: filters, order and pages, as published."""

import csv
import re
from collections.abc import Callable, Sequence
from typing import Any

from glance.api.v2.schemas import MEMBER_STATUSES, VISIBILITIES
from glance.registry.interface import Search
from strata import clock, errors
from strata.rest import Request

#: attributes that take ``in:a,b`` too
_LISTS = frozenset({'id', 'name', 'status', 'container_format', 'disk_format'})
_WORDS = frozenset({'owner', 'checksum', 'os_hash_algo', 'os_hash_value'})
_NUMBERS = frozenset({'size', 'min_disk', 'min_ram', 'virtual_size'})
_FLAGS = {'protected': 'protected', 'os_hidden': 'os_hidden'}
_TIMES = frozenset({'created_at', 'updated_at'})
_OPERATORS = frozenset({'gt', 'gte', 'lt', 'lte', 'eq', 'neq'})
_PAGING = frozenset({'limit', 'marker', 'sort_key', 'sort_dir', 'sort', 'visibility', 'member_status', 'tag'})
SORT_KEYS = frozenset({'name', 'status', 'container_format', 'disk_format', 'size', 'id', 'created_at',
                       'updated_at', 'min_disk', 'min_ram', 'owner', 'visibility', 'protected', 'os_hidden',
                       'checksum', 'virtual_size'})
_LARGEST = 1 << 62


def _integer(name: str, value: str) -> int:
    if not re.fullmatch(r'[0-9]{1,19}', value, re.ASCII) or int(value) > _LARGEST:
        raise errors.Invalid('{name} param must be a non-negative integer, not {value}.',
                             name=name, value=repr(value[:40]))
    return int(value)


def _flag(name: str, value: str) -> bool:
    if value.lower() not in ('true', 'false', '1', '0'):
        raise errors.Invalid("Invalid value {value} for {name}: it is 'true' or 'false'.",
                             value=repr(value[:40]), name=name)
    return value.lower() in ('true', '1')


def _listed(name: str, value: str) -> list[Any]:
    """``in:a,"b,c"`` as a condition; a plain value is itself."""
    operator, colon, rest = value.partition(':')
    if colon and operator == 'in':
        quoted = rest.replace('""', '').count('"')
        if quoted % 2:
            raise errors.Invalid('Invalid filter value {value}. The quote is not closed.', value=value[:80])
        return [name, 'in', next(csv.reader([rest]), [''])]
    if colon and operator in ('eq', 'neq'):
        return [name, operator, rest]
    return [name, 'eq', value]


def _time(name: str, value: str) -> list[Any]:
    operator, colon, rest = value.partition(':')
    if not colon or operator not in _OPERATORS:
        # a bare time has colons of its own
        if re.match(r'[a-z]+$', operator):
            raise errors.Invalid('Unable to filter by unknown operator {operator}.',
                                 operator=repr(operator[:40]))
        operator, rest = 'eq', value
    try:
        clock.parse(rest)
    except ValueError as error:
        raise errors.Invalid('Invalid time {value} in filter {name}.',
                             value=repr(rest[:40]), name=name) from error
    return [name, operator, rest]


def _range(name: str, value: str) -> list[Any]:
    return [name[:-4], 'gte' if name.endswith('_min') else 'lte', _integer(name, value)]


def _condition(name: str, value: str) -> list[Any] | None:
    """The condition a parameter stands for, or nothing if it is a property's name."""
    kinds: list[tuple[frozenset[str] | dict[str, str], Callable[[], list[Any]]]] = [
        (_LISTS, lambda: _listed(name, value)), (_WORDS, lambda: [name, 'eq', value]),
        (_NUMBERS, lambda: [name, 'eq', _integer(name, value)]),
        (_FLAGS, lambda: [name, 'eq', _flag(name, value)]), (_TIMES, lambda: _time(name, value)),
        (frozenset({'size_min', 'size_max'}), lambda: _range(name, value))]
    return next((make() for names, make in kinds if name in names), None)


def search(req: Request) -> Search:
    """The page that a request asks for; ``errors.Invalid`` names the parameter at fault."""
    query = req.query
    found = Search(sorts=_sorts(query), tags=query.get('tag', []), limit=_limit(req, query),
                   marker=query.get('marker', [None])[-1])
    found.visibility = _word(query, 'visibility', [*VISIBILITIES, 'all'])
    found.member_status = _word(query, 'member_status', [*MEMBER_STATUSES, 'all']) or 'accepted'
    for name, values in query.items():
        if name in _PAGING:
            continue
        if '\0' in name or any('\0' in value for value in values):
            raise errors.Invalid('NUL is not allowed in a filter.')
        condition = _condition(name, values[-1])
        if condition is None:
            found.properties[name] = values[-1]
        else:
            found.conditions.append(condition)
    if 'os_hidden' not in query:
        found.conditions.append(['os_hidden', 'eq', False])
    if any(len(tag) > 255 for tag in found.tags):
        raise errors.Invalid('A tag is at most 255 characters.')
    return found


def _word(query: dict[str, list[str]], name: str, words: Sequence[str]) -> str | None:
    value = query.get(name, [None])[-1]
    if value is not None and value not in words:
        raise errors.Invalid('Invalid {name} value: {value}. It is one of {words}.',
                             name=name, value=repr(value[:40]), words=', '.join(words))
    return value


def _limit(req: Request, query: dict[str, list[str]]) -> int:
    conf = req.wiring.conf
    if 'limit' not in query:
        return min(conf.limit_param_default, conf.api_limit_max)
    return min(_integer('limit', query['limit'][-1]), conf.api_limit_max)


def _sorts(query: dict[str, list[str]]) -> list[list[str]]:
    keys, ways = query.get('sort_key', []), query.get('sort_dir', [])
    if 'sort' in query:
        if keys or ways:
            raise errors.Invalid('Old and new sorting syntax cannot be combined')
        pairs = [part.strip().partition(':') for part in query['sort'][-1].split(',')]
        order = [[key.strip(), way.strip() or 'desc'] for key, _, way in pairs]
    else:
        keys = keys or ['created_at']
        if len(ways) > 1 and len(ways) != len(keys):
            raise errors.Invalid('Number of sort dirs does not match the number of sort keys')
        ways = ways * len(keys) if len(ways) == 1 else ways or ['desc'] * len(keys)
        order = [list(pair) for pair in zip(keys, ways, strict=True)]
    for key, way in order:
        if key not in SORT_KEYS:
            raise errors.Invalid('Invalid sort key: {key}. It must be one of the following: {known}.',
                                 key=key[:80], known=', '.join(sorted(SORT_KEYS)))
        if way not in ('asc', 'desc'):
            raise errors.Invalid('Invalid sort direction: {way}. It is asc or desc.', way=way[:80])
    return _total(order)


def _total(order: list[list[str]]) -> list[list[str]]:
    """The order made unique, so that pages neither skip nor repeat an image."""
    seen: dict[str, str] = {}
    for key, way in order:
        seen.setdefault(key, way)
    if 'created_at' not in seen and 'id' not in seen:
        seen['created_at'] = 'desc'
    seen.setdefault('id', 'desc')
    return [[key, way] for key, way in seen.items()]

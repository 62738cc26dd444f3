"""An attribute of a network resource: what it takes, who may set it, how it is shown and searched."""

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from strata import errors
from strata.rest import BOOLEAN, UUID, true

STRING = {'type': 'string', 'maxLength': 255}
STRING_OR_NULL = {'type': ['string', 'null'], 'maxLength': 255}
UUID_OR_NULL = {'anyOf': [UUID, {'type': 'null'}]}
IP = {'type': 'string', 'format': 'ip'}
IP_OR_NULL = {'anyOf': [IP, {'type': 'null'}]}
MAC = {'type': 'string', 'format': 'mac'}
INTEGER = {'type': ['integer', 'string'], 'pattern': '^-?[0-9]{1,9}$', 'minimum': -(2 ** 31),
           'maximum': 2 ** 31}
INTEGER_OR_NULL = {**INTEGER, 'type': ['integer', 'string', 'null']}
ROUTE = {'type': 'object', 'required': ['destination', 'nexthop'], 'additionalProperties': False,
         'properties': {'destination': {'type': 'string', 'format': 'cidr'}, 'nexthop': IP}}
ROUTES = {'type': 'array', 'items': ROUTE, 'maxItems': 200}
ROUTES_OR_NULL = {**ROUTES, 'type': ['array', 'null']}
FIXED_IPS = {'type': 'array', 'maxItems': 64, 'items': {
    'type': 'object', 'additionalProperties': False,
    'properties': {'subnet_id': UUID, 'ip_address': IP}}}
ZONES = {'type': 'array', 'maxItems': 8, 'uniqueItems': True, 'items': STRING}


def whole(value: Any) -> int | None:
    """A whole number that may have come as text."""
    return None if value is None else int(value)


def plain_ip(value: str | None) -> str | None:
    """An address as ``ipaddress`` prints it."""
    return None if value is None else str(ipaddress.ip_address(value))


#: in place of a default: the domain works it out
ABSENT: Any = object()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attribute:
    """One member of a resource's body.

    ``on`` says where clients may give it: 'c' when creating, 'u' when updating.  ``guards`` maps
    create, update and get to the check of a rule of its own (``create_network:shared``).  ``key`` is the
    name in the domain and on the model; ``source`` what shows it, if that is something else.
    """

    schema: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    on: str = ''
    required: bool = False
    key: str | None = None
    source: str | Callable[[Any], Any] | None = None
    convert: Callable[[Any], Any] | None = None
    default: Any = ABSENT
    guards: Mapping[str, str] = dataclasses.field(default_factory=dict)
    shown: bool = True
    #: turns the values of a filter into a condition; ``None``: by column, if there is one
    condition: Callable[[list[str]], Any] | None = None


def text(on: str = 'cu', **more: Any) -> Attribute:
    """Free text of up to 255 characters, empty if not given."""
    return Attribute(**{'schema': STRING, 'on': on, 'default': '', **more})


def flag(on: str = 'cu', **more: Any) -> Attribute:
    """A truth value, in any of its spellings."""
    return Attribute(**{'schema': BOOLEAN, 'on': on, 'convert': true, **more})


def shown(source: str | Callable[[Any], Any] | None = None, **more: Any) -> Attribute:
    """An attribute that clients only see."""
    return Attribute(source=source, **more)


def boolean(words: list[str]) -> list[bool]:
    """The values of a boolean filter; ``errors.Invalid`` for a word that is no truth value."""
    values = []
    for word in words:
        if word.lower() not in ('true', 'false', '1', '0'):
            raise errors.Invalid("'{word}' is not a valid boolean value", word=word[:40])
        values.append(word.lower() in ('true', '1'))
    return values


def integers(words: list[str]) -> list[int]:
    """The values of a numeric filter; ``errors.Invalid`` for what is no number."""
    for word in words:
        if not re.fullmatch(r'-?[0-9]{1,9}', word, re.ASCII):
            raise errors.Invalid("'{word}' is not an integer", word=word[:40])
    return [int(word) for word in words]


def stamp(moment: Any) -> str:
    """A time as network bodies show it."""
    return str(moment.strftime('%Y-%m-%dT%H:%M:%SZ'))


#: what every resource has besides its own
COMMON: dict[str, Attribute] = {
    'id': shown(),
    'tenant_id': Attribute(schema=STRING, on='c', key='project_id'),
    'project_id': Attribute(schema=STRING, on='c'),
    'revision_number': shown(),
    'created_at': shown(lambda row: stamp(row.created_at)),
    'updated_at': shown(lambda row: stamp(row.updated_at or row.created_at)),
}

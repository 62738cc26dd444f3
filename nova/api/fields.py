"""Schema pieces that the resources of the compute API share, and what they mean as Python values."""

import ipaddress
from typing import Any

from strata import errors
from strata.rest import Choice, since, until
from strata.rest.schema import FORMATS, is_uuid

#: the largest integer a body may carry where the published schema says 'integer'
MOST = 0x7FFFFFFF

#: what becomes of query keys nobody declared
STRICT = Choice(until('2.74', 'ignore'), since('2.75', 'refuse'))

NAME = {'type': 'string', 'minLength': 1, 'maxLength': 255, 'format': 'printable'}
#: since 2.1 a description may be empty but not unprintable; line feeds are allowed
DESCRIPTION = {'type': ['string', 'null'], 'minLength': 0, 'maxLength': 255,
               'pattern': r'^[^\x00-\x09\x0b-\x1f\x7f]*$'}
DISK_CONFIG = {'type': 'string', 'enum': ['AUTO', 'MANUAL']}
ACCESS_V4 = {'type': ['string', 'null'], 'format': 'ipv4-or-empty'}
ACCESS_V6 = {'type': ['string', 'null'], 'format': 'ipv6-or-empty'}
#: a label, and since 2.94 also a dotted name
HOSTNAME = Choice(
    since('2.94', {'type': 'string', 'minLength': 2, 'maxLength': 255,
                   'pattern': r'^[a-zA-Z0-9]+[a-zA-Z0-9.-]*[a-zA-Z0-9]+$'}),
    since('2.90', {'type': 'string', 'minLength': 2, 'maxLength': 63,
                   'pattern': r'^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$'}))
META_KEY = r'^[a-zA-Z0-9-_:. ]{1,255}$'
METADATA = {'type': 'object', 'patternProperties': {META_KEY: {'type': 'string', 'maxLength': 255}},
            'additionalProperties': False}
TAG = {'type': 'string', 'minLength': 1, 'maxLength': 60, 'pattern': '^[^,/]*$'}
TAGS = {'type': 'array', 'items': TAG, 'maxItems': 50}


@FORMATS.checks('ipv4-or-empty', raises=ValueError)
def _v4_or_empty(value: object) -> bool:
    return not isinstance(value, str) or value == '' or bool(ipaddress.IPv4Address(value))


@FORMATS.checks('ipv6-or-empty', raises=ValueError)
def _v6_or_empty(value: object) -> bool:
    return not isinstance(value, str) or value == '' or ('%' not in value and bool(ipaddress.IPv6Address(value)))


def address(text: str | None) -> str | None:
    """An access address in its shortest form; ``None`` for an empty one."""
    return str(ipaddress.ip_address(text)) if text else None


def count(minimum: int = 0) -> dict[str, Any]:
    """A whole number, also as a string of digits: pass the value through ``whole``."""
    return {'type': ['integer', 'string'], 'pattern': '^[0-9]{1,10}$', 'minimum': minimum, 'maximum': MOST}


def whole(value: Any, field: str, minimum: int = 0) -> int:
    """What a ``count`` came to; ``errors.Invalid`` names the field."""
    number = int(value)
    if not minimum <= number <= MOST:
        raise errors.Invalid('Invalid input for field/attribute {field}. Value: {value}. It is not between '
                             '{low} and {high}', field=field, value=value, low=minimum, high=MOST)
    return number


def check_uuid(id: str) -> None:
    """``errors.Invalid`` unless a path's id is a UUID."""
    try:
        valid = is_uuid(id)
    except ValueError:
        valid = False
    if not valid:
        raise errors.Invalid('Invalid uuid {id}', id=id[:80])

"""Schema pieces that the resources of the compute API share, and what they mean as Python values."""

from typing import Any

from strata import errors
from strata.rest import Choice, since, until

#: the largest integer a body may carry where the published schema says 'integer'
MOST = 0x7FFFFFFF

#: what becomes of query keys nobody declared
STRICT = Choice(until('2.74', 'ignore'), since('2.75', 'refuse'))

NAME = {'type': 'string', 'minLength': 1, 'maxLength': 255, 'format': 'printable'}
#: since 2.1 a description may be empty but not unprintable; line feeds are allowed
DESCRIPTION = {'type': ['string', 'null'], 'minLength': 0, 'maxLength': 255,
               'pattern': r'^[^\x00-\x09\x0b-\x1f\x7f]*$'}
META_KEY = r'^[a-zA-Z0-9-_:. ]{1,255}$'
METADATA = {'type': 'object', 'patternProperties': {META_KEY: {'type': 'string', 'maxLength': 255}},
            'additionalProperties': False}
TAG = {'type': 'string', 'minLength': 1, 'maxLength': 60, 'pattern': '^[^,/]*$'}
TAGS = {'type': 'array', 'items': TAG, 'maxItems': 50}


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

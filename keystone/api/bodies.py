"""Pieces of the schemas that several resources use."""

from typing import Any

ID = {'type': 'string', 'minLength': 1, 'maxLength': 64, 'pattern': r'^[A-Za-z0-9_.@-]+$'}
MAYBE_ID = {**ID, 'type': ['string', 'null']}
ENABLED = {'type': 'boolean'}
DESCRIPTION = {'type': ['string', 'null'], 'maxLength': 65535}
OPTIONS = {'type': 'object', 'additionalProperties': False,
           'properties': {'immutable': {'type': ['boolean', 'null']}}}
TAG = {'type': 'string', 'minLength': 1, 'maxLength': 255, 'pattern': '^[^,/]*$'}
TAGS = {'type': 'array', 'items': TAG, 'maxItems': 80, 'uniqueItems': True}


def name(most: int) -> dict[str, Any]:
    """A name of at most ``most`` characters, not blank."""
    return {'type': 'string', 'minLength': 1, 'maxLength': most, 'pattern': r'\S'}

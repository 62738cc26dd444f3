"""What a client may say of an image: read-only, reserved, published and free attributes."""

import functools
from collections.abc import Mapping
from typing import Any

import jsonschema

from glance.api.v2 import schemas
from strata import errors
from strata.rest import schema as rest_schema

READ_ONLY = frozenset({'created_at', 'updated_at', 'status', 'checksum', 'size', 'virtual_size', 'direct_url',
                       'self', 'file', 'schema', 'os_hash_algo', 'os_hash_value', 'stores'})
RESERVED = frozenset({'location', 'deleted', 'deleted_at', 'member_id'})
#: published attributes that clients set
WRITABLE = frozenset({'name', 'visibility', 'owner', 'disk_format', 'container_format', 'min_disk', 'min_ram',
                      'protected', 'os_hidden', 'tags'})
#: in bytes of UTF-8 this fits the text column of every database
_PROPERTY = {'type': 'string', 'maxLength': 16383}


class ReadOnly(errors.Forbidden):
    message = "Attribute '{name}' is read-only."


class Reserved(errors.Forbidden):
    message = "Attribute '{name}' is reserved."


@functools.cache
def _validator(disk_formats: tuple[str, ...],
               container_formats: tuple[str, ...]) -> jsonschema.Draft7Validator:
    properties = {**schemas.base(list(disk_formats), list(container_formats)), **schemas.WELL_KNOWN}
    return jsonschema.Draft7Validator(
        {'type': 'object', 'properties': properties, 'additionalProperties': _PROPERTY,
         'propertyNames': {'minLength': 1, 'maxLength': 255}}, format_checker=rest_schema.FORMATS)


def check_name(name: str, *, creating: bool = False) -> None:
    """Raise ``errors.Forbidden`` for an attribute that is not the client's to set."""
    if name in READ_ONLY or (name == 'id' and not creating):
        raise ReadOnly(name=name)
    if name in RESERVED or name.startswith('os_glance'):
        raise Reserved(name=name[:80])
    if name == 'locations':
        raise errors.Forbidden("It's not allowed to add locations if locations are invisible.")


def check_values(conf: Any, values: Mapping[str, Any]) -> None:
    """Raise ``errors.Invalid`` naming the attribute whose value is wrong."""
    formats = conf.image_format
    validator = _validator(tuple(formats.disk_formats), tuple(formats.container_formats))
    rest_schema.refuse(validator, dict(values))
    for name, value in values.items():
        for text in (name, *(value if name == 'tags' else (value,))):
            if isinstance(text, str) and '\0' in text:
                raise errors.Invalid('Invalid input for field/attribute {name}. NUL is not allowed.',
                                     name=name.replace('\0', '')[:80])


def divided(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str | None]]:
    """Attributes and properties of a checked document; ``tags`` and ``id`` are among the attributes."""
    attributes = {name: value for name, value in document.items() if name in WRITABLE or name == 'id'}
    return attributes, {name: value for name, value in document.items() if name not in attributes}

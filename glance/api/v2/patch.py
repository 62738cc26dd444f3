"""JSON patches of images: two media types, one list of changes.

::

    application/openstack-images-v2.1-json-patch   [{"op": "replace", "path": "/name", "value": "x"}]
    application/openstack-images-v2.0-json-patch   [{"replace": "/name", "value": "x"}]
"""

import dataclasses
import re
from typing import Any

from glance.api.v2.attributes import WRITABLE, check_name
from glance.registry.interface import Image
from strata import errors

MEDIA = {'application/openstack-images-v2.0-json-patch': 'v2.0',
         'application/openstack-images-v2.1-json-patch': 'v2.1'}
_OPS = ('add', 'replace', 'remove')
_MOST = 300


@dataclasses.dataclass
class Changes:
    """What a patch comes to: attributes and properties to be set, properties to be removed."""

    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)
    properties: dict[str, Any] = dataclasses.field(default_factory=dict)
    removed: list[str] = dataclasses.field(default_factory=list)


def media_type(header: str | None) -> str:
    """Which form of patch a request has; ``errors.UnsupportedMedia`` if none."""
    kind = (header or '').partition(';')[0].strip().lower()
    if kind not in MEDIA:
        raise errors.UnsupportedMedia(type=kind[:80] or 'none', headers={'Accept-Patch': ', '.join(MEDIA)})
    return MEDIA[kind]


def _operation(change: Any, form: str) -> tuple[str, str]:
    """The verb and path of one change."""
    if not isinstance(change, dict):
        raise errors.Invalid('Operations must be JSON objects.')
    if form == 'v2.1':
        op, path = change.get('op'), change.get('path')
    else:
        named = [name for name in _OPS if name in change]
        if len(named) != 1:
            raise errors.Invalid('Operation objects must contain only one member named "add", "remove", '
                                 'or "replace".')
        op, path = named[0], change[named[0]]
    if op not in _OPS:
        raise errors.Invalid('Invalid operation: {op}. It must be one of the following: {known}.',
                             op=repr(op)[:40], known=', '.join(_OPS))
    if op != 'remove' and 'value' not in change:
        raise errors.Invalid('Operation "{op}" requires a member named "value".', op=op)
    if not isinstance(path, str):
        raise errors.Invalid('Unable to find a path in the JSON Schema change.')
    return op, path


def _name(path: str) -> str:
    """The attribute a JSON pointer names; ``errors.Invalid`` for anything but one level."""
    if not path.startswith('/'):
        raise errors.Invalid('Pointer `{path}` does not start with "/".', path=path[:80])
    tokens = path[1:].split('/')
    if any(re.search(r'~(?![01])', token) for token in tokens):
        raise errors.Invalid('Pointer `{path}` contains "~" not part of a recognized escape sequence.',
                             path=path[:80])
    names = [token.replace('~1', '/').replace('~0', '~') for token in tokens]
    if names[0] == 'locations':
        check_name('locations')
    if len(names) > 1 or not names[0]:
        raise errors.Invalid('Invalid JSON pointer for this resource: {path}', path=path[:80])
    return names[0]


def changes(document: Any, form: str, image: Image) -> Changes:
    """What a patch comes to for an image.

    Raises ``errors.Forbidden`` for attributes that are not the client's and
    ``errors.Conflict`` for properties that are not there.
    """
    if not isinstance(document, list):
        raise errors.Invalid('Request body must be a JSON array of operation objects.')
    if len(document) > _MOST:
        raise errors.TooLarge('A patch has at most {most} operations.', most=_MOST)
    result = Changes()
    present = set(image.properties)
    for change in document:
        op, path = _operation(change, form)
        name = _name(path)
        check_name(name)
        if name in WRITABLE:
            if op == 'remove':
                raise errors.Forbidden('Property {name} may not be removed.', name=name)
            result.attributes[name] = change['value']
        elif op == 'remove':
            _must_exist(name, present)
            present.discard(name)
            result.properties.pop(name, None)
            if name in image.properties:
                result.removed.append(name)
        else:
            if op == 'replace':
                _must_exist(name, present)
            present.add(name)
            result.properties[name] = change['value']
    return result


def _must_exist(name: str, present: set[str]) -> None:
    if name not in present:
        raise errors.Conflict('Property {name} does not exist.', name=name[:80])

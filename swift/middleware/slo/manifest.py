"""The manifest of a static large object: what a client sends, what is stored, and the sums over it.

A client sends ``path``, ``size_bytes``, ``etag`` and ``range``, or ``data``; stored
are ``name``, ``bytes``, ``hash``, ``content_type``, ``last_modified`` and, where they
apply, ``range`` (always first-last) and ``sub_slo``, or ``data`` as it came.
"""

import base64
import binascii
import dataclasses
import hashlib
import json
from typing import Any

from swift.http import HttpError, ranges
from swift.http import path as paths

MAX_SIZE = 8 * 1024 * 1024
OBJECT_KEYS = {'path', 'size_bytes', 'etag', 'range'}
DATA_KEYS = {'data'}
_PLAIN = {'Content-Type': 'text/plain'}


@dataclasses.dataclass(slots=True)
class Entry:
    """One segment: an object or a part of it, or bytes of its own."""

    name: str = ''                      # /c/o, as text
    size: int | None = None             # of the whole object
    etag: str | None = None
    asked: ranges.Span | None = None    # the range as the client wrote it
    first: int = 0                      # bytes of the object that are the segment's
    stop: int = 0
    ranged: bool = False                # whether these are not all of it
    data: bytes | None = None
    sub_slo: bool = False
    content_type: str = ''
    last_modified: str = ''

    @property
    def length(self) -> int:
        """Bytes of the segment."""
        return len(self.data) if self.data is not None else self.stop - self.first

    def stored(self) -> dict[str, Any]:
        """As the manifest on disk has it."""
        if self.data is not None:
            return {'data': base64.b64encode(self.data).decode('ascii')}
        kept: dict[str, Any] = {'name': self.name, 'bytes': self.size, 'hash': self.etag,
                                'content_type': self.content_type, 'last_modified': self.last_modified}
        if self.ranged:
            kept['range'] = f'{self.first}-{self.stop - 1}'
        if self.sub_slo:
            kept['sub_slo'] = True
        return kept

    def raw(self) -> dict[str, Any]:
        """As a client would send it."""
        if self.data is not None:
            return self.stored()
        sent: dict[str, Any] = {'etag': self.etag, 'path': self.name}
        if self.ranged:
            sent['range'] = f'{self.first}-{self.stop - 1}'
        return {**sent, 'size_bytes': self.size}


def etag(entries: list[Entry]) -> str:
    """Of the large object: over the etags of its segments, with their ranges."""
    digest = hashlib.md5(usedforsecurity=False)
    for each in entries:
        if each.data is not None:
            text = hashlib.md5(each.data, usedforsecurity=False).hexdigest()
        elif each.ranged:
            text = f'{each.etag}:{each.first}-{each.stop - 1};'
        else:
            text = str(each.etag)
        digest.update(text.encode('utf-8', 'replace'))
    return digest.hexdigest()


def load(body: bytes) -> list[Entry]:
    """The entries of a stored manifest; raises ``ValueError`` for what is none."""
    try:
        return [_stored(each) for each in json.loads(body)]
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f'not a manifest: {error}') from error


def _stored(given: dict[str, Any]) -> Entry:
    if 'data' in given:
        return Entry(data=base64.b64decode(given['data']))
    size = int(given['bytes'])
    entry = Entry(name=given['name'], size=size, etag=given['hash'], stop=size, sub_slo=bool(given.get('sub_slo')),
                  content_type=given.get('content_type', ''), last_modified=given.get('last_modified', ''))
    if given.get('range'):
        found = ranges.within(ranges.parse(f'bytes={given["range"]}'), size)
        if not found:
            raise ValueError(f'the range {given["range"]!r} is not in {size} bytes')
        entry.first, entry.stop = found[0]
        entry.ranged = True
    return entry


def parse(body: bytes, target: str, least: int, most: int) -> list[Entry]:
    """The entries that a client sent for the object at ``target`` (/c/o, as text).

    ``least``: bytes of every segment but the last; ``most``: number of segments.  Raises ``HttpError``
    400 that names all that is wrong, 413 for too many.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise HttpError(400, 'Manifest must be valid JSON.\n') from None
    if not isinstance(given, list):
        raise HttpError(400, 'Manifest must be a list.\n')
    if sum(1 for each in given if not (isinstance(each, dict) and 'data' in each)) > most:
        raise HttpError(413, f'Number of object-backed segments must be <= {most}')
    problems: list[str] = []
    entries = []
    for index, each in enumerate(given):
        try:
            entries.append(_given(each, target, least if index < len(given) - 1 else 0))
        except ValueError as error:
            problems.append(f'Index {index}: {error}\n')
    if given and all(isinstance(each, dict) and 'data' in each for each in given):
        problems.append('Inline data segments require at least one object-backed segment.\n')
    if problems:
        raise HttpError(400, ''.join(problems), _PLAIN)
    return entries


def _given(given: Any, target: str, least: int) -> Entry:
    """One entry; raises ``ValueError`` with what a client is told."""
    if not isinstance(given, dict):
        raise ValueError('not a JSON object')
    inline = 'data' in given
    extra = set(given) - (DATA_KEYS if inline else OBJECT_KEYS)
    if extra:
        raise ValueError('extraneous keys ' + ', '.join(f'"{key}"' for key in sorted(extra)))
    if inline:
        return Entry(data=_data(given['data'], least))
    return _backed(given, target, least)


def _data(text: Any, least: int) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise ValueError('data must be valid base64') from None
    if len(data) < 1:
        raise ValueError(too_small(1))
    return data


def _backed(given: dict[str, Any], target: str, least: int) -> Entry:
    path = given.get('path')
    if path is None:
        raise ValueError('expected keys to include one of "path" or "data"')
    if not isinstance(path, str):
        raise ValueError('"path" must be a string')
    if not isinstance(given.get('etag'), str | None):
        raise ValueError('"etag" must be a string or null (if provided)')
    try:
        path.encode('utf-8')
    except UnicodeEncodeError:
        raise ValueError('"path" must be valid UTF-8') from None
    name = '/' + path.lstrip('/')
    if '/' not in name[1:].rstrip('/'):
        raise ValueError('path does not refer to an object. Path must be of the form /container/object.')
    if name == target:
        raise ValueError('manifest must not include itself as a segment')
    entry = Entry(name=name, etag=given.get('etag') or None, size=_size(given.get('size_bytes')))
    if given.get('range') is not None:
        entry.asked = _range(given['range'])
        if entry.size is not None and entry.size > 0 and not ranges.within([entry.asked], entry.size):
            raise ValueError('unsatisfiable range')
    if entry.size is not None and 0 <= entry.size < least:
        raise ValueError(too_small(least))
    return entry


def _size(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError('invalid size_bytes')
    try:
        return int(value)
    except (ValueError, OverflowError):
        raise ValueError('invalid size_bytes') from None


def _range(value: Any) -> ranges.Span:
    spans = ranges.parse(f'bytes={value}') if isinstance(value, str) else None
    if not spans:
        raise ValueError('invalid range')
    if len(spans) > 1:
        raise ValueError('multiple ranges (only one allowed)')
    return spans[0]


def too_small(least: int) -> str:
    """What a client is told of a segment of fewer bytes."""
    return f'too small; each segment must be at least {least} byte{"" if least == 1 else "s"}.'


def quoted(name: str) -> str:
    """The path of a segment as reports tell it."""
    return paths.quote(name)

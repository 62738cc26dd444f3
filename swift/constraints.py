"""What the cluster accepts: sizes and counts from ``[swift-constraints]`` of swift.conf, and the checks of them."""

import os
import time
from typing import Any

from strata import errors
from swift import conf as confs
from swift.http.headers import environ_key
from swift.http.request import Request
from swift.http.response import HttpError
from swift.timestamp import Timestamp, valid_delete_at

OPTIONS = {
    'max_file_size': confs.Option(confs.positive, 5 * 1024 ** 3 + 2, 'bytes of one object'),
    'max_meta_name_length': confs.Option(confs.positive, 128, 'bytes of a metadata name'),
    'max_meta_value_length': confs.Option(confs.positive, 256, 'bytes of a metadata value'),
    'max_meta_count': confs.Option(confs.count, 90, 'metadata of one resource'),
    'max_meta_overall_size': confs.Option(confs.positive, 4096, 'bytes of names and values together'),
    'max_header_size': confs.Option(confs.positive, 8192, 'bytes of one header'),
    'extra_header_count': confs.Option(confs.count, 0, 'headers beyond those that the rest allows'),
    'max_object_name_length': confs.Option(confs.positive, 1024, 'bytes'),
    'container_listing_limit': confs.Option(confs.positive, 10000, 'entries of one answer'),
    'account_listing_limit': confs.Option(confs.positive, 10000, 'entries of one answer'),
    'max_account_name_length': confs.Option(confs.positive, 256, 'bytes'),
    'max_container_name_length': confs.Option(confs.positive, 256, 'bytes'),
    'valid_api_versions': confs.Option(confs.words, ['v1', 'v1.0'], 'first piece of a path'),
    'auto_create_account_prefix': confs.Option(confs.text, '.', "of accounts that are the cluster's own"),
}

#: names of the cluster's own begin so
RESERVED = '\0'
#: bytes that the name of a version has beside that of its object: two NULs and a time
VERSION = 18
_PLAIN = {'Content-Type': 'text/plain; charset=UTF-8'}


class Constraints:
    """The limits of one cluster, as attributes of the published names."""

    def __init__(self, **values: Any) -> None:
        """Published defaults, but for ``values``."""
        for name, option in OPTIONS.items():
            setattr(self, name, values.get(name, option.default))
        self.max_header_count = 32 + self.max_meta_count + self.extra_header_count

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)      # for type checkers: the attributes are those of OPTIONS

    @classmethod
    def load(cls, swift_dir: str = '/etc/swift') -> 'Constraints':
        """Of ``swift_dir``/swift.conf; raises ``errors.Invalid`` naming the option."""
        path = os.path.join(swift_dir, 'swift.conf')
        given = confs.read(path, 'swift-constraints')
        return cls(**vars(confs.options(given, OPTIONS, f'{path}: [swift-constraints]')))

    def info(self) -> dict[str, Any]:
        """What ``/info`` tells."""
        return {name: getattr(self, name) for name in OPTIONS}

    def check_metadata(self, request: Request, kind: str) -> None:
        """The X-``kind``-Meta- headers of a request (account, container, object); raises ``HttpError`` 400."""
        prefix = environ_key(f'X-{kind}-Meta-')
        count = size = 0
        for key, value in request.environ.items():
            if key[:5] != 'HTTP_':
                continue
            if len(value) > self.max_header_size:
                name = key[5:].replace('_', '-').title()
                raise HttpError(400, f'Header value too long: {name[:self.max_meta_name_length]}', _PLAIN)
            if not key.startswith(prefix):
                continue
            name = key[len(prefix):].replace('_', '-')
            self._check_entry(name, value)
            count += 1
            size += len(name) + len(value)
        if count > self.max_meta_count:
            raise HttpError(400, f'Too many metadata items; max {self.max_meta_count}', _PLAIN)
        if size > self.max_meta_overall_size:
            raise HttpError(400, f'Total metadata too large; max {self.max_meta_overall_size}', _PLAIN)

    def _check_entry(self, name: str, value: str) -> None:
        if not name:
            raise HttpError(400, 'Metadata name cannot be empty', _PLAIN)
        if len(name) > self.max_meta_name_length:
            raise HttpError(400, f'Metadata name too long: {name.title()[:self.max_meta_name_length]}...', _PLAIN)
        if len(value) > self.max_meta_value_length:
            raise HttpError(400, f'Metadata value longer than {self.max_meta_value_length}: {name.title()}', _PLAIN)
        for text in (name, value):
            if not text.isascii():
                try:
                    text.encode('latin-1').decode('utf-8')
                except ValueError:
                    raise HttpError(400, 'Metadata must be valid UTF-8', _PLAIN) from None

    def check_object(self, request: Request, name: str) -> None:
        """A PUT of an object: length, name, type, metadata; raises ``HttpError`` 400, 411, 413 or 501."""
        length = request.message_length()
        if length is not None and length > self.max_file_size:
            raise HttpError(413, 'Your request is too large.', _PLAIN)
        if length is None and not request.is_chunked:
            raise HttpError(411, 'Missing Content-Length header.', _PLAIN)
        size = len(name.encode('utf-8')) - (VERSION if name.startswith(RESERVED) else 0)
        if size > self.max_object_name_length:
            raise HttpError(400, f'Object name length of {size} longer than {self.max_object_name_length}', _PLAIN)
        if not request.environ.get('CONTENT_TYPE'):
            raise HttpError(400, 'No content type', _PLAIN)
        check_delete_headers(request)
        try:
            check_utf8(request.environ['CONTENT_TYPE'].encode('latin-1').decode('utf-8'))
        except ValueError:
            raise HttpError(400, 'Please specify a valid UTF-8 encoded Content-Type', _PLAIN) from None
        self.check_metadata(request, 'Object')


def check_utf8(text: str) -> None:
    """Raises ``HttpError`` 412 for a name that is empty, holds NUL, or is no proper UTF-8 text."""
    try:
        valid = bool(text) and '\x00' not in text and bool(text.encode('utf-8'))
    except UnicodeEncodeError:
        valid = False
    if not valid:
        raise HttpError(412, 'Invalid UTF8 or contains NULL', _PLAIN)


def check_reserved(*names: str | None) -> None:
    """Of an account, a container, an object: what begins with NUL is the cluster's own, and NUL stands nowhere else.

    What is in a reserved account or container is reserved, and a user's container
    holds nothing reserved.  In the cluster's own accounts (queues) names are paths, of anything.
    Raises ``HttpError`` 400.
    """
    if names[0] is not None and names[0].startswith('.'):
        return
    kinds = ('account', 'container', 'object')
    spaces = []
    for kind, name in zip(kinds, names):
        if name is None:
            break
        reserved = name.startswith(RESERVED)
        if RESERVED in name and not reserved:
            raise HttpError(400, f'Invalid reserved-namespace {kind}', _PLAIN)
        spaces.append(reserved)
    for place, (above, below) in enumerate(zip(spaces, spaces[1:])):
        if above != below and (above or place == 1):
            words = ['reserved' if space else 'user' for space in (below, above)]
            raise HttpError(400, f'Invalid {words[0]}-namespace {kinds[place + 1]} in '
                                 f'{words[1]}-namespace {kinds[place]}', _PLAIN)


def check_delete_headers(request: Request) -> None:
    """Turn X-Delete-After into X-Delete-At; raises ``HttpError`` 400 for what is no time ahead."""
    now = request.headers.get('X-Timestamp')
    present = int(Timestamp(now)) if now else int(time.time())
    after = request.headers.get('X-Delete-After')
    if after is not None:
        try:
            seconds = int(after)
        except ValueError:
            raise HttpError(400, 'Non-integer X-Delete-After', _PLAIN) from None
        if seconds <= 0:
            raise HttpError(400, 'X-Delete-After in past', _PLAIN)
        request.headers['X-Delete-At'] = str(valid_delete_at(present + seconds))
        del request.headers['X-Delete-After']
    at = request.headers.get('X-Delete-At')
    if at is None:
        return
    try:
        when = valid_delete_at(int(at))
    except ValueError:
        raise HttpError(400, 'Non-integer X-Delete-At', _PLAIN) from None
    if when < present and not confs.true(request.headers.get('X-Backend-Replication')):
        raise HttpError(400, 'X-Delete-At in past', _PLAIN)
    request.headers['X-Delete-At'] = f'{when:010d}'




def load(swift_dir: str) -> Constraints:
    """The cluster's constraints; the published ones where there is no swift.conf yet."""
    try:
        return Constraints.load(swift_dir)
    except errors.Invalid:
        if os.path.exists(os.path.join(swift_dir, 'swift.conf')):
            raise
        return Constraints()

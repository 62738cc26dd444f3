"""Signatures by the secret keys of accounts and containers, which tempurl and formpost accept in place of a token.

A signature is a keyed hash in hexadecimal, whose length tells the algorithm, or
``sha512:`` and base64, of either alphabet.  An account and a container have two
keys each, so that one can be replaced while the other still serves.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from strata import errors
from swift.http.request import Request
from swift.http.response import Response, error
from swift.proxy import info

ALGORITHMS = ('sha1', 'sha256', 'sha512')
DEPRECATED = ('sha1',)
DEFAULT = ['sha256', 'sha512']
#: what a 401 asks for; nothing that a client sent is in it
CHALLENGE = {'WWW-Authenticate': 'Swift realm="unknown"'}

_BY_LENGTH = {40: 'sha1', 64: 'sha256', 128: 'sha512'}
_HEXADECIMAL = re.compile(r'[0-9a-f]+\Z', re.ASCII)
_KEYS = ('temp-url-key', 'temp-url-key-2')

#: (secret, whether it is the container's)
Key = tuple[bytes, bool]


def digests(names: list[str], where: str) -> list[str]:
    """The algorithms that an operator allows; raises ``errors.Invalid`` for those that there are not."""
    unknown = set(names) - set(ALGORITHMS)
    if unknown or not names:
        raise errors.Invalid(f'{where}: allowed_digests: {" ".join(sorted(unknown)) or "nothing"} is not of '
                             f'{" ".join(ALGORITHMS)}')
    return sorted(set(names))


def parse(signature: str) -> tuple[str, str]:
    """(algorithm, hexadecimal digest) of what a client gave; raises ``ValueError``."""
    name, colon, text = signature.partition(':')
    if not colon:
        if not _HEXADECIMAL.match(signature):
            raise ValueError('not in hexadecimal')
        return _BY_LENGTH.get(len(signature), ''), signature
    # both alphabets, with and without padding
    text = text.rstrip('=').translate({ord('-'): '+', ord('_'): '/'})
    try:
        digest = base64.b64decode(text + '=' * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as problem:
        raise ValueError('not base64') from problem
    return name, digest.hex()


def sign(key: bytes, message: bytes, algorithm: str) -> str:
    """The keyed hash in hexadecimal."""
    return hmac.new(key, message, algorithm).hexdigest()


def keys(environ: dict[str, Any], app: Any) -> Iterator[Key]:
    """All secrets that may sign for the container of a request."""
    for found, own in ((info.get_account_info, False), (info.get_container_info, True)):
        for key in _secrets(found(environ, app).get('meta') or {}):
            yield key, own


def _secrets(metadata: Mapping[str, Any]) -> Iterator[bytes]:
    for name, value in metadata.items():
        if name.lower() in _KEYS and value:
            yield value.encode('latin-1')


def signer(candidates: Iterable[Key], messages: Iterable[bytes], algorithm: str, digest: str) -> Key | None:
    """The key that made a signature over one of the messages, found in a time that tells nothing about the keys."""
    messages = list(messages)
    made_by = None
    for key in candidates:
        for message in messages:
            if hmac.compare_digest(sign(key[0], message, algorithm), digest) and made_by is None:
                made_by = key
    return made_by


def authorize(environ: dict[str, Any], user: str, account: str, container: str | None) -> None:
    """Let a request do what its key may: touch this container, or this account where ``container`` is ``None``."""
    environ['swift.authorize'] = _within(account, container)
    environ['swift.authorize_override'] = True
    environ['REMOTE_USER'] = user
    environ.pop('HTTP_X_AUTH_TOKEN', None)
    environ.pop('HTTP_X_SERVICE_TOKEN', None)
    environ.pop('swift_owner', None)
    environ.pop('reseller_request', None)


def _within(account: str, container: str | None) -> Callable[[Any], Response | None]:
    def check(request: Any) -> Response | None:
        try:
            _, asked, place, _ = Request(request.environ).split(2, 4, True)
        except ValueError:
            return error(401, headers=CHALLENGE)
        if asked == account and (container is None or place == container):
            return None
        return error(401, headers=CHALLENGE)
    return check

"""The cipher, and the published forms of what is encrypted and of what is known about it."""

import base64
import binascii
import hmac
import json
import os
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

NAME = 'AES_CTR_256'
KEY = 32
BLOCK = 16
BODY_META = 'X-Object-Sysmeta-Crypto-Body-Meta'
ETAG = 'X-Object-Sysmeta-Crypto-Etag'
ETAG_MAC = 'X-Object-Sysmeta-Crypto-Etag-Mac'
OVERRIDE = 'X-Object-Sysmeta-Container-Update-Override-Etag'
#: the key of user metadata, and before the name of each
USER_META = 'X-Object-Transient-Sysmeta-Crypto-Meta'
USER_META_PREFIX = USER_META + '-'
#: where a filter finds ``fetch(key_id=None) -> Keys``
FETCH = 'swift.callback.fetch_crypto_keys'
_MARK = 'swift_meta='

Keys = Mapping[str, Any]
Meta = dict[str, Any]


class CryptoError(Exception):
    """Something cannot be decrypted: its description is damaged, or its key is not known."""


def stream(key: bytes, iv: bytes, offset: int = 0) -> Callable[[bytes], bytes]:
    """What encrypts, and as well decrypts, pieces of data from ``offset`` on."""
    if len(key) != KEY or len(iv) != BLOCK:
        raise CryptoError('a key or initialization vector has the wrong length')
    blocks, skipped = divmod(offset, BLOCK)
    counter = (int.from_bytes(iv, 'big') + blocks) % (1 << 8 * BLOCK)
    update = Cipher(algorithms.AES(key), modes.CTR(counter.to_bytes(BLOCK, 'big'))).encryptor().update
    if skipped:
        update(bytes(skipped))
    return update


def new_meta(**more: Any) -> Meta:
    """The description of something about to be encrypted, with a new initialization vector."""
    return {'cipher': NAME, 'iv': os.urandom(BLOCK), **more}


def wrap(key: bytes, by: bytes) -> Meta:
    """A key encrypted by another."""
    iv = os.urandom(BLOCK)
    return {'iv': iv, 'key': stream(by, iv)(key)}


def unwrap(meta: Meta, by: bytes) -> bytes:
    """The body's own key; raises ``CryptoError``."""
    wrapped = meta.get('body_key')
    if not isinstance(wrapped, dict) or 'key' not in wrapped or 'iv' not in wrapped:
        raise CryptoError('the key of the body is missing')
    return stream(by, wrapped['iv'])(wrapped['key'])


def dump(meta: Meta) -> str:
    """A description as a header value."""
    return urllib.parse.quote_plus(json.dumps(_encoded(meta), sort_keys=True))


def load(text: str) -> Meta:
    """The description of a header value; raises ``CryptoError``."""
    try:
        meta = json.loads(urllib.parse.unquote_plus(text))
        if not isinstance(meta, dict) or meta.get('cipher') != NAME:
            raise CryptoError('not a cipher that is known')
        return _decoded(meta)
    except (ValueError, TypeError) as error:
        raise CryptoError('a description cannot be read') from error


def _encoded(meta: Meta) -> Meta:
    return {name: base64.b64encode(value).decode('ascii') if isinstance(value, bytes) else
            _encoded(value) if name == 'body_key' else value for name, value in meta.items()}


def _decoded(meta: Meta) -> Meta:
    return {name: base64.b64decode(value, validate=True) if name in ('iv', 'key') else
            _decoded(value) if name == 'body_key' and isinstance(value, dict) else value
            for name, value in meta.items()}


def encrypt(value: str, key: bytes, **more: Any) -> str:
    """A header value (a WSGI string) encrypted, its description behind it."""
    meta = new_meta(**more)
    data = stream(key, meta['iv'])(value.encode('latin-1'))
    return f'{base64.b64encode(data).decode("ascii")}; {_MARK}{dump(meta)}'


def is_encrypted(value: str) -> bool:
    """Whether a value has a description of ours behind it."""
    return f'; {_MARK}' in value


def described(value: str) -> tuple[bytes, Meta, str]:
    """(what is encrypted, its description, what else follows) of a value; raises ``CryptoError``."""
    data, *parameters = value.split(';')
    meta, others = None, []
    for each in parameters:
        if each.strip().startswith(_MARK):
            meta = load(each.strip()[len(_MARK):])
        else:
            others.append(each)
    if meta is None or 'iv' not in meta:
        raise CryptoError('a description is missing')
    try:
        return base64.b64decode(data, validate=True), meta, ';'.join(['', *others])
    except (binascii.Error, ValueError) as error:
        raise CryptoError('not base64') from error


def decrypt(value: str, key: bytes) -> str:
    """The value that was encrypted; raises ``CryptoError``."""
    data, meta, rest = described(value)
    return stream(key, meta['iv'])(data).decode('latin-1') + rest


def mac(key: bytes, etag: str) -> str:
    """The keyed hash of an entity tag, by which it can be compared without being known."""
    return base64.b64encode(hmac.new(key, etag.encode('latin-1'), 'sha256').digest()).decode('ascii')

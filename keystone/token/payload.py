"""What is inside a token, and its compact form.

::

    version(1) methods(1) kind of scope(1) issued(8) expires(8) audit id(16)
    [audit id of the first of the chain(16)] user scope [application credential]

Times are microseconds since 1970.  Identifiers of 32 hexadecimal digits take
17 bytes; others their length and text.  Sealed with Fernet, a project token
has about 200 characters.
"""

import base64
import dataclasses
import datetime
import secrets
import struct

from strata import clock, errors

UNSCOPED, PROJECT, DOMAIN, SYSTEM = 'unscoped', 'project', 'domain', 'system'
_KINDS = (UNSCOPED, PROJECT, DOMAIN, SYSTEM)
#: the order is part of the format: append only
_METHODS = ('password', 'token', 'application_credential', 'ec2credential', 'totp', 'external')
_VERSION = 1
_CHAINED = 0x80
_HEAD = struct.Struct('>BBBqq16s')
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=clock.UTC)
_MICRO = datetime.timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True, slots=True)
class Payload:
    """The facts that a token carries; everything else is looked up when it is validated."""

    user_id: str
    methods: tuple[str, ...]
    issued_at: datetime.datetime
    expires_at: datetime.datetime
    #: its own id, and that of the token at the start of its chain if it was got from another
    audit_ids: tuple[str, ...]
    kind: str = UNSCOPED
    #: the id of the project or domain; empty for the others
    scope_id: str = ''
    application_credential_id: str = ''

    @property
    def audit_id(self) -> str:
        """The id that names this token in logs and revocations."""
        return self.audit_ids[0]

    @property
    def chain_id(self) -> str:
        """The id that this token shares with all that it was got from."""
        return self.audit_ids[-1]


def new_audit_id() -> str:
    """A random audit id, 22 characters."""
    return _text(secrets.token_bytes(16))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b'=').decode()


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + '=' * (-len(text) % 4))


def pack(payload: Payload) -> bytes:
    """The compact form."""
    methods = sum(1 << _METHODS.index(name) for name in payload.methods)
    chained = len(payload.audit_ids) > 1
    head = _HEAD.pack(_VERSION, methods, _KINDS.index(payload.kind) | (_CHAINED if chained else 0),
                      (payload.issued_at - _EPOCH) // _MICRO, (payload.expires_at - _EPOCH) // _MICRO,
                      _raw(payload.audit_id))
    chain = _raw(payload.chain_id) if chained else b''
    return head + chain + _pack_id(payload.user_id) + _pack_id(payload.scope_id) \
        + _pack_id(payload.application_credential_id)


def unpack(data: bytes) -> Payload:
    """The payload in a compact form; ``errors.Invalid`` if it is none of ours."""
    try:
        version, methods, kind, issued, expires, audit = _HEAD.unpack_from(data)
        if version != _VERSION:
            raise errors.Invalid('The token is of an unknown version.')
        place, audit_ids = _HEAD.size, (_text(audit),)
        if kind & _CHAINED:
            audit_ids += (_text(data[place:place + 16]),)
            place += 16
        user_id, place = _unpack_id(data, place)
        scope_id, place = _unpack_id(data, place)
        application, place = _unpack_id(data, place)
        return Payload(
            user_id=user_id, methods=tuple(name for bit, name in enumerate(_METHODS) if methods >> bit & 1),
            issued_at=_EPOCH + issued * _MICRO, expires_at=_EPOCH + expires * _MICRO, audit_ids=audit_ids,
            kind=_KINDS[kind & ~_CHAINED], scope_id=scope_id, application_credential_id=application)
    except (struct.error, IndexError, UnicodeDecodeError, OverflowError) as error:
        raise errors.Invalid('The token is damaged.') from error


def _pack_id(id: str) -> bytes:
    if len(id) == 32:
        try:
            raw = bytes.fromhex(id)
        except ValueError:
            raw = b''
        if raw.hex() == id:
            return b'\xff' + raw
    text = id.encode()
    if len(text) > 254:
        raise ValueError('an identifier of more than 254 bytes')
    return bytes([len(text)]) + text


def _unpack_id(data: bytes, place: int) -> tuple[str, int]:
    size, place = data[place], place + 1
    if size == 0xff:
        size, form = 16, bytes.hex
    else:
        form = bytes.decode
    piece = data[place:place + size]
    if len(piece) < size:
        raise IndexError(place)
    return form(piece), place + size

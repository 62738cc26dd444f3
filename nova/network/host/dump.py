"""Many links at one glance: the kernel's list of them, read as plain structs.

pyroute2 takes a millisecond for each link of a list, whatever one wants to know of it; a network of two
hundred servers would be looked at for that long at every change.  So the one list that grows with the
servers is read here: a netlink message is ``nlmsghdr``, ``ifinfomsg``, and attributes in attributes.
"""

import dataclasses
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

from strata import errors

_GET, _NEW, _ERROR, _DONE = 18, 16, 2, 3
_REQUEST_DUMP, _INTERRUPTED = 0x301, 0x10
_HEADER, _LINK, _ATTRIBUTE = struct.Struct('=IHHII'), struct.Struct('=BBHiII'), struct.Struct('=HH')
_NUMBER = struct.Struct('=I')
#: attributes of a link
_ADDRESS, _IFNAME, _MTU, _MASTER, _LINKINFO, _IFALIAS, _EXT_MASK = 1, 3, 4, 10, 18, 20, 29
#: attributes in its _LINKINFO
_KIND, _DATA = 1, 2
_TUN_OWNER = 1
_SKIP_STATISTICS = 8
#: a list that changed under the reader is read again so many times
_ATTEMPTS = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """What we care about in a network device."""

    index: int
    name: str
    kind: str | None
    master: int | None
    up: bool
    mtu: int
    mac: str
    alias: str | None
    details: dict[str, Any]


def links(sock: socket.socket, master: int | None = None) -> list[Link]:
    """The links of the socket's namespace, or just those enslaved to one; of ``details`` only a tap's owner.

    ``sock`` is a raw one of NETLINK_ROUTE.  ``errors.Error`` if the kernel refuses.
    """
    found: list[Link] = []
    for _ in range(_ATTEMPTS):
        found, whole = _once(sock, master)
        if whole:
            break
    return [link for link in found if master in (None, link.master)]      # kernels before 4.6 do not filter


def _once(sock: socket.socket, master: int | None) -> tuple[list[Link], bool]:
    """One list, and whether nothing changed while it was read."""
    wanted = _attribute(_EXT_MASK, _SKIP_STATISTICS)
    if master is not None:
        wanted += _attribute(_MASTER, master)
    body = _LINK.pack(0, 0, 0, 0, 0, 0) + wanted
    sock.send(_HEADER.pack(_HEADER.size + len(body), _GET, _REQUEST_DUMP, 1, 0) + body)
    found, whole = [], True
    while True:
        data = sock.recv(1 << 18)
        at = 0
        while at < len(data):
            length, kind, flags, _, _ = _HEADER.unpack_from(data, at)
            message, at = data[at + _HEADER.size:at + length], at + _aligned(length)
            whole = whole and not flags & _INTERRUPTED
            if kind == _DONE:
                return found, whole
            if kind == _ERROR:
                number = -struct.unpack_from('=i', message)[0]
                raise errors.Error(f'The kernel does not list links: {os.strerror(number)}.')
            if kind == _NEW:
                found.append(_decoded(message))


def _aligned(length: int) -> int:
    return length + 3 & ~3


def _attribute(kind: int, number: int) -> bytes:
    return _ATTRIBUTE.pack(8, kind) + _NUMBER.pack(number)


def _attributes(data: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3fff, data[at + _ATTRIBUTE.size:at + length]
        at += _aligned(length)


def _decoded(message: bytes) -> Link:
    _, _, _, index, flags, _ = _LINK.unpack_from(message)
    has = dict(_attributes(message, _LINK.size))
    info = dict(_attributes(has.get(_LINKINFO, b'')))
    kind = _text(info.get(_KIND))
    own = dict(_attributes(info.get(_DATA, b''))) if kind == 'tun' else {}
    return Link(index=index, name=_text(has.get(_IFNAME)) or '', kind=kind, master=_number(has.get(_MASTER)),
                up=bool(flags & 1), mtu=_number(has.get(_MTU)) or 0, mac=has.get(_ADDRESS, b'').hex(':'),
                alias=_text(has.get(_IFALIAS)),
                details={'IFLA_TUN_OWNER': _number(own[_TUN_OWNER])} if _TUN_OWNER in own else {})


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.rstrip(b'\0').decode('utf-8', 'replace')


def _number(value: bytes | None) -> int | None:
    return None if value is None else _NUMBER.unpack_from(value)[0]

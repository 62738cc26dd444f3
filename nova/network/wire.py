"""How the driver and the privileged helper talk: one request and one answer a connection.

A message is four bytes of length, big-endian, and as many bytes of JSON.

    {"verb": "apply_network", "arguments": [...]}   ->   {"result": ...}, at times with a descriptor
                                                    ->   {"error": {"type": "NotFound", "message": "..."}}
"""

import array
import select
import socket
import struct
from typing import Any

import orjson

from strata import errors

LONGEST = 16 * 1024 * 1024

_LENGTH = struct.Struct('>I')


def send(sock: socket.socket, message: Any, descriptor: int | None = None) -> None:
    """Send a message, and with its first bytes a descriptor.  ``errors.TooLarge`` beyond ``LONGEST``."""
    body = orjson.dumps(message)
    if len(body) > LONGEST:
        raise errors.TooLarge()
    head = _LENGTH.pack(len(body))
    if descriptor is not None:
        sock.sendmsg([head], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [descriptor]))])
        sock.sendall(body)
    else:
        sock.sendall(head + body)


def parse(body: bytes) -> Any:
    """JSON; ``ValueError`` too if it is nested beyond what the parser bears."""
    return orjson.loads(body)


def complete(buffer: bytes | bytearray) -> bytes | None:
    """The body of the message a buffer holds, or None as long as some of it is missing.

    ``ValueError`` if it is longer than ``LONGEST``.
    """
    if len(buffer) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(buffer)
    if length > LONGEST:
        raise ValueError('message too long')
    return bytes(buffer[_LENGTH.size:_LENGTH.size + length]) if len(buffer) >= _LENGTH.size + length else None


def receive(sock: socket.socket, timeout: float) -> tuple[Any, int | None]:
    """The next message and the descriptor that came with it.

    ``timeout`` is in seconds for each wait.  Raises ``EOFError`` if the other side went away,
    ``TimeoutError`` if it fell silent, ``ValueError`` if it does not speak our language.
    """
    head, ancillary, _, _ = _receive_first(sock, timeout)
    descriptor = None
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptor = array.array('i', data[:4])[0]
    try:
        head += _exactly(sock, _LENGTH.size - len(head))
        (length,) = _LENGTH.unpack(head)
        if length > LONGEST:
            raise ValueError('message too long')
        return parse(_exactly(sock, length)), descriptor
    except BaseException:
        if descriptor is not None:
            socket.close(descriptor)
        raise


def _receive_first(sock: socket.socket, timeout: float) -> Any:
    """``recvmsg``, which a green socket hands to the non-blocking one beneath it as it is."""
    while True:
        try:
            first = sock.recvmsg(_LENGTH.size, socket.CMSG_LEN(4), socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            if not select.select([sock], [], [], timeout)[0]:
                raise TimeoutError('no answer in time') from None
            continue
        if not first[0]:
            raise EOFError('the other side went away')
        return first


def _exactly(sock: socket.socket, count: int) -> bytes:
    pieces = []
    while count:
        piece = sock.recv(min(count, 262144))
        if not piece:
            raise EOFError('the other side went away')
        pieces.append(piece)
        count -= len(piece)
    return b''.join(pieces)

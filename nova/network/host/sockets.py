"""Sockets made inside a namespace: listeners for the metadata service, and announcements of addresses."""

import ipaddress
import socket
import struct

from nova.network.host import namespaces

_ARP, _IPV6 = 0x0806, 0x86dd


def listener(namespace: str, address: str, port: int) -> socket.socket:
    """A listening TCP socket in the namespace.  ``OSError`` if the address is not there."""
    with namespaces.entered(namespace):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((address, port))
            sock.listen(128)
        except BaseException:
            sock.close()
            raise
    return sock


def _octets(mac: str) -> bytes:
    return bytes(int(octet, 16) for octet in mac.split(':'))


def announcement(address: str, mac: str) -> bytes:
    """The frame that tells everyone on the link that ``address`` is now at ``mac``."""
    own, everyone = _octets(mac), b'\xff' * 6
    ip = ipaddress.ip_address(address)
    if ip.version == 4:
        return everyone + own + struct.pack('>HHHBBH', _ARP, 1, 0x0800, 6, 4, 1) + \
            own + ip.packed + b'\0' * 6 + ip.packed
    group = ipaddress.ip_address('ff02::1').packed
    body = struct.pack('>BBHI', 136, 0, 0, 0x20000000) + ip.packed + b'\x02\x01' + own
    total = _checksum(ip.packed + group + struct.pack('>II', len(body), 58) + body)
    body = body[:2] + struct.pack('>H', total) + body[4:]
    return b'\x33\x33\0\0\0\x01' + own + struct.pack('>HIHBB', _IPV6, 6 << 28, len(body), 58, 255) + \
        ip.packed + group + body


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f'>{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def announce(namespace: str, interface: str, mac: str, addresses: list[str]) -> None:
    """Send one announcement per address out of an interface of the namespace."""
    if not addresses:
        return
    with namespaces.entered(namespace), \
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC) as sock:
        sock.bind((interface, 0))
        for address in addresses:
            sock.send(announcement(address.partition('/')[0], mac))

"""Router advertisements (RFC 4861): what a router tells the guests of an IPv6 subnet, and when.

    apply_router -> Advertiser.ensure     a raw socket per interface, made in the router's namespace
                 -> Advertiser.withdraw   the last word: this is no default router any more
    one thread   -> now and then, and soon after a guest asked

The thread touches sockets and the clock only, so it may run beside whatever verb the helper is at.  A helper
that dies takes nothing from the guests: what they were told holds for half an hour, and the next
``apply_router`` begins anew.
"""

import dataclasses
import ipaddress
import logging
import random
import select
import socket
import struct
import threading
import time
from collections.abc import Iterable

from nova.network.drivers.state import Advertised, RouterInterface
from nova.network.host import namespaces
from nova.network.host.groups import link_local
from nova.network.host.links import Link

LOG = logging.getLogger(__name__)

#: seconds: how long guests may count on the router and its name servers, and on a prefix
ROUTER_LIFETIME = 1800
VALID, PREFERRED = 86400, 14400

#: seconds between unasked advertisements (at random, lest routers speak in step), and between the first ones
INTERVAL, FIRST_INTERVAL, FIRST = (30.0, 100.0), 16.0, 3
#: seconds at most until a question is answered, and at least between two answers
DELAY, APART = 0.5, 3.0

#: solicitations read at a time: whoever floods us is not to keep us
MOST_HEARD = 256

_SOLICITATION, _ADVERTISEMENT = 133, 134
_EVERY_NODE, _EVERY_ROUTER = 'ff02::1', 'ff02::2'
_MANAGED, _OTHER = 0x80, 0x40           # addresses, or other settings, are to be had by DHCPv6
_ON_LINK, _AUTONOMOUS = 0x80, 0x40
_ICMP6_FILTER = 1
#: no frame of IPv6 may have to be smaller
_LEAST_MTU = 1280


def _header(flags: int, lifetime: int) -> bytes:
    """Hop limit 64; the checksum is the kernel's affair."""
    return struct.pack('>BBHBBHII', _ADVERTISEMENT, 0, 0, 64, flags, lifetime, 0, 0)


def message(foot: RouterInterface) -> bytes:
    """What the router says on one of its interfaces."""
    modes = {one.mode for one in foot.advertised}
    flags = _OTHER if 'dhcpv6-stateless' in modes else 0
    flags |= _MANAGED | _OTHER if 'dhcpv6-stateful' in modes else 0
    parts = [_header(flags, ROUTER_LIFETIME), b'\1\1' + bytes.fromhex(foot.mac_address.replace(':', ''))]
    if foot.mtu >= _LEAST_MTU:
        parts.append(struct.pack('>BBHI', 5, 1, 0, foot.mtu))
    parts += [_prefix(one) for one in foot.advertised]
    servers = dict.fromkeys(server for one in foot.advertised for server in one.dns_nameservers if ':' in server)
    if servers:                         # RFC 8106
        parts.append(struct.pack('>BBHI', 25, 1 + 2 * len(servers), 0, ROUTER_LIFETIME))
        parts += [ipaddress.IPv6Address(server).packed for server in servers]
    return b''.join(parts)


def _prefix(one: Advertised) -> bytes:
    network = ipaddress.IPv6Network(one.cidr)
    flags = _ON_LINK if one.mode == 'dhcpv6-stateful' else _ON_LINK | _AUTONOMOUS
    return (struct.pack('>BBBBIII', 3, 4, network.prefixlen, flags, VALID, PREFERRED, 0)
            + network.network_address.packed)


def _opened(namespace: str, link: Link) -> socket.socket:
    """A socket that speaks on one interface as routers do, and hears what routers are asked there."""
    with namespaces.entered(namespace):
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
                             socket.IPPROTO_ICMPV6)
    try:
        deaf = [0xffffffff] * 8
        deaf[_SOLICITATION // 32] &= ~(1 << _SOLICITATION % 32)
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack('=8I', *deaf))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.name.encode())
        for option, value in ((socket.IPV6_MULTICAST_HOPS, 255), (socket.IPV6_MULTICAST_LOOP, 0),
                              (socket.IPV6_RECVHOPLIMIT, 1)):
            sock.setsockopt(socket.IPPROTO_IPV6, option, value)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                        socket.inet_pton(socket.AF_INET6, _EVERY_ROUTER) + struct.pack('=I', link.index))
    except BaseException:
        sock.close()
        raise
    return sock


def _say(sock: socket.socket, link: Link, text: bytes) -> None:
    """To everyone on the link, from the interface's link-local address."""
    source = ipaddress.IPv6Address(link_local(link.mac)).packed + struct.pack('=I', link.index)
    sock.sendmsg([text], [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, source)], 0, (_EVERY_NODE, 0, 0, link.index))


@dataclasses.dataclass(slots=True, eq=False)
class _Voice:
    """One interface: its socket, what to say over it, and when next, by the monotonic clock."""

    sock: socket.socket
    place: tuple[int, int]              # the namespace's inode and the interface's index: names are used again
    link: Link
    foot: RouterInterface
    due: float
    said: int = 0
    last: float = -APART
    is_asked: bool = False              # the answer is on its way: who asks meanwhile gets the same

    def advertise(self, now: float) -> None:
        """Say it, and settle when to say it next."""
        self.hear()
        self.is_asked = False
        try:
            _say(self.sock, self.link, message(self.foot))
        except OSError as error:        # the interface, or its address, is not there yet or any more
            LOG.debug('No advertisement of %s: %s', self.foot.port_id, error)
            self.due = now + 1.0
            return
        self.last, self.said = now, self.said + 1
        wait = random.uniform(*INTERVAL)
        self.due = now + (min(wait, FIRST_INTERVAL) if self.said < FIRST else wait)

    def hear(self) -> bool:
        """Whether a solicitation has come; what did not come from the link itself is none."""
        asked = False
        for _ in range(MOST_HEARD):
            try:
                text, ancillary, _, _ = self.sock.recvmsg(2048, 64)
            except OSError:
                break
            hops = [struct.unpack('=i', value)[0] for _, kind, value in ancillary if kind == socket.IPV6_HOPLIMIT]
            asked = asked or (hops == [255] and len(text) >= 8 and text[1] == 0)
        return asked


class Advertiser:
    """All the interfaces of this host's routers that advertise.  Interfaces are known by their ports."""

    def __init__(self) -> None:
        self._voices: dict[str, _Voice] = {}
        self._lock = threading.Lock()
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)
        self._thread: threading.Thread | None = None

    def ensure(self, namespace: str, link: Link, foot: RouterInterface) -> None:
        """The interface advertises what ``foot`` says; at once if that is news."""
        place, voice = (namespaces.inode(namespace), link.index), self._voices.get(foot.port_id)
        if voice is not None and (voice.place, voice.foot) == (place, foot):
            return
        fresh = _Voice(_opened(namespace, link), place, link, foot, time.monotonic())
        with self._lock:
            self._forget(foot.port_id)
            self._voices[foot.port_id] = fresh
        self._ring()

    def forget(self, port_id: str) -> None:
        """The interface is gone, or advertises no more; that it never did is a success."""
        with self._lock:
            self._forget(port_id)

    def withdraw(self, namespace: str, link: Link) -> None:
        """The last word of an interface that advertised, whoever made it say the words before."""
        with _opened(namespace, link) as sock:
            try:
                _say(sock, link, _header(0, 0))
            except OSError as error:
                LOG.info('No last advertisement over %s: %s', link.name, error)

    def _forget(self, port_id: str) -> None:
        voice = self._voices.pop(port_id, None)
        if voice is not None:
            voice.sock.close()

    # ---- the thread

    def _ring(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name='advertisements', daemon=True)
            self._thread.start()
        try:
            self._button.send(b'!')
        except BlockingIOError:
            return                      # it has been told often enough

    def _run(self) -> None:
        while True:
            with self._lock:
                voices = {voice.sock.fileno(): voice for voice in self._voices.values()}
            poll, due = select.poll(), min((voice.due for voice in voices.values()), default=None)
            for number in (self._bell.fileno(), *(each for each, voice in voices.items() if not voice.is_asked)):
                poll.register(number, select.POLLIN)
            ready = {number for number, _ in poll.poll(
                None if due is None else max(0.0, due - time.monotonic()) * 1000)}
            if self._bell.fileno() in ready:
                self._bell.recv(4096)
            with self._lock:            # meanwhile closed ones are no longer ours to touch
                known = set(map(id, self._voices.values()))
                self._turn([voice for voice in voices.values() if id(voice) in known], ready)

    def _turn(self, voices: Iterable[_Voice], ready: set[int]) -> None:
        """Hear who asks, speak where it is due."""
        now = time.monotonic()
        for voice in voices:
            if voice.sock.fileno() in ready and voice.hear():
                voice.is_asked = True
                soon = now + random.uniform(0, DELAY)
                voice.due = min(voice.due, max(soon, voice.last + APART))
            if voice.due <= now:
                voice.advertise(now)

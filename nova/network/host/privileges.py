"""Root, less what the helper does not need: the capabilities it keeps, for itself and its children."""

import ctypes
import struct

#: number by name, of linux/capability.h
KEPT = {
    'chown': 0, 'kill': 5, 'setgid': 6, 'setuid': 7,    # dnsmasq becomes another user, and is signalled
    'net_bind_service': 10,                             # ports 53, 67 and 80
    'net_admin': 12, 'net_raw': 13,                     # links, rules, announcements
    'sys_admin': 21,                                    # namespaces
}

_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def reduce() -> None:
    """Give up all other capabilities, for good.  ``OSError`` if the kernel does not let us."""
    for number in range(64):
        if number not in KEPT.values() and _libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1:
            _check(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0))
    kept = sum(1 << number for number in KEPT.values())
    low, high = kept & 0xffffffff, kept >> 32
    header = struct.pack('=Ii', _VERSION_3, 0)
    # effective, permitted, inheritable; low words, then high words
    _check(_libc.capset(header, struct.pack('=6I', low, low, 0, high, high, 0)))


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), 'giving up capabilities')

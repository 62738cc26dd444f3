"""Ports that nobody else takes, for servers that cannot be told to choose one themselves.

The kernel gives ports of a range of its own to whoever connects, or listens on
any; a server that is down for a moment would lose such a port to them.  So ours
are below that range.  Runs of tests beside each other share them out in blocks:
a block belongs to the process that holds its name, and the kernel takes the name
back when the process ends.
"""

import contextlib
import socket
from collections.abc import Iterator

#: the first port of all, and how many make a block
FIRST, BLOCK = 10000, 500
_names: list[socket.socket] = []


def free_port(host: str = '127.0.0.1') -> int:
    """A TCP port that is free, and that this process was not given before."""
    return free_row(1, host)


def free_row(count: int, host: str = '127.0.0.1') -> int:
    """The first of so many such ports in a row, a block's at most."""
    row: list[int] = []
    for number in _numbers:
        if row and row[-1] != number - 1:
            row.clear()
        if _free(host, number):
            row.append(number)
        else:
            row.clear()
        if len(row) == count:
            return row[0]
    raise AssertionError('all ports were given')


def _free(host: str, number: int) -> bool:
    with contextlib.suppress(OSError), socket.socket() as probe:
        probe.bind((host, number))
        return True
    return False


def _blocks() -> Iterator[int]:
    """The ports of one block after the other that is nobody's yet."""
    with open('/proc/sys/net/ipv4/ip_local_port_range', encoding='ascii') as text:
        end = int(text.read().split()[0])
    for start in range(FIRST, end - BLOCK + 1, BLOCK):
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f'\0strata-ports-{start}')
        except OSError:
            name.close()
            continue
        _names.append(name)
        yield from range(start, start + BLOCK)


_numbers = _blocks()

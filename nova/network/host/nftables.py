"""The nft program, spoken to in JSON: one atomic transaction a call, and what the kernel holds now."""

import json
import socket
import struct
import subprocess
from typing import Any

from strata import errors

Command = dict[str, Any]

_NETLINK_NETFILTER = 12
_NEWGEN, _GETGEN = 15, 16
_SUBSYSTEM = 10


def _nft(*arguments: str, text: str | None = None) -> str:
    """Run nft in the thread's namespace; ``errors.Error`` with its first complaint if it fails."""
    try:
        done = subprocess.run(['nft', *arguments], input=text, capture_output=True, text=True, timeout=60,
                              check=False)
    except FileNotFoundError as error:
        raise errors.Error('nft is not installed; install the package nftables.') from error
    if done.returncode:
        complaint = (done.stderr.strip() or 'no reason given').splitlines()[0]
        raise errors.Error('nft refused: {complaint}', complaint=complaint)
    return done.stdout


def transact(commands: list[Command]) -> None:
    """Carry out all commands, or none."""
    if commands:
        _nft('-j', '-f', '-', text=json.dumps({'nftables': commands}))


def tables() -> set[tuple[str, str]]:
    """The family and name of every table."""
    entries = json.loads(_nft('-j', 'list', 'tables'))['nftables']
    return {(entry['table']['family'], entry['table']['name']) for entry in entries if 'table' in entry}


def table(family: str, name: str) -> list[Command]:
    """Everything in a table; empty if there is no such table."""
    if (family, name) not in tables():
        return []
    return json.loads(_nft('-j', 'list', 'table', family, name))['nftables']


def generation() -> int:
    """The number of the rule set in the thread's namespace; any change by anyone raises it."""
    request = struct.pack('=IHHIIBBH', 20, _SUBSYSTEM << 8 | _GETGEN, 1, 1, 0, 0, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as sock:
        sock.send(request)
        answer = sock.recv(4096)
    length, kind = struct.unpack_from('=IH', answer)
    offset = 20
    while kind == _SUBSYSTEM << 8 | _NEWGEN and offset + 8 <= length:
        size, name = struct.unpack_from('=HH', answer, offset)
        if name & 0x3fff == 1:
            return struct.unpack_from('>I', answer, offset + 4)[0]
        offset += (size + 3) & ~3
    raise errors.Error('The kernel does not tell the generation of its nftables rules.')


def add(what: str, **values: Any) -> Command:
    """``add`` is a no-op on what is there already (but not for a rule, which is appended)."""
    return {'add': {what: values}}


def flush(what: str, **values: Any) -> Command:
    return {'flush': {what: values}}


def delete(what: str, **values: Any) -> Command:
    return {'delete': {what: values}}


def replaced_table(family: str, name: str, body: list[Command]) -> list[Command]:
    """The commands that make a table anew, whether it was there or not."""
    return [add('table', family=family, name=name), delete('table', family=family, name=name),
            add('table', family=family, name=name), *body]


# ---- expressions

def meta(key: str) -> dict[str, Any]:
    return {'meta': {'key': key}}


def ct(key: str, **more: Any) -> dict[str, Any]:
    return {'ct': {'key': key, **more}}


def field(protocol: str, name: str) -> dict[str, Any]:
    return {'payload': {'protocol': protocol, 'field': name}}


def match(left: Any, right: Any, op: str = '==') -> dict[str, Any]:
    return {'match': {'op': op, 'left': left, 'right': right}}


def mangle(key: Any, value: Any) -> dict[str, Any]:
    return {'mangle': {'key': key, 'value': value}}


def vmap(key: Any, name: str) -> dict[str, Any]:
    return {'vmap': {'key': key, 'data': '@' + name}}


def jump(chain: str) -> dict[str, Any]:
    return {'jump': {'target': chain}}


ACCEPT: dict[str, Any] = {'accept': None}
DROP: dict[str, Any] = {'drop': None}


def either(values: list[Any]) -> Any:
    """One value as it is, several as an anonymous set."""
    return values[0] if len(values) == 1 else {'set': values}


def network(cidr: str) -> Any:
    """A CIDR as an expression."""
    address, _, length = cidr.partition('/')
    whole = 128 if ':' in address else 32
    if not length or int(length) == whole:
        return address
    return {'prefix': {'addr': address, 'len': int(length)}}

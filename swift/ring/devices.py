"""Devices as operators write them: ``r1z2-10.0.0.1:6200R10.1.0.1:6300/sdb1_meta``, whole or in part."""

import ipaddress
import math
import re
from typing import Any

from swift.ring.errors import DeviceError

HOST = r'\[[0-9a-fA-F:.%]+\]|[0-9A-Za-z._-]+?'
ADDRESS = r'\[[0-9a-fA-F:.%]+\]|\d[\d.]*'
ADD = re.compile(rf'(?:r(?P<region>\d+))?z(?P<zone>\d+)-(?P<ip>{HOST})(?P<colon>:(?P<port>\d+))?'
                 rf'(?:R(?P<replication_ip>{HOST})(?::(?P<replication_port>\d+))?)?'
                 r'/(?P<device>[^_/]+)(?:_(?P<meta>.*))?', re.DOTALL)
SEARCH = re.compile(rf'(?:d(?P<id>\d+))?(?:r(?P<region>\d+))?(?:z(?P<zone>\d+))?-?(?P<ip>{ADDRESS})?'
                    rf'(?::(?P<port>\d+))?(?:R(?P<replication_ip>{ADDRESS})?(?::(?P<replication_port>\d+))?)?'
                    r'(?:/(?P<device>[^_/]*))?(?:_(?P<meta>.*))?', re.DOTALL)
NUMBERS = ('id', 'region', 'zone', 'port', 'replication_port')
HOSTNAME = re.compile(r'(?!-)[A-Za-z0-9_-]{1,63}(?:\.(?!-)[A-Za-z0-9_-]{1,63})*\.?')


def parse_add(text: str) -> tuple[dict[str, Any], bool]:
    """A device to add, and whether its region was left out (it is 1 then); raises ``DeviceError``."""
    found = ADD.fullmatch(text)
    if not found:
        raise DeviceError(f'Invalid add value: {text}')
    if not found['port']:
        raise DeviceError('Invalid port in add value')
    if found['replication_ip'] and not found['replication_port']:
        raise DeviceError('Invalid replication port in add value')
    values = given(found)
    for key in ('ip', 'replication_ip'):
        if key in values:
            values[key] = address(values[key])
    implied = 'region' not in values
    return {'region': 1, 'meta': '', **values}, implied


def parse_search(text: str) -> dict[str, Any]:
    """What a search value asks for; raises ``DeviceError`` when it asks for nothing or cannot be read."""
    found = SEARCH.fullmatch(text)
    values = given(found) if found else {}
    if not values:
        raise DeviceError(f'Invalid <search-value>: {text!r}')
    return values


def parse_change(text: str) -> dict[str, Any]:
    """What ``set_info`` shall write; raises ``DeviceError``."""
    found = SEARCH.fullmatch(text)
    values = given(found) if found else {}
    if not values or {'id', 'region', 'zone'} & set(values):
        raise DeviceError(f'Invalid set info change value: {text!r}')
    return values


def given(found: re.Match[str]) -> dict[str, Any]:
    """The parts of a text that were there, numbers as numbers, addresses without brackets."""
    values: dict[str, Any] = {}
    for key, value in found.groupdict().items():
        if value is None or key == 'colon':
            continue
        if key in NUMBERS:
            values[key] = int(value)
        elif key in ('ip', 'replication_ip'):
            values[key] = value.strip('[]')
        else:
            values[key] = value
    return values


def address(text: str) -> str:
    """An IP address in its canonical form; raises ``DeviceError``."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise DeviceError(f'Invalid ip {text}') from None


def host(text: str) -> str:
    """An address or a host name; raises ``DeviceError``."""
    try:
        return address(text)
    except DeviceError:
        if not HOSTNAME.fullmatch(text) or len(text) > 253 or re.fullmatch(r'[\d.]+', text):
            raise DeviceError(f'Invalid ip or hostname {text}') from None
        return text


def check(dev: dict[str, Any]) -> None:
    """Refuse what no server could mount or reach; raises ``DeviceError``."""
    for key in ('region', 'zone', 'ip', 'port', 'device', 'weight'):
        if dev.get(key) is None:
            raise DeviceError(f'device is missing {key}')
    for key in ('port', 'replication_port'):
        if not 0 < dev.get(key, dev['port']) < 65536:
            raise DeviceError(f'Invalid {key} {dev[key]}')
    check_weight(dev['weight'])
    name = dev['device']
    if not name or '/' in name or name in ('.', '..') or '\0' in name or name != name.strip():
        raise DeviceError(f'Invalid device name {name!r}')


def check_weight(weight: float) -> None:
    """A weight is a number, not below zero."""
    if not math.isfinite(weight) or weight < 0:
        raise DeviceError(f'Invalid weight: {weight}')


def matches(dev: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether the device is as the search says; text of ``meta`` may be part of it."""
    for key, value in wanted.items():
        if key == 'meta':
            if value not in dev.get('meta', ''):
                return False
        elif key in ('ip', 'replication_ip'):
            if not same_host(dev.get(key, ''), value):
                return False
        elif dev.get(key) != value:
            return False
    return True


def same_host(one: str, other: str) -> bool:
    """Whether two spellings are one address."""
    try:
        return address(one) == address(other)
    except DeviceError:
        return one == other


def named(dev: dict[str, Any]) -> str:
    """The whole device in one word."""
    def at(ip, port):
        return f'[{ip}]:{port}' if ':' in ip else f'{ip}:{port}'
    return (f'd{dev["id"]}r{dev["region"]}z{dev["zone"]}-{at(dev["ip"], dev["port"])}'
            f'R{at(dev["replication_ip"], dev["replication_port"])}/{dev["device"]}_"{dev["meta"]}"')

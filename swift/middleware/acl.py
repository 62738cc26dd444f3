"""Access lists: those of containers (``.r:*,.rlistings,account:user``) and those of accounts (JSON).

A container's list holds *referrers* (``.r:host``, ``.r:.domain``, ``.r:*``,
each with ``-`` to deny; the last that fits decides) and *groups*, which are
what the authorisation filter makes of them.  An account's holds groups under
``admin``, ``read-write`` and ``read-only``.
"""

import json
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

from strata import crypt

#: ways to write ``.r:``
_REFERRER = frozenset({'.r', '.ref', '.referer', '.referrer'})
#: what an account's list may grant
LEVELS = ('admin', 'read-write', 'read-only')


def clean_acl(name: str, value: str) -> str:
    """A container's list in its stored form; ``name`` is the header's.  Raises ``ValueError`` for what is none."""
    kept = []
    for raw in value.split(','):
        item = raw.strip()
        if not item:
            continue
        if not item.startswith('.') or ':' not in item:
            kept.append(item)
            continue
        kind, host = (part.strip() for part in item.split(':', 1))
        if kind not in _REFERRER:
            raise ValueError(f'Unknown designator {kind!r} in ACL: {item!r}')
        if 'write' in name.lower():
            raise ValueError(f'Referrers not allowed in write ACL: {item!r}')
        denied = host.startswith('-')
        if denied:
            host = host[1:].strip()
        if host and host != '*' and host.startswith('*'):
            host = host[1:].strip()
        if not host or host == '.':
            raise ValueError(f'No host/domain value after referrer designation in ACL: {item!r}')
        kept.append(f'.r:{"-" if denied else ""}{host}')
    return ','.join(kept)


def parse_acl(value: str | None) -> tuple[list[str], list[str]]:
    """(referrers, groups) of a container's list."""
    referrers, groups = [], []
    for item in value.split(',') if value else ():
        if item.startswith('.r:'):
            referrers.append(item[3:])
        elif item:
            groups.append(item)
    return referrers, groups


def referrer_allowed(referrer: str | None, rules: Iterable[str]) -> bool:
    """Whether a Referer header may read; the last rule that fits decides."""
    rules = list(rules)
    if not rules:
        return False
    try:
        host = urllib.parse.urlsplit(referrer or '').hostname or 'unknown'
    except ValueError:
        host = 'unknown'
    allowed = False
    for rule in rules:
        denies = rule.startswith('-')
        place = rule[1:] if denies else rule
        if place == '*' or place == host or (place.startswith('.') and host.endswith(place)):
            allowed = not denies
    return allowed


def sync_allowed(environ: Mapping[str, Any]) -> bool:
    """Whether the request comes from another cluster that knows the container's key (see container_sync)."""
    key, given = environ.get('swift_sync_key'), environ.get('HTTP_X_CONTAINER_SYNC_KEY')
    timed = 'HTTP_X_TIMESTAMP' in environ or 'HTTP_X_BACKEND_INBOUND_X_TIMESTAMP' in environ
    return bool(key and given and timed and crypt.equal(key, given))


def parse_account_acl(value: str | None) -> dict[str, list[str]] | None:
    """What an account's list grants to whom; ``None`` for what is no JSON object, ``{}`` for nothing."""
    if value is None:
        return None
    if not value.strip():
        return {}
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def check_account_acl(value: str) -> str:
    """An account's list in its stored form, ``''`` if it grants nothing.

    Raises ``ValueError`` saying what is wrong with it.
    """
    found: Any = parse_account_acl(value)
    if found is None:
        raise ValueError(f'Syntax error in input ({value!r})')
    for level, groups in found.items():
        if level not in LEVELS:
            raise ValueError(f'Key {json.dumps(level)} not recognized')
        if not isinstance(groups, list):
            raise ValueError(f'Value for key {json.dumps(level)} must be a list')
        if not all(isinstance(group, str) for group in groups):
            raise ValueError(f'Elements of {json.dumps(level)} list must be strings')
    return format_account_acl(found)


def format_account_acl(grants: dict[str, list[str]]) -> str:
    """As it travels and is stored: ASCII, without spaces; what grants nothing at all is ``''``."""
    return json.dumps(grants, separators=(',', ':'), sort_keys=True) if grants else ''

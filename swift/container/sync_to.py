"""Where a container may be synchronised to: X-Container-Sync-To, checked before it is kept."""

import configparser
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from strata import errors
from swift import conf as confs

REALMS = 'container-sync-realms.conf'


class Realms:
    """Clusters that know each other: (realm, cluster) -> endpoint, and the keys of realms."""

    def __init__(self, endpoints: Mapping[tuple[str, str], str], keys: Mapping[str, tuple[str, str]]) -> None:
        """Names are in upper case; ``keys``: realm -> (key, second key)."""
        self.endpoints = dict(endpoints)
        self.keys = dict(keys)

    @classmethod
    def load(cls, swift_dir: str) -> 'Realms':
        """Of ``swift_dir``/container-sync-realms.conf; no realms if there is no such file."""
        path = os.path.join(swift_dir, REALMS)
        endpoints: dict[tuple[str, str], str] = {}
        keys = {}
        if not os.path.exists(path):
            return cls({}, {})
        try:
            parser = confs.parse(path)
        except (errors.Invalid, configparser.Error):
            return cls({}, {})
        for section in parser.sections():
            realm = section.upper()
            values = {name.lower(): value for name, value in parser.items(section)}
            keys[realm] = values.get('key', ''), values.get('key2', '')
            for name, value in values.items():
                if name.startswith('cluster_'):
                    endpoints[realm, name.removeprefix('cluster_').upper()] = value.rstrip('/') + '/'
        return cls(endpoints, keys)

    def fault(self, value: str, allowed_hosts: list[str]) -> str | None:
        """What is wrong with a sync target; ``None``: nothing."""
        if value.startswith('//'):
            return self._realm_fault(value)
        try:
            parsed = urlsplit(value)
            host = parsed.hostname
        except ValueError:
            return 'Invalid X-Container-Sync-To'
        if parsed.scheme not in ('http', 'https'):
            return f'Invalid scheme {parsed.scheme!r} in X-Container-Sync-To, must be "//", "http", or "https".'
        if not parsed.path or parsed.path == '/' or len(parsed.path.strip('/').split('/')) < 3:
            return 'Path required in X-Container-Sync-To'
        if parsed.query or parsed.fragment:
            return 'Params, queries, and fragments not allowed in X-Container-Sync-To'
        if host not in allowed_hosts:
            return f'Invalid host {host!r} in X-Container-Sync-To'
        return None

    def _realm_fault(self, value: str) -> str | None:
        pieces = value[2:].split('/', 3)
        if len(pieces) < 4 or not all(pieces):
            return f'Invalid X-Container-Sync-To format {value!r}'
        realm, cluster = pieces[0].upper(), pieces[1].upper()
        if realm not in self.keys:
            return f'No realm key for {realm!r}'
        if (realm, cluster) not in self.endpoints:
            return f'No cluster endpoint for {realm!r} {cluster!r}'
        return None

"""Realms: clusters that synchronise containers with each other, as container-sync-realms.conf names them."""

import configparser
import hmac
import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from strata import errors
from swift import conf as confs

REALMS = 'container-sync-realms.conf'
_VERSION = re.compile(r'v[0-9]+(\.[0-9]+)?\Z')


class Realms:
    """Clusters that know each other: (realm, cluster) -> endpoint, and the keys of realms."""

    def __init__(self, endpoints: Mapping[tuple[str, str], str], keys: Mapping[str, tuple[str, str]]) -> None:
        """Names are in upper case; ``keys``: realm -> (key, second key)."""
        self.endpoints = dict(endpoints)
        self.keys = dict(keys)

    def key(self, realm: str) -> str | None:
        """What requests within a realm are signed with."""
        return self.keys.get(realm.upper(), ('', ''))[0] or None

    def all_keys(self, realm: str) -> list[str]:
        """What they may be signed with: the second key is one that is being replaced."""
        return [key for key in self.keys.get(realm.upper(), ('', '')) if key]

    def endpoint(self, realm: str, cluster: str) -> str | None:
        """A cluster's address, with the API version and a slash at its end."""
        return self.endpoints.get((realm.upper(), cluster.upper()))

    def info(self, current: tuple[str, str] | None = None) -> dict[str, dict[str, dict[str, dict[str, bool]]]]:
        """What ``/info`` tells; ``current`` is (realm, cluster) of this one."""
        told: dict[str, dict[str, dict[str, dict[str, bool]]]] = {realm: {'clusters': {}} for realm in self.keys}
        for realm, cluster in self.endpoints:
            told[realm]['clusters'][cluster] = {'current': True} if (realm, cluster) == current else {}
        return told

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
        # version, account, container: anything else could be the path of a storage server, which asks no one for leave
        pieces = parsed.path.strip('/').split('/')
        if len(pieces) < 3 or not _VERSION.match(pieces[-3]) or not all(pieces):
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


def sign(method: str, path: str, timestamp: str, nonce: str, realm_key: str, user_key: str) -> str:
    """The published signature of a request of container-sync; ``path`` is quoted."""
    message = '\n'.join((method, path, timestamp, nonce, user_key)).encode('utf-8', 'surrogateescape')
    return hmac.new(realm_key.encode('utf-8'), message, 'sha1').hexdigest()

"""The cloud over HTTP: login, catalog, connections that are kept; no library between us and the figures."""

import dataclasses
import http.client
import json
import os
import threading
import urllib.parse
from typing import Any

#: one that every cloud of the last years understands, with networks and flavors inside servers
VERSION = 'compute 2.79'


class Trouble(Exception):
    """What cannot be measured, and why, for one line to the user."""


class Refused(Trouble):
    """An API answered with an error."""

    def __init__(self, method: str, url: str, status: int, body: bytes) -> None:
        super().__init__(f'{method} {url} answered {status}: {body[:200].decode("utf-8", "replace")}')
        self.status = status


@dataclasses.dataclass(frozen=True)
class Credentials:
    """Who measures.  An administrator, where quotas are to be raised."""

    auth_url: str
    username: str
    password: str
    project: str
    user_domain: str = 'Default'
    project_domain: str = 'Default'
    region: str | None = None

    @classmethod
    def of_environment(cls, url: str) -> 'Credentials':
        """``OS_USERNAME`` and its kin; ``Trouble`` names one that is missing."""
        def get(name: str) -> str:
            if not os.environ.get(name):
                raise Trouble(f'{name} is not set; source an openrc file first.')
            return os.environ[name]
        return cls(url, get('OS_USERNAME'), get('OS_PASSWORD'), get('OS_PROJECT_NAME'),
                   os.environ.get('OS_USER_DOMAIN_NAME', 'Default'),
                   os.environ.get('OS_PROJECT_DOMAIN_NAME', 'Default'), os.environ.get('OS_REGION_NAME'))

    def body(self) -> bytes:
        """The request for a token by password."""
        return json.dumps({'auth': {
            'identity': {'methods': ['password'], 'password': {'user': {
                'name': self.username, 'password': self.password, 'domain': {'name': self.user_domain}}}},
            'scope': {'project': {'name': self.project, 'domain': {'name': self.project_domain}}}}}).encode()


class Connections:
    """A kept connection per thread and host."""

    def __init__(self, timeout: float = 120) -> None:
        self._local, self._timeout = threading.local(), timeout

    def send(self, method: str, url: str, body: bytes | None = None,
             headers: dict[str, str] | None = None) -> tuple[int, Any, bytes]:
        """Status, headers and body; a kept connection that has died is opened again."""
        parts = urllib.parse.urlsplit(url)
        target = parts.path + (f'?{parts.query}' if parts.query else '')
        for last in (False, True):
            connection = self._open(parts.scheme, parts.netloc)
            try:
                connection.request(method, target, body, headers or {})
                response = connection.getresponse()
                return response.status, response.headers, response.read()
            except (ConnectionError, http.client.HTTPException) as error:
                connection.close()
                if last:
                    raise Trouble(f'{method} {url}: {error or type(error).__name__}') from error
        raise AssertionError

    def _open(self, scheme: str, netloc: str) -> http.client.HTTPConnection:
        kept = self._local.__dict__.setdefault('kept', {})
        if (scheme, netloc) not in kept:
            kind = http.client.HTTPSConnection if scheme == 'https' else http.client.HTTPConnection
            kept[scheme, netloc] = kind(netloc, timeout=self._timeout)
        return kept[scheme, netloc]


class Cloud:
    """A cloud as one user sees it in one project; may be used from many threads."""

    def __init__(self, credentials: Credentials, connections: Connections | None = None) -> None:
        self.credentials = credentials
        self.connections = connections or Connections()
        self.auth_url = credentials.auth_url.rstrip('/')
        if not self.auth_url.endswith('/v3'):
            self.auth_url += '/v3'
        self.token, self.project_id, self.user_id = '', '', ''
        self.endpoints: dict[str, str] = {}

    def login(self) -> 'Cloud':
        """Get a token and the catalog; returns self."""
        status, headers, body = self.connections.send(
            'POST', f'{self.auth_url}/auth/tokens', self.credentials.body(), {'Content-Type': 'application/json'})
        if status != 201:
            raise Refused('POST', f'{self.auth_url}/auth/tokens', status, body)
        token = json.loads(body)['token']
        self.token, self.project_id, self.user_id = (headers['X-Subject-Token'], token['project']['id'],
                                                     token['user']['id'])
        for service in token.get('catalog', []):
            for endpoint in service['endpoints']:
                if endpoint['interface'] == 'public' and self.credentials.region in (None, endpoint['region']):
                    self.endpoints.setdefault(service['type'], endpoint['url'].rstrip('/'))
        return self

    def url(self, service: str, path: str) -> str:
        """A URL below a service's endpoint; the network's has its version added."""
        if service == 'identity':
            return self.auth_url + path
        if service not in self.endpoints:
            raise Trouble(f'The catalog has no service of the type {service}.')
        endpoint = self.endpoints[service]
        version = {'network': '/v2.0', 'image': '/v2'}.get(service, '')
        return endpoint + ('' if endpoint.endswith(version) else version) + path

    def headers(self) -> dict[str, str]:
        """What every call is sent with."""
        return {'X-Auth-Token': self.token, 'OpenStack-API-Version': VERSION, 'Content-Type': 'application/json',
                'Accept': 'application/json'}

    def call(self, method: str, service: str, path: str, body: Any = None, *, ok: tuple[int, ...] = ()) -> Any:
        """The JSON of an answer, or ``None``; ``Refused`` unless it is a success or among ``ok``."""
        url = self.url(service, path)
        status, _, data = self.connections.send(
            method, url, None if body is None else json.dumps(body).encode(), self.headers())
        if status >= 300 and status not in ok:
            raise Refused(method, url, status, data)
        return json.loads(data) if data[:1] in (b'{', b'[') else None

    def get(self, service: str, path: str, **query: Any) -> Any:
        """GET, as JSON."""
        return self.call('GET', service, path + ('?' + urllib.parse.urlencode(query) if query else ''))

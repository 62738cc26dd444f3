"""A small client of this cloud's APIs, for what ``up`` provisions."""

import time
from collections.abc import Callable
from typing import Any

import requests

from launcher.settings import Settings, Trouble


class Refused(Trouble):
    """An API answered with an error."""

    def __init__(self, method: str, url: str, response: requests.Response) -> None:
        super().__init__(f'{method} {url} answered {response.status_code}: {response.text[:300]}',
                         'see "onestack logs"; "onestack up" may be run again.')
        self.status = response.status_code


class Cloud:
    """The cloud as one of its users sees it."""

    def __init__(self, settings: Settings, user: str, project: str | None = None) -> None:
        self.settings, self.user, self.project = settings, user, project or user
        self.session = requests.Session()
        self.session.trust_env = False
        self.project_id = ''

    def login(self) -> 'Cloud':
        """Get a token; returns self."""
        scope = {'project': {'name': self.project, 'domain': {'name': 'Default'}}}
        response = self.session.post(self.settings.url('identity', '/v3/auth/tokens'), timeout=30, json={'auth': {
            'identity': {'methods': ['password'], 'password': {'user': {
                'name': self.user, 'password': self.settings.secrets[self.user],
                'domain': {'name': 'Default'}}}}, 'scope': scope}})
        if response.status_code != 201:
            raise Refused('POST', 'auth/tokens', response)
        self.session.headers.update({'X-Auth-Token': response.headers['X-Subject-Token'],
                                     'OpenStack-API-Version': 'compute 2.96'})
        self.project_id = response.json()['token']['project']['id']
        return self

    def call(self, method: str, service: str, path: str, *, ok: tuple[int, ...] = (), **options: Any) -> Any:
        """The JSON of an answer (or ``None``); ``Refused`` unless it is a success or among ``ok``."""
        url = self.settings.url(service, path)
        response = self.session.request(method, url, timeout=options.pop('timeout', 60), **options)
        if response.status_code >= 300 and response.status_code not in ok:
            raise Refused(method, url, response)
        return response.json() if response.content and 'json' in response.headers.get('Content-Type', '') else None

    def get(self, service: str, path: str, **query: Any) -> Any:
        """GET, as JSON."""
        return self.call('GET', service, path, params=query)

    def post(self, service: str, path: str, body: Any) -> Any:
        """POST JSON."""
        return self.call('POST', service, path, json=body)

    def ensure(self, service: str, path: str, kind: str, query: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        """The first resource that matches ``query``, or a new one made of ``query`` and ``body``."""
        plural = path.rstrip('/').rpartition('/')[2]
        found = self.get(service, path, **query)[plural]
        if found:
            return found[0]
        return self.post(service, path, {kind: {**query, **body}})[kind]


def answers(settings: Settings, service: str, timeout: float = 1.0) -> bool:
    """Whether an API is up."""
    try:
        return requests.get(settings.url(service, '/healthcheck'), timeout=timeout,
                            proxies={'http': ''}).status_code == 200
    except requests.RequestException:
        return False


def wait(what: str, condition: Callable[[], Any], seconds: float, *, pause: float = 0.05) -> Any:
    """Wait until a condition gives something; ``Trouble`` if it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise Trouble(f'{what} took longer than {seconds:.0f} s.',
                          'see "onestack logs"; then run "onestack up" again.')
        time.sleep(pause)

"""The account that a command works in, through the public API: TempAuth (1.0) or Keystone (3)."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import requests

from strata import errors
from swift import conf as confs
from swift.conf import Option
from swift.http import path as paths

#: options of the account, as in ``[dispersion]``
OPTIONS = {
    'auth_url': Option(confs.text, '', 'http://proxy:8080/auth/v1.0, or the address of Keystone with /v3'),
    'auth_user': Option(confs.text, '', 'account:user, or the name of the user'),
    'auth_key': Option(confs.text, '', 'the password'),
    'auth_version': Option(confs.choice('1.0', '1', '3'), '1.0', '1.0 or 3'),
    'project_name': Option(confs.text, '', 'with auth_version 3'),
    'project_domain_name': Option(confs.text, 'Default', 'with auth_version 3'),
    'user_domain_name': Option(confs.text, 'Default', 'with auth_version 3'),
    'endpoint_type': Option(confs.text, 'publicURL', 'publicURL, internalURL or adminURL'),
    'keystone_api_insecure': Option(confs.boolean, False, 'whether certificates are not to be checked'),
    'retries': Option(confs.count, 5, 'times that a failed request is tried again'),
}
_LONGEST_PAUSE = 8.0


@dataclasses.dataclass
class Account:
    """Where it is, and how one gets in; shared by the threads of a command."""

    conf: Any
    url: str = ''
    token: str = ''
    #: how often a request had to be tried again
    retried: int = 0

    def __post_init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = not self.conf.keystone_api_insecure
        self.session.mount('http://', requests.adapters.HTTPAdapter(pool_maxsize=64))

    def login(self) -> None:
        """Get a token and the address; raises ``errors.Unavailable`` naming what was refused."""
        if not self.conf.auth_url:
            raise errors.Invalid('auth_url is missing')
        try:
            self.url, self.token = (self._keystone if self.conf.auth_version == '3' else self._tempauth)()
        except (requests.RequestException, KeyError, ValueError) as error:
            raise errors.Unavailable(f'{self.conf.auth_url}: no token for {self.conf.auth_user}: {error}') from error

    def _tempauth(self) -> tuple[str, str]:
        reply = self.session.get(self.conf.auth_url, timeout=30, headers={
            'X-Auth-User': self.conf.auth_user, 'X-Auth-Key': self.conf.auth_key})
        reply.raise_for_status()
        return reply.headers['X-Storage-Url'], reply.headers['X-Auth-Token']

    def _keystone(self) -> tuple[str, str]:
        project, _, user = self.conf.auth_user.rpartition(':')
        reply = self.session.post(self.conf.auth_url.rstrip('/') + '/auth/tokens', timeout=30, json={'auth': {
            'identity': {'methods': ['password'], 'password': {'user': {
                'name': user, 'password': self.conf.auth_key, 'domain': {'name': self.conf.user_domain_name}}}},
            'scope': {'project': {'name': self.conf.project_name or project,
                                  'domain': {'name': self.conf.project_domain_name}}}}})
        reply.raise_for_status()
        interface = self.conf.endpoint_type.removesuffix('URL')
        for service in reply.json()['token']['catalog']:
            for endpoint in service['endpoints'] if service['type'] == 'object-store' else ():
                if endpoint['interface'] == interface:
                    return endpoint['url'], reply.headers['X-Subject-Token']
        raise KeyError(f'the catalog has no {interface} endpoint of an object-store')

    def request(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b'',
                ok: Callable[[int], bool] = lambda status: 200 <= status < 300) -> requests.Response:
        """One request below the account, tried again if it fails; raises ``errors.Unavailable``."""
        problem = ''
        for attempt in range(self.conf.retries + 1):
            if attempt:
                self.retried += 1
                time.sleep(min(_LONGEST_PAUSE, 0.25 * 2 ** attempt))
            try:
                reply = self.session.request(method, f'{self.url}{path}', data=body, timeout=60,
                                             headers={'X-Auth-Token': self.token, **(headers or {})})
            except requests.RequestException as error:
                problem = str(error)
                continue
            if ok(reply.status_code):
                return reply
            problem = f'{reply.status_code} {reply.reason}'
            if reply.status_code == 401:
                self.login()
            elif reply.status_code < 500 and reply.status_code not in (408, 429, 498):
                break
        raise errors.Unavailable(f'{method} {self.url}{path}: {problem}')

    def names(self, container: str = '', prefix: str = '') -> Iterator[str]:
        """Names in the account or in a container, page by page."""
        marker = ''
        while True:
            path = f'/{paths.quote(container, "")}' if container else ''
            reply = self.request('GET', f'{path}?format=json&prefix={paths.quote(prefix, "")}'
                                        f'&marker={paths.quote(marker, "")}')
            page = json.loads(reply.content or b'[]')
            if not page:
                return
            yield from (each['name'] for each in page)
            marker = page[-1]['name']

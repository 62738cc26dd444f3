"""A service's own identity, and its way to ask keystone about others'."""

import datetime
import logging
from typing import Any, Protocol

from oslo_config import cfg

from strata import clock as clocks
from strata import errors, green, http

LOG = logging.getLogger(__name__)

#: a token is renewed so many seconds before it expires
MARGIN = 60

OPTIONS = [
    cfg.StrOpt('auth_url', default='http://127.0.0.1:5000/v3', help='Where keystone is, for services.'),
    cfg.StrOpt('www_authenticate_uri', help='Where keystone is, for clients; default: auth_url.'),
    cfg.StrOpt('username', help="The service's own user."),
    cfg.StrOpt('password', secret=True, help="The service's own password."),
    cfg.StrOpt('project_name', default='service', help="The project of the service's user."),
    cfg.StrOpt('user_domain_name', default='Default', help="The domain of the service's user."),
    cfg.StrOpt('project_domain_name', default='Default', help="The domain of the service's project."),
    cfg.StrOpt('region_name', help='Take endpoints of this region only.'),
    cfg.IntOpt('token_cache_time', default=60, min=0, help='Seconds that a validated token is believed.'),
    cfg.IntOpt('http_connect_timeout', default=5, min=1, help='Seconds to wait for a connection.'),
    cfg.IntOpt('http_request_timeout', default=30, min=1, help='Seconds to wait for an answer.'),
]


class Validator(Protocol):
    """What authtoken needs: ``Identity``, or keystone itself where both share a process."""

    def validate(self, token: str) -> dict[str, Any]:
        """The body of the token, as under ``token`` in keystone's answer.

        Raises ``errors.Unauthorized`` (or ``errors.NotFound``) if it is not
        valid, ``errors.Unavailable`` if that cannot be found out.
        """


class Identity:
    """A client of keystone under the service's own name; its token is kept while it is valid."""

    def __init__(self, options: Any, *, client: http.Client | None = None,
                 clock: clocks.Clock = clocks.CLOCK) -> None:
        """``options``: the ``[keystone_authtoken]`` group, or anything with the attributes of ``OPTIONS``."""
        url = options.auth_url.rstrip('/')
        self._url = url if url.endswith('/v3') else url + '/v3'
        self._options = options
        self._clock = clock
        self._client = client or http.Client(
            service='Keystone', timeout=getattr(options, 'http_request_timeout', 30),
            connect_timeout=getattr(options, 'http_connect_timeout', 5))
        self._renewing = green.Semaphore(1)
        self._token: str | None = None
        self._expires = datetime.datetime.min.replace(tzinfo=clocks.UTC)
        self._catalog: list[dict[str, Any]] = []

    @property
    def auth_uri(self) -> str:
        """What a client that is refused is told about where to get a token."""
        return getattr(self._options, 'www_authenticate_uri', None) or self._url

    def token(self) -> str:
        """The service's own token.

        Raises ``errors.Unavailable`` if keystone is not there or does not know us.
        """
        if self._fresh():
            return self._token      # type: ignore[return-value]
        with self._renewing:
            if not self._fresh():
                self._renew()
        assert self._token is not None
        return self._token

    def _fresh(self) -> bool:
        margin = datetime.timedelta(seconds=MARGIN)
        return self._token is not None and self._clock.now() < self._expires - margin

    def forget(self, token: str) -> None:
        """A peer refused our token: get another one before the next request."""
        if self._token == token:
            self._token = None

    def _renew(self) -> None:
        options = self._options
        user = {'name': options.username, 'password': options.password, 'domain': _domain(options, 'user')}
        scope = {'project': {'name': options.project_name, 'domain': _domain(options, 'project')}}
        response = self._client.request(
            'POST', f'{self._url}/auth/tokens', service='Keystone', idempotent=True,
            json={'auth': {'identity': {'methods': ['password'], 'password': {'user': user}},
                           'scope': scope}})
        token = response.headers.get('X-Subject-Token')
        if response.status_code != 201 or not token:
            LOG.error('keystone refuses the service user %s: %s', options.username, response.status_code)
            raise errors.Unavailable(service='Keystone')
        body = response.json()['token']
        self._catalog = body.get('catalog') or []
        self._expires = clocks.parse(body['expires_at'])
        self._token = token

    def validate(self, token: str) -> dict[str, Any]:
        """See ``Validator``; the catalog is not among what is returned."""
        if not token.isascii() or not token.isprintable():
            raise errors.Unauthorized()
        response = self._ask('GET', f'{self._url}/auth/tokens?nocatalog', service='Keystone',
                             headers={'X-Subject-Token': token})
        if response.status_code == 404:
            raise errors.Unauthorized()
        if response.status_code != 200:
            LOG.error('keystone answers %s when asked about a token', response.status_code)
            raise errors.Unavailable(service='Keystone')
        body: dict[str, Any] = response.json()['token']
        return body

    def _ask(self, method: str, url: str, **options: Any) -> http.Response:
        """A request under our own name, once more with a new token if the first is refused."""
        own = self.token()
        response = self._client.request(method, url, token=own, **options)
        if response.status_code == 401:
            response.close()
            self.forget(own)
            response = self._client.request(method, url, token=self.token(), **options)
        return response

    def endpoint(self, type: str, interface: str = 'internal') -> str:      # noqa: A002
        """A service's URL from the catalog, without a slash at its end.

        Raises ``errors.Unavailable`` if the catalog has none.
        """
        self.token()
        region = getattr(self._options, 'region_name', None)
        for service in self._catalog:
            if service['type'] != type:
                continue
            for endpoint in service['endpoints']:
                if endpoint['interface'] == interface and region in (None, endpoint.get('region_id')):
                    return str(endpoint['url']).rstrip('/')
        raise errors.Unavailable(f'the catalog has no {interface} endpoint of {type}')

    def request(self, type: str, method: str, path: str, *, interface: str = 'internal',      # noqa: A002
                **options: Any) -> http.Response:
        """Ask another service under our own name; as ``http.Client.request``.

        A streamed body cannot be sent twice, so have the token fresh: call ``token()`` after a refusal.
        """
        return self._ask(method, self.endpoint(type, interface) + path, service=type, **options)


def _domain(options: Any, kind: str) -> dict[str, str]:
    """The domain of our user or project: by its id if there is one (``user_domain_id``), else by its name."""
    ident = getattr(options, f'{kind}_domain_id', None)
    return {'id': ident} if ident else {'name': getattr(options, f'{kind}_domain_name')}

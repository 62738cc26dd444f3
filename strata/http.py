"""HTTP to other services: bounded in time, tried again where that is safe, failures as our errors."""

import logging
import random
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import requests
import requests.adapters
import requests.cookies

from strata import context as contexts
from strata import errors, green

LOG = logging.getLogger(__name__)

IDEMPOTENT = frozenset({'GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'})
#: statuses of a peer, or of a gateway before it, that failed; 503 is "not now", and an error of its own
_FAILING = {500, 502, 504}
#: seconds before the second try; doubled for each further one
BACKOFF = 0.1

Response = requests.Response


class _NoCookies(requests.cookies.RequestsCookieJar):
    """Keeps nothing: one user's session is never carried into another's request."""

    def set_cookie(self, cookie: Any, *args: Any, **kwargs: Any) -> None:
        """Drop it."""


class Client:
    """A pool of connections to services; one per process and kind of peer is enough."""

    def __init__(self, *, timeout: float = 60.0, connect_timeout: float = 5.0, retries: int = 3,
                 pool: int = 20, service: str = 'The service', verify: bool | str = True,
                 proxy: str | None = None) -> None:
        """Times in seconds (``timeout``: between two reads); ``retries`` beyond the first try.

        ``service`` names the peer in errors; ``verify``: TLS, or the path of a CA bundle;
        ``proxy``: the URL of an HTTP proxy that all of it goes through.
        """
        self.service = service
        self._timeout = (connect_timeout, timeout)
        self._retries = retries
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = verify
        self._session.cookies = _NoCookies()
        self._session.headers['User-Agent'] = 'strata'
        if proxy:
            self._session.proxies = {'http': proxy, 'https': proxy}
        adapter = requests.adapters.HTTPAdapter(pool_connections=16, pool_maxsize=pool, pool_block=True,
                                                max_retries=0)
        self._session.mount('http://', adapter)
        self._session.mount('https://', adapter)

    def request(self, method: str, url: str, *, token: str | None = None, json: Any = None,
                data: bytes | Iterable[bytes] | None = None, params: Mapping[str, Any] | None = None,
                headers: Mapping[str, str] | None = None, stream: bool = False,
                service: str | None = None, idempotent: bool | None = None,
                timeout: float | None = None) -> Response:
        """Send one request; an answer is returned unless it is 500, 502, 503 or 504.

        ``data`` may be a stream, which is then sent in chunks and never tried
        again.  ``idempotent`` overrides what the method says about trying again.
        With ``stream`` the caller closes the response.

        Raises ``errors.Unavailable`` if the peer cannot be reached or says 503,
        ``errors.Timeout`` if it accepts and then is silent, ``errors.BadGateway`` if it fails otherwise.
        """
        named = service or self.service
        sent = dict(headers or {})
        if json is not None:
            data = orjson.dumps(json)
            sent.setdefault('Content-Type', 'application/json')
        if token is not None:
            sent['X-Auth-Token'] = token
        context = contexts.CURRENT.get()
        if context is not None:
            sent.setdefault('X-OpenStack-Request-ID', context.global_request_id or context.request_id)
        repeatable = data is None or isinstance(data, (bytes, str))
        safe = repeatable and (method in IDEMPOTENT if idempotent is None else idempotent)
        limits = self._timeout if timeout is None else (min(self._timeout[0], timeout), timeout)
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                response = self._session.request(method, url, data=data, params=params, headers=sent,
                                                 stream=stream, timeout=limits, allow_redirects=False)
            except requests.RequestException as error:
                if last or not repeatable or not (safe or _unsent(error)):
                    raise _translated(error, named) from error
                LOG.info('%s: %s; trying again', named, error)
            else:
                if last or not safe or response.status_code not in (502, 503, 504):
                    return _checked(response, named)
                response.close()
            green.sleep(BACKOFF * 2 ** attempt * random.uniform(0.5, 1))      # noqa: S311
        raise AssertionError('unreachable')

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _unsent(error: requests.RequestException) -> bool:
    """Whether the peer cannot have seen the request."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    return isinstance(error, requests.ConnectionError) and 'NewConnectionError' in repr(error)


def _translated(error: requests.RequestException, service: str) -> errors.Error:
    if isinstance(error, requests.ReadTimeout):
        return errors.Timeout(what=service)
    if isinstance(error, (requests.ConnectionError, requests.Timeout)):
        return errors.Unavailable(service=service)
    return errors.BadGateway(service=service)


def _checked(response: Response, service: str) -> Response:
    if response.status_code == 503:
        response.close()
        raise errors.Unavailable(service=service)
    if response.status_code in _FAILING:
        response.close()
        raise errors.BadGateway(service=service, status=response.status_code)
    return response

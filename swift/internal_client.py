"""A proxy of one's own: daemons use the cluster through a pipeline that runs in their process.

The pipeline is that of internal-client.conf: no authorisation, no gatekeeper,
so X-Timestamp and X-Backend-* headers go through.  What fails for a moment
(5xx) is tried again.
"""

import json
import logging
import time
import urllib.parse
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from strata import errors
from swift import pipeline
from swift.http import path as paths
from swift.http.request import Request
from swift.http.response import Response

LOG = logging.getLogger(__name__)

#: seconds before the second try; twice as many before each further one
FIRST_PAUSE = 0.5
OK = (2,)


class Unexpected(errors.BadGateway):
    """The answer was none of those that the caller can use; ``response`` is closed."""

    message = '{method} {path}: {code}'

    def __init__(self, method: str, path: str, response: Response) -> None:
        super().__init__(method=method, path=path, code=response.status)
        self.response = response
        self.code = response.status


class InternalClient:
    """The cluster, as a daemon sees it.  Names are text; header values WSGI strings."""

    def __init__(self, conf: str, agent: str, tries: int = 3, app: Callable[..., Any] | None = None,
                 without: Collection[str] = ()) -> None:
        """``conf``: internal-client.conf, or ``app``: a pipeline; ``tries`` of each request in all.

        ``without``: filters of the conf file that are left out, by their published names.

        Raises ``errors.Invalid`` for a conf file that cannot be used.
        """
        self.app = app or pipeline.load(conf, complete=False, without=without)
        self.agent = agent
        self.tries = tries

    def request(self, method: str, path: str, headers: Mapping[str, Any] | None = None,
                acceptable: Iterable[int] = OK, body: bytes | Any = None,
                params: Mapping[str, Any] | None = None) -> Response:
        """Ask; the answer, whose body is to be read or closed.

        ``path``: quoted.  ``acceptable``: statuses, or their hundreds (2, 404).
        ``body``: bytes, or a file that can seek back to its beginning.  Raises ``Unexpected``.
        """
        accepted = set(acceptable)
        given = {**(headers or {}), 'User-Agent': self.agent, 'X-Backend-Allow-Reserved-Names': 'true'}
        query = urllib.parse.urlencode({name: value for name, value in (params or {}).items() if value is not None})
        for number in range(self.tries):
            if number:
                time.sleep(FIRST_PAUSE * 2 ** (number - 1))
            response = self._once(method, f'{path}?{query}' if query else path, given, body)
            if response.status in accepted or response.status // 100 in accepted:
                return response
            response.drain()
            if response.status < 500:
                break
            LOG.warning('%s %s: %d', method, path, response.status)
        raise Unexpected(method, path, response)

    def _once(self, method: str, path: str, headers: Mapping[str, Any], body: Any) -> Response:
        if body is None or isinstance(body, bytes):
            return Request.blank(path, method=method, headers=headers, body=body).respond(self.app)
        body.seek(0)
        request = Request.blank(path, method=method, headers=headers, environ={'wsgi.input': body})
        if not request.environ.get('CONTENT_LENGTH'):
            request.environ['HTTP_TRANSFER_ENCODING'] = 'chunked'
        return request.respond(self.app)

    def path(self, account: str, container: str | None = None, obj: str | None = None) -> str:
        """The quoted path of an account, a container or an object."""
        return '/v1' + paths.quote(paths.join(account, container, obj))

    def _done(self, method: str, path: str, headers: Mapping[str, Any] | None = None,
              acceptable: Iterable[int] = OK, body: Any = None) -> Response:
        response = self.request(method, path, headers, acceptable, body)
        response.drain()
        return response

    # --- listings

    def _entries(self, path: str, params: dict[str, Any], acceptable: Iterable[int]) -> Iterator[dict[str, Any]]:
        while True:
            response = self.request('GET', path, None, acceptable, params={**params, 'format': 'json'})
            if response.status != 200:
                response.drain()
                return
            page = json.loads(response.body or b'[]')
            if not page:
                return
            yield from page
            params['marker'] = page[-1].get('name') or page[-1].get('subdir')

    def containers(self, account: str, marker: str = '', end_marker: str = '', prefix: str = '',
                   acceptable: Iterable[int] = (2, 404)) -> Iterator[dict[str, Any]]:
        """Entries of an account, all pages; none if there is no such account."""
        return self._entries(self.path(account), _given(marker, end_marker, prefix), acceptable)

    def objects(self, account: str, container: str, marker: str = '', end_marker: str = '', prefix: str = '',
                acceptable: Iterable[int] = (2, 404)) -> Iterator[dict[str, Any]]:
        """Entries of a container, all pages; none if there is no such container."""
        return self._entries(self.path(account, container), _given(marker, end_marker, prefix), acceptable)

    # --- accounts and containers

    def metadata(self, account: str, container: str | None = None, obj: str | None = None,
                 acceptable: Iterable[int] = OK, headers: Mapping[str, Any] | None = None) -> dict[str, str]:
        """All headers of a HEAD, with names in lower case."""
        response = self._done('HEAD', self.path(account, container, obj), headers, acceptable)
        return {name.lower(): value for name, value in response.headers.items()}

    def exists(self, account: str, container: str | None = None, obj: str | None = None) -> bool:
        """Whether it is there."""
        return self._done('HEAD', self.path(account, container, obj), None, (2, 404)).status != 404

    def create_container(self, account: str, container: str, headers: Mapping[str, Any] | None = None) -> None:
        """Make it, or set its metadata."""
        self._done('PUT', self.path(account, container), headers)

    def delete_container(self, account: str, container: str, acceptable: Iterable[int] = (2, 404),
                         headers: Mapping[str, Any] | None = None) -> None:
        """Delete it; one that is gone is no error, one that holds objects is ``Unexpected`` with code 409."""
        self._done('DELETE', self.path(account, container), headers, acceptable)

    def set_metadata(self, headers: Mapping[str, Any], account: str, container: str | None = None,
                     obj: str | None = None, acceptable: Iterable[int] = OK) -> None:
        """POST."""
        self._done('POST', self.path(account, container, obj), headers, acceptable)

    # --- objects

    def get_object(self, account: str, container: str, obj: str, headers: Mapping[str, Any] | None = None,
                   acceptable: Iterable[int] = OK, params: Mapping[str, Any] | None = None) -> Response:
        """The answer; ``app_iter`` is the body, to be closed."""
        return self.request('GET', self.path(account, container, obj), headers, acceptable, params=params)

    def upload_object(self, body: Any, account: str, container: str, obj: str,
                      headers: Mapping[str, Any] | None = None, acceptable: Iterable[int] = OK) -> Response:
        """Store bytes, or a file from its beginning; the answer, which is drained."""
        return self._done('PUT', self.path(account, container, obj), headers, acceptable, body)

    def delete_object(self, account: str, container: str, obj: str, headers: Mapping[str, Any] | None = None,
                      acceptable: Iterable[int] = (2, 404)) -> Response:
        """Delete it; one that is gone is no error.  The answer is drained."""
        return self._done('DELETE', self.path(account, container, obj), headers, acceptable)


def _given(marker: str, end_marker: str, prefix: str) -> dict[str, Any]:
    return {'marker': marker or None, 'end_marker': end_marker or None, 'prefix': prefix or None}

"""The image service, as nova asks it: in the caller's name while there is a token, else in our own.

A token never travels over the bus, so workers ask under the service's user.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from strata import errors, http
from strata.context import Context
from strata.identity import Identity

CHUNK = 1 << 20


class Images:
    """A client of glance v2.

    ``endpoint`` overrides the catalog.  Raises ``errors.NotFound`` for an image
    the caller cannot see, ``errors.Forbidden``, ``errors.Unavailable``,
    ``errors.BadGateway``.
    """

    def __init__(self, identity: Identity, *, endpoint: str | None = None, client: http.Client | None = None,
                 retries: int = 3) -> None:
        self._identity = identity
        self._endpoint = endpoint.rstrip('/') if endpoint else None
        self._client = client or http.Client(service='The image service', retries=retries)

    def show(self, context: Context, id: str) -> Mapping[str, Any]:
        """An image's record."""
        response = self._get(context, f'/v2/images/{_quoted(id)}')
        _refuse(response, id)
        record: Mapping[str, Any] = response.json()
        return record

    def download(self, context: Context, id: str) -> Iterator[bytes]:
        """An image's bytes, in chunks of 1 MiB at most."""
        response = self._get(context, f'/v2/images/{_quoted(id)}/file', stream=True)
        try:
            _refuse(response, id)
            if response.status_code == 204:
                raise errors.Invalid('Image {id} has no data.', id=id)
            yield from response.iter_content(CHUNK)
        finally:
            response.close()

    def _get(self, context: Context, path: str, **options: Any) -> http.Response:
        base = self._endpoint or self._identity.endpoint('image')
        if context.token:
            return self._client.request('GET', base + path, token=context.token, **options)
        token = self._identity.token()
        response = self._client.request('GET', base + path, token=token, **options)
        if response.status_code == 401:
            response.close()
            self._identity.forget(token)
            response = self._client.request('GET', base + path, token=self._identity.token(), **options)
        return response


def _quoted(id: str) -> str:
    if not re.fullmatch('[A-Za-z0-9_-]{1,64}', id):
        raise errors.NotFound('Image {id} could not be found.', id=id[:80])
    return id


def _refuse(response: http.Response, id: str) -> None:
    if response.status_code in (200, 204, 206):
        return
    status = response.status_code
    response.close()
    if status == 404:
        raise errors.NotFound('Image {id} could not be found.', id=id)
    if status == 403:
        raise errors.Forbidden('Image {id} may not be used.', id=id)
    raise errors.BadGateway(service='The image service')

"""The registry over HTTP: what glance-api uses when glance-registry is a daemon of its own."""

import dataclasses
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from glance.registry.calls import ACTING, CALLS, KINDS, packed
from glance.registry.interface import Blob, Image, Member, Registry, Search
from strata import errors, http
from strata.context import Context


class Remote(Registry):
    """Every method is one request under glance's own token, in the name of the caller."""

    def __init__(self, url: str, identity: Any, *, client: http.Client | None = None) -> None:
        """``identity`` is a ``strata.identity.Identity`` (``token``, ``forget``)."""
        self._url = url.rstrip('/')
        self._identity = identity
        self._client = client or http.Client(service='The image registry', timeout=30)

    def _call(self, name: str, context: Context, **arguments: Any) -> Any:
        call = CALLS[name]
        path = call.path
        body = dict(arguments)
        for key in list(arguments):
            if f'{{{key}}}' in path:
                path = path.replace(f'{{{key}}}', urllib.parse.quote(str(body.pop(key)), safe=''))
        token = self._identity.token()
        response = self._send(call.verb, path, token, context, body, call.again)
        if response.status_code == 401:
            self._identity.forget(token)
            response = self._send(call.verb, path, self._identity.token(), context, body, call.again)
        return _result(response)

    def _send(self, verb: str, path: str, token: str, context: Context, body: dict[str, Any],
              again: bool) -> http.Response:
        return self._client.request(verb, self._url + path, token=token, json=body or None, idempotent=again,
                                    headers={ACTING: packed(context)})

    def _image(self, name: str, context: Context, **arguments: Any) -> Image:
        return Image(**self._call(name, context, **arguments))

    def create(self, context: Context, *, values: Mapping[str, Any], properties: Mapping[str, str | None],
               tags: Sequence[str]) -> Image:
        return self._image('create', context, values=values, properties=properties, tags=tags)

    def get(self, context: Context, id: str) -> Image:
        return self._image('get', context, id=id)

    def search(self, context: Context, search: Search) -> list[Image]:
        found = self._call('search', context, search=dataclasses.asdict(search))
        return [Image(**each) for each in found]

    def update(self, context: Context, id: str, *, values: Mapping[str, Any] = {},
               properties: Mapping[str, str | None] = {}, removed: Sequence[str] = (),
               tags: Sequence[str] | None = None, expect: Mapping[str, Any] = {},
               limits: Mapping[str, int] = {}) -> Image:
        return self._image('update', context, id=id, values=values, properties=properties,
                           removed=list(removed), tags=tags, expect=expect, limits=limits)

    def delete(self, context: Context, id: str) -> None:
        self._call('delete', context, id=id)

    def add_tag(self, context: Context, id: str, tag: str, limit: int) -> None:
        self._call('add_tag', context, id=id, tag=tag, limit=limit)

    def remove_tag(self, context: Context, id: str, tag: str) -> None:
        self._call('remove_tag', context, id=id, tag=tag)

    def members(self, context: Context, id: str, *, only: str | None = None) -> list[Member]:
        return [Member(**each) for each in self._call('members', context, id=id, only=only)]

    def member(self, context: Context, id: str, member_id: str) -> Member:
        return Member(**self._call('member', context, id=id, member_id=member_id))

    def add_member(self, context: Context, id: str, member_id: str, limit: int) -> Member:
        return Member(**self._call('add_member', context, id=id, member_id=member_id, limit=limit))

    def set_member(self, context: Context, id: str, member_id: str, status: str) -> Member:
        return Member(**self._call('set_member', context, id=id, member_id=member_id, status=status))

    def remove_member(self, context: Context, id: str, member_id: str) -> None:
        self._call('remove_member', context, id=id, member_id=member_id)

    def begin(self, context: Context, id: str, *, store: str, purpose: str, lease: float,
              size: int | None = None) -> Blob:
        return Blob(**self._call('begin', context, id=id, store=store, purpose=purpose, lease=lease,
                                 size=size))

    def renew(self, context: Context, blob_id: str, lease: float) -> None:
        self._call('renew', context, blob_id=blob_id, lease=lease)

    def finish(self, context: Context, blob_id: str, *, size: int, values: Mapping[str, Any] = {}) -> Image:
        return self._image('finish', context, blob_id=blob_id, size=size, values=values)

    def abandon(self, context: Context, blob_id: str, *, fully: bool = False) -> bool:
        return bool(self._call('abandon', context, blob_id=blob_id, fully=fully))

    def staged(self, context: Context, id: str) -> Blob:
        return Blob(**self._call('staged', context, id=id))

    def expire(self, context: Context) -> int:
        return int(self._call('expire', context))

    def doomed(self, context: Context, limit: int = 100) -> list[Blob]:
        return [Blob(**each) for each in self._call('doomed', context, limit=limit)]

    def forget(self, context: Context, blob_id: str) -> None:
        self._call('forget', context, blob_id=blob_id)


def _result(response: http.Response) -> Any:
    """What the registry answered, or the error it raised."""
    try:
        body = response.json()
    except ValueError as error:
        raise errors.BadGateway(service='The image registry') from error
    if response.status_code == 200 and 'result' in body:
        return body['result']
    told = body.get('error') if isinstance(body.get('error'), dict) else {}
    message = str(told.get('message', ''))
    make: Callable[..., errors.Error] | None = KINDS.get(told.get('kind', ''))
    if response.status_code == 410:
        raise errors.Fenced(message)
    if make is None:      # our own token refused, or a fault over there
        raise errors.BadGateway(service='The image registry')
    raise make(message)

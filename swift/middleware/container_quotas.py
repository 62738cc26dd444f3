"""Quotas of containers, set by who owns them.

    [filter:container_quotas]
    use = egg:swift#container_quotas

``X-Container-Meta-Quota-Bytes`` and ``X-Container-Meta-Quota-Count``: a PUT that
would bring the container beyond is refused with 413.  What the container holds
is known with a delay, so a quota can be passed a little.
"""

from collections.abc import Callable, Iterable
from typing import Any

from swift.http import HttpError, Request, info, serving
from swift.proxy.info import get_container_info

#: header of each kind, and what it is called in refusals
HEADERS = {'X-Container-Meta-Quota-Bytes': 'bytes', 'X-Container-Meta-Quota-Count': 'count'}


class ContainerQuotas:
    """The filter."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = environ['REQUEST_METHOD']
        if method == 'PUT' or (method == 'POST' and ('HTTP_X_CONTAINER_META_QUOTA_BYTES' in environ
                                                     or 'HTTP_X_CONTAINER_META_QUOTA_COUNT' in environ)):
            return self._serve(environ, start_response)
        return self.app(environ, start_response)

    @serving
    def _serve(self, request: Request) -> Any:
        try:
            _, _, container, name = request.split(3, 4, rest=True)
        except ValueError:
            return self.app
        if not name:
            for header, kind in HEADERS.items():
                if not is_quota(request.headers.get(header, '')):
                    raise HttpError(400, f'Invalid {kind} quota.')
        elif request.method == 'PUT':
            self._check(request)
        return self.app

    def _check(self, request: Request) -> None:
        known = get_container_info(request.environ, self.app, 'CQ')
        meta = known.get('meta') or {}
        size, count = meta.get('quota-bytes', ''), meta.get('quota-count', '')
        if (size and is_quota(size) and known['bytes'] + (request.content_length or 0) > int(size)) \
                or (count and is_quota(count) and known['object_count'] + 1 > int(count)):
            refuse(request, known.get('write_acl'), 'Upload exceeds quota.')


def is_quota(value: str) -> bool:
    """Whether it is a number that can be one, or nothing."""
    return not value or (value.isascii() and value.isdecimal() and len(value) < 20)


def refuse(request: Request, acl: str | None, text: str) -> None:
    """Raise 413, or what those are told who may not write at all."""
    decide = request.environ.get('swift.authorize')
    if decide is not None:
        request.acl = acl
        if decide(request) is not None:
            return      # the proxy will say so
    raise HttpError(413, text)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], ContainerQuotas]:
    """paste."""
    info.register('container_quotas')
    return ContainerQuotas

"""Filters alone: an application that records what reaches it, and a way to ask through a filter."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from swift.http import Request, Response
from swift.middleware.cache import Local


class Recorder:
    """Answers by path (``200 OK`` to all others) and keeps the environs that reached it."""

    def __init__(self, answers: Mapping[str, Any] | None = None) -> None:
        """``answers``: by path, or by method and path (``PUT /v1/a``): a status, a Response or a WSGI app."""
        self.answers = dict(answers or {})
        self.calls: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.calls.append(dict(environ))
        path = environ['PATH_INFO']
        answer = self.answers.get(f'{environ["REQUEST_METHOD"]} {path}', self.answers.get(path, 200))
        if isinstance(answer, int):
            answer = Response(answer)
        return answer(environ, start_response)

    @property
    def last(self) -> dict[str, Any]:
        """The environ that came last."""
        return self.calls[-1]


@dataclasses.dataclass
class Answer:
    """What a client sees."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(app: Any, path: str, method: str = 'GET', *, headers: Mapping[str, Any] | None = None,
        body: bytes | None = None, **environ: Any) -> Answer:
    """One request through a WSGI application; ``path`` is quoted."""
    request = Request.blank(path, method=method, headers=headers, body=body,
                            environ={'REMOTE_ADDR': '192.0.2.7', **environ})
    said: list[Any] = []

    def start(status: str, sent: list[tuple[str, str]], exc_info: Any = None) -> None:
        said[:] = [status, sent]
    content = app(request.environ, start)
    try:
        data = b''.join(content)
    finally:
        close = getattr(content, 'close', None)
        if close is not None:
            close()
    return Answer(int(said[0][:3]), {name.lower(): value for name, value in said[1]}, data)


class Cached:
    """The ``cache`` filter with a cache in this process."""

    def __init__(self, app: Any, cache: Any = None) -> None:
        self.app = app
        self.cache = cache or Local()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        environ['swift.cache'] = self.cache
        return self.app(environ, start_response)


class Authorizing:
    """As the proxy: asks ``swift.authorize`` before it answers, with the ACLs of ``acls`` by path of the container."""

    def __init__(self, acls: Mapping[str, tuple[str, str]] | None = None,
                 accounts: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """``acls``: (read, write); ``accounts``: headers of accounts by path."""
        self.acls = dict(acls or {})
        self.accounts = {path: dict(headers) for path, headers in (accounts or {}).items()}
        self.requests: list[Request] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        self.requests.append(request)
        pieces = environ['PATH_INFO'].split('/', 4)
        read, write = self.acls.get('/'.join(pieces[:4]), (None, None))
        if len(pieces) < 5 and request.method not in ('GET', 'HEAD'):
            write = None
        request.acl = read if request.method in ('GET', 'HEAD') else write
        refused = environ['swift.authorize'](request) if 'swift.authorize' in environ else None
        if refused is not None:
            return refused(environ, start_response)
        return Response(200, b'', self.accounts.get('/'.join(pieces[:3]), {}))(environ, start_response)

    @property
    def last(self) -> dict[str, Any]:
        """The environ of the client's last request."""
        return next(request.environ for request in reversed(self.requests) if 'swift.source' not in request.environ)

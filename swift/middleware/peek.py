"""Looking at an answer on its way: one that is none of a filter's business goes on as it is, at little cost."""

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from swift.http import Headers, HttpError, Response
from swift.http.response import Stream

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


def ask(app: Any, environ: Environ, mark: str, start_response: StartResponse) -> Response | Iterable[bytes]:
    """What ``app`` answers: a ``Response`` if it has the header ``mark`` (in lower case), else it is begun already."""
    said: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        said[:] = [status, headers]
        return lambda data: None
    body = app(environ, start)
    if not said:    # an application may wait for its first piece
        pieces = iter(body)
        first = next(pieces, b'')
        body = Stream(chain((first,), pieces), getattr(body, 'close', None))
    status, headers = said
    for name, _ in headers:
        if name.lower() == mark:
            break
    else:
        start_response(status, headers)
        return body
    response = Response(int(status[:3]), body, Headers())
    for name, value in headers:
        if name in response.headers:
            response.headers.add(name, value)
        else:
            response.headers[name] = value
    response.environ = environ
    return response


def is_object(environ: Environ) -> bool:
    """Whether the path is of an object."""
    pieces = environ['PATH_INFO'].split('/', 4)
    return len(pieces) == 5 and not pieces[0] and all(pieces[1:]) and not environ.get('SCRIPT_NAME')


def answer(make: Callable[[], Response], environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Send what is made, or the answer that it raises."""
    try:
        response = make()
    except HttpError as error:
        response = error.response()
    return response(environ, start_response)

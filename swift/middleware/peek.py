"""Looking at an answer on its way: one that is none of a filter's business goes on as it is, at little cost."""

from collections.abc import Callable, Iterable
from typing import Any

from swift.http import HttpError, Response
from swift.http.response import begin

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


def ask(app: Any, environ: Environ, mark: str, start_response: StartResponse) -> Response | Iterable[bytes]:
    """What ``app`` answers: a ``Response`` if it has the header ``mark`` (in lower case), else it is begun already."""
    status, headers, body = begin(app, environ)
    if any(name.lower() == mark for name, _ in headers):
        return Response.begun(status, headers, body, environ)
    start_response(status, headers)
    return body


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

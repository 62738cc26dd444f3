"""The edge between WSGI and functions that take a request and return an answer."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

from strata.wsgi.body import BodyError, ClientDisconnected
from swift.http.request import Request
from swift.http.response import HttpError, Response

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def serving(handler: Callable[[Any, Request], Response | WsgiApp]) -> Callable[..., Iterable[bytes]]:
    """Make a method that takes a ``Request`` and returns an answer, or an application to ask instead, a WSGI one.

    An ``HttpError`` is the answer it stands for, and so is a body that is malformed or does not come; other errors
    pass through (catch_errors turns them into 500).
    """
    @functools.wraps(handler)
    def call(self: Any, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            answer = handler(self, Request(environ))
        except HttpError as error:
            answer = error.response()
        except BodyError as error:
            answer = HttpError(499 if isinstance(error, ClientDisconnected) else error.status).response()
        return answer(environ, start_response)
    return call

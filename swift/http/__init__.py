"""Requests and answers, as thin as a storage node needs them: views of a WSGI environ, and what goes back."""

from swift.http.application import serving
from swift.http.headers import Headers
from swift.http.request import Request
from swift.http.response import HttpError, Response

__all__ = ['Headers', 'HttpError', 'Request', 'Response', 'serving']

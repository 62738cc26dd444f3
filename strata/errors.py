"""Errors that know their HTTP status; raised anywhere, rendered once.

A service subclasses these only where its API names a condition of its own
(Neutron's ``IpAddressGenerationFailure``, say); the type's name is then part
of what the client sees.
"""

from typing import Any


class Error(Exception):
    """Something the caller is told, with the status it is told with.

    ``message`` is a ``str.format`` template over ``details``; details are kept
    for renderers and tests.  ``headers`` go out with the response.  What is not
    ``told`` (a command's own words, say) is for the log and the operator alone.
    """

    status: int = 500
    message: str = 'Something went wrong.'
    told: bool = True

    def __init__(self, message: str | None = None, *, headers: dict[str, str] | None = None,
                 **details: Any) -> None:
        self.details = details
        self.headers = headers or {}
        template = self.message if message is None else message
        super().__init__(template.format(**details) if details else template)


def told(error: BaseException) -> str:
    """What a caller may hear of a failure: our own words; of anything else, which may hold paths, only its kind."""
    return str(error) if isinstance(error, Error) and error.told else type(error).__name__


class Invalid(Error):
    status, message = 400, 'Invalid input.'


class Unauthorized(Error):
    status, message = 401, 'The request you have made requires authentication.'


class Forbidden(Error):
    status, message = 403, "Policy doesn't allow {rule} to be performed."


class OverQuota(Forbidden):
    message = 'Quota exceeded for {resource}: requested {requested}, used {used} of {limit}.'


class NotFound(Error):
    status, message = 404, '{kind} {id} could not be found.'


class NotAllowed(Error):
    """The path exists, the method does not; ``allow`` lists those that do."""

    status, message = 405, 'This resource only takes {allow}.'


class NotAcceptable(Error):
    status, message = 406, 'Version {version} is not supported by the API.'


class Conflict(Error):
    status, message = 409, 'The request conflicts with the current state.'


class Busy(Conflict):
    """A compare-and-swap lost: somebody else moved the row first."""

    message = '{kind} {id} is busy or has changed state.'


class Gone(Error):
    status, message = 410, 'The resource is gone.'


class PreconditionFailed(Error):
    status, message = 412, 'A precondition of the request does not hold.'


class TooLarge(Error):
    status, message = 413, 'The request is too large.'


class UnsupportedMedia(Error):
    status, message = 415, 'Unsupported media type {type}.'


class RangeNotSatisfiable(Error):
    status, message = 416, 'The requested range cannot be satisfied.'


class Unsupported(Error):
    """The feature is published, but this driver or build has not got it."""

    status, message = 501, '{feature} is not supported here.'


class BadGateway(Error):
    status, message = 502, '{service} answered with an error.'


class Unavailable(Error):
    status, message = 503, '{service} is not available.'


class Timeout(Error):
    status, message = 504, '{what} did not answer in time.'


class Fenced(Error):
    """The worker no longer holds the journal row it works under; it must stop at once."""

    message = 'Operation {id} is held by a successor of epoch {epoch}.'


class Transient(Error):
    """The database asks for the whole transaction to be tried again."""

    status, message = 503, 'The database was too busy; try again.'

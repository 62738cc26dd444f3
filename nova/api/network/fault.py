"""Errors as network clients know them: ``{"NeutronError": {"type", "message", "detail"}}``."""

from typing import Any

from strata import errors
from strata.rest import Response

#: what the API calls errors that come from below it
_TYPES: dict[str, str] = {
    'Invalid': 'HTTPBadRequest', 'NotFound': 'HTTPNotFound', 'NotAllowed': 'HTTPMethodNotAllowed',
    'Forbidden': 'PolicyNotAuthorized', 'Conflict': 'HTTPConflict', 'Busy': 'HTTPConflict',
    'Duplicate': 'HTTPConflict', 'Dangling': 'HTTPConflict', 'UnsupportedMedia': 'HTTPUnsupportedMediaType',
    'Unauthorized': 'HTTPUnauthorized', 'Unavailable': 'HTTPServiceUnavailable',
    'Transient': 'HTTPServiceUnavailable', 'Error': 'HTTPInternalServerError'}


def render(req: Any, error: errors.Error) -> Response:
    """An error of any kind under the type that the API publishes for it."""
    name = type(error).__name__
    return Response(error.status, {'NeutronError': {
        'type': _TYPES.get(name, name), 'message': str(error), 'detail': ''}})

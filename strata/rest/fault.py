"""How an error looks on the wire, service by service."""

from typing import Any

from strata import errors
from strata.rest.request import REASONS, Response

#: the keys that compute and volume clients look for
_COMPUTE = {400: 'badRequest', 401: 'unauthorized', 403: 'forbidden', 404: 'itemNotFound', 405: 'badMethod',
            406: 'notAcceptable', 409: 'conflictingRequest', 413: 'overLimit', 415: 'badMediaType',
            429: 'overLimit', 501: 'notImplemented', 503: 'serviceUnavailable'}


def compute(req: Any, error: errors.Error) -> Response:
    """``{"itemNotFound": {"code": 404, "message": ...}}``: compute and volume."""
    return Response(error.status, {_COMPUTE.get(error.status, 'computeFault'):
                                   {'code': error.status, 'message': str(error)}})


def identity(req: Any, error: errors.Error) -> Response:
    """``{"error": {"code": 404, "title": "Not Found", "message": ...}}``: identity."""
    response = Response(error.status, {'error': {
        'code': error.status, 'title': REASONS.get(error.status, 'Error'), 'message': str(error)}})
    if error.status == 401:
        response.headers['WWW-Authenticate'] = f'Keystone uri="{req.host_url}"'
    return response


def network(req: Any, error: errors.Error) -> Response:
    """``{"NeutronError": {"type": ..., "message": ..., "detail": ""}}``: network."""
    return Response(error.status, {'NeutronError': {
        'type': type(error).__name__, 'message': str(error), 'detail': ''}})


def page(req: Any, error: errors.Error) -> Response:
    """A small HTML page: image."""
    title = f'{error.status} {REASONS.get(error.status, "Error")}'
    text = str(error).replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')
    return Response(error.status, f'<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n'
                    f'  <h1>{title}</h1>\n  {text}<br /><br />\n </body>\n</html>',
                    content_type='text/html; charset=UTF-8')


def plain(req: Any, error: errors.Error) -> Response:
    """One line of text: everything without a form of its own."""
    return Response(error.status, str(error) + '\n')


#: by the name that a paste file gives: ``fault = compute``
FORMS = {'compute': compute, 'identity': identity, 'network': network, 'page': page, 'plain': plain}

"""Cross-origin resource sharing: what a browser is told about pages from elsewhere that use a container."""

import functools
from collections.abc import Callable

from swift.http.response import HttpError, Response
from swift.proxy.call import Call
from swift.proxy.info import Info

Handler = Callable[[Call], Response]

#: what any origin that is let in may see, beside metadata
EXPOSED = ('cache-control', 'content-language', 'content-type', 'expires', 'last-modified', 'pragma', 'etag',
           'x-timestamp', 'x-trans-id', 'x-openstack-request-id')


def _allowed(call: Call, rules: Info, origin: str) -> bool:
    origins = set((rules.get('allow_origin') or '').split()) | set(call.app.conf.cors_allow_origin)
    return origin in origins or '*' in origins


def _origin(rules: Info, origin: str) -> str:
    return '*' if (rules.get('allow_origin') or '').strip() == '*' else origin


def sharing(handler: Handler) -> Handler:
    """A handler whose answers carry CORS headers for requests that have an Origin."""
    @functools.wraps(handler)
    def call_with(call: Call) -> Response:
        origin = call.environ.get('HTTP_ORIGIN')
        if origin is None:
            return handler(call)
        rules = call.container_info()['cors']
        try:
            response = handler(call)
        except HttpError as error:
            response = error.response()
        if response.status == 401 or (call.app.conf.strict_cors_mode and not _allowed(call, rules, origin)):
            return response
        headers = response.headers
        if 'Access-Control-Expose-Headers' not in headers:
            exposed = {*EXPOSED, *(name.lower() for name in call.app.conf.cors_expose_headers),
                       *(rules.get('expose_headers') or '').lower().replace(',', ' ').split()}
            exposed.update(name.lower() for name in headers
                           if name.startswith(('X-Container-Meta-', 'X-Object-Meta-')))
            headers['Access-Control-Expose-Headers'] = ', '.join(sorted(exposed))
        if 'Access-Control-Allow-Origin' not in headers:
            headers['Access-Control-Allow-Origin'] = _origin(rules, origin)
        if headers['Access-Control-Allow-Origin'] != '*':
            headers['Vary'] = f'{headers["Vary"]}, Origin' if 'Vary' in headers else 'Origin'
        return response
    return call_with


def options(call: Call) -> Response:
    """OPTIONS: a preflight request, or a plain question for the methods."""
    methods = sorted({*call.methods, 'OPTIONS'})
    allow = {'Allow': ', '.join(methods)}
    response = Response(200, b'', {'Content-Type': 'text/html; charset=UTF-8', **allow})
    origin = call.environ.get('HTTP_ORIGIN')
    if not origin or not call.container:
        return response
    rules = call.container_info()['cors']
    wanted = call.environ.get('HTTP_ACCESS_CONTROL_REQUEST_METHOD')
    if not _allowed(call, rules, origin) or wanted not in methods:
        return HttpError(401, headers=allow).response()
    headers = response.headers
    headers['Access-Control-Allow-Origin'] = _origin(rules, origin)
    if rules.get('max_age'):
        headers['Access-Control-Max-Age'] = str(rules['max_age'])
    headers['Access-Control-Allow-Methods'] = ', '.join(methods)
    asked = {name.strip().lower() for name in
             call.environ.get('HTTP_ACCESS_CONTROL_REQUEST_HEADERS', '').split(',') if name.strip()}
    if asked:
        headers['Access-Control-Allow-Headers'] = ', '.join(sorted(asked))
    vary = [name for name, used in (('Origin', headers['Access-Control-Allow-Origin'] != '*'),
                                    ('Access-Control-Request-Headers', bool(asked))) if used]
    if vary:
        headers['Vary'] = ', '.join(vary)
    return response

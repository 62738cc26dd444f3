"""Applications side by side under path prefixes: the composite of a paste pipeline.

::

    [composite:nova]
    use = call:strata.rest.mount:composite
    / = versions
    /v2.1 = compute
"""

from typing import Any


class Mount:
    """Dispatch to the application with the longest matching prefix, shifting it to SCRIPT_NAME."""

    def __init__(self, places: dict[str, Any]) -> None:
        self.places = sorted(((prefix.rstrip('/'), app) for prefix, app in places.items()),
                             key=lambda place: -len(place[0]))

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        path = environ.get('PATH_INFO', '')
        for prefix, app in self.places:
            if path == prefix or path.startswith(prefix + '/'):
                if prefix:
                    environ['SCRIPT_NAME'] = environ.get('SCRIPT_NAME', '') + prefix
                    environ['PATH_INFO'] = path[len(prefix):]
                return app(environ, start_response)
        body = b'The resource could not be found.\n'
        start_response('404 Not Found', [('Content-Type', 'text/plain; charset=UTF-8'),
                                         ('Content-Length', str(len(body)))])
        return [body]


def composite(loader: Any, global_conf: dict[str, str], **places: str) -> Mount:
    """paste.deploy's factory: ``prefix = application name`` lines."""
    return Mount({prefix: loader.get_app(name, global_conf=global_conf)
                  for prefix, name in places.items() if prefix.startswith('/')})

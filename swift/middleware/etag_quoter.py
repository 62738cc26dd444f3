"""Entity tags in quotation marks, as RFC 9110 wants them and old clients of object stores do not.

    [filter:etag-quoter]
    use = egg:swift#etag_quoter
    enable_by_default = false

``X-Container-Rfc-Compliant-Etags`` and ``X-Account-Rfc-Compliant-Etags`` (true,
false, or nothing to clear) decide for what is in them, the container first.
"""

from collections.abc import Callable, Iterable
from typing import Any

from swift import conf as confs
from swift.http import Request, Response, info, serving
from swift.proxy.info import get_account_info, get_container_info

OPTIONS = {
    'enable_by_default': confs.Option(confs.boolean, False, 'what holds where neither container nor account says'),
}
END = 'Rfc-Compliant-Etags'
FACT = 'rfc-compliant-etags'
#: of containers and accounts, what says or shows it
METHODS = frozenset({'GET', 'HEAD', 'PUT', 'POST'})


class EtagQuoter:
    """The filter."""

    def __init__(self, app: Any, conf: Any) -> None:
        self.app = app
        self._default = conf.enable_by_default

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        pieces = environ['PATH_INFO'].split('/', 4)
        if len(pieces) == 5 and pieces[4] and all(pieces[1:4]):
            return self._object(environ, start_response)
        if len(pieces) > 2 and all(pieces[1:3]) and environ['REQUEST_METHOD'] in METHODS:
            return self._serve(environ, start_response)
        return self.app(environ, start_response)

    def _object(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            for place, (name, value) in enumerate(headers):
                if name in ('Etag', 'ETag', 'etag') and not value.startswith(('"', 'W/"')) and self._quotes(environ):
                    headers = [*headers[:place], (name, f'"{value}"'), *headers[place + 1:]]
                    break
            return start_response(status, headers, exc_info)
        return self.app(environ, start)

    def _quotes(self, environ: dict[str, Any]) -> bool:
        for ask in (get_container_info, get_account_info):
            value = (ask(environ, self.app, 'EQ').get('sysmeta') or {}).get(FACT)
            if value:
                return confs.true(value)
        return bool(self._default)

    @serving
    def _serve(self, request: Request) -> Response:
        pieces = request.path.split('/', 4)
        kind = 'Container' if len(pieces) > 3 and pieces[3] else 'Account'
        header, sysmeta = f'X-{kind}-{END}', f'X-{kind}-Sysmeta-{END}'
        given = request.headers.pop(header, None)
        if request.method in ('PUT', 'POST') and given is not None:
            request.headers[sysmeta] = str(confs.true(given)) if given else ''
        response = request.respond(self.app)
        value = response.headers.get(sysmeta)
        if value and response.is_success:
            response.headers[header] = value
        return response


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], EtagQuoter]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:etag_quoter]')
    info.register('etag_quoter', enable_by_default=conf.enable_by_default)
    return lambda app: EtagQuoter(app, conf)

"""The gate between clients and the cluster: headers of the system's own pass it in neither direction.

    [filter:gatekeeper]
    use = egg:swift#gatekeeper
    shunt_inbound_x_timestamp = true
    allow_reserved_names_header = false

System metadata (X-Account-, X-Container-, X-Object-Sysmeta-*), transient system
metadata and X-Backend-* are removed from requests and from answers.  A
client's X-Timestamp is put aside (X-Backend-Inbound-X-Timestamp): the time of
a change is the cluster's to say.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from swift import conf as confs
from swift.http.response import Response, error

LOG = logging.getLogger(__name__)

OPTIONS = {
    'shunt_inbound_x_timestamp': confs.Option(confs.boolean, True, "whether to put a client's X-Timestamp aside"),
    'allow_reserved_names_header': confs.Option(
        confs.boolean, False, 'whether X-Allow-Reserved-Names opens the namespace of the system'),
}

#: prefixes of header names that are the system's own
OWN = ('x-account-sysmeta-', 'x-container-sysmeta-', 'x-object-sysmeta-', 'x-object-transient-sysmeta-',
       'x-backend')
_KEYS = tuple('HTTP_' + prefix.upper().replace('-', '_') for prefix in OWN)


class Gatekeeper:
    """The filter."""

    def __init__(self, app: Any, conf: Any) -> None:
        self.app = app
        self._shunts = conf.shunt_inbound_x_timestamp
        self._reserved = conf.allow_reserved_names_header

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        removed = [key for key in environ if key.startswith(_KEYS)]
        if removed:
            for key in removed:
                del environ[key]
            LOG.debug('removed from the request: %s', removed)
        if 'swift_' in environ.get('CONTENT_TYPE', ''):
            refusal = _own_parameter(environ['CONTENT_TYPE'])
            if refusal is not None:
                return refusal(environ, start_response)
        if self._shunts and 'HTTP_X_TIMESTAMP' in environ:
            environ['HTTP_X_BACKEND_INBOUND_X_TIMESTAMP'] = environ.pop('HTTP_X_TIMESTAMP')
        if self._reserved and 'HTTP_X_ALLOW_RESERVED_NAMES' in environ:
            environ['HTTP_X_BACKEND_ALLOW_RESERVED_NAMES'] = environ.pop('HTTP_X_ALLOW_RESERVED_NAMES')

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if any(name.lower().startswith(OWN) for name, _ in headers):
                headers = [(name, value) for name, value in headers if not name.lower().startswith(OWN)]
            return start_response(status, headers, exc_info)
        return self.app(environ, start)


def _own_parameter(kind: str) -> Response | None:
    """The refusal of a Content-Type with a parameter by which filters tell each other things."""
    if any(part.strip().lower().startswith('swift_') for part in kind.split(';')[1:]):
        return error(400, 'Invalid Content-Type, swift_* is not a valid parameter name.')
    return None


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], Gatekeeper]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:gatekeeper]')
    return lambda app: Gatekeeper(app, conf)

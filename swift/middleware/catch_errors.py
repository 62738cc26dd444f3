"""The outermost filter: gives each request its transaction id, and turns what nobody caught into a 500.

    [filter:catch_errors]
    use = egg:swift#catch_errors
    trans_id_suffix =       (an option of [DEFAULT]: names the cluster in every id)

It also holds the application to the Content-Length that it announced: a body
that is shorter or longer ends the connection, so that no client takes a part
for the whole.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from strata import context as contexts
from strata.wsgi.wire import Disconnected
from swift import conf as confs
from swift.http import path as paths
from swift.middleware.bodies import Body, Measured

LOG = logging.getLogger(__name__)

OPTIONS = {
    'trans_id_suffix': confs.Option(confs.text, '', 'appended to each transaction id; tells clusters apart'),
}
#: characters of X-Trans-Id-Extra that are taken over
EXTRA = 32


def trans_id(suffix: str = '') -> str:
    """A new transaction id: ``tx``, 21 random hexadecimal digits, the time, and the suffix."""
    return f'tx{os.urandom(11).hex()[:21]}-{int(time.time()):010x}{suffix}'


class CatchErrors:
    """The filter."""

    def __init__(self, app: Any, conf: Any) -> None:
        self.app = app
        self._suffix = paths.quote(conf.trans_id_suffix)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        ident = trans_id(self._suffix)
        extra = environ.get('HTTP_X_TRANS_ID_EXTRA')
        if extra:
            ident += '-' + paths.wsgi_quote(extra[:EXTRA])
        environ['swift.trans_id'] = environ['strata.request_id'] = ident
        context = contexts.Context(request_id=ident, remote_address=environ.get('REMOTE_ADDR'))
        environ['strata.context'] = context
        contexts.CURRENT.set(context)
        said: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            headers = [*headers, ('X-Trans-Id', ident), ('X-Openstack-Request-Id', ident)]
            said[:] = [status, headers]
            return start_response(status, headers, exc_info)
        try:
            body = self.app(environ, start)
            if not said:    # an application may say its status when its first piece is asked for
                body = Body(body)
        except Exception:
            LOG.exception('%s %s failed', environ['REQUEST_METHOD'], environ.get('PATH_INFO'))
            return _failed(start_response, ident)
        status, headers = said
        length = next((value for name, value in headers if name.lower() == 'content-length'), None)
        if length is None or environ['REQUEST_METHOD'] == 'HEAD' or status[:3] in ('204', '304'):
            return body
        if isinstance(body, (list, tuple)) and sum(map(len, body)) == int(length):
            return body
        return _Told(body, int(length), environ)


def _failed(start_response: Callable[..., Any], ident: str) -> list[bytes]:
    body = b'An error occurred'
    start_response('500 Internal Error', [
        ('Content-Type', 'text/plain'), ('Content-Length', str(len(body))),
        ('X-Trans-Id', ident), ('X-Openstack-Request-Id', ident)])
    return [body]


class _Told(Measured):
    """A measured body whose failure is logged with the request it belongs to."""

    __slots__ = ('_environ',)

    def __init__(self, body: Iterable[bytes], length: int, environ: dict[str, Any]) -> None:
        super().__init__(body, length)
        self._environ = environ

    def __iter__(self) -> Iterator[bytes]:
        return self._told(super().__iter__())

    def _measure(self, steps: Iterator[int]) -> Iterator[int]:
        return self._told(super()._measure(steps))

    def _told(self, steps: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from steps
        except Disconnected:      # the client's own doing
            raise
        except Exception as error:
            LOG.error('%s %s: the answer broke off: %s', self._environ['REQUEST_METHOD'],
                      self._environ.get('PATH_INFO'), error)
            raise


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], CatchErrors]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:catch_errors]')
    return lambda app: CatchErrors(app, conf)

"""/healthcheck: whether a load balancer should send requests here.

    [filter:healthcheck]
    use = egg:swift#healthcheck
    disable_path =

It answers ``OK``, or 503 while the file ``disable_path`` is there.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

from swift import conf as confs
from swift.http import Request, Response, serving

OPTIONS = {
    'disable_path': confs.Option(confs.text, '', 'a file that takes this node out while it is there'),
}


class HealthCheck:
    """The filter."""

    def __init__(self, app: Any, conf: Any) -> None:
        self.app = app
        self._disabling = conf.disable_path

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ['PATH_INFO'] != '/healthcheck':
            return self.app(environ, start_response)
        return self.check(environ, start_response)

    @serving
    def check(self, request: Request) -> Response:
        """How this node feels."""
        if self._disabling and os.path.exists(self._disabling):
            return Response(503, 'DISABLED BY FILE', {'Content-Type': 'text/plain'})
        return Response(200, 'OK', {'Content-Type': 'text/plain'})


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], HealthCheck]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:healthcheck]')
    return lambda app: HealthCheck(app, conf)

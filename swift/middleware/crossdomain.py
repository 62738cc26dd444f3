"""/crossdomain.xml: which sites' programs a browser plug-in lets talk to us.

    [filter:crossdomain]
    use = egg:swift#crossdomain
    cross_domain_policy = <allow-access-from domain="*.example.com" secure="true" />
"""

from collections.abc import Callable, Iterable
from typing import Any

from swift import conf as confs
from swift.http import Response
from swift.http import info as registry

OPTIONS = {
    'cross_domain_policy': confs.Option(
        confs.text, '<allow-access-from domain="*" secure="false" />', 'elements of the document'),
}
DOCUMENT = """<?xml version="1.0"?>
<!DOCTYPE cross-domain-policy SYSTEM "http://www.adobe.com/xml/dtds/cross-domain-policy.dtd" >
<cross-domain-policy>
{}
</cross-domain-policy>"""


class CrossDomain:
    """The filter."""

    def __init__(self, app: Any, policy: str) -> None:
        self.app = app
        self._document = DOCUMENT.format(policy).encode('utf-8')

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ['PATH_INFO'] != '/crossdomain.xml' or environ['REQUEST_METHOD'] not in ('GET', 'HEAD'):
            return self.app(environ, start_response)
        return Response(200, self._document, {'Content-Type': 'application/xml'})(environ, start_response)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], CrossDomain]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:crossdomain]')
    registry.register('crossdomain')
    return lambda app: CrossDomain(app, conf.cross_domain_policy)

"""A cluster, or an account, that takes no writes for a while.

    [filter:read_only]
    use = egg:swift#read_only
    read_only = false
    allow_deletes = false

An account's own word wins over the cluster's: its system metadata
X-Account-Sysmeta-Read-Only (``true`` or ``false``), which an operator sets with
an internal client.  It goes behind ratelimit.
"""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from swift import conf as confs
from swift.http import HttpError, Request
from swift.http import path as paths
from swift.http.subrequest import make_env
from swift.proxy.info import get_account_info

OPTIONS = {
    'read_only': confs.Option(confs.boolean, False, 'whether the cluster takes no writes'),
    'allow_deletes': confs.Option(confs.boolean, False, 'whether it takes deletes all the same'),
}
REFUSED = 'Writes are disabled for this account.'


class ReadOnly:
    """The filter."""

    def __init__(self, app: Any, conf: SimpleNamespace) -> None:
        self.app = app
        self._everywhere = conf.read_only
        self._writes = frozenset({'COPY', 'POST', 'PUT'} | (set() if conf.allow_deletes else {'DELETE'}))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ['REQUEST_METHOD'] not in self._writes:
            return self.app(environ, start_response)
        try:
            names = Request(environ).split(2, 4, rest=True)
        except (ValueError, HttpError):
            return self.app(environ, start_response)
        asked = environ
        target = environ.get('HTTP_DESTINATION_ACCOUNT') if environ['REQUEST_METHOD'] == 'COPY' else None
        if target:
            # it is the account written to that counts
            asked = make_env(environ, path=f'/{names[0]}/{paths.wsgi_unquote(target)}')
        if self._is_closed(asked):
            return HttpError(405, REFUSED).response()(environ, start_response)
        return self.app(environ, start_response)

    def _is_closed(self, environ: dict[str, Any]) -> bool:
        known = get_account_info(environ, self.app, swift_source='RO')
        said = str((known.get('sysmeta') or {}).get('read-only', '')).strip().lower()
        if said in confs.TRUE:
            return True
        return self._everywhere and not (said and said in confs.FALSE)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], ReadOnly]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:read_only]')
    return lambda app: ReadOnly(app, conf)

"""Accounts and containers as host names: container.account.example.com/object.

    [filter:domain_remap]
    use = egg:swift#domain_remap
    storage_domain = example.com
    path_root = v1
    reseller_prefixes = AUTH
    default_reseller_prefix =
    mangle_client_paths = false

A host name cannot hold ``_``: in an account without one the first ``-`` stands
for it.  Case is lost in host names, so the reseller prefix gets the case of
``reseller_prefixes``.  It goes before listing_formats.
"""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from swift import conf as confs
from swift.http import HttpError
from swift.http import info as registry

OPTIONS = {
    'storage_domain': confs.Option(confs.commas, ['example.com'], 'domains of this cluster'),
    'path_root': confs.Option(confs.text, 'v1', 'what paths are made to begin with'),
    'reseller_prefixes': confs.Option(confs.commas, ['AUTH'], 'prefixes of accounts, in their case'),
    'default_reseller_prefix': confs.Option(confs.text, '', 'for accounts that have none of them'),
    'mangle_client_paths': confs.Option(confs.boolean, False, 'whether a path_root in the path is taken out'),
}


def without_port(host: str) -> tuple[str, str]:
    """(name, port) of a Host header; the port is ``''`` if there is none."""
    if host.endswith(']'):
        return host, ''
    name, colon, port = host.rpartition(':')
    return (name, port) if colon and port.isdecimal() and (':' not in name or name.endswith(']')) else (host, '')


class DomainRemap:
    """The filter."""

    def __init__(self, app: Any, conf: SimpleNamespace) -> None:
        self.app = app
        self._domains = tuple('.' + domain.lstrip('.') for domain in conf.storage_domain)
        self._root = '/' + conf.path_root.strip('/')
        self._prefixes = {prefix.lower(): prefix for prefix in conf.reseller_prefixes}
        self._default = conf.default_reseller_prefix
        self._mangles = conf.mangle_client_paths

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        host = environ.get('HTTP_HOST') or environ.get('SERVER_NAME', '')
        name, _ = without_port(host)
        domain = next((each for each in self._domains if name.endswith(each)), None) if self._domains else None
        if domain is None:
            return self.app(environ, start_response)
        pieces = name[:-len(domain)].lstrip('.').split('.')
        if len(pieces) > 2 or not all(pieces):
            return HttpError(400, 'Bad domain in host header').response()(environ, start_response)
        account = self._account(pieces[-1])
        if account is not None:
            environ['PATH_INFO'] = self._path(environ['PATH_INFO'], account, pieces[0] if len(pieces) == 2 else None)
        return self.app(environ, start_response)

    def _account(self, name: str) -> str | None:
        """The account of a host name; ``None`` if its prefix is nobody's."""
        if '_' not in name and '-' in name:
            name = name.replace('-', '_', 1)
        prefix, mark, rest = name.partition('_')
        known = self._prefixes.get(prefix.lower()) if mark else None
        if known is not None:
            return f'{known}_{rest}'
        return f'{self._default}_{name}' if self._default else None

    def _path(self, path: str, account: str, container: str | None) -> str:
        made = f'{self._root}/{account}'
        if container:
            made += '/' + container
        if self._mangles and (path == self._root or path.startswith(self._root + '/')):
            path = path[len(self._root):]
        rest = path[1:] if path.startswith('/') else path
        return f'{made}/{rest}'


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], DomainRemap]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:domain_remap]')
    registry.register('domain_remap', default_reseller_prefix=conf.default_reseller_prefix or None)
    return lambda app: DomainRemap(app, conf)

"""Users' own domains: a host name that is an alias (CNAME) of one of ours is served as that one.

    [filter:cname_lookup]
    use = egg:swift#cname_lookup
    storage_domain = example.com
    lookup_depth = 1
    nameservers =

It goes before domain_remap, and needs dnspython.  What was found is kept in
``swift.cache`` for as long as the DNS says.
"""

import ipaddress
import logging
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from strata import errors
from swift import conf as confs
from swift.http import HttpError
from swift.http import info as registry
from swift.middleware.domain_remap import without_port

LOG = logging.getLogger(__name__)

OPTIONS = {
    'storage_domain': confs.Option(confs.commas, ['example.com'], 'domains of this cluster'),
    'lookup_depth': confs.Option(confs.positive, 1, 'aliases followed'),
    'nameservers': confs.Option(confs.commas, [], 'host, host:port or [v6]:port; default: those of the system'),
}
#: seconds to wait for the DNS, and that the absence of an alias is remembered
PATIENCE, ABSENT = 5.0, 60


class Resolver:
    """Finds aliases; raises ``errors.Invalid`` where dnspython is not installed or a server is no address."""

    def __init__(self, nameservers: list[str]) -> None:
        try:
            import dns.exception
            import dns.resolver
        except ImportError as error:
            raise errors.Invalid('[filter:cname_lookup] needs dnspython: install it, or take the filter out') from error
        self._failures = dns.exception.DNSException
        self._resolver = dns.resolver.Resolver(configure=not nameservers)
        self._resolver.lifetime = PATIENCE
        if nameservers:
            servers = [_server(each) for each in nameservers]
            self._resolver.nameservers = [host for host, _ in servers]
            self._resolver.nameserver_ports = dict(servers)

    def alias(self, name: str) -> tuple[str | None, int]:
        """(what a name is an alias of, seconds that this holds)."""
        try:
            answer = self._resolver.resolve(name, 'CNAME')
            found = answer.rrset[0].target.to_text().rstrip('.').lower() if answer.rrset else None
            return found, int(answer.rrset.ttl) if answer.rrset else ABSENT
        except (self._failures, OSError, ValueError) as error:
            LOG.debug('no alias of %s: %s', name, error)
            return None, ABSENT


class CnameLookup:
    """The filter."""

    def __init__(self, app: Any, conf: SimpleNamespace, resolver: Resolver) -> None:
        self.app = app
        self._domains = tuple(domain.lstrip('.').lower() for domain in conf.storage_domain)
        self._depth = conf.lookup_depth
        self._resolver = resolver

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        name, port = without_port(environ.get('HTTP_HOST') or '')
        if not self._domains or not name or self._is_ours(name) or _is_address(name):
            return self.app(environ, start_response)
        found: str | None = name
        for _ in range(self._depth):
            found = self._alias(environ, found) if found else None
            if found is None or self._is_ours(found):
                break
        if found is None or not self._is_ours(found):
            why = 'failed to resolve to a valid domain' if found is None else f'failed after {self._depth} tries'
            return HttpError(400, f'CNAME lookup {why}').response()(environ, start_response)
        environ['HTTP_HOST'] = f'{found}:{port}' if port else found
        return self.app(environ, start_response)

    def _is_ours(self, name: str) -> bool:
        name = name.lower()
        return any(name == domain or name.endswith('.' + domain) for domain in self._domains)

    def _alias(self, environ: dict[str, Any], name: str) -> str | None:
        cache = environ.get('swift.cache')
        key = f'cname-{name}'
        known = cache.get(key) if cache is not None else None
        if known is not None:
            return known or None
        found, seconds = self._resolver.alias(name)
        if cache is not None and seconds:
            cache.set(key, found or '', time=seconds)
        return found


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip('[]'))
    except ValueError:
        return False
    return True


def _server(text: str) -> tuple[str, int]:
    host, port = without_port(text)
    host = host.strip('[]')
    if not _is_address(host):
        raise errors.Invalid(f'[filter:cname_lookup]: nameservers: {text!r} is no address')
    return host, int(port or 53)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], CnameLookup]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:cname_lookup]')
    resolver = Resolver(conf.nameservers)
    registry.register('cname_lookup', lookup_depth=conf.lookup_depth)
    return lambda app: CnameLookup(app, conf, resolver)

"""From an operator's conf file to a WSGI application: which name of a filter is which module.

Names are those of the published configuration files (``use = egg:swift#slo``),
found in the table below; a filter of somebody else's (``paste.filter_factory =
...``) is loaded as paste loads it.
"""

import configparser
import os
import tempfile
from collections.abc import Collection
from typing import Any

from paste import deploy

from strata import errors
from swift import conf as confs

APPS = {
    'proxy': 'swift.proxy.app',
    'account': 'swift.account.server',
    'container': 'swift.container.server',
    'object': 'swift.obj.server',
}

#: name in ``use = egg:swift#name`` -> module of swift.middleware
FILTERS = {
    'account_quotas': 'account_quotas', 'authtoken': 'authtoken', 'backend_ratelimit': 'backend_ratelimit',
    'bulk': 'bulk', 'catch_errors': 'catch_errors', 'cname_lookup': 'cname_lookup',
    'container_quotas': 'container_quotas', 'container_sync': 'container_sync', 'copy': 'copy',
    'crossdomain': 'crossdomain', 'dlo': 'dlo', 'domain_remap': 'domain_remap', 'encryption': 'crypto',
    'etag_quoter': 'etag_quoter', 'formpost': 'formpost', 'gatekeeper': 'gatekeeper',
    'healthcheck': 'healthcheck', 'keymaster': 'crypto.keymaster', 'keystoneauth': 'keystoneauth',
    'list_endpoints': 'list_endpoints', 'listing_formats': 'listing_formats', 'memcache': 'cache', 'cache': 'cache',
    'name_check': 'name_check', 'proxy_logging': 'proxy_logging', 'ratelimit': 'ratelimit',
    'read_only': 'read_only', 'recon': 'recon', 'slo': 'slo', 'staticweb': 'staticweb', 'symlink': 'symlink',
    'tempauth': 'tempauth', 'tempurl': 'tempurl', 'versioned_writes': 'versioned_writes',
}

#: factories of others that ours stand in for
REPLACED = {'keystonemiddleware.auth_token:filter_factory': 'swift.middleware.authtoken:filter_factory'}

#: filters a proxy does not do without, and after which of the others each is put where it is missing
REQUIRED = (
    ('catch_errors', ()),
    ('gatekeeper', ('catch_errors',)),
    ('listing_formats', ('catch_errors', 'gatekeeper', 'proxy_logging', 'memcache', 'cache')),
    ('copy', ('catch_errors', 'gatekeeper', 'proxy_logging', 'memcache', 'cache', 'listing_formats', 'staticweb',
              'tempauth', 'keystoneauth')),
    ('dlo', ('catch_errors', 'gatekeeper', 'proxy_logging', 'memcache', 'cache', 'listing_formats', 'staticweb',
             'tempauth', 'keystoneauth', 'copy')),
)


def load(path: str, name: str = 'main', *, complete: bool = True, without: Collection[str] = ()) -> Any:
    """The application of a conf file (or directory of them): ``[pipeline:main]`` or ``[app:main]``.

    ``complete``: put in the filters that a proxy for clients cannot do without;
    ``without``: leave these out (by the names of ``FILTERS``), whatever the file says.
    Raises ``errors.Invalid`` naming the file for what cannot be loaded; what a
    filter finds wrong with its options comes through as it is.
    """
    parser = confs.parse(path)
    _resolve(parser, path)
    section = f'pipeline:{name}'
    if (complete or without) and parser.has_section(section):
        names = parser.get(section, 'pipeline').split()
        left_out = {FILTERS[each] for each in without}
        names = [each for each in names if _module(parser, each) not in left_out]
        parser.set(section, 'pipeline', ' '.join(_complete(parser, names) if complete else names))
    with tempfile.NamedTemporaryFile('w', suffix='.conf', encoding='utf-8', errors='surrogateescape') as file:
        parser.write(file)
        file.flush()
        try:
            return deploy.loadapp(f'config:{file.name}', name=name, global_conf={'conf_file': os.path.abspath(path)})
        except (LookupError, ImportError, ValueError) as error:
            raise errors.Invalid(f'{path}: {str(error).replace(file.name, path)}') from error


def _resolve(parser: configparser.RawConfigParser, path: str) -> None:
    """Replace ``use = egg:swift#name`` by the factory it stands for."""
    for section in parser.sections():
        kind = section.partition(':')[0]
        if kind not in ('app', 'filter'):
            continue
        for key in ('paste.filter_factory', 'paste.app_factory'):
            if parser.has_option(section, key):
                given = parser.get(section, key).strip()
                parser.set(section, key, REPLACED.get(given, given))
        name = _egg_name(parser, section)
        if name is None:
            continue
        module = APPS.get(name) if kind == 'app' else FILTERS.get(name)
        if module is None:
            raise errors.Invalid(f'{path}: [{section}]: there is no {kind} {name!r} here')
        if kind == 'filter':
            module = f'swift.middleware.{module}'
        parser.remove_option(section, 'use')
        parser.set(section, f'paste.{kind}_factory', f'{module}:{kind}_factory')


def _egg_name(parser: configparser.RawConfigParser, section: str) -> str | None:
    """``slo`` of ``use = egg:swift#slo``."""
    use = parser.get(section, 'use', fallback='').strip()
    egg, _, name = use.partition('#')
    return name if egg in ('egg:swift', 'egg:strata-cloud') else None


def _module(parser: configparser.RawConfigParser, name: str) -> str:
    """Which module of ours a filter of a pipeline is."""
    factory = parser.get(f'filter:{name}', 'paste.filter_factory', fallback='')
    return factory.partition(':')[0].removeprefix('swift.middleware.')


def _complete(parser: configparser.RawConfigParser, names: list[str]) -> list[str]:
    """A proxy's pipeline with the filters it cannot do without."""
    factory = parser.get(f'app:{names[-1]}', 'paste.app_factory', fallback='') if names else ''
    if not factory.startswith(APPS['proxy']):
        return names
    modules = [_module(parser, each) for each in names]
    for missing, after in REQUIRED:
        if FILTERS[missing] in modules:
            continue
        behind = {FILTERS[each] for each in after}
        place = max((index + 1 for index, module in enumerate(modules) if module in behind), default=0)
        section = f'filter:{missing}'
        if not parser.has_section(section):
            parser.add_section(section)
        parser.set(section, 'paste.filter_factory', f'swift.middleware.{FILTERS[missing]}:filter_factory')
        names.insert(place, missing)
        modules.insert(place, FILTERS[missing])
    return names

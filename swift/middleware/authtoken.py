"""Who asks, by keystone: ``strata.wsgi.authtoken`` with the options that operators of a proxy know.

    [filter:authtoken]
    paste.filter_factory = keystonemiddleware.auth_token:filter_factory
    www_authenticate_uri = http://keystonehost:5000
    auth_url = http://keystonehost:5000
    username = swift
    password = ...
    project_name = service
    user_domain_id = default
    project_domain_id = default
    delay_auth_decision = true

Both that factory's name and ``use = egg:swift#authtoken`` lead here.  Tokens
are remembered in this process (``cache`` is understood, and not needed).
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from strata import errors
from strata.identity import Identity
from strata.wsgi.authtoken import STRIPPED, AuthToken
from swift import conf as confs

OPTIONS = {
    'www_authenticate_uri': confs.Option(confs.text, '', 'where keystone is, for clients; default: auth_url'),
    'auth_uri': confs.Option(confs.text, '', 'the older name of www_authenticate_uri'),
    'auth_url': confs.Option(confs.text, 'http://127.0.0.1:5000', 'where keystone is, for us'),
    'auth_type': confs.Option(confs.choice('password', 'v3password'), 'password', 'how we prove who we are'),
    'auth_plugin': confs.Option(confs.choice('password', 'v3password'), 'password', 'the older name of auth_type'),
    'username': confs.Option(confs.text, 'swift', 'our own user'),
    'password': confs.Option(confs.text, '', 'its password'),
    'project_name': confs.Option(confs.text, 'service', "our user's project"),
    'user_domain_name': confs.Option(confs.text, 'Default', 'the domain of our user, by name'),
    'user_domain_id': confs.Option(confs.text, '', 'or by id'),
    'project_domain_name': confs.Option(confs.text, 'Default', 'the domain of our project, by name'),
    'project_domain_id': confs.Option(confs.text, '', 'or by id'),
    'region_name': confs.Option(confs.text, '', "keystone's region"),
    'interface': confs.Option(confs.choice('internal', 'public', 'admin'), 'internal', 'understood; we ask auth_url'),
    'delay_auth_decision': confs.Option(confs.boolean, False, 'whether to let requests without a valid token pass'),
    'token_cache_time': confs.Option(confs.integer, 60, 'seconds that a validated token is believed; -1: not at all'),
    'cache': confs.Option(confs.text, '', 'understood, not needed'),
    'include_service_catalog': confs.Option(confs.boolean, False, 'understood; the catalog is never fetched'),
    'http_connect_timeout': confs.Option(confs.positive, 5, 'seconds to wait for a connection to keystone'),
    'http_request_timeout': confs.Option(confs.positive, 30, 'seconds to wait for its answer'),
    'service_token_roles': confs.Option(confs.commas, ['service'], 'what an X-Service-Token must have one of'),
    'service_token_roles_required': confs.Option(confs.boolean, False, 'whether that is enforced'),
}


class Authenticator(AuthToken):
    """The filter: as its base, with rules for service tokens."""

    def __init__(self, app: Any, validator: Any, conf: SimpleNamespace, **options: Any) -> None:
        super().__init__(app, validator, **options)
        self._service_roles = frozenset(conf.service_token_roles)
        self._enforces = conf.service_token_roles_required

    def _identify(self, environ: dict[str, Any]) -> bool:
        if not super()._identify(environ):
            return False
        if self._enforces and environ.get('HTTP_X_SERVICE_IDENTITY_STATUS') == 'Confirmed' \
                and self._service_roles.isdisjoint(environ.get('HTTP_X_SERVICE_ROLES', '').split(',')):
            for key in STRIPPED:
                environ.pop(key, None)
            environ['HTTP_X_IDENTITY_STATUS'] = environ['HTTP_X_SERVICE_IDENTITY_STATUS'] = 'Invalid'
            return False
        return True


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], Authenticator]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:authtoken]')
    if not conf.password:
        raise errors.Invalid('[filter:authtoken]: password is missing')
    conf.www_authenticate_uri = conf.www_authenticate_uri or conf.auth_uri or conf.auth_url
    conf.region_name = conf.region_name or None
    identity = Identity(conf)
    return lambda app: Authenticator(app, identity, conf, delay=conf.delay_auth_decision,
                                     cache_time=max(0, conf.token_cache_time), auth_uri=conf.www_authenticate_uri)

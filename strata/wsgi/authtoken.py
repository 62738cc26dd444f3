"""Who asks: validates X-Auth-Token with keystone and tells the application.

Identity headers that a client sends itself are removed, always.  A validated
token is believed for ``cache_time`` seconds, never beyond its expiry, so a
revoked one stops working within that time.  The application finds the caller
in ``environ['strata.context']`` and in the classic ``X-User-Id``,
``X-Project-Id``, ``X-Roles``... environ keys.

    [filter:authtoken]
    paste.filter_factory = strata.wsgi.authtoken:filter_factory
"""

import dataclasses
import datetime
import hashlib
import logging
from collections.abc import Iterable
from typing import Any

from strata import cache, errors
from strata import clock as clocks
from strata import context as contexts
from strata.identity import Validator
from strata.rest import fault as faults
from strata.wsgi import pipeline
from strata.wsgi.middleware import App, Environ, Filter, Form, fault_form, refuse

LOG = logging.getLogger(__name__)

_PARTS = ('USER_ID', 'USER_NAME', 'USER_DOMAIN_ID', 'USER_DOMAIN_NAME', 'PROJECT_ID', 'PROJECT_NAME',
          'PROJECT_DOMAIN_ID', 'PROJECT_DOMAIN_NAME', 'DOMAIN_ID', 'DOMAIN_NAME', 'ROLES')
_KEYS = tuple(f'HTTP_X_{part}' for part in _PARTS)
_SERVICE_KEYS = tuple(f'HTTP_X_SERVICE_{part}' for part in _PARTS)
#: what no client may say of itself
STRIPPED = (*_KEYS, *_SERVICE_KEYS, 'HTTP_X_IDENTITY_STATUS', 'HTTP_X_SERVICE_IDENTITY_STATUS',
            'HTTP_X_SERVICE_CATALOG', 'HTTP_X_IS_ADMIN_PROJECT', 'HTTP_OPENSTACK_SYSTEM_SCOPE',
            'HTTP_X_USER', 'HTTP_X_TENANT', 'HTTP_X_TENANT_ID', 'HTTP_X_TENANT_NAME', 'HTTP_X_ROLE')
#: how long a token is remembered as invalid, in seconds
INVALID_TIME = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    """A validated token, in the forms each request needs."""

    expires: datetime.datetime
    body: dict[str, Any]
    values: dict[str, str]      # by the names of _PARTS
    fields: dict[str, Any]      # of Context
    roles: tuple[str, ...]


class AuthToken:
    """The filter; ``validator`` is ``strata.identity.Identity`` or keystone in the same process."""

    def __init__(self, app: App, validator: Validator, *, delay: bool = False, cache_time: float = 60,
                 cache_size: int = 10000, auth_uri: str | None = None, form: Form = faults.identity,
                 clock: clocks.Clock = clocks.CLOCK) -> None:
        """``delay``: pass requests without a valid token on, marked ``Invalid``; the application decides.

        ``form``: how the service shows errors.
        """
        self._app = app
        self._validator = validator
        self._delay = delay
        self._clock = clock
        self._form = form
        self._cache: cache.Cache[_Known] = cache.Cache(cache_size, cache_time, monotonic=clock.monotonic)
        self._invalid: cache.Cache[bool] = cache.Cache(1000, min(INVALID_TIME, cache_time),
                                                       monotonic=clock.monotonic)
        uri = auth_uri or getattr(validator, 'auth_uri', 'http://127.0.0.1:5000/v3')
        self._challenge = ('WWW-Authenticate', f'Keystone uri="{uri}"')

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        for key in STRIPPED:
            if key in environ:
                del environ[key]
        try:
            valid = self._identify(environ)
        except errors.Error as error:
            LOG.warning('cannot validate a token: %s', error)
            return refuse(environ, start_response, errors.Unavailable(service='The identity service'), self._form)
        if valid:
            return self._app(environ, start_response)
        if not self._delay:
            return refuse(environ, start_response, errors.Unauthorized(), self._form, [self._challenge])
        return self._app(environ, self._challenging(start_response))

    def _challenging(self, start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if status.startswith('401') and all(name.lower() != 'www-authenticate' for name, _ in headers):
                headers = [*headers, self._challenge]
            return start_response(status, headers, exc_info)
        return start

    def _identify(self, environ: Environ) -> bool:
        """Fill in who asks; whether there is somebody."""
        token = environ.get('HTTP_X_AUTH_TOKEN') or environ.get('HTTP_X_STORAGE_TOKEN')
        environ['HTTP_X_IDENTITY_STATUS'] = 'Invalid'
        known = self._known(token.strip()) if token else None
        service_token = environ.get('HTTP_X_SERVICE_TOKEN')
        service = self._known(service_token.strip()) if service_token else None
        if service_token:
            environ['HTTP_X_SERVICE_IDENTITY_STATUS'] = 'Confirmed' if service else 'Invalid'
            if service is None:
                return False
        if known is None:
            return False
        _tell(environ, known, service)
        before = environ.get('strata.context') or contexts.Context()
        context = contexts.Context(
            request_id=before.request_id, global_request_id=before.global_request_id,
            remote_address=before.remote_address or environ.get('REMOTE_ADDR') or None,
            token=token, roles=known.roles, service_roles=service.roles if service else (),
            service_user_id=service.fields['user_id'] if service else None, **known.fields)
        environ['strata.context'] = context
        contexts.CURRENT.set(context)
        return True

    def _known(self, token: str) -> _Known | None:
        """What a token says, from the cache or from keystone; ``None`` if it is not valid."""
        key = hashlib.sha256(token.encode('latin-1', 'replace')).digest()
        known = self._cache.get(key)
        if known is None:
            if self._invalid.get(key):
                return None
            try:
                known = _digest(self._validator.validate(token))
            except errors.Error as error:
                if error.status >= 500:
                    raise
                self._invalid.set(key, True)
                return None
            self._cache.set(key, known)
        return known if known.expires > self._clock.now() else None


def _digest(body: dict[str, Any]) -> _Known:
    """A token's body in the forms that requests need."""
    user = body['user']
    project, domain = body.get('project') or {}, body.get('domain') or {}
    roles = tuple(role['name'] for role in body.get('roles') or ())
    fields: dict[str, Any] = {
        'user_id': user['id'], 'user_name': user.get('name'),
        'user_domain_id': user.get('domain', {}).get('id'),
        'user_domain_name': user.get('domain', {}).get('name'),
        'project_id': project.get('id'), 'project_name': project.get('name'),
        'project_domain_id': project.get('domain', {}).get('id'),
        'project_domain_name': project.get('domain', {}).get('name'),
        'domain_id': domain.get('id'), 'domain_name': domain.get('name'),
        'system_scope': 'all' if (body.get('system') or {}).get('all') else None}
    values = {part: _latin(fields[part.lower()]) for part in _PARTS[:-1] if fields[part.lower()]}
    values['ROLES'] = _latin(','.join(roles))
    return _Known(clocks.parse(body['expires_at']), body, values, fields, roles)


def _latin(text: str) -> str:
    """Text as WSGI carries it: UTF-8 bytes, each as one character."""
    return text.encode().decode('latin-1')


def _tell(environ: Environ, known: _Known, service: _Known | None) -> None:
    """The classic keys, for applications that know nothing of ours."""
    values = known.values
    for part, value in values.items():
        environ[f'HTTP_X_{part}'] = value
    environ['HTTP_X_IDENTITY_STATUS'] = 'Confirmed'
    environ['HTTP_X_IS_ADMIN_PROJECT'] = 'True'
    environ['HTTP_X_USER'] = values.get('USER_NAME', '')
    environ['HTTP_X_ROLE'] = values['ROLES']
    if 'PROJECT_ID' in values:
        environ['HTTP_X_TENANT_ID'] = values['PROJECT_ID']
        environ['HTTP_X_TENANT_NAME'] = environ['HTTP_X_TENANT'] = values.get('PROJECT_NAME', '')
    if known.fields['system_scope']:
        environ['HTTP_OPENSTACK_SYSTEM_SCOPE'] = 'all'
    environ['keystone.token_info'] = {'token': known.body}
    if service is not None:
        for part, value in service.values.items():
            environ[f'HTTP_X_SERVICE_{part}'] = value


def filter_factory(global_conf: dict[str, str], delay_auth_decision: str = 'false',
                   cache_time: str | None = None, www_authenticate_uri: str | None = None,
                   fault: str = 'identity', **options: str) -> Filter:
    """paste: the validator is ``wiring.identity`` of the process (see ``strata.wsgi.pipeline``).

    ``fault``: the form of the refusals.
    """
    wiring = pipeline.current()
    group = getattr(getattr(wiring, 'conf', None), 'keystone_authtoken', None)
    seconds = float(cache_time if cache_time is not None else getattr(group, 'token_cache_time', 60))
    form = fault_form(fault)
    delay = delay_auth_decision.strip().lower() in ('1', 'true', 'yes', 'on')
    return lambda app: AuthToken(app, wiring.identity, delay=delay, cache_time=seconds,
                                 auth_uri=www_authenticate_uri, form=form,
                                 clock=getattr(wiring, 'clock', clocks.CLOCK))

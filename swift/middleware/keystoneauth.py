"""What keystone's users may do: roles on a project own its account, access lists let others in.

    [filter:keystoneauth]
    use = egg:swift#keystoneauth
    reseller_prefix = AUTH, SERVICE
    operator_roles = admin, swiftoperator
    SERVICE_service_roles = service

It stands behind ``authtoken`` (with ``delay_auth_decision = true``), which says
who asks.  The account of a project is the prefix and the project's id.  An
account whose prefix has ``service_roles`` opens to its users only together
with an X-Service-Token that has one of them.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from swift import conf as confs
from swift.http import HttpError, Request, Response
from swift.http import info as registry
from swift.http import path as paths
from swift.http.response import error
from swift.middleware import acl, resellers
from swift.proxy.info import get_account_info

OPTIONS = {
    'reseller_admin_role': confs.Option(confs.text, 'ResellerAdmin', 'may do everything in every account'),
    'system_reader_roles': confs.Option(confs.commas, [], 'may read every account'),
    'allow_overrides': confs.Option(confs.boolean, True, 'whether filters before this one may decide'),
    'allow_names_in_acls': confs.Option(confs.boolean, True, 'whether names count in the default domain'),
    'default_domain_id': confs.Option(confs.text, 'default', 'of users and projects from before there were domains'),
}
#: per reseller prefix
PREFIX_OPTIONS = {
    'operator_roles': confs.Option(confs.commas, ['admin', 'swiftoperator'], "own the project's account"),
    'service_roles': confs.Option(confs.commas, [], 'one of them must come with an X-Service-Token'),
    'project_reader_roles': confs.Option(confs.commas, [], "may read the project's account"),
}
READS = frozenset({'GET', 'HEAD'})
#: what an account's system metadata say if its project's domain cannot be known
UNKNOWN = '_unknown'
DOMAIN = 'X-Account-Sysmeta-Project-Domain-Id'
SHOWN_DOMAIN = 'X-Account-Project-Domain-Id'


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, as the token said; roles in lower case."""

    user_id: str
    user_name: str
    user_domain: str | None
    project_id: str | None
    project_name: str | None
    project_domain: str | None
    roles: frozenset[str]
    service_roles: frozenset[str]

    @classmethod
    def of(cls, environ: Mapping[str, Any]) -> 'Identity | None':
        """From what authtoken put there; ``None`` for nobody."""
        if environ.get('HTTP_X_IDENTITY_STATUS') != 'Confirmed':
            return None
        service = environ.get('HTTP_X_SERVICE_ROLES')
        if environ.get('HTTP_X_SERVICE_IDENTITY_STATUS') not in (None, 'Confirmed'):
            service = None
        return cls(
            _said(environ, 'USER_ID') or '', _said(environ, 'USER_NAME') or '', _said(environ, 'USER_DOMAIN_ID'),
            _said(environ, 'PROJECT_ID') or _said(environ, 'TENANT_ID'),
            _said(environ, 'PROJECT_NAME') or _said(environ, 'TENANT_NAME'), _said(environ, 'PROJECT_DOMAIN_ID'),
            _roles(environ.get('HTTP_X_ROLES')), _roles(service))


class KeystoneAuth:
    """The filter."""

    def __init__(self, app: Any, conf: SimpleNamespace, prefixes: resellers.Prefixes) -> None:
        self.app = app
        self._prefixes = prefixes
        self._reseller = conf.reseller_admin_role.lower()
        self._readers = _lower(conf.system_reader_roles)
        self._rules = {prefix: _Rules(_lower(given.operator_roles), _lower(given.service_roles),
                                      _lower(given.project_reader_roles))
                       for prefix, given in prefixes.options.items()}
        self._overrides = conf.allow_overrides
        self._names = conf.allow_names_in_acls
        self._domain = conf.default_domain_id

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._overrides and environ.get('swift.authorize_override'):
            return self.app(environ, start_response)
        identity = Identity.of(environ)
        if identity is not None:
            environ['keystone.identity'] = {
                'user': (identity.user_id, identity.user_name),
                'project': (identity.project_id, identity.project_name), 'roles': sorted(identity.roles)}
            environ['REMOTE_USER'] = environ.get('HTTP_X_PROJECT_NAME') or environ.get('HTTP_X_TENANT_NAME') or ''
            environ['swift.access_logging'] = {'user_id': environ.get('HTTP_X_USER_ID')}
            if self._reseller in identity.roles:    # filters want to know before the proxy asks for leave
                environ['reseller_request'] = True
        elif 'swift.authorize' in environ and self._prefixes.of(_account(environ)) is None:
            return self.app(environ, start_response)    # another filter's account
        environ['swift.authorize'] = lambda request: self.authorize(request, identity)
        environ['swift.clean_acl'] = acl.clean_acl
        if environ['REQUEST_METHOD'] not in READS or environ['PATH_INFO'].count('/') > 2:
            return self.app(environ, start_response)
        return self.app(environ, _showing_domain(start_response))

    def authorize(self, request: Request, identity: Identity | None) -> Response | None:
        """``swift.authorize``: ``None`` for a request that may go on, else the answer that refuses it."""
        try:
            _, account, container, obj = request.split(1, 4, rest=True)
        except ValueError:
            raise HttpError(404) from None
        environ = request.environ
        if request.method == 'OPTIONS':
            return None
        if identity is not None and self._reseller in identity.roles:
            environ['swift_owner'] = environ['reseller_request'] = True
            self._tell_domain(request, account, container, identity)
            return None
        if identity is not None and request.method in READS and self._readers & identity.roles:
            return None
        prefix = self._prefixes.of(account)
        if prefix is None:
            return _refusal(environ, identity)
        # removing a whole account is not for its own users
        if identity is not None and (container or request.method != 'DELETE') \
                and self._owns(request, account, prefix, identity):
            self._tell_domain(request, account, container, identity)
            return None
        referrers, groups = acl.parse_acl(request.acl)
        if acl.referrer_allowed(request.headers.get('Referer'), referrers) and (obj or '.rlistings' in groups):
            return None
        if acl.sync_allowed(environ):
            return None
        if identity is not None and groups and self._listed(request, account, prefix, identity, groups):
            return None
        return _refusal(environ, identity)

    def _owns(self, request: Request, account: str, prefix: str, identity: Identity) -> bool:
        """Whether the caller's role on the project is enough; marks owners."""
        if not identity.project_id or account != prefix + identity.project_id:
            return False
        rules = self._rules[prefix]
        if rules.operators & identity.roles and (not rules.service or rules.service & identity.service_roles):
            request.environ['swift_owner'] = True
            return True
        return request.method in READS and bool(rules.readers & identity.roles)

    def _listed(self, request: Request, account: str, prefix: str, identity: Identity, groups: list[str]) -> bool:
        """Whether the container's list names the caller, or a role that he has on the account's own project."""
        projects, users = {'*', identity.project_id}, {'*', identity.user_id}
        if any(':' in group for group in groups) and self._names_count(request, account, prefix, identity):
            projects.add(identity.project_name)
            users.add(identity.user_name)
        for group in groups:
            project, colon, user = group.rpartition(':')
            if colon:
                if project in projects and user in users:
                    return True
            elif identity.project_id and account == prefix + identity.project_id and group.lower() in identity.roles:
                return True
        return False

    def _names_count(self, request: Request, account: str, prefix: str, identity: Identity) -> bool:
        """Whether names are unambiguous: the user, his project and the account's are all of the default domain."""
        if not self._names:
            return False
        if any(domain not in (None, self._domain) for domain in (identity.user_domain, identity.project_domain)):
            return False
        if identity.project_id and account == prefix + identity.project_id:
            return True
        return self._account_domain(request) in (None, self._domain)

    def _account_domain(self, request: Request) -> str | None:
        known = get_account_info(request.environ, self.app, swift_source='KS')
        return (known.get('sysmeta') or {}).get('project-domain-id')

    def _tell_domain(self, request: Request, account: str, container: str | None, identity: Identity) -> None:
        """Keep the domain of the account's project with the account, once it can be known."""
        if container or request.method not in ('PUT', 'POST'):
            return
        known = self._account_domain(request)
        if known not in (None, UNKNOWN):
            return
        prefix = self._prefixes.of(account) or ''
        own = identity.project_id and account == prefix + identity.project_id
        found = (identity.project_domain or None) if own else UNKNOWN
        if found is not None and found != known:
            request.headers[DOMAIN] = paths.text_to_wsgi(found)


@dataclasses.dataclass(frozen=True, slots=True)
class _Rules:
    """Of one reseller prefix: roles in lower case."""

    operators: frozenset[str]
    service: frozenset[str]
    readers: frozenset[str]


def _lower(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word.lower() for word in words)


def _roles(value: str | None) -> frozenset[str]:
    return _lower(role.strip() for role in _text(value).split(',') if role.strip()) if value else frozenset()


def _said(environ: Mapping[str, Any], part: str) -> str | None:
    value = environ.get(f'HTTP_X_{part}')
    return _text(value) if value else None


def _text(value: str) -> str:
    try:
        return paths.wsgi_to_text(value)
    except ValueError:
        return value


def _account(environ: Mapping[str, Any]) -> str:
    pieces = environ['PATH_INFO'].split('/', 3)
    return pieces[2] if len(pieces) > 2 and not pieces[0] else ''


def _showing_domain(start_response: Callable[..., Any]) -> Callable[..., Any]:
    """An account's answer tells the domain of its project."""
    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        for name, value in headers:
            if name.lower() == DOMAIN.lower() and value:
                headers = [*headers, (SHOWN_DOMAIN, value)]
                break
        return start_response(status, headers, exc_info)
    return start


def _refusal(environ: Mapping[str, Any], identity: Identity | None) -> Response:
    """403 to a user, 401 to nobody."""
    if identity is not None:
        return error(403)
    # percent-encoded: nothing a client wrote may end the value
    realm = paths.wsgi_quote(_account(environ) or 'unknown')
    return error(401, headers={'WWW-Authenticate': f'Swift realm="{realm}"'})


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], KeystoneAuth]:
    """paste."""
    given = {**global_conf, **local_conf}
    conf = confs.options(given, OPTIONS, '[filter:keystoneauth]')
    prefixes = resellers.Prefixes(given, PREFIX_OPTIONS, '[filter:keystoneauth]')
    registry.register('keystoneauth')
    return lambda app: KeystoneAuth(app, conf, prefixes)

"""Users from the conf file, for a cluster without keystone: it issues tokens, and decides what they allow.

    [filter:tempauth]
    use = egg:swift#tempauth
    reseller_prefix = AUTH
    user_admin_admin = admin .admin .reseller_admin
    user_test_tester = testing .admin
    user64_dW5kZXJfc2NvcmU_YV9i = testing4 http://storage.example.com/v1/AUTH_under_score

A user is ``account:user`` with a key and groups: ``.admin`` may do everything
in the account, ``.reseller_admin`` in every account, ``.reseller_reader`` may
read every account; any other name is a group for access lists and
``require_group``.  Tokens live in ``swift.cache``: several workers or proxies
need memcached there.
"""

import base64
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from strata import crypt, errors
from swift import conf as confs
from swift.http import HttpError, Request, Response, serving
from swift.http import info as registry
from swift.http import path as paths
from swift.http.response import error
from swift.middleware import acl, resellers
from swift.proxy.info import get_account_info

LOG = logging.getLogger(__name__)

OPTIONS = {
    'auth_prefix': confs.Option(confs.text, '/auth/', 'where tokens are asked for'),
    'token_life': confs.Option(confs.positive, 86400, 'seconds that a token is good for'),
    'allow_overrides': confs.Option(confs.boolean, True, 'whether filters before this one may decide'),
    'storage_url_scheme': confs.Option(confs.choice('default', 'http', 'https'), 'default', 'of X-Storage-Url'),
}
#: per reseller prefix
PREFIX_OPTIONS = {
    'require_group': confs.Option(confs.text, '', 'a group that X-Auth-Token or X-Service-Token must have'),
}
READS = frozenset({'GET', 'HEAD'})
ADMIN, RESELLER, READER = '.admin', '.reseller_admin', '.reseller_reader'


class User:
    """One line of the conf file."""

    __slots__ = ('account', 'groups', 'key', 'name', 'url')

    def __init__(self, account: str, name: str, key: str, groups: list[str], url: str | None) -> None:
        self.account = account
        self.name = f'{account}:{name}'
        self.key = key
        self.groups = groups
        self.url = url


class TempAuth:
    """The filter."""

    def __init__(self, app: Any, conf: SimpleNamespace, prefixes: resellers.Prefixes, users: dict[str, User]) -> None:
        """``users``: by ``account:user``."""
        self.app = app
        self._prefixes = prefixes
        self._users = users
        self._path = '/' + conf.auth_prefix.strip('/') + '/' if conf.auth_prefix.strip('/') else '/auth/'
        self._life = conf.token_life
        self._overrides = conf.allow_overrides
        self._scheme = conf.storage_url_scheme
        self._token_prefix = f'{prefixes.first}tk'

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._overrides and environ.get('swift.authorize_override'):
            return self.app(environ, start_response)
        if environ['PATH_INFO'].startswith(self._path):
            return self.sign_in(environ, start_response)
        token = environ.get('HTTP_X_AUTH_TOKEN') or environ.get('HTTP_X_STORAGE_TOKEN')
        if token and token.startswith(self._token_prefix):
            groups = self._groups(environ, token)
            if groups is None:
                return self._refusal(environ)(environ, start_response)
            self._enter(environ, groups)
        elif 'swift.authorize' not in environ or self._prefixes.of(_account(environ)) is not None:
            environ['swift.authorize'] = self.authorize
            environ['swift.clean_acl'] = acl.clean_acl
        return self.app(environ, start_response)

    def _enter(self, environ: dict[str, Any], groups: list[str]) -> None:
        environ['REMOTE_USER'] = ','.join(groups)
        environ['swift.authorize'] = self.authorize
        environ['swift.clean_acl'] = acl.clean_acl
        environ['swift.access_logging'] = {'user_id': groups[0]}
        if RESELLER in groups:
            environ['reseller_request'] = True
        service = environ.get('HTTP_X_SERVICE_TOKEN')
        if service:
            environ['swift.tempauth.service_groups'] = self._groups(environ, service) or []

    # tokens

    def _groups(self, environ: dict[str, Any], token: str) -> list[str] | None:
        """Whom a token stands for: the user, the account, then what else; ``None`` if it is not (or no longer) good."""
        if not token.startswith(self._token_prefix):
            return None
        known = _cache(environ).get(f'{self._prefixes.first}/token/{token}')
        if not known:
            return None
        expires, groups = known
        return groups.split(',') if expires > time.time() else None

    def _all_groups(self, user: User) -> list[str]:
        """The user, the account, and the groups; an administrator has those of the accounts in place of ``.admin``."""
        groups = [user.name, user.account, *(group for group in user.groups if group != ADMIN)]
        if ADMIN in user.groups:
            groups += [prefix + user.account for prefix in self._prefixes]
        return groups

    @serving
    def sign_in(self, request: Request) -> Response:
        """GET /auth/v1.0 (or /auth/v1/account/auth) with a user and a key."""
        rest = request.path_info[len(self._path):]
        if not rest.strip('/'):
            raise HttpError(404)
        version, _, rest = rest.partition('/')
        account, _, last = rest.partition('/')
        if version not in ('v1', 'v1.0') or (version == 'v1' and not rest) or (rest and last.rstrip('/') != 'auth'):
            raise HttpError(400)
        if request.method != 'GET':
            raise HttpError(405, headers={'Allow': 'GET'})
        headers = request.headers
        name = headers.get('X-Storage-User') if account else None
        name = f'{account}:{name}' if name else headers.get('X-Auth-User') or headers.get('X-Storage-User') or ''
        key = headers.get('X-Auth-Key') or headers.get('X-Storage-Pass') or ''
        realm = name.partition(':')[0] if ':' in name else account or 'unknown'
        user = self._users.get(_text(name))
        # compared in any case, so that an unknown user takes as long as a wrong key
        right = crypt.equal(_text(key), user.key if user is not None else uuid.uuid4().hex)
        if user is None or not right or (account and user.account != _text(account)):
            raise HttpError(401, headers={'WWW-Authenticate': _challenge(account or realm)})
        return self._signed_in(request, user)

    def _signed_in(self, request: Request, user: User) -> Response:
        cache = _cache(request.environ)
        groups = ','.join(self._all_groups(user))
        now, token, expires = time.time(), None, 0.0
        key = f'{self._prefixes.first}/user/{user.name}'
        kept = cache.get(key)
        if kept and not confs.true(request.headers.get('X-Auth-New-Token')):
            known = cache.get(f'{self._prefixes.first}/token/{kept}')
            # users may have other groups since
            if known and known[0] > now and known[1] == groups:
                token, expires = kept, known[0]
        if token is None:
            token, expires = self._token_prefix + uuid.uuid4().hex, now + self._life
            cache.set(f'{self._prefixes.first}/token/{token}', [expires, groups], time=self._life)
            cache.set(key, token, time=self._life)
        request.environ['swift.access_logging'] = {'user_id': paths.text_to_wsgi(user.name)}
        return Response(200, b'', {
            'Content-Type': 'text/html; charset=UTF-8', 'X-Auth-Token': token, 'X-Storage-Token': token,
            'X-Auth-Token-Expires': str(int(expires - now)), 'X-Storage-Url': self._storage_url(request, user)})

    def _storage_url(self, request: Request, user: User) -> str:
        scheme = request.environ['wsgi.url_scheme'] if self._scheme == 'default' else self._scheme
        base = f'{scheme}://{request.host}'
        if user.url:
            return user.url.replace('$HOST', base)
        return f'{base}/v1/{paths.quote(self._prefixes.first + user.account)}'

    # decisions

    def authorize(self, request: Request) -> Response | None:
        """``swift.authorize``: ``None`` for a request that may go on, else the answer that refuses it."""
        try:
            _, account, container, obj = request.split(1, 4, rest=True)
        except ValueError:
            raise HttpError(404) from None
        environ = request.environ
        prefix = self._prefixes.of(account)
        if request.method == 'OPTIONS':
            return None
        if prefix is None or account == prefix:
            return self._refusal(environ)
        groups = [group for group in environ.get('REMOTE_USER', '').split(',') if group]
        if RESELLER in groups:
            environ['swift_owner'] = environ['reseller_request'] = True
            return self._account_acl(request, container)
        if READER in groups and request.method in READS:
            return None
        if account in groups and (container or request.method not in ('PUT', 'DELETE')) \
                and self._in_required_group(environ, prefix, groups):
            # an account is not for its own users to make or remove
            environ['swift_owner'] = True
            return self._account_acl(request, container)
        if self._listed(request, groups, obj) or acl.sync_allowed(environ):
            return None
        level = self._account_level(request, groups)
        if level == 'admin':
            environ['swift_owner'] = True
            return self._account_acl(request, container)
        if level == 'read-write' and (container or request.method in READS) \
                or level == 'read-only' and request.method in READS:
            return None
        return self._refusal(environ)

    def _in_required_group(self, environ: dict[str, Any], prefix: str, groups: list[str]) -> bool:
        wanted = self._prefixes.options[prefix].require_group
        return not wanted or wanted in groups or wanted in environ.get('swift.tempauth.service_groups', ())

    def _listed(self, request: Request, groups: list[str], obj: str | None) -> bool:
        """Whether the container's list lets the request in."""
        referrers, allowed = acl.parse_acl(request.acl)
        if acl.referrer_allowed(request.headers.get('Referer'), referrers) and (obj or '.rlistings' in allowed):
            return True
        return any(group in allowed for group in groups)

    def _account_level(self, request: Request, groups: list[str]) -> str | None:
        """The highest that the account's list grants to one of the groups."""
        if not groups:
            return None
        known = get_account_info(request.environ, self.app, swift_source='TA')
        grants = acl.parse_account_acl((known.get('sysmeta') or {}).get('core-access-control')) or {}
        for level in acl.LEVELS:
            listed = grants.get(level)
            if isinstance(listed, list) and any(group in listed for group in groups):
                return level
        return None

    def _account_acl(self, request: Request, container: str | None) -> Response | None:
        """Take over an owner's X-Account-Access-Control; the answer that refuses what is none."""
        given = request.headers.get('X-Account-Access-Control')
        if given is None and 'HTTP_X_REMOVE_ACCOUNT_ACCESS_CONTROL' in request.environ:
            given = ''
        if given is None or container or request.method not in ('PUT', 'POST'):
            return None
        try:
            request.headers['X-Account-Sysmeta-Core-Access-Control'] = acl.check_account_acl(given)
        except ValueError as problem:
            return error(400, f'X-Account-Access-Control invalid: {problem}\n\nInput: {given}\n')
        return None

    def _refusal(self, environ: dict[str, Any]) -> Response:
        """403 to a user, 401 to nobody."""
        if environ.get('REMOTE_USER'):
            return error(403)
        return error(401, headers={'WWW-Authenticate': _challenge(_account(environ) or 'unknown')})


def _account(environ: Mapping[str, Any]) -> str:
    """The account of the path, a WSGI string; ``''`` if it has none."""
    pieces = environ['PATH_INFO'].split('/', 3)
    return pieces[2] if len(pieces) > 2 and not pieces[0] else ''


def _challenge(realm: str) -> str:
    # percent-encoded: nothing a client wrote may end the value
    return f'Swift realm="{paths.wsgi_quote(realm)}"'


def _text(value: str) -> str:
    try:
        return paths.wsgi_to_text(value)
    except ValueError:
        return ''


def _cache(environ: Mapping[str, Any]) -> Any:
    cache = environ.get('swift.cache')
    if cache is None:
        raise errors.Invalid('tempauth needs the filter "cache" before it in the pipeline')
    return cache


def users(conf: Mapping[str, str]) -> dict[str, User]:
    """Those of ``user_account_name`` and ``user64_account_name`` options; raises ``errors.Invalid``."""
    found = {}
    for option, value in conf.items():
        if not option.startswith(('user_', 'user64_')):
            continue
        pieces = option.split('_')
        words = value.split()
        if len(pieces) != 3 or not all(pieces) or not words:
            raise errors.Invalid(f'[filter:tempauth]: {option} = ...: must be user_ACCOUNT_NAME = key [group ...] '
                                 f'[url], or user64_ with names in base64')
        account, name = pieces[1:] if pieces[0] == 'user' else map(_decoded, pieces[1:])
        url = words.pop() if '://' in words[-1] or words[-1].startswith('$HOST') else None
        if not words:
            raise errors.Invalid(f'[filter:tempauth]: {option} = ...: the key is missing')
        if ',' in account + name + ''.join(words[1:]):
            # groups travel as one list by commas
            raise errors.Invalid(f'[filter:tempauth]: {option} = ...: no account, user or group may hold a comma')
        user = User(account, name, words[0], words[1:], url)
        found[user.name] = user
    return found


def _decoded(name: str) -> str:
    try:
        return base64.b64decode(name + '=' * (-len(name) % 4), validate=True).decode('utf-8')
    except ValueError:
        raise errors.Invalid(f'[filter:tempauth]: {name} is not in base64') from None


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], TempAuth]:
    """paste."""
    given = {**global_conf, **local_conf}
    conf = confs.options(given, OPTIONS, '[filter:tempauth]')
    prefixes = resellers.Prefixes(given, PREFIX_OPTIONS, '[filter:tempauth]')
    found = users(local_conf)
    registry.register('tempauth', account_acls=True)
    return lambda app: TempAuth(app, conf, prefixes, found)

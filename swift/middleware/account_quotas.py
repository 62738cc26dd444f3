"""Quotas of accounts, set by resellers.

    [filter:account_quotas]
    use = egg:swift#account_quotas

::

    X-Account-Quota-Bytes: N                        of all objects (X-Account-Meta-Quota-Bytes: the same, of old)
    X-Account-Quota-Count: N                        number of objects
    X-Account-Quota-Bytes-Policy-<name>: N          of the objects of a storage policy
    X-Account-Quota-Count-Policy-<name>: N

A PUT that would bring the account beyond one of them is refused with 413.  They
are kept as system metadata, policies by number.
"""

from collections.abc import Callable, Iterable
from typing import Any

from swift import conf as confs
from swift.http import HttpError, Request, Response, info, serving
from swift.middleware.container_quotas import is_quota, refuse
from swift.policies import Policies, Policy
from swift.proxy.info import get_account_info, get_container_info

OPTIONS = {
    'swift_dir': confs.Option(confs.text, '/etc/swift', 'where swift.conf is'),
}
META = 'X-Account-Meta-Quota-Bytes'
KINDS = ('bytes', 'count')
#: what of the facts of an account, or of its policies, each is about
USED = {'bytes': ('bytes', 'bytes'), 'count': ('total_object_count', 'object_count')}
TEXTS = {'bytes': 'Upload exceeds quota.', 'count': 'Upload exceeds object count quota.'}
POLICY_TEXTS = {'bytes': 'Upload exceeds policy quota.', 'count': 'Upload exceeds policy object count quota.'}


class AccountQuotas:
    """The filter."""

    def __init__(self, app: Any, policies: Policies) -> None:
        self.app = app
        self._policies = policies
        #: header -> system metadata, by what follows ``X-Account-``
        self._names = {f'Quota-{kind.title()}': f'quota-{kind}' for kind in KINDS}
        self._names.update({f'Quota-{kind.title()}-Policy-{name.title()}': f'quota-{kind}-policy-{policy.index}'
                            for kind in KINDS for policy in policies for name in policy.names})

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ['PATH_INFO']
        depth = path.count('/', 0, -1)
        if (depth >= 4 and environ['REQUEST_METHOD'] == 'PUT') or depth == 2:
            return self._serve(environ, start_response)
        return self.app(environ, start_response)

    @serving
    def _serve(self, request: Request) -> Any:
        try:
            _, account, container, name = request.split(2, 4, rest=True)
        except ValueError:
            return self.app
        if not container:
            return self._account(request)
        if name and request.method == 'PUT' and not request.environ.get('reseller_request'):
            self._check(request)
        return self.app

    # accounts

    def _account(self, request: Request) -> Response:
        if request.method in ('PUT', 'POST'):
            self._translate(request)
        response = request.respond(self.app)
        if request.method in ('GET', 'HEAD') and response.is_success:
            self._show(response)
        return response

    def _translate(self, request: Request) -> None:
        """Turn quotas into system metadata; raises ``HttpError``."""
        headers, changes = request.headers, {}
        if META in headers:
            changes['quota-bytes'] = headers[META]
        elif headers.get('X-Remove-Account-Meta-Quota-Bytes'):
            changes['quota-bytes'] = ''
        for end, name in self._names.items():
            if headers.get('X-Remove-Account-' + end):
                changes[name] = ''
            if 'X-Account-' + end in headers:
                changes[name] = headers['X-Account-' + end]
        if not changes:
            return
        if not request.environ.get('reseller_request'):
            decide = request.environ.get('swift.authorize')
            refused = decide(request) if decide is not None else None
            raise HttpError(refused.status if refused is not None else 403)
        if not all(is_quota(value) for value in changes.values()):
            raise HttpError(400)
        for name, value in changes.items():
            headers[f'X-Account-Sysmeta-{name}'] = value

    def _show(self, response: Response) -> None:
        for kind in KINDS:
            value = response.headers.get(f'X-Account-Sysmeta-Quota-{kind}')
            if value:
                response.headers[f'X-Account-Quota-{kind}'] = value
            for policy in self._policies:
                value = response.headers.get(f'X-Account-Sysmeta-Quota-{kind}-Policy-{policy.index}')
                if value:
                    response.headers[f'X-Account-Quota-{kind}-Policy-{policy.name}'] = value

    # objects

    def _check(self, request: Request) -> None:
        """Raise ``HttpError`` 413 for what is too much."""
        account = get_account_info(request.environ, self.app, 'AQ')
        sysmeta, meta = account.get('sysmeta') or {}, account.get('meta') or {}
        if not any(name.startswith('quota-') and value for name, value in (*sysmeta.items(), *meta.items())):
            return
        container = get_container_info(request.environ, self.app, 'AQ')
        more = {'bytes': request.content_length or 0, 'count': 1}
        for kind in KINDS:
            quota = sysmeta.get(f'quota-{kind}') or (meta.get('quota-bytes') if kind == 'bytes' else None)
            if _exceeds(account[USED[kind][0]] + more[kind], quota):
                refuse(request, container.get('write_acl'), TEXTS[kind])
        policy = self._policies.get(container.get('storage_policy'))
        for kind in KINDS if policy is not None else ():
            used = _used(account, policy, USED[kind][1])
            if _exceeds(used + more[kind], sysmeta.get(f'quota-{kind}-policy-{policy.index}')):
                refuse(request, container.get('write_acl'), POLICY_TEXTS[kind])


def _used(account: dict[str, Any], policy: Policy | None, fact: str) -> int:
    """Of one storage policy."""
    policies = account.get('storage_policies') or {}
    return int(next((policies[name.lower()].get(fact, 0) for name in policy.names if name.lower() in policies), 0))


def _exceeds(used: int, quota: str | None) -> bool:
    return bool(quota) and is_quota(quota) and used > int(quota)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], AccountQuotas]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:account_quotas]')
    info.register('account_quotas')
    policies = Policies.load(conf.swift_dir)
    return lambda app: AccountQuotas(app, policies)

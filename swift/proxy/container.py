"""Containers: /v1/{account}/{container}."""

from swift.http.response import HttpError, Response
from swift.policies import Policy
from swift.proxy import account as accounts
from swift.proxy import cors, info
from swift.proxy.call import TEXT, Call, Headers, update_targets
from swift.proxy.fanout import fan_out
from swift.proxy.quorum import best, quorum_size
from swift.proxy.reading import Search

#: headers beside metadata that containers keep
KEPT = ('X-Container-Read', 'X-Container-Write', 'X-Container-Sync-Key', 'X-Container-Sync-To', 'X-Versions-Location',
        'X-History-Location')


def show(call: Call) -> Response:
    """GET and HEAD: the listing is JSON here; the listing_formats filter writes the others."""
    if not call.account.startswith(call.app.constraints.auto_create_account_prefix):
        status = call.account_info()['status']
        if not 200 <= status < 300:
            raise HttpError(503 if status >= 500 else 404)
    app = call.app
    part = app.container_ring.get_part(call.account, call.container)
    search = Search(app, call.nodes(app.container_ring, part), part, call.req.method,
                    f'{call.path}?{app.json_query(call.req)}', call.read_headers(), timeout=app.timeout,
                    sorter=app.sorter)
    response = search.respond(app.wants_newest(call.req))
    if not call.req.query_string or call.req.method == 'HEAD':
        info.set_info_cache(call.environ, call.account, call.container,
                            info.container_info(response.headers, response.status),
                            app.conf.recheck_container_existence)
    refused = call.authorize(response.headers.get('X-Container-Read'))
    if refused is not None:
        response.close()
        return refused
    call.hide_owner_headers(response)
    _name_policy(call, response)
    return response


def _name_policy(call: Call, response: Response) -> None:
    if response.is_success:
        policy = call.app.policies.get(response.headers.get('X-Backend-Storage-Policy-Index'))
        response.headers['X-Storage-Policy'] = policy.name if policy else None


def _chosen_policy(call: Call) -> Policy | None:
    """The policy the client named; raises ``HttpError`` 400 for one that is not to be had."""
    name = call.environ.get('HTTP_X_STORAGE_POLICY')
    if not name:
        return None
    policy: Policy | None = call.app.policies.named(name)
    if policy is None:
        raise HttpError(400, f'Invalid X-Storage-Policy {name!r}', TEXT)
    if policy.is_deprecated:
        raise HttpError(400, f'Storage Policy {policy.name!r} is deprecated', TEXT)
    return policy


def _clean_acls(call: Call) -> None:
    """Let the authorisation filter put ACLs in order; raises ``HttpError`` 400 for what is none."""
    clean = call.environ.get('swift.clean_acl')
    if clean is None:
        return
    for name in ('X-Container-Read', 'X-Container-Write'):
        value = call.req.headers.get(name)
        if value is not None:
            try:
                call.req.headers[name] = clean(name, value)
            except ValueError as error:
                raise HttpError(400, str(error), TEXT) from error


def _existing_account(call: Call, *, create: bool = False) -> info.Info:
    """What is known of the account; raises ``HttpError`` 404 if there is none, 503 if nobody knows."""
    known = call.account_info()
    if create and call.app.conf.account_autocreate and (
            known['status'] in (404, 410) or not known['account_really_exists']):
        accounts.autocreate(call)
        known = call.account_info()
    if not 200 <= known['status'] < 300 or not (known['account_really_exists'] or create):
        raise HttpError(503 if known['status'] >= 500 else 404)
    return known


def create(call: Call) -> Response:
    """PUT: make it, or set its metadata."""
    app, most = call.app, call.app.constraints.max_container_name_length
    _clean_acls(call)
    app.constraints.check_metadata(call.req, 'Container')
    policy = _chosen_policy(call)
    call.drop_owner_headers()
    length = len(call.container.encode('utf-8'))
    if length > most:
        raise HttpError(400, f'Container name length of {length} longer than {most}', TEXT)
    known = _existing_account(call, create=True)
    limit = app.conf.max_containers_per_account
    if 0 < limit <= known['container_count'] and call.account not in app.conf.max_containers_whitelist \
            and not 200 <= call.container_info()['status'] < 300:
        raise HttpError(403, f'Reached container limit of {limit}', TEXT)
    headers = call.meta_headers(*KEPT)
    if policy is not None:
        headers['X-Backend-Storage-Policy-Index'] = str(policy.index)
    elif 'X-Backend-Storage-Policy-Index' not in headers:
        headers['X-Backend-Storage-Policy-Default'] = str(app.policies.default.index)
    return _write(call, 'PUT', headers, tell_account=True)


def update(call: Call) -> Response:
    """POST of metadata."""
    _clean_acls(call)
    call.app.constraints.check_metadata(call.req, 'Container')
    call.drop_owner_headers()
    _existing_account(call)
    return _write(call, 'POST', call.meta_headers(*KEPT))


def remove(call: Call) -> Response:
    """DELETE: 409 if it holds anything."""
    _existing_account(call)
    response = _write(call, 'DELETE', call.meta_headers(), tell_account=True)
    if response.status == 202:      # no server had it
        return HttpError(404).response()
    return response


def _write(call: Call, method: str, headers: Headers, *, tell_account: bool = False) -> Response:
    app = call.app
    headers['X-Timestamp'] = call.stamp()
    part = app.container_ring.get_part(call.account, call.container)
    nodes = call.nodes(app.container_ring, part)
    each = [dict(headers) for _ in range(nodes.primaries)]
    if tell_account:
        account_part, account_nodes = app.account_ring.get_nodes(call.account)
        update_targets(each, 'Account', account_part, account_nodes, len(each))
    quorum = quorum_size(nodes.primaries)
    try:
        return best(fan_out(app, nodes, part, method, call.path, each, quorum=quorum), quorum)
    finally:      # not before: a reader might fill it again with what is about to change
        info.clear_info_cache(call.environ, call.account, call.container)


METHODS = {'GET': cors.sharing(show), 'HEAD': cors.sharing(show), 'PUT': cors.sharing(create),
           'POST': cors.sharing(update), 'DELETE': cors.sharing(remove)}
DELAYED = frozenset({'GET', 'HEAD'})

"""Objects: /v1/{account}/{container}/{object}."""

import hashlib
import mimetypes
from typing import Any

from swift.conf import true
from swift.constraints import check_delete_headers
from swift.http.response import HttpError, Response
from swift.policies import Policy
from swift.proxy import cors, put
from swift.proxy.call import TEXT, Call, Headers, update_targets
from swift.proxy.fanout import fan_out
from swift.proxy.info import Info
from swift.proxy.quorum import best, quorum_size
from swift.proxy.reading import Search

POLICY = 'X-Backend-Storage-Policy-Index'


def _policy(call: Call, known: Info) -> Policy:
    """The policy its container has, or a trusted filter names; raises ``HttpError`` 503 if it is not here."""
    index = call.environ.get('HTTP_X_BACKEND_STORAGE_POLICY_INDEX')
    if index is None and known['status'] >= 500 and len(call.app.policies) > 1:
        raise HttpError(503)      # a guess would find nothing, and say so
    index = index or known['storage_policy']
    policy: Policy | None = call.app.policies.get(index)
    if policy is None:
        raise HttpError(503, f'Unknown storage policy {index}', TEXT)
    return policy


def show(call: Call) -> Response:
    """GET and HEAD."""
    app, known = call.app, call.container_info()
    policy = _policy(call, known)
    refused = call.authorize(known['read_acl'])
    if refused is not None:
        return refused
    ring, sorter = app.object_ring(policy), app.sorters[policy.index]
    part = ring.get_part(call.account, call.container, call.obj)
    headers = call.read_headers()
    headers[POLICY] = str(policy.index)
    _open_expired(call, headers)
    nodes = call.nodes(ring, part, sorter)
    search = Search(app, nodes, part, call.req.method, call.path, headers, timeout=app.timeout, sorter=sorter,
                    concurrency=nodes.primaries if sorter.options.concurrent_gets else 1,
                    whole=call.req.method == 'HEAD')
    response = search.respond(app.wants_newest(call.req))
    if response.status == 404 and 'HTTP_IF_MATCH' in call.environ:
        return HttpError(412).response()      # nothing matches what is not there (RFC 9110, 13.1.1)
    return response


def _open_expired(call: Call, headers: Headers) -> None:
    """Show what has expired but is still there, to who asks for it."""
    if call.app.conf.enable_open_expired and true(call.environ.get('HTTP_X_OPEN_EXPIRED')):
        headers['X-Backend-Open-Expired'] = 'true'


def _allowed_write(call: Call) -> tuple[Policy, Response | None]:
    """The policy, or the refusal; raises ``HttpError`` 404 without a container, 503 if nobody knows."""
    known = call.container_info()
    policy = _policy(call, known)
    call.environ['swift_sync_key'] = known['sync_key']
    refused = call.authorize(known['write_acl'])
    if refused is None and not 200 <= known['status'] < 300:
        raise HttpError(503 if known['status'] >= 500 else 404)
    return policy, refused


def _detect_type(call: Call) -> None:
    """A type for an object that came without, or asks for it."""
    detect = true(call.environ.get('HTTP_X_DETECT_CONTENT_TYPE'))
    if detect or not call.environ.get('CONTENT_TYPE'):
        guessed, _ = mimetypes.guess_type(call.obj)
        call.environ['CONTENT_TYPE'] = guessed or 'application/octet-stream'
        call.environ.pop('HTTP_X_DETECT_CONTENT_TYPE', None)


def create(call: Call) -> Response:
    """PUT."""
    none = call.environ.get('HTTP_IF_NONE_MATCH')
    if none is not None and '*' not in {each.strip() for each in none.split(',')}:
        raise HttpError(400, 'If-None-Match only supports *', TEXT)
    policy, refused = _allowed_write(call)
    if refused is not None:
        return refused
    call.stamp()
    _detect_type(call)
    call.app.constraints.check_object(call.req, call.obj)
    ring = call.app.object_ring(policy)
    part = ring.get_part(call.account, call.container, call.obj)
    nodes = call.nodes(ring, part, call.app.sorters[policy.index], local_first=True)
    headers = _write_headers(call, policy, nodes.primaries)
    return put.store(call, nodes, part, headers)


def update(call: Call) -> Response:
    """POST of metadata, which replaces all there is."""
    policy, refused = _allowed_write(call)
    if refused is not None:
        return refused
    call.stamp()
    check_delete_headers(call.req)
    call.app.constraints.check_metadata(call.req, 'Object')
    return _write(call, 'POST', policy)


def remove(call: Call) -> Response:
    """DELETE: a replica that has nothing to delete has deleted."""
    policy, refused = _allowed_write(call)
    if refused is not None:
        return refused
    call.stamp()
    return _write(call, 'DELETE', policy, {404: 204})


def _write(call: Call, method: str, policy: Policy, overrides: dict[int, int] | None = None) -> Response:
    app, sorter = call.app, call.app.sorters[policy.index]
    ring = app.object_ring(policy)
    part = ring.get_part(call.account, call.container, call.obj)
    local = method == 'DELETE' and sorter.options.write_affinity is not None
    nodes = call.nodes(ring, part, sorter, local_first=local)
    count = nodes.primaries
    quorum = quorum_size(count)
    if local:
        count += _handoffs_to_delete(ring.get_part_nodes(part), sorter)
    headers = _write_headers(call, policy, count)
    replies = fan_out(app, nodes, part, method, call.path, headers, quorum=quorum)
    response = best(replies, quorum, overrides)
    response.headers['Etag'] = None
    return response


def _handoffs_to_delete(primaries: list[dict[str, Any]], sorter: Any) -> int:
    """How many local handoffs may hold what was written with affinity and is not moved yet."""
    given: int | None = sorter.options.write_affinity_handoff_delete_count
    if given is not None:
        return given
    return len(primaries) - sum(1 for node in primaries if sorter.options.write_affinity(node))


def _write_headers(call: Call, policy: Policy, count: int) -> list[Headers]:
    """Of each of ``count`` requests: together they tell all replicas of the listing, and of the expiry queue."""
    app = call.app
    common = call.all_headers()
    common[POLICY] = str(policy.index)
    if call.req.method == 'POST':
        _open_expired(call, common)
    headers = [dict(common) for _ in range(count)]
    least = min(quorum_size(count) + 1, count)
    part, nodes = app.container_ring.get_nodes(call.account, call.container)
    update_targets(headers, 'Container', part, nodes, least)
    delete_at = call.environ.get('HTTP_X_DELETE_AT')
    if delete_at is not None and call.req.method != 'DELETE':
        account, name = expiry_queue(app, call.account, call.container, call.obj, int(delete_at))
        part, nodes = app.container_ring.get_nodes(account, name)
        update_targets(headers, 'Delete-At', part, nodes, least)
        for each in headers:
            if 'X-Delete-At-Partition' in each:
                each['X-Delete-At-Container'] = name
    return headers


def expiry_queue(app: Any, account: str, container: str, obj: str, delete_at: int) -> tuple[str, str]:
    """Account and container that list what is to be deleted then: one container a day, spread over a hundred."""
    divisor = app.conf.expiring_objects_container_divisor
    path = f'/{account}/{container}/{obj}'.encode('utf-8', 'surrogateescape')
    digest = hashlib.md5(app.hashing.prefix + path + app.hashing.suffix, usedforsecurity=False).hexdigest()
    moment = delete_at // divisor * divisor - int(digest, 16) % 100
    prefix = app.constraints.auto_create_account_prefix
    return f'{prefix}{app.conf.expiring_objects_account_name}', f'{max(0, moment):010d}'


METHODS = {'GET': cors.sharing(show), 'HEAD': cors.sharing(show), 'PUT': cors.sharing(create),
           'POST': cors.sharing(update), 'DELETE': cors.sharing(remove)}
DELAYED = frozenset(METHODS)

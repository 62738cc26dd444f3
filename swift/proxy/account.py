"""Accounts: /v1/{account}."""

import json

from swift.http.response import HttpError, Response
from swift.proxy import info
from swift.proxy.call import TEXT, Call
from swift.proxy.fanout import fan_out
from swift.proxy.quorum import best, quorum_size
from swift.proxy.reading import Search
from swift.timestamp import Timestamp


def show(call: Call) -> Response:
    """GET and HEAD: the listing is JSON here; the listing_formats filter writes the others."""
    check_name(call)
    response = search(call)
    if response.status == 404:
        if response.headers.get('X-Account-Status', '').lower() == 'deleted':
            response = HttpError(410, headers={'X-Account-Status': 'Deleted'}).response()
        elif call.app.conf.account_autocreate and call.container is None:
            response = empty()
    _remember(call, response)
    if call.environ.get('swift_owner'):
        acl = response.headers.get('X-Account-Sysmeta-Core-Access-Control')
        if acl:
            response.headers['X-Account-Access-Control'] = acl
    else:
        call.hide_owner_headers(response)
    return response


def search(call: Call) -> Response:
    """Ask the account's servers."""
    app = call.app
    part = app.account_ring.get_part(call.account)
    query = app.json_query(call.req)
    found = Search(app, call.nodes(app.account_ring, part), part, call.req.method, f'{call.path}?{query}',
                   call.read_headers(), timeout=app.timeout, sorter=app.sorter)
    return found.respond(app.wants_newest(call.req))


def empty() -> Response:
    """An account that is not there yet, and would be there at the first write to it."""
    now = Timestamp.now().internal
    return Response(200, json.dumps([]), {
        'Content-Type': 'application/json; charset=utf-8', 'X-Account-Container-Count': '0',
        'X-Account-Object-Count': '0', 'X-Account-Bytes-Used': '0', 'X-Timestamp': now, 'X-Put-Timestamp': now,
        'X-Backend-Fake-Account-Listing': 'yes'})


def _remember(call: Call, response: Response) -> None:
    if not call.req.query_string or call.req.method == 'HEAD':
        info.set_info_cache(call.environ, call.account, None, info.account_info(response.headers, response.status),
                            call.app.conf.recheck_account_existence)


def check_name(call: Call) -> None:
    """Raises ``HttpError`` 400 for a name that is too long."""
    most = call.app.constraints.max_account_name_length
    length = len(call.account.encode('utf-8'))
    if length > most:
        raise HttpError(400, f'Account name length of {length} longer than {most}', TEXT)


def create(call: Call) -> Response:
    """PUT, where the operator allows it."""
    _check_managed(call)
    call.app.constraints.check_metadata(call.req, 'Account')
    check_name(call)
    return _write(call, 'PUT')


def update(call: Call) -> Response:
    """POST of metadata; an account that is not there yet comes to be, but none that was deleted."""
    check_name(call)
    call.app.constraints.check_metadata(call.req, 'Account')
    response = _write(call, 'POST')
    deleted = 'deleted' in response.headers.get('X-Account-Status', '').lower()
    if response.status == 404 and call.app.conf.account_autocreate and not deleted:
        autocreate(call)
        response = _write(call, 'POST')
    return response


def remove(call: Call) -> Response:
    """DELETE, where the operator allows it; a query is refused, for it was meant for a filter that is not there."""
    if call.req.query_string:
        raise HttpError(400)
    _check_managed(call)
    return _write(call, 'DELETE')


def _check_managed(call: Call) -> None:
    if not call.app.conf.allow_account_management:
        raise HttpError(405, headers={'Allow': ', '.join(allowed(call))})


def allowed(call: Call) -> list[str]:
    """The methods that an account takes here."""
    managed = call.app.conf.allow_account_management
    return sorted(name for name in (*METHODS, 'OPTIONS') if managed or name not in ('PUT', 'DELETE'))


def _write(call: Call, method: str) -> Response:
    app = call.app
    call.stamp()
    part = app.account_ring.get_part(call.account)
    nodes = call.nodes(app.account_ring, part)
    headers = call.meta_headers()
    quorum = quorum_size(nodes.primaries)
    try:
        replies = fan_out(app, nodes, part, method, call.path, [headers] * nodes.primaries, quorum=quorum)
    finally:
        info.clear_info_cache(call.environ, call.account)
    response = best(replies, quorum)
    if call.environ.get('swift_owner') and 'X-Account-Sysmeta-Core-Access-Control' in headers:
        response.headers['X-Account-Access-Control'] = headers['X-Account-Sysmeta-Core-Access-Control']
    return response


def autocreate(call: Call) -> None:
    """Make the account; one that exists already stays as it is.  Raises ``HttpError`` 503."""
    app = call.app
    part = app.account_ring.get_part(call.account)
    nodes = call.nodes(app.account_ring, part)
    headers = {**call.basics(), 'X-Timestamp': Timestamp.now().internal}
    quorum = quorum_size(nodes.primaries)
    path = f'/{app.quote(call.account)}'
    response = best(fan_out(app, nodes, part, 'PUT', path, [headers] * nodes.primaries, quorum=quorum), quorum)
    if not response.is_success:
        app.log.warning('could not create the account %s: %d', call.account, response.status)
        raise HttpError(503)
    app.log.info('created the account %s', call.account)
    info.clear_info_cache(call.environ, call.account)


METHODS = {'GET': show, 'HEAD': show, 'PUT': create, 'POST': update, 'DELETE': remove}
#: authorised by the handler itself, once it knows the ACL
DELAYED: frozenset[str] = frozenset()

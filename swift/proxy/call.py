"""One request on its way through the proxy: whose path it is, what is known of it, and what servers are told."""

import os
from typing import Any

from swift.http import path as paths
from swift.http.request import Request
from swift.http.response import HttpError, Response
from swift.proxy import info
from swift.proxy.nodes import Nodes
from swift.ring.ring import Ring
from swift.timestamp import Timestamp

Headers = dict[str, str]

#: headers of a read that storage servers act upon
ASKED = frozenset({
    'HTTP_RANGE', 'HTTP_IF_MATCH', 'HTTP_IF_NONE_MATCH', 'HTTP_IF_MODIFIED_SINCE', 'HTTP_IF_UNMODIFIED_SINCE',
    'HTTP_IF_RANGE', 'HTTP_X_OPENSTACK_REQUEST_ID',
})
#: headers of the client's connection, or that are nobody else's business
KEPT_BACK = frozenset({
    'HTTP_HOST', 'HTTP_CONNECTION', 'HTTP_EXPECT', 'HTTP_TRANSFER_ENCODING', 'HTTP_TE', 'HTTP_TRAILER', 'HTTP_UPGRADE',
    'HTTP_KEEP_ALIVE', 'HTTP_PROXY_CONNECTION', 'HTTP_X_AUTH_TOKEN', 'HTTP_X_SERVICE_TOKEN', 'HTTP_X_STORAGE_TOKEN',
    'HTTP_AUTHORIZATION', 'HTTP_COOKIE', 'HTTP_USER_AGENT', 'HTTP_REFERER', 'HTTP_ACCEPT', 'HTTP_ACCEPT_ENCODING',
    'HTTP_X_NEWEST',
    # whom object servers are to tell: only we know, and a client must not send them elsewhere
    'HTTP_X_CONTAINER_HOST', 'HTTP_X_CONTAINER_DEVICE', 'HTTP_X_CONTAINER_PARTITION', 'HTTP_X_CONTAINER_ROOT_DB_STATE',
    'HTTP_X_DELETE_AT_HOST', 'HTTP_X_DELETE_AT_DEVICE', 'HTTP_X_DELETE_AT_PARTITION', 'HTTP_X_DELETE_AT_ACCOUNT',
    'HTTP_X_DELETE_AT_CONTAINER',
    # nor when a type was set: one of the future could never be changed again
    'HTTP_CONTENT_TYPE_TIMESTAMP',
})
#: how storage servers log us
AGENT = 'proxy-server %d'
TEXT = {'Content-Type': 'text/plain; charset=UTF-8'}


def header_name(key: str) -> str:
    """The header of an environ key: ``X-Object-Meta-Color``."""
    name = _NAMES.get(key)
    if name is None:
        name = '-'.join(word.capitalize() for word in key.removeprefix('HTTP_').split('_'))
        if len(_NAMES) < 2000:
            _NAMES[key] = name
    return name


_NAMES: dict[str, str] = {}


class Call:
    """What a handler is given."""

    __slots__ = ('account', 'app', 'container', 'environ', 'methods', 'obj', 'req')

    def __init__(self, app: Any, req: Request, account: str, container: str | None, obj: str | None,
                 methods: Any) -> None:
        self.app = app
        self.req = req
        self.environ = req.environ
        self.account = account
        self.container: Any = container
        self.obj: Any = obj
        #: what the resource understands
        self.methods = methods

    @property
    def path(self) -> str:
        """As storage servers are told: quoted, from the account on."""
        return paths.quote(paths.join(self.account, self.container, self.obj))

    def account_info(self) -> info.Info:
        """What is known of the account."""
        return info.get_account_info(self.environ, self.app)

    def container_info(self) -> info.Info:
        """What is known of the container."""
        return info.get_container_info(self.environ, self.app)

    def authorize(self, acl: str | None) -> Response | None:
        """The refusal, if the caller may not do this to what has this ACL; ``None`` if he may."""
        decide = self.environ.get('swift.authorize')
        if decide is None:
            return None
        self.req.acl = acl
        return decide(self.req)

    def stamp(self) -> str:
        """The request's X-Timestamp: one given by a trusted filter, or now.  Raises ``HttpError`` 400."""
        given = self.environ.get('HTTP_X_TIMESTAMP')
        if given is None:
            value = Timestamp.now().internal
        else:
            try:
                value = Timestamp(given).internal
            except ValueError:
                raise HttpError(400, f'X-Timestamp should be a UNIX timestamp float value; was {given!r}',
                                TEXT) from None
        self.environ['HTTP_X_TIMESTAMP'] = value
        return value

    def basics(self) -> Headers:
        """Who asks, and for whom: in every request to a storage server."""
        environ = self.environ
        query = environ.get('QUERY_STRING')
        url = f'{self.req.base_url}{self.req.quoted_path}'
        return {'X-Timestamp': environ.get('HTTP_X_TIMESTAMP') or Timestamp.now().internal,
                'X-Trans-Id': environ.get('swift.trans_id', '-'), 'User-Agent': AGENT % os.getpid(),
                'Referer': f'{self.req.method} {url}?{query}' if query else f'{self.req.method} {url}'}

    def read_headers(self) -> Headers:
        """Of a request that reads."""
        headers, environ = self.basics(), self.environ
        for key in ASKED.intersection(environ):
            headers[header_name(key)] = environ[key]
        for key in environ:
            if key.startswith('HTTP_X_BACKEND_'):
                headers[header_name(key)] = environ[key]
        return headers

    def meta_headers(self, *names: str) -> Headers:
        """Of a request that writes an account or container: metadata, and headers of these names."""
        kind = 'CONTAINER' if self.container else 'ACCOUNT'
        taken = (f'HTTP_X_{kind}_META_', f'HTTP_X_{kind}_SYSMETA_', f'HTTP_X_REMOVE_{kind}_META_', 'HTTP_X_BACKEND_')
        headers = self.basics()
        for key, value in self.environ.items():
            if key.startswith('HTTP_X_') and key.startswith(taken):
                name = header_name(key)
                if name.startswith('X-Remove-'):
                    name, value = 'X-' + name[9:], ''
                headers[name] = value
        for each in names:
            value = self.environ.get('HTTP_' + each.upper().replace('-', '_'))
            removed = 'HTTP_X_REMOVE_' + each.upper().replace('-', '_').removeprefix('X_')
            if value is not None:
                headers[each] = value
            elif removed in self.environ:
                headers[each] = ''
        return headers

    def all_headers(self) -> Headers:
        """Of a request that writes an object: all that the client sent, but for what is between him and us."""
        headers = self.basics()
        for key, value in self.environ.items():
            if key.startswith('HTTP_') and key not in KEPT_BACK:
                headers[header_name(key)] = value
        headers['X-Trans-Id'] = self.environ.get('swift.trans_id', '-')
        kind = self.environ.get('CONTENT_TYPE')
        if kind:
            headers['Content-Type'] = kind
        return headers

    def nodes(self, ring: Ring, part: int, sorter: Any = None, *, local_first: bool = False) -> Nodes:
        """Those to try, in order."""
        app = self.app
        return Nodes(ring, part, sorter or app.sorter, app.errors, app.conf.request_node_count,
                     local_first=local_first, log=app.conf.log_handoffs)

    def drop_owner_headers(self) -> None:
        """What only owners may set is not set by others."""
        if not self.environ.get('swift_owner'):
            for name in self.app.owner_headers:
                self.req.headers.pop(name, None)

    def hide_owner_headers(self, response: Response) -> None:
        """What only owners may see is not shown to others."""
        if not self.environ.get('swift_owner'):
            for name in self.app.owner_headers:
                response.headers[name] = None


def update_targets(headers: list[Headers], kind: str, part: int, nodes: list[dict[str, Any]], least: int) -> None:
    """Tell storage servers whom to tell: each of ``nodes`` by one of them, ``least`` of them at least by somebody."""
    count = max(len(nodes), least) if nodes else 0
    for number in range(max(count, 0)):
        if number >= len(nodes) and number >= len(headers):
            break
        node = nodes[number % len(nodes)]
        target = headers[number % len(headers)]
        ip = f'[{node["ip"]}]' if ':' in node['ip'] else node['ip']
        for name, value in ((f'X-{kind}-Host', f'{ip}:{node["port"]}'), (f'X-{kind}-Device', node['device'])):
            target[name] = f'{target[name]},{value}' if name in target else value
        target[f'X-{kind}-Partition'] = str(part)

"""Where things are: the storage servers' addresses of an account, container or object, for programs beside the data.

    [filter:list-endpoints]
    use = egg:swift#list_endpoints
    list_endpoints_path = /endpoints/

``/endpoints/{account}/{container}/{object}`` answers a JSON list of addresses;
so does ``/endpoints/v1/...``; ``/endpoints/v2/...`` answers them with the headers that
a request to them needs.  It tells of the cluster's inside to anybody, so it
belongs in the pipeline of a proxy that only such programs can reach.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from swift import conf as confs
from swift.http import HttpError, Request, Response, serving
from swift.http import path as paths
from swift.http.subrequest import make_env
from swift.proxy.info import get_container_info
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring

OPTIONS = {
    'list_endpoints_path': confs.Option(confs.text, '/endpoints/', 'what the paths begin with'),
    'swift_dir': confs.Option(confs.text, '/etc/swift', 'where the rings are'),
}
VERSIONS = {'v1': 1, 'v1.0': 1, 'v2': 2, 'v2.0': 2}


class ListEndpoints:
    """The filter."""

    def __init__(self, app: Any, prefix: str, rings: 'Rings') -> None:
        self.app = app
        self._prefix = prefix
        self._rings = rings

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ['PATH_INFO'].startswith(self._prefix):
            return self.app(environ, start_response)
        return self.tell(environ, start_response)

    @serving
    def tell(self, request: Request) -> Response:
        """Who keeps it."""
        if request.method != 'GET':
            raise HttpError(405, headers={'Allow': 'GET'})
        version, account, container, obj = self._names(request.path_info)
        ring, headers = 'account', dict[str, str]()
        if obj:
            index = self._policy(request, account, container or '')
            ring = f'object-{index}' if index else 'object'
            headers['X-Backend-Storage-Policy-Index'] = str(index)
        elif container:
            ring = 'container'
        part, nodes = self._rings[ring].get_nodes(account, container, obj)
        path = paths.quote(paths.join(account, container, obj))
        endpoints = []
        for node in nodes:
            host = f'[{node["ip"]}]' if ':' in node['ip'] else node['ip']
            endpoints.append(f'http://{host}:{node["port"]}/{paths.quote(node["device"])}/{part}{path}')
        told: Any = endpoints if version == 1 else {'endpoints': endpoints, 'headers': headers}
        return Response(200, json.dumps(told), {'Content-Type': 'application/json'})

    def _names(self, path: str) -> tuple[int, str, str | None, str | None]:
        """(version, account, container, object); raises ``HttpError`` 400 or 412."""
        rest = path[len(self._prefix):]
        try:
            rest = paths.wsgi_to_text(rest)
        except ValueError:
            raise HttpError(412, 'Invalid UTF8 or contains NULL') from None
        first, _, tail = rest.partition('/')
        version = VERSIONS.get(first)
        if version is not None:
            rest = tail
        elif first[:1] == 'v' and first[1:].replace('.', '', 1).isdecimal():
            raise HttpError(400, f'Unsupported version {first!r}')
        if not rest.strip('/'):
            raise HttpError(400, 'No account specified')
        try:
            account, container, obj = paths.split('/' + rest, 1, 3, rest=True)
        except ValueError as error:
            raise HttpError(400, str(error)) from None
        assert account is not None
        return version or 1, account, container, obj

    def _policy(self, request: Request, account: str, container: str) -> int:
        path = paths.text_to_wsgi(paths.join('v1', account, container))
        known = get_container_info(make_env(request.environ, path=path), self.app, swift_source='LE')
        try:
            return int(known.get('storage_policy') or 0)
        except ValueError:
            return 0


class Rings:
    """Rings by name, each read when it is first needed."""

    def __init__(self, swift_dir: str) -> None:
        self._dir = swift_dir
        self._rings: dict[str, Ring] = {}
        self._hashing: HashPath | None = None

    def __getitem__(self, name: str) -> Ring:
        ring = self._rings.get(name)
        if ring is None:
            if self._hashing is None:
                self._hashing = HashPath.load(f'{self._dir}/swift.conf')
            ring = self._rings[name] = Ring(self._dir, self._hashing, name=name)
        return ring


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], ListEndpoints]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:list-endpoints]')
    prefix = '/' + conf.list_endpoints_path.strip('/') + '/'
    rings = Rings(conf.swift_dir)
    return lambda app: ListEndpoints(app, prefix, rings)

"""Storage servers asked one by one, without a proxy: for daemons and commands that look after replicas.

    direct = Direct()
    headers, listing = direct.listing(node, part, 'AUTH_a', 'c', prefix='x')
    direct.delete(node, part, 'AUTH_a', 'c', 'o', headers={'X-Timestamp': now.internal})

``node`` is a device of a ring; ``replication=True`` takes its replication
address.  A server that cannot be asked raises ``strata.backend.Failed``, one
that refuses ``Refused``.
"""

import json
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from strata import errors
from strata.backend import Answer, Fields, Pool
from swift.http import path as paths
from swift.timestamp import Timestamp

Node = Mapping[str, Any]
Headers = Mapping[str, Any]

#: of an answer that says no, so much is kept
SAID = 4096


class Refused(errors.BadGateway):
    """A storage server answered with another status than 2xx; ``code`` and ``headers_of`` are what it said."""

    message = '{method} {path} on {where}: {code} {reason}'

    def __init__(self, node: Node, method: str, path: str, answer: Answer) -> None:
        self.code = answer.status
        self.fields = answer.headers
        self.body = answer.body(SAID) if answer.headers.get('content-length', '0').isdecimal() and int(
            answer.headers.get('content-length', '0')) <= SAID else b''
        answer.close()
        super().__init__(method=method, path=path, code=answer.status, reason=answer.reason,
                         where=f'{node["ip"]}:{node["port"]}/{node["device"]}')


class Direct:
    """A client of storage servers; keeps connections."""

    def __init__(self, connect_timeout: float = 0.5, timeout: float = 15.0, agent: str = 'direct-client',
                 pool: Pool | None = None) -> None:
        """Time-outs in seconds: for a connection, and between two bytes of an answer."""
        self.pool = pool or Pool(connect_timeout=connect_timeout)
        self.timeout = timeout
        self.agent = agent

    def close(self) -> None:
        """Close idle connections."""
        self.pool.close()

    def request(self, node: Node, part: int, method: str, account: str, container: str | None = None,
                obj: str | None = None, *, headers: Headers | None = None, query: Mapping[str, Any] | None = None,
                body: bytes | None = None, replication: bool = False) -> Answer:
        """Any request; raises ``Refused`` unless the answer is 2xx.  The answer is to be read, or closed."""
        path = f'/{node["device"]}/{part}{paths.quote(paths.join(account, container, obj))}'
        if query:
            given = {name: value for name, value in query.items() if value is not None and value != ''}
            path += '?' + urllib.parse.urlencode(given)
        return self.ask(node, method, path, self._headers(headers), body, replication=replication)

    def ask(self, node: Node, method: str, path: str, headers: Headers | None = None, body: bytes | None = None, *,
            replication: bool = False) -> Answer:
        """A request to a quoted path that may be no resource's (``/recon``); raises ``Refused``."""
        ip = node.get('replication_ip') if replication else None
        port = node.get('replication_port') if replication else None
        answer = self.pool.request(ip or node['ip'], int(port or node['port']), method, path,
                                   {name: str(value) for name, value in (headers or {}).items()}, body, self.timeout)
        if not 200 <= answer.status < 300:
            raise Refused(node, method, path, answer)
        return answer

    def _headers(self, headers: Headers | None) -> dict[str, str]:
        made = {name: str(value) for name, value in (headers or {}).items()}
        known = {name.lower() for name in made}
        if 'user-agent' not in known:
            made['User-Agent'] = self.agent
        if 'x-timestamp' not in known:
            made['X-Timestamp'] = Timestamp.now().internal
        return made

    def head(self, node: Node, part: int, account: str, container: str | None = None, obj: str | None = None, *,
             headers: Headers | None = None) -> Fields:
        """The headers of an account, container or object."""
        answer = self.request(node, part, 'HEAD', account, container, obj, headers=headers)
        answer.close()
        return answer.headers

    def listing(self, node: Node, part: int, account: str, container: str | None = None, *,
                headers: Headers | None = None, **query: Any) -> tuple[Fields, list[dict[str, Any]]]:
        """Headers and one page of an account's containers or a container's objects.

        ``query``: marker, limit, prefix, delimiter, end_marker, reverse.
        """
        answer = self.request(node, part, 'GET', account, container, headers=headers,
                              query={**query, 'format': 'json'})
        text = answer.body()
        return answer.headers, json.loads(text) if text else []

    def entries(self, node: Node, part: int, account: str, container: str | None = None, *,
                headers: Headers | None = None, **query: Any) -> Iterator[dict[str, Any]]:
        """All entries of a listing, page by page."""
        while True:
            _, page = self.listing(node, part, account, container, headers=headers, **query)
            if not page:
                return
            yield from page
            query['marker'] = page[-1].get('name') or page[-1].get('subdir')

    def get_object(self, node: Node, part: int, account: str, container: str, obj: str, *,
                   headers: Headers | None = None) -> tuple[Fields, Answer]:
        """Headers, and the answer whose body is to be read."""
        answer = self.request(node, part, 'GET', account, container, obj, headers=headers)
        return answer.headers, answer

    def put(self, node: Node, part: int, account: str, container: str | None = None, obj: str | None = None, *,
            body: bytes | None = None, headers: Headers | None = None) -> Fields:
        """Make an account, a container or an object, or an entry of one on a container or account server."""
        return self._done(node, part, 'PUT', account, container, obj, headers, body)

    def post(self, node: Node, part: int, account: str, container: str | None = None, obj: str | None = None, *,
             headers: Headers | None = None) -> Fields:
        """Change metadata."""
        return self._done(node, part, 'POST', account, container, obj, headers, None)

    def delete(self, node: Node, part: int, account: str, container: str | None = None, obj: str | None = None, *,
               headers: Headers | None = None) -> Fields:
        """Delete; what was not there raises ``Refused`` with code 404."""
        return self._done(node, part, 'DELETE', account, container, obj, headers, None)

    def _done(self, node: Node, part: int, method: str, account: str, container: str | None, obj: str | None,
              headers: Headers | None, body: bytes | None) -> Fields:
        answer = self.request(node, part, method, account, container, obj, headers=headers, body=body)
        answer.body(SAID)
        return answer.headers

    def suffixes(self, node: Node, part: int, suffixes: list[str] | None = None, *, policy: int = 0,
                 headers: Headers | None = None) -> bytes:
        """REPLICATE on an object server: the pickled hashes of a partition's suffixes, recounted for some."""
        path = f'/{node["device"]}/{part}' + (f'/{"-".join(suffixes)}' if suffixes else '')
        answer = self.ask(node, 'REPLICATE', path,
                          {**(headers or {}), 'X-Backend-Storage-Policy-Index': policy}, replication=True)
        return answer.body()

    def recon(self, node: Node, *names: str) -> Any:
        """What a server's recon filter says of ``names`` (``replication``, ``object``)."""
        answer = self.ask(node, 'GET', '/recon/' + '/'.join(paths.quote(name) for name in names))
        return json.loads(answer.body())

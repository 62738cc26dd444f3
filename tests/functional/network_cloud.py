"""A network service in this process: the API over SQLite, the local bus, and a host in memory."""

import dataclasses
import io
import json
from typing import Any

from nova import conf as options
from nova.api import network, policy
from nova.db.base import Base
from nova.wiring import Wiring
from strata import rpc
from strata.context import Context
from strata.db import Database
from strata.rest.mount import Mount
from strata.testing.databases import make_tables


@dataclasses.dataclass
class Answer:
    """A response, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def fault(self) -> str:
        """The type of a refusal."""
        return self.json['NeutronError']['type']


def person(project: str, *roles: str) -> Context:
    """Somebody with roles in a project."""
    roles = roles or ('member', 'reader')
    return Context(user_id=f'{project}-user', project_id=project, roles=roles, is_admin='admin' in roles)


class Cloud:
    """The network API; ``alice`` and ``bob`` own projects, ``root`` is the admin."""

    def __init__(self, path: Any, url: str | None = None, **overrides: Any) -> None:
        self.conf = options.load('nova-api', [], files=[], host='node1', network__driver='fake',
                                 state_path=str(path), **overrides)
        self.db = Database(url or f'sqlite:///{path}/nova.sqlite')
        make_tables(self.db, Base.metadata)
        self.bus = rpc.connect('local://', 'nova')
        self.wiring = Wiring(conf=self.conf, db=self.db, bus=self.bus,
                             policy=policy.build(self.conf, network.rules()))
        self.app = Mount({'/': network.versions_app.bind(self.wiring),
                          '/v2.0': network.app.bind(self.wiring)})
        self.alice, self.bob = person('alice'), person('bob')
        self.reader = person('alice', 'reader')
        self.root = person('admin', 'admin', 'manager', 'member', 'reader')

    def close(self) -> None:
        """Let go of the database."""
        self.db.dispose()

    def request(self, who: Context | None, method: str, path: str, body: Any = None,
                headers: dict[str, str] | None = None) -> Answer:
        """One request as somebody; paths are below ``/v2.0`` unless they begin so."""
        path, _, query = path.partition('?')
        path = path if path in ('/', '/openapi.json') or path.startswith('/v2.0') else '/v2.0' + path
        environ: dict[str, Any] = {
            'REQUEST_METHOD': method, 'SCRIPT_NAME': '', 'PATH_INFO': path, 'QUERY_STRING': query,
            'SERVER_NAME': 'cloud', 'SERVER_PORT': '9696', 'HTTP_HOST': 'cloud:9696',
            'wsgi.url_scheme': 'http'}
        if who is not None:
            environ['strata.context'] = dataclasses.replace(who)
        raw = b'' if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        environ.update({'wsgi.input': io.BytesIO(raw), 'CONTENT_LENGTH': str(len(raw))})
        for name, value in (headers or {}).items():
            environ['HTTP_' + name.upper().replace('-', '_')] = value
        said: list[Any] = []
        pieces = self.app(environ, lambda status, fields: said.extend((status, fields)))
        return Answer(int(said[0].split()[0]), dict(said[1]), b''.join(pieces))

    def ask(self, who: Context, method: str, path: str, body: Any = None, status: int | None = None) -> Any:
        """The JSON of a request that must succeed (with ``status``, if given)."""
        answer = self.request(who, method, path, body)
        good = answer.status < 300 if status is None else answer.status == status
        assert good, f'{method} {path}: {answer.status} {answer.body!r}'
        return answer.json if answer.body else None

    def make(self, who: Context, kind: str, **values: Any) -> dict[str, Any]:
        """Create one resource and return it."""
        path = {'security_group': 'security-groups', 'security_group_rule': 'security-group-rules'}.get(kind,
                                                                                                        kind + 's')
        return self.ask(who, 'POST', f'/{path}', {kind: values}, 201)[kind]

    def network(self, who: Context, cidr: str | None = '10.0.0.0/24', **values: Any) -> tuple[dict, dict]:
        """A network with a subnet."""
        made = self.make(who, 'network', **values)
        subnet = self.make(who, 'subnet', network_id=made['id'], ip_version=4, cidr=cidr) if cidr else {}
        return made, subnet

    def public(self, cidr: str = '203.0.113.0/24') -> tuple[dict, dict]:
        """An external network with a subnet."""
        return self.network(self.root, cidr, name='public', **{'router:external': True})

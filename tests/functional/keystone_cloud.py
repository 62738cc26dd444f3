"""Keystone in this process: its real pipeline over SQLite, spoken to as WSGI.

``keystone`` is made anew for every test from a bootstrapped template; its
clock stands still until the test advances it, and hashing a password costs it
next to nothing.
"""

import dataclasses
import io
import pathlib
import shutil
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from keystone import conf as options
from keystone.bootstrap import Wishes, bootstrap
from keystone.cmd.keystone import application, wire
from keystone.db import tables
from strata.testing.clock import FrozenClock

PASSWORD = 'a long and secret word'
HOST = 'cloud.example:5000'
URL = f'http://{HOST}/v3'
#: the least that argon2 takes, in place of 30 ms for every user and every login
CHEAP = {'identity__password_hash_memory': 8, 'identity__password_hash_passes': 1}
#: what it takes in a real cloud, for tests of just that
DEAR = {'identity__password_hash_memory': 19456, 'identity__password_hash_passes': 2}


@dataclasses.dataclass
class Answer:
    """A response: ``json`` is ``None`` for one without a body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body) if self.body else None

    @property
    def error(self) -> str:
        return str(self.json['error']['message'])


class Keystone:
    """A running keystone and an administrator's way to talk to it."""

    def __init__(self, path: pathlib.Path, clock: Any, **more: object) -> None:
        self.clock = clock
        self.path = path
        places = {'database__connection': f'sqlite:///{path}/keystone.sqlite',
                  'fernet_tokens__key_repository': f'{path}/fernet-keys',
                  'credential__key_repository': f'{path}/credential-keys'}
        self.conf = options.load('keystone', [], files=[], **{**places, **CHEAP, **more})
        self.wiring = wire(self.conf, clock)
        self.app = application(self.conf, self.wiring)
        self._admin: str | None = None

    def bootstrap(self) -> None:
        """What an operator does with keystone-manage."""
        tables.upgrade(self.wiring.db)
        self.wiring.keys.setup()
        self.wiring.credential_keys.setup()
        bootstrap(self.wiring, Wishes(PASSWORD, urls=dict.fromkeys(('public', 'internal', 'admin'), f'http://{HOST}/v3')))

    def call(self, method: str, path: str, body: Any = None, *, token: str | None = None,
             headers: dict[str, str] | None = None, raw: bytes | None = None) -> Answer:
        """One request; ``path`` with its query, below the root."""
        path, _, query = path.partition('?')
        data = raw if raw is not None else b'' if body is None else orjson.dumps(body)
        environ = {'REQUEST_METHOD': method, 'PATH_INFO': path, 'QUERY_STRING': query, 'SCRIPT_NAME': '',
                   'SERVER_NAME': 'localhost', 'SERVER_PORT': '5000', 'HTTP_HOST': HOST,
                   'SERVER_PROTOCOL': 'HTTP/1.1', 'wsgi.url_scheme': 'http', 'REMOTE_ADDR': '192.0.2.7',
                   'wsgi.input': io.BytesIO(data), 'CONTENT_LENGTH': str(len(data)) if data else '',
                   'CONTENT_TYPE': 'application/json' if data else ''}
        if token:
            environ['HTTP_X_AUTH_TOKEN'] = token
        for name, value in (headers or {}).items():
            environ['HTTP_' + name.upper().replace('-', '_')] = value
        said: list[Any] = []
        parts = self.app(environ, lambda status, sent, exc_info=None: said.extend((status, sent)))
        content = b''.join(parts)
        return Answer(int(said[0][:3]), {name.lower(): value for name, value in said[1]}, content)

    @property
    def admin(self) -> str:
        """The administrator's project token."""
        if self._admin is None:
            self._admin = self.login('admin', PASSWORD, project='admin')
        return self._admin

    def auth(self, name: str, password: str, *, domain: str = 'default', scope: Any = None) -> Answer:
        """Ask for a token with a password."""
        return self.tokens({'methods': ['password'], 'password': {'user': {
            'name': name, 'domain': {'id': domain}, 'password': password}}}, scope)

    def tokens(self, identity: Any, scope: Any = None, token: str | None = None) -> Answer:
        """POST /v3/auth/tokens."""
        auth = {'identity': identity, **({'scope': scope} if scope is not None else {})}
        return self.call('POST', '/v3/auth/tokens', {'auth': auth}, token=token)

    def login(self, name: str, password: str = PASSWORD, *, project: str | None = None,
              domain_id: str | None = None, system: bool = False, domain: str = 'default') -> str:
        """A token of somebody; ``project`` by name in the default domain."""
        scope: Any = None
        if project:
            scope = {'project': {'name': project, 'domain': {'id': 'default'}}}
        elif domain_id:
            scope = {'domain': {'id': domain_id}}
        elif system:
            scope = {'system': {'all': True}}
        answer = self.auth(name, password, domain=domain, scope=scope)
        assert answer.status == 201, answer.body
        return answer.headers['x-subject-token']

    def validate(self, subject: str, token: str | None = None, query: str = '') -> Answer:
        """GET /v3/auth/tokens, as the administrator if nobody else is named."""
        return self.call('GET', '/v3/auth/tokens' + query, token=token or self.admin,
                         headers={'X-Subject-Token': subject})

    def get(self, path: str, token: str | None = None) -> Answer:
        """GET below /v3 as the administrator, or with another's token."""
        return self.call('GET', '/v3' + path, token=token or self.admin)

    def delete(self, path: str, token: str | None = None) -> Answer:
        """DELETE below /v3."""
        return self.call('DELETE', '/v3' + path, token=token or self.admin)

    def put(self, path: str, body: Any = None, token: str | None = None) -> Answer:
        """PUT below /v3."""
        return self.call('PUT', '/v3' + path, body, token=token or self.admin)

    def post(self, path: str, body: Any = None, token: str | None = None) -> Answer:
        """POST below /v3."""
        return self.call('POST', '/v3' + path, body, token=token or self.admin)

    def patch(self, path: str, body: Any = None, token: str | None = None) -> Answer:
        """PATCH below /v3."""
        return self.call('PATCH', '/v3' + path, body, token=token or self.admin)

    def make(self, kind: str, **values: Any) -> Any:
        """Create a thing and return it: ``make('project', name='demo')``."""
        plural = {'registry': 'registries'}.get(kind, kind + 's')
        answer = self.post(f'/{plural}', {kind: values})
        assert answer.status == 201, answer.body
        return answer.json[kind]

    def user(self, name: str, **values: Any) -> Any:
        """A user with the tests' password."""
        return self.make('user', name=name, password=PASSWORD, **values)

    def role(self, name: str) -> str:
        """The id of a role."""
        [found] = self.get(f'/roles?name={name}').json['roles']
        return str(found['id'])

    def grant(self, role: str, *, on: str, user: str | None = None, group: str | None = None) -> None:
        """Give a role: ``grant('member', on='projects/<id>', user=<id>)``."""
        actor = f'users/{user}' if user else f'groups/{group}'
        answer = self.put(f'/{on}/{actor}/roles/{self.role(role)}')
        assert answer.status == 204, answer.body

    def member(self, project: str, name: str, role: str = 'member') -> tuple[Any, Any]:
        """A new project and a new user with a role on it."""
        made, user = self.make('project', name=project), self.user(name)
        self.grant(role, on=f'projects/{made["id"]}', user=user['id'])
        return made, user


class Queries:
    """Counts the statements that keystone's database is sent inside a ``with``."""

    def __init__(self, keystone: Keystone) -> None:
        self._engine = keystone.wiring.db.engine
        self.statements: list[str] = []

    def _note(self, connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        if not statement.startswith(('BEGIN', 'PRAGMA')):
            self.statements.append(statement)

    def __enter__(self) -> 'Queries':
        sa.event.listen(self._engine, 'before_cursor_execute', self._note)
        return self

    def __exit__(self, *exc_info: object) -> None:
        sa.event.remove(self._engine, 'before_cursor_execute', self._note)


@pytest.fixture(scope='session')
def keystone_template(tmp_path_factory):
    """A bootstrapped keystone's files, made once."""
    path = tmp_path_factory.mktemp('keystone')
    made = Keystone(path, FrozenClock('2026-11-22T11:00:00Z'))
    made.bootstrap()
    made.wiring.close()
    return path


@pytest.fixture
def build(keystone_template, tmp_path):
    """Makes a keystone with options of the test's own, from the template."""
    built = []

    def make(**more):
        path = tmp_path / f'keystone{len(built)}'
        shutil.copytree(keystone_template, path)
        built.append(Keystone(path, FrozenClock(), **more))
        return built[-1]
    yield make
    for each in built:
        each.wiring.close()


@pytest.fixture
def keystone(build):
    """A bootstrapped keystone."""
    return build()

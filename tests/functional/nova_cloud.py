"""All of nova in this process: real APIs, scheduler, compute and network workers over SQLite and the local bus.

The hypervisor and the network driver are the fakes.  Keystone and glance are
played by ``People`` and ``Pictures``, which keep what the tests give them.
"""

import contextlib
import datetime
import io
import json
import pathlib
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from nova import conf as options
from nova.cmd import api, parts
from nova.compute.manager import ComputeManager
from nova.db import tables
from nova.network import drivers
from nova.network.manager import NetworkManager
from nova.scheduler.manager import SchedulerManager
from nova.virt.fake import FakeDriver
from nova.virt.images import Cache
from nova.wiring import Wiring
from strata import errors, rpc
from strata.context import Context
from strata.db import Database
from strata.testing import wait
from strata.testing.databases import make_tables

HOST = 'cloud.example:8774'
ROLES = {'admin': ('admin', 'manager', 'member', 'reader'), 'member': ('member', 'reader'), 'reader': ('reader',)}


class People:
    """Keystone, as far as nova asks it: whose token this is.  A token reads ``role:user:project``."""

    auth_uri = 'http://keystone.example:5000/v3'

    def validate(self, token: str) -> dict[str, Any]:
        """The body of a token."""
        role, _, rest = token.partition(':')
        user, _, project = rest.partition(':')
        if role not in ROLES or not user:
            raise errors.Unauthorized()
        later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        domain = {'id': 'default', 'name': 'Default'}
        return {'user': {'id': user, 'name': user, 'domain': domain},
                **({'project': {'id': project, 'name': project, 'domain': domain}} if project else {}),
                'roles': [{'id': name, 'name': name} for name in ROLES[role]],
                'expires_at': later.strftime('%Y-%m-%dT%H:%M:%S.%fZ'), 'methods': ['password']}

    def token(self) -> str:
        """The service's own."""
        return 'admin:nova:service'


class Pictures:
    """Glance, as far as nova asks it: records and bytes."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.data: dict[str, bytes] = {}

    def add(self, data: bytes = b'\0' * 4096, **more: Any) -> str:
        """A new image; returns its id."""
        id = str(uuid.uuid4())
        self.records[id] = {'id': id, 'name': 'image', 'status': 'active', 'visibility': 'public', 'size': len(data),
                            'disk_format': 'raw', 'container_format': 'bare', 'min_disk': 0, 'min_ram': 0,
                            'virtual_size': len(data), 'checksum': None, 'os_hash_algo': None,
                            'os_hash_value': None, **more}
        self.data[id] = data
        return id

    def show(self, context: Context, id: str) -> Mapping[str, Any]:
        """One image's record, a private one only to its ``owner`` and to administrators."""
        record = self.records.get(id, {'visibility': 'private', 'owner': None})
        mine = context.is_admin or record.get('owner') == context.project_id
        if id not in self.records or record['visibility'] == 'private' and not mine:
            raise errors.NotFound('Image {id} could not be found.', id=id)
        return self.records[id]

    def download(self, context: Context, id: str) -> Iterator[bytes]:
        """One image's bytes."""
        yield self.data[id]


class Answer:
    """A response, read to its end."""

    def __init__(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = int(status.split()[0])
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    @property
    def json(self) -> Any:
        """The body."""
        return orjson.loads(self.body)

    @property
    def message(self) -> str:
        """What a refusal says."""
        [fault] = self.json.values()
        return str(fault['message'])


def ask(app: Any, method: str, path: str, body: Any = None, *, token: str | None = None, host: str = HOST,
        headers: Mapping[str, str] | None = None, **environ: Any) -> Answer:
    """One request to a WSGI application; ``body`` is JSON unless it is bytes."""
    raw = b'' if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    path, _, query = path.partition('?')
    environ = {
        'REQUEST_METHOD': method, 'SCRIPT_NAME': '', 'PATH_INFO': path, 'QUERY_STRING': query,
        'SERVER_NAME': 'cloud.example', 'SERVER_PORT': '8774', 'HTTP_HOST': host, 'SERVER_PROTOCOL': 'HTTP/1.1',
        'wsgi.url_scheme': 'http', 'REMOTE_ADDR': '192.0.2.7', 'wsgi.input': io.BytesIO(raw),
        'CONTENT_LENGTH': str(len(raw)) if raw else '', 'CONTENT_TYPE': 'application/json' if raw else '', **environ}
    if token:
        environ['HTTP_X_AUTH_TOKEN'] = token
    for name, value in (headers or {}).items():
        environ['HTTP_' + name.upper().replace('-', '_')] = value
    said: list[Any] = []
    pieces = app(environ, lambda status, sent, exc_info=None: said.extend((status, sent)))
    return Answer(said[0], said[1], b''.join(pieces))


class Cloud:
    """A small cloud.  ``start`` starts its workers; before that, messages go nowhere, as with real ones."""

    def __init__(self, path: pathlib.Path, url: str | None = None, **overrides: Any) -> None:
        self.path = path
        self.conf = options.load('nova', [], files=[], host='node1', state_path=str(path), compute__driver='fake',
                                 network__driver='fake', compute__instances_path=str(path / 'instances'),
                                 database__connection=url or f'sqlite:///{path}/nova.sqlite', **overrides)
        self.db = Database(self.conf.database.connection)
        make_tables(self.db, tables.METADATA)
        self.images = Pictures()
        self.wiring = Wiring(conf=self.conf, db=self.db, bus=rpc.connect('local://', parts.EXCHANGE),
                             policy=api.policy(self.conf), identity=People(), images=self.images)
        self.apis = api.applications(self.conf, self.wiring)
        self.driver = FakeDriver(hostname='node1', vcpus=64, ram_mb=262144, disk_gb=10240)
        self.compute = ComputeManager(self.wiring, self.driver, Cache(str(path / 'base')))
        self.scheduler = SchedulerManager(self.wiring)
        self.networks = NetworkManager(self.wiring, drivers.load('fake', directory=None))
        self.started = False

    def start(self) -> 'Cloud':
        """Start the workers and tell the database of them."""
        bus = self.wiring.bus
        bus.attach(self.compute, 'node1')
        bus.attach(self.scheduler, 'node1')
        bus.attach(self.networks, 'node1')
        self.networks.start()
        self.compute.start()
        self.scheduler.heartbeat()
        bus.start()
        self.started = True
        return self

    def close(self) -> None:
        """Stop everything."""
        if self.started:
            self.wiring.bus.stop()
        self.db.dispose()

    # -- requests ----------------------------------------------------------------------------

    def call(self, method: str, path: str, body: Any = None, *, version: str | None = None, who: str = 'member',
             user: str = 'alice', project: str = 'demo', headers: Mapping[str, str] | None = None,
             prefix: str = '/v2.1') -> Answer:
        """One request to the compute API; ``who`` is a role ('' for nobody)."""
        sent = dict(headers or {})
        if version:
            sent['OpenStack-API-Version'] = f'compute {version}'
        token = f'{who}:{user}:{project}' if who else None
        return ask(self.apis['compute'], method, prefix + path, body, token=token, headers=sent)

    def get(self, path: str, status: int = 200, **options: Any) -> Any:
        """The JSON of a GET that must end with ``status``."""
        answer = self.call('GET', path, **options)
        assert answer.status == status, answer.body
        return answer.json if answer.body else None

    def post(self, path: str, body: Any, status: int = 200, **options: Any) -> Any:
        """The JSON of a POST that must end with ``status``."""
        answer = self.call('POST', path, body, **options)
        assert answer.status == status, answer.body
        return answer.json if answer.body else None

    def admin(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """One request by the administrator."""
        return self.call(method, path, body, **{'who': 'admin', 'user': 'root', 'project': 'admin', **options})

    # -- things ------------------------------------------------------------------------------

    def flavor(self, name: str = 'm1.tiny', id: str | None = '1', **more: Any) -> str:
        """A new flavor's id."""
        answer = self.admin('POST', '/flavors', {'flavor': {'name': name, 'id': id, 'ram': 512, 'vcpus': 1,
                                                            'disk': 1, **more}})
        assert answer.status == 200, answer.body
        return str(answer.json['flavor']['id'])

    def network(self, name: str = 'private', cidr: str = '10.0.0.0/24', project: str = 'demo') -> str:
        """A new network with a subnet, by the network API."""
        def make(kind: str, **values: Any) -> str:
            answer = ask(self.apis['network'], 'POST', f'/v2.0/{kind}s', {kind: values},
                         token=f'member:alice:{project}', host='cloud.example:9696')
            assert answer.status == 201, answer.body
            return str(answer.json[kind]['id'])
        id = make('network', name=name)
        make('subnet', network_id=id, ip_version=4, cidr=cidr)
        return id

    def server(self, name: str = 'web', *, version: str = '2.1', who: str = 'member', project: str = 'demo',
               wait_for: str | None = None, hints: Any = None, **more: Any) -> str:
        """A new server's id, once it is in the status to ``wait_for``."""
        if not self.images.records:
            self.images.add()
        body = {'name': name, 'imageRef': next(iter(self.images.records)), 'flavorRef': '1', **more}
        if version >= '2.37' and 'networks' not in body and len(version) > 3:
            body['networks'] = 'none'
        made = self.post('/servers', {'server': body, **({'os:scheduler_hints': hints} if hints else {})}, 202,
                         version=version, who=who, project=project)
        id = str(made['server']['id'])
        if wait_for:
            self.await_status(id, wait_for, project=project)
        return id

    def show(self, id: str, version: str = '2.1', **options: Any) -> dict[str, Any]:
        """A server, as its API shows it."""
        shown: dict[str, Any] = self.get(f'/servers/{id}', version=version, **options)['server']
        return shown

    def await_status(self, id: str, status: str, **options: Any) -> dict[str, Any]:
        """Wait until a server is in a status."""
        def there() -> dict[str, Any] | None:
            shown = self.show(id, **options)
            if shown['status'] == 'ERROR' and status != 'ERROR':
                raise RuntimeError(f'{id}: {shown.get("fault")}')
            return shown if shown['status'] == status else None
        shown = wait.until(there, 20, f'server {id} becomes {status}')
        assert shown is not None
        return shown

    def act(self, id: str, action: str, arguments: Any = None, status: int = 202, **options: Any) -> Answer:
        """An action on a server, which must end with ``status``."""
        answer = self.call('POST', f'/servers/{id}/action', {action: arguments}, **options)
        assert answer.status == status, answer.body
        return answer


@contextlib.contextmanager
def running(path: pathlib.Path) -> Iterator[Cloud]:
    """A cloud with a flavor, whose workers run as long as the block."""
    made = Cloud(path)
    try:
        made.flavor()
        yield made.start()
    finally:
        made.close()

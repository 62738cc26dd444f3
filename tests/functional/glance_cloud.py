"""An image service in this process, driven through WSGI, for the tests of glance."""

import dataclasses
import io
import json
from typing import Any

from glance import sweep
from glance.api import front
from glance.cmd import wire
from glance.conf import OPTIONS
from glance.db.base import Base
from glance.wiring import Wiring
from strata import conf as configuration
from strata.clock import CLOCK
from strata.context import Context
from strata.db import Database
from strata.testing.databases import make_tables

PATCH = 'application/openstack-images-v2.1-json-patch'


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


class Chunked(io.RawIOBase):
    """A request body of unknown length that may fail on the way."""

    def __init__(self, pieces: Any) -> None:
        self._pieces = iter(pieces)

    def read(self, size: int = -1) -> bytes:
        piece = next(self._pieces, b'')
        if isinstance(piece, BaseException):
            raise piece
        return piece


def person(project: str, *roles: str) -> Context:
    """Somebody with roles in a project."""
    return Context(user_id=f'{project}-user', project_id=project, roles=roles or ('member', 'reader'))


class Cloud:
    """Glance over SQLite and a directory; ``alice`` and ``bob`` own projects, ``root`` is the admin."""

    def __init__(self, path: Any, clock: Any = CLOCK, **options: Any) -> None:
        self.path = path
        self.conf = configuration.load('glance-api', OPTIONS, [], files=[], **{
            'database__connection': f'sqlite:///{path}/glance.sqlite', 'state_path': str(path),
            **options})
        path.mkdir(exist_ok=True)
        db = Database(self.conf.database.connection, clock=clock)
        make_tables(db, Base.metadata)
        self.wiring: Wiring = wire.api(self.conf, db=db)
        self.app = front.applications(self.wiring)
        self.alice, self.bob = person('alice'), person('bob')
        self.reader = person('alice', 'reader')
        self.root = person('admin', 'admin', 'manager', 'member', 'reader')

    def request(self, who: Context | None, method: str, path: str, body: Any = None,
                headers: dict[str, str] | None = None) -> Answer:
        """One request as somebody; a body that is no bytes and no stream goes as JSON."""
        path, _, query = path.partition('?')
        environ: dict[str, Any] = {
            'REQUEST_METHOD': method, 'SCRIPT_NAME': '', 'PATH_INFO': path.encode().decode('latin-1'),
            'QUERY_STRING': query, 'SERVER_NAME': 'images.test', 'SERVER_PORT': '9292',
            'HTTP_HOST': 'images.test:9292', 'wsgi.url_scheme': 'http', 'SERVER_PROTOCOL': 'HTTP/1.1'}
        if who is not None:
            environ['strata.context'] = dataclasses.replace(who)
        if isinstance(body, (bytes, io.RawIOBase)):
            environ['CONTENT_TYPE'] = 'application/octet-stream'
        elif body is not None:
            body, environ['CONTENT_TYPE'] = json.dumps(body).encode(), 'application/json'
        if isinstance(body, io.RawIOBase):
            environ.update({'HTTP_TRANSFER_ENCODING': 'chunked', 'wsgi.input': body})
        else:
            environ.update({'CONTENT_LENGTH': str(len(body or b'')), 'wsgi.input': io.BytesIO(body or b'')})
        for name, value in (headers or {}).items():
            key = name.upper().replace('-', '_')
            environ[key if key.startswith('CONTENT_') and key in ('CONTENT_TYPE', 'CONTENT_LENGTH')
                    else 'HTTP_' + key] = value
        said: list[Any] = []
        result = self.app(environ, lambda status, sent, exc_info=None: said.extend((status, sent)))
        try:
            data = b''.join(result)
        finally:
            if hasattr(result, 'close'):
                result.close()
        return Answer(int(said[0].split()[0]), {name.lower(): value for name, value in said[1]}, data)

    def get(self, path: str, who: Context | None = None, **headers: str) -> Answer:
        """GET, as alice unless said otherwise."""
        return self.request(who or self.alice, 'GET', path, headers=headers)

    def create(self, who: Context | None = None, **attributes: Any) -> dict[str, Any]:
        """A queued raw image."""
        answer = self.request(who or self.alice, 'POST', '/v2/images', {
            'name': 'disk', 'disk_format': 'raw', 'container_format': 'bare', **attributes})
        assert answer.status == 201, answer.body
        return answer.json

    def upload(self, id: str, data: Any, who: Context | None = None, **headers: str) -> Answer:
        """PUT of an image's file."""
        return self.request(who or self.alice, 'PUT', f'/v2/images/{id}/file', data, headers)

    def active(self, who: Context | None = None, data: bytes = b'disk', **attributes: Any) -> dict[str, Any]:
        """An image with data."""
        id = self.create(who, **attributes)['id']
        answer = self.upload(id, data, who)
        assert answer.status == 204, answer.body
        return self.show(id, who)

    def show(self, id: str, who: Context | None = None) -> dict[str, Any]:
        """An image as it is now."""
        answer = self.get(f'/v2/images/{id}', who)
        assert answer.status == 200, answer.body
        return answer.json

    def patch(self, id: str, changes: Any, who: Context | None = None, media: str = PATCH) -> Answer:
        """PATCH with a JSON patch."""
        return self.request(who or self.alice, 'PATCH', f'/v2/images/{id}', changes, {'Content-Type': media})

    def names(self, query: str = '', who: Context | None = None) -> list[str]:
        """The names in a list of images."""
        answer = self.get('/v2/images' + (query and '?' + query), who)
        assert answer.status == 200, answer.body
        return [image['name'] for image in answer.json['images']]

    def files(self) -> list[str]:
        """The keys of all files the store has, finished or not."""
        root = self.path / 'glance' / 'images'
        return sorted(file.name for file in root.rglob('*') if file.is_file())

    def sweep(self) -> int:
        """One run of the sweep."""
        return sweep.run_once(self.wiring)

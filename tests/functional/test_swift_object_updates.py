"""Updates of containers that are not answered, or cannot be kept: what a client is told of them is true."""

import tempfile
from pathlib import Path

import pytest

from strata import green
from strata.testing import wait
from strata.wsgi.server import Server
from swift.storage import commit, pickles
from tests.swift_objects import ObjectHttp


def pending(server):
    folder = server.disk / 'async_pending'
    return [pickles.loads(path.read_bytes()) for path in folder.rglob('*') if path.is_file()]


def update_for(port):
    return {'X-Container-Host': f'127.0.0.1:{port}', 'X-Container-Partition': '7', 'X-Container-Device': 'sda'}


def test_an_update_without_an_answer_is_on_disk_before_the_client_is_told(tmp_path):
    go_on, told = green.Event(), []

    def slow(environ, start_response):
        go_on.wait(20)
        told.append(environ['REQUEST_METHOD'])
        start_response('201 Created', [('Content-Length', '0')])
        return []
    containers = Server(slow, ('127.0.0.1', 0), name='containers', access_log=False)
    containers.start()
    server = ObjectHttp(tmp_path, node_timeout='20', container_update_timeout='0.05')
    try:
        assert server.ask('PUT', body=b'x', headers=update_for(containers.port)).status == 201
        assert [each['op'] for each in pending(server)] == ['PUT'] and not told
        go_on.set()
        wait.until(lambda: told and not pending(server))
    finally:
        server.stop()
        containers.stop(0)


def test_what_can_be_neither_told_nor_kept_is_not_acknowledged(tmp_path):
    server = ObjectHttp(tmp_path)
    (server.disk / 'async_pending').write_bytes(b'in the way')
    try:
        for method, body in (('PUT', b'x'), ('DELETE', None)):
            assert server.ask(method, body=body, headers=update_for(1)).status == 507
    finally:
        server.stop()


@pytest.fixture
def one_journal():
    """A directory of a file system with one journal for everything."""
    with tempfile.TemporaryDirectory(dir='/dev/shm') as folder:
        yield Path(folder)


class Rows:
    """A container server whose rows are on the file system ``place``."""

    def __init__(self, place):
        self.place, self.said = place, []
        self.server = Server(self, ('127.0.0.1', 0), name='containers', access_log=False)
        self.server.start()

    def __call__(self, environ, start_response):
        said = environ.get('HTTP_X_BACKEND_FILE_SYSTEM')
        self.said.append(said)
        status = '201 Created' if said in (None, '?', self.place) else '412 Precondition Failed'
        start_response(status, [('Content-Length', '0'), *([('X-Backend-File-System', self.place)] if said else [])])
        return []


@pytest.mark.parametrize('method, body', [('PUT', b'x'), ('DELETE', None)])
def test_rows_beside_the_object_are_written_while_it_is_brought_to_disk(one_journal, method, body):
    server = ObjectHttp(one_journal)
    here = commit.named(server.disk.stat().st_dev)
    rows = Rows(here)
    try:
        for _ in range(3):
            assert server.ask(method, body=body, headers=update_for(rows.server.port)).status in (201, 204, 404)
        assert rows.said == ['?', here, here]
        rows.place = 'another'
        for _ in range(2):
            assert server.ask(method, body=body, headers=update_for(rows.server.port)).status in (201, 204, 404)
        # told when it was on disk, and from then on in time
        assert rows.said[3:] == [here, None, None] and not pending(server)
    finally:
        server.stop()
        rows.server.stop(0)

"""Updates of containers that are not answered, or cannot be kept: what a client is told of them is true."""

from strata import green
from strata.testing import wait
from strata.wsgi.server import Server
from swift.storage import pickles
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

"""Many clients at once while storage servers come and go: nothing fails, nothing is lost, nothing is left behind."""

import hashlib
import random
import time

import pytest

from strata import green
from strata.testing.wait import until
from tests.functional.swift_proxy import Client, cluster, proxy_of

SECONDS = 3
SIZES = (0, 10, 1024, 70000, 300000, 1500000)


class Reader:
    """A client that remembers what was acknowledged, and finds it again."""

    def __init__(self, store, number):
        self.user, self.rng, self.known = Client(store), random.Random(number), {}
        self.done = 0
        assert self.user.put('/c').status_code == 201

    def run(self, until_then):
        while time.monotonic() < until_then:
            self.step()
            self.done += 1

    def step(self):
        name = f'/c/{self.rng.randrange(8)}'
        verb = self.rng.choice(['write', 'write', 'read', 'read', 'range', 'head', 'delete', 'post', 'list'])
        getattr(self, verb)(name)

    def write(self, name):
        data = self.rng.randbytes(self.rng.choice(SIZES))
        body = iter([data[:1000], data[1000:]]) if self.rng.random() < 0.2 and len(data) > 1000 else data
        answer = self.user.put(name, body)
        assert answer.status_code == 201, answer.text
        assert answer.headers['Etag'] == hashlib.md5(data).hexdigest()
        self.known[name] = data

    def read(self, name):
        answer = self.user.get(name, X_Newest='true')
        if name in self.known:
            assert answer.status_code == 200 and answer.content == self.known[name]
        else:
            assert answer.status_code == 404

    def range(self, name):
        data = self.known.get(name, b'')
        if len(data) > 1000:
            answer = self.user.get(name, Range='bytes=10-900000', X_Newest='true')
            assert answer.status_code == 206 and answer.content == data[10:900001]

    def head(self, name):
        assert self.user.head(name, X_Newest='true').status_code == (200 if name in self.known else 404)

    def delete(self, name):
        assert self.user.delete(name).status_code in ((204,) if name in self.known else (404, 204))
        self.known.pop(name, None)

    def post(self, name):
        if name in self.known:
            assert self.user.post(name, X_Object_Meta_A='b').status_code in (202, 404)

    def list(self, name):
        assert self.user.get('/c').status_code in (200, 204)


@pytest.mark.timeout(180)
def test_clients_do_not_notice_servers_that_come_and_go(tmp_path):
    with cluster(tmp_path, devices=5, options={'app:proxy-server': {
            'node_timeout': '5', 'error_suppression_interval': '1', 'conn_timeout': '1'}}) as store:
        readers = [Reader(store, number) for number in range(8)]
        end = time.monotonic() + SECONDS
        workers = [green.spawn(reader.run, end) for reader in readers]
        rng = random.Random(1)
        while time.monotonic() < end:
            node = rng.choice(store.nodes)
            node.stop()
            green.sleep(0.5)
            node.start()
            green.sleep(0.3)
        for worker in workers:
            worker.wait()
        assert sum(reader.done for reader in readers) > 20
        for reader in readers:
            for name in reader.known:
                reader.read(name)
        app = proxy_of(store)
        until(lambda: not app.pool.waiting, message='no connection waits for anybody')

"""32 clients at once for minutes while storage servers are killed: nothing fails that need not, nothing is lost.

``SWIFT_LOAD_SECONDS`` is how long (300), ``SWIFT_LOAD_KILL`` how many seconds lie between two kills (30).
"""

import collections
import itertools
import os
import random
import signal
import time

import pytest

from strata import green
from tests.swift_processes import KINDS, LOST, Client, Ledger, Processes, resident, side_by_side

SECONDS = float(os.environ.get('SWIFT_LOAD_SECONDS', '300'))
KILL = float(os.environ.get('SWIFT_LOAD_KILL', '30'))
CLIENTS = 32
#: a server that was killed is away for this part of the time between two kills
AWAY = 0.4
SIZES = (0, 100, 1000, 1000, 4000, 16000, 64000, 300000)
#: names of each client, each written again and again
NAMES = 12

pytestmark = [pytest.mark.probe, pytest.mark.slow, pytest.mark.timeout(SECONDS + 600)]


@pytest.fixture
def cluster(tmp_path):
    with Processes(tmp_path / 'swift', options={'DEFAULT': {'log_level': 'WARNING'}}) as made:
        made.start()
        yield made


class Load:
    """What clients did and what came of it."""

    def __init__(self, cluster, ledgers):
        self.cluster = cluster
        self.ledgers = ledgers
        self.end = time.monotonic() + SECONDS
        self.done = collections.Counter()
        self.failed = []
        self.turns = []
        self.memory = []
        #: names that were ever deleted: a tombstone may be all that one replica knows
        self.deleted = set()
        #: (container, name) -> digests of everything that was ever written there
        self.written = collections.defaultdict(set)

    def client(self, number):
        """One client, on names of its own, in a container that it shares."""
        chance = random.Random(number)
        ledger = self.ledgers[number % len(self.ledgers)]
        client = Client(self.cluster.port)
        while time.monotonic() < self.end:
            name = f'of {number:02d} {chance.randrange(NAMES):02d}'
            what = chance.choices(('PUT', 'GET', 'HEAD', 'DELETE', 'list'), (30, 45, 10, 7, 8))[0]
            began = time.monotonic()
            try:
                getattr(self, what)(client, chance, ledger, name)
            except LOST as error:
                self.fail(what, name, repr(error), began)
            self.done[what] += 1
        client.close()

    def fail(self, what, name, how, began):
        self.failed.append((what, name, how, f'{time.monotonic() - began:.1f} s',
                            f'{time.monotonic() - self.end + SECONDS:.0f} s in', self.turns[-1:]))

    def PUT(self, client, chance, ledger, name):
        began = time.monotonic()
        data = chance.randbytes(chance.choice(SIZES))
        self.written[ledger.container, name].add(data[:64] + str(len(data)).encode())
        status = ledger.put(client, name, data)
        if status != 201:
            self.fail('PUT', name, status, began)

    def DELETE(self, client, chance, ledger, name):
        began = time.monotonic()
        self.deleted.add(name)
        status = ledger.delete(client, name)
        if status not in (204, 404):
            self.fail('DELETE', name, status, began)

    def GET(self, client, chance, ledger, name):
        began = time.monotonic()
        newest = {'X_Newest': 'true'} if chance.random() < 0.3 else {}
        said = client.ask('GET', f'/{ledger.container}/{name}', **newest)
        if said.status == 404 and name not in ledger.there:
            return
        # a replica that was away may answer with what was there before, but with nothing else
        if said.status == 404 and name in self.deleted:
            return
        if said.status != 200:
            self.fail('GET', name, said.status, began)
        elif said.body[:64] + str(len(said.body)).encode() not in self.written[ledger.container, name]:
            self.fail('GET', name, 'bytes that nobody wrote', began)

    def HEAD(self, client, chance, ledger, name):
        began = time.monotonic()
        said = client.ask('HEAD', f'/{ledger.container}/{name}')
        if said.status not in (200, 404):
            self.fail('HEAD', name, said.status, began)

    def list(self, client, chance, ledger, name):
        began = time.monotonic()
        said = client.ask('GET', f'/{ledger.container}?format=json')
        if said.status != 200:
            self.fail('list', name, said.status, began)

    def killer(self):
        """Kills a server or a node, starts it again later, and lets daemons run once."""
        chance = random.Random(7)
        while time.monotonic() + KILL < self.end:
            green.sleep(KILL * (1 - AWAY))
            node = chance.choice(self.cluster.nodes)
            # an object server, a container server, an account server, all three of a node
            turn = len(self.turns) % 4
            victims = self.cluster.of(node) if turn == 3 else [f'{KINDS[2 - turn]}{node.number}']
            self.turns.append(victims)
            self.cluster.signal(signal.SIGKILL, *victims)
            green.sleep(KILL * AWAY)
            self.cluster.begin(*victims)
            self.cluster.sweep()

    def watcher(self):
        """Takes down the memory of the processes that are never killed."""
        while time.monotonic() < self.end:
            self.memory.append({name: resident(pid) for name, pid in self.cluster.pids.items()})
            green.sleep(min(5, SECONDS / 30))


def test_kills_under_load_fail_no_request_and_lose_nothing(cluster, capsys):
    ledgers = [Ledger(f'c{number}') for number in range(4)]
    for ledger in ledgers:
        assert cluster.client.ask('PUT', f'/{ledger.container}').status == 201
    load = Load(cluster, ledgers)
    workers = [load.killer, load.watcher, *(lambda number=number: load.client(number) for number in range(CLIENTS))]
    side_by_side(len(workers), lambda number: workers[number]())
    quarter = load.memory[len(load.memory) // 4]
    growth = {name: (quarter[name] // 1024, kib // 1024) for name, kib in load.memory[-1].items()
              if name not in itertools.chain(*load.turns)}
    with capsys.disabled():
        print(f'\n{sum(load.done.values())} requests in {SECONDS:.0f} s {dict(load.done)}, failed {len(load.failed)}, '
              f'killed {load.turns}\nMiB after a quarter and at the end: {growth}')
    assert not load.failed, load.failed[:20]
    for ledger in ledgers:
        cluster.converge(ledger, sweeps=6)
    for name, (before, after) in growth.items():
        assert after <= before * 1.2 + 10, f'{name} grew from {before} to {after} MiB'

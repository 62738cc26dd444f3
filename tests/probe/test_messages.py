"""Messages dropped, doubled and delayed, each in turn: a message is only a wake-up, and sweeps see to the rest.

All of nova in this process on the local bus, whose faults are to order; the
hypervisor and the networks are the fakes.
"""

import pytest
import sqlalchemy as sa

from nova import conf as options
from nova.cmd import network as nova_network
from nova.cmd import parts
from nova.compute import create, servers
from nova.db import hosts, quotas, tables
from nova.db.operations import Operation
from nova.db.ports import Port
from nova.db.servers import Server
from nova.network import networks, subnets
from nova.wiring import Wiring
from strata import rpc
from strata.db import Database
from strata.policy import Policy
from strata.service import Service
from strata.testing import wait
from tests.stock import CALLER, FLAVOR, IMAGE, Images

pytestmark = [pytest.mark.probe, pytest.mark.timeout(300)]


class Cloud:
    """nova in one process, and what its fakes hold."""

    def __init__(self, folder):
        self.bus = rpc.connect('local://', 'nova')
        conf = options.load('nova', [], files=[], host='node1', compute__driver='fake', network__driver='fake',
                            network__reconcile_interval=1, sweep_interval=1, lease_time=2, rpc_response_timeout=1,
                            compute__instances_path=str(folder / 'instances'))
        self.wiring = Wiring(conf, Database(f'sqlite:///{folder}/nova.sqlite'), self.bus, Policy([]), images=Images())
        self.wiring.db.create_all(tables.METADATA)
        self.service = Service('nova', conf)
        self.network_manager = nova_network.add_network(self.service, self.wiring)
        parts.add_scheduler(self.service, self.wiring)
        self.compute = parts.add_compute(self.service, self.wiring)
        self.service.start()
        [self.network] = networks.create(self.wiring, CALLER, [{'project_id': 'p', 'name': 'lan'}])
        subnets.create(self.wiring, CALLER, [{'project_id': 'p', 'network_id': self.network.id, 'ip_version': 4,
                                              'cidr': '10.9.0.0/24'}])
        self.used = self.usage()

    def story(self):
        """A server is built, stopped, started and deleted; returns once nothing is under way."""
        [made], _ = create.create(self.wiring, CALLER, name='s', flavor=FLAVOR, image=IMAGE,
                                  networks=[{'uuid': self.network.id}])
        self.rests(made.id, 'active')
        for verb, state in ((servers.verbs.STOP, 'stopped'), (servers.verbs.START, 'active')):
            servers.begin(self.wiring, CALLER, made.id, verb)
            self.rests(made.id, state)
        servers.delete(self.wiring, CALLER, made.id)
        self.rests(made.id, 'deleted')
        wait.until(self.empty, 30, 'nothing is left')

    def rests(self, id, state):
        def there():
            with self.wiring.db.reading() as tx:
                server = tx.scalars(sa.select(Server).where(Server.id == id)).one()
            assert (server.vm_state, server.task_state) == (state, None), server.fault_message
            return True
        wait.until(there, 30, f'the server is {state}')

    def usage(self):
        """What the project uses of its quotas."""
        with self.wiring.db.reading() as tx:
            return {name: used for name, used in quotas.usages(tx, 'p').items() if used}

    def empty(self):
        """Whether nothing of a server is left anywhere."""
        with self.wiring.db.reading() as tx:
            ports = set(tx.scalars(sa.select(Port.id).where(Port.device_owner.startswith('compute:'))))
            assert ports == set()
            assert tx.scalars(sa.select(hosts.Claim.server_id)).all() == []
            assert tx.scalars(sa.select(Operation.verb).where(Operation.finished_at.is_(None))).all() == []
        assert self.usage() == self.used
        assert self.compute.driver.guests() == {}
        taps = self.network_manager.driver.present().ports
        with self.wiring.db.reading() as tx:
            assert set(taps) <= set(tx.scalars(sa.select(Port.id)))
        return True


@pytest.fixture(scope='module')
def cloud(tmp_path_factory):
    """One for all: each story must leave it as it found it."""
    made = Cloud(tmp_path_factory.mktemp('nova'))
    yield made
    made.service.kill()


@pytest.mark.parametrize('fault', ['drop', 'double', 'delay'])
def test_a_story_in_which_each_message_in_turn_meets_trouble(cloud, fault):
    counted = 0
    for number in range(1000):
        cloud.bus.faults.clear()
        if number:
            cloud.bus.faults.delay('*', seconds=0, times=number)      # as usual, so often
        before = cloud.bus.faults.dropped + cloud.bus.faults.doubled
        getattr(cloud.bus.faults, fault)('*')
        rules = len(cloud.bus.faults._rules)
        cloud.story()
        struck = len(cloud.bus.faults._rules) < rules - bool(number)
        cloud.bus.faults.clear()
        if not struck:
            break
        counted += 1
        assert fault == 'delay' or cloud.bus.faults.dropped + cloud.bus.faults.doubled == before + 1
    assert counted >= 8, 'the story is told with more messages than that'


@pytest.mark.parametrize('fault', ['drop', 'double', 'delay'])
def test_a_story_in_which_all_wake_ups_meet_trouble(cloud, fault):
    getattr(cloud.bus.faults, fault)('perform', times=None)
    getattr(cloud.bus.faults, fault)('refresh', times=None)
    try:
        cloud.story()
    finally:
        cloud.bus.faults.clear()

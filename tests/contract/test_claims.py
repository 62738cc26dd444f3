"""Nothing is oversubscribed: two schedulers, many creates at once, a host that is too small, every database."""

import contextlib

import pytest
import sqlalchemy as sa

from nova import conf as options
from nova.cmd import parts
from nova.compute import create, keypairs, limits, servers
from nova.db import hosts, quotas, tables
from nova.db.keypairs import KeyPair
from nova.db.operations import Operation
from nova.db.servers import Server
from nova.wiring import Wiring
from strata import errors, green, rpc
from strata.policy import Policy
from strata.service import Service
from strata.testing import wait
from strata.testing.databases import make_tables
from tests.stock import CALLER, FLAVOR, IMAGE, Images


@pytest.fixture
def cloud(open_database, tmp_path):
    """Two schedulers and one compute host over separate connections to one database."""
    bus = rpc.connect('local://', 'nova')
    started = []

    def wiring(host, **overrides):
        conf = options.load('nova', [], files=[], host=host, compute__driver='fake', sweep_interval=1,
                            compute__instances_path=str(tmp_path / host), quota__instances=100, quota__cores=100,
                            compute__fake_ram_mb=2000, compute__reserved_host_memory_mb=0, **overrides)
        return Wiring(conf, open_database(), bus, Policy([]), images=Images())
    first = wiring('node1')
    make_tables(first.db, tables.METADATA)
    service = Service('nova', first.conf)
    started.append(service)
    parts.add_compute(service, first)
    parts.add_scheduler(service, wiring('sched1'))
    parts.add_scheduler(service, wiring('sched2'))
    service.start()
    yield first
    for one in started:
        one.kill()


def all_servers(cloud):
    with cloud.db.reading() as tx:
        return tx.scalars(sa.select(Server)).all()


def settled(cloud, count):
    rows = all_servers(cloud)
    return len(rows) == count and all(row.task_state is None for row in rows)


def test_fifty_at_once_on_a_host_for_twenty(cloud):
    def boot(number):
        create.create(cloud, CALLER, name=f's{number}', flavor=FLAVOR, image=IMAGE, networks='none')
    for run in [green.spawn(boot, number) for number in range(50)]:
        run.wait()
    wait.until(lambda: settled(cloud, 50), timeout=90)
    rows = all_servers(cloud)
    running = [row for row in rows if row.vm_state == 'active']
    failed = [row for row in rows if row.vm_state == 'error']
    assert (len(running), len(failed)) == (20, 30), {row.fault_message for row in failed}
    assert {row.fault_message for row in failed} == {'No valid host was found: 1 short of RAM.'}
    with cloud.db.reading() as tx:
        host = hosts.by_host(tx, 'node1')
        claims = tx.scalars(sa.select(hosts.Claim)).all()
        assert host.free_ram_mb == 0
        assert {claim.server_id for claim in claims} == {row.id for row in running}
        assert quotas.usages(tx, 'p') == {'instances': 50, 'cores': 50, 'ram': 5000}
        assert tx.scalar(sa.select(sa.func.count()).where(Operation.finished_at.is_(None))) == 0


def test_what_is_deleted_can_be_claimed_again(cloud):
    made, _ = create.create(cloud, CALLER, name='s', flavor=FLAVOR, image=IMAGE, networks='none', min_count=20,
                            max_count=20)
    wait.until(lambda: settled(cloud, 20), timeout=60)
    for run in [green.spawn(servers.delete, cloud, CALLER, server.id) for server in made]:
        run.wait()
    wait.until(lambda: all(row.deleted for row in all_servers(cloud)), timeout=60)
    with cloud.db.reading() as tx:
        assert hosts.by_host(tx, 'node1').free_ram_mb == 2000
        assert set(quotas.usages(tx, 'p').values()) == {0}


def test_a_quota_is_not_overdrawn_by_many_at_once(cloud):
    with cloud.db.transaction() as tx:
        quotas.set_limits(tx, 'p', {'instances': 7})
    refused = []

    def boot(number):
        try:
            create.create(cloud, CALLER, name=f's{number}', flavor=FLAVOR, image=IMAGE, networks='none')
        except errors.OverQuota as error:
            refused.append(str(error))
    for run in [green.spawn(boot, number) for number in range(20)]:
        run.wait()
    assert len(refused) == 13
    assert 'instances' in refused[0]
    wait.until(lambda: settled(cloud, 7), timeout=30)


def test_a_share_that_is_set_meanwhile_counts_every_server(cloud):
    def boot(number):
        with contextlib.suppress(errors.OverQuota):
            create.create(cloud, CALLER, name=f's{number}', flavor=FLAVOR, image=IMAGE, networks='none')
    runs = [green.spawn(boot, number) for number in range(10)]
    limits.update_share(cloud, 'p', 'u', {'instances': 6}, force=True)
    for run in runs:
        run.wait()
    with cloud.db.reading() as tx:
        counts = quotas.usages(tx, 'p')
        assert counts[next(iter(quotas.of_user('u', {'instances': 0})))] == counts['instances'] >= 6
    wait.until(lambda: settled(cloud, counts['instances']), timeout=30)


def test_as_many_as_the_quota_allows_between_least_and_most(cloud):
    with cloud.db.transaction() as tx:
        quotas.set_limits(tx, 'p', {'instances': 3})
    made, _ = create.create(cloud, CALLER, name='s', flavor=FLAVOR, image=IMAGE, networks='none', min_count=1,
                            max_count=5)
    assert [server.name for server in made] == ['s-1', 's-2', 's-3']
    wait.until(lambda: settled(cloud, 3), timeout=30)


KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl'


def test_the_key_pairs_of_a_user_are_not_overdrawn_by_many_at_once(open_database):
    conf = options.load('nova', [], files=[], quota__key_pairs=7)
    wirings = [Wiring(conf, open_database(), None, Policy([])) for _ in range(3)]
    wirings[0].db.create_all(tables.METADATA)
    with wirings[0].db.transaction() as tx:      # made when nobody counted
        tx.add_all([KeyPair(user_id='u', name=f'old{number}', fingerprint='f', public_key=KEY) for number in range(2)])
    outcomes = []

    def make(number):
        try:
            keypairs.create(wirings[number % 3], CALLER, 'u', name=f'k{number}', public_key=KEY)
            outcomes.append('made')
        except errors.OverQuota as error:
            outcomes.append(str(error))
    for run in [green.spawn(make, number) for number in range(20)]:
        run.wait()
    assert sorted(outcomes) == ['Quota exceeded, too many key pairs.'] * 15 + ['made'] * 5
    with pytest.raises(errors.NotFound):
        keypairs.delete(wirings[0], CALLER, 'u', 'none')
    keypairs.create(wirings[0], CALLER, 'another', name='k', public_key=KEY)
    keypairs.delete(wirings[0], CALLER, 'u', 'old0')
    with pytest.raises(errors.Conflict):
        keypairs.create(wirings[1], CALLER, 'u', name='old1', public_key=KEY)
    keypairs.create(wirings[1], CALLER, 'u', name='new', public_key=KEY)
    with pytest.raises(errors.OverQuota):
        keypairs.create(wirings[2], CALLER, 'u', name='more', public_key=KEY)
    assert len(keypairs.find(wirings[2], CALLER, 'u')) == 7

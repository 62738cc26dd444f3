"""The distributed shape is honest: the client's story passes there, and hosts and workers may die.

Every daemon a process of its own, from the files in ``etc/``, on RabbitMQ and MariaDB.
"""

import signal
import subprocess

import pytest
import sqlalchemy as sa

from nova.db import hosts
from nova.db.operations import Operation
from nova.db.ports import Port
from strata.testing import wait
from tests.compat import story
from tests.compat.client import OpenStack, program
from tests.probe.distributed import Distributed
from tests.probe.embedded import Client, Refused, provision

pytestmark = [pytest.mark.probe, pytest.mark.timeout(600)]


@pytest.fixture(scope='module')
def started(tmp_path_factory, rabbit, mariadb):
    """A cloud of ten processes; all tests of this file use it."""
    made = Distributed(tmp_path_factory.mktemp('cloud'), rabbit.url,
                       {service: mariadb.fresh() for service in ('keystone', 'glance', 'nova')})
    try:
        with made.explained():
            yield made.up()
    finally:
        made.down()


@pytest.fixture
def cloud(started):
    """The same, with everything running that a test before may have killed, and furnished."""
    started.order('node1')
    for name in list(started.processes):
        started.start(name)
    started.await_host('node1')
    if not hasattr(started, 'member'):
        provision.flavors(started.admin)
        started.image = provision.image(started.admin)
        external = provision.public_network(started.admin)
        started.member = Client(started.settings, 'demo').login()
        started.network = provision.private_network(started.member, external)
    yield started
    started.order('node1')
    for server in servers(started):
        started.member.call('DELETE', 'compute', f'/v2.1/servers/{server["id"]}', ok=(404,))
    gone(started)


def servers(cloud):
    return cloud.member.get('compute', '/v2.1/servers/detail')['servers']


def show(cloud, id):
    return cloud.member.get('compute', f'/v2.1/servers/{id}')['server']


def boot(cloud, name='probe', count=1):
    cloud.member.post('compute', '/v2.1/servers', {'server': {
        'name': name, 'flavorRef': '42', 'imageRef': cloud.image['id'], 'config_drive': True,
        'min_count': count, 'max_count': count, 'networks': [{'uuid': cloud.network['id']}]}})
    return [server['id'] for server in servers(cloud) if server['name'].startswith(name)]


def reaches(cloud, id, status, timeout=60):
    def there():
        server = show(cloud, id)
        assert (server['status'], server['OS-EXT-STS:task_state']) == (status, None), server
        return True
    wait.until(there, timeout, f'server {id} is {status}', interval=0.1)


def spawning(cloud, id):
    def there():
        server = show(cloud, id)
        assert server['OS-EXT-STS:task_state'] == 'spawning', server
        return True
    wait.until(there, 30, 'the guest is made')


def gone(cloud):
    """That no server is left, nor anything of one."""
    def nothing():
        assert servers(cloud) == []
        assert all(cloud.guests(host) == set() for host in ('node1', 'node2'))
        with cloud.db.reading() as tx:
            assert tx.scalars(sa.select(hosts.Claim.server_id)).all() == []
            assert tx.scalars(sa.select(Port.id).where(Port.device_owner.startswith('compute:'))).all() == []
            assert tx.scalars(sa.select(Operation.verb).where(Operation.finished_at.is_(None))).all() == []
            return True
    wait.until(nothing, 60, 'nothing is left', interval=0.2)


def test_the_story_of_the_openstack_client_passes(started, tmp_path):
    program()

    def login(user, password, project):
        return OpenStack(tmp_path, started.settings.url('identity', '/v3'), user, password, project)
    story.tell(login, started.settings.secrets['admin'], tmp_path)


def test_a_host_whose_worker_is_killed_finishes_what_it_had_begun(cloud):
    cloud.order('node1', spawn={'delay': 60})
    [id] = boot(cloud)
    spawning(cloud, id)
    cloud.kill('nova-compute@node1')
    cloud.order('node1')
    cloud.start('nova-compute@node1')
    reaches(cloud, id, 'ACTIVE')
    assert cloud.guests('node1') == {id}


def test_a_burst_survives_the_death_of_a_scheduler(cloud):
    ids = boot(cloud, count=8)
    wait.until(lambda: any(server['OS-EXT-SRV-ATTR:host'] for server in cloud.admin.get(
        'compute', '/v2.1/servers/detail', all_tenants=1)['servers']), 30, 'the first has a host')
    cloud.kill('nova-scheduler@one')
    assert len(ids) == 8
    for id in ids:
        reaches(cloud, id, 'ACTIVE')
    assert cloud.guests('node1') == set(ids)


def test_a_worker_that_stalls_changes_nothing_when_it_wakes_after_its_successor(cloud):
    cloud.order('node1', spawn={'delay': 12})      # long enough to be met at it on a busy machine
    [id] = boot(cloud)
    spawning(cloud, id)
    stalled: subprocess.Popen[bytes] = cloud.processes.pop('nova-compute@node1')
    stalled.send_signal(signal.SIGSTOP)
    try:
        cloud.order('node1')
        cloud.start('nova-compute@node1')
        reaches(cloud, id, 'ACTIVE')
        cloud.member.call('DELETE', 'compute', f'/v2.1/servers/{id}')
        gone(cloud)
        stalled.send_signal(signal.SIGCONT)
        wait.until(lambda: any(f' {stalled.pid} ' in line and 'is no longer ours' in line
                               for line in cloud.log('nova-compute@node1').splitlines()), 30, 'it notices')
        gone(cloud)
        assert show_deleted(cloud, id) == 'DELETED'
    finally:
        stalled.kill()
        stalled.wait(30)


def show_deleted(cloud, id):
    [server] = [each for each in cloud.admin.get('compute', '/v2.1/servers/detail', all_tenants=1, deleted='true')[
        'servers'] if each['id'] == id]
    return server['status']


def test_a_host_that_does_not_return(cloud):
    idle, doomed = boot(cloud, 'idle')[0], boot(cloud, 'doomed')[0]
    reaches(cloud, idle, 'ACTIVE')
    reaches(cloud, doomed, 'ACTIVE')
    cloud.order('node1', spawn={'delay': 60})
    [half] = boot(cloud, 'half')
    spawning(cloud, half)
    cloud.kill('nova-compute@node1')
    cloud.start('nova-network@node2')
    cloud.start('nova-compute@node2')
    cloud.await_host('node2')
    cloud.await_lost('node1')

    reaches(cloud, half, 'ACTIVE')      # elsewhere
    assert cloud.guests('node2') == {half}
    with pytest.raises(Refused, match='its host node1 is down') as refused:
        cloud.member.post('compute', f'/v2.1/servers/{idle}/action', {'pause': None})
    assert refused.value.status == 409
    cloud.member.call('DELETE', 'compute', f'/v2.1/servers/{doomed}')
    wait.until(lambda: {server['id'] for server in servers(cloud)} == {idle, half}, 60, 'the delete is complete')
    assert doomed in cloud.guests('node1')

    cloud.order('node1')
    cloud.start('nova-compute@node1')      # and if it returns after all
    wait.until(lambda: cloud.guests('node1') == {idle}, 60, 'node1 drops what is no longer its own')
    assert cloud.guests('node2') == {half}
    reaches(cloud, idle, 'ACTIVE')
    cloud.kill('nova-compute@node2')      # the next test has one host
    cloud.start('nova-compute@node2')

"""What nova-compute does when its database and its hypervisor do not say the same."""

import pytest
import sqlalchemy as sa

from nova.db.servers import Server
from nova.virt.driver import PowerState
from strata.testing import wait
from tests.functional.nova_cloud import running


@pytest.fixture
def cloud(tmp_path):
    with running(tmp_path) as made:
        yield made


def deaf(cloud):
    """The driver tells nobody what changes, so that only the comparison finds it."""
    cloud.driver.close()
    return cloud


def test_a_guest_that_shuts_itself_down_is_stopped(cloud):
    id = cloud.server(wait_for='ACTIVE')
    cloud.driver.happen(id, PowerState.SHUTDOWN)
    assert cloud.await_status(id, 'SHUTOFF')['OS-EXT-STS:power_state'] == PowerState.SHUTDOWN


def test_a_change_that_nobody_told_is_found(cloud):
    id = deaf(cloud).server(wait_for='ACTIVE')
    cloud.driver.happen(id, PowerState.CRASHED)
    assert cloud.show(id)['status'] == 'ACTIVE'
    cloud.compute.reconcile()
    assert cloud.show(id)['status'] == 'SHUTOFF'


def test_a_stopped_server_whose_guest_was_started_by_hand_is_stopped(cloud):
    id = deaf(cloud).server(wait_for='ACTIVE')
    cloud.act(id, 'os-stop')
    cloud.await_status(id, 'SHUTOFF')
    cloud.driver.happen(id, PowerState.RUNNING)
    cloud.compute.reconcile()
    assert cloud.driver.power_state(id) == PowerState.SHUTDOWN
    assert cloud.show(id)['OS-EXT-STS:power_state'] == PowerState.SHUTDOWN


def test_the_guest_of_a_server_that_is_gone_goes(cloud):
    gone, kept = cloud.server('gone', wait_for='ACTIVE'), cloud.server('kept', wait_for='ACTIVE')
    with cloud.db.transaction() as tx:
        tx.execute(sa.update(Server).where(Server.id == gone).values(deleted=True))
    cloud.compute.reconcile()
    assert list(cloud.driver.guests()) == [kept]


def test_a_server_that_starts_while_it_is_looked_at_is_left_running(cloud):
    id = deaf(cloud).server(wait_for='ACTIVE')
    cloud.act(id, 'os-stop')
    cloud.await_status(id, 'SHUTOFF')
    look = cloud.driver.guests

    def slowly():
        seen = look()
        cloud.act(id, 'os-start')
        cloud.await_status(id, 'ACTIVE')
        return seen
    cloud.driver.guests = slowly
    cloud.compute.reconcile()
    cloud.driver.guests = look
    cloud.compute.reconcile()
    wait.until(lambda: cloud.driver.power_state(id) == PowerState.RUNNING, message='it runs')
    assert cloud.show(id)['status'] == 'ACTIVE'

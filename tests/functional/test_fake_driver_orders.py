"""Failures, delays and deaths that the fake hypervisor takes orders for, from this process or another."""

import json
import os
import subprocess
import sys
import time

import pytest

from nova.virt.driver import Guest, PowerState, Unbuildable
from nova.virt.fake import ORDERS, FakeDriver
from strata import errors, green

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GUEST = Guest(id='g1', name='instance-00000001', title='one', vcpus=1, ram_mb=64, root_gb=1)

SPAWN = """
import sys
from nova.virt.driver import Guest
from nova.virt.fake import FakeDriver
FakeDriver(sys.argv[1]).spawn(Guest(id='g1', name='i', title='t', vcpus=1, ram_mb=64, root_gb=1))
"""


def spawn_elsewhere(directory, **environment):
    """Spawn a guest in a process of its own; its end code."""
    return subprocess.run([sys.executable, '-c', SPAWN, directory], cwd=ROOT, capture_output=True,
                          env={**os.environ, **environment}, check=False).returncode


@pytest.fixture(params=['memory', 'directory'])
def driver(request, tmp_path):
    return FakeDriver(str(tmp_path) if request.param == 'directory' else None)


def test_a_verb_fails_as_often_as_ordered(driver):
    driver.fail('spawn', times=2, error='Unbuildable')
    for _ in range(2):
        with pytest.raises(Unbuildable):
            driver.spawn(GUEST)
        assert driver.guests() == {}
    driver.spawn(GUEST)


def test_a_verb_may_fail_after_it_acted(driver):
    driver.spawn(GUEST)
    driver.fail('stop', error=errors.Timeout(what='The guest'), after=True)
    with pytest.raises(errors.Timeout):
        driver.stop('g1')
    assert driver.power_state('g1') is PowerState.SHUTDOWN


def test_a_verb_dawdles_while_others_go_on(driver):
    driver.spawn(GUEST)
    driver.delay('pause', 0.2)
    began = time.monotonic()
    slow = green.spawn(driver.pause, 'g1')
    green.sleep(0)
    assert driver.power_state('g1') is PowerState.RUNNING
    slow.wait()
    assert time.monotonic() - began >= 0.2
    driver.delay('pause', 0)


def test_an_order_names_a_verb(driver):
    with pytest.raises(ValueError, match='no verb'):
        driver.fail('explode')


def test_a_guest_may_change_by_itself(driver):
    told = []
    driver.on_lifecycle(lambda id, state: told.append((id, state)))
    driver.spawn(GUEST)
    driver.happen('g1', PowerState.CRASHED)
    green.sleep(0)
    assert told == [('g1', PowerState.RUNNING), ('g1', PowerState.CRASHED)]


def test_orders_reach_another_process_through_the_directory(tmp_path):
    FakeDriver(str(tmp_path)).fail('spawn')
    assert spawn_elsewhere(tmp_path) == 1
    assert spawn_elsewhere(tmp_path) == 0


def test_orders_come_from_the_environment(tmp_path):
    orders = json.dumps({'spawn': {'times': 1, 'error': 'Unbuildable'}})
    assert spawn_elsewhere(tmp_path, **{ORDERS: orders}) == 1
    assert FakeDriver(str(tmp_path)).guests() == {}


@pytest.mark.parametrize('after', [False, True])
def test_a_process_dies_in_a_verb_and_the_next_one_clears_up(tmp_path, after):
    FakeDriver(str(tmp_path)).fail('spawn', error='kill', after=after)
    assert spawn_elsewhere(tmp_path) == -9
    driver = FakeDriver(str(tmp_path))
    assert driver.power_state('g1') is (PowerState.RUNNING if after else PowerState.NOSTATE)
    driver.spawn(GUEST)
    driver.destroy('g1')
    assert driver.guests() == {}
    assert list((tmp_path / 'guests').iterdir()) == []


def test_what_a_spawn_left_half_made_is_listed_and_destroyed(tmp_path):
    (tmp_path / 'guests/g1').mkdir(parents=True)
    driver = FakeDriver(str(tmp_path))
    assert driver.guests() == {'g1': PowerState.NOSTATE}
    driver.destroy('g1')
    assert driver.guests() == {}

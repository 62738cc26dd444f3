"""Work done again and again."""

import pytest

from strata import context as contexts
from strata import green
from strata.periodic import Periodic
from strata.testing import wait


@pytest.fixture
def started():
    """Starts periodics, and stops them after the test."""
    running = []

    def start(*args, **kwargs):
        periodic = Periodic(*args, **kwargs)
        periodic.start()
        running.append(periodic)
        return periodic
    yield start
    for periodic in running:
        periodic.stop()


def test_it_runs_again_and_again(started):
    runs = []
    started(lambda: runs.append(1), 0.01)
    wait.until(lambda: len(runs) >= 3)


def test_a_failure_is_logged_and_the_next_run_comes(started, caplog):
    def fail():
        raise ValueError('no luck')
    periodic = started(fail, 0.01, 'sweep')
    wait.until(lambda: periodic.failures >= 2)
    assert 'sweep failed' in caplog.text
    assert 'no luck' in caplog.text


def test_run_once_tells_whether_it_succeeded():
    assert Periodic(lambda: None, 60).run_once()
    assert not Periodic(lambda: 1 / 0, 60).run_once()


def test_it_never_runs_twice_at_a_time(started):
    inside, most = [], []

    def work():
        inside.append(1)
        most.append(len(inside))
        green.sleep(0.01)
        inside.pop()
    periodic = started(work, 0.001)
    green.spawn(periodic.run_once)
    periodic.run_once()
    assert set(most) == {1}


def test_wake_runs_it_before_its_time(started):
    periodic = started(lambda: None, 3600)
    wait.until(lambda: periodic.runs == 1)
    periodic.wake()
    wait.until(lambda: periodic.runs == 2)


def test_each_run_has_a_request_id_of_its_own():
    seen = []
    periodic = Periodic(lambda: seen.append(contexts.CURRENT.get().request_id), 60, 'sweep')
    periodic.run_once()
    periodic.run_once()
    assert len(set(seen)) == 2
    assert contexts.CURRENT.get() is None


def test_stop_waits_for_a_run_under_way(started):
    begun, ended = green.Event(), []

    def work():
        begun.set()
        green.sleep(0.05)
        ended.append(1)
    periodic = started(work, 60)
    begun.wait()
    periodic.stop(grace=5)
    assert ended == [1]


def test_stop_kills_a_run_that_does_not_end(started, caplog):
    begun = green.Event()

    def work():
        begun.set()
        green.Event().wait()
    periodic = started(work, 60, 'stuck')
    begun.wait()
    periodic.stop(grace=0.05)
    assert 'stuck is still running and is given up' in caplog.text

"""Locks by name and by file."""

import subprocess
import sys
import time

import pytest

from strata import errors, green, locks
from strata.testing import wait


def test_one_greenlet_at_a_time_holds_a_name():
    names, inside, most = locks.Names(), [], []

    def work():
        with names.hold('a'):
            inside.append(1)
            most.append(len(inside))
            green.sleep(0)
            inside.pop()
    for worker in [green.spawn(work) for _ in range(10)]:
        worker.wait()
    assert most == [1] * 10


def test_different_names_do_not_wait_for_each_other():
    names = locks.Names()
    with names.hold('a'), names.hold('b', timeout=0.1):
        assert names.held('a')
        assert names.held('b')


def test_a_name_nobody_holds_takes_no_memory():
    names = locks.Names()
    with pytest.raises(ValueError, match='inside'), names.hold('a'):
        raise ValueError('inside')
    assert len(names) == 0


def test_a_name_that_stays_held_times_out():
    names = locks.Names()
    with names.hold('a'):
        with pytest.raises(errors.Timeout, match='The lock a'), names.hold('a', timeout=0.05):
            pass
        assert names.held('a')
    assert len(names) == 0


def test_one_that_is_killed_while_it_waits_leaves_the_lock_alone():
    names = locks.Names()
    with names.hold('a'):
        waiting = green.spawn(names.hold('a').__enter__)
        green.sleep(0)
        waiting.kill()
    with names.hold('a', timeout=0.1):
        pass
    assert len(names) == 0


def test_a_file_is_held_by_one_process_and_freed_when_it_is_killed(tmp_path):
    path = tmp_path / 'lock'
    holder = subprocess.Popen(
        [sys.executable, '-c', 'import sys, time\n'
         'from strata import locks\n'
         f'with locks.file({str(path)!r}):\n'
         '    print("held", flush=True); time.sleep(60)'], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b'held\n'
        with pytest.raises(errors.Timeout), locks.file(path, timeout=0):
            pass
    finally:
        holder.kill()
        holder.wait()
    with locks.file(path, timeout=5):
        pass


def test_other_greenlets_run_while_one_waits_for_a_file(tmp_path):
    ticks = []
    with locks.file(tmp_path / 'lock'):
        def second():
            with locks.file(tmp_path / 'lock'):
                ticks.append('second')
        waiting = green.spawn(second)
        begun = time.monotonic()
        wait.until(lambda: time.monotonic() - begun > 0.05)
        assert ticks == []
    waiting.wait(timeout=5)
    assert ticks == ['second']

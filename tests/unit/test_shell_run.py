"""Commands: bounded in time, memory and output, and never a shell's business."""

import gc
import os
import time

import pytest

from strata import green, shell
from strata.testing import wait


def test_a_command_is_given_its_input_and_gives_its_output():
    result = shell.run(['sh', '-c', 'cat; echo said >&2'], input=b'given')
    assert (result.rc, result.out, result.text, result.err) == (0, b'given', 'given', b'said\n')


def test_arguments_are_not_a_shells_to_read():
    assert shell.run(['echo', '$HOME; true', '*']).text == '$HOME; true *\n'


def test_large_input_and_output_do_not_block_each_other():
    assert len(shell.run(['cat'], input=b'x' * 3_000_000).out) == 3_000_000


def test_input_nobody_reads_is_no_error():
    assert shell.run(['true'], input=b'x' * 1_000_000).rc == 0


def test_without_input_there_is_none():
    assert shell.run(['cat']).out == b''


def test_a_failure_tells_what_the_command_said():
    with pytest.raises(shell.CommandFailed, match=r'sh failed \(3\): because') as caught:
        shell.run(['sh', '-c', 'echo because >&2; exit 3'])
    assert (caught.value.details['rc'], caught.value.details['err']) == (3, b'because\n')
    assert shell.run(['false'], check=False).rc == 1


def test_a_command_that_is_not_there_is_a_failure_that_names_it():
    with pytest.raises(shell.CommandFailed, match='no-such-command .*No such file'):
        shell.run(['no-such-command'])
    with pytest.raises(shell.CommandFailed, match='no-such-command'):
        shell.run(['no-such-command'], limits=shell.Limits(cpu_seconds=1))


def gone(pid):
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] == 'Z'
    except FileNotFoundError:
        return True


def test_one_that_takes_too_long_is_killed_with_all_it_started(tmp_path):
    path = tmp_path / 'pid'
    began = time.monotonic()
    with pytest.raises(shell.CommandTimeout, match='0.3 s'):
        shell.run(['sh', '-c', f'sleep 60 & echo $! >{path}; wait'], timeout=0.3)
    assert time.monotonic() - began < 30
    wait.until(lambda: gone(int(path.read_text())))


def test_a_greenlet_that_is_killed_takes_its_command_along(tmp_path):
    path = tmp_path / 'pid'
    worker = green.spawn(shell.run, ['sh', '-c', f'echo $$ >{path}; exec sleep 60'])
    wait.until(lambda: path.exists() and path.read_text())
    worker.kill()
    wait.until(lambda: gone(int(path.read_text())))


def test_a_daemon_left_behind_does_not_hold_up_its_parents_end(tmp_path, monkeypatch):
    monkeypatch.setattr(shell, '_REST', 0.1)
    path = tmp_path / 'pid'
    result = shell.run(['sh', '-c', f'setsid sleep 60 & echo $! >{path}; echo done'], timeout=10)
    assert result.out == b'done\n'
    os.kill(int(path.read_text()), 9)


def test_output_is_bounded():
    with pytest.raises(shell.CommandFailed, match='more than 100000 bytes'):
        shell.run(['yes'], most=100_000)
    with pytest.raises(shell.CommandFailed, match='more than 100000 bytes'):
        shell.run(['sh', '-c', 'yes >&2'], most=100_000)


def test_processor_memory_and_file_size_are_bounded(tmp_path):
    with pytest.raises(shell.CommandFailed):
        shell.run(['sh', '-c', 'while :; do :; done'], limits=shell.Limits(cpu_seconds=1), timeout=30)
    with pytest.raises(shell.CommandFailed):
        shell.run(['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=512M', 'count=1'],
                  limits=shell.Limits(address_space=256 << 20))
    with pytest.raises(shell.CommandFailed):
        shell.run(['dd', 'if=/dev/zero', f'of={tmp_path}/file', 'bs=1M', 'count=2'],
                  limits=shell.Limits(file_size=1 << 20))


def test_the_environment_is_not_inherited():
    os.environ['STRATA_TEST_SECRET'] = 'x'
    try:
        assert 'SECRET' not in shell.run(['env']).text
    finally:
        del os.environ['STRATA_TEST_SECRET']
    assert shell.run(['env'], env={'A': 'b'}).text == 'A=b\n'


def test_commands_run_beside_each_other_and_other_greenlets(tmp_path):
    all_are_there = 'touch "$1"; until [ "$(ls | wc -l)" = 5 ]; do sleep 0.01; done'
    green.Pool(5).map(lambda number: shell.run(['sh', '-c', f'cd {tmp_path}; {all_are_there}', 'sh', str(number)],
                                               timeout=30), range(5))


def test_a_command_inside_a_transaction_raises():
    with green.no_switch('a transaction'), pytest.raises(green.SwitchInTransaction):
        shell.run(['true'])


def test_nothing_is_left_open():
    gc.collect()      # what tests before this one left open
    before = len(os.listdir('/proc/self/fd'))
    for _ in range(5):
        shell.run(['cat'], input=b'x')
        shell.run(['false'], check=False)
    assert len(os.listdir('/proc/self/fd')) <= before

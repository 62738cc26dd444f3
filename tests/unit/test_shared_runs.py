"""Several runs of pytest that share one set of tests, and the line that adds them up."""

import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

BODY = """
import os, pytest
{mark}
@pytest.mark.parametrize('number', range(3))
def test_one(number):
    with open({log!r}, 'a') as log:
        log.write(f'{{os.getpid()}} {{__name__}} {{number}}\\n')
    assert number != {wrong}
"""


@pytest.fixture
def tool():
    """tools/test as a module."""
    loader = importlib.machinery.SourceFileLoader('tools_test', str(ROOT / 'tools' / 'test'))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader('tools_test', loader))
    loader.exec_module(module)
    return module


def files(folder, log):
    for name, mark, wrong in [('a', '', -1), ('b', '', 2), ('c', '@pytest.mark.root', -1),
                              ('d', '@pytest.mark.qemu', -1), ('e', '', -1), ('f', '@pytest.mark.probe', -1)]:
        (folder / f'test_{name}.py').write_text(BODY.format(mark=mark, log=str(log), wrong=wrong))
    mixed = BODY.format(mark='', log=str(log), wrong=-1)
    (folder / 'test_g.py').write_text(mixed.replace('range(3)', '[pytest.param(0, marks=pytest.mark.root), 1, 2]'))


def test_two_runs_do_each_test_once_and_keep_what_changes_the_host_together(tmp_path, tool):
    files(tmp_path, tmp_path / 'log')
    (tmp_path / 'claims').mkdir()
    runs = [subprocess.Popen(
        [sys.executable, '-m', 'pytest', '-q', '-c', '/dev/null', '--rootdir', str(tmp_path), str(tmp_path),
         '-p', 'strata.testing.shards', '-p', 'no:cacheprovider'], stdout=subprocess.DEVNULL,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'STRATA_SHARD': str(tmp_path / 'claims'),
             'STRATA_REPORT': str(tmp_path / f'report{number}')}) for number in range(2)]
    statuses = [run.wait(60) for run in runs]
    assert sorted(set(statuses)) in ([0, 1], [1])
    done = [line.split() for line in (tmp_path / 'log').read_text().splitlines()]
    assert sorted((name, number) for _, name, number in done) == \
        [(f'test_{name}', str(number)) for name in 'abcdefg' for number in range(3)]
    host = {pid for pid, name, number in done if name in ('test_c', 'test_d') or (name, number) == ('test_g', '0')}
    assert len(host) == 1
    counts = [json.loads((tmp_path / f'report{number}').read_text()) for number in range(2)]
    assert sum(each['passed'] for each in counts) == 20
    assert tool.summary(counts, 61.5).strip('= ').startswith('1 failed, 20 passed')


def test_the_last_line_is_pytest_s(tool):
    line = tool.summary([{'passed': 3, 'skipped': 1, 'deselected': 7, 'warnings': 1},
                         {'passed': 4, 'failed': 1, 'deselected': 7, 'error': 2}], 61.5)
    assert line.strip('= ') == \
        '1 failed, 7 passed, 1 skipped, 7 deselected, 1 warning, 2 errors in 61.50s (0:01:01)'
    assert line.startswith('= ')
    assert len(tool.summary([{'passed': 3}], 2)) == 80


def test_a_run_that_says_nothing_counts_as_an_error(tool, tmp_path):
    assert tool.counted(str(tmp_path / 'absent')) == {'error': 1}


def test_installing_does_not_start_servers_and_leaves_no_trace(tool, tmp_path, monkeypatch):
    policy = tmp_path / 'policy-rc.d'
    monkeypatch.setattr(tool, 'POLICY', str(policy))
    with tool.no_servers_started():
        assert subprocess.run([str(policy), 'rabbitmq-server', 'start'], check=False).returncode == 101
    assert not policy.exists()


def test_a_policy_of_the_operator_s_own_is_left_alone(tool, tmp_path, monkeypatch):
    policy = tmp_path / 'policy-rc.d'
    policy.write_text('mine')
    monkeypatch.setattr(tool, 'POLICY', str(policy))
    with tool.no_servers_started():
        assert policy.read_text() == 'mine'
    assert policy.read_text() == 'mine'


def test_the_requirements_of_the_environment_are_those_of_setup(tool):
    needed, extras = tool.requirements()
    assert any(each.startswith('eventlet') for each in needed)
    assert any(each.startswith('pytest>') for each in extras['test'])

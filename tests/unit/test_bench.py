"""tools/bench: its arithmetic, its table, and how it looks at processes."""

import json
import os
import subprocess
import sys
import time

import pytest

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(CHECKOUT, 'tools'))

from benchmarks import cli, load, processes  # noqa: E402
from benchmarks.client import Credentials, Trouble  # noqa: E402


class TestTiming:
    def test_a_median_and_a_tail(self):
        timing = load.Timing([n / 1000 for n in range(1, 101)], 2.0)
        assert timing.figures() == {'requests': 100, 'failures': 0, 'per_second': 50.0, 'p50_ms': 50.5,
                                    'p95_ms': 95.05}

    @pytest.mark.parametrize('times, median', [([], 0.0), ([0.25], 250.0)])
    def test_few_calls_have_percentiles_too(self, times, median):
        assert load.Timing(times, 1.0).figures()['p50_ms'] == median

    def test_each_call_is_made_once_whatever_the_threads(self):
        made = []
        timing = load.each([lambda n=n: made.append(n) is None for n in range(50)], threads=7)
        assert sorted(made) == list(range(50))
        assert (len(timing.times), timing.failures) == (50, 0)

    def test_calls_are_repeated_until_the_time_is_up(self):
        timing = load.for_seconds(lambda: True, 0.05, threads=2)
        assert timing.times
        assert 0.05 <= timing.elapsed < 1

    def test_what_goes_wrong_is_counted(self):
        assert load.each([lambda: False, lambda: True], threads=1).failures == 1

    def test_what_raises_ends_the_measurement(self):
        def fail():
            raise Trouble('gone')
        with pytest.raises(Trouble, match='gone'):
            load.each([fail], threads=2)


class TestProcesses:
    @pytest.fixture
    def cloud(self, tmp_path):
        """A data directory whose launcher is this process, with one daemon."""
        daemon = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
        (tmp_path / 'run').mkdir()
        (tmp_path / 'run' / 'processes.json').write_text(json.dumps({'parent': daemon.pid, 'processes': [
            {'name': 'keystone', 'pid': None}, {'name': 'gone', 'pid': 2 ** 22 + 1}]}))
        yield str(tmp_path), daemon.pid
        daemon.communicate(b'\n')

    def test_only_those_that_run_are_found(self, cloud):
        assert processes.daemons(cloud[0]) == {'onestack': cloud[1]}

    def test_without_a_cloud_there_are_none(self, tmp_path):
        assert processes.daemons(str(tmp_path)) == {}
        assert processes.memory(str(tmp_path)) == {}

    def test_the_memory_of_each_is_counted(self, cloud):
        [(name, size)] = processes.memory(cloud[0]).items()
        assert name == f'onestack/{cloud[1]}'
        assert 0.5 < size < 200

    def test_cpu_is_shared_out_among_requests(self):
        with processes.Meter({'me': os.getpid()}) as meter:
            until = time.process_time() + 0.1
            while time.process_time() < until:
                pass
        figures = meter.per(10)
        assert 8 <= figures['cpu_ms'] <= 40
        assert figures['cpu_ms_by_daemon'].keys() == {'me'}

    def test_of_an_unknown_cloud_nothing_is_claimed(self):
        with processes.Meter({}) as meter:
            pass
        assert meter.per(10) == {}


class TestOutput:
    def test_the_table_has_the_columns_that_are_there(self):
        head, first, second = cli.table([
            {'what': 'token validate', 'per_second': 2000.1, 'cpu_ms': 0.3, 'goal': 'cpu_ms < 0.5'},
            {'what': 'memory of all processes', 'pss_mb': 400.0, 'goal': 'pss_mb < 350'}]).strip().splitlines()
        assert head.split() == ['what', 'per', 'second', 'cpu', 'ms', 'pss', 'mb', 'goal']
        assert first.split()[-5:] == ['2000.1', '0.3', 'met:', '<', '0.5']
        assert second.split()[-4:] == ['400.0', 'MISSED:', '<', '350']

    def test_a_figure_that_could_not_be_had_is_not_judged(self):
        assert 'met' not in cli.table([{'what': 'token validate', 'goal': 'cpu_ms < 0.5'}]).lower()

    def test_nothing_measured_is_no_table(self):
        assert cli.table([]) == ''


class TestCommand:
    def bench(self, *words, **environ):
        return subprocess.run([os.path.join(CHECKOUT, 'tools', 'bench'), *words], capture_output=True, text=True,
                              env={'PATH': os.environ['PATH'], **environ})

    def test_a_missing_credential_is_named(self):
        done = self.bench('--url', 'http://127.0.0.1:1/v3', OS_USERNAME='admin')
        assert (done.returncode, done.stderr) == (
            1, 'tools/bench: OS_PASSWORD is not set; source an openrc file first.\n')

    def test_a_missing_cloud_is_named(self, tmp_path):
        done = self.bench('--data-dir', str(tmp_path))
        assert (done.returncode, done.stderr) == (
            1, f'tools/bench: There is no cloud in {tmp_path}; give --data-dir or --url.\n')

    def test_a_cloud_that_is_down_is_one_line(self):
        done = self.bench('--url', 'http://127.0.0.1:1/v3', OS_USERNAME='a', OS_PASSWORD='b', OS_PROJECT_NAME='c')
        assert done.returncode == 1
        assert done.stderr.count('\n') == 1
        assert '127.0.0.1:1' in done.stderr

    def test_credentials_have_the_usual_domains(self, monkeypatch):
        for name, value in {'OS_USERNAME': 'u', 'OS_PASSWORD': 'p', 'OS_PROJECT_NAME': 'q'}.items():
            monkeypatch.setenv(name, value)
        assert json.loads(Credentials.of_environment('http://x/v3').body())['auth']['scope'] == {
            'project': {'name': 'q', 'domain': {'name': 'Default'}}}

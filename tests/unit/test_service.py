"""The life of a daemon, in real processes that get real signals."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from strata import green, rpc
from strata.service import Service
from strata.testing import wait

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

HEAD = """
import os, sys
from strata import green
green.patch()
from strata import log
from strata.service import Family, Service
log.setup()
def say(*words):
    os.write(1, (' '.join(map(str, words)) + '\\n').encode())
"""


class Daemon:
    """A script in a process of its own; its output is collected."""

    def __init__(self, path, body):
        path.write_text(HEAD + textwrap.dedent(body))
        self.out = open(path.with_suffix('.out'), 'w+')      # noqa: SIM115
        self.process = subprocess.Popen([sys.executable, str(path)], stdout=self.out, stderr=self.out,
                                        env={**os.environ, 'PYTHONPATH': ROOT})

    def text(self):
        with open(self.out.name) as text:
            return text.read()

    def says(self, line, times=1):
        """Wait until it has said a line so often."""
        wait.until(lambda: self.lines().count(line) >= times, 20, f'{line!r} in {self.text()!r}')

    def lines(self):
        return self.text().splitlines()

    def pids(self, word):
        return [int(line.split()[1]) for line in self.lines() if line.startswith(word + ' ')]

    def ends(self, status=0):
        wait.until(lambda: self.process.poll() is not None, 20, 'the end of the process')
        assert self.process.returncode == status, self.text()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.out.close()


@pytest.fixture
def daemon(tmp_path):
    started = []

    def start(body):
        started.append(Daemon(tmp_path / f'daemon{len(started)}.py', body))
        return started[-1]
    yield start
    for one in started:
        one.close()


SIMPLE = """
    service = Service('simple', grace=5)
    service.add_periodic(lambda: say('tick'), 3600)
    service.on_stop(lambda: say('stopped'))
    say('status', service.run())
"""


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_ends_an_idle_daemon_gracefully(daemon, number):
    simple = daemon(SIMPLE)
    simple.says('tick')
    simple.process.send_signal(number)
    simple.ends()
    assert simple.lines()[-1] == 'status 0'
    assert 'stopped' in simple.lines()


def test_sighup_is_harmless(daemon):
    simple = daemon(SIMPLE)
    simple.says('tick')
    simple.process.send_signal(signal.SIGHUP)
    wait.until(lambda: 'nothing to reload' in simple.text())
    assert simple.process.poll() is None
    simple.process.terminate()
    simple.ends()


def test_a_second_signal_does_not_wait(daemon):
    stuck = daemon("""
        service = Service('stuck', grace=600)
        def forever():
            say('tick')
            green.Event().wait()
        service.add_periodic(forever, 1)
        service.run()
    """)
    stuck.says('tick')
    stuck.process.terminate()
    wait.until(lambda: 'SIGTERM, ending' in stuck.text())
    stuck.process.terminate()
    stuck.ends(status=1)


def test_a_daemon_that_cannot_start_yet_can_be_ended(daemon):
    waiting = daemon("""
        service = Service('waiting', grace=5)
        def connect():
            say('connecting')
            green.Event().wait()
        service.on_start(connect)
        service.on_stop(lambda: say('stopped'))
        service.run()
    """)
    waiting.says('connecting')
    waiting.process.terminate()
    waiting.ends()
    assert waiting.lines().count('stopped') == 1


def test_a_start_that_fails_stops_what_had_started():
    class Part:
        running = False

        def start(self):
            self.running = True

        def stop(self, grace):
            self.running = False

    class Broken(Part):
        def start(self):
            raise OSError('the port is taken')
    service, part = Service('half', grace=1), Part()
    service.add_server(part)
    service.add_server(Broken())
    with pytest.raises(OSError, match='the port is taken'):
        service.start()
    assert not part.running


def test_messages_under_way_are_finished_and_what_they_send_still_goes_out():
    class Box(rpc.Interface):
        topic = 'box'
        slow = rpc.cast()
        note = rpc.cast('text')

    @rpc.serves(Box)
    class Manager:
        def __init__(self, bus):
            self.bus, self.begun, self.ended = bus, green.Event(), False

        def slow(self, context):
            self.begun.set()
            green.sleep(0.05)
            self.ended = True

        def note(self, context, text):
            pass
    from strata.context import Context
    bus = rpc.connect('local://', 'test')
    manager = Manager(bus)
    service = Service('worker', grace=5)
    service.add_manager(bus, manager, 'node1')
    service.start()
    Box(bus).slow(Context(), host='node1')
    assert manager.begun.wait(5)
    service.stop()
    assert manager.ended


FORKED = """
    def setup(service):
        service.add_periodic(lambda: say('up', os.getpid()), 3600)
        service.on_stop(lambda: say('stopped', os.getpid()))
        green.spawn(lambda: green.native(say, 'native', os.getpid()))
    say('status', Service('forked', grace=5).prefork(3, setup))
"""


def test_forked_children_run_timers_and_native_threads_of_their_own(daemon):
    forked = daemon(FORKED)
    wait.until(lambda: len(forked.pids('up')) == 3, 20, forked.text())
    wait.until(lambda: len(forked.pids('native')) == 3, 20)
    forked.process.terminate()
    forked.ends()
    assert sorted(forked.pids('stopped')) == sorted(forked.pids('up'))
    assert forked.lines()[-1] == 'status 0'


def test_a_child_that_is_killed_is_started_again(daemon):
    forked = daemon(FORKED)
    wait.until(lambda: len(forked.pids('up')) == 3, 20)
    first = forked.pids('up')
    os.kill(first[0], signal.SIGKILL)
    wait.until(lambda: len(forked.pids('up')) == 4, 20)
    assert 'ended: SIGKILL' in forked.text()
    forked.process.terminate()
    forked.ends()


def test_children_end_when_their_parent_is_killed(daemon):
    forked = daemon(FORKED)
    wait.until(lambda: len(forked.pids('up')) == 3, 20)
    forked.process.kill()
    wait.until(lambda: sorted(forked.pids('stopped')) == sorted(forked.pids('up')), 20)


def test_a_child_that_does_not_end_is_killed(daemon):
    stubborn = daemon("""
        import signal, time
        def main():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            say('up', os.getpid())
            while True:
                time.sleep(60)
        family = Family('stubborn', grace=0.2)
        family.add('one', main)
        say('status', family.run())
    """)
    wait.until(lambda: stubborn.pids('up'), 20)
    stubborn.process.terminate()
    stubborn.ends()
    assert 'killing what did not end in time' in stubborn.text()


def test_a_child_that_fails_at_once_is_retried_more_and_more_slowly(daemon):
    failing = daemon("""
        def main():
            say('up', os.getpid())
            raise SystemExit(3)
        family = Family('failing', grace=1)
        family.add('one', main)
        family.run()
    """)
    wait.until(lambda: len(failing.pids('up')) >= 4, 20)
    failing.process.terminate()
    failing.ends()
    assert 'exit status 3; starting it again in 0.1 s' in failing.text()
    assert 'exit status 3; starting it again in 0.4 s' in failing.text()


@pytest.mark.parametrize('use, reason', [
    ('green.sleep(0)', 'has run greenlets'),
    ('green.native(os.getpid)', 'has run greenlets'),
])
def test_a_parent_that_has_run_greenlets_may_not_fork(daemon, use, reason):
    parent = daemon(f"""
        {use}
        Family('late').run()
    """)
    parent.ends(status=1)
    assert f'RuntimeError: this process {reason}' in parent.text()


def test_systemd_is_told_when_it_asked(daemon, tmp_path, monkeypatch):
    import socket
    path = str(tmp_path / 'notify')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(path)
        notified.settimeout(20)
        monkeypatch.setenv('NOTIFY_SOCKET', path)
        simple = daemon(SIMPLE)
        assert notified.recv(100) == b'READY=1'
        simple.process.terminate()
        assert notified.recv(100) == b'STOPPING=1'
        simple.ends()

"""The systemd units: one for each daemon, started as it is installed, and right in systemd's eyes."""

import ast
import configparser
import os
import shutil
import subprocess

import pytest

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(CHECKOUT, 'etc', 'systemd')
UNITS = sorted(os.listdir(FOLDER))


def daemons():
    """The console scripts that run for ever."""
    with open(os.path.join(CHECKOUT, 'setup.py'), encoding='utf-8') as file:
        for node in ast.parse(file.read()).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == 'COMMANDS':
                return {name for name, module in ast.literal_eval(node.value).items()
                        if not name.endswith('-manage') and '.cli.' not in module}
    raise AssertionError('setup.py has no COMMANDS')


def unit(name):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(os.path.join(FOLDER, name))
    return parser


def test_every_daemon_has_a_unit_and_every_unit_a_daemon():
    assert {name.removesuffix('.service') for name in UNITS} == daemons()


@pytest.mark.parametrize('name', UNITS)
class TestUnit:
    def test_it_starts_the_daemon_of_its_name(self, name):
        assert unit(name)['Service']['ExecStart'].split()[0] == f'/opt/strata/bin/{name.removesuffix(".service")}'

    def test_only_the_helper_is_root(self, name):
        user = None if name == 'nova-net-helper.service' else 'swift' if name.startswith('swift-') else 'strata'
        assert unit(name)['Service'].get('User') == user

    def test_it_may_write_where_the_samples_have_its_log(self, name):
        service = unit(name)['Service']
        if service.get('User') == 'strata':
            assert service['LogsDirectory'] == 'strata'

    def test_it_is_back_after_a_failure_and_a_reboot(self, name):
        assert unit(name)['Service']['Restart'] in ('always', 'on-failure')
        assert unit(name)['Install']['WantedBy'] == 'multi-user.target'


@pytest.mark.skipif(not shutil.which('systemd-analyze'), reason='needs systemd-analyze')
def test_systemd_has_no_complaint(tmp_path):
    for name in UNITS:
        with open(os.path.join(FOLDER, name), encoding='utf-8') as file:
            text = file.read()
        # what it starts is not installed here
        (tmp_path / name).write_text(text.replace('/opt/strata/bin/' + name.removesuffix('.service'), '/bin/true'))
    done = subprocess.run(['systemd-analyze', 'verify', *(str(tmp_path / name) for name in UNITS)],
                          capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if any(name in line for name in UNITS)]
    assert (done.returncode, ours) == (0, []), done.stderr

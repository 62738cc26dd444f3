"""The generated reference and samples are what the options say now, and the samples load."""

import os
import subprocess
import sys

import pytest

from glance.conf import OPTIONS as GLANCE
from keystone.conf import OPTIONS as KEYSTONE
from nova.conf import OPTIONS as NOVA
from strata import conf

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(*parts):
    with open(os.path.join(CHECKOUT, *parts), encoding='utf-8') as file:
        return file.read()


def test_the_committed_files_are_up_to_date():
    done = subprocess.run([sys.executable, os.path.join(CHECKOUT, 'tools', 'config-reference'), '--check'],
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ''), done.stdout + done.stderr


@pytest.mark.parametrize('service, options', [('keystone', KEYSTONE), ('glance', GLANCE), ('nova', NOVA)],
                         ids=['keystone', 'glance', 'nova'])
class TestSample:
    def test_a_sample_loads_and_changes_nothing(self, service, options):
        plain = conf.load(service, options, [], files=[])
        sample = conf.load(service, options, [], files=[os.path.join(CHECKOUT, 'etc', service, f'{service}.conf')])
        for group, those in {**conf.COMMON, **options}.items():
            for option in those:
                where = [one if group == 'DEFAULT' else getattr(one, group) for one in (plain, sample)]
                assert getattr(where[1], option.dest) == getattr(where[0], option.dest), (group, option.name)

    def test_every_option_loads_once_uncommented(self, service, options, tmp_path):
        lines = []
        for line in read('etc', service, f'{service}.conf').splitlines():
            if line.startswith('#') and line[1:2].isalpha() and not line.endswith(' ='):
                line = line[1:]
            lines.append(line)
        path = tmp_path / f'{service}.conf'
        path.write_text('\n'.join(lines))
        loaded = conf.load(service, options, [], files=[str(path)])
        for group, those in {**conf.COMMON, **options}.items():
            for option in those:
                getattr(loaded if group == 'DEFAULT' else getattr(loaded, group), option.dest)

    def test_every_option_has_a_help_text(self, service, options):
        assert [option.name for those in options.values() for option in those if not option.help] == []


def test_every_option_is_in_the_reference():
    text = read('doc', 'configuration.rst')
    for options in (conf.COMMON, KEYSTONE, GLANCE, NOVA):
        for those in options.values():
            for option in those:
                assert f'``{option.name}``' in text

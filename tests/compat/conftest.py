"""What compatibility tests have in common: the other Swift, in an environment of its own."""

import os
import subprocess
import sys

import pytest


@pytest.fixture(scope='session')
def swift_2_38(tmp_path_factory):
    """The directory of the other Swift's programs; ``SWIFT_2_38`` may name an environment that has it."""
    home = os.environ.get('SWIFT_2_38')
    if not home:
        home = str(tmp_path_factory.mktemp('swift'))
        subprocess.run([sys.executable, '-m', 'venv', home], check=True)
        done = subprocess.run([f'{home}/bin/pip', 'install', '-q', 'swift==2.38.*'], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f'Swift 2.38 cannot be installed: {done.stderr[-200:]}')
    return f'{home}/bin'

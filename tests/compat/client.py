"""The ``openstack`` client as a user runs it, in a virtual environment of its own."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def program(name: str = 'openstack') -> str:
    """Where a client is: tools/test installs it and says so; skipped with the remedy if it is nowhere."""
    folder = os.environ.get('OPENSTACK_CLIENTS') or str(ROOT / '.venv' / 'clients' / 'bin')
    path = os.path.join(folder, name)
    if os.path.exists(path):
        return path
    reason = f'{path} is not there; tools/test setup installs it'
    if os.environ.get('CI') == 'true':
        pytest.fail(reason)
    pytest.skip(reason)
    raise AssertionError('unreachable')


class Refusal(AssertionError):
    """The client ended with an error; its words are the message."""


class OpenStack:
    """The client, as one user of one cloud: ``cloud('server', 'show', 'web')``."""

    def __init__(self, home: Path, auth_url: str, user: str, password: str, project: str | None) -> None:
        self.home, self._program = home, program()
        self._environment = {
            'PATH': os.environ.get('PATH', os.defpath), 'HOME': str(home), 'LC_ALL': 'C.UTF-8',
            'OS_AUTH_URL': auth_url, 'OS_USERNAME': user, 'OS_PASSWORD': password,
            'OS_USER_DOMAIN_NAME': 'Default', 'OS_IDENTITY_API_VERSION': '3', 'OS_REGION_NAME': 'RegionOne',
            **({'OS_PROJECT_NAME': project, 'OS_PROJECT_DOMAIN_NAME': 'Default'} if project else {})}

    def text(self, *words: str, **environment: str) -> str:
        """Run a command; what it printed.  ``Refusal`` if it failed."""
        done = subprocess.run([self._program, *words], env={**self._environment, **environment},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              cwd=self.home, timeout=180)
        if done.returncode:
            raise Refusal(f'openstack {" ".join(words)}: {done.stderr.strip() or done.stdout.strip()}')
        return done.stdout

    def __call__(self, *words: str) -> Any:
        """Run a command that shows something; that, as values."""
        return json.loads(self.text(*words, '-f', 'json'))

    def refused(self, *words: str) -> str:
        """Run a command that must fail; what it says."""
        try:
            said = self.text(*words)
        except Refusal as refusal:
            return str(refusal)
        raise AssertionError(f'openstack {" ".join(words)} was not refused: {said}')


def flat(value: Mapping[str, Any]) -> set[str]:
    """All addresses of a server, of all its networks."""
    return {address for addresses in value.values() for address in addresses}

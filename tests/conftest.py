"""What every test stands on: a patched interpreter in strict mode, and real servers on demand."""

from strata import green

green.patch()      # first of all, as in every daemon

import pytest
import pytest_timeout

# its check for the main thread must not meet a green one, else it could not interrupt a hang
pytest_timeout.threading = green.threads
green.strict(True)

pytest_plugins = ['strata.testing.servers', 'strata.testing.databases']


@pytest.fixture(autouse=True)
def _strict_greenlets():
    """Switching inside a transaction raises in every test, even after one that turned it off."""
    green.strict(True)
    yield

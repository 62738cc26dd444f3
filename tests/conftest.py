"""What every test stands on: a patched interpreter in strict mode, and real servers on demand."""

from strata import green

green.patch()      # first of all, as in every daemon

import gc

import pytest
import pytest_timeout
from hypothesis import HealthCheck, settings

from strata import context as contexts

# its check for the main thread must not meet a green one, else it could not interrupt a hang
pytest_timeout.threading = green.threads
green.strict(True)

# the same examples in every run, however long they take; tools/test full draws others: --hypothesis-profile=anew
settings.register_profile('same', derandomize=True, deadline=None, database=None,
                          suppress_health_check=[HealthCheck.too_slow])
settings.register_profile('anew', settings.get_profile('same'), derandomize=False, print_blob=True)
settings.load_profile('same')

pytest_plugins = ['strata.testing.servers', 'strata.testing.databases']


@pytest.fixture(autouse=True)
def _clean_slate():
    """Whatever the test before did: switching inside a transaction raises, and nobody is the caller."""
    green.strict(True)
    contexts.CURRENT.set(None)
    yield


def pytest_collection_modifyitems(items):
    """Tests of servers of the object store, most of them of a whole one: too many for the quick tier."""
    for item in items:
        if item.path.parent.name in ('functional', 'security', 'compat') and 'swift' in item.path.name:
            item.add_marker('cluster')


def pytest_collection_finish():
    """Keep the garbage collector from walking through all modules and tests again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)

"""Fixtures that several of these files share."""

import pytest


@pytest.fixture(scope='module')
def shared():
    """A host of the tests' own, for all tests of a file; needs root."""
    from tests import sandbox  # it loads what makes networks, which most files here need not
    with sandbox.Sandbox() as here:
        yield here


@pytest.fixture
def host(shared):
    """The same, without what the test before it made."""
    yield shared
    shared.clear()

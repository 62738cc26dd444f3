"""The openstack client tells its story against a cloud of real processes with the fake driver."""

import pytest

from tests.compat import story
from tests.compat.client import OpenStack, program
from tests.probe.embedded import Embedded

pytestmark = [pytest.mark.probe, pytest.mark.timeout(600)]


@pytest.fixture
def cloud(tmp_path):
    """A cloud in real processes."""
    program()
    made = Embedded(tmp_path / 'cloud')
    try:
        with made.explained('up'):
            yield made.up()
    finally:
        made.down()


def test_a_user_s_first_day(cloud, tmp_path):
    def login(user, password, project):
        return OpenStack(tmp_path, cloud.settings.url('identity', '/v3'), user, password, project)
    with cloud.explained():
        story.tell(login, cloud.settings.secrets['admin'], tmp_path)

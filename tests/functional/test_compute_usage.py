"""Whose usage /os-simple-tenant-usage tells."""

import pytest

from tests.functional.nova_cloud import Cloud


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize('query', ['', '?start=2026-01-01T00:00:00&end=2026-01-02T00:00:00'])
def test_the_usage_of_a_project_without_an_id_is_nobodys(cloud, query):
    assert cloud.admin('GET', f'/os-simple-tenant-usage/{query}').status == 404
    assert cloud.admin('GET', f'/os-simple-tenant-usage{query}').json == {'tenant_usages': []}

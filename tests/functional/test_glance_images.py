"""Images through the front door: create, show, list, change, delete."""

import pytest

from tests.functional.glance_cloud import Cloud


@pytest.fixture
def cloud(tmp_path):
    return Cloud(tmp_path)


def test_an_image_goes_from_queued_to_active_and_its_data_comes_back(cloud):
    image = cloud.create(name='cirros', hw_disk_bus='virtio')
    assert image['status'] == 'queued' and image['owner'] == 'alice' and image['hw_disk_bus'] == 'virtio'
    assert cloud.upload(image['id'], b'x' * 3_000_000).status == 204
    shown = cloud.show(image['id'])
    assert shown['status'] == 'active' and shown['size'] == 3_000_000
    answer = cloud.get(f'/v2/images/{image["id"]}/file')
    assert answer.status == 200 and answer.body == b'x' * 3_000_000
    assert answer.headers['content-md5'] == shown['checksum']
    assert cloud.names() == ['cirros']

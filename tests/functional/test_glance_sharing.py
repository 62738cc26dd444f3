"""Sharing: members, what they see, who answers for whom; and deactivation."""

import pytest

from tests.functional.glance_cloud import Cloud, person

MEMBER = {'created_at', 'image_id', 'member_id', 'schema', 'status', 'updated_at'}


@pytest.fixture
def cloud(tmp_path):
    return Cloud(tmp_path)


def share(cloud, id, project='bob', who=None):
    return cloud.request(who or cloud.alice, 'POST', f'/v2/images/{id}/members', {'member': project})


def test_a_shared_image_is_seen_offered_and_accepted(cloud):
    id = cloud.active(name='gift')['id']
    path = f'/v2/images/{id}'
    assert cloud.get(path, cloud.bob).status == 404
    answer = share(cloud, id)
    assert answer.status == 200 and set(answer.json) == MEMBER
    assert (answer.json['status'], answer.json['member_id'], answer.json['image_id']) == ('pending', 'bob',
                                                                                          id)
    assert cloud.get(path, cloud.bob).status == 200
    assert cloud.names('', cloud.bob) == []
    assert cloud.names('visibility=shared&member_status=pending', cloud.bob) == ['gift']
    accepted = cloud.request(cloud.bob, 'PUT', path + '/members/bob', {'status': 'accepted'})
    assert accepted.status == 200 and accepted.json['status'] == 'accepted'
    assert cloud.names('', cloud.bob) == ['gift']
    assert cloud.get(path + '/file', cloud.bob).body == b'disk'
    assert cloud.request(cloud.bob, 'PUT', path + '/members/bob', {'status': 'rejected'}).status == 200
    assert cloud.names('', cloud.bob) == [] and cloud.names('member_status=all', cloud.bob) == ['gift']


def test_members_may_look_but_not_touch(cloud):
    id = cloud.active()['id']
    share(cloud, id)
    assert cloud.patch(id, [{'op': 'replace', 'path': '/name', 'value': 'x'}], cloud.bob).status == 403
    assert cloud.request(cloud.bob, 'DELETE', f'/v2/images/{id}').status == 403
    assert share(cloud, id, 'carol', cloud.bob).status == 403
    assert cloud.request(cloud.bob, 'DELETE', f'/v2/images/{id}/members/bob').status == 403


def test_the_owner_sees_all_members_and_a_member_itself(cloud):
    id = cloud.active()['id']
    share(cloud, id)
    share(cloud, id, 'carol')
    path = f'/v2/images/{id}/members'

    def seen(who):
        return [member['member_id'] for member in cloud.get(path, who).json['members']]
    assert seen(cloud.alice) == ['bob', 'carol'] and seen(cloud.bob) == ['bob']
    assert cloud.get(path).json['schema'] == '/v2/schemas/members'
    assert set(cloud.get(path + '/bob', cloud.bob).json) == MEMBER
    assert cloud.get(path + '/carol', cloud.bob).status == 404
    assert cloud.get(path, person('dave')).status == 404
    assert cloud.get(path + '/nobody').status == 404


def test_nobody_answers_for_another_project(cloud):
    id = cloud.active()['id']
    share(cloud, id)
    path = f'/v2/images/{id}/members/bob'
    assert cloud.request(cloud.alice, 'PUT', path, {'status': 'accepted'}).status == 403
    assert cloud.request(person('bob', 'reader'), 'PUT', path, {'status': 'accepted'}).status == 403
    assert cloud.request(person('dave'), 'PUT', path, {'status': 'accepted'}).status == 404
    assert cloud.request(cloud.bob, 'PUT', path, {'status': 'maybe'}).status == 400
    assert cloud.request(cloud.bob, 'PUT', path, {}).status == 400
    assert cloud.request(cloud.bob, 'PUT', path, {'status': 'accepted', 'other': 1}).status == 400
    assert cloud.get(path).json['status'] == 'pending'


def test_the_member_in_the_url_counts_when_the_body_names_it_again(cloud):
    id = cloud.active()['id']
    share(cloud, id)
    path = f'/v2/images/{id}/members/bob'
    assert cloud.request(cloud.bob, 'PUT', path, {'status': 'accepted', 'member': 'dave'}).status == 200
    assert cloud.get(path).json['status'] == 'accepted'


@pytest.mark.parametrize('visibility', ['private', 'community', 'public'])
def test_only_shared_images_have_members(cloud, visibility):
    id = cloud.create(cloud.root, visibility=visibility)['id']
    assert share(cloud, id, who=cloud.root).status == 403


def test_sharing_twice_or_with_too_many_is_refused(tmp_path):
    cloud = Cloud(tmp_path, image_member_quota=1)
    id = cloud.create()['id']
    assert share(cloud, id).status == 200
    assert share(cloud, id).status == 409
    assert share(cloud, id, 'carol').status == 413
    for body in ({}, {'member': ''}, {'member': 7}, {'member': 'x' * 256}, {'member': 'a', 'b': 'c'}, []):
        assert cloud.request(cloud.alice, 'POST', f'/v2/images/{id}/members', body).status == 400, body


def test_an_image_shared_no_longer_is_seen_no_longer(cloud):
    id = cloud.create()['id']
    share(cloud, id)
    assert cloud.request(cloud.alice, 'DELETE', f'/v2/images/{id}/members/bob').status == 204
    assert cloud.request(cloud.alice, 'DELETE', f'/v2/images/{id}/members/bob').status == 404
    assert cloud.get(f'/v2/images/{id}', cloud.bob).status == 404


def test_making_an_image_private_hides_it_from_its_members(cloud):
    id = cloud.create()['id']
    share(cloud, id)
    cloud.patch(id, [{'op': 'replace', 'path': '/visibility', 'value': 'private'}])
    assert cloud.get(f'/v2/images/{id}', cloud.bob).status == 404


def test_a_deactivated_image_keeps_its_data_to_itself(cloud):
    id = cloud.active()['id']
    path = f'/v2/images/{id}'
    for _ in range(2):
        assert cloud.request(cloud.alice, 'POST', path + '/actions/deactivate').status == 204
    assert cloud.show(id)['status'] == 'deactivated'
    assert cloud.get(path + '/file').status == 403
    assert cloud.get(path + '/file', cloud.root).body == b'disk'
    assert cloud.upload(id, b'other').status == 409
    assert cloud.request(cloud.alice, 'POST', path + '/actions/reactivate').status == 204
    assert cloud.get(path + '/file').body == b'disk'


def test_an_image_without_data_cannot_be_deactivated(cloud):
    id = cloud.create()['id']
    for action in ('deactivate', 'reactivate'):
        assert cloud.request(cloud.alice, 'POST', f'/v2/images/{id}/actions/{action}').status == 403
    assert cloud.show(id)['status'] == 'queued'

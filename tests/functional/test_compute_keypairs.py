"""Key pairs."""

import pytest
from cryptography.hazmat.primitives import serialization

from tests.functional.nova_cloud import Cloud

KEY = ('ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl alice@laptop')


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    yield made
    made.close()


def make(cloud, name='k', version='2.10', status=201, **more):
    answer = cloud.call('POST', '/os-keypairs', {'keypair': {'name': name, 'public_key': KEY, **more}},
                        version=version)
    assert answer.status == status, answer.body
    return answer.json


def test_an_imported_key_is_shown_with_its_fingerprint(cloud):
    made = make(cloud)['keypair']
    assert 'private_key' not in made
    assert made['fingerprint'] == '65:96:2d:fc:e8:d5:a9:11:64:0c:0f:ea:00:6e:5b:bd'
    shown = cloud.get('/os-keypairs/k', version='2.10')['keypair']
    assert shown['public_key'] == KEY and shown['user_id'] == 'alice' and shown['type'] == 'ssh'
    assert isinstance(shown['id'], int) and shown['deleted'] is False


@pytest.mark.parametrize('version, body, status', [
    ('2.1', {'name': 'k'}, 200),
    ('2.1', {'name': 'k', 'type': 'ssh'}, 400),
    ('2.2', {'name': 'k', 'type': 'ssh'}, 201),
    ('2.2', {'name': 'k', 'type': 'x509'}, 201),
    ('2.2', {'name': 'k', 'type': 'pgp'}, 400),
    ('2.9', {'name': 'k', 'user_id': 'alice'}, 400),
    ('2.10', {'name': 'k', 'user_id': 'alice'}, 201),
    ('2.10', {'name': 'k', 'user_id': 'bob'}, 403),
    ('2.91', {'name': 'k'}, 201),
    ('2.92', {'name': 'k'}, 400),
    ('2.92', {'name': 'a.b@c', 'public_key': KEY}, 201),
    ('2.91', {'name': 'a.b@c', 'public_key': KEY}, 400),
    ('2.92', {'name': 'k', 'public_key': 'ssh-rsa AAAA'}, 400),
    ('2.92', {'name': 'k', 'public_key': 'nonsense'}, 400),
    ('2.92', {'name': 'k', 'public_key': '[\x10 \U00074228'}, 400),
    ('2.92', {'name': 'k', 'public_key': 'ssh-rsa \ud800'}, 400),
    ('2.2', {'name': 'k', 'type': 'x509', 'public_key': '\ud800'}, 400),
    ('2.2', {'name': 'k', 'type': 'x509', 'public_key': 'nonsense'}, 400),
    ('2.1', {'name': ''}, 400),
    ('2.1', {'name': ' k'}, 400),
    ('2.1', {'name': 'x' * 256}, 400),
    ('2.1', {'name': 'k', 'colour': 'red'}, 400),
    ('2.1', {}, 400),
])
def test_create_at_version(cloud, version, body, status):
    assert cloud.call('POST', '/os-keypairs', {'keypair': body}, version=version).status == status
    assert len(cloud.get('/os-keypairs')['keypairs']) == (status < 300)


def test_a_pair_made_here_works_and_its_private_half_is_told_once(cloud):
    made = cloud.post('/os-keypairs', {'keypair': {'name': 'k'}})['keypair']
    private = serialization.load_pem_private_key(made['private_key'].encode(), None)
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert made['public_key'].startswith(public.decode())
    assert 'private_key' not in cloud.get('/os-keypairs/k')['keypair']


def test_names_are_unique_for_a_user_only(cloud):
    make(cloud)
    make(cloud, status=409)
    assert cloud.call('POST', '/os-keypairs', {'keypair': {'name': 'k', 'public_key': KEY}}, user='bob').status == 200
    assert cloud.call('DELETE', '/os-keypairs/k', user='bob').status == 202
    assert cloud.get('/os-keypairs/k')['keypair']['user_id'] == 'alice'


@pytest.mark.parametrize('version, status', [('2.1', 202), ('2.2', 204)])
def test_delete_at_version(cloud, version, status):
    make(cloud)
    assert cloud.call('DELETE', '/os-keypairs/k', version=version).status == status
    assert cloud.call('GET', '/os-keypairs/k').status == 404
    assert cloud.call('DELETE', '/os-keypairs/k', version=version).status == 404


def test_lists_are_paged_from_2_35(cloud):
    for name in ('a', 'b', 'c'):
        make(cloud, name)
    page = cloud.get('/os-keypairs?limit=2', version='2.35')
    assert [pair['keypair']['name'] for pair in page['keypairs']] == ['a', 'b']
    rest = cloud.get(page['keypairs_links'][0]['href'].partition('/v2.1')[2], version='2.35')
    assert [pair['keypair']['name'] for pair in rest['keypairs']] == ['c']
    assert cloud.call('GET', '/os-keypairs?marker=z', version='2.35').status == 400
    assert len(cloud.get('/os-keypairs?limit=2', version='2.34')['keypairs']) == 3


def test_admins_see_another_users_keys_from_2_10(cloud):
    make(cloud)
    assert len(cloud.admin('GET', '/os-keypairs?user_id=alice', version='2.10').json['keypairs']) == 1
    assert cloud.admin('GET', '/os-keypairs?user_id=alice', version='2.9').json['keypairs'] == []
    assert cloud.call('GET', '/os-keypairs?user_id=bob', version='2.10').status == 403
    assert cloud.admin('DELETE', '/os-keypairs/k?user_id=alice', version='2.10').status == 204


def test_the_quota_bounds_them(tmp_path):
    cloud = Cloud(tmp_path, quota__key_pairs=1)
    make(cloud)
    answer = cloud.call('POST', '/os-keypairs', {'keypair': {'name': 'l', 'public_key': KEY}})
    assert answer.status == 403
    assert len(cloud.get('/os-keypairs')['keypairs']) == 1
    cloud.close()


def test_the_limit_of_the_callers_project_bounds_them_wherever_they_were_made(cloud):
    def import_key(name, project='demo'):
        return cloud.call('POST', '/os-keypairs', {'keypair': {'name': name, 'public_key': KEY}},
                          project=project).status
    assert cloud.admin('PUT', '/os-quota-sets/demo', {'quota_set': {'key_pairs': 1}}).status == 200
    assert [import_key('a'), import_key('b'), import_key('b', project='other')] == [200, 403, 200]
    assert import_key('c') == 403
    assert cloud.admin('PUT', '/os-quota-sets/demo', {'quota_set': {'key_pairs': -1}}).status == 200
    assert import_key('c') == 200

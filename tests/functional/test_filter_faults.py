"""What a filter refuses looks like the service's own errors: each service's pipeline, from its sample paste file."""

import dataclasses
from pathlib import Path

import pytest

from glance import pipelines as glance_pipelines
from strata import errors
from strata.wsgi import middleware
from tests.functional import glance_cloud, nova_cloud
from tests.functional.keystone_cloud import build, keystone_template  # noqa: F401
from tests.functional.nova_cloud import ask

# the fixtures above are used by name
# ruff: noqa: F811

ETC = Path(__file__).parents[2] / 'etc'
TOO_MUCH = b'{' + b' ' * 300000 + b'}'


class Nobody:
    """An identity service that is not there."""

    auth_uri = 'http://keystone.example:5000/v3'

    def validate(self, token):
        raise errors.Unavailable(service='Keystone')


@pytest.fixture
def nova(tmp_path):
    cloud = nova_cloud.Cloud(tmp_path)
    yield cloud
    cloud.close()


@pytest.fixture
def glance(tmp_path):
    cloud = glance_cloud.Cloud(tmp_path / 'glance', paste_deploy__config_file=str(ETC / 'glance' / 'api-paste.ini'))
    yield cloud
    cloud.wiring.db.dispose()


def orphan(wiring):
    """The same wiring without an identity service."""
    return dataclasses.replace(wiring, identity=Nobody())


def test_compute_refuses_in_its_own_words(nova):
    large = nova.call('POST', '/servers', TOO_MUCH)
    assert (large.status, large.json) == (413, {'overLimit': {
        'code': 413, 'message': 'The request body is larger than 262144 bytes.'}})
    assert large.headers['x-compute-request-id'] == large.headers['x-openstack-request-id']
    nova.apis = nova_cloud.api.applications(nova.conf, orphan(nova.wiring))
    assert nova.get('/servers', 503) == {'serviceUnavailable': {
        'code': 503, 'message': 'The identity service is not available.'}}


def test_the_network_refuses_in_its_own_words(nova):
    large = ask(nova.apis['network'], 'POST', '/v2.0/networks', TOO_MUCH, token='member:alice:demo')
    assert large.status == 413
    assert large.json['NeutronError'] == {
        'type': 'BodyTooLarge', 'message': 'The request body is larger than 262144 bytes.', 'detail': ''}
    alone = nova_cloud.api.applications(nova.conf, orphan(nova.wiring))['network']
    lost = ask(alone, 'GET', '/v2.0/networks', token='member:alice:demo')
    assert (lost.status, lost.json['NeutronError']['type']) == (503, 'Unavailable')


def test_identity_refuses_in_its_own_words(build):
    sample = build(api__paste_config=str(ETC / 'keystone' / 'api-paste.ini'))
    for cloud in (sample, build()):
        large = cloud.call('POST', '/v3/auth/tokens', raw=TOO_MUCH)
        assert large.json == {'error': {'code': 413, 'title': 'Content Too Large',
                                        'message': 'The request body is larger than 114688 bytes.'}}


@pytest.mark.parametrize('sample', [True, False], ids=['paste file', 'built in'])
def test_images_are_refused_with_a_page(glance, sample):
    wiring = orphan(glance.wiring)
    if not sample:
        wiring.conf.set_override('config_file', 'nowhere.ini', group='paste_deploy')
    lost = ask(glance_pipelines.api(wiring), 'GET', '/v2/images', token='one')
    assert (lost.status, lost.headers['content-type']) == (503, 'text/html; charset=UTF-8')
    assert b'<h1>503 Service Unavailable</h1>' in lost.body
    nobody = ask(glance_pipelines.api(wiring), 'GET', '/v2/images')
    assert (nobody.status, nobody.headers['content-type']) == (401, 'text/html; charset=UTF-8')
    assert nobody.headers['www-authenticate'] == f'Keystone uri="{Nobody.auth_uri}"'


def test_a_document_about_images_is_bounded_with_a_page(glance):
    large = glance.request(glance.alice, 'POST', '/v2/images', TOO_MUCH * 20)
    assert (large.status, large.headers['content-type']) == (413, 'text/html; charset=UTF-8')


def test_a_form_that_nobody_knows_is_refused_when_the_pipeline_is_made():
    with pytest.raises(errors.Invalid, match='no form of errors html; there are compute, identity'):
        middleware.sizelimit({}, fault='html')

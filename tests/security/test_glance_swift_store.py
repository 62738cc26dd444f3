"""Published weaknesses of image services that keep images in an object store: none of them is ours."""

import logging

import pytest

from glance.stores import load
from strata import clock, errors
from strata import conf as configuration
from tests.functional.glance_cloud import Cloud
from tests.functional.keystone_cloud import PASSWORD, keystone_template  # noqa: F401
from tests.functional.test_glance_swift_store import OPTIONS, object_store  # noqa: F401

# the fixtures above are used by name
# ruff: noqa: F811


def test_ossa_2014_004_a_store_that_cannot_be_reached_gives_no_password_away(object_store, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    for wrong in ({'swift_store_key': 'the wrong secret'}, {'swift_store_endpoint': 'http://u:inurl@127.0.0.1:1/v1/A'},
                  {'swift_store_auth_address': 'http://u:inurl@127.0.0.1:1'}):
        options = {**object_store.glance, **{f'glance_store__{name}': value for name, value in wrong.items()}}
        cloud = Cloud(tmp_path / next(iter(wrong)), **options)
        store = load(configuration.load('glance-api', OPTIONS, [], files=[], **options))['swift']
        with pytest.raises(errors.Unavailable) as caught:
            store.write(clock.new_uuid(), [b'x'])
        answer = cloud.upload(cloud.create()['id'], b'data')
        assert answer.status >= 500
        for secret in (PASSWORD, 'the wrong secret', 'inurl', '127.0.0.1'):
            assert secret not in answer.body.decode() + str(caught.value)
        for secret in (PASSWORD, 'the wrong secret', 'inurl'):
            assert secret not in caplog.text


def test_ossa_2014_004_what_is_shown_of_an_image_tells_nothing_of_the_store(object_store, tmp_path):
    cloud = Cloud(tmp_path / 'glance', **object_store.glance)
    image = cloud.active()
    shown = str(cloud.show(image['id'])) + cloud.get('/v2/info/stores').body.decode()
    for secret in (PASSWORD, '127.0.0.1', 'swift+', 'http', object_store.project['id']):
        assert secret not in shown


def test_nothing_of_a_store_is_shown_with_its_options(object_store):
    conf = configuration.load('glance-api', OPTIONS, [], files=[], **object_store.glance)
    lines = []
    conf.log_opt_values(type('Log', (), {'log': lambda self, level, form, *values: lines.append(form % values)})(), 10)
    assert lines and PASSWORD not in ''.join(lines)

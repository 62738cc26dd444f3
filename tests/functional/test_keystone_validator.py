"""Services in keystone's own process ask it about tokens without HTTP."""

import pytest

from keystone.validator import Local
from strata import errors
from strata.wsgi.authtoken import AuthToken
from tests.functional import test_keystone_credentials as credentials
from tests.functional.keystone_cloud import build, keystone, keystone_template  # noqa: F401

# the fixtures above are used by name
# ruff: noqa: F811


def test_a_good_token_is_shown_as_over_http_but_for_the_catalog(keystone):
    shown = Local(keystone.wiring).validate(keystone.admin)
    over_http = keystone.validate(keystone.admin, query='?nocatalog').json['token']
    assert shown == over_http


@pytest.mark.parametrize('token', ['', 'nonsense', 'x' * 5000])
def test_any_other_is_unauthorized(keystone, token):
    with pytest.raises(errors.Unauthorized):
        Local(keystone.wiring).validate(token)


def test_a_lost_role_and_a_revoked_token_are_noticed(keystone):
    project, user = keystone.member('demo', 'demo')
    local, token = Local(keystone.wiring), keystone.login('demo', project='demo')
    assert [role['name'] for role in local.validate(token)['roles']] == ['member', 'reader']
    keystone.delete(f'/projects/{project["id"]}/users/{user["id"]}/roles/{keystone.role("member")}')
    with pytest.raises(errors.Unauthorized):
        local.validate(token)


def test_a_token_with_access_rules_is_not_for_who_does_not_enforce_them(keystone):
    _, user = keystone.member('demo', 'demo')
    token = keystone.login('demo', project='demo')
    rules = [{'service': 'compute', 'method': 'GET', 'path': '/v2.1/servers'}]
    made = credentials.application(keystone, token, user, access_rules=rules).json['application_credential']
    got = credentials.by_application(keystone, made).headers['x-subject-token']
    with pytest.raises(errors.Unauthorized):
        Local(keystone.wiring).validate(got)


def test_authtoken_takes_it_as_its_validator(keystone):
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        start_response('204 No Content', [])
        return []

    guarded = AuthToken(app, Local(keystone.wiring), clock=keystone.clock)
    statuses = []
    for token in (keystone.admin, 'nonsense'):
        environ = {'REQUEST_METHOD': 'GET', 'PATH_INFO': '/', 'HTTP_HOST': 'cloud.example', 'wsgi.url_scheme': 'http',
                   'HTTP_X_AUTH_TOKEN': token, 'HTTP_X_ROLES': 'forged'}
        b''.join(guarded(environ, lambda status, headers, exc_info=None: statuses.append(status[:3])))
    assert statuses == ['204', '401']
    context = seen['strata.context']
    assert context.project_name == 'admin' and set(context.roles) == {'admin', 'manager', 'member', 'reader'}

"""Tokens: validated with a keystone over HTTP, believed for a while, never against the client's word."""

import datetime
import json
import types

import pytest

from strata import clock, errors, http
from strata.identity import Identity
from strata.testing.clock import FrozenClock
from strata.testing.web import Raw, serving
from strata.wsgi import authtoken, pipeline
from strata.wsgi.middleware import RequestId


class Keystone:
    """Enough of keystone to issue one service token and validate what it is told of."""

    def __init__(self, now):
        self.now = now
        self.tokens = {}
        self.own = None
        self.issued = self.asked = 0
        self.failure = None

    def add(self, token, user='alice', roles=('member',), lasts=3600, **scope):
        self.tokens[token] = {
            'user': {'id': f'{user}-id', 'name': user, 'domain': {'id': 'default', 'name': 'Default'}},
            'roles': [{'id': f'{role}-id', 'name': role} for role in roles], 'methods': ['password'],
            'expires_at': clock.iso_micro(self.now() + datetime.timedelta(seconds=lasts)) + 'Z', **scope}

    def __call__(self, environ, start_response):
        if self.failure:
            start_response(self.failure, [])
            return [b'']
        if (environ['REQUEST_METHOD'], environ['PATH_INFO']) == ('POST', '/v3/auth/tokens'):
            return self.issue(json.loads(environ['wsgi.input'].read()), start_response)
        if environ.get('HTTP_X_AUTH_TOKEN') != self.own:
            return self.answer(start_response, '401 Unauthorized', {})
        self.asked += 1
        body = self.tokens.get(environ.get('HTTP_X_SUBJECT_TOKEN'))
        if body is None:
            return self.answer(start_response, '404 Not Found', {})
        return self.answer(start_response, '200 OK', {'token': body})

    def issue(self, request, start_response):
        password = request['auth']['identity']['password']['user']
        if password['password'] != 'secret':
            return self.answer(start_response, '401 Unauthorized', {})
        self.issued += 1
        self.own = f'own-{self.issued}'
        self.add(self.own, 'nova', ['service'])
        catalog = [{'type': 'image', 'endpoints': [
            {'interface': 'public', 'region_id': 'RegionOne', 'url': 'http://public:9292/'},
            {'interface': 'internal', 'region_id': 'RegionOne', 'url': 'http://one:9292/'},
            {'interface': 'internal', 'region_id': 'RegionTwo', 'url': 'http://two:9292/'}]}]
        return self.answer(start_response, '201 Created',
                           {'token': {**self.tokens[self.own], 'catalog': catalog}},
                           [('X-Subject-Token', self.own)])

    @staticmethod
    def answer(start_response, status, body, headers=()):
        start_response(status, [('Content-Type', 'application/json'), *headers])
        return [json.dumps(body).encode()]


PROJECT = {'project': {'id': 'p1', 'name': 'Pröject', 'domain': {'id': 'd1', 'name': 'Dom'}}}


@pytest.fixture
def clocks():
    return FrozenClock()


@pytest.fixture
def keystone(clocks):
    keystone = Keystone(clocks.now)
    keystone.add('good', roles=['member', 'reader'], **PROJECT)
    return keystone


@pytest.fixture
def identity(keystone, clocks):
    with serving(keystone, name='keystone') as server:
        options = types.SimpleNamespace(
            auth_url=f'http://127.0.0.1:{server.port}/', username='nova', password='secret',
            project_name='service', user_domain_name='Default', project_domain_name='Default',
            region_name=None, www_authenticate_uri='http://cloud:5000/v3')
        yield Identity(options, clock=clocks, client=http.Client(service='Keystone', retries=0))


@pytest.fixture
def seen():
    return {}


def application(seen):
    def app(environ, start_response):
        seen.clear()
        seen.update(environ)
        start_response(environ.get('HTTP_X_STATUS', '200 OK'), [])
        return [b'']
    return app


@pytest.fixture
def serve(identity, clocks, seen):
    """A protected application, and a client of it."""
    def make(**options):
        server = serving(RequestId(authtoken.AuthToken(application(seen), identity, clock=clocks, **options)))
        running.append(server)
        return Raw(server.__enter__())
    running = []
    yield make
    for server in running:
        server.__exit__(None, None, None)


def test_the_application_is_told_who_asks(serve, seen):
    answer = serve().get('/', 'X-Auth-Token: good')
    assert answer.code == 200
    context = seen['strata.context']
    assert context.request_id == answer.header('x-openstack-request-id') == seen['strata.request_id']
    assert (context.user_id, context.user_name, context.user_domain_id) == ('alice-id', 'alice', 'default')
    assert (context.project_id, context.project_name, context.project_domain_name) == ('p1', 'Pröject', 'Dom')
    assert context.roles == ('member', 'reader')
    assert (context.token, context.remote_address) == ('good', '127.0.0.1')
    assert (context.is_admin, context.system_scope, context.domain_id) == (False, None, None)


def test_foreign_applications_find_the_classic_keys(serve, seen):
    serve().get('/', 'X-Auth-Token: good')
    assert {key: seen[key] for key in seen if key.startswith('HTTP_X_')} == {
        'HTTP_X_AUTH_TOKEN': 'good', 'HTTP_X_IDENTITY_STATUS': 'Confirmed', 'HTTP_X_USER_ID': 'alice-id',
        'HTTP_X_USER_NAME': 'alice', 'HTTP_X_USER_DOMAIN_ID': 'default', 'HTTP_X_USER_DOMAIN_NAME': 'Default',
        'HTTP_X_PROJECT_ID': 'p1', 'HTTP_X_PROJECT_NAME': 'Pröject'.encode().decode('latin-1'),
        'HTTP_X_PROJECT_DOMAIN_ID': 'd1', 'HTTP_X_PROJECT_DOMAIN_NAME': 'Dom',
        'HTTP_X_ROLES': 'member,reader', 'HTTP_X_ROLE': 'member,reader', 'HTTP_X_USER': 'alice',
        'HTTP_X_TENANT': 'Pröject'.encode().decode('latin-1'), 'HTTP_X_TENANT_ID': 'p1',
        'HTTP_X_TENANT_NAME': 'Pröject'.encode().decode('latin-1'), 'HTTP_X_IS_ADMIN_PROJECT': 'True'}
    assert seen['keystone.token_info']['token']['user']['name'] == 'alice'


@pytest.mark.parametrize('scope, expected', [
    ({}, (None, None, None)),
    ({'domain': {'id': 'd1', 'name': 'Dom'}}, (None, 'd1', None)),
    ({'system': {'all': True}}, (None, None, 'all'))])
def test_other_scopes(serve, seen, keystone, scope, expected):
    keystone.add('scoped', **scope)
    serve().get('/', 'X-Auth-Token: scoped')
    context = seen['strata.context']
    assert (context.project_id, context.domain_id, context.system_scope) == expected
    assert ('HTTP_X_PROJECT_ID' in seen, 'HTTP_X_DOMAIN_ID' in seen) == (False, expected[1] is not None)
    assert seen.get('HTTP_OPENSTACK_SYSTEM_SCOPE') == expected[2]


SPOOFED = ['X-User-Id: root', 'X-Project-Id: p2', 'X-Roles: admin', 'X-Role: admin', 'X-Tenant-Id: p2',
           'X-Identity-Status: Confirmed', 'X-Service-Roles: service', 'X-Service-User-Id: nova',
           'X-Service-Identity-Status: Confirmed', 'X-Domain-Id: d9', 'OpenStack-System-Scope: all',
           'X-Is-Admin-Project: True', 'X-Service-Catalog: []', 'X_User_Id: root', 'x-USER-id: root']


@pytest.mark.parametrize('token', ['X-Auth-Token: good', 'X-Auth-Token: bad', 'X-Other: x'])
def test_identity_headers_of_the_client_are_always_stripped(serve, seen, token):
    serve(delay=True).get('/', *SPOOFED, token)
    told = ' '.join(f'{key}={seen[key]}' for key in seen if key.startswith('HTTP_'))
    assert not any(word in told for word in ('root', 'p2', 'admin', 'nova', 'd9', 'SERVICE', 'SYSTEM_SCOPE'))
    good = token.endswith('good')
    assert seen['HTTP_X_IDENTITY_STATUS'] == ('Confirmed' if good else 'Invalid')
    assert seen['strata.context'].user_id == ('alice-id' if good else None)


@pytest.mark.parametrize('headers', [(), ('X-Auth-Token: bad',), ('X-Auth-Token:',),
                                     ('X-Auth-Token: b\xe9d',), ('X-Auth-Token: good', 'X-Auth-Token: good')])
def test_without_a_valid_token_nobody_gets_through(serve, seen, headers):
    answer = serve().get('/', *headers)
    assert answer.code == 401
    assert answer.header('WWW-Authenticate') == 'Keystone uri="http://cloud:5000/v3"'
    assert json.loads(answer.body)['error']['code'] == 401
    assert answer.header('x-openstack-request-id')
    assert not seen


def test_the_decision_can_be_left_to_the_application(serve, seen):
    client = serve(delay=True)
    assert client.get('/', 'X-Auth-Token: bad').code == 200
    answer = client.get('/', 'X-Status: 401 No')
    assert (answer.code, answer.header('WWW-Authenticate')) == (401, 'Keystone uri="http://cloud:5000/v3"')


def test_a_validated_token_is_believed_for_a_while_but_a_revoked_one_not_for_long(serve, keystone, clocks):
    client = serve(cache_time=60)
    assert [client.get('/', 'X-Auth-Token: good').code for _ in range(3)] == [200] * 3
    assert keystone.asked == 1
    del keystone.tokens['good']
    clocks.advance(59)
    assert client.get('/', 'X-Auth-Token: good').code == 200
    clocks.advance(2)
    assert client.get('/', 'X-Auth-Token: good').code == 401
    assert keystone.asked == 2


def test_a_token_is_never_believed_beyond_its_expiry(serve, keystone, clocks):
    keystone.add('short', lasts=30)
    client = serve(cache_time=3600)
    assert client.get('/', 'X-Auth-Token: short').code == 200
    clocks.advance(31)
    assert client.get('/', 'X-Auth-Token: short').code == 401


def test_a_keystone_that_validates_an_expired_token_is_not_believed(serve, keystone):
    keystone.add('late', lasts=-1)
    assert serve().get('/', 'X-Auth-Token: late').code == 401


def test_the_cache_is_bounded(serve, keystone):
    client = serve(cache_size=10)
    for number in range(20):
        keystone.add(f'token-{number}')
        client.get('/', f'X-Auth-Token: token-{number}')
    client.get('/', 'X-Auth-Token: token-19')
    assert keystone.asked == 20
    client.get('/', 'X-Auth-Token: token-0')
    assert keystone.asked == 21


def test_a_guesser_does_not_reach_keystone_again_and_again(serve, keystone, clocks):
    client = serve()
    assert [client.get('/', 'X-Auth-Token: guess').code for _ in range(5)] == [401] * 5
    assert keystone.asked == 1
    keystone.add('guess')
    clocks.advance(11)
    assert client.get('/', 'X-Auth-Token: guess').code == 200


def test_a_service_token_is_told_beside_the_users(serve, seen, keystone):
    keystone.add('svc', 'nova', ['service', 'admin'])
    client = serve()
    client.get('/', 'X-Auth-Token: good', 'X-Service-Token: svc')
    context = seen['strata.context']
    assert (context.roles, context.service_roles) == (('member', 'reader'), ('service', 'admin'))
    assert (context.user_id, context.service_user_id) == ('alice-id', 'nova-id')
    assert seen['HTTP_X_SERVICE_ROLES'] == 'service,admin'
    assert seen['HTTP_X_SERVICE_IDENTITY_STATUS'] == 'Confirmed'
    assert client.get('/', 'X-Auth-Token: good', 'X-Service-Token: bad').code == 401


@pytest.mark.parametrize('failure', ['503 Service Unavailable', '500 Internal Server Error', '404 Not Found'])
def test_a_keystone_that_fails_is_a_503_and_is_asked_again(serve, keystone, failure):
    client = serve(delay=True)
    keystone.failure = failure
    assert client.get('/', 'X-Auth-Token: good').code == 503
    keystone.failure = None
    assert client.get('/', 'X-Auth-Token: good').code == 200


def test_a_keystone_that_is_not_there_is_a_503(seen, identity, clocks):
    options = types.SimpleNamespace(**{**vars(identity._options), 'auth_url': 'http://127.0.0.1:1'})
    lonely = Identity(options, client=http.Client(service='Keystone', retries=0))
    with serving(authtoken.AuthToken(application(seen), lonely)) as server, Raw(server) as client:
        assert client.get('/', 'X-Auth-Token: good').code == 503
        assert client.get('/').code == 401      # nothing to ask keystone about


def test_the_services_own_token_is_renewed_when_it_is_refused_and_before_it_expires(serve, keystone, clocks):
    client = serve(cache_time=0)
    client.get('/', 'X-Auth-Token: good')
    assert keystone.issued == 1
    keystone.own = 'the key was rotated'
    assert client.get('/', 'X-Auth-Token: good').code == 200
    assert keystone.issued == 2
    keystone.add('good', lasts=99999)
    clocks.advance(3600 - 59)
    assert client.get('/', 'X-Auth-Token: good').code == 200
    assert keystone.issued == 3


def test_a_service_with_a_wrong_password_is_a_503_for_its_clients(serve, identity):
    identity._options.password = 'wrong'
    assert serve().get('/', 'X-Auth-Token: good').code == 503


def test_many_requests_at_once_fetch_one_token_of_our_own(identity, keystone):
    from strata import green
    assert set(green.Pool(10).map(lambda _: identity.token(), range(10))) == {'own-1'}
    assert keystone.issued == 1


def test_endpoints_come_from_the_catalog(identity):
    assert identity.endpoint('image') == 'http://one:9292'
    assert identity.endpoint('image', 'public') == 'http://public:9292'
    identity._options.region_name = 'RegionTwo'
    assert identity.endpoint('image') == 'http://two:9292'
    with pytest.raises(errors.Unavailable, match='no internal endpoint of volume'):
        identity.endpoint('volume')


def test_a_validator_in_the_same_process_takes_keystones_place(tmp_path, seen, clocks, monkeypatch):
    class Local:
        auth_uri = 'http://here/v3'

        def validate(self, token):
            if token != 'good':
                raise errors.NotFound(kind='Token', id='...')
            return {'user': {'id': 'u', 'name': 'n', 'domain': {'id': 'd', 'name': 'D'}},
                    'expires_at': '2026-11-22T13:00:00Z'}
    module = types.ModuleType('tests_authtoken_app')
    module.factory = lambda global_conf, **options: application(seen)
    monkeypatch.setitem(__import__('sys').modules, 'tests_authtoken_app', module)
    (tmp_path / 'paste.ini').write_text(
        '[pipeline:main]\npipeline = authtoken app\n'
        '[filter:authtoken]\npaste.filter_factory = strata.wsgi.authtoken:filter_factory\n'
        '[app:app]\npaste.app_factory = tests_authtoken_app:factory\n')
    wiring = types.SimpleNamespace(identity=Local(), clock=clocks)
    with serving(pipeline.load(str(tmp_path / 'paste.ini'), 'main', wiring)) as server, Raw(server) as client:
        assert client.get('/', 'X-Auth-Token: good').code == 200
        assert seen['strata.context'].user_id == 'u'
        assert client.get('/', 'X-Auth-Token: bad').header('WWW-Authenticate') == 'Keystone uri="http://here/v3"'

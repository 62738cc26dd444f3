"""What keystone's users may do, decided from what authtoken says of them."""

import pytest

from swift.middleware import keystoneauth
from tests.functional.swift_filters import Authorizing, ask

ACCOUNT = '/v1/AUTH_p1'


def who(user='u1', project='p1', roles='admin', domain='default', project_domain='default', status='Confirmed', **more):
    """The headers that authtoken sets."""
    said = {'X-Identity-Status': status, 'X-User-Id': user, 'X-User-Name': f'{user}name', 'X-Roles': roles,
            'X-User-Domain-Id': domain, 'X-Project-Id': project, 'X-Project-Name': project and f'{project}name',
            'X-Project-Domain-Id': project_domain, **more}
    return {name: value for name, value in said.items() if value is not None}


def filtered(app, **conf):
    return keystoneauth.filter_factory({}, **conf)(app)


SERVICES = {'reseller_prefix': 'AUTH, SERVICE', 'SERVICE_service_roles': 'service', 'system_reader_roles': 'sysreader',
            'project_reader_roles': 'projreader'}
ASKED = {'get': ('GET', ACCOUNT), 'post': ('POST', ACCOUNT), 'container': ('GET', ACCOUNT + '/c'),
         'upload': ('PUT', ACCOUNT + '/c/o'), 'service': ('GET', '/v1/SERVICE_p1'), 'foreign': ('GET', '/v1/FOO_p1'),
         'hidden': ('GET', '/v1/.x')}
#: the published filter's answers, without access lists: get post container upload service foreign hidden
TABLE = {
    'nobody': ({}, [401] * 7),
    'an invalid token': (who(status='Invalid'), [401] * 7),
    'the owner': (who(), [200, 200, 200, 200, 403, 403, 403]),
    'the owner, in capitals': (who(roles='SwiftOperator,ADMIN'), [200, 200, 200, 200, 403, 403, 403]),
    'the owner with a service token': (who(**{'X-Service-Roles': 'service'}), [200, 200, 200, 200, 200, 403, 403]),
    'the owner with another service token': (who(**{'X-Service-Roles': 'foo'}), [200, 200, 200, 200, 403, 403, 403]),
    'the owner of another project': (who(project='p2'), [403] * 7),
    'a member': (who(roles='member'), [403] * 7),
    'a member with a service token': (who(roles='member', **{'X-Service-Roles': 'service'}), [403] * 7),
    'somebody named as the project': (who(user='p1', roles='member'), [403] * 7),
    'an owner without a project': (who(project=None), [403] * 7),
    'somebody without a role': (who(roles=''), [403] * 7),
    'the reseller': (who(project='p2', roles='ResellerAdmin'), [200] * 7),
    'a reader of the system': (who(project=None, roles='sysreader'), [200, 403, 200, 403, 200, 200, 200]),
    'a reader of the project': (who(roles='projreader'), [200, 403, 200, 403, 200, 403, 403]),
    'a reader of another project': (who(project='p2', roles='projreader'), [403] * 7)}


@pytest.mark.parametrize('name', TABLE)
def test_the_published_table_holds(name):
    headers, answers = TABLE[name]
    app = filtered(Authorizing(), **SERVICES)
    assert [ask(app, path, method, headers=headers).status for method, path in ASKED.values()] == answers
    assert ask(app, ACCOUNT + '/c', 'OPTIONS', headers=headers).status == 200


def test_an_account_is_made_by_its_users_and_removed_by_the_reseller():
    app = filtered(Authorizing())
    for headers, answers in ((who(), [200, 403, 200]), (who(project='p2', roles='ResellerAdmin'), [200, 200, 200]),
                             (who(project='p2'), [403, 403, 403])):
        assert [ask(app, path, method, headers=headers).status for method, path in (
            ('PUT', ACCOUNT), ('DELETE', ACCOUNT), ('DELETE', ACCOUNT + '/c'))] == answers


def test_only_owners_and_resellers_are_marked():
    app = Authorizing()
    for headers, owner, reseller in ((who(), True, None), (who(project='p2', roles='reselleradmin'), True, True),
                                     (who(roles='projreader'), None, None), (who(roles='sysreader'), None, None)):
        ask(filtered(app, **SERVICES), ACCOUNT, headers=headers)
        assert (app.last.get('swift_owner'), app.last.get('reseller_request')) == (owner, reseller)


def test_a_role_of_one_prefix_is_not_that_of_another():
    app = filtered(Authorizing(), reseller_prefix="AUTH, '', OTHER", operator_roles='admin',
                   OTHER_operator_roles='boss', **{"''operator_roles": 'root'})
    paths = ('/v1/AUTH_p1', '/v1/OTHER_p1', '/v1/p1')
    for roles, allowed in (('admin', '/v1/AUTH_p1'), ('boss', '/v1/OTHER_p1'), ('root', '/v1/p1')):
        answers = {path: ask(app, path, headers=who(roles=roles)).status for path in paths}
        assert [path for path, status in answers.items() if status == 200] == [allowed]


PEOPLE = {
    'nobody': {}, 'p2:u2': who('u2', 'p2', 'member'), 'p3:u2': who('u2', 'p3', 'member'),
    'p2:u3': who('u3', 'p2', 'member'), 'p2:u2 of another domain': who('u2', 'p2', 'member', 'd2', 'd2'),
    'p2:u2, user elsewhere': who('u2', 'p2', 'member', 'd2'), 'p1 with the role': who('u4', 'p1', 'Crew'),
    'p1 without': who('u4', 'p1', 'member'), 'p2 with the role': who('u2x', 'p2', 'crew')}
#: a list -> those whom it lets in, of PEOPLE
LISTED = {
    'p2:u2': {'p2:u2', 'p2:u2 of another domain', 'p2:u2, user elsewhere'},
    '*:u2': {'p2:u2', 'p3:u2', 'p2:u2 of another domain', 'p2:u2, user elsewhere'},
    'p2:*': {'p2:u2', 'p2:u3', 'p2:u2 of another domain', 'p2:u2, user elsewhere', 'p2 with the role'},
    '*:*': set(PEOPLE) - {'nobody'},
    # names count in the default domain only
    'p2name:u2name': {'p2:u2'}, '*:u2name': {'p2:u2', 'p3:u2'}, 'p2:u2name': {'p2:u2'}, 'p2name:u2': {'p2:u2'},
    'p2name:*': {'p2:u2', 'p2:u3', 'p2 with the role'},
    'crew': {'p1 with the role'}, 'p2': set(), 'u2': set(), 'p2name': set(), '': set()}


@pytest.mark.parametrize('listed', LISTED)
def test_a_list_lets_in_whom_it_names(listed):
    app = filtered(Authorizing({ACCOUNT + '/c': (listed, listed)}))
    for method, path in (('GET', ACCOUNT + '/c'), ('GET', ACCOUNT + '/c/o'), ('PUT', ACCOUNT + '/c/o')):
        assert {name for name, headers in PEOPLE.items()
                if ask(app, path, method, headers=headers).status == 200} == LISTED[listed]
    assert all(ask(app, ACCOUNT + '/c', 'POST', headers=headers).status in (401, 403) for headers in PEOPLE.values())


def test_names_do_not_count_where_a_domain_is_not_the_default_or_the_operator_says_so():
    acls = {ACCOUNT + '/c': ('p2name:u2name', '')}
    elsewhere = {ACCOUNT: {'X-Account-Sysmeta-Project-Domain-Id': 'd2'}}
    unknown = {ACCOUNT: {'X-Account-Sysmeta-Project-Domain-Id': '_unknown'}}
    here = {ACCOUNT: {'X-Account-Sysmeta-Project-Domain-Id': 'default'}}
    for accounts, conf, status in ((elsewhere, {}, 403), (unknown, {}, 403), (here, {}, 200),
                                   (here, {'allow_names_in_acls': 'false'}, 403),
                                   (here, {'default_domain_id': 'd3'}, 403)):
        app = filtered(Authorizing(acls, accounts), **conf)
        assert ask(app, ACCOUNT + '/c', headers=PEOPLE['p2:u2']).status == status


def test_a_public_container_is_for_all():
    app = filtered(Authorizing({ACCOUNT + '/c': ('.r:*', ''), ACCOUNT + '/d': ('.r:*,.rlistings', ''),
                                ACCOUNT + '/e': ('.r:.example.com,.r:-bad.example.com', '')}))
    for headers, refused in (({}, 401), (who('u2', 'p2', 'member'), 403), (who(status='Invalid'), 401)):
        assert ask(app, ACCOUNT + '/c/o', headers=headers).status == 200
        assert ask(app, ACCOUNT + '/c', headers=headers).status == refused
        assert ask(app, ACCOUNT + '/d', headers=headers).status == 200
        assert ask(app, ACCOUNT + '/c/o', 'PUT', headers=headers).status == refused
        for referrer, status in (('http://www.example.com/x', 200), ('http://bad.example.com/', refused), ('', refused),
                                 ('http://example.org/.example.com', refused), ('http://[bad', refused)):
            assert ask(app, ACCOUNT + '/e/o', headers={**headers, 'Referer': referrer}).status == status


def test_the_domain_of_a_project_is_kept_with_its_account():
    app = Authorizing()
    ask(filtered(app), ACCOUNT, 'POST', headers=who(project_domain='d2'))
    assert app.last['HTTP_X_ACCOUNT_SYSMETA_PROJECT_DOMAIN_ID'] == 'd2'
    ask(filtered(app), ACCOUNT, 'PUT', headers=who(project='p2', roles='ResellerAdmin'))
    assert app.last['HTTP_X_ACCOUNT_SYSMETA_PROJECT_DOMAIN_ID'] == '_unknown'
    ask(filtered(app), ACCOUNT + '/c', 'PUT', headers=who())
    assert 'HTTP_X_ACCOUNT_SYSMETA_PROJECT_DOMAIN_ID' not in app.last


def test_a_known_domain_stays_and_is_shown():
    app = Authorizing(accounts={ACCOUNT: {'X-Account-Sysmeta-Project-Domain-Id': 'd2'}})
    ask(filtered(app), ACCOUNT, 'POST', headers=who(project_domain='d3'))
    assert 'HTTP_X_ACCOUNT_SYSMETA_PROJECT_DOMAIN_ID' not in app.last
    assert ask(filtered(app), ACCOUNT, headers=who()).headers['x-account-project-domain-id'] == 'd2'


def test_another_cluster_comes_in_with_the_containers_key():
    app, headers = filtered(Authorizing()), {'X-Container-Sync-Key': 'secret', 'X-Timestamp': '1'}
    assert ask(app, ACCOUNT + '/c/o', 'PUT', headers=headers, swift_sync_key='secret').status == 200
    assert ask(app, ACCOUNT + '/c/o', 'PUT', headers=headers, swift_sync_key='another').status == 401


def test_filters_before_it_may_decide_unless_forbidden():
    app = Authorizing()
    assert ask(filtered(app), ACCOUNT, **{'swift.authorize_override': True}).status == 200
    assert 'swift.authorize' not in app.last
    assert ask(filtered(app, allow_overrides='no'), ACCOUNT, **{'swift.authorize_override': True}).status == 401


def test_another_authorisation_keeps_its_accounts():
    assert ask(filtered(Authorizing()), '/v1/FOO_x', **{'swift.authorize': lambda request: None}).status == 200
    assert ask(filtered(Authorizing()), ACCOUNT, **{'swift.authorize': lambda request: None}).status == 401


def test_filters_behind_it_know_the_reseller_before_leave_is_asked():
    """account_quotas decides by it, and the proxy asks for leave only after that."""
    seen = []

    def app(environ, start_response):
        seen.append(environ.get('reseller_request'))
        start_response('204 No Content', [])
        return []
    for headers in (who(project='p2', roles='ResellerAdmin'), who()):
        ask(filtered(app), ACCOUNT, headers=headers)
    assert seen == [True, None]

"""Quotas of containers and accounts, and entity tags in quotation marks."""

import pytest

from swift.conf import options
from swift.http import Response
from swift.middleware.account_quotas import AccountQuotas
from swift.middleware.container_quotas import ContainerQuotas
from swift.middleware.copy import OPTIONS as COPY_OPTIONS
from swift.middleware.copy import Copy
from swift.middleware.etag_quoter import OPTIONS, EtagQuoter
from swift.policies import Policies, Policy
from tests.swift_store import Store

POLICIES = Policies([Policy(0, 'gold', is_default=True), Policy(1, 'silver', ('agent',))])


class Cloud:
    """A filter in front of a store with some bytes in it."""

    def __init__(self, make):
        self.store = Store()
        self.app = Copy(make(self.store), options({'swift_dir': '/nonexistent'}, COPY_OPTIONS))
        self.store.ask('PUT', '/v1/a')
        self.store.ask('PUT', '/v1/a/c')
        self.store.ask('PUT', '/v1/a/c/o', {}, b'12345')

    def ask(self, *args, **more):
        return self.store.ask(*args, app=self.app, **more)


@pytest.fixture
def container():
    return Cloud(ContainerQuotas)


@pytest.fixture
def account():
    return Cloud(lambda app: AccountQuotas(app, POLICIES))


RESELLER = {'reseller_request': True}


def test_a_container_takes_so_many_bytes(container):
    assert container.ask('POST', '/v1/a/c', {'X-Container-Meta-Quota-Bytes': '10'}).status == 204
    assert container.ask('PUT', '/v1/a/c/p', {}, b'12345').status == 201
    answer = container.ask('PUT', '/v1/a/c/q', {}, b'1')
    assert (answer.status, answer.body) == (413, b'Upload exceeds quota.')
    assert container.ask('COPY', '/v1/a/c/o', {'Destination': 'c/q'}).status == 413
    assert container.ask('PUT', '/v1/a/c/q', {}, b'').status == 201


def test_a_container_takes_so_many_objects(container):
    container.ask('POST', '/v1/a/c', {'X-Container-Meta-Quota-Count': '2'})
    assert container.ask('PUT', '/v1/a/c/p', {}, b'').status == 201
    assert container.ask('PUT', '/v1/a/c/q', {}, b'').status == 413
    container.ask('POST', '/v1/a/c', {'X-Container-Meta-Quota-Count': ''})
    assert container.ask('PUT', '/v1/a/c/q', {}, b'').status == 201


@pytest.mark.parametrize('value', ['x', '-1', '1.5', '9' * 40, '\xb2'])
@pytest.mark.parametrize('method', ['PUT', 'POST'])
def test_a_quota_is_a_number(container, method, value):
    for kind in ('Bytes', 'Count'):
        answer = container.ask(method, '/v1/a/c', {f'X-Container-Meta-Quota-{kind}': value})
        assert (answer.status, answer.body) == (400, f'Invalid {kind.lower()} quota.'.encode())


def test_who_may_not_write_does_not_hear_of_quotas(container):
    container.ask('POST', '/v1/a/c', {'X-Container-Meta-Quota-Bytes': '1'})
    refuse = {'swift.authorize': lambda request: Response(403)}
    assert container.ask('PUT', '/v1/a/c/p', {}, b'12', **refuse).status == 403


def test_only_resellers_set_the_quotas_of_an_account(account):
    for name in ('Meta-Quota-Bytes', 'Quota-Bytes', 'Quota-Count', 'Quota-Bytes-Policy-Gold',
                 'Quota-Count-Policy-Agent'):
        for header in (f'X-Account-{name}', f'X-Remove-Account-{name}'):
            assert account.ask('POST', '/v1/a', {header: '5'}).status == 403
            assert account.ask('POST', '/v1/a', {header: '5'}, **RESELLER).status == 204
    assert account.ask('POST', '/v1/a', {'X-Account-Meta-Color': 'red'}).status == 204


@pytest.mark.parametrize('headers, name', [
    ({'X-Account-Meta-Quota-Bytes': '9'}, 'X-Account-Sysmeta-Quota-Bytes'),
    ({'X-Account-Quota-Bytes': '9'}, 'X-Account-Sysmeta-Quota-Bytes'),
    ({'X-Account-Quota-Count': '9'}, 'X-Account-Sysmeta-Quota-Count'),
    ({'X-Account-Quota-Bytes-Policy-Silver': '9'}, 'X-Account-Sysmeta-Quota-Bytes-Policy-1'),
    ({'X-Account-Quota-Count-Policy-Agent': '9'}, 'X-Account-Sysmeta-Quota-Count-Policy-1'),
])
def test_quotas_are_kept_as_published(account, headers, name):
    account.ask('POST', '/v1/a', headers, **RESELLER)
    assert account.store.account_headers['a'][name] == '9'
    header = name.replace('Sysmeta-', '').replace('Policy-1', 'Policy-Silver')
    assert account.ask('HEAD', '/v1/a').headers[header] == '9'


@pytest.mark.parametrize('value', ['x', '-1', '1.5', '9' * 40])
def test_the_quota_of_an_account_is_a_number(account, value):
    for name in ('X-Account-Meta-Quota-Bytes', 'X-Account-Quota-Count-Policy-Gold'):
        assert account.ask('PUT', '/v1/a', {name: value}, **RESELLER).status == 400


def test_an_account_takes_so_many_bytes(account):
    account.ask('POST', '/v1/a', {'X-Account-Meta-Quota-Bytes': '7'}, **RESELLER)
    assert account.ask('PUT', '/v1/a/c/p', {}, b'12').status == 201
    answer = account.ask('PUT', '/v1/a/c/q', {}, b'1')
    assert (answer.status, answer.body) == (413, b'Upload exceeds quota.')
    assert account.ask('PUT', '/v1/a/c/q', {}, b'1', **RESELLER).status == 201
    account.ask('POST', '/v1/a', {'X-Remove-Account-Meta-Quota-Bytes': 'x', 'X-Account-Meta-Quota-Bytes': None,
                                  'X-Remove-Account-Quota-Bytes': 'x'}, **RESELLER)
    assert account.store.account_headers['a'].get('X-Account-Sysmeta-Quota-Bytes') is None


def test_a_policy_of_an_account_takes_so_many_bytes(account):
    account.ask('POST', '/v1/a', {'X-Account-Quota-Bytes-Policy-Gold': '7'}, **RESELLER)
    account.store.account_headers['a']['X-Account-Storage-Policy-Gold-Bytes-Used'] = '5'
    answer = account.ask('PUT', '/v1/a/c/q', {}, b'123')
    assert (answer.status, answer.body) == (413, b'Upload exceeds policy quota.')
    assert account.ask('PUT', '/v1/a/c/q', {}, b'12').status == 201


@pytest.fixture
def quoter():
    return Cloud(lambda app: EtagQuoter(app, options({}, OPTIONS)))


TAG = '827ccb0eea8a706c4c34a16891f84e7b'


def test_tags_are_quoted_where_the_container_says_so(quoter):
    assert quoter.ask('HEAD', '/v1/a/c/o').headers['Etag'] == TAG
    quoter.ask('POST', '/v1/a/c', {'X-Container-Rfc-Compliant-Etags': 'true'})
    assert quoter.ask('HEAD', '/v1/a/c').headers['X-Container-Rfc-Compliant-Etags'] == 'True'
    assert quoter.ask('HEAD', '/v1/a/c/o').headers['Etag'] == f'"{TAG}"'
    assert quoter.ask('PUT', '/v1/a/c/o', {}, b'12345').headers['Etag'] == f'"{TAG}"'
    answer = quoter.ask('GET', '/v1/a/c/o', {'If-None-Match': f'"{TAG}"'})
    assert (answer.status, answer.headers['Etag']) == (304, f'"{TAG}"')


def test_a_container_decides_before_its_account(quoter):
    quoter.ask('POST', '/v1/a', {'X-Account-Rfc-Compliant-Etags': 'true'})
    assert quoter.ask('HEAD', '/v1/a/c/o').headers['Etag'] == f'"{TAG}"'
    quoter.ask('POST', '/v1/a/c', {'X-Container-Rfc-Compliant-Etags': 'no'})
    assert quoter.ask('HEAD', '/v1/a/c/o').headers['Etag'] == TAG
    quoter.ask('POST', '/v1/a/c', {'X-Container-Rfc-Compliant-Etags': ''})
    assert 'X-Container-Rfc-Compliant-Etags' not in quoter.ask('HEAD', '/v1/a/c').headers
    assert quoter.ask('HEAD', '/v1/a/c/o').headers['Etag'] == f'"{TAG}"'

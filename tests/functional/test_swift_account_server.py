"""The account server over HTTP: its life, its metadata, what containers tell it, its listings."""

import os
import xml.etree.ElementTree as ET

import pytest

from tests.swift_node import Node, at, stamp

A = '/sda1/3/AUTH_a'


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    yield node
    node.close()


def tell(node, name, *, put=2, delete=None, count=1, size=10, policy=0, path=A, **more):
    """What a container server tells an account."""
    return node.account('PUT', f'{path}/{name}', {
        'X-Put-Timestamp': stamp(put), 'X-Delete-Timestamp': stamp(delete) if delete else '0',
        'X-Object-Count': str(count), 'X-Bytes-Used': str(size), 'X-Backend-Storage-Policy-Index': str(policy),
        **at(9, **more)})


def test_an_account_is_made_touched_and_deleted_once(node):
    assert [node.account(verb, A, at(1)).status for verb in ('HEAD', 'GET', 'POST', 'DELETE')] == [404] * 4
    assert node.account('PUT', A, at(1)).status == 201
    assert node.account('PUT', A, at(2)).status == 202
    head = node.account('HEAD', A)
    assert head.status == 204 and head.headers['x-put-timestamp'] == stamp(2)
    assert head.headers['x-account-container-count'] == '0'
    gone = node.account('DELETE', A, at(3))
    assert gone.status == 204 and gone.headers['x-account-status'] == 'Deleted'


def test_a_deleted_account_says_so_until_it_is_reaped(node):
    node.account('PUT', A, at(1))
    tell(node, 'c')
    node.account('DELETE', A, at(3))
    for verb in ('HEAD', 'GET', 'POST', 'DELETE'):
        answer = node.account(verb, A, at(4))
        assert (answer.status, answer.headers['x-account-status']) == (404, 'Deleted')
    answer = node.account('PUT', A, at(5))
    assert (answer.status, answer.headers['x-account-status'], answer.body) == (403, 'Deleted', b'Recently deleted')
    assert tell(node, 'c').status == 404
    assert tell(node, 'c', X_Account_Override_Deleted='yes').status == 201


def test_metadata_comes_goes_and_is_ordered_by_time(node):
    node.account('PUT', A, at(1, X_Account_Meta_One='1', X_Account_Sysmeta_Two='2', X_Other='3'))
    node.account('POST', A, at(3, X_Account_Meta_One='new'))
    node.account('POST', A, at(2, X_Account_Meta_One='late'))
    node.account('POST', A, at(4, X_Account_Sysmeta_Two=''))
    headers = node.account('HEAD', A).headers
    assert headers['x-account-meta-one'] == 'new'
    assert 'x-account-sysmeta-two' not in headers and 'x-other' not in headers


def test_containers_add_up_by_policy(node):
    node.account('PUT', A, at(1))
    assert tell(node, 'c', count=3, size=30).status == 201
    assert tell(node, 'd', count=4, size=40, policy=1).status == 201
    assert tell(node, 'e', count=5, size=50).status == 201
    assert tell(node, 'e', count=0, size=0, delete=5).status == 204
    headers = node.account('HEAD', A).headers
    names = ('x-account-container-count', 'x-account-object-count', 'x-account-bytes-used')
    assert [headers[name] for name in names] == ['2', '7', '70']
    names = [f'x-account-storage-policy-silver-{what}' for what in ('container-count', 'object-count', 'bytes-used')]
    assert [headers[name] for name in names] == ['1', '4', '40']


def test_a_container_of_nobody_is_refused_unless_the_account_is_the_clusters_own(node):
    assert tell(node, 'c').status == 404
    assert tell(node, 'c', path='/sda1/3/.misplaced_objects').status == 201
    assert node.account('HEAD', '/sda1/3/.misplaced_objects').headers['x-account-container-count'] == '1'


def test_the_older_of_two_reports_does_not_bring_a_container_back(node):
    node.account('PUT', A, at(1))
    tell(node, 'c', put=2, delete=4, count=0)
    assert tell(node, 'c', put=3, count=0).status == 201
    assert node.account('GET', A).status == 204
    tell(node, 'c', put=5, count=0)
    assert node.account('GET', A).body == b'c\n'


def test_listings_in_three_forms(node):
    node.account('PUT', A, at(1))
    tell(node, 'c%22%3C%26', count=3, size=30, policy=1)
    tell(node, 'd-1')
    tell(node, 'd-2')
    plain = node.account('GET', f'{A}?delimiter=-')
    assert plain.body == b'c"<&\nd-\n' and plain.headers['content-type'] == 'text/plain; charset=utf-8'
    assert node.account('GET', f'{A}?format=json&delimiter=-').json == [
        {'name': 'c"<&', 'count': 3, 'bytes': 30, 'last_modified': '2023-11-14T22:13:22.000000',
         'storage_policy': 'silver'}, {'subdir': 'd-'}]
    document = ET.fromstring(node.account('GET', A, {'Accept': 'application/xml'}).body)
    assert document.tag == 'account' and document.get('name') == 'AUTH_a'
    assert [each.findtext('name') for each in document] == ['c"<&', 'd-1', 'd-2']
    document = ET.fromstring(node.account('GET', f'{A}?format=xml&delimiter=-').body)
    assert document[1].get('name') == 'd-'


def test_an_empty_listing_is_204_as_text_and_200_otherwise(node):
    node.account('PUT', A, at(1))
    assert node.account('GET', A).status == 204
    assert (node.account('GET', f'{A}?format=json').status, node.account('GET', f'{A}?format=json').json) == (200, [])
    assert node.account('GET', f'{A}?format=xml').status == 200


@pytest.mark.parametrize('path, headers, status', [
    (f'{A}?limit=10001', {}, 412), (A, {'Accept': 'image/png'}, 406), (A, {'Accept': 'junk'}, 400),
    (f'{A}?marker=%ff', {}, 412), (f'{A}?limit=-1&prefix=zz', {}, 204), ('/sda1/3/AUTH_%ff', {}, 412),
    ('/sda1/3', {}, 400), (f'{A}/c', {}, 400), ('/sda1/x/AUTH_a', {}, 400), ('/nodisk/3/AUTH_a', {}, 507),
    ('/../3/AUTH_a', {}, 507), ('/sda1/3/AUTH_%00', {}, 400)])
def test_what_makes_no_sense_is_refused(node, path, headers, status):
    node.account('PUT', A, at(1))
    assert node.account('GET', path, headers).status == status


def test_a_time_is_needed_and_must_be_one(node):
    assert node.account('PUT', A).status == 400
    assert node.account('PUT', A, {'X-Timestamp': 'now'}).status == 400
    node.account('PUT', A, at(1))
    assert node.account('PUT', f'{A}/c', {'X-Put-Timestamp': 'x', **at(2)}).status == 400
    assert node.account('PUT', f'{A}/c', at(2)).status == 400


def test_methods(node):
    answer = node.account('OPTIONS', A)
    assert answer.status == 200 and answer.headers['allow'] == 'DELETE, GET, HEAD, OPTIONS, POST, PUT, REPLICATE'
    assert answer.headers['server'].startswith('account-server')
    assert node.account('PATCH', A).status == 405


def test_a_damaged_database_is_moved_aside(node):
    node.account('PUT', A, at(1))
    broker = node.broker('account', 'sda1', 3, 'AUTH_a')
    with open(broker.path, 'r+b') as file:
        file.write(b'nonsense' * 1000)
    node.apps['account'].connections.close()
    assert node.account('HEAD', A).status == 404
    assert not broker.exists and os.listdir(f'{node.srv}/sda1/quarantined/accounts')
    assert node.account('PUT', A, at(2)).status == 201

"""The container server over HTTP: its life, its objects, its policy, what it tells accounts, its listings."""

import os
import xml.etree.ElementTree as ET

import pytest

from strata.wsgi.server import Server
from tests.swift_node import OBJECT, Node, at, stamp

C = '/sda1/3/AUTH_a/c'


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    yield node
    node.close()


class Listener:
    """An account server that remembers what it is told, and answers as it likes."""

    def __init__(self, status):
        self.status, self.heard = status, []
        self.server = Server(self, ('127.0.0.1', 0), access_log=False)
        self.server.start()

    def __call__(self, environ, start_response):
        self.heard.append((environ['REQUEST_METHOD'], environ['PATH_INFO'], {
            key: value for key, value in environ.items() if key.startswith('HTTP_X')}))
        start_response(f'{self.status} Status', [('Content-Length', '0')])
        return []

    def named(self):
        return {'X-Account-Host': f'127.0.0.1:{self.server.port}', 'X-Account-Device': 'sdx',
                'X-Account-Partition': '7'}


@pytest.fixture
def listener():
    made = []

    def listen(status):
        made.append(Listener(status))
        return made[-1]
    yield listen
    for each in made:
        each.server.stop(0)


def put(node, name, second=2, **more):
    return node.container('PUT', f'{C}/{name}', {**OBJECT, **at(second), **more})


def names(node, query='', path=C):
    answer = node.container('GET', f'{path}?format=json&{query}')
    return [entry.get('name') or {'subdir': entry['subdir']} for entry in answer.json]


def test_a_container_is_made_touched_deleted_and_made_again(node):
    assert node.container('PUT', C, at(1)).status == 201
    assert node.container('PUT', C, at(2)).status == 202
    assert node.container('HEAD', C).headers['x-put-timestamp'] == stamp(2)
    assert node.container('DELETE', C, at(3)).status == 204
    assert node.container('DELETE', C, at(3)).status == 404
    gone = node.container('HEAD', C)
    assert gone.status == 404 and gone.headers['x-backend-delete-timestamp'] == stamp(3)
    assert node.container('PUT', C, at(2)).status == 409
    assert node.container('PUT', C, at(4)).status == 201
    assert node.container('HEAD', C).headers['x-backend-status-changed-at'] == stamp(4)


def test_a_container_with_objects_is_not_deleted(node):
    node.container('PUT', C, at(1))
    put(node, 'o')
    assert node.container('DELETE', C, at(3)).status == 409
    node.container('DELETE', f'{C}/o', at(4))
    assert node.container('DELETE', C, at(5)).status == 204


def test_a_delete_from_the_past_changes_nothing(node):
    node.container('PUT', C, at(5, X_Container_Meta_A='1'))
    assert node.container('DELETE', C, at(4)).status == 409
    head = node.container('HEAD', C)
    assert head.headers['x-container-meta-a'] == '1'
    assert head.headers['x-backend-status-changed-at'] == stamp(5)


def test_acls_metadata_and_sysmeta_are_kept_by_time(node):
    node.container('PUT', C, at(1, X_Container_Read='.r:*', X_Container_Meta_A='1', X_Container_Sysmeta_B='2'))
    node.container('POST', C, at(3, X_Container_Read='', X_Container_Meta_A='3'))
    node.container('POST', C, at(2, X_Container_Meta_A='2', X_Container_Write='w'))
    headers = node.container('HEAD', C).headers
    assert headers['x-container-meta-a'] == '3' and headers['x-container-sysmeta-b'] == '2'
    assert headers['x-container-write'] == 'w' and 'x-container-read' not in headers


def test_the_newest_of_an_objects_rows_counts_whatever_the_order(node):
    node.container('PUT', C, at(1))
    put(node, 'o', 4, **{'X-Size': '4'})
    put(node, 'o', 3, **{'X-Size': '3'})
    node.container('DELETE', f'{C}/o', at(2))
    headers = node.container('HEAD', C).headers
    assert (headers['x-container-object-count'], headers['x-container-bytes-used']) == ('1', '4')
    node.container('DELETE', f'{C}/o', at(5))
    put(node, 'o', 4)
    assert names(node) == []
    assert node.container('HEAD', C).headers['x-container-object-count'] == '0'


def test_type_and_metadata_of_an_object_have_times_of_their_own(node):
    node.container('PUT', C, at(1))
    put(node, 'o', 2, **{'X-Content-Type': 'a/new', 'X-Content-Type-Timestamp': stamp(6), 'X-Meta-Timestamp': stamp(6)})
    put(node, 'o', 4, **{'X-Content-Type': 'a/old', 'X-Size': '44'})
    entry = node.container('GET', f'{C}?format=json').json[0]
    assert (entry['content_type'], entry['bytes'], entry['last_modified']) == (
        'a/new', 44, '2023-11-14T22:13:26.000000')


def test_the_size_of_a_large_object_travels_in_its_type(node):
    node.container('PUT', C, at(1))
    put(node, 'big', **{'X-Content-Type': 'text/x; charset=u;swift_bytes=99', 'X-Etag': 'e; slo_etag=z'})
    entry = node.container('GET', f'{C}?format=json').json[0]
    assert (entry['bytes'], entry['content_type'], entry['hash']) == (99, 'text/x; charset=u', 'e; slo_etag=z')


def test_a_policy_is_chosen_once(node):
    policy = 'X-Backend-Storage-Policy-Index'
    assert node.container('PUT', C, {**at(1), policy: '9'}).status == 400
    assert node.container('PUT', C, {**at(1), policy: '1'}).headers[policy.lower()] == '1'
    refused = node.container('PUT', C, {**at(2), policy: '0'})
    assert (refused.status, refused.headers[policy.lower()]) == (409, '1')
    assert node.container('PUT', C, at(3)).status == 202
    node.container('DELETE', C, at(4))
    assert node.container('PUT', C, {**at(5), policy: '0'}).status == 201
    assert node.container('HEAD', C).headers[policy.lower()] == '0'
    other = node.container('PUT', f'{C}2', {**at(1), 'X-Backend-Storage-Policy-Default': '1'})
    assert other.headers[policy.lower()] == '1'


def test_a_listing_shows_the_objects_of_one_policy(node):
    policy = 'X-Backend-Storage-Policy-Index'
    node.container('PUT', C, {**at(1), policy: '1'})
    put(node, 'right', **{policy: '1'})
    put(node, 'wrong', **{policy: '0'})
    assert names(node) == ['right']
    assert node.container('HEAD', C).headers['x-container-object-count'] == '1'
    other = node.container('GET', f'{C}?format=json', {policy: '0'})
    assert [entry['name'] for entry in other.json] == ['wrong']
    assert other.headers['x-backend-record-storage-policy-index'] == '0'


def test_rows_of_what_may_not_be_on_disk_yet_are_taken_where_both_are_on_one_file_system(node):
    node.container('PUT', C, at(1))
    asked = put(node, 'o', **{'X-Backend-File-System': '?'})
    here = asked.headers['x-backend-file-system']
    assert asked.status == 201 and 'x-backend-file-system' not in put(node, 'p').headers
    for name in ('another', here + '0'):
        for method in ('PUT', 'DELETE'):
            refused = node.container(method, f'{C}/o', {**OBJECT, **at(5), 'X-Backend-File-System': name})
            assert refused.status == 412 and refused.headers['x-backend-file-system'] == here
    assert names(node) == ['o', 'p']
    assert put(node, 'q', **{'X-Backend-File-System': here}).status == 201
    assert node.container('DELETE', f'{C}/p', {**at(6), 'X-Backend-File-System': here}).status == 204
    assert names(node) == ['o', 'q']


def test_objects_of_no_container_are_refused_but_in_the_clusters_own_accounts(node):
    assert put(node, 'o').status == 404
    assert node.container('DELETE', f'{C}/o', at(1)).status == 404
    hidden = '/sda1/3/.expiring_objects/1700000000'
    assert node.container('PUT', f'{hidden}/x', {**OBJECT, **at(1)}).status == 201
    assert names(node, path=hidden) == ['x']
    assert node.container('DELETE', '/sda1/3/.expiring_objects/2/x', at(1)).status == 204


def test_the_account_is_told_of_births_and_deaths(node, listener):
    account = listener(201)
    node.container('PUT', C, {**at(1), **account.named(), 'X-Backend-Storage-Policy-Index': '1'})
    node.container('DELETE', C, {**at(2), **account.named()})
    assert [each[:2] for each in account.heard] == [('PUT', '/sdx/7/AUTH_a/c')] * 2
    first, last = (each[2] for each in account.heard)
    assert (first['HTTP_X_PUT_TIMESTAMP'], first['HTTP_X_BACKEND_STORAGE_POLICY_INDEX']) == (stamp(1), '1')
    assert (last['HTTP_X_DELETE_TIMESTAMP'], last['HTTP_X_OBJECT_COUNT']) == (stamp(2), '0')


def test_a_container_of_an_unknown_account_is_not_made_known(node, listener):
    assert node.container('PUT', C, {**at(1), **listener(404).named()}).status == 404


@pytest.mark.parametrize('status', [500, 507])
def test_an_account_that_cannot_be_told_now_does_not_matter(node, listener, status):
    assert node.container('PUT', C, {**at(1), **listener(status).named()}).status == 201
    assert node.container('PUT', f'{C}3', {**at(1), **listener(status).named(),
                                           'X-Account-Host': '127.0.0.1:1'}).status == 201


def test_account_headers_that_do_not_go_together_are_refused(node, listener):
    named = {**listener(201).named(), 'X-Account-Host': '127.0.0.1:1,127.0.0.1:2'}
    assert node.container('PUT', C, {**at(1), **named}).status == 400


def test_listing_parameters(node):
    node.container('PUT', C, at(1))
    for name in ('a', 'b/1', 'b/2', 'b/c/1', 'd'):
        put(node, name)
    assert names(node, 'limit=2') == ['a', 'b/1']
    assert names(node, 'marker=b/1&end_marker=d') == ['b/2', 'b/c/1']
    assert names(node, 'delimiter=/') == ['a', {'subdir': 'b/'}, 'd']
    assert names(node, 'prefix=b/&delimiter=/') == ['b/1', 'b/2', {'subdir': 'b/c/'}]
    assert names(node, 'path=b') == ['b/1', 'b/2']
    assert names(node, 'reverse=on&limit=2') == ['d', 'b/c/1']
    assert names(node, 'reverse=true&delimiter=/&marker=d') == [{'subdir': 'b/'}, 'a']


def test_listings_in_text_and_xml(node):
    node.container('PUT', C, at(1))
    put(node, 'a%22%3C%26%C3%A9')
    put(node, 'd/%22%3C')
    assert node.container('GET', f'{C}?delimiter=/').body.decode() == 'a"<&é\nd/\n'
    document = ET.fromstring(node.container('GET', f'{C}?delimiter=/&format=xml').body)
    assert (document.tag, document.get('name')) == ('container', 'c')
    assert [child.tag for child in document[0]] == ['name', 'hash', 'bytes', 'content_type', 'last_modified']
    assert document[0].findtext('name') == 'a"<&é'
    assert (document[1].tag, document[1].get('name'), document[1].findtext('name')) == ('subdir', 'd/', 'd/')
    answer = node.container('GET', C, {'Accept': 'text/xml'})
    assert answer.headers['content-type'] == 'text/xml; charset=utf-8'


def test_queues_of_the_cluster_name_objects_of_any_kind(node):
    queue = '/sda1/3/.expiring_objects/1700000000'
    entry = '1700000001-AUTH_a/%00versions%00c/%00o%00v'
    assert node.container('PUT', f'{queue}/{entry}', {**OBJECT, **at(2)}).status == 201


def test_names_that_begin_with_nul_are_the_clusters_own(node):
    hidden = '/sda1/3/AUTH_a/%00versions%00c'
    allowed = {'X-Backend-Allow-Reserved-Names': 'true'}
    assert node.container('PUT', hidden, at(1)).status == node.container('PUT', C, at(1)).status == 201
    for path, status in ((f'{hidden}/%00o%00v1', 201), (f'{hidden}/o', 400), (f'{hidden}/mid%00dle', 400),
                         (f'{C}/%00o', 400), (f'{C}/mid%00dle', 400), (f'{C}/o', 201)):
        assert node.container('PUT', path, {**OBJECT, **at(2)}).status == status, path
    assert node.container('GET', hidden).status == 204
    assert node.container('GET', hidden, allowed).body == b'\x00o\x00v1\n'
    assert node.container('GET', f'{hidden}?prefix=%00o%00&reverse=on', allowed).body == b'\x00o\x00v1\n'
    assert node.container('GET', f'{hidden}?prefix=%00&delimiter=%00&format=json', allowed).json == [
        {'subdir': '\x00o\x00'}]
    assert node.container('GET', f'{hidden}?prefix=%00').status == 204
    assert node.container('HEAD', hidden).headers['x-container-object-count'] == '1'


def test_headers_of_head_and_get(node):
    node.container('PUT', C, at(1.5))
    put(node, 'o')
    for answer in (node.container('HEAD', C), node.container('GET', C)):
        headers = answer.headers
        assert headers['x-container-object-count'] == headers['x-container-bytes-used'] == '1'
        assert headers['x-backend-sharding-state'] == 'unsharded'
        assert headers['last-modified'] == 'Tue, 14 Nov 2023 22:13:22 GMT'
        assert headers['x-backend-storage-policy-index'] == '0'


@pytest.mark.parametrize('method, path, headers, status', [
    ('GET', f'{C}?limit=10001', {}, 412), ('GET', C, {'Accept': 'image/png'}, 406),
    ('PUT', C, {}, 400), ('PUT', C, {'X-Timestamp': 'x'}, 400), ('PATCH', C, {}, 405),
    ('PUT', f'{C}/o', at(2), 400), ('PUT', f'{C}/o', {**OBJECT, **at(2), 'X-Size': 'z'}, 400),
    ('POST', f'{C}/o', at(2), 400), ('GET', '/sda1/3/AUTH_a', {}, 400), ('GET', '/nodisk/3/a/c', {}, 507),
    ('PUT', C, {**at(2), 'X-Container-Sync-To': 'x'}, 400),
    ('PUT', C, {**at(2), 'X-Container-Sync-To': 'http://8.8.8.8/v1/a/c'}, 400),
    ('PUT', C, {**at(2), 'X-Container-Sync-To': '//realm/cluster/a/c'}, 400),
    ('PUT', C, {**at(2), 'X-Container-Sync-To': 'http://127.0.0.1/v1/a/c'}, 202),
    ('PUT', C, {**at(2), 'X-Container-Sync-To': 'http://127.0.0.1:6200/sda1/7/AUTH_victim/c'}, 400),
    ('PUT', C, {**at(2), 'X-Container-Sync-To': 'http://127.0.0.1:6200/sda1/7/v1/c'}, 400),
    ('GET', '/sda1/3/..%2f..%2fetc/c', {}, 404), ('GET', '/sda1/..%2f3/a/c', {}, 400)])
def test_what_makes_no_sense_is_refused(node, method, path, headers, status):
    node.container('PUT', C, at(1))
    assert node.container(method, path, headers).status == status


def test_another_sync_target_starts_from_the_beginning(node):
    node.container('PUT', C, at(1, X_Container_Sync_To='http://127.0.0.1/v1/a/c'))
    broker = node.broker('container', 'sda1', 3, 'AUTH_a', 'c')
    broker.set_sync_points(5, 6)
    node.container('POST', C, at(2, X_Container_Sync_To='http://127.0.0.1/v1/a/c'))
    assert broker.info()['x_container_sync_point1'] == 5
    node.container('POST', C, at(3, X_Container_Sync_To='http://127.0.0.1/v1/a/other'))
    assert broker.info()['x_container_sync_point1'] == -1


def test_ten_thousand_objects_are_a_page(node):
    node.container('PUT', C, at(1))
    broker = node.broker('container', 'sda1', 3, 'AUTH_a', 'c')
    broker.merge_items([{'name': f'o{number:05}', 'created_at': stamp(2), 'size': 1, 'content_type': 't', 'etag': 'e',
                         'deleted': 0, 'storage_policy_index': 0} for number in range(10_050)])
    assert len(names(node)) == 10_000
    assert len(names(node, 'marker=o09999')) == 50
    assert node.container('HEAD', C).headers['x-container-bytes-used'] == '10050'


def test_what_is_acknowledged_is_beside_the_database_at_once(node):
    node.container('PUT', C, at(1))
    broker = node.broker('container', 'sda1', 3, 'AUTH_a', 'c')
    put(node, 'o')
    assert os.path.getsize(broker.pending_path) > 0
    assert names(node) == ['o']
    assert os.path.getsize(broker.pending_path) == 0


def test_a_replication_server_serves_replication_only(tmp_path):
    from swift.container.server import app_factory
    node = Node(tmp_path)
    try:
        for value, allowed in (('true', ['OPTIONS', 'REPLICATE']),
                               ('false', ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT'])):
            app = app_factory(node.conf, replication_server=value)
            assert sorted(app.handlers) == allowed
            app.close()
    finally:
        node.close()

"""Accounts, containers and their listings against what was once found wrong with them elsewhere.

Tests carry the number of the advisory (OSSA) they stand for, where there is one.
"""

import base64
import os
import pickle
import xml.etree.ElementTree as ET

import pytest

from tests.swift_node import OBJECT, Node, at, stamp

A, C = '/sda1/3/AUTH_a', '/sda1/3/AUTH_a/c'


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    node.account('PUT', A, at(1))
    node.container('PUT', C, at(1))
    yield node
    node.close()


EVIL = ['a"b', "a'b", '<x>&amp;', ']]>', '<!--', '&lt;', '\x01\x02', '\ufffe', '">\n<name>other<x y="', 'é<']


@pytest.mark.parametrize('name', EVIL)
def test_ossa_2013_016_names_do_not_become_markup_in_a_containers_listing(node, name):
    from swift.http.path import quote
    shown = name if name not in ('\x01\x02', '\ufffe') else '\ufffd' * len(name)
    node.container('PUT', f'{C}/{quote(name)}', {**OBJECT, **at(2), 'X-Content-Type': 'a/<b>&"', 'X-Etag': '<e>'})
    node.container('PUT', f'{C}/{quote(name)}%2Fsub', {**OBJECT, **at(2)})
    document = ET.fromstring(node.container('GET', f'{C}?format=xml&delimiter=/').body)
    assert sorted(child.tag for child in document) == ['object', 'subdir']
    found = document.find('object')
    assert found.findtext('name').replace('\r\n', '\n') == shown
    assert (found.findtext('content_type'), found.findtext('hash')) == ('a/<b>&"', '<e>')
    assert document.find('subdir').findtext('name') == shown + '/'
    assert document.find('subdir').get('name').replace(' ', '\n') == (shown + '/').replace(' ', '\n')


@pytest.mark.parametrize('name', EVIL)
def test_ossa_2013_016_names_do_not_become_markup_in_an_accounts_listing(node, name):
    from swift.http.path import quote
    shown = name if name not in ('\x01\x02', '\ufffe') else '\ufffd' * len(name)
    path = f'/sda1/3/{quote(name, "")}'
    node.account('PUT', path, at(1))
    told = {'X-Put-Timestamp': stamp(2), 'X-Delete-Timestamp': '0', 'X-Object-Count': '1', 'X-Bytes-Used': '1',
            **at(2)}
    for each in (name, name + '|more'):
        assert node.account('PUT', f'{path}/{quote(each, "")}', told).status == 201
    document = ET.fromstring(node.account('GET', f'{path}?format=xml&delimiter=|').body)
    assert document.get('name').replace(' ', '\n') == shown.replace(' ', '\n')
    assert [child.tag for child in document] == ['container', 'subdir']
    assert document[0].findtext('name') == shown


@pytest.mark.parametrize('kind, path', [('account', A), ('container', C)])
def test_ossa_2014_034_metadata_cannot_grow_beyond_its_limits_bit_by_bit(node, kind, path):
    title = f'X-{kind.title()}-Meta-'
    for number in range(90):
        assert node.ask(kind, 'POST', path, {**at(2), f'{title}{number}': 'x'}).status == 204
    assert node.ask(kind, 'POST', path, {**at(3), f'{title}One-More': 'x'}).status == 400
    assert node.ask(kind, 'POST', path, {**at(3), f'{title}1': 'changed'}).status == 204
    assert node.ask(kind, 'POST', path, {**at(4), f'{title}2': ''}).status == 204
    assert node.ask(kind, 'POST', path, {**at(5), f'{title}One-More': 'x'}).status == 204
    for number in range(90):
        node.ask(kind, 'POST', path, {**at(6), f'{title}{number}': ''})
    statuses = [node.ask(kind, 'POST', path, {**at(7), f'{title}{number}': 'v' * 250}).status for number in range(20)]
    assert statuses[0] == 204 and statuses[-1] == 400
    said = node.ask(kind, 'HEAD', path).headers
    assert sum(len(value) for name, value in said.items() if '-meta-' in name) <= 4096


@pytest.mark.parametrize('kind, path', [('account', A), ('container', C)])
def test_ossa_2014_034_metadata_of_the_cluster_does_not_count(node, kind, path):
    for number in range(100):
        assert node.ask(kind, 'POST', path, {**at(2), f'X-{kind}-Sysmeta-{number}': 'x' * 100}).status == 204


def test_a_container_that_may_not_be_made_is_not_there(node):
    headers = {**at(2), **{f'X-Container-Meta-{number}': 'x' for number in range(91)}}
    assert node.container('PUT', f'{C}2', headers).status == 400
    assert node.container('HEAD', f'{C}2').status == 404


class Evil:
    """A pickle that runs a command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


def test_a_pickle_beside_a_database_runs_nothing(node, tmp_path):
    mark = tmp_path / 'mark'
    broker = node.broker('container', 'sda1', 3, 'AUTH_a', 'c')
    node.container('PUT', f'{C}/good', {**OBJECT, **at(2)})
    with open(broker.pending_path, 'ab') as file:
        for value in (Evil(mark), ('name', Evil(mark)), {'a': Evil(mark)}):
            file.write(b':' + base64.b64encode(pickle.dumps(value, 2)))
        file.write(b':' + base64.b64encode(b'no pickle') + b':***:' + base64.b64encode(pickle.dumps((), 2)))
        file.write(b':' + base64.b64encode(pickle.dumps((1, 2, 3), 2))[:-5])
    assert node.container('GET', C).body == b'good\n'
    assert not mark.exists()


@pytest.mark.parametrize('path', [
    '/sda1/3/../../../../etc', '/../../etc/3/AUTH_a/c', '/sda1%2F..%2F../3/AUTH_a/c', '/sda1/3%2F..%2F../AUTH_a/c',
    '/./3/AUTH_a/c', '/sda1/-1/AUTH_a/c', '/sda1/%D9%A3/AUTH_a/c', '/sda1/3/%00/c', '/sda1/3/AUTH_a/%C0%AF',
    '/tmp/3/AUTH_a/c', '/sda1/9999999999999999999999/AUTH_a/..'])
def test_no_path_leads_off_the_devices(node, path):
    before = sorted(os.listdir(node.srv))
    for method in ('PUT', 'GET', 'DELETE', 'POST'):
        status = node.container(method, path, {**at(2)}).status
        assert 200 <= status < 300 or 400 <= status < 500 or status == 507
    assert sorted(os.listdir(node.srv)) == before
    outside = [name for name in os.listdir(os.path.dirname(node.srv)) if name not in ('etc', 'srv', 'recon')]
    assert outside == []


@pytest.mark.parametrize('query', [
    "prefix=' OR 1=1 --", 'marker="; DROP TABLE object; --', 'delimiter=%25', 'prefix=%5F', 'end_marker=*',
    'limit=1e9', 'limit=99999999999999999999', 'limit=%D9%A3', 'format=../../x', 'reverse=%00', 'path=%00',
    'marker=' + 'x' * 5000, 'delimiter=' + 'y' * 5000, '&&&==', 'limit=10&limit=-5'])
def test_no_query_does_anything_but_ask(node, query):
    for name in ('a', 'b%25', '_x'):
        node.container('PUT', f'{C}/{name}', {**OBJECT, **at(2)})
    from urllib.parse import quote
    status = node.container('GET', f'{C}?{quote(query, "=&%")}').status
    assert status in (200, 204, 412)
    assert node.container('HEAD', C).headers['x-container-object-count'] == '3'


def test_identity_and_hidden_metadata_need_their_names(node):
    """Only what the kind of resource keeps is kept, whatever a header is called."""
    node.container('POST', C, {**at(2), 'X-Account-Meta-A': '1', 'X-Object-Meta-B': '2', 'X-Container-Metadata': '3',
                               'X-Backend-Anything': '4', 'X-Container-Sysmetal': '5'})
    assert not {name for name in node.container('HEAD', C).headers if name.endswith(('-a', '-b', 'data', 'sysmetal'))}

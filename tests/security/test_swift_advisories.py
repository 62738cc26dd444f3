"""Advisories about Swift's filters that have no better place, and that none is left out."""

import re
from pathlib import Path

import pytest
import requests

from tests.swift_cluster import Cluster

HERE = Path(__file__).parent
FILTERS = 'catch_errors gatekeeper cache listing_formats bulk formpost tempauth copy slo dlo versioned_writes symlink'
#: the advisories about Swift until 2024
ADVISORIES = ('2013-016', '2013-022', '2014-002', '2014-020', '2014-034', '2015-006', '2015-016', '2016-004',
              '2023-001')


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp('store'), filters=FILTERS) as store:
        yield store


class User:
    def __init__(self, store, user, key):
        self.url = store.url
        answer = requests.get(f'{store.base}/auth/v1.0', headers={'X-Auth-User': user, 'X-Auth-Key': key}, timeout=10)
        self.token = {'X-Auth-Token': answer.headers['X-Auth-Token']}

    def __call__(self, method, path, data=None, **headers):
        given = {name.replace('_', '-'): value for name, value in headers.items()}
        return requests.request(method, self.url + path, data=data, headers={**self.token, **given}, timeout=20)


@pytest.mark.parametrize('number', ADVISORIES)
def test_every_advisory_about_swift_has_a_test(number):
    name = f'def test_ossa_{number.replace("-", "_")}'
    assert any(name in path.read_text() for path in HERE.glob('test_swift_*.py'))


@pytest.mark.parametrize('header', ['X-Versions-Location', 'X-History-Location'])
def test_ossa_2015_006_who_reads_the_versions_but_may_not_write_removes_none(store, header):
    owner, other = User(store, 'test:tester', 'testing'), User(store, 'test:tester3', 'testing3')
    versions, container = f'/versions{header[2]}', f'/c{header[2]}'
    assert owner('PUT', versions, X_Container_Read='test:tester3').status_code == 201
    assert owner('PUT', container, X_Container_Read='test:tester3',
                 **{header.replace('-', '_'): versions[1:]}).status_code == 201
    for content in (b'one', b'two', b'three'):
        assert owner('PUT', f'{container}/o', content).status_code == 201
    kept = owner('GET', versions).text
    assert len(kept.split()) == 2
    for path in (f'{container}/o', *(f'{versions}/{name}' for name in kept.split())):
        assert other('DELETE', path).status_code == 403
    assert owner('GET', versions).text == kept and owner('GET', f'{container}/o').content == b'three'
    assert [owner('GET', f'{versions}/{name}').content for name in kept.split()] == [b'one', b'two']


BOMB = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>
<Delete><Object><Key>&e;</Key></Object></Delete>"""


@pytest.mark.parametrize(('method', 'path'), [
    ('POST', '/xml?delete'), ('PUT', '/xml?acl'), ('POST', '/xml/o?uploads'), ('PUT', '/xml/o?tagging'),
    ('POST', '?bulk-delete'), ('PUT', '/xml/o?multipart-manifest=put'), ('PUT', '/xml/o')])
def test_ossa_2023_001_entities_of_xml_are_not_looked_up(store, method, path):
    user = User(store, 'test:tester', 'testing')
    user('PUT', '/xml')
    answer = user(method, path, BOMB, Content_Type='application/xml', Accept='application/json')
    assert answer.status_code < 500 and 'root:' not in answer.text
    assert 'root:' not in user('GET', '/xml?format=xml').text and b'root:' not in user('GET', '/xml/o').content


def test_ossa_2023_001_no_part_of_the_object_store_reads_xml():
    parser = re.compile(r'^\s*(from|import) +(xml\.(?!sax(\.saxutils| import saxutils))|lxml|expat|pyexpat)', re.M)
    for path in (HERE.parents[1] / 'swift').rglob('*.py'):
        assert not parser.search(path.read_text()), path

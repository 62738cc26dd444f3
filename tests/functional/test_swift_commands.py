"""Operators' commands of the object store, on a cluster in this process or on real processes of this host."""

import urllib.request

import pytest

from swift.cli import get_nodes, info, init
from tests.swift_cluster import Cluster


@pytest.fixture
def rings(tmp_path):
    return Cluster(tmp_path / 'cluster', start=False, policies=('gold', 'silver'))


def told(capsys, *argv):
    status = get_nodes.main(list(argv))
    said = capsys.readouterr()
    return status, said.out, said.err


def test_get_nodes_tells_primaries_handoffs_and_paths(rings, capsys):
    status, said, _ = told(capsys, '-d', str(rings.swift_dir), str(rings.swift_dir / 'object-1.ring.gz'),
                           'AUTH_test', 'c ö', 'o/p')
    ring = rings.ring('object-1')
    part, nodes = ring.get_nodes('AUTH_test', 'c ö', 'o/p')
    digest = rings.hashing.hexdigest('AUTH_test', 'c ö', 'o/p')
    assert status == 0
    assert f'Partition\t{part}\nHash     \t{digest}' in said
    lines = [line for line in said.splitlines() if line.startswith('Server:Port')]
    assert lines[:3] == [f'Server:Port Device\t127.0.0.1:{node["port"]} {node["device"]}' for node in nodes]
    assert [line.endswith('[Handoff]') for line in lines] == [False, False, False, True]
    assert f'/{part}/AUTH_test/c%20%C3%B6/o/p" -H "X-Backend-Storage-Policy-Index: 1"' in said
    assert f'{nodes[0]["device"]}/objects-1/{part}/{digest[-3:]}/{digest}"' in said


def test_get_nodes_takes_a_path_and_the_name_of_a_policy(rings, capsys):
    by_path = told(capsys, '-d', str(rings.swift_dir), '-P', 'silver', '/v1/AUTH_test/c%20x/o', '-Q')
    by_names = told(capsys, '-d', str(rings.swift_dir), '-P', 'silver', 'AUTH_test', 'c x', 'o')
    assert by_path == by_names and by_path[0] == 0


@pytest.mark.parametrize('argv, names', [
    ([], '--partition'), (['-p', '99', 'RING'], '--partition 99'), (['a', 'c', 'o'], '--policy-name'),
    (['-P', 'lead', 'a', 'c', 'o'], '--policy-name lead'), (['a', 'b', 'c', 'd'], 'too many'),
    (['no.ring.gz', 'a'], 'no.ring.gz'),
])
def test_get_nodes_says_what_is_missing(rings, capsys, argv, names):
    words = [str(rings.swift_dir / 'object.ring.gz') if word == 'RING' else word for word in argv]
    status, said, error = told(capsys, '-d', str(rings.swift_dir), *words)
    assert (status, said) == (1, '') and names in error


@pytest.fixture(scope='module')
def filled(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp('store') / 'cluster') as cluster:
        for path, body, headers in (('/c', b'', {'X-Container-Meta-Colour': 'red'}),
                                    ('/c/o', b'hello', {'Content-Type': 'text/plain', 'X-Object-Meta-A': 'b'})):
            urllib.request.urlopen(urllib.request.Request(cluster.url + path, body, headers, method='PUT')).close()
        yield cluster


def test_object_info_tells_what_a_file_holds_and_whether_it_is_sound(filled, capsys):
    path = filled.files('.data')[0]
    assert info.object_info([str(path), '-d', str(filled.swift_dir)]) == 0
    said = capsys.readouterr().out
    for line in ('Path: /AUTH_test/c/o', 'Content-Type: text/plain', '  X-Object-Meta-A: b',
                 'ETag: 5d41402abc4b2a76b9719d911017c592 (valid)', 'Content-Length: 5 (valid)'):
        assert line in said.splitlines()
    with open(path, 'ab') as file:
        file.write(b'!')
    info.object_info([str(path), '-d', str(filled.swift_dir)])
    said = capsys.readouterr().out
    assert '(the content has ' in said and 'Content-Length: 5 (the file has 6)' in said


@pytest.mark.parametrize('command, ends, whole, rest', [
    (info.object_info, '.data', '  X-Object-Meta-A: b', '  A: b'),
    (info.container_info, '.db', '  X-Container-Meta-Colour: red', '  Colour: red')])
def test_info_may_leave_out_what_all_names_of_a_block_share(filled, capsys, command, ends, whole, rest):
    path = next(path for path in filled.files(ends) if 'accounts' not in str(path))
    command([str(path), '-d', str(filled.swift_dir), '--drop-prefixes'])
    said = capsys.readouterr().out.splitlines()
    assert rest in said and whole not in said


@pytest.mark.parametrize('argv, status', [
    (['all', 'start'], 0), (['all', 'start', '--strict'], 1), (['proxy', 'start'], 1),
    (['proxy', 'start', '--non-strict'], 0)])
def test_a_server_without_conf_is_a_failure_where_it_is_named_or_strictness_is_asked_for(tmp_path, argv, status):
    assert init.main([*argv, '--swift-dir', str(tmp_path), '--run-dir', str(tmp_path / 'run')]) == status


@pytest.mark.parametrize('command, end, lines', [
    (info.account_info, 'accounts', ['Path: /AUTH_test', '  Deleted: False', '  Bytes Used: 0']),
    (info.container_info, 'containers', ['Path: /AUTH_test/c', '  Storage Policy: gold (0)',
                                         '  X-Container-Meta-Colour: red']),
])
def test_database_info_tells_what_a_database_says_of_the_whole(filled, capsys, command, end, lines):
    path = next(path for path in filled.files('.db') if end in str(path))
    assert command([str(path), '-d', str(filled.swift_dir)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line not in said] == []


def test_database_info_counts_what_waits(filled, capsys):
    path = next(path for path in filled.files('.db') if 'containers' in str(path))
    path.with_name(path.name + '.pending').write_bytes(b':eA==:eQ==')
    info.container_info([str(path), '-d', str(filled.swift_dir)])
    assert 'not counted here: 2' in capsys.readouterr().out


@pytest.mark.parametrize('command', [info.object_info, info.account_info, info.container_info])
def test_info_about_something_else_is_one_line(filled, capsys, command):
    assert command([str(filled.swift_dir / 'swift.conf'), '-d', str(filled.swift_dir)]) == 1
    said = capsys.readouterr()
    assert not said.out and len(said.err.splitlines()) == 1 and 'swift.conf' in said.err

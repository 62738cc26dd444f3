"""Operators' commands of the object store, on a cluster in this process or on real processes of this host."""

import pytest

from swift.cli import get_nodes
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

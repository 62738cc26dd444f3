"""Which nodes the proxy tries, when it leaves them alone, and which answers are enough."""

from types import SimpleNamespace

import pytest

from swift.proxy import conf, quorum
from swift.proxy.call import update_targets
from swift.proxy.nodes import ErrorLimits, Nodes, Sorter
from swift.proxy.quorum import Reply
from swift.ring import files
from swift.ring.builder import RingBuilder
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring


@pytest.fixture(scope='module')
def ring(tmp_path_factory):
    builder = RingBuilder(4, 3, 1)
    for number in range(12):
        builder.add({'region': 1 + number % 2, 'zone': number // 4, 'ip': f'10.0.0.{number}', 'port': 6200,
                     'device': f'd{number}', 'weight': 1})
    builder.rebalance(1)
    path = tmp_path_factory.mktemp('ring')
    files.write_ring(str(path / 'object.ring.gz'), builder.ring_data())
    return Ring(str(path), HashPath(b'a', b'b'), name='object')


def sorter(**options):
    given = {name: option.default for name, option in conf.POLICY_OPTIONS.items()}
    return Sorter(SimpleNamespace(**{**given, **options}), 300)


def nodes(ring, count='2 * replicas', errors=None, sorted_by=None, **options):
    return Nodes(ring, 3, sorted_by or sorter(), errors or ErrorLimits(10, 60), conf.replicas_factor(count), **options)


def test_primaries_come_first_and_then_handoffs_as_many_as_allowed(ring):
    found = list(nodes(ring))
    primaries = {node['id'] for node in ring.get_part_nodes(3)}
    assert {node['id'] for node in found[:3]} == primaries
    assert [node['id'] for node in found[3:]] == [node['id'] for node in ring.get_more_nodes(3)][:3]
    assert len(list(nodes(ring, '2'))) == 2 and len(list(nodes(ring, '99'))) == 12


def test_primaries_are_shuffled(ring):
    # each order comes in one of six; that 600 do without one happens once in 10**47
    assert len({tuple(node['id'] for node in list(nodes(ring))[:3]) for _ in range(600)}) == 6


def test_a_node_in_error_is_passed_over_and_does_not_count(ring):
    errors = ErrorLimits(2, 60)
    bad = ring.get_part_nodes(3)[0]
    for _ in range(2):
        errors.error(bad, 'x')
    assert not errors.limited(bad)
    errors.error(bad, 'x')
    assert errors.limited(bad)
    found = list(nodes(ring, errors=errors))
    assert len(found) == 6 and bad['id'] not in {node['id'] for node in found}


def test_a_node_without_recent_errors_is_trusted_again(ring):
    errors = ErrorLimits(2, 0)
    node = ring.get_part_nodes(3)[0]
    errors.limit_now(node, 'full')
    assert not errors.limited(node) and not errors.limited(node)


def test_near_nodes_are_read_first(ring):
    near = sorter(sorting_method='affinity', read_affinity=conf.affinity('r2z1=1, r2=10, r1=20'))
    for _ in range(10):
        found = [(node['region'], node['zone']) for node in list(nodes(ring, sorted_by=near))[:3]]
        assert found == sorted(found, key=lambda place: (place != (2, 1), place[0] != 2))


def test_local_nodes_are_written_first(ring):
    local = sorter(write_affinity=conf.locality('r1'), write_affinity_node_count=conf.replicas_factor('4'))
    found = list(nodes(ring, '99', sorted_by=local, local_first=True))
    assert [node['region'] for node in found[:4]] == [1] * 4
    assert sorted(node['id'] for node in found) == list(range(12))
    assert {node['id'] for node in list(nodes(ring, sorted_by=local))[:3]} == {
        node['id'] for node in ring.get_part_nodes(3)}


def test_fast_nodes_are_read_first(ring):
    timing = sorter(sorting_method='timing')
    primaries = ring.get_part_nodes(3)
    for node, seconds in zip(primaries, (0.3, 0.1, 0.2)):
        timing.measured(node, seconds)
    assert [node['id'] for node in list(nodes(ring, sorted_by=timing))[:3]] == [
        primaries[index]['id'] for index in (1, 2, 0)]


@pytest.mark.parametrize('kind, value', [
    (conf.replicas_factor, '0'), (conf.replicas_factor, 'x * replicas'), (conf.affinity, 'r1'), (conf.affinity, 'x=1'),
    (conf.locality, 'z1'), (conf.affinity, 'r1=x'), (conf.auto, '-1'),
])
def test_options_that_mean_nothing_are_refused(kind, value):
    with pytest.raises(ValueError):
        kind(value)


@pytest.mark.parametrize('count, enough', [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_half_of_the_replicas_is_a_quorum(count, enough):
    assert quorum.quorum_size(count) == enough


@pytest.mark.parametrize('statuses, overrides, expected', [
    ([201, 201, 503], {}, 201), ([201, 202, 503], {}, 202), ([404, 404, 204], {404: 204}, 204),
    ([204, 404, 503], {404: 204}, 204), ([204, 404, 503], {}, 503), ([404, 404, 503], {404: 204}, 404),
    ([503, 503, 503], {}, 503),
    ([404, 409, 503], {}, 409), ([201, 404, 503], {}, 503), ([301, 302, 201], {}, 302), ([507, 507, 201], {}, 503),
])
def test_the_answer_of_several(statuses, overrides, expected):
    assert quorum.best([Reply(status) for status in statuses], 2, overrides).status == expected


def test_each_listing_replica_is_told_by_somebody():
    def targets(requests, replicas, least=2):
        headers = [{} for _ in range(requests)]
        update_targets(headers, 'Container', 7, [
            {'ip': '::1' if not number else '10.0.0.1', 'port': number, 'device': f'd{number}'}
            for number in range(replicas)], least)
        return [header.get('X-Container-Device') for header in headers]
    assert targets(3, 3) == ['d0', 'd1', 'd2']
    assert targets(2, 3) == ['d0,d2', 'd1']
    assert targets(3, 1) == ['d0', 'd0', None] and targets(4, 2, 3) == ['d0', 'd1', 'd0', None]
    headers = [{}]
    update_targets(headers, 'Container', 7, [{'ip': '::1', 'port': 1, 'device': 'd'}], 1)
    assert headers == [{'X-Container-Host': '[::1]:1', 'X-Container-Device': 'd', 'X-Container-Partition': '7'}]

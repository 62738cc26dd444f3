"""Files as Swift 2.38 wrote them, ours beside them, and files that are neither."""

import array
import base64
import gzip
import os
import pickle
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swift.ring import files
from swift.ring.builder import RingBuilder
from swift.ring.errors import FileError, RingError
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring

#: one ring of six devices, 16 partitions and 2.5 replicas in both formats, and its builder
V1 = base64.b64decode(
    'H4sICPQqhE0C/2dvbGQucmluZwAABgD5/1IxTkcAAQAAAP//zZNtb4IwEMc7qd+D9LUxtAVd9mJfZFkIQtUmSEnp3IPxu+8Ot4rd'
    'YtxisnEh978Hrr+0hRB6v2OLV6eMrZRldzGrtXO1YpOYVWrbQeZhh0qXCqsFFnQFMkHRYo4nUzSOpY1yBeZQt8Y60DORYK9VK20a'
    'iHkftLUuCweZ/OuQYfV0yLPSqzXGPIFuSLyZBrn4fhIPMRcek4eYYoj58htO/jnlO075I87Sc4qQU15jO+WF25mdUIqAsvKUMqRM'
    'L6QU5yjT6xy68pjpn2LOs2l2pJQB5dJTZv/rD3rEBQvr8m6tl9ghbo+T8tI8Ne7jBmyV7Q4k8z0llOAzBou8p70ioMZkRG7AIngP'
    'Cj3pPXaN+q4IPO2/fAcbSb/NmAQAAA=='
)
V2 = base64.b64decode(
    'H4sICPQqhE0C/2dvbGQucmluZwAABgD5/1IxTkcAAgAAAP//YmAAA89qpZTUsvjMlPikypLUYiUrBSMdBaWCxKKS+OKMzLQSkIAF'
    'UKQotSAnMzkxPjm/NA8sqGcKFC1LLSrOzM8D8s1rAQAAAP//zNPhCsIgEADgQS8y/D2Gp7OgV4mIpbaE2mSMiqIH7i3ygmyziBWD'
    '0j93pxwfJ0YRrtFldiJK74zUZBqTnCQxMcqFFAOLNaApbsCjrW5yrGFsq7px8ZhRvFvrwlSly+GW2I2ReeMqi+cm7dNuk702xRpz'
    'oO62KxyrEl1wTuI2c+mZEDJZm3n4xgn3Lq+c/COn9E4WOvkQ4+Q9xyk6ShYolVfyUJn1VLJ3ymyYR9eemf2UORGpeCh5oFx5pfiv'
    'HzS/AgAA//88i0EOACAMwqrb/uf/XyNgIs1SDgySQwtnRH13GmrDZonSvWYTe7WzKrn9eQEAAP//XM/BTsMwDAbg8SZVz5Vmx4md'
    '8CpoByexRw+bBK3ggHh32gmJCl/8n/z5P532eXr7GpfP2dfz+3y/nnVZ5uv9Zvd1GZ+HF4I8DQiFp4GSbBFznIZxedWQeNwSYO25'
    'WtWcsoQIwbcdrcSQQ9BearPeeyslpJK8YlQ3SQ24OpNkGC/7uT+/28fc7GEj4jTkDT08cZBTBsiVqjt3xSYpGkvwyBClWAikDJsF'
    'Bt4iJ6tkoTQOBmq9Iv2Xb7Zq11UftTeK97a/HxzYWipqpNgFiCgKQxNldSqJCbWmVnIWFzcDKW499Y6lYRRBJsDx8v0DAAD//wAI'
    'APf/AAAAAAAABKAAAAD//wAIAPf/AAAAAAAAAWUAAAD//wEAAP//XQUpnikGAAA='
)
BUILDER = zlib.decompress(base64.b64decode(
    'eNp9lfty20QUxnWxE5O6rZPSJuESGhrIckvrS92EW9NycZslBQwFFViEYm+8GhLbnyQ3LTOZ4Z/Gwzv04XiT9uzKruwwRWcsab89'
    '/p1zdo+kv51jWMybsyyrH0SJ3+8dyQg2z3nnSerKRyRlunPPK5Acyf5B2ApiuI3tnGUO7xydDsNu6q16gyhGjttefgSOkeclTzu3'
    '5cMYMwKz7BgF5s0YXifsdfEK+WuPv3pdiTkaODQI+zhjgpavbWgro2ic+r0owdndzSVDIGjYkjjn2TQIcN6kM0ozIbZPmJIqeqVT'
    'sqHMa4pmHsokwIKn68EFwz2SYUcleLWx/WBUp8mpjYvcmqjtEi94xfHIPwq6iWxjkVuDYywxRXUpKkdN1VHBstLpqzTnPbymSuP5'
    'spl/Xc3vPl1SC2b+Ed5QWRbqIuEoqFrceUYHhXlzHMaZDlPFymSYFt5SJbWidMlqQV3QzLsvmA4x8xnzsmY6/029htVJZhtvE3N1'
    'ipnl6RJzVi1ym4BXxkD3NHBtEijxDgHXpoDNf8fAXJqkAb77ksUtY30SuA9GwPWXZJgfZWgNpNlE3aB+SwXdDm3ie/+MNT9s+3uP'
    'Exnjfe54syQ+lFGs+/YDPmuC90g46AVtfNiwRoc3Tyd/1HEV3R4VQuEjgQ3WCqIoeDyXnnHVZHoH1wTKjOfILLI8mfvimjN3Fnfl'
    'CSpNVNVVRe41RqLDbTKXfumdvlrmSn8i9+tN1FP3G8xMuWQOTeYNbbOJLeld0skeBPHomT+kgmJf9nsthY93nt13/zTPz2kPfKLS'
    '5G/jU4HPmEn8f4zCfd7ETW9xmtUJEiUjP05ogG0+ky5dO4z76TL7nSjoK9w6xm2q4Am+EPiS8QKZZlIt7gm+Evia8bNmyVJNrQ3R'
    'ELiTqSyVeS7BXYGdCXf7CbjAN8wgC0bh9gl2Be5pzeyJ0dT6EN8KfJeFZ6nM8wm+F2gyXkw3ULs7J/hB4MdpTa0McV/gp0xlqcyd'
    'BD8LeNMTtipyK8EDgV+mOLZaHuJXgd9Ouy9zO4EQ+H3C3dHV+AJ/MH7G9FGqqdUhAoG9TGWpzN0ELYF2NjEwH4psTyAb22ujTi+m'
    'na5bwjfv+H2Bzvh1qbzL+jncLFerlc1260a5VgvqwV69Xq1Va/Wt65Vgf39LIhxsPAcmfZf1'
))
PRIMARIES = [[4, 5, 2], [4, 2, 0], [0, 1, 3], [0, 1, 3], [5, 3, 2], [5, 1, 4], [3, 2, 5], [0, 1, 3], [5, 1],
             [5, 1], [3, 2], [4, 0], [0, 1], [5, 1], [0, 4], [3, 0]]
HANDOFFS = [[3, 1, 0], [3, 1, 5], [4, 2, 5], [4, 2, 5], [4, 1, 0], [3, 2, 0], [4, 1, 0], [2, 4, 5],
            [4, 3, 2, 0], [3, 2, 4, 0], [5, 4, 1, 0], [3, 2, 1, 5], [4, 3, 2, 5], [4, 3, 2, 0],
            [3, 2, 1, 5], [2, 4, 1, 5]]
SECRETS = HashPath(b'pre', b'suf')


@pytest.fixture(params=[V1, V2], ids=['v1', 'v2'])
def ring(request, tmp_path):
    (tmp_path / 'object.ring.gz').write_bytes(request.param)
    return Ring(str(tmp_path), SECRETS, name='object')


def ids(nodes):
    return [node['id'] for node in nodes]


def test_a_ring_of_swift_is_read_as_it_was_meant(ring):
    assert (ring.part_power, ring.partition_count, ring.replica_count) == (4, 16, 2.5)
    assert [ids(ring.get_part_nodes(part)) for part in range(16)] == PRIMARIES
    assert ring.devs[1] == {'id': 1, 'region': 1, 'zone': 1, 'ip': '10.0.0.2', 'port': 6200, 'device': 'b',
                            'replication_ip': '10.1.0.2', 'replication_port': 6300, 'meta': 'x',
                            'weight': 100.0}


def test_handoffs_come_in_the_order_of_swift(ring):
    assert [ids(ring.get_more_nodes(part)) for part in range(16)] == HANDOFFS
    assert [node['handoff_index'] for node in ring.get_more_nodes(8)] == [0, 1, 2, 3]


def test_paths_lead_to_the_partitions_of_swift(ring):
    assert [ring.get_part('AUTH_test', 'c', f'o{each}') for each in range(8)] == [5, 4, 13, 6, 11, 4, 0, 9]
    assert (ring.get_part('AUTH_test'), ring.get_part('AUTH_test', 'c')) == (7, 0)
    assert SECRETS.hexdigest('AUTH_test', 'c', 'o') == 'c986cba3005b6c92e63df5b00b653be6'
    part, nodes = ring.get_nodes('AUTH_test')
    assert (part, ids(nodes), [node['index'] for node in nodes]) == (7, [0, 1, 3], [0, 1, 2])


def test_an_object_without_its_container_has_no_place(ring):
    with pytest.raises(ValueError, match='container is required'):
        ring.get_part('AUTH_test', None, 'o')


def test_format_1_is_written_as_swift_writes_it(tmp_path):
    (tmp_path / 'swift.ring.gz').write_bytes(V1)
    data = files.read_ring(str(tmp_path / 'swift.ring.gz'))
    assert gzip.decompress(files.render_v1(data)) == gzip.decompress(V1)


def test_format_2_says_what_swift_says(tmp_path):
    (tmp_path / 'swift.ring.gz').write_bytes(V2)
    data = files.read_ring(str(tmp_path / 'swift.ring.gz'))
    files.write_ring(str(tmp_path / 'ours.ring.gz'), data, 2)
    ours = files.read_ring(str(tmp_path / 'ours.ring.gz'))
    assert (ours.devs, ours.rows, ours.version) == (data.devs, data.rows, data.version)
    raw, mine = gzip.decompress(V2), gzip.decompress(files.render_v2(data))
    index = raw.rindex(b'{"swift/ring/assignments"')
    assert mine[:index] == raw[:index]          # all but places in the file, which depend on the compressor


def test_equal_rings_are_equal_files():
    builder = RingBuilder.restore(pickle.loads(BUILDER))
    assert files.render_v1(builder.ring_data()) == files.render_v1(builder.ring_data())
    assert files.render_v2(builder.ring_data()) == files.render_v2(builder.ring_data())


def test_a_builder_of_swift_is_read_and_written_back_alike(tmp_path):
    path = tmp_path / 'object.builder'
    path.write_bytes(BUILDER)
    builder = RingBuilder.load(str(path))
    builder.validate()
    builder.save(str(path))
    theirs, ours = pickle.loads(BUILDER), pickle.loads(path.read_bytes())
    assert ours == theirs
    assert {key: type(value) for key, value in ours.items()} == {
        key: type(value) for key, value in theirs.items()}


def test_what_swift_placed_well_stays_where_it_is():
    state = pickle.loads(BUILDER)
    # within the hour: after it, a partition may move for the sake of balance
    builder = RingBuilder.restore(state, clock=lambda: state['_last_part_moves_epoch'] + 60)
    before = [list(row) for row in builder.rows]
    assert builder.rebalance(seed=1)[0] == 0
    assert [list(row) for row in builder.rows] == before


class Evil:
    def __reduce__(self):
        return os.system, ('touch /tmp/owned',)


@pytest.mark.parametrize('content', [
    pickle.dumps({'part_power': 3, 'devs': Evil()}), pickle.dumps([1]), b'', b'not a pickle', BUILDER[:700],
    pickle.dumps({'part_power': 3, 'devs': []}), pickle.dumps({'part_power': 99, 'devs': [], 'replicas': 3}),
])
def test_a_file_that_is_no_builder_is_refused_and_runs_nothing(tmp_path, content):
    path = tmp_path / 'object.builder'
    path.write_bytes(content)
    with pytest.raises(FileError, match='Ring Builder file is invalid'):
        RingBuilder.load(str(path))
    assert not os.path.exists('/tmp/owned')


@pytest.mark.parametrize('content', [
    b'', b'R1NG', V1[:200], V2[:300], gzip.compress(b''), gzip.compress(b'R1NG\0\3' + bytes(40)),
    gzip.compress(b'PICK' + bytes(40)), gzip.compress(b'R1NG\0\1\0\0\0\5[1,2]'),
    gzip.compress(gzip.decompress(V1)[:-1]), gzip.compress(gzip.decompress(V1)[:900]),
])
def test_a_file_that_is_no_whole_ring_is_refused(tmp_path, content):
    path = tmp_path / 'object.ring.gz'
    path.write_bytes(content)
    with pytest.raises(FileError):
        files.read_ring(str(path))


def test_a_changed_section_is_noticed(tmp_path):
    raw = bytearray(gzip.decompress(V2))
    raw[raw.index(b'10.0.0.1')] = ord('9')
    (tmp_path / 'object.ring.gz').write_bytes(gzip.compress(bytes(raw)))
    with pytest.raises(FileError, match='checksum of swift/ring/devices'):
        files.read_ring(str(tmp_path / 'object.ring.gz'))


@settings(max_examples=25)
@given(st.data())
def test_a_ring_survives_both_formats(tmp_path_factory, data):
    power = data.draw(st.integers(0, 6))
    lengths = [1 << power] * data.draw(st.integers(1, 4))
    lengths[-1] = data.draw(st.integers(1, 1 << power)) if len(lengths) > 1 else lengths[-1]
    version = data.draw(st.sampled_from([1, 2]))
    size = data.draw(st.sampled_from([2, 4])) if version == 2 else 2
    rows = [array.array(files.CODES[size], data.draw(
        st.lists(st.integers(0, (1 << 8 * size) - 1), min_size=length, max_size=length))) for length in lengths]
    meta = data.draw(st.text(st.characters(exclude_categories=['Cs']), max_size=9))
    dev = {'id': 0, 'region': 1, 'zone': 2, 'ip': '::1', 'port': 1, 'device': 'ü', 'replication_ip': '::1',
           'replication_port': 2, 'meta': meta, 'weight': 0.1}
    ring = files.RingData([dev, None], 32 - power, rows, 7, None, size)
    path = str(tmp_path_factory.mktemp('ring') / 'a.ring.gz')
    files.write_ring(path, ring, version)
    found = files.read_ring(path)
    assert (found.devs, found.rows, found.version, found.part_shift) == ([dev, None], rows, 7, 32 - power)
    assert found.replicas == pytest.approx(len(lengths) - 1 + lengths[-1] / lengths[0])


def test_a_server_takes_up_a_new_ring_and_keeps_the_old_when_the_new_is_broken(tmp_path):
    path = tmp_path / 'object.ring.gz'
    path.write_bytes(V1)
    ring = Ring(str(path), SECRETS, reload_time=0)
    builder = RingBuilder.restore(pickle.loads(BUILDER))
    builder.set_info(0, {'meta': 'new'})
    files.write_ring(str(path), builder.ring_data())
    assert ring.get_part_nodes(2)[0]['meta'] == 'new'
    path.write_bytes(b'half a file')
    assert ring.get_part_nodes(2)[0]['meta'] == 'new'
    path.unlink()
    assert ring.get_part_nodes(2)[0]['meta'] == 'new'


def test_the_secrets_come_from_the_clusters_file(tmp_path):
    path = tmp_path / 'swift.conf'
    path.write_bytes(b'[swift-hash]\nswift_hash_path_prefix = a%b\nswift_hash_path_suffix = \xff\n')
    assert HashPath.load(str(path)) == HashPath(b'a%b', b'\xff')
    path.write_text('[swift-hash]\n')
    with pytest.raises(RingError, match='both swift_hash_path_suffix'):
        HashPath.load(str(path))
    with pytest.raises(RingError, match='Unable to read'):
        HashPath.load(str(tmp_path / 'missing'))

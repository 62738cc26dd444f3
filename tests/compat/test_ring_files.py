"""Swift 2.38 beside ours: each reads what the other wrote, and both name the same handoffs.

The other Swift is installed into an environment of its own, which takes
minutes, and is used as operators use it: its commands, and its ``Ring``.
"""

import json
import random
import subprocess

import pytest

from swift.cli import ring_builder
from swift.ring import files
from swift.ring.builder import RingBuilder
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring

pytestmark = pytest.mark.slow

#: answers for each ring: part power, primaries and handoffs of some partitions, partitions of some paths
ASK = """
import json, sys
import swift.common.utils as utils
utils.SWIFT_CONF_FILE = sys.argv[1]
from swift.common.ring import Ring
for path in sys.argv[2:]:
    ring = Ring(path)
    parts = range(0, ring.partition_count, max(1, ring.partition_count // 48))
    print(json.dumps([ring.partition_count, [
        [[dev['id'] for dev in ring.get_part_nodes(part)], [dev['id'] for dev in ring.get_more_nodes(part)]]
        for part in parts], [ring.get_part('a', 'c', str(number)) for number in range(20)]]))
"""


@pytest.fixture
def run(swift_2_38, tmp_path):
    def run(*arguments, status=0):
        done = subprocess.run([f'{swift_2_38}/swift-ring-builder', *arguments], cwd=tmp_path, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout
    return run


def random_builder(number):
    rng = random.Random(number)
    builder = RingBuilder(rng.choice([1, 3, 5, 8, 10, 17]), rng.choice([1, 2, 2.5, 3, 3.25, 5]), 0)
    for index in range(rng.randrange(6, 30)):
        builder.add({'region': rng.randrange(1, 4), 'zone': rng.randrange(1, 4), 'ip': f'10.0.0.{rng.randrange(4)}',
                     'port': 6200, 'weight': rng.choice([1, 10, 100.0]), 'device': f'd{index}'})
    builder.rebalance(number)
    if number % 2:
        builder.remove(rng.choice(builder.live()[1:])['id'])
        builder.rebalance(number)
    return builder


def test_both_lead_to_the_same_devices_in_the_same_order(swift_2_38, tmp_path):
    conf = tmp_path / 'swift.conf'
    conf.write_text('[swift-hash]\nswift_hash_path_prefix = pre\nswift_hash_path_suffix = suf\n')
    paths = [str(tmp_path / f'{number}.ring.gz') for number in range(16)]
    for number, path in enumerate(paths):
        files.write_ring(path, random_builder(number).ring_data(), 1 + number // 2 % 2)
    said = subprocess.run([f'{swift_2_38}/python', '-P', '-c', ASK, str(conf), *paths], cwd=tmp_path, check=True,
                          capture_output=True, text=True).stdout.splitlines()
    for path, line in zip(paths, said, strict=True):
        count, devices, parts = json.loads(line)
        ring = Ring(path, HashPath.load(str(conf)))
        assert ring.partition_count == count
        assert devices == [[[dev['id'] for dev in ring.get_part_nodes(part)],
                            [dev['id'] for dev in ring.get_more_nodes(part)]]
                           for part in range(0, count, max(1, count // 48))]
        assert parts == [ring.get_part('a', 'c', str(number)) for number in range(20)]


@pytest.mark.parametrize('number', range(6))
def test_our_builder_is_theirs_too(run, tmp_path, number):
    builder = random_builder(number)
    builder.save(str(tmp_path / 'a.builder'))
    files.write_ring(str(tmp_path / 'a.ring.gz'), builder.ring_data(), 1 + number % 2)
    run('a.builder', 'validate')
    assert 'a.ring.gz is up-to-date' in run('a.builder')
    if builder.replicas % 1 == 0:       # Swift counts just the partitions that have the last replica
        said = run('a.builder', 'dispersion', '--recalculate', status=1 if builder.dispersion else 0)
        assert said.startswith(f'Dispersion is {builder.dispersion:.6f}, Balance is {builder.balance():.6f}')
    run('a.builder', 'add', 'r1z1-10.9.9.9:6200/new', '50')
    before = builder.ring_data().version
    run('a.builder', 'set_info', 'd0', '_hello')
    again = RingBuilder.load(str(tmp_path / 'a.builder'))
    assert again.version > before and again.get(0)['meta'] == 'hello'
    assert again.rows == builder.rows


@pytest.mark.parametrize('version', ['1', '2'])
def test_their_files_are_ours_too(run, tmp_path, monkeypatch, capsys, version):
    monkeypatch.chdir(tmp_path)
    run('b.builder', 'create', '8', '2.5', '0')
    run('b.builder', 'add', *(word for number in range(12) for word in (
        f'r{number % 2}z{number % 3}-10.0.0.{number % 4}:6200R10.1.0.1:6300/d{number}_m', str(100 + number))))
    run('b.builder', 'rebalance', '--format-version', version)
    assert ring_builder.run(['b.builder', 'validate']) == 0
    ring_builder.run(['b.builder'])
    assert 'Ring file b.ring.gz is up-to-date' in capsys.readouterr().out
    builder = RingBuilder.load('b.builder')
    assert files.read_ring('b.ring.gz').rows == builder.rows
    builder.add({'region': 1, 'zone': 9, 'ip': '10.0.0.9', 'port': 1, 'device': 'x', 'weight': 100})
    builder.rebalance(1)
    builder.save('b.builder')
    run('b.builder', 'validate')

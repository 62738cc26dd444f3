"""Which files of an object count: the answers are those that Swift 2.38 gave for the same directories."""

import hashlib
import time

import pytest

from swift.obj import hashes, ondisk

BASE = int(time.time()) - 1000


def name(text):
    """``3-1.meta`` -> a file three seconds after the base; the difference is in seconds."""
    stem, dot, kind = text.rpartition('.')
    for sign in '+-':
        if sign in stem:
            at, ticks = stem.split(sign)
            return f'{BASE + float(at):.5f}{sign}{int(float(ticks) * 100000):x}.{kind}'
    at, mark, offset = stem.partition('_')
    return f'{BASE + float(at):.5f}{mark}{offset}.{kind}'


# what is there; what is left; what the hash is made of
CASES = [
    ('1.meta', '1.meta', ''),
    ('1.data 2.meta', '1.data 2.meta', '2.meta 1.data'),
    ('1.data 1.meta', '1.data', '1.data'),
    ('2.data 1.meta', '2.data', '2.data'),
    ('1.data 1.ts', '1.ts', '1.ts'),
    ('1.data 2.ts', '2.ts', '2.ts'),
    ('2.data 1.ts', '2.data', '2.data'),
    ('1.ts 2.meta', '1.ts 2.meta', '1.ts'),
    ('2.ts 2.meta', '2.ts', '2.ts'),
    ('3.ts 2.meta', '3.ts', '3.ts'),
    ('1.data 2.ts 3.meta', '2.ts 3.meta', '2.ts'),
    ('1.data 2.meta 3.meta', '1.data 3.meta', '3.meta 1.data'),
    ('1.data 3-1.meta 4.meta', '1.data 3-1.meta 4.meta', '4.meta 1.data 2_ctype'),
    ('1.data 3-1.meta 4-2.5.meta', '1.data 3-1.meta 4-2.5.meta', '4.meta 1.data 2_ctype'),
    ('1.data 3+0.meta 4-2.5.meta', '1.data 3+0.meta 4-2.5.meta', '4.meta 1.data 3_ctype'),
    ('1.data 3+0.meta 4-2.5.meta 5.meta', '1.data 3+0.meta 5.meta', '5.meta 1.data 3_ctype'),
    ('1.data 3-2.meta', '1.data 3-2.meta', '3.meta 1.data'),
    ('1.data 3-3.meta', '1.data 3-3.meta', '3.meta 1.data'),
    ('1.data 2.data', '2.data', '2.data'),
    ('1_0000000000000001.data 1.data', '1_0000000000000001.data', '1_0000000000000001.data'),
    ('1_0000000000000001.data 1_0000000000000002.ts', '1_0000000000000002.ts', '1_0000000000000002.ts'),
    ('1.data 3-1.meta 3.meta', '1.data 3-1.meta', '3.meta 1.data 2_ctype'),
    ('1.data 3+0.meta 3.meta 3-1.meta', '1.data 3+0.meta', '3.meta 1.data 3_ctype'),
    ('1.durable 1.data', '1.data', '1.data'),
    ('1.junk 2.junk 2.data 3.junk', '2.data 3.junk', '2.data'),
    ('1.junk 2.junk 2.ts 3.junk', '2.ts 3.junk', '2.ts'),
    ('1.junk 2.meta', '1.junk 2.meta', ''),
]


@pytest.mark.parametrize('there, left, marks', CASES, ids=[case[0] for case in CASES])
def test_the_newest_counts_and_the_rest_is_removed(tmp_path, there, left, marks):
    place = tmp_path / 'abc' / ('0' * 29 + 'abc')
    place.mkdir(parents=True)
    for each in there.split():
        (place / name(each)).touch()
    digest = hashes.hash_suffix(str(place.parent), ondisk.WEEK)
    assert sorted(each.name for each in place.iterdir()) == sorted(name(each) for each in left.split())
    text = ''.join(name(each) if '_ctype' not in each else f'{BASE + float(each[0]):.5f}_ctype'
                   for each in marks.split())
    assert digest == hashlib.md5(text.encode()).hexdigest()


@pytest.mark.parametrize('there, left', [
    (['1000000000.00000.ts'], []),
    (['1000000000.00000.ts', '1000000001.00000.meta'], []),
    (['1000000000.00000.ts', f'{BASE:.5f}.meta'], [f'{BASE:.5f}.meta']),
    (['1000000001.00000.meta'], []),
    (['1000000000.00000.data', '1000000001.00000.meta'], ['1000000000.00000.data', '1000000001.00000.meta']),
    ([], []),
])
def test_tombstones_and_what_waits_for_data_are_reclaimed_after_a_week(tmp_path, there, left):
    place = tmp_path / 'abc' / ('0' * 29 + 'abc')
    place.mkdir(parents=True)
    for each in there:
        (place / each).touch()
    hashes.hash_suffix(str(place.parent), ondisk.WEEK)
    assert place.exists() == bool(left)
    assert not left or sorted(each.name for each in place.iterdir()) == sorted(left)
    assert (tmp_path / 'abc').exists() == bool(left)


def test_files_of_others_are_left_alone_and_do_not_count(tmp_path):
    place = tmp_path / 'abc' / ('0' * 29 + 'abc')
    place.mkdir(parents=True)
    strange = ['junk', f'{BASE + 1}.00000.foo', f'.{BASE}.00000.data.abcdef', f'{BASE}.00000#2.data', 'x.meta',
               '1+2+3+4.meta']
    for each in [*strange, f'{BASE}.00000.data']:
        (place / each).touch()
    assert hashes.hash_suffix(str(place.parent), ondisk.WEEK) == hashlib.md5(f'{BASE}.00000.data'.encode()).hexdigest()
    assert len(list(place.iterdir())) == 7


def test_the_time_of_an_object_is_that_of_the_newest_file_that_counts():
    found = ondisk.examine([name('1.data'), name('3.meta')])
    assert found.timestamp == BASE + 3
    assert ondisk.examine([name('2.ts'), name('5.meta')]).timestamp == BASE + 2
    assert not ondisk.examine([]).timestamp

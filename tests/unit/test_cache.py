"""The cache: bounded in size, bounded in time."""

from hypothesis import given
from hypothesis import strategies as st

from strata.cache import Cache
from strata.testing.clock import FrozenClock


def make(size=3, ttl=60):
    clock = FrozenClock()
    return Cache(size, ttl, monotonic=clock.monotonic), clock


def test_a_value_is_kept_until_its_time_is_over():
    cache, clock = make()
    cache.set('a', 1)
    cache.set('b', 2, ttl=10)
    cache.set('c', 3, ttl=1000)      # never longer than the cache's own time
    clock.advance(59)
    assert (cache.get('a'), cache.get('b'), cache.get('b', 'gone'), cache.get('c')) == (1, None, 'gone', 3)
    clock.advance(1)
    assert (cache.get('a'), cache.get('c')) == (None, None)
    assert len(cache) == 0


def test_the_least_recently_used_goes_first():
    cache, _ = make()
    for key in 'abc':
        cache.set(key, key)
    cache.get('a')
    cache.set('d', 'd')
    assert [cache.get(key) for key in 'abcd'] == ['a', None, 'c', 'd']


def test_what_has_no_time_is_not_kept():
    cache, _ = make()
    cache.set('a', 1)
    cache.set('a', 2, ttl=0)
    assert cache.get('a') is None


def test_values_can_be_forgotten():
    cache, _ = make()
    cache.set('a', 1)
    cache.delete('a')
    cache.delete('a')
    cache.set('b', None)
    assert (cache.get('a'), cache.get('b', 'default')) == (None, None)
    cache.clear()
    assert len(cache) == 0


@given(st.lists(st.tuples(st.sampled_from(['set', 'get', 'delete', 'wait']), st.integers(0, 9)),
                max_size=100))
def test_it_never_grows_nor_lies(steps):
    cache, clock = make(size=4, ttl=10)
    truth = {}
    for number, (verb, key) in enumerate(steps):
        if verb == 'set':
            cache.set(key, number)
            truth[key] = (number, clock.monotonic() + 10)
        elif verb == 'delete':
            cache.delete(key)
            truth.pop(key, None)
        elif verb == 'wait':
            clock.advance(key)
        else:
            value = cache.get(key)
            assert value is None or (truth[key][0] == value and truth[key][1] > clock.monotonic())
        assert len(cache) <= 4

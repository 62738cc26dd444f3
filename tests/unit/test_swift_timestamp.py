"""Points in time: the published forms, their order, and the packed form of listings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.timestamp import END, Timestamp, decode, encode, valid_delete_at

ticks = st.integers(0, END - 1)
offsets = st.integers(0, 2 ** 64 - 1)


@given(ticks, offsets)
def test_every_form_with_the_offset_reads_as_it_was_written(raw, offset):
    stamp = Timestamp(0, offset, raw)
    assert Timestamp(stamp.internal) == Timestamp(stamp.short) == stamp
    assert Timestamp(stamp.normal) == Timestamp(0, 0, raw)


@given(st.lists(st.tuples(ticks, st.integers(0, 9)), min_size=2, max_size=5))
def test_names_of_files_sort_as_the_times_do(pairs):
    stamps = [Timestamp(0, offset, raw) for raw, offset in pairs]
    assert [each.internal for each in sorted(stamps)] == sorted(each.internal for each in stamps)


@given(ticks, ticks, ticks)
def test_three_times_travel_as_one(first, second, third):
    times = tuple(Timestamp(0, delta=raw) for raw in (first, second, third))
    assert decode(encode(*times)) == times
    assert decode(encode(*times, explicit=True), explicit=True) == times


def test_forms_are_the_published_ones():
    stamp = Timestamp('1234567890.12345_a')
    assert (stamp.normal, stamp.internal) == ('1234567890.12345', '1234567890.12345_000000000000000a')
    assert stamp.isoformat == '2009-02-13T23:31:30.123450'
    assert stamp.last_modified == 'Fri, 13 Feb 2009 23:31:31 GMT'
    assert encode(Timestamp(1), Timestamp(2), Timestamp(1.5)) == '0000000001.00000+186a0-c350'


@pytest.mark.parametrize('value', ['', 'x', '-1', 'nan', 'inf', '10000000000', '1_x', '1+1+1+1'])
def test_what_is_no_time_is_refused(value):
    with pytest.raises(ValueError):
        decode(value)


def test_a_time_of_deletion_is_cut_to_ten_digits():
    assert [valid_delete_at(each) for each in ('-5', '12.9', '99999999999')] == [0, 12, 9_999_999_999]

"""Pages of names: whatever is asked, they hold what a plain reading of all names gives."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swift.db import listing
from swift.db.listing import Page, after

LETTERS = st.sampled_from(['\0', '\x01', 'a', 'b', '/', '-', '0', '\ud7ff', '\ue000', '\U0010ffff', 'é'])
NAMES = st.text(LETTERS, min_size=1, max_size=6)
TEXT = st.one_of(st.just(''), st.text(LETTERS, max_size=4))
DELIMITERS = st.sampled_from(['', '\0', '/', '-', '--', '/a', 'é', '\U0010ffff'])

PAGES = st.builds(Page, limit=st.integers(0, 12), marker=TEXT, end_marker=TEXT, prefix=TEXT, delimiter=DELIMITERS,
                  path=st.one_of(st.none(), st.sampled_from(['', 'a', 'a/', 'a/b', '/'])), reverse=st.booleans(),
                  reserved=st.booleans())


def key(name):
    return name.encode('utf-8')


def naive(names, page):
    """All names, read one by one."""
    page = page.settled()
    low, high = (page.end_marker, page.marker) if page.reverse else (page.marker, page.end_marker)
    found = []
    for name in sorted(names, key=key, reverse=page.reverse):
        if not name.startswith(page.prefix) or key(name) <= key(low) or (high and key(name) >= key(high)):
            continue
        if name.startswith('\0') and not page.reserved:
            continue
        rest = name[len(page.prefix):]
        place = rest.find(page.delimiter) if page.delimiter else -1
        if page.path is not None:
            if rest and (place < 0 or place == len(rest) - 1):
                found.append(name)
            continue
        shown = name if place < 0 else ('subdir', page.prefix + rest[:place + len(page.delimiter)])
        if place >= 0 and shown[1] in (page.marker, page.end_marker):
            continue
        if shown not in found:
            found.append(shown)
    return found[:page.limit]


def table(names):
    connection = sqlite3.connect(':memory:')
    connection.execute('CREATE TABLE thing (name TEXT, deleted INTEGER)')
    connection.execute('CREATE INDEX i ON thing (deleted, name)')
    connection.executemany('INSERT INTO thing VALUES (?, 0)', [(name,) for name in names])
    connection.executemany('INSERT INTO thing VALUES (?, 1)', [('a/gone',), ('zz',)])
    return connection


def read(connection, page):
    return [row[0] if len(row) == 2 else ('subdir', row[0]) for row in listing.entries(
        connection, 'SELECT name, deleted FROM thing', 'deleted = ?', (0,), page)]


@settings(max_examples=600)
@given(names=st.sets(NAMES, max_size=40), page=PAGES)
def test_a_page_is_what_reading_all_names_gives(names, page):
    assert read(table(names), page) == naive(names, page)


@settings(max_examples=150)
@given(names=st.sets(NAMES, max_size=40), page=PAGES.filter(lambda page: page.limit and page.path is None))
def test_pages_follow_each_other_without_gap_or_repetition(names, page):
    connection = table(names)
    whole = read(connection, Page(10_000, prefix=page.prefix, delimiter=page.delimiter, reverse=page.reverse,
                                  reserved=page.reserved))
    found, marker = [], ''
    while True:
        some = read(connection, Page(page.limit, marker=marker, prefix=page.prefix, delimiter=page.delimiter,
                                     reverse=page.reverse, reserved=page.reserved))
        if not some:
            break
        found += some
        marker = some[-1] if isinstance(some[-1], str) else some[-1][1]
    assert found == whole


@given(prefix=NAMES, tail=st.text(LETTERS, max_size=4))
def test_after_is_above_all_that_begin_with_a_prefix(prefix, tail):
    end = after(prefix)
    assert end is None and set(prefix) == {'\U0010ffff'} or key(prefix + tail) < key(end)


def test_a_subdirectory_costs_the_same_however_much_is_in_it():
    connection = table([f'dir{number}/{each:05}' for number in range(3) for each in range(20_000)])
    steps = []
    connection.set_progress_handler(lambda: steps.append(1), 100)
    assert read(connection, Page(100, delimiter='/')) == [('subdir', f'dir{number}/') for number in range(3)]
    assert read(connection, Page(100, delimiter='/', reverse=True)) == [
        ('subdir', f'dir{number}/') for number in (2, 1, 0)]
    assert len(steps) < 50


@pytest.mark.parametrize('marker, entries', [
    ('', [('subdir', '/'), 'a', ('subdir', 'photos/'), 'photos0']), ('photos/', ['photos0']),
    ('photos/1', [('subdir', 'photos/'), 'photos0'])])
def test_a_subdirectory_that_was_shown_is_not_shown_again(marker, entries):
    """As Swift 2.38 answers."""
    names = ['/x', 'a', 'photos/', 'photos/1', 'photos/2', 'photos0']
    assert read(table(names), Page(100, marker=marker, delimiter='/')) == entries

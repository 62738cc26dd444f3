"""``nova-manage db purge`` and ``db archive_deleted_rows``: the rows of deleted servers.

Their options and exit statuses are the published ones, so that the jobs operators have go on working.
There are no shadow tables here to archive to: a deleted server's rows stay where they are until they are
purged, so archiving does something with ``--purge`` only.
"""

import argparse
import collections
import datetime
import itertools
import time
from collections.abc import Iterator, Sequence

from nova.db import purge
from strata import clock, errors
from strata.db import Database

#: exit statuses: of purge, and of archive_deleted_rows
PURGED, NOT_SAID, WRONG_DATE, NOTHING_PURGED = 0, 1, 2, 3
NOTHING_ARCHIVED, ARCHIVED, WRONG_COUNT, WRONG_ARCHIVE_DATE = 0, 1, 2, 4
FAILED = 255


def parser(verb: str) -> argparse.ArgumentParser:
    """What may be said behind ``nova-manage db purge`` and ``nova-manage db archive_deleted_rows``."""
    top = argparse.ArgumentParser(prog=f'nova-manage db {verb}', description={
        'purge': 'Remove the rows of deleted servers, their operations included.',
        'archive_deleted_rows': 'Remove the rows of deleted servers, if --purge is said; there is no archive.'}[verb])
    top.add_argument('--before', metavar='DATE', help='only of servers deleted before then, as 2026-11-22[ 18:30]')
    top.add_argument('--verbose', action='store_true', help='say how many rows of which table')
    top.add_argument('--all-cells', action='store_true', help='accepted: there is one cell')
    if verb == 'purge':
        top.add_argument('--all', action='store_true', help='of all deleted servers')
        top.add_argument('--dry-run', action='store_true', help='say how many servers that would be, remove nothing')
        return top
    top.add_argument('--max_rows', '--max-rows', default='1000', metavar='N',
                     help='at most so many servers (%(default)s)')
    top.add_argument('--until-complete', action='store_true', help='go on, N at a time, until there are none')
    top.add_argument('--purge', action='store_true', help='really')
    top.add_argument('--sleep', type=float, default=0, metavar='SECONDS', help='rest so long after each N')
    top.add_argument('--task-log', action='store_true', help='accepted: there is no task log')
    return top


def command(database: Database, verb: str, words: Sequence[str]) -> int:
    """Carry out one of the two; returns the exit status."""
    said = parser(verb).parse_args(words)
    try:
        before = clock.parse(said.before) if said.before else None
    except ValueError:
        print(f'Invalid value for --before: {said.before}')
        return WRONG_DATE if verb == 'purge' else WRONG_ARCHIVE_DATE
    try:
        return _purge(database, said, before) if verb == 'purge' else _archive(database, said, before)
    except errors.Error as error:
        print(f'nova-manage: {error}')
        return FAILED


def _purge(database: Database, said: argparse.Namespace, before: datetime.datetime | None) -> int:
    if not said.all and before is None:
        print('Either --all or --before must be said.')
        return NOT_SAID
    before = None if said.all else before
    doomed = _doomed(database, before)
    if said.dry_run:
        servers = sum(1 for _ in doomed)
        print(f'Deleted servers to be purged: {servers}')
        return PURGED if servers else NOTHING_PURGED
    return PURGED if _tell(_erase(database, doomed), said.verbose) else NOTHING_PURGED


def _archive(database: Database, said: argparse.Namespace, before: datetime.datetime | None) -> int:
    if not said.max_rows.isdecimal() or not 0 < int(said.max_rows) < 2 ** 31:
        print(f'Invalid value for --max_rows: {said.max_rows}')
        return WRONG_COUNT
    if not said.purge:
        print('There is nothing to archive to: say --purge, or "nova-manage db purge".')
        return NOTHING_ARCHIVED
    doomed, most, gone = _doomed(database, before), int(said.max_rows), collections.Counter[str]()
    while True:
        some = _erase(database, itertools.islice(doomed, most))
        gone.update(some)
        if not said.until_complete or some['servers'] < most:
            break
        time.sleep(said.sleep)
    return ARCHIVED if _tell(gone, said.verbose) else NOTHING_ARCHIVED


def _doomed(database: Database, before: datetime.datetime | None) -> Iterator[str]:
    """The servers to be purged, looked up a page at a time."""
    after: int | None = 0
    while after is not None:
        with database.reading() as tx:
            ids, after = purge.doomed(tx, before, after=after, limit=purge.PAGE)
        yield from ids


def _erase(database: Database, ids: Iterator[str]) -> collections.Counter[str]:
    """Remove servers, a transaction for each page of them; how many rows of which table there were."""
    gone = collections.Counter[str]()
    while some := list(itertools.islice(ids, purge.PAGE)):
        gone.update(database.retried(_erase_page, database, some))
    return gone


def _erase_page(database: Database, ids: Sequence[str]) -> dict[str, int]:
    with database.transaction() as tx:
        return purge.erase(tx, ids)


def _tell(gone: collections.Counter[str], verbose: bool) -> int:
    """Say what went; how many servers."""
    print(f'Deleted servers purged: {gone["servers"]}')
    for table, rows in sorted(gone.items()) if verbose else ():
        print(f'{table:20} {rows}')
    return gone['servers']

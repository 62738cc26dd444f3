"""A container's database: which objects it has.

An object's row carries three times that change separately: of its data, of its
content type and of its metadata.  They stand in ``created_at`` as one string
(``timestamp.encode``), and two rows of a name merge into one that has the
newest of each.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any

from swift.container import policy, schema
from swift.db import listing, pending
from swift.db.broker import Broker, Item, named, normal
from swift.db.listing import Page
from swift.db.schema import run_script
from swift.timestamp import ZERO, Timestamp, decode, encode

_COLUMNS = 'name, created_at, size, content_type, etag, deleted, storage_policy_index'
_INSERT = f'INSERT INTO object ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)'  # noqa: S608
_KNOWN = (f'SELECT ROWID, {_COLUMNS} FROM object '  # noqa: S608
          'WHERE deleted IN (0, 1) AND name IN ({})')
#: names asked for in one statement
_NAMES = 100

#: sync points of container-sync; both return to -1 when its target changes
SYNC_POINTS = ('x_container_sync_point1', 'x_container_sync_point2')


class ContainerBroker(Broker):
    """One container."""

    kind = 'container'
    datadir = 'containers'
    stat = 'container_stat'
    stat_table = 'container_info'
    table = 'object'
    tombstone_time = 'created_at'

    def _create(self, connection: sqlite3.Connection, put_timestamp: Timestamp, *, storage_policy_index: int = 0,
                **values: Any) -> None:
        run_script(connection, schema.ALL)
        connection.execute(
            'INSERT INTO container_info (account, container, created_at, id, put_timestamp, status_changed_at, '
            'storage_policy_index) VALUES (?, ?, ?, ?, ?, ?, ?)',
            (self.account, self.container, Timestamp.now().internal, self.new_id(), put_timestamp.internal,
             put_timestamp.internal, storage_policy_index))
        connection.execute('INSERT INTO policy_stat (storage_policy_index) VALUES (?)', (storage_policy_index,))

    @staticmethod
    def deleted(info: Mapping[str, Any]) -> bool:
        """Whether it was deleted after it was put, and holds nothing."""
        return not info['object_count'] and Timestamp(info['delete_timestamp']) > Timestamp(info['put_timestamp'])

    def policy_index(self) -> int:
        """Its storage policy."""
        return int(self.info()['storage_policy_index'])

    def set_policy_index(self, index: int, timestamp: Timestamp) -> None:
        """Give it another storage policy, as of this time."""
        def change(connection: sqlite3.Connection) -> None:
            connection.execute('INSERT OR IGNORE INTO policy_stat (storage_policy_index) VALUES (?)', (index,))
            connection.execute(
                'UPDATE container_info SET storage_policy_index = ?, status_changed_at = ?, '
                'reconciler_sync_point = -1 WHERE storage_policy_index <> ?', (index, timestamp.internal, index))
        self.writing(change)

    def absorb(self, remote: Mapping[str, Any]) -> None:
        """Take over another replica's times, metadata, and its policy if that one counts."""
        mine = self.info()
        super().absorb(remote)
        if int(remote['storage_policy_index']) == mine['storage_policy_index']:
            return
        chosen = policy.winner(mine, remote)
        if chosen is remote:
            self.set_policy_index(int(remote['storage_policy_index']), Timestamp(remote['status_changed_at']))

    # -- objects

    def put_object(self, name: str, timestamp: Timestamp, size: int, content_type: str, etag: str, *,
                   storage_policy_index: int = 0, content_type_timestamp: Timestamp | None = None,
                   meta_timestamp: Timestamp | None = None) -> None:
        """Take in that an object was written."""
        self.put_row((name, timestamp.internal, size, content_type, etag, 0, storage_policy_index,
                      content_type_timestamp.internal if content_type_timestamp else None,
                      meta_timestamp.internal if meta_timestamp else None))

    def delete_object(self, name: str, timestamp: Timestamp, storage_policy_index: int = 0) -> None:
        """Take in that an object was deleted."""
        self.put_row((name, timestamp.internal, 0, 'application/deleted', 'noetag', 1, storage_policy_index,
                      None, None))

    def item(self, row: pending.Row) -> Item:
        """A row of the pending file, of any release; raises ``ValueError``."""
        created = str(row[1])
        if len(row) > 7 and (row[7] or row[8]):
            data = Timestamp(created)
            content = Timestamp(row[7]) if row[7] else data
            created = encode(data, content, Timestamp(row[8]) if row[8] else content)
        return {'name': named(row[0]), 'created_at': created, 'size': int(row[2]), 'content_type': row[3] or '',
                'etag': row[4] or '', 'deleted': int(row[5] or 0),
                'storage_policy_index': int(row[6] or 0) if len(row) > 6 else 0}

    def _merge(self, connection: sqlite3.Connection, rows: list[Item]) -> None:
        newest: dict[tuple[str, int], Item] = {}
        for row in rows:        # several of one name come together; the table sees the last of them
            key = row['name'], row.get('storage_policy_index', 0)
            other = newest.get(key)
            newest[key] = row if other is None else merged(other, row) or other
        known = _known(connection, list(dict.fromkeys(name for name, _ in newest)))
        gone, come = [], []
        for key, row in newest.items():
            olds = known.get(key, ())
            for old in olds:
                row = merged(_row_item(old), row)
                if row is None:
                    break
            if row is None:
                continue
            gone += [(old[0],) for old in olds]
            come.append((key[0], row['created_at'], row['size'], row['content_type'], row['etag'], row['deleted'],
                         key[1]))
        connection.executemany('DELETE FROM object WHERE ROWID = ?', gone)
        connection.executemany(_INSERT, come)

    def list_objects(self, page: Page, storage_policy_index: int) -> list[listing.Row]:
        """(name, times, size, content type, etag) each, or (name,) of a subdirectory."""
        self.commit_pending_soon()
        return self.reading(lambda connection: listing.entries(
            connection, 'SELECT name, created_at, size, content_type, etag FROM object',
            'deleted = 0 AND storage_policy_index = ?', (storage_policy_index,), page))

    def policy_stats(self) -> dict[int, tuple[int, int]]:
        """Policy -> (objects, bytes), for each that was ever used here."""
        return self.reading(lambda connection: {index: (count, size) for index, count, size in connection.execute(
            'SELECT storage_policy_index, object_count, bytes_used FROM policy_stat')})

    # -- what others are told

    def reported(self, put_timestamp: str, delete_timestamp: str, object_count: int, bytes_used: int) -> None:
        """The account has been told these."""
        self.writing(lambda connection: connection.execute(
            'UPDATE container_info SET reported_put_timestamp = ?, reported_delete_timestamp = ?, '
            'reported_object_count = ?, reported_bytes_used = ?',
            (put_timestamp, delete_timestamp, object_count, bytes_used)))

    def set_sync_points(self, first: int, second: int) -> None:
        """How far container-sync got."""
        self.writing(lambda connection: connection.execute(
            'UPDATE container_info SET x_container_sync_point1 = ?, x_container_sync_point2 = ?', (first, second)))

    def advance_sync_points(self, before: Item, first: int, second: int) -> None:
        """As ``set_sync_points``, unless the target or the points are no longer those of ``before``."""
        def change(connection: sqlite3.Connection) -> None:
            info = self._info(connection)
            targets = [self.parsed_metadata(each).get('X-Container-Sync-To') for each in (before, info)]
            if targets[0] == targets[1] and all(info[name] == before[name] for name in SYNC_POINTS):
                connection.execute('UPDATE container_info SET x_container_sync_point1 = ?, '
                                   'x_container_sync_point2 = ?', (first, second))
        self.writing(change)

    def misplaced_since(self, start: int, count: int) -> list[Item]:
        """Up to ``count`` rows after a ROWID whose storage policy is not the container's."""
        def query(connection: sqlite3.Connection) -> list[Item]:
            cursor = connection.execute(
                f'SELECT ROWID, {_COLUMNS} FROM object WHERE ROWID > ? AND storage_policy_index <> '  # noqa: S608
                '(SELECT storage_policy_index FROM container_info) ORDER BY ROWID LIMIT ?', (start, count))
            return [_row_item(row) for row in cursor]
        return self.reading(query)

    def set_reconciler_point(self, point: int, policy_index: int) -> None:
        """All up to this ROWID that has not this policy was handed to the reconciler.

        If the container has got another policy meanwhile, other rows are misplaced, and the point stays.
        """
        self.writing(lambda connection: connection.execute(
            'UPDATE container_info SET reconciler_sync_point = ? WHERE storage_policy_index = ?',
            (point, policy_index)))

    def _migrate(self, error: sqlite3.Error) -> bool:
        text = str(error)
        if not any(word in text for word in ('storage_policy_index', 'policy_stat', 'container_info',
                                             'sync_point', 'metadata', 'cannot modify')):
            return False

        def change(connection: sqlite3.Connection) -> None:
            kinds = dict(connection.execute('SELECT name, type FROM sqlite_master'))
            columns = {row[1] for row in connection.execute('PRAGMA table_info(object)')}
            if 'storage_policy_index' not in columns:
                connection.execute(schema.MIGRATE_COLUMN)
            if kinds.get('container_stat') == 'table':
                known = {row[1] for row in connection.execute('PRAGMA table_info(container_stat)')}
                run_script(connection, schema.MIGRATE_STATS.format(
                    metadata='metadata' if 'metadata' in known else "''",
                    sync_point1=SYNC_POINTS[0] if SYNC_POINTS[0] in known else '-1',
                    sync_point2=SYNC_POINTS[1] if SYNC_POINTS[1] in known else '-1'))
            elif 'reconciler_sync_point' not in {row[1] for row in connection.execute(
                    'PRAGMA table_info(container_info)')}:
                connection.execute('ALTER TABLE container_info ADD COLUMN reconciler_sync_point INTEGER DEFAULT -1')
            if 'shard_range' not in kinds:
                run_script(connection, schema.SHARD_RANGE)
        self.writing(change)
        return True


def _known(connection: sqlite3.Connection, names: list[str]) -> dict[tuple[str, int], list[listing.Row]]:
    """The rows that a container has of these names, by name and storage policy."""
    found: dict[tuple[str, int], list[listing.Row]] = {}
    for start in range(0, len(names), _NAMES):
        some = names[start:start + _NAMES]
        for row in connection.execute(_KNOWN.format(','.join('?' * len(some))), some):
            found.setdefault((row[1], row[7]), []).append(row)
    return found


def _row_item(row: listing.Row) -> Item:
    return dict(zip(('ROWID', 'name', 'created_at', 'size', 'content_type', 'etag', 'deleted',
                     'storage_policy_index'), row))


def merged(old: Item, new: Item) -> Item | None:
    """What two rows of one object come to; ``None`` if the old one says it all already.

    Three rows come to the same in any order, unless somebody changed metadata after the object was deleted.
    """
    if old['created_at'] == new['created_at'] and old['deleted'] == new['deleted']:
        return None
    old_times, new_times = _times(old), _times(new)
    # of data and a tombstone of one time, all replicas choose the tombstone
    newer = (new_times[0], new['deleted']) > (old_times[0], old['deleted'])
    data, rest = (new, old) if newer else (old, new)
    if data['deleted']:
        return new if newer else None
    times, others = (new_times, old_times) if newer else (old_times, new_times)
    if rest['deleted']:
        others = (ZERO, ZERO, ZERO)
    result = dict(data)
    result.pop('ROWID', None)
    content = max(times[1], others[1])
    if others[1] > times[1]:
        result['content_type'] = rest['content_type']
    created = encode(times[0], content, max(times[2], others[2]))
    if not newer and created == old['created_at']:
        return None
    result['created_at'] = created
    return result


def _times(item: Item) -> tuple[Timestamp, Timestamp, Timestamp]:
    """(data, content type, metadata) of a row."""
    data, content, meta = decode(item['created_at'])
    return data, content or data, meta or content or data


__all__ = ['ContainerBroker', 'merged', 'normal']

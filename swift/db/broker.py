"""One account or container database: its life, its metadata, its rows on their way in.

::

    initialize -> put (rows) ... delete -> (reclaim_age passes) -> the file is removed by the replicator
                   |
              .pending --(a reader, or 128 KiB of them)--> the table, by merge_items

A row is never updated, only replaced by a newer one, so its ROWID says when it
came: a replica that has seen all up to one has seen all before it.
"""

import logging
import os
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import orjson

from swift.db import connections, pending
from swift.db.connections import Connections
from swift.db.errors import DatabaseBusy, DatabaseCorrupt, DatabaseExists, DatabaseMissing
from swift.db.schema import SYNC, run_script
from swift.storage import quarantine
from swift.timestamp import Timestamp

LOG = logging.getLogger(__name__)
Value = TypeVar('Value')
Item = dict[str, Any]

#: how long a reader waits for those who append before it answers without what waits
STALE_AFTER = 0.1


class TooMuchMetadata(ValueError):
    """More than a database may keep for its user."""


def normal(value: Any) -> str:
    """A time as databases hold it: internal form, and ``0`` for none."""
    stamp = Timestamp(value or 0)
    return stamp.internal if stamp else '0'


def named(value: Any) -> str:
    """The name in a row; raises ``ValueError`` if it has none."""
    if not isinstance(value, str) or not value:
        raise ValueError('a row without a name')
    return value


class Broker:
    """What account and container databases have in common."""

    #: ``account`` or ``container``
    kind: ClassVar[str]
    #: the directory of a device
    datadir: ClassVar[str]
    #: the table or view with one row about the whole, and the table of that row's own columns
    stat: ClassVar[str]
    stat_table: ClassVar[str]
    #: the table of rows
    table: ClassVar[str]

    def __init__(self, pool: Connections, path: str, account: str | None = None, container: str | None = None) -> None:
        self.pool = pool
        self.path = path
        self.account = account
        self.container = container
        self.directory = os.path.dirname(path)
        self.pending_path = path + '.pending'

    # -- its file

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        return os.path.exists(self.path)

    @property
    def device_root(self) -> str:
        """The directory of the device: five levels above the file."""
        return os.path.abspath(os.path.join(self.directory, *['..'] * 4))

    def initialize(self, put_timestamp: Timestamp, **values: Any) -> None:
        """Make the database; raises ``DatabaseExists`` if another request was faster.

        It is made in the device's ``tmp`` and appears whole.
        """
        temporary = os.path.join(self.device_root, 'tmp')
        os.makedirs(temporary, exist_ok=True)
        made = os.path.join(temporary, f'{uuid.uuid4().hex}.db')
        connection = connections.connect(made)
        try:
            connection.execute('BEGIN')
            run_script(connection, SYNC)
            self._create(connection, put_timestamp, **values)
            connection.execute('COMMIT')
            connection.close()
            self.install(made)
        finally:
            connection.close()
            _remove(made)

    def install(self, made: str) -> None:
        """Give a finished database file its name, durably; raises ``DatabaseExists`` if there is one."""
        _make_directories(self.directory)
        with pending.lock(self.directory, connections.PATIENCE):
            if os.path.exists(self.path):
                raise DatabaseExists(path=self.path)
            _remove(self.pending_path)
            os.rename(made, self.path)
            _sync(self.directory)
        self.pool.forget(self.path)

    def _create(self, connection: sqlite3.Connection, put_timestamp: Timestamp, **values: Any) -> None:
        """Make the tables of this kind and the row about the whole; a kind defines it."""
        raise TypeError('a kind of database creates its own tables')

    def new_id(self) -> str:
        """A name for this replica of the database, which others remember their progress by."""
        return f'{uuid.uuid4()}-{os.path.basename(self.device_root)}'

    # -- transactions

    def reading(self, query: Callable[[sqlite3.Connection], Value]) -> Value:
        """Run queries in one read transaction; a broken file is quarantined (``DatabaseCorrupt``)."""
        return self._guarded(connections.read, query)

    def writing(self, change: Callable[[sqlite3.Connection], Value]) -> Value:
        """Run changes in one transaction, on disk when this returns."""
        return self._guarded(connections.write, change)

    def _guarded(self, run: Callable[..., Value], work: Callable[[sqlite3.Connection], Value]) -> Value:
        migrated = False
        while True:
            try:
                return run(self.pool, self.path, work)
            except sqlite3.Error as error:
                if connections.is_corrupt(error):
                    self.quarantine(str(error))
                if not migrated and self._migrate(error):
                    migrated = True
                    continue
                if str(error) in [f'no such table: {name}' for name in (self.stat, self.stat_table, self.table)]:
                    self.quarantine(str(error))
                raise

    def _migrate(self, error: sqlite3.Error) -> bool:
        """Bring a database of an older Swift up to date if that explains the error; whether it did."""
        return False

    def quarantine(self, reason: str) -> None:
        """Move the database's directory aside and raise ``DatabaseCorrupt``."""
        self.pool.forget(self.path)
        try:
            target = quarantine.move(self.device_root, self.directory, self.datadir)
        except FileNotFoundError:
            raise DatabaseMissing(path=self.path) from None
        _sync(os.path.dirname(target))
        LOG.error('Quarantined %s to %s due to %s', self.directory, target, reason)
        raise DatabaseCorrupt(path=self.directory, quarantine=target, reason=reason)

    # -- rows on their way in

    def put_row(self, row: pending.Row) -> None:
        """Take a row in: beside the database, or with all that wait there into it.

        Raises ``DatabaseMissing`` or ``DatabaseBusy``.
        """
        try:
            lock = pending.take(self.directory, connections.PATIENCE)
        except FileNotFoundError:
            raise DatabaseMissing(path=self.path) from None
        try:
            if not self.exists:
                raise DatabaseMissing(path=self.path)
            appended = pending.append(self.pending_path, row)
            if appended is None:
                pending.drain(self.pending_path, lambda rows: self._merge_pending([*rows, row]))
                return
        finally:
            os.close(lock)
        pending.finish(*appended)

    def commit_pending(self) -> None:
        """Bring what waits into the database."""
        if not pending.size(self.pending_path):
            return
        with pending.lock(self.directory, connections.PATIENCE):
            pending.drain(self.pending_path, self._merge_pending)

    def commit_pending_soon(self) -> None:
        """As ``commit_pending``, but rather answer without it than wait."""
        if not pending.size(self.pending_path):
            return
        try:
            with pending.lock(self.directory, STALE_AFTER):
                pending.drain(self.pending_path, self._merge_pending)
        except DatabaseBusy:
            LOG.debug('%s: what waits is read later', self.path)

    def _merge_pending(self, rows: Iterable[pending.Row]) -> None:
        items = []
        for row in rows:
            try:
                items.append(self.item(row))
            except (ValueError, TypeError, IndexError) as error:
                LOG.error('%s: a waiting row is not understood and left out: %s', self.path, error)
        if items:
            self.merge_items(items)

    def item(self, row: pending.Row) -> Item:
        """A row of the pending file as a mapping; a kind defines it.  Raises ``ValueError``."""
        raise TypeError('a kind of database knows its own rows')

    def merge_items(self, items: Iterable[Item], source: str | None = None) -> None:
        """Bring rows in, the newer of each name surviving; ``source`` is the database's id they came from.

        With a source its sync point moves up to the highest ROWID among them.
        """
        rows = list(items)

        def change(connection: sqlite3.Connection) -> None:
            self._merge(connection, rows)
            if source is not None:
                highest = max((int(row['ROWID']) for row in rows if 'ROWID' in row), default=-1)
                _merge_syncs(connection, [{'remote_id': source, 'sync_point': highest}], incoming=True)
        self.writing(change)

    def _merge(self, connection: sqlite3.Connection, rows: list[Item]) -> None:
        raise TypeError('a kind of database merges its own rows')

    def items_since(self, start: int, count: int) -> list[Item]:
        """Up to ``count`` rows after a ROWID, in their order, deleted ones too."""
        self.commit_pending_soon()

        def query(connection: sqlite3.Connection) -> list[Item]:
            cursor = connection.execute(
                f'SELECT * FROM {self.table} WHERE ROWID > ? ORDER BY ROWID ASC LIMIT ?', (start, count))  # noqa: S608
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor]
        return self.reading(query)

    # -- about the whole

    def info(self) -> Item:
        """The row about the whole, after what waits was brought in; raises ``DatabaseMissing``."""
        self.commit_pending_soon()
        return self.reading(self._info)

    def _info(self, connection: sqlite3.Connection) -> Item:
        cursor = connection.execute(f'SELECT * FROM {self.stat}')  # noqa: S608
        row = cursor.fetchone()
        if row is None:
            raise sqlite3.DatabaseError('database disk image is malformed: there is no row about the whole')
        return dict(zip((column[0] for column in cursor.description), row))

    def replication_info(self) -> Item:
        """``info`` with the highest ROWID (``max_row``), for another replica to compare with."""
        self.commit_pending()
        return self._replication_info()

    def _replication_info(self) -> Item:
        def query(connection: sqlite3.Connection) -> Item:
            info = self._info(connection)
            info['max_row'] = _max_row(connection, self.table)
            return info
        return self.reading(query)

    def is_deleted(self, info: Mapping[str, Any] | None = None) -> bool:
        """Whether it is deleted (or was never there)."""
        if info is None:
            if not self.exists:
                return True
            info = self.info()
        return self.deleted(info)

    @staticmethod
    def deleted(info: Mapping[str, Any]) -> bool:
        """Whether a row about the whole says deleted; a kind defines it."""
        raise TypeError('a kind of database knows when it is deleted')

    def set_put_timestamp(self, timestamp: Timestamp) -> None:
        """It was put (or posted to) at this time, or later."""
        self.writing(lambda connection: connection.execute(
            f'UPDATE {self.stat_table} SET put_timestamp = ? '  # noqa: S608
            'WHERE CAST(put_timestamp AS REAL) < CAST(? AS REAL)', (timestamp.internal, timestamp.internal)))

    def set_status_changed_at(self, timestamp: Timestamp) -> None:
        """It came to be, or back, or was deleted, at this time, or later."""
        self.writing(lambda connection: connection.execute(
            f'UPDATE {self.stat_table} SET status_changed_at = ? '  # noqa: S608
            'WHERE CAST(status_changed_at AS REAL) < CAST(? AS REAL)', (timestamp.internal, timestamp.internal)))

    def delete(self, timestamp: Timestamp) -> None:
        """Mark it as deleted at this time, with its metadata; nothing happens if it was put later."""
        def change(connection: sqlite3.Connection) -> None:
            info = self._info(connection)
            stamp = timestamp.internal
            if timestamp > Timestamp(info['put_timestamp']):
                metadata = {name: ['', stamp] if Timestamp(old[1]) < timestamp else old
                            for name, old in _metadata(info).items()}
                _write_metadata(connection, self.stat_table, metadata)
            connection.execute(
                f"UPDATE {self.stat_table} SET delete_timestamp = ?, status = 'DELETED', "  # noqa: S608
                'status_changed_at = CASE WHEN CAST(put_timestamp AS REAL) < CAST(? AS REAL) '
                'THEN ? ELSE status_changed_at END WHERE CAST(delete_timestamp AS REAL) < CAST(? AS REAL)',
                (stamp, stamp, stamp, stamp))
        self.commit_pending()
        self.writing(change)

    def merge_timestamps(self, created_at: str, put_timestamp: str, delete_timestamp: str) -> None:
        """Take over another replica's times where they say more: the earliest birth, the latest of the others."""
        def change(connection: sqlite3.Connection) -> None:
            info = self._info(connection)
            before = self.deleted(info)
            merged = {
                'created_at': min(Timestamp(info['created_at']), Timestamp(created_at)).internal,
                'put_timestamp': normal(max(Timestamp(info['put_timestamp']), Timestamp(put_timestamp or 0))),
                'delete_timestamp': normal(max(Timestamp(info['delete_timestamp']), Timestamp(delete_timestamp or 0))),
            }
            self._merged_status(info, merged)
            if self.deleted({**info, **merged}) != before:
                merged['status_changed_at'] = max(
                    Timestamp(merged['put_timestamp']), Timestamp(merged['delete_timestamp']),
                    Timestamp(info['status_changed_at'] or 0)).internal
            if any(info[name] != value for name, value in merged.items()):
                assignments = ', '.join(f'{name} = ?' for name in merged)
                connection.execute(f'UPDATE {self.stat_table} SET {assignments}',  # noqa: S608
                                   list(merged.values()))
        self.writing(change)

    def _merged_status(self, info: Item, merged: Item) -> None:
        """What else follows from merged times."""

    def absorb(self, remote: Mapping[str, Any]) -> None:
        """Take over what another replica says of the whole: times and metadata.

        Raises ``KeyError`` or ``ValueError`` for what is no description.
        """
        mine = self.info()
        times = ('created_at', 'put_timestamp', 'delete_timestamp')
        if any(mine[name] != remote[name] for name in times):
            self.merge_timestamps(*(remote[name] for name in times))
        if remote.get('metadata') and remote['metadata'] != mine['metadata']:
            self.update_metadata(_metadata(remote))

    # -- metadata

    @staticmethod
    def parsed_metadata(info: Mapping[str, Any]) -> dict[str, list[str]]:
        """``metadata`` of a row about the whole."""
        return _metadata(info)

    def metadata(self) -> dict[str, list[str]]:
        """Name -> [value, time]; removed ones have an empty value."""
        return self.reading(lambda connection: _metadata(self._info(connection)))

    def update_metadata(self, updates: Mapping[str, Iterable[str]], *,
                        limits: tuple[int, int] | None = None) -> None:
        """Take over newer values; an empty one removes.

        ``limits``: how many the user's may be then, and how many bytes; raises ``TooMuchMetadata``.
        """
        if not updates:
            return

        def change(connection: sqlite3.Connection) -> None:
            metadata = _metadata(self._info(connection))
            changed = False
            for name, (value, stamp) in updates.items():
                old = metadata.get(name)
                if old is None or Timestamp(old[1]) < Timestamp(stamp):
                    metadata[name] = [value, stamp]
                    changed = True
            if changed:
                if limits is not None:
                    _check_metadata(metadata, self.kind, *limits)
                _write_metadata(connection, self.stat_table, metadata)
        self.writing(change)

    # -- replication's memory

    def sync_point(self, remote_id: str, *, incoming: bool = True) -> int:
        """Up to which ROWID of (or, ``incoming=False``, sent to) another replica all is here; -1 for nothing."""
        row = self.reading(lambda connection: connection.execute(
            f'SELECT sync_point FROM {_direction(incoming)}_sync WHERE remote_id = ?',  # noqa: S608
            (remote_id,)).fetchone())
        return -1 if row is None else int(row[0])

    def syncs(self, *, incoming: bool = True) -> list[Item]:
        """All sync points."""
        return self.reading(lambda connection: [
            {'remote_id': remote, 'sync_point': point} for remote, point in connection.execute(
                f'SELECT remote_id, sync_point FROM {_direction(incoming)}_sync')])  # noqa: S608

    def merge_syncs(self, points: Iterable[Item], *, incoming: bool = True) -> None:
        """Take over sync points that are further than ours."""
        found = list(points)
        self.writing(lambda connection: _merge_syncs(connection, found, incoming))

    def renew_id(self, remote_id: str) -> None:
        """After the file came from another replica: a name of its own, and that replica's rows are all here."""
        def change(connection: sqlite3.Connection) -> None:
            connection.execute(f'UPDATE {self.stat_table} SET id = ?', (self.new_id(),))  # noqa: S608
            # merging by another's progress would say of this file what is true of that one only
            connection.execute('DELETE FROM outgoing_sync')
            _merge_syncs(connection, [{'remote_id': remote_id,
                                       'sync_point': _max_row(connection, self.table)}], incoming=True)
        self.writing(change)

    # -- the end

    def reclaim(self, age: Timestamp, sync_age: Timestamp) -> None:
        """Forget rows and metadata deleted before ``age``, and sync points not used since ``sync_age``."""
        self.commit_pending()
        while self.writing(lambda connection: self._reclaim_rows(connection, age)):
            pass

        def change(connection: sqlite3.Connection) -> None:
            for direction in ('incoming', 'outgoing'):
                connection.execute(f'DELETE FROM {direction}_sync WHERE CAST(updated_at AS REAL) < ?',  # noqa: S608
                                   (float(sync_age),))
            metadata = _metadata(self._info(connection))
            kept = {name: value for name, value in metadata.items() if value[0] or Timestamp(value[1]) >= age}
            if len(kept) < len(metadata):
                _write_metadata(connection, self.stat_table, kept)
        self.writing(change)

    def _reclaim_rows(self, connection: sqlite3.Connection, age: Timestamp, batch: int = 5000) -> bool:
        """Forget a batch of old deleted rows; whether there may be more."""
        time = self.tombstone_time
        found = connection.execute(
            f'SELECT ROWID FROM {self.table} WHERE deleted = 1 AND {time} < ? LIMIT ?',  # noqa: S608
            (age.internal, batch)).fetchall()
        connection.executemany(f'DELETE FROM {self.table} WHERE ROWID = ?', found)  # noqa: S608
        return len(found) == batch

    #: the column that says when a deleted row was deleted
    tombstone_time: ClassVar[str]

    def remove(self, unless_changed: Item | None = None) -> bool:
        """Remove the database from disk, with its empty parents; whether it is gone.

        ``unless_changed``: what ``replication_info`` said before; if there is more by now, it stays.
        """
        with pending.lock(self.directory, connections.PATIENCE):
            if unless_changed is not None and (
                    pending.size(self.pending_path) or self._replication_info() != unless_changed):
                return False
            self.pool.forget(self.path)
            shutil.rmtree(self.directory, ignore_errors=True)
        above = self.directory
        for _ in range(2):
            above = os.path.dirname(above)
            try:
                os.rmdir(above)
            except OSError:
                break
        return True


def _direction(incoming: bool) -> str:
    return 'incoming' if incoming else 'outgoing'


def _max_row(connection: sqlite3.Connection, table: str) -> int:
    """The highest ROWID there ever was, -1 for none."""
    row = connection.execute('SELECT seq FROM sqlite_sequence WHERE name = ?', (table,)).fetchone()
    return -1 if row is None else int(row[0])


def _merge_syncs(connection: sqlite3.Connection, points: Iterable[Item], incoming: bool) -> None:
    table = f'{_direction(incoming)}_sync'
    for point in points:
        values = {'remote': point['remote_id'], 'point': int(point['sync_point'])}
        known = connection.execute(f'SELECT sync_point FROM {table} WHERE remote_id = :remote',  # noqa: S608
                                   values).fetchone()
        if known is None:
            connection.execute(f'INSERT INTO {table} (remote_id, sync_point) VALUES (:remote, :point)',  # noqa: S608
                               values)
        else:
            # touched even if it says nothing new: what is not touched for long is forgotten
            connection.execute(f'UPDATE {table} SET sync_point = max(sync_point, :point) '  # noqa: S608
                               'WHERE remote_id = :remote', values)


def _metadata(info: Mapping[str, Any]) -> dict[str, list[str]]:
    text = info.get('metadata')
    if not text:
        return {}
    found = orjson.loads(text)
    return found if isinstance(found, dict) else {}


def _write_metadata(connection: sqlite3.Connection, table: str, metadata: Mapping[str, Any]) -> None:
    connection.execute(f'UPDATE {table} SET metadata = ?', (orjson.dumps(metadata).decode('utf-8'),))  # noqa: S608


def _check_metadata(metadata: Mapping[str, Iterable[str]], kind: str, most: int, most_bytes: int) -> None:
    prefix = f'x-{kind}-meta-'
    count = size = 0
    for name, (value, _) in metadata.items():
        if value and name.lower().startswith(prefix):
            count += 1
            size += len(name.encode('utf-8')) - len(prefix) + len(value.encode('utf-8'))
    if count > most:
        raise TooMuchMetadata(f'Too many metadata items; max {most}')
    if size > most_bytes:
        raise TooMuchMetadata(f'Total metadata too large; max {most_bytes}')


def _make_directories(path: str) -> None:
    """Make a directory and its parents, each entry on disk."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for each in reversed(missing):
        try:
            os.mkdir(each)
        except FileExistsError:
            continue
        _sync(os.path.dirname(each))


def _sync(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: str) -> None:
    for each in (path, path + '-journal'):
        try:
            os.unlink(each)
        except FileNotFoundError:
            continue


__all__ = ['Broker', 'Item', 'TooMuchMetadata', 'named', 'normal']

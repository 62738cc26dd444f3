"""An account's database: which containers it has, and how much is in them."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from swift.account import schema
from swift.db import listing, pending
from swift.db.broker import Broker, Item, named, normal
from swift.db.listing import Page
from swift.db.schema import run_script
from swift.timestamp import Timestamp

_COLUMNS = 'name, put_timestamp, delete_timestamp, object_count, bytes_used, deleted, storage_policy_index'
_INSERT = f'INSERT INTO container ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)'  # noqa: S608


class AccountBroker(Broker):
    """One account."""

    kind = 'account'
    datadir = 'accounts'
    stat = stat_table = 'account_stat'
    table = 'container'
    tombstone_time = 'delete_timestamp'

    def _create(self, connection: sqlite3.Connection, put_timestamp: Timestamp, **values: Any) -> None:
        run_script(connection, schema.ALL)
        connection.execute(
            'INSERT INTO account_stat (account, created_at, id, put_timestamp, status_changed_at, container_count) '
            'VALUES (?, ?, ?, ?, ?, 0)',
            (self.account, Timestamp.now().internal, self.new_id(), put_timestamp.internal, put_timestamp.internal))

    @staticmethod
    def deleted(info: Mapping[str, Any]) -> bool:
        """Whether it was deleted, emptied or not, or holds nothing and was deleted after it was put."""
        return info['status'] == 'DELETED' or (
            not info['container_count'] and Timestamp(info['delete_timestamp']) > Timestamp(info['put_timestamp']))

    def _merged_status(self, info: Item, merged: Item) -> None:
        if Timestamp(merged['delete_timestamp']) > Timestamp(merged['put_timestamp']):
            merged['status'] = 'DELETED'

    def is_status_deleted(self) -> bool:
        """Whether somebody has deleted it, and the reaper takes its containers."""
        return self.info()['status'] == 'DELETED'

    def put_container(self, name: str, put_timestamp: Timestamp, delete_timestamp: Timestamp, object_count: int,
                      bytes_used: int, storage_policy_index: int) -> None:
        """Take in what a container says of itself."""
        gone = delete_timestamp > put_timestamp and not object_count
        self.put_row((name, normal(put_timestamp), normal(delete_timestamp), object_count, bytes_used, int(gone),
                      storage_policy_index))

    def item(self, row: pending.Row) -> Item:
        """A row of the pending file; raises ``ValueError``."""
        return {'name': named(row[0]), 'put_timestamp': normal(row[1]), 'delete_timestamp': normal(row[2]),
                'object_count': int(row[3] or 0), 'bytes_used': int(row[4] or 0), 'deleted': int(row[5] or 0),
                'storage_policy_index': int(row[6] or 0) if len(row) > 6 else 0}

    def _merge(self, connection: sqlite3.Connection, rows: list[Item]) -> None:
        for row in rows:
            name, put, delete = row['name'], row['put_timestamp'], row['delete_timestamp']
            policy, count = row.get('storage_policy_index', 0), row['object_count']
            known = connection.execute(
                'SELECT put_timestamp, delete_timestamp, storage_policy_index FROM container '
                'WHERE deleted IN (0, 1) AND name = ?', (name,)).fetchall()
            for old_put, old_delete, old_policy in known:
                if Timestamp(old_put) > Timestamp(put):
                    put, policy = old_put, old_policy
                if Timestamp(old_delete) > Timestamp(delete):
                    delete = old_delete
            gone = int(Timestamp(delete) > Timestamp(put) and not count)
            if known:
                connection.execute('DELETE FROM container WHERE deleted IN (0, 1) AND name = ?', (name,))
            connection.execute(_INSERT, (name, put, delete, count, row['bytes_used'], gone, policy))

    def list_containers(self, page: Page) -> list[listing.Row]:
        """(name, object count, bytes, put time, policy) each, or (name,) of a subdirectory."""
        self.commit_pending_soon()
        return self.reading(lambda connection: listing.entries(
            connection, 'SELECT name, object_count, bytes_used, put_timestamp, storage_policy_index FROM container',
            'deleted = 0', (), page))

    def policy_stats(self) -> list[tuple[int, int, int, int]]:
        """(policy, containers, objects, bytes) of each policy that was ever used here."""
        return self.reading(lambda connection: connection.execute(
            'SELECT storage_policy_index, container_count, object_count, bytes_used FROM policy_stat '
            'ORDER BY storage_policy_index').fetchall())

    def _migrate(self, error: sqlite3.Error) -> bool:
        text = str(error)
        if 'storage_policy_index' not in text and 'policy_stat' not in text:
            return False

        def change(connection: sqlite3.Connection) -> None:
            columns = {row[1] for row in connection.execute('PRAGMA table_info(container)')}
            if 'storage_policy_index' not in columns:
                connection.execute(schema.MIGRATE_COLUMN)
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if 'policy_stat' not in tables:
                run_script(connection, schema.MIGRATE_STATS + schema.POLICY_TRIGGERS)
        self.writing(change)
        return True

"""What the databases of accounts and containers have in common, as Swift 2.38 lays it down.

Every database keeps how far it got with each other replica (``incoming_sync``,
``outgoing_sync``), and a hash over all rows that two replicas compare: each
row's md5, joined by exclusive or, so that order does not matter and a row can
be taken out again.
"""

import hashlib
import sqlite3

#: the hash of no rows
NOTHING = '0' * 32

_SYNC = """
CREATE TABLE {name} (
                remote_id TEXT UNIQUE,
                sync_point INTEGER,
                updated_at TEXT DEFAULT 0
            );
CREATE TRIGGER {name}_insert AFTER INSERT ON {name}
            BEGIN
                UPDATE {name}
                SET updated_at = STRFTIME('%s', 'NOW')
                WHERE ROWID = new.ROWID;
            END;
CREATE TRIGGER {name}_update AFTER UPDATE ON {name}
            BEGIN
                UPDATE {name}
                SET updated_at = STRFTIME('%s', 'NOW')
                WHERE ROWID = new.ROWID;
            END;
"""

#: tables of both kinds of database
SYNC = _SYNC.format(name='outgoing_sync') + _SYNC.format(name='incoming_sync')


def chexor(old: str, name: str, timestamp: str) -> str:
    """The hash ``old`` with one row more, or one less if it was in it; SQL function of all databases.

    Raises ``ValueError`` for a row without name or time.
    """
    if name is None or timestamp is None:
        raise ValueError('a row needs a name and a time')
    row = hashlib.md5(f'{name}-{timestamp}'.encode('utf-8', 'surrogatepass'), usedforsecurity=False).digest()
    return f'{int(old, 16) ^ int.from_bytes(row):032x}'


def run_script(connection: sqlite3.Connection, script: str) -> None:
    """Run statements within the transaction under way, which ``executescript`` would commit first."""
    statement = ''
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ''

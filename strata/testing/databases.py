"""Databases for tests: a fresh, empty one on each kind of server.

``database_url`` is parametrised: a test that asks for it runs on SQLite,
MariaDB and PostgreSQL, the last two marked ``server``.

A test has databases of its own, so there are thousands in a run.  ``make_tables``
makes the tables of one cheaply, and ``SharedSqlite`` compiles each statement
once for all of them.
"""

import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from strata.clock import new_uuid
from strata.db import Database

KINDS = [pytest.param('sqlite'), pytest.param('mariadb', marks=pytest.mark.server),
         pytest.param('postgresql', marks=pytest.mark.server)]


class SharedSqlite(SQLiteDialect_pysqlite):
    """SQLAlchemy's SQLite, whose engines share what is compiled, as one engine does in a daemon's life.

    SQLAlchemy looks a compiled statement up by its dialect, of which each
    engine has one; those of this class are all the same, for ``strata.db``
    makes them all alike.
    """

    supports_statement_cache = True
    _compiled: dict[Any, Any] = {}

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))

    @classmethod
    def engine_created(cls, engine: sa.Engine) -> None:
        """SQLAlchemy's hook: every statement of a new engine goes through the shared cache."""
        engine.update_execution_options(compiled_cache=cls._compiled)


registry.register('sqlite', __name__, 'SharedSqlite')


def make_tables(database: Database, tables: sa.MetaData) -> None:
    """``database.create_all(tables)``; an SQLite database that is not there yet is a copy of one made before."""
    path = database.url.database
    if database.dialect == 'sqlite' and path and not os.path.exists(path):
        with open(path, 'wb') as file:
            file.write(_template(tables, frozenset(tables.tables)))
    else:
        database.create_all(tables)


@functools.cache
def _template(tables: sa.MetaData, names: frozenset[str]) -> bytes:
    """The file of an SQLite database with these tables; ``names``, for modules still to be imported add to them."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f'sqlite:///{folder}/template.sqlite')
        database.create_all(tables)
        database.dispose()      # the last connection takes its write-ahead log along
        return Path(folder, 'template.sqlite').read_bytes()


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, dropped afterwards."""
    if request.param == 'sqlite':
        yield f'sqlite:///{tmp_path}/test.sqlite'
        return
    base = request.getfixturevalue('mariadb_url' if request.param == 'mariadb' else 'postgres_url')
    name = 'test_' + new_uuid().replace('-', '')[:16]
    admin = sa.create_engine(base, isolation_level='AUTOCOMMIT', poolclass=sa.NullPool)
    charset = ' CHARACTER SET utf8mb4 COLLATE utf8mb4_bin' if request.param == 'mariadb' else ''
    with admin.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE {name}{charset}')
    yield sa.engine.make_url(base).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        force = ' WITH (FORCE)' if request.param == 'postgresql' else ''
        connection.exec_driver_sql(f'DROP DATABASE {name}{force}')


@pytest.fixture
def open_database(database_url: str) -> Iterator[Callable[..., Database]]:
    """Open the same database as often as a test wants, as several processes would."""
    opened: list[Database] = []

    def opener(**options: object) -> Database:
        database = Database(database_url, **options)      # type: ignore[arg-type]
        opened.append(database)
        return database
    yield opener
    for database in opened:
        database.dispose()

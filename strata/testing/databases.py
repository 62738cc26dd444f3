"""Databases for tests: a fresh, empty one on each kind of server.

``database_url`` is parametrised: a test that asks for it runs on SQLite,
MariaDB and PostgreSQL, the last two marked ``server``.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from strata.clock import new_uuid
from strata.db import Database

KINDS = [pytest.param('sqlite'), pytest.param('mariadb', marks=pytest.mark.server),
         pytest.param('postgresql', marks=pytest.mark.server)]


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

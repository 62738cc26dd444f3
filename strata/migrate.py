"""Schema migrations: a thin face on alembic, shared by every service's ``manage db sync``."""

from typing import Any

import sqlalchemy as sa
from alembic import command, context
from alembic.config import Config
from alembic.script import ScriptDirectory

from strata.db import Database


def _config(location: str, database: Database | None = None, **attributes: Any) -> Config:
    config = Config()
    config.set_main_option('script_location', location)
    config.set_main_option('path_separator', 'os')
    config.attributes.update(attributes, database=database)
    return config


def upgrade(database: Database, location: str, revision: str = 'head') -> None:
    """Bring the database to ``revision``.

    ``location`` names the package of the scripts as ``nova.db:migrations``.
    An up-to-date database costs one query.
    """
    config = _config(location, database)
    if revision == 'head' and current(database) == ScriptDirectory.from_config(config).get_current_head():
        return
    command.upgrade(config, revision)


def current(database: Database) -> str | None:
    """The revision the database is at, or ``None`` for an empty one."""
    with database.engine.connect() as connection:
        if not sa.inspect(connection).has_table('alembic_version'):
            return None
        return connection.execute(sa.text('SELECT version_num FROM alembic_version')).scalar()


def run(tables: sa.MetaData) -> None:
    """What a service's ``migrations/env.py`` calls: run the scripts that alembic picked.

    All of an upgrade is one transaction where the database can (not on MySQL).
    """
    database: Database = context.config.attributes['database']
    with database.engine.connect() as connection:
        context.configure(connection=connection, target_metadata=tables, compare_type=True,
                          render_as_batch=database.dialect == 'sqlite', transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


def differences(database: Database, tables: sa.MetaData) -> list[Any]:
    """What the models have and the migrated database lacks, or the reverse; empty when they agree."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    with database.engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts={'compare_type': True}), tables)


def revision(database: Database, location: str, message: str) -> None:
    """Write a new script from what the models have and the database lacks; for developers."""
    command.revision(_config(location, database), message=message, autogenerate=True)

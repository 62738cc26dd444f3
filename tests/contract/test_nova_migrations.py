"""Nova's migrations lead to what its models say, on every database."""

from nova.cmd import parts
from nova.db import tables
from strata import migrate


def test_a_migrated_database_is_what_the_models_say(open_database):
    database = open_database()
    migrate.upgrade(database, parts.MIGRATIONS)
    assert migrate.differences(database, tables.METADATA) == []


def test_an_upgrade_may_be_repeated(open_database):
    database = open_database()
    assert migrate.current(database) is None
    migrate.upgrade(database, parts.MIGRATIONS)
    newest = migrate.current(database)
    migrate.upgrade(database, parts.MIGRATIONS)
    assert newest is not None and migrate.current(database) == newest

"""Alembic's entry: run the steps on the database that ``strata.migrate`` was given."""

from keystone.db import tables
from strata import migrate

migrate.run(tables.METADATA)

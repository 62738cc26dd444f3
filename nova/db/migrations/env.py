"""alembic's entry: the scripts beside this file, run by ``strata.migrate``."""

from nova.db import tables
from strata import migrate

migrate.run(tables.METADATA)

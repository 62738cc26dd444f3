"""Run by alembic for ``glance-manage db sync``."""

import glance.db.blobs
import glance.db.images  # noqa: F401  (the models declare the tables)
from glance.db.base import Base
from strata import migrate

migrate.run(Base.metadata)

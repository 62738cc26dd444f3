"""All tables of keystone, for migrations and tests; importing this registers every model."""

from keystone.db import (
    assignments,
    base,
    catalog,
    credentials,
    groups,
    projects,
    revisions,
    revocations,
    roles,
    users,
)
from strata import migrate
from strata.db import Database

METADATA = base.Base.metadata
MODELS = (assignments, catalog, credentials, groups, projects, revisions, revocations, roles, users)
LOCATION = 'keystone.db:migrations'


def upgrade(database: Database) -> None:
    """Bring a database to today's schema."""
    migrate.upgrade(database, LOCATION)

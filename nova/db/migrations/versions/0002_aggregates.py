"""Host aggregates."""

import sqlalchemy as sa
from alembic import op

from strata import db

revision = '0002'
down_revision = '0001'


def upgrade() -> None:
    """Two tables; every host stays in the zone it is in."""
    op.create_table('aggregates',
        sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
        sa.Column('uuid', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('meta', db.Json(), nullable=False),
        sa.Column('created_at', db.Time(), nullable=False),
        sa.Column('updated_at', db.Time(), nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_aggregates'),
        sa.UniqueConstraint('name', name='uq_aggregates_name'),
        sa.UniqueConstraint('uuid', name='uq_aggregates_uuid'))
    op.create_table('aggregate_hosts',
        sa.Column('aggregate_id', sa.Integer(), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(['aggregate_id'], ['aggregates.id'], name='fk_aggregate_hosts_aggregate_id',
                                ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('aggregate_id', 'host', name='pk_aggregate_hosts'))
    op.create_index('ix_aggregate_hosts_host', 'aggregate_hosts', ['host'])

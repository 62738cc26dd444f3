"""Images, their properties, tags and members, and the data that stores hold for them."""

import sqlalchemy as sa
from alembic import op

from strata import db

revision = '0001'
down_revision = None


def upgrade() -> None:
    """All tables of the first release."""
    _images()
    _parts()
    _blobs()


def _stamps() -> list[sa.Column]:
    return [sa.Column('created_at', db.Time(), nullable=False),
            sa.Column('updated_at', db.Time(), nullable=False)]


def _of_image(table: str, *, cascade: bool = True) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(['image_id'], ['images.id'], name=f'fk_{table}_image_id',
                                   ondelete='CASCADE' if cascade else None)


def _images() -> None:
    op.create_table(
        'images',
        sa.Column('id', sa.String(64), primary_key=True),
        sa.Column('name', sa.String(255)),
        sa.Column('status', sa.String(30), nullable=False),
        sa.Column('visibility', sa.String(16), nullable=False),
        sa.Column('owner', sa.String(255)),
        sa.Column('size', sa.BigInteger()),
        sa.Column('virtual_size', sa.BigInteger()),
        sa.Column('disk_format', sa.String(20)),
        sa.Column('container_format', sa.String(20)),
        sa.Column('checksum', sa.String(32)),
        sa.Column('os_hash_algo', sa.String(64)),
        sa.Column('os_hash_value', sa.String(128)),
        sa.Column('min_disk', sa.Integer(), nullable=False),
        sa.Column('min_ram', sa.Integer(), nullable=False),
        sa.Column('protected', sa.Boolean(), nullable=False),
        sa.Column('os_hidden', sa.Boolean(), nullable=False),
        sa.Column('deleted_at', db.Time()),
        sa.Column('blob_id', sa.String(64)),
        *_stamps())
    op.create_index('ix_images_created_at_id', 'images', ['created_at', 'id'])
    for column in ('name', 'owner', 'visibility'):
        op.create_index(f'ix_images_{column}', 'images', [column])


def _parts() -> None:
    op.create_table(
        'image_members',
        sa.Column('image_id', sa.String(64), primary_key=True),
        sa.Column('member_id', sa.String(255), primary_key=True),
        sa.Column('status', sa.String(16), nullable=False),
        *_stamps(), _of_image('image_members'))
    op.create_index('ix_image_members_member_id', 'image_members', ['member_id'])
    op.create_table(
        'image_properties',
        sa.Column('image_id', sa.String(64), primary_key=True),
        sa.Column('name', sa.String(255), primary_key=True),
        sa.Column('value', sa.Text()),
        _of_image('image_properties'))
    op.create_table(
        'image_tags',
        sa.Column('image_id', sa.String(64), primary_key=True),
        sa.Column('value', sa.String(255), primary_key=True),
        _of_image('image_tags'))
    op.create_index('ix_image_tags_value', 'image_tags', ['value'])


def _blobs() -> None:
    op.create_table(
        'blobs',
        sa.Column('id', sa.String(64), primary_key=True),
        sa.Column('image_id', sa.String(64), nullable=False),
        sa.Column('store', sa.String(64), nullable=False),
        sa.Column('purpose', sa.String(16), nullable=False),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('size', sa.BigInteger()),
        sa.Column('leased_until', db.Time()),
        *_stamps(), _of_image('blobs', cascade=False))
    op.create_index('ix_blobs_image_id', 'blobs', ['image_id'])
    op.create_index('ix_blobs_state', 'blobs', ['state'])

"""EC2 credentials found by access keys that may change, and access rules that outlive their credentials."""

import sqlalchemy as sa
from alembic import op

from strata import db

revision = '0002'
down_revision = '0001'


def upgrade() -> None:
    """Both were there before: as the ids of credentials, and inside of application credentials."""
    _access_keys()
    _access_rules()


def _access_keys() -> None:
    with op.batch_alter_table('credentials') as table:
        table.add_column(sa.Column('access', sa.String(length=64), nullable=True))
        table.create_unique_constraint('uq_credentials_access', ['access'])
    credentials = sa.table('credentials', sa.column('id'), sa.column('type'), sa.column('access'))
    op.execute(credentials.update().where(credentials.c.type == 'ec2').values(access=credentials.c.id))


def _access_rules() -> None:
    rules = op.create_table('access_rules',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('user_id', sa.String(length=64), nullable=False),
        sa.Column('service', sa.String(length=255), nullable=False),
        sa.Column('method', sa.String(length=16), nullable=False),
        sa.Column('path', sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(['user_id'], ['users.id'], name='fk_access_rules_user_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name='pk_access_rules'),
        sa.UniqueConstraint('user_id', 'service', 'method', 'path', name='uq_access_rules_user_id_service_method_path'))
    applications = sa.table('application_credentials', sa.column('user_id'), sa.column('access_rules', db.Json()))
    known = {}
    for user_id, inside in op.get_bind().execute(sa.select(applications.c.user_id, applications.c.access_rules)):
        for rule in inside:
            words = {'user_id': user_id, **{key: rule[key] for key in ('service', 'method', 'path')}}
            known.setdefault(tuple(words.values()), {'id': rule['id'], **words})
    if known:
        op.bulk_insert(rules, list(known.values()))

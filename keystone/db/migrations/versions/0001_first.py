"""The first schema: everything that Identity v3 needs."""

import sqlalchemy as sa
from alembic import op

from strata import db

revision = '0001'
down_revision = None


def upgrade() -> None:
    """Make all tables, and the counters at their start."""
    _resources()
    _people()
    _roles()
    _catalog()
    _secrets()
    _bookkeeping()


def _resources() -> None:
    op.create_table('projects',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=64), nullable=False),
        sa.Column('within', sa.String(length=64), nullable=False),
        sa.Column('domain_id', sa.String(length=64), nullable=True),
        sa.Column('parent_id', sa.String(length=64), nullable=True),
        sa.Column('is_domain', sa.Boolean(), nullable=False),
        sa.Column('enabled', sa.Boolean(), nullable=False),
        sa.Column('description', sa.Text(), nullable=True),
        sa.Column('extra', db.Json(), nullable=False),
        sa.Column('options', db.Json(), nullable=False),
        sa.ForeignKeyConstraint(['domain_id'], ['projects.id'], name='fk_projects_domain_id'),
        sa.ForeignKeyConstraint(['parent_id'], ['projects.id'], name='fk_projects_parent_id'),
        sa.PrimaryKeyConstraint('id', name='pk_projects'),
        sa.UniqueConstraint('within', 'name', name='uq_projects_within_name'))
    op.create_index('ix_projects_domain_id', 'projects', ['domain_id'])
    op.create_index('ix_projects_parent_id', 'projects', ['parent_id'])
    op.create_table('project_tags',
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(['project_id'], ['projects.id'],
                                name='fk_project_tags_project_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('project_id', 'name', name='pk_project_tags'))


def _people() -> None:
    op.create_table('users',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('domain_id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('enabled', sa.Boolean(), nullable=False),
        sa.Column('default_project_id', sa.String(length=64), nullable=True),
        sa.Column('extra', db.Json(), nullable=False),
        sa.Column('options', db.Json(), nullable=False),
        sa.Column('created_at', db.Time(), nullable=False),
        sa.Column('password', sa.String(length=255), nullable=True),
        sa.Column('password_changed_at', db.Time(), nullable=True),
        sa.Column('password_expires_at', db.Time(), nullable=True),
        sa.Column('failures', sa.Integer(), nullable=False),
        sa.Column('failed_at', db.Time(), nullable=True),
        sa.ForeignKeyConstraint(['domain_id'], ['projects.id'], name='fk_users_domain_id'),
        sa.PrimaryKeyConstraint('id', name='pk_users'),
        sa.UniqueConstraint('domain_id', 'name', name='uq_users_domain_id_name'))
    op.create_index('ix_users_default_project_id', 'users', ['default_project_id'])
    op.create_table('groups',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('domain_id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=64), nullable=False),
        sa.Column('description', sa.Text(), nullable=False),
        sa.Column('extra', db.Json(), nullable=False),
        sa.ForeignKeyConstraint(['domain_id'], ['projects.id'], name='fk_groups_domain_id'),
        sa.PrimaryKeyConstraint('id', name='pk_groups'),
        sa.UniqueConstraint('domain_id', 'name', name='uq_groups_domain_id_name'))
    op.create_table('memberships',
        sa.Column('group_id', sa.String(length=64), nullable=False),
        sa.Column('user_id', sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(['group_id'], ['groups.id'],
                                name='fk_memberships_group_id', ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['user_id'], ['users.id'],
                                name='fk_memberships_user_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('group_id', 'user_id', name='pk_memberships'))
    op.create_index('ix_memberships_user_id', 'memberships', ['user_id'])


def _roles() -> None:
    op.create_table('roles',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('within', sa.String(length=64), nullable=False),
        sa.Column('domain_id', sa.String(length=64), nullable=True),
        sa.Column('description', sa.Text(), nullable=True),
        sa.Column('extra', db.Json(), nullable=False),
        sa.Column('options', db.Json(), nullable=False),
        sa.ForeignKeyConstraint(['domain_id'], ['projects.id'], name='fk_roles_domain_id'),
        sa.PrimaryKeyConstraint('id', name='pk_roles'),
        sa.UniqueConstraint('within', 'name', name='uq_roles_within_name'))
    op.create_table('role_implications',
        sa.Column('prior_id', sa.String(length=64), nullable=False),
        sa.Column('implied_id', sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(['implied_id'], ['roles.id'],
                                name='fk_role_implications_implied_id', ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['prior_id'], ['roles.id'],
                                name='fk_role_implications_prior_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('prior_id', 'implied_id', name='pk_role_implications'))
    op.create_index('ix_role_implications_implied_id', 'role_implications', ['implied_id'])
    op.create_table('assignments',
        sa.Column('actor', sa.String(length=8), nullable=False),
        sa.Column('actor_id', sa.String(length=64), nullable=False),
        sa.Column('target', sa.String(length=8), nullable=False),
        sa.Column('target_id', sa.String(length=64), nullable=False),
        sa.Column('role_id', sa.String(length=64), nullable=False),
        sa.Column('inherited', sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(['role_id'], ['roles.id'], name='fk_assignments_role_id'),
        sa.PrimaryKeyConstraint('actor', 'actor_id', 'target', 'target_id', 'role_id', 'inherited',
                                name='pk_assignments'))
    op.create_index('ix_assignments_role_id', 'assignments', ['role_id'])
    op.create_index('ix_assignments_target_id', 'assignments', ['target_id'])


def _catalog() -> None:
    op.create_table('regions',
        sa.Column('id', sa.String(length=255), nullable=False),
        sa.Column('parent_region_id', sa.String(length=255), nullable=True),
        sa.Column('description', sa.Text(), nullable=False),
        sa.Column('extra', db.Json(), nullable=False),
        sa.ForeignKeyConstraint(['parent_region_id'], ['regions.id'], name='fk_regions_parent_region_id'),
        sa.PrimaryKeyConstraint('id', name='pk_regions'))
    op.create_table('services',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('type', sa.String(length=255), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=True),
        sa.Column('enabled', sa.Boolean(), nullable=False),
        sa.Column('extra', db.Json(), nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_services'))
    op.create_table('endpoints',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('service_id', sa.String(length=64), nullable=False),
        sa.Column('region_id', sa.String(length=255), nullable=True),
        sa.Column('interface', sa.String(length=8), nullable=False),
        sa.Column('url', sa.Text(), nullable=False),
        sa.Column('enabled', sa.Boolean(), nullable=False),
        sa.Column('extra', db.Json(), nullable=False),
        sa.ForeignKeyConstraint(['region_id'], ['regions.id'], name='fk_endpoints_region_id'),
        sa.ForeignKeyConstraint(['service_id'], ['services.id'],
                                name='fk_endpoints_service_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name='pk_endpoints'))
    op.create_index('ix_endpoints_region_id', 'endpoints', ['region_id'])
    op.create_index('ix_endpoints_service_id', 'endpoints', ['service_id'])


def _secrets() -> None:
    op.create_table('credentials',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('user_id', sa.String(length=64), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=True),
        sa.Column('type', sa.String(length=255), nullable=False),
        sa.Column('blob', sa.Text(), nullable=False),
        sa.Column('extra', db.Json(), nullable=False),
        sa.ForeignKeyConstraint(['user_id'], ['users.id'],
                                name='fk_credentials_user_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name='pk_credentials'))
    op.create_index('ix_credentials_project_id', 'credentials', ['project_id'])
    op.create_index('ix_credentials_user_id', 'credentials', ['user_id'])
    op.create_table('application_credentials',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('user_id', sa.String(length=64), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('secret', sa.String(length=255), nullable=False),
        sa.Column('description', sa.Text(), nullable=True),
        sa.Column('expires_at', db.Time(), nullable=True),
        sa.Column('unrestricted', sa.Boolean(), nullable=False),
        sa.Column('role_ids', db.Json(), nullable=False),
        sa.Column('access_rules', db.Json(), nullable=False),
        sa.ForeignKeyConstraint(['project_id'], ['projects.id'],
                                name='fk_application_credentials_project_id', ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['user_id'], ['users.id'],
                                name='fk_application_credentials_user_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name='pk_application_credentials'),
        sa.UniqueConstraint('user_id', 'name', name='uq_application_credentials_user_id_name'))
    op.create_index('ix_application_credentials_project_id', 'application_credentials', ['project_id'])


def _bookkeeping() -> None:
    op.create_table('revisions',
        sa.Column('name', sa.String(length=32), nullable=False),
        sa.Column('value', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('name', name='pk_revisions'))
    op.create_table('revocations',
        sa.Column('revision', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('audit_id', sa.String(length=32), nullable=True),
        sa.Column('user_id', sa.String(length=64), nullable=True),
        sa.Column('project_id', sa.String(length=64), nullable=True),
        sa.Column('domain_id', sa.String(length=64), nullable=True),
        sa.Column('issued_before', db.Time(), nullable=False),
        sa.Column('expires_at', db.Time(), nullable=False),
        sa.PrimaryKeyConstraint('revision', name='pk_revocations'))
    op.create_index('ix_revocations_expires_at', 'revocations', ['expires_at'])
    counters = sa.table('revisions', sa.column('name'), sa.column('value'))
    op.bulk_insert(counters, [{'name': name, 'value': 1} for name in ('state', 'catalog', 'revocations')])

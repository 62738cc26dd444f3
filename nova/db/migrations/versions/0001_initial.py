"""The tables nova begins with."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from strata import db

revision = '0001'
down_revision = None


def upgrade() -> None:
    """Make all tables, those that others refer to first."""
    _claims()
    _compute_hosts()
    _flavors()
    _keypairs()
    _network_hosts()
    _network_tags()
    _networks()
    _operation_steps()
    _operations()
    _quota_limits()
    _quota_usages()
    _security_groups()
    _server_passwords()
    _servers()
    _services()
    _flavor_access()
    _flavor_extra_specs()
    _ports()
    _security_group_rules()
    _server_tags()
    _subnets()
    _addresses()
    _port_security_groups()
    _routers()
    _floating_ips()


def _claims() -> None:
    op.create_table('claims',
        sa.Column('server_id', sa.String(length=64), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('vcpus', sa.Integer(), nullable=False),
        sa.Column('ram_mb', sa.Integer(), nullable=False),
        sa.Column('disk_gb', sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint('server_id', name='pk_claims'))
    op.create_index('ix_claims_host', 'claims', ['host'])


def _compute_hosts() -> None:
    op.create_table('compute_hosts',
        sa.Column('number', sa.Integer(), autoincrement=True, nullable=False),
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('hypervisor_hostname', sa.String(length=255), nullable=False),
        sa.Column('hypervisor_type', sa.String(length=64), nullable=False),
        sa.Column('hypervisor_version', sa.Integer(), nullable=False),
        sa.Column('host_ip', sa.String(length=39), nullable=True),
        sa.Column('cpu_info', db.Json(), nullable=False),
        sa.Column('uptime', sa.String(length=255), nullable=True),
        sa.Column('vcpus', sa.Integer(), nullable=False),
        sa.Column('ram_mb', sa.Integer(), nullable=False),
        sa.Column('disk_gb', sa.Integer(), nullable=False),
        sa.Column('limit_vcpus', sa.Integer(), nullable=False),
        sa.Column('limit_ram_mb', sa.Integer(), nullable=False),
        sa.Column('limit_disk_gb', sa.Integer(), nullable=False),
        sa.Column('free_vcpus', sa.Integer(), nullable=False),
        sa.Column('free_ram_mb', sa.Integer(), nullable=False),
        sa.Column('free_disk_gb', sa.Integer(), nullable=False),
        sa.Column('disk_available_least', sa.Integer(), nullable=True),
        sa.Column('running_vms', sa.Integer(), nullable=False),
        sa.Column('generation', sa.Integer(), nullable=False),
        sa.Column('created_at', db.Time(), nullable=False),
        sa.Column('updated_at', db.Time(), nullable=True),
        sa.PrimaryKeyConstraint('number', name='pk_compute_hosts'),
        sa.UniqueConstraint('host', name='uq_compute_hosts_host'),
        sa.UniqueConstraint('id', name='uq_compute_hosts_id'))


def _flavors() -> None:
    op.create_table('flavors',
        sa.Column('id', sa.String(length=255), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('description', sa.Text(), nullable=True),
        sa.Column('vcpus', sa.Integer(), nullable=False),
        sa.Column('ram_mb', sa.Integer(), nullable=False),
        sa.Column('root_gb', sa.Integer(), nullable=False),
        sa.Column('ephemeral_gb', sa.Integer(), nullable=False),
        sa.Column('swap_mb', sa.Integer(), nullable=False),
        sa.Column('rxtx_factor', sa.Double(), nullable=False),
        sa.Column('is_public', sa.Boolean(), nullable=False),
        sa.Column('disabled', sa.Boolean(), nullable=False),
        sa.Column('created_at', db.Time(), nullable=False),
        sa.Column('updated_at', db.Time(), nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_flavors'),
        sa.UniqueConstraint('name', name='uq_flavors_name'))


def _keypairs() -> None:
    op.create_table('keypairs',
        sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
        sa.Column('user_id', sa.String(length=255), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('type', sa.String(length=8), nullable=False),
        sa.Column('fingerprint', sa.String(length=255), nullable=False),
        sa.Column('public_key', sa.Text(), nullable=False),
        sa.Column('created_at', db.Time(), nullable=False),
        sa.Column('updated_at', db.Time(), nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_keypairs'),
        sa.UniqueConstraint('user_id', 'name', name='uq_keypairs_user_id_name'))


def _network_hosts() -> None:
    op.create_table('network_hosts',
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('local_ip', sa.String(length=64), nullable=True),
        sa.Column('updated_at', db.Time(), nullable=True),
        sa.PrimaryKeyConstraint('host', name='pk_network_hosts'))


def _network_tags() -> None:
    op.create_table('network_tags',
        sa.Column('resource_id', sa.String(length=64), nullable=False),
        sa.Column('tag', sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint('resource_id', 'tag', name='pk_network_tags'))


def _networks() -> None:
    op.create_table('networks',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('description', sa.String(length=255), nullable=False),
        sa.Column('admin_state_up', sa.Boolean(), nullable=False),
        sa.Column('status', sa.String(length=16), nullable=False),
        sa.Column('mtu', sa.Integer(), nullable=False),
        sa.Column('shared', sa.Boolean(), nullable=False),
        sa.Column('external', sa.Boolean(), nullable=False),
        sa.Column('is_default', sa.Boolean(), nullable=False),
        sa.Column('port_security_enabled', sa.Boolean(), nullable=False),
        sa.Column('network_type', sa.String(length=16), nullable=False),
        sa.Column('physical_network', sa.String(length=64), nullable=True),
        sa.Column('segmentation_id', sa.Integer(), nullable=True),
        sa.Column('segment', sa.String(length=128), nullable=True),
        sa.Column('availability_zone_hints', db.Json(), nullable=False),
        sa.Column('revision_number', sa.Integer(), nullable=False),
        sa.Column('created_at', db.Time(), nullable=False),
        sa.Column('updated_at', db.Time(), nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_networks'),
        sa.UniqueConstraint('segment', name='uq_networks_segment'))
    op.create_index('ix_networks_external', 'networks', ['external'])
    op.create_index('ix_networks_project_id', 'networks', ['project_id'])
    op.create_index('ix_networks_shared', 'networks', ['shared'])


def _operation_steps() -> None:
    op.create_table('operation_steps',
        sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
        sa.Column('entry_id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=64), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=True),
        sa.Column('epoch', sa.Integer(), nullable=False),
        sa.Column('started_at', db.Time(), nullable=False),
        sa.Column('finished_at', db.Time(), nullable=True),
        sa.Column('outcome', sa.String(length=16), nullable=True),
        sa.Column('message', sa.Text(), nullable=True),
        sa.Column('traceback', sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_operation_steps'))
    op.create_index('ix_operation_steps_entry_id', 'operation_steps', ['entry_id'])


def _operations() -> None:
    op.create_table('operations',
        sa.Column('action', sa.String(length=64), nullable=True),
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('resource_id', sa.String(length=64), nullable=False),
        sa.Column('verb', sa.String(length=64), nullable=False),
        sa.Column('arguments', db.Json(), nullable=False),
        sa.Column('topic', sa.String(length=64), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=True),
        sa.Column('request_id', sa.String(length=64), nullable=False),
        sa.Column('user_id', sa.String(length=64), nullable=True),
        sa.Column('project_id', sa.String(length=64), nullable=True),
        sa.Column('context', db.Json(), nullable=False),
        sa.Column('epoch', sa.Integer(), nullable=False),
        sa.Column('worker', sa.String(length=255), nullable=True),
        sa.Column('lease_until', db.Time(), nullable=True),
        sa.Column('step', sa.String(length=64), nullable=True),
        sa.Column('unwinding', sa.Boolean(), nullable=False),
        sa.Column('not_before', db.Time(), nullable=True),
        sa.Column('created_at', db.Time(), nullable=False),
        sa.Column('updated_at', db.Time(), nullable=True),
        sa.Column('finished_at', db.Time(), nullable=True),
        sa.Column('outcome', sa.String(length=16), nullable=True),
        sa.Column('message', sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_operations'))
    op.create_index('ix_operations_finished_at', 'operations', ['finished_at'])
    op.create_index('ix_operations_request_id', 'operations', ['request_id'])
    op.create_index('ix_operations_resource_id', 'operations', ['resource_id'])


def _quota_limits() -> None:
    op.create_table('quota_limits',
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('resource', sa.String(length=64), nullable=False),
        sa.Column('value', sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint('project_id', 'resource', name='pk_quota_limits'))


def _quota_usages() -> None:
    op.create_table('quota_usages',
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('resource', sa.String(length=64), nullable=False),
        sa.Column('used', sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint('project_id', 'resource', name='pk_quota_usages'))


def _security_groups() -> None:
    op.create_table('security_groups',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('description', sa.String(length=255), nullable=False),
        sa.Column('stateful', sa.Boolean(), nullable=False),
        sa.Column('default_of', sa.String(length=64), nullable=True),
        sa.Column('revision_number', sa.Integer(), nullable=False),
        sa.Column('created_at', db.Time(), nullable=False),
        sa.Column('updated_at', db.Time(), nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_security_groups'),
        sa.UniqueConstraint('default_of', name='uq_security_groups_default_of'))
    op.create_index('ix_security_groups_project_id', 'security_groups', ['project_id'])


def _server_passwords() -> None:
    op.create_table('server_passwords',
        sa.Column('server_id', sa.String(length=64), nullable=False),
        sa.Column('password', sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint('server_id', name='pk_server_passwords'))


def _servers() -> None:
    op.create_table('servers',
        sa.Column('number', sa.Integer(), autoincrement=True, nullable=False),
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('user_id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('description', sa.String(length=255), nullable=True),
        sa.Column('hostname', sa.String(length=255), nullable=True),
        sa.Column('reservation_id', sa.String(length=64), nullable=True),
        sa.Column('launch_index', sa.Integer(), nullable=False),
        sa.Column('vm_state', sa.String(length=32), nullable=False),
        sa.Column('task_state', sa.String(length=32), nullable=True),
        sa.Column('power_state', sa.Integer(), nullable=False),
        sa.Column('progress', sa.Integer(), nullable=False),
        sa.Column('locked_by', sa.String(length=16), nullable=True),
        sa.Column('locked_reason', sa.String(length=255), nullable=True),
        sa.Column('deleted', sa.Boolean(), nullable=False),
        sa.Column('launched_at', db.Time(), nullable=True),
        sa.Column('terminated_at', db.Time(), nullable=True),
        sa.Column('host', sa.String(length=255), nullable=True),
        sa.Column('node', sa.String(length=255), nullable=True),
        sa.Column('availability_zone', sa.String(length=255), nullable=True),
        sa.Column('image_id', sa.String(length=64), nullable=True),
        sa.Column('image', db.Json(), nullable=False),
        sa.Column('kernel_id', sa.String(length=64), nullable=True),
        sa.Column('ramdisk_id', sa.String(length=64), nullable=True),
        sa.Column('flavor_id', sa.String(length=255), nullable=False),
        sa.Column('flavor', db.Json(), nullable=False),
        sa.Column('key_name', sa.String(length=255), nullable=True),
        sa.Column('key_data', sa.Text(), nullable=True),
        sa.Column('key_type', sa.String(length=16), nullable=True),
        sa.Column('user_data', sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mariadb').with_variant(mysql.MEDIUMTEXT(), 'mysql'), nullable=True),
        sa.Column('config_drive', sa.Boolean(), nullable=False),
        sa.Column('access_ip_v4', sa.String(length=39), nullable=True),
        sa.Column('access_ip_v6', sa.String(length=39), nullable=True),
        sa.Column('root_device_name', sa.String(length=64), nullable=True),
        sa.Column('meta', db.Json(), nullable=False),
        sa.Column('request', db.Json(), nullable=False),
        sa.Column('fault_code', sa.Integer(), nullable=True),
        sa.Column('fault_message', sa.Text(), nullable=True),
        sa.Column('fault_details', sa.Text(), nullable=True),
        sa.Column('fault_at', db.Time(), nullable=True),
        sa.Column('created_at', db.Time(), nullable=False),
        sa.Column('updated_at', db.Time(), nullable=True),
        sa.PrimaryKeyConstraint('number', name='pk_servers'),
        sa.UniqueConstraint('id', name='uq_servers_id'))
    op.create_index('ix_servers_flavor_id', 'servers', ['flavor_id'])
    op.create_index('ix_servers_host', 'servers', ['host'])
    op.create_index('ix_servers_host_deleted', 'servers', ['host', 'deleted'])
    op.create_index('ix_servers_image_id', 'servers', ['image_id'])
    op.create_index('ix_servers_project_deleted', 'servers', ['project_id', 'deleted', 'created_at'])
    op.create_index('ix_servers_project_id', 'servers', ['project_id'])
    op.create_index('ix_servers_reservation_id', 'servers', ['reservation_id'])


def _services() -> None:
    op.create_table('services',
        sa.Column('number', sa.Integer(), autoincrement=True, nullable=False),
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('binary', sa.String(length=64), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('availability_zone', sa.String(length=255), nullable=False),
        sa.Column('seen_at', db.Time(), nullable=True),
        sa.Column('report_count', sa.Integer(), nullable=False),
        sa.Column('disabled', sa.Boolean(), nullable=False),
        sa.Column('disabled_reason', sa.String(length=255), nullable=True),
        sa.Column('forced_down', sa.Boolean(), nullable=False),
        sa.Column('deleted', sa.Boolean(), nullable=False),
        sa.Column('created_at', db.Time(), nullable=False),
        sa.Column('updated_at', db.Time(), nullable=True),
        sa.PrimaryKeyConstraint('number', name='pk_services'),
        sa.UniqueConstraint('binary', 'host', name='uq_services_binary_host'),
        sa.UniqueConstraint('id', name='uq_services_id'))


def _flavor_access() -> None:
    op.create_table('flavor_access',
        sa.Column('flavor_id', sa.String(length=255), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(['flavor_id'], ['flavors.id'], name='fk_flavor_access_flavor_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('flavor_id', 'project_id', name='pk_flavor_access'))


def _flavor_extra_specs() -> None:
    op.create_table('flavor_extra_specs',
        sa.Column('flavor_id', sa.String(length=255), nullable=False),
        sa.Column('key', sa.String(length=255), nullable=False),
        sa.Column('value', sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(['flavor_id'], ['flavors.id'], name='fk_flavor_extra_specs_flavor_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('flavor_id', 'key', name='pk_flavor_extra_specs'))


def _ports() -> None:
    op.create_table('ports',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('network_id', sa.String(length=64), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('description', sa.String(length=255), nullable=False),
        sa.Column('admin_state_up', sa.Boolean(), nullable=False),
        sa.Column('status', sa.String(length=16), nullable=False),
        sa.Column('mac_address', sa.String(length=32), nullable=False),
        sa.Column('device_id', sa.String(length=255), nullable=False),
        sa.Column('device_owner', sa.String(length=255), nullable=False),
        sa.Column('port_security_enabled', sa.Boolean(), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('vnic_type', sa.String(length=64), nullable=False),
        sa.Column('binding_profile', db.Json(), nullable=False),
        sa.Column('allowed_address_pairs', db.Json(), nullable=False),
        sa.Column('extra_dhcp_opts', db.Json(), nullable=False),
        sa.Column('counted', sa.Boolean(), nullable=False),
        sa.Column('made_by_compute', sa.Boolean(), nullable=False),
        sa.Column('position', sa.Integer(), nullable=False),
        sa.Column('device_tag', sa.String(length=60), nullable=True),
        sa.Column('revision_number', sa.Integer(), nullable=False),
        sa.Column('created_at', db.Time(), nullable=False),
        sa.Column('updated_at', db.Time(), nullable=True),
        sa.ForeignKeyConstraint(['network_id'], ['networks.id'], name='fk_ports_network_id'),
        sa.PrimaryKeyConstraint('id', name='pk_ports'),
        sa.UniqueConstraint('network_id', 'mac_address', name='uq_ports_network_id_mac_address'))
    op.create_index('ix_ports_device_id_device_owner', 'ports', ['device_id', 'device_owner'])
    op.create_index('ix_ports_host', 'ports', ['host'])
    op.create_index('ix_ports_project_id', 'ports', ['project_id'])


def _security_group_rules() -> None:
    op.create_table('security_group_rules',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('security_group_id', sa.String(length=64), nullable=False),
        sa.Column('direction', sa.String(length=8), nullable=False),
        sa.Column('ethertype', sa.String(length=8), nullable=False),
        sa.Column('protocol', sa.String(length=32), nullable=True),
        sa.Column('port_range_min', sa.Integer(), nullable=True),
        sa.Column('port_range_max', sa.Integer(), nullable=True),
        sa.Column('remote_group_id', sa.String(length=64), nullable=True),
        sa.Column('remote_ip_prefix', sa.String(length=64), nullable=True),
        sa.Column('description', sa.String(length=255), nullable=False),
        sa.Column('fingerprint', sa.String(length=255), nullable=False),
        sa.Column('revision_number', sa.Integer(), nullable=False),
        sa.Column('created_at', db.Time(), nullable=False),
        sa.Column('updated_at', db.Time(), nullable=True),
        sa.ForeignKeyConstraint(['remote_group_id'], ['security_groups.id'], name='fk_security_group_rules_remote_group_id', ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['security_group_id'], ['security_groups.id'], name='fk_security_group_rules_security_group_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name='pk_security_group_rules'),
        sa.UniqueConstraint('security_group_id', 'fingerprint', name='uq_security_group_rules_security_group_id_fingerprint'))
    op.create_index('ix_security_group_rules_project_id', 'security_group_rules', ['project_id'])
    op.create_index('ix_security_group_rules_remote_group_id', 'security_group_rules', ['remote_group_id'])


def _server_tags() -> None:
    op.create_table('server_tags',
        sa.Column('server_id', sa.String(length=64), nullable=False),
        sa.Column('tag', sa.String(length=60), nullable=False),
        sa.ForeignKeyConstraint(['server_id'], ['servers.id'], name='fk_server_tags_server_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('server_id', 'tag', name='pk_server_tags'))


def _subnets() -> None:
    op.create_table('subnets',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('network_id', sa.String(length=64), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('description', sa.String(length=255), nullable=False),
        sa.Column('ip_version', sa.Integer(), nullable=False),
        sa.Column('cidr', sa.String(length=64), nullable=False),
        sa.Column('gateway_ip', sa.String(length=64), nullable=True),
        sa.Column('enable_dhcp', sa.Boolean(), nullable=False),
        sa.Column('pools', db.Json(), nullable=False),
        sa.Column('dns_nameservers', db.Json(), nullable=False),
        sa.Column('host_routes', db.Json(), nullable=False),
        sa.Column('service_types', db.Json(), nullable=False),
        sa.Column('ipv6_ra_mode', sa.String(length=16), nullable=True),
        sa.Column('ipv6_address_mode', sa.String(length=16), nullable=True),
        sa.Column('revision_number', sa.Integer(), nullable=False),
        sa.Column('created_at', db.Time(), nullable=False),
        sa.Column('updated_at', db.Time(), nullable=True),
        sa.ForeignKeyConstraint(['network_id'], ['networks.id'], name='fk_subnets_network_id'),
        sa.PrimaryKeyConstraint('id', name='pk_subnets'))
    op.create_index('ix_subnets_network_id', 'subnets', ['network_id'])
    op.create_index('ix_subnets_project_id', 'subnets', ['project_id'])


def _addresses() -> None:
    op.create_table('addresses',
        sa.Column('subnet_id', sa.String(length=64), nullable=False),
        sa.Column('ip_address', sa.String(length=64), nullable=False),
        sa.Column('port_id', sa.String(length=64), nullable=False),
        sa.Column('network_id', sa.String(length=64), nullable=False),
        sa.Column('position', sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(['port_id'], ['ports.id'], name='fk_addresses_port_id', ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['subnet_id'], ['subnets.id'], name='fk_addresses_subnet_id'),
        sa.PrimaryKeyConstraint('subnet_id', 'ip_address', name='pk_addresses'))
    op.create_index('ix_addresses_network_id', 'addresses', ['network_id'])
    op.create_index('ix_addresses_port_id', 'addresses', ['port_id'])


def _port_security_groups() -> None:
    op.create_table('port_security_groups',
        sa.Column('port_id', sa.String(length=64), nullable=False),
        sa.Column('security_group_id', sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(['port_id'], ['ports.id'], name='fk_port_security_groups_port_id', ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['security_group_id'], ['security_groups.id'], name='fk_port_security_groups_security_group_id'),
        sa.PrimaryKeyConstraint('port_id', 'security_group_id', name='pk_port_security_groups'))
    op.create_index('ix_port_security_groups_security_group_id', 'port_security_groups', ['security_group_id'])


def _routers() -> None:
    op.create_table('routers',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('description', sa.String(length=255), nullable=False),
        sa.Column('admin_state_up', sa.Boolean(), nullable=False),
        sa.Column('status', sa.String(length=16), nullable=False),
        sa.Column('gateway_port_id', sa.String(length=64), nullable=True),
        sa.Column('enable_snat', sa.Boolean(), nullable=False),
        sa.Column('routes', db.Json(), nullable=False),
        sa.Column('availability_zone_hints', db.Json(), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=True),
        sa.Column('revision_number', sa.Integer(), nullable=False),
        sa.Column('created_at', db.Time(), nullable=False),
        sa.Column('updated_at', db.Time(), nullable=True),
        sa.ForeignKeyConstraint(['gateway_port_id'], ['ports.id'], name='fk_routers_gateway_port_id'),
        sa.PrimaryKeyConstraint('id', name='pk_routers'))
    op.create_index('ix_routers_gateway_port_id', 'routers', ['gateway_port_id'])
    op.create_index('ix_routers_host', 'routers', ['host'])
    op.create_index('ix_routers_project_id', 'routers', ['project_id'])


def _floating_ips() -> None:
    op.create_table('floating_ips',
        sa.Column('id', sa.String(length=64), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('description', sa.String(length=255), nullable=False),
        sa.Column('status', sa.String(length=16), nullable=False),
        sa.Column('floating_network_id', sa.String(length=64), nullable=False),
        sa.Column('floating_port_id', sa.String(length=64), nullable=False),
        sa.Column('floating_ip_address', sa.String(length=64), nullable=False),
        sa.Column('port_id', sa.String(length=64), nullable=True),
        sa.Column('fixed_ip_address', sa.String(length=64), nullable=True),
        sa.Column('router_id', sa.String(length=64), nullable=True),
        sa.Column('revision_number', sa.Integer(), nullable=False),
        sa.Column('created_at', db.Time(), nullable=False),
        sa.Column('updated_at', db.Time(), nullable=True),
        sa.ForeignKeyConstraint(['floating_network_id'], ['networks.id'], name='fk_floating_ips_floating_network_id'),
        sa.ForeignKeyConstraint(['floating_port_id'], ['ports.id'], name='fk_floating_ips_floating_port_id'),
        sa.ForeignKeyConstraint(['port_id'], ['ports.id'], name='fk_floating_ips_port_id'),
        sa.ForeignKeyConstraint(['router_id'], ['routers.id'], name='fk_floating_ips_router_id'),
        sa.PrimaryKeyConstraint('id', name='pk_floating_ips'),
        sa.UniqueConstraint('floating_network_id', 'port_id', 'fixed_ip_address', name='uq_floating_ips_floating_network_id_port_id_fixed_ip_address'),
        sa.UniqueConstraint('floating_port_id', name='uq_floating_ips_floating_port_id'))
    op.create_index('ix_floating_ips_floating_ip_address', 'floating_ips', ['floating_ip_address'])
    op.create_index('ix_floating_ips_port_id', 'floating_ips', ['port_id'])
    op.create_index('ix_floating_ips_project_id', 'floating_ips', ['project_id'])
    op.create_index('ix_floating_ips_router_id', 'floating_ips', ['router_id'])

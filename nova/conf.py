"""Nova's options, a group at a time; ``load`` gives a daemon its configuration."""

from collections.abc import Sequence

from oslo_config import cfg

from strata import conf, identity


def name_template(value: str) -> str:
    """The type of ``instance_name_template``: it must fit a server, and give no two of them one name."""
    try:
        if '%(' in value:
            names = [value % {'id': number, 'uuid': str(number), 'hostname': 'name'} for number in (1, 2)]
        else:
            names = [value % number for number in (1, 2)]
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f'{value!r} takes neither %d (or %08x), nor %(id)d, %(uuid)s and %(hostname)s') from error
    if names[0] == names[1] or '/' in names[0]:
        raise ValueError(f'{value!r} does not tell servers apart by id or uuid, or has a slash')
    return value


DEFAULT = [
    cfg.ListOpt('enabled_apis', default=['compute', 'network', 'metadata'],
                help='Which APIs the nova-api daemon serves.'),
    cfg.StrOpt('api_paste_config', help='The paste file; default: api-paste.ini beside the configuration file.'),
    cfg.HostAddressOpt('osapi_compute_listen', default='0.0.0.0', help='Address of the compute API.'),
    cfg.PortOpt('osapi_compute_listen_port', default=8774, help='Port of the compute API.'),
    cfg.IntOpt('osapi_compute_workers', default=1, min=1, help='Processes that serve the APIs.'),
    cfg.HostAddressOpt('network_listen', default='0.0.0.0', help='Address of the network API.'),
    cfg.PortOpt('network_listen_port', default=9696, help='Port of the network API.'),
    cfg.HostAddressOpt('metadata_listen', default='127.0.0.1',
                       help='Address of the metadata API beside the sockets inside the networks.'),
    cfg.PortOpt('metadata_listen_port', default=8775, help='Port of the metadata API.'),
    cfg.IntOpt('osapi_max_limit', default=1000, min=1, help='Most items in one page of a list.'),
    cfg.ListOpt('trusted_proxies', default=[], help='Addresses whose X-Forwarded-* headers are believed.'),
    cfg.StrOpt('default_availability_zone', default='nova', help='Zone of hosts that are in no other.'),
    cfg.StrOpt('default_schedule_zone', help='Zone of servers that ask for none; default: any.'),
    cfg.Opt('instance_name_template', type=name_template, default='instance-%08x',
            help='What hypervisors call servers: % takes the number of the server, or %(id)d, %(uuid)s and '
                 '%(hostname)s what they say. Guests keep the name they were made with: set it before there are any.'),
    cfg.IntOpt('report_interval', default=10, min=1, help='Seconds between heartbeats.'),
    cfg.IntOpt('service_down_time', default=30, min=1,
               help='Seconds of silence after which a daemon counts as down: three heartbeats.'),
    cfg.IntOpt('lease_time', default=60, min=1,
               help='Seconds after which the operation of a silent worker is taken over.'),
    cfg.IntOpt('sweep_interval', default=10, min=1, help='Seconds between looks for operations that nobody holds.'),
    cfg.IntOpt('operation_attempts', default=5, min=1,
               help='How often an interrupted operation is begun again before it counts as failed.'),
    cfg.IntOpt('rpc_response_timeout', default=60, min=1,
               help='Seconds that one worker waits for the answer of another before it asks again.'),
    cfg.StrOpt('dhcp_domain', default='novalocal', help='Domain part of the host names that metadata shows.'),
]

COMPUTE = [
    cfg.StrOpt('driver', default='libvirt', choices=['libvirt', 'fake'], help='The hypervisor.'),
    cfg.StrOpt('instances_path', default='$state_path/instances', help='Where disks and cached images live.'),
    cfg.FloatOpt('cpu_allocation_ratio', default=16.0, min=0.1, help='Virtual CPUs promised for each real one.'),
    cfg.FloatOpt('ram_allocation_ratio', default=1.0, min=0.1, help='Memory promised for each MiB there is.'),
    cfg.FloatOpt('disk_allocation_ratio', default=1.0, min=0.1, help='Disk promised for each GiB there is.'),
    cfg.IntOpt('reserved_host_memory_mb', default=512, min=0, help='MiB kept for the host itself.'),
    cfg.IntOpt('reserved_host_disk_mb', default=0, min=0, help='MiB of disk kept for the host itself.'),
    cfg.IntOpt('reserved_host_cpus', default=0, min=0, help='CPUs kept for the host itself.'),
    cfg.BoolOpt('resume_guests_state_on_host_boot', default=True,
                help='Start servers that ought to run and do not, when the daemon starts.'),
    cfg.IntOpt('sync_power_state_interval', default=60, min=1,
               help='Seconds between comparisons of the database with the hypervisor.'),
    cfg.IntOpt('shutdown_timeout', default=60, min=0,
               help='Seconds a guest gets to shut down before the plug is pulled.'),
    cfg.IntOpt('max_concurrent_operations', default=64, min=1, help='Operations one worker has under way at once.'),
    cfg.IntOpt('image_cache_days', default=7, min=0, help='Days an unused cached image is kept.'),
    cfg.StrOpt('fake_state_path', help='fake driver: where its guests are kept; default: in memory.'),
    cfg.IntOpt('fake_vcpus', default=64, min=1, help='fake driver: CPUs of the host.'),
    cfg.IntOpt('fake_ram_mb', default=262144, min=1, help='fake driver: memory of the host.'),
    cfg.IntOpt('fake_disk_gb', default=10240, min=1, help='fake driver: disk of the host.'),
]

LIBVIRT = [
    cfg.StrOpt('virt_type', default='auto', choices=['auto', 'kvm', 'qemu'],
               help='auto tries whether KVM really runs a guest, and falls back to emulation.'),
    cfg.StrOpt('connection_uri', default='qemu:///system', help='Where libvirt listens.'),
    cfg.StrOpt('cpu_mode', default='auto', help='auto: host-passthrough under KVM, a plain model under emulation.'),
]

SCHEDULER = [
    cfg.ListOpt('enabled_filters', default=['ComputeFilter', 'AvailabilityZoneFilter', 'RequestedHostFilter',
                                            'SameHostFilter', 'DifferentHostFilter', 'RetryFilter',
                                            'ImagePropertiesFilter', 'RamFilter', 'CoreFilter', 'DiskFilter'],
                help='Which filters judge a host, in this order.'),
    cfg.FloatOpt('ram_weight_multiplier', default=1.0, help='Positive: spread by free memory; negative: stack.'),
    cfg.FloatOpt('cpu_weight_multiplier', default=1.0, help='The same by free CPUs.'),
    cfg.FloatOpt('disk_weight_multiplier', default=1.0, help='The same by free disk.'),
    cfg.IntOpt('host_subset_size', default=1, min=1, help='Pick at random among this many of the best hosts.'),
    cfg.IntOpt('max_attempts', default=3, min=1, help='How many hosts a build may try.'),
]

QUOTA = [
    cfg.IntOpt('instances', default=10, min=-1, help='Servers of a project; -1: no limit.'),
    cfg.IntOpt('cores', default=20, min=-1, help='Virtual CPUs of a project.'),
    cfg.IntOpt('ram', default=51200, min=-1, help='MiB of memory of a project.'),
    cfg.IntOpt('metadata_items', default=128, min=-1, help='Metadata items of a server.'),
    cfg.IntOpt('key_pairs', default=100, min=-1, help='Key pairs of a user.'),
    cfg.IntOpt('server_groups', default=10, min=-1, help='Server groups of a project.'),
    cfg.IntOpt('server_group_members', default=10, min=-1, help='Servers of a server group.'),
    cfg.IntOpt('injected_files', default=5, min=-1, help='Personality files of a server (before 2.57).'),
    cfg.IntOpt('injected_file_content_bytes', default=10240, min=-1, help='Bytes of a personality file.'),
    cfg.IntOpt('injected_file_path_length', default=255, min=-1, help='Length of a personality file\'s path.'),
    cfg.IntOpt('network', default=100, min=-1, help='Networks of a project.'),
    cfg.IntOpt('subnet', default=100, min=-1, help='Subnets of a project.'),
    cfg.IntOpt('port', default=500, min=-1, help='Ports of a project.'),
    cfg.IntOpt('router', default=10, min=-1, help='Routers of a project.'),
    cfg.IntOpt('floatingip', default=50, min=-1, help='Floating IPs of a project.'),
    cfg.IntOpt('security_group', default=10, min=-1, help='Security groups of a project.'),
    cfg.IntOpt('security_group_rule', default=100, min=-1, help='Security group rules of a project.'),
]

NETWORK = [
    cfg.StrOpt('driver', default='linux', choices=['linux', 'fake'], help='What carries the networks.'),
    cfg.StrOpt('helper_socket', default='/run/strata/net-helper.sock', help='Where the privileged helper listens.'),
    cfg.StrOpt('fake_state_path', help='fake driver: where its state is kept; default: in memory.'),
    cfg.IntOpt('reconcile_interval', default=60, min=1, help='Seconds between comparisons with the host.'),
    cfg.StrOpt('tenant_network_type', default='local', choices=['local', 'vxlan'],
               help='How networks of projects leave a host: not at all, or to other hosts by VXLAN.'),
    cfg.IntOpt('mtu', default=1500, min=576, max=9216, help='MTU of the physical networks.'),
    cfg.HostAddressOpt('local_ip', help='Address of this host that VXLAN packets come from and go to.'),
    cfg.DictOpt('physical_interfaces', default={},
                help='physical_network:interface pairs that flat and VLAN networks leave this host by.'),
    cfg.IntOpt('tap_owner', default=0, min=0, help='User id that may open tap devices: the hypervisor\'s.'),
    cfg.StrOpt('dns_domain', default='openstacklocal', help='Domain of the names that DHCP hands out.'),
]

GLANCE = [
    cfg.StrOpt('endpoint_override', help='URL of the image API; default: from the catalog.'),
]

OPTIONS: dict[str, Sequence[cfg.Opt]] = {
    'DEFAULT': DEFAULT, 'compute': COMPUTE, 'libvirt': LIBVIRT, 'filter_scheduler': SCHEDULER, 'quota': QUOTA,
    'network': NETWORK, 'glance': GLANCE, 'keystone_authtoken': identity.OPTIONS,
}


def load(prog: str, argv: Sequence[str] | None = None, *, files: Sequence[str] | None = None,
         **overrides: object) -> cfg.ConfigOpts:
    """The configuration of one of nova's daemons; see ``strata.conf.load``."""
    return conf.load(prog, OPTIONS, argv, files=files, service='nova', **overrides)


def quota_defaults(settings: cfg.ConfigOpts) -> dict[str, int]:
    """The limits of a project for which nothing else was set."""
    return {option.name: getattr(settings.quota, option.name) for option in QUOTA}

"""What glance can be told: every option, one a line."""

from oslo_config import cfg

from strata import identity

FORMATS = ['ami', 'ari', 'aki', 'vhd', 'vhdx', 'vmdk', 'raw', 'qcow2', 'vdi', 'iso', 'ploop']
CONTAINERS = ['ami', 'ari', 'aki', 'bare', 'ovf', 'ova', 'docker', 'compressed']

OPTIONS: dict[str, list[cfg.Opt]] = {
    'DEFAULT': [
        cfg.StrOpt('bind_host', default='0.0.0.0', help='Address that glance-api listens on.'),      # noqa: S104
        cfg.PortOpt('bind_port', default=9292, help='Port that glance-api listens on.'),
        cfg.IntOpt('workers', default=1, min=1, help='Processes of glance-api.'),
        cfg.ListOpt('trusted_proxies', default=[],
                    help='Addresses or networks whose X-Forwarded-* headers count.'),
        cfg.IntOpt('image_size_cap', default=1 << 40, min=1, help='Largest image, in bytes.'),
        cfg.IntOpt('image_property_quota', default=128, help='Most properties of an image; -1: no limit.'),
        cfg.IntOpt('image_tag_quota', default=128, help='Most tags of an image; -1: no limit.'),
        cfg.IntOpt('image_member_quota', default=128, help='Most members of an image; -1: no limit.'),
        cfg.IntOpt('limit_param_default', default=25, min=1,
                   help='Images on a page if the client does not say.'),
        cfg.IntOpt('api_limit_max', default=1000, min=1, help='Most images on a page.'),
        cfg.IntOpt('upload_lease', default=120, min=2,
                   help='Seconds an upload may be silent before its image is queued again.'),
        cfg.IntOpt('sweep_interval', default=10, min=1,
                   help='Seconds between two looks for uploads that died and data to be removed.'),
        cfg.ListOpt('enabled_import_methods', default=['glance-direct'], help='How images may be imported.'),
    ],
    'image_format': [
        cfg.ListOpt('disk_formats', default=FORMATS, help='Disk formats an image may declare.'),
        cfg.ListOpt('container_formats', default=CONTAINERS, help='Container formats an image may declare.'),
        cfg.BoolOpt('require_image_format_match', default=True,
                    help='Refuse content that is not recognised as the format it declares. Content that is '
                         'recognised as another format, or is unsafe, is refused in any case.'),
    ],
    'glance_store': [
        cfg.ListOpt('stores', default=['file'], help='The stores in use.'),
        cfg.StrOpt('default_store', default='file', help='The store that uploads go to.'),
        cfg.StrOpt('filesystem_store_datadir', help='Directory of the file store; default: glance/images '
                                                    'under state_path.'),
        cfg.StrOpt('filesystem_store_file_perm', default='0640', help='Mode of its files, in octal.'),
    ],
    'registry': [
        cfg.StrOpt('url', help='Where glance-registry listens (http://host:9191); '
                               'not set: the database is used from glance-api itself.'),
        cfg.StrOpt('bind_host', default='127.0.0.1', help='Address that glance-registry listens on.'),
        cfg.PortOpt('bind_port', default=9191, help='Port that glance-registry listens on.'),
    ],
    'paste_deploy': [
        cfg.StrOpt('config_file', default='api-paste.ini',
                   help='The pipelines, beside the first configuration file; without it the standard ones.'),
    ],
    'keystone_authtoken': identity.OPTIONS,
}

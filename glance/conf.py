"""What glance can be told: every option, one a line."""

from oslo_config import cfg

from strata import identity

FORMATS = ['ami', 'ari', 'aki', 'vhd', 'vhdx', 'vmdk', 'raw', 'qcow2', 'vdi', 'iso', 'ploop']
CONTAINERS = ['ami', 'ari', 'aki', 'bare', 'ovf', 'ova', 'docker', 'compressed']

OPTIONS: dict[str, list[cfg.Opt]] = {
    'DEFAULT': [
        cfg.StrOpt('bind_host', default='0.0.0.0', help='Address that glance-api listens on.'),      # noqa: S104
        cfg.PortOpt('bind_port', default=9292, help='Port that glance-api listens on.'),
        cfg.IntOpt('workers', default=1, min=1,
                   help='Processes of glance-api; of glance-registry, too, where that is a daemon.'),
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
        cfg.StrOpt('default_swift_reference', default='ref1',
                   help='Section of swift_store_config_file that says who glance is at the object store.'),
        cfg.StrOpt('swift_store_config_file',
                   help='File of references: auth_address, user (project:user), key, and maybe domains; without it '
                        'swift_store_auth_address counts, without that [keystone_authtoken].'),
        cfg.StrOpt('swift_store_auth_address', help='Where keystone is, for the swift store.'),
        cfg.StrOpt('swift_store_auth_version', default='3', help='Version of its API; only 3.'),
        cfg.StrOpt('swift_store_user', help="The swift store's project:user, of the default domain."),
        cfg.StrOpt('swift_store_key', secret=True, help='The password of that user.'),
        cfg.StrOpt('swift_store_region', help='Take the endpoint of this region only.'),
        cfg.StrOpt('swift_store_endpoint', help='URL of the account; default: as the catalog says.'),
        cfg.StrOpt('swift_store_endpoint_type', default='publicURL', choices=['publicURL', 'internalURL', 'adminURL'],
                   help='Which endpoint of the catalog to take.'),
        cfg.StrOpt('swift_store_service_type', default='object-store', help='Type of the service in the catalog.'),
        cfg.StrOpt('swift_store_container', default='glance', help='Container that images are kept in.'),
        cfg.BoolOpt('swift_store_create_container_on_put', default=False,
                    help='Make the container if it is not there.'),
        cfg.IntOpt('swift_store_multiple_containers_seed', default=0, min=0, max=32,
                   help='Spread images over containers named for so many first characters of their keys; 0: one '
                        'container.'),
        cfg.IntOpt('swift_store_large_object_size', default=5120, min=1,
                   help='MiB of the first segment of an image.'),
        cfg.IntOpt('swift_store_large_object_chunk_size', default=200, min=1,
                   help='MiB of its further segments; they grow if an image would need too many.'),
        cfg.IntOpt('swift_store_retry_get_count', default=0, min=0,
                   help='How often a download that breaks off is taken up again.'),
        cfg.StrOpt('swift_store_cacert', help="CA bundle for keystone's and the object store's TLS."),
        cfg.BoolOpt('swift_store_auth_insecure', default=False, help='Do not check their certificates.'),
        cfg.BoolOpt('swift_store_multi_tenant', default=False, help="Not built: keep images in users' accounts."),
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

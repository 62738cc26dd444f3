"""The compute API, versions 2.1 to 2.96: a file per resource, all registered on one application."""

from strata.rest import Application, Range, fault

app = Application('compute',
                  versions=Range('compute', (2, 1), (2, 96), legacy='X-OpenStack-Nova-API-Version'),
                  fault=fault.compute, project_in_url=True)

from nova.api.compute import (  # noqa: E402
    aggregates,
    availability_zones,
    extensions,
    flavor_access,
    flavor_extra_specs,
    flavors,
    hypervisors,
    instance_actions,
    keypairs,
    limits,
    quota_sets,
    security_groups,
    server_actions,
    server_create,
    server_diagnostics,
    server_interfaces,
    server_ips,
    server_metadata,
    server_password,
    server_tags,
    servers,
    services,
    usage,
    versions,
)

__all__ = ['aggregates', 'app', 'availability_zones', 'extensions', 'flavor_access', 'flavor_extra_specs',
           'flavors', 'hypervisors', 'instance_actions', 'keypairs', 'limits', 'quota_sets', 'security_groups',
           'server_actions', 'server_create', 'server_diagnostics', 'server_interfaces', 'server_ips',
           'server_metadata', 'server_password', 'server_tags', 'servers', 'services', 'usage', 'versions']

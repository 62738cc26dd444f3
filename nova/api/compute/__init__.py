"""The compute API, versions 2.1 to 2.96: a file per resource, all registered on one application."""

from strata.rest import Application, Range, fault

app = Application('compute', versions=Range('compute', (2, 1), (2, 96), legacy='X-OpenStack-Nova-API-Version'),
                  fault=fault.compute, project_in_url=True)

from nova.api.compute import flavor_access, flavor_extra_specs, flavors, keypairs, versions  # noqa: E402

__all__ = ['app', 'flavor_access', 'flavor_extra_specs', 'flavors', 'keypairs', 'versions']

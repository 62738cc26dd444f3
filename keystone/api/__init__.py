"""The Identity API, v3: a file per resource."""

from strata.policy import Rule
from strata.rest import Application, fault

app = Application('identity', fault=fault.identity)

# wiring only: importing the modules declares their routes
from keystone.api import (  # noqa: E402
    application_credentials,
    assignments,
    catalog,
    credentials,
    domains,
    ec2,
    grants,
    groups,
    projects,
    roles,
    scopes,
    tags,
    tokens,
    users,
    versions,
)


def rules() -> list[Rule]:
    """Every rule of the API: those that routes name, and those that handlers ask beside them."""
    return [*app.rules(), roles.GET_LOCAL, roles.LIST_LOCAL, assignments.TREE]


__all__ = ['app', 'application_credentials', 'assignments', 'catalog', 'credentials', 'domains', 'ec2',
           'grants', 'groups', 'projects', 'roles', 'rules', 'scopes', 'tags', 'tokens', 'users', 'versions']

"""What the caller may get a token for -- /auth/projects, /auth/domains, /auth/system, /auth/catalog."""

from typing import Any

from keystone import catalog
from keystone.api import app
from keystone.api import domains as domain_api
from keystone.api import projects as project_api
from keystone.api.listing import filtered, links, page
from keystone.assignment import scopes
from keystone.db.projects import Project
from keystone.token.payload import UNSCOPED
from strata import errors
from strata.rest import Request, Rule

CATALOG = Rule('identity:get_auth_catalog', '', "Show the catalog of the caller's token.")
PROJECTS = Rule('identity:get_auth_projects', '', 'List the projects that the caller has a role on.')
DOMAINS = Rule('identity:get_auth_domains', '', 'List the domains that the caller has a role on.')
SYSTEM = Rule('identity:get_auth_system', '', 'See whether the caller has a role on the system.')


@app.get('/auth/projects', allow=PROJECTS)
def list_projects(req: Request) -> dict[str, Any]:
    """List the projects that the caller may get a token for."""
    with req.wiring.db.reading() as tx:
        ids = scopes.project_ids(tx, req.context.user_id)      # type: ignore[union-attr, arg-type]
        return project_api.listed(req, tx, scopes.usable(ids))


@app.get('/auth/domains', allow=DOMAINS)
def list_domains(req: Request) -> dict[str, Any]:
    """List the domains that the caller may get a token for."""
    with req.wiring.db.reading() as tx:
        ids = scopes.domain_ids(tx, req.context.user_id)      # type: ignore[union-attr, arg-type]
        query = filtered(scopes.usable(ids), req, domain_api.FILTERS)
        rows, said = page(req, tx, query, Project)
    return {'domains': [domain_api.shown(req, row) for row in rows], 'links': said}


@app.get('/auth/system', allow=SYSTEM)
def show_system(req: Request) -> dict[str, Any]:
    """Show whether the caller may get a token for the system."""
    with req.wiring.db.reading() as tx:
        may = scopes.on_system(tx, req.context.user_id)      # type: ignore[union-attr, arg-type]
    return {'system': [{'all': True}] if may else [], 'links': {'self': req.path_url}}


@app.get('/auth/catalog', allow=CATALOG)
def show_catalog(req: Request) -> dict[str, Any]:
    """Show the catalog that the caller's token would have."""
    token = req.environ['keystone.token']
    if token.payload.kind == UNSCOPED:
        raise errors.Forbidden('A scoped token is needed to see the catalog.')
    return {'catalog': catalog.shown(req.wiring.memory, user_id=token.payload.user_id,
                                     project_id=token.project_id), 'links': links(req)}

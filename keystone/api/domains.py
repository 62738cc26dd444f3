"""Domains -- /domains."""

from typing import Any

from keystone.api import app, bodies
from keystone.api.checks import ADMIN, READER
from keystone.api.listing import authorized, filtered, page, self_link, split
from keystone.db import projects
from keystone.db.projects import Project
from keystone.resource import domains
from strata.rest import Body, Request, Rule

GET = Rule('identity:get_domain', f'{READER} or domain_id:%(target.domain.id)s '
           'or project_domain_id:%(target.domain.id)s', 'Show a domain.')
LIST = Rule('identity:list_domains', READER, 'List domains.')
CREATE = Rule('identity:create_domain', ADMIN, 'Create a domain.')
UPDATE = Rule('identity:update_domain', ADMIN, 'Change a domain.')
DELETE = Rule('identity:delete_domain', ADMIN, 'Delete a disabled domain.')

MEMBERS: dict[str, Any] = {'name': bodies.name(64), 'description': bodies.DESCRIPTION,
                           'enabled': bodies.ENABLED, 'options': bodies.OPTIONS, 'tags': bodies.TAGS}
NEW = Body('domain', {**MEMBERS, 'explicit_domain_id': bodies.ID}, ['name'], open=True)
CHANGED = Body('domain', MEMBERS, open=True)
KNOWN = {*MEMBERS, 'explicit_domain_id'}
FILTERS = {'name': Project.name, 'enabled': Project.enabled, 'id': Project.id}


def shown(req: Request, domain: Project) -> dict[str, Any]:
    """A domain in a body."""
    return {**domain.extra, 'id': domain.id, 'name': domain.name, 'enabled': domain.enabled,
            'description': domain.description, 'options': domain.options,
            'tags': [tag.name for tag in domain.tags], 'links': self_link(req, f'/domains/{domain.id}')}


@app.get('/domains', allow=LIST)
def index(req: Request) -> dict[str, Any]:
    """List domains."""
    with req.wiring.db.reading() as tx:
        rows, links = page(req, tx, filtered(projects.query(is_domain=True), req, FILTERS), Project)
    return {'domains': [shown(req, row) for row in rows], 'links': links}


@app.post('/domains', allow=CREATE, body=NEW, status=201)
def create(req: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Create a domain."""
    values, extra = split(body, KNOWN)
    return {'domain': shown(req, domains.create(req.wiring, extra=extra, **values))}


@app.get('/domains/{id}', allow=GET, late=True)
def show(req: Request, id: str) -> dict[str, Any]:
    """Show a domain."""
    with req.wiring.db.reading() as tx:
        domain = projects.domain(tx, id=id)
    return {'domain': shown(req, authorized(req, domain, 'domain', id))}


@app.patch('/domains/{id}', allow=UPDATE, body=CHANGED)
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a domain."""
    values, extra = split(body, KNOWN)
    return {'domain': shown(req, domains.update(req.wiring, id, extra=extra, **values))}


@app.delete('/domains/{id}', allow=DELETE, status=204)
def delete(req: Request, id: str) -> None:
    """Delete a disabled domain and all that is in it."""
    domains.delete(req.wiring, id)

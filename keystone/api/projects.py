"""Projects -- /projects."""

from typing import Any

from sqlalchemy.orm import Session

from keystone.api import app, bodies
from keystone.api import domains as domain_api
from keystone.api.checks import ADMIN, READER, within
from keystone.api.listing import (
    FLAG,
    asked_domain,
    authorized,
    confined,
    filtered,
    home,
    page,
    self_link,
    split,
    target,
)
from keystone.assignment import scopes
from keystone.db import projects
from keystone.db.projects import Project
from keystone.resource import domains
from keystone.resource import projects as domain_functions
from strata import errors
from strata.rest import Body, Query, Request, Rule

_HOME = 'target.project.domain_id'
GET = Rule('identity:get_project',
           f'{READER} or {within("reader", _HOME)} or project_id:%(target.project.id)s', 'Show a project.')
LIST = Rule('identity:list_projects', f'{READER} or {within("reader", "target.domain_id")}', 'List projects.')
CREATE = Rule('identity:create_project', f'{ADMIN} or {within("manager", _HOME)}', 'Create a project.')
UPDATE = Rule('identity:update_project', f'{ADMIN} or {within("manager", _HOME)}', 'Change a project.')
DELETE = Rule('identity:delete_project', f'{ADMIN} or {within("manager", _HOME)}', 'Delete a project.')

MEMBERS: dict[str, Any] = {
    'name': bodies.name(64), 'description': bodies.DESCRIPTION, 'enabled': bodies.ENABLED,
    'is_domain': {'type': 'boolean'}, 'parent_id': bodies.MAYBE_ID, 'domain_id': bodies.MAYBE_ID,
    'options': bodies.OPTIONS, 'tags': bodies.TAGS}
NEW = Body('project', MEMBERS, ['name'], open=True)
CHANGED = Body('project', MEMBERS, open=True)
FILTERS = {'name': Project.name, 'enabled': Project.enabled, 'domain_id': Project.domain_id,
           'parent_id': Project.parent_id, 'id': Project.id}
TAG_FILTERS = ('tags', 'tags-any', 'not-tags', 'not-tags-any')
SHOW = Query(dict.fromkeys(('parents_as_list', 'parents_as_ids', 'subtree_as_list', 'subtree_as_ids'), FLAG))


def shown(req: Request, project: Project) -> dict[str, Any]:
    """A project in a body."""
    return {**project.extra, 'id': project.id, 'name': project.name, 'domain_id': project.domain_id,
            'parent_id': project.parent_id, 'is_domain': project.is_domain, 'enabled': project.enabled,
            'description': project.description, 'options': project.options,
            'tags': [tag.name for tag in project.tags], 'links': self_link(req, f'/projects/{project.id}')}


def listed(req: Request, tx: Session, query: Any) -> dict[str, Any]:
    """A page of projects that a query finds, with the published filters."""
    is_domain = req.query.get('is_domain', ['false'])[-1]
    query = filtered(query, req, {**FILTERS, 'is_domain': Project.is_domain})
    if 'is_domain' not in req.query or is_domain == '':
        query = query.where(Project.is_domain.is_(False))
    for mode in TAG_FILTERS:
        if mode in req.query:
            query = projects.tagged(query, mode, req.query[mode][-1].split(','))
    rows, links = page(req, tx, query, Project)
    return {'projects': [shown(req, row) for row in rows], 'links': links}


@app.get('/projects', allow=LIST, late=True)
def index(req: Request) -> dict[str, Any]:
    """List projects; with a token for a domain, those of that domain."""
    req.enforce(asked_domain(req))
    with req.wiring.db.reading() as tx:
        return listed(req, tx, confined(req, projects.query(), Project.domain_id))


@app.post('/projects', allow=CREATE, late=True, body=NEW, status=201)
def create(req: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Create a project, or with ``is_domain`` a domain."""
    values, extra = split(body, set(MEMBERS))
    if values.pop('is_domain', False):
        req.enforce({})
        if values.pop('domain_id', None) or values.pop('parent_id', None):
            raise errors.Invalid('A project that acts as a domain has neither domain_id nor parent_id.')
        return {'project': shown(req, domains.create(req.wiring, extra=extra, **values))}
    parent_id = values.pop('parent_id', None)
    domain_id = values.pop('domain_id', None) or _domain_of(req, parent_id) or home(req, {})
    req.enforce({_HOME: domain_id})
    with req.wiring.db.reading() as tx:
        if projects.domain(tx, id=domain_id) is None:
            raise errors.NotFound('Could not find domain: {id}.', id=domain_id)
    made = domain_functions.create(req.wiring, domain_id=domain_id, parent_id=parent_id, extra=extra,
                                   **values)
    return {'project': shown(req, made)}


def _domain_of(req: Request, parent_id: str | None) -> str | None:
    if parent_id is None:
        return None
    with req.wiring.db.reading() as tx:
        parent = projects.get(tx, parent_id)
    return None if parent is None else parent.id if parent.is_domain else parent.domain_id


def loaded(req: Request, id: str) -> Project:
    """The project, once the endpoint's rule has been asked about it."""
    with req.wiring.db.reading() as tx:
        project = projects.get(tx, id)
    return authorized(req, project, 'project', id, 'domain_id')      # type: ignore[no-any-return]


@app.get('/projects/{id}', allow=GET, late=True, query=SHOW)
def show(req: Request, id: str, query: dict[str, bool]) -> dict[str, Any]:
    """Show a project, and as asked what is above and below it: ids of all, bodies of those one has to do with."""
    body = shown(req, loaded(req, id))
    if not any(query.values()):
        return {'project': body}
    with req.wiring.db.reading() as tx:
        project = domain_functions.find(tx, id)
        above = projects.ancestors(tx, project)
        rows = [row for each in above if (row := projects.get(tx, each.id))]
        mine = scopes.project_ids(tx, req.context.user_id)      # type: ignore[union-attr, arg-type]
        asked = query.get('subtree_as_list') or query.get('subtree_as_ids')
        below = projects.descendants(tx, id) if asked else []
    if query.get('parents_as_list'):
        body['parents'] = [{'project': shown(req, row)} for row in rows if _may_see(req, row, mine)]
    elif query.get('parents_as_ids'):
        body['parents'] = _chain([row.id for row in rows] + [id for id in [project.domain_id] if id])
    if query.get('subtree_as_list'):
        body['subtree'] = [{'project': shown(req, row)} for row in below if _may_see(req, row, mine)]
    elif query.get('subtree_as_ids'):
        body['subtree'] = _tree(id, below)
    return {'project': body}


def _may_see(req: Request, row: Project, mine: set[str]) -> bool:
    return row.id in mine or req.allows(GET, target('project', row, 'id', 'domain_id'))


def _chain(ids: list[str]) -> dict[str, Any] | None:
    return {ids[0]: _chain(ids[1:])} if ids else None


def _tree(id: str, below: list[Project]) -> dict[str, Any] | None:
    return {row.id: _tree(row.id, below) for row in below if row.parent_id == id} or None


@app.patch('/projects/{id}', allow=UPDATE, late=True, body=CHANGED)
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a project."""
    loaded(req, id)
    values, extra = split(body, set(MEMBERS))
    return {'project': shown(req, domain_functions.update(req.wiring, id, extra=extra, **values))}


@app.delete('/projects/{id}', allow=DELETE, late=True, status=204)
def delete(req: Request, id: str) -> None:
    """Delete a project that has none below it."""
    project = loaded(req, id)
    if project.is_domain:
        req.enforce({'target.domain.id': id}, domain_api.DELETE)
        domains.delete(req.wiring, id)
    else:
        domain_functions.delete(req.wiring, id)

"""Role assignments -- /role_assignments."""

from typing import Any

from keystone.api import app
from keystone.api.checks import ADMIN, READER
from keystone.api.listing import FLAG, links
from keystone.assignment import listing
from keystone.assignment.listing import Entry, Wanted
from keystone.db import names
from keystone.db.assignments import DOMAIN, GROUP, SYSTEM, USER
from strata import errors
from strata.rest import Param, Query, Request, Rule

LIST = Rule('identity:list_role_assignments', f'{READER} or (role:reader and domain_id:%(target.domain_id)s)',
            'List role assignments.')
TREE = Rule('identity:list_role_assignments_for_tree',
            f'{ADMIN} or (role:admin and project_id:%(target.project.id)s)',
            'List the role assignments of a project and those below it.')
TEXT = Param()
PARAMS = Query({'user.id': TEXT, 'group.id': TEXT, 'role.id': TEXT, 'scope.project.id': TEXT,
                'scope.domain.id': TEXT, 'scope.system': TEXT, 'scope.OS-INHERIT:inherited_to': TEXT,
                'effective': FLAG, 'include_names': FLAG, 'include_subtree': FLAG})


@app.get('/role_assignments', allow=LIST, late=True, query=PARAMS)
def index(req: Request, query: dict[str, Any]) -> dict[str, Any]:
    """List role assignments; with a token for a domain, those in that domain."""
    context = req.context
    assert context is not None
    wanted = _wanted(query, context.domain_id)
    if wanted.include_subtree:
        req.enforce({'target.project.id': wanted.project_id}, TREE)
    else:
        req.enforce({'target.domain_id': context.domain_id})
    with req.wiring.db.reading() as tx:
        found = listing.entries(tx, wanted)
        known = names.of(tx, found) if query.get('include_names') else None
    return {'role_assignments': [_shown(req, entry, known) for entry in found], 'links': links(req)}


def _wanted(query: dict[str, Any], domain_id: str | None) -> Wanted:
    wanted = Wanted(
        user_id=query.get('user.id') or None, group_id=query.get('group.id') or None,
        role_id=query.get('role.id') or None, project_id=query.get('scope.project.id') or None,
        domain_id=query.get('scope.domain.id') or None, system=bool(query.get('scope.system')),
        inherited=True if query.get('scope.OS-INHERIT:inherited_to') == 'projects' else None,
        effective=query.get('effective', False), include_subtree=query.get('include_subtree', False),
        confined_to=domain_id)
    if wanted.effective and wanted.group_id:
        raise errors.Invalid('Combining effective and group filter will always result in an empty list.')
    if wanted.user_id and wanted.group_id:
        raise errors.Invalid('Specify a user or group, not both')
    if sum(map(bool, (wanted.project_id, wanted.domain_id, wanted.system))) > 1:
        raise errors.Invalid('Specify a domain or project, not both')
    if wanted.include_subtree and not wanted.project_id:
        raise errors.Invalid('scope.project.id must be specified if include_subtree is also specified')
    return wanted


def _shown(req: Request, entry: Entry, known: names.Names | None) -> dict[str, Any]:
    body: dict[str, Any] = {'role': _named(known, 'role', entry.role_id), 'scope': _scope(entry, known),
                            'links': {'assignment': req.url(_path(entry))}}
    if entry.user_id is not None:
        body['user'] = _named(known, USER, entry.user_id)
    else:
        body['group'] = _named(known, GROUP, entry.group_id or '')
    if entry.member_of is not None:
        body['links']['membership'] = req.url(f'/groups/{entry.member_of}/users/{entry.user_id}')
    if entry.prior_id is not None:
        body['links']['prior_role'] = req.url(f'/roles/{entry.prior_id}/implies/{entry.role_id}')
    return body


def _named(known: names.Names | None, kind: str, id: str) -> dict[str, Any]:
    return {'id': id} if known is None else known.shown(kind, id)


def _scope(entry: Entry, known: names.Names | None) -> dict[str, Any]:
    if entry.target == SYSTEM:
        return {'system': {'all': True}}
    scope: dict[str, Any] = {entry.target: _named(known, entry.target, entry.target_id)}
    if entry.inherited:
        scope['OS-INHERIT:inherited_to'] = 'projects'
    return scope


def _path(entry: Entry) -> str:
    """The path of the assignment that a line comes from."""
    source = entry.source
    actor = f'{source.actor}s/{source.actor_id}/roles/{source.role_id}'
    if source.target == SYSTEM:
        return f'/system/{actor}'
    path = f'/{"domains" if source.target == DOMAIN else "projects"}/{source.target_id}/{actor}'
    return f'/OS-INHERIT{path}/inherited_to_projects' if source.inherited else path

"""Quotas of projects -- /os-quota-sets."""

from typing import Any

from nova.api.compute import app
from nova.api.fields import MOST, STRICT, whole
from nova.api.policy import ADMIN, ANYONE, READER, rule
from nova.compute import limits
from strata.rest import BOOLEAN, TEXT, Body, Query, Request, View, true, until

LIMIT = {'type': ['integer', 'string'], 'pattern': '^-?[0-9]{1,10}$', 'minimum': -1, 'maximum': MOST}
_FILES = ('injected_files', 'injected_file_content_bytes', 'injected_file_path_bytes')
#: counted by the network API; until 2.35 they are here, without a limit
_NETWORK = ('fixed_ips', 'floating_ips', 'security_groups', 'security_group_rules')
_OURS = ('instances', 'cores', 'ram', 'metadata_items', 'key_pairs', 'server_groups', 'server_group_members')
UPDATE = Body('quota_set', {
    **dict.fromkeys(_OURS, LIMIT), **{name: until('2.56', LIMIT) for name in _FILES},
    **{name: until('2.35', LIMIT) for name in (*_NETWORK, 'networks')}, 'force': BOOLEAN})
ONE = Query({'user_id': TEXT}, unknown=STRICT)
NAMES = View({**{name: name for name in _OURS}, **{name: until('2.56', name) for name in _FILES},
              **{name: until('2.35', name) for name in _NETWORK}})


def _shown(req: Request, values: dict[str, Any], missing: Any) -> dict[str, Any]:
    return {name: values.get(name, missing) for name in NAMES.keys(req.version)}


def _target(project_id: str) -> dict[str, str]:
    return {'project_id': project_id}


@app.get('/os-quota-sets/{project_id}', query=ONE, allow=rule('os-quota-sets:show', READER), late=True)
def show(req: Request, project_id: str, query: dict[str, Any]) -> dict[str, Any]:
    """A project's limits, or a user's in it."""
    req.enforce(_target(project_id))
    allowed, _ = limits.show(req.wiring, project_id, query.get('user_id'))
    return {'quota_set': {'id': project_id, **_shown(req, allowed, -1)}}


@app.get('/os-quota-sets/{project_id}/detail', query=ONE, allow=rule('os-quota-sets:detail', READER),
         late=True)
def detail(req: Request, project_id: str, query: dict[str, Any]) -> dict[str, Any]:
    """A project's limits, and what it uses, or a user's in it."""
    req.enforce(_target(project_id))
    allowed, used = limits.show(req.wiring, project_id, query.get('user_id'))
    both = {name: {'limit': allowed[name], 'in_use': used[name], 'reserved': 0} for name in allowed}
    return {'quota_set': {'id': project_id, **_shown(req, both, {'limit': -1, 'in_use': 0, 'reserved': 0})}}


@app.get('/os-quota-sets/{project_id}/defaults', allow=rule('os-quota-sets:defaults', ANYONE))
def defaults(req: Request, project_id: str) -> dict[str, Any]:
    """The limits of a project for which nothing else was set."""
    return {'quota_set': {'id': project_id, **_shown(req, dict(limits.defaults(req.wiring)), -1)}}


@app.put('/os-quota-sets/{project_id}', body=UPDATE, query=ONE, allow=rule('os-quota-sets:update', ADMIN))
def update(req: Request, project_id: str, query: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Set limits of a project, or of a user in it; one below what is used takes ``force``."""
    values = {name: whole(value, f'quota_set/{name}', -1) for name, value in body.items()
              if name in limits.RESOURCES}
    force, user_id = true(body.get('force', False)), query.get('user_id')
    if user_id is None:
        limits.update(req.wiring, project_id, values, force=force)
    else:
        limits.update_share(req.wiring, project_id, user_id, values, force=force)
    allowed, _ = limits.show(req.wiring, project_id, user_id)
    return {'quota_set': _shown(req, allowed, -1)}


@app.delete('/os-quota-sets/{project_id}', query=ONE, status=202, allow=rule('os-quota-sets:delete', ADMIN))
def delete(req: Request, project_id: str, query: dict[str, Any]) -> None:
    """Back to the defaults, or for a user to the project's."""
    limits.reset(req.wiring, project_id, query.get('user_id'))

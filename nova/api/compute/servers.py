"""Servers -- /servers: list, detail, show, update, delete.  Creating them is in ``server_create``."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nova.api.compute import app
from nova.api.compute import server_view as view
from nova.api.fields import ACCESS_V4, ACCESS_V6, DESCRIPTION, DISK_CONFIG, HOSTNAME, NAME, STRICT, address
from nova.api.policy import ADMIN, MEMBER, READER, rule
from nova.compute import servers, verbs
from nova.db import server_lists
from nova.db.server_lists import EQUAL, NUMBERS, PATTERNS, TIMES, Wanted
from nova.db.servers import Server
from strata import clock, errors
from strata.rest import INTEGER, MOMENT, TEXT, TEXTS, Body, Param, Query, Request, paging, since

ALL_TENANTS = rule('servers:index:get_all_tenants', ADMIN)
ALL_TENANTS_DETAIL = rule('servers:detail:get_all_tenants', ADMIN)
ALL_FILTERS = rule('servers:allow_all_filters', ADMIN)

_ANY = dict.fromkeys((
    'access_ip_v4', 'access_ip_v6', 'all_tenants', 'auto_disk_config', 'availability_zone', 'config_drive',
    'created_at', 'deleted', 'description', 'display_description', 'display_name', 'flavor', 'host',
    'hostname',
    'image', 'image_ref', 'instance_type_id', 'ip', 'ip6', 'kernel_id', 'key_name', 'launch_index',
    'launched_at', 'locked_by', 'name', 'node', 'power_state', 'progress', 'project_id', 'ramdisk_id',
    'reservation_id', 'root_device_name', 'soft_deleted', 'status', 'task_state', 'tenant_id',
    'terminated_at',
    'user_id', 'uuid', 'vm_state'), TEXTS)
LIST = Query({
    **_ANY, 'limit': INTEGER, 'marker': TEXT, 'sort_key': TEXTS, 'sort_dir': TEXTS,
    'changes-since': MOMENT, 'changes-before': since('2.66', MOMENT),
    'tags': since('2.26', Param()), 'tags-any': since('2.26', Param()),
    'not-tags': since('2.26', Param()), 'not-tags-any': since('2.26', Param()),
    'locked': since('2.73', TEXT),
}, unknown=STRICT)

UPDATE = Body('server', {
    'name': NAME,
    'OS-DCF:diskConfig': DISK_CONFIG, 'accessIPv4': ACCESS_V4, 'accessIPv6': ACCESS_V6,
    'description': since('2.19', DESCRIPTION),
    'hostname': HOSTNAME,
})

#: filters anybody may use, and since when; the others are for administrators and fall away in silence
_OPEN = {'reservation_id': (2, 1), 'name': (2, 1), 'display_name': (2, 1), 'status': (2, 1), 'image': (2, 1),
         'image_ref': (2, 1), 'flavor': (2, 1), 'ip': (2, 1), 'changes-since': (2, 1), 'all_tenants': (2, 1),
         'ip6': (2, 5), 'tags': (2, 26), 'tags-any': (2, 26), 'not-tags': (2, 26), 'not-tags-any': (2, 26),
         'changes-before': (2, 66), 'locked': (2, 73),
         **dict.fromkeys(('availability_zone', 'config_drive', 'key_name', 'created_at', 'launched_at',
                          'terminated_at', 'power_state', 'task_state', 'vm_state', 'progress', 'user_id'),
                         (2, 83))}
_PAGING = ('limit', 'marker', 'sort_key', 'sort_dir')
_OTHER_NAMES = {'display_name': 'name', 'display_description': 'description', 'tenant_id': 'project_id',
                'image_ref': 'image'}


def _flag(asked: Mapping[str, Any], name: str) -> bool | None:
    """A filter that is true or false; an empty value is true for ``all_tenants``, as clients send it."""
    values = asked.get(name)
    if values is None:
        return None
    value = (values if isinstance(values, str) else values[-1]).strip().lower()
    if value in ('true', '1', 'on', 'yes', 't', 'y') or (value == '' and name == 'all_tenants'):
        return True
    if value in ('false', '0', 'off', 'no', 'f', 'n'):
        return False
    raise errors.Invalid('Invalid input for query parameters {name}. Value: {value}. It is not a boolean',
                         name=name, value=value[:80])


def _allowed(req: Request, query: Mapping[str, Any]) -> dict[str, Any]:
    """The filters in force: under their plain names, without those the caller may not use."""
    everything = req.allows(ALL_FILTERS)
    never = (9, 9)
    return {_OTHER_NAMES.get(name, name): value for name, value in query.items()
            if name not in _PAGING and (everything or req.version >= _OPEN.get(name, never))}


def _project(req: Request, asked: Mapping[str, Any], whole_cloud: Any) -> str | None:
    """The project a list is about; ``None`` for all of them.

    As published, a filter for another project does nothing unless ``all_tenants`` is asked for too.
    """
    assert req.context is not None
    if not _flag(asked, 'all_tenants'):
        return req.context.project_id
    req.enforce(rule=whole_cloud)
    return None


_States = list[tuple[str, frozenset[str], frozenset[str]]]


def _states(req: Request, asked: Mapping[str, Any]) -> tuple[_States | None, bool]:
    """What status filters mean, and whether deleted servers are among it."""
    if 'status' not in asked:
        return None, False
    found: _States = []
    for word in asked['status']:
        meant = verbs.vm_states(word)
        if not meant and req.version >= (2, 38):
            raise errors.Invalid('Invalid status value: {word}', word=word[:80])
        for vm_state, tasks in meant:
            lacking = frozenset() if tasks else frozenset(verbs.named_tasks(vm_state))
            found.append((vm_state, frozenset(tasks or ()), lacking))
    deleted = any(vm_state == verbs.DELETED for vm_state, _, _ in found)
    if deleted and not req.context.is_admin:      # type: ignore[union-attr]
        raise errors.Forbidden('Only administrators may list deleted instances')
    return found, deleted


def _deleted(req: Request, asked: Mapping[str, Any], by_status: bool) -> bool | None:
    """Whether deleted servers are listed: only, not, or (with ``changes-since``) as well."""
    wish = _flag(asked, 'deleted')
    if by_status or (wish and req.context.is_admin):      # type: ignore[union-attr]
        return True
    if wish is None and ('changes-since' in asked or 'changes-before' in asked):
        return None
    return False


def _numbers(asked: Mapping[str, Any]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for name in (*NUMBERS, *TIMES):
        if name in asked:
            try:
                read = _number if name in NUMBERS else clock.parse
                columns[name] = [read(value) for value in asked[name]]
            except ValueError as error:
                raise errors.Invalid('Invalid input for query parameters {name}. Value: {value}.', name=name,
                                     value=asked[name][-1][:80]) from error
    return columns


def _number(text: str) -> int:
    """A whole number that a column can hold."""
    if not re.fullmatch(r'-?[0-9]{1,9}', text.strip(), re.ASCII):
        raise ValueError(text)
    return int(text)


def _words(asked: Mapping[str, Any], name: str) -> list[str]:
    words = [word for word in (asked.get(name) or '').split(',') if word]
    if any(len(word) > 60 for word in words) or len(words) > 50:
        raise errors.Invalid('Invalid input for query parameters {name}: at most 50 tags of 60 characters',
                             name=name)
    return words


def _wanted(req: Request, query: Mapping[str, Any], whole_cloud: Any) -> Wanted:
    asked = _allowed(req, query)
    states, by_status = _states(req, asked)
    if {'changes-since', 'changes-before'} <= set(asked) and asked['changes-since'] > asked['changes-before']:
        raise errors.Invalid('The value of changes-since must be less than or equal to changes-before.')
    last = {name: asked[name][-1] for name in ('ip', 'ip6', *PATTERNS) if name in asked and asked[name][-1]}
    return Wanted(
        columns={**{name: asked[name] for name in EQUAL if name in asked}, **_numbers(asked)},
        patterns={name: last[name] for name in PATTERNS if name in last},
        project_id=_project(req, asked, whole_cloud), deleted=_deleted(req, asked, by_status), states=states,
        changes_since=asked.get('changes-since'), changes_before=asked.get('changes-before'),
        ip=last.get('ip'), ip6=last.get('ip6'), config_drive=_flag(asked, 'config_drive'),
        locked=_flag(asked, 'locked'), tags=_words(asked, 'tags'), tags_any=_words(asked, 'tags-any'),
        not_tags=_words(asked, 'not-tags'), not_tags_any=_words(asked, 'not-tags-any'))


def _page(req: Request, query: Mapping[str, Any], whole_cloud: Any, *,
          details: bool) -> tuple[Sequence[Server], int]:
    keys = query.get('sort_key', [])
    if not req.context.is_admin and {'host', 'node'} & set(keys):      # type: ignore[union-attr]
        raise errors.Forbidden('Only administrators can sort servers by host or node')
    if 'locked' in keys and req.version < (2, 73):
        raise errors.Invalid('Invalid input for query parameters sort_key. Value: locked.')
    sorts = paging.sorts(keys, query.get('sort_dir', []), server_lists.SORTS,
                         default=[('created_at', 'desc')], unique='number')
    size = paging.limit(query.get('limit'), req.wiring.conf.osapi_max_limit)
    wanted = _wanted(req, query, whole_cloud)
    with req.wiring.db.reading() as tx:
        found = server_lists.find(tx, req.context, wanted, sorts=sorts, marker=query.get('marker'),
                                  limit=size,
                                  details=details)
    return found, size


def _listed(req: Request, shown: list[dict[str, Any]], page: Sequence[Server], size: int) -> dict[str, Any]:
    listed: dict[str, Any] = {'servers': shown}
    if following := paging.links(req, page, size):
        listed['servers_links'] = following
    return listed


@app.get('/servers', query=LIST, allow=rule('servers:index', READER))
def index(req: Request, query: dict[str, Any]) -> dict[str, Any]:
    """Ids and names of servers."""
    page, size = _page(req, query, ALL_TENANTS, details=False)
    return _listed(req, [view.BRIEF(req, server) for server in page], page, size)


@app.get('/servers/detail', query=LIST, allow=rule('servers:detail', READER))
def detail(req: Request, query: dict[str, Any]) -> dict[str, Any]:
    """Servers with all their members."""
    page, size = _page(req, query, ALL_TENANTS_DETAIL, details=True)
    facts = view.gather(req, page)
    return _listed(req, [view.full(req, server, facts, alone=False) for server in page], page, size)


@app.get('/servers/{id}', allow=rule('servers:show', READER))
def show(req: Request, id: str) -> dict[str, Any]:
    """One server."""
    server = servers.get(req.wiring, req.context, id)
    return {'server': view.full(req, server, view.gather(req, [server]))}


@app.put('/servers/{id}', body=UPDATE, allow=rule('servers:update', MEMBER))
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a server's name, description, host name or access addresses."""
    columns = {'name': 'name', 'description': 'description', 'hostname': 'hostname',
               'accessIPv4': 'access_ip_v4', 'accessIPv6': 'access_ip_v6', 'OS-DCF:diskConfig': 'disk_config'}
    values = {columns[name]: address(value) if name.startswith('accessIP') else value
              for name, value in body.items() if name in columns}
    server = servers.update(req.wiring, req.context, id, **values)
    if req.version >= (2, 75):
        return {'server': view.full(req, server, view.gather(req, [server]))}
    return {'server': view.core(req, server, view.gather(req, [server], plain=True))}


@app.delete('/servers/{id}', status=204, allow=rule('servers:delete', MEMBER))
def delete(req: Request, id: str) -> None:
    """Begin to delete a server, whatever it is doing."""
    servers.delete(req.wiring, req.context, id)


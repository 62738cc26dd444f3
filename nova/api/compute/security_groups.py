"""Security groups as the compute API once had them -- /os-security-groups, /os-security-group-rules -- and a server's.

The groups are those of the network API, in the words that clients used before there was one; until 2.35.
What a server is in, and putting it into another, is at every version.
"""

import contextlib
import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

from nova.api.compute import app
from nova.api.fields import check_uuid
from nova.api.policy import MEMBER, READER, rule
from nova.compute import servers
from nova.db import security_groups as rows
from nova.db.security_groups import SecurityGroup, SecurityGroupRule
from nova.network import security_groups, server_groups
from strata import errors
from strata.rest import INTEGER, TEXT, Body, Query, Request

LAST = '2.35'
TEXT_MEMBER = {'type': 'string', 'maxLength': 255}
GROUP = {'name': {**TEXT_MEMBER, 'minLength': 1}, 'description': {**TEXT_MEMBER, 'type': ['string', 'null']}}
NUMBER = {'type': ['integer', 'string', 'null'], 'pattern': '^-?[0-9]{1,5}$', 'minimum': -1, 'maximum': 65535}
RULE = {'parent_group_id': TEXT_MEMBER, 'group_id': {'type': ['string', 'null'], 'maxLength': 255},
        'ip_protocol': {'type': ['string', 'null'], 'maxLength': 32}, 'from_port': NUMBER, 'to_port': NUMBER,
        'cidr': {'type': ['string', 'null'], 'maxLength': 64}}
LIST = Query({'limit': INTEGER, 'offset': INTEGER, 'all_tenants': TEXT}, unknown='ignore')


@contextlib.contextmanager
def proxied() -> Iterator[None]:
    """What the network API answers 409 to, this one answers 400 to."""
    try:
        yield
    except errors.Conflict as error:
        raise errors.Invalid(str(error)) from error


def _project(req: Request) -> str:
    """The caller's project: one without has no groups of its own."""
    if not req.context or not req.context.project_id:
        raise errors.Forbidden('A security group belongs to a project: the token must be scoped to one.')
    return req.context.project_id


def _shown_rule(row: SecurityGroupRule, names: dict[str, SecurityGroup]) -> dict[str, Any]:
    group = names.get(row.remote_group_id or '')
    any_cidr = '::/0' if row.ethertype == 'IPv6' else '0.0.0.0/0'
    return {'id': row.id, 'parent_group_id': row.security_group_id, 'ip_protocol': row.protocol,
            'from_port': -1 if row.protocol and row.port_range_min is None else row.port_range_min,
            'to_port': -1 if row.protocol and row.port_range_max is None else row.port_range_max,
            'group': {'name': group.name, 'tenant_id': group.project_id} if group else {},
            'ip_range': {} if row.remote_group_id else {'cidr': row.remote_ip_prefix or any_cidr}}


def _shown(req: Request, groups: Sequence[SecurityGroup]) -> list[dict[str, Any]]:
    """Groups with the rules for what comes in: this API has no words for the others."""
    remote = {each.remote_group_id for group in groups for each in group.rules if each.remote_group_id}
    with req.wiring.db.reading() as tx:
        names = {group.id: group for group in rows.some(tx, remote)} if remote else {}
    return [{'id': group.id, 'name': group.name, 'description': group.description,
             'tenant_id': group.project_id,
             'rules': [_shown_rule(each, names) for each in group.rules if each.direction == 'ingress']}
            for group in groups]


@app.get('/os-security-groups', last=LAST, query=LIST, allow=rule('os-security-groups:get', READER))
def index(req: Request, query: dict[str, Any]) -> dict[str, Any]:
    """The groups of the project, or to an administrator who asks so, of all."""
    context = req.context
    assert context is not None
    wanted = rows.visible(context).options(*rows.whole()).order_by(SecurityGroup.name, SecurityGroup.id)
    if not context.is_admin or query.get('all_tenants', '0').lower() in ('0', 'false'):
        project = _project(req)
        security_groups.default(req.wiring, project)
        wanted = wanted.where(SecurityGroup.project_id == project)
    with req.wiring.db.reading() as tx:
        found = tx.scalars(wanted.offset(query.get('offset')).limit(query.get('limit'))).all()
    return {'security_groups': _shown(req, found)}


@app.get('/os-security-groups/{id}', last=LAST, allow=rule('os-security-groups:show', READER))
def show(req: Request, id: str) -> dict[str, Any]:
    """One group."""
    with req.wiring.db.reading() as tx:
        group = security_groups.get(tx, req.context, id)      # type: ignore[arg-type]
    return {'security_group': _shown(req, [group])[0]}


@app.post('/os-security-groups', last=LAST, body=Body('security_group', GROUP, ['name', 'description']),
          allow=rule('os-security-groups:create', MEMBER))
def create(req: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Make a group."""
    assert req.context is not None
    with proxied():
        [group] = security_groups.create(req.wiring, req.context, [{
            'name': body['name'], 'description': body['description'] or '', 'project_id': _project(req)}])
    return {'security_group': _shown(req, [group])[0]}


@app.put('/os-security-groups/{id}', last=LAST, body=Body('security_group', GROUP, ['name']),
         allow=rule('os-security-groups:update', MEMBER))
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Rename a group, or describe it anew."""
    assert req.context is not None
    with req.wiring.db.reading() as tx:
        security_groups.get(tx, req.context, id)
    with proxied():
        group = security_groups.update(req.wiring, req.context, id, {
            name: value or '' for name, value in body.items()})
    return {'security_group': _shown(req, [group])[0]}


@app.delete('/os-security-groups/{id}', last=LAST, status=202, allow=rule('os-security-groups:delete', MEMBER))
def delete(req: Request, id: str) -> None:
    """Delete a group that no server is in."""
    assert req.context is not None
    with req.wiring.db.reading() as tx:
        group = security_groups.get(tx, req.context, id)
    if group.default_of:
        raise errors.Invalid('The default security group cannot be deleted.')
    with proxied():
        security_groups.delete(req.wiring, req.context, id)


@app.post('/os-security-group-rules', last=LAST, body=Body('security_group_rule', RULE, ['parent_group_id']),
          allow=rule('os-security-groups:rule:create', MEMBER))
def create_rule(req: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Let something in."""
    assert req.context is not None
    check_uuid(body['parent_group_id'])
    with req.wiring.db.reading() as tx:
        group = security_groups.get(tx, req.context, body['parent_group_id'])
    with proxied():
        [made] = security_groups.create_rules(req.wiring, req.context, [
            {'security_group_id': group.id, 'project_id': group.project_id, 'direction': 'ingress', **_meant(body)}])
        with req.wiring.db.reading() as tx:
            names = {each.id: each for each in rows.some(tx, [made.remote_group_id or ''])}
    return {'security_group_rule': _shown_rule(made, names)}


def _meant(body: dict[str, Any]) -> dict[str, Any]:
    """A rule in the network API's words; ``errors.Invalid`` for one that this API would not take."""
    protocol = body.get('ip_protocol')
    low, high = (None if body.get(name) in (None, -1, '-1') else int(body[name]) for name in ('from_port', 'to_port'))
    if protocol is None and not body.get('group_id'):
        raise errors.Invalid('Invalid IP protocol None.')
    cidr, ethertype = body.get('cidr'), 'IPv4'
    if not body.get('group_id'):
        try:
            if '%' in (cidr or ''):
                raise ValueError('a range with a zone')
            prefix = ipaddress.ip_network(cidr or '0.0.0.0/0', strict=False)
        except ValueError as error:
            raise errors.Invalid('Invalid cidr {cidr}.', cidr=str(cidr)[:64]) from error
        cidr, ethertype = cidr or '0.0.0.0/0', f'IPv{prefix.version}'
    if protocol and protocol.lower() in ('tcp', 'udp') and (low is None or high is None):
        raise errors.Invalid('Invalid port range for protocol {protocol}.', protocol=protocol[:32])
    return {'protocol': protocol and protocol.lower(), 'port_range_min': low, 'port_range_max': high,
            'ethertype': ethertype, 'remote_group_id': body.get('group_id') or None,
            'remote_ip_prefix': None if body.get('group_id') else cidr}


@app.delete('/os-security-group-rules/{id}', last=LAST, status=202,
            allow=rule('os-security-groups:rule:delete', MEMBER))
def delete_rule(req: Request, id: str) -> None:
    """No longer let something in."""
    assert req.context is not None
    with req.wiring.db.reading() as tx:
        security_groups.get_rule(tx, req.context, id)
    security_groups.delete_rule(req.wiring, req.context, id)


# -- a server's ------------------------------------------------------------------------------------

@app.get('/servers/{id}/os-security-groups', allow=rule('os-security-groups:list', READER))
def of_server(req: Request, id: str) -> dict[str, Any]:
    """The groups that a server is in."""
    server = servers.get(req.wiring, req.context, id)      # type: ignore[arg-type]
    with req.wiring.db.reading() as tx:
        found = server_groups.of_server(tx, server.id)
    return {'security_groups': _shown(req, found)}


@app.action('/servers/{id}', 'addSecurityGroup', allow=rule('os-security-groups:add', MEMBER),
            body=Body('addSecurityGroup', {'name': GROUP['name']}, ['name']))
def add(req: Request, id: str, body: dict[str, Any]) -> None:
    """Put a server into a group, by name or id."""
    assert req.context is not None
    server_groups.join(req.wiring, req.context, servers.get(req.wiring, req.context, id), body['name'])


@app.action('/servers/{id}', 'removeSecurityGroup', allow=rule('os-security-groups:remove', MEMBER),
            body=Body('removeSecurityGroup', {'name': GROUP['name']}, ['name']))
def remove(req: Request, id: str, body: dict[str, Any]) -> None:
    """Take a server out of a group, by name or id."""
    assert req.context is not None
    server_groups.leave(req.wiring, req.context, servers.get(req.wiring, req.context, id), body['name'])

"""Routers -- /routers."""

from typing import Any

from nova.api.network import app
from nova.api.network.attributes import (
    BOOLEAN,
    FIXED_IPS,
    ROUTES,
    ROUTES_OR_NULL,
    UUID,
    ZONES,
    Attribute,
    flag,
    shown,
    text,
    true,
)
from nova.api.network.policy import ADMIN, ANY_READER, MEMBER, Rule
from nova.api.network.resource import Given, Resource
from nova.db import routers as rows
from nova.db.ports import Port
from nova.db.routers import Router
from nova.network import routers
from strata.rest import Document, Request

_GATEWAY = {'type': ['object', 'null'], 'additionalProperties': False, 'properties': {
    'network_id': UUID, 'enable_snat': BOOLEAN, 'external_fixed_ips': FIXED_IPS}}
_INTERFACE = Document({'type': 'object', 'additionalProperties': False,
                       'properties': {'subnet_id': UUID, 'port_id': UUID}})
_EXTRA = Document({'type': 'object', 'additionalProperties': False, 'required': ['router'], 'properties': {
    'router': {'type': 'object', 'additionalProperties': False, 'required': ['routes'],
               'properties': {'routes': ROUTES}}}})


def _gateway(info: dict[str, Any] | None) -> dict[str, Any] | None:
    if not info:
        return None
    return {**info, 'enable_snat': true(info.get('enable_snat', True))}


ROUTER = Resource('router', 'routers', Router, {
    'name': text(),
    'description': text(),
    'admin_state_up': flag(default=True),
    'status': shown(),
    'external_gateway_info': Attribute(schema=_GATEWAY, on='cu', convert=_gateway),
    'routes': Attribute(schema=ROUTES_OR_NULL, on='u'),
    'availability_zone_hints': Attribute(schema=ZONES, on='c'),
    'availability_zones': shown(lambda router: ['nova']),
    'distributed': Attribute(schema={'enum': [False]}, on='c', key='_distributed',
                             source=lambda router: False,
                             guards={'create': ADMIN, 'get': ADMIN}),
    'ha': Attribute(schema={'enum': [False]}, on='c', key='_ha', source=lambda router: False,
                    guards={'create': ADMIN, 'get': ADMIN}),
    'flavor_id': shown(lambda router: None),
})

GET = Rule('get_router', ANY_READER, 'See routers.')
CREATE = Rule('create_router', MEMBER, 'Make a router.')
UPDATE = Rule('update_router', MEMBER, 'Change a router.')
DELETE = Rule('delete_router', MEMBER, 'Delete a router.')
ADD = Rule('add_router_interface', MEMBER, 'Join a router with a subnet.')
REMOVE = Rule('remove_router_interface', MEMBER, 'Part a router from a subnet.')
ADD_ROUTES = Rule('add_extraroutes', MEMBER, 'Add static routes to a router.')
REMOVE_ROUTES = Rule('remove_extraroutes', MEMBER, 'Take static routes from a router.')
MORE_RULES = [Rule(f'{verb}_router:external_gateway_info:{name}', ADMIN)
              for verb in ('create', 'update') for name in ('enable_snat', 'external_fixed_ips')]


@app.get('/routers', allow=GET)
def index(req: Request) -> dict[str, Any]:
    """Routers of the project."""
    with req.wiring.db.reading() as tx:
        return ROUTER.index(req, tx, rows.visible(req.context), rows.whole())


@app.post('/routers', body=ROUTER.creation, allow=CREATE, late=True, status=201)
def create(req: Request, body: Given) -> dict[str, Any]:
    """Make one router, or many at once."""
    wishes = ROUTER.wishes(req, body)
    for wish, item in zip(wishes, body.items, strict=True):
        _check_gateway(req, 'create', item, wish['project_id'])
        wish.pop('_distributed', None)
        wish.pop('_ha', None)
    return ROUTER.answer(req, body, routers.create(req.wiring, req.context, wishes))


def _check_gateway(req: Request, verb: str, body: dict[str, Any], project_id: str) -> None:
    """Whether to masquerade, and which address to have outside, are the operator's choice by default."""
    for name in ('enable_snat', 'external_fixed_ips'):
        if name in (body.get('external_gateway_info') or {}):
            req.enforce({'project_id': project_id}, Rule(f'{verb}_router:external_gateway_info:{name}', ''))


@app.get('/routers/{id}', allow=GET)
def show(req: Request, id: str) -> dict[str, Any]:
    """One router."""
    with req.wiring.db.reading() as tx:
        return ROUTER.shown(req, routers.get(tx, req.context, id))


@app.put('/routers/{id}', body=ROUTER.change, allow=UPDATE, late=True)
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a router; a null gateway takes it off its external network."""
    with req.wiring.db.reading() as tx:
        router = routers.get(tx, req.context, id)
        changes = ROUTER.changes(req, body, router)
    _check_gateway(req, 'update', body, router.project_id)
    return ROUTER.shown(req, routers.update(req.wiring, req.context, id, changes, ROUTER.revision(req)))


@app.delete('/routers/{id}', allow=DELETE, late=True, status=204)
def delete(req: Request, id: str) -> None:
    """Delete a router without interfaces."""
    _enforce(req, id)
    routers.delete(req.wiring, req.context, id)


def _enforce(req: Request, id: str) -> None:
    with req.wiring.db.reading() as tx:
        req.enforce({'project_id': routers.get(tx, req.context, id).project_id})


@app.put('/routers/{id}/add_router_interface', body=_INTERFACE, allow=ADD, late=True)
def add_interface(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Join a router with a subnet, by the subnet or by a port."""
    _enforce(req, id)
    return _joint(*routers.add_interface(req.wiring, req.context, id, **body))


@app.put('/routers/{id}/remove_router_interface', body=_INTERFACE, allow=REMOVE, late=True)
def remove_interface(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Part a router from a subnet, by the subnet or by the port."""
    _enforce(req, id)
    return _joint(*routers.remove_interface(req.wiring, req.context, id, **body))


def _joint(router: Router, port: Port, subnet_id: str) -> dict[str, Any]:
    return {'id': router.id, 'tenant_id': router.project_id, 'project_id': router.project_id,
            'port_id': port.id, 'network_id': port.network_id, 'subnet_id': subnet_id,
            'subnet_ids': [subnet_id], 'tags': router.tags}


@app.put('/routers/{id}/add_extraroutes', body=_EXTRA, allow=ADD_ROUTES, late=True)
def add_routes(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Add static routes, leaving the others as they are."""
    _enforce(req, id)
    routes = body['router']['routes']
    return ROUTER.shown(req, routers.change_routes(req.wiring, req.context, id, routes, add=True))


@app.put('/routers/{id}/remove_extraroutes', body=_EXTRA, allow=REMOVE_ROUTES, late=True)
def remove_routes(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Take static routes away, leaving the others as they are."""
    _enforce(req, id)
    routes = body['router']['routes']
    return ROUTER.shown(req, routers.change_routes(req.wiring, req.context, id, routes, add=False))

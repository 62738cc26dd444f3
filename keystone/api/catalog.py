"""The catalog's parts -- /regions, /services, /endpoints."""

from typing import Any

from keystone import endpoints
from keystone.api import app, bodies
from keystone.api.checks import ADMIN, READER
from keystone.api.listing import filtered, page, self_link, split
from keystone.changes import found
from keystone.db.catalog import Endpoint, Region, Service
from strata.rest import Body, Request, Rule


def _rules(noun: str, see: str) -> dict[str, Rule]:
    return {'get': Rule(f'identity:get_{noun}', see, f'Show a {noun}.'),
            'list': Rule(f'identity:list_{noun}s', see, f'List {noun}s.'),
            'create': Rule(f'identity:create_{noun}', ADMIN, f'Create a {noun}.'),
            'update': Rule(f'identity:update_{noun}', ADMIN, f'Change a {noun}.'),
            'delete': Rule(f'identity:delete_{noun}', ADMIN, f'Delete a {noun}.')}


REGION_ID = {'type': ['string', 'null'], 'maxLength': 255}
INTERFACE = {'type': 'string', 'enum': ['admin', 'internal', 'public']}
URL = {'type': 'string', 'minLength': 1, 'maxLength': 4096, 'pattern': r'^[A-Za-z][A-Za-z0-9+.-]*://[^\s]+$'}
MEMBERS: dict[str, dict[str, Any]] = {
    'region': {'id': {'type': 'string', 'maxLength': 255, 'pattern': r'^[^/]*$'},
               'parent_region_id': REGION_ID, 'description': bodies.DESCRIPTION},
    'service': {'type': bodies.name(255), 'name': {'type': ['string', 'null'], 'maxLength': 255},
                'enabled': bodies.ENABLED},
    'endpoint': {'service_id': bodies.ID, 'region_id': REGION_ID, 'region': REGION_ID, 'interface': INTERFACE,
                 'url': URL, 'enabled': bodies.ENABLED}}
REQUIRED = {'region': [], 'service': ['type'], 'endpoint': ['service_id', 'interface', 'url']}
MODELS: dict[str, Any] = {'region': Region, 'service': Service, 'endpoint': Endpoint}
FILTERS: dict[str, dict[str, Any]] = {
    'region': {'parent_region_id': Region.parent_region_id, 'id': Region.id},
    'service': {'type': Service.type, 'name': Service.name, 'enabled': Service.enabled, 'id': Service.id},
    'endpoint': {'service_id': Endpoint.service_id, 'region_id': Endpoint.region_id, 'id': Endpoint.id,
                 'region': Endpoint.region_id, 'interface': Endpoint.interface, 'enabled': Endpoint.enabled}}


def _region(row: Region) -> dict[str, Any]:
    return {'id': row.id, 'parent_region_id': row.parent_region_id, 'description': row.description}


def _service(row: Service) -> dict[str, Any]:
    named = {'name': row.name} if row.name else {}
    return {'id': row.id, 'type': row.type, 'enabled': row.enabled, **named}


def _endpoint(row: Endpoint) -> dict[str, Any]:
    return {'id': row.id, 'service_id': row.service_id, 'interface': row.interface, 'url': row.url,
            'region_id': row.region_id, 'region': row.region_id, 'enabled': row.enabled}


VIEWS: dict[str, Any] = {'region': _region, 'service': _service, 'endpoint': _endpoint}


def shown(req: Request, noun: str, row: Any) -> dict[str, Any]:
    """A region, service or endpoint in a body."""
    return {**row.extra, **VIEWS[noun](row), 'links': self_link(req, f'/{noun}s/{row.id}')}


def declare(noun: str, see: str) -> None:
    """The five routes of a kind."""
    rules, members, model = _rules(noun, see), MEMBERS[noun], MODELS[noun]
    new, changed = Body(noun, members, REQUIRED[noun], open=True), Body(noun, members, open=True)

    @app.get(f'/{noun}s', allow=rules['list'])
    def index(req: Request) -> dict[str, Any]:
        """List them."""
        with req.wiring.db.reading() as tx:
            rows, links = page(req, tx, filtered(endpoints.query(model), req, FILTERS[noun]), model)
        return {f'{noun}s': [shown(req, noun, row) for row in rows], 'links': links}

    @app.post(f'/{noun}s', allow=rules['create'], body=new, status=201)
    def create(req: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Create one."""
        said_id = {'id': body['id']} if noun == 'region' and body.get('id') else {}
        values, extra = split(body, set(members) - {'id'})
        made = endpoints.create(req.wiring, noun, extra=extra, **values, **said_id)
        return {noun: shown(req, noun, made)}

    @app.get(f'/{noun}s/{{id}}', allow=rules['get'])
    def show(req: Request, id: str) -> dict[str, Any]:
        """Show one."""
        with req.wiring.db.reading() as tx:
            return {noun: shown(req, noun, found(tx.get(model, id), noun, id))}

    @app.patch(f'/{noun}s/{{id}}', allow=rules['update'], body=changed)
    def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Change one."""
        values, extra = split(body, set(members) - {'id'})
        return {noun: shown(req, noun, endpoints.update(req.wiring, noun, id, extra=extra, **values))}

    @app.delete(f'/{noun}s/{{id}}', allow=rules['delete'], status=204)
    def delete(req: Request, id: str) -> None:
        """Delete one."""
        endpoints.delete(req.wiring, noun, id)


declare('region', '')
declare('service', READER)
declare('endpoint', READER)


@app.put('/regions/{id}', allow=_rules('region', '')['create'],
         body=Body('region', MEMBERS['region'], open=True), status=201)
def put_region(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Create a region under an id of the caller's choice."""
    values, extra = split(body, set(MEMBERS['region']) - {'id'})
    made = endpoints.create(req.wiring, 'region', id=id, extra=extra, **values)
    return {'region': shown(req, 'region', made)}

"""Version documents: ``/`` knows v2.0 and no other, ``/v2.0`` lists its resources."""

from typing import Any

from nova.api.network import app, versions_app
from nova.api.network.policy import ANY_READER, Rule
from strata.rest import PUBLIC, Request, openapi

RESOURCES = {'network': 'networks', 'subnet': 'subnets', 'port': 'ports', 'router': 'routers',
             'floatingip': 'floatingips', 'security_group': 'security-groups',
             'security_group_rule': 'security-group-rules', 'quota': 'quotas', 'extension': 'extensions',
             'agent': 'agents', 'availability_zone': 'availability_zones'}

LIST = Rule('get_resources', ANY_READER, 'List the kinds of resources.')


@versions_app.get('/', allow=PUBLIC)
def index(req: Request) -> dict[str, Any]:
    """The versions there are."""
    return {'versions': [{'id': 'v2.0', 'status': 'CURRENT',
                          'links': [{'rel': 'self', 'href': req.url('/v2.0/')}]}]}


@app.get('/', allow=LIST)
def resources(req: Request) -> dict[str, Any]:
    """The kinds of resources of v2.0."""
    return {'resources': [{'name': name, 'collection': path.replace('-', '_'),
                           'links': [{'rel': 'self', 'href': req.url('/' + path)}]}
                          for name, path in RESOURCES.items()]}


openapi.serve(versions_app, app, '/v2.0')

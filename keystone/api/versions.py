"""Version documents: GET / and GET /v3, with the host that the client used."""

from typing import Any

from keystone.api import app
from strata.rest import PUBLIC, Application, Request, Response, fault, openapi

LATEST = 'v3.14'
root = Application('identity versions', fault=fault.identity)


def _v3(url: str) -> dict[str, Any]:
    return {'id': LATEST, 'status': 'stable', 'updated': '2020-04-07T00:00:00Z',
            'links': [{'rel': 'self', 'href': url}],
            'media-types': [{'base': 'application/json',
                             'type': 'application/vnd.openstack.identity-v3+json'}]}


@root.get('/', allow=PUBLIC)
def index(req: Request) -> Response:
    """All versions: there is one."""
    return Response(300, {'versions': {'values': [_v3(req.url('/v3/'))]}}, headers={'Vary': 'X-Auth-Token'})


@app.get('/', allow=PUBLIC)
def show(req: Request) -> Response:
    """This version."""
    return Response(200, {'version': _v3(req.url('/'))}, headers={'Vary': 'X-Auth-Token'})


openapi.serve(root, app, '/v3')

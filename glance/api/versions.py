"""Version documents: ``/`` answers 300, ``/versions`` 200, both with the host the client used."""

from typing import Any

from glance.api import app as images
from strata.rest import PUBLIC, Application, Request, Response, openapi
from strata.rest.fault import page

app = Application('image-versions', fault=page)

#: 2.8 and 2.10 on are left out: they announce several stores, caches and locations, which are not built
SUPPORTED = ('v2.9', 'v2.7', 'v2.6', 'v2.5', 'v2.4', 'v2.3', 'v2.2', 'v2.1', 'v2.0')


def _document(req: Request) -> dict[str, Any]:
    url = req.host_url + req.environ.get('SCRIPT_NAME', '').rstrip('/') + '/v2/'
    return {'versions': [{'id': id, 'status': 'CURRENT' if position == 0 else 'SUPPORTED',
                          'links': [{'rel': 'self', 'href': url}]} for position, id in enumerate(SUPPORTED)]}


@app.get('/', allow=PUBLIC, status=300)
def choices(req: Request) -> Response:
    """The versions to choose from."""
    return Response(300, _document(req), {'Location': req.host_url + '/v2/'})


@app.get('/versions', allow=PUBLIC)
def versions(req: Request) -> dict[str, Any]:
    """The versions, for clients that stumble over 300."""
    return _document(req)


openapi.serve(app, images, '/v2')

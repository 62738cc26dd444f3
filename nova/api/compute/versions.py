"""Which versions there are -- /, /v2, /v2.1.

v2.0 is listed because clients look for it; under /v2 the API of 2.1 answers.
"""

from typing import Any

from nova.api.compute import app
from strata.rest import PUBLIC, Application, Request, dotted, fault, openapi

#: the document at /, mounted beside the API
root = Application('compute versions', fault=fault.compute)

_DOCUMENTATION = {'href': 'https://docs.openstack.org/', 'rel': 'describedby', 'type': 'text/html'}
assert app.versions is not None
_ENTRIES = {
    'v2.0': {'status': 'DEPRECATED', 'version': '', 'min_version': '', 'updated': '2011-01-21T11:33:21Z'},
    'v2.1': {'status': 'CURRENT', 'version': dotted(app.versions.maximum),
             'min_version': dotted(app.versions.minimum), 'updated': '2013-07-23T11:33:21Z'},
}
_PLACES = {'v2.0': 'v2', 'v2.1': 'v2.1'}


def _entry(id: str, base: str) -> dict[str, Any]:
    return {'id': id, 'links': [{'rel': 'self', 'href': f'{base}/{_PLACES[id]}/'}], **_ENTRIES[id]}


@root.get('/', allow=PUBLIC)
def all_versions(req: Request) -> dict[str, Any]:
    """Both versions of the compute API."""
    return {'versions': [_entry(id, req.application_url) for id in _ENTRIES]}


@app.get('/', allow=PUBLIC)
def one_version(req: Request) -> dict[str, Any]:
    """The version whose URL this is."""
    base, _, place = req.application_url.rpartition('/')
    id = 'v2.0' if place == 'v2' else 'v2.1'
    entry = _entry(id, base)
    entry['links'] = [*entry['links'], _DOCUMENTATION]
    kind = f'application/vnd.openstack.compute+json;version={id[1:].removesuffix(".0")}'
    return {'version': {**entry, 'media-types': [{'base': 'application/json', 'type': kind}]}}


openapi.serve(root, app, '/v2.1')

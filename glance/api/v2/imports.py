"""Imports -- /images/{id}/import."""

from glance import imports
from glance.api import app, policy
from strata import errors
from strata.rest import Document, Request

IMPORT = Document({'type': 'object', 'properties': {
    'method': {'type': 'object', 'properties': {'name': {'type': 'string', 'maxLength': 64}},
               'required': ['name']},
    'stores': {'type': 'array', 'items': {'type': 'string', 'maxLength': 64}, 'maxItems': 16},
    'all_stores': {'type': 'boolean'}, 'all_stores_must_succeed': {'type': 'boolean'}},
    'required': ['method'], 'additionalProperties': False})


@app.post('/images/{id}/import', allow=policy.UPLOAD, late=True, body=IMPORT, status=202)
def create(req: Request, id: str, body: dict[str, object]) -> None:
    """Make staged data the image's own."""
    image = policy.loaded(req, id)
    method = body['method']
    assert isinstance(method, dict)
    imports.start(req.wiring, req.context, image, method['name'], _store(req, body))


def _store(req: Request, body: dict[str, object]) -> str | None:
    """The store that is asked for; ``errors.Invalid`` for several, ``errors.Conflict`` for one that is not there."""
    stores = list(req.wiring.stores) if body.get('all_stores') else body.get('stores') or []
    assert isinstance(stores, list)
    for store in stores:
        if store not in req.wiring.stores:
            raise errors.Conflict('Store for image not found: {store}', store=store)
    if len(set(stores)) > 1:
        raise errors.Invalid('{name}: an image is kept in one store here, not in {count}.',
                             name='all_stores' if body.get('all_stores') else 'stores', count=len(set(stores)))
    return stores[0] if stores else None

"""Discovery -- /info: import methods and stores on offer."""

from typing import Any

from glance import imports
from glance.api import app, policy
from strata.rest import Request


@app.get('/info/import', allow=policy.IMPORT_INFO)
def show_import(req: Request) -> dict[str, Any]:
    """The import methods on offer; none is an honest answer."""
    return {'import-methods': {'description': 'Import methods available.', 'type': 'array',
                               'value': imports.methods(req.wiring)}}


@app.get('/info/stores', allow=policy.IMPORT_INFO)
def show_stores(req: Request) -> dict[str, Any]:
    """The stores in use; says nothing of where they keep data."""
    stores = []
    for name, store in req.wiring.stores.items():
        stores.append({'id': name, 'description': store.description})
        if name == req.wiring.conf.glance_store.default_store:
            stores[-1]['default'] = 'true'
    return {'stores': stores}

"""Extra specs -- /flavors/{id}/os-extra_specs."""

from typing import Any

from nova.api.compute import app
from nova.api.compute.flavors import SHOW_SPECS
from nova.api.fields import META_KEY
from nova.api.policy import ADMIN, READER, rule
from nova.compute import flavors
from strata import errors
from strata.rest import Body, Document, Request

VALUE = {'type': ['string', 'number'], 'maxLength': 255}
CREATE = Body('extra_specs', {}, patternProperties={META_KEY: VALUE})
UPDATE = Document({'type': 'object', 'patternProperties': {META_KEY: VALUE}, 'additionalProperties': False,
                   'minProperties': 1, 'maxProperties': 1})
PATH = '/flavors/{id}/os-extra_specs'


def _missing(id: str, key: str) -> errors.NotFound:
    return errors.NotFound('Flavor {id} has no extra specs with key {key}.', id=id, key=key)


@app.get(PATH, allow=SHOW_SPECS)
def index(req: Request, id: str) -> dict[str, Any]:
    """All extra specs of a flavor."""
    return {'extra_specs': flavors.get(req.wiring, req.context, id).extra_specs}


@app.post(PATH, body=CREATE, allow=rule('os-flavor-extra-specs:create', ADMIN))
def create(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Add extra specs."""
    specs = {key: str(value) for key, value in body.items()}
    flavors.put_specs(req.wiring, req.context, id, specs)
    return {'extra_specs': specs}


@app.get(PATH + '/{key}', allow=rule('os-flavor-extra-specs:show', READER))
def show(req: Request, id: str, key: str) -> dict[str, Any]:
    """One extra spec."""
    specs = flavors.get(req.wiring, req.context, id).extra_specs
    if key not in specs:
        raise _missing(id, key)
    return {key: specs[key]}


@app.put(PATH + '/{key}', body=UPDATE, allow=rule('os-flavor-extra-specs:update', ADMIN))
def update(req: Request, id: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    """Set one extra spec."""
    if key not in body:
        raise errors.Invalid('Request body and URI mismatch')
    flavors.put_specs(req.wiring, req.context, id, {key: str(body[key])})
    return {key: str(body[key])}


@app.delete(PATH + '/{key}', allow=rule('os-flavor-extra-specs:delete', ADMIN))
def delete(req: Request, id: str, key: str) -> None:
    """Remove one extra spec."""
    flavors.drop_spec(req.wiring, req.context, id, key)

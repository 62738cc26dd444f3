"""Actions -- /images/{id}/actions/{deactivate, reactivate}."""

from glance import images
from glance.api import app, policy
from strata.rest import Request


@app.post('/images/{id}/actions/deactivate', allow=policy.DEACTIVATE, late=True, status=204)
def deactivate(req: Request, id: str) -> None:
    """Give the data out no longer."""
    images.deactivate(req.wiring, req.context, policy.loaded(req, id))


@app.post('/images/{id}/actions/reactivate', allow=policy.REACTIVATE, late=True, status=204)
def reactivate(req: Request, id: str) -> None:
    """Give the data out again."""
    images.reactivate(req.wiring, req.context, policy.loaded(req, id))

"""The Identity API, v3: a file per resource."""

from strata.rest import Application, fault, openapi

app = Application('identity', fault=fault.identity)
openapi.serve(app)

# wiring only: importing the modules declares their routes
from keystone.api import tokens, versions  # noqa: E402

__all__ = ['app', 'tokens', 'versions']

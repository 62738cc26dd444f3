"""The Image API v2: the front side of glance."""

from strata.rest import Application
from strata.rest.fault import page

app = Application('image', fault=page)

from glance.api import v2  # noqa: E402,F401  (wiring only: the resources declare themselves on the app)

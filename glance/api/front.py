"""The applications of glance-api as paste's factories, and what stands right before them."""

from typing import Any

from glance import api
from glance.api import policy, versions
from glance.wiring import Wiring
from strata import errors
from strata.policy import Policy, Rule
from strata.rest.fault import page
from strata.rest.mount import Mount
from strata.wsgi import pipeline
from strata.wsgi.middleware import SizeLimit, refuse

#: most bytes of a JSON document; an image's data is bounded by image_size_cap
DOCUMENT = 4 * 1024 * 1024


class Front:
    """Decides who is an administrator, and bounds bodies that are documents."""

    def __init__(self, app: Any, enforcer: Policy) -> None:
        self.app, self.policy = app, enforcer
        self.limited = SizeLimit(app, DOCUMENT, page)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        context = environ.get('strata.context')
        if context is not None:
            context.is_admin = self.policy.allows(policy.ADMIN.name, context)
        path = environ.get('PATH_INFO', '')
        if len(path) > 1 and path.endswith('/'):      # an empty id is nobody's: /images/ is not the list
            return refuse(environ, start_response, errors.NotFound('The resource could not be found.'), page)
        data = environ['REQUEST_METHOD'] == 'PUT' and path.endswith(('/file', '/stage'))
        return (self.app if data else self.limited)(environ, start_response)


def rules() -> list[Rule]:
    """Every rule of the API."""
    return [*api.app.rules(), *policy.BESIDE]


def bound(wiring: Wiring) -> Front:
    """The Image API of one process; it expects the caller's context in the environment."""
    return Front(api.app.bind(wiring), wiring.policy)


def applications(wiring: Wiring) -> Mount:
    """The whole API without a pipeline before it: for tests, which inject the context."""
    return Mount({'/v2': bound(wiring), '/': versions.app.bind(wiring)})


def v2(global_conf: dict[str, str], **options: str) -> Front:
    """paste: the Image API v2."""
    return bound(pipeline.current())


def root(global_conf: dict[str, str], **options: str) -> Any:
    """paste: the version documents."""
    return versions.app.bind(pipeline.current())
